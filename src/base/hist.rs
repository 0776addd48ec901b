//! Floor 0. How long things took: histograms of fixed size, of all time and of the last minutes.
//!
//! Values are whole microseconds. Up to 64 each has a place of its own; above, every doubling is
//! cut into 32 places, so that what is read back is wrong by less than 2 % up to 67 seconds, behind
//! which everything is one place. Recording is an index and a few additions. A window is not
//! recorded apart: it is what was counted since a copy of the counts that was made some time ago,
//! so looking back costs the hot path nothing. Absent on purpose: a clock (whoever records turns
//! the windows).

use super::time::MS;

/// Places of a histogram.
const PLACES: usize = 64 + 32 * DOUBLINGS;
/// Doublings above the places of their own.
const DOUBLINGS: usize = 20;
/// What is longer is counted with the longest.
const LONGEST: u64 = (1 << (6 + DOUBLINGS as u32)) - 1;

/// How often values of each size were seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hist {
    counts: Box<[u64; PLACES]>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Self { counts: Box::new([0; PLACES]), count: 0, sum: 0, max: 0 }
    }
}

impl Hist {
    /// This took so many microseconds.
    pub fn record(&mut self, us: u64) {
        self.record_all(us, 1);
    }

    /// So many things took that long.
    pub fn record_all(&mut self, us: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(place(us)) {
            *count = count.wrapping_add(times);
        }
        self.count = self.count.wrapping_add(times);
        self.sum = self.sum.wrapping_add(us.wrapping_mul(times));
        self.max = self.max.max(us);
    }

    /// Take in what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count = count.wrapping_add(*more);
        }
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest, exactly.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// What so many of a hundred thousand values do not exceed (50_000: the median, 99_900: all but
    /// one in a thousand); never more than the largest. 0 when there was none.
    #[must_use]
    pub fn percentile(&self, of_100_000: u32) -> u64 {
        let share = u128::from(self.count) * u128::from(of_100_000.min(100_000));
        let wanted = (share.div_ceil(100_000) as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                // The last place has no end.
                return if at + 1 == PLACES { self.max } else { middle(at).min(self.max) };
            }
        }
        0
    }

    /// Upper ends in microseconds, each with how many values were less; the last is without end.
    /// Exact, because every end is also the end of a place.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let mut below = 0;
        let mut at = 0;
        let ends = BUCKETS.iter().map(move |end| {
            let until = place(*end);
            below += self.counts.get(at..until).unwrap_or_default().iter().sum::<u64>();
            at = until;
            (Some(*end), below)
        });
        ends.chain([(None, self.count)])
    }
}

/// Ends of the buckets that are shown to others, in microseconds: doublings, from 16 us to 16.8 s.
pub const BUCKETS: [u64; 21] = {
    let mut ends = [0; 21];
    let mut i = 0;
    while i < ends.len() {
        ends[i] = 16 << i;
        i += 1;
    }
    ends
};

/// Where a value is counted.
fn place(us: u64) -> usize {
    if us < 64 {
        return us as usize;
    }
    let us = us.min(LONGEST);
    // The highest bit says which doubling, the five behind it where in it.
    let shift = us.ilog2() - 5;
    (shift as usize) * 32 + (us >> shift) as usize
}

/// The value in the middle of a place.
fn middle(at: usize) -> u64 {
    if at < 64 {
        return at as u64;
    }
    let shift = (at / 32 - 1) as u32;
    let least = ((at % 32 + 32) as u64) << shift;
    least + ((1u64 << shift) - 1) / 2
}

/// The counts at some moment. A window is far shorter than what it takes to count once around.
#[derive(Clone, Debug)]
struct Mark {
    /// None while nothing was counted.
    counts: Option<Box<[u32; PLACES]>>,
    count: u64,
    sum: u64,
    /// The largest value between this mark and the next.
    peak: u64,
}

impl Mark {
    fn of(all: &Hist) -> Self {
        let counts = (all.count > 0).then(|| {
            let mut counts = Box::new([0; PLACES]);
            for (mark, count) in counts.iter_mut().zip(all.counts.iter()) {
                *mark = *count as u32;
            }
            counts
        });
        Self { counts, count: all.count, sum: all.sum, peak: 0 }
    }
}

/// Marks at equal distances, the oldest first; how many are kept makes the window.
#[derive(Clone, Debug)]
struct Marks {
    marks: std::collections::VecDeque<Mark>,
    kept: usize,
    every: u64,
    next: u64,
}

impl Marks {
    fn new(kept: usize, every_ms: u64) -> Self {
        Self { marks: std::collections::VecDeque::new(), kept, every: every_ms * MS, next: 0 }
    }

    fn turn(&mut self, mono: u64, all: &Hist) {
        if mono < self.next {
            return;
        }
        if mono >= self.next.saturating_add(self.every * self.kept as u64) {
            // Nobody turned for longer than the window: all of it is past.
            self.marks.clear();
        }
        self.next = mono - mono % self.every + self.every;
        if self.marks.len() == self.kept {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark::of(all));
    }

    fn peak(&mut self, us: u64) {
        if let Some(mark) = self.marks.back_mut() {
            mark.peak = mark.peak.max(us);
        }
    }

    /// What was counted since the oldest mark.
    fn window(&self, all: &Hist) -> Hist {
        let Some(oldest) = self.marks.front() else { return all.clone() };
        let mut window = Hist::default();
        for (at, (count, now)) in window.counts.iter_mut().zip(all.counts.iter()).enumerate() {
            let then = oldest.counts.as_ref().and_then(|counts| counts.get(at)).copied();
            *count = u64::from((*now as u32).wrapping_sub(then.unwrap_or_default()));
        }
        window.count = all.count.wrapping_sub(oldest.count);
        window.sum = all.sum.wrapping_sub(oldest.sum);
        window.max = self.marks.iter().map(|mark| mark.peak).max().unwrap_or_default();
        window
    }
}

/// A histogram that also knows its last minutes.
#[derive(Clone, Debug)]
pub struct Windows {
    all: Hist,
    /// The largest since the marks were last told.
    peak: u64,
    minute: Marks,
    quarter: Marks,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            all: Hist::default(),
            peak: 0,
            minute: Marks::new(4, 15_000),
            quarter: Marks::new(3, 300_000),
        }
    }
}

impl Windows {
    /// This took so many microseconds.
    pub fn record(&mut self, us: u64) {
        self.record_all(us, 1);
    }

    /// So many things took that long.
    pub fn record_all(&mut self, us: u64, times: u64) {
        self.all.record_all(us, times);
        self.peak = self.peak.max(us);
    }

    /// Time has passed. To be called a few times in a minute at least, at best once in a turn.
    pub fn turn(&mut self, mono: u64) {
        if mono < self.minute.next && mono < self.quarter.next {
            return;
        }
        let peak = core::mem::take(&mut self.peak);
        for marks in [&mut self.minute, &mut self.quarter] {
            marks.peak(peak);
            marks.turn(mono, &self.all);
        }
    }

    /// Since the start.
    #[must_use]
    pub fn all(&self) -> &Hist {
        &self.all
    }

    /// The last minute: never less than three quarters of it, never more than all.
    #[must_use]
    pub fn minute(&self) -> Hist {
        self.last(&self.minute)
    }

    /// The last quarter of an hour: never less than two thirds of it, never more than all.
    #[must_use]
    pub fn quarter(&self) -> Hist {
        self.last(&self.quarter)
    }

    fn last(&self, marks: &Marks) -> Hist {
        let mut window = marks.window(&self.all);
        window.max = window.max.max(self.peak);
        window
    }
}
