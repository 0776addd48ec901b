//! Floor 1. The plus grammar: `/` between levels, `+` for one level, a last `#` for any number.
//!
//! All versions of MQTT write it. `a/#` wants `a` too. Both letters are forbidden in names, and in
//! filters they stand alone in their level, so whatever else is in a level is literal. Only what
//! MQTT's text can carry is spelled: UTF-8 without NUL. What is read has been checked for that by
//! the codec. Absent on purpose: `$share`, a word of the protocol and not of the name.

use super::dialect::{Dialect, Match, TopicFault};
use super::filter::{Filter, Seg, Tail};
use super::name::{Fact, TEXT_MAX, Topic};
use bytes::Bytes;

/// Reads and spells the plus grammar.
#[derive(Clone, Copy, Debug)]
pub struct Plus {
    /// More levels than this are refused.
    pub levels_max: usize,
}

impl Plus {
    /// The topic's own text, when it is the spelling of it already.
    #[must_use]
    pub fn as_spelled<'a>(&self, topic: &'a Topic) -> Option<&'a Bytes> {
        let good = |topic: &Topic| {
            topic.spelled_with(SEP).is_some_and(|text| !is_wild(text) && is_text(text))
        };
        let good = self.fits(topic.depth(), topic.text()) && topic.fact(Fact::Plus, good);
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

    fn fits(&self, depth: usize, text: &[u8]) -> bool {
        depth <= self.levels_max && !text.is_empty() && text.len() <= TEXT_MAX
    }
}

impl Dialect for Plus {
    fn topic(&self, text: &Bytes) -> Result<Topic, TopicFault> {
        if is_wild(text) {
            return Err(TopicFault::Wildcard);
        }
        self.cut(text)
    }

    fn filter(&self, text: &Bytes, how: Match) -> Result<Filter, TopicFault> {
        match how {
            Match::Exact => return self.topic(text).map(|topic| Filter::exact(&topic)),
            Match::Prefix => return Err(TopicFault::Malformed),
            Match::Native | Match::Wildcard => {}
        }
        let topic = self.cut(text)?;
        let mut filter = Filter::exact(&topic);
        if topic.levels().next_back() == Some(REST) {
            filter.segs.pop();
            filter.tail = Tail::Rest;
        }
        for seg in &mut filter.segs {
            match seg {
                Seg::Lit(level) if level == ONE => *seg = Seg::One,
                Seg::Lit(level) if is_wild(level) => return Err(TopicFault::Malformed),
                Seg::Lit(_) | Seg::One => {}
            }
        }
        Ok(filter)
    }

    fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        let start = into.len();
        // Judged as it is spelled: between levels of another dialect stands another byte.
        let spelled = topic.join(SEP, into)
            && into
                .get(start..)
                .is_some_and(|t| !is_wild(t) && is_text(t) && self.fits(topic.depth(), t));
        if !spelled {
            into.truncate(start);
        }
        spelled
    }

    fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool {
        let start = into.len();
        for seg in &filter.segs {
            let level: &[u8] = match seg {
                Seg::One => ONE,
                Seg::Lit(level) => level,
            };
            into.extend_from_slice(level);
            into.push(SEP);
        }
        let more = filter.tail == Tail::Rest;
        if more {
            into.extend_from_slice(REST);
        } else {
            into.truncate(into.len().saturating_sub(1).max(start));
        }
        let clean = |seg: &Seg| !matches!(seg, Seg::Lit(l) if is_wild(l) || l.contains(&SEP));
        let depth = filter.depth() + usize::from(more);
        let spelled = !matches!(filter.tail, Tail::Starts(_))
            && filter.segs.iter().all(clean)
            && into.get(start..).is_some_and(|text| is_text(text) && self.fits(depth, text));
        if !spelled {
            into.truncate(start);
        }
        spelled
    }
}

const SEP: u8 = b'/';
const ONE: &[u8] = b"+";
const REST: &[u8] = b"#";

/// What MQTT's text can carry.
fn is_text(text: &[u8]) -> bool {
    !text.contains(&0) && std::str::from_utf8(text).is_ok()
}

fn is_wild(text: &[u8]) -> bool {
    text.iter().any(|&byte| byte == ONE[0] || byte == REST[0])
}
