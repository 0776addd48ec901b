//! Floor 3. A client that calls and is called: questions that are calls, calls that are questions.
//!
//! A question of a type that the realm names as a procedure is a call: it is told to nobody, and
//! what comes of it is its answer. Who listens to such a type serves it: this end asks it a
//! question, and what it answers is what came of the call. A client has no word for an error, nor
//! for leaving a call, so it is not waited for without end; and one connection's calls end with it.
//! Absent on purpose: who is asked and what is waited for (`hub/calls`), which topics are
//! procedures (the realm's terms), and binaries and files, which calls do not carry.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::limits::Limit;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::calls::{
    Able, Act, Answer, Ask, Invocation, Invoke, Kind, Offer, Payload, Refused, Terms, Why,
};
use crate::hub::message::Charge;
use crate::hub::parties::{Joining, Mail};
use crate::hub::policy::Access;
use crate::proto::procedure::Reason;
use crate::proto::{Ctx, carried, procedure};
use crate::topic::Topic;

use super::encode::{encode, put_text};
use super::online::{Online, permit};
use super::packet::{Frame, Header, Id, Text};

/// What a question takes that waits for its outcome, beside its type and its id.
const ASKED_BYTES: usize = 160;

/// What a client that calls or is called has beside others.
#[derive(Debug, Default)]
pub(super) struct Calling {
    /// What it serves, by registration.
    served: BTreeMap<u64, Served>,
    asked: BTreeMap<u64, Asked>,
    asked_bytes: usize,
    last: u64,
    /// Somebody wants it to go.
    go: bool,
}

#[derive(Debug)]
struct Served {
    kind: Text,
    topic: Topic,
}

/// A question of this client without an outcome.
#[derive(Debug)]
struct Asked {
    kind: Text,
    id: Id,
    charge: Charge,
}

/// Is this topic a procedure?
pub(super) fn is_procedure(topic: &Topic, ctx: &Ctx<'_>) -> bool {
    let realm = ctx.hub.realm(ctx.listener.realm);
    realm.is_some_and(|realm| realm.terms.is_procedure(topic))
}

impl Online {
    /// Somebody wants it to go.
    pub(super) fn is_to_go(&self) -> bool {
        self.calling.as_ref().is_some_and(|calling| calling.go)
    }

    /// From now on others can know it.
    fn take_part(&mut self, ctx: &mut Ctx<'_>) -> &mut Calling {
        if self.calling.is_none() {
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
        }
        self.calling.get_or_insert_default()
    }

    /// A question that is a call. What there is to say at once: that it cannot be.
    pub(super) fn call(
        &mut self,
        (kind, id): (&Text, &Id),
        topic: &Topic,
        data: &Bytes,
        ctx: &mut Ctx<'_>,
    ) -> Option<Frame> {
        let me = self.me.clone();
        let not = |why: Reason| Some(failed(kind, id, me.clone(), why.uri().as_bytes(), "".into()));
        if !permit(&self.who, Access::Request(topic), ctx) {
            return not(Reason::NotAuthorized);
        }
        let Some(name) = procedure::named(topic, ctx.listener.realm, ctx.hub) else {
            return not(Reason::InvalidUri);
        };
        let weight = ASKED_BYTES + kind.bytes().len() + id.json().len();
        let held = self.calling.as_ref().map_or(0, |calling| calling.asked_bytes);
        if held + weight > ctx.hub.limits.outbox_bytes_max {
            ctx.hub.limited(ctx.now, &self.who.client_id, Limit::outbox_bytes_max);
            return not(Reason::Unavailable);
        }
        let asked =
            Asked { kind: kind.detached(), id: id.detached(), charge: ctx.hub.weigh(weight) };
        let calling = self.take_part(ctx);
        calling.asked_bytes += weight;
        calling.last += 1;
        let request = calling.last;
        calling.asked.insert(request, asked);
        let ask = Ask {
            realm: ctx.listener.realm,
            caller: self.session,
            request,
            procedure: name,
            payload: plain(data),
            more: false,
            pieces: false,
            timeout_ms: 0,
            disclose: false,
            trust: 0,
            needs: Able::NONE,
            can: Able::NONE,
            shard: None,
        };
        ctx.hub.stats.count(Counter::CallsTaken);
        let mut acts = Vec::new();
        // No two questions have one number.
        let _ = ctx.hub.calls.call(ctx.now, ask, &mut acts);
        ctx.hub.pass_on(&mut acts);
        None
    }

    /// It listens to this: if that is a procedure, it serves it from now on.
    pub(super) fn serve(&mut self, kind: &Text, ctx: &mut Ctx<'_>) {
        let Some(topic) = self.topic(kind, ctx).filter(|topic| is_procedure(topic, ctx)) else {
            return;
        };
        let realm = ctx.listener.realm;
        let ours = |name: &Bytes| procedure::is_reserved(name, realm, ctx.hub);
        let Some(name) = procedure::named(&topic, realm, ctx.hub).filter(|name| !ours(name)) else {
            return;
        };
        let within_ms = ctx.hub.limits.mqtt_call_ms_max;
        let terms = Terms { can: Able::NONE, within_ms, ..Terms::default() };
        let offer = Offer { procedure: name, kind: Kind::Exact, invoke: Invoke::Roundrobin, terms };
        self.take_part(ctx);
        match ctx.hub.calls.register(ctx.now, realm, self.session, &offer) {
            Ok(done) => {
                let served = Served { kind: kind.detached(), topic: topic.detached() };
                self.take_part(ctx).served.insert(done.id(), served);
            }
            // It has no word for a refusal, and listens all the same.
            Err(Refused::Exists) => ctx.hub.stats.count(Counter::Ignored),
            Err(Refused::Full(bound)) => {
                ctx.hub.limited(ctx.now, &self.who.client_id, bound.limit());
            }
        }
    }

    /// It does not listen to this any more.
    pub(super) fn serve_no_more(&mut self, kind: &Text, ctx: &mut Ctx<'_>) {
        let Some(calling) = &mut self.calling else { return };
        let found = calling.served.iter().find(|(_, served)| served.kind == *kind);
        if let Some(id) = found.map(|(id, _)| *id) {
            calling.served.remove(&id);
            ctx.hub.calls.unregister(ctx.listener.realm, self.session, id);
        }
    }

    /// It answers what it was asked by this end. What comes too late is nobody's.
    pub(super) fn answer(&self, number: u64, data: &Bytes, ctx: &mut Ctx<'_>) {
        let mut acts = Vec::new();
        let answer = Answer::Result(plain(data), Able::NONE);
        let done = ctx.hub.calls.answer(ctx.now, self.session, number, answer, &mut acts);
        ctx.hub.pass_on(&mut acts);
        if done.is_err() {
            ctx.hub.stats.count(Counter::Ignored);
        }
    }

    /// Say the next letter; false when there is none.
    pub(super) fn tell(&mut self, now: Now, hub: &mut Hub, out: &mut Outbound) -> bool {
        let Some(calling) = self.calling.as_mut().filter(|calling| !calling.go) else {
            return false;
        };
        let Some(mail) = hub.parties.take(self.session) else { return false };
        match mail {
            Mail::Act(Act::Invoke(it)) => self.put_invocation(now, &it, hub, out),
            Mail::Act(Act::Result { request, payload, .. }) => {
                let body = carried::body_in(&payload);
                self.put_outcome(request, body.ok_or(Reason::InvalidArgument), hub, out);
            }
            Mail::Act(Act::Fail { request, why, payload, .. }) => {
                hub.stats.count(Counter::CallsFailed);
                if let Why::Full(bound) = why {
                    hub.limited(now, &self.who.client_id, bound.limit());
                }
                let body = carried::body_in(&payload).unwrap_or_default();
                if let Some(asked) = self.outcome_of(request) {
                    let (name, me) = (procedure::outcome(&why), self.me.clone());
                    say(&failed(&asked.kind, &asked.id, me, &name, body), hub, out);
                }
            }
            Mail::Unregistered { id, .. } => {
                calling.served.remove(&id);
            }
            Mail::Go { .. } => calling.go = true,
            // It cannot be told to stop, and what it listens to has no numbers.
            Mail::Act(Act::Interrupt { .. }) | Mail::Unsubscribed { .. } | Mail::Granted { .. } => {
            }
        }
        true
    }

    /// It has its outcome.
    fn outcome_of(&mut self, request: u64) -> Option<Asked> {
        let calling = self.calling.as_mut()?;
        let asked = calling.asked.remove(&request)?;
        calling.asked_bytes -= asked.charge.bytes();
        Some(asked)
    }

    fn put_outcome(
        &mut self,
        request: u64,
        body: Result<Bytes, Reason>,
        hub: &mut Hub,
        out: &mut Outbound,
    ) {
        let Some(Asked { kind, id, .. }) = self.outcome_of(request) else { return };
        let me = self.me.clone();
        let frame = match body {
            Ok(data) => {
                let header = Header {
                    message_type: kind,
                    source_id: Some(me),
                    destination_id: Some(self.name.text().clone()),
                    response_id: Some(id),
                    ..Header::default()
                };
                Frame { header, data, binary: Bytes::new() }
            }
            Err(why) => {
                hub.stats.count(Counter::CallsFailed);
                failed(&kind, &id, me, why.uri().as_bytes(), Bytes::new())
            }
        };
        say(&frame, hub, out);
    }

    fn put_invocation(&mut self, now: Now, it: &Invocation, hub: &mut Hub, out: &mut Outbound) {
        let Some(why) = self.objection(it, hub, out) else { return };
        let name = Bytes::from_static(why.uri().as_bytes());
        let answer = match why {
            Reason::Unavailable => Answer::Unavailable(name, Payload::default()),
            _ => Answer::Error(name, Payload::default()),
        };
        let mut acts = Vec::new();
        // It was asked this a moment ago.
        let _ = hub.calls.answer(now, self.session, it.number, answer, &mut acts);
        hub.pass_on(&mut acts);
    }

    /// Ask it; or why that cannot be.
    fn objection(&mut self, it: &Invocation, hub: &mut Hub, out: &mut Outbound) -> Option<Reason> {
        let served = self.calling.as_ref().and_then(|all| all.served.get(&it.registration));
        // It said meanwhile that it does not serve that any more, or somebody else saw to it.
        let Some(served) = served.filter(|it| hub.hears(self.session, &it.topic).is_some()) else {
            return Some(Reason::Unavailable);
        };
        let Some(data) = carried::body_in(&it.payload) else {
            return Some(Reason::InvalidArgument);
        };
        let kind = served.kind.clone();
        let header = Header {
            source_id: Some(self.me.clone()),
            destination_id: Some(self.name.text().clone()),
            request_id: Some(self.book.ask(&kind, it.number)),
            await_response: true,
            message_type: kind,
            ..Header::default()
        };
        let said = say(&Frame { header, data, binary: Bytes::new() }, hub, out);
        (!said).then_some(Reason::PayloadSizeExceeded)
    }
}

/// A question is answered by this error. A connector hands that to whoever asked.
pub(super) fn failed(kind: &Text, id: &Id, me: Text, why: &[u8], data: Bytes) -> Frame {
    let mut error = Vec::new();
    put_text(&mut error, &String::from_utf8_lossy(why));
    let header = Header {
        message_type: kind.clone(),
        source_id: Some(me),
        response_id: Some(id.clone()),
        others: vec![("error".into(), error.into())],
        ..Header::default()
    };
    Frame { header, data, binary: Bytes::new() }
}

/// False: it does not fit into a frame.
fn say(frame: &Frame, hub: &mut Hub, out: &mut Outbound) -> bool {
    let said = encode(frame, out).is_ok();
    if said {
        hub.stats.count(Counter::RepliesSent);
    }
    said
}

fn plain(data: &Bytes) -> Payload {
    Payload { form: 0, meta: Bytes::new(), args: data.clone() }
}
