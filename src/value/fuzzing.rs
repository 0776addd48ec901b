//! Floor 1. What must hold for any bytes at all; functions for fuzzers and tests alike.
//!
//! The laws: a walk ends, and in steps that the input pays for; `next`, `skip` and `span` agree
//! about where each value ends and about what is wrong with it; and what was read comes back from
//! every other form, but for what JSON cannot say. A broken law is a panic, on purpose.

use super::transcode::GROWTH_MAX;
use super::{Bounds, Flaw, Form, Item, Value, Walk, Writer, transcode};
use crate::base::base64;

/// The first byte chooses the form and how far a walk may go.
pub fn any(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let [json, msgpack, cbor] = Form::ALL;
    let form = match choice % 3 {
        0 => json,
        1 => msgpack,
        _ => cbor,
    };
    let bounds = match choice / 3 {
        few @ 1..40 => Bounds { depth: u32::from(few % 4), items: u32::from(few) },
        _ => Bounds::default(),
    };
    ends(form, bytes, bounds);
    agrees(form, bytes, bounds);
    comes_back(form, bytes, bounds);
}

/// Every item of a value, and whether it is all.
pub fn items(mut walk: Walk<'_>) -> (Vec<Item<'_>>, Result<(), Flaw>) {
    let mut items = Vec::new();
    while !walk.is_over() {
        match walk.next() {
            Ok(item) => items.push(item),
            Err(flaw) => return (items, Err(flaw)),
        }
    }
    (items, walk.finish())
}

/// An item takes a byte at least, and has an end at most.
fn ends(form: Form, bytes: &[u8], bounds: Bounds) {
    let (items, end) = items(Walk::new(form, bytes, bounds));
    assert!(items.len() <= 2 * bytes.len(), "more items than the input can hold");
    let counted = items.iter().filter(|item| **item != Item::End).count();
    assert!(counted <= bounds.items as usize, "more items than the bounds say");
    let mut walk = Walk::new(form, bytes, bounds);
    let Ok(span) = walk.span() else { return };
    if end.is_ok() {
        let again = self::items(Walk::new(form, span, bounds));
        assert_eq!(said(&again), said(&(items, end)), "a span says what it is a span of");
    }
}

/// Two walks to compare: what is no number is equal to itself here.
fn said(of: &impl core::fmt::Debug) -> String {
    format!("{of:?}")
}

/// Going through is going over: the same ends and the same flaws, but for what can be skipped only.
fn agrees(form: Form, bytes: &[u8], bounds: Bounds) {
    let mut walk = Walk::new(form, bytes, bounds);
    let mut open = Vec::new();
    let mut wrong = None;
    while wrong.is_none() && !walk.is_over() {
        let mut over = walk.clone();
        let at_end = walk.at_end();
        let item = match walk.next() {
            Err(Flaw::Unsupported | Flaw::Number) => walk.skip().map(|()| Item::Null),
            item => item,
        };
        assert!(at_end.is_ok() || item.is_err(), "what has no end goes on");
        match item {
            Ok(Item::List | Item::Map) => open.push(over),
            Ok(Item::End) => {
                assert_eq!(at_end, Ok(true), "an end is seen before it is read");
                assert_eq!(over.skip(), Err(Flaw::Short), "an end is no value");
                let over = open.pop().map(|mut over| (over.skip(), over.left()));
                assert_eq!(over, Some((Ok(()), walk.left())), "the end of what was open");
            }
            Ok(_) => assert_eq!((over.skip(), over.left()), (Ok(()), walk.left()), "one item"),
            Err(flaw) => wrong = Some(flaw),
        }
    }
    let through = wrong.map_or_else(|| walk.finish(), Err);
    let mut over = Walk::new(form, bytes, bounds);
    assert_eq!(over.skip().and_then(|()| over.finish()), through, "one verdict");
}

/// What was read is said in every form, and says the same there, and said back.
fn comes_back(form: Form, bytes: &[u8], bounds: Bounds) {
    let mut walk = Walk::new(form, bytes, bounds);
    let read = Value::read(&mut walk).and_then(|value| walk.finish().map(|()| value));
    let well = items(Walk::new(form, bytes, bounds)).1.is_ok();
    for to in Form::ALL {
        let mut out = vec![b'x'];
        let done = transcode(form, bytes, to, &mut out, bounds);
        assert_eq!(done.is_ok(), well, "what is walked well is transcoded, and nothing else");
        assert_eq!(out == b"x", !well, "with a flaw nothing is appended");
        assert!(out.len() <= 1 + GROWTH_MAX * bytes.len(), "it grows with the input");
        let (Ok(value), Some(there)) = (&read, out.get(1..)) else { continue };
        let carried = carried(value, to);
        assert_eq!(said(&tree(to, there)), said(&Ok::<_, Flaw>(&carried)), "{form:?} to {to:?}");
        let mut written = Vec::new();
        carried.write(&mut Writer::new(to, &mut written));
        assert_eq!(written, there, "a tree is written as a walk is");
        let mut back = Vec::new();
        let done = transcode(to, there, form, &mut back, bounds);
        assert_eq!(done, Ok(()), "what was written is read");
        let carried = self::carried(&carried, form);
        assert_eq!(said(&tree(form, &back)), said(&Ok::<_, Flaw>(&carried)), "and back");
    }
}

/// The one value that stands in these bytes.
pub fn tree(form: Form, bytes: &[u8]) -> Result<Value, Flaw> {
    let mut walk = Walk::new(form, bytes, Bounds::default());
    let value = Value::read(&mut walk)?;
    walk.finish().map(|()| value)
}

/// What becomes of a value in a form: JSON has no numbers that are none, and there a text that
/// looks like bytes is taken for bytes.
pub fn carried(value: &Value, to: Form) -> Value {
    let json = to == Form::Json;
    match value {
        Value::Float(number) if json && !number.is_finite() => Value::Null,
        Value::Text(text) if json => {
            let bytes = text.strip_prefix('\0').and_then(|code| base64::decode(code.as_bytes()));
            bytes.map_or_else(|| value.clone(), Value::Bytes)
        }
        Value::List(values) => Value::List(values.iter().map(|v| carried(v, to)).collect()),
        Value::Map(pairs) => {
            Value::Map(pairs.iter().map(|(key, v)| (key.clone(), carried(v, to))).collect())
        }
        _ => value.clone(),
    }
}
