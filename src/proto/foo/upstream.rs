//! Floor 3. The side of a relay that we went to.
//!
//! It is dialed for one pair, or laid by when its client has left it clean and taken up by the
//! next; or it is only to be seen whether somebody is there. Absent on purpose: choosing it
//! (`hub/relay/upstreams`).

use bytes::BytesMut;

use crate::base::id::PairId;
use crate::base::time::{Deadline, MS};
use crate::hub::relay::meter::{Flaw, Tally};
use crate::hub::relay::pipe::End;
use crate::hub::relay::{Away, Pair, Stage};
use crate::proto::doom::Doom;
use crate::proto::{Ask, Ctx};

use super::decode::Scanner;
use super::packet::Line;

/// A connection that nobody uses is kept for so long.
const SPARE_MS: u64 = 60_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It is there by then, or counts as one that refused.
    Dialing(Deadline),
    /// It is there, and what lies between us is agreed upon by then.
    Reached(Deadline),
    /// It is there.
    Open,
    /// It is there and nobody uses it, until then.
    Spare(Deadline),
}

/// Whom we went to.
#[derive(Debug)]
pub struct Upstream {
    relay: u16,
    at: u16,
    pub(super) pair: Option<PairId>,
    state: State,
    scanner: Scanner,
}

impl Upstream {
    pub(super) fn new(relay: u16, at: u16, pair: Option<PairId>, by: Deadline) -> Self {
        Self { relay, at, pair, state: State::Dialing(by), scanner: Scanner::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Spare(_))
    }

    pub(super) fn is_reached(&self) -> bool {
        !matches!(self.state, State::Dialing(_))
    }

    pub(super) fn on_reached(&mut self) {
        if let State::Dialing(by) = self.state {
            self.state = State::Reached(by);
        }
    }

    pub(super) fn look_at(&self) -> Deadline {
        match self.state {
            State::Dialing(by) | State::Reached(by) | State::Spare(by) => by,
            State::Open => Deadline::NEVER,
        }
    }

    pub(super) fn on_connected(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        self.state = State::Open;
        let Some(relay) = ctx.hub.relays.get_mut(self.relay) else { return Err(Doom::Left) };
        if relay.upstreams.on_up(self.at, ctx.now.mono) {
            log_up(&relay.terms.forward, self.at);
        }
        let Some(id) = self.pair else { return Err(Doom::Left) };
        let Some((pair, _)) = ctx.hub.relays.both(id) else { return Err(Doom::Left) };
        (pair.stage, pair.joined) = (Stage::Joined(self.at), ctx.now.mono);
        let client = pair.client;
        if client.is_none() {
            return self.on_nudge(id, ctx);
        }
        ctx.hub.relays.nudge(client.map(|conn| (conn, id)));
        // What the client has said by now goes up.
        let conn = ctx.conn;
        ctx.hub.wake_conn(conn);
        Ok(())
    }

    pub(super) fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) {
        let relays = &mut ctx.hub.relays;
        let Some((pair, relay)) = self.pair.and_then(|id| relays.both(id)) else {
            // Nobody asked: whoever comes next would take it for an answer.
            input.clear();
            return ctx.asks.push(Ask::Leave);
        };
        pair.moved = ctx.now.mono;
        relay.meter.add(Tally::BytesDown, input.len() as u64);
        let mut rest = &input[..];
        while let Some((len, verdict)) = self.scanner.take(rest, relay.terms.line_max) {
            rest = rest.get(len..).unwrap_or_default();
            match verdict {
                Ok(Line { kind, seq }) => {
                    pair.own.on_upstream(ctx.now, &mut relay.meter, kind, seq);
                }
                Err(flaw) => relay.meter.flaw(flaw),
            }
        }
        let client = pair.client;
        if let (Some(id), Some(client)) = (self.pair, client) {
            relays.push_down(id, input, self.scanner.is_between());
            ctx.hub.wake_conn(client);
        }
        input.clear();
    }

    /// It says nothing more.
    pub(super) fn on_end(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !self.is_open() {
            // It was not there yet: as good as refused.
            return Err(Doom::Eof);
        }
        let both = self.pair.and_then(|id| ctx.hub.relays.both(id));
        let Some((pair, relay)) = both else { return Err(Doom::Eof) };
        if self.scanner.end().is_some() {
            relay.meter.flaw(Flaw::Unfinished);
        }
        let client = pair.client;
        let keeps = relay.terms.away == Away::Nak;
        if keeps && pair.up.end() == End::Open {
            // The client stays: it is told what becomes of its requests, and of this nothing.
            return Err(Doom::Eof);
        }
        pair.down.close();
        let over = pair.is_over();
        let Some(client) = client.filter(|_| !over) else { return Err(Doom::Eof) };
        ctx.hub.wake_conn(client);
        Ok(())
    }

    /// The client is gone, or is a new one.
    pub(super) fn on_nudge(&mut self, id: PairId, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let conn = ctx.conn;
        let mine = |pair: &&Pair| pair.upstream == Some(conn);
        if let Some(pair) = ctx.hub.relays.pair(id).filter(mine) {
            if pair.client.is_some() {
                // A client that may have said something already.
                (self.pair, self.state) = (Some(id), State::Open);
                ctx.hub.wake_conn(conn);
                return Ok(());
            }
            let clean = pair.is_clean();
            if !clean || !self.lay_by(ctx) {
                return Err(Doom::Left);
            }
            if let Some((pair, _)) = ctx.hub.relays.both(id) {
                pair.upstream = None;
            }
            ctx.hub.relays.close(id);
            self.pair = None;
        }
        Ok(())
    }

    /// Wait for the next client.
    fn lay_by(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(relay) = ctx.hub.relays.get_mut(self.relay) else { return false };
        let most = relay.terms.spare_max;
        let kept = relay.upstreams.lay_by(self.at, ctx.conn, ctx.now.mono, most);
        if kept {
            self.state = State::Spare(Deadline(ctx.now.mono + SPARE_MS * MS));
        }
        kept
    }

    pub(super) fn on_deadline(&self, ctx: &Ctx<'_>) -> Result<(), Doom> {
        match self.state {
            State::Dialing(by) | State::Reached(by) if ctx.now.reached(by) => {
                Err(Doom::ConnectTimeout)
            }
            State::Spare(by) if ctx.now.reached(by) => Err(Doom::IdleTimeout),
            _ => Ok(()),
        }
    }

    pub(super) fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        let (conn, now) = (ctx.conn, ctx.now.mono);
        let relays = &mut ctx.hub.relays;
        let Some(relay) = relays.get_mut(self.relay) else { return };
        match self.state {
            // Its client did not wait, which says nothing about it.
            State::Dialing(_) | State::Reached(_) if *doom == Doom::Left => {
                relay.upstreams.on_full(self.at, now);
            }
            State::Dialing(_) | State::Reached(_) if *doom != Doom::Stopping => {
                if relay.upstreams.on_refused(self.at, now) {
                    log_away(&relay.terms.forward, self.at, doom);
                }
            }
            State::Spare(_) => relay.upstreams.on_idle_gone(self.at, conn),
            State::Dialing(_) | State::Reached(_) | State::Open => {
                relay.upstreams.on_gone(self.at);
            }
        }
        let Some(id) = self.pair.take() else { return };
        if let Some((pair, relay)) = relays.both(id)
            && pair.upstream == Some(conn)
        {
            if self.scanner.end().is_some() {
                relay.meter.flaw(Flaw::Unfinished);
            }
            pair.upstream = None;
            let client = pair.client;
            relays.nudge(client.map(|conn| (conn, id)));
            relays.close(id);
        }
    }
}

fn log_up(forward: &[String], at: u16) {
    let name = forward.get(usize::from(at)).map_or("", String::as_str);
    log::info!(upstream = name; "an upstream is there again");
}

fn log_away(forward: &[String], at: u16, doom: &Doom) {
    let name = forward.get(usize::from(at)).map_or("", String::as_str);
    log::warn!(upstream = name, reason = doom.name(); "an upstream cannot be reached");
}
