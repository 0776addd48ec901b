//! Floor 3. What a session wants said when it is gone.
//!
//! A testament is the PUBLISH that its owner would have sent, and is kept as that, in the form it
//! came in. It is judged when it is made and said when its owner is gone, with the owner's rights
//! as they are then. `detached` is said whenever a connection is lost, `destroyed` when nobody will
//! come back to the session; no session here outlives its connection, so both are said then, the
//! former first. Absent on purpose: saying it (the peer publishes for its owner as it always does).

use bytes::Bytes;

use super::super::decode::{Most, decode};
use super::super::fault::Reason;
use super::super::packet::{Message, Publish, Sender};
use super::super::parts::Raw;
use super::given::{Given, own, spelling};
use super::{Answer, Asker, Failed, RESERVED, Reply, terms, wrong};
use crate::hub::parties::{Party, Testament};
use crate::hub::policy::Access;
use crate::proto::Ctx;
use crate::proto::carried::{code_of, form_of};
use crate::topic::Dialect;
use crate::value::{Bounds, Form, Item, Walk, Writer};

/// Of one session.
const COUNT_MAX: usize = 64;
const BYTES_MAX: usize = 1 << 20;
/// What one takes besides its words, about.
const TESTAMENT_BYTES: usize = 128;

/// `[topic, args, kwargs], publish_options=, scope=`.
pub(super) fn add(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let destroyed = scope(given)?.unwrap_or(true);
    let words = words(given)?;
    let said = read(&words).ok_or_else(|| wrong("not what a publication is made of"))?;
    let (text, most) = (said.0.topic.as_str(), BYTES_MAX);
    let Ok(topic) = spelling(who.realm, ctx.hub).topic(said.0.topic.bytes()) else {
        return Err(Reason::InvalidUri.into());
    };
    if text.starts_with(RESERVED) {
        return Err(Reason::InvalidUri.into());
    }
    if said.0.options.disclose_me && terms(who.realm, ctx.hub).is_some_and(|it| !it.disclose) {
        return Err(Reason::DiscloseMeDisallowed.into());
    }
    let principal = ctx.hub.session(who.session).map(|s| s.principal().clone());
    let may = principal.is_some_and(|it| ctx.hub.policy.permit(&it, &Access::Publish(&topic)));
    if !may {
        ctx.hub.stats.denied(Access::Publish(&topic).action());
        return Err(Reason::NotAuthorized.into());
    }
    let topic = own(text);
    let weight = words.len() + topic.len() + TESTAMENT_BYTES;
    let Some(party) = ctx.hub.parties.get(who.session) else { return Ok(Reply::default()) };
    let all: usize = party.testaments.iter().map(|it| it.words.len() + it.topic.len()).sum();
    if party.testaments.len() >= COUNT_MAX || all + weight > most {
        return Err(Failed { reason: Reason::Unavailable, text: Some("too many testaments") });
    }
    let charge = ctx.hub.store(weight).ok_or(Reason::Unavailable)?;
    if let Some(party) = ctx.hub.parties.get_mut(who.session) {
        party.testaments.push(Testament { destroyed, topic, words, charge });
    }
    Ok(Reply::default())
}

/// `scope=`: forget those of one scope; of `destroyed`, if none is named.
pub(super) fn flush(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let scope = scope(given)?.unwrap_or(true);
    if let Some(party) = ctx.hub.parties.get_mut(who.session) {
        party.testaments.retain(|it| it.destroyed != scope);
    }
    Ok(Reply::default())
}

/// What a session that is gone wanted said, in the order in which it is to be: each as its owner's
/// PUBLISH, and the text that it was read from.
#[must_use]
pub fn said(party: &mut Party) -> Vec<(Publish, Bytes, Form)> {
    let (last, first): (Vec<_>, Vec<_>) =
        core::mem::take(&mut party.testaments).into_iter().partition(|it| it.destroyed);
    first.into_iter().chain(last).filter_map(|it| read(&it.words)).collect()
}

/// True: when its owner is destroyed; false: detached.
fn scope(given: &Given) -> Result<Option<bool>, Failed> {
    match given.named_text("scope")? {
        None => Ok(None),
        Some("destroyed") => Ok(Some(true)),
        Some("detached") => Ok(Some(false)),
        Some(_) => Err(wrong("scope is destroyed or detached")),
    }
}

/// Its form, then the PUBLISH that says it.
fn words(given: &Given) -> Result<Bytes, Failed> {
    let missing = || wrong("a topic, a list and a map");
    let args = given.payload.args.as_ref().ok_or_else(missing)?;
    let mut walk = Walk::new(args.form, &args.bytes, Bounds::default());
    let parts = args_of(&mut walk).ok_or_else(missing)?;
    let options = match &given.payload.kwargs {
        Some(raw) => value_of(raw, "publish_options").ok_or_else(missing)?,
        None => None,
    };
    let mut out = vec![code_of(args.form)];
    let mut writer = Writer::new(args.form, &mut out);
    writer.list(3 + parts.len()).uint(16).uint(1);
    match options {
        Some(options) => writer.raw(options),
        None => writer.map(0).end(),
    };
    for (at, part) in parts.iter().enumerate() {
        match (at, is_null(args.form, part)) {
            (1, true) => writer.list(0).end(),
            (2, true) => writer.map(0).end(),
            _ => writer.raw(part),
        };
    }
    writer.end();
    Ok(out.into())
}

/// The values of a list: a topic, and what goes with it as far as there is something.
fn args_of<'a>(walk: &mut Walk<'a>) -> Option<Vec<&'a [u8]>> {
    if walk.next().ok()? != Item::List {
        return None;
    }
    let mut parts = Vec::new();
    while !walk.at_end().ok()? {
        parts.push(walk.span().ok()?);
        if parts.len() > 3 {
            return None;
        }
    }
    (!parts.is_empty()).then_some(parts)
}

/// The value behind this key, as its bytes.
fn value_of<'a>(raw: &'a Raw, key: &str) -> Option<Option<&'a [u8]>> {
    let mut walk = Walk::new(raw.form, &raw.bytes, Bounds::default());
    if walk.next().ok()? != Item::Map {
        return Some(None);
    }
    let mut found = None;
    while let Item::Text(name) = walk.next().ok()? {
        let value = walk.span().ok()?;
        if name == key {
            found = Some(value).filter(|value| !is_null(raw.form, value));
        }
    }
    Some(found)
}

/// Null is how some clients write what is not there.
fn is_null(form: Form, value: &[u8]) -> bool {
    Walk::new(form, value, Bounds::default()).next() == Ok(Item::Null)
}

fn read(words: &Bytes) -> Option<(Publish, Bytes, Form)> {
    let form = form_of(*words.first()?)?;
    let whole = words.slice(1..);
    match decode(form, &whole, Sender::Client, &Most::default()).ok()? {
        Message::Publish(publish) => Some((publish, whole, form)),
        _ => None,
    }
}
