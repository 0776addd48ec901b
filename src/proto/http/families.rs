//! Floor 3. Every metric, in one table: name, labels, where else it is told, meaning, value.
//!
//! `/metrics` is written from this table and from nothing else, `/varz` takes its gauges from it,
//! and the manual's chapter lists it; every row of the tables of counters, durations and `$SYS` is
//! named by one here, which a test holds them to. Names are as Prometheus wants them: base units,
//! `_total` on what only grows. Labels come from our own tables and from listeners, so what clients
//! do adds no series. Absent on purpose: anything per client or topic.

use crate::base::id::RealmId;
use crate::base::limits::Limit;
use crate::base::stats::{Counter, Split};
use crate::base::words::Tongue;
use crate::hub::Hub;
use crate::hub::admin::{ListenerRow, Snapshot};
use crate::journal::State;

/// What is looked at when a value is asked for.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What the machine knows.
    pub snapshot: &'a Snapshot,
    /// The shared middle.
    pub hub: &'a Hub,
}

/// Takes the samples of a family: values of its labels, and the value.
pub type Put<'a> = &'a mut dyn FnMut(&[&str], f64);

/// Where the values come from.
#[derive(Clone, Copy)]
pub enum Source {
    /// One counter.
    One(Counter),
    /// Several counters, told apart by a label.
    Several(&'static [(&'static str, Counter)]),
    /// A counter that is told apart by words.
    Split(Split),
    /// How often bounds were reached.
    Limits,
    /// What is now, if it is.
    Now(fn(View<'_>) -> Option<f64>),
    /// What is now, for each of something.
    Each(fn(View<'_>, Put<'_>)),
    /// Durations: the label of their rows.
    Times(&'static str),
}

/// A metric.
#[derive(Clone, Copy)]
pub struct Family {
    /// The name without `spindle_`.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its topics under `$SYS/broker/`, with blanks between them.
    pub sys: &'static [&'static str],
    /// Its members of `/varz`.
    pub varz: &'static [&'static str],
    /// What gmqtt calls it, without `gmqtt_`; empty: nothing like it.
    pub gmqtt: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Where its values come from.
    pub source: Source,
}

impl Family {
    /// `counter`, `gauge` or `histogram`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.source {
            Source::One(_) | Source::Several(_) | Source::Split(_) | Source::Limits => "counter",
            Source::Now(_) | Source::Each(_) => "gauge",
            Source::Times(_) => "histogram",
        }
    }

    /// What it is counted in, as its name says.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        match name.rsplit('_').next() {
            Some("seconds") => "seconds",
            Some("bytes") => "bytes",
            _ if name.starts_with("bytes_") => "bytes",
            _ => "",
        }
    }

    const fn sys(self, sys: &'static [&'static str]) -> Self {
        Self { sys, ..self }
    }

    const fn varz(self, varz: &'static [&'static str]) -> Self {
        Self { varz, ..self }
    }

    const fn gmqtt(self, gmqtt: &'static str) -> Self {
        Self { gmqtt, ..self }
    }
}

const fn family(name: &'static str, source: Source, doc: &'static str) -> Family {
    Family { name, labels: &[], sys: &[], varz: &[], gmqtt: "", doc, source }
}

const fn with(
    name: &'static str,
    labels: &'static [&'static str],
    source: Source,
    doc: &'static str,
) -> Family {
    Family { labels, ..family(name, source, doc) }
}

const fn one(name: &'static str, counter: Counter, doc: &'static str) -> Family {
    family(name, Source::One(counter), doc)
}

const fn now(name: &'static str, of: fn(View<'_>) -> Option<f64>, doc: &'static str) -> Family {
    family(name, Source::Now(of), doc)
}

const fn times(name: &'static str, label: &'static str, doc: &'static str) -> Family {
    family(name, Source::Times(label), doc)
}

const DROPPED: &[(&str, Counter)] = &[
    ("full", Counter::DroppedFull),
    ("away", Counter::DroppedAway),
    ("expired", Counter::DroppedExpired),
    ("large", Counter::DroppedLarge),
    ("unspellable", Counter::Unspellable),
];

const FEATURES: &str = if cfg!(feature = "tls") { "tls" } else { "" };

/// All of them, grouped as the manual has them.
pub const FAMILIES: &[(&str, &[Family])] = &[
    ("The program", PROGRAM),
    ("Connections and logins", CONNECTIONS),
    ("Messages", MESSAGES),
    ("Sessions and what is kept", KEPT),
    ("The journal", JOURNAL),
    ("Time", TIME),
];

const PROGRAM: &[Family] = &[
    with(
        "build_info",
        &["version", "features"],
        Source::Each(|_, put| put(&[env!("CARGO_PKG_VERSION"), FEATURES], 1.0)),
        "Which program this is; always 1.",
    )
    .sys(&["version"])
    .varz(&["version"]),
    now(
        "start_time_seconds",
        |view| Some(view.snapshot.started as f64 / 1_000.0),
        "When it was started, since 1970.",
    )
    .sys(&["uptime"])
    .varz(&["start", "uptime_seconds"]),
    with("memory_bytes", &["kind"], Source::Each(memory), MEMORY).sys(&[
        "heap/current",
        "heap/maximum",
        "store/messages/bytes",
        "packet/out/bytes",
    ]),
    now(
        "message_memory_bytes",
        |view| Some(view.hub.memory_used() as f64),
        "Memory of messages, those that move and those that are stored.",
    )
    .sys(&["store/messages/bytes"])
    .varz(&["message_memory_bytes"]),
    now(
        "message_memory_max_bytes",
        |view| Some(view.hub.limits.memory_bytes_max as f64),
        "What messages may use.",
    )
    .varz(&["message_memory_max_bytes"]),
    now(
        "config_last_reload_successful",
        |view| Some(f64::from(u8::from(view.snapshot.reloaded.1))),
        "1: what was read last was taken over. 0: everything stayed as it was.",
    )
    .varz(&["config_last_reload_successful"]),
    now(
        "config_last_reload_success_timestamp_seconds",
        |view| Some(view.snapshot.reloaded.0 as f64 / 1_000.0),
        "When the configuration in force was read, since 1970.",
    )
    .varz(&["config_last_reload_success_timestamp_seconds"]),
    with(
        "limit_reached_total",
        &["limit"],
        Source::Limits,
        "Times somebody reached this bound; `limit_NAME_total` elsewhere.",
    )
    .varz(&["limits_reached"]),
    one("stale_answers_total", Counter::StaleAnswers, "Answers of threads whose asker had gone."),
    one(
        "spins_found_total",
        Counter::SpinsFound,
        "Times the loop looked again before it slept, and something came.",
    ),
    one(
        "spins_missed_total",
        Counter::SpinsMissed,
        "Times the loop looked again before it slept, and nothing came.",
    ),
];

const MEMORY: &str = "Memory by kind: `resident` is all of the process (Linux); `messages` that \
    move, what is `stored` in memory, and `unsent` bytes that sockets have not taken yet are parts \
    of it.";

const CONNECTIONS: &[Family] = &[
    with(
        "connections",
        &["protocol", "listener"],
        Source::Each(connections),
        "Open connections, by what they speak and where they came in.",
    )
    .sys(&["clients/connected", "clients/maximum", "connections/socket/count"])
    .varz(&["connections", "listeners"])
    .gmqtt("sessions_active_current"),
    now(
        "strangers",
        |view| Some(f64::from(view.snapshot.strangers)),
        "Connections that have not identified themselves.",
    )
    .varz(&["strangers"]),
    one("connections_opened_total", Counter::ConnectionsOpened, "Connections accepted."),
    one(
        "connections_dialed_total",
        Counter::ConnectionsDialed,
        "Connections to upstreams that the broker has begun to open.",
    ),
    with(
        "connections_closed_total",
        &["reason"],
        Source::Split(Split::Closed),
        "Connections ended, by reason.",
    )
    .gmqtt("clients_disconnected_total"),
    one(
        "connections_refused_total",
        Counter::ConnectionsRefused,
        "Connections turned away before a slot was given.",
    ),
    one(
        "origins_refused_total",
        Counter::OriginsRefused,
        "Web pages turned away because of their origin.",
    ),
    with(
        "auth_total",
        &["method", "result"],
        Source::Split(Split::Logins),
        "Logins, by what was shown and how they ended.",
    )
    .gmqtt("clients_connected_total"),
    now(
        "auth_queue_length",
        |view| Some(view.snapshot.checks as f64),
        "Password checks waiting or under way.",
    )
    .varz(&["auth_queue_length"]),
    with(
        "acl_denied_total",
        &["action"],
        Source::Split(Split::Denied),
        "Requests that the policy refused, by what was wanted.",
    ),
    one("peer_faults_total", Counter::PeerFaults, "Malformed packets and broken rules."),
    one("clients_paced_total", Counter::Paced, "Times a client was ahead of its pace."),
    one("bytes_received_total", Counter::BytesReceived, "Bytes from the wire.")
        .sys(&["bytes/received"])
        .gmqtt("packets_received_bytes_total"),
    one("bytes_sent_total", Counter::BytesSent, "Bytes to the wire.")
        .sys(&["bytes/sent"])
        .gmqtt("packets_sent_bytes_total"),
    one("packets_received_total", Counter::PacketsReceived, "Packets received, of any kind.")
        .sys(&["messages/received"])
        .gmqtt("packets_received_total"),
    one("replies_sent_total", Counter::RepliesSent, "Packets sent that are no messages.")
        .sys(&["messages/sent"])
        .gmqtt("packets_sent_total"),
    one("packets_ignored_total", Counter::Ignored, "Packets of no consequence in this state."),
    with(
        "tls_cert_not_after_timestamp_seconds",
        &["listener"],
        Source::Each(certificates),
        "When the certificate of a listener ends, since 1970.",
    )
    .varz(&["listeners"]),
];

const MESSAGES: &[Family] = &[
    with(
        "messages_received_total",
        &["protocol", "qos"],
        Source::Split(Split::Received),
        "Publications, by who says them and their quality of service.",
    )
    .sys(&["publish/messages/received"])
    .gmqtt("messages_received_total"),
    with(
        "messages_sent_total",
        &["protocol", "qos"],
        Source::Split(Split::Sent),
        "Deliveries, by what their reader speaks and their quality of service.",
    )
    .sys(&["publish/messages/sent", "messages/sent"])
    .gmqtt("messages_sent_total"),
    with(
        "messages_dropped_total",
        &["reason"],
        Source::Several(DROPPED),
        "Deliveries given up, by reason.",
    )
    .sys(&["publish/messages/dropped"])
    .gmqtt("messages_dropped_total"),
    one("messages_resent_total", Counter::MessagesResent, "Deliveries sent again."),
    one(
        "payload_received_bytes_total",
        Counter::PayloadReceived,
        "Bytes of the payloads of publications.",
    )
    .sys(&["publish/bytes/received"]),
    one("payload_sent_bytes_total", Counter::PayloadSent, "Bytes of the payloads of deliveries.")
        .sys(&["publish/bytes/sent"]),
    one(
        "publishes_refused_total",
        Counter::PublishesRefused,
        "Publications that were not let in: denied, too deep, or not what they say.",
    ),
    one(
        "publishes_swallowed_total",
        Counter::Swallowed,
        "Copies of a publish swallowed because the same connection had it acknowledged.",
    ),
    one(
        "publishers_stalled_total",
        Counter::Stalled,
        "Times a publisher was made to wait for journal space or memory.",
    ),
    one(
        "files_stored_total",
        Counter::FilesStored,
        "Files, and parts of files, that connectors sent to the broker and that were stored.",
    ),
    one(
        "files_refused_total",
        Counter::FilesRefused,
        "Files that connectors sent to the broker and that were not stored; the log says why.",
    ),
    one(
        "files_withheld_total",
        Counter::FilesWithheld,
        "Files of connectors, longer than a packet, that somebody heard of and did not have.",
    ),
    one(
        "files_forwarded_total",
        Counter::FilesForwarded,
        "Files of connectors, longer than a packet, that went to a connector in pieces.",
    ),
    now(
        "publishers_waiting",
        |view| Some(view.snapshot.stalled as f64),
        "Publishers that wait for room.",
    )
    .varz(&["publishers_waiting"]),
    now(
        "unsent_packets",
        |view| Some(view.snapshot.outside.unsent.0 as f64),
        "Pieces that sockets have not taken yet, as looked at every few seconds.",
    )
    .sys(&["packet/out/count"])
    .varz(&["unsent_packets"]),
];

const KEPT: &[Family] = &[
    now("sessions", |view| Some(view.hub.sessions_len() as f64), "Sessions, connected or not.")
        .sys(&["clients/total"])
        .varz(&["sessions"]),
    now(
        "sessions_durable",
        |view| Some(view.hub.durables() as f64),
        "Sessions that may outlive their connection.",
    )
    .varz(&["sessions_durable"]),
    now(
        "sessions_durable_bytes",
        |view| Some(view.hub.durables_bytes() as f64),
        "What those take together, about, without their subscriptions and what they are owed.",
    )
    .varz(&["sessions_durable_bytes"]),
    now("sessions_away", away, "Sessions whose client is away.")
        .sys(&["clients/disconnected"])
        .varz(&["sessions_away"])
        .gmqtt("sessions_inactive_current"),
    one(
        "sessions_expired_total",
        Counter::SessionsExpired,
        "Sessions that ended because their owner did not return in time.",
    )
    .sys(&["clients/expired"])
    .gmqtt("sessions_expired_total"),
    one(
        "takeovers_refused_total",
        Counter::TakeoversRefused,
        "Logins refused because the session of their client id is another user's.",
    ),
    now(
        "subscriptions",
        |view| Some(view.hub.subscriptions_len().0 as f64),
        "Subscriptions of all sessions, shared ones too.",
    )
    .sys(&["subscriptions/count"])
    .varz(&["subscriptions"])
    .gmqtt("subscriptions_current"),
    now(
        "subscriptions_shared",
        |view| Some(view.hub.subscriptions_len().1 as f64),
        "Memberships of groups.",
    )
    .sys(&["shared_subscriptions/count"])
    .varz(&["subscriptions_shared"]),
    now(
        "retained_messages",
        |view| realm(view).map(|realm| realm.retained.len() as f64),
        "Kept values, those under `$SYS` too.",
    )
    .sys(&["retained messages/count"])
    .varz(&["retained_messages"]),
    now(
        "retained_bytes",
        |view| realm(view).map(|realm| realm.kept_bytes as f64),
        "Kept values in bytes, in memory and on disk.",
    )
    .varz(&["retained_bytes"]),
    now(
        "queue_bytes",
        |view| Some(view.hub.queue_bytes() as f64),
        "What sessions and queues are durably owed, in bytes; a message counts for each of them. \
         What was owed before this start is not weighed.",
    )
    .varz(&["queue_bytes"]),
    now(
        "realms_made",
        |view| Some(view.hub.realms_made() as f64),
        "Realms that are open because somebody came to them.",
    ),
    now("queues", |view| realm(view).map(|realm| realm.queues.len() as f64), "Work queues.")
        .varz(&["queues"]),
];

const JOURNAL: &[Family] = &[
    one("calls_total", Counter::CallsTaken, "Calls that were taken."),
    one("calls_failed_total", Counter::CallsFailed, "Calls that failed, for whatever reason."),
    one("calls_blocked_total", Counter::CallsBlocked, "Calls to a callee that takes nothing."),
    one(
        "realms_made_total",
        Counter::RealmsMade,
        "Realms that were opened because somebody came to them.",
    ),
    one("journal_records_total", Counter::JournalRecords, "Records appended to the journal."),
    one("journal_bytes_total", Counter::JournalBytes, "Bytes appended to the journal."),
    one("journal_syncs_total", Counter::JournalSyncs, "Group commits finished."),
    one(
        "journal_cut_records_total",
        Counter::JournalCut,
        "Records at the end of the journal that the start cut off: never acknowledged.",
    ),
    one(
        "journal_lost_records_total",
        Counter::JournalLost,
        "Records that the start found missing and went on without, as it was told to.",
    ),
    now(
        "wal_records",
        |view| Some(view.hub.journal()?.tally().refs as f64),
        "Records that the journal keeps for somebody.",
    )
    .sys(&["store/messages/count"])
    .varz(&["wal_records"]),
    now(
        "wal_segments",
        |view| Some(view.hub.journal()?.tally().segments as f64),
        "Segments of the journal.",
    )
    .varz(&["wal_segments"]),
    now(
        "wal_bytes",
        |view| {
            let segments = view.hub.journal()?.tally().segments as u64;
            Some((segments * u64::from(view.hub.limits.segment_bytes)) as f64)
        },
        "What the journal takes on disk.",
    )
    .varz(&["wal_bytes"]),
    now(
        "wal_oldest_message_age_seconds",
        |view| {
            view.hub.journal()?;
            let since = view.hub.oldest_owed();
            let ms = since.map_or(0, |since| view.snapshot.wall.saturating_sub(since));
            Some(ms as f64 / 1_000.0)
        },
        "How long the oldest message waits that somebody is durably owed, at most: it is known by \
         segments. 0: nobody is owed any.",
    )
    .varz(&["wal_oldest_message_age_seconds"]),
    now(
        "wal_unsynced_bytes",
        |view| {
            let journal = view.hub.journal()?;
            Some(journal.tail().0.saturating_sub(journal.synced().0) as f64)
        },
        "Appended and not known to be on the device.",
    )
    .varz(&["wal_unsynced_bytes"]),
    now(
        "wal_writable",
        |view| Some(f64::from(u8::from(*view.hub.journal()?.state() == State::Running))),
        "1: the journal takes records. 0: its device is full, or has failed.",
    )
    .varz(&["wal_writable"]),
    now(
        "disk_free_bytes",
        |view| view.snapshot.outside.disk.map(|(free, _)| free as f64),
        "What the device of the journal has left for the broker.",
    )
    .varz(&["disk_free_bytes"]),
    now(
        "disk_size_bytes",
        |view| view.snapshot.outside.disk.map(|(_, all)| all as f64),
        "How large that device is.",
    )
    .varz(&["disk_size_bytes"]),
    now(
        "disk_left_seconds",
        |view| view.hub.growth.left_s(view.snapshot.outside.disk?.0),
        "How long that will do if the journal goes on growing as in the last hour or the last day, \
         whichever was faster. Not there while it does not grow.",
    )
    .varz(&["disk_left_seconds"]),
];

const TIME: &[Family] = &[
    times(
        "publish_to_deliver_seconds",
        "publish_to_deliver",
        "From the turn a publication came in until a delivery of it is encoded, for readers who \
         are connected; a sample.",
    )
    .varz(&["timings.publish_to_deliver"]),
    Family {
        labels: &["durability"],
        ..times(
            "publish_to_ack_seconds",
            "publish_to_ack",
            "From the turn a publication of QoS 1 or 2 came in until its acknowledgement may go \
             out, by what that waits for.",
        )
    }
    .varz(&[
        "timings.publish_to_ack_memory",
        "timings.publish_to_ack_os",
        "timings.publish_to_ack_disk",
    ]),
    times("event_loop_turn_seconds", "event_loop_turn", "One turn of the loop.")
        .varz(&["timings.event_loop_turn"]),
    times(
        "event_loop_drift_seconds",
        "event_loop_drift",
        "How late the loop came to what was due; below a millisecond it is the grain of waiting.",
    )
    .sys(&["loop/drift_us_p50", "loop/drift_us_p99", "loop/drift_us_max"])
    .varz(&["timings.event_loop_drift"]),
    times(
        "wal_commit_seconds",
        "wal_commit",
        "From asking for a sync of the journal to hearing that it is done.",
    )
    .varz(&["timings.wal_commit"]),
    times(
        "wal_lag_seconds",
        "wal_lag",
        "How long the oldest record of a sync had waited for it when it was done.",
    )
    .sys(&["durable/lag_us"])
    .varz(&["timings.wal_lag"]),
];

fn realm(view: View<'_>) -> Option<&crate::hub::realm::Realm> {
    view.hub.realm(RealmId(0))
}

fn away(view: View<'_>) -> Option<f64> {
    Some(view.hub.sessions_len().saturating_sub(view.snapshot.clients) as f64)
}

fn memory(view: View<'_>, put: Put<'_>) {
    if let Some(resident) = view.snapshot.outside.resident {
        put(&["resident"], resident as f64);
    }
    let stored = view.hub.memory_stored();
    put(&["messages"], view.hub.memory_used().saturating_sub(stored) as f64);
    put(&["stored"], stored as f64);
    put(&["unsent"], view.snapshot.outside.unsent.1 as f64);
}

/// Every listener has a series for each protocol that somebody speaks there, and one for its own.
fn connections(view: View<'_>, put: Put<'_>) {
    for row in &view.snapshot.listeners {
        let no = row.no.to_string();
        for ((tongue, word, _), count) in Tongue::ALL.iter().zip(row.by) {
            if count > 0 || *tongue == Tongue::Unknown {
                put(&[word, &no], f64::from(count));
            }
        }
    }
}

fn certificates(view: View<'_>, put: Put<'_>) {
    let until = |row: &ListenerRow| Some((row.no.to_string(), row.until?));
    for (no, until) in view.snapshot.listeners.iter().filter_map(until) {
        put(&[&no], until as f64 / 1_000.0);
    }
}

impl Family {
    /// The counters of `/varz` that it shows.
    #[must_use]
    pub fn counters(&self) -> Vec<Counter> {
        match self.source {
            Source::One(counter) => vec![counter],
            Source::Several(all) => all.iter().map(|(_, counter)| *counter).collect(),
            Source::Split(split) => split.adds_up_to().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Every sample but those of durations: values of the labels, and the value.
    pub fn samples(&self, view: View<'_>, put: Put<'_>) {
        let stats = &view.hub.stats;
        match self.source {
            Source::One(counter) => put(&[], stats.get(counter) as f64),
            Source::Several(all) => {
                all.iter().for_each(|(word, counter)| put(&[*word], stats.get(*counter) as f64));
            }
            Source::Split(split) => stats.cells(split).for_each(|(words, count)| {
                put(words.get(..self.labels.len()).unwrap_or_default(), count as f64);
            }),
            Source::Limits => {
                Limit::ALL.iter().for_each(|l| put(&[l.name()], stats.limit(*l) as f64));
            }
            Source::Now(value) => {
                if let Some(value) = value(view) {
                    put(&[], value);
                }
            }
            Source::Each(all) => all(view, put),
            Source::Times(_) => {}
        }
    }
}
