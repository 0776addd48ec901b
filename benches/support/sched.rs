//! Floor 6. What the system's scheduler says of the threads of this process.
//!
//! For every thread: time on a core, and time it wanted one and waited. That tells a broker that
//! lets its clients wait from a machine that lets the broker wait. Only Linux says so; elsewhere
//! everything is zero. Absent on purpose: other processes, except as cores taken in all.

use std::ops::Sub;

/// Times of one thread, in nanoseconds, and how often it was given a core.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Times {
    pub(crate) on: u64,
    pub(crate) waited: u64,
    pub(crate) slices: u64,
}

impl Sub for Times {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let less = |now: u64, before: u64| now.saturating_sub(before);
        Self {
            on: less(self.on, before.on),
            waited: less(self.waited, before.waited),
            slices: less(self.slices, before.slices),
        }
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.on += other.on;
        self.waited += other.waited;
        self.slices += other.slices;
    }
}

/// The times of the threads with this name, together.
pub(crate) fn thread(name: &str) -> Times {
    let mut sum = Times::default();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim_end() != name {
            continue;
        }
        let text = read("schedstat");
        let mut numbers = text.split_whitespace().map(|n| n.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        sum += Times { on: next(), waited: next(), slices: next() };
    }
    sum
}

/// Hundredths of a second that all cores have been busy, and that another machine took.
pub(crate) fn machine() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let all: Vec<u64> = first.split_whitespace().skip(1).map(|n| n.parse().unwrap_or(0)).collect();
    let at = |i: usize| all.get(i).copied().unwrap_or(0);
    // User, nice, system, interrupts; 3 and 4 are idle.
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}
