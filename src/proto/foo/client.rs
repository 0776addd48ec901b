//! Floor 3. The side of a relay that came to us.
//!
//! What it says goes up as it comes, and lines are only read along the way. Whole lines are held
//! back in two cases: malformed ones are to be refused, or requests are to be answered while no
//! upstream is there, which takes a request to be wholly at an upstream or not at all. A client
//! without an upstream waits for one for a while; then it is told that nobody is there, as the
//! relay's terms have it. Absent on purpose: who is dialed (`hub/relay/upstreams`).

use bytes::BytesMut;

use crate::base::id::PairId;
use crate::base::time::{Deadline, MS};
use crate::hub::relay::meter::{Flaw, Kind, Tally};
use crate::hub::relay::pipe::{End, Pipe};
use crate::hub::relay::upstreams::Choice;
use crate::hub::relay::{Away, Stage};
use crate::proto::doom::Doom;
use crate::proto::{Ask, Ctx};

use super::decode::Scanner;
use super::fault;
use super::packet::Line;

/// Who came to us.
#[derive(Debug)]
pub struct Client {
    relay: u16,
    pub(super) pair: Option<PairId>,
    scanner: Scanner,
    /// The beginning of a line that is held back until it is whole.
    held: BytesMut,
    /// The line that is being read is too long to be held: what comes of it is passed on, or not.
    overlong: bool,
    /// When to look whether something is due.
    pub(super) look_at: Deadline,
    /// An upstream is waited for until then; afterwards nobody is there.
    patience: Deadline,
    /// It was told that nobody is there.
    told: bool,
    /// The upstream that it had is gone, and it is told the rest.
    lost: bool,
}

/// What becomes of lines, by the relay's terms.
#[derive(Clone, Copy)]
struct Ways {
    strict: bool,
    away: Away,
    line_max: usize,
}

impl Client {
    pub(super) fn new(relay: u16, by: Deadline) -> Self {
        Self {
            relay,
            pair: None,
            scanner: Scanner::default(),
            held: BytesMut::new(),
            overlong: false,
            look_at: by,
            patience: by,
            told: false,
            lost: false,
        }
    }

    pub(super) fn on_accepted(&mut self, ctx: &mut Ctx<'_>) {
        let pair = ctx.hub.relays.open(ctx.now, self.relay, ctx.conn, ctx.address);
        self.pair = Some(pair);
        if let Some(relay) = ctx.hub.relays.get_mut(self.relay) {
            relay.meter.add(Tally::Clients, 1);
        }
        self.begin_waiting(ctx);
        self.seek(ctx);
    }

    fn begin_waiting(&mut self, ctx: &Ctx<'_>) {
        let wait_ms = ctx.hub.relays.get(self.relay).map_or(0, |relay| relay.terms.wait_ms);
        self.patience = ctx.now.after_ms(wait_ms);
    }

    /// Find an upstream.
    fn seek(&mut self, ctx: &mut Ctx<'_>) {
        let Some(pair) = self.pair else { return };
        if let Some(Choice::Dial(at)) = ctx.hub.relays.seek(ctx.now, pair) {
            ctx.asks.push(Ask::Dial { relay: self.relay, at, pair: Some(pair) });
        }
        self.look_again(ctx);
    }

    /// When something is due, as things are.
    fn look_again(&mut self, ctx: &mut Ctx<'_>) {
        let Some((pair, relay)) = self.pair.and_then(|id| ctx.hub.relays.both(id)) else { return };
        let after = |since: u64, ms: u64| match ms {
            0 => Deadline::NEVER,
            ms => Deadline(since.saturating_add(ms.saturating_mul(MS))),
        };
        let waits = match pair.stage {
            Stage::Joined(_) => Deadline::NEVER,
            Stage::Alone(again) if self.told => Deadline(again),
            Stage::Alone(again) => Deadline(again).min(self.patience),
            Stage::Dialing(_) if self.told => Deadline::NEVER,
            Stage::Dialing(_) => self.patience,
        };
        let asked = pair.asked_since();
        let answer = asked.map_or(Deadline::NEVER, |since| after(since, relay.terms.answer_ms));
        let idle = after(pair.moved, relay.terms.idle_ms);
        self.look_at = waits.min(answer).min(idle);
    }

    fn ways(&self, ctx: &Ctx<'_>) -> Option<Ways> {
        let terms = &ctx.hub.relays.get(self.relay)?.terms;
        Some(Ways { strict: terms.strict, away: terms.away, line_max: terms.line_max })
    }

    pub(super) fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) {
        let (Some(id), Some(ways)) = (self.pair, self.ways(ctx)) else { return input.clear() };
        if let Some((pair, relay)) = ctx.hub.relays.both(id) {
            pair.moved = ctx.now.mono;
            relay.meter.add(Tally::BytesUp, input.len() as u64);
        }
        if ways.strict || ways.away == Away::Nak {
            self.take_lines(id, ways, input, ctx);
        } else {
            self.watch_lines(id, ways, input, ctx);
        }
        self.wake_upstream(id, ctx);
        self.look_again(ctx);
    }

    /// Everything goes up at once; lines are read along the way.
    fn watch_lines(&mut self, id: PairId, ways: Ways, input: &mut BytesMut, ctx: &mut Ctx<'_>) {
        if let Some((pair, relay)) = ctx.hub.relays.both(id) {
            let mut rest = &input[..];
            while let Some((len, verdict)) = self.scanner.take(rest, ways.line_max) {
                rest = rest.get(len..).unwrap_or_default();
                match verdict {
                    Ok(Line { kind, seq }) => {
                        pair.own.on_client(ctx.now, &mut relay.meter, kind, seq);
                    }
                    Err(flaw) => {
                        pair.own.lose_track();
                        relay.meter.flaw(flaw);
                    }
                }
            }
        }
        ctx.hub.relays.push_up(id, input);
    }

    /// Line by line; one that is not whole is held back.
    fn take_lines(&mut self, id: PairId, ways: Ways, input: &mut BytesMut, ctx: &mut Ctx<'_>) {
        while let Some((len, verdict)) = self.scanner.take(&input[..], ways.line_max) {
            let end = input.split_to(len);
            self.held.extend_from_slice(&end);
            self.on_line(id, ways, verdict, ctx);
            self.held.clear();
            self.overlong = false;
        }
        self.held.extend_from_slice(input);
        input.clear();
        if self.overlong || self.held.len() > ways.line_max {
            // It is malformed whatever follows, so it need not be held to be judged.
            self.overlong = true;
            if !ways.strict && !self.told {
                ctx.hub.relays.put_up(id, &self.held);
                if let Some((pair, _)) = ctx.hub.relays.both(id) {
                    pair.own.lose_track();
                }
            }
            self.held.clear();
        }
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    fn on_line(&self, id: PairId, ways: Ways, verdict: Result<Line, Flaw>, ctx: &mut Ctx<'_>) {
        let relays = &mut ctx.hub.relays;
        let Some((pair, relay)) = relays.both(id) else { return };
        let refusal = match verdict {
            Err(flaw) => {
                relay.meter.flaw(flaw);
                let said = || if ways.strict { fault::malformed() } else { fault::away(None) };
                let refused = ways.strict || self.told;
                if !refused {
                    pair.own.lose_track();
                }
                refused.then(said)
            }
            Ok(Line { kind: Kind::Req, seq }) if self.told => {
                relay.meter.line(ctx.now, Kind::Req);
                Some(fault::away(Some(seq)))
            }
            Ok(Line { kind, seq }) => {
                pair.own.on_client(ctx.now, &mut relay.meter, kind, seq);
                None
            }
        };
        match refusal {
            Some(refusal) => {
                relay.meter.add(Tally::Refused, 1);
                relays.put_aside(id, &refusal);
                ctx.hub.wake_conn(ctx.conn);
            }
            None => relays.put_up(id, &self.held),
        }
    }

    fn wake_upstream(&self, id: PairId, ctx: &mut Ctx<'_>) {
        let upstream = ctx.hub.relays.pair(id).and_then(|pair| pair.upstream);
        if let Some(conn) = upstream {
            ctx.hub.wake_conn(conn);
        }
    }

    /// It says nothing more; what it is owed still goes to it.
    pub(super) fn on_end(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let Some(id) = self.pair else { return Err(Doom::Eof) };
        let strict = self.ways(ctx).is_some_and(|ways| ways.strict);
        let relays = &mut ctx.hub.relays;
        let Some((pair, relay)) = relays.both(id) else { return Err(Doom::Eof) };
        if self.scanner.end().is_some() {
            pair.own.lose_track();
            relay.meter.flaw(Flaw::Unfinished);
        }
        if relay.terms.spare_max > 0 && pair.is_clean() {
            // The upstream has nothing to say to it and hears nothing of it.
            return Err(Doom::Eof);
        }
        if self.told {
            return self.last_words(id, ctx);
        }
        let held = core::mem::take(&mut self.held);
        if !strict {
            relays.put_up(id, &held);
        }
        let Some((pair, _)) = relays.both(id) else { return Err(Doom::Eof) };
        pair.up.close();
        if pair.is_over() {
            return Err(Doom::Eof);
        }
        self.wake_upstream(id, ctx);
        Ok(())
    }

    /// The upstream is there, or gone, or everything is over.
    pub(super) fn on_nudge(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let Some(id) = self.pair else { return Ok(()) };
        let Some((pair, _)) = ctx.hub.relays.both(id) else { return Err(Doom::Left) };
        if pair.is_over() {
            return Err(if self.lost { Doom::Unreachable } else { Doom::Eof });
        }
        if pair.upstream.is_some() {
            if let Stage::Joined(_) = pair.stage {
                self.told = false;
            }
            self.look_again(ctx);
            return Ok(());
        }
        match pair.stage {
            // The one that was dialed is not there; perhaps another one.
            Stage::Dialing(_) => {
                self.seek(ctx);
                self.on_deadline(ctx)
            }
            Stage::Joined(_) if !self.lost => self.on_lost(id, ctx),
            Stage::Joined(_) => Ok(()),
            Stage::Alone(_) => {
                // There was no room for one.
                self.look_again(ctx);
                Ok(())
            }
        }
    }

    /// The upstream that it had is gone.
    fn on_lost(&mut self, id: PairId, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let relays = &mut ctx.hub.relays;
        let dead = relays.drop_up(id);
        let Some((pair, relay)) = relays.both(id) else { return Err(Doom::Unreachable) };
        let nak = relay.terms.away == Away::Nak && pair.between;
        let keeps = nak && pair.up.end() == End::Open;
        if !keeps && (dead > 0 || pair.own.waiting() > 0) {
            relay.meter.add(Tally::Away, 1);
        }
        // A request is answered once: by the upstream that is gone, or now.
        let mut refusals = Vec::new();
        while nak && let Some(seq) = pair.own.give_up() {
            relay.meter.add(Tally::Refused, 1);
            refusals.extend(fault::away(Some(seq)));
        }
        relays.put_aside(id, &refusals);
        let Some((pair, _)) = relays.both(id) else { return Err(Doom::Unreachable) };
        if !keeps {
            // What the upstream has said still goes to the client, and then its end.
            pair.down.close();
            if pair.down.end() == End::Passed {
                return Err(Doom::Unreachable);
            }
            pair.up = Pipe::ended();
            self.lost = true;
            ctx.hub.wake_conn(ctx.conn);
            return Ok(());
        }
        pair.stage = Stage::Alone(ctx.now.mono);
        ctx.hub.wake_conn(ctx.conn);
        self.begin_waiting(ctx);
        self.seek(ctx);
        Ok(())
    }

    pub(super) fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let now = ctx.now;
        let Some(id) = self.pair else {
            return if now.reached(self.look_at) { Err(Doom::ConnectTimeout) } else { Ok(()) };
        };
        let Some((pair, relay)) = ctx.hub.relays.both(id) else { return Err(Doom::Left) };
        let over = |since: u64, ms: u64| {
            ms > 0 && now.reached(Deadline(since.saturating_add(ms.saturating_mul(MS))))
        };
        if over(pair.moved, relay.terms.idle_ms) {
            return Err(Doom::IdleTimeout);
        }
        if pair.asked_since().is_some_and(|since| over(since, relay.terms.answer_ms)) {
            relay.meter.add(Tally::Late, 1);
            // Whoever does not answer is as good as gone.
            if let Some(upstream) = pair.upstream {
                ctx.asks.push(Ask::Forsake(upstream));
                self.look_at = Deadline::NEVER;
                return Ok(());
            }
        }
        if !matches!(pair.stage, Stage::Joined(_)) && !self.told && now.reached(self.patience) {
            self.on_nobody(id, ctx)?;
        }
        let again = ctx.hub.relays.pair(id).map(|pair| pair.stage);
        if let Some(Stage::Alone(at)) = again
            && now.mono >= at
        {
            self.seek(ctx);
        }
        self.look_again(ctx);
        Ok(())
    }

    /// It has waited long enough.
    fn on_nobody(&mut self, id: PairId, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let relays = &mut ctx.hub.relays;
        let Some((pair, relay)) = relays.both(id) else { return Err(Doom::Unreachable) };
        relay.meter.add(Tally::Away, 1);
        if relay.terms.away == Away::Close {
            return Err(Doom::Unreachable);
        }
        self.told = true;
        let ends = pair.up.end() != End::Open;
        let mut refusals = Vec::new();
        while let Some(seq) = pair.own.give_up() {
            relay.meter.add(Tally::Refused, 1);
            refusals.extend(fault::away(Some(seq)));
        }
        // What it asked so far went in as whole lines, so nobody has a part of it.
        relays.drop_up(id);
        relays.put_aside(id, &refusals);
        match ends {
            true if refusals.is_empty() => Err(Doom::Unreachable),
            true => self.last_words(id, ctx),
            false => {
                ctx.hub.wake_conn(ctx.conn);
                Ok(())
            }
        }
    }

    /// Nobody is there and it asks nothing more: it hears its refusals, and then its end.
    fn last_words(&self, id: PairId, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let Some((pair, _)) = ctx.hub.relays.both(id) else { return Err(Doom::Unreachable) };
        // It may not have taken up what it was told before either: that, too, is behind us then.
        pair.up = Pipe::ended();
        pair.down.close();
        ctx.hub.wake_conn(ctx.conn);
        Ok(())
    }

    pub(super) fn on_doom(&mut self, ctx: &mut Ctx<'_>) {
        let Some(id) = self.pair.take() else { return };
        let relays = &mut ctx.hub.relays;
        let Some((pair, relay)) = relays.both(id) else { return };
        if self.scanner.end().is_some() {
            pair.own.lose_track();
            relay.meter.flaw(Flaw::Unfinished);
        }
        pair.client = None;
        let upstream = pair.upstream;
        relays.nudge(upstream.map(|conn| (conn, id)));
        relays.close(id);
    }
}
