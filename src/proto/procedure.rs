//! Floor 3. Names of procedures, for protocols that call with topics: the same in dots.
//!
//! Whoever calls and whoever is called may speak differently, so a procedure has one name: the one
//! that WAMP spells. A topic that WAMP has no spelling for names no procedure. Absent on purpose:
//! who may use it.

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::hub::Hub;
use crate::topic::{Dialect, Topic};

use super::wamp::dialect::Spelling;
use super::wamp::uri::Rule;

/// What the router keeps for itself.
const RESERVED: &[u8] = b"wamp.";

/// The name of the procedure that this topic names, if it can name one.
#[must_use]
pub fn named(topic: &Topic, realm: RealmId, hub: &Hub) -> Option<Bytes> {
    let (spelling, mut name) = (spelling(realm, hub), Vec::new());
    spelling.spell(topic, &mut name).then(|| name.into())
}

/// Only the router offers what is called so.
#[must_use]
pub fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(RESERVED)
}

/// The topic of a name that is spelled in dots, if it is a good one.
#[must_use]
pub fn topic(name: &Bytes, realm: RealmId, hub: &Hub) -> Option<Topic> {
    spelling(realm, hub).topic(name).ok()
}

fn spelling(realm: RealmId, hub: &Hub) -> Spelling {
    let strict = hub.realm(realm).is_some_and(|realm| realm.terms.strict);
    Spelling::new(&hub.limits, if strict { Rule::Strict } else { Rule::Loose })
}
