//! Floor 3. Our own API: `{"data": ..., "meta": {"next": ...}}`, and RFC 9457 for what goes wrong.
//!
//! A page ends with a token that says where the next begins: a place in an order, not a number of
//! rows, so whoever comes or goes meanwhile moves nobody to another page. Reading order: this,
//! `clients`, `kept` (topics and values), `look`, `change`. Absent on purpose: rules.

pub mod change;
pub mod clients;
pub mod kept;
pub mod look;

use bytes::Bytes;

use crate::base::calendar;
use crate::base::json::Writer;
use crate::hub::Held;
use crate::hub::admin::Key;

use super::act::Undone;
use super::packet::Response;
use super::problem;
use super::task::Step;

/// Rows of a page that does not say, and of one that asks for too many.
pub const LIMIT: u64 = 100;
/// The most a page has.
pub const LIMIT_MAX: u64 = 1_000;

/// A sentence about a request that cannot be understood.
pub fn wrong(text: &str) -> Step {
    problem::of(400, text).into()
}

/// Nobody, or nothing, of that name.
pub(super) fn missing(text: &str) -> Response {
    problem::of(404, text)
}

/// One document under `data`.
pub fn data(fill: impl FnOnce(&mut Writer)) -> Response {
    let mut json = Writer::new();
    json.open().key("data");
    fill(&mut json);
    json.close();
    Response::json(200, json.take())
}

/// Rows under `data`, and where the next page begins.
pub(super) fn page(fill: impl FnOnce(&mut Writer), next: Option<String>) -> Response {
    let mut json = Writer::new();
    json.open().list("data", fill).object("meta", |json| {
        json.field("next", next.as_ref());
    });
    json.close();
    Response::json(200, json.take())
}

/// What could not be done, and why.
pub(super) fn undone(why: Undone) -> Step {
    match why {
        Undone::Later => Step::Later,
        Undone::TooLarge => problem::of(413, "it will never fit into the journal").into(),
        Undone::TooMany => problem::of(409, "more subscriptions than a session may have").into(),
        Undone::Failed => failed().into(),
    }
}

/// What the hub could not do for the machine.
pub(super) fn held(why: Held) -> Response {
    match why {
        Held::Full | Held::Memory | Held::Turn => {
            problem::of(503, "there is no room for this now").with("Retry-After", "1")
        }
        Held::TooLarge => problem::of(413, "it will never fit into the journal"),
        Held::Failed => failed(),
    }
}

fn failed() -> Response {
    problem::of(503, "the disk failed, so nothing can be promised")
}

/// A moment, or nothing where there was none.
pub(super) fn moment(ms: u64) -> Option<String> {
    (ms != 0).then(|| calendar::rfc3339(ms))
}

/// A place in an order, as a token.
pub(super) fn token_of(key: &Key) -> String {
    let mut token = format!("{:x}.{:x}.{:x}.", key.number, key.kind, key.slot);
    token.extend(key.text.iter().map(|byte| format!("{byte:02x}")));
    token
}

/// The place that a token stands for.
pub(super) fn key_of(token: &[u8]) -> Option<Key> {
    let text = core::str::from_utf8(token).ok()?;
    let mut parts = text.split('.');
    let mut number = || u64::from_str_radix(hex(parts.next()?)?, 16).ok();
    let (number, kind, slot) = (number()?, number()?, number()?);
    let text = unhex(parts.next()?)?;
    let (kind, slot) = (u8::try_from(kind).ok()?, u32::try_from(slot).ok()?);
    parts.next().is_none().then_some(Key { number, text, kind, slot, down: false })
}

/// Nothing but digits: a sign is none.
fn hex(text: &str) -> Option<&str> {
    text.bytes().all(|b| b.is_ascii_hexdigit()).then_some(text)
}

fn unhex(digits: &str) -> Option<Bytes> {
    let pairs = hex(digits)?.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = core::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    pairs.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_its_place() {
        let text = Bytes::from_static(b"a.b/\xff");
        let key = Key { number: u64::MAX, text, kind: 4, slot: 17, down: false };
        assert_eq!(key_of(token_of(&key).as_bytes()), Some(key));
        for wrong in ["", "1.2", "1.2.3.4", "1.2.3.+f", "1.2.3.00.5", "x.2.3.00", "1.999.3.00"] {
            assert_eq!(key_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
