//! Floor 3. One folder per protocol, and the staircase they share.
//!
//! [`Protocol`] documents the contract; the enum [`Peer`] dispatches, because the set is closed.
//! Reading order: `fault`, `doom`, `replies`, then a folder: `mod`, `packet`, `decode`, `encode`,
//! `peer`, `dialect`, `fault`. Absent on purpose: sockets, threads and one protocol's words in
//! another's folder.

pub mod aio;
pub mod carried;
#[cfg(test)]
mod carried_test;
pub mod doom;
pub mod fault;
pub mod foo;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod http;
pub mod local;
pub mod mqtt;
pub mod procedure;
pub mod prx1;
pub mod replies;
pub mod unknown;
pub mod wamp;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::base::id::{ConnId, ListenerNo, Lsn, PairId, RealmId, SessionId, Ticket};
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, Now};
use crate::hub::Hub;
use crate::hub::admin::{About, Operation};
use crate::hub::message::Durability;
use crate::hub::policy::{Address, Secret};
use crate::link::ws_handshake::Cookie;
use crate::link::{Carrier, Spoken, Terms};

use doom::Doom;
use fault::Fault;

/// What a listener speaks and promises.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its place in the configuration.
    pub no: ListenerNo,
    /// The protocol.
    pub speak: Speak,
    /// The namespace its connections live in.
    pub realm: RealmId,
    /// What an acknowledgement waits for.
    pub level: Durability,
    /// What its connections are wrapped in.
    pub link: Terms,
    /// The relay that its connections go through, where it is one's.
    pub relay: Option<u16>,
    /// What is kept of connectors that come here, and of files of theirs.
    pub desk: Option<Arc<aio::errand::Desk>>,
}

/// A protocol, as configuration names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Speak {
    /// PRX1.
    Prx1,
    /// MQTT, in all its versions.
    Mqtt,
    /// Whatever the first bytes, or the subprotocol of a WebSocket, say.
    Any,
    /// HTTP, for whoever runs the broker.
    Http,
    /// The Foo protocol, for a relay.
    Foo,
    /// HTTP, for whoever asks how relays are doing.
    Stats,
    /// WAMP, in every form.
    Wamp,
    /// aioconnectors.
    Aio,
    /// The embedding program.
    Local,
}

impl From<Spoken> for Speak {
    fn from(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Prx1 => Self::Prx1,
            Spoken::Mqtt => Self::Mqtt,
            Spoken::Http => Self::Http,
            Spoken::Wamp(_) | Spoken::Polls => Self::Wamp,
        }
    }
}

impl Speak {
    /// The name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prx1 => "prx1",
            Self::Mqtt => "mqtt",
            Self::Any => "any",
            Self::Http => "http",
            Self::Foo => "foo",
            Self::Wamp => "wamp",
            Self::Aio => "aio",
            Self::Stats => "foo+http",
            Self::Local => "local",
        }
    }
}

/// What a peer asks of the engine while it is called.
#[derive(Debug)]
pub enum Ask {
    /// Compare a password with a hash, in a worker.
    Verify {
        /// Whose question.
        ticket: Ticket,
        /// From where: workers are shared fairly among addresses.
        address: Address,
        /// The same for equal questions of one network; 0: like no other.
        tag: u128,
        /// The password.
        secret: Secret,
        /// The hash.
        hash: Arc<str>,
    },
    /// This connection lost its session to another.
    Yield(ConnId),
    /// Call again when there is room.
    Stall,
    /// Call again in the next turn.
    Again,
    /// The peer said goodbye.
    Leave,
    /// Open a connection to this upstream of this relay.
    Dial {
        /// Which relay.
        relay: u16,
        /// Which of its upstreams.
        at: u16,
        /// For whom, or only to see whether it is there.
        pair: Option<PairId>,
    },
    /// That connection is as good as gone: end it.
    Forsake(ConnId),
    /// Something of a session that is spoken to by requests.
    Wish(Wish),
    /// Something about the names of connectors, or a file of theirs, for who may wait for a disk.
    Errand {
        /// Whose.
        ticket: Ticket,
        /// Where it is kept.
        desk: Arc<aio::errand::Desk>,
        /// What.
        errand: aio::errand::Errand,
    },
    /// Whoever drives the machine is to do this.
    Operate {
        /// Whose wish.
        ticket: Ticket,
        /// What.
        what: Operation,
    },
}

/// What requests want of a session of WAMP that they speak to.
#[derive(Debug)]
pub enum Wish {
    /// Open one that speaks so, for whoever has shown this.
    Open(Carrier, Option<Cookie>),
    /// It is to hear this.
    Hand(ConnId, Bytes),
    /// Somebody was there for it.
    Alive(ConnId),
    /// It is over.
    Close(ConnId),
}

/// What a peer may see and touch while it is called.
pub struct Ctx<'a> {
    /// The reading of this turn.
    pub now: Now,
    /// The connection.
    pub conn: ConnId,
    /// The shared middle.
    pub hub: &'a mut Hub,
    /// What it asks of the engine.
    pub asks: &'a mut Vec<Ask>,
    /// The listener it came through.
    pub listener: &'a Listener,
    /// Where it comes from.
    pub address: Address,
    /// It comes from this machine.
    pub loopback: bool,
    /// The name in the certificate it showed, when it showed one that was verified.
    pub certificate: Option<&'a str>,
}

/// The contract of a protocol's state machine.
pub trait Protocol {
    /// Take whole packets off the front of `input`, at most one turn's share of them. Called
    /// again without new bytes after a verdict, after room came free, and to finish a share.
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault>;
    /// A worker compared the password of the ticket with this serial.
    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault>;
    /// The deadline came.
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom>;
    /// It is over: detach, and leave last words among the replies.
    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>);
    /// Encode replies, then deliveries, until `out` holds about `budget` bytes. True: there is
    /// more that could be said at once.
    fn poll_transmit(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound, budget: usize)
    -> bool;
    /// When to call `on_deadline`, at the latest.
    fn deadline(&self) -> Deadline;
    /// May bytes be given to it? Derived from its state, never stored.
    fn wants_bytes(&self, hub: &Hub) -> bool;
    /// A whole packet, or one that can never be whole, stands at the front of `input`.
    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool;
    /// The journal position its first reply waits for.
    fn waits_for(&self) -> Option<Lsn>;
    /// Its session, once it has one.
    fn session(&self) -> Option<SessionId>;
    /// It has not identified itself yet.
    fn is_stranger(&self) -> bool;
    /// Heap bytes it owns, for the bench of idle connections.
    fn heap(&self) -> usize;
    /// What whoever runs the broker is told about it.
    fn about(&self) -> About;
}

/// A peer of any protocol.
#[derive(Debug)]
pub enum Peer {
    /// PRX1.
    Prx1(Box<prx1::peer::Peer>),
    /// MQTT.
    Mqtt(Box<mqtt::peer::Peer>),
    /// HTTP.
    Http(Box<http::peer::Peer>),
    /// One side of a relay.
    Foo(Box<foo::peer::Peer>),
    /// WAMP.
    Wamp(Box<wamp::peer::Peer>),
    /// aioconnectors.
    Aio(Box<aio::peer::Peer>),
    /// Nobody knows yet.
    Unknown(unknown::Unknown),
    /// The embedding program.
    Local(Box<local::peer::Peer>),
}

macro_rules! dispatch {
    ($self:expr, $peer:ident => $do:expr) => {
        match $self {
            Peer::Prx1($peer) => $do,
            Peer::Mqtt($peer) => $do,
            Peer::Http($peer) => $do,
            Peer::Foo($peer) => $do,
            Peer::Wamp($peer) => $do,
            Peer::Aio($peer) => $do,
            Peer::Unknown($peer) => $do,
            Peer::Local($peer) => $do,
        }
    };
}

impl Peer {
    /// A new peer for a connection of this listener.
    #[must_use]
    pub fn new(speak: Speak, now: Now, hub: &Hub) -> Self {
        match speak {
            Speak::Prx1 => Self::Prx1(Box::new(prx1::peer::Peer::new(now, hub))),
            Speak::Mqtt => Self::Mqtt(Box::new(mqtt::peer::Peer::new(now, hub))),
            Speak::Http => Self::Http(Box::new(http::peer::Peer::new(now, hub))),
            Speak::Stats => Self::Http(Box::new(http::peer::Peer::of_relays(now, hub))),
            // Of which relay, only the listener knows: see `relayed`.
            Speak::Foo => Self::relayed(0, now, hub),
            Speak::Any => Self::Unknown(unknown::Unknown::new(now, hub)),
            Speak::Wamp => Self::spoken(Spoken::Wamp(Carrier::Raw), now, hub),
            Speak::Aio => Self::Aio(Box::new(aio::peer::Peer::new(now, hub))),
            Speak::Local => Self::Local(Box::default()),
        }
    }

    /// A new peer, of whom first bytes or a subprotocol have told what it speaks.
    #[must_use]
    pub fn spoken(spoken: Spoken, now: Now, hub: &Hub) -> Self {
        match spoken {
            Spoken::Wamp(carrier) => {
                Self::Wamp(Box::new(wamp::peer::Peer::carried(carrier, now, hub)))
            }
            Spoken::Polls => Self::Http(Box::new(http::peer::Peer::of_polls(now, hub))),
            Spoken::Prx1 | Spoken::Mqtt | Spoken::Http => Self::new(Speak::from(spoken), now, hub),
        }
    }

    /// A client of the relay of this number.
    #[must_use]
    pub fn relayed(relay: u16, now: Now, hub: &Hub) -> Self {
        let by = now.after_ms(hub.limits.connect_ms_max);
        Self::Foo(Box::new(foo::peer::Peer::client(relay, by)))
    }
}

impl Protocol for Peer {
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        dispatch!(self, p => p.on_bytes(input, ctx))
    }
    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        dispatch!(self, p => p.on_verdict(serial, ok, ctx))
    }
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        dispatch!(self, p => p.on_deadline(ctx))
    }
    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        dispatch!(self, p => p.on_doom(doom, ctx));
    }
    fn poll_transmit(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound, most: usize) -> bool {
        dispatch!(self, p => p.poll_transmit(now, hub, out, most))
    }
    fn deadline(&self) -> Deadline {
        dispatch!(self, p => p.deadline())
    }
    fn wants_bytes(&self, hub: &Hub) -> bool {
        dispatch!(self, p => p.wants_bytes(hub))
    }
    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        dispatch!(self, p => p.has_packet(input, hub))
    }
    fn waits_for(&self) -> Option<Lsn> {
        dispatch!(self, p => p.waits_for())
    }
    fn session(&self) -> Option<SessionId> {
        dispatch!(self, p => p.session())
    }
    fn is_stranger(&self) -> bool {
        dispatch!(self, p => p.is_stranger())
    }
    fn heap(&self) -> usize {
        dispatch!(self, p => p.heap())
    }
    fn about(&self) -> About {
        dispatch!(self, p => p.about())
    }
}
