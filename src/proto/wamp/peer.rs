//! Floor 3. A WAMP connection: from its handshake to its goodbye.
//!
//! States only go forward: a stranger says hello, is examined, is online, is over. While a verdict
//! is out or there is no room, no bytes are taken and TCP holds the rest. What is said in answer
//! keeps its order; then comes what others want of it, then its events, which are pulled from the
//! session. Absent on purpose: sockets, and what requests do (`online`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId, Ticket};
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::base::words::{Method, Outcome, Tongue};
use crate::hub::Hub;
use crate::hub::admin::About;
use crate::hub::inquiries::Told;
use crate::hub::parties::Joining;
use crate::hub::policy::{Event, Terms};
use crate::hub::registry::{Attach, Fresh, Parting};
use crate::hub::session::Kind;
use crate::link::Carrier;
use crate::proto::doom::Doom;
use crate::proto::fault::{Blame, Fault, FaultKind};
use crate::proto::replies::Replies;
use crate::proto::{Ask, Ctx, Protocol};
use crate::value::{Form, Value, Walk};

use super::calling::CALL;
use super::decode::{Most, Refused, decode};
use super::exam::{Admitted, Exam, Step};
use super::fault::{Reason, last_words, reason};
use super::line::{Heard, Line};
use super::online::Online;
use super::options::{AbortDetails, GoodbyeDetails, WelcomeDetails};
use super::packet::{Abort, Failure, Goodbye, Hello, Message, Sender, Welcome};
use super::parts::Text;
use super::pulse::Pulse;
use super::terms::is_name;
use super::{meta, roles};

/// A password check is waited for this long; then the stranger is let go.
const VERDICT_MS: u64 = 60_000;
/// Bytes of what somebody says of itself in HELLO, besides what has a meaning: it is kept for as
/// long as the session is.
const DETAILS_BYTES_MAX: usize = 16_384;
/// A value in memory is at most so many times as long as it was written.
const TREE: usize = 16;
/// Whoever is told to go has so long to say goodbye.
const GO_MS: u64 = 1_000;

/// What is said in answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// The answer to a handshake.
    Octets([u8; 4]),
    /// The answer to a ping.
    Pong(Bytes),
    /// Are you there?
    Ping,
    /// PUBLISHED: request, publication.
    Published(u64, u64),
    /// Any message.
    Message(Box<Message>),
}

/// How far the connection has come.
#[derive(Debug)]
enum State {
    /// Nothing but a HELLO may come.
    Stranger,
    /// It proves who it is.
    Examined(Box<Examined>),
    /// At work.
    Online(Box<Online>),
    /// Over.
    Over,
}

/// Somebody who says hello.
#[derive(Debug)]
struct Examined {
    exam: Option<Exam>,
    hello: Hello,
    id: u64,
    /// A worker compares for the question of this number; else its AUTHENTICATE is waited for.
    verdict: Option<u32>,
}

impl Examined {
    /// The question that waits for an answer.
    fn asked(&self) -> Option<u64> {
        self.exam.as_ref().and_then(Exam::asked)
    }

    /// Nothing is heard from it until somebody else has answered.
    fn waits(&self) -> bool {
        self.verdict.is_some() || self.asked().is_some()
    }
}

/// A WAMP connection's state.
#[derive(Debug)]
pub struct Peer {
    line: Line,
    pulse: Pulse,
    state: State,
    pub(super) replies: Replies<Reply>,
    /// A message that waits for room; nothing behind it is taken.
    stalled: Option<Box<(Message, Bytes)>>,
    /// What is said last, if it is more than the fault.
    words: Option<Box<Message>>,
    opened: u64,
    heard: u64,
    connect_ms: u64,
    serial: u32,
    replies_max: usize,
    /// It said goodbye: nothing behind that is read.
    left: bool,
    /// It was told to go, and is let go then.
    go_by: Deadline,
}

/// Why a request is not carried out now.
#[derive(Debug)]
pub(super) enum Stop {
    /// Never: the connection ends.
    Fault(Fault),
    /// Not yet.
    Wait(crate::hub::Held),
    /// Somebody was asked about it first.
    Asked,
}

impl From<FaultKind> for Stop {
    fn from(kind: FaultKind) -> Self {
        Self::Fault(kind.fault())
    }
}

impl Peer {
    /// A stranger, from now on, by this road.
    #[must_use]
    pub fn carried(carrier: Carrier, now: Now, hub: &Hub) -> Self {
        let (limits, raw) = (&hub.limits, carrier == Carrier::Raw);
        let ping_ms = if raw { limits.wamp_raw_ping_ms } else { limits.wamp_ping_ms };
        let pulse = Pulse::new(ping_ms, limits.wamp_pong_ms);
        let line = match carrier {
            Carrier::Raw => Line::bare(),
            Carrier::Json => Line::framed(Form::Json, false),
            Carrier::JsonBatched => Line::framed(Form::Json, true),
            Carrier::MsgPack => Line::framed(Form::MsgPack, false),
            Carrier::MsgPackBatched => Line::framed(Form::MsgPack, true),
            Carrier::Cbor => Line::framed(Form::Cbor, false),
            Carrier::CborBatched => Line::framed(Form::Cbor, true),
        };
        Self::on(line, pulse, now, hub)
    }

    /// A stranger whose messages are fetched by requests.
    #[must_use]
    pub fn polled(carrier: Carrier, now: Now, hub: &Hub) -> Self {
        let pulse = Pulse::of_polls(hub.limits.wamp_poll_ms);
        Self { pulse, ..Self::carried(carrier, now, hub) }
    }

    fn on(line: Line, pulse: Pulse, now: Now, hub: &Hub) -> Self {
        Self {
            line,
            pulse,
            state: State::Stranger,
            replies: Replies::default(),
            stalled: None,
            words: None,
            opened: now.mono,
            heard: now.mono,
            connect_ms: hub.limits.connect_ms_max,
            serial: 0,
            replies_max: hub.limits.replies_max,
            left: false,
            go_by: Deadline::NEVER,
        }
    }

    /// Something came from it, whatever it was.
    pub fn on_alive(&mut self, now: Now) {
        self.heard = now.mono;
        self.pulse.on_alive();
    }

    fn form(&self) -> Form {
        self.line.form().unwrap_or(Form::Json)
    }

    /// The longest message it may send in this state.
    fn most(&self, hub: &Hub) -> usize {
        match self.is_stranger() && self.line.form().is_some() {
            true => hub.limits.login_bytes_max,
            false => hub.limits.wamp_bytes_max,
        }
    }

    fn on_text(&mut self, text: &Bytes, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        ctx.hub.stats.count(Counter::PacketsReceived);
        let most = Most { text: ctx.hub.limits.topic_bytes_max.max(4_096), ..Most::default() };
        match decode(self.form(), text, Sender::Client, &most) {
            Ok(message) => self.on_message(message, text.clone(), ctx),
            Err(refused) => Err(self.refuse(&refused)),
        }
    }

    /// It ends for this, and is told where.
    fn refuse(&mut self, refused: &Refused) -> Fault {
        self.words = Some(Box::new(last_words(refused).into()));
        refused.fault
    }

    /// It ends with these words.
    fn abort(&mut self, kind: FaultKind, reason: Reason, message: &str) -> Fault {
        let details = AbortDetails { message: Some(message.into()) };
        let abort = Abort { details, reason: reason.uri().into(), ..Abort::default() };
        self.words = Some(Box::new(abort.into()));
        kind.fault()
    }

    fn on_message(
        &mut self,
        message: Message,
        whole: Bytes,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        if let State::Online(online) = &mut self.state {
            let goes = ctx.hub.session(online.session).is_some_and(|s| s.going);
            let done = match &message {
                Message::Goodbye(_) | Message::Abort(_) => return self.on_goodbye(&message, ctx),
                // Whether it has heard that already or takes nothing: it has no say any more.
                _ if goes => {
                    ctx.hub.stats.count(Counter::Ignored);
                    return Ok(());
                }
                Message::Hello(_) => Err(FaultKind::WampState.into()),
                message => match online.ask_first(message, &mut self.replies, ctx) {
                    Ok(true) => online.on_request(message, &whole, &mut self.replies, ctx),
                    Ok(false) => Ok(()),
                    Err(stop) => Err(stop),
                },
            };
            return match done {
                Ok(()) => Ok(()),
                Err(Stop::Fault(fault)) => Err(fault),
                Err(Stop::Asked) => {
                    self.stalled = Some(Box::new((message, whole)));
                    Ok(())
                }
                Err(Stop::Wait(why)) => {
                    online.cleared = true;
                    if why != crate::hub::Held::Turn {
                        ctx.hub.stats.count(Counter::Stalled);
                    }
                    let again = why == crate::hub::Held::Turn;
                    ctx.asks.push(if again { Ask::Again } else { Ask::Stall });
                    self.stalled = Some(Box::new((message, whole)));
                    Ok(())
                }
            };
        }
        match (message, &mut self.state) {
            (Message::Hello(hello), State::Stranger) => self.on_hello(hello, ctx),
            (Message::Authenticate(said), State::Examined(it)) if !it.waits() => {
                let Some(exam) = &mut it.exam else { return Ok(()) };
                let step = exam.on_authenticate(&said, ctx);
                self.on_step(step, ctx)
            }
            (Message::Abort(_), State::Stranger | State::Examined(_)) => {
                ctx.asks.push(Ask::Leave);
                self.left = true;
                Ok(())
            }
            (_, State::Stranger) => Err(FaultKind::WampFirst.fault()),
            _ => Err(FaultKind::WampState.fault()),
        }
    }

    /// It has said nothing for as long as that may be.
    fn on_silence(&mut self, ctx: &Ctx<'_>) -> Result<(), Doom> {
        if !self.wants_bytes(ctx.hub) || ctx.hub.is_awaited(ctx.conn) {
            // What it may have said was not read, or somebody waits: it is not its silence.
            self.on_alive(ctx.now);
        } else if self.pulse.is_out() {
            return Err(Doom::IdleTimeout);
        } else {
            self.pulse.on_asked();
            self.replies.push(Lsn::START, Reply::Ping);
        }
        Ok(())
    }

    fn on_goodbye(&mut self, message: &Message, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if matches!(message, Message::Goodbye(_)) {
            self.words = Some(Box::new(goodbye(Reason::GoodbyeAndOut, None)));
        }
        ctx.asks.push(Ask::Leave);
        self.left = true;
        Ok(())
    }

    fn on_hello(&mut self, hello: Hello, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !hello.details.roles.has_client() {
            let text = "a client has a role: publisher, subscriber, caller or callee";
            return Err(self.abort(FaultKind::WampRole, Reason::NoSuchRole, text));
        }
        let name = hello.realm.as_str();
        let makes = ctx.hub.terms_of(name).is_some() && is_name(name);
        let open = ctx.hub.realm_named(name).is_some() || (makes && ctx.hub.has_vacancy());
        if name.starts_with('$') || !open {
            let text = match makes {
                true => "there is no room for another realm now",
                false => "there is no such realm here",
            };
            return Err(self.abort(FaultKind::WampRealm, Reason::NoSuchRealm, text));
        }
        if more_bytes(&hello) > DETAILS_BYTES_MAX {
            let text = "more is said about the session than is kept of one";
            return Err(self.abort(FaultKind::WampLong, Reason::PayloadSizeExceeded, text));
        }
        let id = ctx.hub.parties.number();
        let (exam, step) = Exam::begin(&hello, id, ctx);
        let it = Examined { exam: Some(exam), hello: detached(hello), id, verdict: None };
        self.state = State::Examined(Box::new(it));
        self.on_step(step, ctx)
    }

    fn on_step(&mut self, step: Step, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match step {
            Step::In(admitted) => self.join(admitted, ctx),
            Step::Challenge(challenge) => {
                self.say(challenge);
                Ok(())
            }
            Step::Verify { secret, hash, tag } => {
                self.serial += 1;
                if let State::Examined(it) = &mut self.state {
                    it.verdict = Some(self.serial);
                }
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                ctx.asks.push(Ask::Verify { ticket, address: ctx.address, tag, secret, hash });
                Ok(())
            }
            Step::Ask => {
                self.heard = ctx.now.mono;
                Ok(())
            }
            Step::Abort { reason, message } => {
                Err(self.abort(FaultKind::WampCredentials, reason, message))
            }
            Step::Busy => {
                let text = "no room to check another password now";
                Err(self.abort(FaultKind::WampBusy, Reason::Unavailable, text))
            }
        }
    }

    /// Whoever was asked by the router has answered.
    pub fn on_told(&mut self, number: u64, told: Told, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match &mut self.state {
            State::Online(online) => {
                online.on_told(number, told);
                Ok(())
            }
            State::Examined(it) if it.asked() == Some(number) => {
                // That was not its delay.
                self.opened += ctx.now.mono.saturating_sub(self.heard);
                let Some(exam) = &mut it.exam else { return Ok(()) };
                let step = exam.on_told(told, ctx);
                self.on_step(step, ctx)
            }
            _ => Ok(()),
        }
    }

    /// Let in: make the session.
    fn join(&mut self, admitted: Box<Admitted>, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let State::Examined(it) = core::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let welcome = welcome(&it, &admitted);
        if !ctx.hub.with_scratch(|_, scratch| self.line.takes(&welcome, scratch)) {
            let text = "a client takes at least its WELCOME";
            self.state = State::Examined(it);
            return Err(self.abort(FaultKind::WampSmall, Reason::PayloadSizeExceeded, text));
        }
        let Some(realm) = ctx.hub.realm_for(ctx.now, it.hello.realm.as_str()) else {
            let text = "there is no room for another realm now";
            self.state = State::Examined(it);
            return Err(self.abort(FaultKind::WampRealm, Reason::NoSuchRealm, text));
        };
        let who = Arc::new(admitted.who.clone());
        let attach = Attach {
            kind: Kind::Wamp,
            tongue: Tongue::Wamp,
            realm,
            name: Bytes::new(),
            principal: Arc::clone(&who),
            conn: ctx.conn,
            durable: false,
            fresh: Fresh::All,
            level: ctx.listener.level,
            inflight_max: ctx.hub.limits.inflight_max,
            expiry_s: 0,
            unique: false,
            will: None,
        };
        let session = match ctx.hub.attach(ctx.now, attach) {
            Ok(attached) => attached.session,
            // It is nobody's whom others know, nothing of it is written down and it has no will:
            // it does not wait for room.
            Err(_) => {
                ctx.hub.quit_realm(ctx.now, realm);
                return Err(FaultKind::WampBusy.fault());
            }
        };
        let details = details_of(&it.hello);
        let charge = ctx.hub.weigh(more_bytes(&it.hello) * TREE);
        ctx.hub.parties.join(Joining {
            id: it.id,
            session,
            realm,
            conn: ctx.conn,
            authid: admitted.authid.bytes().clone(),
            authrole: admitted.authrole.bytes().clone(),
            authmethod: Bytes::from_static(admitted.method.as_bytes()),
            authprovider: Bytes::from_static(admitted.provider.as_bytes()),
            details,
        });
        if let Some(bearer) = admitted.bearer(it.hello.realm.as_str()) {
            let most = ctx.hub.limits.cookies_max;
            ctx.hub.polls.cookies.admit(ctx.now, ctx.conn, bearer, most);
        }
        self.replies.push_gate(Lsn::START, Reply::Message(Box::new(welcome)));
        self.tell_login(&it, &admitted, ctx);
        self.pulse.tell(ctx.listener.link.pings);
        let online = Online::new(session, (it.id, charge), realm, &it.hello, who, self.form());
        self.state = State::Online(Box::new(online));
        meta::on_join(session, ctx);
        Ok(())
    }

    fn tell_login(&self, it: &Examined, admitted: &Admitted, ctx: &mut Ctx<'_>) {
        let method = it.exam.as_ref().map_or(Method::Anonymous, Exam::counted);
        ctx.hub.stats.login(method, Outcome::Accepted);
        let event = Event::LoggedIn {
            conn: ctx.conn,
            protocol: "wamp",
            who: &admitted.who,
            client_id: &[],
            terms: Some(Terms { version: None, clean: true, keepalive_s: 0 }),
        };
        ctx.hub.observer.see(ctx.now, &event);
    }

    fn say(&mut self, message: impl Into<Message>) {
        self.replies.push(Lsn::START, Reply::Message(Box::new(message.into())));
    }

    /// Retry what waited. False: it waits still.
    fn unstall(&mut self, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        if let Some(stalled) = self.stalled.take() {
            let (message, whole) = *stalled;
            self.on_message(message, whole, ctx)?;
        }
        Ok(self.stalled.is_none())
    }

    fn put(&mut self, now: Now, reply: Reply, hub: &mut Hub, out: &mut Outbound) {
        match reply {
            Reply::Octets(octets) => out.put_slice(&octets),
            Reply::Ping => {
                Line::put_ping(out);
                self.pulse.on_said(now);
            }
            Reply::Pong(payload) => Line::put_pong(&payload, out),
            Reply::Published(request, publication) => {
                let message = super::packet::Published { request, publication };
                hub.with_scratch(|_, scratch| self.line.put(&message.into(), scratch, out));
            }
            Reply::Message(message) => hub.with_scratch(|_, scratch| {
                if !self.line.put(&message, scratch, out)
                    && let Some(instead) = instead_of(&message)
                {
                    self.line.put(&instead, scratch, out);
                }
            }),
        }
        hub.stats.count(Counter::RepliesSent);
    }

    /// What it is told last, for this reason.
    fn last_words(&self, doom: &Doom) -> Option<Message> {
        let online = matches!(self.state, State::Online(_));
        match doom {
            Doom::Fault(fault) if fault.blame == Blame::Us => {
                Some(goodbye(Reason::SystemShutdown, Some(fault.kind.text())))
            }
            Doom::Fault(fault) if self.line.form().is_some() => {
                let details = AbortDetails { message: Some(fault.kind.text().into()) };
                let reason = reason(fault).uri().into();
                Some(Abort { details, reason, ..Abort::default() }.into())
            }
            Doom::Busy => {
                let message = Some(FaultKind::WampBusy.text().into());
                let (details, reason) =
                    (AbortDetails { message }, Reason::Unavailable.uri().into());
                Some(Abort { details, reason, ..Abort::default() }.into())
            }
            Doom::Stopping if online => Some(goodbye(Reason::SystemShutdown, None)),
            Doom::Kicked if online => Some(goodbye(Reason::Killed, None)),
            _ => None,
        }
    }
}

/// What is said to who waits for something that is longer than it takes.
fn instead_of(message: &Message) -> Option<Message> {
    let reason = Reason::PayloadSizeExceeded.uri().into();
    match message {
        Message::Outcome(it) => {
            let (kind, request, error) = (CALL, it.request, reason);
            Some(Failure { kind, request, error, ..Failure::default() }.into())
        }
        _ => None,
    }
}

fn welcome(it: &Examined, admitted: &Admitted) -> Message {
    let details = WelcomeDetails {
        roles: roles::router(),
        realm: Some(it.hello.realm.clone()),
        authid: Some(admitted.authid.clone()),
        authrole: Some(admitted.authrole.clone()),
        authmethod: Some(admitted.method.into()),
        authprovider: Some(admitted.provider.into()),
        authextra: admitted.extra.clone(),
        ..WelcomeDetails::default()
    };
    Welcome { session: it.id, details }.into()
}

/// The end, as a router says it.
fn goodbye(reason: Reason, message: Option<&str>) -> Message {
    let details = GoodbyeDetails { message: message.map(Into::into) };
    Goodbye { details, reason: reason.uri().into() }.into()
}

/// What is kept must not keep the packet.
fn detached(mut hello: Hello) -> Hello {
    hello.realm = hello.realm.detached();
    hello.details.authid = hello.details.authid.map(|authid| authid.detached());
    hello.details.authmethods = None;
    hello.details.authextra = None;
    for (key, raw) in &mut hello.details.more.0 {
        *key = key.detached();
        raw.bytes = Bytes::copy_from_slice(&raw.bytes);
    }
    hello
}

fn more_bytes(hello: &Hello) -> usize {
    let more = hello.details.more.0.iter();
    more.map(|(key, raw)| key.bytes().len() + raw.bytes.len()).sum()
}

/// What it says of itself, save for what is not its to say.
fn details_of(hello: &Hello) -> Vec<(String, Value)> {
    const OURS: [&str; 6] =
        ["session", "authrole", "authmethod", "authprovider", "transport", "realm"];
    let own = hello.details.more.0.iter().filter(|(key, _)| !OURS.contains(&key.as_str()));
    let read = |(key, raw): &(Text, super::parts::Raw)| {
        let mut walk = Walk::new(raw.form, &raw.bytes, crate::value::Bounds::default());
        Some((key.as_str().to_owned(), Value::read(&mut walk).ok()?))
    };
    own.filter_map(read).collect()
}

impl Protocol for Peer {
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        self.on_alive(ctx.now);
        if !self.unstall(ctx)? {
            return Ok(());
        }
        for _ in 0..ctx.hub.limits.packets_turn {
            if !self.wants_bytes(ctx.hub) {
                return Ok(());
            }
            let most = self.most(ctx.hub);
            match self.line.next(input, most).map_err(FaultKind::fault)? {
                Heard::Nothing => return Ok(()),
                Heard::Octets(octets) => self.replies.push(Lsn::START, Reply::Octets(octets)),
                Heard::Refused(kind, octets) => {
                    if let Some(octets) = octets {
                        self.replies.push(Lsn::START, Reply::Octets(octets));
                    }
                    return Err(kind.fault());
                }
                Heard::Ping(payload) => {
                    let payload = Bytes::copy_from_slice(&payload);
                    self.replies.push(Lsn::START, Reply::Pong(payload));
                }
                Heard::Pong => {}
                Heard::Message(text) => self.on_text(&text, ctx)?,
            }
        }
        Ok(())
    }

    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let State::Examined(it) = &mut self.state else {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        };
        if it.verdict != Some(serial) {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        it.verdict = None;
        self.heard = ctx.now.mono;
        let Some(exam) = &mut it.exam else { return Ok(()) };
        let step = exam.on_verdict(ok, ctx);
        self.on_step(step, ctx)
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !ctx.now.reached(self.deadline()) {
            return Ok(());
        }
        match self.state {
            State::Online(_) if ctx.now.reached(self.go_by) => Err(Doom::Kicked),
            State::Online(_) => self.on_silence(ctx),
            _ => Err(Doom::ConnectTimeout),
        }
    }

    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        // What waits for the disk is not promised any more; what is true already may still go.
        let synced = ctx.hub.synced();
        let said: Vec<Reply> = core::iter::from_fn(|| self.replies.pop(synced)).collect();
        self.replies.clear();
        for reply in said {
            self.replies.push(Lsn::START, reply);
        }
        let words = self.words.take().map(|words| *words).or_else(|| self.last_words(doom));
        // Whoever was told to go has heard its last word.
        if let Some(words) = words.filter(|_| self.go_by == Deadline::NEVER) {
            self.say(words);
        }
        self.stalled = None;
        let before = core::mem::replace(&mut self.state, State::Over);
        if let State::Examined(it) = &before
            && let Some(number) = it.asked()
        {
            ctx.hub.give_up(number);
        }
        if let State::Online(mut online) = before {
            online.give_up_asking(ctx.hub);
            // Where everybody goes, nobody is told, and nothing is said for anybody.
            let all_go = matches!(doom, Doom::Stopping);
            if let Some(party) = ctx.hub.parties.get_mut(online.session).filter(|_| all_go) {
                party.quiet = true;
                party.testaments.clear();
            }
            online.leave(ctx);
            ctx.hub.detach(ctx.now, online.session, ctx.conn, Parting::Lost);
            ctx.hub.quit_realm(ctx.now, online.realm);
        }
    }

    fn poll_transmit(
        &mut self,
        now: Now,
        hub: &mut Hub,
        out: &mut Outbound,
        budget: usize,
    ) -> bool {
        let synced = hub.synced();
        while out.len() < budget
            && let Some(reply) = self.replies.pop(synced)
        {
            self.put(now, reply, hub, out);
        }
        let State::Online(online) = &mut self.state else { return !self.replies.is_empty() };
        hub.heard(online.session);
        if self.replies.is_gated() {
            return self.replies.waits_for().is_some_and(|at| at <= synced);
        }
        // Who has said goodbye itself has its answer, and no second goodbye.
        while out.len() < budget && self.go_by == Deadline::NEVER && !self.left {
            let Some(mail) = hub.parties.take(online.session) else { break };
            if online.put_mail(now, mail, &self.line, hub, out) {
                self.go_by = now.after_ms(GO_MS);
                self.replies.clear();
            }
        }
        if self.go_by != Deadline::NEVER || self.left {
            // Nothing is said behind a goodbye.
            return !self.replies.is_empty();
        }
        let share = hub.share(online.session, budget);
        while out.len() < share {
            if !online.deliver(now, &self.line, hub, out) {
                return hub.parties.has_mail(online.session);
            }
        }
        true
    }

    fn deadline(&self) -> Deadline {
        let (from, ms) = match &self.state {
            State::Examined(it) if it.waits() => (self.heard, VERDICT_MS),
            State::Stranger | State::Examined(_) => (self.opened, self.connect_ms),
            State::Online(_) => return self.go_by.min(self.pulse.deadline(self.heard)),
            State::Over => return Deadline::NEVER,
        };
        Deadline(from.saturating_add(ms.saturating_mul(MS)))
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        let open = match &self.state {
            State::Stranger | State::Online(_) => true,
            State::Examined(it) => !it.waits(),
            State::Over => false,
        };
        open && !self.left && self.stalled.is_none() && self.replies.len() < self.replies_max
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        self.line.has_packet(input, self.most(hub))
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
        About { protocol: "wamp", keepalive_s: 0, clean: true }
    }

    fn heap(&self) -> usize {
        let online = usize::from(matches!(self.state, State::Online(_))) * size_of::<Online>();
        size_of::<Self>() + online + self.replies.heap()
    }
}
