//! Floor 3. One side of a relay, as the machine sees it.
//!
//! Both sides are connections like any other: bytes in, bytes out, a deadline. What is special to
//! them stands in three more calls, which only they have: a connection was accepted, a dialed one
//! is there, the other side of the pair wants something done. Absent on purpose: what either side
//! does (`client`, `upstream`).

use bytes::BytesMut;

use crate::base::id::{Lsn, PairId, SessionId};
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, Now};
use crate::hub::Hub;
use crate::hub::admin::About;
use crate::proto::doom::Doom;
use crate::proto::fault::Fault;
use crate::proto::{Ctx, Protocol};

use super::client::Client;
use super::upstream::Upstream;

/// One side of a relay.
#[derive(Debug)]
pub enum Peer {
    /// Who came to us.
    Client(Client),
    /// Whom we went to.
    Upstream(Upstream),
}

impl Peer {
    /// A client of the relay of this number; what lies between us is agreed upon by then.
    #[must_use]
    pub fn client(relay: u16, by: Deadline) -> Self {
        Self::Client(Client::new(relay, by))
    }

    /// An upstream that is being dialed, for a pair or only to see whether it is there.
    #[must_use]
    pub fn upstream(relay: u16, at: u16, pair: Option<PairId>, by: Deadline) -> Self {
        Self::Upstream(Upstream::new(relay, at, pair, by))
    }

    /// It was accepted.
    pub fn on_accepted(&mut self, ctx: &mut Ctx<'_>) {
        if let Self::Client(client) = self {
            client.on_accepted(ctx);
        }
    }

    /// The connection that was dialed is there, and what lies between us is to be agreed upon.
    pub fn on_reached(&mut self) {
        if let Self::Upstream(upstream) = self {
            upstream.on_reached();
        }
    }

    /// The connection that was dialed can be used.
    pub fn on_connected(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        match self {
            Self::Upstream(upstream) => upstream.on_connected(ctx),
            Self::Client(_) => Ok(()),
        }
    }

    /// Nothing more comes from it; it may still be told something.
    pub fn on_end(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        match self {
            Self::Client(client) => client.on_end(ctx),
            Self::Upstream(upstream) => upstream.on_end(ctx),
        }
    }

    /// Something happened to its pair that it must act upon.
    pub fn on_nudge(&mut self, pair: PairId, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        match self {
            Self::Client(client) => client.on_nudge(ctx),
            Self::Upstream(upstream) => upstream.on_nudge(pair, ctx),
        }
    }

    /// Which pair it is of.
    #[must_use]
    pub fn pair(&self) -> Option<PairId> {
        match self {
            Self::Client(client) => client.pair,
            Self::Upstream(upstream) => upstream.pair,
        }
    }
}

impl Protocol for Peer {
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match self {
            Self::Client(client) => client.on_bytes(input, ctx),
            Self::Upstream(upstream) => upstream.on_bytes(input, ctx),
        }
        Ok(())
    }

    fn on_verdict(&mut self, _: u32, _: bool, _: &mut Ctx<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        match self {
            Self::Client(client) => client.on_deadline(ctx),
            Self::Upstream(upstream) => upstream.on_deadline(ctx),
        }
    }

    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        match self {
            Self::Client(client) => client.on_doom(ctx),
            Self::Upstream(upstream) => upstream.on_doom(doom, ctx),
        }
    }

    fn poll_transmit(&mut self, _: Now, hub: &mut Hub, out: &mut Outbound, most: usize) -> bool {
        let up = matches!(self, Self::Upstream(upstream) if upstream.is_open());
        let silent = matches!(self, Self::Upstream(upstream) if !upstream.is_open());
        let room = most.saturating_sub(out.len());
        match self.pair() {
            Some(pair) if !silent => hub.relays.speak(pair, up, out, room),
            _ => false,
        }
    }

    fn deadline(&self) -> Deadline {
        match self {
            Self::Client(client) => client.look_at,
            Self::Upstream(upstream) => upstream.look_at(),
        }
    }

    fn wants_bytes(&self, hub: &Hub) -> bool {
        match (self, self.pair()) {
            // Before it has a pair, what comes is for what lies between us.
            (Self::Client(_), pair) => pair.is_none_or(|id| hub.relays.takes_up(id)),
            (Self::Upstream(upstream), pair) => {
                upstream.is_reached() && pair.is_none_or(|id| hub.relays.takes_down(id))
            }
        }
    }

    fn has_packet(&self, _: &[u8], _: &Hub) -> bool {
        // Everything that comes is taken at once.
        false
    }

    fn waits_for(&self) -> Option<Lsn> {
        None
    }

    fn session(&self) -> Option<SessionId> {
        None
    }

    fn is_stranger(&self) -> bool {
        // Nobody says who it is here.
        false
    }

    fn heap(&self) -> usize {
        size_of::<Self>()
    }

    fn about(&self) -> About {
        About { protocol: "foo", ..About::default() }
    }
}
