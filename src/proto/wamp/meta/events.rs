//! Floor 3. What the router tells about what happened.
//!
//! Something is created before somebody joins it, and left before it is deleted. What nobody
//! listens to is not even written. A memory that is short loses such events first. Absent on
//! purpose: when things happen (the peer says so).

use bytes::Bytes;

use super::registrations as offers;
use super::sessions::details;
use super::subscriptions::about;
use super::{RESERVED, id, number, reflection, terms, text};
use crate::base::id::{RealmId, SessionId};
use crate::base::stats::Counter;
use crate::hub::Hub;
use crate::hub::audience::Audience;
use crate::hub::calls::{Lost, Registered};
use crate::hub::interests::{Left, Noted};
use crate::hub::message::Publication;
use crate::hub::parties::Party;
use crate::proto::Ctx;
use crate::proto::carried::{ARGS, Head, OURS};
use crate::topic::Topic;
use crate::value::{Form, Value, Writer};

/// A session has joined.
pub fn on_join(session: SessionId, ctx: &mut Ctx<'_>) {
    let Some(realm) = realm_of(session, ctx.hub) else { return };
    let args = |hub: &Hub| {
        let both = hub.parties.get(session).zip(terms(realm, hub));
        both.map(|(party, terms)| details(party, terms)).into_iter().collect()
    };
    tell("wamp.session.on_join", (realm, Some(session)), args, ctx);
}

/// A session is gone, and was taken out of the parties; what it wanted said then was said.
pub fn on_leave(party: &Party, ctx: &mut Ctx<'_>) {
    reflection::forget(party, ctx);
    if party.quiet {
        return;
    }
    let args = |_: &Hub| vec![id(party.id), text(&party.authid), text(&party.authrole)];
    tell("wamp.session.on_leave", (party.realm, Some(party.session)), args, ctx);
}

/// A session listens.
pub fn on_subscribed(session: SessionId, noted: Noted, ctx: &mut Ctx<'_>) {
    let Some((realm, number)) = realm_of(session, ctx.hub).zip(number(session, ctx.hub)) else {
        return;
    };
    let interest = |hub: &Hub| hub.interests.get(realm, u64::from(noted.id)).map(about);
    let own = ctx.hub.interests.get(realm, u64::from(noted.id)).map(|it| is_own(&it.pattern));
    if own != Some(false) {
        return;
    }
    let from = (realm, Some(session));
    if noted.created {
        let args = |hub: &Hub| [Some(id(number)), interest(hub)].into_iter().flatten().collect();
        tell("wamp.subscription.on_create", from, args, ctx);
    }
    if noted.joined {
        let args = |_: &Hub| vec![id(number), id(noted.id)];
        tell("wamp.subscription.on_subscribe", from, args, ctx);
    }
}

/// The session of this number does not listen any more, or is gone.
pub fn on_unsubscribed(number: u64, realm: RealmId, left: Left, ctx: &mut Ctx<'_>) {
    if is_own(&left.pattern) {
        return;
    }
    let from = (realm, ctx.hub.parties.numbered(realm, number).map(|party| party.session));
    let args = |_: &Hub| vec![id(number), id(left.id)];
    tell("wamp.subscription.on_unsubscribe", from, args, ctx);
    if left.ended {
        tell("wamp.subscription.on_delete", from, args, ctx);
    }
}

/// A session offers something.
pub fn on_registered(session: SessionId, done: Registered, ctx: &mut Ctx<'_>) {
    let Some((realm, number)) = realm_of(session, ctx.hub).zip(number(session, ctx.hub)) else {
        return;
    };
    let from = (realm, Some(session));
    if let Registered::Created(it) = done {
        let args = |hub: &Hub| {
            let about = hub.calls.registration(realm, it).map(offers::about);
            [Some(id(number)), about].into_iter().flatten().collect()
        };
        tell("wamp.registration.on_create", from, args, ctx);
    }
    if !matches!(done, Registered::Again(_)) {
        let args = |_: &Hub| vec![id(number), id(done.id())];
        tell("wamp.registration.on_register", from, args, ctx);
    }
}

/// The session of this number does not offer it any more, or is gone.
pub fn on_unregistered(number: u64, realm: RealmId, lost: Lost, ctx: &mut Ctx<'_>) {
    let from = (realm, ctx.hub.parties.numbered(realm, number).map(|party| party.session));
    let args = |_: &Hub| vec![id(number), id(lost.registration)];
    tell("wamp.registration.on_unregister", from, args, ctx);
    if lost.ended {
        tell("wamp.registration.on_delete", from, args, ctx);
    }
}

fn realm_of(session: SessionId, hub: &Hub) -> Option<RealmId> {
    hub.parties.get(session).map(|party| party.realm)
}

/// Is it about what the router itself says?
fn is_own(pattern: &[u8]) -> bool {
    pattern.starts_with(RESERVED.as_bytes())
}

/// Say it to whoever listens, but not to whoever caused it.
pub(super) fn tell(
    name: &'static str,
    (realm, without): (RealmId, Option<SessionId>),
    args: impl FnOnce(&Hub) -> Vec<Value>,
    ctx: &mut Ctx<'_>,
) {
    let topic = Topic::split(Bytes::from_static(name.as_bytes()), b'.');
    let is_told = terms(realm, ctx.hub).is_some_and(|terms| terms.meta);
    if !is_told || !ctx.hub.is_heard(realm, &topic) {
        return;
    }
    let mut body = Vec::new();
    Value::List(args(ctx.hub)).write(&mut Writer::new(Form::Json, &mut body));
    let head = Head { form: Form::Json, flags: ARGS | OURS, number: ctx.hub.parties.number() };
    let mut publication = Publication {
        realm,
        topic,
        body: body.into(),
        props: head.put(&[]),
        qos: 0,
        retain: false,
        expires: 0,
        inbound: None,
    };
    let audience = Audience { without, ..Audience::default() };
    if ctx.hub.say_for(ctx.now, &mut publication, audience).is_err() {
        ctx.hub.stats.count(Counter::DroppedFull);
    }
}
