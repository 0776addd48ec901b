//! Floor 0. Identities that cannot be mistaken for one another, and that die with what they name.
//!
//! A slot is reused, its `life` is not: whoever holds an old id finds nobody. Absent on purpose:
//! any way to make an id from a number that did not come out of a slab, a journal or a packet.

/// One connection: a slot, and which of its lives is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnId {
    /// The slot.
    pub index: u32,
    /// Which occupant of the slot; counted up each time the slot is freed.
    pub life: u32,
}

/// One session in memory: a slot, and which of its lives is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId {
    /// The slot.
    pub index: u32,
    /// Which occupant of the slot; counted up each time the slot is freed.
    pub life: u32,
}

/// Two connections whose bytes go from one to the other: a slot, and which of its lives is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PairId {
    /// The slot.
    pub index: u32,
    /// Which occupant of the slot; counted up each time the slot is freed.
    pub life: u32,
}

/// Whoever the journal can owe something: a durable session or a durable queue. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OwnerNo(pub u32);

/// A question sent to a thread, so that its answer finds its asker, or nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket {
    /// Who asked.
    pub conn: ConnId,
    /// Which of the asker's questions.
    pub serial: u32,
}

/// A byte position in the journal; segment and offset follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before everything: a reply that waits for this waits for nothing.
    pub const START: Self = Self(0);
}

/// A namespace: topics, retained messages, names and queues that see each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct RealmId(pub u16);

/// A listener, by its place in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct ListenerNo(pub u16);
