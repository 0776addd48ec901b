//! Floor 3. What a procedure of the router was called with.
//!
//! Null is the same as nothing there. Whole numbers may be written as doubles. Absent on purpose:
//! what is done with it.

use bytes::Bytes;

use super::super::dialect::Spelling;
use super::super::fault::Reason;
use super::super::options::Matching;
use super::super::parts::{ID_MAX, Payload, Raw, Text};
use super::super::uri::Rule;
use super::{Failed, terms, wrong};
use crate::base::id::RealmId;
use crate::hub::Hub;
use crate::hub::calls::Kind;
use crate::topic::Dialect;
use crate::value::{Bounds, Value, Walk};

/// Arguments.
#[derive(Debug)]
pub(super) struct Given {
    args: Vec<Value>,
    kwargs: Value,
    /// The same as they came.
    pub(super) payload: Payload,
}

impl Given {
    pub(super) fn of(payload: &Payload) -> Result<Self, Failed> {
        let read = |raw: &Option<Raw>| match raw {
            None => Ok(Value::Null),
            Some(raw) => Value::read(&mut Walk::new(raw.form, &raw.bytes, Bounds::default()))
                .map_err(|_| wrong("arguments that cannot be read")),
        };
        let args = match read(&payload.args)? {
            Value::List(args) => args,
            _ => Vec::new(),
        };
        Ok(Self { args, kwargs: read(&payload.kwargs)?, payload: payload.clone() })
    }

    /// The positional argument at this place.
    pub(super) fn arg(&self, at: usize) -> Option<&Value> {
        self.args.get(at).filter(|value| **value != Value::Null)
    }

    /// The one of this name.
    pub(super) fn named(&self, key: &str) -> Option<&Value> {
        self.kwargs.get(key)
    }

    /// A number of something.
    pub(super) fn id(&self, at: usize) -> Result<u64, Failed> {
        self.arg(at).and_then(number).ok_or_else(|| wrong("an id is a whole number"))
    }

    /// A number by name, if there is one.
    pub(super) fn named_id(&self, key: &str) -> Result<Option<u64>, Failed> {
        let number = |value| number(value).ok_or_else(|| wrong("not a whole number"));
        self.named(key).map(number).transpose()
    }

    /// A text.
    pub(super) fn text(&self, at: usize) -> Result<&str, Failed> {
        self.arg(at).and_then(Value::as_text).ok_or_else(|| wrong("a text is missing"))
    }

    /// A text by name, if there is one.
    pub(super) fn named_text(&self, key: &str) -> Result<Option<&str>, Failed> {
        let text = |value: &'_ Value| value.as_text().is_some();
        match self.named(key) {
            Some(value) if !text(value) => Err(wrong("not a text")),
            value => Ok(value.and_then(Value::as_text)),
        }
    }

    /// How the name before it is meant: options behind it.
    pub(super) fn matching(&self, at: usize) -> Result<Matching, Failed> {
        let Some(options) = self.arg(at) else { return Ok(Matching::Exact) };
        let word = match (options, options.get("match")) {
            (Value::Map(_), None) => return Ok(Matching::Exact),
            (_, Some(word)) => word.as_text(),
            _ => None,
        };
        let matching = word.and_then(Matching::of);
        matching.ok_or_else(|| wrong("match is exact, prefix or wildcard"))
    }

    /// Why, as a name: this one, or what else is usual.
    pub(super) fn reason(&self, usual: Reason, realm: RealmId, hub: &Hub) -> Result<Bytes, Failed> {
        let reason = match self.named("reason") {
            None => return Ok(Bytes::from_static(usual.uri().as_bytes())),
            Some(reason) => reason.as_text().ok_or(Reason::InvalidUri)?,
        };
        let reason = Bytes::copy_from_slice(reason.as_bytes());
        match spelling(realm, hub).topic(&reason) {
            Ok(_) => Ok(reason),
            Err(_) => Err(Reason::InvalidUri.into()),
        }
    }

    /// And in words.
    pub(super) fn message(&self) -> Result<Bytes, Failed> {
        let text = self.named_text("message")?.unwrap_or_default();
        if text.len() > MESSAGE_MAX {
            return Err(wrong("a message so long is not passed on"));
        }
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// Bytes of what somebody who is sent away is told: each of them holds it.
const MESSAGE_MAX: usize = 1_024;

/// A whole number that an id can be.
pub(super) fn number(value: &Value) -> Option<u64> {
    u64::try_from(value.as_int()?).ok().filter(|number| *number <= ID_MAX)
}

/// How names are written in a realm.
pub(super) fn spelling(realm: RealmId, hub: &Hub) -> Spelling {
    let strict = terms(realm, hub).is_some_and(|terms| terms.strict);
    let rule = if strict { Rule::Strict } else { Rule::Loose };
    Spelling::new(&hub.limits, rule)
}

/// As the hub says it.
pub(super) const fn kind(matching: Matching) -> Kind {
    match matching {
        Matching::Exact => Kind::Exact,
        Matching::Prefix => Kind::Prefix,
        Matching::Wildcard => Kind::Wildcard,
    }
}

/// As it is written.
pub(super) const fn matching(kind: Kind) -> Matching {
    match kind {
        Kind::Exact => Matching::Exact,
        Kind::Prefix => Matching::Prefix,
        Kind::Wildcard => Matching::Wildcard,
    }
}

/// A text as bytes of its own.
pub(super) fn own(text: &str) -> Bytes {
    Text::from(text).bytes().clone()
}
