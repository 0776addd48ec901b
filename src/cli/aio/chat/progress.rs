//! Floor 6. How far a file has come, in a line: a bar where somebody looks, words elsewhere.
//!
//! The rate is that of this attempt, so what was there before makes nothing look faster than it is.
//! Absent on purpose: clocks and terminals.

/// A file under way.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    name: String,
    size: u64,
    /// Where this attempt began.
    from: u64,
}

impl Progress {
    /// A file of this name, which no terminal obeys, of which so much is there already.
    pub(super) fn new(name: &str, size: u64, from: u64) -> Self {
        Self { name: name.escape_debug().to_string(), size, from }
    }

    /// So much is there, after so many milliseconds: with a bar.
    pub(super) fn bar(&self, at: u64, ms: u64) -> String {
        let part = share(at, self.size, BAR);
        let bar = format!("{:<width$}", "#".repeat(part as usize), width = BAR as usize);
        format!("{} [{bar}] {}", self.name, self.words(at, ms))
    }

    /// The same without one.
    pub(super) fn line(&self, at: u64, ms: u64) -> String {
        format!("{}: {}", self.name, self.words(at, ms))
    }

    fn words(&self, at: u64, ms: u64) -> String {
        let percent = share(at, self.size, 100);
        let all = format!("{percent} % of {}", bytes(self.size));
        let rate = at.saturating_sub(self.from).saturating_mul(1_000) / ms.max(1);
        // What has just begun has no rate that means something.
        if rate == 0 || ms < SOON {
            return all;
        }
        let left = self.size.saturating_sub(at).div_ceil(rate);
        format!("{all}, {}/s, {} left", bytes(rate), time(left))
    }
}

/// Which part of the whole that is; of nothing it is all.
fn share(at: u64, all: u64, of: u64) -> u64 {
    let part = u128::from(at.min(all)) * u128::from(of);
    part.checked_div(u128::from(all)).map_or(of, |part| part as u64)
}

/// A number of bytes, for people.
pub(super) fn bytes(count: u64) -> String {
    let (mut whole, mut tenths, mut unit) = (count, 0, 0);
    while whole >= 1_024 && unit + 1 < UNITS.len() {
        (tenths, whole) = ((whole % 1_024) * 10 / 1_024, whole / 1_024);
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenths} {name}") }
}

fn time(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}:{seconds:02}"),
        (hours, minutes) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
/// How wide a bar is.
const BAR: u64 = 30;
/// Milliseconds before a rate is told.
const SOON: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let file = Progress::new("a", 100 << 20, 0);
        assert_eq!(file.line(25 << 20, 1_000), "a: 25 % of 100.0 MiB, 25.0 MiB/s, 0:03 left");
        let bar = file.bar(50 << 20, 100_000);
        let wanted = "a [###############               ] 50 % of 100.0 MiB, 512.0 KiB/s, 1:40 left";
        assert_eq!(bar, wanted);
        assert_eq!(file.line(1, 3_600_000), "a: 0 % of 100.0 MiB", "nothing moves");
        assert_eq!(file.line(25 << 20, 10), "a: 25 % of 100.0 MiB", "too early to tell");
    }

    #[test]
    fn what_was_there_before_is_not_counted_as_fast() {
        let file = Progress::new("a", 3_000, 2_000);
        assert_eq!(file.line(2_500, 1_000), "a: 83 % of 2.9 KiB, 500 B/s, 0:01 left");
    }

    #[test]
    fn nothing_of_nothing_is_all_and_no_number_is_too_large() {
        assert_eq!(Progress::new("a", 0, 0).line(0, 0), "a: 100 % of 0 B");
        let vast = Progress::new("a", u64::MAX, 0);
        assert!(vast.line(u64::MAX, 1_000).starts_with("a: 100 % of "));
        assert_eq!(time(3_661), "1:01:01");
        assert_eq!(Progress::new("a\x1b[2J", 0, 0).line(0, 0), "a\\u{1b}[2J: 100 % of 0 B");
    }
}
