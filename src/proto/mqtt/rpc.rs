//! Floor 3. An MQTT client that calls and is called: publications that are requests and answers.
//!
//! A client of 5.0 calls a procedure by publishing to its topic and saying where the answer goes.
//! What comes of it is published there, to this client alone, with its correlation data: who asks
//! chooses a topic, and must not speak to others by that. An error is an answer too, with its name
//! in the user property `error`. Both go at QoS 0, on the connection that asked: a call ends with
//! it. Absent on purpose: who is asked and what is waited for (`hub/calls`), which topics are
//! procedures (the realm's terms), and what clients that are called hear (`serving`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::limits::Limit;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::calls::{Able, Act, Ask, Payload, Why};
use crate::hub::message::{Body, Charge, Publication};
use crate::hub::parties::{Joining, Mail};
use crate::hub::policy::Access;
use crate::proto::carried::{self, Nature};
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::procedure::Reason;
use crate::proto::{Ctx, procedure};
use crate::topic::Topic;

use super::deliver::text_of;
use super::dialect::Spelling;
use super::encode::{PublishHead, PublishProps, publish_head, publish_len};
use super::line::{Line, Slip};
use super::online::{Online, permit};
use super::packet::Version;
use super::props::{Prop, Props};
use super::serving::{self, Served};

/// The user property that holds the name of an error.
pub(super) const ERROR: &[u8] = b"error";
/// What a request takes that waits for its outcome, beside its topic and its mark.
const ASKED_BYTES: usize = 160;

/// What a client that calls or is called has beside others.
#[derive(Debug, Default)]
pub(super) struct Rpc {
    /// Its number among those who can be called: never another's, nor that of an earlier
    /// connection.
    pub(super) id: u64,
    /// What it serves, by registration.
    pub(super) served: BTreeMap<u64, Served>,
    /// Somebody wants it to go.
    go: bool,
    asked: BTreeMap<u64, Asked>,
    asked_bytes: usize,
    last: u64,
}

/// A request of this client without an outcome.
#[derive(Debug)]
struct Asked {
    to: Topic,
    mark: Option<Bytes>,
    charge: Charge,
}

/// What a publication is that is no plain one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// It calls a procedure.
    Request,
    /// It answers what this client was asked.
    Answer,
}

impl Online {
    /// Is it a plain publication?
    #[inline]
    pub(super) fn way_of(&self, topic: &Topic, asks: bool, ctx: &Ctx<'_>) -> Option<Way> {
        if topic.is_hidden() {
            return (self.rpc.is_some() && serving::is_ours(topic)).then_some(Way::Answer);
        }
        let is_procedure = || {
            let realm = ctx.hub.realm(ctx.listener.realm);
            realm.is_some_and(|realm| realm.terms.is_procedure(topic))
        };
        (asks && is_procedure()).then_some(Way::Request)
    }

    /// The same of one that had to wait.
    pub(super) fn way_again(&self, p: &Publication, line: &Line, ctx: &Ctx<'_>) -> Option<Way> {
        let mut props = Props::from_checked(p.props.clone()).iter();
        let asks = line.is_v5() && props.any(|prop| matches!(prop, Prop::ResponseTopic(_)));
        self.way_of(&p.topic, asks, ctx)
    }

    /// Somebody wants it to go.
    pub(super) fn is_to_go(&self) -> bool {
        self.rpc.as_ref().is_some_and(|rpc| rpc.go)
    }

    /// From now on others can know it.
    pub(super) fn take_part(&mut self, ctx: &mut Ctx<'_>) -> &mut Rpc {
        if self.rpc.is_none() {
            let (id, none) = (ctx.hub.parties.number(), Bytes::new());
            ctx.hub.parties.join(Joining {
                id,
                session: self.session,
                realm: ctx.listener.realm,
                conn: ctx.conn,
                authid: self.who.user.clone(),
                authrole: none.clone(),
                authmethod: none.clone(),
                authprovider: none,
                details: Vec::new(),
            });
            self.rpc = Some(Box::new(Rpc { id, ..Rpc::default() }));
        }
        self.rpc.get_or_insert_default()
    }

    /// May this request be taken? One that may not be is told so where its answer would go, and
    /// by its acknowledgement.
    pub(super) fn judge_request(
        &mut self,
        p: &Publication,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), FaultKind> {
        if !permit(&self.who, Access::Request(&p.topic), ctx) {
            if self.has_room(p, ctx) {
                self.refuse(p, Reason::NotAuthorized, ctx);
            }
            return Err(FaultKind::MqttDenied);
        }
        if !self.has_room(p, ctx) {
            ctx.hub.limited(ctx.now, &self.who.client_id, Limit::outbox_bytes_max);
            return Err(FaultKind::MqttRequests);
        }
        Ok(())
    }

    /// What requests ask to be remembered is as much as a client may have in memory at all.
    fn has_room(&self, p: &Publication, ctx: &Ctx<'_>) -> bool {
        let held = self.rpc.as_ref().map_or(0, |rpc| rpc.asked_bytes);
        held + p.props.len() + ASKED_BYTES <= ctx.hub.limits.outbox_bytes_max
    }

    /// Ask for it.
    pub(super) fn on_request(&mut self, p: Publication, ctx: &mut Ctx<'_>) {
        let Some(name) = procedure::named(&p.topic, ctx.listener.realm, ctx.hub) else {
            return self.refuse(&p, Reason::InvalidUri, ctx);
        };
        let Some(request) = self.note(&p, ctx) else { return };
        let most = ctx.hub.limits.mqtt_call_ms_max;
        let timeout_ms = match p.expires {
            0 => most,
            at => at.saturating_sub(ctx.now.wall).clamp(1, most),
        };
        let ask = Ask {
            realm: ctx.listener.realm,
            caller: self.session,
            request,
            procedure: name,
            payload: Payload { form: 0, meta: passed_on(&p.props), args: p.body },
            more: false,
            pieces: false,
            timeout_ms,
            disclose: false,
            trust: 0,
            needs: Able::NONE,
            can: Able::NONE,
            shard: None,
        };
        ctx.hub.stats.count(Counter::CallsTaken);
        let mut acts = ctx.hub.spare_acts();
        // No two requests have one number.
        let _ = ctx.hub.calls.call(ctx.now, ask, &mut acts);
        ctx.hub.pass_on(&mut acts);
    }

    /// It fails before anybody was asked.
    fn refuse(&mut self, p: &Publication, why: Reason, ctx: &mut Ctx<'_>) {
        let Some(request) = self.note(p, ctx) else { return };
        let (to, why) = (self.session, Why::Said(Bytes::from_static(why.uri().as_bytes())));
        let payload = Payload::default();
        ctx.hub.tell(to, Mail::Act(Act::Fail { to, request, why, payload }));
    }

    /// Remember where its answer goes. None: that is nowhere.
    fn note(&mut self, p: &Publication, ctx: &mut Ctx<'_>) -> Option<u64> {
        let (mut to, mut mark) = (None, None);
        for prop in Props::from_checked(p.props.clone()).iter() {
            match prop {
                Prop::ResponseTopic(text) => to = Some(text),
                Prop::CorrelationData(data) => mark = Some(Bytes::copy_from_slice(&data)),
                _ => {}
            }
        }
        let to = to.and_then(|text| Spelling::new(&ctx.hub.limits).topic(&text).ok());
        let Some(to) = to else {
            ctx.hub.stats.count(Counter::Ignored);
            return None;
        };
        let to = to.detached();
        let weight = ASKED_BYTES + to.text().len() + mark.as_ref().map_or(0, Bytes::len);
        let charge = ctx.hub.weigh(weight);
        let rpc = self.take_part(ctx);
        rpc.asked_bytes += weight;
        rpc.last += 1;
        rpc.asked.insert(rpc.last, Asked { to, mark, charge });
        Some(rpc.last)
    }

    /// A publication that is none is carried out; what its acknowledgement waits for is done.
    pub(super) fn on_way(&mut self, way: Way, p: Publication, ctx: &mut Ctx<'_>) -> u8 {
        match way {
            Way::Request => {
                self.on_request(p, ctx);
                0
            }
            Way::Answer => self.on_answer(p, ctx),
        }
    }

    /// Say the next letter; false when there is none.
    pub(super) fn tell(
        &mut self,
        now: Now,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> bool {
        let Some(rpc) = self.rpc.as_mut().filter(|rpc| !rpc.go) else { return false };
        let Some(mail) = hub.parties.take(self.session) else { return false };
        match mail {
            Mail::Act(Act::Invoke(it)) => self.put_invocation(now, it, line, hub, out),
            Mail::Act(Act::Result { request, payload, .. }) => {
                self.put_result(request, &payload, line, hub, out);
            }
            Mail::Act(Act::Fail { request, why, payload, .. }) => {
                hub.stats.count(Counter::CallsFailed);
                if let Why::Full(bound) = why {
                    hub.limited(now, &self.who.client_id, bound.limit());
                }
                let body = carried::body_in(&payload).unwrap_or_default();
                self.put_failure(request, procedure::outcome(&why), body, line, hub, out);
            }
            Mail::Unregistered { id, .. } => {
                rpc.served.remove(&id);
            }
            Mail::Go { .. } => rpc.go = true,
            // Nobody here can be told to stop, subscriptions have no such numbers, and a SUBACK
            // says who serves.
            Mail::Act(Act::Interrupt { .. }) | Mail::Unsubscribed { .. } | Mail::Granted { .. } => {
            }
        }
        true
    }

    /// It has its outcome.
    fn outcome_of(&mut self, request: u64) -> Option<Asked> {
        let rpc = self.rpc.as_mut()?;
        let asked = rpc.asked.remove(&request)?;
        rpc.asked_bytes -= asked.charge.bytes();
        Some(asked)
    }

    fn put_result(
        &mut self,
        request: u64,
        payload: &Payload,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let Some(asked) = self.outcome_of(request) else { return };
        let why = match content(payload) {
            None => Reason::InvalidArgument,
            Some((body, mut props)) => {
                props.extend(asked.mark.clone().map(Prop::CorrelationData));
                if self.put_message(&asked.to, &props, &body, line, hub, out) {
                    return;
                }
                Reason::PayloadSizeExceeded
            }
        };
        hub.stats.count(Counter::CallsFailed);
        let name = Bytes::from_static(why.uri().as_bytes());
        self.put_error(&asked, name, Bytes::new(), line, hub, out);
    }

    fn put_failure(
        &mut self,
        request: u64,
        name: Bytes,
        body: Bytes,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let Some(asked) = self.outcome_of(request) else { return };
        if !self.put_error(&asked, name.clone(), body, line, hub, out) {
            // Without what was said with it, it may be short enough.
            self.put_error(&asked, name, Bytes::new(), line, hub, out);
        }
    }

    fn put_error(
        &self,
        asked: &Asked,
        name: Bytes,
        body: Bytes,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> bool {
        let mut props: Vec<Prop> =
            asked.mark.clone().map(Prop::CorrelationData).into_iter().collect();
        props.push(Prop::User(Bytes::from_static(ERROR), name));
        self.put_message(&asked.to, &props, &body.into(), line, hub, out)
    }

    /// Publish it to this client, who listens there. False: it is longer than that takes.
    pub(super) fn put_message(
        &self,
        to: &Topic,
        props: &[Prop],
        body: &Body,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> bool {
        let (mut spelled, props) = (Vec::new(), Props::build(props));
        let Some(subs) = hub.hears(self.session, to) else {
            // As with anything that nobody listens to.
            hub.stats.count(Counter::Ignored);
            return true;
        };
        let Some(text) = text_of(to, &mut spelled, hub) else { return false };
        let head = PublishHead {
            version: Version::V5,
            dup: false,
            qos: 0,
            retain: false,
            topic: text,
            id: 0,
            props: PublishProps { expiry: None, alias: None, subs: &subs, rest: props.raw() },
            payload_len: body.len(),
        };
        if publish_len(&head) > line.packet_max as usize || publish_head(out, &head).is_err() {
            return false;
        }
        body.put(out);
        hub.stats.count(Counter::RepliesSent);
        true
    }

    /// A publication that is none, once it is judged: `on_way`, and its acknowledgement.
    pub(super) fn carry_out(
        &mut self,
        way: Way,
        slip: Slip,
        p: Publication,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        if way == Way::Request
            && let Err(why) = self.judge_request(&p, ctx)
        {
            return self.turn_down(slip, why, line, ctx);
        }
        let after = match slip.qos {
            2 => match ctx.hub.inbound_note(self.session, slip.id, ctx.listener.level) {
                Ok(receipt) => receipt.after,
                Err(why) => return self.held_publish(why, slip, p, line, ctx),
            },
            _ => crate::base::id::Lsn::START,
        };
        let code = self.on_way(way, p, ctx);
        self.acknowledge(slip, after, code, line);
        Ok(())
    }
}

/// A body, and what is said of it.
pub(super) fn content(payload: &Payload) -> Option<(Body, Vec<Prop>)> {
    let Some(form) = carried::form_of(payload.form) else {
        let props = Props::from_checked(payload.meta.clone()).iter().collect();
        return Some((payload.args.clone().into(), props));
    };
    let read = carried::body_of(form, &payload.args)?;
    let json = || Prop::ContentType(Bytes::from_static(b"application/json"));
    let props = match read.nature {
        Nature::Bytes => Vec::new(),
        Nature::Text => vec![Prop::PayloadFormat(1)],
        Nature::Json => vec![Prop::PayloadFormat(1), json()],
    };
    Some((read.body, props))
}

/// What travels on with a request or an answer to a client that speaks MQTT too.
pub(super) fn passed_on(props: &Bytes) -> Bytes {
    let all = Props::from_checked(props.clone());
    let kept: Vec<Prop> = all
        .iter()
        .filter(|prop| match prop {
            Prop::PayloadFormat(_) | Prop::ContentType(_) => true,
            Prop::User(name, _) => name != ERROR,
            _ => false,
        })
        .collect();
    Props::build(&kept).raw().clone()
}
