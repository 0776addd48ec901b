//! Floor 3. An HTTP connection: one request after the other, each of them answered whole.
//!
//! States go round: idle, verifying who asks, taking the body, working, answering, idle. Only idle
//! and taking a body read bytes, so what is sent ahead waits in order. Who asks is known before a
//! body is taken. The peer asks the machine by leaving a question where the engine finds it
//! (`poll_question`), as often as a long answer needs. Absent on purpose: what routes do.

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId, Ticket};
use crate::base::json::Writer;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::Hub;
use crate::hub::admin::{About, Answer, Question, Search};
use crate::hub::gate::Role;
use crate::hub::policy::{Address, Admit, Claim, Event, Login, Principal, Refusal};
use crate::proto::doom::Doom;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx, Protocol};

use super::call::{self, Body, Call};
use super::decode::{self, Left};
use super::encode::{self, Extent};
use super::events::{self, Stream};
use super::packet::{EVENTS, JSON, Length, Method, Request, Response, Shown};
use super::routes::Route;
use super::task::{Render, Shape, Step};
use super::{fault, problem, routes, v1};

/// A password check is waited for this long; then whoever asks is let go.
const VERDICT_MS: u64 = 60_000;
/// Room in the journal or in memory is waited for this long.
const ROOM_MS: u64 = 10_000;
/// What is written of a long answer before it is said.
const AHEAD: usize = 32 << 10;
/// Empty lines that may stand before a request.
const EMPTY_LINES: usize = 4;

/// A request whose body is not whole.
#[derive(Debug)]
struct Incoming {
    call: Call,
    route: Option<&'static Route>,
    left: Left,
    body: Vec<u8>,
}

/// An answer in the making.
#[derive(Debug)]
struct Work {
    call: Call,
    route: &'static Route,
    task: Task,
}

#[derive(Debug)]
enum Task {
    /// The question is with the machine, or waits to be taken there.
    Once(Option<Question>, Render),
    /// So are rows.
    Rows { search: Option<Box<Search>>, shape: Shape, json: Writer, told: Told },
    /// Whoever drives the machine does something.
    Operating(u32),
    /// A trace is begun.
    Aiming(Option<Question>),
    /// Events are said as they happen.
    Events(Stream),
    /// There is no room now.
    Later,
}

/// How far rows have come.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// So many were written.
    rows: u64,
    /// It is known how many there are.
    counted: bool,
    /// The head of the answer is said.
    begun: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing but a head may come.
    Idle,
    /// A worker compares a password.
    Verifying { serial: u32, incoming: Box<Incoming>, claim: Box<Claim> },
    /// The body comes.
    Body(Box<Incoming>),
    /// It is carried out.
    Working(Box<Work>),
    /// What is left to be said is at hand.
    Answering,
    /// Over.
    Over,
}

/// An HTTP connection's state.
#[derive(Debug)]
pub struct Peer {
    state: State,
    /// Said, and not handed out: from `sent` on.
    said: Vec<u8>,
    sent: usize,
    /// The journal must be synced up to here before anything of it is.
    after: Lsn,
    /// How the end of the present answer is told.
    extent: Extent,
    /// Nothing follows the present answer.
    last: bool,
    /// Somebody was let in here.
    known: bool,
    /// The question at hand waits for the disk.
    waits: bool,
    /// Counted among those who watch.
    watching: bool,
    serial: u32,
    /// When the present state began; for a head, when its first byte came.
    since: u64,
    /// So much of a head was looked through.
    seen: usize,
    idle_ms: u64,
    request_ms: u64,
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
        }
    }

    /// Everything is said, and nothing follows: the connection may be closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over) && self.sent == self.said.len()
    }

    /// Something the machine is to be asked.
    pub fn poll_question(&mut self) -> Option<Question> {
        if self.said.len() - self.sent >= AHEAD {
            return None;
        }
        let State::Working(work) = &mut self.state else { return None };
        match &mut work.task {
            Task::Once(question, _) | Task::Aiming(question) => question.take(),
            Task::Rows { search, .. } => search.take().map(Question::Search),
            Task::Events(stream) if self.said.is_empty() => stream.poll_question(),
            Task::Events(_) | Task::Operating(_) | Task::Later => None,
        }
    }

    fn has_question(&self) -> bool {
        let State::Working(work) = &self.state else { return false };
        match &work.task {
            // What waits for the disk is asked again when that wakes us, not before.
            Task::Once(question, _) => question.is_some() && !self.waits,
            Task::Aiming(question) => question.is_some(),
            Task::Rows { search, .. } => search.is_some(),
            Task::Events(stream) => stream.is_due(),
            Task::Operating(_) | Task::Later => false,
        }
    }

    /// Whoever drives the machine has done what was wanted, or not.
    pub fn on_operated(&mut self, now: Now, serial: u32, result: Result<String, String>) {
        let State::Working(work) = &self.state else { return };
        if !matches!(work.task, Task::Operating(asked) if asked == serial) {
            return;
        }
        let request = work.call.request.clone();
        let response = match result {
            Ok(text) => v1::data(|json| {
                json.open().field("result", &text).close();
            }),
            Err(why) => problem::of(409, &why),
        };
        self.respond(now, &request, response);
    }

    /// The machine has answered.
    pub fn on_answer(&mut self, now: Now, answer: Answer, hub: &Hub) {
        let State::Working(work) = core::mem::replace(&mut self.state, State::Over) else { return };
        let Work { call, route, task } = *work;
        let again = |task| State::Working(Box::new(Work { call: call.clone(), route, task }));
        match task {
            Task::Once(_, render) if matches!(answer, Answer::Wait(_)) => {
                let Answer::Wait(question) = answer else { return };
                self.waits = true;
                self.state = again(Task::Once(Some(question), render));
            }
            Task::Aiming(_) => match answer {
                Answer::Tracing(Some(trace)) => {
                    self.state = again(Task::Events(Stream::new(now, Some(trace))));
                    self.say_events_head(now, &call.request);
                }
                _ => self.respond(now, &call.request, problem::of(503, "too many traces")),
            },
            Task::Events(mut stream) => {
                let piece = stream.write(now, &answer, hub);
                let mut out = Outbound::default();
                encode::piece(&piece, self.extent, &mut out);
                self.said.extend_from_slice(&out.to_vec());
                self.state = again(Task::Events(stream));
            }
            Task::Once(_, render) => {
                let response = render(&call, answer, hub, now);
                self.respond(now, &call.request, response);
            }
            Task::Rows { shape, mut json, mut told, .. } => {
                let mut search = write_rows(answer, shape, &mut json, &mut told.rows);
                if search.total.is_some() && !told.counted {
                    told.counted = true;
                    (shape.counted)(&call, &mut search);
                }
                let over = search.is_over();
                if over {
                    (shape.end)(&call, &search, told.rows, &mut json);
                }
                if over && !told.begun {
                    let response = Response::json(200, json.take());
                    return self.respond(now, &call.request, response);
                }
                // A short answer has a length; a long one is begun when it is longer than that.
                if told.begun || json.len() >= AHEAD {
                    self.say_rows(now, &call.request, &mut json, &mut told.begun, over);
                }
                if !over {
                    let task = Task::Rows { search: Some(search), shape, json, told };
                    self.state = State::Working(Box::new(Work { call, route, task }));
                }
            }
            Task::Later | Task::Operating(_) => {}
        }
    }

    /// Say that events follow.
    fn say_events_head(&mut self, now: Now, request: &Request) {
        self.begin(request, None);
        // Behind a stream nothing can follow.
        self.last = true;
        let head = encode::head(now.wall, 200, EVENTS, &[], self.extent, true);
        self.said.extend_from_slice(&head);
        let mut out = Outbound::default();
        encode::piece(events::HELLO, self.extent, &mut out);
        self.said.extend_from_slice(&out.to_vec());
        self.since = now.mono;
    }

    /// Say what is written of a long answer.
    fn say_rows(
        &mut self,
        now: Now,
        request: &Request,
        json: &mut Writer,
        begun: &mut bool,
        over: bool,
    ) {
        let mut out = Outbound::default();
        if !*begun {
            *begun = true;
            self.begin(request, None);
            let head = encode::head(now.wall, 200, JSON, &[], self.extent, self.last);
            out.put_slice(&head);
        }
        let bytes = json.take();
        if request.method != Method::Head {
            encode::piece(&bytes, self.extent, &mut out);
            if over {
                encode::end(self.extent, &mut out);
            }
        }
        self.said.extend_from_slice(&out.to_vec());
        if over {
            self.state = State::Answering;
        }
    }

    /// Decide how the end of an answer is told.
    fn begin(&mut self, request: &Request, len: Option<usize>) {
        self.last |= !request.keep;
        self.extent = match len {
            Some(len) => Extent::Len(len),
            None if request.modern => Extent::Chunks,
            None => Extent::Rest,
        };
        self.last |= self.extent == Extent::Rest;
    }

    /// Say a whole answer.
    fn respond(&mut self, now: Now, request: &Request, response: Response) {
        let Response { status, media, fields, body, after, last } = response;
        self.last |= last;
        self.begin(request, Some(body.len()));
        if matches!(status, 204 | 304) {
            self.extent = Extent::None;
        }
        let head = encode::head(now.wall, status, media, &fields, self.extent, self.last);
        self.said.extend_from_slice(&head);
        if request.method != Method::Head {
            self.said.extend_from_slice(&body);
        }
        self.after = self.after.max(after);
        self.state = State::Answering;
    }

    fn on_head(&mut self, request: Request, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        self.since = ctx.now.mono;
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
                ctx.asks.push(Ask::Verify { ticket, address: ctx.address, secret, hash });
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
        ctx: &mut Ctx<'_>,
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
        incoming.left = Left::of(request.length, ctx.hub.limits.http_body_bytes_max)?;
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
        ctx.hub.stats.count(Counter::LoginsRefused);
        let event = Event::Refused { conn: ctx.conn, address: ctx.address, user, why };
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
    fn turn_down(
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

    fn carry_out(&mut self, call: Call, route: &'static Route, ctx: &mut Ctx<'_>) {
        let task = match (route.act)(&call, ctx) {
            Step::Say(response) => return self.respond(ctx.now, &call.request, response),
            Step::Ask(question, render) => Task::Once(Some(question), render),
            Step::Rows(search, shape) => {
                let mut json = Writer::new();
                (shape.begin)(&mut json);
                Task::Rows { search: Some(search), shape, json, told: Told::default() }
            }
            Step::Operate(what) => {
                self.serial += 1;
                let ticket = Ticket { conn: ctx.conn, serial: self.serial };
                ctx.asks.push(Ask::Operate { ticket, what });
                Task::Operating(self.serial)
            }
            Step::Watch(_) if call.is_head() => {
                let response = Response::new(200, EVENTS, "");
                return self.respond(ctx.now, &call.request, response);
            }
            Step::Watch(aim) => {
                if !self.watching && ctx.hub.viewers >= ctx.hub.limits.http_viewers_max {
                    let full = problem::of(503, "as many watch already as may");
                    let full = full.with("Retry-After", "10");
                    return self.respond(ctx.now, &call.request, full);
                }
                ctx.hub.viewers += usize::from(!self.watching);
                self.watching = true;
                match aim {
                    Some(aim) => Task::Aiming(Some(Question::Trace(aim))),
                    None => {
                        self.say_events_head(ctx.now, &call.request);
                        Task::Events(Stream::new(ctx.now, None))
                    }
                }
            }
            Step::Later => {
                ctx.asks.push(Ask::Stall);
                Task::Later
            }
        };
        self.waits = false;
        self.state = State::Working(Box::new(Work { call, route, task }));
    }

    fn is_streaming(&self) -> bool {
        matches!(&self.state, State::Working(work) if matches!(work.task, Task::Events(_)))
    }

    /// It is time for the next event.
    fn on_tick(&mut self, now: Now) {
        self.since = now.mono;
        let State::Working(work) = &mut self.state else { return };
        if let Task::Events(stream) = &mut work.task {
            stream.on_tick();
        }
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
fn foreign(request: &Request) -> Option<&'static str> {
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

/// Write what was found.
fn write_rows(answer: Answer, shape: Shape, json: &mut Writer, shown: &mut u64) -> Box<Search> {
    match answer {
        Answer::Sessions(rows, search) => {
            for row in &rows {
                (shape.session)(row, json);
            }
            *shown += rows.len() as u64;
            search
        }
        Answer::Subscriptions(rows, search) => {
            for row in &rows {
                (shape.subscription)(row, json);
            }
            *shown += rows.len() as u64;
            search
        }
        // What was not asked is an end.
        _ => Box::new(Search { total: Some(0), ..Search::default() }),
    }
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
        let asked = match self.state {
            State::Idle => self.seen > 0,
            State::Over => false,
            _ => true,
        };
        // What is begun cannot be taken back; a second answer behind it would be nobody's.
        let begun = matches!(self.state, State::Answering | State::Over)
            || matches!(&self.state, State::Working(_)) && !self.said.is_empty();
        if self.after > ctx.hub.synced() {
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
        matches!(self.state, State::Idle | State::Body(_)) || self.is_streaming()
    }

    fn has_packet(&self, input: &[u8], hub: &Hub) -> bool {
        let max = hub.limits.http_head_bytes_max;
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
