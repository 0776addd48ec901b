//! Floor 1. JSON by RFC 8259: one token, and how each item is written.
//!
//! Text is looked at in runs up to a quote, a backslash or a control character, and borrowed where
//! no backslash was found. A number without fraction and exponent is whole if 64 bits hold it; all
//! others are doubles, written in the shortest way that reads back alike. Absent on purpose:
//! comments, trailing commas, halves of surrogate pairs, anything the RFC leaves out.

use std::borrow::Cow;
use std::io::Write as _;

use crate::base::base64;

use super::walk::ENDLESS;
use super::{Flaw, Item, Token, cut};

/// Without the white space in front.
pub(super) fn blank(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\t' | b'\r' | b'\n', behind @ ..] = rest {
        rest = behind;
    }
    rest
}

/// Up to where an item begins: over the sign that is due before it.
pub(super) fn approach(text: &[u8], sign: Option<u8>) -> Result<&[u8], Flaw> {
    let rest = blank(text);
    let Some(sign) = sign else { return Ok(rest) };
    match rest.split_first() {
        Some((first, behind)) if *first == sign => Ok(blank(behind)),
        Some(_) => Err(Flaw::Malformed),
        None => Err(Flaw::Short),
    }
}

/// The token that begins here; as a key, or where a value is due.
pub(super) fn token<'a>(rest: &mut &'a [u8], key: bool, keep: bool) -> Result<Token<'a>, Flaw> {
    let all = *rest;
    let first = cut::byte(rest)?;
    Ok(Token::Leaf(match first {
        b'"' => {
            let text = text(rest, keep)?;
            if key { Item::Text(text) } else { text_or_bytes(text) }
        }
        b'[' => return Ok(Token::List(ENDLESS)),
        b'{' => return Ok(Token::Map(ENDLESS)),
        b't' => word(rest, b"rue", Item::Bool(true))?,
        b'f' => word(rest, b"alse", Item::Bool(false))?,
        b'n' => word(rest, b"ull", Item::Null)?,
        b'-' | b'0'..=b'9' => {
            *rest = all;
            return number(rest, keep);
        }
        _ => return Err(Flaw::Malformed),
    }))
}

fn word<'a>(rest: &mut &[u8], tail: &[u8], item: Item<'a>) -> Result<Item<'a>, Flaw> {
    if let Some(behind) = rest.strip_prefix(tail) {
        *rest = behind;
        return Ok(item);
    }
    Err(if tail.starts_with(rest) { Flaw::Short } else { Flaw::Malformed })
}

/// Section 6: no leading zeros, no bare point.
fn number<'a>(rest: &mut &'a [u8], keep: bool) -> Result<Token<'a>, Flaw> {
    let all = *rest;
    let negative = one_of(rest, b"-");
    let first = rest.first() == Some(&b'0');
    let whole = digits(rest)?;
    if first && whole.len() > 1 {
        return Err(Flaw::Malformed);
    }
    let mut plain = true;
    if one_of(rest, b".") {
        plain = false;
        digits(rest)?;
    }
    if one_of(rest, b"eE") {
        plain = false;
        one_of(rest, b"+-");
        digits(rest)?;
    }
    if !keep {
        return Ok(Token::Leaf(Item::Null));
    }
    if plain && let Some(item) = integer(negative, whole) {
        return Ok(Token::Leaf(item));
    }
    let text = all.get(..all.len() - rest.len()).unwrap_or_default();
    let double = core::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    Ok(match double.filter(|double| double.is_finite()) {
        Some(double) => Token::Leaf(Item::Float(double)),
        None => Token::Strange(Flaw::Number),
    })
}

/// What 64 bits hold. They hold no negative nothing: that is a double.
fn integer(negative: bool, digits: &[u8]) -> Option<Item<'static>> {
    let mut number = 0_u64;
    for digit in digits {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    match (negative, number) {
        (false, _) => Some(Item::whole(number)),
        (true, 0) => None,
        (true, _) => 0_i64.checked_sub_unsigned(number).map(Item::Int),
    }
}

/// At least one digit.
fn digits<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Flaw> {
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 {
        return Err(if rest.is_empty() { Flaw::Short } else { Flaw::Malformed });
    }
    cut::take(rest, len as u64)
}

fn one_of(rest: &mut &[u8], letters: &[u8]) -> bool {
    let Some((first, behind)) = rest.split_first().filter(|(first, _)| letters.contains(first))
    else {
        return false;
    };
    let _ = first;
    *rest = behind;
    true
}

/// A string behind its first quote. Unless it is to be kept, what it says is only checked.
fn text<'a>(rest: &mut &'a [u8], keep: bool) -> Result<Cow<'a, str>, Flaw> {
    let plain = run(rest)?;
    if cut::byte(rest)? == b'"' {
        return Ok(Cow::Borrowed(plain));
    }
    let mut text = String::new();
    if keep {
        text.push_str(plain);
    }
    loop {
        let letter = escaped(rest)?;
        let plain = run(rest)?;
        if keep {
            text.push(letter);
            text.push_str(plain);
        }
        if cut::byte(rest)? == b'"' {
            return Ok(Cow::Owned(text));
        }
    }
}

/// What stands before the next quote or backslash, of which there must be one.
fn run<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Flaw> {
    let run = cut::text(rest, special(rest).ok_or(Flaw::Short)? as u64)?;
    if matches!(rest.first(), Some(0..0x20)) { Err(Flaw::Malformed) } else { Ok(run) }
}

/// Where the first quote, backslash or control character stands. Eight bytes are looked at at once.
fn special(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(8 * n + marks.trailing_zeros() as usize / 8);
        }
    }
    let rest = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    rest.map(|at| 8 * words.len() + at)
}

/// The high bit of each byte that is special; above the lowest of them, of others perhaps too.
///
/// Taking a number from a byte below it leaves the high bit set, and borrows from the next byte;
/// so the lowest mark is right. What had the bit before is no ASCII, and not meant.
const fn marks(word: u64) -> u64 {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let quote = word ^ (ALL * b'"' as u64);
    let slash = word ^ (ALL * b'\\' as u64);
    let below = word.wrapping_sub(ALL * 0x20) & !word;
    let equal = quote.wrapping_sub(ALL) & !quote | slash.wrapping_sub(ALL) & !slash;
    (below | equal) & (ALL * 0x80)
}

/// The character behind a backslash.
fn escaped(rest: &mut &[u8]) -> Result<char, Flaw> {
    Ok(match cut::byte(rest)? {
        letter @ (b'"' | b'\\' | b'/') => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => unicode(rest)?,
        _ => return Err(Flaw::Malformed),
    })
}

fn unicode(rest: &mut &[u8]) -> Result<char, Flaw> {
    let unit = hex(rest)?;
    if !(0xD800..0xDC00).contains(&unit) {
        return char::from_u32(unit).ok_or(Flaw::Utf8);
    }
    for due in *b"\\u" {
        if cut::byte(rest)? != due {
            return Err(Flaw::Utf8);
        }
    }
    let low = hex(rest)?.checked_sub(0xDC00).filter(|low| *low < 0x400).ok_or(Flaw::Utf8)?;
    char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + low).ok_or(Flaw::Utf8)
}

fn hex(rest: &mut &[u8]) -> Result<u32, Flaw> {
    let mut unit = 0;
    for digit in cut::array::<4>(rest)? {
        unit = unit << 4 | char::from(digit).to_digit(16).ok_or(Flaw::Malformed)?;
    }
    Ok(unit)
}

/// Bytes are carried as U+0000 and their base64.
fn text_or_bytes(text: Cow<'_, str>) -> Item<'_> {
    let bytes = text.strip_prefix('\0').and_then(|code| base64::decode(code.as_bytes()));
    bytes.map_or(Item::Text(text), |bytes| Item::Bytes(Cow::Owned(bytes)))
}

/// A whole number.
pub(super) fn put_whole(out: &mut Vec<u8>, negative: bool, number: u64) {
    if negative {
        out.push(b'-');
    }
    let (mut digits, mut len, mut left) = ([0; 20], 0, number);
    for place in digits.iter_mut().rev() {
        *place = b'0' + (left % 10) as u8;
        left /= 10;
        len += 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - len..).unwrap_or_default());
}

/// A double, with a point or an exponent so that it stays one. What JSON has not is null.
pub(super) fn put_float(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        // Writing to memory does not fail.
        let _ = write!(out, "{number:?}");
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A string.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((run, behind)) = special(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(run);
        let Some((first, behind)) = behind.split_first() else { break };
        put_escaped(out, *first);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, special: u8) {
    match special {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let _ = write!(out, "\\u{special:04x}");
        }
    }
}

/// Bytes, as a string.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\"\\u0000");
    out.extend_from_slice(base64::encode(bytes).as_bytes());
    out.push(b'"');
}
