//! Floor 3. How MQTT spells topics: the plus grammar, with this broker's bounds, and
//! `$share/group/filter` around it.
//!
//! The grammar itself lives in `topic::plus`. `$share` is a prefix that a subscription carries: it
//! is taken off here, so the space of topics never sees it. Absent on purpose: UTF-8 and NUL,
//! which the decoder has judged, and whether sharing or wildcards are offered at all.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::proto::fault::{Fault, FaultKind};
use crate::topic::{Dialect, Filter, Match, Plus, Topic, TopicFault};

/// The byte between levels.
pub(super) const SEP: u8 = b'/';

/// MQTT's reader and speller of topics.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    grammar: Plus,
    bytes_max: usize,
}

impl Spelling {
    /// With the broker's bounds.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let grammar = Plus { levels_max: limits.levels_max };
        Self { grammar, bytes_max: limits.topic_bytes_max }
    }

    /// A name, as published to.
    pub fn topic(&self, text: &Bytes) -> Result<Topic, Fault> {
        if text.len() > self.bytes_max {
            return Err(FaultKind::MqttTopicDeep.fault());
        }
        self.grammar.topic(text).map_err(|why| match why {
            TopicFault::Empty => FaultKind::MqttTopicEmpty.fault(),
            TopicFault::Wildcard => FaultKind::MqttTopicWildcard.fault(),
            TopicFault::TooLong | TopicFault::TooDeep | TopicFault::Malformed => {
                FaultKind::MqttTopicDeep.fault()
            }
        })
    }

    /// Its text is what a publisher may write: it need not be read again.
    pub(super) fn is_good(&self, topic: &Topic) -> bool {
        topic.text().len() <= self.bytes_max && self.grammar.as_spelled(topic).is_some()
    }

    /// A filter, as subscribed to, and the group that shares it, if it is shared.
    pub fn filter(&self, text: &Bytes) -> Result<(Filter, Option<Bytes>), Fault> {
        let (group, rest) = shared(text)?;
        if rest.len() > self.bytes_max {
            return Err(FaultKind::MqttTopicDeep.fault());
        }
        let filter = self.grammar.filter(&rest, Match::Native).map_err(|why| match why {
            TopicFault::TooLong | TopicFault::TooDeep => FaultKind::MqttTopicDeep.fault(),
            TopicFault::Empty | TopicFault::Wildcard | TopicFault::Malformed => {
                FaultKind::MqttFilter.fault()
            }
        })?;
        Ok((filter, group))
    }

    /// The topic's own text, when it is MQTT's spelling of it already: nothing is copied.
    #[must_use]
    pub fn as_spelled<'a>(&self, topic: &'a Topic) -> Option<&'a Bytes> {
        self.grammar.as_spelled(topic)
    }

    /// Spell a topic into `into`; false when MQTT has no spelling for it.
    pub fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        self.grammar.spell(topic, into)
    }

    /// Spell a filter into `into`; false when MQTT has no spelling for it.
    pub fn spell_filter(&self, filter: &Filter, into: &mut Vec<u8>) -> bool {
        self.grammar.spell_filter(filter, into)
    }
}

/// 5.0 4.8.2-1, 4.8.2-2: `$share`, a group without wildcards or slash, a filter.
fn shared(text: &Bytes) -> Result<(Option<Bytes>, Bytes), Fault> {
    let Some(after) = text.strip_prefix(b"$share") else {
        return Ok((None, text.clone()));
    };
    let Some(named) = after.strip_prefix(b"/") else {
        return match after {
            [] => Err(FaultKind::MqttFilter.fault()),
            // `$shared/x` is a name like any other.
            _ => Ok((None, text.clone())),
        };
    };
    let malformed = || FaultKind::MqttFilter.fault();
    let end = named.iter().position(|&byte| byte == b'/').ok_or_else(malformed)?;
    let (group, filter) = named.split_at(end);
    if group.is_empty() || group.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(malformed());
    }
    let filter = filter.strip_prefix(b"/").unwrap_or_default();
    Ok((Some(text.slice_ref(group)), text.slice_ref(filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<(Filter, Option<Bytes>), FaultKind> {
        let spelling = Spelling::new(&Limits::default());
        spelling.filter(&Bytes::from_static(text.as_bytes())).map_err(|fault| fault.kind)
    }

    #[test]
    fn a_share_is_a_group_and_a_filter() {
        let (filter, group) = read("$share/g/a/+/#").unwrap();
        assert_eq!(group.as_deref(), Some(&b"g"[..]));
        assert_eq!(read("a/+/#"), Ok((filter, None)));
        let (filter, group) = read("$share/g//").unwrap();
        assert_eq!((read("/"), group.as_deref()), (Ok((filter, None)), Some(&b"g"[..])));
        assert_eq!(read("$share/g/$SYS/x").unwrap().0, read("$SYS/x").unwrap().0);
        assert_eq!(read("$shared/g").unwrap().1, None);
        assert_eq!(read("$sharE/g").unwrap().1, None);
    }

    #[test]
    fn a_share_without_group_or_filter_is_malformed() {
        for text in [
            "$share",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//t",
            "$share/+/t",
            "$share/#/t",
            "$share/a#/t",
            "$share/g/a#",
            "$share/g/#/a",
            "",
            "a#",
        ] {
            assert_eq!(read(text), Err(FaultKind::MqttFilter), "{text}");
        }
    }

    #[test]
    fn depth_is_capacity_and_names_have_their_own_faults() {
        let spelling = Spelling::new(&Limits { levels_max: 3, ..Limits::default() });
        let filter = |text: &'static str| spelling.filter(&Bytes::from_static(text.as_bytes()));
        assert!(filter("$share/g/a/b/c").is_ok(), "the prefix has no depth");
        assert_eq!(filter("a/b/c/d").map_err(|f| f.kind), Err(FaultKind::MqttTopicDeep));
        let topic = |text: &'static str| {
            spelling.topic(&Bytes::from_static(text.as_bytes())).map_err(|f| f.kind)
        };
        assert_eq!(topic(""), Err(FaultKind::MqttTopicEmpty));
        assert_eq!(topic("a/#"), Err(FaultKind::MqttTopicWildcard));
        assert_eq!(topic("a/b/c/d"), Err(FaultKind::MqttTopicDeep));
        assert!(topic("$share/g").is_ok(), "a name may begin like a share");
        let spelling = Spelling::new(&Limits { topic_bytes_max: 3, ..Limits::default() });
        let deep = Err(FaultKind::MqttTopicDeep);
        for (text, expected) in [(&b"a/b"[..], Ok(())), (b"a/bc", deep)] {
            let text = Bytes::from_static(text);
            assert_eq!(spelling.topic(&text).map(drop).map_err(|f| f.kind), expected);
            assert_eq!(spelling.filter(&text).map(drop).map_err(|f| f.kind), expected);
        }
    }
}
