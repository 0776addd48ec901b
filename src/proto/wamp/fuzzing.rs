//! Floor 3. What must hold for any bytes at all; functions for fuzzers and tests alike.
//!
//! The laws: reading never panics; what was understood is said again in its own form and understood
//! as the same; said in another form it is understood too, and what both say in a third is the
//! same; and however a stream of RawSocket is cut, its frames are. A broken law is a panic, on
//! purpose.

use bytes::{Bytes, BytesMut};

use super::batch::{Split, messages};
use super::decode::{Most, Refused, decode};
use super::encode::encode;
use super::fault::last_words;
use super::packet::{Message, Sender};
use super::rawsocket::{Frame, HEAD, Kind, announced, answered, head, next, offered};
use crate::base::rng::Rng;
use crate::proto::fault::FaultKind;
use crate::value::{Bounds, Flaw, Form};

/// What was heard may be said with more room than it was heard with: another form nests alike, and
/// a part of a message is not deeper than all of it.
const ROOM: Bounds = Bounds { depth: 64, items: 1 << 20 };

/// Check the laws of messages. The first byte says form, side, and whether it is a batch.
///
/// # Panics
/// When one is broken.
pub fn wamp(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let form = Form::ALL[usize::from(how) % 3];
    let sender = if how & 0x40 == 0 { Sender::Client } else { Sender::Router };
    if how & 0x80 == 0 {
        let _ = message(form, sender, &Bytes::copy_from_slice(data));
        return;
    }
    let batch = Bytes::copy_from_slice(data);
    let split = Split::seen(form, &batch);
    let (mut again, mut good) = (Vec::new(), true);
    for part in messages(form, batch.clone()) {
        let Ok(part) = part else {
            good = false;
            continue;
        };
        assert!(good, "nothing comes after an error");
        let _ = message(form, sender, &part);
        assert!(split.put(&part, &mut again));
    }
    assert!(batch.starts_with(&again), "a batch is what was taken from it");
    assert_eq!(good, again.len() == batch.len() && !batch.is_empty(), "all of it, or an error");
}

/// Check the laws for one message.
///
/// # Panics
/// When one is broken.
pub fn message(form: Form, sender: Sender, whole: &Bytes) -> Result<Message, Refused> {
    let heard = decode(form, whole, sender, &Most::default()).inspect_err(|refused| {
        let words = last_words(refused);
        assert!(said(&words.into(), Form::Json).is_ok(), "a refusal can be told");
    })?;
    let again = said(&heard, form).expect("what came in a form can be said in it");
    assert_eq!(hear(form, sender, again), heard, "{form:?}");
    let Ok(same) = canonical(&heard, sender) else {
        assert!(!can_travel(&heard), "{heard:?} has a value that only its form can hold");
        return Ok(heard);
    };
    for other in Form::ALL {
        let other = hear(other, sender, said(&heard, other).expect("it can be said in CBOR"));
        assert_eq!(canonical(&other, sender).as_ref(), Ok(&same));
    }
    Ok(heard)
}

/// As it is in JSON that was made from CBOR: there is one way to write each value there, and what
/// JSON cannot hold is gone on both sides of a comparison.
fn canonical(message: &Message, sender: Sender) -> Result<Message, Flaw> {
    let cbor = hear(Form::Cbor, sender, said(message, Form::Cbor)?);
    let json = hear(Form::Json, sender, said(&cbor, Form::Json)?);
    let cbor = hear(Form::Cbor, sender, said(&json, Form::Cbor)?);
    Ok(hear(Form::Json, sender, said(&cbor, Form::Json)?))
}

/// None of its values is of a kind that only its form has.
fn can_travel(message: &Message) -> bool {
    Form::ALL.iter().all(|form| said(message, *form).is_ok())
}

fn said(message: &Message, form: Form) -> Result<Vec<u8>, Flaw> {
    let mut into = b"kept".to_vec();
    let done = encode(message, form, ROOM, &mut into);
    assert!(into.starts_with(b"kept") && (done.is_ok() || into.len() == 4), "nothing is left");
    done.map(|()| into.split_off(4))
}

fn hear(form: Form, sender: Sender, said: Vec<u8>) -> Message {
    let most = Most { walk: ROOM, text: usize::MAX, entries: usize::MAX };
    match decode(form, &said.into(), sender, &most) {
        Ok(message) => message,
        Err(refused) => panic!("what was said in {form:?} is refused: {refused}"),
    }
}

/// Check the laws of RawSocket: handshake from either side, then frames. The first byte says how
/// long frames may be.
///
/// # Panics
/// When one is broken.
pub fn rawsocket(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    handshake(data);
    let takes = 1 << (how & 0x0F);
    let whole = frames(&[data], takes);
    let mut rng = Rng::new(data.iter().fold(1, |sum, &b| sum.rotate_left(7) ^ u64::from(b)));
    let (mut rest, mut parts) = (data, Vec::new());
    while !rest.is_empty() {
        let (part, later) = rest.split_at(1 + rng.below(rest.len().min(9) as u64) as usize);
        parts.push(part);
        rest = later;
    }
    assert_eq!(frames(&parts, takes), whole, "chunks say what the whole says");
    let mut again = Vec::new();
    for frame in &whole.0 {
        let (kind, payload) = match frame {
            Frame::Message(payload) => (Kind::Message, payload),
            Frame::Ping(payload) => (Kind::Ping, payload),
            Frame::Pong(payload) => (Kind::Pong, payload),
        };
        again.extend_from_slice(&head(kind, payload.len()).expect("it came in a frame"));
        again.extend_from_slice(payload);
    }
    assert!(data.starts_with(&again), "and nothing else");
}

fn frames(parts: &[&[u8]], takes: usize) -> (Vec<Frame>, Option<FaultKind>) {
    let (mut input, mut all) = (BytesMut::new(), Vec::new());
    for part in parts {
        input.extend_from_slice(part);
        loop {
            match next(&mut input, takes) {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(kind) => return (all, Some(kind)),
            }
        }
        let due = announced(&input, takes).expect("it was not refused");
        let whole = due.is_some_and(|(_, len)| HEAD + len <= input.len());
        assert!(!whole, "waits only for what is missing");
    }
    (all, None)
}

fn handshake(data: &[u8]) {
    let whole = offered(data);
    let early = (0..data.len()).map(|n| offered(&data[..n])).find(|it| *it != Ok(None));
    assert!(early.is_none_or(|early| early == whole), "once decided it stays decided");
    let Ok(Some(offer)) = whole else { return };
    assert_eq!(offer.octets()[..], data[..HEAD], "an offer is what was read from it");
    assert_eq!(answered(data, offer.form), Ok(Some(offer)), "the same from the other side");
}
