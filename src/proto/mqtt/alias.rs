//! Floor 3. Topic aliases, both ways: numbers that stand for topics on one connection.
//!
//! What a client introduces is kept until it is replaced; a number above the agreed maximum is a
//! fault before anything is kept. What we introduce goes to whoever comes first; when all numbers
//! are taken, one that has long not been used changes its meaning. Both tables die with the
//! connection (mqtt5 3.3.2-10). Absent on purpose: maps; a table is a handful of entries.

use bytes::Bytes;

use crate::proto::fault::{Fault, FaultKind};
use crate::topic::Topic;

/// Numbers given to a client, at most: each delivery looks through all of them.
const OURS_MAX: usize = 64;
/// A number is given to another topic when it was not used for this many deliveries per number.
const PATIENCE: u64 = 8;

/// What the client's numbers mean.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// A word for the many who never introduce any.
    #[expect(clippy::box_collection, reason = "a word, not three")]
    topics: Option<Box<Vec<Option<Topic>>>>,
}

impl Theirs {
    /// The topic of this number.
    pub(super) fn look(&self, alias: u16) -> Result<Topic, Fault> {
        let known =
            usize::from(alias).checked_sub(1).and_then(|at| self.topics.as_ref()?.get(at)?.clone());
        known.ok_or(FaultKind::MqttAliasUnknown.fault())
    }

    /// From now on the number means this topic.
    pub(super) fn learn(&mut self, alias: u16, max: u16, topic: &Topic) -> Result<(), Fault> {
        if alias > max {
            return Err(FaultKind::MqttAliasUnknown.fault());
        }
        let Some(at) = usize::from(alias).checked_sub(1) else {
            return Err(FaultKind::MqttAliasZero.fault());
        };
        let topics = self.topics.get_or_insert_default();
        if topics.len() <= at {
            topics.resize(at + 1, None);
        }
        if let Some(place) = topics.get_mut(at) {
            // It outlives the packet, so it must not keep the read buffer alive.
            *place = Some(topic.detached());
        }
        Ok(())
    }

    pub(super) fn heap(&self) -> usize {
        let Some(topics) = &self.topics else { return 0 };
        let text = |topic: &Topic| topic.text().len();
        let texts: usize = topics.iter().flatten().map(text).sum();
        size_of_val(&**topics) + topics.capacity() * size_of::<Option<Topic>>() + texts
    }
}

/// How a topic is written this time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spoken {
    /// As it is.
    Plain,
    /// As it is, with a number that will stand for it.
    New(u16),
    /// By its number alone.
    Known(u16),
}

impl Spoken {
    pub(super) fn number(self) -> Option<u16> {
        match self {
            Self::Plain => None,
            Self::New(n) | Self::Known(n) => Some(n),
        }
    }
}

/// What our numbers mean to the client; a word for the many who want none.
#[derive(Debug, Default)]
pub(super) struct Ours(Option<Box<Table>>);

#[derive(Debug)]
struct Table {
    entries: Vec<(Bytes, u64)>,
    max: usize,
    used: u64,
}

impl Ours {
    /// With at most `max` numbers.
    pub(super) fn new(max: u16) -> Self {
        let max = usize::from(max).min(OURS_MAX);
        Self((max > 0).then(|| Box::new(Table { entries: Vec::new(), max, used: 0 })))
    }

    /// How to write this topic.
    pub(super) fn look(&mut self, topic: &[u8]) -> Spoken {
        self.0.as_mut().map_or(Spoken::Plain, |table| table.look(topic))
    }

    /// The client was told that the number means this topic.
    pub(super) fn learn(&mut self, number: u16, topic: &[u8]) {
        if let Some(table) = &mut self.0 {
            table.learn(number, topic);
        }
    }

    pub(super) fn heap(&self) -> usize {
        self.0.as_ref().map_or(0, |table| size_of::<Table>() + table.heap())
    }
}

impl Table {
    fn look(&mut self, topic: &[u8]) -> Spoken {
        self.used += 1;
        if let Some(at) = self.entries.iter().position(|(known, _)| known == topic) {
            if let Some((_, used)) = self.entries.get_mut(at) {
                *used = self.used;
            }
            return Spoken::Known(at as u16 + 1);
        }
        if self.entries.len() < self.max {
            return Spoken::New(self.entries.len() as u16 + 1);
        }
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, (_, used))| *used);
        match oldest {
            Some((at, (_, used))) if self.used - used > PATIENCE * self.max as u64 => {
                Spoken::New(at as u16 + 1)
            }
            _ => Spoken::Plain,
        }
    }

    fn learn(&mut self, number: u16, topic: &[u8]) {
        let entry = (Bytes::copy_from_slice(topic), self.used);
        match self.entries.get_mut(usize::from(number).wrapping_sub(1)) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
    }

    fn heap(&self) -> usize {
        let texts: usize = self.entries.iter().map(|(text, _)| text.len()).sum();
        self.entries.capacity() * size_of::<(Bytes, u64)>() + texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &'static str) -> Topic {
        Topic::split(Bytes::from_static(text.as_bytes()), b'/')
    }

    #[test]
    fn their_numbers_mean_what_they_said_last() {
        let mut theirs = Theirs::default();
        assert!(theirs.look(1).is_err(), "never introduced");
        theirs.learn(2, 2, &topic("a/b")).unwrap();
        assert_eq!(theirs.look(2), Ok(topic("a/b")));
        assert!(theirs.look(1).is_err());
        theirs.learn(2, 2, &topic("c")).unwrap();
        assert_eq!(theirs.look(2), Ok(topic("c")));
        assert_eq!(theirs.learn(0, 2, &topic("c")), Err(FaultKind::MqttAliasZero.fault()));
        assert_eq!(theirs.learn(3, 2, &topic("c")), Err(FaultKind::MqttAliasUnknown.fault()));
    }

    #[test]
    fn a_number_that_is_not_used_gets_another_meaning() {
        let mut ours = Ours::new(2);
        for (text, number) in [(b"a", 1), (b"b", 2)] {
            assert_eq!(ours.look(text), Spoken::New(number));
            ours.learn(number, text);
            assert_eq!(ours.look(text), Spoken::Known(number));
        }
        assert_eq!(ours.look(b"c"), Spoken::Plain, "all are taken and in use");
        for _ in 0..PATIENCE * 2 {
            assert_eq!(ours.look(b"b"), Spoken::Known(2));
        }
        assert_eq!(ours.look(b"c"), Spoken::New(1));
        ours.learn(1, b"c");
        assert_eq!(ours.look(b"a"), Spoken::Plain);
        assert_eq!(ours.look(b"c"), Spoken::Known(1));
    }

    #[test]
    fn who_takes_no_numbers_gets_none() {
        assert_eq!(Ours::new(0).look(b"a"), Spoken::Plain);
    }
}
