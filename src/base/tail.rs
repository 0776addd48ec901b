//! Floor 0. The last lines of a log, numbered: so many, and none longer than a bound.
//!
//! A line that finds no place pushes the oldest out; that it is gone shows in the numbers, which
//! begin with 1 and have no holes. A reader comes back with the number it has seen last. One that
//! was never given belongs to an earlier life of the program and begins anew. Absent on purpose:
//! where lines come from, locks, and escaping: what is put here is fit to be shown.

use core::fmt::Debug;
use std::collections::VecDeque;
use std::sync::Arc;

use log::Level;

/// Lines that are kept.
pub const LINES: usize = 512;
/// Bytes of a line's text.
pub const TEXT_MAX: usize = 512;
/// Bytes of a target's name.
const TARGET_MAX: usize = 64;

/// A line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub target: String,
    /// What it says.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Behind the line of this number.
    pub after: u64,
    /// At least so grave.
    pub least: Level,
    /// At most so many.
    pub most: usize,
}

/// Some lines, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The lines.
    pub lines: Vec<Arc<Line>>,
    /// There are more behind them.
    pub more: bool,
}

/// Whoever has the last lines and may be asked for them without being waited for.
pub trait Tails: Send + Debug {
    /// These lines; nothing when there are none to be had from here.
    fn page(&self, ask: Ask) -> Option<Page>;
}

/// The last lines.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Arc<Line>>,
    newest: u64,
}

impl Tail {
    /// Keep a line.
    pub fn put(&mut self, at: u64, level: Level, target: &str, text: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.newest += 1;
        let (target, text) = (cut(target, TARGET_MAX), cut(text, TEXT_MAX));
        self.lines.push_back(Arc::new(Line { number: self.newest, at, level, target, text }));
    }

    /// Some of them.
    #[must_use]
    pub fn page(&self, ask: Ask) -> Page {
        let after = if ask.after > self.newest { 0 } else { ask.after };
        let fits = |line: &&Arc<Line>| line.number > after && line.level <= ask.least;
        let mut found = self.lines.iter().filter(fits);
        let lines = found.by_ref().take(ask.most).cloned().collect();
        Page { lines, more: found.next().is_some() }
    }
}

/// The beginning of a text, with dots where it was longer.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let at = (0..=most - DOTS.len()).rev().find(|at| text.is_char_boundary(*at));
    let (begin, _) = text.split_at(at.unwrap_or_default());
    [begin, DOTS].concat()
}

const DOTS: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

    fn all(after: u64, least: Level, most: usize) -> Ask {
        Ask { after, least, most }
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_last_lines_stay_and_their_numbers_say_what_went() {
        let mut tail = Tail::default();
        for n in 1..=LINES as u64 + 10 {
            tail.put(n, Level::Info, "a", "b");
        }
        let page = tail.page(all(0, Level::Trace, usize::MAX));
        assert_eq!((page.lines.len(), page.lines[0].number, page.more), (LINES, 11, false));
        let page = tail.page(all(100, Level::Trace, 3));
        assert_eq!((numbers(&page), page.more), (vec![101, 102, 103], true));
        assert_eq!(
            numbers(&tail.page(all(522, Level::Trace, 9))),
            Vec::<u64>::new(),
            "nothing new"
        );
        let page = tail.page(all(523, Level::Trace, 1));
        assert_eq!(numbers(&page), vec![11], "a number of another life begins anew");
    }

    #[test]
    fn only_what_is_grave_enough_is_found() {
        let mut tail = Tail::default();
        for level in [Level::Error, Level::Debug, Level::Warn, Level::Info] {
            tail.put(0, level, "a", "b");
        }
        let of = |least| numbers(&tail.page(all(0, least, 9)));
        assert_eq!(of(Level::Error), vec![1]);
        assert_eq!(of(Level::Warn), vec![1, 3]);
        assert_eq!(of(Level::Trace), vec![1, 2, 3, 4]);
        let page = tail.page(all(0, Level::Error, 1));
        assert!(!page.more, "what is not grave enough does not follow");
    }

    #[test]
    fn no_line_is_long() {
        let mut tail = Tail::default();
        tail.put(0, Level::Info, &"t".repeat(100), &"\u{e9}".repeat(5_000));
        tail.put(0, Level::Info, "", &"x".repeat(TEXT_MAX));
        let lines = tail.page(all(0, Level::Trace, 9)).lines;
        assert!(lines[0].text.len() <= TEXT_MAX && lines[0].text.ends_with("\u{e9}..."));
        assert_eq!(lines[0].target.len(), TARGET_MAX);
        assert_eq!(lines[1].text.len(), TEXT_MAX, "what fits is whole");
    }
}
