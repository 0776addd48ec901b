//! Floor 1. MessagePack: one token, and how each item is written.
//!
//! What is written is the shortest there is; what is read may be any. Extension type 0 is how some
//! encoders of JavaScript write what is not there: null. Other extensions can be passed over.
//! Absent on purpose: timestamps, and the old form in which text and bytes were one.

use std::borrow::Cow;

use super::{Flaw, Item, Token, cut};

/// The token that begins here.
pub(super) fn token<'a>(rest: &mut &'a [u8]) -> Result<Token<'a>, Flaw> {
    let head = cut::byte(rest)?;
    Ok(Token::Leaf(match head {
        0x00..=0x7F => Item::Int(i64::from(head)),
        0x80..=0x8F => return map(rest, u64::from(head & 0x0F)),
        0x90..=0x9F => return list(rest, u64::from(head & 0x0F)),
        0xA0..=0xBF => text(rest, u64::from(head & 0x1F))?,
        0xC0 => Item::Null,
        // The one head that means nothing.
        0xC1 => return Err(Flaw::Malformed),
        0xC2 => Item::Bool(false),
        0xC3 => Item::Bool(true),
        0xC4..=0xC6 => {
            let len = unsigned(rest, head - 0xC4)?;
            Item::Bytes(Cow::Borrowed(cut::take(rest, len)?))
        }
        0xC7..=0xC9 => {
            let len = unsigned(rest, head - 0xC7)?;
            return extension(rest, len);
        }
        0xCA => Item::Float(f64::from(f32::from_be_bytes(cut::array(rest)?))),
        0xCB => Item::Float(f64::from_be_bytes(cut::array(rest)?)),
        0xCC..=0xCF => Item::whole(unsigned(rest, head - 0xCC)?),
        0xD0 => Item::Int(i64::from(i8::from_be_bytes(cut::array(rest)?))),
        0xD1 => Item::Int(i64::from(i16::from_be_bytes(cut::array(rest)?))),
        0xD2 => Item::Int(i64::from(i32::from_be_bytes(cut::array(rest)?))),
        0xD3 => Item::Int(i64::from_be_bytes(cut::array(rest)?)),
        0xD4..=0xD8 => return extension(rest, 1 << (head - 0xD4)),
        0xD9..=0xDB => {
            let len = unsigned(rest, head - 0xD9)?;
            text(rest, len)?
        }
        0xDC | 0xDD => {
            let len = unsigned(rest, head - 0xDB)?;
            return list(rest, len);
        }
        0xDE | 0xDF => {
            let len = unsigned(rest, head - 0xDD)?;
            return map(rest, len);
        }
        0xE0..=0xFF => Item::Int(i64::from(head.cast_signed())),
    }))
}

/// A number of 1, 2, 4 or 8 bytes.
fn unsigned(rest: &mut &[u8], power: u8) -> Result<u64, Flaw> {
    Ok(match power {
        0 => u64::from(cut::byte(rest)?),
        1 => u64::from(u16::from_be_bytes(cut::array(rest)?)),
        2 => u64::from(u32::from_be_bytes(cut::array(rest)?)),
        _ => u64::from_be_bytes(cut::array(rest)?),
    })
}

fn text<'a>(rest: &mut &'a [u8], len: u64) -> Result<Item<'a>, Flaw> {
    cut::text(rest, len).map(|text| Item::Text(Cow::Borrowed(text)))
}

fn list<'a>(rest: &[u8], len: u64) -> Result<Token<'a>, Flaw> {
    cut::count(rest, len, 1).map(Token::List)
}

fn map<'a>(rest: &[u8], len: u64) -> Result<Token<'a>, Flaw> {
    cut::count(rest, len, 2).map(Token::Map)
}

fn extension<'a>(rest: &mut &[u8], len: u64) -> Result<Token<'a>, Flaw> {
    let kind = cut::byte(rest)?;
    cut::take(rest, len)?;
    Ok(if kind == 0 { Token::Leaf(Item::Null) } else { Token::Strange(Flaw::Unsupported) })
}

/// Nothing.
pub(super) const NULL: u8 = 0xC0;

/// Yes or no.
pub(super) const fn truth(truth: bool) -> u8 {
    if truth { 0xC3 } else { 0xC2 }
}

/// A whole number that is not negative.
pub(super) fn put_unsigned(out: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        out.push(number as u8);
    } else if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[0xCC, number]);
    } else {
        put_long(out, number, [0xCD, 0xCE, 0xCF]);
    }
}

/// A number of two bytes or more, behind the head that says how many.
fn put_long(out: &mut Vec<u8>, number: u64, heads: [u8; 3]) {
    let [two, four, eight] = heads;
    if let Ok(number) = u16::try_from(number) {
        out.push(two);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(four);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(eight);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// A whole number.
pub(super) fn put_int(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        put_unsigned(out, number);
    } else if number >= -32 {
        out.push(number as u8);
    } else if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[0xD0, number.cast_unsigned()]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xD1);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xD2);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xD3);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// A double, in four bytes where they hold it.
pub(super) fn put_float(out: &mut Vec<u8>, number: f64) {
    let short = number as f32;
    if number.is_nan() {
        out.extend_from_slice(&[0xCA, 0x7F, 0xC0, 0, 0]);
    } else if f64::from(short).to_bits() == number.to_bits() {
        out.push(0xCA);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Text. What is longer than its length can say fits into no message, and is nothing.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    match u32::try_from(text.len()) {
        Ok(len @ 0..32) => out.push(0xA0 | len as u8),
        Ok(len) => put_len(out, len, [0xD9, 0xDA, 0xDB]),
        Err(_) => return out.push(NULL),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Bytes; as text.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let Ok(len) = u32::try_from(bytes.len()) else { return out.push(NULL) };
    put_len(out, len, [0xC4, 0xC5, 0xC6]);
    out.extend_from_slice(bytes);
}

fn put_len(out: &mut Vec<u8>, len: u32, heads: [u8; 3]) {
    let [one, two, four] = heads;
    if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[one, len]);
    } else {
        put_long(out, u64::from(len), [two, four, four]);
    }
}

/// The head of a list.
pub(super) fn put_list(out: &mut Vec<u8>, len: usize) {
    match len {
        0..16 => out.push(0x90 | len as u8),
        _ => put_count(out, len, [0xDC, 0xDD]),
    }
}

/// The head of a map.
pub(super) fn put_map(out: &mut Vec<u8>, len: usize) {
    match len {
        0..16 => out.push(0x80 | len as u8),
        _ => put_count(out, len, [0xDE, 0xDF]),
    }
}

fn put_count(out: &mut Vec<u8>, len: usize, heads: [u8; 2]) {
    let [two, four] = heads;
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    put_long(out, u64::from(len), [two, four, four]);
}
