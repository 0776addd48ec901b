//! Floor 2. A message, and one delivery of it.
//!
//! A message is immutable and shared: fan-out queues references to it, never copies. It keeps the
//! topic as a value and the body in the form it arrived in. Absent on purpose: packet ids (they
//! follow from a delivery's ordinal) and every wire format.

use core::ops::Deref;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::RealmId;
use crate::base::outbound::Outbound;
use crate::base::time::Now;
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

/// What a message says: a part of the buffer it was read into, or, when it must not keep that
/// alive, a copy. A short copy lies in the message itself and needs no memory of its own.
#[derive(Clone, Debug)]
pub struct Body(Form);

#[derive(Clone, Debug)]
enum Form {
    Shared(Bytes),
    Short(u8, [u8; SHORT]),
}

/// The longest copy that lies in the message itself: with it a message takes three cache lines.
const SHORT: usize = 78;

impl Body {
    /// A copy.
    pub(crate) fn apart(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        Self(match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Form::Short(bytes.len() as u8, short)
            }
            None => Form::Shared(Bytes::copy_from_slice(bytes)),
        })
    }

    /// Say this from now on, and keep nothing else alive.
    fn copy(&mut self, bytes: &[u8]) {
        if let Form::Short(len, short) = &mut self.0
            && let Some(place) = short.get_mut(..bytes.len())
        {
            place.copy_from_slice(bytes);
            *len = bytes.len() as u8;
        } else {
            *self = Self::apart(bytes);
        }
    }

    /// As a value that can be shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Form::Shared(bytes) => bytes.clone(),
            Form::Short(..) => Bytes::copy_from_slice(self),
        }
    }

    /// Append it to what is said.
    #[inline]
    pub fn put(&self, out: &mut Outbound) {
        match &self.0 {
            Form::Shared(bytes) => out.put_bytes(bytes),
            Form::Short(..) => out.put_slice(self),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self(Form::Shared(Bytes::new()))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Form::Shared(bytes))
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Shared(bytes) => bytes,
            Form::Short(len, short) => short.get(..usize::from(*len)).unwrap_or_default(),
        }
    }
}

impl Publication {
    /// What it weighs on the memory budget.
    pub(crate) fn weight(&self) -> usize {
        self.body.len() + self.props.len() + self.topic.text().len() + 64
    }
}

/// A message on its way: shared by every outbox that owes it.
#[derive(Debug)]
pub struct Message {
    /// Where to.
    pub topic: Topic,
    /// The body, as it arrived.
    pub body: Body,
    /// Properties, opaque to the hub.
    pub props: Bytes,
    /// As published.
    pub qos: u8,
    /// Which of those that came in it is, counted round; 0 when it was read back.
    pub serial: u32,
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

    /// Say what `p` says. `apart`: it will outlive the turn, so it must not keep a read buffer
    /// alive; else it is not copied but taken out of `p`.
    #[inline]
    fn become_like(&mut self, now: Now, p: &mut Publication, apart: bool) {
        if apart {
            self.topic = p.topic.detached();
            self.body.copy(&p.body);
        } else {
            core::mem::swap(&mut self.topic, &mut p.topic);
            self.body = Body::from(core::mem::take(&mut p.body));
        }
        if !p.props.is_empty() {
            self.props = if apart {
                Bytes::copy_from_slice(&p.props)
            } else {
                core::mem::take(&mut p.props)
            };
        }
        (self.qos, self.expires) = (p.qos, p.expires);
        (self.born, self.came) = (now.wall, now.mono);
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
        if bytes == self.bytes {
            return;
        }
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
/// A spare goes on weighing what its message did, and what all of them weigh is known here: the
/// next one mostly weighs as much, and nothing need be counted.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// First made, first used: who is owed many then finds them side by side, as they were made.
    all: VecDeque<Arc<Message>>,
    /// What they weigh on the meter.
    weight: usize,
    /// The fewest that were left in this turn.
    least: usize,
    /// What a spare is about whose own topic would keep a read buffer alive.
    nothing: Option<Topic>,
    /// How many messages were made, counted round.
    made: u32,
}

/// Kept for the next ones, at most.
const SPARES: usize = 8_192;
/// A spare keeps its topic; one with a longer text than this is let go.
const SPARE_TEXT: usize = 64;

impl Spares {
    /// A message like `p`; its weight counts on `meter`, on which that of every spare did. With
    /// `apart` it keeps no read buffer alive; else what `p` says is taken out of it.
    pub(crate) fn make(
        &mut self,
        now: Now,
        meter: &Meter,
        p: &mut Publication,
        apart: bool,
    ) -> Arc<Message> {
        self.made = self.made.wrapping_add(1);
        let spare = self.all.pop_front();
        self.least = self.least.min(self.all.len());
        if let Some(mut spare) = spare {
            self.weight -= spare.charge.bytes();
            if let Some(m) = Arc::get_mut(&mut spare) {
                m.charge.set(p.weight());
                m.become_like(now, p, apart);
                m.serial = self.made;
                return spare;
            }
        }
        let charge = meter.charge(p.weight());
        let mut m = Message {
            topic: p.topic.clone(),
            body: Body::default(),
            props: Bytes::new(),
            qos: 0,
            serial: self.made,
            born: 0,
            came: 0,
            expires: 0,
            charge,
        };
        m.become_like(now, p, apart);
        Arc::new(m)
    }

    /// Somebody is done with it. If nobody else holds it, it is over.
    pub(crate) fn take_back(&mut self, mut message: Arc<Message>) {
        if self.all.len() >= SPARES || Arc::strong_count(&message) > 1 {
            return;
        }
        if let Some(m) = Arc::get_mut(&mut message)
            && m.charge.meter.whole.is_none()
            && m.topic.text().len() <= SPARE_TEXT
        {
            if matches!(m.body.0, Form::Shared(_)) {
                m.body = Body::default();
            }
            if !m.props.is_empty() {
                m.props = Bytes::new();
            }
            if !m.topic.is_own() {
                let nothing = || Topic::split(Bytes::new(), b'/');
                m.topic = self.nothing.get_or_insert_with(nothing).clone();
            }
            self.weight += m.charge.bytes();
            self.all.push_back(message);
        }
    }

    /// A turn is over: of those it did not need, some are not needed.
    pub(crate) fn on_turn_over(&mut self) {
        let before = self.all.len();
        let needed = before - self.least.div_ceil(64);
        for unneeded in self.all.drain(needed..) {
            self.weight -= unneeded.charge.bytes();
        }
        self.least = self.all.len();
        // Where all are in use just now, they come back, and their places are needed again.
        if self.all.is_empty() && before > 0 {
            self.all = VecDeque::new();
        }
    }

    /// What they weigh on the meter, though nobody is owed them.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
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

    const NOW: Now = Now { mono: 2, wall: 1 };

    fn publication(text: &str, body: &Bytes) -> Publication {
        let topic = Topic::split(Bytes::copy_from_slice(text.as_bytes()), b'/');
        let (realm, body, props) = (RealmId(0), body.clone(), Bytes::new());
        Publication { realm, topic, body, props, qos: 1, retain: false, expires: 3, inbound: None }
    }

    fn make(spares: &mut Spares, meter: &Meter, text: &str, body: &Bytes) -> Arc<Message> {
        spares.make(NOW, meter, &mut publication(text, body), false)
    }

    /// What the meter knows of, besides spares.
    fn used(spares: &Spares, meter: &Meter) -> usize {
        meter.used() - spares.weight()
    }

    #[test]
    fn a_message_is_made_in_place_of_one_that_is_over() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let body = Bytes::from(vec![b'a'; 100]);
        // As it is read: topic and body lie in one buffer.
        let topic = Topic::split(body.slice(..3), b'/');
        let mut p = Publication { topic, ..publication("", &body) };
        let first = spares.make(NOW, &meter, &mut p, false);
        drop(p);
        let at = Arc::as_ptr(&first);
        let other = Arc::clone(&first);
        spares.take_back(first);
        assert_eq!((spares.len(), used(&spares, &meter)), (0, 167), "somebody holds it");
        spares.take_back(other);
        assert_eq!((spares.len(), used(&spares, &meter)), (1, 0));
        assert!(body.is_unique(), "a spare holds no buffer");
        let short = body.slice(..10);
        let second = make(&mut spares, &meter, "c", &short);
        assert_eq!((Arc::as_ptr(&second), spares.len()), (at, 0));
        assert_eq!((used(&spares, &meter), meter.used()), (75, 75));
        assert_eq!(
            (second.topic.text(), &second.body[..]),
            (&Bytes::from_static(b"c"), &short[..])
        );
        assert_eq!((second.qos, second.born, second.came, second.expires), (1, 1, 2, 3));
        drop(second);
        assert_eq!(meter.used(), 0);
    }

    #[test]
    fn what_is_taken_is_taken_out_and_what_is_copied_stays() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 3 * SHORT] {
            // Twice: a new one, and one in place of another.
            for _ in 0..2 {
                let (body, props) = (Bytes::from(vec![b'b'; len]), Bytes::from(vec![b'p'; 9]));
                for apart in [true, false] {
                    let props = props.clone();
                    let mut p = Publication { props, ..publication("a", &body) };
                    let message = spares.make(NOW, &meter, &mut p, apart);
                    let said = (&message.body[..], message.body.to_bytes(), &message.props[..]);
                    assert_eq!(said, (&body[..], body.clone(), &b"ppppppppp"[..]));
                    assert_eq!(message.topic.text(), &b"a"[..]);
                    let left = if apart { (len, 9) } else { (0, 0) };
                    assert_eq!((p.body.len(), p.props.len()), left);
                    drop(p);
                    assert!(!apart || len == 0 || body.is_unique(), "a copy of {len}");
                    let mut out = Outbound::default();
                    message.body.put(&mut out);
                    assert_eq!(out.to_vec(), body);
                    spares.take_back(message);
                }
                assert!((len == 0 || body.is_unique()) && props.is_unique());
            }
        }
        assert_eq!((spares.len(), used(&spares, &meter)), (1, 0));
        let plain = make(&mut spares, &meter, "a", &Bytes::new());
        assert!(plain.props.is_empty() && plain.body.is_empty(), "nothing of another is left");
    }

    #[test]
    fn a_message_takes_three_cache_lines() {
        let counts = 2 * size_of::<usize>();
        assert_eq!(size_of::<Message>() + counts, 192);
    }

    #[test]
    fn what_weighs_on_another_meter_or_is_long_is_no_spare() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let stored = make(&mut spares, &meter.part(), "a", &Bytes::new());
        spares.take_back(stored);
        let long = make(&mut spares, &meter, &"a".repeat(SPARE_TEXT + 1), &Bytes::new());
        spares.take_back(long);
        assert_eq!((spares.len(), meter.used()), (0, 0));
    }

    #[test]
    fn spares_that_no_turn_needs_are_given_back() {
        let (mut spares, meter) = (Spares::default(), Meter::default());
        let turn = |spares: &mut Spares, n: usize| {
            let all: Vec<_> = (0..n).map(|_| make(spares, &meter, "a", &Bytes::new())).collect();
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
        assert_eq!(used(&spares, &meter), 0);
        turn(&mut spares, 2 * SPARES);
        assert_eq!((spares.len(), used(&spares, &meter)), (SPARES, 0));
    }
}
