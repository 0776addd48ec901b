//! Floor 1. CBOR by RFC 8949: one token, and how each item is written.
//!
//! What is written is definite and the shortest there is (section 4.1); what is read may be any.
//! Tags are passed over: what counts is the value inside. Undefined is null. Absent on purpose:
//! what tags mean, simple values without a meaning, keys that are no text.

use std::borrow::Cow;

use super::walk::ENDLESS;
use super::{Flaw, Item, Token, cut};

/// Ends what has no declared length.
pub(super) const BREAK: u8 = 0xFF;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The token that begins here.
pub(super) fn token<'a>(rest: &mut &'a [u8], keep: bool) -> Result<Token<'a>, Flaw> {
    loop {
        let head = cut::byte(rest)?;
        let (major, info) = (head >> 5, head & 0x1F);
        return Ok(Token::Leaf(match (major, info) {
            (BYTES, 31) => Item::Bytes(Cow::Owned(pieces(rest, BYTES, keep)?)),
            (TEXT, 31) => Item::Text(Cow::Owned(text_pieces(rest, keep)?)),
            (LIST, 31) => return Ok(Token::List(ENDLESS)),
            (MAP, 31) => return Ok(Token::Map(ENDLESS)),
            (UNSIGNED, _) => Item::whole(argument(rest, info)?),
            (NEGATIVE, _) => match i64::try_from(argument(rest, info)?) {
                Ok(number) => Item::Int(-1 - number),
                Err(_) => return Ok(Token::Strange(Flaw::Number)),
            },
            (BYTES, _) => {
                let len = argument(rest, info)?;
                Item::Bytes(Cow::Borrowed(cut::take(rest, len)?))
            }
            (TEXT, _) => {
                let len = argument(rest, info)?;
                Item::Text(Cow::Borrowed(cut::text(rest, len)?))
            }
            (LIST, _) => {
                let len = argument(rest, info)?;
                return cut::count(rest, len, 1).map(Token::List);
            }
            (MAP, _) => {
                let len = argument(rest, info)?;
                return cut::count(rest, len, 2).map(Token::Map);
            }
            (TAG, _) => {
                argument(rest, info)?;
                continue;
            }
            _ => return simple(rest, info),
        }));
    }
}

/// The number in a head, or behind it.
fn argument(rest: &mut &[u8], info: u8) -> Result<u64, Flaw> {
    Ok(match info {
        0..24 => u64::from(info),
        24 => u64::from(cut::byte(rest)?),
        25 => u64::from(u16::from_be_bytes(cut::array(rest)?)),
        26 => u64::from(u32::from_be_bytes(cut::array(rest)?)),
        27 => u64::from_be_bytes(cut::array(rest)?),
        _ => return Err(Flaw::Malformed),
    })
}

fn simple<'a>(rest: &mut &[u8], info: u8) -> Result<Token<'a>, Flaw> {
    Ok(Token::Leaf(match info {
        20 => Item::Bool(false),
        21 => Item::Bool(true),
        22 | 23 => Item::Null,
        0..20 => return Ok(Token::Strange(Flaw::Unsupported)),
        // Section 3.3: what fits into the head must stand there.
        24 => match cut::byte(rest)? {
            0..32 => return Err(Flaw::Malformed),
            _ => return Ok(Token::Strange(Flaw::Unsupported)),
        },
        25 => Item::Float(from_half(u16::from_be_bytes(cut::array(rest)?))),
        26 => Item::Float(f64::from(f32::from_be_bytes(cut::array(rest)?))),
        27 => Item::Float(f64::from_be_bytes(cut::array(rest)?)),
        _ => return Err(Flaw::Malformed),
    }))
}

/// Section 3.2.3: pieces of the same kind, each with its length, up to a break.
fn piece<'a>(rest: &mut &'a [u8], kind: u8) -> Result<Option<&'a [u8]>, Flaw> {
    let head = cut::byte(rest)?;
    if head == BREAK {
        return Ok(None);
    }
    if head >> 5 != kind {
        return Err(Flaw::Malformed);
    }
    let len = argument(rest, head & 0x1F)?;
    cut::take(rest, len).map(Some)
}

fn pieces(rest: &mut &[u8], kind: u8, keep: bool) -> Result<Vec<u8>, Flaw> {
    let mut all = Vec::new();
    while let Some(piece) = piece(rest, kind)? {
        if keep {
            all.extend_from_slice(piece);
        }
    }
    Ok(all)
}

/// No character is cut by the end of a piece.
fn text_pieces(rest: &mut &[u8], keep: bool) -> Result<String, Flaw> {
    let mut all = String::new();
    while let Some(piece) = piece(rest, TEXT)? {
        let piece = core::str::from_utf8(piece).map_err(|_| Flaw::Utf8)?;
        if keep {
            all.push_str(piece);
        }
    }
    Ok(all)
}

/// Two bytes: a sign, five bits of exponent, ten of fraction.
fn from_half(half: u16) -> f64 {
    let (exponent, fraction) = (u64::from(half >> 10 & 0x1F), u64::from(half & 0x3FF));
    let size = match exponent {
        0 => fraction as f64 / HALF_UNITS,
        31 => f64::from_bits(0x7FF << 52 | fraction << 42),
        _ => f64::from_bits((exponent + 1023 - 15) << 52 | fraction << 42),
    };
    if half >> 15 == 1 { -size } else { size }
}

/// The least that two bytes hold is one of these.
const HALF_UNITS: f64 = 16_777_216.0;

/// The double in two bytes, if they hold it; it must be a number.
fn to_half(number: f64) -> Option<u16> {
    let bits = number.to_bits();
    let sign = (bits >> 48) as u16 & 0x8000;
    let exponent = (bits >> 52 & 0x7FF) as i32 - 1023;
    let (fraction, lost) = ((bits >> 42 & 0x3FF) as u16, bits << 22);
    let units = number.abs() * HALF_UNITS;
    match exponent {
        1024 => Some(sign | 0x7C00),
        -14..=15 if lost == 0 => Some(sign | ((exponent + 15) as u16) << 10 | fraction),
        ..-14 if units.fract() == 0.0 => Some(sign | units as u16),
        _ => None,
    }
}

fn put_head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    if number < 24 {
        out.push(major | number as u8);
    } else if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[major | 24, number]);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(major | 25);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(major | 26);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Nothing.
pub(super) const NULL: u8 = 0xF6;

/// Yes or no.
pub(super) const fn truth(truth: bool) -> u8 {
    if truth { 0xF5 } else { 0xF4 }
}

/// A whole number that is not negative.
pub(super) fn put_unsigned(out: &mut Vec<u8>, number: u64) {
    put_head(out, UNSIGNED, number);
}

/// A whole number.
pub(super) fn put_int(out: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => put_head(out, UNSIGNED, number),
        // -1 - number, which is the number with every bit turned.
        Err(_) => put_head(out, NEGATIVE, (!number).cast_unsigned()),
    }
}

/// A double, in the fewest bytes that hold it.
pub(super) fn put_float(out: &mut Vec<u8>, number: f64) {
    let short = number as f32;
    if number.is_nan() {
        out.extend_from_slice(&[0xF9, 0x7E, 0x00]);
    } else if let Some(half) = to_half(number) {
        out.push(0xF9);
        out.extend_from_slice(&half.to_be_bytes());
    } else if f64::from(short).to_bits() == number.to_bits() {
        out.push(0xFA);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xFB);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Text.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The head of a list.
pub(super) fn put_list(out: &mut Vec<u8>, len: usize) {
    put_head(out, LIST, len as u64);
}

/// The head of a map.
pub(super) fn put_map(out: &mut Vec<u8>, len: usize) {
    put_head(out, MAP, len as u64);
}
