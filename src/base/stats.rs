//! Floor 0. One table of counters: label, unit, meaning.
//!
//! The loop owns plain integers; no atomics. What shows them (log, admin, manual) reads the
//! table, so a counter exists in one place. Every bound that can be reached has one as well, and
//! some counters are told apart by words, whose sum is the counter. Absent on purpose: anything
//! counted by a name that somebody made up.

use super::limits::Limit;
use super::words::{Action, Ending, Method, Outcome, QOS, Tongue};

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
    /// Connections to upstreams that the broker has begun to open.
    ConnectionsDialed, "connections_dialed_total";
    /// Connections ended, whatever the reason.
    ConnectionsClosed, "connections_closed_total";
    /// Connections turned away before a slot was given.
    ConnectionsRefused, "connections_refused_total";
    /// Web pages turned away because of their origin.
    OriginsRefused, "origins_refused_total";
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
    /// Logins refused because the session of their client id is another user's.
    TakeoversRefused, "takeovers_refused_total";
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
    /// Files of connectors that were put where they belong, and parts of such.
    FilesStored, "files_stored_total";
    /// Files of connectors that were sent to the broker and are nowhere.
    FilesRefused, "files_refused_total";
    /// Files of connectors that were longer than a packet, and that somebody did without.
    FilesWithheld, "files_withheld_total";
    /// Files of connectors that were too long for a packet and went to somebody, piece by piece.
    FilesForwarded, "files_forwarded_total";
    /// Times a client was ahead of its pace and not read for a while.
    Paced, "clients_paced_total";
    /// Calls that were taken.
    CallsTaken, "calls_total";
    /// Calls that failed, for whatever reason.
    CallsFailed, "calls_failed_total";
    /// Calls that failed because their callee takes nothing at the moment.
    CallsBlocked, "calls_blocked_total";
    /// Realms that were opened because somebody came to them.
    RealmsMade, "realms_made_total";
    /// Records appended to the journal.
    JournalRecords, "journal_records_total";
    /// Bytes appended to the journal.
    JournalBytes, "journal_bytes_total";
    /// Group commits finished.
    JournalSyncs, "journal_syncs_total";
    /// Records at the end of the journal that the start cut off: never acknowledged.
    JournalCut, "journal_cut_records_total";
    /// Records that the start found missing and went on without, as it was told to.
    JournalLost, "journal_lost_records_total";
    /// Answers of threads whose asker had gone.
    StaleAnswers, "stale_answers_total";
    /// Times the loop looked again before it slept, and something came.
    SpinsFound, "spins_found_total";
    /// Times the loop looked again before it slept, and nothing came.
    SpinsMissed, "spins_missed_total";
}

/// Counts that are told apart by one word, or by two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// [`Counter::MessagesReceived`] by protocol and quality of service.
    Received,
    /// [`Counter::MessagesSent`] by protocol and quality of service.
    Sent,
    /// [`Counter::ConnectionsClosed`] by reason.
    Closed,
    /// [`Counter::PolicyDenied`] by action.
    Denied,
    /// Logins by method and result.
    Logins,
}

impl Split {
    const COUNT: usize = Self::Logins as usize + 1;
    const CELLS: [usize; Self::COUNT] = [
        Tongue::WORDS.len() * QOS.len(),
        Tongue::WORDS.len() * QOS.len(),
        Ending::WORDS.len(),
        Action::WORDS.len(),
        Method::WORDS.len() * Outcome::WORDS.len(),
    ];

    /// The counters whose sum is the sum of its cells.
    #[must_use]
    pub const fn adds_up_to(self) -> &'static [Counter] {
        match self {
            Self::Received => &[Counter::MessagesReceived],
            Self::Sent => &[Counter::MessagesSent],
            Self::Closed => &[Counter::ConnectionsClosed],
            Self::Denied => &[Counter::PolicyDenied],
            Self::Logins => &[Counter::LoginsAccepted, Counter::LoginsRefused, Counter::LoginsBusy],
        }
    }

    /// The names of the labels with their words; one that is not told apart has one word.
    #[must_use]
    pub const fn labels(self) -> [(&'static str, &'static [&'static str]); 2] {
        const NONE: (&str, &[&str]) = ("", &[""]);
        match self {
            Self::Received | Self::Sent => [("protocol", Tongue::WORDS), ("qos", QOS)],
            Self::Closed => [("reason", Ending::WORDS), NONE],
            Self::Denied => [("action", Action::WORDS), NONE],
            Self::Logins => [("method", Method::WORDS), ("result", Outcome::WORDS)],
        }
    }
}

/// The values.
#[derive(Clone, Debug)]
pub struct Stats {
    counts: [u64; COUNTERS.len()],
    limits: [u64; Limit::ALL.len()],
    splits: [Vec<u64>; Split::COUNT],
}

impl Default for Stats {
    fn default() -> Self {
        let splits = Split::CELLS.map(|cells| vec![0; cells]);
        Self { counts: [0; COUNTERS.len()], limits: [0; Limit::ALL.len()], splits }
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

    fn split(&mut self, what: Split, row: usize, column: usize) {
        let [_, (_, columns)] = what.labels();
        let cell = self.splits.get_mut(what as usize);
        if let Some(cell) = cell.and_then(|cells| cells.get_mut(row * columns.len() + column)) {
            *cell = cell.wrapping_add(1);
        }
    }

    /// A message was published, by somebody who speaks this.
    pub fn received(&mut self, tongue: Tongue, qos: u8) {
        self.count(Counter::MessagesReceived);
        self.split(Split::Received, tongue as usize, usize::from(qos));
    }

    /// A message was handed to somebody who speaks this.
    pub fn sent(&mut self, tongue: Tongue, qos: u8) {
        self.count(Counter::MessagesSent);
        self.split(Split::Sent, tongue as usize, usize::from(qos));
    }

    /// A connection ended.
    pub fn closed(&mut self, ending: Ending) {
        self.count(Counter::ConnectionsClosed);
        self.split(Split::Closed, ending as usize, 0);
    }

    /// The policy said no to this.
    pub fn denied(&mut self, action: Action) {
        self.count(Counter::PolicyDenied);
        self.split(Split::Denied, action as usize, 0);
    }

    /// A login ended.
    pub fn login(&mut self, method: Method, outcome: Outcome) {
        self.count(match outcome {
            Outcome::Accepted => Counter::LoginsAccepted,
            Outcome::Refused => Counter::LoginsRefused,
            Outcome::Busy => Counter::LoginsBusy,
        });
        self.split(Split::Logins, method as usize, outcome as usize);
    }

    /// Every pair of words with its count, in order.
    pub fn cells(&self, what: Split) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        let [(_, rows), (_, columns)] = what.labels();
        let words = rows.iter().flat_map(|row| columns.iter().map(move |column| [*row, *column]));
        words.zip(self.splits.get(what as usize).into_iter().flatten().copied())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_apart_adds_up() {
        let mut stats = Stats::default();
        for (tongue, ..) in Tongue::ALL {
            for qos in 0..3 {
                stats.received(*tongue, qos);
                stats.sent(*tongue, qos);
            }
        }
        Ending::ALL.iter().for_each(|(ending, ..)| stats.closed(*ending));
        Action::ALL.iter().for_each(|(action, ..)| stats.denied(*action));
        for (method, ..) in Method::ALL {
            Outcome::ALL.iter().for_each(|(outcome, ..)| stats.login(*method, *outcome));
        }
        let all = [Split::Received, Split::Sent, Split::Closed, Split::Denied, Split::Logins];
        for split in all {
            let counters = split.adds_up_to();
            let cells: Vec<_> = stats.cells(split).collect();
            assert!(cells.iter().all(|(_, n)| *n == 1), "{split:?}: each counted once: {cells:?}");
            let sum: u64 = counters.iter().map(|counter| stats.get(*counter)).sum();
            assert_eq!(cells.len() as u64, sum, "{split:?}");
        }
        stats.received(Tongue::Mqtt5, 2);
        let of = |(words, _): &([&str; 2], u64)| *words == ["mqtt5", "2"];
        assert_eq!(stats.cells(Split::Received).find(of).map(|(_, n)| n), Some(2));
    }
}
