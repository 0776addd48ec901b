//! Floor 3. What can be called, and by whom it is answered.
//!
//! Absent on purpose: the router's own procedures, which are no registrations.

use super::super::fault::Reason;
use super::super::options::Invoke as Word;
use super::given::{Given, kind, matching};
use super::sessions::{numbers, session_at};
use super::{Answer, Asker, Failed, LIST_MAX, Reply, events, id, map, text};
use crate::base::calendar::rfc3339;
use crate::hub::Hub;
use crate::hub::calls::{Callee, Invoke, Kind, Registration};
use crate::hub::parties::Mail;
use crate::proto::Ctx;
use crate::value::Value;

/// `after=`: the numbers of all, by how they match.
pub(super) fn list(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let after = given.named_id("after")?.unwrap_or_default();
    let all = ctx.hub.calls.list(who.realm, after).map(|it| (it.kind, it.id));
    Ok(by_kind(all))
}

/// Numbers, the oldest first, by the kind of their patterns.
pub(super) fn by_kind(all: impl Iterator<Item = (Kind, u64)>) -> Reply {
    let (mut exact, mut prefix, mut wildcard) = (Vec::new(), Vec::new(), Vec::new());
    let mut more = false;
    for (at, (kind, number)) in all.take(LIST_MAX + 1).enumerate() {
        more = at == LIST_MAX;
        let into = match kind {
            Kind::Exact => &mut exact,
            Kind::Prefix => &mut prefix,
            Kind::Wildcard => &mut wildcard,
        };
        if !more {
            into.push(id(number));
        }
    }
    let [exact, prefix, wildcard] = [exact, prefix, wildcard].map(Value::List);
    Reply::of(map([("exact", exact), ("prefix", prefix), ("wildcard", wildcard)])).marked(more)
}

/// `[uri, {match}?]`: the number of this very pattern, or null.
pub(super) fn lookup(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let (uri, kind) = (given.text(0)?, kind(given.matching(1)?));
    let found = ctx.hub.calls.lookup(who.realm, kind, uri.as_bytes());
    Ok(Reply::of(found.map_or(Value::Null, id)))
}

/// `[uri]`: the number of what a call of this name goes to, or null.
pub(super) fn best(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let found = ctx.hub.calls.best(who.realm, given.text(0)?.as_bytes());
    Ok(Reply::of(found.map_or(Value::Null, id)))
}

/// `[registration]`: what it is.
pub(super) fn get(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    Ok(Reply::of(about(registration(given, who, ctx.hub)?)))
}

/// `[registration]`: the numbers of who offers it, in the order in which they came.
pub(super) fn list_callees(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let callees = registration(given, who, ctx.hub)?.callees();
    Ok(numbers(callees.iter().map(|callee| callee.session), ctx.hub))
}

/// `[registration]`: how many offer it.
pub(super) fn count_callees(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let count = registration(given, who, ctx.hub)?.callees().len();
    Ok(Reply::of(id(count as u64)))
}

/// `[registration, session], reason=`: that one offers it no more.
pub(super) fn remove_callee(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let it = registration(given, who, ctx.hub)?;
    let (session, number) = session_at(given, 1, who, ctx.hub)?;
    let is_it = |callee: &Callee| callee.session == session;
    if !it.callees().iter().any(is_it) {
        return Err(Reason::NoSuchSession.into());
    }
    let id = it.id;
    let reason = given.reason(Reason::Normal, who.realm, ctx.hub)?;
    if let Some(lost) = ctx.hub.calls.unregister(who.realm, session, id) {
        ctx.hub.tell(session, Mail::Unregistered { id, reason });
        events::on_unregistered(number, who.realm, lost, ctx);
    }
    Ok(Reply::default())
}

fn registration<'a>(given: &Given, who: Asker, hub: &'a Hub) -> Result<&'a Registration, Failed> {
    let id = given.id(0)?;
    hub.calls.registration(who.realm, id).ok_or_else(|| Reason::NoSuchRegistration.into())
}

/// What there is to say of a registration.
pub(super) fn about(it: &Registration) -> Value {
    map([
        ("id", id(it.id)),
        ("created", Value::Text(rfc3339(it.created))),
        ("uri", text(&it.procedure)),
        ("match", Value::Text(matching(it.kind).word().into())),
        ("invoke", Value::Text(word(it.invoke).word().into())),
    ])
}

const fn word(invoke: Invoke) -> Word {
    match invoke {
        Invoke::Single => Word::Single,
        Invoke::First => Word::First,
        Invoke::Last => Word::Last,
        Invoke::Roundrobin => Word::RoundRobin,
        Invoke::Random => Word::Random,
    }
}
