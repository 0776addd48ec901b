//! Floor 2. How long things take: one table of durations, each a histogram with its last minutes.
//!
//! Everything is counted from readings that others made: the hub has no clock. Of deliveries only
//! about a hundred in a turn are measured, each of them counted for all it stands for, so that a
//! large fan-out pays for a counter and not for a histogram. Acknowledgements are counted by turn:
//! what came in the same turn and waits for the same sync is one entry. Absent on purpose: what a
//! duration means to anybody.

use std::collections::VecDeque;

use crate::base::hist::{Hist, Windows};
use crate::base::id::Lsn;
use crate::base::json::Writer;
use crate::base::time::Now;

use super::message::Durability;

macro_rules! timings {
    ($($(#[doc = $doc:literal])+ $name:ident, $label:literal, $level:expr;)*) => {
        /// What is measured.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Timing { $($(#[doc = $doc])+ $name),* }

        /// Everything that is measured, in order.
        pub const TIMINGS: &[Row] =
            &[$(Row {
                what: Timing::$name,
                label: $label,
                durability: $level,
                doc: concat!($($doc),+),
            }),*];
    };
}

timings! {
    /// From the turn a publication came in until a delivery of it is encoded, for readers who are
    /// connected; sampled.
    Deliver, "publish_to_deliver", None;
    /// From the turn a publication came in to the end of the turn that acknowledges it.
    AckMemory, "publish_to_ack", Some("memory");
    /// The same, for what the operating system holds.
    AckOs, "publish_to_ack", Some("os");
    /// The same, for what is on the device or need not be: until the sync it waits for is heard of.
    AckDisk, "publish_to_ack", Some("disk");
    /// From the end of a wait to the beginning of the next.
    Turn, "event_loop_turn", None;
    /// How late the loop came to what was due.
    Drift, "event_loop_drift", None;
    /// From asking for a sync of the journal to hearing that it is done.
    Sync, "wal_commit", None;
    /// How long the oldest record of a sync had waited for it when it was done.
    Lag, "wal_lag", None;
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Which.
    pub what: Timing,
    /// What others call it, without a unit: `publish_to_ack` is `spindle_publish_to_ack_seconds`.
    pub label: &'static str,
    /// Rows of one label differ by what an acknowledgement waits for.
    pub durability: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
}

/// Publications of a turn whose acknowledgements wait for the journal.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: Lsn,
    came: u64,
    count: u64,
}

/// The durations.
#[derive(Debug, Default)]
pub struct Timings {
    windows: [Windows; TIMINGS.len()],
    /// Deliveries so far, and the next one that is measured.
    seen: u64,
    next: u64,
    /// One in so many is measured.
    stride: u64,
    /// Deliveries before the present turn.
    before: u64,
    /// Acknowledged within the turn, by level.
    prompt: [u64; 3],
    waiting: VecDeque<Waiting>,
    tail: Lsn,
    /// When the oldest record was appended that no sync was asked for.
    oldest: Option<u64>,
    /// When the sync under way was asked for, and the same for what it covers.
    asked: Option<(u64, u64)>,
}

impl Timings {
    /// Durations of this kind.
    #[must_use]
    pub fn of(&self, what: Timing) -> &Windows {
        &self.windows[what as usize]
    }

    /// Every row with its durations.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Row, &Windows)> {
        TIMINGS.iter().zip(&self.windows)
    }

    /// Every row as members of an object: since the start, and of the last minute and quarter of
    /// an hour.
    pub fn write(&self, json: &mut Writer) {
        for (row, windows) in self.iter() {
            let level = row.durability.map(|level| format!("_{level}")).unwrap_or_default();
            json.object(&format!("{}{level}", row.label), |json| {
                write(windows.all(), json);
                json.object("minute", |json| write(&windows.minute(), json));
                json.object("quarter", |json| write(&windows.quarter(), json));
            });
        }
    }

    /// It took so many microseconds.
    pub fn record(&mut self, what: Timing, us: u64) {
        self.windows[what as usize].record(us);
    }

    /// A turn begins.
    pub(crate) fn on_turn(&mut self, now: Now) {
        // The last turn says how many to expect of this one.
        self.stride = ((self.seen - self.before) / MEASURED_TURN).max(1);
        self.before = self.seen;
        for windows in &mut self.windows {
            windows.turn(now.mono);
        }
    }

    /// The turn that began at `began` is over: everything was said that could be.
    pub fn on_turn_over(&mut self, began: Now, now: Now) {
        let took = micros(began.mono, now.mono);
        self.record(Timing::Turn, took);
        for (what, count) in [Timing::AckMemory, Timing::AckOs, Timing::AckDisk]
            .into_iter()
            .zip(core::mem::take(&mut self.prompt))
        {
            if count > 0 {
                self.windows[what as usize].record_all(took, count);
            }
        }
    }

    /// A delivery is being encoded: is it one of those that are measured?
    #[inline]
    pub(crate) fn is_measured(&mut self) -> bool {
        self.seen += 1;
        self.seen >= self.next
    }

    /// It is, and it came then.
    #[cold]
    pub(crate) fn on_delivered(&mut self, now: Now, came: u64) {
        let stride = self.stride.max(1);
        self.next = self.seen + stride;
        self.windows[Timing::Deliver as usize].record_all(micros(came, now.mono), stride);
    }

    /// A publication was taken in that is acknowledged when the journal is synced up to `after`.
    pub(crate) fn on_published(&mut self, now: Now, level: Durability, after: Lsn, synced: Lsn) {
        let place = match level {
            Durability::Memory => 0,
            Durability::Os => 1,
            Durability::Disk => 2,
        };
        if after <= synced {
            if let Some(count) = self.prompt.get_mut(place) {
                *count += 1;
            }
            return;
        }
        let full = self.waiting.len() >= WAITING_MAX;
        match self.waiting.back_mut() {
            Some(last) if last.came == now.mono || full => {
                last.until = last.until.max(after);
                last.count += 1;
            }
            _ => self.waiting.push_back(Waiting { until: after, came: now.mono, count: 1 }),
        }
    }

    /// Work is about to go out to the disk; the journal ends there.
    pub(crate) fn on_tail(&mut self, now: Now, tail: Lsn) {
        if tail != self.tail {
            self.tail = tail;
            self.oldest = self.oldest.or(Some(now.mono));
        }
    }

    /// A sync of everything was asked for.
    pub(crate) fn on_sync_asked(&mut self, now: Now) {
        self.asked = Some((now.mono, self.oldest.take().unwrap_or(now.mono)));
    }

    /// A sync is done; everything up to there is on the device.
    pub(crate) fn on_synced(&mut self, now: Now, synced: Lsn) {
        if let Some((asked, oldest)) = self.asked.take() {
            self.record(Timing::Sync, micros(asked, now.mono));
            self.record(Timing::Lag, micros(oldest, now.mono));
        }
        while let Some(first) = self.waiting.front().filter(|first| first.until <= synced) {
            let took = micros(first.came, now.mono);
            self.windows[Timing::AckDisk as usize].record_all(took, first.count);
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
    }

    /// Nothing is acknowledged any more.
    pub(crate) fn on_disk_failed(&mut self) {
        self.waiting = VecDeque::new();
        (self.asked, self.oldest) = (None, None);
    }

    /// Turns whose acknowledgements wait.
    #[cfg(test)]
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// For how many microseconds the oldest record has been waiting for the device, now.
    #[must_use]
    pub fn lag_us(&self, now: Now) -> u64 {
        let asked = self.asked.map(|(_, oldest)| oldest);
        asked.or(self.oldest).map_or(0, |since| micros(since, now.mono))
    }
}

fn write(hist: &Hist, json: &mut Writer) {
    json.field("count", hist.count()).field("sum_us", hist.sum());
    for (name, of) in
        [("p50_us", 50_000), ("p90_us", 90_000), ("p99_us", 99_000), ("p999_us", 99_900)]
    {
        json.field(name, hist.percentile(of));
    }
    json.field("max_us", hist.max());
}

fn micros(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1_000
}

/// About so many deliveries of a turn are measured.
const MEASURED_TURN: u64 = 64;
/// Turns whose acknowledgements are told apart while one sync is under way; behind that they count
/// with the last.
const WAITING_MAX: usize = 1_024;
