//! Floor 0. One table of counters: label, unit, meaning.
//!
//! The loop owns plain integers; no atomics. What shows them (log, admin, manual) reads the
//! table, so a counter exists in one place. Every bound that can be reached has one as well.

use super::limits::Limit;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident, $label:literal;)*) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Counter { $($(#[doc = $doc])+ $name),* }

        /// Every counter with its label and meaning, in order.
        pub const COUNTERS: &[(Counter, &str, &str)] =
            &[$((Counter::$name, $label, concat!($($doc),+))),*];
    };
}

counters! {
    /// Connections accepted.
    ConnectionsOpened, "connections_opened_total";
    /// Connections ended, whatever the reason.
    ConnectionsClosed, "connections_closed_total";
    /// Connections turned away before a slot was given.
    ConnectionsRefused, "connections_refused_total";
    /// Logins accepted.
    LoginsAccepted, "logins_accepted_total";
    /// Logins refused.
    LoginsRefused, "logins_refused_total";
    /// Password checks refused because the queue to the workers was full.
    LoginsBusy, "logins_busy_total";
    /// Bytes received.
    BytesReceived, "received_bytes_total";
    /// Bytes sent.
    BytesSent, "sent_bytes_total";
    /// Messages published to the hub.
    MessagesReceived, "messages_received_total";
    /// Messages handed to connections.
    MessagesSent, "messages_sent_total";
    /// Bytes of their payloads.
    PayloadReceived, "payload_received_bytes_total";
    /// Bytes of the payloads of messages handed to connections.
    PayloadSent, "payload_sent_bytes_total";
    /// Packets received from clients, of any kind.
    PacketsReceived, "packets_received_total";
    /// Packets sent to clients that are no messages.
    RepliesSent, "replies_sent_total";
    /// Deliveries sent again.
    MessagesResent, "messages_resent_total";
    /// Sessions that ended because their owner did not return in time.
    SessionsExpired, "sessions_expired_total";
    /// Deliveries dropped because an outbox was full.
    DroppedFull, "messages_dropped_full_total";
    /// Deliveries dropped because their reader was away and they were not durable.
    DroppedAway, "messages_dropped_away_total";
    /// Deliveries dropped because they expired.
    DroppedExpired, "messages_dropped_expired_total";
    /// Deliveries dropped because their reader takes no packets so large.
    DroppedLarge, "messages_dropped_large_total";
    /// Deliveries a reader's protocol has no spelling for.
    Unspellable, "topic_unspellable_total";
    /// Publications that were not let in: denied, too deep, or not what they say.
    PublishesRefused, "publishes_refused_total";
    /// Copies of a publish swallowed because the same connection had it acknowledged.
    Swallowed, "publishes_swallowed_total";
    /// Faults of peers: malformed packets and broken rules.
    PeerFaults, "peer_faults_total";
    /// Requests refused by policy.
    PolicyDenied, "policy_denied_total";
    /// Frames of no consequence in this state, ignored.
    Ignored, "packets_ignored_total";
    /// Times a publisher was made to wait for journal space or memory.
    Stalled, "publishers_stalled_total";
    /// Times a client was ahead of its pace and not read for a while.
    Paced, "clients_paced_total";
    /// Records appended to the journal.
    JournalRecords, "journal_records_total";
    /// Bytes appended to the journal.
    JournalBytes, "journal_bytes_total";
    /// Group commits finished.
    JournalSyncs, "journal_syncs_total";
    /// Answers of threads whose asker had gone.
    StaleAnswers, "stale_answers_total";
}

/// The values.
#[derive(Clone, Debug)]
pub struct Stats {
    counts: [u64; COUNTERS.len()],
    limits: [u64; Limit::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        Self { counts: [0; COUNTERS.len()], limits: [0; Limit::ALL.len()] }
    }
}

impl Stats {
    /// Count one.
    pub fn count(&mut self, what: Counter) {
        self.add(what, 1);
    }

    /// Count several.
    pub fn add(&mut self, what: Counter, n: u64) {
        let count = &mut self.counts[what as usize];
        *count = count.wrapping_add(n);
    }

    /// Somebody reached this bound.
    pub fn reached(&mut self, limit: Limit) {
        let count = &mut self.limits[limit as usize];
        *count = count.wrapping_add(1);
    }

    /// How often this bound was reached.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> u64 {
        self.limits[limit as usize]
    }

    /// The value.
    #[must_use]
    pub fn get(&self, what: Counter) -> u64 {
        self.counts[what as usize]
    }

    /// Label and value of every counter.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let limits = Limit::ALL.iter().map(|limit| (limit.counter(), self.limit(*limit)));
        COUNTERS.iter().map(|(c, label, _)| (*label, self.get(*c))).chain(limits)
    }
}
