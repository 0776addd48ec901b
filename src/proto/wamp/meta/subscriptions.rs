//! Floor 3. What is listened to, and by whom.
//!
//! Only sessions that listen by a number are known here; who listens by another protocol is not
//! listed. Absent on purpose: what was said there (`past`).

use bytes::Bytes;

use super::super::dialect::Spelling;
use super::super::fault::Reason;
use super::super::options::Matching;
use super::given::{Given, kind, matching as how, own, spelling};
use super::registrations::by_kind;
use super::sessions::{numbers, session_at};
use super::{Answer, Asker, Failed, LIST_MAX, Reply, events, id, map, text};
use crate::base::calendar::rfc3339;
use crate::hub::Hub;
use crate::hub::interests::Interest;
use crate::hub::parties::Mail;
use crate::proto::Ctx;
use crate::topic::{Dialect, Filter};
use crate::value::Value;

/// `after=`: the numbers of all, by how they match.
pub(super) fn list(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let after = given.named_id("after")?.unwrap_or_default();
    let all = ctx.hub.interests.list(who.realm, after).map(|it| (it.kind, u64::from(it.id)));
    Ok(by_kind(all))
}

/// `[uri, {match}?]`: the number of this very pattern, or null.
pub(super) fn lookup(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let (uri, matching) = (own(given.text(0)?), given.matching(1)?);
    let found = of_pattern(&uri, matching, who, ctx.hub);
    Ok(Reply::of(found.map_or(Value::Null, id)))
}

fn of_pattern(uri: &Bytes, matching: Matching, who: Asker, hub: &Hub) -> Option<u32> {
    let filter = spelling(who.realm, hub).filter(uri, matching.how()).ok()?;
    // A pattern of wildcards without any is exact.
    let kind = kind(Spelling::matching(&filter)?);
    hub.interests.lookup(who.realm, kind, uri)
}

/// `[topic]`: the numbers of those that an event there comes by, or null.
pub(super) fn matching(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let uri = own(given.text(0)?);
    let (all, more) = all_of(&uri, who, ctx.hub);
    if all.is_empty() {
        return Ok(Reply::of(Value::Null));
    }
    Ok(Reply::list(all.into_iter().map(id).collect(), more))
}

/// All patterns that a topic is of, in the order of numbers; true: there are more.
fn all_of(uri: &Bytes, who: Asker, hub: &Hub) -> (Vec<u32>, bool) {
    let spelling = spelling(who.realm, hub);
    let (Ok(topic), Some(realm)) = (spelling.topic(uri), hub.realm(who.realm)) else {
        return (Vec::new(), false);
    };
    let mut leaves = Vec::new();
    realm.topics.matches(&topic, &mut leaves);
    let number = |filter: &Filter| {
        let mut pattern = Vec::new();
        let kind = kind(Spelling::matching(filter)?);
        let spelled = spelling.spell_filter(filter, &mut pattern);
        hub.interests.lookup(who.realm, kind, &Bytes::from(pattern)).filter(|_| spelled)
    };
    let filters = leaves.into_iter().filter_map(|leaf| realm.topics.filter(leaf));
    let heard = filters.filter_map(|filter| number(&filter));
    // Some are there though nobody listens.
    let standing = hub.histories_of(who.realm, &topic);
    let mut all: Vec<u32> = standing.chain(heard.take(LIST_MAX + 1)).collect();
    all.sort_unstable();
    all.dedup();
    let more = all.len() > LIST_MAX;
    all.truncate(LIST_MAX);
    (all, more)
}

/// `[subscription]`: what it is.
pub(super) fn get(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    Ok(Reply::of(about(subscription(given, who, ctx.hub)?)))
}

/// `[subscription]`: the numbers of who listens.
pub(super) fn list_subscribers(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let it = subscription(given, who, ctx.hub)?;
    Ok(numbers(it.listeners(), ctx.hub))
}

/// `[subscription]`: how many listen.
pub(super) fn count_subscribers(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    Ok(Reply::of(id(subscription(given, who, ctx.hub)?.len() as u64)))
}

/// `[subscription, session], reason=`: that one listens no more.
pub(super) fn remove_subscriber(given: &Given, who: Asker, ctx: &mut Ctx<'_>) -> Answer {
    let it = subscription(given, who, ctx.hub)?;
    let (session, number) = session_at(given, 1, who, ctx.hub)?;
    if !it.is_heard_by(session) {
        return Err(Reason::NoSuchSession.into());
    }
    let (id, pattern, matching) = (it.id, it.pattern.clone(), how(it.kind));
    let reason = given.reason(Reason::Normal, who.realm, ctx.hub)?;
    if let Ok(filter) = spelling(who.realm, ctx.hub).filter(&pattern, matching.how())
        && ctx.hub.unsubscribe(ctx.now, session, &filter, None).is_err()
    {
        return Err(Reason::Unavailable.into());
    }
    if let Some(left) = ctx.hub.interests.unsubscribe(session, id) {
        ctx.hub.tell(session, Mail::Unsubscribed { id: u64::from(id), reason });
        events::on_unsubscribed(number, who.realm, left, ctx);
    }
    Ok(Reply::default())
}

/// The one whose number stands first.
pub(super) fn subscription<'a>(
    given: &Given,
    who: Asker,
    hub: &'a Hub,
) -> Result<&'a Interest, Failed> {
    let id = given.id(0)?;
    hub.interests.get(who.realm, id).ok_or_else(|| Reason::NoSuchSubscription.into())
}

/// What there is to say of a subscription.
pub(super) fn about(it: &Interest) -> Value {
    map([
        ("id", id(it.id)),
        ("created", Value::Text(rfc3339(it.created))),
        ("uri", text(&it.pattern)),
        ("match", Value::Text(how(it.kind).word().into())),
    ])
}
