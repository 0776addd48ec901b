//! Floor 6. Files between two of these programs: in pieces, of which each is asked for.
//!
//! ```text
//! offer   spindle_file: {"name": N, "size": S, "sha256": H}       no data
//! piece   spindle_piece: {"sha256": H, "at": P}                   the piece as binary
//! answer  spindle_have: bytes that are there                      or spindle_no: why
//! ```
//!
//! Ordinary questions with a key more, which the original passes over: it echoes an offer as it
//! echoes everything, and its answer says nothing of what is there, so it is sent the file as it
//! knows files. Absent on purpose: what is done about any of it.

use bytes::Bytes;

use crate::client::aio::{Message, Text};
use crate::value::{Bounds, Form, Value, Walk, Writer};

/// A file that somebody wants to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) size: u64,
    /// Of all of it, in digits.
    pub(super) sha256: String,
}

/// What somebody sends of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) sha256: String,
    pub(super) at: u64,
}

/// What is said to either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    Have(u64),
    No(String),
}

impl Offer {
    pub(super) fn say(&self) -> Message {
        let size = Value::Int(i64::try_from(self.size).unwrap_or(i64::MAX));
        let name = Value::Text(self.name.clone());
        let pairs = vec![("name", name), ("size", size), ("sha256", digits(&self.sha256))];
        with(Message::of("any", ""), OFFER, &map(pairs))
    }

    pub(super) fn of(message: &Message) -> Option<Self> {
        let value = value(message, OFFER)?;
        let text = |key| value.get(key).and_then(Value::as_text).map(str::to_owned);
        let (name, sha256) = (text("name")?, hash(text("sha256")?)?);
        Some(Self { name, size: number(value.get("size")?)?, sha256 })
    }
}

impl Piece {
    pub(super) fn say(&self, bytes: Bytes) -> Message {
        let at = Value::Int(i64::try_from(self.at).unwrap_or(i64::MAX));
        let pairs = vec![("sha256", digits(&self.sha256)), ("at", at)];
        let message = with(Message::of("any", ""), PIECE, &map(pairs));
        Message { binary: bytes, ..message }
    }

    pub(super) fn of(message: &Message) -> Option<Self> {
        let value = value(message, PIECE)?;
        let sha256 = value.get("sha256").and_then(Value::as_text).map(str::to_owned)?;
        Some(Self { sha256: hash(sha256)?, at: number(value.get("at")?)? })
    }
}

impl Reply {
    /// Put it into an answer.
    pub(super) fn put(&self, answer: Message) -> Message {
        match self {
            Self::Have(count) => {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                with(answer, HAVE, &Value::Int(count))
            }
            Self::No(why) => with(answer, NO, &Value::Text(why.clone())),
        }
    }

    pub(super) fn of(message: &Message) -> Option<Self> {
        if let Some(why) = value(message, NO) {
            return Some(Self::No(why.as_text().unwrap_or("it said no").to_owned()));
        }
        number(&value(message, HAVE)?).map(Self::Have)
    }
}

fn with(mut message: Message, key: &str, value: &Value) -> Message {
    let mut json = Vec::new();
    value.write(&mut Writer::new(Form::Json, &mut json));
    message.header.others.push((Text::from(key), json.into()));
    message
}

fn value(message: &Message, key: &str) -> Option<Value> {
    let (_, json) = message.header.others.iter().find(|(it, _)| it.as_str() == key)?;
    let mut walk = Walk::new(Form::Json, json, Bounds { depth: 2, items: 16 });
    Value::read(&mut walk).ok()
}

fn map(pairs: Vec<(&str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn digits(sha256: &str) -> Value {
    Value::Text(sha256.to_owned())
}

fn number(value: &Value) -> Option<u64> {
    u64::try_from(value.as_int()?).ok()
}

/// 64 digits, of which there is one spelling: they become a name.
fn hash(text: String) -> Option<String> {
    let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    (text.len() == 64 && text.bytes().all(digit)).then_some(text)
}

const OFFER: &str = "spindle_file";
const PIECE: &str = "spindle_piece";
const HAVE: &str = "spindle_have";
const NO: &str = "spindle_no";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        let sha256 = "0a".repeat(32);
        let offer = Offer { name: "a \"b\"".to_owned(), size: 7, sha256: sha256.clone() };
        assert_eq!(Offer::of(&offer.say()), Some(offer.clone()));
        assert!(offer.say().data.is_empty(), "the original prints nothing");
        let piece = Piece { sha256, at: 4 };
        let said = piece.say(Bytes::from_static(b"xyz"));
        assert_eq!((Piece::of(&said), &said.binary[..]), (Some(piece), &b"xyz"[..]));
        for reply in [Reply::Have(9), Reply::No("no".to_owned())] {
            assert_eq!(Reply::of(&reply.put(Message::default())), Some(reply));
        }
        assert_eq!(Reply::of(&offer.say()), None, "an echo");
        assert_eq!((Piece::of(&offer.say()), Offer::of(&said)), (None, None));
    }

    #[test]
    fn a_hash_is_digits_and_a_number_is_not_negative() {
        let offer = |sha256: &str, size| {
            let mut pairs = vec![("name", Value::Text("a".to_owned()))];
            pairs.extend([("size", Value::Int(size)), ("sha256", digits(sha256))]);
            Offer::of(&with(Message::default(), OFFER, &map(pairs)))
        };
        let good = "0".repeat(64);
        assert!(offer(&good, 0).is_some());
        assert!(offer(&good, -1).is_none());
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"0".repeat(65)] {
            assert!(offer(bad, 0).is_none(), "{bad}");
        }
    }
}
