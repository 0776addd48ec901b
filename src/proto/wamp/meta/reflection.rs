//! Floor 3. What names mean, as somebody who knows says.
//!
//! Whoever may call `wamp.reflect.define` describes a name; what it said goes when it does, or when
//! somebody describes the name anew. What nobody described is told as far as the router knows it.
//! Absent on purpose: any schema, and checks of what is passed on against what was described.

use super::super::fault::Reason;
use super::given::{Given, own, spelling};
use super::sessions::weight;
use super::{
    Answer, Asker, Failed, LIST_MAX, RESERVED, Reply, events, number, registrations, subscriptions,
    text, wrong,
};
use crate::hub::calls::Kind;
use crate::hub::parties::Party;
use crate::hub::realm::Described;
use crate::proto::Ctx;
use crate::topic::Dialect;
use crate::value::Value;

/// Names of a realm that are described.
const COUNT_MAX: usize = 1_024;
/// Bytes of what is said about one, about.
const BYTES_MAX: usize = 16_384;
/// What one takes besides that.
const DESCRIBED_BYTES: usize = 128;

/// Every pattern that is offered.
pub(super) fn list_procedures(_: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let all = ctx.hub.calls.list(who.realm, 0).map(|it| text(&it.procedure));
    Ok(some(all))
}

/// Every pattern that is listened to.
pub(super) fn list_topics(_: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    Ok(some(ctx.hub.interests.list(who.realm, 0).map(|it| text(&it.pattern))))
}

/// Every error that the router says.
pub(super) fn list_errors(_: &Given, _: Asker, _: &mut Ctx<'_>) -> Answer {
    let all = Reason::ALL.iter().map(|reason| reason.uri());
    let errors = all.filter(|uri| uri.starts_with("wamp.error."));
    Ok(some(errors.map(|uri| Value::Text(uri.into()))))
}

fn some(all: impl Iterator<Item = Value>) -> Reply {
    let mut all: Vec<_> = all.take(LIST_MAX + 1).collect();
    let more = all.len() > LIST_MAX;
    all.truncate(LIST_MAX);
    Reply::list(all, more)
}

/// `[uri]`: what was said about it, or null.
pub(super) fn describe(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let uri = given.text(0)?;
    let described = ctx.hub.realm(who.realm).and_then(|realm| realm.described.get(uri));
    Ok(Reply::of(described.map_or(Value::Null, |it| it.what.clone())))
}

/// The same, or what there is to say of the registration.
pub(super) fn describe_procedure(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let described = describe(given, who, ctx)?;
    let calls = &ctx.hub.calls;
    let known = calls.lookup(who.realm, Kind::Exact, given.text(0)?.as_bytes());
    let known = known.and_then(|id| calls.registration(who.realm, id));
    Ok(or(described, known.map(registrations::about)))
}

/// The same, or what there is to say of the subscription.
pub(super) fn describe_topic(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let described = describe(given, who, ctx)?;
    let interests = &ctx.hub.interests;
    let known = interests.lookup(who.realm, Kind::Exact, &own(given.text(0)?));
    let known = known.and_then(|id| interests.get(who.realm, u64::from(id)));
    Ok(or(described, known.map(subscriptions::about)))
}

fn or(described: Reply, known: Option<Value>) -> Reply {
    let is_known = described.args.first().is_some_and(|it| *it != Value::Null);
    if is_known { described } else { Reply::of(known.unwrap_or(Value::Null)) }
}

/// `[uri, what]`: this is what it means; null is the same as `undefine`.
pub(super) fn define(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let Some(what) = given.arg(1) else { return undefine(given, who, ctx) };
    let uri = given.text(0)?.to_owned();
    if uri.starts_with(RESERVED) || spelling(who.realm, ctx.hub).topic(&own(&uri)).is_err() {
        return Err(Reason::InvalidUri.into());
    }
    let bytes = weight(what);
    if bytes > BYTES_MAX {
        return Err(wrong("a description so long is not kept"));
    }
    let charge = ctx.hub.store(bytes + uri.len() + DESCRIBED_BYTES).ok_or(Reason::Unavailable)?;
    let owner = number(who.session, ctx.hub).unwrap_or_default();
    let Some(realm) = ctx.hub.realm_mut(who.realm) else { return Ok(Reply::default()) };
    if realm.described.len() >= COUNT_MAX && !realm.described.contains_key(&uri) {
        return Err(Failed { reason: Reason::Unavailable, text: Some("too many descriptions") });
    }
    let described = Described { owner, what: what.clone(), charge };
    realm.described.insert(uri.clone(), described);
    let args = |_: &_| vec![Value::Text(uri), what.clone()];
    events::tell("wamp.reflect.on_define", (who.realm, Some(who.session)), args, ctx);
    Ok(Reply::default())
}

/// `[uri]`: what was said about it holds no more.
pub(super) fn undefine(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let uri = given.text(0)?.to_owned();
    let known = ctx.hub.realm_mut(who.realm).and_then(|realm| realm.described.remove(&uri));
    if known.is_some() {
        let args = |_: &_| vec![Value::Text(uri)];
        events::tell("wamp.reflect.on_undefine", (who.realm, Some(who.session)), args, ctx);
    }
    Ok(Reply::default())
}

/// It is gone, and what it said with it.
pub(super) fn forget(party: &Party, ctx: &mut Ctx<'_>) {
    let Some(realm) = ctx.hub.realm_mut(party.realm) else { return };
    let all = realm.described.iter().filter(|(_, it)| it.owner == party.id);
    let gone: Vec<String> = all.map(|(uri, _)| uri.clone()).collect();
    for uri in gone {
        if let Some(realm) = ctx.hub.realm_mut(party.realm) {
            realm.described.remove(&uri);
        }
        let args = |_: &_| vec![Value::Text(uri)];
        events::tell("wamp.reflect.on_undefine", (party.realm, Some(party.session)), args, ctx);
    }
}
