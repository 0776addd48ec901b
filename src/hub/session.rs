//! Floor 2. A session: who somebody is, apart from how they are connected.
//!
//! It has a name, a principal, subscriptions and debts, and it outlives its connection when it is
//! durable. Absent on purpose: sockets and wire formats. It knows its connection only to wake it.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{ConnId, Lsn, OwnerNo, RealmId, SessionId};
use crate::base::seldom::Seldom;
use crate::base::time::Deadline;
use crate::base::words::Tongue;
use crate::topic::{Filter, LeafId, Topic};

use super::identity::Identity;
use super::message::{Charge, Durability};
use super::outbox::Outbox;
use super::policy::Principal;
use super::retained::Replay;
use super::will::Due;

/// Which protocol's names a session's name is one of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A PRX1 user.
    Prx1,
    /// An embedder's in-process peer.
    Local,
    /// A work queue; not a session, but the journal owes it in the same way.
    Queue,
    /// An MQTT client id.
    Mqtt,
    /// A WAMP session, which has no name to come back to.
    Wamp,
    /// The name of an aioconnectors client.
    Aio,
}

impl Kind {
    /// As journaled.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Prx1 => 1,
            Self::Local => 2,
            Self::Queue => 3,
            Self::Mqtt => 4,
            Self::Wamp => 5,
            Self::Aio => 6,
        }
    }

    /// As listings and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prx1 => "prx1",
            Self::Local => "local",
            Self::Queue => "queue",
            Self::Mqtt => "mqtt",
            Self::Wamp => "wamp",
            Self::Aio => "aio",
        }
    }

    /// From the journal.
    #[must_use]
    pub fn of(code: u8) -> Option<Self> {
        [Self::Prx1, Self::Local, Self::Queue, Self::Mqtt, Self::Wamp, Self::Aio]
            .into_iter()
            .find(|k| k.code() == code)
    }
}

/// What a subscriber asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SubOpts {
    /// At most this quality.
    pub qos: u8,
    /// The subscriber's own number for the subscription; 0: none.
    pub id: u32,
    /// Not its own publications.
    pub no_local: bool,
    /// Deliveries keep the publisher's retain flag.
    pub as_published: bool,
}

impl SubOpts {
    /// As journaled; `replaying` marks a replay of retained messages that had not ended.
    #[must_use]
    pub fn encode(self, replaying: bool) -> [u8; 6] {
        let flags =
            u8::from(self.no_local) | u8::from(self.as_published) << 1 | u8::from(replaying) << 2;
        let [a, b, c, d] = self.id.to_be_bytes();
        [self.qos, flags, a, b, c, d]
    }

    /// From the journal: the options, and whether a replay was under way.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, bool)> {
        let &[qos, flags, a, b, c, d] = bytes else { return None };
        let id = u32::from_be_bytes([a, b, c, d]);
        let opts = Self { qos, id, no_local: flags & 1 != 0, as_published: flags & 2 != 0 };
        Some((opts, flags & 4 != 0))
    }
}

/// Segments of the journal; a word while there are none, as for most sessions.
#[derive(Clone, Debug, Default)]
pub struct Homes(Option<Box<SmallVec<[u32; 2]>>>);

impl Homes {
    /// These.
    #[must_use]
    pub fn of(segments: impl IntoIterator<Item = u32>) -> Self {
        let all: SmallVec<_> = segments.into_iter().collect();
        Self((!all.is_empty()).then(|| Box::new(all)))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[u32] {
        self.0.as_ref().map_or(&[], |all| all)
    }

    /// One more; false: it was one of them.
    pub fn add(&mut self, segment: u32) -> bool {
        let new = !self.all().contains(&segment);
        if new {
            self.0.get_or_insert_default().push(segment);
        }
        new
    }
}

/// One subscription of a session: where it hangs in the realm's trie.
#[derive(Clone, Copy, Debug)]
pub struct Sub {
    /// The leaf all subscribers of that filter share.
    pub leaf: LeafId,
    /// The place among the leaf's members.
    pub slot: u32,
    /// What was asked for.
    pub opts: SubOpts,
    /// Bytes it takes in the session's full record.
    pub len: u32,
    /// When, in seconds since 1970; 0: before this start of the broker.
    pub since: u32,
}

/// One subscription of a session as a member of a group.
#[derive(Clone, Debug)]
pub struct Share {
    /// The leaf of all groups with that filter.
    pub leaf: LeafId,
    /// Which of them.
    pub group: Bytes,
    /// What was asked for.
    pub opts: SubOpts,
    /// Bytes it takes in the session's full record.
    pub len: u32,
    /// When, in seconds since 1970; 0: before this start of the broker.
    pub since: u32,
}

/// What most sessions do not have, kept apart so that an idle one is small.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// What it listens to in turns with others.
    pub(crate) shares: Vec<Share>,
    /// Numbers of its publications that it has not given free, ascending.
    pub(crate) inbound: Vec<u16>,
    /// To be published when its connection is lost.
    pub(crate) will: Option<Will>,
    /// Where the newest record of its ladders ends.
    pub(crate) recorded: Lsn,
    /// What the will weighs.
    pub(crate) charge: Option<Charge>,
    /// Wills that are due and wait for room, oldest first.
    pub(crate) due: Vec<Due>,
    /// When its will is carried out, after its connection was lost.
    pub(crate) will_at: Option<Deadline>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its own id, for lists that hold sessions.
    pub id: SessionId,
    /// Whose names its name is one of.
    pub kind: Kind,
    /// What its client speaks, or spoke last.
    pub tongue: Tongue,
    /// The namespace it lives in.
    pub realm: RealmId,
    /// Its name, and whom it acts for.
    pub who: Identity,
    /// The journal's number for it; durable sessions have one.
    pub owner: Option<OwnerNo>,
    /// It outlives its connection.
    pub durable: bool,
    /// The connection that speaks for it.
    pub conn: Option<ConnId>,
    /// What it is owed.
    pub outbox: Outbox,
    /// What it listens to, in the order of leaves.
    pub subs: SmallVec<[Sub; 1]>,
    /// Bytes those take in its full record.
    pub subs_bytes: u32,
    /// What most sessions do not have.
    pub(crate) extra: Option<Box<Extra>>,
    /// Since when nobody is connected, wall clock in ms.
    pub away_since: u64,
    /// Retained messages still to be handed over.
    pub replays: Seldom<Replay>,
    /// What its publications' acknowledgements wait for.
    pub level: Durability,
    /// Most unacknowledged deliveries.
    pub inflight_max: u32,
    /// How long it waits for its owner, in seconds.
    pub expiry_s: u64,
    /// When it is forgotten; never, while somebody is connected.
    pub expires: Deadline,
    /// What the wheel holds for it: nothing earlier is armed.
    pub armed: Deadline,
    /// The publish that last matched it.
    pub stamp: u64,
    /// Its place in that publish's list of readers.
    pub stamp_at: u32,
    /// It holds references for longer than a turn.
    pub lagging: bool,
    /// It was told to go, or will be as soon as it takes something.
    pub going: bool,
    /// It stands in the list of those with something to say.
    pub marked: bool,
    /// Settled something since the last commit.
    pub settled: bool,
    /// Segments with records that its revival needs: its full record, later subscriptions.
    pub homes: Homes,
    /// Waits for room to read ahead.
    pub queued_read: bool,
    /// That its owner left is not on record yet: there was no room.
    pub unmarked: bool,
    /// It has ended, and stays for the sake of a will that waits for room.
    pub ended: bool,
    /// Somebody else wants its name: is it still there?
    pub doubted: bool,
    /// Deliveries given up because there was no room for them.
    pub dropped: u32,
}

impl Session {
    /// What comes next while nobody is connected: its will, or its end.
    #[must_use]
    pub fn due(&self) -> Option<Deadline> {
        let will_at = self.extra.as_ref().and_then(|extra| extra.will_at);
        will_at.into_iter().chain([self.expires]).min().filter(|at| *at != Deadline::NEVER)
    }

    /// Its name; empty for one that nobody can come back to.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        self.who.name()
    }

    /// Whom it acts for.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        self.who.principal()
    }

    /// What to call it in a log: its name, or its owner's.
    #[must_use]
    pub fn label(&self) -> &Bytes {
        if self.name().is_empty() { &self.principal().user } else { self.name() }
    }

    /// What it listens to in turns with others.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        self.extra.as_ref().map_or(&[], |extra| &extra.shares)
    }

    /// Numbers of its publications that it has not given free, ascending.
    #[must_use]
    pub fn inbound(&self) -> &[u16] {
        self.extra.as_ref().map_or(&[], |extra| &extra.inbound)
    }

    /// What it wants said when its connection is lost.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        self.extra.as_ref()?.will.as_ref()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

/// What somebody wants said when its connection is lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub body: Bytes,
    /// Properties, opaque to the hub.
    pub props: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// As the topic's last value.
    pub retain: bool,
    /// Seconds it is of use once it is published; 0: for ever.
    pub expiry_s: u32,
    /// Seconds between the loss and its publication, if the session lasts so long.
    pub delay_s: u32,
}

impl Will {
    /// Bytes that the memory budget answers for.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.topic.text().len() + self.body.len() + self.props.len() + size_of::<Self>()
    }
}

/// A subscription as a plain value, for records and listings.
#[derive(Clone, Debug)]
pub struct SubView {
    /// The group it takes turns with; empty: none.
    pub group: Bytes,
    /// The filter.
    pub filter: Filter,
    /// What was asked for.
    pub opts: SubOpts,
    /// A replay of retained messages has not ended.
    pub replaying: bool,
    /// When, in seconds since 1970; 0: before this start of the broker.
    pub since: u32,
}
