//! Floor 1. A filter: a run of segments and a tail, enough for every dialect.
//!
//! Two segments and three tails say what MQTT, PRX1, WAMP and flat names can ask for. One law
//! stands above all of them: a wildcard at the root (`One`, `Rest`, `Starts`) never opens a level
//! that begins with `$`. Absent on purpose: text. What a filter looks like is known to dialects.

use super::name::{Topic, put_count, take_count, take_counted};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;

/// What one level must be.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Seg {
    /// Exactly these bytes.
    Lit(Bytes),
    /// Any one level, also an empty one.
    One,
}

/// What must follow the segments.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Tail {
    /// Nothing.
    End,
    /// Any number of levels, also none.
    Rest,
    /// One or more levels, the first of which begins with these bytes (maybe none).
    Starts(Bytes),
}

/// Which topics somebody wants.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    /// One for each of the first levels.
    pub segs: SmallVec<[Seg; 6]>,
    /// What stands after them.
    pub tail: Tail,
}

impl Filter {
    /// The filter that this topic alone matches. Shares the topic's buffer.
    #[must_use]
    pub fn exact(topic: &Topic) -> Self {
        let lit = |level: &[u8]| Seg::Lit(topic.text().slice_ref(level));
        Self { segs: topic.levels().map(lit).collect(), tail: Tail::End }
    }

    /// Read back what [`Filter::encode`] wrote, all of it and nothing else. Copies.
    #[must_use]
    pub fn decode(coded: impl AsRef<[u8]>) -> Option<Self> {
        let mut rest = coded.as_ref();
        let depth = take_count(&mut rest)?;
        let mut segs = SmallVec::new();
        for _ in 0..depth {
            let (kind, after) = rest.split_first()?;
            rest = after;
            segs.push(match *kind {
                ONE => Seg::One,
                LIT => Seg::Lit(Bytes::copy_from_slice(take_counted(&mut rest)?)),
                _ => return None,
            });
        }
        let (kind, after) = rest.split_first()?;
        rest = after;
        let tail = match *kind {
            END => Tail::End,
            REST => Tail::Rest,
            STARTS => Tail::Starts(Bytes::copy_from_slice(take_counted(&mut rest)?)),
            _ => return None,
        };
        rest.is_empty().then_some(Self { segs, tail })
    }

    /// Append the canonical bytes: the number of segments, each segment, the tail; every kind is
    /// one byte, every text follows its length.
    pub fn encode(&self, into: &mut Vec<u8>) {
        put_count(self.segs.len(), into);
        for seg in &self.segs {
            match seg {
                Seg::One => into.push(ONE),
                Seg::Lit(text) => put_text(LIT, text, into),
            }
        }
        match &self.tail {
            Tail::End => into.push(END),
            Tail::Rest => into.push(REST),
            Tail::Starts(text) => put_text(STARTS, text, into),
        }
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        let copy = |text: &Bytes| Bytes::copy_from_slice(text);
        let segs = self.segs.iter().map(|seg| match seg {
            Seg::Lit(text) => Seg::Lit(copy(text)),
            Seg::One => Seg::One,
        });
        let tail = match &self.tail {
            Tail::Starts(text) => Tail::Starts(copy(text)),
            Tail::End => Tail::End,
            Tail::Rest => Tail::Rest,
        };
        Self { segs: segs.collect(), tail }
    }

    /// Is this topic wanted? Says the same as `FilterTrie::matches`, one filter at a time.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let depth = self.segs.len();
        if topic.depth() < depth || (topic.is_hidden() && self.is_open_at_root()) {
            return false;
        }
        let fits = |(seg, level): (&Seg, &[u8])| match seg {
            Seg::Lit(text) => text == level,
            Seg::One => true,
        };
        self.segs.iter().zip(topic.levels()).all(fits)
            && match &self.tail {
                Tail::End => topic.depth() == depth,
                Tail::Rest => true,
                Tail::Starts(text) => topic.level(depth).is_some_and(|l| l.starts_with(text)),
            }
    }

    /// Is every topic that `other` matches one that this filter matches? Exact, with one
    /// exception: of a filter that can match nothing at all it may say no.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.segs.len(), other.segs.len());
        let hidden = matches!(other.segs.first(), Some(Seg::Lit(text)) if text.starts_with(b"$"));
        if hidden && self.is_open_at_root() {
            return false;
        }
        let fits = |(mine, theirs): (&Seg, &Seg)| mine == theirs || *mine == Seg::One;
        if !self.segs.iter().zip(&other.segs).all(fits) {
            return false;
        }
        if theirs < mine {
            return self.covers_shorter(other);
        }
        match (&self.tail, other.segs.get(mine)) {
            (Tail::Rest, _) => true,
            (Tail::End, next) => next.is_none() && other.tail == Tail::End,
            (Tail::Starts(text), Some(Seg::Lit(next))) => next.starts_with(text),
            (Tail::Starts(text), Some(Seg::One)) => text.is_empty(),
            (Tail::Starts(text), None) => match other.more() {
                Some(next) => next.starts_with(text),
                None => false,
            },
        }
    }

    /// The rest of `covers` when `other` has fewer segments: one level more than it has must be
    /// free in this filter, and everything after that.
    fn covers_shorter(&self, other: &Self) -> bool {
        self.segs.len() == other.segs.len() + 1
            && self.segs.last() == Some(&Seg::One)
            && self.tail == Tail::Rest
            && other.more().is_some()
    }

    /// What the first level after the segments begins with, if there must be one. No topic has
    /// zero levels, so `Rest` at the root asks for one too.
    fn more(&self) -> Option<&[u8]> {
        match &self.tail {
            Tail::Starts(text) => Some(text),
            Tail::Rest if self.segs.is_empty() => Some(b""),
            Tail::Rest | Tail::End => None,
        }
    }

    /// Exactly one topic matches.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let literal = |seg: &Seg| matches!(seg, Seg::Lit(_));
        self.tail == Tail::End && !self.segs.is_empty() && self.segs.iter().all(literal)
    }

    /// The first level is a wildcard, so that `$` topics are out of sight.
    #[must_use]
    pub fn is_open_at_root(&self) -> bool {
        match self.segs.first() {
            Some(seg) => *seg == Seg::One,
            None => self.tail != Tail::End,
        }
    }

    /// How many segments stand before the tail.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.segs.len()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segs = self.segs.iter().map(|seg| match seg {
            Seg::Lit(text) => format!("{:?}", String::from_utf8_lossy(text)),
            Seg::One => "One".into(),
        });
        let tail = match &self.tail {
            Tail::End => "End".into(),
            Tail::Rest => "Rest".into(),
            Tail::Starts(text) => format!("Starts({:?})", String::from_utf8_lossy(text)),
        };
        write!(f, "Filter[{} · {tail}]", segs.collect::<Vec<_>>().join(", "))
    }
}

fn put_text(kind: u8, text: &[u8], into: &mut Vec<u8>) {
    into.push(kind);
    put_count(text.len(), into);
    into.extend_from_slice(text);
}

const ONE: u8 = 0;
const LIT: u8 = 1;
const END: u8 = 0;
const REST: u8 = 1;
const STARTS: u8 = 2;
