//! Floor 6. Who sees when the machine itself was not there.
//!
//! On each core a thread that runs before everybody else there sleeps a little, again and again;
//! when it wakes too late, the core was gone: to a neighbour of the machine, or to the system. What
//! a busy thread of ours does on that core it never sees, so nothing of ours hides behind it.
//! Absent on purpose: what follows from a gap.

use crate::place;
use spindle::os::clock::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// It wakes so often, and the machine was gone when it came so much later.
pub(crate) const WAKE: Duration = Duration::from_micros(200);
const GONE: Duration = Duration::from_micros(150);

/// From when to when a core was gone, at the longest: it went some time after the first.
pub(crate) type Gap = (u64, u64);

/// Those who watch.
pub(crate) struct Witnesses {
    over: Arc<AtomicBool>,
    pub(crate) threads: Vec<JoinHandle<(bool, Vec<Gap>)>>,
}

impl Witnesses {
    /// One for each of these cores.
    pub(crate) fn post(clock: Clock, cores: &[&'static str]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let post = |core: &&'static str| {
            let (core, over) = (*core, Arc::clone(&over));
            let thread = thread::Builder::new().name("see".into());
            thread.spawn(move || watch(core, clock, &over)).expect("a thread")
        };
        let threads = cores.iter().map(post).collect();
        Self { over, threads }
    }

    /// Enough. Whether all of them ran before everybody else, and what they saw, in order and
    /// apart.
    pub(crate) fn tell(self) -> (bool, Vec<Gap>) {
        self.over.store(true, Relaxed);
        let (mut first, mut all) = (true, Vec::new());
        for thread in self.threads {
            let (went_first, gaps) = thread.join().expect("somebody watched");
            first &= went_first;
            all.extend(gaps);
        }
        (first, apart(all))
    }
}

/// Sleep again and again, before everybody else on this core, and note when that took too long.
fn watch(core: &str, clock: Clock, over: &AtomicBool) -> (bool, Vec<Gap>) {
    place::stay_on(core);
    let first = place::go_first();
    let mut gaps = Vec::new();
    let mut before = clock.now().mono;
    while !over.load(Relaxed) {
        thread::sleep(WAKE);
        let now = clock.now().mono;
        if u128::from(now - before) > (WAKE + GONE).as_nanos() {
            gaps.push((before, now));
        }
        before = now;
    }
    (first, gaps)
}

/// In order; what overlaps is one.
pub(crate) fn apart(mut all: Vec<Gap>) -> Vec<Gap> {
    all.sort_unstable();
    let mut apart: Vec<Gap> = Vec::new();
    for gap in all {
        match apart.last_mut() {
            Some(last) if gap.0 <= last.1 => last.1 = last.1.max(gap.1),
            _ => apart.push(gap),
        }
    }
    apart
}

/// How much of the time from `from` to `to` lies in one of these.
pub(crate) fn within(gaps: &[Gap], from: u64, to: u64) -> u64 {
    let first = gaps.partition_point(|gap| gap.1 <= from);
    let some = gaps.iter().skip(first).take_while(|gap| gap.0 < to);
    some.map(|gap| gap.1.min(to) - gap.0.max(from)).sum()
}
