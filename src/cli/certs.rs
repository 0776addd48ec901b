//! Floor 6. `spindle certs show`: what is in a certificate file.
//!
//! Subject, alternative names and validity are read by walking over the DER, with the same bounds
//! as everywhere: what cannot be read is said, never guessed. Absent on purpose: making
//! certificates, for which this program would need a library that nothing else here uses.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::base::base64;

use super::{FAILED, complain, say};

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Print subject, alternative names and validity of every certificate in a file (PEM)
    Show { file: PathBuf },
}

impl Verb {
    pub(super) fn run(self) -> u8 {
        let Self::Show { file } = self;
        match show(&file) {
            Ok(text) => say(&text),
            Err(why) => complain(&format!("{}: {why}", file.display()), FAILED),
        }
    }
}

fn show(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let (body, _) =
            block.split_once("-----END CERTIFICATE-----").ok_or("a block has no end")?;
        let body: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let der = base64::decode(&body).ok_or("a block is no base64")?;
        out.push(describe(&der).ok_or("a certificate cannot be read")?);
    }
    if out.is_empty() {
        return Err("there is no BEGIN CERTIFICATE in it; PEM is expected".to_owned());
    }
    Ok(out.join("\n\n"))
}

fn describe(der: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(der)?;
    let (_, mut body, _) = element(certificate)?;
    if body.first() == Some(&0xa0) {
        body = element(body)?.2;
    }
    // Serial number and algorithm.
    body = element(body)?.2;
    body = element(body)?.2;
    let (_, issuer, rest) = element(body)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, mut rest) = element(rest)?;
    let (kind, begin, end) = element(validity)?;
    let (kind2, end, _) = element(end)?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (tag, inner, behind) = element(rest)?;
        if tag == 0xa3 {
            names = alternatives(element(inner)?.1)?;
        }
        rest = behind;
    }
    let mut text = format!(
        "subject     {}\nissuer      {}\nnot before  {}\nnot after   {}",
        name(subject)?,
        name(issuer)?,
        time(kind, begin)?,
        time(kind2, end)?
    );
    for name in names {
        text += &format!("\nname        {name}");
    }
    Some(text)
}

/// The first element: its tag, what is in it, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk::<2>()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 3 {
            return None;
        }
        let (digits, behind) = rest.split_at_checked(bytes)?;
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = behind;
    }
    let (inner, behind) = rest.split_at_checked(len)?;
    Some((tag, inner, behind))
}

/// A distinguished name: its parts in their order.
fn name(mut sets: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    while !sets.is_empty() {
        let (_, mut set, behind) = element(sets)?;
        sets = behind;
        while !set.is_empty() {
            let (_, pair, rest) = element(set)?;
            set = rest;
            let (_, oid, value) = element(pair)?;
            let (_, value, _) = element(value)?;
            let value = String::from_utf8_lossy(value).escape_debug().to_string();
            parts.push(match oid {
                [0x55, 4, 3] => format!("CN={value}"),
                [0x55, 4, 6] => format!("C={value}"),
                [0x55, 4, 7] => format!("L={value}"),
                [0x55, 4, 8] => format!("ST={value}"),
                [0x55, 4, 10] => format!("O={value}"),
                [0x55, 4, 11] => format!("OU={value}"),
                _ => format!("?={value}"),
            });
        }
    }
    Some(parts.join(", "))
}

/// The alternative names among the extensions.
fn alternatives(mut extensions: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !extensions.is_empty() {
        let (_, extension, behind) = element(extensions)?;
        extensions = behind;
        let (_, oid, mut rest) = element(extension)?;
        if oid != [0x55, 29, 17] {
            continue;
        }
        if rest.first() == Some(&1) {
            rest = element(rest)?.2;
        }
        let (_, octets, _) = element(rest)?;
        let (_, mut list, _) = element(octets)?;
        while !list.is_empty() {
            let (tag, value, behind) = element(list)?;
            list = behind;
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
    }
    Some(names)
}

/// UTCTime (two digits of a year) or GeneralizedTime (four).
fn time(kind: u8, text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let (century, rest) = match kind {
        0x17 if text.get(..2)? < "50" => ("20", text),
        0x17 => ("19", text),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_who_it_is_for_and_until_when() {
        let mut params =
            rcgen::CertificateParams::new(vec!["broker.test".to_owned(), "10.0.0.1".to_owned()])
                .unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a broker");
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let path = std::env::temp_dir().join(format!("spindle-certs-{}", std::process::id()));
        std::fs::write(&path, &pem).unwrap();
        let text = show(&path).unwrap();
        std::fs::write(&path, "nothing").unwrap();
        let nothing = show(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("CN=a broker"), "{text}");
        assert!(text.contains("not after   2031-05-06T00:00:00Z"), "{text}");
        assert!(text.contains("name        host broker.test\nname        address 10.0.0.1"));
        assert!(nothing.is_err());
    }

    #[test]
    fn half_a_certificate_is_none() {
        assert_eq!(describe(&[0x30, 0x82, 0xff]), None);
        assert_eq!(describe(&[]), None);
    }
}
