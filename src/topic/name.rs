//! Floor 1. A topic: levels over one buffer, whatever byte its dialect puts between them.
//!
//! Two topics are equal when their levels are, not when their spelling is: `a/b` of one dialect
//! is `a.b` of another. Between two levels stands exactly one byte of `text`, so a level is a
//! slice and a topic that came off the wire is not copied. There is always at least one level,
//! and a level may be empty. A topic is one shared value, because a busy one is handed on far more
//! often than it is read; it remembers what a dialect once found out about its text. Absent on
//! purpose: any rule about which text is a good topic; that is the dialect's business.

use bytes::Bytes;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The longest text any dialect may take for a topic or a filter: what a 16-bit count can say.
pub const TEXT_MAX: usize = 65_535;

/// Where something is published: one or more levels.
#[derive(Clone)]
pub struct Topic(Arc<Inner>);

struct Inner {
    text: Bytes,
    /// Where each level after the first begins; one byte before it is not part of any level.
    cuts: SmallVec<[u32; 6]>,
    /// The byte between levels, if it occurs in none of them.
    sep: Option<u8>,
    /// The text is nobody else's: it keeps no larger buffer alive.
    own: bool,
    /// What dialects found out about the text: of two bits each, whether, and what.
    found: AtomicU8,
}

/// A question about a topic's text that is asked again and again, and answered once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fact {
    /// The plus grammar spells it so.
    Plus,
    /// The star grammar does.
    Star,
}

impl Topic {
    /// Cut `text` at every `sep`, sharing it. Dialects have checked it against [`TEXT_MAX`];
    /// beyond 4 GiB it is cut short.
    #[must_use]
    pub fn split(mut text: Bytes, sep: u8) -> Self {
        text.truncate(u32::MAX as usize);
        let cuts = cuts_of(&text, sep, usize::MAX).unwrap_or_default();
        Self::made(text, cuts, Some(sep), false)
    }

    /// The same for text from a peer: none when there are more than `depth_max` levels, which is
    /// found out before more than that is kept.
    #[must_use]
    pub fn split_within(text: &Bytes, sep: u8, depth_max: usize) -> Option<Self> {
        let text = text.slice(..text.len().min(u32::MAX as usize));
        let cuts = cuts_of(&text, sep, depth_max)?;
        Some(Self::made(text, cuts, Some(sep), false))
    }

    /// Put levels together, copying them; no levels at all are taken for one empty level.
    /// They are spelled with `/`, else with `.`, else with whatever byte none of them holds.
    #[must_use]
    pub fn from_levels<'a, I>(levels: I) -> Self
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    {
        let levels = levels.into_iter();
        let sep = free_byte(levels.clone());
        let mut text = Vec::with_capacity(levels.clone().map(|level| level.len() + 1).sum());
        let mut cuts = SmallVec::new();
        for (i, level) in levels.enumerate() {
            if i > 0 {
                text.push(sep.unwrap_or(b'/'));
                cuts.push(text.len() as u32);
            }
            text.extend_from_slice(level);
        }
        Self::made(Bytes::from(text), cuts, sep, true)
    }

    fn made(text: Bytes, cuts: SmallVec<[u32; 6]>, sep: Option<u8>, own: bool) -> Self {
        Self(Arc::new(Inner { text, cuts, sep, own, found: AtomicU8::new(0) }))
    }

    /// Read back what [`Topic::encode`] wrote, all of it and nothing else. Copies.
    #[must_use]
    pub fn decode(coded: impl AsRef<[u8]>) -> Option<Self> {
        let mut rest = coded.as_ref();
        let depth = take_count(&mut rest)?;
        let levels = CodedLevels { rest };
        // Counted before anything is allocated: a level takes at least the byte of its count.
        let mut check = levels.clone();
        if depth == 0 || check.by_ref().count() != depth || !check.rest.is_empty() {
            return None;
        }
        Some(Self::from_levels(levels))
    }

    /// Append the canonical bytes: the number of levels, then each level after its length. The
    /// same for all spellings of a topic; counts take seven bits a byte, the lowest first.
    pub fn encode(&self, into: &mut Vec<u8>) {
        put_count(self.depth(), into);
        for level in self.levels() {
            put_count(level.len(), into);
            into.extend_from_slice(level);
        }
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        if self.0.own {
            return self.clone();
        }
        let text = Bytes::copy_from_slice(&self.0.text);
        Self::made(text, SmallVec::from_slice(&self.0.cuts), self.0.sep, true)
    }

    /// Its text is nobody else's: it keeps no larger buffer alive.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.own
    }

    /// It is the same value, not only an equal one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What `look` says about the text, which is asked once at most: the text never changes.
    pub(super) fn fact(&self, fact: Fact, look: impl FnOnce(&Self) -> bool) -> bool {
        let shift = 2 * fact as u8;
        match self.0.found.load(Relaxed) >> shift & 3 {
            0 => {
                let so = look(self);
                self.0.found.fetch_or((1 | u8::from(so) << 1) << shift, Relaxed);
                so
            }
            bits => bits & 2 != 0,
        }
    }

    /// Append the levels with `sep` between them; false, and nothing appended, when a level
    /// holds that byte.
    pub fn join(&self, sep: u8, into: &mut Vec<u8>) -> bool {
        if let Some(text) = self.spelled_with(sep) {
            into.extend_from_slice(text);
            return true;
        }
        if self.levels().any(|level| level.contains(&sep)) {
            return false;
        }
        for (i, level) in self.levels().enumerate() {
            if i > 0 {
                into.push(sep);
            }
            into.extend_from_slice(level);
        }
        true
    }

    /// The text itself, when it already has `sep` between its levels and nowhere else.
    #[must_use]
    pub fn spelled_with(&self, sep: u8) -> Option<&Bytes> {
        let single = || self.0.cuts.is_empty() && !self.0.text.contains(&sep);
        (self.0.sep == Some(sep) || single()).then_some(&self.0.text)
    }

    /// The levels, first to last; at least one.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + Clone {
        (0..self.depth()).map(|i| self.level(i).unwrap_or_default())
    }

    /// The level at `i`, counted from 0.
    #[must_use]
    pub fn level(&self, i: usize) -> Option<&[u8]> {
        let Inner { text, cuts, .. } = &*self.0;
        let start = if i == 0 { 0 } else { *cuts.get(i - 1)? as usize };
        let end = cuts.get(i).map_or(text.len(), |next| *next as usize - 1);
        text.get(start..end)
    }

    /// How many levels; at least 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.cuts.len() + 1
    }

    /// The levels with one byte between them.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.0.text
    }

    /// The byte between the levels of [`Topic::text`]; none when every byte occurs in a level.
    #[must_use]
    pub fn sep(&self) -> Option<u8> {
        self.0.sep
    }

    /// The first level begins with `$`: no wildcard at the root sees this topic.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.level(0).is_some_and(|level| level.first() == Some(&b'$'))
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        if self.is(other) {
            return true;
        }
        if self.0.sep.is_some() && self.0.sep == other.0.sep {
            return self.0.text == other.0.text;
        }
        self.levels().eq(other.levels())
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.depth());
        self.levels().for_each(|level| level.hash(state));
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.levels().cmp(other.levels())
    }
}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic")?;
        f.debug_list().entries(self.levels().map(String::from_utf8_lossy)).finish()
    }
}

/// The levels of a coded topic; ends early at the first that does not hold together.
#[derive(Clone)]
struct CodedLevels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for CodedLevels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.rest;
        let level = take_counted(&mut rest)?;
        self.rest = rest;
        Some(level)
    }
}

/// Where levels begin after each `sep`, if that makes no more than `depth_max` levels.
fn cuts_of(text: &[u8], sep: u8, depth_max: usize) -> Option<SmallVec<[u32; 6]>> {
    let mut cuts = SmallVec::new();
    for (at, byte) in text.iter().enumerate() {
        if *byte == sep {
            if cuts.len() + 1 >= depth_max {
                return None;
            }
            cuts.push(at as u32 + 1);
        }
    }
    Some(cuts)
}

/// A byte that no level holds, the usual separators first.
fn free_byte<'a>(levels: impl Iterator<Item = &'a [u8]>) -> Option<u8> {
    let mut taken = [false; 256];
    for byte in levels.flatten() {
        taken[usize::from(*byte)] = true;
    }
    [b'/', b'.'].into_iter().chain(0..=255).find(|byte| !taken[usize::from(*byte)])
}

/// Append a count, seven bits a byte, the lowest first.
pub(super) fn put_count(n: usize, into: &mut Vec<u8>) {
    let mut left = n;
    while left >= 0x80 {
        into.push(left as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

/// Take a count of at most four bytes; only its shortest form is one, so that equal topics have
/// equal bytes.
pub(super) fn take_count(from: &mut &[u8]) -> Option<usize> {
    let mut n = 0;
    for i in 0..4 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        n |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return (*byte != 0 || i == 0).then_some(n);
        }
    }
    None
}

/// Take what a count before it measures.
pub(super) fn take_counted<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_count(from)?;
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}
