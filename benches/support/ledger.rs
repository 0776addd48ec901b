//! Floor 6. What became of two cores' time: had by us, or kept by the machine.
//!
//! Both cores are always wanted. On one of them runs whoever keeps the books, in short rounds,
//! without ever waiting: a round that was long was interrupted. On the other a filler, who gives
//! way to everybody, takes what a thread of ours leaves; what neither of them got went to somebody
//! else: the kernel's threads, or other programs. The thread's clock is read on its own core only:
//! read from another one, it runs on while the machine is away and stands still afterwards. And
//! where the machine was away without telling the kernel, a witness saw it. What the thread of
//! ours spends is never held against the machine, whatever it was spent on; but where the witness
//! itself takes half as long again for what it always does, so does the thread of ours, and that
//! part was kept from us. Absent on purpose: where the time went instead.

use crate::place;
use crate::witness::{self, Gap, Pace, Witnesses};
use spindle::os::clock::Clock;
use spindle::os::sys::Spent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

/// A round of the one who keeps the books is never as long as this, in nanoseconds.
const ROUND: u64 = 100_000;
/// The filler was interrupted when it did not see the clock for so long.
const BLINK: u64 = 5_000;
/// So much is lost whenever threads of a core take turns, and to a witness.
const NOISE: u64 = 30_000;
/// A core is slow when so many pieces of the same work in a row take, by their median, half as
/// long again as they mostly do.
const PIECES: usize = 5;
/// No more than this lies between two of them on a core that is there, in nanoseconds.
const APART: u64 = 500_000;

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
        let witness = Witnesses::post(clock, &[core], true);
        let own = witness.threads.iter().flat_map(Spent::by);
        let ours: Vec<Spent> = own.chain([whose]).collect();
        let filler = thread::Builder::new().name("fill".into()).spawn(move || {
            place::stay_on(core);
            place::give_way();
            fill(clock, &ours, &enough)
        });
        let filler = filler.expect("a thread");
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
        let mut there = self.filler.join().expect("it only watched");
        // A witness that does not run first takes a thread of ours for the machine, and does not
        // count.
        let mut seen = self.witness.tell();
        if !seen.first {
            seen.gaps.clear();
        }
        let mut slow = (0, 0);
        if seen.first {
            add_seen(&mut there, &seen.gaps);
            let stretches = slow_stretches(&seen.paces);
            let long = |it: &Loss| it.span.1 - it.span.0 - it.kept;
            slow.0 = stretches.iter().map(long).sum();
            slow.1 = stretches.iter().map(|it| it.kept).sum();
            there.extend(stretches);
            there.sort_unstable_by_key(|loss| loss.span);
        }
        let longest = there.iter().map(|loss| loss.span.1 - loss.span.0).max().unwrap_or(0);
        let (here, witness) = (self.here, seen.gaps);
        Books { shaded: made_up_for(&here), here, there, slow, longest, witness }
    }
}

/// What a witness saw, where the filler knows less of it.
fn add_seen(there: &mut Vec<Loss>, seen: &[Gap]) {
    let mut sums = vec![0; there.len()];
    let mut more = Vec::new();
    for gap in seen {
        let late = (gap.1 - gap.0).saturating_sub(witness::WAKE.as_nanos() as u64);
        let first = there.partition_point(|loss| loss.span.1 <= gap.0);
        let near = there.iter().enumerate().skip(first).take_while(|it| it.1.span.0 < gap.1);
        let shared = |loss: &Loss| loss.span.1.min(gap.1) - loss.span.0.max(gap.0);
        match near.max_by_key(|it| shared(it.1)).filter(|it| 2 * shared(it.1) > late) {
            Some((at, _)) => sums[at] += late,
            // Making up for it comes behind it.
            None => more.push(Loss { span: (gap.0, gap.1 + late), kept: late }),
        }
    }
    for (loss, sum) in there.iter_mut().zip(sums) {
        loss.kept = loss.kept.max(sum);
    }
    there.extend(more);
    there.sort_unstable_by_key(|loss| loss.span);
}

/// When the core was slow, with the time to make up for it; and what that kept from us.
fn slow_stretches(paces: &[Pace]) -> Vec<Loss> {
    let median = |some: &mut Vec<u64>| {
        some.sort_unstable();
        some.get(some.len() / 2).copied().unwrap_or(0)
    };
    let usual = median(&mut paces.iter().map(|pace| pace.1).collect());
    let mut stretches: Vec<Loss> = Vec::new();
    for some in paces.windows(PIECES) {
        let took = median(&mut some.iter().map(|pace| pace.1).collect());
        if 2 * took < 3 * usual {
            continue;
        }
        // Where the core was not there at all in between, that is told elsewhere.
        let to = some[PIECES / 2].0;
        let from = some[PIECES / 2 - 1].0.max(to.saturating_sub(APART));
        let kept = (to - from) * (took - usual) / took;
        match stretches.last_mut() {
            Some(last) if last.span.1 - last.kept == from => {
                last.kept += kept;
                last.span.1 = to + last.kept;
            }
            _ => stretches.push(Loss { span: (from, to + kept), kept }),
        }
    }
    stretches
}

/// An interruption takes as long again to be made up for; what comes meanwhile comes on top.
fn made_up_for(gaps: &[Gap]) -> Vec<Gap> {
    let mut spans: Vec<Gap> = Vec::new();
    for gap in gaps {
        let len = gap.1 - gap.0;
        match spans.last_mut() {
            Some(span) if gap.0 <= span.1 => span.1 = gap.1 + (span.1 - gap.0) + len,
            _ => spans.push((gap.0, gap.1 + len)),
        }
    }
    spans
}

/// Take what the core's owner leaves, and note what neither had.
fn fill(clock: Clock, ours: &[Spent], enough: &AtomicBool) -> Vec<Loss> {
    let mut losses = Vec::new();
    let spent = || ours.iter().map(|it| it.nanos().expect("it stays longer")).sum::<u64>();
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
    /// When the generator was interrupted, and with what that takes to be made up for.
    here: Vec<Gap>,
    shaded: Vec<Gap>,
    /// What the machine kept of the other core, by when it began; and the longest of these.
    there: Vec<Loss>,
    /// How long the other core was slow, and what that took from us.
    slow: (u64, u64),
    longest: u64,
    /// When the witness of the other core came too late, whatever it was that kept it.
    witness: Vec<Gap>,
}

impl Books {
    /// For how long between two moments the timer beside the loop was not there either. It goes
    /// before every thread of ours, so what they do does not keep it; what the kernel does in
    /// their name may.
    pub(crate) fn timer_missed(&self, from: u64, to: u64) -> u64 {
        witness::within(&self.witness, from, to)
    }

    /// Nanoseconds for which the other core was slow, and how much of them that cost.
    pub(crate) const fn slow(&self) -> (u64, u64) {
        self.slow
    }

    /// Nanoseconds in all and at most at once: of the generator's core, and of the other.
    pub(crate) fn kept(&self) -> [(u64, u64); 2] {
        let sum = |all: &mut dyn Iterator<Item = u64>| {
            all.fold((0, 0), |(sum, most), kept| (sum + kept, most.max(kept)))
        };
        let here = sum(&mut self.here.iter().map(|gap| gap.1 - gap.0));
        [here, sum(&mut self.there.iter().map(|loss| loss.kept))]
    }

    /// How much of the time between two moments the machine explains: what was kept from us, and as
    /// long again for making up for it.
    pub(crate) fn explain(&self, from: u64, to: u64) -> u64 {
        // When the filler is back, everything has been made up for.
        let first = self.there.partition_point(|loss| loss.span.0 + self.longest <= from);
        let there = self.there.iter().skip(first).take_while(|loss| loss.span.0 < to);
        let there = there.map(|loss| {
            let (from, to) = (loss.span.0.max(from), loss.span.1.min(to));
            (2 * loss.kept).min(to.saturating_sub(from))
        });
        (witness::within(&self.shaded, from, to) + there.sum::<u64>()).min(to - from)
    }
}
