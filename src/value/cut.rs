//! Floor 1. Cuts fields off the front of what is left of an input.
//!
//! Lengths are compared with what is there before anything is made of them. Absent on purpose:
//! forms; and copies.

use super::Flaw;

/// One byte.
pub(super) fn byte(rest: &mut &[u8]) -> Result<u8, Flaw> {
    let (first, behind) = rest.split_first().ok_or(Flaw::Short)?;
    *rest = behind;
    Ok(*first)
}

/// So many bytes, as many as the caller's number has.
pub(super) fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Flaw> {
    let (first, behind) = rest.split_first_chunk::<N>().ok_or(Flaw::Short)?;
    *rest = behind;
    Ok(*first)
}

/// So many bytes.
pub(super) fn take<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], Flaw> {
    let len = usize::try_from(len).map_err(|_| Flaw::Short)?;
    let (first, behind) = rest.split_at_checked(len).ok_or(Flaw::Short)?;
    *rest = behind;
    Ok(first)
}

/// So much text.
pub(super) fn text<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a str, Flaw> {
    core::str::from_utf8(take(rest, len)?).map_err(|_| Flaw::Utf8)
}

/// A declared count of values of which none takes less than `least` bytes: there must be as many
/// bytes, so a count is never more than the input could hold.
pub(super) fn count(rest: &[u8], declared: u64, least: u64) -> Result<u64, Flaw> {
    let bytes = declared.checked_mul(least).ok_or(Flaw::Short)?;
    if bytes > rest.len() as u64 { Err(Flaw::Short) } else { Ok(declared) }
}
