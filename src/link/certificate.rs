//! Floor 1. The name in a client's certificate, and when one ends.
//!
//! A certificate that came through the TLS machine is well formed and signed by somebody we
//! trust; what is read here is only its subject and its alternative names, by walking over the
//! rest. A name becomes a user name, so what could be read in two ways (a NUL, a control character,
//! two common names) is refused instead of cut. Absent on purpose: every other field.

use sha2::{Digest, Sha256};

use crate::base::calendar;
use crate::base::der::{self, BOOLEAN, IA5, OCTETS, OID, PRINTABLE, SEQUENCE, SET, UTF8, Walk};
use crate::base::hex;

/// Which name of a certificate is the user's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Named {
    /// The common name of the subject.
    #[default]
    Subject,
    /// The first alternative name that is a mail address, a host or a URI.
    Alternative,
    /// None: it is known by the digits of SHA-256 over all of it.
    Whole,
}

/// A name that cannot be a user's, or a certificate that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoName;

/// The user name in a certificate (DER), if it has one.
pub fn name(der: &[u8], named: Named) -> Result<Option<String>, NoName> {
    let found = match named {
        Named::Whole => return Ok(Some(hex::encode(&Sha256::digest(der)))),
        Named::Subject => subject(der).and_then(common_name),
        Named::Alternative => extensions(der).and_then(alternative),
    };
    let Some(name) = found.ok_or(NoName)? else { return Ok(None) };
    let tame = !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control);
    if tame { Ok(Some(name.to_owned())) } else { Err(NoName) }
}

/// The millisecond since 1970 after which the certificate (DER) is not valid any more.
#[must_use]
pub fn until(der: &[u8]) -> Option<u64> {
    let mut certificate = Walk(Walk(der).enter(SEQUENCE)?);
    let mut body = Walk(certificate.enter(SEQUENCE)?);
    body.skip_if(der::part(0));
    for _ in 0..3 {
        body.next()?;
    }
    let mut validity = Walk(body.enter(SEQUENCE)?);
    validity.next()?;
    let (tag, text) = validity.next()?;
    // Two digits of the year, or four; 50 is 1950 (RFC 5280, 4.1.2.5.1).
    let (digits, century) = match tag {
        der::UTC_TIME => (2, None),
        der::LONG_TIME => (4, Some(0)),
        _ => return None,
    };
    let (year, rest) = text.split_at_checked(digits)?;
    let year = decimal(year)?;
    let century = century.unwrap_or(if year < 50 { 2_000 } else { 1_900 });
    let mut parts = rest.strip_suffix(b"Z")?.chunks(2).map(decimal);
    let mut part = || parts.next().flatten();
    let (date, time) = ([century + year, part()?, part()?], [part()?, part()?, part()?]);
    calendar::ms_of(date, time)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// What stands before the subject is skipped: version, serial number, algorithm, issuer, validity.
fn body(der: &[u8]) -> Option<Walk<'_>> {
    let mut certificate = Walk(Walk(der).enter(SEQUENCE)?);
    let mut body = Walk(certificate.enter(SEQUENCE)?);
    body.skip_if(der::part(0));
    for _ in 0..4 {
        body.next()?;
    }
    Some(body)
}

fn subject(der: &[u8]) -> Option<&[u8]> {
    body(der)?.enter(SEQUENCE)
}

/// The last part of a certificate's body; a certificate without it has none.
fn extensions(der: &[u8]) -> Option<&[u8]> {
    let mut body = body(der)?;
    while !body.is_empty() {
        let (tag, inner) = body.next()?;
        if tag == der::part(3) {
            return Walk(inner).enter(SEQUENCE);
        }
    }
    Some(&[])
}

/// The common name of a subject; two are one too many.
fn common_name(subject: &[u8]) -> Option<Option<&str>> {
    let mut found = None;
    let mut sets = Walk(subject);
    while !sets.is_empty() {
        let mut pairs = Walk(sets.enter(SET)?);
        while !pairs.is_empty() {
            let mut pair = Walk(pairs.enter(SEQUENCE)?);
            if pair.enter(OID)? != COMMON_NAME {
                continue;
            }
            let text = match pair.next()? {
                (UTF8 | PRINTABLE | IA5, text) => core::str::from_utf8(text).ok()?,
                // Other alphabets than ASCII and Unicode have no single reading.
                _ => return None,
            };
            if found.replace(text).is_some() {
                return None;
            }
        }
    }
    Some(found)
}

/// The first alternative name that is a mail address, a host or a URI.
fn alternative(extensions: &[u8]) -> Option<Option<&str>> {
    let mut extensions = Walk(extensions);
    while !extensions.is_empty() {
        let mut extension = Walk(extensions.enter(SEQUENCE)?);
        if extension.enter(OID)? != ALTERNATIVE_NAMES {
            continue;
        }
        extension.skip_if(BOOLEAN);
        let mut names = Walk(Walk(extension.enter(OCTETS)?).enter(SEQUENCE)?);
        while !names.is_empty() {
            if let (0x81 | 0x82 | 0x86, text) = names.next()? {
                let text = core::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
                return Some(Some(text));
            }
        }
    }
    Some(None)
}

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 29, 17];
/// What a user name in a packet may have.
const NAME_MAX: usize = 65_535;
