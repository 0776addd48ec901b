//! Floor 3. WAMP for those who can only ask: a session that is spoken to by requests.
//!
//! ```text
//! POST BASE/lp/open          {"protocols": ["wamp.2.json"]} -> 200 {"protocol", "transport"}
//! POST BASE/lp/ID/send       one message, or a batch -> 204
//! POST BASE/lp/ID/receive    waits for a message, or a batch -> 200; nothing for a while: 204
//! POST BASE/lp/ID/close      -> 204
//! ```
//!
//! BASE is where the WebSocket is. Everything is answered on the connection that asked, so a
//! session lives on however many connections, and who knows its ID may speak for it. A body waits
//! among the unread bytes until it is whole, so it weighs there what it weighs. One request may
//! wait for what the session says; a later one takes its place. Absent on purpose: chunked bodies,
//! pages of other origins, and the session itself (`engine`).

use bytes::{Bytes, BytesMut};

use crate::base::hex;
use crate::base::id::ConnId;
use crate::base::json::Writer;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::Hub;
use crate::hub::message::Charge;
use crate::hub::polls::{Fetched, Name};
use crate::link::origin::Implied;
use crate::link::{Carrier, Spoken, ws_handshake, ws_message};
use crate::proto::doom::Doom;
use crate::proto::fault::Fault;
use crate::proto::{Ask, Ctx, Wish};
use crate::value::{Bounds, Form, Value, Walk};

use super::decode::Left;
use super::encode;
use super::packet::{JSON, Length, Method, Request, Response};
use super::peer::{Peer, State, foreign};

/// A session that takes nothing now is waited for this long.
const ROOM_MS: u64 = 10_000;
/// Something to fetch is waited for this long at most: autobahn-js gives up after 12 s.
const HOLD_MS: u64 = 10_000;
/// Bytes of a body that is not to be a message.
const WORDS_MAX: usize = 4_096;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verb {
    Open,
    Send(Name),
    Receive(Name),
    Close(Name),
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Polling {
    request: Request,
    verb: Verb,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// So many bytes of its body come.
    Body(usize),
    /// The machine opens the session.
    Opening,
    /// This waits until the session takes it, and takes so much of the memory meanwhile.
    Handing { text: Bytes, _weight: Charge },
    /// It waits, on this connection, for what the session says.
    Fetching(ConnId),
}

impl Polling {
    /// More bytes are wanted of it; of who waits only that it is there.
    pub(super) fn wants_bytes(&self) -> bool {
        matches!(self.step, Step::Body(_) | Step::Fetching(_))
    }

    /// Its body is whole.
    pub(super) fn is_whole(&self, input: &[u8]) -> bool {
        matches!(self.step, Step::Body(len) if input.len() >= len)
    }

    pub(super) fn deadline(&self, since: u64, request_ms: u64, poll_ms: u64) -> Deadline {
        let ms = match self.step {
            // A millisecond more for every KiB.
            Step::Body(len) => request_ms.saturating_add((len >> 10) as u64),
            Step::Opening => return Deadline::NEVER,
            Step::Handing { .. } => ROOM_MS,
            Step::Fetching(_) => HOLD_MS.min(poll_ms / 2),
        };
        Deadline(since.saturating_add(ms.saturating_mul(MS)))
    }
}

impl Peer {
    /// A head came where sessions are polled.
    pub(super) fn on_poll_head(
        &mut self,
        request: Request,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let path = String::from_utf8_lossy(&request.path).into_owned();
        let Some(verb) = ctx.listener.link.polled(&path).and_then(verb_of) else {
            return self.turn_down(ctx, &request, Response::text(404, "there is nothing here"));
        };
        if request.method != Method::Post {
            let response = Response::text(405, "only POST is of use here").with("Allow", "POST");
            return self.turn_down(ctx, &request, response);
        }
        if let Some(why) = foreign(&request) {
            return self.turn_down(ctx, &request, Response::text(403, why));
        }
        // A page of the same name, which somebody else may have had lead here.
        let implied = match ctx.certificate {
            Some(_) => Implied::Certificate,
            None if ctx.hub.asks_who() => Implied::Nothing,
            None => Implied::Place,
        };
        let (origin, host) = (request.origin.as_deref(), request.authority.as_bytes());
        if let Err(flaw) = ctx.listener.link.welcomes(origin, host, implied) {
            ctx.hub.stats.count(Counter::OriginsRefused);
            return self.turn_down(ctx, &request, Response::text(403, flaw.http().1));
        }
        let most = match verb {
            Verb::Open | Verb::Receive(_) | Verb::Close(_) => WORDS_MAX,
            Verb::Send(name) => match ctx.hub.polls.get(&name) {
                Some(poll) if !poll.stranger => {
                    ctx.hub.limits.wamp_bytes_max.min(ws_message::LONGEST)
                }
                _ => ctx.hub.limits.login_bytes_max,
            },
        };
        let len = match Left::of(request.length, most) {
            Ok(Left::Nothing) => 0,
            Ok(Left::Known(len)) => usize::try_from(len).unwrap_or(usize::MAX),
            Ok(_) => {
                let response = Response::text(411, "say how long the body is");
                return self.turn_down(ctx, &request, response);
            }
            Err(fault) => {
                // It is a request, and it is answered as one.
                self.poll(request, verb, Step::Body(0));
                return Err(fault);
            }
        };
        if request.expects && request.length != Length::None && len > 0 {
            self.said.extend_from_slice(encode::CONTINUE);
        }
        self.since = ctx.now.mono;
        self.poll(request, verb, Step::Body(len));
        Ok(())
    }

    fn poll(&mut self, request: Request, verb: Verb, step: Step) {
        self.state = State::Polling(Box::new(Polling { request, verb, step }));
    }

    /// More has come, or there may be room. False: it is still waited for.
    pub(super) fn on_poll_bytes(&mut self, input: &mut BytesMut, ctx: &mut Ctx<'_>) -> bool {
        let State::Polling(it) = &mut self.state else { return true };
        match it.step {
            Step::Body(len) if input.len() >= len => {
                let body = input.split_to(len).freeze();
                let request = it.request.clone();
                self.since = ctx.now.mono;
                match it.verb {
                    Verb::Open => self.open(request, &body, ctx),
                    Verb::Send(_) if body.is_empty() => {
                        self.poll_failed(ctx.now, "there is no message");
                    }
                    Verb::Send(_) => {
                        let _weight = ctx.hub.weigh(body.len());
                        it.step = Step::Handing { text: body, _weight };
                        self.hand(ctx);
                    }
                    Verb::Receive(name) => self.receive(name, ctx),
                    Verb::Close(name) => self.close(name, ctx),
                }
                !matches!(self.state, State::Polling(_))
            }
            Step::Handing { .. } => {
                self.hand(ctx);
                !matches!(self.state, State::Polling(_))
            }
            Step::Body(_) | Step::Opening | Step::Fetching(_) => false,
        }
    }

    fn open(&mut self, request: Request, body: &Bytes, ctx: &mut Ctx<'_>) {
        let Some(carrier) = carrier_of(body) else {
            return self.poll_failed(ctx.now, "none of these protocols is spoken here");
        };
        let cookie = request.cookie.as_ref().and_then(|it| ws_handshake::cookie(it));
        self.poll(request, Verb::Open, Step::Opening);
        ctx.asks.push(Ask::Wish(Wish::Open(carrier, cookie)));
    }

    /// The machine has opened a session, or has no room for it.
    pub fn on_opened(&mut self, now: Now, opened: Option<(Name, Carrier, Option<String>)>) {
        let State::Polling(it) = &self.state else { return };
        let request = it.request.clone();
        let Some((name, carrier, cookie)) = opened else {
            let full = Response::text(503, "no room for another session").with("Retry-After", "10");
            return self.respond(now, &request, full);
        };
        let mut json = Writer::new();
        json.open();
        json.field("protocol", ws_handshake::name_of(Spoken::Wamp(carrier)));
        json.field("transport", hex::encode(&name).as_str());
        json.close();
        let mut response = Response::json(200, json.take());
        response.fields.extend(cookie.map(|cookie| ("Set-Cookie", cookie)));
        self.respond(now, &request, response);
    }

    /// The session is to hear what was sent, as soon as it takes it.
    fn hand(&mut self, ctx: &mut Ctx<'_>) {
        let State::Polling(it) = &mut self.state else { return };
        let (Verb::Send(name), Step::Handing { text, .. }) = (it.verb, &it.step) else { return };
        let Some(poll) = ctx.hub.polls.get(&name) else {
            return self.poll_failed(ctx.now, GONE);
        };
        let Some(conn) = poll.conn else { return self.poll_failed(ctx.now, GONE) };
        self.known |= !poll.stranger;
        if !poll.takes {
            return ctx.asks.push(Ask::Stall);
        }
        ctx.asks.push(Ask::Wish(Wish::Hand(conn, text.clone())));
        self.poll_done(ctx.now);
    }

    fn receive(&mut self, name: Name, ctx: &mut Ctx<'_>) {
        let Some(poll) = ctx.hub.polls.get(&name) else {
            return self.poll_failed(ctx.now, GONE);
        };
        self.known |= !poll.stranger;
        ctx.asks.extend(poll.conn.map(|conn| Ask::Wish(Wish::Alive(conn))));
        if let State::Polling(it) = &mut self.state {
            it.step = Step::Fetching(ctx.conn);
        }
        ctx.hub.begin_fetch(&name, ctx.conn);
        self.fetch(ctx.now, ctx.hub);
    }

    /// Is there something for who waits? Then it is said.
    pub(super) fn fetch(&mut self, now: Now, hub: &mut Hub) {
        let State::Polling(it) = &self.state else { return };
        let (Verb::Receive(name), Step::Fetching(by)) = (it.verb, &it.step) else { return };
        let Some(poll) = hub.polls.get(&name) else { return self.poll_failed(now, GONE) };
        let (carrier, lives) = (poll.carrier, poll.conn.is_some());
        // Who speaks for a stranger is one, until the session has said who it is.
        self.known |= !poll.stranger;
        let messages = match hub.fetch(&name, *by, carrier.is_batched()) {
            Fetched::Some(messages) => messages,
            Fetched::Nothing => return,
            // Another request waits in its place.
            Fetched::Over if lives => return self.poll_done(now),
            Fetched::Over => return self.poll_failed(now, GONE),
        };
        let media = if carrier.is_text() { JSON } else { BYTES };
        let request = it.request.clone();
        let body = messages.concat().concat();
        self.respond(now, &request, Response::new(200, media, body));
    }

    /// What is over is closed: a client closes what has heard its last word, too, and notices the
    /// end by the answer to that alone.
    fn close(&mut self, name: Name, ctx: &mut Ctx<'_>) {
        let conn = ctx.hub.polls.get(&name).and_then(|poll| poll.conn);
        ctx.asks.extend(conn.map(|conn| Ask::Wish(Wish::Close(conn))));
        self.poll_done(ctx.now);
    }

    /// It has waited as long as it may.
    pub(super) fn on_poll_deadline(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Doom> {
        let State::Polling(it) = &self.state else { return Ok(()) };
        match it.step {
            Step::Fetching(_) => {
                self.forsake_poll(ctx);
                self.poll_done(ctx.now);
            }
            Step::Handing { .. } => {
                let request = it.request.clone();
                let busy = Response::text(503, "the session takes nothing now");
                self.respond(ctx.now, &request, busy.with("Retry-After", "1"));
            }
            Step::Body(_) | Step::Opening => return Err(Doom::PacketTimeout),
        }
        Ok(())
    }

    /// Whoever waited is not there any more.
    pub(super) fn forsake_poll(&self, ctx: &mut Ctx<'_>) {
        let State::Polling(it) = &self.state else { return };
        if let (Verb::Receive(name), Step::Fetching(_)) = (it.verb, &it.step) {
            ctx.hub.end_fetch(&name, ctx.conn);
            let conn = ctx.hub.polls.get(&name).and_then(|poll| poll.conn);
            ctx.asks.extend(conn.map(|conn| Ask::Wish(Wish::Alive(conn))));
        }
    }

    fn poll_done(&mut self, now: Now) {
        let State::Polling(it) = &self.state else { return };
        let request = it.request.clone();
        self.respond(now, &request, Response::new(204, "", ""));
    }

    fn poll_failed(&mut self, now: Now, why: &str) {
        let State::Polling(it) = &self.state else { return };
        let request = it.request.clone();
        self.respond(now, &request, Response::text(400, why));
    }
}

/// What stands behind the place.
fn verb_of(rest: &str) -> Option<Verb> {
    if rest == "open" {
        return Some(Verb::Open);
    }
    let (name, verb) = rest.split_once('/')?;
    let name = name_of(name)?;
    match verb {
        "send" => Some(Verb::Send(name)),
        "receive" => Some(Verb::Receive(name)),
        "close" => Some(Verb::Close(name)),
        _ => None,
    }
}

/// A name in hexadecimal digits.
fn name_of(text: &str) -> Option<Name> {
    hex::decode(text.as_bytes())?.try_into().ok()
}

/// The first of the protocols that a client names which is spoken here.
fn carrier_of(body: &Bytes) -> Option<Carrier> {
    let said = Value::read(&mut Walk::new(Form::Json, body, Bounds::default())).ok()?;
    let Value::Map(fields) = said else { return None };
    let protocols = fields.iter().find(|(key, _)| key == "protocols").map(|(_, value)| value)?;
    let Value::List(names) = protocols else { return None };
    let spoken = names.iter().filter_map(|name| ws_handshake::spoken_by(name.as_text()?));
    spoken.into_iter().find_map(|spoken| match spoken {
        Spoken::Wamp(carrier) => Some(carrier),
        _ => None,
    })
}

/// Messages that are no text.
const BYTES: &str = "application/octet-stream";
const GONE: &str = "there is no such session, or it is over";
