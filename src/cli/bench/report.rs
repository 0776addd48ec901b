//! Floor 6. The figures of a run: as a table for people, as JSON for programs.
//!
//! Both say the same, made from one list of rows, so a figure has one name. Latencies are
//! microseconds. What was not measured is left out, not 0. Absent on purpose: judgement (`judge`).

use std::borrow::Cow;

use crate::cli::ctl::object;
use crate::cli::json::Value;
use crate::proto::mqtt::Version;
use crate::value::Form;

use super::nanos::Hist;
use super::pipe::Place;
use super::plan::{Pace, Plan, Scenario};
use super::proc;
use super::tally::{Outcome, Phase};
use super::wamp::Wamp;
use super::wire::Tongue;

/// One line that says what was done.
pub(super) fn title(plan: &Plan) -> String {
    let (tongue, scenario) = (tongue(plan) + through(plan), scenario(plan));
    let threads = plan.threads;
    let crowd = format!("{} publishers, {} subscribers", plan.publishers, plan.subscribers);
    if plan.scenario == Scenario::Ping {
        return format!("{scenario}: one socket, {} bytes", plan.size);
    }
    if !plan.talks() {
        let pace = match plan.pace {
            Pace::Open(rate) => format!("{rate}/s by schedule, "),
            Pace::Closed(_) => String::new(),
        };
        let n = plan.publishers;
        return format!("{scenario}: {n} connections, {pace}{tongue}, {threads} threads");
    }
    let pace = match plan.pace {
        Pace::Open(rate) => format!("{rate}/s by schedule"),
        Pace::Closed(window) => format!("window {window}"),
    };
    let (qos, size) = (plan.qos, plan.size);
    if plan.stocks() {
        let count = plan.count;
        return format!("{scenario}: {count}, {pace}, QoS {qos}, {size} bytes, {tongue}");
    }
    format!("{scenario}: {crowd}, {pace}, QoS {qos}, {size} bytes, {tongue}, {threads} threads")
}

fn tongue(plan: &Plan) -> String {
    let name = match plan.tongue {
        Tongue::Prx1 => "PRX1",
        Tongue::Wamp(Wamp { form: Form::Json, .. }) => "WAMP in JSON",
        Tongue::Wamp(Wamp { form: Form::MsgPack, .. }) => "WAMP in MessagePack",
        Tongue::Wamp(Wamp { form: Form::Cbor, .. }) => "WAMP in CBOR",
        Tongue::Mqtt(Version::V5) => "MQTT 5.0",
        Tongue::Mqtt(_) => "MQTT 3.1.1",
    };
    name.to_owned()
}

/// What is between the protocol and TCP.
fn through(plan: &Plan) -> &'static str {
    match (&plan.road.place, plan.road.trust.is_some(), plan.road.way.is_some()) {
        (Place::Unix(_), ..) => " over a Unix socket",
        (_, false, false) => "",
        (_, true, false) => " over TLS",
        (_, false, true) => " over WebSocket",
        (_, true, true) => " over WebSocket over TLS",
    }
}

fn scenario(plan: &Plan) -> String {
    let value = clap::ValueEnum::to_possible_value(&plan.scenario);
    value.map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Name, what it is called in the table, value.
type Row = (Cow<'static, str>, Cow<'static, str>, f64);

fn row(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>, value: f64) -> Row {
    (name.into(), label.into(), value)
}

/// Every figure that is one number.
fn rows(plan: &Plan, outcome: &Outcome) -> Vec<Row> {
    let tally = &outcome.tally;
    let seconds = outcome.measured as f64 / 1e9;
    let mut rows = Vec::new();
    for phase in &outcome.phases {
        phase_rows(phase, &mut rows);
    }
    if plan.talks() && !plan.stocks() {
        rows.push(row("delivered", "delivered", tally.delivered as f64));
        rows.push(row("delivered_per_second", "a second", tally.delivered as f64 / seconds));
        let bytes = tally.delivered as f64 * plan.size as f64;
        rows.push(row("mib_per_second", "MiB of payload a second", bytes / seconds / 1_048_576.0));
        let measured = tally.delivered as f64;
        rows.extend(spent(outcome, measured, "cpu_us_per_message", "CPU us of the broker each"));
    }
    if plan.scenario == Scenario::Connect {
        let count = tally.connects.count() as f64;
        rows.push(row("connected", "connected", count));
        let seconds = outcome.dialling as f64 / 1e9;
        rows.push(row("connected_per_second", "a second", count / seconds));
        if let (Some(before), Some(after)) = (outcome.empty, outcome.full) {
            let each = after.cpu.saturating_sub(before.cpu) as f64 / 1_000.0 / count;
            rows.push(row("cpu_us_per_connect", "CPU us of the broker each", each));
        }
    }
    if let (Some(before), Some(after)) = (outcome.empty, outcome.full) {
        rows.push(row("resident_bytes", "bytes of the broker in memory", after.resident as f64));
        if !plan.talks() {
            let more = after.resident.saturating_sub(before.resident) as f64;
            let each = more / tally.connects.count().max(1) as f64;
            rows.push(row("bytes_per_connection", "more for each connection", each));
        }
    }
    if let (Some(begin), Some(end)) = (outcome.begin, outcome.end) {
        let cpu = end.cpu.saturating_sub(begin.cpu) as f64 / outcome.measured.max(1) as f64;
        rows.push(row("broker_cpu_percent", "CPU of the broker, %", cpu * 100.0));
        let switches = end.switches.saturating_sub(begin.switches) as f64;
        rows.push(row("switches_per_second", "its context switches a second", switches / seconds));
    }
    if plan.talks() && tally.used > 0 && tally.delivered > 0 {
        let each = tally.used as f64 / 1_000.0 / tally.delivered as f64;
        rows.push(row("generator_cpu_us_per_message", "CPU us of the generator each", each));
    }
    rows.push(row(
        "generator_cpu_percent",
        "CPU of the busiest thread here, %",
        tally.busy * 100.0,
    ));
    let waited = tally.waited * 100.0;
    rows.push(row("generator_waited_percent", "time it waited for one that others had, %", waited));
    if tally.late.count() > 0 {
        let late = micros(tally.late.percentile(99_000));
        rows.push(row("generator_late_us_p99", "us sent late here, p99", late));
    }
    rows
}

/// How many, how fast, and what each cost the broker.
fn phase_rows(phase: &Phase, rows: &mut Vec<Row>) {
    let (done, count) = (phase.done, phase.count.max(1) as f64);
    rows.push(row(done, done, phase.count as f64));
    let rate = phase.count as f64 * 1e9 / phase.nanos.max(1) as f64;
    rows.push(row(format!("{done}_per_second"), "a second", rate));
    let (Some(before), Some(after)) = (phase.before, phase.after) else { return };
    let cpu = after.cpu.saturating_sub(before.cpu) as f64 / 1_000.0 / count;
    let each = phase.each;
    rows.push(row(format!("cpu_us_per_{each}"), "CPU us of the broker each", cpu));
    if each != "message" {
        let more = after.resident as f64 - before.resident as f64;
        rows.push(row(format!("bytes_per_{each}"), "bytes of memory more for each", more / count));
    }
}

/// What each of `count` things cost the broker.
fn spent(outcome: &Outcome, count: f64, name: &'static str, label: &'static str) -> Option<Row> {
    let used = outcome.end?.cpu.saturating_sub(outcome.begin?.cpu);
    (count > 0.0).then(|| row(name, label, used as f64 / 1_000.0 / count))
}

/// Every latency that was seen.
fn hists<'a>(
    plan: &Plan,
    outcome: &'a Outcome,
) -> impl Iterator<Item = (&'static str, &'static str, &'a Hist)> {
    let tally = &outcome.tally;
    // At a window, a message is due when it is sent.
    let by_schedule = matches!(plan.pace, Pace::Open(_));
    let all = [
        (by_schedule, "latency_due_us", "from when it was due", &tally.due),
        (true, "latency_sent_us", "from when it was sent", &tally.sent),
        (true, "acknowledged_us", "to its acknowledgement", &tally.acks),
        (!plan.talks(), "connect_us", "to connect", &tally.connects),
    ];
    all.into_iter()
        .filter(|(shown, _, _, hist)| *shown && hist.count() > 0)
        .map(|(_, name, label, hist)| (name, label, hist))
}

/// Every figure as one number under one name.
pub(super) fn figures(plan: &Plan, outcome: &Outcome) -> Vec<(String, f64)> {
    let rows = rows(plan, outcome);
    let mut all: Vec<_> = rows.into_iter().map(|(name, _, n)| (name.into_owned(), n)).collect();
    for (name, _, hist) in hists(plan, outcome) {
        let of =
            |(percentile, share)| (format!("{name}.{percentile}"), micros(hist.percentile(share)));
        all.extend(PERCENTILES.map(of));
    }
    all
}

/// For people.
pub(super) fn table(plan: &Plan, outcome: &Outcome, doubt: Option<&str>) -> String {
    let mut text = title(plan);
    if let Some(doubt) = doubt {
        text += &format!("\nNOT A FIGURE OF THE BROKER: {doubt}");
    }
    text.push('\n');
    for (_, label, value) in rows(plan, outcome) {
        text += &format!("\n{:>16}  {label}", figure(value));
    }
    let mut head = false;
    for (_, label, hist) in hists(plan, outcome) {
        if !head {
            let names = PERCENTILES.map(|(name, _)| format!("{name:>9}")).concat();
            text += &format!("\n\n{:<24}{names}{:>9}", "microseconds", "max");
            head = true;
        }
        let values = PERCENTILES.map(|(_, share)| latency(hist.percentile(share)));
        text += &format!("\n{label:<24}{}{}", values.concat(), latency(hist.max()));
    }
    text
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

/// A column of the table: what is short with a digit more.
fn latency(nanos: u64) -> String {
    let us = micros(nanos);
    if us < 1_000.0 { format!("{us:>9.1}") } else { format!("{us:>9.0}") }
}

/// Three digits that count, and thousands apart.
pub(super) fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For programs.
pub(super) fn json(plan: &Plan, outcome: &Outcome, doubt: Option<&str>) -> String {
    let text = |text: &str| Value::Text(text.as_bytes().to_vec());
    let number = |n: u64| Value::Number(n as f64);
    let (cpu, kernel) = proc::machine();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let machine =
        vec![("processor", text(&cpu)), ("cores", number(cores as u64)), ("kernel", text(&kernel))];
    let mut all = vec![
        ("spindle", text(env!("CARGO_PKG_VERSION"))),
        ("machine", object(machine)),
        ("scenario", text(&scenario(plan))),
        ("protocol", text(&tongue(plan))),
        ("through", text(through(plan).trim_start_matches(" over "))),
        ("publishers", number(plan.publishers.into())),
        ("subscribers", number(plan.subscribers.into())),
        ("threads", number(plan.threads.into())),
        ("seed", number(plan.seed)),
        ("doubt", doubt.map_or(Value::Null, text)),
    ];
    if plan.talks() {
        all.push(match plan.pace {
            Pace::Open(rate) => ("rate", number(rate)),
            Pace::Closed(window) => ("window", number(window.into())),
        });
        all.push(("qos", number(plan.qos.into())));
        all.push(("size", number(plan.size as u64)));
    }
    if plan.stocks() {
        all.push(("count", number(plan.count)));
    }
    if plan.lasts() && !plan.stocks() {
        all.push(("seconds", Value::Number(outcome.measured as f64 / 1e9)));
    }
    let figures = rows(plan, outcome);
    all.extend(figures.iter().map(|(name, _, n)| (name.as_ref(), Value::Number(*n))));
    for (name, _, hist) in hists(plan, outcome) {
        let us = |nanos| Value::Number(micros(nanos));
        let percentiles = PERCENTILES.map(|(name, share)| (name, us(hist.percentile(share))));
        let mut members = vec![("count", number(hist.count()))];
        members.extend(percentiles);
        members.push(("max", us(hist.max())));
        all.push((name, object(members)));
    }
    String::from_utf8_lossy(&object(all).print(false)).into_owned()
}

const PERCENTILES: [(&str, u32); 5] =
    [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p99.9", 99_900), ("p99.99", 99_990)];
