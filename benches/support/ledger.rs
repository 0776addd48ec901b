//! Floor 6. What became of two cores' time: had by us, or kept by the machine.
//!
//! Both cores are always wanted. On one of them runs whoever keeps the books, in short rounds,
//! without ever waiting: a round that was long was interrupted. On the other a filler, who gives
//! way to everybody, takes what a thread of ours leaves; what neither of them got went to somebody
//! else: the kernel's threads, or other programs. The thread's clock is read on its own core only:
//! read from another one, it runs on while the machine is away and stands still afterwards. And
//! where the machine was away without telling the kernel, a witness saw it. What the thread of
//! ours spends is never held against the machine, whatever it was spent on. Absent on purpose:
//! where the time went instead, and a core that is slower for a while (a neighbour on its other
//! half), which no clock shows.

use crate::place;
use crate::witness::{self, Care, Gap, Witnesses};
use spindle::os::clock::Clock;
use spindle::os::sys::Spent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A round of the one who keeps the books is never as long as this, in nanoseconds.
const ROUND: u64 = 60_000;
/// A witness sees what no thread that sleeps can see better, and has a part of the core for it.
const CLOSE: Care = Care { wake: Duration::from_micros(100), gone: Duration::from_micros(50) };
/// The filler was interrupted when it did not see the clock for so long.
const BLINK: u64 = 5_000;
/// So much is lost whenever threads of a core take turns, and to a witness.
const NOISE: u64 = 30_000;

/// From when to when, and how much of that a core was kept from us.
#[derive(Clone, Copy)]
struct Loss {
    span: Gap,
    kept: u64,
}

/// The books of two cores.
pub(crate) struct Ledger {
    /// When the last round began.
    round: Option<u64>,
    here: Vec<Gap>,
    witness: Witnesses,
    over: Arc<AtomicBool>,
    filler: JoinHandle<Vec<Loss>>,
}

impl Ledger {
    /// Keep them from now on, for the core of the calling thread and for `core`, which belongs to a
    /// thread of ours.
    pub(crate) fn open(clock: Clock, core: &'static str, whose: Spent) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let enough = Arc::clone(&over);
        let filler = thread::Builder::new().name("fill".into()).spawn(move || {
            place::stay_on(core);
            place::give_way();
            fill(clock, whose, &enough)
        });
        let (witness, filler) = (Witnesses::post(clock, &[core], CLOSE), filler.expect("a thread"));
        Self { round: None, here: Vec::new(), witness, over, filler }
    }

    /// To be called in every round.
    pub(crate) fn note(&mut self, now: u64) {
        let from = self.round.replace(now).filter(|from| now - from > ROUND);
        self.here.extend(from.map(|from| (from, now)));
    }

    /// Enough.
    pub(crate) fn close(self) -> Books {
        self.over.store(true, Relaxed);
        let there = self.filler.join().expect("it only watched");
        // A witness that does not run first takes a thread of ours for the machine, and does not
        // count.
        let (first, seen) = self.witness.tell();
        let away = if first { [self.here, seen].concat() } else { self.here };
        let shaded = away.iter().map(|gap| (gap.0, gap.1 + (gap.1 - gap.0))).collect();
        Books { away: witness::apart(away), shaded: witness::apart(shaded), there }
    }
}

/// Take what the core's owner leaves, and note what neither had.
fn fill(clock: Clock, whose: Spent, enough: &AtomicBool) -> Vec<Loss> {
    let mut losses = Vec::new();
    let spent = || whose.nanos().expect("the owner stays longer");
    let (mut last, mut before) = (clock.now().mono, spent());
    while !enough.load(Relaxed) {
        let now = clock.now().mono;
        if now - last > BLINK {
            let spent = spent();
            let kept = (now - last).saturating_sub(spent - before);
            if kept > NOISE {
                losses.push(Loss { span: (last, now), kept });
            }
            before = spent;
        }
        last = now;
        // Who only gives way still gets a little share, a whole tick of it at a time.
        thread::yield_now();
    }
    losses
}

/// What was kept from us.
pub(crate) struct Books {
    /// When a core was away, and with what that takes to be made up for: as long again.
    away: Vec<Gap>,
    shaded: Vec<Gap>,
    /// What others had of the filler's core.
    there: Vec<Loss>,
}

impl Books {
    /// Nanoseconds in all and at most at once: when a core was away, and what others had.
    pub(crate) fn kept(&self) -> [(u64, u64); 2] {
        let sum = |all: &mut dyn Iterator<Item = u64>| {
            all.fold((0, 0), |(sum, most), kept| (sum + kept, most.max(kept)))
        };
        let away = sum(&mut self.away.iter().map(|gap| gap.1 - gap.0));
        [away, sum(&mut self.there.iter().map(|loss| loss.kept))]
    }

    /// How much of the time between two moments the machine explains: what was kept from us, and as
    /// long again for making up for it.
    pub(crate) fn explain(&self, from: u64, to: u64) -> u64 {
        // When the filler is back, everything has been made up for.
        let first = self.there.partition_point(|loss| loss.span.1 <= from);
        let there = self.there.iter().skip(first).take_while(|loss| loss.span.0 < to);
        let more = there.map(|loss| {
            let (from, to) = (loss.span.0.max(from), loss.span.1.min(to));
            // Both may have seen the same.
            let seen = witness::within(&self.shaded, from, to);
            (2 * loss.kept).min(to - from).saturating_sub(seen)
        });
        witness::within(&self.shaded, from, to) + more.sum::<u64>()
    }
}
