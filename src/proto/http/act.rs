//! Floor 3. What an operator does through the hub: publish, subscribe a client, end that.
//!
//! The same verbs as any peer's, with the operator's name on them; rules for clients do not bind
//! whoever makes them, but nobody writes where the broker writes. What there is no room for now is
//! tried again by whoever asked. Absent on purpose: words for the answer, which differ.

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::hub::message::Publication;
use crate::hub::policy::{Event, Principal};
use crate::hub::session::{Kind, SubOpts};
use crate::hub::subscribe::{Replays, Subscribed};
use crate::hub::{Held, Receipt};
use crate::proto::Ctx;
use crate::topic::{Dialect, Filter, Match, Plus, Star, Topic};

use super::call::Call;

/// Why it was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undone {
    /// There is no room now.
    Later,
    /// It will never fit.
    TooLarge,
    /// The disk failed.
    Failed,
    /// The session has as many as it may.
    TooMany,
}

impl From<Held> for Undone {
    fn from(held: Held) -> Self {
        match held {
            Held::Full | Held::Memory | Held::Turn => Self::Later,
            Held::TooLarge => Self::TooLarge,
            Held::Failed => Self::Failed,
        }
    }
}

/// What is to be published.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub body: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Keep it.
    pub retain: bool,
    /// Seconds it is of use; 0: for ever.
    pub expiry_s: u64,
}

/// A topic as MQTT spells it, if one may publish there.
#[must_use]
pub fn topic_of(text: &Bytes, ctx: &Ctx<'_>) -> Option<Topic> {
    let plus = Plus { levels_max: ctx.hub.limits.levels_max };
    let tame = core::str::from_utf8(text).is_ok() && !text.contains(&0);
    let topic = plus.topic(text).ok().filter(|topic| tame && !topic.is_hidden())?;
    (text.len() <= ctx.hub.limits.topic_bytes_max).then_some(topic)
}

/// Publish.
pub fn publish(call: &Call, post: Post, ctx: &mut Ctx<'_>) -> Result<Receipt, Undone> {
    let Post { topic, body, qos, retain, expiry_s } = post;
    let expires = match expiry_s {
        0 => 0,
        s => ctx.now.wall.saturating_add(s.saturating_mul(1_000)),
    };
    let publication = Publication {
        realm: ctx.listener.realm,
        topic,
        body,
        props: Bytes::new(),
        qos,
        retain,
        expires,
        inbound: None,
    };
    let receipt = ctx.hub.publish(ctx.now, None, ctx.listener.level, &publication)?;
    let who = Principal { user: call.who.clone(), ..Principal::default() };
    let Publication { topic, body, .. } = &publication;
    let event = Event::Published { who: &who, topic, len: body.len(), qos, retain };
    ctx.hub.observer.see(ctx.now, &event);
    ctx.hub.observer.payload(topic, &[], body);
    Ok(receipt)
}

/// The session of this name: a client of MQTT, else of PRX1, else of aioconnectors.
#[must_use]
pub fn session_of(name: &Bytes, ctx: &Ctx<'_>) -> Option<(SessionId, Kind)> {
    [Kind::Mqtt, Kind::Prx1, Kind::Aio].into_iter().find_map(|kind| {
        let id = ctx.hub.named(ctx.listener.realm, kind, name)?;
        ctx.hub.session(id).map(|s| (s.id, s.kind))
    })
}

/// A filter as this kind of client writes it, and the group it shares.
#[must_use]
pub fn filter_of(text: &Bytes, kind: Kind, ctx: &Ctx<'_>) -> Option<(Filter, Option<Bytes>)> {
    let levels_max = ctx.hub.limits.levels_max;
    let tame = core::str::from_utf8(text).is_ok() && !text.contains(&0);
    if !tame || text.len() > ctx.hub.limits.topic_bytes_max {
        return None;
    }
    if kind != Kind::Mqtt {
        let filter = Star { levels_max }.filter(text, Match::Native).ok()?;
        return Some((filter, None));
    }
    let plus = Plus { levels_max };
    let Some(rest) = text.strip_prefix(b"$share/") else {
        return plus.filter(text, Match::Native).ok().map(|filter| (filter, None));
    };
    let at = rest.iter().position(|b| *b == b'/').filter(|at| *at > 0)?;
    let (group, filter) = (text.slice_ref(&rest[..at]), text.slice_ref(&rest[at + 1..]));
    let filter = plus.filter(&filter, Match::Native).ok()?;
    let wild = group.iter().any(|b| matches!(b, b'+' | b'#'));
    (!wild).then_some((filter, Some(group)))
}

/// Let a session listen.
pub fn subscribe(
    id: SessionId,
    filter: &Filter,
    group: Option<&Bytes>,
    qos: u8,
    ctx: &mut Ctx<'_>,
) -> Result<Receipt, Undone> {
    let opts = SubOpts { qos, ..SubOpts::default() };
    match ctx.hub.subscribe(ctx.now, id, filter, group, opts, Replays::Always)? {
        Subscribed::Yes(receipt) => Ok(receipt),
        Subscribed::TooMany => Err(Undone::TooMany),
    }
}

/// Let it listen no longer; nothing when it did not.
pub fn unsubscribe(
    id: SessionId,
    filter: &Filter,
    group: Option<&Bytes>,
    ctx: &mut Ctx<'_>,
) -> Result<Option<Receipt>, Undone> {
    Ok(ctx.hub.unsubscribe(ctx.now, id, filter, group)?)
}
