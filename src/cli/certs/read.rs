//! Floor 6. What stands in a certificate, and in a list of revoked ones.
//!
//! Both are read by walking over the DER; what cannot be read is said, never guessed. Parts that
//! are only handed on (names, keys, extensions) stay the bytes they were, so nothing that this
//! program does not know is lost on the way. Absent on purpose: judging signatures.

use crate::base::der::{self, BOOLEAN, INTEGER, OCTETS, OID, SEQUENCE, SET, UTC_TIME, Walk};

/// A certificate, in parts. Parts that are bytes are whole elements.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    pub(super) serial: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) begin: &'a [u8],
    pub(super) end: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) public: &'a [u8],
    pub(super) extensions: Vec<Extension<'a>>,
}

/// One more thing that a certificate says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension<'a> {
    /// Its kind: what is in the OID.
    pub(super) kind: &'a [u8],
    /// What it says.
    pub(super) value: &'a [u8],
    /// All of it.
    pub(super) whole: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn of(der: &'a [u8]) -> Option<Self> {
        let mut body = Walk(Walk(Walk(der).enter(SEQUENCE)?).enter(SEQUENCE)?);
        body.skip_if(der::part(0));
        let serial = body.enter(INTEGER)?;
        body.enter(SEQUENCE)?;
        let issuer = body.whole()?;
        let mut validity = Walk(body.enter(SEQUENCE)?);
        let (begin, end) = (validity.whole()?, validity.whole()?);
        let (subject, public) = (body.whole()?, body.whole()?);
        let mut all = Vec::new();
        while !body.is_empty() {
            let (tag, inner) = body.next()?;
            if tag == der::part(3) {
                all = extensions(Walk(inner).enter(SEQUENCE)?)?;
            }
        }
        Some(Self { serial, issuer, begin, end, subject, public, extensions: all })
    }

    /// What the extension of this kind says.
    pub(super) fn extension(&self, kind: &[u8]) -> Option<&'a [u8]> {
        self.extensions.iter().find(|own| own.kind == kind).map(|own| own.value)
    }

    /// May it issue others?
    pub(super) fn is_ca(&self) -> bool {
        let value = self.extension(CONSTRAINTS).and_then(|value| Walk(value).enter(SEQUENCE));
        value.and_then(|inner| Walk(inner).enter(BOOLEAN)).is_some_and(|yes| yes == [0xff])
    }

    /// The number by which its own key is known.
    pub(super) fn key_id(&self) -> Option<&'a [u8]> {
        Walk(self.extension(SUBJECT_KEY)?).enter(OCTETS)
    }

    /// What it may be used for.
    pub(super) fn uses(&self) -> Option<Vec<String>> {
        let Some(value) = self.extension(USES) else { return Some(Vec::new()) };
        let mut uses = Vec::new();
        let mut list = Walk(Walk(value).enter(SEQUENCE)?);
        while !list.is_empty() {
            uses.push(match list.enter(OID)? {
                SERVER => "server".to_owned(),
                CLIENT => "client".to_owned(),
                other => format!("OID {}", hex(other)),
            });
        }
        Some(uses)
    }

    /// The alternative names: a kind and a name each.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let Some(value) = self.extension(NAMES) else { return Some(Vec::new()) };
        let mut names = Vec::new();
        let mut list = Walk(Walk(value).enter(SEQUENCE)?);
        while !list.is_empty() {
            let (tag, value) = list.next()?;
            let text = || String::from_utf8_lossy(value).escape_debug().to_string();
            match (tag, value.len()) {
                (0x81, _) => names.push(format!("mail {}", text())),
                (0x82, _) => names.push(format!("host {}", text())),
                (0x86, _) => names.push(format!("uri {}", text())),
                (0x87, 4) => {
                    let four: [u8; 4] = value.try_into().ok()?;
                    names.push(format!("address {}", std::net::Ipv4Addr::from(four)));
                }
                (0x87, 16) => {
                    let sixteen: [u8; 16] = value.try_into().ok()?;
                    names.push(format!("address {}", std::net::Ipv6Addr::from(sixteen)));
                }
                _ => {}
            }
        }
        Some(names)
    }
}

fn extensions(list: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut all = Vec::new();
    let mut list = Walk(list);
    while !list.is_empty() {
        let whole = list.whole()?;
        let mut extension = Walk(Walk(whole).enter(SEQUENCE)?);
        let kind = extension.enter(OID)?;
        extension.skip_if(BOOLEAN);
        all.push(Extension { kind, value: extension.enter(OCTETS)?, whole });
    }
    Some(all)
}

/// A list of revoked certificates, in parts.
#[derive(Debug)]
pub(super) struct Revoked<'a> {
    /// A whole element.
    pub(super) issuer: &'a [u8],
    pub(super) begin: &'a [u8],
    pub(super) end: Option<&'a [u8]>,
    pub(super) rows: Vec<Row<'a>>,
    /// How many lists came before it.
    pub(super) number: u64,
}

/// A revoked certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) serial: &'a [u8],
    pub(super) when: &'a [u8],
    pub(super) whole: &'a [u8],
}

impl<'a> Revoked<'a> {
    pub(super) fn of(der: &'a [u8]) -> Option<Self> {
        let mut body = Walk(Walk(Walk(der).enter(SEQUENCE)?).enter(SEQUENCE)?);
        body.skip_if(INTEGER);
        body.enter(SEQUENCE)?;
        let (issuer, begin) = (body.whole()?, body.whole()?);
        let (mut end, mut rows, mut number) = (None, Vec::new(), 0);
        while !body.is_empty() {
            let whole = body.whole()?;
            match Walk(whole).next()? {
                (SEQUENCE, list) => rows = revocations(list)?,
                (tag, inner) if tag == der::part(0) => {
                    let all = extensions(Walk(inner).enter(SEQUENCE)?)?;
                    let found = all.iter().find(|own| own.kind == NUMBER);
                    let digits = found.and_then(|own| Walk(own.value).enter(INTEGER));
                    number = digits.map_or(0, number_of);
                }
                _ => end = Some(whole),
            }
        }
        Some(Self { issuer, begin, end, rows, number })
    }

    /// Is the certificate of this number on it?
    pub(super) fn has(&self, serial: &[u8]) -> bool {
        self.rows.iter().any(|row| row.serial == serial)
    }
}

fn revocations(list: &[u8]) -> Option<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    let mut list = Walk(list);
    while !list.is_empty() {
        let whole = list.whole()?;
        let mut row = Walk(Walk(whole).enter(SEQUENCE)?);
        rows.push(Row { serial: row.enter(INTEGER)?, when: row.whole()?, whole });
    }
    Some(rows)
}

/// A number of few bytes; of the others what fits.
fn number_of(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit))
}

/// A distinguished name (a whole element): its parts in their order.
pub(super) fn name(whole: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Walk(Walk(whole).enter(SEQUENCE)?);
    while !sets.is_empty() {
        let mut set = Walk(sets.enter(SET)?);
        while !set.is_empty() {
            let mut pair = Walk(set.enter(SEQUENCE)?);
            let kind = pair.enter(OID)?;
            let (_, text) = pair.next()?;
            let text = String::from_utf8_lossy(text).escape_debug().to_string();
            parts.push(match kind {
                [0x55, 4, 3] => format!("CN={text}"),
                [0x55, 4, 6] => format!("C={text}"),
                [0x55, 4, 7] => format!("L={text}"),
                [0x55, 4, 8] => format!("ST={text}"),
                [0x55, 4, 10] => format!("O={text}"),
                [0x55, 4, 11] => format!("OU={text}"),
                _ => format!("?={text}"),
            });
        }
    }
    Some(parts.join(", "))
}

/// A moment (a whole element) as RFC 3339 has it, so that moments compare as texts.
pub(super) fn moment(whole: &[u8]) -> Option<String> {
    let (kind, text) = Walk(whole).next()?;
    let text = std::str::from_utf8(text).ok()?;
    let (century, rest) = match kind {
        UTC_TIME if text.get(..2)? < "50" => ("20", text),
        UTC_TIME => ("19", text),
        _ => (text.get(..2)?, text.get(2..)?),
    };
    let part = |from: usize| rest.get(from..from + 2);
    Some(format!(
        "{century}{}-{}-{}T{}:{}:{}Z",
        part(0)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?,
        part(10)?
    ))
}

/// A serial number as people write it: without the byte that only says that it is not negative.
pub(super) fn serial(digits: &[u8]) -> String {
    hex(digits.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(digits))
}

/// Bytes as people write them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 2.5.29.14
pub(super) const SUBJECT_KEY: &[u8] = &[0x55, 29, 14];
/// 2.5.29.15
pub(super) const KEY_USES: &[u8] = &[0x55, 29, 15];
/// 2.5.29.17
pub(super) const NAMES: &[u8] = &[0x55, 29, 17];
/// 2.5.29.19
pub(super) const CONSTRAINTS: &[u8] = &[0x55, 29, 19];
/// 2.5.29.20
pub(super) const NUMBER: &[u8] = &[0x55, 29, 20];
/// 2.5.29.35
pub(super) const ISSUER_KEY: &[u8] = &[0x55, 29, 35];
/// 2.5.29.37
pub(super) const USES: &[u8] = &[0x55, 29, 37];
/// 1.3.6.1.5.5.7.3.1
pub(super) const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// 1.3.6.1.5.5.7.3.2
pub(super) const CLIENT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
