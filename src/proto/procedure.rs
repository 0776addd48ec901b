//! Floor 3. Names of procedures, for protocols that call with topics: the same in dots.
//!
//! Whoever calls and whoever is called may speak differently, so a procedure has one name: the one
//! that WAMP spells. A topic that WAMP has no spelling for names no procedure. Absent on purpose:
//! who may use it.

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::limits::Limits;
use crate::hub::Hub;
use crate::hub::calls::{Kind, Why};
use crate::topic::{Dialect, Filter, Topic};

use super::Ctx;
use super::wamp::dialect::Spelling;
use super::wamp::options::Matching;
use super::wamp::uri::Rule;

/// Names of errors, for all who have no numbers for them.
pub use super::wamp::fault::Reason;

/// What the router keeps for itself.
const RESERVED: &[u8] = b"wamp.";

/// The name of the procedure that this topic names, if it can name one.
#[must_use]
pub fn named(topic: &Topic, realm: RealmId, hub: &Hub) -> Option<Bytes> {
    let (spelling, mut name) = (spelling(realm, hub), Vec::new());
    spelling.spell(topic, &mut name).then(|| name.into())
}

/// What is called so only the router offers, or it is what the router asks: whoever offers that
/// has shown who it is in words that not every protocol has.
#[must_use]
pub fn is_reserved(name: &[u8], realm: RealmId, hub: &Hub) -> bool {
    name.starts_with(RESERVED) || hub.is_answering(realm, name)
}

/// The topic of a name that is spelled in dots, if it is a good one.
#[must_use]
pub fn topic(name: &Bytes, realm: RealmId, hub: &Hub) -> Option<Topic> {
    spelling(realm, hub).topic(name).ok()
}

/// Names that are meant by `MATCH:PATTERN`, as they are configured. An error is a sentence.
pub fn pattern(text: &str, limits: &Limits) -> Result<(Kind, Bytes, Filter), String> {
    let (how, pattern) = text.split_once(':').unwrap_or((text, ""));
    let matching = Matching::of(how).ok_or("it is exact, prefix or wildcard")?;
    let kind = match matching {
        Matching::Exact => Kind::Exact,
        Matching::Prefix => Kind::Prefix,
        Matching::Wildcard => Kind::Wildcard,
    };
    let pattern = Bytes::copy_from_slice(pattern.as_bytes());
    let filter = Spelling::new(limits, Rule::Loose).filter(&pattern, matching.how());
    let filter = filter.map_err(|_| format!("{text} has no good pattern"))?;
    Ok((kind, pattern, filter))
}

/// What a call is told that failed for this.
#[must_use]
pub fn outcome(why: &Why) -> Bytes {
    let reason = match why {
        Why::Said(name) => return name.clone(),
        Why::NoProcedure => Reason::NoSuchProcedure,
        Why::NoCallee => Reason::NoAvailableCallee,
        Why::Unsupported => Reason::FeatureNotSupported,
        Why::Canceled | Why::Gone => Reason::Canceled,
        Why::Timeout => Reason::Timeout,
        Why::Blocked => Reason::NetworkFailure,
        Why::Full(_) => Reason::Unavailable,
    };
    Bytes::from_static(reason.uri().as_bytes())
}

/// It is gone, or another has its session: so is what it offered and what it asked.
pub fn leave(session: SessionId, ctx: &mut Ctx<'_>) {
    let mut acts = ctx.hub.spare_acts();
    ctx.hub.calls.leave(session, &mut acts);
    ctx.hub.parties.leave(session);
    ctx.hub.pass_on(&mut acts);
}

/// This connection ends. Another one may have its session, and what that called and serves.
pub fn leave_with(session: SessionId, ctx: &mut Ctx<'_>) {
    if ctx.hub.parties.get(session).is_some_and(|party| party.conn == ctx.conn) {
        leave(session, ctx);
    }
}

fn spelling(realm: RealmId, hub: &Hub) -> Spelling {
    let strict = hub.realm(realm).is_some_and(|realm| realm.terms.strict);
    Spelling::new(&hub.limits, if strict { Rule::Strict } else { Rule::Loose })
}
