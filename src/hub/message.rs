//! Floor 2. A message, and one delivery of it.
//!
//! A message is immutable and shared: fan-out queues references to it, never copies. It keeps the
//! topic as a value and the body in the form it arrived in. Absent on purpose: packet ids (they
//! follow from a delivery's ordinal) and every wire format.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::RealmId;
use crate::topic::Topic;

/// What a publisher hands to the hub.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The namespace.
    pub realm: RealmId,
    /// Where to.
    pub topic: Topic,
    /// The body, as it arrived.
    pub body: Bytes,
    /// Properties in the protocol-neutral form of the publisher's codec; usually empty.
    pub props: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Keep it as the topic's last value.
    pub retain: bool,
    /// Wall-clock millisecond at which it is of no use any more; 0: never.
    pub expires: u64,
    /// The publisher's number for it, to be remembered together with it until the publisher gives
    /// it free: a copy with that number is not a new message.
    pub inbound: Option<u16>,
}

/// A message on its way: shared by every outbox that owes it.
#[derive(Debug)]
pub struct Message {
    /// Where to.
    pub topic: Topic,
    /// The body, as it arrived.
    pub body: Bytes,
    /// Properties, opaque to the hub.
    pub props: Bytes,
    /// As published.
    pub qos: u8,
    /// Wall-clock millisecond of its publication.
    pub born: u64,
    /// The monotonic reading of the turn in which it came in; 0 when it was read back.
    pub came: u64,
    /// Wall-clock millisecond of its expiry; 0: never.
    pub expires: u64,
    /// Its weight on the memory budget, given back when the last reference goes.
    pub charge: Charge,
}

impl Message {
    /// Is it past its expiry?
    #[must_use]
    pub fn is_expired(&self, wall: u64) -> bool {
        self.expires != 0 && wall >= self.expires
    }

    /// Bytes that an outbox answers for.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.body.len() + self.props.len() + self.topic.text().len()
    }
}

/// Subscription identifiers a delivery carries; nearly always none or one.
pub type SubIds = SmallVec<[u32; 4]>;

/// Set in a number that stands among subscription identifiers, but names a group that the reader
/// was chosen for. No wire spells it: identifiers end at 268,435,455.
pub const SHARE: u32 = 1 << 31;

/// One message owed to one reader.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What.
    pub message: Arc<Message>,
    /// Which of the reader's acknowledged deliveries this is, counted from 1; 0 for QoS 0. See
    /// [`VOLATILE`].
    pub ord: u64,
    /// The lesser of what was published and what was subscribed.
    pub qos: u8,
    /// The reader is told that this is a kept value.
    pub retain: bool,
    /// It may have been sent before.
    pub dup: bool,
    /// It was asked for from a queue: the permission to request covers it, whatever the reader
    /// may receive.
    pub asked: bool,
    /// The reader was chosen for its group: if it ends without taking it, another is.
    pub shared: bool,
    /// It is owed to somebody who was connected when it came: how long it takes can be said.
    pub timed: bool,
    /// Which of the reader's subscriptions matched.
    pub subs: SubIds,
}

/// Set in the ordinals of deliveries that only memory knows of, to a session that the journal
/// owes others: they are counted apart, so that the journal's ordinals have no gaps.
pub const VOLATILE: u64 = 1 << 63;

/// Ids of counted deliveries: 1 to this.
pub const IDS: u64 = 49_151;
/// Ids of volatile ones beside them: the rest, up to 65534. 0 and 65535 are never used.
pub const VOLATILE_IDS: u64 = 16_383;

/// The packet id of an ordinal. A function, so that an id survives a restart without a record.
#[must_use]
pub fn id_of(ord: u64) -> u16 {
    if ord & VOLATILE == 0 {
        ((ord.wrapping_sub(1) % IDS) + 1) as u16
    } else {
        (((ord & !VOLATILE).wrapping_sub(1) % VOLATILE_IDS) + IDS + 1) as u16
    }
}

/// How much memory messages use, all together.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    used: Arc<AtomicUsize>,
    whole: Option<Arc<AtomicUsize>>,
}

impl Meter {
    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A meter of its own for a part of what this one measures.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { used: Arc::default(), whole: Some(Arc::clone(&self.used)) }
    }

    /// Take up `bytes` until the charge is dropped.
    #[must_use]
    pub fn charge(&self, bytes: usize) -> Charge {
        for used in core::iter::once(&self.used).chain(&self.whole) {
            used.fetch_add(bytes, Ordering::Relaxed);
        }
        Charge { bytes, meter: self.clone() }
    }
}

/// A share of the memory budget.
#[derive(Debug)]
pub struct Charge {
    bytes: usize,
    meter: Meter,
}

impl Charge {
    /// Take up `bytes` instead of what it took up.
    pub(crate) fn set(&mut self, bytes: usize) {
        for used in core::iter::once(&self.meter.used).chain(&self.meter.whole) {
            used.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// What it takes up.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Messages that are over. The next ones are made in their place, so that a message mostly needs no
/// memory of its own but the buffer it was read into. What no turn needs is given back bit by bit.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    all: Vec<Arc<Message>>,
    /// The fewest that were left in this turn.
    least: usize,
    /// What a spare is about whose own topic would keep a read buffer alive.
    nothing: Option<Topic>,
}

/// Kept for the next ones, at most.
const SPARES: usize = 8_192;
/// A spare keeps its topic; one with a longer text than this is let go.
const SPARE_TEXT: usize = 64;

impl Spares {
    /// A message; its weight counts on `meter`, on which that of every spare did.
    pub(crate) fn make(&mut self, meter: &Meter, bytes: usize, like: Like) -> Arc<Message> {
        let Like { topic, body, props, qos, born, came, expires } = like;
        let spare = self.all.pop();
        self.least = self.least.min(self.all.len());
        if let Some(mut spare) = spare
            && let Some(m) = Arc::get_mut(&mut spare)
        {
            (m.topic, m.body, m.props, m.qos) = (topic, body, props, qos);
            (m.born, m.came, m.expires) = (born, came, expires);
            m.charge.set(bytes);
            return spare;
        }
        let charge = meter.charge(bytes);
        Arc::new(Message { topic, body, props, qos, born, came, expires, charge })
    }

    /// Somebody is done with it. If nobody else holds it, it is over.
    pub(crate) fn take_back(&mut self, mut message: Arc<Message>) {
        if self.all.len() >= SPARES {
            return;
        }
        if let Some(m) = Arc::get_mut(&mut message)
            && m.charge.meter.whole.is_none()
            && m.topic.text().len() <= SPARE_TEXT
        {
            (m.body, m.props) = (Bytes::new(), Bytes::new());
            if !m.topic.is_own() {
                let nothing = || Topic::split(Bytes::new(), b'/');
                m.topic = self.nothing.get_or_insert_with(nothing).clone();
            }
            m.charge.set(0);
            self.all.push(message);
        }
    }

    /// A turn is over: of those it did not need, some are not needed.
    pub(crate) fn on_turn_over(&mut self) {
        let unneeded = self.least.div_ceil(64);
        self.all.truncate(self.all.len() - unneeded);
        self.least = self.all.len();
        if self.all.is_empty() {
            self.all = Vec::new();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// What a message is made of.
pub(crate) struct Like {
    pub(crate) topic: Topic,
    pub(crate) body: Bytes,
    pub(crate) props: Bytes,
    pub(crate) qos: u8,
    pub(crate) born: u64,
    pub(crate) came: u64,
    pub(crate) expires: u64,
}

/// What an acknowledgement of a publish waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Nothing: messages are not journaled.
    Memory,
    /// The record is in the mapped file: survives the death of the process.
    Os,
    /// The record is on the device: survives the loss of power.
    Disk,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, body: &Bytes) -> Like {
        let topic = Topic::split(Bytes::copy_from_slice(text.as_bytes()), b'/');
        let (body, props) = (body.clone(), Bytes::new());
        Like { topic, body, props, qos: 1, born: 1, came: 2, expires: 3 }
    }

    #[test]
    fn a_message_is_made_in_place_of_one_that_is_over() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let body = Bytes::from(vec![b'a'; 100]);
        // As it is read: topic and body lie in one buffer.
        let topic = Topic::split(body.slice(..3), b'/');
        let first = spares.make(&meter, 10, Like { topic, ..like("", &body) });
        let at = Arc::as_ptr(&first);
        let other = Arc::clone(&first);
        spares.take_back(first);
        assert_eq!((spares.len(), meter.used()), (0, 10), "somebody holds it");
        spares.take_back(other);
        assert_eq!((spares.len(), meter.used()), (1, 0));
        assert!(body.is_unique(), "a spare holds no buffer");
        let second = spares.make(&meter, 30, like("c", &body));
        assert_eq!((Arc::as_ptr(&second), spares.len(), meter.used()), (at, 0, 30));
        assert_eq!((second.topic.text(), &second.body), (&Bytes::from_static(b"c"), &body));
        assert_eq!((second.qos, second.born, second.came, second.expires), (1, 1, 2, 3));
        drop(second);
        assert_eq!(meter.used(), 0);
    }

    #[test]
    fn what_weighs_on_another_meter_or_is_long_is_no_spare() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let stored = spares.make(&meter.part(), 10, like("a", &Bytes::new()));
        spares.take_back(stored);
        let long = spares.make(&meter, 10, like(&"a".repeat(SPARE_TEXT + 1), &Bytes::new()));
        spares.take_back(long);
        assert_eq!((spares.len(), meter.used()), (0, 0));
    }

    #[test]
    fn spares_that_no_turn_needs_are_given_back() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let turn = |spares: &mut Spares, n: usize| {
            let all: Vec<_> =
                (0..n).map(|_| spares.make(&meter, 1, like("a", &Bytes::new()))).collect();
            spares.on_turn_over();
            all.into_iter().for_each(|message| spares.take_back(message));
        };
        for _ in 0..50 {
            turn(&mut spares, 1_000);
        }
        assert!(spares.len() >= 1_000 - 1_000 / 32, "{}: what is needed stays", spares.len());
        for _ in 0..1_000 {
            turn(&mut spares, 1);
        }
        assert!(spares.len() <= 2, "{}", spares.len());
        turn(&mut spares, 2 * SPARES);
        assert_eq!(spares.len(), SPARES);
    }
}
