//! Floor 3. A WAMP session at work: what it asks for, and what that does.
//!
//! Requests that cannot be granted are answered with an ERROR, and the session goes on; what breaks
//! the protocol ends it. A role or a feature that was not announced is not used. Absent on purpose:
//! calls (`calling`), and how what it is owed is written (`deliver`, `telling`).

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, RealmId, SessionId};
use crate::base::stats::Counter;
use crate::hub::audience::{Audience, List};
use crate::hub::calls::{Able, Kind as Pattern};
use crate::hub::message::{Charge, Durability, Publication};
use crate::hub::policy::{Access, Event, Principal};
use crate::hub::session::SubOpts;
use crate::hub::subscribe::{Replays, Subscribed};
use crate::hub::{Held, Hub};
use crate::proto::Ctx;
use crate::proto::carried::{self, Head};
use crate::proto::fault::FaultKind;
use crate::proto::replies::Replies;
use crate::topic::{Dialect, Filter, Topic};
use crate::value::Form;

use super::asking::Asking;
use super::dialect::Spelling;
use super::fault::Reason;
use super::meta;
use super::notes::{Notes, Who, put_lists};
use super::options::{Audience as Lists, Matching, Ppt, PublishOptions};
use super::packet::{Ended, Failure, Hello, Message, Publish, Subscribe, Unsubscribe};
use super::packet::{Subscribed as Said, Unsubscribed};
use super::parts::{Payload, Raw};
use super::peer::{Reply, Stop};
use super::roles::{Feature, Roles};
use super::span::Span;
use super::uri::Rule;

/// Names that only the router uses.
const RESERVED: &str = "wamp.";

/// A session.
#[derive(Debug)]
pub(super) struct Online {
    /// In the hub.
    pub(super) session: SessionId,
    /// As others know it.
    pub(super) id: u64,
    /// Where it is.
    pub(super) realm: RealmId,
    /// For the rules.
    pub(super) who: Arc<Principal>,
    /// What it announced.
    pub(super) roles: Roles,
    /// The same, as far as calls go.
    pub(super) able: Able,
    /// As caller.
    pub(super) calls_as: Able,
    /// How it writes.
    pub(super) form: Form,
    /// Somebody is asked about its request.
    pub(super) asking: Option<Box<Asking>>,
    /// What waits may be done: nobody needs to be asked again.
    pub(super) cleared: bool,
    /// What it says of itself, on the memory budget.
    _weight: Charge,
}

impl Online {
    pub(super) fn new(
        session: SessionId,
        (id, charge): (u64, Charge),
        realm: RealmId,
        hello: &Hello,
        who: Arc<Principal>,
        form: Form,
    ) -> Self {
        let roles = hello.details.roles;
        let as_callee = able(roles.callee.unwrap_or_default());
        let calls_as = able(roles.caller.unwrap_or_default());
        Self {
            session,
            id,
            realm,
            who,
            roles,
            able: as_callee,
            calls_as,
            form,
            asking: None,
            cleared: false,
            _weight: charge,
        }
    }

    pub(super) fn on_request(
        &self,
        message: &Message,
        whole: &Bytes,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        match message {
            Message::Publish(it) => self.on_publish(it, whole, replies, ctx),
            Message::Subscribe(it) => self.on_subscribe(it, replies, ctx),
            Message::Unsubscribe(it) => self.on_unsubscribe(it, replies, ctx),
            Message::Call(it) => self.on_call(it, whole, replies, ctx),
            Message::Cancel(it) => self.on_cancel(it, replies, ctx),
            Message::Register(it) => self.on_register(it, replies, ctx),
            Message::Unregister(it) => self.on_unregister(it, replies, ctx),
            Message::Yield(it) => self.on_yield(it, whole, replies, ctx),
            Message::Failure(it) => self.on_error(it, whole, ctx),
            Message::EventReceived(_) => {
                ctx.hub.stats.count(Counter::Ignored);
                Ok(())
            }
            _ => Err(FaultKind::WampState.into()),
        }
    }

    fn on_publish(
        &self,
        it: &Publish,
        whole: &Bytes,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        let Some(features) = self.roles.publisher else { return Err(FaultKind::WampRole.into()) };
        if it.options.ppt.is_some() && !features.has(Feature::PayloadPassthruMode) {
            return Err(FaultKind::WampFeature.into());
        }
        let refuse = |reason: Reason, replies: &mut Replies<Reply>, hub: &mut Hub| {
            hub.stats.count(Counter::PublishesRefused);
            if it.options.acknowledge {
                refuse(16, it.request, reason, None, replies);
            }
            Ok(())
        };
        let topic = match self.topic(it.topic.bytes(), ctx.hub) {
            Some(topic) if !it.topic.as_str().starts_with(RESERVED) => topic,
            _ => return refuse(Reason::InvalidUri, replies, ctx.hub),
        };
        if !self.permits(Access::Publish(&topic), ctx) {
            return refuse(Reason::NotAuthorized, replies, ctx.hub);
        }
        if it.options.disclose_me && !discloses(self.realm, ctx.hub) {
            return refuse(Reason::DiscloseMeDisallowed, replies, ctx.hub);
        }
        if !is_packed(it.options.ppt.as_deref(), &it.payload) {
            return refuse(Reason::InvalidArgument, replies, ctx.hub);
        }
        let audience = self.audience(&it.options);
        let trust = self.trust(&topic, ctx.hub);
        let written = (whole, self.form);
        let (number, props, body) = self.dress(it, written, trust, &audience, ctx.hub);
        let mut publication = Publication {
            realm: self.realm,
            topic,
            body,
            props,
            qos: u8::from(it.options.acknowledge),
            retain: it.options.retain,
            expires: 0,
            inbound: None,
        };
        let from = (self.session, &*self.who);
        let level = ctx.listener.level;
        let mut done = ctx.hub.accept_for(ctx.now, from, level, &mut publication, audience.clone());
        if done == Err(Held::Failed) && !it.options.acknowledge {
            // Nothing was promised, so a sick disk need not stop it.
            let level = Durability::Memory;
            done = ctx.hub.accept_for(ctx.now, from, level, &mut publication, audience);
        }
        match done {
            Ok(receipt) => {
                if it.options.acknowledge {
                    replies.push(receipt.after, Reply::Published(it.request, number));
                }
                Ok(())
            }
            Err(why) if why.passes() => Err(Stop::Wait(why)),
            Err(Held::TooLarge) => refuse(Reason::PayloadSizeExceeded, replies, ctx.hub),
            Err(_) => refuse(Reason::Unavailable, replies, ctx.hub),
        }
    }

    /// Its number, its properties and its body.
    fn dress(
        &self,
        it: &Publish,
        (whole, form): (&Bytes, Form),
        trust: Option<u32>,
        audience: &Audience,
        hub: &mut Hub,
    ) -> (u64, Bytes, Bytes) {
        let mut span = Span::of(&it.payload, whole, form);
        if it.options.retain && span.bytes.is_empty() {
            // Without a body it would be forgotten, not kept.
            span = Span::nothing(form);
        }
        let number = hub.parties.number();
        let mut rest = Vec::new();
        let who = it.options.disclose_me.then(|| self.identity(hub));
        let notes = Notes { who, trust: trust.map(u64::from), ppt: it.options.ppt.clone() };
        notes.put(&mut rest);
        let mut flags = span.flags;
        if it.options.retain && audience.has_lists() {
            flags |= carried::LISTED;
            if !put_lists(audience, &mut rest) {
                // What cannot be said of it is that nobody who comes later may have it.
                put_lists(
                    &Audience { eligible: Some(Vec::new()), ..Audience::default() },
                    &mut rest,
                );
            }
        }
        if notes.ppt.is_some() {
            flags |= carried::SEALED;
        }
        let head = Head { form: span.form, flags, number };
        (number, hub.aside(&head.octets(), &rest), span.bytes)
    }

    /// How far it is trusted with this name, if anybody says so.
    pub(super) fn trust(&self, topic: &Topic, hub: &Hub) -> Option<u32> {
        let terms = &hub.realm(self.realm)?.terms;
        if terms.trusts.is_empty() {
            return None;
        }
        let party = hub.parties.get(self.session)?;
        terms.trust((&party.authid, &party.authrole), topic)
    }

    fn identity(&self, hub: &Hub) -> Who {
        let party = hub.parties.get(self.session);
        let text = |bytes: &Bytes| super::parts::Text::from_utf8(bytes.clone()).unwrap_or_default();
        Who {
            id: self.id,
            authid: party.map(|party| text(&party.authid)).unwrap_or_default(),
            authrole: party.map(|party| text(&party.authrole)).unwrap_or_default(),
        }
    }

    /// For whom it is.
    fn audience(&self, options: &PublishOptions) -> Audience {
        let without = (!options.includes_me()).then_some(self.session);
        let key = options.rkey.as_ref().map(|key| key.bytes().clone());
        let mut it = Audience { without, key, ..Audience::default() };
        if let Some(lists) = &options.audience {
            add_lists(lists, &mut it);
        }
        it
    }

    fn on_subscribe(
        &self,
        it: &Subscribe,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        if self.roles.subscriber.is_none() {
            return Err(FaultKind::WampRole.into());
        }
        let text = it.topic.bytes();
        ctx.hub.take_on(self.session, text).map_err(Stop::Wait)?;
        let Some((filter, pattern)) = self.filter(text, it.options.matching, ctx.hub) else {
            refuse(32, it.request, Reason::InvalidUri, None, replies);
            return Ok(());
        };
        if !self.permits(Access::Subscribe(&filter), ctx) {
            refuse(32, it.request, Reason::NotAuthorized, None, replies);
            return Ok(());
        }
        let node = it.options.nkey.as_ref().map(|node| node.detached().bytes().clone());
        let (hub, now) = (&mut *ctx.hub, ctx.now);
        let noted = hub.interests.subscribe(now, self.realm, self.session, (pattern, text), node);
        let opts = SubOpts { id: noted.id, ..SubOpts::default() };
        let replays = if it.options.get_retained { Replays::Always } else { Replays::Never };
        let done = hub.subscribe(now, self.session, &filter, None, opts, replays);
        if noted.joined && !matches!(done, Ok(Subscribed::Yes(_))) {
            hub.interests.unsubscribe(self.session, noted.id);
        }
        match done {
            Ok(Subscribed::Yes(receipt)) => {
                let said = Said { request: it.request, subscription: u64::from(noted.id) };
                replies.push_gate(receipt.after, Reply::Message(Box::new(said.into())));
                meta::on_subscribed(self.session, noted, ctx);
                Ok(())
            }
            Ok(Subscribed::TooMany) => {
                refuse(32, it.request, Reason::Unavailable, Some("too many"), replies);
                Ok(())
            }
            Err(why) if why.passes() => Err(Stop::Wait(why)),
            Err(_) => {
                refuse(32, it.request, Reason::Unavailable, None, replies);
                Ok(())
            }
        }
    }

    fn on_unsubscribe(
        &self,
        it: &Unsubscribe,
        replies: &mut Replies<Reply>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Stop> {
        if self.roles.subscriber.is_none() {
            return Err(FaultKind::WampRole.into());
        }
        let known = ctx.hub.interests.get(self.realm, it.subscription);
        let mine = known.filter(|known| known.is_heard_by(self.session));
        let Some((id, pattern, kind)) = mine.map(|it| (it.id, it.pattern.clone(), it.kind)) else {
            refuse(34, it.request, Reason::NoSuchSubscription, None, replies);
            return Ok(());
        };
        ctx.hub.take_on(self.session, &pattern).map_err(Stop::Wait)?;
        if let Some((filter, _)) = self.filter(&pattern, matching(kind), ctx.hub)
            && let Err(why) = ctx.hub.unsubscribe(ctx.now, self.session, &filter, None)
            && why.passes()
        {
            return Err(Stop::Wait(why));
        }
        let left = ctx.hub.interests.unsubscribe(self.session, id);
        let ended = Ended { request: it.request, revoked: None };
        let said = Unsubscribed { ended };
        replies.push(Lsn::START, Reply::Message(Box::new(said.into())));
        if let Some(left) = left {
            meta::on_unsubscribed(self.id, self.realm, left, ctx);
        }
        Ok(())
    }

    /// A pattern as the hub's filter, and what kind it is: one of wildcards without any is exact.
    pub(super) fn filter(
        &self,
        text: &Bytes,
        matching: Matching,
        hub: &Hub,
    ) -> Option<(Filter, Pattern)> {
        let filter = self.spelling(hub).filter(text, matching.how()).ok()?;
        let kind = match Spelling::matching(&filter)? {
            Matching::Exact => Pattern::Exact,
            Matching::Prefix => Pattern::Prefix,
            Matching::Wildcard => Pattern::Wildcard,
        };
        Some((filter, kind))
    }

    pub(super) fn topic(&self, text: &Bytes, hub: &mut Hub) -> Option<Topic> {
        let spelling = self.spelling(hub);
        let known =
            hub.known_topic(b'.', text).filter(|known| spelling.as_spelled(known).is_some());
        match known.cloned() {
            Some(topic) => Some(topic),
            None => spelling.topic(text).ok(),
        }
    }

    pub(super) fn spelling(&self, hub: &Hub) -> Spelling {
        let strict = hub.realm(self.realm).is_some_and(|realm| realm.terms.strict);
        Spelling::new(&hub.limits, if strict { Rule::Strict } else { Rule::Loose })
    }

    pub(super) fn permits(&self, access: Access<'_>, ctx: &mut Ctx<'_>) -> bool {
        if ctx.hub.policy.permit(&self.who, &access) {
            return true;
        }
        ctx.hub.stats.denied(access.action());
        let why = ctx.hub.policy.explain(&self.who, &access);
        let event = Event::Denied { conn: ctx.conn, who: &self.who, access, why: &why };
        ctx.hub.observer.see(ctx.now, &event);
        false
    }

    /// It is gone: so is what it offered, was asked, asked, and listened to. What it wanted said
    /// then is said before others hear that it left.
    pub(super) fn leave(&self, ctx: &mut Ctx<'_>) {
        let mut acts = ctx.hub.spare_acts();
        let lost = ctx.hub.calls.leave(self.session, &mut acts);
        let left = ctx.hub.interests.leave(self.session);
        ctx.hub.pass_on(&mut acts);
        for lost in lost {
            meta::on_unregistered(self.id, self.realm, lost, ctx);
        }
        for left in left {
            meta::on_unsubscribed(self.id, self.realm, left, ctx);
        }
        let said = ctx.hub.parties.get_mut(self.session).map(meta::said);
        for (it, whole, form) in said.into_iter().flatten() {
            self.bequeath(&it, (&whole, form), ctx);
        }
        if let Some(party) = ctx.hub.parties.leave(self.session) {
            meta::on_leave(&party, ctx);
        }
    }

    /// It is gone, and this is what it wanted said then, with its rights as they are now. It can
    /// neither wait for room nor be answered.
    fn bequeath(&self, it: &Publish, written: (&Bytes, Form), ctx: &mut Ctx<'_>) {
        let Some(topic) = self.topic(it.topic.bytes(), ctx.hub) else { return };
        let discloses = !it.options.disclose_me || discloses(self.realm, ctx.hub);
        if !self.permits(Access::Publish(&topic), ctx) || !discloses {
            return ctx.hub.stats.count(Counter::PublishesRefused);
        }
        let mut audience = self.audience(&it.options);
        audience.without = Some(self.session);
        let trust = self.trust(&topic, ctx.hub);
        let (_, props, body) = self.dress(it, written, trust, &audience, ctx.hub);
        let mut publication = Publication {
            realm: self.realm,
            topic,
            body,
            props,
            qos: u8::from(it.options.acknowledge),
            retain: it.options.retain,
            expires: 0,
            inbound: None,
        };
        let from = (self.session, &*self.who);
        for level in [ctx.listener.level, Durability::Memory] {
            let audience = audience.clone();
            if ctx.hub.accept_for(ctx.now, from, level, &mut publication, audience).is_ok() {
                return;
            }
        }
        ctx.hub.stats.count(Counter::DroppedFull);
    }
}

/// May others be told there who publishes or calls?
pub(super) fn discloses(realm: RealmId, hub: &Hub) -> bool {
    hub.realm(realm).is_none_or(|realm| realm.terms.disclose)
}

/// A kind of pattern as it is written.
pub(super) fn matching(kind: Pattern) -> Matching {
    match kind {
        Pattern::Exact => Matching::Exact,
        Pattern::Prefix => Matching::Prefix,
        Pattern::Wildcard => Matching::Wildcard,
    }
}

/// A request is not granted, and that is its answer.
pub(super) fn refuse(
    kind: u64,
    request: u64,
    reason: Reason,
    text: Option<&str>,
    replies: &mut Replies<Reply>,
) {
    let payload = text.map(told).unwrap_or_default();
    let error = reason.uri().into();
    let failure = Failure { kind, request, error, payload, ..Failure::default() };
    replies.push(Lsn::START, Reply::Message(Box::new(failure.into())));
}

/// One argument: this text.
pub(super) fn told(text: &str) -> Payload {
    let mut args = Vec::new();
    crate::value::Writer::new(Form::Json, &mut args).list(1).text(text).end();
    Payload { args: Some(Raw { form: Form::Json, bytes: args.into() }), kwargs: None }
}

/// What is packed has a scheme, and is one argument.
pub(super) fn is_packed(ppt: Option<&Ppt>, payload: &Payload) -> bool {
    ppt.is_none_or(|ppt| ppt.scheme.is_some() && payload.kwargs.is_none())
}

fn add_lists(lists: &Lists, into: &mut Audience) {
    into.exclude = lists.exclude.clone().unwrap_or_default();
    into.eligible.clone_from(&lists.eligible);
    let mut add = |attribute: &str, eligible: bool, values: &[super::parts::Text]| {
        let values = values.iter().map(|value| value.bytes().clone()).collect();
        into.lists.push(List { attribute: attribute.to_owned(), eligible, values });
    };
    for (attribute, eligible, values) in [
        ("authid", false, &lists.exclude_authid),
        ("authid", true, &lists.eligible_authid),
        ("authrole", false, &lists.exclude_authrole),
        ("authrole", true, &lists.eligible_authrole),
    ] {
        if let Some(values) = values {
            add(attribute, eligible, values);
        }
    }
    for other in &lists.others.0 {
        add(other.attribute.as_str(), !other.exclude, &other.among);
    }
}

fn able(features: super::roles::Features) -> Able {
    let all = [
        (Feature::CallCanceling, Able::CANCEL),
        (Feature::ProgressiveCallResults, Able::RESULTS),
        (Feature::ProgressiveCallInvocations, Able::CHUNKS),
        (Feature::CallTimeout, Able::TIMEOUT),
        (Feature::PayloadPassthruMode, Able::OPAQUE),
    ];
    let has = all.into_iter().filter(|(feature, _)| features.has(*feature));
    has.fold(Able::NONE, |sum, (_, able)| sum | able)
}
