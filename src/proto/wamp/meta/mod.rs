//! Floor 3. What the router itself answers and tells: sessions, registrations, subscriptions,
//! testaments, the past, and what names mean.
//!
//! Procedures are looked up by name and answered at once, from what the hub holds; none of them is
//! a registration, so none is listed. Events are publications under `wamp.` from nobody, never to
//! the session that caused them, and not about subscriptions to such events. Who may call,
//! subscribe and publish is asked of the policy like anything else, by the peer. A list has at
//! most [`LIST_MAX`] entries; where there are more, `is_limit_reached` stands beside it, and
//! `after=` the last of them goes on from there. What is done to many at once takes as long as a
//! publication that all of them hear. Reading order: here, `given`, then a file for each subject,
//! then `events`. Absent on purpose: the wire, and any procedure that waits.

mod events;
mod given;
mod past;
mod reflection;
mod registrations;
mod sessions;
mod subscriptions;
mod testaments;

#[cfg(test)]
pub(super) mod bench_test;
#[cfg(test)]
mod events_test;
#[cfg(test)]
mod past_test;
#[cfg(test)]
mod reflection_test;
#[cfg(test)]
mod registrations_test;
#[cfg(test)]
mod sessions_test;
#[cfg(test)]
mod subscriptions_test;
#[cfg(test)]
mod testaments_test;

use super::fault::Reason;
use super::parts::Payload;
use crate::base::id::{RealmId, SessionId};
use crate::hub::Hub;
use crate::hub::realm::Terms;
use crate::proto::Ctx;
use crate::value::Value;

use given::Given;

pub use events::{
    on_join, on_leave, on_registered, on_subscribed, on_unregistered, on_unsubscribed,
};
pub use testaments::said;

/// Names that only the router uses.
pub const RESERVED: &str = "wamp.";

/// Entries of one list.
pub const LIST_MAX: usize = 10_000;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Its session.
    pub session: SessionId,
    /// Where it is.
    pub realm: RealmId,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reply {
    /// Positional.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Vec<(String, Value)>,
}

/// Why nothing did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed {
    /// The error.
    pub reason: Reason,
    /// In words, if there is more to say.
    pub text: Option<&'static str>,
}

impl Reply {
    fn of(value: Value) -> Self {
        Self { args: vec![value], kwargs: Vec::new() }
    }

    /// A list, of which there may be more.
    fn list(values: Vec<Value>, more: bool) -> Self {
        Self::of(Value::List(values)).marked(more)
    }

    fn marked(mut self, more: bool) -> Self {
        if more {
            self.kwargs.push(("is_limit_reached".into(), Value::Bool(true)));
        }
        self
    }
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self { reason, text: None }
    }
}

/// Not what the procedure takes.
fn wrong(text: &'static str) -> Failed {
    Failed { reason: Reason::InvalidArgument, text: Some(text) }
}

type Answer = Result<Reply, Failed>;
type Procedure = fn(&Given, Asker, &mut Ctx<'_>) -> Answer;

/// Answer a procedure of the router itself. None: there is none of that name.
pub fn answer(procedure: &str, payload: &Payload, who: Asker, ctx: &mut Ctx<'_>) -> Option<Answer> {
    let name = procedure.strip_prefix(RESERVED)?;
    let (_, is_there, run) = PROCEDURES.iter().find(|row| row.0 == name)?;
    let terms = terms(who.realm, ctx.hub)?;
    if !terms.meta || !is_there(terms) {
        return None;
    }
    Some(Given::of(payload).and_then(|given| run(&given, who, ctx)))
}

/// Its name behind [`RESERVED`], whether a realm has it, and what it does.
type Row = (&'static str, fn(&Terms) -> bool, Procedure);

const PROCEDURES: &[Row] = &[
    ("session.count", always, sessions::count),
    ("session.list", always, sessions::list),
    ("session.get", always, sessions::get),
    ("session.kill", kill, sessions::kill),
    ("session.kill_by_authid", kill, sessions::kill_by_authid),
    ("session.kill_by_authrole", kill, sessions::kill_by_authrole),
    ("session.kill_all", kill, sessions::kill_all),
    ("session.modify_details", modify, sessions::modify_details),
    ("session.add_testament", always, testaments::add),
    ("session.flush_testaments", always, testaments::flush),
    ("registration.list", always, registrations::list),
    ("registration.lookup", always, registrations::lookup),
    ("registration.match", always, registrations::best),
    ("registration.get", always, registrations::get),
    ("registration.list_callees", always, registrations::list_callees),
    ("registration.count_callees", always, registrations::count_callees),
    ("registration.remove_callee", kill, registrations::remove_callee),
    ("subscription.list", always, subscriptions::list),
    ("subscription.lookup", always, subscriptions::lookup),
    ("subscription.match", always, subscriptions::matching),
    ("subscription.get", always, subscriptions::get),
    ("subscription.list_subscribers", always, subscriptions::list_subscribers),
    ("subscription.count_subscribers", always, subscriptions::count_subscribers),
    // Some clients know it by this name only.
    ("subscription.count_suscribers", always, subscriptions::count_subscribers),
    ("subscription.remove_subscriber", kill, subscriptions::remove_subscriber),
    ("subscription.get_events", always, past::events),
    ("reflection.procedure.list", always, reflection::list_procedures),
    ("reflection.procedure.describe", always, reflection::describe_procedure),
    ("reflection.topic.list", always, reflection::list_topics),
    ("reflection.topic.describe", always, reflection::describe_topic),
    ("reflection.error.list", always, reflection::list_errors),
    ("reflection.error.describe", always, reflection::describe),
    ("reflect.define", always, reflection::define),
    ("reflect.undefine", always, reflection::undefine),
    ("reflect.describe", always, reflection::describe),
];

fn always(_: &Terms) -> bool {
    true
}

fn kill(terms: &Terms) -> bool {
    terms.kill
}

fn modify(terms: &Terms) -> bool {
    terms.modify
}

/// The terms of a realm.
fn terms(realm: RealmId, hub: &Hub) -> Option<&Terms> {
    hub.realm(realm).map(|realm| &realm.terms)
}

/// The number of a session.
fn number(session: SessionId, hub: &Hub) -> Option<u64> {
    hub.parties.get(session).map(|party| party.id)
}

/// Text out of bytes that are some.
fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// A number that every client can count to.
fn id(id: impl Into<u64>) -> Value {
    let id = id.into();
    i64::try_from(id).map_or(Value::Uint(id), Value::Int)
}

/// A map with these keys.
fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
