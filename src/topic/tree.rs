//! Floor 1. Filter in, topics out: an ordered map of topics that can be walked in small steps.
//!
//! A topic is kept as one key whose byte order is the order of levels: a zero byte between
//! levels, and zeros and ones inside them written as two bytes. A walk therefore never needs a
//! tree of its own: whatever cannot match is jumped over by asking for the next key that could,
//! and a cursor is a key, so it outlives any change made between two steps. Absent on purpose:
//! hashing (the order is the structure), and any idea of what is kept.

use super::filter::{Filter, Seg, Tail};
use super::name::Topic;
use bytes::Bytes;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A value for each of many topics.
#[derive(Clone, Debug)]
pub struct TopicTree<V> {
    map: BTreeMap<Key, V>,
}

/// Most topics fit into the ordered map's own nodes, where comparing them misses no cache.
type Key = SmallVec<[u8; 32]>;

/// Whether a walk goes on after a topic it has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// Show the next.
    Go,
    /// This one is done with; come back for the next another time.
    Stop,
}

/// How far a walk has come: past the last topic it looked at. Holds no reference to the tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    place: Place,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Place {
    #[default]
    Start,
    /// Go on with this key or the first after it.
    At(Vec<u8>),
    /// Go on with the first after this key.
    After(Vec<u8>),
    Over,
}

impl Cursor {
    /// Behind this topic.
    #[must_use]
    pub fn behind(topic: &Topic) -> Self {
        Self { place: Place::After(key_of(topic).to_vec()) }
    }

    /// Behind this topic and everything below it.
    #[must_use]
    pub fn beyond(topic: &Topic) -> Self {
        let mut key = key_of(topic).to_vec();
        key.push(SEP + 1);
        Self { place: Place::At(key) }
    }

    /// The walk has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.place == Place::Over
    }
}

impl<V> Default for TopicTree<V> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<V> TopicTree<V> {
    /// No topics yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keep `value` for `topic`; what it replaces is returned.
    pub fn set(&mut self, topic: &Topic, value: V) -> Option<V> {
        self.map.insert(key_of(topic), value)
    }

    /// What is kept for `topic`.
    #[must_use]
    pub fn get(&self, topic: &Topic) -> Option<&V> {
        self.map.get(&key_of(topic)[..])
    }

    /// What is kept for `topic`, to change.
    pub fn get_mut(&mut self, topic: &Topic) -> Option<&mut V> {
        self.map.get_mut(&key_of(topic)[..])
    }

    /// Keep nothing for `topic` any more.
    pub fn remove(&mut self, topic: &Topic) -> Option<V> {
        self.map.remove(&key_of(topic)[..])
    }

    /// Show what `filter` matches, in the order of topics, from where `cursor` stands; true when
    /// there is no more. Looks at no more than `steps` topics, whether they match or not. What
    /// is in the tree from the first call to the last is shown exactly once; what is added
    /// meanwhile is shown if the cursor has not passed it. One cursor belongs to one filter.
    pub fn walk(
        &self,
        filter: &Filter,
        cursor: &mut Cursor,
        steps: usize,
        each: &mut dyn FnMut(&Topic, &V) -> Walk,
    ) -> bool {
        self.walk_keys(filter, cursor, steps, |key, value| each(&topic_of(key), value))
    }

    /// The same for values that know their topic: nothing is put together or allocated for them.
    pub fn walk_values(
        &self,
        filter: &Filter,
        cursor: &mut Cursor,
        steps: usize,
        each: &mut dyn FnMut(&V) -> Walk,
    ) -> bool {
        self.walk_keys(filter, cursor, steps, |_, value| each(value))
    }

    fn walk_keys(
        &self,
        filter: &Filter,
        cursor: &mut Cursor,
        steps: usize,
        mut each: impl FnMut(&[u8], &V) -> Walk,
    ) -> bool {
        let plan = Plan::new(filter);
        let mut steps = steps;
        let mut seek = Vec::new();
        let mut from = match core::mem::replace(&mut cursor.place, Place::Over) {
            Place::Over => return true,
            Place::Start => Bound::Included(plan.first_key()),
            Place::At(key) => Bound::Included(key),
            Place::After(key) => Bound::Excluded(key),
        };
        'jump: loop {
            let start = from.as_ref().map(Vec::as_slice);
            for (key, value) in self.map.range::<[u8], _>((start, Bound::Unbounded)) {
                if steps == 0 {
                    cursor.place = Place::At(key.to_vec());
                    return false;
                }
                steps -= 1;
                match plan.judge(key, &mut seek) {
                    Verdict::Over => return true,
                    Verdict::Seek => {
                        from = Bound::Included(core::mem::take(&mut seek));
                        continue 'jump;
                    }
                    Verdict::Match => {
                        let walk = each(key, value);
                        if plan.exact {
                            return true;
                        }
                        if walk == Walk::Stop {
                            cursor.place = Place::After(key.to_vec());
                            return false;
                        }
                    }
                }
            }
            return true;
        }
    }

    /// Everything, hidden or not, in the order of topics.
    pub fn iter(&self) -> impl Iterator<Item = (Topic, &V)> {
        self.map.iter().map(|(key, value)| (topic_of(key), value))
    }

    /// How many topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// No topics.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// A filter in the terms of keys.
struct Plan<'a> {
    /// The text of a level as it stands in keys, or any level.
    segs: SmallVec<[Option<Cow<'a, [u8]>>; 8]>,
    tail: PlanTail<'a>,
    open_at_root: bool,
    exact: bool,
}

enum PlanTail<'a> {
    End,
    Rest,
    Starts(Cow<'a, [u8]>),
}

enum Verdict {
    Match,
    /// Not this one, nor any before the key that was written.
    Seek,
    /// Not this one, nor any after it.
    Over,
}

impl<'a> Plan<'a> {
    fn new(filter: &'a Filter) -> Self {
        let segs = filter.segs.iter().map(|seg| match seg {
            Seg::Lit(text) => Some(escaped(text)),
            Seg::One => None,
        });
        let tail = match &filter.tail {
            Tail::End => PlanTail::End,
            Tail::Rest => PlanTail::Rest,
            Tail::Starts(text) => PlanTail::Starts(escaped(text)),
        };
        let (open_at_root, exact) = (filter.is_open_at_root(), filter.is_exact());
        Self { segs: segs.collect(), tail, open_at_root, exact }
    }

    /// No key before this one matches: the literal levels up to the first open one.
    fn first_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        for (i, text) in self.segs.iter().map_while(Option::as_deref).enumerate() {
            if i > 0 {
                key.push(SEP);
            }
            key.extend_from_slice(text);
        }
        key
    }

    /// Does this key match? If not, where is the next that could? What is written to `seek` is
    /// always greater than `key`.
    fn judge(&self, key: &[u8], seek: &mut Vec<u8>) -> Verdict {
        if self.open_at_root && key.first() == Some(&b'$') {
            return jump(seek, &[b'$' + 1], &[]);
        }
        // Where the last open level ends: the only place where a greater level is worth trying.
        let mut open = None;
        let mut at = 0;
        for seg in &self.segs {
            let wanted = seg.as_deref().unwrap_or_default();
            let Some(level) = level_at(key, at) else {
                return below(key, wanted, seek);
            };
            match seg {
                None => open = Some(at + level.len()),
                Some(_) if level == wanted => {}
                Some(_) if level < wanted => return jump(seek, &key[..at], wanted),
                Some(_) => return beyond(key, open, seek),
            }
            at += level.len() + 1;
        }
        let level = level_at(key, at);
        match (&self.tail, level) {
            (PlanTail::Rest, _) | (PlanTail::End, None) => Verdict::Match,
            (PlanTail::End, Some(_)) => beyond(key, open, seek),
            (PlanTail::Starts(wanted), None) => below(key, wanted, seek),
            (PlanTail::Starts(wanted), Some(level)) if level.starts_with(wanted) => Verdict::Match,
            (PlanTail::Starts(wanted), Some(level)) if *level < **wanted => {
                jump(seek, &key[..at], wanted)
            }
            (PlanTail::Starts(_), Some(_)) => beyond(key, open, seek),
        }
    }
}

/// The level that begins at `at`; none when the levels before it were all.
fn level_at(key: &[u8], at: usize) -> Option<&[u8]> {
    let rest = key.get(at..)?;
    rest.split(|byte| *byte == SEP).next()
}

/// On to the topics below this one.
fn below(key: &[u8], wanted: &[u8], seek: &mut Vec<u8>) -> Verdict {
    jump(seek, key, &[SEP]);
    seek.extend_from_slice(wanted);
    Verdict::Seek
}

/// On to a greater level in the last open place, past everything that shares the present one.
fn beyond(key: &[u8], open: Option<usize>, seek: &mut Vec<u8>) -> Verdict {
    match open {
        Some(end) => jump(seek, &key[..end], &[SEP + 1]),
        None => Verdict::Over,
    }
}

fn jump(seek: &mut Vec<u8>, base: &[u8], more: &[u8]) -> Verdict {
    seek.clear();
    seek.extend_from_slice(base);
    seek.extend_from_slice(more);
    Verdict::Seek
}

fn key_of(topic: &Topic) -> Key {
    let mut key = SmallVec::new();
    for (i, level) in topic.levels().enumerate() {
        if i > 0 {
            key.push(SEP);
        }
        key.extend_from_slice(&escaped(level));
    }
    key
}

fn topic_of(key: &[u8]) -> Topic {
    if !key.contains(&ESCAPE) && !key.contains(&b'/') {
        let text = key.iter().map(|byte| if *byte == SEP { b'/' } else { *byte });
        return Topic::split(text.collect::<Vec<u8>>().into(), b'/');
    }
    let levels = key.split(|byte| *byte == SEP).map(plain).collect::<Vec<_>>();
    Topic::from_levels(levels.iter().map(|level| &level[..]))
}

/// A level as it stands in a key: the two smallest bytes become two bytes each, in order.
fn escaped(level: &[u8]) -> Cow<'_, [u8]> {
    if level.iter().all(|byte| *byte > ESCAPE) {
        return Cow::Borrowed(level);
    }
    let mut key = Vec::with_capacity(level.len() + 8);
    for byte in level {
        if *byte <= ESCAPE {
            key.push(ESCAPE);
            key.push(byte + 1);
        } else {
            key.push(*byte);
        }
    }
    Cow::Owned(key)
}

fn plain(escaped: &[u8]) -> Bytes {
    let mut level = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        level.push(match byte {
            &ESCAPE => bytes.next().map_or(0, |after| after.wrapping_sub(1)),
            byte => *byte,
        });
    }
    level.into()
}

const SEP: u8 = 0;
const ESCAPE: u8 = 1;
