//! Floor 3. How aioconnectors spell topics: a message type is one level, and matches itself.
//!
//! Nothing is special in it and nothing is cut, so `a/b` is one level and not what MQTT calls so.
//! Types that begin with `_` are what connectors say among themselves: no topic is spelled so,
//! whoever published under it. Absent on purpose: wildcards, and names of peers, which are no
//! topics.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::topic::{Dialect, Filter, Match, Seg, TEXT_MAX, Tail, Topic, TopicFault};

/// A byte that stands in no message type, so that none is cut.
pub(super) const SEP: u8 = 0;

/// The reader and speller of message types.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// Longer ones are refused.
    pub bytes_max: usize,
}

impl Spelling {
    /// With the broker's bounds.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { bytes_max: limits.topic_bytes_max.min(TEXT_MAX) }
    }

    fn judge(&self, text: &[u8]) -> Result<(), TopicFault> {
        match text.first() {
            None => Err(TopicFault::Empty),
            _ if text.len() > self.bytes_max => Err(TopicFault::TooLong),
            Some(b'_') => Err(TopicFault::Malformed),
            _ if text.contains(&SEP) => Err(TopicFault::Malformed),
            _ if core::str::from_utf8(text).is_err() => Err(TopicFault::Malformed),
            _ => Ok(()),
        }
    }

    fn put(&self, level: &[u8], into: &mut Vec<u8>) -> bool {
        let good = self.judge(level).is_ok();
        if good {
            into.extend_from_slice(level);
        }
        good
    }
}

impl Dialect for Spelling {
    fn topic(&self, text: &Bytes) -> Result<Topic, TopicFault> {
        self.judge(text)?;
        Ok(Topic::split(text.clone(), SEP))
    }

    fn filter(&self, text: &Bytes, how: Match) -> Result<Filter, TopicFault> {
        match how {
            Match::Native | Match::Exact => Ok(Filter::exact(&self.topic(text)?)),
            Match::Prefix | Match::Wildcard => Err(TopicFault::Malformed),
        }
    }

    fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        topic.depth() == 1 && topic.level(0).is_some_and(|level| self.put(level, into))
    }

    fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool {
        match (&filter.segs[..], &filter.tail) {
            ([Seg::Lit(level)], Tail::End) => self.put(level, into),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::laws::{Bounds, check};

    fn spelling() -> Spelling {
        Spelling { bytes_max: 12 }
    }

    #[test]
    fn the_laws_hold_for_everything_small() {
        let alphabet = &["", "a", "_a", "a/b", "+", "#", "*", "a b", "$s", "é"];
        for how in [Match::Native, Match::Exact] {
            let bounds = Bounds { how, sep: b'.', alphabet, depth: 3 };
            let pairs = check(&spelling(), bounds, &|filter, name| filter == name);
            assert!(pairs > 100_000, "{pairs}");
        }
    }

    #[test]
    fn what_connectors_say_among_themselves_is_no_topic() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        for (bad, why) in [
            ("", TopicFault::Empty),
            ("_ack", TopicFault::Malformed),
            ("_", TopicFault::Malformed),
            ("a\0b", TopicFault::Malformed),
            ("longer than 12", TopicFault::TooLong),
        ] {
            assert_eq!(spelling().topic(&text(bad)), Err(why), "{bad}");
            assert_eq!(spelling().filter(&text(bad), Match::Native), Err(why), "{bad}");
            let mut into = Vec::new();
            assert!(!spelling().spell(&Topic::from_levels([bad.as_bytes()]), &mut into), "{bad}");
        }
        let latin = Bytes::from_static(b"\xe9");
        assert_eq!(spelling().topic(&latin), Err(TopicFault::Malformed));
        assert_eq!(spelling().filter(&text("a"), Match::Prefix), Err(TopicFault::Malformed));
        assert_eq!(spelling().filter(&text("a"), Match::Wildcard), Err(TopicFault::Malformed));
    }

    #[test]
    fn a_topic_of_several_levels_is_not_seen_and_one_with_slashes_is_one_level() {
        let mut into = Vec::new();
        let two = Topic::from_levels([&b"a"[..], b"b"]);
        assert!(!spelling().spell(&two, &mut into) && into.is_empty());
        let one = spelling().topic(&Bytes::from_static(b"a/b")).expect("a topic");
        assert_eq!((one.depth(), one.level(0)), (1, Some(&b"a/b"[..])));
        assert_ne!(one, two);
    }
}
