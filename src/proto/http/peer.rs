//! Floor 3. An HTTP connection: one request after the other, each of them answered whole.
//!
//! States go round: idle, verifying who asks, taking the body, working, answering, idle. Only idle
//! and taking a body read bytes, so what is sent ahead waits in order. Who asks is known before a
//! body is taken. The peer asks the machine by leaving a question where the engine finds it
//! (`work`), as often as a long answer needs. Absent on purpose: what routes do.

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId, Ticket};
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::base::words::{Method, Outcome};
use crate::hub::Hub;
use crate::hub::admin::About;
use crate::hub::gate::Role;
use crate::hub::policy::{Address, Admit, Claim, Event, Login, Principal, Refusal};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx, Protocol};

use super::call::{self, Body, Call};
use super::decode::{self, Left};
use super::encode::{self, Extent};
use super::events::Stream;
use super::packet::{Length, Request, Response, Shown};
use super::polls::Polling;
use super::routes::Route;
use super::work::{Task, Work};
use super::{fault, problem, relays, routes};

/// A password check is waited for this long; then whoever asks is let go.
const VERDICT_MS: u64 = 60_000;
/// Room in the journal or in memory is waited for this long.
const ROOM_MS: u64 = 10_000;
/// Empty lines that may stand before a request.
const EMPTY_LINES: usize = 4;

/// A request whose body is not whole.
#[derive(Debug)]
pub(super) struct Incoming {
    call: Call,
    route: Option<&'static Route>,
    left: Left,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing but a head may come.
    Idle,
    /// A worker compares a password.
    Verifying { serial: u32, incoming: Box<Incoming>, claim: Box<Claim> },
    /// The body comes.
    Body(Box<Incoming>),
    /// It is carried out.
    Working(Box<Work>),
    /// It speaks to a session.
    Polling(Box<Polling>),
    /// What is left to be said is at hand.
    Answering,
    /// Over.
    Over,
}

/// An HTTP connection's state.
#[derive(Debug)]
pub struct Peer {
    pub(super) state: State,
    /// Said, and not handed out: from `sent` on.
    pub(super) said: Vec<u8>,
    pub(super) sent: usize,
    /// The journal must be synced up to here before anything of it is.
    pub(super) after: Lsn,
    /// How the end of the present answer is told.
    pub(super) extent: Extent,
    /// Nothing follows the present answer.
    pub(super) last: bool,
    /// Somebody was let in here.
    pub(super) known: bool,
    /// The question at hand waits for the disk.
    pub(super) waits: bool,
    /// Counted among those who watch.
    pub(super) watching: bool,
    pub(super) serial: u32,
    /// When the present state began; for a head, when its first byte came.
    pub(super) since: u64,
    /// So much of a head was looked through.
    pub(super) seen: usize,
    pub(super) idle_ms: u64,
    pub(super) request_ms: u64,
    /// Half of it is waited for what a polled session says.
    poll_ms: u64,
    /// What is asked for here.
    door: Door,
}

/// What requests are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    /// The broker.
    Admin,
    /// Relays, and nothing else.
    Relays,
    /// Sessions of WAMP that are spoken to by requests.
    Polls,
}

impl Peer {
    /// Somebody who has asked nothing yet.
    #[must_use]
    pub fn new(now: Now, hub: &Hub) -> Self {
        Self {
            state: State::Idle,
            said: Vec::new(),
            sent: 0,
            after: Lsn::START,
            extent: Extent::None,
            last: false,
            known: false,
            waits: false,
            watching: false,
            serial: 0,
            since: now.mono,
            seen: 0,
            idle_ms: hub.limits.http_idle_ms_max,
            request_ms: hub.limits.http_request_ms_max,
            poll_ms: hub.limits.wamp_poll_ms,
            door: Door::Admin,
        }
    }

    /// The same, where only relays are asked about.
    #[must_use]
    pub fn of_relays(now: Now, hub: &Hub) -> Self {
        Self { door: Door::Relays, ..Self::new(now, hub) }
    }

    /// The same, where sessions of WAMP are spoken to.
    #[must_use]
    pub fn of_polls(now: Now, hub: &Hub) -> Self {
        Self { door: Door::Polls, ..Self::new(now, hub) }
    }

    /// Everything is said, and nothing follows: the connection may be closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over) && self.sent == self.said.len()
    }

    fn on_head(&mut self, request: Request, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        self.since = ctx.now.mono;
        if self.door == Door::Polls {
            return self.on_poll_head(request, ctx);
        }
        if self.door == Door::Relays {
            self.known = true;
            let response = relays::answer(&request, ctx.hub, ctx.now);
            return self.turn_down(ctx, &request, response);
        }
        let unix = ctx.address == Address::Local;
        if !unix && !is_own_host(&request.host, ctx.hub) {
            let text = "the Host of the request is none of this broker's names; admin.hosts has \
                        them";
            return self.turn_down(ctx, &request, problem::of(421, text));
        }
        let Some(query) = call::params_of(&request.query) else {
            return self.turn_down(ctx, &request, problem::of(400, "too many parameters"));
        };
        let (route, args) = routes::find(request.method, &request.path).unzip();
        let args = args.unwrap_or_default();
        let shown = request.shown.clone();
        let call =
            Call { request, args, query, body: Body::None, role: Role::Viewer, who: Bytes::new() };
        let open = route.is_some_and(|route| route.role.is_none());
        let incoming = Incoming { call, route, left: Left::Nothing, body: Vec::new() };
        if open {
            return self.welcome(incoming, ctx);
        }
        if unix {
            return self.on_admitted(incoming, b"unix", Role::Operator, ctx);
        }
        self.check(incoming, shown, ctx)
    }

    /// Who asks?
    fn check(&mut self, incoming: Incoming, shown: Shown, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let (user, secret) = match shown {
            Shown::Basic(user, secret) if !user.is_empty() => (user, secret),
            Shown::Bearer(token) => (Bytes::new(), token),
            _ => return self.ask_who(&incoming, ctx),
        };
        let login = Login {
            protocol: "http",
            user: &user,
            password: Some(secret.bytes()),
            client_id: b"",
            certificate: None,
            address: ctx.address,
            loopback: ctx.loopback,
        };
        match ctx.hub.gate.admit(ctx.now, &login) {
            Admit::Yes(who) => self.on_principal(incoming, &who, ctx),
            Admit::No(why) => self.refuse(&incoming, &user, why, ctx),
            Admit::Busy => Err(FaultKind::MqttBusy.fault()),
            Admit::Verify { secret, hash, claim } => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                let (address, tag) = (ctx.address, claim.tag);
                ctx.asks.push(Ask::Verify { ticket, address, tag, secret, hash });
                let (incoming, claim) = (Box::new(incoming), Box::new(claim));
                self.state = State::Verifying { serial: self.serial, incoming, claim };
                Ok(())
            }
        }
    }

    fn on_principal(
        &mut self,
        incoming: Incoming,
        who: &Principal,
        ctx: &Ctx<'_>,
    ) -> Result<(), Fault> {
        let role = ctx.hub.gate.role(who);
        let name = who.user.clone();
        self.on_admitted(incoming, &name, role, ctx)
    }

    /// It is known who asks; may they?
    fn on_admitted(
        &mut self,
        mut incoming: Incoming,
        who: &[u8],
        role: Role,
        ctx: &Ctx<'_>,
    ) -> Result<(), Fault> {
        self.known = true;
        incoming.call.role = role;
        incoming.call.who = Bytes::copy_from_slice(who);
        let needs = incoming.route.and_then(|route| route.role).unwrap_or(Role::Viewer);
        if role < needs {
            let text = "this needs the role operator";
            return self.turn_down(ctx, &incoming.call.request, problem::of(403, text));
        }
        if let Some(why) = foreign(&incoming.call.request) {
            return self.turn_down(ctx, &incoming.call.request, problem::of(403, why));
        }
        self.welcome(incoming, ctx)
    }

    /// It may ask this: the body, if there is one, then the answer.
    fn welcome(&mut self, mut incoming: Incoming, ctx: &Ctx<'_>) -> Result<(), Fault> {
        let request = &incoming.call.request;
        if incoming.route.is_none() {
            let lost = routes::lost(request.method, &request.path);
            return self.turn_down(ctx, request, lost);
        }
        if let Some(response) = incoming.route.and_then(|route| routes::unfit(route, request)) {
            return self.turn_down(ctx, request, response);
        }
        match Left::of(request.length, ctx.hub.limits.http_body_bytes_max) {
            Ok(left) => incoming.left = left,
            Err(fault) => {
                // It is a request, and it is answered as one.
                self.state = State::Body(Box::new(incoming));
                return Err(fault);
            }
        }
        if request.expects && incoming.left != Left::Nothing {
            self.said.extend_from_slice(encode::CONTINUE);
        }
        self.since = ctx.now.mono;
        self.state = State::Body(Box::new(incoming));
        Ok(())
    }

    /// Nobody was named: say how to come in.
    fn ask_who(&mut self, incoming: &Incoming, ctx: &Ctx<'_>) -> Result<(), Fault> {
        let response = routes::unknown(incoming.route, ctx.hub.gate.is_empty());
        self.turn_down(ctx, &incoming.call.request, response)
    }

    fn refuse(
        &mut self,
        incoming: &Incoming,
        user: &[u8],
        why: Refusal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        ctx.hub.stats.login(Method::Admin, Outcome::Refused);
        let (conn, address, client_id) = (ctx.conn, ctx.address, &[][..]);
        let event = Event::Refused { conn, address, user, client_id, why };
        ctx.hub.observer.see(ctx.now, &event);
        let response = match why {
            Refusal::Throttled { ms } => {
                let s = ms.div_ceil(1_000).max(1).to_string();
                problem::of(429, "too many failed logins").with("Retry-After", s)
            }
            _ => routes::unknown(incoming.route, ctx.hub.gate.is_empty()),
        };
        self.turn_down(ctx, &incoming.call.request, response)
    }

    /// Answer without having read the body, if there is one: then nothing can follow.
    pub(super) fn turn_down(
        &mut self,
        ctx: &Ctx<'_>,
        request: &Request,
        response: Response,
    ) -> Result<(), Fault> {
        self.last |= !matches!(request.length, Length::None | Length::Known(0));
        self.respond(ctx.now, request, response);
        Ok(())
    }

    /// The request is whole: carry it out.
    fn act(&mut self, ctx: &mut Ctx<'_>) {
        let State::Body(incoming) = core::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let Incoming { mut call, route, body, .. } = *incoming;
        let Some(route) = route else { return };
        if !call.request.method.is_safe() {
            match call::body_of(call.request.media, &body) {
                Ok(body) => call.body = body,
                Err((status, text)) => {
                    let response = routes::wrong_body(route, status, &text);
                    return self.respond(ctx.now, &call.request, response);
                }
            }
        }
        self.since = ctx.now.mono;
        self.carry_out(call, route, ctx);
    }

    fn is_streaming(&self) -> bool {
        matches!(&self.state, State::Working(work) if matches!(work.task, Task::Events(_)))
    }

    /// A head, if it is whole. False: it is not.
    fn take_head(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<bool, Fault> {
        let mut empty = 0;
        while input.starts_with(b"\r\n") && empty < EMPTY_LINES && self.seen == 0 {
            drop(input.split_to(2));
            empty += 1;
        }
        if input.is_empty() || (self.seen == 0 && input[..] == b"\r"[..]) {
            return Ok(false);
        }
        let max = ctx.hub.limits.http_head_bytes_max;
        let Some(len) = decode::head_len(input, self.seen).filter(|len| *len <= max) else {
            decode::begins(input, max)?;
            if self.seen == 0 {
                self.since = ctx.now.mono;
            }
            self.seen = input.len();
            return Ok(false);
        };
        self.seen = 0;
        let head = input.split_to(len);
        let request = decode::head(&head, max / 2)?;
        self.on_head(request, ctx)?;
        Ok(true)
    }
}

/// Is it one of this broker's names? A page that has its name point here is none of them; an
/// address in digits no page can have made its own.
fn is_own_host(host: &str, hub: &Hub) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let digits = bare.parse::<core::net::IpAddr>().is_ok();
    digits || host == "localhost" || host.ends_with(".localhost") || hub.gate.knows_host(host)
}

/// A page of another origin has asked for a change: browsers say so.
pub(super) fn foreign(request: &Request) -> Option<&'static str> {
    if request.method.is_safe() {
        return None;
    }
    let same = |origin: &Bytes| {
        let origin = origin.to_ascii_lowercase();
        let bare = [&b"http://"[..], b"https://"].iter().find_map(|s| origin.strip_prefix(*s));
        bare == Some(request.authority.as_bytes())
    };
    let site = |site: &Bytes| matches!(&site[..], b"same-origin" | b"none");
    let own = request.origin.as_ref().is_none_or(same) && request.site.as_ref().is_none_or(site);
    (!own).then_some("a page of another origin may not ask for changes")
}

impl Protocol for Peer {
    fn on_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if let State::Working(work) = &self.state
            && matches!(work.task, Task::Later)
            && let State::Working(work) = core::mem::replace(&mut self.state, State::Over)
        {
            self.carry_out(work.call, work.route, ctx);
        }
        loop {
            match &mut self.state {
                State::Idle => {
                    if !self.take_head(input, ctx)? {
                        return Ok(());
                    }
                }
                State::Body(incoming) => {
                    let max = ctx.hub.limits.http_body_bytes_max;
                    if !incoming.left.take(input, &mut incoming.body, max)? {
                        return Ok(());
                    }
                    self.act(ctx);
                }
                State::Over => {
                    input.clear();
                    return Ok(());
                }
                State::Working(work) if matches!(work.task, Task::Events(_)) => {
                    input.clear();
                    return Ok(());
                }
                State::Polling(_) => {
                    if !self.on_poll_bytes(input, ctx) {
                        return Ok(());
                    }
                }
                State::Verifying { .. } | State::Working(_) | State::Answering => return Ok(()),
            }
        }
    }

    fn on_verdict(&mut self, serial: u32, ok: bool, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if !matches!(&self.state, State::Verifying { serial: asked, .. } if *asked == serial) {
            ctx.hub.stats.count(Counter::StaleAnswers);
            return Ok(());
        }
        let State::Verifying { incoming, claim, .. } =
            core::mem::replace(&mut self.state, State::Over)
        else {
            return Ok(());
        };
        match ctx.hub.gate.verified(ctx.now, &claim, ok) {
            Ok(who) => self.on_principal(*incoming, &who, ctx),
            Err(why) => self.refuse(&incoming, &claim.user, why, ctx),
        }
    }

    fn on_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        if !ctx.now.reached(self.deadline()) {
            return Ok(());
        }
        match &self.state {
            State::Idle if self.seen == 0 => Err(Doom::IdleTimeout),
            State::Polling(_) => self.on_poll_deadline(ctx),
            State::Working(work) if matches!(work.task, Task::Events(_)) => {
                self.on_tick(ctx.now);
                Ok(())
            }
            State::Working(work) => {
                let response = problem::of(503, "there is no room for this now");
                let request = work.call.request.clone();
                self.respond(ctx.now, &request, response);
                Ok(())
            }
            _ => Err(Doom::PacketTimeout),
        }
    }

    fn on_doom(&mut self, doom: &Doom, ctx: &mut Ctx<'_>) {
        if core::mem::take(&mut self.watching) {
            ctx.hub.viewers = ctx.hub.viewers.saturating_sub(1);
        }
        if let State::Working(work) = &self.state
            && let Task::Events(Stream { trace: Some(trace), .. }) = &work.task
        {
            ctx.hub.observer.end(*trace);
        }
        self.forsake_poll(ctx);
        let asked = match self.state {
            State::Idle => self.seen > 0,
            State::Over => false,
            _ => true,
        };
        // What is begun cannot be taken back; a second answer behind it would be nobody's.
        let mut begun = match &self.state {
            State::Answering | State::Over => true,
            State::Working(work) => !self.said.is_empty() || work.is_begun(),
            _ => false,
        };
        if self.after > ctx.hub.synced() {
            // What waits for the disk is not promised any more.
            begun &= self.sent > 0;
            (self.said, self.sent, self.after) = (Vec::new(), 0, Lsn::START);
        }
        if !begun && let Some(response) = fault::last_words(doom, asked) {
            let Response { status, media, fields, body, .. } = response;
            let extent = Extent::Len(body.len());
            let head = encode::head(ctx.now.wall, status, media, &fields, extent, true);
            self.said.extend_from_slice(&head);
            self.said.extend_from_slice(&body);
        }
        self.state = State::Over;
    }

    fn poll_transmit(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound, most: usize) -> bool {
        if self.after > hub.synced() {
            return false;
        }
        self.fetch(now, hub);
        let room = most.saturating_sub(out.len());
        let rest = self.said.get(self.sent..).unwrap_or_default();
        let now_said = rest.get(..room).unwrap_or(rest);
        out.put_slice(now_said);
        self.sent += now_said.len();
        if self.sent < self.said.len() {
            return true;
        }
        (self.said, self.sent, self.after) = (Vec::new(), 0, Lsn::START);
        if matches!(self.state, State::Answering) {
            self.state = if self.last { State::Over } else { State::Idle };
            (self.since, self.seen) = (now.mono, 0);
        }
        self.has_question()
    }

    fn deadline(&self) -> Deadline {
        let ms = match &self.state {
            State::Idle if self.seen == 0 && self.known => self.idle_ms,
            State::Idle | State::Body(_) => self.request_ms,
            State::Verifying { .. } => VERDICT_MS,
            State::Polling(it) => return it.deadline(self.since, self.request_ms, self.poll_ms),
            State::Working(work) if matches!(work.task, Task::Later) => ROOM_MS,
            State::Working(work) if matches!(work.task, Task::Once(..)) && self.waits => ROOM_MS,
            State::Working(work) => match &work.task {
                Task::Events(stream) => stream.every_ms(),
                _ => return Deadline::NEVER,
            },
            State::Answering | State::Over => return Deadline::NEVER,
        };
        Deadline(self.since.saturating_add(ms.saturating_mul(MS)))
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        // Of a viewer nothing more is wanted than that it is there.
        match &self.state {
            State::Polling(it) => it.wants_bytes(),
            state => matches!(state, State::Idle | State::Body(_)) || self.is_streaming(),
        }
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        let max = hub.limits.http_head_bytes_max;
        if let State::Polling(it) = &self.state {
            return it.is_whole(input);
        }
        matches!(self.state, State::Idle)
            && (decode::head_len(input, self.seen).is_some() || input.len() > max)
    }

    fn waits_for(&self) -> Option<Lsn> {
        match self.said.is_empty() {
            true => self.has_question().then_some(Lsn::START),
            false => Some(self.after),
        }
    }

    fn session(&self) -> Option<SessionId> {
        None
    }

    fn is_stranger(&self) -> bool {
        !self.known
    }

    fn about(&self) -> About {
        About { protocol: "http", ..About::default() }
    }

    fn heap(&self) -> usize {
        size_of::<Self>() + self.said.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::Limits;
    use crate::hub::Parts;
    use crate::hub::policy::{Observer, Open};

    struct Quiet;
    impl Observer for Quiet {
        fn see(&mut self, _: Now, _: &Event<'_>) {}
    }

    #[test]
    fn only_names_that_no_page_can_take_are_own() {
        let (policy, observer) = (Box::new(Open), Box::new(Quiet));
        let realms = vec!["main".into()];
        let hub = Hub::new(Parts { limits: Limits::default(), seed: 7, realms, policy, observer });
        for own in ["127.0.0.1", "192.0.2.7", "[::1]", "localhost", "a.localhost"] {
            assert!(is_own_host(own, &hub), "{own}");
        }
        for foreign_name in ["broker.example", "localhost.example", "xlocalhost", "1.2.3", ""] {
            assert!(!is_own_host(foreign_name, &hub), "{foreign_name}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_look_and_change_nothing() {
        let asked = |method: &str, fields: &str| {
            let head = format!("{method} /a HTTP/1.1\r\nHost: localhost:8080\r\n{fields}\r\n");
            foreign(&decode::head(head.as_bytes(), 64).expect("a request")).is_some()
        };
        let (own, other) = ("Origin: http://localhost:8080\r\n", "Origin: http://evil.example\r\n");
        let (near, far) = ("Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: cross-site\r\n");
        assert!(!asked("GET", &format!("{other}{far}")));
        for fields in ["", own, "Origin: HTTPS://LOCALHOST:8080\r\n", near] {
            assert!(!asked("POST", fields), "{fields}");
        }
        assert!(!asked("POST", &format!("{own}{near}")));
        for fields in [other, far, "Origin: null\r\n", "Origin: http://localhost\r\n"] {
            assert!(asked("POST", fields), "{fields}");
        }
        assert!(asked("DELETE", &format!("{own}{far}")), "both must be right");
        assert!(asked("DELETE", &format!("{other}{near}")), "both must be right");
    }
}
