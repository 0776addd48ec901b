//! Floor 3. Who is there, and sending them away.
//!
//! Nobody can send itself away, or learn so that it is there. What is said of a session can be
//! changed where the realm's terms allow it, but not as whom it was let in: the rules go by that.
//! Absent on purpose: what becomes of whoever is sent away (its peer says goodbye).

use bytes::Bytes;

use super::super::fault::Reason;
use super::given::Given;
use super::{Answer, Asker, Failed, LIST_MAX, Reply, id, number, terms, text, wrong};
use crate::base::id::SessionId;
use crate::hub::Hub;
use crate::hub::parties::{Mail, Party};
use crate::hub::realm::Terms;
use crate::proto::Ctx;
use crate::value::{Form, Value, Writer};

/// `[roles?]`: how many.
pub(super) fn count(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let parties = &ctx.hub.parties;
    let count = match roles(given)? {
        None => parties.count(who.realm),
        Some(roles) => roles.iter().map(|role| parties.count_role(who.realm, role)).sum(),
    };
    Ok(Reply::of(id(count as u64)))
}

/// `[roles?], after=`: their numbers, in order.
pub(super) fn list(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let after = given.named_id("after")?.unwrap_or_default();
    let parties = &ctx.hub.parties;
    let mut all: Vec<u64> = match roles(given)? {
        None => parties.of_realm(who.realm, after).take(LIST_MAX + 1).collect(),
        Some(roles) => {
            let some = |role| parties.of_role(who.realm, role, after).take(LIST_MAX + 1);
            roles.iter().flat_map(some).collect()
        }
    };
    all.sort_unstable();
    let more = all.len() > LIST_MAX;
    all.truncate(LIST_MAX);
    Ok(Reply::list(all.into_iter().map(id).collect(), more))
}

/// `[session]`: what is said of it.
pub(super) fn get(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let party = ctx.hub.parties.numbered(who.realm, given.id(0)?).ok_or(Reason::NoSuchSession)?;
    let terms = terms(who.realm, ctx.hub).ok_or(Reason::NoSuchRealm)?;
    Ok(Reply::of(details(party, terms)))
}

/// `[session], reason=, message=`: that one is to go.
pub(super) fn kill(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let (wanted, go) = (given.id(0)?, go(given, who, ctx.hub)?);
    let party = ctx.hub.parties.numbered(who.realm, wanted).map(|party| party.session);
    let other = party.filter(|session| *session != who.session).ok_or(Reason::NoSuchSession)?;
    ctx.hub.tell(other, go);
    Ok(Reply::default())
}

/// `[authid], reason=, message=`: all who came as that one; which ones, and how many.
pub(super) fn kill_by_authid(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let (authid, go) = (given.text(0)?, go(given, who, ctx.hub)?);
    let all = ctx.hub.parties.of_realm(who.realm, 0);
    let parties = all.filter_map(|id| ctx.hub.parties.numbered(who.realm, id));
    let its = parties.filter(|party| party.authid == authid.as_bytes());
    let gone: Vec<_> = its.map(|party| (party.id, party.session)).collect();
    let mut killed = Vec::new();
    for (number, session) in gone.into_iter().filter(|gone| gone.1 != who.session) {
        ctx.hub.tell(session, go.clone());
        killed.push(number);
    }
    let count = killed.len() as u64;
    let more = killed.len() > LIST_MAX;
    killed.truncate(LIST_MAX);
    let mut reply = Reply::list(killed.into_iter().map(id).collect(), more);
    reply.kwargs.push(("count".into(), id(count)));
    Ok(reply)
}

/// `[authrole], reason=, message=`: all of that role; how many.
pub(super) fn kill_by_authrole(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let (role, go) = (Bytes::copy_from_slice(given.text(0)?.as_bytes()), go(given, who, ctx.hub)?);
    let all: Vec<_> = ctx.hub.parties.of_role(who.realm, &role, 0).collect();
    Ok(Reply::of(send_away(all, who, &go, false, ctx.hub)))
}

/// `reason=, message=`: all others; how many. Nobody hears of that, and nothing is said for them.
pub(super) fn kill_all(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let go = go(given, who, ctx.hub)?;
    let all: Vec<_> = ctx.hub.parties.of_realm(who.realm, 0).collect();
    Ok(Reply::of(send_away(all, who, &go, true, ctx.hub)))
}

fn send_away(all: Vec<u64>, who: Asker, go: &Mail, quiet: bool, hub: &mut Hub) -> Value {
    let session = |id| hub.parties.numbered(who.realm, id).map(|party| party.session);
    let all: Vec<SessionId> = all.into_iter().filter_map(session).collect();
    let mut count = 0_u64;
    for session in all.into_iter().filter(|session| *session != who.session) {
        if quiet && let Some(party) = hub.parties.get_mut(session) {
            party.quiet = true;
            party.testaments.clear();
        }
        hub.tell(session, go.clone());
        count += 1;
    }
    id(count)
}

/// What somebody who is to go is told.
fn go(given: &Given, who: Asker, hub: &Hub) -> Result<Mail, Failed> {
    let normal = terms(who.realm, hub).is_some_and(|terms| terms.normal);
    let usual = if normal { Reason::Normal } else { Reason::Killed };
    let (reason, message) = (given.reason(usual, who.realm, hub)?, given.message()?);
    Ok(Mail::Go { reason, message })
}

/// `[session, changes]`: say this of it from now on; null says it no more.
pub(super) fn modify_details(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let wanted = given.id(0)?;
    let Some(Value::Map(changes)) = given.arg(1) else { return Err(wrong("changes are a map")) };
    if changes.iter().any(|(key, _)| FIXED.contains(&key.as_str())) {
        return Err(wrong("as whom it came is not changed"));
    }
    let party = ctx.hub.parties.numbered(who.realm, wanted).ok_or(Reason::NoSuchSession)?;
    let mut details = party.details.clone();
    for (key, value) in changes {
        details.retain(|(own, _)| own != key);
        if *value != Value::Null {
            details.push((key.clone(), value.clone()));
        }
    }
    let details = Value::Map(details);
    if weight(&details) > DETAILS_BYTES_MAX {
        return Err(wrong("so much is not kept about a session"));
    }
    let session = party.session;
    if let (Some(party), Value::Map(details)) = (ctx.hub.parties.get_mut(session), details) {
        party.details = details;
    }
    Ok(Reply::default())
}

/// What is said of a session, with what it says of itself.
pub(super) fn details(party: &Party, terms: &Terms) -> Value {
    let mut all = vec![("session".to_owned(), id(party.id))];
    for (key, said) in [
        ("authid", &party.authid),
        ("authrole", &party.authrole),
        ("authmethod", &party.authmethod),
        ("authprovider", &party.authprovider),
    ] {
        all.push((key.to_owned(), text(said)));
    }
    let is_shown = |key: &str| match &terms.shown {
        Some(shown) => key == TRANSPORT || shown.iter().any(|one| one == key),
        None => true,
    };
    for (key, value) in &party.details {
        if FIXED.contains(&key.as_str()) && key != TRANSPORT || !is_shown(key) {
            continue;
        }
        all.push((key.clone(), if key == TRANSPORT { without_auth(value) } else { value.clone() }));
    }
    Value::Map(all)
}

/// What a transport told whoever lets people in is nobody else's business.
fn without_auth(transport: &Value) -> Value {
    let Value::Map(pairs) = transport else { return transport.clone() };
    Value::Map(pairs.iter().filter(|(key, _)| key != "auth").cloned().collect())
}

/// Roles, if some are given; each once.
fn roles(given: &Given) -> Result<Option<Vec<Bytes>>, Failed> {
    let Some(roles) = given.arg(0) else { return Ok(None) };
    let roles = roles.as_list().ok_or_else(|| wrong("roles are a list"))?;
    let role = |role: &Value| role.as_text().map(|role| Bytes::copy_from_slice(role.as_bytes()));
    let roles: Option<Vec<_>> = roles.iter().map(role).collect();
    let mut roles = roles.ok_or_else(|| wrong("a role is a text"))?;
    roles.sort_unstable();
    roles.dedup();
    Ok(Some(roles))
}

/// About how much a value takes.
pub(super) fn weight(value: &Value) -> usize {
    let mut bytes = Vec::new();
    value.write(&mut Writer::new(Form::Cbor, &mut bytes));
    bytes.len()
}

/// A session by its number, for who asks for it.
pub(super) fn session_at(
    given: &Given,
    at: usize,
    who: Asker,
    hub: &Hub,
) -> Result<(SessionId, u64), Failed> {
    let party = hub.parties.numbered(who.realm, given.id(at)?).ok_or(Reason::NoSuchSession)?;
    Ok((party.session, party.id))
}

/// The numbers of these sessions, a list's worth of them.
pub(super) fn numbers(sessions: impl Iterator<Item = SessionId>, hub: &Hub) -> Reply {
    let mut all: Vec<Value> =
        sessions.filter_map(|session| number(session, hub)).map(id).take(LIST_MAX + 1).collect();
    let more = all.len() > LIST_MAX;
    all.truncate(LIST_MAX);
    Reply::list(all, more)
}

const TRANSPORT: &str = "transport";
/// What nobody can say of a session but the router.
const FIXED: &[&str] = &["session", "authid", "authrole", "authmethod", "authprovider", TRANSPORT];
/// Bytes of what is said of a session.
const DETAILS_BYTES_MAX: usize = 65_536;
