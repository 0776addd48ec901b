//! Floor 6. Certificates and lists of revoked ones, made (RFC 5280).
//!
//! From bytes to bytes: who issues, for whom, until when, and out comes DER. What an issuer or an
//! old certificate says already is handed on as it stands there. Absent on purpose:
//! files, the clock, chains of more than one issuer.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::base::calendar::Moment;
use crate::base::der::{
    self, BITS, BOOLEAN, LONG_TIME, OCTETS, OID, SEQUENCE, SET, UTC_TIME, UTF8, Walk, element,
    integer,
};

use super::key::Key;
use super::read::{
    self, CLIENT, CONSTRAINTS, Certificate, ISSUER_KEY, KEY_USES, NAMES, NUMBER, Revoked, SERVER,
    SUBJECT_KEY, USES,
};

/// Who issues.
pub(super) struct Issuer<'a> {
    /// Its distinguished name, a whole element.
    pub(super) name: &'a [u8],
    /// The number by which its key is known.
    pub(super) key_id: Option<&'a [u8]>,
    pub(super) key: &'a Key,
}

/// For whom, until when and for what.
pub(super) struct Subject<'a> {
    /// Its distinguished name, a whole element.
    pub(super) name: &'a [u8],
    /// Its public key, a whole element.
    pub(super) public: &'a [u8],
    /// From when to when, whole elements.
    pub(super) validity: [&'a [u8]; 2],
    /// All extensions but those about keys.
    pub(super) extensions: Vec<Vec<u8>>,
}

/// A certificate. `random` makes its number.
pub(super) fn certificate(
    issuer: &Issuer<'_>,
    subject: &Subject<'_>,
    random: [u8; 16],
) -> Result<Vec<u8>, String> {
    let mut extensions = subject.extensions.concat();
    let own = key_id(subject.public).ok_or("the public key cannot be read")?;
    extensions.extend(extension(SUBJECT_KEY, false, &element(OCTETS, &[&own])));
    extensions.extend(issuer.key_id.map(issuer_key).unwrap_or_default());
    let said = element(
        SEQUENCE,
        &[
            &element(der::part(0), &[&integer(&[2])]),
            &integer(&serial(random)),
            &issuer.key.algorithm(),
            issuer.name,
            &element(SEQUENCE, &subject.validity),
            subject.name,
            subject.public,
            &element(der::part(3), &[&element(SEQUENCE, &[&extensions])]),
        ],
    );
    issuer.key.sign(&said)
}

/// A list of revoked certificates: the rows of the old one, and these serial numbers.
pub(super) fn list(
    issuer: &Issuer<'_>,
    old: Option<&Revoked<'_>>,
    more: &[&[u8]],
    [now, end]: [&[u8]; 2],
) -> Result<Vec<u8>, String> {
    let mut rows = Vec::new();
    for row in old.iter().flat_map(|old| &old.rows) {
        rows.extend_from_slice(row.whole);
    }
    for serial in more {
        // As it stands in the certificate, byte by byte.
        rows.extend(element(SEQUENCE, &[&element(der::INTEGER, &[serial]), now]));
    }
    // A list of none has no place for them.
    let rows = if rows.is_empty() { rows } else { element(SEQUENCE, &[&rows]) };
    let number = old.map_or(0, |old| old.number) + 1;
    let number = extension(NUMBER, false, &integer(&number.to_be_bytes()));
    let whose = issuer.key_id.map(issuer_key).unwrap_or_default();
    let said = element(
        SEQUENCE,
        &[
            &integer(&[1]),
            &issuer.key.algorithm(),
            issuer.name,
            now,
            end,
            &rows,
            &element(der::part(0), &[&element(SEQUENCE, &[&whose, &number])]),
        ],
    );
    issuer.key.sign(&said)
}

/// What an issuer's own certificate says besides.
pub(super) fn of_issuer() -> Vec<Vec<u8>> {
    // It issues for peers only, not for other issuers.
    let constraints = element(SEQUENCE, &[&element(BOOLEAN, &[&[0xff]]), &integer(&[0])]);
    // Bits 5 and 6: certificates and lists.
    let uses = element(BITS, &[&[1, 0x06]]);
    vec![extension(CONSTRAINTS, true, &constraints), extension(KEY_USES, true, &uses)]
}

/// What a broker's certificate says besides, for these names.
pub(super) fn of_server(names: &[Name]) -> Vec<Vec<u8>> {
    of_peer(SERVER, names)
}

/// What a client's certificate says besides, for these names.
pub(super) fn of_client(names: &[Name]) -> Vec<Vec<u8>> {
    of_peer(CLIENT, names)
}

fn of_peer(role: &[u8], names: &[Name]) -> Vec<Vec<u8>> {
    // Bit 0: signatures, which is all that is asked of such keys.
    let mut all = vec![
        extension(KEY_USES, true, &element(BITS, &[&[7, 0x80]])),
        extension(USES, false, &element(SEQUENCE, &[&element(OID, &[role])])),
    ];
    if !names.is_empty() {
        let names: Vec<u8> = names.iter().flat_map(Name::der).collect();
        all.push(extension(NAMES, false, &element(SEQUENCE, &[&names])));
    }
    all
}

/// What an old certificate says besides, but for what is about keys.
pub(super) fn handed_on(old: &Certificate<'_>) -> Vec<Vec<u8>> {
    let rest = old.extensions.iter().filter(|own| ![SUBJECT_KEY, ISSUER_KEY].contains(&own.kind));
    rest.map(|own| own.whole.to_vec()).collect()
}

/// A name by which somebody is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Name {
    Host(String),
    Address(IpAddr),
    Mail(String),
}

impl Name {
    /// A host or an address, or why it is neither.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Address(address));
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let labels = text.strip_prefix("*.").unwrap_or(text);
        let tame = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(letter);
        match text.len() <= 253 && labels.split('.').all(tame) {
            true => Ok(Self::Host(text.to_ascii_lowercase())),
            false => Err(format!(
                "not a host name and not an address: {} (other letters than ASCII's are written \
                 as xn--...)",
                text.escape_debug()
            )),
        }
    }

    fn der(&self) -> Vec<u8> {
        match self {
            Self::Mail(text) => element(0x81, &[text.as_bytes()]),
            Self::Host(text) => element(0x82, &[text.as_bytes()]),
            Self::Address(IpAddr::V4(four)) => element(0x87, &[&four.octets()]),
            Self::Address(IpAddr::V6(sixteen)) => element(0x87, &[&sixteen.octets()]),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(text) | Self::Mail(text) => f.write_str(text),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A distinguished name that is one common name; it has at most 64 letters.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    let pair =
        element(SEQUENCE, &[&element(OID, &[&[0x55, 4, 3]]), &element(UTF8, &[text.as_bytes()])]);
    element(SEQUENCE, &[&element(SET, &[&pair])])
}

/// A moment: two digits of the year until 2049 (RFC 5280, 4.1.2.5).
pub(super) fn moment(ms: u64) -> Vec<u8> {
    let Moment { year, month, day, clock: [h, m, s, _], .. } = Moment::of(ms);
    let rest = format!("{month:02}{day:02}{h:02}{m:02}{s:02}Z");
    match year {
        ..2050 => element(UTC_TIME, &[format!("{:02}{rest}", year % 100).as_bytes()]),
        _ => element(LONG_TIME, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

/// The number by which a public key is known: what RFC 7093 takes of its hash.
pub(super) fn key_id(public: &[u8]) -> Option<[u8; 20]> {
    let mut parts = Walk(Walk(public).enter(SEQUENCE)?);
    parts.enter(SEQUENCE)?;
    let bits = parts.enter(BITS)?;
    let hash: [u8; 32] = Sha256::digest(bits.get(1..)?).into();
    hash.first_chunk().copied()
}

fn issuer_key(id: &[u8]) -> Vec<u8> {
    extension(ISSUER_KEY, false, &element(SEQUENCE, &[&element(0x80, &[id])]))
}

fn extension(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[BOOLEAN, 1, 0xff] } else { &[] };
    element(SEQUENCE, &[&element(OID, &[kind]), critical, &element(OCTETS, &[value])])
}

/// A number that is positive and of one length, of 126 random bits.
fn serial(mut random: [u8; 16]) -> [u8; 16] {
    random[0] = random[0] & 0x7f | 0x40;
    random
}

/// The later end that both allow.
pub(super) fn earlier<'a>(one: &'a [u8], other: &'a [u8]) -> &'a [u8] {
    match (read::moment(one), read::moment(other)) {
        (Some(a), Some(b)) if b < a => other,
        _ => one,
    }
}
