//! Floor 3. An MQTT client that is called: who subscribes to the topic of a procedure serves it.
//!
//! It is asked by a publication to that topic, with correlation data and with a topic of the
//! router's as the place for the answer. An answer counts only from the client that was asked, on
//! the connection on which it was asked, and only for what it was asked: so that topic is nobody's
//! secret, and writing there is of no use to anybody else. Wildcards serve nothing: who listens to
//! many topics may only want to look on. A client has no word for leaving a call, so it is not
//! waited for without end. Absent on purpose: callers (`rpc`).

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::calls::{
    Able, Answer, Heard, Invocation, Invoke, Kind, Offer, Payload, Refused, Terms,
};
use crate::hub::message::Publication;
use crate::proto::fault::FaultKind;
use crate::proto::procedure::Reason;
use crate::proto::{Ctx, procedure};
use crate::topic::{Filter, Topic};

use super::dialect::{SEP, Spelling};
use super::fault::reason as code;
use super::line::Line;
use super::online::Online;
use super::props::{Prop, Props};
use super::rpc::{ERROR, content, passed_on};

/// Where answers go.
const OURS: &[u8] = b"$procedure/reply";
/// What an error is called whose name is none.
const UNNAMED: &[u8] = b"mqtt.error.unnamed";

/// A procedure that this client serves.
#[derive(Debug)]
pub(super) struct Served {
    topic: Topic,
    /// The filters by which it does, as it wrote them.
    filters: SmallVec<[Bytes; 1]>,
}

/// Is it where answers go?
pub(super) fn is_ours(topic: &Topic) -> bool {
    topic.spelled_with(SEP).is_some_and(|text| text == OURS)
}

impl Online {
    /// It subscribes: if that is to a procedure, it serves it from now on. `text`: as it wrote it.
    pub(super) fn serve(
        &mut self,
        filter: &Filter,
        text: &Bytes,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), FaultKind> {
        let Some((topic, name)) = procedure_of(filter, ctx) else { return Ok(()) };
        let within_ms = ctx.hub.limits.mqtt_call_ms_max;
        let terms = Terms { can: Able::NONE, within_ms, ..Terms::default() };
        let invoke = Invoke::Roundrobin;
        let offer = Offer { procedure: name, kind: Kind::Exact, invoke, terms };
        let (realm, session) = (ctx.listener.realm, self.session);
        self.take_part(ctx);
        let done = ctx.hub.calls.register(ctx.now, realm, session, &offer);
        match done {
            Ok(done) => {
                let rpc = self.take_part(ctx);
                let none = || Served { topic: topic.detached(), filters: SmallVec::new() };
                let filters = &mut rpc.served.entry(done.id()).or_insert_with(none).filters;
                if !filters.contains(text) {
                    filters.push(Bytes::copy_from_slice(text));
                }
                Ok(())
            }
            Err(Refused::Exists) => Err(FaultKind::MqttServed),
            Err(Refused::Full(bound)) => {
                ctx.hub.limited(ctx.now, &self.who.client_id, bound.limit());
                Err(FaultKind::MqttRequests)
            }
        }
    }

    /// It does not subscribe so any more.
    pub(super) fn serve_no_more(&mut self, text: &Bytes, ctx: &mut Ctx<'_>) {
        let Some(rpc) = &mut self.rpc else { return };
        let mut ended = None;
        for (id, served) in &mut rpc.served {
            served.filters.retain(|filter| filter != text);
            if served.filters.is_empty() {
                ended = Some(*id);
            }
        }
        if let Some(id) = ended {
            rpc.served.remove(&id);
            ctx.hub.calls.unregister(ctx.listener.realm, self.session, id);
        }
    }

    /// A new connection of a session that subscribed before: what its last one was asked or had
    /// asked is over, and what it serves it serves again.
    pub(super) fn serve_again(&mut self, can: bool, ctx: &mut Ctx<'_>) {
        if ctx.hub.parties.get(self.session).is_some() {
            procedure::leave(self.session, ctx);
        }
        let realm = ctx.hub.realm(ctx.listener.realm);
        if !can || realm.is_none_or(|realm| realm.terms.procedures.is_empty()) {
            return;
        }
        for sub in ctx.hub.subscriptions(self.session) {
            let spelling = Spelling::new(&ctx.hub.limits);
            let mut text = match sub.group.is_empty() {
                true => Vec::new(),
                false => [b"$share/", &sub.group[..], b"/"].concat(),
            };
            if spelling.spell_filter(&sub.filter, &mut text) {
                // Who may not have it any more is subscribed, and nothing else.
                let _ = self.serve(&sub.filter, &text.into(), ctx);
            }
        }
    }

    /// It answers. What nobody waits for is told apart, and is nobody's loss.
    pub(super) fn on_answer(&self, p: Publication, ctx: &mut Ctx<'_>) -> u8 {
        let Some(rpc) = &self.rpc else { return code::NO_MATCHING };
        let (mut number, mut error) = (None, None);
        for prop in Props::from_checked(p.props.clone()).iter() {
            match prop {
                Prop::CorrelationData(mark) => number = number_of(rpc.id, &mark),
                Prop::User(name, value) if name == ERROR => error = Some(value),
                _ => {}
            }
        }
        let payload = Payload { form: 0, meta: passed_on(&p.props), args: p.body };
        let answer = match error {
            None => Answer::Result(payload, Able::NONE),
            Some(name) if name == Reason::Unavailable.uri() => Answer::Unavailable(name, payload),
            Some(name) => match procedure::topic(&name, ctx.listener.realm, ctx.hub) {
                Some(_) => Answer::Error(Bytes::copy_from_slice(&name), payload),
                None => Answer::Error(Bytes::from_static(UNNAMED), payload),
            },
        };
        let mut acts = ctx.hub.spare_acts();
        let done = number
            .map(|number| ctx.hub.calls.answer(ctx.now, self.session, number, answer, &mut acts));
        ctx.hub.pass_on(&mut acts);
        match done {
            Some(Ok(Heard::Passed | Heard::Rerouted)) => 0,
            _ => {
                ctx.hub.stats.count(Counter::Ignored);
                code::NO_MATCHING
            }
        }
    }

    pub(super) fn put_invocation(
        &self,
        now: Now,
        it: Invocation,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let Some(why) = self.objection(&it, line, hub, out) else { return };
        let name = Bytes::from_static(why.uri().as_bytes());
        let answer = match why {
            Reason::Unavailable => Answer::Unavailable(name, Payload::default()),
            _ => Answer::Error(name, Payload::default()),
        };
        let mut acts = hub.spare_acts();
        // It was asked this a moment ago.
        let _ = hub.calls.answer(now, self.session, it.number, answer, &mut acts);
        hub.pass_on(&mut acts);
    }

    /// Ask it; or why that cannot be.
    fn objection(
        &self,
        it: &Invocation,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> Option<Reason> {
        let Some(rpc) = &self.rpc else { return Some(Reason::Unavailable) };
        let Some(served) = rpc.served.get(&it.registration) else {
            // It said meanwhile that it does not serve that any more.
            return Some(Reason::Unavailable);
        };
        if hub.hears(self.session, &served.topic).is_none() {
            // Or somebody else saw to it.
            return Some(Reason::Unavailable);
        }
        let Some((body, mut props)) = content(&it.payload) else {
            return Some(Reason::InvalidArgument);
        };
        let mark = [rpc.id.to_be_bytes(), it.number.to_be_bytes()].concat();
        props.push(Prop::ResponseTopic(Bytes::from_static(OURS)));
        props.push(Prop::CorrelationData(mark.into()));
        let put = self.put_message(&served.topic, &props, &body, line, hub, out);
        (!put).then_some(Reason::PayloadSizeExceeded)
    }
}

/// What it is called there, if this filter is one procedure that may be offered.
fn procedure_of(filter: &Filter, ctx: &Ctx<'_>) -> Option<(Topic, Bytes)> {
    let realm = ctx.hub.realm(ctx.listener.realm)?;
    if realm.terms.procedures.is_empty() || !filter.is_exact() {
        return None;
    }
    let (spelling, mut text) = (Spelling::new(&ctx.hub.limits), Vec::new());
    if !spelling.spell_filter(filter, &mut text) {
        return None;
    }
    let topic = spelling.topic(&text.into()).ok()?;
    if !realm.terms.is_procedure(&topic) {
        return None;
    }
    let (at, hub) = (ctx.listener.realm, &*ctx.hub);
    let name = procedure::named(&topic, at, hub)?;
    (!procedure::is_reserved(&name, at, hub)).then_some((topic, name))
}

/// What of this connection's an answer is for.
fn number_of(id: u64, mark: &[u8]) -> Option<u64> {
    let (own, number) = mark.split_first_chunk()?;
    let number = u64::from_be_bytes(*number.first_chunk()?);
    (u64::from_be_bytes(*own) == id && mark.len() == 16).then_some(number)
}
