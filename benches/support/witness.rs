//! Floor 6. Who sees when the machine itself was not there.
//!
//! On each core a thread that runs before everybody else there sleeps a little, again and again;
//! when it wakes too late, the core was gone: to a neighbour of the machine, or to the system. What
//! a busy thread of ours does on that core it never sees, so nothing of ours hides behind it. One
//! that is asked to also does the same few calls whenever it wakes: when they take longer, the core
//! is slower, for everybody on it. Absent on purpose: what follows from a gap or from a slow core.

use crate::place;
use spindle::os::clock::Clock;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// It wakes so often, and the machine was gone when it came so much later.
pub(crate) const WAKE: Duration = Duration::from_micros(200);
const GONE: Duration = Duration::from_micros(150);

/// From when to when a core was gone, at the longest: it went some time after the first.
pub(crate) type Gap = (u64, u64);

/// When it woke, and how long the same work took it then.
pub(crate) type Pace = (u64, u64);

/// What a witness saw; and whether it ran before everybody else.
pub(crate) struct Seen {
    pub(crate) first: bool,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) paces: Vec<Pace>,
}

/// Those who watch.
pub(crate) struct Witnesses {
    over: Arc<AtomicBool>,
    pub(crate) threads: Vec<JoinHandle<Seen>>,
}

impl Witnesses {
    /// One for each of these cores; those who work also note how fast it is.
    pub(crate) fn post(clock: Clock, cores: &[&'static str], works: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let post = |core: &&'static str| {
            let (core, over) = (*core, Arc::clone(&over));
            let work = works.then(Work::new);
            let thread = thread::Builder::new().name("see".into());
            thread.spawn(move || watch(core, clock, work, &over)).expect("a thread")
        };
        let threads = cores.iter().map(post).collect();
        Self { over, threads }
    }

    /// Enough. What they saw, in order and apart; paces are of use where one watched.
    pub(crate) fn tell(self) -> Seen {
        self.over.store(true, Relaxed);
        let mut all = Seen { first: true, gaps: Vec::new(), paces: Vec::new() };
        for thread in self.threads {
            let one = thread.join().expect("somebody watched");
            all.first &= one.first;
            all.gaps.extend(one.gaps);
            all.paces.extend(one.paces);
        }
        Seen { gaps: apart(all.gaps), ..all }
    }
}

/// The same every time: messages through the kernel and back, as the loop's are.
struct Work(UnixStream, UnixStream);

impl Work {
    /// Some microseconds of it.
    const TIMES: usize = 4;

    fn new() -> Self {
        let (to, from) = UnixStream::pair().expect("two ends");
        Self(to, from)
    }

    fn once(&mut self) {
        let mut room = [0; 64];
        for _ in 0..Self::TIMES {
            self.0.write_all(&room).expect("there is room");
            self.1.read_exact(&mut room).expect("it was written");
        }
    }
}

/// Sleep again and again, before everybody else on this core, and note when that took too long.
fn watch(core: &str, clock: Clock, mut work: Option<Work>, over: &AtomicBool) -> Seen {
    place::stay_on(core);
    let mut seen = Seen { first: place::go_first(), gaps: Vec::new(), paces: Vec::new() };
    let mut before = clock.now().mono;
    while !over.load(Relaxed) {
        thread::sleep(WAKE);
        let now = clock.now().mono;
        if u128::from(now - before) > (WAKE + GONE).as_nanos() {
            seen.gaps.push((before, now));
        }
        before = now;
        if let Some(work) = &mut work {
            work.once();
            before = clock.now().mono;
            // Nobody goes before us, so that was not the work. The core went when it had woken us.
            if u128::from(before - now) > GONE.as_nanos() {
                seen.gaps.push((now.saturating_sub(WAKE.as_nanos() as u64), before));
            }
            seen.paces.push((now, before - now));
        }
    }
    seen
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
