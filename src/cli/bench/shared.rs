//! Floor 6. What the threads of the load generator tell each other: numbers, and one sentence.
//!
//! Every number is written by few and read by all; none of them guards anything else, so relaxed
//! order is enough, but for the stage, behind which the times and counts that belong to it are
//! seen. Absent on purpose: messages.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mio::Waker;

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stage {
    /// All are dialling.
    Dialling = 0,
    /// The times are set.
    Running = 1,
    /// Everything has come, or never will.
    Over = 2,
    /// Something went wrong: stop at once.
    Failed = 3,
}

/// The board that all threads look at.
#[derive(Debug)]
pub(super) struct Shared {
    stage: AtomicU8,
    failure: Mutex<Option<String>>,
    pub(super) wakers: Vec<Arc<Waker>>,
    /// Clients that are connected and listen.
    pub(super) up: AtomicUsize,
    /// When the last of them was, in nanoseconds.
    pub(super) up_at: AtomicU64,
    /// Nanoseconds: when messages begin, when they count, and when they end.
    pub(super) begin: AtomicU64,
    pub(super) from: AtomicU64,
    pub(super) until: AtomicU64,
    /// Threads that send no more, and those that owe no acknowledgement either.
    pub(super) sent_all: AtomicUsize,
    pub(super) settled: AtomicUsize,
    /// Of each publisher: what was sent, and what all its subscribers together got.
    pub(super) sent: Vec<AtomicU64>,
    pub(super) came: Vec<AtomicU64>,
}

impl Shared {
    pub(super) fn new(wakers: Vec<Arc<Waker>>, publishers: u32) -> Self {
        let zeroes = || (0..publishers).map(|_| AtomicU64::new(0)).collect();
        Self {
            stage: AtomicU8::new(Stage::Dialling as u8),
            failure: Mutex::new(None),
            wakers,
            up: AtomicUsize::new(0),
            up_at: AtomicU64::new(0),
            begin: AtomicU64::new(0),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            sent_all: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            sent: zeroes(),
            came: zeroes(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Dialling,
            1 => Stage::Running,
            2 => Stage::Over,
            _ => Stage::Failed,
        }
    }

    /// Go on to a later stage; a run that failed stays so.
    pub(super) fn advance(&self, to: Stage) {
        self.stage.fetch_max(to as u8, Ordering::AcqRel);
        for thread in 0..self.wakers.len() {
            self.wake(thread);
        }
    }

    pub(super) fn wake(&self, thread: usize) {
        // A thread that cannot be woken looks by itself, a little later.
        if let Some(waker) = self.wakers.get(thread) {
            let _ = waker.wake();
        }
    }

    /// Stop everything; the first sentence is the one that is told.
    pub(super) fn fail(&self, why: String) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(why);
        }
        self.advance(Stage::Failed);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().ok()?.take()
    }

    /// What all publishers sent, and what came of it.
    pub(super) fn totals(&self) -> (u64, u64) {
        let sum = |all: &[AtomicU64]| all.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        (sum(&self.sent), sum(&self.came))
    }

    /// So many more of a publisher's messages came; what they are now.
    pub(super) fn came(&self, publisher: u32, more: u64) -> u64 {
        let count = self.came.get(publisher as usize);
        count.map_or(0, |count| count.fetch_add(more, Ordering::Relaxed) + more)
    }

    pub(super) fn time(of: &AtomicU64) -> u64 {
        of.load(Ordering::Relaxed)
    }
}
