//! Floor 3. How PRX1 spells topics: the star grammar, with this broker's bounds.
//!
//! The grammar itself lives in `topic::star`, because access rules are written in it too. What
//! differs from the original is listed in `deviations.md`: single levels are delivered, a star in
//! the first level matches, an empty topic is a fault.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::proto::fault::{Fault, FaultKind};
use crate::topic::{Dialect, Filter, Match, Star, Topic, TopicFault};

/// The byte between levels.
pub(super) const SEP: u8 = b'/';

/// PRX1's reader and speller of topics.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    grammar: Star,
    bytes_max: usize,
}

impl Spelling {
    /// With the broker's bounds.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let grammar = Star { levels_max: limits.levels_max };
        Self { grammar, bytes_max: limits.topic_bytes_max }
    }

    /// A name, as published to. Prx1 §11: no wildcards.
    pub fn topic(&self, text: &Bytes) -> Result<Topic, Fault> {
        self.fits(text)?;
        self.grammar.topic(text).map_err(fault)
    }

    /// Its text is what a publisher may write: it need not be read again.
    pub(super) fn is_good(&self, topic: &Topic) -> bool {
        topic.text().len() <= self.bytes_max && self.grammar.as_spelled(topic).is_some()
    }

    /// A filter, as subscribed to.
    pub fn filter(&self, text: &Bytes) -> Result<Filter, Fault> {
        self.fits(text)?;
        self.grammar.filter(text, Match::Native).map_err(fault)
    }

    fn fits(&self, text: &Bytes) -> Result<(), Fault> {
        if text.len() > self.bytes_max { Err(fault(TopicFault::TooLong)) } else { Ok(()) }
    }

    /// The topic's own text, when it is PRX1's spelling of it already: nothing is copied.
    #[must_use]
    pub fn as_spelled<'a>(&self, topic: &'a Topic) -> Option<&'a Bytes> {
        self.grammar.as_spelled(topic)
    }

    /// Spell a topic into `into`; false when PRX1 has no spelling for it.
    pub fn spell(&self, topic: &Topic, into: &mut Vec<u8>) -> bool {
        self.grammar.spell(topic, into)
    }
}

fn fault(why: TopicFault) -> Fault {
    match why {
        TopicFault::Empty => FaultKind::Prx1TopicEmpty,
        TopicFault::Wildcard => FaultKind::Prx1TopicWildcard,
        TopicFault::TooLong | TopicFault::TooDeep | TopicFault::Malformed => {
            FaultKind::Prx1TopicDeep
        }
    }
    .fault()
}
