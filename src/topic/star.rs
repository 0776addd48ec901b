//! Floor 1. The star grammar: `/` between levels, `*` for one level, a last `*` for one or more.
//!
//! PRX1 peers and the access rules of every protocol are written in it, which is why it lives
//! this low. Every level is real, also an empty or a first one; a level that merely contains a
//! star is an ordinary level. The text is only refused for being empty, long, deep, or, as a
//! name, for holding a `*` level. Absent on purpose: UTF-8, case, `$` (a law of the space).

use super::dialect::{Dialect, Match, TopicFault};
use super::filter::{Filter, Seg, Tail};
use super::name::{Fact, TEXT_MAX, Topic};
use bytes::Bytes;

/// Reads and spells the star grammar.
#[derive(Clone, Copy, Debug)]
pub struct Star {
    /// More levels than this are refused.
    pub levels_max: usize,
}

impl Star {
    /// The topic's own text, when it is the spelling of it already.
    #[must_use]
    pub fn as_spelled<'a>(&self, topic: &'a Topic) -> Option<&'a Bytes> {
        // Most texts have no star at all, and one look tells.
        let good = |topic: &Topic| {
            let plain = |text: &Bytes| {
                !text.contains(&STAR[0]) || topic.levels().all(|level| level != STAR)
            };
            topic.spelled_with(SEP).is_some_and(plain)
        };
        let good = self.fits(topic.depth(), topic.text().len()) && topic.fact(Fact::Star, good);
        good.then(|| topic.text())
    }

    fn cut(&self, text: &Bytes) -> Result<Topic, TopicFault> {
        if text.is_empty() {
            return Err(TopicFault::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(TopicFault::TooLong);
        }
        Topic::split_within(text, SEP, self.levels_max).ok_or(TopicFault::TooDeep)
    }

    fn fits(&self, depth: usize, len: usize) -> bool {
        depth <= self.levels_max && len > 0 && len <= TEXT_MAX
    }
}

impl Dialect for Star {
    fn topic(&self, text: &Bytes) -> Result<Topic, TopicFault> {
        let topic = self.cut(text)?;
        if text.contains(&STAR[0]) && topic.levels().any(|level| level == STAR) {
            return Err(TopicFault::Wildcard);
        }
        Ok(topic)
    }

    fn filter(&self, text: &Bytes, how: Match) -> Result<Filter, TopicFault> {
        match how {
            Match::Exact => return self.topic(text).map(|topic| Filter::exact(&topic)),
            Match::Prefix => return Err(TopicFault::Malformed),
            Match::Native | Match::Wildcard => {}
        }
        let topic = self.cut(text)?;
        let mut filter = Filter::exact(&topic);
        if topic.levels().next_back() == Some(STAR) {
            filter.segs.pop();
            filter.tail = Tail::Starts(Bytes::new());
        }
        for seg in &mut filter.segs {
            if matches!(seg, Seg::Lit(level) if level == STAR) {
                *seg = Seg::One;
            }
        }
        Ok(filter)
    }

    fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        // One byte stands between levels whatever the dialect, so lengths agree.
        self.fits(topic.depth(), topic.text().len())
            && topic.levels().all(|level| level != STAR)
            && topic.join(SEP, into)
    }

    fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool {
        let start = into.len();
        for seg in &filter.segs {
            let level: &[u8] = match seg {
                Seg::One => STAR,
                Seg::Lit(level) => level,
            };
            into.extend_from_slice(level);
            into.push(SEP);
        }
        let clean = |seg: &Seg| !matches!(seg, Seg::Lit(l) if l == STAR || l.contains(&SEP));
        let more = filter.tail == Tail::Starts(Bytes::new());
        // Without a tail a last `One` would be read as one or more.
        let plain = filter.tail == Tail::End && matches!(filter.segs.last(), Some(Seg::Lit(_)));
        if more {
            into.extend_from_slice(STAR);
        } else {
            into.truncate(into.len().saturating_sub(1).max(start));
        }
        let depth = filter.depth() + usize::from(more);
        let spelled = (more || plain)
            && filter.segs.iter().all(clean)
            && self.fits(depth, into.len() - start);
        if !spelled {
            into.truncate(start);
        }
        spelled
    }
}

const SEP: u8 = b'/';
const STAR: &[u8] = b"*";
