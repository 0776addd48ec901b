//! Floor 3. What a session may do, where a procedure of its realm is asked: first that, then the
//! request.
//!
//! The request waits as it came, and nothing behind it is taken; the question is the router's, and
//! has its time. What the users file forbids is not asked about. Whoever answers such questions is
//! not asked about itself, or nobody could begin. No answer, a late one and one that makes no sense
//! are refusals that say so. Absent on purpose: who somebody is (`exam/abroad`).

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::words::Action;
use crate::hub::Hub;
use crate::hub::calls::{Payload as Load, Why};
use crate::hub::inquiries::{Inquiry, Told};
use crate::hub::policy::Access;
use crate::proto::Ctx;
use crate::proto::carried::ARGS;
use crate::proto::replies::Replies;
use crate::value::{Bounds, Form, Value, Walk, Writer};

use super::calling::{CALL, load};
use super::fault::Reason;
use super::online::{Online, matching, refuse};
use super::options::Matching;
use super::packet::Message;
use super::parts::{Payload, Text};
use super::peer::{Reply, Stop};
use super::span::Span;
use super::telling::unload;

/// The procedure that publishes later what is given to it now.
const TESTAMENT: &str = "wamp.session.add_testament";
/// The one that tells what was said.
const EVENTS: &str = "wamp.subscription.get_events";
/// Longer answers make no sense.
const ANSWER_MAX: usize = 65_536;

/// A question that is on its way, or answered.
#[derive(Debug)]
pub(super) struct Asking {
    number: u64,
    told: Option<Told>,
    key: Vec<u8>,
}

/// What is asked about.
struct Request {
    /// The code of the message, and its number.
    code: u64,
    request: u64,
    /// Its sender waits for an answer.
    answered: bool,
    action: &'static str,
    name: Text,
    matching: Matching,
}

impl Request {
    fn of(message: &Message, realm: RealmId, hub: &Hub) -> Option<Self> {
        let exact = Matching::Exact;
        Some(match message {
            Message::Publish(it) => {
                let answered = it.options.acknowledge;
                let name = it.topic.clone();
                let (code, request, action) = (16, it.request, "publish");
                Self { code, request, answered, action, name, matching: exact }
            }
            Message::Subscribe(it) => Self {
                code: 32,
                request: it.request,
                answered: true,
                action: "subscribe",
                name: it.topic.clone(),
                matching: it.options.matching,
            },
            Message::Register(it) => Self {
                code: 64,
                request: it.request,
                answered: true,
                action: "register",
                name: it.procedure.clone(),
                matching: it.options.matching,
            },
            Message::Call(it) => {
                let (code, request, answered) = (CALL, it.request, true);
                let (action, name, matching) = match it.procedure.as_str() {
                    // What is said when it is gone cannot be asked about then.
                    TESTAMENT => ("publish", first_text(&it.payload)?, exact),
                    // What was said is for who may listen.
                    EVENTS => {
                        let (name, matching) = pattern(&it.payload, realm, hub)?;
                        ("subscribe", name, matching)
                    }
                    _ => ("call", it.procedure.clone(), exact),
                };
                Self { code, request, answered, action, name, matching }
            }
            _ => return None,
        })
    }

    fn is_about_a_pattern(&self) -> bool {
        matches!(self.action, "subscribe" | "register")
    }
}

impl Online {
    /// May this be done? Where somebody has to be asked first, it waits. False: it may not, and
    /// its sender knows.
    pub(super) fn ask_first(
        &mut self,
        message: &Message,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<bool, Stop> {
        let asked = ctx.hub.realm(self.realm).map(|realm| &realm.terms.asked);
        let Some(asked) = asked.filter(|it| it.authorizer.is_some()).cloned() else {
            return Ok(true);
        };
        let Some(procedure) = asked.authorizer.clone() else { return Ok(true) };
        if core::mem::take(&mut self.cleared) {
            return Ok(true);
        }
        if let Message::Call(it) = message
            && ctx.hub.calls.is_asked(self.session, it.request)
        {
            // It goes where the first piece went, as that one said.
            return Ok(true);
        }
        let Some(request) = Request::of(message, self.realm, ctx.hub) else { return Ok(true) };
        if let Some(mut asking) = self.asking.take() {
            let Some(told) = asking.told.take() else {
                self.asking = Some(asking);
                return Err(Stop::Asked);
            };
            if let Told::Answer(payload) = &told
                && let Some((_, true)) = verdict(payload)
                && asked.keep_s > 0
            {
                let (until, most) = (
                    ctx.now.after_ms(asked.keep_s.saturating_mul(1_000)),
                    ctx.hub.limits.answers_known_max,
                );
                ctx.hub.inquiries.remember(&asking.key, until, payload, most);
            }
            return Ok(self.heed(message, &request, &told, replies, ctx));
        }
        let hub = &ctx.hub;
        let own = |name: &Bytes| hub.is_answering(self.realm, name);
        let own = matches!(message, Message::Register(it) if own(it.procedure.bytes()));
        let at = match &asked.realm {
            Some(name) => hub.realm_named(name),
            None => Some(self.realm),
        };
        if own || self.answers(at, &procedure, ctx.hub) || !self.is_open(&request, ctx) {
            return Ok(true);
        }
        let key = self.asked_as(&request);
        if let Some(payload) = ctx.hub.inquiries.known(ctx.now, &key).cloned() {
            let told = Told::Answer(payload);
            return Ok(self.heed(message, &request, &told, replies, ctx));
        }
        let number = ctx.hub.inquire(
            ctx.now,
            Inquiry {
                realm: at,
                conn: ctx.conn,
                procedure,
                payload: self.question(&request, ctx.hub),
                wait_ms: asked.wait_ms,
            },
        );
        self.asking = Some(Box::new(Asking { number, told: None, key }));
        Err(Stop::Asked)
    }

    /// The answer to the question of this number.
    pub(super) fn on_told(&mut self, number: u64, told: Told) {
        if let Some(asking) = self.asking.as_mut().filter(|asking| asking.number == number) {
            asking.told = Some(told);
        }
    }

    /// Nobody waits for an answer any more.
    pub(super) fn give_up_asking(&mut self, hub: &mut Hub) {
        if let Some(asking) = self.asking.take() {
            hub.give_up(asking.number);
        }
    }

    /// It is one of those who are asked.
    fn answers(&self, at: Option<RealmId>, procedure: &[u8], hub: &Hub) -> bool {
        let Some(at) = at.filter(|at| *at == self.realm) else { return false };
        let id = hub.calls.lookup(at, crate::hub::calls::Kind::Exact, procedure);
        let known = id.and_then(|id| hub.calls.registration(at, id));
        known.is_some_and(|it| it.callees().iter().any(|own| own.session == self.session))
    }

    /// It makes sense, and nothing else forbids it; else there is nothing to ask.
    fn is_open(&self, it: &Request, ctx: &mut Ctx<'_>) -> bool {
        let text = it.name.bytes();
        if it.is_about_a_pattern() {
            let Some((filter, _)) = self.filter(text, it.matching, ctx.hub) else { return false };
            return ctx.hub.policy.permit(&self.who, &Access::Subscribe(&filter));
        }
        let Some(topic) = self.topic(text, ctx.hub) else { return false };
        let publishes = it.action == "publish";
        let access = if publishes { Access::Publish(&topic) } else { Access::Request(&topic) };
        ctx.hub.policy.permit(&self.who, &access)
    }

    /// Under what an answer is remembered: for this session only.
    fn asked_as(&self, it: &Request) -> Vec<u8> {
        let mut key = self.id.to_be_bytes().to_vec();
        key.extend_from_slice(it.action.as_bytes());
        key.push(it.matching as u8);
        key.extend_from_slice(it.name.bytes());
        key
    }

    /// Who wants to do what, with which name.
    fn question(&self, it: &Request, hub: &Hub) -> Load {
        let party = hub.parties.get(self.session);
        let own = |name| {
            let text = party.and_then(|party| party.attribute(name)).unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        let realm = realm_name(self.realm, hub);
        question(|w| {
            w.list(4).map(6).key("session").uint(self.id).key("realm").text(realm);
            for name in ["authid", "authrole", "authmethod", "authprovider"] {
                w.key(name).text(&own(name));
            }
            w.end().text(it.name.as_str()).text(it.action);
            w.map(1).key("match").text(it.matching.word()).end().end();
        })
    }

    /// Do as was answered.
    fn heed(
        &self,
        message: &Message,
        it: &Request,
        told: &Told,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let (reason, text) = match told {
            Told::Answer(payload) => match verdict(payload) {
                Some((true, _)) => return true,
                Some((false, _)) => (Reason::NotAuthorized, None),
                None => (Reason::AuthorizationFailed, Some("the answer makes no sense")),
            },
            Told::Nothing(why) => (Reason::AuthorizationFailed, Some(unanswered(why))),
        };
        let action = match it.action {
            "publish" => Action::Publish,
            "call" => Action::Request,
            _ => Action::Subscribe,
        };
        ctx.hub.stats.denied(action);
        // Of a call in pieces the first is answered, and what follows is nobody's.
        let more = matches!(message, Message::Call(call) if call.options.progress);
        let calls = &mut ctx.hub.calls;
        let first = it.code != CALL || calls.answer_at_once(self.session, it.request, more);
        if it.answered && first {
            refuse(it.code, it.request, reason, text, replies);
        }
        false
    }
}

/// Why nobody answered, in words.
pub(super) fn unanswered(why: &Why) -> &'static str {
    match why {
        Why::Said(_) => "whoever is asked failed",
        Why::Timeout => "whoever is asked did not answer in time",
        Why::Gone => "whoever was asked left",
        Why::NoProcedure | Why::NoCallee => "there is nobody to ask",
        Why::Unsupported | Why::Canceled | Why::Blocked | Why::Full(_) => "nobody can be asked now",
    }
}

/// Arguments, as the dealer hands them on.
pub(super) fn question(write: impl FnOnce(&mut Writer<'_>)) -> Load {
    let mut args = Vec::new();
    write(&mut Writer::new(Form::Json, &mut args));
    load(Span { form: Form::Json, flags: ARGS, bytes: args.into() }, None)
}

/// The first argument of an answer.
pub(super) fn answer(payload: &Load) -> Option<Value> {
    let (span, _) = unload(payload, Form::Json);
    if span.bytes.len() > ANSWER_MAX {
        return None;
    }
    first(span.form, span.parts()?.0?)
}

fn first(form: Form, args: &[u8]) -> Option<Value> {
    match Value::read(&mut Walk::new(form, args, Bounds::default())).ok()? {
        Value::List(args) => args.into_iter().next(),
        _ => None,
    }
}

fn first_text(payload: &Payload) -> Option<Text> {
    let args = payload.args.as_ref()?;
    Some(first(args.form, &args.bytes)?.as_text()?.into())
}

/// What the subscription of this number listens to.
fn pattern(payload: &Payload, realm: RealmId, hub: &Hub) -> Option<(Text, Matching)> {
    let args = payload.args.as_ref()?;
    let id = u64::try_from(first(args.form, &args.bytes)?.as_int()?).ok()?;
    let known = hub.interests.get(realm, id)?;
    Some((Text::from_utf8(known.pattern.clone())?, matching(known.kind)))
}

/// Yes or no, and whether that may be remembered; none: neither was said.
fn verdict(payload: &Load) -> Option<(bool, bool)> {
    match answer(payload)? {
        Value::Bool(yes) => Some((yes, true)),
        map => {
            let keep = map.get("cache").map_or(Some(true), Value::as_bool)?;
            Some((map.get("allow")?.as_bool()?, keep))
        }
    }
}

/// What a realm is called.
pub(super) fn realm_name(realm: RealmId, hub: &Hub) -> &str {
    hub.realm(realm).map_or("", |realm| &realm.name)
}
