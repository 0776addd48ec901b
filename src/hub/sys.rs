//! Floor 2. `$SYS/broker/...`: what the broker says about itself, under the names that are known.
//!
//! Names, units and averages are those of mosquitto, because exporters and dashboards read them.
//! Values are kept like any other, but in memory only and beside every bound and counter of
//! messages, so that saying them changes nothing that is said. One that has not changed is not said
//! again. Whoever drives the broker says when, and what only it can know. Absent on purpose: a
//! timer, and anything that would have to look at every session.

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::stats::{Counter, Stats};
use crate::base::time::Now;
use crate::topic::Topic;

use super::Hub;
use super::message::Publication;
use super::timings::Timing;

/// What the hub cannot know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outside {
    /// Connections that have logged in.
    pub connected: usize,
    /// Open sockets.
    pub sockets: usize,
    /// Pieces and bytes that sockets have not taken yet.
    pub unsent: (u64, u64),
    /// Bytes of the process in memory, where that is known.
    pub resident: Option<u64>,
    /// Bytes of the device that holds the journal: free to us, and all of them.
    pub disk: Option<(u64, u64)>,
}

/// What was said last, and what averages need.
#[derive(Debug, Default)]
pub(super) struct Sys {
    said: Vec<Option<Said>>,
    loads: Option<Loads>,
    connected_max: usize,
    resident_max: u64,
}

/// A topic and its value.
#[derive(Debug)]
struct Said {
    topic: Topic,
    value: String,
}

/// Rates by the minute, averaged over 1, 5 and 15 of them.
#[derive(Debug)]
struct Loads {
    at: u64,
    counts: [u64; LOADS.len()],
    averages: [[f64; MINUTES.len()]; LOADS.len()],
}

impl Loads {
    /// So many were counted until now. The first averages are those of the time until then.
    fn take(&mut self, mono: u64, counts: [u64; LOADS.len()], first: bool) {
        let seconds = (mono.saturating_sub(self.at) as f64 / 1e9).max(1e-3);
        let both = counts.iter().zip(&self.counts);
        for ((now, then), averages) in both.zip(&mut self.averages) {
            let rate = now.wrapping_sub(*then) as f64 * 60.0 / seconds;
            for (average, (_, minutes)) in averages.iter_mut().zip(MINUTES) {
                let keeps = (-seconds / (60.0 * minutes)).exp();
                *average = if first { rate } else { rate + keeps * (*average - rate) };
            }
        }
        (self.at, self.counts) = (mono, counts);
    }
}

impl Hub {
    /// Say what has changed since this was called last.
    pub fn publish_sys(&mut self, now: Now, outside: &Outside) {
        let counts = LOADS.map(|(_, counters)| sum(&self.stats, counters));
        let first = self.sys.loads.is_none();
        let loads = self.sys.loads.get_or_insert(Loads {
            at: 0,
            counts: [0; LOADS.len()],
            averages: [[0.0; MINUTES.len()]; LOADS.len()],
        });
        loads.take(now.mono, counts, first);
        self.sys.connected_max = self.sys.connected_max.max(outside.connected);
        self.sys.resident_max = self.sys.resident_max.max(outside.resident.unwrap_or_default());
        for (at, (name, value)) in self.sys_values(now, outside).into_iter().enumerate() {
            if let Some(value) = value {
                self.say_sys(now, at, &name, value);
            }
        }
    }

    /// Every name with its value as far as there is one, always in the same order.
    fn sys_values(&self, now: Now, outside: &Outside) -> Vec<(String, Option<String>)> {
        let at = At { now, outside };
        let value = |row: &Row| match row.value {
            Value::Text(text) => Some(text(&at)),
            Value::Sum(counters) => Some(sum(&self.stats, counters).to_string()),
            Value::Now(value) => value(self, &at).map(|value| value.to_string()),
        };
        let mut all: Vec<_> = ROWS.iter().map(|row| (row.name.to_owned(), value(row))).collect();
        let averages = self.sys.loads.as_ref().map(|loads| loads.averages).unwrap_or_default();
        for ((name, _), averages) in LOADS.iter().zip(averages) {
            for ((minutes, _), average) in MINUTES.iter().zip(averages) {
                all.push((format!("load/{name}/{minutes}"), Some(format!("{average:.2}"))));
            }
        }
        all
    }

    /// Kept values, without what is said here.
    fn kept_by_others(&self) -> u64 {
        let kept: usize = self.realms.iter().map(|realm| realm.retained.len()).sum();
        let own = self.sys.said.iter().flatten().count() * self.realms.len();
        kept.saturating_sub(own) as u64
    }

    /// Keep a value, and tell whoever listens.
    fn say_sys(&mut self, now: Now, at: usize, name: &str, value: String) {
        if self.sys.said.len() <= at {
            self.sys.said.resize_with(at + 1, || None);
        }
        let topic = match self.sys.said.get_mut(at) {
            Some(Some(said)) if said.value == value => return,
            Some(Some(said)) => {
                said.value.clone_from(&value);
                said.topic.clone()
            }
            Some(none) => {
                let text = Bytes::from(format!("$SYS/broker/{name}"));
                let topic = Topic::split(text, b'/');
                *none = Some(Said { topic: topic.clone(), value: value.clone() });
                topic
            }
            None => return,
        };
        let mut p = Publication {
            realm: RealmId::default(),
            topic,
            body: value.into(),
            props: Bytes::new(),
            qos: 0,
            retain: true,
            expires: 0,
            inbound: None,
        };
        for realm in 0..self.realms.len() as u16 {
            p.realm = RealmId(realm);
            self.find_readers(None, &p);
            self.keep_value(now, &p, None);
            self.owe_all(now, &mut p.clone(), &[]);
        }
    }

    /// Subscriptions of all sessions, and how many of them are shared.
    #[must_use]
    pub fn subscriptions_len(&self) -> (usize, usize) {
        (self.listening.all(), self.listening.shares)
    }
}

fn sum(stats: &Stats, counters: &[Counter]) -> u64 {
    counters.iter().map(|counter| stats.get(*counter)).fold(0, u64::wrapping_add)
}

/// What a value may depend on besides the hub.
struct At<'a> {
    now: Now,
    outside: &'a Outside,
}

/// Where a value comes from.
enum Value {
    Text(fn(&At<'_>) -> String),
    Sum(&'static [Counter]),
    Now(fn(&Hub, &At<'_>) -> Option<u64>),
}

/// Something that is said.
pub struct Row {
    /// The topic under `$SYS/broker/`.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    value: Value,
}

impl Row {
    /// What is added up for it, if it is a sum.
    #[must_use]
    pub const fn sum(&self) -> Option<&'static [Counter]> {
        match self.value {
            Value::Sum(counters) => Some(counters),
            Value::Text(_) | Value::Now(_) => None,
        }
    }
}

const fn text(name: &'static str, doc: &'static str, of: fn(&At<'_>) -> String) -> Row {
    Row { name, doc, value: Value::Text(of) }
}

const fn total(name: &'static str, doc: &'static str, of: &'static [Counter]) -> Row {
    Row { name, doc, value: Value::Sum(of) }
}

type Gauge = fn(&Hub, &At<'_>) -> Option<u64>;

const fn gauge(name: &'static str, doc: &'static str, of: Gauge) -> Row {
    Row { name, doc, value: Value::Now(of) }
}

fn version(_: &At<'_>) -> String {
    concat!("spindle version ", env!("CARGO_PKG_VERSION")).into()
}

fn uptime(at: &At<'_>) -> String {
    format!("{} seconds", at.now.mono / 1_000_000_000)
}

/// Sessions, and whoever is connected without one.
fn sessions(hub: &Hub, at: &At<'_>) -> u64 {
    hub.sessions.len().max(at.outside.connected) as u64
}

fn stored(hub: &Hub, _: &At<'_>) -> Option<u64> {
    let refs = hub.journal.as_ref().map(|journal| journal.tally().refs);
    Some(refs.unwrap_or_default().max(hub.kept_by_others()))
}

fn lag(hub: &Hub, at: &At<'_>) -> Option<u64> {
    let worst = hub.timings.of(Timing::Lag).minute().max();
    Some(worst.max(hub.timings.lag_us(at.now)))
}

fn drift(hub: &Hub, of: u32) -> Option<u64> {
    Some(hub.timings.of(Timing::Drift).minute().percentile(of))
}

/// Deliveries that were given up.
pub const DROPPED: &[Counter] = &[
    Counter::DroppedFull,
    Counter::DroppedAway,
    Counter::DroppedExpired,
    Counter::DroppedLarge,
    Counter::Unspellable,
];
const PACKETS_SENT: &[Counter] = &[Counter::RepliesSent, Counter::MessagesSent];

/// Everything that is said, but for the averages.
pub const ROWS: &[Row] = &[
    text("version", "`spindle version X`.", version),
    text("uptime", "`N seconds`.", uptime),
    total("clients/expired", "Sessions that ended by expiry.", &[Counter::SessionsExpired]),
    total("bytes/received", "Bytes from the wire.", &[Counter::BytesReceived]),
    total("bytes/sent", "Bytes to the wire.", &[Counter::BytesSent]),
    total("messages/received", "Packets received, of any kind.", &[Counter::PacketsReceived]),
    total("messages/sent", "Packets sent, of any kind.", PACKETS_SENT),
    total("publish/messages/received", "Publications.", &[Counter::MessagesReceived]),
    total("publish/messages/sent", "Deliveries.", &[Counter::MessagesSent]),
    total("publish/messages/dropped", "Deliveries given up, for any reason.", DROPPED),
    total("publish/bytes/received", "Payloads of publications.", &[Counter::PayloadReceived]),
    total("publish/bytes/sent", "Payloads of deliveries.", &[Counter::PayloadSent]),
    gauge("clients/connected", "Clients that have logged in.", |_, at| {
        Some(at.outside.connected as u64)
    }),
    gauge("clients/disconnected", "Sessions whose client is away.", |hub, at| {
        Some(sessions(hub, at) - at.outside.connected as u64)
    }),
    gauge("clients/maximum", "The most that were connected when this was said.", |hub, _| {
        Some(hub.sys.connected_max as u64)
    }),
    gauge("clients/total", "Sessions, connected or not.", |hub, at| Some(sessions(hub, at))),
    gauge("connections/socket/count", "Open sockets.", |_, at| Some(at.outside.sockets as u64)),
    gauge("retained messages/count", "Kept values, without these.", |hub, _| {
        Some(hub.kept_by_others())
    }),
    gauge(
        "store/messages/count",
        "Records that the journal keeps for somebody, or kept values if those are more.",
        stored,
    ),
    gauge("store/messages/bytes", "Memory of messages.", |hub, _| Some(hub.memory_used() as u64)),
    gauge("subscriptions/count", "Subscriptions of all sessions, shared ones too.", |hub, _| {
        Some(hub.listening.all() as u64)
    }),
    gauge("shared_subscriptions/count", "Memberships of groups.", |hub, _| {
        Some(hub.listening.shares as u64)
    }),
    gauge("packet/out/count", "Pieces that sockets have not taken yet.", |_, at| {
        Some(at.outside.unsent.0)
    }),
    gauge("packet/out/bytes", "Their bytes.", |_, at| Some(at.outside.unsent.1)),
    gauge("heap/current", "Resident memory of the process (Linux).", |_, at| at.outside.resident),
    gauge("heap/maximum", "The most of it when this was said.", |hub, at| {
        at.outside.resident.map(|_| hub.sys.resident_max)
    }),
    gauge("loop/drift_us_p50", "Lateness of the loop in the last minute: median.", |hub, _| {
        drift(hub, 50_000)
    }),
    gauge("loop/drift_us_p99", "The same: all but one of a hundred.", |hub, _| drift(hub, 99_000)),
    gauge("loop/drift_us_max", "The same: the worst.", |hub, _| {
        Some(hub.timings.of(Timing::Drift).minute().max())
    }),
    gauge(
        "durable/lag_us",
        "The longest that a record waited for the device in the last minute, or is waiting.",
        lag,
    ),
];

/// Names under `load/`, and what is counted for each.
pub const LOADS: [(&str, &[Counter]); 9] = [
    ("messages/received", &[Counter::PacketsReceived]),
    ("messages/sent", PACKETS_SENT),
    ("publish/dropped", DROPPED),
    ("publish/received", &[Counter::MessagesReceived]),
    ("publish/sent", &[Counter::MessagesSent]),
    ("bytes/received", &[Counter::BytesReceived]),
    ("bytes/sent", &[Counter::BytesSent]),
    ("sockets", &[Counter::ConnectionsOpened]),
    ("connections", &[Counter::LoginsAccepted, Counter::LoginsRefused]),
];

/// The last parts of those names, with the minutes they stand for.
pub const MINUTES: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];
