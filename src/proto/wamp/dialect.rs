//! Floor 3. How WAMP spells topics: dots between levels, three ways of matching.
//!
//! ```text
//! exact a.b        Lit a, Lit b · End
//! prefix a.em      Lit a · Starts(em)     plain text: also a.emu
//! prefix a.        Lit a · Starts()
//! wildcard a..c    Lit a, One, Lit c · End
//! ```
//!
//! Names and patterns are judged by `uri.rs`; here they only become levels. What another protocol
//! published under a name that is no good URI (an empty level, a dot or a space in one) is not seen
//! here. Absent on purpose: which of several matching registrations is called.

use bytes::Bytes;

use super::options::Matching;
use super::uri::Rule;
use crate::base::limits::Limits;
use crate::topic::{Dialect, Filter, Match, Seg, TEXT_MAX, Tail, Topic, TopicFault};

/// The byte between levels.
pub(super) const SEP: u8 = b'.';

/// WAMP's reader and speller of topics, procedures and patterns.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// What a realm lets through.
    pub rule: Rule,
    /// More levels than this are refused.
    pub levels_max: usize,
    /// Longer texts are refused.
    pub bytes_max: usize,
}

impl Spelling {
    /// With the broker's bounds.
    #[must_use]
    pub fn new(limits: &Limits, rule: Rule) -> Self {
        let bytes_max = limits.topic_bytes_max.min(TEXT_MAX);
        Self { rule, levels_max: limits.levels_max, bytes_max }
    }

    /// The topic's own text, when it is WAMP's spelling of it already: nothing is copied.
    #[must_use]
    pub fn as_spelled<'a>(&self, topic: &'a Topic) -> Option<&'a Bytes> {
        let text = topic.spelled_with(SEP)?;
        (self.is_good(text, Matching::Exact) && topic.depth() <= self.levels_max).then_some(text)
    }

    /// By which way of matching a filter is spelled, if by any.
    #[must_use]
    pub fn matching(filter: &Filter) -> Option<Matching> {
        let open = filter.segs.contains(&Seg::One);
        match (&filter.tail, open) {
            (Tail::End, false) => Some(Matching::Exact),
            (Tail::End, true) => Some(Matching::Wildcard),
            (Tail::Starts(_), false) => Some(Matching::Prefix),
            (Tail::Starts(_), true) | (Tail::Rest, _) => None,
        }
    }

    fn is_good(&self, text: &[u8], how: Matching) -> bool {
        let good = |text| self.rule.is_good(text, how);
        text.len() <= self.bytes_max && core::str::from_utf8(text).is_ok_and(good)
    }

    fn cut(&self, text: &Bytes, how: Matching) -> Result<Topic, TopicFault> {
        if text.len() > self.bytes_max {
            return Err(TopicFault::TooLong);
        }
        if !self.is_good(text, how) {
            let empty = text.is_empty();
            return Err(if empty { TopicFault::Empty } else { TopicFault::Malformed });
        }
        Topic::split_within(text, SEP, self.levels_max).ok_or(TopicFault::TooDeep)
    }

    /// What was appended is good, or it is taken away again.
    fn judged(&self, how: Matching, depth: usize, start: usize, into: &mut Vec<u8>) -> bool {
        let good = |text| self.is_good(text, how);
        let spelled = depth <= self.levels_max && into.get(start..).is_some_and(good);
        if !spelled {
            into.truncate(start);
        }
        spelled
    }
}

impl Dialect for Spelling {
    fn topic(&self, text: &Bytes) -> Result<Topic, TopicFault> {
        self.cut(text, Matching::Exact)
    }

    fn filter(&self, text: &Bytes, how: Match) -> Result<Filter, TopicFault> {
        let how = match how {
            Match::Native | Match::Exact => Matching::Exact,
            Match::Prefix => Matching::Prefix,
            Match::Wildcard => Matching::Wildcard,
        };
        let mut filter = Filter::exact(&self.cut(text, how)?);
        match how {
            Matching::Exact => {}
            Matching::Prefix => {
                if let Some(Seg::Lit(last)) = filter.segs.pop() {
                    filter.tail = Tail::Starts(last);
                }
            }
            Matching::Wildcard => {
                for seg in &mut filter.segs {
                    if matches!(seg, Seg::Lit(level) if level.is_empty()) {
                        *seg = Seg::One;
                    }
                }
            }
        }
        Ok(filter)
    }

    fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        let start = into.len();
        topic.join(SEP, into) && self.judged(Matching::Exact, topic.depth(), start, into)
    }

    fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool {
        let Some(how) = Self::matching(filter) else { return false };
        let one = |level: &[u8]| !level.is_empty() && !level.contains(&SEP);
        let clean = |seg: &Seg| !matches!(seg, Seg::Lit(level) if !one(level));
        let tail = match &filter.tail {
            Tail::Starts(text) if !text.contains(&SEP) => Some(text),
            Tail::Starts(_) => return false,
            Tail::End | Tail::Rest => None,
        };
        if !filter.segs.iter().all(clean) {
            return false;
        }
        let start = into.len();
        for seg in &filter.segs {
            if let Seg::Lit(level) = seg {
                into.extend_from_slice(level);
            }
            into.push(SEP);
        }
        match tail {
            Some(text) => into.extend_from_slice(text),
            None => into.truncate(into.len().saturating_sub(1).max(start)),
        }
        self.judged(how, filter.depth() + usize::from(tail.is_some()), start, into)
    }
}
