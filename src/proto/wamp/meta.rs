//! Floor 3. What the router itself answers, and what it tells of itself.
//!
//! Absent on purpose: everything else.

use crate::base::id::{RealmId, SessionId};
use crate::hub::calls::{Lost, Registered};
use crate::hub::interests::{Left, Noted};
use crate::hub::parties::Party;
use crate::proto::Ctx;
use crate::value::{Form, Value};

use super::parts::{Payload, Text};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The session.
    pub session: SessionId,
    /// Where.
    pub realm: RealmId,
    /// In which form it writes.
    pub form: Form,
}

/// The answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// Positional.
    pub args: Vec<Value>,
    /// Named.
    pub kwargs: Vec<(String, Value)>,
}

/// Why there is none.
#[derive(Debug)]
pub struct Failed {
    /// The error.
    pub error: Text,
    /// What is said with it.
    pub args: Vec<Value>,
}

/// Answer a procedure of the router itself. None: there is none of that name.
pub fn answer(_: &str, _: &Payload, _: Asker, _: &mut Ctx<'_>) -> Option<Result<Reply, Failed>> {
    None
}

/// Somebody came.
pub fn on_join(_: SessionId, _: &mut Ctx<'_>) {}
/// Somebody left.
pub fn on_leave(_: &Party, _: &mut Ctx<'_>) {}
/// Somebody listens.
pub fn on_subscribed(_: SessionId, _: Noted, _: &mut Ctx<'_>) {}
/// Somebody does not any more.
pub fn on_unsubscribed(_: u64, _: RealmId, _: Left, _: &mut Ctx<'_>) {}
/// Somebody offers a procedure.
pub fn on_registered(_: SessionId, _: Registered, _: &mut Ctx<'_>) {}
/// Somebody does not any more.
pub fn on_unregistered(_: u64, _: RealmId, _: Lost, _: &mut Ctx<'_>) {}
