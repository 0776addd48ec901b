//! Floor 3. An MQTT connection: from the first packet to the last.
//!
//! States only go forward: a stranger is verified, perhaps in a dialogue, joins its session, is
//! online, is over. Before it is online nothing but its login is read; what came behind it waits.
//! Replies keep their order and wait for their journal position; deliveries are pulled from the
//! session. One machine serves 3.1, 3.1.1 and 5.0; they part where a packet has no form in one of
//! them. Absent on purpose: sockets, other connections, and whether the connection is closed (the
//! engine decides).

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId};
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::Hub;
use crate::hub::admin::About;
use crate::hub::policy::{Claim, Dialogue, Principal};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ctx, Protocol, procedure};
use crate::topic::Topic;

use super::connect::tongue_of;
use super::decode::{self, Taken};
use super::dialect::{SEP, Spelling};
use super::line::{Line, Reply};
use super::online::Online;
use super::pace::Pace;
use super::packet::{Ack, Connect, Packet, Sender, Version};

/// A password check is waited for this long; then the stranger is let go.
const VERDICT_MS: u64 = 60_000;

/// How far the connection has come.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing but a CONNECT may come.
    Stranger,
    /// A worker compares the password.
    Verifying(Box<Verifying>),
    /// It proves in several steps who it is; nothing but AUTH may come.
    Conversing(Box<Conversing>),
    /// Let in; the journal has no room for its session yet.
    Joining(Box<Joining>),
    /// At work.
    Online(Online),
    /// Over.
    Over,
}

/// What an answer about a password is for.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) serial: u32,
    pub(super) connect: Box<Connect>,
    pub(super) claim: Claim,
}

/// What a dialogue is about.
#[derive(Debug)]
pub(super) struct Conversing {
    pub(super) connect: Box<Connect>,
    pub(super) dialogue: Box<dyn Dialogue>,
}

/// What joining needs.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) connect: Box<Connect>,
    pub(super) principal: Principal,
    /// The last words of the dialogue that let it in.
    pub(super) said: Option<Bytes>,
}

/// An MQTT connection's state.
#[derive(Debug)]
pub struct Peer {
    pub(super) state: State,
    pub(super) line: Line,
    pub(super) serial: u32,
    /// None where its rate is not bounded.
    pub(super) pace: Option<Box<Pace>>,
    /// Until when it must have said who it is.
    login_by: Deadline,
    replies_max: u32,
}

impl Peer {
    /// A stranger, from now on.
    #[must_use]
    pub fn new(now: Now, hub: &Hub) -> Self {
        Self {
            state: State::Stranger,
            line: Line::new(now.mono),
            serial: 0,
            pace: None,
            login_by: now.after_ms(hub.limits.connect_ms_max),
            replies_max: u32::try_from(hub.limits.replies_max).unwrap_or(u32::MAX),
        }
    }

    /// It is ahead of its pace and not read.
    fn is_paused(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.is_paused())
    }

    fn on_packet(&mut self, packet: Packet, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match (&mut self.state, packet) {
            (State::Online(online), packet) => {
                online.on_packet(packet, Default::default(), &mut self.line, ctx)
            }
            (State::Stranger, Packet::Connect(connect)) => self.on_connect(connect, ctx),
            (State::Stranger, _) => Err(FaultKind::MqttFirstPacket.fault()),
            (State::Conversing(_), packet) => self.on_conversing(packet, ctx),
            (State::Verifying(_) | State::Joining(_) | State::Over, _) => Ok(()),
        }
    }

    /// What was taken off the input; `topic`: of a publication, when it is known already.
    fn on_taken(
        &mut self,
        taken: Taken,
        topic: Option<Topic>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match (&mut self.state, taken) {
            (State::Online(online), Taken::Publish(publish)) => {
                online.on_publish(publish, topic, &mut self.line, ctx)
            }
            (State::Online(online), Taken::PubAck(id)) => {
                online.on_puback(id, ctx);
                Ok(())
            }
            (_, Taken::Publish(publish)) => {
                self.on_packet(Packet::Publish(publish.into_publish()), ctx)
            }
            (_, Taken::PubAck(id)) => self.on_packet(Packet::PubAck(Ack::plain(id)), ctx),
            (_, Taken::Packet(packet)) => self.on_packet(packet, ctx),
        }
    }

    /// Take the next packet; false when there is no whole one.
    fn take_packet(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        let stranger = matches!(self.state, State::Stranger);
        // What a refusal must look like is known before the packet is: its version stands early.
        let like = if stranger { peek_version(input) } else { None };
        let (before, max) = (input.len(), self.packet_max(ctx.hub));
        let (hub, mut topic) = (&mut *ctx.hub, None);
        let spelling = Spelling::new(&hub.limits);
        let known = |text: &[u8]| {
            topic = hub.known_topic(SEP, text).filter(|known| spelling.is_good(known)).cloned();
            topic.is_some()
        };
        match decode::take(input, self.line.version, Sender::Client, max, known) {
            Ok(None) => Ok(false),
            Ok(Some(packet)) => {
                self.line.heard = ctx.now.mono;
                ctx.hub.stats.count(Counter::PacketsReceived);
                if let Some(pace) = &mut self.pace {
                    let is_message = matches!(packet, Taken::Publish(_));
                    let reached = pace.on_packet(ctx.now, before - input.len(), is_message);
                    if let (Some(limit), State::Online(online)) = (reached, &self.state) {
                        ctx.hub.stats.count(Counter::Paced);
                        ctx.hub.limited(ctx.now, &online.who.client_id, limit);
                    }
                }
                self.on_taken(packet, topic, ctx)?;
                Ok(true)
            }
            Err(why) => {
                self.line.version = self.line.version.or(like);
                Err(why)
            }
        }
    }

    /// Retry what waited. False: it waits still.
    fn unstall(&mut self, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        if matches!(self.state, State::Joining(_))
            && let State::Joining(joining) = core::mem::replace(&mut self.state, State::Over)
        {
            self.line.heard = ctx.now.mono;
            self.join(*joining, ctx)?;
        }
        if let Some(parked) = self.line.parked.take()
            && let State::Online(online) = &mut self.state
        {
            self.line.heard = ctx.now.mono;
            online.on_parked(*parked, &mut self.line, ctx)?;
        }
        Ok(self.line.parked.is_none() && !matches!(self.state, State::Joining(_)))
    }

    /// It is owed so many replies that nothing more is read of it.
    fn owes_too_much(&self) -> bool {
        self.line.replies.len() >= self.replies_max as usize
    }

    /// The next reply that may be said. While the disk does not come back, a ping is answered
    /// ahead of what waits for it, but not ahead of the welcome.
    fn next_reply(&mut self, synced: Lsn, hub: &Hub) -> Option<Reply> {
        let replies = &mut self.line.replies;
        let ahead = hub.flush_is_late() && self.line.welcomed;
        match replies.pop(synced) {
            None if ahead => replies.pop_ahead(|reply| matches!(reply, Reply::Pong)),
            next => next,
        }
    }

    /// The longest packet it may send in this state.
    fn packet_max(&self, hub: &Hub) -> usize {
        match self.is_stranger() {
            true => hub.limits.login_bytes_max,
            false => hub.limits.packet_bytes_max,
        }
    }
}

impl Protocol for Peer {
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !self.unstall(ctx)? {
            return Ok(());
        }
        for _ in 0..ctx.hub.limits.packets_turn {
            if !self.wants_bytes(ctx.hub) {
                return Ok(());
            }
            if matches!(self.state, State::Stranger)
                && input.first().is_some_and(|first| first >> 4 != 1)
            {
                return Err(FaultKind::MqttFirstPacket.fault());
            }
            if !self.take_packet(input, ctx)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !matches!(&self.state, State::Verifying(asked) if asked.serial == serial) {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        let State::Verifying(asked) = core::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let Verifying { connect, claim, .. } = *asked;
        self.line.heard = ctx.now.mono;
        match ctx.hub.policy.verified(ctx.now, &claim, ok) {
            Ok(principal) => self.join(Joining { connect, principal, said: None }, ctx),
            Err(why) => super::connect::refuse(&connect, why, ctx),
        }
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !ctx.now.reached(self.deadline()) {
            return Ok(());
        }
        if let Some(pace) = self.pace.as_mut().filter(|pace| pace.is_paused()) {
            pace.go_on();
            self.line.heard = ctx.now.mono;
            return Ok(());
        }
        match self.state {
            State::Online(ref online) if online.is_to_go() => Err(Doom::Kicked),
            State::Online(_) => Err(Doom::IdleTimeout),
            _ => Err(Doom::ConnectTimeout),
        }
    }

    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        self.line.end(ctx.hub.synced(), doom);
        if let State::Online(online) = core::mem::replace(&mut self.state, State::Over) {
            procedure::leave_with(online.session, ctx);
            ctx.hub.detach(ctx.now, online.session, ctx.conn, self.line.parting);
        }
    }

    fn poll_transmit(
        &mut self,
        now: Now,
        hub: &mut Hub,
        out: &mut Outbound,
        budget: usize,
    ) -> bool {
        let (synced, was_full) = (hub.synced(), self.owes_too_much());
        while out.len() < budget
            && let Some(reply) = self.next_reply(synced, hub)
        {
            self.line.put(reply, out);
            hub.stats.count(Counter::RepliesSent);
        }
        if was_full && !self.owes_too_much() {
            self.line.heard = now.mono;
        }
        let State::Online(online) = &mut self.state else { return false };
        hub.heard(online.session);
        if self.line.replies.is_gated() {
            return self.line.replies.waits_for().is_some_and(|at| at <= synced);
        }
        while out.len() < budget && online.tell(now, &self.line, hub, out) {}
        let share = hub.share(online.session, budget);
        online.release_again(&self.line, hub, out, share);
        while out.len() < share {
            if !online.deliver(now, &self.line, hub, out) {
                return online.rpc.is_some() && hub.parties.has_mail(online.session);
            }
        }
        true
    }

    fn deadline(&self) -> Deadline {
        let (from, ms) = match &self.state {
            State::Stranger | State::Conversing(_) => return self.login_by,
            State::Verifying(_) => (self.line.heard, VERDICT_MS),
            State::Online(online) if online.is_to_go() => return Deadline(0),
            // Whoever is not read from is not silent.
            State::Online(_) if self.line.parked.is_some() => return Deadline::NEVER,
            State::Online(_) if self.owes_too_much() => return Deadline::NEVER,
            State::Online(_) if self.is_paused() => {
                return self.pace.as_ref().map_or(Deadline(0), |pace| pace.until());
            }
            State::Online(online) if online.idle_ms == 0 => return Deadline::NEVER,
            State::Online(online) => (self.line.heard, online.idle_ms),
            State::Joining(_) | State::Over => return Deadline::NEVER,
        };
        Deadline(from.saturating_add(ms.saturating_mul(MS)))
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        let open = matches!(self.state, State::Stranger | State::Conversing(_) | State::Online(_));
        let line = &self.line;
        let busy = self.is_paused() || line.parked.is_some() || self.owes_too_much();
        open && !line.left && !busy
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        match decode::frame_len(input, self.packet_max(hub)) {
            Ok(len) => len.is_some_and(|len| len <= input.len()),
            Err(_) => true,
        }
    }

    fn waits_for(&self) -> Option<Lsn> {
        self.line.replies.waits_for()
    }

    fn session(&self) -> Option<SessionId> {
        match &self.state {
            State::Online(online) => Some(online.session),
            _ => None,
        }
    }

    fn is_stranger(&self) -> bool {
        !matches!(self.state, State::Online(_) | State::Over)
    }

    fn about(&self) -> About {
        let protocol = self.line.version.map_or("mqtt", |version| tongue_of(version).word());
        let (keepalive_s, clean) = match &self.state {
            State::Online(online) => (online.idle_ms / 1_500, online.ends),
            _ => (0, false),
        };
        About { protocol, keepalive_s, clean }
    }

    fn heap(&self) -> usize {
        let online = match &self.state {
            State::Online(online) => online.heap(),
            _ => 0,
        };
        size_of::<Self>() + self.line.replies.heap() + online
    }
}

/// Which version a first packet claims, as far as it can be told: a refusal must be in its form.
/// What is not even framed like a CONNECT may be no MQTT at all, and is not answered.
fn peek_version(input: &[u8]) -> Option<Version> {
    let (0x10, rest) = input.split_first()? else { return None };
    let at = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    if at > 0 && rest.get(at) == Some(&0) {
        return None;
    }
    match rest.get(at + 1..)? {
        // Who speaks a later version knows what a 5.0 refusal looks like. The highest bit is set
        // by bridges.
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] => match level {
            0..=4 | 0x83 | 0x84 => Some(Version::V311),
            _ => Some(Version::V5),
        },
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => Some(Version::V31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most clients are idle, so what one takes is a promise.
    #[test]
    fn an_idle_client_is_small() {
        let size = size_of::<Peer>();
        assert!(size <= 280, "{size} bytes");
    }

    #[test]
    fn a_version_is_seen_in_what_cannot_be_read() {
        for (level, version) in
            [(0, Version::V311), (4, Version::V311), (0x84, Version::V311), (5, Version::V5)]
        {
            let input = [0x10, 0x80, 0x01, 0, 4, b'M', b'Q', b'T', b'T', level];
            assert_eq!(peek_version(&input), Some(version));
            assert_eq!(peek_version(&input[..9]), None);
        }
        assert_eq!(peek_version(b"\x10\x0c\0\x06MQIsdp\x03"), Some(Version::V31));
        assert_eq!(peek_version(b"\x10\x0c\0\x04MQTX\x05"), None);
        assert_eq!(peek_version(b"\x10\xff\xff\xff\xff\x01\0\x04MQTT\x05"), None);
        assert_eq!(peek_version(b"\x10\x8d\0\0\x04MQTT\x05"), None, "a length too long");
        assert_eq!(peek_version(b"\x12\x0d\0\x04MQTT\x05"), None, "flags that no CONNECT has");
        assert_eq!(peek_version(b""), None);
    }
}
