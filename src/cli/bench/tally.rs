//! Floor 6. What a thread of the load generator saw, and what the whole run did.
//!
//! A latency counts when its message was due in the measured time, whenever it came; a rate counts
//! what came in it. Absent on purpose: opinions about the figures (`judge`) and how they look
//! (`report`).

use super::nanos::Hist;
use super::proc::Sample;

/// What one thread saw, or all of them together.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// From when a message was due to its delivery, in nanoseconds.
    pub(super) due: Hist,
    /// From when it was sent.
    pub(super) sent: Hist,
    /// From when it was sent to its acknowledgement.
    pub(super) acks: Hist,
    /// From dialling to the broker's word.
    pub(super) connects: Hist,
    /// How late it was sent.
    pub(super) late: Hist,
    /// Delivered in the measured time.
    pub(super) delivered: u64,
    /// Messages that fell due in the measured time, and were not sent in it.
    pub(super) unsent: u64,
    /// Deliveries there had to be in the whole run, and those that came.
    pub(super) owed: u64,
    pub(super) came: u64,
    /// Deliveries behind a later message of the same publisher: out of order, or a second time.
    pub(super) strayed: u64,
    /// Messages never acknowledged.
    pub(super) unacknowledged: u64,
    /// The busiest thread's share of the measured time that it had a processor.
    pub(super) busy: f64,
    /// The share that a thread waited for one while others had it.
    pub(super) waited: f64,
    /// Nanoseconds of processor time of all threads, in the measured time.
    pub(super) used: u64,
}

impl Tally {
    /// Take in what another thread saw.
    pub(super) fn merge(&mut self, other: &Self) {
        self.due.merge(&other.due);
        self.sent.merge(&other.sent);
        self.acks.merge(&other.acks);
        self.connects.merge(&other.connects);
        self.late.merge(&other.late);
        self.delivered += other.delivered;
        self.unsent += other.unsent;
        self.owed += other.owed;
        self.came += other.came;
        self.strayed += other.strayed;
        self.unacknowledged += other.unacknowledged;
        self.busy = self.busy.max(other.busy);
        self.waited = self.waited.max(other.waited);
        self.used += other.used;
    }
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// What was done one after the other, in scenarios that lay something in.
    pub(super) phases: Vec<Phase>,
    /// Nanoseconds until all were connected.
    pub(super) dialling: u64,
    /// Nanoseconds that were measured.
    pub(super) measured: u64,
    /// The broker's process: before anybody came, when all were there, and around what was
    /// measured.
    pub(super) empty: Option<Sample>,
    pub(super) full: Option<Sample>,
    pub(super) begin: Option<Sample>,
    pub(super) end: Option<Sample>,
}

/// Many of one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    /// What was done, and what one of it is called in the names of its figures.
    pub(super) done: &'static str,
    pub(super) each: &'static str,
    pub(super) count: u64,
    pub(super) nanos: u64,
    /// The broker's process around it.
    pub(super) before: Option<Sample>,
    pub(super) after: Option<Sample>,
}
