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
}

/// What was said last, and what averages need.
#[derive(Debug, Default)]
pub(super) struct Sys {
    said: Vec<Said>,
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
            self.say_sys(now, at, &name, value);
        }
    }

    /// Every name with its value, always in the same order.
    fn sys_values(&self, now: Now, outside: &Outside) -> Vec<(String, String)> {
        let mut all = Vec::with_capacity(80);
        let mut put = |name: &str, value: String| all.push((name.to_owned(), value));
        put("version", concat!("spindle version ", env!("CARGO_PKG_VERSION")).into());
        put("uptime", format!("{} seconds", now.mono / 1_000_000_000));
        for (name, counters) in TOTALS {
            put(name, sum(&self.stats, counters).to_string());
        }
        let mut gauge = |name: &str, value: u64| put(name, value.to_string());
        let sessions = self.sessions.len().max(outside.connected);
        gauge("clients/connected", outside.connected as u64);
        gauge("clients/disconnected", (sessions - outside.connected) as u64);
        gauge("clients/maximum", self.sys.connected_max as u64);
        gauge("clients/total", sessions as u64);
        gauge("connections/socket/count", outside.sockets as u64);
        let kept: usize = self.realms.iter().map(|realm| realm.retained.len()).sum();
        // What is said here does not count.
        let kept = kept.saturating_sub(self.sys.said.len() * self.realms.len()) as u64;
        gauge("retained messages/count", kept);
        let refs = self.journal.as_ref().map(|journal| journal.tally().refs);
        gauge("store/messages/count", refs.unwrap_or_default().max(kept));
        gauge("store/messages/bytes", self.memory_used() as u64);
        gauge("subscriptions/count", (self.subs + self.shares) as u64);
        gauge("shared_subscriptions/count", self.shares as u64);
        gauge("packet/out/count", outside.unsent.0);
        gauge("packet/out/bytes", outside.unsent.1);
        if let Some(resident) = outside.resident {
            gauge("heap/current", resident);
            gauge("heap/maximum", self.sys.resident_max);
        }
        let drift = self.timings.of(Timing::Drift).minute();
        gauge("loop/drift_us_p50", drift.percentile(50_000));
        gauge("loop/drift_us_p99", drift.percentile(99_000));
        gauge("loop/drift_us_max", drift.max());
        let lag = self.timings.of(Timing::Lag).minute().max();
        gauge("durable/lag_us", lag.max(self.timings.lag_us(now)));
        let averages = self.sys.loads.as_ref().map(|loads| loads.averages).unwrap_or_default();
        for ((name, _), averages) in LOADS.iter().zip(averages) {
            for ((minutes, _), average) in MINUTES.iter().zip(averages) {
                put(&format!("load/{name}/{minutes}"), format!("{average:.2}"));
            }
        }
        all
    }

    /// Keep a value, and tell whoever listens.
    fn say_sys(&mut self, now: Now, at: usize, name: &str, value: String) {
        let topic = match self.sys.said.get_mut(at) {
            Some(said) if said.value == value => return,
            Some(said) => {
                said.value.clone_from(&value);
                said.topic.clone()
            }
            None => {
                let text = Bytes::from(format!("$SYS/broker/{name}"));
                let topic = Topic::split(text, b'/');
                self.sys.said.push(Said { topic: topic.clone(), value: value.clone() });
                topic
            }
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
            self.owe_all(now, &p, &[]);
        }
    }

    /// Subscriptions of all sessions, and how many of them are shared.
    #[must_use]
    pub fn subscriptions_len(&self) -> (usize, usize) {
        (self.subs + self.shares, self.shares)
    }
}

fn sum(stats: &Stats, counters: &[Counter]) -> u64 {
    counters.iter().map(|counter| stats.get(*counter)).fold(0, u64::wrapping_add)
}

const DROPPED: &[Counter] = &[
    Counter::DroppedFull,
    Counter::DroppedAway,
    Counter::DroppedExpired,
    Counter::DroppedLarge,
    Counter::Unspellable,
];
const PACKETS_SENT: &[Counter] = &[Counter::RepliesSent, Counter::MessagesSent];

/// Names, and what is added up under each.
const TOTALS: [(&str, &[Counter]); 10] = [
    ("clients/expired", &[Counter::SessionsExpired]),
    ("bytes/received", &[Counter::BytesReceived]),
    ("bytes/sent", &[Counter::BytesSent]),
    ("messages/received", &[Counter::PacketsReceived]),
    ("messages/sent", PACKETS_SENT),
    ("publish/messages/received", &[Counter::MessagesReceived]),
    ("publish/messages/sent", &[Counter::MessagesSent]),
    ("publish/messages/dropped", DROPPED),
    ("publish/bytes/received", &[Counter::PayloadReceived]),
    ("publish/bytes/sent", &[Counter::PayloadSent]),
];

/// Names under `load/`, and what is counted for each.
const LOADS: [(&str, &[Counter]); 9] = [
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

const MINUTES: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];
