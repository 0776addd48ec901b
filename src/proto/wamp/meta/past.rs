//! Floor 3. What was said under a subscription, for who asks later.
//!
//! Whoever asks must be allowed to listen there now, and each event must have been for somebody
//! like it. Where an answer begins and ends is counted in the order in which events came, whichever
//! way it goes; `limit` counts from where it begins. Absent on purpose: remembering (the hub does
//! that).

use std::sync::Arc;

use super::super::fault::Reason;
use super::super::notes::Notes;
use super::super::span::Span;
use super::given::{Given, matching, spelling};
use super::subscriptions::subscription;
use super::{Answer, Asker, Failed, Reply, id, map, text, wrong};
use crate::base::calendar::{read_rfc3339, rfc3339};
use crate::hub::calls::Kind;
use crate::hub::history::Past;
use crate::hub::policy::Access;
use crate::proto::Ctx;
use crate::proto::carried::{self, Head};
use crate::topic::Dialect;
use crate::value::{Bounds, Form, Value, Walk};

/// Events of one answer.
const EVENTS_MAX: usize = 1_000;
/// Bytes of what they say, about: one more may still begin below that.
const BYTES_MAX: usize = 1 << 20;

/// What is wanted.
#[derive(Debug, Default)]
struct Wanted {
    limit: usize,
    reverse: bool,
    /// At the earliest, and later than.
    from: Option<u64>,
    after: Option<u64>,
    /// Earlier than, and at the latest.
    before: Option<u64>,
    until: Option<u64>,
    topic: Option<String>,
}

impl Wanted {
    fn of(given: &Given) -> Result<Self, Failed> {
        let limit = match given.named_id("limit")? {
            None => EVENTS_MAX,
            Some(0) => return Err(wrong("a limit is at least 1")),
            Some(limit) => usize::try_from(limit).map_or(EVENTS_MAX, |it| it.min(EVENTS_MAX)),
        };
        let reverse = match given.named("reverse") {
            None => false,
            Some(it) => it.as_bool().ok_or_else(|| wrong("reverse is yes or no"))?,
        };
        let time = |key| {
            let text = given.named_text(key)?;
            let read = |text| read_rfc3339(text).ok_or_else(|| wrong("a time is as in RFC 3339"));
            text.map(read).transpose()
        };
        Ok(Self {
            limit,
            reverse,
            from: time("from_time")?,
            after: time("after_time")?,
            before: time("before_time")?,
            until: time("until_time")?,
            topic: given.named_text("topic")?.map(str::to_owned),
        })
    }

    /// Came it at the right time?
    fn has(&self, at: u64) -> bool {
        self.from.is_none_or(|from| at >= from)
            && self.after.is_none_or(|after| at > after)
            && self.before.is_none_or(|before| at < before)
            && self.until.is_none_or(|until| at <= until)
    }
}

/// `[subscription], limit=, reverse=, topic=, {from,after,before,until}_{time,publication}=`.
pub(super) fn events(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let it = subscription(given, who, ctx.hub)?;
    let (number, pattern, kind) = (it.id, it.pattern.clone(), it.kind);
    let wanted = Wanted::of(given)?;
    let spelling = spelling(who.realm, ctx.hub);
    let filter = spelling.filter(&pattern, matching(kind).how());
    let principal = ctx.hub.session(who.session).map(|s| s.principal().clone());
    let (Ok(filter), Some(principal)) = (filter, principal) else {
        return Err(Reason::NotAuthorized.into());
    };
    if !ctx.hub.policy.permit(&principal, &Access::Subscribe(&filter)) {
        ctx.hub.stats.denied(Access::Subscribe(&filter).action());
        return Err(Reason::NotAuthorized.into());
    }
    let some = cut(given, number, who, ctx)?;
    let checks = ctx.hub.policy.checks_receive();
    let mut told = Vec::new();
    let (mut bytes, mut more) = (0, false);
    let len = some.len();
    for at in 0..len {
        let Some(past) = some.get(if wanted.reverse { len - 1 - at } else { at }) else { break };
        let mut uri = Vec::new();
        let is_wanted = wanted.has(past.at)
            && spelling.spell(&past.topic, &mut uri)
            && wanted.topic.as_ref().is_none_or(|topic| topic.as_bytes() == uri)
            && ctx.hub.parties.get(who.session).is_some_and(|party| past.is_for(party))
            && (!checks || ctx.hub.policy.permit(&principal, &Access::Receive(&past.topic)));
        if !is_wanted {
            continue;
        }
        more = told.len() >= wanted.limit || bytes >= BYTES_MAX;
        if more {
            break;
        }
        bytes += past.body.len();
        let topic = (kind != Kind::Exact).then_some(&uri[..]);
        told.push(event(past, number, topic));
    }
    let limit = ("is_limit_reached".to_owned(), Value::Bool(more));
    Ok(Reply { args: told, kwargs: vec![limit] })
}

/// Those from one publication to another, in the order in which they came.
fn cut(
    given: &Given,
    subscription: u32,
    who: Asker,
    ctx: &Ctx<'_>,
) -> Result<Vec<Arc<Past>>, Failed> {
    let all = ctx.hub.history(who.realm, u64::from(subscription));
    let mut all: Vec<_> = all.into_iter().flatten().cloned().collect();
    for (key, keeps_first, itself) in [
        ("until_publication", true, true),
        ("before_publication", true, false),
        ("from_publication", false, true),
        ("after_publication", false, false),
    ] {
        let Some(number) = given.named_id(key)? else { continue };
        let Some(at) = all.iter().position(|past| number_of(past) == number) else {
            return Ok(Vec::new());
        };
        let at = if keeps_first == itself { at + 1 } else { at };
        let last = all.split_off(at.min(all.len()));
        if !keeps_first {
            all = last;
        }
    }
    Ok(all)
}

/// The publication's number.
fn number_of(past: &Past) -> u64 {
    Head::of(&past.props).map_or(past.number, |head| head.number)
}

fn event(past: &Past, subscription: u32, topic: Option<&[u8]>) -> Value {
    let Value::Map(mut all) = map([
        ("timestamp", Value::Text(rfc3339(past.at))),
        ("subscription", id(subscription)),
        ("publication", id(number_of(past))),
        ("details", details(past, topic)),
    ]) else {
        return Value::Null;
    };
    let (args, kwargs) = arguments(past);
    all.extend(args.map(|args| ("args".to_owned(), args)));
    all.extend(kwargs.map(|kwargs| ("kwargs".to_owned(), kwargs)));
    Value::Map(all)
}

/// Where to, if the pattern does not say, by whom, and how packed.
fn details(past: &Past, topic: Option<&[u8]>) -> Value {
    let mut all: Vec<(&str, Value)> =
        topic.map(|topic| ("topic", text(topic))).into_iter().collect();
    let said = match Head::of(&past.props) {
        Some(_) => Notes::of(&past.props.slice(carried::HEAD..)),
        None => Notes::default(),
    };
    if let Some(who) = said.who {
        all.push(("publisher", id(who.id)));
        all.push(("publisher_authid", text(who.authid.bytes())));
        all.push(("publisher_authrole", text(who.authrole.bytes())));
    }
    all.extend(said.trust.map(|trust| ("trustlevel", id(trust))));
    let ppt = said.ppt.map(|ppt| *ppt).unwrap_or_default();
    for (key, said) in [
        ("ppt_scheme", ppt.scheme),
        ("ppt_serializer", ppt.serializer),
        ("ppt_cipher", ppt.cipher),
        ("ppt_keyid", ppt.keyid),
    ] {
        all.extend(said.map(|said| (key, text(said.bytes()))));
    }
    Value::Map(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// With what it came; what came without arguments is one.
fn arguments(past: &Past) -> (Option<Value>, Option<Value>) {
    let Some(head) = Head::of(&past.props) else {
        let (mut args, form) = (Vec::new(), Form::Cbor);
        let len = carried::first_part(&past.props).unwrap_or(past.body.len());
        let body = past.body.get(..len).unwrap_or(&past.body);
        carried::arguments_of(body, form, &mut args);
        return (Value::read(&mut Walk::new(form, &args, Bounds::default())).ok(), None);
    };
    let span = Span { form: head.form, flags: head.flags, bytes: past.body.clone() };
    let read = |part: &[u8]| Value::read(&mut Walk::new(head.form, part, Bounds::default())).ok();
    let (args, kwargs) = span.parts().unwrap_or_default();
    (args.and_then(read), kwargs.and_then(read))
}
