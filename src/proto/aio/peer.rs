//! Floor 3. An aioconnectors client: from the first frame to the last.
//!
//! States only go forward: a stranger says its name, perhaps a token is compared, it joins its
//! session, is online, is over. Its name is its session's, and whoever has it keeps it while it is
//! there: one that only says the same name is let go, and the other is asked whether it is still
//! there, so that the next attempt finds the name free if it is not. Who shows the name by a token
//! or a certificate has it at once. While the journal has no room nothing is taken, and TCP holds
//! the rest; nor is anything while a file that came is put where it belongs. Absent on purpose:
//! how names are shown and given out (`entry`), and goodbyes, which the protocol has none of.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId, Ticket};
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::base::words::{Method, Outcome, Tongue};
use crate::hub::admin::About;
use crate::hub::policy::{Admit, Claim, Event, Login, Principal, Refusal};
use crate::hub::registry::{Attach, Fresh, NoSession, Parting};
use crate::hub::session::Kind;
use crate::hub::{Held, Hub};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::replies::Replies;
use crate::proto::{Ask, Ctx, Protocol, procedure};

use super::asked::Book;
use super::decode::{self, Content};
use super::encode::encode;
use super::entry::About as Question;
use super::errand::{Errand, Ran};
use super::file::WithFile;
use super::heard::{Heard, Listening, What, Why, hear};
use super::inner::{Meaning, Side, frame as said};
use super::letter::Apart;
use super::names::Name;
use super::online::Online;
use super::packet::{Frame, Id};
use super::taking::Taking;

/// A token is compared within this time; then the stranger is let go.
const VERDICT_MS: u64 = 60_000;
/// What this end is called until the client has said what it calls it.
const UNKNOWN: &str = "spindle";

/// Small things to say, in the order of what they answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// The token is the right one.
    Welcome,
    /// Are you there?
    Ping,
    /// What it asked for, to be shown from now on.
    Give(Box<Meaning>),
    /// An acknowledgement, or an answer.
    Say(Box<Frame>),
}

/// Somebody who said its name.
#[derive(Debug)]
pub(super) struct Comer {
    pub(super) name: Name,
    /// It showed a token.
    pub(super) token: bool,
    /// What it showed was given to this name here.
    pub(super) shown: bool,
}

/// A message whose file is put where it belongs.
#[derive(Debug)]
pub(super) struct Filing {
    pub(super) serial: u32,
    pub(super) heard: Heard,
    pub(super) content: Content,
    /// It is for here, and not for others alone.
    pub(super) keep: bool,
    /// It came in pieces: so many bytes.
    pub(super) long: Option<u64>,
}

/// How far the connection has come.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing but a name may come.
    Stranger {
        /// It showed the certificate of those who have none of their own.
        guest: bool,
    },
    /// Something about its name is looked up or made.
    Asking { serial: u32, about: Box<Question> },
    /// A worker compares the token.
    Verifying { serial: u32, comer: Box<Comer>, claim: Box<Claim> },
    /// Let in; the journal has no room for its session yet.
    Joining { comer: Box<Comer>, principal: Arc<Principal> },
    /// At work.
    Online(Box<Online>),
    /// Over.
    Over,
}

/// A connection's state.
#[derive(Debug)]
pub struct Peer {
    pub(super) state: State,
    pub(super) replies: Replies<Reply>,
    /// Bytes of content in them.
    owed: usize,
    /// What waits for room; nothing behind it is taken.
    stalled: Option<Box<(Heard, Content)>>,
    /// What waits for its file; nothing behind it is taken.
    pub(super) filing: Option<Box<Filing>>,
    /// A file that comes in pieces, and is all that is taken until it has come.
    pub(super) taking: Option<Box<Taking>>,
    opened: u64,
    pub(super) heard: u64,
    /// Bytes of a frame that is not whole.
    partial: usize,
    connect_ms: u64,
    ask_ms: u64,
    answer_ms: u64,
    pub(super) serial: u32,
    replies_max: usize,
    pub(super) owed_max: usize,
}

impl Peer {
    /// A stranger, from now on.
    #[must_use]
    pub fn new(now: Now, hub: &Hub) -> Self {
        let limits = &hub.limits;
        Self {
            state: State::Stranger { guest: false },
            replies: Replies::default(),
            owed: 0,
            stalled: None,
            filing: None,
            taking: None,
            opened: now.mono,
            heard: now.mono,
            partial: 0,
            connect_ms: limits.connect_ms_max,
            ask_ms: limits.aio_idle_ms_max,
            answer_ms: limits.idle_ms_max,
            serial: 0,
            replies_max: limits.replies_max,
            owed_max: limits.packet_bytes_max,
        }
    }

    pub(super) fn is_heard(&mut self, now: Now) {
        self.heard = now.mono;
        if let State::Online(online) = &mut self.state {
            online.pinged = None;
        }
    }

    /// What a frame says; none: nobody is to say anything now.
    pub(super) fn hear(&mut self, frame: Frame) -> Result<Option<Heard>, Fault> {
        let (name, me) = match &mut self.state {
            State::Stranger { .. } => (None, UNKNOWN),
            State::Online(online) => {
                online.learn(&frame);
                (Some(&online.name), online.me.as_str())
            }
            _ => return Ok(None),
        };
        let on = Listening { me, from: Side::Client, name, ignored: false };
        // Whoever listens is who takes a type: that is known when it is published.
        hear(frame, on, |_| true).map(Some)
    }

    fn on_frame(&mut self, frame: Frame, content: Content, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let Some(heard) = self.hear(frame)? else { return Ok(()) };
        match heard.what {
            What::Login(meaning) => self.on_login(meaning, ctx),
            What::Message(_) => match self.to_store(&heard, &content, ctx) {
                Some(errand) => {
                    let serial = self.go(errand, ctx);
                    let (keep, long) = (true, None);
                    self.filing = Some(Box::new(Filing { serial, heard, content, keep, long }));
                    Ok(())
                }
                None => self.act(heard, content, ctx),
            },
            _ => self.act(heard, content, ctx),
        }
    }

    /// A message for the server brings a file that is kept here: whose, and what is said of it.
    pub(super) fn stored(&self, heard: &Heard, ctx: &Ctx<'_>) -> Option<(Name, Box<WithFile>)> {
        let State::Online(online) = &self.state else { return None };
        let (What::Message(frame), Some(desk)) = (&heard.what, &ctx.listener.desk) else {
            return None;
        };
        let header = &frame.header;
        let to_one = header.destination_id.as_ref().and_then(Name::new).is_some();
        if to_one || !desk.takes_files(header.message_type.as_str()) {
            return None;
        }
        let with = WithFile::of(frame).ok().flatten()?;
        Some((online.name.clone(), Box::new(with)))
    }

    /// The same where all of it is here.
    fn to_store(&self, heard: &Heard, content: &Content, ctx: &Ctx<'_>) -> Option<Errand> {
        let (from, with) = self.stored(heard, ctx)?;
        let What::Message(frame) = &heard.what else { return None };
        let (_, file) = with.cut(&content.binary(frame.data.len())).ok()?;
        Some(Errand::Store { from, with, content: file? })
    }

    /// The file is where it belongs, or nowhere: the message goes on.
    pub(super) fn on_filed(&mut self, done: Ran, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let Some(filing) = self.filing.take() else { return Ok(()) };
        let Filing { mut heard, content, keep, long, .. } = *filing;
        if keep {
            ctx.hub.stats.count(match done {
                Ran::Stored | Ran::Spooled { stored: true, .. } => Counter::FilesStored,
                _ => Counter::FilesRefused,
            });
        }
        self.is_heard(ctx.now);
        if let Some(size) = long {
            let apart = match done {
                Ran::Spooled { at, number, .. } => Some(Apart { at, number, size }),
                _ => None,
            };
            self.pass(&mut heard, apart);
        }
        self.act(heard, content, ctx)
    }

    fn on_login(&mut self, meaning: Meaning, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let guest = matches!(self.state, State::Stranger { guest: true });
        if self.on_word(&meaning, guest, ctx)? {
            return Ok(());
        }
        let (name, token) = match meaning {
            Meaning::Hello { name, .. } => (name, None),
            Meaning::Authenticate(name, token) => (name, Some(token)),
            Meaning::GetCertificate(_) | Meaning::GetToken(_) => {
                return Err(FaultKind::AioEnrol.fault());
            }
            _ => return Err(FaultKind::AioDirection.fault()),
        };
        let comer = Comer { name: name.detached(), token: token.is_some(), shown: false };
        self.admit(comer, token.as_ref().map(|token| token.reveal().as_bytes()), ctx)
    }

    /// Is it welcome under this name?
    pub(super) fn admit(
        &mut self,
        comer: Comer,
        password: Option<&[u8]>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let name = comer.name.as_str();
        let login = Login {
            protocol: "aio",
            user: name.as_bytes(),
            password,
            client_id: name.as_bytes(),
            certificate: if comer.shown { Some(name) } else { ctx.certificate },
            address: ctx.address,
            loopback: ctx.loopback,
        };
        match ctx.hub.admit(ctx.now, &login) {
            Admit::Yes(principal) => self.join(comer, Arc::new(principal), ctx),
            Admit::No(why) => refuse(&comer, why, ctx),
            Admit::Busy => {
                ctx.hub.stats.login(comer.method(ctx), Outcome::Busy);
                Err(FaultKind::AioBusy.fault())
            }
            Admit::Verify { secret, hash, claim } => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                let (address, tag) = (ctx.address, claim.tag);
                ctx.asks.push(Ask::Verify { ticket, address, tag, secret, hash });
                let (comer, claim) = (Box::new(comer), Box::new(claim));
                self.state = State::Verifying { serial: self.serial, comer, claim };
                Ok(())
            }
        }
    }

    /// Let in: find or make the session. Without room in the journal, wait for it.
    fn join(
        &mut self,
        comer: Comer,
        principal: Arc<Principal>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        if is_taken(&comer, ctx) {
            ctx.hub.stats.login(comer.method(ctx), Outcome::Refused);
            return Err(FaultKind::AioTaken.fault());
        }
        let attach = Attach {
            kind: Kind::Aio,
            tongue: Tongue::Aio,
            realm: ctx.listener.realm,
            name: Bytes::copy_from_slice(comer.name.as_str().as_bytes()),
            durable: principal.durable,
            principal: principal.clone(),
            conn: ctx.conn,
            fresh: Fresh::No,
            level: ctx.listener.level,
            inflight_max: ctx.hub.limits.inflight_max,
            expiry_s: ctx.hub.limits.session_s_max,
            unique: true,
            will: None,
        };
        let attached = match ctx.hub.attach(ctx.now, attach) {
            Ok(attached) => attached,
            Err(NoSession::Held(why)) if why.passes() => {
                self.state = State::Joining { comer: Box::new(comer), principal };
                ctx.asks.push(Ask::Stall);
                return Ok(());
            }
            Err(NoSession::Held(_)) => return Err(FaultKind::AioStorage.fault()),
            Err(NoSession::Anothers) => return Err(FaultKind::AioCredentials.fault()),
        };
        ctx.asks.extend(attached.yielding.filter(|old| *old != ctx.conn).map(Ask::Yield));
        // What its former connection called and served ends with that.
        procedure::leave(attached.session, ctx);
        ctx.hub.stats.login(comer.method(ctx), Outcome::Accepted);
        let client_id = comer.name.as_str().as_bytes();
        let who = &principal;
        let event =
            Event::LoggedIn { conn: ctx.conn, protocol: "aio", who, client_id, terms: None };
        ctx.hub.observer.see(ctx.now, &event);
        if comer.token {
            self.replies.push_gate(attached.after, Reply::Welcome);
        }
        self.state = State::Online(Box::new(Online {
            session: attached.session,
            who: principal,
            name: comer.name,
            me: UNKNOWN.into(),
            book: Book::default(),
            calling: None,
            pinged: None,
            withholds: false,
            passes: None,
            readers: 0,
            giving: None,
            given: Vec::new(),
        }));
        Ok(())
    }

    /// Do what a frame says, or keep it until there is room.
    pub(super) fn act(
        &mut self,
        mut heard: Heard,
        content: Content,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let State::Online(online) = &mut self.state else { return Ok(()) };
        let promised = heard.say.is_some();
        let done = match &mut heard.what {
            What::Message(frame) => online.on_message((frame, &content), promised, ctx),
            What::Answer(frame) => online.on_answer((frame, &content), promised, ctx),
            What::Publish(kind, frame) => online.on_publish(kind, (frame, &content), promised, ctx),
            What::Subscribe(types) => online.on_subscribe(types, ctx),
            What::Unsubscribe(types) => online.on_unsubscribe(types, ctx),
            What::Acked(id) => {
                let known = id.number().and_then(|id| u16::try_from(id).ok());
                let known = known.filter(|id| ctx.hub.settle(online.session, *id));
                let Some(id) = known else {
                    ctx.hub.stats.count(Counter::Ignored);
                    return Ok(());
                };
                if let Some((desk, errand)) = online.had(u64::from(id)) {
                    let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                    ctx.asks.push(Ask::Errand { ticket, desk, errand });
                }
                return Ok(());
            }
            What::Nothing(why) => {
                if *why != Why::Pinged {
                    ctx.hub.stats.count(Counter::Ignored);
                }
                self.say(Lsn::START, heard.say.take());
                return Ok(());
            }
            What::Login(_) => return Err(FaultKind::AioFirst.fault()),
        };
        match done {
            Ok(done) => {
                online.withholds = false;
                self.tell_of_passed(ctx);
                self.say(done.after, heard.say.take());
                self.say(Lsn::START, done.say);
                Ok(())
            }
            Err(why) => self.held(why, heard, content, ctx),
        }
    }

    fn say(&mut self, after: Lsn, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.owed += frame.len();
            self.replies.push(after, Reply::Say(Box::new(frame)));
        }
    }

    /// The hub could not: wait with it if waiting helps.
    fn held(
        &mut self,
        why: Held,
        heard: Heard,
        content: Content,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match why {
            Held::Turn => ctx.asks.push(Ask::Again),
            Held::Full | Held::Memory => {
                ctx.hub.stats.count(Counter::Stalled);
                ctx.asks.push(Ask::Stall);
            }
            Held::Failed => return Err(FaultKind::AioStorage.fault()),
            Held::TooLarge => return Err(FaultKind::AioOverMax.fault()),
        }
        self.stalled = Some(Box::new((heard, content)));
        Ok(())
    }

    /// Retry what waited. False: it waits still.
    fn unstall(&mut self, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        if let State::Joining { .. } = self.state
            && let State::Joining { comer, principal } =
                core::mem::replace(&mut self.state, State::Over)
        {
            self.heard = ctx.now.mono;
            self.join(*comer, principal, ctx)?;
        }
        if let Some(stalled) = self.stalled.take() {
            self.is_heard(ctx.now);
            let (heard, content) = *stalled;
            self.act(heard, content, ctx)?;
        }
        Ok(self.stalled.is_none() && !matches!(self.state, State::Joining { .. }))
    }

    /// Something that came waits for room, or for its file.
    fn is_held(&self) -> bool {
        self.stalled.is_some() || self.filing.is_some()
    }

    /// What came whole is done with before it is let go, if it closes its end.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.filing.is_some() || self.taking.as_ref().is_some_and(|taking| taking.is_here())
    }

    /// Of a file that comes as much is under way as may be.
    fn is_busy(&self) -> bool {
        self.taking.as_ref().is_some_and(|taking| taking.is_full(self.owed_max))
    }

    /// The frame at the front is too long to be kept, and is taken in pieces.
    fn begins_long(&self, input: &[u8], hub: &Hub) -> bool {
        let online = matches!(self.state, State::Online(_));
        online && decode::is_long(input, hub.limits.packet_bytes_max)
    }

    /// Take one frame off the front, or what has come of a long one; false: nothing has.
    fn take_one(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        if self.taking.is_some() {
            return self.take_piece(input, ctx);
        }
        if self.begins_long(input, ctx.hub) {
            if !self.begin(input, ctx)? {
                return Ok(false);
            }
        } else {
            let Some((frame, content)) = decode::next_whole(input, self.frame_max(ctx.hub))? else {
                return Ok(false);
            };
            self.on_frame(frame, content, ctx)?;
        }
        self.is_heard(ctx.now);
        self.partial = 0;
        ctx.hub.stats.count(Counter::PacketsReceived);
        Ok(true)
    }

    /// It is owed so much that nothing more is read of it.
    fn owes_too_much(&self) -> bool {
        self.replies.len() >= self.replies_max || self.owed > self.owed_max
    }

    /// The longest frame it may send in this state.
    fn frame_max(&self, hub: &Hub) -> usize {
        match self.is_stranger() {
            true => hub.limits.login_bytes_max,
            false => hub.limits.packet_bytes_max,
        }
    }

    fn put_reply(&mut self, reply: Reply, out: &mut Outbound) {
        let me = match &self.state {
            State::Online(online) => online.me.as_str(),
            _ => UNKNOWN,
        };
        let meant = match &reply {
            Reply::Welcome => said(&Meaning::Welcome, me),
            Reply::Ping => said(&Meaning::Ping(Id::from(UNKNOWN)), me),
            Reply::Give(gift) => said(gift, me),
            Reply::Say(frame) => {
                self.owed = self.owed.saturating_sub(frame.len());
                // What came in a frame fits into one.
                let _ = encode(frame, out);
                return;
            }
        };
        let _ = meant.map(|frame| encode(&frame, out));
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
            if !self.take_one(input, ctx)? {
                // A part of a long frame is a sign of life too.
                if input.len() > self.partial && !self.is_stranger() {
                    self.is_heard(ctx.now);
                }
                self.partial = input.len();
                return Ok(());
            }
        }
        Ok(())
    }

    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !matches!(&self.state, State::Verifying { serial: asked, .. } if *asked == serial) {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        let State::Verifying { comer, claim, .. } =
            core::mem::replace(&mut self.state, State::Over)
        else {
            return Ok(());
        };
        self.heard = ctx.now.mono;
        match ctx.hub.policy.verified(ctx.now, &claim, ok) {
            Ok(principal) => self.join(*comer, Arc::new(principal), ctx),
            Err(why) => refuse(&comer, why, ctx),
        }
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !ctx.now.reached(self.deadline()) {
            return Ok(());
        }
        match &mut self.state {
            State::Online(online) if online.is_to_go() => Err(Doom::Kicked),
            State::Online(online) if online.pinged.is_none() => {
                online.pinged = Some(ctx.now.mono);
                self.replies.push(Lsn::START, Reply::Ping);
                Ok(())
            }
            State::Online(_) => Err(Doom::IdleTimeout),
            _ => Err(Doom::ConnectTimeout),
        }
    }

    fn on_doom(&mut self, _: &Doom, ctx: &mut Ctx<'_>) {
        let cut = self.stop_giving(ctx);
        if let Some(filing) = self.filing.take() {
            // Its file goes where it belongs without it.
            let Filing { mut heard, content, long, .. } = *filing;
            if long.is_some() {
                self.pass(&mut heard, None);
            }
            let _ = self.act(heard, content, ctx);
        }
        self.tell_of_passed(ctx);
        self.forsake(ctx);
        // What waits for the disk is not promised any more; what is true already may still go.
        let synced = ctx.hub.synced();
        let mut kept = Vec::new();
        while let Some(reply) = self.replies.pop(synced) {
            kept.push(reply);
        }
        self.replies.clear();
        // Within a frame they would be taken for a part of it.
        for reply in kept.into_iter().filter(|_| !cut) {
            self.replies.push(Lsn::START, reply);
        }
        if let State::Online(online) = &mut self.state {
            let ours = ctx.hub.session(online.session).is_some_and(|s| s.conn == Some(ctx.conn));
            if ours {
                online.leave(ctx);
            }
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
        if let State::Online(online) = &mut self.state
            && online.is_giving()
            && !online.give(now, hub, out, budget)
        {
            hub.heard(online.session);
            return out.len() >= budget;
        }
        if let State::Online(online) = &mut self.state
            && hub.take_doubt(online.session)
            && online.pinged.is_none()
        {
            online.pinged = Some(now.mono);
            self.replies.push(Lsn::START, Reply::Ping);
        }
        let (synced, was_full) = (hub.synced(), self.owes_too_much());
        while out.len() < budget
            && let Some(reply) = self.replies.pop(synced)
        {
            self.put_reply(reply, out);
            hub.stats.count(Counter::RepliesSent);
        }
        if was_full && !self.owes_too_much() {
            self.is_heard(now);
        }
        let gated = self.replies.is_gated();
        let State::Online(online) = &mut self.state else { return false };
        hub.heard(online.session);
        if gated {
            return self.replies.waits_for().is_some_and(|at| at <= synced);
        }
        while out.len() < budget && online.tell(now, hub, out) {}
        let share = hub.share(online.session, budget);
        while out.len() < share {
            if !online.give(now, hub, out, share) {
                break;
            }
            if !online.deliver(now, hub, out) {
                return online.calling.is_some() && hub.parties.has_mail(online.session);
            }
        }
        // Where nothing fits there is more; where something is fetched it is waited for.
        out.len() >= share
    }

    fn deadline(&self) -> Deadline {
        let (from, ms) = match &self.state {
            State::Stranger { .. } => (self.opened, self.connect_ms),
            State::Verifying { .. } | State::Asking { .. } => (self.heard, VERDICT_MS),
            State::Online(online) if online.is_to_go() => return Deadline(0),
            // Whoever is not read from is not silent.
            State::Online(_) if self.is_held() || self.is_busy() || self.owes_too_much() => {
                return Deadline::NEVER;
            }
            // Within a frame it cannot be asked; whether it takes anything, its socket shows.
            State::Online(online) if online.is_giving() => return Deadline::NEVER,
            State::Online(online) => match online.pinged {
                Some(at) => (at, self.answer_ms),
                None => (self.heard, self.ask_ms),
            },
            State::Joining { .. } | State::Over => return Deadline::NEVER,
        };
        Deadline(from.saturating_add(ms.saturating_mul(MS)))
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        let open = matches!(self.state, State::Stranger { .. } | State::Online(_));
        open && !self.is_held() && !self.is_busy() && !self.owes_too_much()
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        if self.taking.is_some() {
            return !input.is_empty();
        }
        if self.begins_long(input, hub) {
            let begun = decode::front(input, hub.limits.packet_bytes_max);
            return begun.map_or(true, |begun| begun.is_some());
        }
        match decode::frame_len(input, self.frame_max(hub)) {
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
        About { protocol: "aio", ..About::default() }
    }

    fn heap(&self) -> usize {
        let online = match &self.state {
            State::Online(online) => size_of::<Online>() + online.book.heap(),
            _ => 0,
        };
        size_of::<Self>() + self.replies.heap() + online
    }
}

impl Comer {
    /// By what it shows who it is.
    fn method(&self, ctx: &Ctx<'_>) -> Method {
        match (self.token, self.shown || ctx.certificate.is_some()) {
            (true, _) => Method::Password,
            (false, true) => Method::Certificate,
            (false, false) => Method::Anonymous,
        }
    }
}

/// Is the name somebody's who is connected, and whom this one cannot send away? That one is to show
/// that it is there.
fn is_taken(comer: &Comer, ctx: &mut Ctx<'_>) -> bool {
    let name = comer.name.as_str();
    if comer.token || comer.shown || ctx.certificate == Some(name) {
        return false;
    }
    let found = ctx.hub.named(ctx.listener.realm, Kind::Aio, name.as_bytes());
    let connected = |id: &SessionId| ctx.hub.session(*id).is_some_and(|s| s.conn.is_some());
    match found.filter(connected) {
        Some(id) => {
            ctx.hub.doubt(id);
            true
        }
        None => false,
    }
}

pub(super) fn refuse(comer: &Comer, why: Refusal, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
    ctx.hub.stats.login(comer.method(ctx), Outcome::Refused);
    let user = comer.name.as_str().as_bytes();
    let event = Event::Refused { conn: ctx.conn, address: ctx.address, user, client_id: user, why };
    ctx.hub.observer.see(ctx.now, &event);
    Err(FaultKind::AioCredentials.fault())
}
