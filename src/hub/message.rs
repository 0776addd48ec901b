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
    /// It is so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        for used in core::iter::once(&self.meter.used).chain(&self.meter.whole) {
            // Added first: the sum never goes below what is there.
            used.fetch_add(bytes, Ordering::Relaxed);
            used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for used in core::iter::once(&self.meter.used).chain(&self.meter.whole) {
            used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
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
