//! Floor 3. A PRX1 connection: from the first frame to the last.
//!
//! States only go forward: a stranger is verified, joins its session, is online, is over. While a
//! verdict is out or the journal has no room, no bytes are taken and TCP holds the rest. Replies
//! keep their order and wait for their journal position; deliveries are pulled from the session.
//! Identity is the user name: it names the session (prx1 §10.1). Absent on purpose: sockets,
//! other connections, and whether the connection is closed (the engine decides by the blame).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId, Ticket};
use crate::base::limits::Limit;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::base::words::{Method, Outcome, Tongue};
use crate::hub::admin::About;
use crate::hub::message::{Durability, Publication};
use crate::hub::policy::{Access, Admit, Claim, Event, Login, Principal, Refusal, Terms};
use crate::hub::queue::Queued;
use crate::hub::registry::{Attach, Fresh, NoSession, Parting};
use crate::hub::session::{Kind, SubOpts};
use crate::hub::subscribe::{Replays, Subscribed};
use crate::hub::{Held, Hub};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::replies::Replies;
use crate::proto::{Ask, Ctx, Protocol, procedure};

use super::calling::{Calling, Not};
use super::dialect::{SEP, Spelling};
use super::extended::{Answer, Extended, Response, What};
use super::ids::IdSet;
use super::kept::without_password;
use super::packet::{Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe};
use super::{decode, encode, fault};

/// A password check is waited for this long; then the stranger is let go.
const VERDICT_MS: u64 = 60_000;

/// Small answers, in the order of what they answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    ConnAck {
        result: u8,
        present: bool,
    },
    PubAck(u16),
    SubAck(u16),
    UnsubAck(u16),
    QAck(QAckCode),
    Answer {
        id: u16,
        reason: u8,
    },
    /// A request that is not even asked.
    Refused {
        id: u64,
        reason: u8,
    },
    Pong,
}

/// How far the connection has come.
#[derive(Debug)]
enum State {
    /// Nothing but a Connect may come.
    Stranger,
    /// A worker compares the password.
    Verifying { serial: u32, connect: Box<Connect>, claim: Box<Claim> },
    /// Let in; the journal has no room for its session yet.
    Joining { connect: Box<Connect>, principal: Arc<Principal> },
    /// At work.
    Online(Online),
    /// Over.
    Over,
}

/// A client that is in.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) session: SessionId,
    pub(super) who: Arc<Principal>,
    /// Silence longer than this ends the connection.
    idle_ms: u64,
    /// Deliveries up to this ordinal were stored before: prx1 §9.2 marks them all.
    pub(super) resumed: u64,
    /// Since it has said a word about calls.
    pub(super) calling: Option<Box<Calling>>,
}

/// A PRX1 connection's state.
#[derive(Debug)]
pub struct Peer {
    state: State,
    replies: Replies<Reply>,
    /// Ids acknowledged on this connection, for the swallow rule.
    acked: IdSet,
    /// A packet that waits for room; nothing behind it is taken.
    stalled: Option<Box<Packet>>,
    opened: u64,
    heard: u64,
    connect_ms: u64,
    serial: u32,
    replies_max: usize,
    /// It said goodbye: nothing behind that is read.
    left: bool,
}

impl Peer {
    /// A stranger, from now on.
    #[must_use]
    pub fn new(now: Now, hub: &Hub) -> Self {
        Self {
            state: State::Stranger,
            replies: Replies::default(),
            acked: IdSet::default(),
            stalled: None,
            opened: now.mono,
            heard: now.mono,
            connect_ms: hub.limits.connect_ms_max,
            serial: 0,
            replies_max: hub.limits.replies_max,
            left: false,
        }
    }

    fn on_packet(&mut self, packet: Packet, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match &mut self.state {
            State::Stranger => match packet {
                Packet::Connect(connect) => self.on_connect(connect, ctx),
                _ => Err(FaultKind::Prx1FirstFrame.fault()),
            },
            State::Online(online) => {
                // Lent, not cloned: a name shared with other threads is counted atomically.
                let (session, who) = (online.session, core::mem::take(&mut online.who));
                let done = self.on_request(packet, session, &who, ctx);
                if let State::Online(online) = &mut self.state {
                    online.who = who;
                }
                done
            }
            State::Verifying { .. } | State::Joining { .. } | State::Over => Ok(()),
        }
    }

    fn on_connect(&mut self, connect: Connect, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if &connect.version[..] != super::packet::VERSION {
            return Err(FaultKind::Prx1Version.fault());
        }
        let login = Login {
            protocol: "prx1",
            user: connect.username.as_deref().unwrap_or_default(),
            password: connect.password.as_deref(),
            client_id: connect.client_id.as_deref().unwrap_or_default(),
            certificate: ctx.certificate,
            address: ctx.address,
            loopback: ctx.loopback,
        };
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(principal) => self.join(connect, Arc::new(principal), ctx),
            Admit::No(why) => self.refuse(&connect, why, ctx),
            Admit::Busy => {
                ctx.hub.stats.login(method_of(&connect, ctx), Outcome::Busy);
                Err(FaultKind::Prx1Busy.fault())
            }
            Admit::Verify { secret, hash, claim } => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                let (address, tag) = (ctx.address, claim.tag);
                ctx.asks.push(Ask::Verify { ticket, address, tag, secret, hash });
                self.state = State::Verifying {
                    serial: self.serial,
                    connect: Box::new(without_password(connect)),
                    claim: Box::new(claim),
                };
                Ok(())
            }
        }
    }

    fn refuse(&self, connect: &Connect, why: Refusal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        ctx.hub.stats.login(method_of(connect, ctx), Outcome::Refused);
        let user = connect.username.as_deref().unwrap_or_default();
        let client_id = connect.client_id.as_deref().unwrap_or_default();
        let event = Event::Refused { conn: ctx.conn, address: ctx.address, user, client_id, why };
        ctx.hub.observer.see(ctx.now, &event);
        Err(FaultKind::Prx1Credentials.fault())
    }

    /// Let in: find or make the session. Without room in the journal, wait for it.
    fn join(
        &mut self,
        connect: Connect,
        principal: Arc<Principal>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let name = connect.username.clone().unwrap_or_default();
        let attach = Attach {
            kind: Kind::Prx1,
            tongue: Tongue::Prx1,
            realm: ctx.listener.realm,
            name: Bytes::copy_from_slice(&name),
            durable: principal.durable,
            principal: principal.clone(),
            conn: ctx.conn,
            fresh: if connect.clean_start { Fresh::Debts } else { Fresh::No },
            level: ctx.listener.level,
            inflight_max: ctx.hub.limits.inflight_max,
            expiry_s: ctx.hub.limits.session_s_max,
            unique: false,
            will: None,
        };
        let attached = match ctx.hub.attach(ctx.now, attach) {
            Ok(attached) => attached,
            Err(NoSession::Held(why)) if why.passes() => {
                self.state = State::Joining { connect: Box::new(connect), principal };
                ctx.asks.push(Ask::Stall);
                return Ok(());
            }
            Err(NoSession::Held(_)) => return Err(FaultKind::Prx1Storage.fault()),
            // A session here is called as its user: there is no other whose it could be.
            Err(NoSession::Anothers) => return Err(FaultKind::Prx1Credentials.fault()),
        };
        ctx.asks.extend(attached.yielding.filter(|old| *old != ctx.conn).map(Ask::Yield));
        // What its former connection called and served ends with that.
        procedure::leave(attached.session, ctx);
        let stored = attached.present
            && ctx
                .hub
                .session(attached.session)
                .is_some_and(|s| !s.subs.is_empty() || s.outbox.owed() > 0);
        // The 2017 dialect, known by its keepalive, calls success 0x00.
        let result = if connect.keepalive.is_some() { ConnAck::UNSET } else { ConnAck::OK };
        self.replies.push_gate(attached.after, Reply::ConnAck { result, present: stored });
        ctx.hub.stats.login(method_of(&connect, ctx), Outcome::Accepted);
        let client_id = connect.client_id.as_deref().unwrap_or_default();
        let keepalive_s = connect.keepalive.unwrap_or(0);
        let event = Event::LoggedIn {
            conn: ctx.conn,
            protocol: "prx1",
            who: &principal,
            client_id,
            terms: Some(Terms { version: None, clean: connect.clean_start, keepalive_s }),
        };
        ctx.hub.observer.see(ctx.now, &event);
        let limits = &ctx.hub.limits;
        let asked = u64::from(connect.keepalive.unwrap_or(0).min(limits.keepalive_s_max));
        self.state = State::Online(Online {
            session: attached.session,
            who: principal,
            idle_ms: limits.idle_ms_max.max(asked * 1_500),
            resumed: attached.resumed,
            calling: None,
        });
        Ok(())
    }

    fn on_request(
        &mut self,
        packet: Packet,
        session: SessionId,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match packet {
            Packet::Publish(p) => self.on_publish(p, session, who, ctx),
            Packet::Subscribe(s) => self.on_subscribe(s, session, who, ctx),
            Packet::Unsubscribe(s) => self.on_unsubscribe(s, session, ctx),
            Packet::PubAck(id) => {
                if !ctx.hub.settle(session, id) {
                    ctx.hub.stats.count(Counter::Ignored);
                }
                Ok(())
            }
            Packet::Queue(q) => self.on_queue(q, session, who, ctx),
            Packet::Extended(it) => self.on_extended(it, who, ctx),
            Packet::Ping => {
                self.replies.push(Lsn::START, Reply::Pong);
                Ok(())
            }
            Packet::Disconnect => {
                ctx.asks.push(Ask::Leave);
                self.left = true;
                Ok(())
            }
            // Prx1 §8.1: no answer, no consequence, but a sign of life.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::QAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::Pong
            | Packet::Unknown { .. } => {
                ctx.hub.stats.count(Counter::Ignored);
                Ok(())
            }
        }
    }

    fn on_publish(
        &mut self,
        mut p: Publish,
        session: SessionId,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let spelling = Spelling::new(&ctx.hub.limits);
        let known = ctx.hub.known_topic(SEP, &p.topic).filter(|known| spelling.is_good(known));
        let topic = match known.cloned() {
            Some(topic) => topic,
            None => spelling.topic(&p.topic)?,
        };
        permit(who, Access::Publish(&topic), ctx)?;
        // Prx1 §9.3: what exceeds 1 is 1.
        let qos = p.qos.min(1);
        if qos > 0 && self.swallows(&p) {
            ctx.hub.stats.count(Counter::Swallowed);
            return Ok(());
        }
        let mut publication = Publication {
            realm: ctx.listener.realm,
            topic,
            body: core::mem::take(&mut p.payload),
            props: Bytes::new(),
            qos,
            retain: p.retain,
            expires: 0,
            inbound: None,
        };
        let level = ctx.listener.level;
        let from = (session, who);
        let mut sent = ctx.hub.accept(ctx.now, from, level, &mut publication);
        if qos == 0 && sent == Err(Held::Failed) {
            // Nothing was promised, so a sick disk need not stop it.
            sent = ctx.hub.accept(ctx.now, from, Durability::Memory, &mut publication);
        }
        match sent {
            Ok(receipt) => {
                if qos > 0 {
                    self.acked.insert(p.id);
                    self.replies.push(receipt.after, Reply::PubAck(p.id));
                }
                Ok(())
            }
            Err(why) => {
                p.payload = publication.body;
                self.held(why, Packet::Publish(p), ctx)
            }
        }
    }

    /// Prx1 §9.2: a copy marked as such, of a publish that this connection has had acknowledged,
    /// is swallowed whole. An unmarked one with the same id is a new message.
    fn swallows(&mut self, p: &Publish) -> bool {
        if p.dup {
            return self.acked.contains(p.id);
        }
        self.acked.remove(p.id);
        false
    }

    fn on_subscribe(
        &mut self,
        s: Subscribe,
        session: SessionId,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        if let Err(why) = ctx.hub.take_on(session, &s.topic) {
            return self.held(why, Packet::Subscribe(s), ctx);
        }
        let filter = Spelling::new(&ctx.hub.limits).filter(&s.topic)?;
        permit(who, Access::Subscribe(&filter), ctx)?;
        let qos = s.qos.min(1);
        let opts = SubOpts { qos, ..SubOpts::default() };
        match ctx.hub.subscribe(ctx.now, session, &filter, None, opts, Replays::Always) {
            Ok(Subscribed::Yes(receipt)) => {
                if qos > 0 {
                    self.replies.push_gate(receipt.after, Reply::SubAck(s.id));
                }
                Ok(())
            }
            Ok(Subscribed::TooMany) => Err(FaultKind::Prx1TooMany.fault()),
            Err(why) => self.held(why, Packet::Subscribe(s), ctx),
        }
    }

    fn on_unsubscribe(
        &mut self,
        s: Subscribe,
        session: SessionId,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        if let Err(why) = ctx.hub.take_on(session, &s.topic) {
            return self.held(why, Packet::Unsubscribe(s), ctx);
        }
        let filter = Spelling::new(&ctx.hub.limits).filter(&s.topic)?;
        match ctx.hub.unsubscribe(ctx.now, session, &filter, None) {
            Ok(done) => {
                if s.qos > 0 {
                    let after = done.map_or(Lsn::START, |receipt| receipt.after);
                    self.replies.push(after, Reply::UnsubAck(s.id));
                }
                Ok(())
            }
            Err(why) => self.held(why, Packet::Unsubscribe(s), ctx),
        }
    }

    /// Prx1 §7, with meanings where the original has none: initialize makes a queue and, with a
    /// message, puts it in; drain hands all of it out; destroy is for who made it. The mark
    /// `durable` makes a queue that survives a restart.
    fn on_queue(
        &mut self,
        q: Queue,
        session: SessionId,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let spelling = Spelling::new(&ctx.hub.limits);
        let address = q.address.clone().unwrap_or_default();
        let Ok(topic) = spelling.topic(&address) else { return self.qack(false) };
        let path = q.return_path.clone().filter(|path| !path.is_empty());
        let path = path.map(|path| spelling.topic(&path)).transpose();
        let Ok(path) = path else { return self.qack(false) };
        if permit(who, Access::Request(&topic), ctx).is_err() {
            return self.qack(false);
        }
        let (realm, level) = (ctx.listener.realm, ctx.listener.level);
        let done = match q.action {
            Action::Initialize => self.initialize(&q, &address, topic, who, ctx),
            Action::Drain => Ok(ctx.hub.queue_drain(realm, &address, session, path)),
            Action::Destroy => ctx.hub.queue_destroy(realm, &address, &who.user, level),
            Action::None => return self.qack(false),
        };
        match done {
            Ok(Queued::Yes(receipt)) => {
                self.replies.push_gate(receipt.after, Reply::QAck(QAckCode::Ok));
                Ok(())
            }
            Ok(Queued::Unknown | Queued::NotYours | Queued::TooMany) => self.qack(false),
            Err(why) => self.held(why, Packet::Queue(q), ctx),
        }
    }

    fn initialize(
        &self,
        q: &Queue,
        address: &Bytes,
        topic: crate::topic::Topic,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<Queued, Held> {
        let (realm, level) = (ctx.listener.realm, ctx.listener.level);
        let durable = q.mark.as_deref() == Some(b"durable");
        let opened = ctx.hub.queue_open(realm, address, &who.user, durable, level)?;
        if opened == Queued::TooMany {
            ctx.hub.limited(ctx.now, &who.user, Limit::queues_max);
        }
        let (Queued::Yes(_), Some(body)) = (opened, &q.message) else { return Ok(opened) };
        let item = Publication {
            realm,
            topic,
            body: body.clone(),
            props: Bytes::new(),
            qos: 1,
            retain: false,
            expires: 0,
            inbound: None,
        };
        ctx.hub.queue_push(ctx.now, address, &item, level)
    }

    fn on_extended(
        &mut self,
        it: Extended,
        who: &Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let State::Online(online) = &mut self.state else { return Ok(()) };
        match online.on_extended(&it, who, &mut self.replies, ctx) {
            Ok(()) => Ok(()),
            Err(Not::Held(why)) => self.held(why, Packet::Extended(it), ctx),
            Err(Not::Broken(kind)) => Err(kind.fault()),
        }
    }

    fn qack(&mut self, ok: bool) -> Result<(), Fault> {
        let code = if ok { QAckCode::Ok } else { QAckCode::Error };
        self.replies.push(Lsn::START, Reply::QAck(code));
        Ok(())
    }

    /// The hub could not: wait with the packet if waiting helps.
    fn held(&mut self, why: Held, packet: Packet, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match why {
            Held::Turn => {
                self.stalled = Some(Box::new(packet));
                ctx.asks.push(Ask::Again);
                Ok(())
            }
            Held::Full | Held::Memory => {
                ctx.hub.stats.count(Counter::Stalled);
                self.stalled = Some(Box::new(packet));
                ctx.asks.push(Ask::Stall);
                Ok(())
            }
            Held::Failed => Err(FaultKind::Prx1Storage.fault()),
            Held::TooLarge => Err(FaultKind::Prx1OverMax.fault()),
        }
    }

    /// Retry what waited. False: it waits still.
    fn unstall(&mut self, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        if let State::Joining { .. } = self.state
            && let State::Joining { connect, principal } =
                core::mem::replace(&mut self.state, State::Over)
        {
            self.heard = ctx.now.mono;
            self.join(*connect, principal, ctx)?;
        }
        if let Some(packet) = self.stalled.take() {
            self.heard = ctx.now.mono;
            self.on_packet(*packet, ctx)?;
        }
        Ok(self.stalled.is_none() && !matches!(self.state, State::Joining { .. }))
    }

    /// It is owed so many replies that nothing more is read of it.
    fn owes_too_much(&self) -> bool {
        self.replies.len() >= self.replies_max
    }

    /// The next reply that may be said. While the disk does not come back, a ping is answered
    /// ahead of what waits for it, but not ahead of the welcome.
    fn next_reply(&mut self, synced: Lsn, hub: &Hub) -> Option<Reply> {
        let welcomed = !matches!(self.replies.front(), Some(Reply::ConnAck { .. }));
        let ahead = hub.flush_is_late() && welcomed;
        match self.replies.pop(synced) {
            None if ahead => self.replies.pop_ahead(|reply| matches!(reply, Reply::Pong)),
            next => next,
        }
    }

    /// The longest body it may send in this state.
    fn body_max(&self, hub: &Hub) -> usize {
        match self.is_stranger() {
            true => hub.limits.login_bytes_max,
            false => hub.limits.packet_bytes_max,
        }
    }

    fn put_reply(&self, reply: Reply, out: &mut Outbound) {
        let packet = match reply {
            Reply::ConnAck { result, present } => {
                let plain = ConnAck::plain(result);
                Packet::ConnAck(ConnAck { session_present: present, ..plain })
            }
            Reply::PubAck(id) => Packet::PubAck(id),
            Reply::SubAck(id) => Packet::SubAck(id),
            Reply::UnsubAck(id) => Packet::UnsubAck(id),
            Reply::QAck(code) => Packet::QAck(code),
            Reply::Answer { id, reason } => {
                Packet::Extended(Extended::Answer(Answer { id, reason }))
            }
            Reply::Refused { id, reason } => {
                let (name, payload) = (Bytes::new(), Bytes::new());
                let what = What::Error { reason, name, payload };
                Packet::Extended(Extended::Response(Response { id, what }))
            }
            Reply::Pong => Packet::Pong,
        };
        // Fixed small packets: nothing in them can be too long.
        let _ = encode(&packet, out);
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
            let stranger = self.is_stranger();
            if stranger && input.first().is_some_and(|first| first >> 4 != 1) {
                return Err(FaultKind::Prx1FirstFrame.fault());
            }
            match decode::next(input, self.body_max(ctx.hub)) {
                Ok(None) => return Ok(()),
                Ok(Some(packet)) => {
                    self.heard = ctx.now.mono;
                    ctx.hub.stats.count(Counter::PacketsReceived);
                    self.on_packet(packet, ctx)?;
                }
                Err(why) if !stranger && fault::is_harmless(&why) => {
                    self.heard = ctx.now.mono;
                    ctx.hub.stats.count(Counter::Ignored);
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !matches!(&self.state, State::Verifying { serial: asked, .. } if *asked == serial) {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        let State::Verifying { connect, claim, .. } =
            core::mem::replace(&mut self.state, State::Over)
        else {
            return Ok(());
        };
        self.heard = ctx.now.mono;
        match ctx.hub.policy.verified(ctx.now, &claim, ok) {
            Ok(principal) => self.join(*connect, Arc::new(principal), ctx),
            Err(why) => self.refuse(&connect, why, ctx),
        }
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !ctx.now.reached(self.deadline()) {
            return Ok(());
        }
        match &self.state {
            State::Online(online) if online.is_to_go() => Err(Doom::Kicked),
            State::Online(_) => Err(Doom::IdleTimeout),
            _ => Err(Doom::ConnectTimeout),
        }
    }

    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        // What waits for the disk is not promised any more; what is true already may still go.
        let synced = ctx.hub.synced();
        let mut said = Vec::new();
        while let Some(reply) = self.replies.pop(synced) {
            said.push(reply);
        }
        self.replies.clear();
        for reply in said {
            self.replies.push(Lsn::START, reply);
        }
        if let Doom::Fault(why) = doom
            && let Some(Packet::ConnAck(ack)) = fault::last_words(why)
        {
            self.replies.push(Lsn::START, Reply::ConnAck { result: ack.result, present: false });
        }
        if let State::Online(online) = &self.state {
            procedure::leave_with(online.session, ctx);
            ctx.hub.detach(ctx.now, online.session, ctx.conn, Parting::Lost);
        }
        self.stalled = None;
        self.state = State::Over;
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
            self.put_reply(reply, out);
            hub.stats.count(Counter::RepliesSent);
        }
        if was_full && !self.owes_too_much() {
            self.heard = now.mono;
        }
        let State::Online(online) = &mut self.state else { return false };
        hub.heard(online.session);
        if self.replies.is_gated() {
            return self.replies.waits_for().is_some_and(|at| at <= synced);
        }
        while out.len() < budget && online.tell(now, hub, out) {}
        let share = hub.share(online.session, budget);
        while out.len() < share {
            if !online.deliver(now, hub, out) {
                return online.calling.is_some() && hub.parties.has_mail(online.session);
            }
        }
        true
    }

    fn deadline(&self) -> Deadline {
        let (from, ms) = match &self.state {
            State::Stranger => (self.opened, self.connect_ms),
            State::Verifying { .. } => (self.heard, VERDICT_MS),
            // Whoever is not read from is not silent.
            State::Online(online) if online.is_to_go() => return Deadline(0),
            State::Online(_) if self.stalled.is_some() => return Deadline::NEVER,
            State::Online(_) if self.owes_too_much() => return Deadline::NEVER,
            State::Online(online) => (self.heard, online.idle_ms),
            State::Joining { .. } | State::Over => return Deadline::NEVER,
        };
        Deadline(from.saturating_add(ms.saturating_mul(MS)))
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        let open = matches!(self.state, State::Stranger | State::Online(_));
        open && !self.left && self.stalled.is_none() && !self.owes_too_much()
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        match decode::frame_len(input, self.body_max(hub)) {
            Ok(len) => len.is_some_and(|len| len <= input.len()),
            Err(_) => true,
        }
    }

    fn waits_for(&self) -> Option<Lsn> {
        self.replies.waits_for()
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
        let keepalive_s = match &self.state {
            State::Online(online) => online.idle_ms / 1_000,
            _ => 0,
        };
        About { protocol: "prx1", keepalive_s, clean: false }
    }

    fn heap(&self) -> usize {
        size_of::<Self>() + self.replies.heap() + self.acked.heap()
    }
}

pub(super) fn permit(who: &Principal, access: Access<'_>, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
    if ctx.hub.policy.permit(who, &access) {
        return Ok(());
    }
    ctx.hub.stats.denied(access.action());
    let why = ctx.hub.policy.explain(who, &access);
    let event = Event::Denied { conn: ctx.conn, who, access, why: &why };
    ctx.hub.observer.see(ctx.now, &event);
    Err(FaultKind::Prx1Denied.fault())
}

/// By what it shows who it is.
fn method_of(connect: &Connect, ctx: &Ctx<'_>) -> Method {
    match (&connect.password, ctx.certificate) {
        (Some(_), _) => Method::Password,
        (None, Some(_)) => Method::Certificate,
        (None, None) => Method::Anonymous,
    }
}
