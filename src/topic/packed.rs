//! Floor 1. A literal level and, behind it, the rest of a filter, in a few bytes.
//!
//! Of most filters nothing else hangs below their first level that no other filter has; so what
//! follows it is kept beside it, as long as it is short. The rest is one byte for each segment,
//! its length or `OPEN`, before its text; the text of a tail comes last. It is `Short` and stands
//! in the edge, or it is `Long` and the edge says where. Absent on purpose: anything longer, for
//! which there are nodes.

use super::filter::{Filter, Seg, Tail};
use super::name::Topic;
use bytes::Bytes;
use smallvec::SmallVec;

/// A level, what it leads to, and what follows it there, in so many bytes and two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packed<const ROOM: usize> {
    /// How long the level is, or `ELSEWHERE`.
    level: u8,
    /// What it leads to, and how much of the text is in use.
    kind_and_len: u8,
    text: [u8; ROOM],
}

/// The text of an edge.
pub(super) type Short = Packed<18>;

/// One that is a cache line of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(align(64))]
pub(super) struct Long(pub(super) Packed<62>);

impl Short {
    /// A level that leads to a node. If there is no room for it, the node has it.
    pub(super) fn node(level: &[u8]) -> Self {
        let mut packed = Self::EMPTY;
        let fits = packed.put(level);
        packed.level = if fits { level.len() as u8 } else { ELSEWHERE };
        packed
    }

    /// A level that leads to a leaf; this is where it can be read.
    pub(super) fn elsewhere(at: u32) -> Self {
        let mut packed = Self { level: ELSEWHERE, kind_and_len: END * KIND, ..Self::EMPTY };
        packed.put(&at.to_le_bytes());
        packed
    }

    /// Where the text of a leaf is, if it is not here.
    #[inline]
    pub(super) fn place(&self) -> Option<u32> {
        let at = self.text.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        (self.level == ELSEWHERE && self.is_leaf()).then_some(at)
    }
}

impl<const ROOM: usize> Packed<ROOM> {
    pub(super) const EMPTY: Self = Self { level: 0, kind_and_len: 0, text: [0; ROOM] };

    /// The filter from its segment `from` on, which is literal; none if that is too long.
    pub(super) fn leaf(filter: &Filter, from: usize) -> Option<Self> {
        let (first, rest) = filter.segs.get(from..)?.split_first()?;
        let Seg::Lit(level) = first else { return None };
        // Each takes a byte at least. Whoever makes a node for every level of a long filter asks at
        // every one of them, so a no must be quick.
        if level.len() + rest.len() > ROOM {
            return None;
        }
        let mut packed = Self { level: level.len() as u8, ..Self::EMPTY };
        let mut fits = packed.put(level);
        for seg in rest {
            fits = fits
                && match seg {
                    Seg::One => packed.put(&[OPEN]),
                    Seg::Lit(text) => packed.put(&[text.len() as u8]) && packed.put(text),
                };
        }
        let kind = match &filter.tail {
            Tail::End => END,
            Tail::Rest => REST,
            Tail::Starts(text) => {
                fits = fits && (text.is_empty() || packed.put(&[TAIL]) && packed.put(text));
                STARTS
            }
        };
        packed.kind_and_len += kind * KIND;
        fits.then_some(packed)
    }

    /// Leads to a leaf.
    pub(super) fn is_leaf(&self) -> bool {
        self.kind() != NODE
    }

    /// Is this its level? None if that is not known here.
    #[inline]
    pub(super) fn is_level(&self, level: &[u8]) -> Option<bool> {
        (self.level != ELSEWHERE).then(|| self.level() == level)
    }

    /// Its level, of a leaf at least.
    #[inline]
    pub(super) fn level(&self) -> &[u8] {
        self.text.get(..usize::from(self.level)).unwrap_or_default()
    }

    /// Does what follows the level, of a leaf, match the topic from `depth` on?
    #[inline]
    pub(super) fn wants(&self, topic: &Topic, depth: usize) -> bool {
        let (mut rest, mut depth) = (self.rest(), depth);
        while let Some((seg, after)) = split(rest) {
            let Some(level) = topic.level(depth) else { return false };
            if seg.is_some_and(|text| text != level) {
                return false;
            }
            (rest, depth) = (after, depth + 1);
        }
        match self.kind() {
            END => topic.depth() == depth,
            REST => true,
            STARTS => topic.level(depth).is_some_and(|level| level.starts_with(tail(rest))),
            _ => false,
        }
    }

    /// What follows the level, of a leaf, as a filter of its own.
    pub(super) fn behind(&self) -> Filter {
        let mut rest = self.rest();
        let mut filter = Filter { segs: SmallVec::new(), tail: Tail::End };
        while let Some((seg, after)) = split(rest) {
            filter.segs.push(seg.map_or(Seg::One, |text| Seg::Lit(Bytes::copy_from_slice(text))));
            rest = after;
        }
        filter.tail = match self.kind() {
            REST => Tail::Rest,
            STARTS => Tail::Starts(Bytes::copy_from_slice(tail(rest))),
            _ => Tail::End,
        };
        filter
    }

    /// Append; false, and nothing useful is in it any more, when there is no room.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let from = self.len();
        let Some(room) = self.text.get_mut(from..from + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.kind_and_len += bytes.len() as u8;
        true
    }

    fn rest(&self) -> &[u8] {
        self.text.get(usize::from(self.level)..self.len()).unwrap_or_default()
    }

    fn len(&self) -> usize {
        usize::from(self.kind_and_len % KIND)
    }

    fn kind(&self) -> u8 {
        self.kind_and_len / KIND
    }
}

/// The first segment, none if it is open, and what follows it.
fn split(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (first, after) = rest.split_first()?;
    match *first {
        TAIL => None,
        OPEN => Some((None, after)),
        len => after.split_at_checked(usize::from(len)).map(|(text, rest)| (Some(text), rest)),
    }
}

/// The text of the tail: what no segment begins with.
fn tail(rest: &[u8]) -> &[u8] {
    rest.get(1..).unwrap_or_default()
}

/// The level is not here.
const ELSEWHERE: u8 = u8::MAX;
const OPEN: u8 = u8::MAX;
const TAIL: u8 = OPEN - 1;
/// The kind stands above the length.
const KIND: u8 = 1 << 6;
const NODE: u8 = 0;
const END: u8 = 1;
const REST: u8 = 2;
const STARTS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{Dialect, Match, Plus};

    const GRAMMAR: Plus = Plus { levels_max: 16 };

    fn filter(text: &'static str) -> Filter {
        GRAMMAR.filter(&Bytes::from_static(text.as_bytes()), Match::Native).expect("a filter")
    }

    fn topic(text: &'static str) -> Topic {
        GRAMMAR.topic(&Bytes::from_static(text.as_bytes())).expect("a topic")
    }

    #[test]
    fn what_follows_the_level_is_read_back_and_wants_what_its_filter_wants() {
        let starts =
            |text| Filter { tail: Tail::Starts(Bytes::from_static(text)), ..filter("a/+") };
        let mut filters: Vec<Filter> =
            ["a", "a/#", "a/+", "a//", "a/b/+/#", "a/+/c"].map(filter).into();
        filters.extend([starts(b""), starts(b"b")]);
        for filter in &filters {
            let packed = Short::leaf(filter, 0).expect("short");
            assert!(packed.is_leaf() && packed.is_level(b"a") == Some(true));
            let mut behind = packed.behind();
            behind.segs.insert(0, Seg::Lit(Bytes::from_static(b"a")));
            assert_eq!(behind, *filter);
            for text in ["a", "a/", "a/b", "a//", "a/b/c", "a/x/c", "a/x/bc", "a/b/c/d"] {
                let topic = topic(text);
                assert_eq!(packed.wants(&topic, 1), filter.matches(&topic), "{filter:?} {text}");
            }
        }
    }

    fn fits<const ROOM: usize>(text: &'static str) -> bool {
        Packed::<ROOM>::leaf(&filter(text), 0).is_some()
    }

    #[test]
    fn what_has_no_room_is_refused() {
        assert!(fits::<18>("device0012345/temp") && !fits::<18>("device0012345/temps"));
        assert!(fits::<18>("123456789012345678") && !fits::<18>("123456789012345678/+"));
        let long = "7f3c2a10-1b2c-4d5e-8f90-0123456789ab/a level of twenty-five";
        assert!(fits::<62>(long) && !fits::<18>(long) && !fits::<32>(long));
        let level = vec![b'x'; usize::from(u8::MAX) + 2];
        let far = Filter::exact(&Topic::from_levels([&b"a"[..], &level]));
        assert!(Packed::<62>::leaf(&far, 0).is_none(), "its length is not cut to a byte");
    }

    #[test]
    fn an_edge_says_where_its_text_is() {
        let node = Short::node(b"a");
        assert_eq!((node.is_level(b"a"), node.is_level(b"b")), (Some(true), Some(false)));
        assert_eq!((node.is_leaf(), node.place()), (false, None));
        let far = Short::node(b"a level of more than eighteen bytes");
        assert_eq!((far.is_level(b"a"), far.is_leaf(), far.place()), (None, false, None));
        let leaf = Short::elsewhere(70_000);
        assert_eq!((leaf.is_level(b"a"), leaf.is_leaf()), (None, true));
        assert_eq!(leaf.place(), Some(70_000));
        let short = Short::leaf(&filter("a/+"), 0).expect("short");
        assert_eq!((short.is_leaf(), short.place()), (true, None));
    }
}
