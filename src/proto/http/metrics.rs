//! Floor 3. Every number, as Prometheus reads it and as JSON.
//!
//! A row of the counters' table becomes a family; rows that differ in one word only are one family
//! with a label. Labels come from our own tables, so there are as many series as the tables have
//! rows. What is not counted but is now (connections, memory, the journal) is asked of the machine
//! and the hub at the moment of the request. Absent on purpose: anything per client or topic.

use crate::base::json::Writer;
use crate::base::limits::Limit;
use crate::base::stats::COUNTERS;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Question, Snapshot};
use crate::journal::State;
use crate::proto::Ctx;

use super::call::Call;
use super::packet::{METRICS, Response};
use super::task::Step;

/// Prometheus' text.
pub fn metrics(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Stats, |_, answer, hub, _| match answer {
        Answer::Stats(snapshot) => Response::new(200, METRICS, text(&snapshot, hub)),
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

/// Families that are made of several counters: how the counter begins, the family, the label.
const FAMILIES: [(&str, &str, &str, &str); 3] = [
    ("messages_dropped_", "messages_dropped_total", "reason", "Deliveries given up."),
    ("logins_", "auth_total", "result", "Logins by how they ended."),
    ("limit_", "limit_reached_total", "limit", "Times somebody reached this bound."),
];

/// Counters that are called otherwise outside.
const NAMES: [(&str, &str); 2] =
    [("received_bytes_total", "bytes_received_total"), ("sent_bytes_total", "bytes_sent_total")];

/// Grows by families, each with its head.
struct Text {
    text: String,
    family: String,
}

impl Text {
    fn head(&mut self, family: &str, kind: &str, doc: &str) {
        if self.family != family {
            self.family = family.to_owned();
            let doc = doc.trim();
            self.text +=
                &format!("# HELP spindle_{family} {doc}\n# TYPE spindle_{family} {kind}\n");
        }
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl core::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        self.text += &format!("spindle_{}{labels} {value}\n", self.family);
    }

    fn one(&mut self, family: &str, kind: &str, doc: &str, value: impl core::fmt::Display) {
        self.head(family, kind, doc);
        self.sample(&[], value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn text(snapshot: &Snapshot, hub: &Hub) -> String {
    let mut t = Text { text: String::new(), family: String::new() };
    t.head("build_info", "gauge", "Which program this is.");
    t.sample(&[("version", env!("CARGO_PKG_VERSION")), ("features", FEATURES)], 1);
    let started = snapshot.started as f64 / 1_000.0;
    t.one("start_time_seconds", "gauge", "When it was started, since 1970.", started);
    t.head("connections", "gauge", "Open connections.");
    for row in &snapshot.listeners {
        let no = row.no.to_string();
        t.sample(&[("protocol", row.speaks), ("listener", &no)], row.connections);
    }
    counters(&mut t, hub);
    gauges(&mut t, snapshot, hub);
    durations(&mut t.text, hub);
    t.text
}

fn counters(t: &mut Text, hub: &Hub) {
    let values: Vec<(&str, u64)> = hub.stats.iter().collect();
    for (label, value) in &values {
        if FAMILIES.iter().any(|(begin, ..)| label.starts_with(begin)) {
            continue;
        }
        let name = NAMES.iter().find(|(own, _)| own == label).map_or(*label, |(_, name)| name);
        let doc = COUNTERS.iter().find(|(_, own, _)| own == label).map_or("", |(.., doc)| doc);
        t.one(name, "counter", doc, value);
    }
    for (begin, family, label, doc) in FAMILIES {
        t.head(family, "counter", doc);
        for (own, value) in &values {
            if let Some(rest) = own.strip_prefix(begin) {
                t.sample(&[(label, rest.trim_end_matches("_total"))], value);
            }
        }
    }
}

/// What is now: family, meaning, value.
fn facts(snapshot: &Snapshot, hub: &Hub) -> Vec<(&'static str, &'static str, f64)> {
    let realm = hub.realm(crate::base::id::RealmId(0));
    let kept = realm.map_or(0, |r| r.retained.len());
    let kept_bytes = realm.map_or(0, |r| r.kept_bytes);
    let queues = realm.map_or(0, |r| r.queues.len());
    let mut all = vec![
        (
            "strangers",
            "Connections that have not identified themselves.",
            snapshot.strangers as f64,
        ),
        ("sessions", "Sessions, connected or not.", hub.sessions_len() as f64),
        ("sessions_durable", "Sessions that may outlive their connection.", hub.durables() as f64),
        ("retained_messages", "Kept values.", kept as f64),
        ("retained_bytes", "Kept values in bytes, in memory and on disk.", kept_bytes as f64),
        ("queues", "Work queues.", queues as f64),
        ("message_memory_bytes", "Memory of messages.", hub.memory_used() as f64),
        ("message_memory_max_bytes", "What messages may use.", hub.limits.memory_bytes_max as f64),
        ("auth_queue_length", "Password checks waiting or under way.", snapshot.checks as f64),
        ("publishers_waiting", "Publishers that wait for room.", snapshot.stalled as f64),
    ];
    if let Some(journal) = hub.journal() {
        let tally = journal.tally();
        let bytes = tally.segments as u64 * u64::from(hub.limits.segment_bytes);
        all.push(("wal_segments", "Segments of the journal.", tally.segments as f64));
        all.push(("wal_bytes", "What the journal takes on disk.", bytes as f64));
        let lag = journal.tail().0.saturating_sub(journal.synced().0);
        all.push(("wal_unsynced_bytes", "Appended and not known to be on the device.", lag as f64));
        let state = match journal.state() {
            State::Running => 1.0,
            State::Full | State::Failed(_) => 0.0,
        };
        all.push(("wal_writable", "The journal takes records.", state));
    }
    all
}

fn gauges(t: &mut Text, snapshot: &Snapshot, hub: &Hub) {
    for (family, doc, value) in facts(snapshot, hub) {
        t.one(family, "gauge", doc, value);
    }
}

/// The place for distributions of how long things take: families in Prometheus' form.
fn durations(_: &mut String, _: &Hub) {}

/// Every number as members of an object.
pub(super) fn numbers(snapshot: &Snapshot, hub: &Hub, now: Now, json: &mut Writer) {
    json.field("version", env!("CARGO_PKG_VERSION"))
        .field("now", &crate::base::calendar::rfc3339(now.wall))
        .field("start", &crate::base::calendar::rfc3339(snapshot.started))
        .field("uptime_seconds", snapshot.uptime_ms as f64 / 1_000.0)
        .field("connections", snapshot.connections);
    for (name, _, value) in facts(snapshot, hub) {
        json.field(name, value);
    }
    json.field("journal", journal(hub)).list("listeners", |json| {
        for row in &snapshot.listeners {
            json.open().field("listener", row.no).field("protocol", row.speaks);
            json.field("connections", row.connections).field("accepted", row.accepted).close();
        }
    });
    json.object("counters", |json| {
        for (label, value) in hub.stats.iter().filter(|(label, _)| !label.starts_with("limit_")) {
            json.field(label, value);
        }
    });
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

const FEATURES: &str = if cfg!(feature = "tls") { "tls" } else { "" };
