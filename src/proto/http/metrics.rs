//! Floor 3. Every number, as Prometheus reads it and as JSON.
//!
//! Both are written from the table of families (`families`) at the moment of the request. Absent on
//! purpose: anything the table does not have, and values that were gathered earlier.

use crate::base::calendar;
use crate::base::json::Writer;
use crate::base::limits::Limit;
use crate::base::stats::{COUNTERS, Counter};
use crate::base::time::Now;
use crate::base::words::{Action, Ending, Loss, Method, Outcome, Tongue};
use crate::hub::Hub;
use crate::hub::admin::{Answer, Question, Snapshot};
use crate::hub::sys;
use crate::hub::timings::TIMINGS;
use crate::journal::State;
use crate::proto::Ctx;

use super::call::Call;
use super::families::{FAMILIES, Family, Source, View};
use super::packet::{METRICS, Response};
use super::relays;
use super::task::Step;

/// Prometheus' text.
pub fn metrics(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Stats, |_, answer, hub, now| match answer {
        Answer::Stats(snapshot) => {
            let mut all = text(&snapshot, hub);
            if !hub.relays.is_empty() {
                all += &relays::text("spindle_foo", hub, now);
            }
            Response::new(200, METRICS, all)
        }
        _ => Response::text(500, ""),
    })
}

/// JSON.
pub fn varz(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Stats, |_, answer, hub, now| match answer {
        Answer::Stats(snapshot) => {
            let mut json = Writer::new();
            json.open();
            numbers(&snapshot, hub, now, &mut json);
            json.close();
            Response::json(200, json.take())
        }
        _ => Response::text(500, ""),
    })
}

fn text(snapshot: &Snapshot, hub: &Hub) -> String {
    let view = View { snapshot, hub };
    let mut text = String::new();
    for family in FAMILIES.iter().flat_map(|(_, all)| *all) {
        let (name, kind, doc) = (family.name, family.kind(), family.doc);
        let mut samples = String::new();
        match family.source {
            Source::Times(label) => durations(name, label, hub, &mut samples),
            _ => family.samples(view, &mut |words, value| {
                let labels = labels(family.labels, words);
                samples += &format!("spindle_{name}{labels} {value}\n");
            }),
        }
        // What is not there (no journal, no TLS) is not spoken of.
        if !samples.is_empty() {
            let doc = doc.replace('`', "");
            text += &format!("# HELP spindle_{name} {doc}\n# TYPE spindle_{name} {kind}\n");
            text += &samples;
        }
    }
    text
}

fn labels(names: &[&str], words: &[&str]) -> String {
    let pairs = names.iter().zip(words);
    let pairs: Vec<String> =
        pairs.map(|(name, word)| format!("{name}=\"{}\"", escaped(word))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// How long things take: histograms in seconds.
fn durations(name: &str, label: &str, hub: &Hub, text: &mut String) {
    for (row, windows) in hub.timings.iter().filter(|(row, _)| row.label == label) {
        let level = row.durability.map(|level| format!("durability=\"{level}\""));
        let (level, all) = (level.unwrap_or_default(), windows.all());
        let and = if level.is_empty() { "" } else { "," };
        for (end, below) in all.buckets() {
            let end = end.map_or_else(|| "+Inf".to_owned(), |us| seconds(us).to_string());
            *text += &format!("spindle_{name}_bucket{{{level}{and}le=\"{end}\"}} {below}\n");
        }
        let labels = if level.is_empty() { level } else { format!("{{{level}}}") };
        let (sum, count) = (seconds(all.sum()), all.count());
        *text += &format!("spindle_{name}_sum{labels} {sum}\n");
        *text += &format!("spindle_{name}_count{labels} {count}\n");
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Every number as members of an object.
pub(super) fn numbers(snapshot: &Snapshot, hub: &Hub, now: Now, json: &mut Writer) {
    json.field("version", env!("CARGO_PKG_VERSION"))
        .field("now", &calendar::rfc3339(now.wall))
        .field("start", &calendar::rfc3339(snapshot.started))
        .field("uptime_seconds", snapshot.uptime_ms as f64 / 1_000.0)
        .field("connections", snapshot.connections);
    let own = |family: &&Family| matches!(family.source, Source::Now(_));
    for family in FAMILIES.iter().flat_map(|(_, all)| *all).filter(own) {
        // The start is told as a date above.
        if let [name] = family.varz {
            family.samples(View { snapshot, hub }, &mut |_, value| {
                json.field(name, value);
            });
        }
    }
    json.field("journal", journal(hub)).list("listeners", |json| {
        for row in &snapshot.listeners {
            json.open().field("listener", row.no).field("protocol", row.speaks);
            json.field("connections", row.connections).field("accepted", row.accepted);
            let until = row.until.map(calendar::rfc3339);
            json.field("certificate_until", until.as_deref()).close();
        }
    });
    json.object("counters", |json| {
        for (label, value) in hub.stats.iter().filter(|(label, _)| !label.starts_with("limit_")) {
            json.field(label, value);
        }
    });
    json.object("timings", |json| hub.timings.write(json));
    json.object("limits_reached", |json| {
        for limit in Limit::ALL {
            let count = hub.stats.limit(*limit);
            if count > 0 {
                json.field(limit.name(), count);
            }
        }
    });
}

/// How the journal is, in one word.
pub(super) fn journal(hub: &Hub) -> &'static str {
    match hub.journal().map(crate::journal::Journal::state) {
        None => "none",
        Some(State::Running) => "running",
        Some(State::Full) => "full",
        Some(State::Failed(_)) => "failed",
    }
}

/// The chapter of the manual.
#[must_use]
pub fn chapter() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (title, families) in FAMILIES {
        text += &format!(
            "\n### {title}\n\n| `spindle_...` | type | labels | meaning | \
             `$SYS/broker/` | `/varz` | `gmqtt_...` |\n|---|---|---|---|---|---|---|\n"
        );
        families.iter().for_each(|family| text += &row(family));
    }
    text += WORDS_OF_LABELS;
    words("Protocols", "protocol", Tongue::ALL, &mut text);
    words("Why a connection ended", "reason", Ending::ALL, &mut text);
    words("Logins: by what", "method", Method::ALL, &mut text);
    words("Logins: how they ended", "result", Outcome::ALL, &mut text);
    words("What may be refused", "action", Action::ALL, &mut text);
    text += "\n### Deliveries given up\n\n| in the log | counted under | when |\n|---|---|---|\n";
    for (loss, word, doc) in Loss::ALL {
        let (label, _) = counter(loss.counter());
        text += &format!("| {word} | `{label}` | {} |\n", doc.trim());
    }
    text += COUNTERS_OF_VARZ;
    for (_, label, doc) in COUNTERS {
        text += &format!("| `{label}` | {} |\n", doc.trim());
    }
    text += TOPICS;
    for row in sys::ROWS {
        text += &format!("| `{}` | {} |\n", row.name, row.doc);
    }
    let minutes: Vec<String> = sys::MINUTES.iter().map(|(name, _)| format!("`{name}`")).collect();
    for (name, counters) in sys::LOADS {
        let all: Vec<&str> = counters.iter().map(|of| counter(*of).0).collect();
        let all = all.join("`, `");
        text += &format!(
            "| `load/{name}/`{} | Per minute, averaged over so many: `{all}`. |\n",
            minutes.join(", ")
        );
    }
    text += DURATIONS;
    for row in TIMINGS {
        let level = row.durability.map(|level| format!("_{level}")).unwrap_or_default();
        text += &format!("| `{}{level}` | {} |\n", row.label, row.doc.trim());
    }
    text
}

/// Label and meaning of a counter.
fn counter(what: Counter) -> (&'static str, &'static str) {
    let found = COUNTERS.iter().find(|(own, ..)| *own == what);
    found.map_or(("", ""), |(_, label, doc)| (*label, *doc))
}

fn row(family: &Family) -> String {
    let list = |all: &[&str]| {
        let all: Vec<String> = all.iter().map(|it| format!("`{it}`")).collect();
        all.join(", ")
    };
    let counters: Vec<&str> = family.counters().iter().map(|own| counter(*own).0).collect();
    let varz = list(family.varz) + &list(&counters);
    let kind = match family.unit() {
        "" => family.kind().to_owned(),
        unit => format!("{}, {unit}", family.kind()),
    };
    let gmqtt = if family.gmqtt.is_empty() { String::new() } else { list(&[family.gmqtt]) };
    let (labels, sys) = (list(family.labels), list(family.sys));
    format!(
        "| `{}` | {kind} | {labels} | {} | {sys} | {varz} | {gmqtt} |\n",
        family.name, family.doc
    )
}

fn words<T>(title: &str, label: &str, all: &[(T, &str, &str)], text: &mut String) {
    *text += &format!("\n### {title}\n\n| `{label}` | meaning |\n|---|---|\n");
    for (_, word, doc) in all {
        *text += &format!("| `{word}` | {} |\n", doc.trim());
    }
}

const INTRODUCTION: &str = "\
# What the broker counts and says

Made from the tables themselves; `cargo test --test tidy` fails where a row is missing or stale, and
`cargo test --test tidy -- --ignored` writes it anew.

The same numbers are told in three places: `/metrics` for Prometheus, `/varz` (and `/api/v1/stats`,
`spindle top`, SIGUSR2) as JSON, and `$SYS/broker/` as retained messages for clients and for
exporters of mosquitto. They start at zero with the process. Labels have words of a closed set, or
the number of a listener: no client can add a series.

## Metrics

Where a column names several counters of `/varz`, the labels tell them apart. What does not apply
(no journal, no certificate) is left out. The last column is what gmqtt calls the same.
";

const WORDS_OF_LABELS: &str = "
## Words of labels

`qos` is 0, 1 or 2; `listener` is the listener's number in `/api/v1/listeners`; `limit` is one of
`spindle limits`; `durability` is `memory`, `os` or `disk`.
";

const COUNTERS_OF_VARZ: &str = "
## Counters of `/varz`

Under `counters`; every bound that was reached is under `limits_reached` (`limit_NAME_total` for
SIGUSR2).

| counter | what is counted |
|---|---|
";

const TOPICS: &str = "
## Topics under `$SYS/broker/`

With the names, units and averages of mosquitto. They are said every `sys_interval` seconds (10;
0: never), as retained messages of QoS 0 that live in memory and count nowhere; what has not changed
is not said again. Wildcards at the root (`#`, `+/...`) do not match them, only the broker publishes
there, and readers of every protocol have them.

| topic | what |
|---|---|
";

const DURATIONS: &str = "
## Durations of `/varz`

Under `timings`, in microseconds: since the start, of the last minute and of the last quarter of an
hour. Percentiles are exact to 2 %. For Prometheus they are histograms in seconds.

| duration | from when until when |
|---|---|
";
