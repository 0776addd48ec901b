//! Floor 6. `spindle certs show`: what is in a file of certificates.
//!
//! Absent on purpose: judging whether somebody should trust them; the times alone are compared.

use std::path::Path;

use super::super::ctl::object;
use super::super::json::Value;
use super::pem::{self, CERTIFICATE, CRL};
use super::read::{Certificate, Revoked, moment, name, serial};
use super::{Done, No, text, texts};
use crate::base::calendar::rfc3339;
use crate::os::clock::Clock;

/// Rows of names and values.
type Rows = Vec<(&'static str, Value)>;

pub(super) fn show(path: &Path) -> Result<Done, No> {
    let wrong = |why: &str| format!("{}: {why}", path.display());
    let content = pem::read(path)?;
    let now = rfc3339(Clock::start().now().wall);
    let mut parts: Vec<(&'static str, Rows)> = Vec::new();
    for der in pem::blocks(&content, CERTIFICATE).map_err(|why| wrong(&why))? {
        let rows = certificate(&der, &now);
        let rows = rows.ok_or_else(|| wrong("a certificate cannot be read"))?;
        parts.push(("certificates", rows));
    }
    for der in pem::blocks(&content, CRL).map_err(|why| wrong(&why))? {
        let rows = list(&der, &now).ok_or_else(|| wrong("a revocation list cannot be read"))?;
        parts.push(("lists", rows));
    }
    if parts.is_empty() {
        return Err(wrong(
            "there is no BEGIN CERTIFICATE and no BEGIN X509 CRL in it; PEM is expected",
        )
        .into());
    }
    let lines = parts.iter().map(|(_, rows)| lines(rows)).collect::<Vec<_>>().join("\n\n");
    let of = |kind: &str| {
        let rows = parts.iter().filter(|(own, _)| *own == kind);
        Value::List(rows.map(|(_, rows)| object(rows.clone())).collect())
    };
    let rows = vec![("certificates", of("certificates")), ("lists", of("lists"))];
    Ok(Done { text: lines, rows })
}

fn certificate(der: &[u8], now: &str) -> Option<Rows> {
    let it = Certificate::of(der)?;
    let (begin, end) = (moment(it.begin)?, moment(it.end)?);
    let state = match () {
        () if now < begin.as_str() => "not valid yet",
        () if now > end.as_str() => "expired",
        () => "valid by its time",
    };
    Some(vec![
        ("subject", text(&name(it.subject)?)),
        ("issuer", text(&name(it.issuer)?)),
        ("serial", text(&serial(it.serial))),
        ("not_before", text(&begin)),
        ("not_after", text(&end)),
        ("state", text(state)),
        ("issuer_of_others", Value::Bool(it.is_ca())),
        ("uses", texts(&it.uses()?)),
        ("names", texts(&it.names()?)),
    ])
}

fn list(der: &[u8], now: &str) -> Option<Rows> {
    let it = Revoked::of(der)?;
    let end = it.end.and_then(moment);
    let over = end.as_ref().is_some_and(|end| now > end.as_str());
    let revoked: Option<Vec<String>> = it
        .rows
        .iter()
        .map(|row| Some(format!("{} {}", serial(row.serial), moment(row.when)?)))
        .collect();
    Some(vec![
        ("issuer", text(&name(it.issuer)?)),
        ("number", Value::Number(it.number as f64)),
        ("from", text(&moment(it.begin)?)),
        ("next_before", text(&end.unwrap_or_default())),
        ("state", text(if over { "out of date" } else { "in force" })),
        ("revoked", texts(&revoked?)),
    ])
}

/// A row for each value; of a list one for each of its items.
fn lines(rows: &Rows) -> String {
    let mut lines = Vec::new();
    for (name, value) in rows {
        let name = name.replace('_', " ");
        match value {
            Value::List(items) => {
                let name = name.strip_suffix('s').unwrap_or(&name);
                lines.extend(items.iter().map(|item| format!("{name:<11} {}", item.plain())));
            }
            Value::Bool(false) => {}
            Value::Bool(true) => lines.push(name),
            other => lines.push(format!("{name:<11} {}", other.plain())),
        }
    }
    lines.join("\n")
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
        params.serial_number = Some(vec![0x12, 0xab].into());
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let path = std::env::temp_dir().join(format!("spindle-certs-{}", std::process::id()));
        std::fs::write(&path, &pem).unwrap();
        let text = show(&path).unwrap().text;
        std::fs::write(&path, "nothing").unwrap();
        let nothing = show(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("CN=a broker"), "{text}");
        assert!(text.contains("not after   2031-05-06T00:00:00Z"), "{text}");
        assert!(text.contains("serial      12ab"), "{text}");
        assert!(text.contains("name        host broker.test\nname        address 10.0.0.1"));
        assert!(nothing.is_err());
    }

    #[test]
    fn the_state_is_by_the_time() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let it = params.self_signed(&key).unwrap();
        for (now, state) in [
            ("2019-12-31T23:59:59.999Z", "not valid yet"),
            ("2020-01-01T00:00:01.000Z", "valid by its time"),
            ("2060-01-01T00:00:01.000Z", "expired"),
        ] {
            let rows = certificate(it.der(), now).unwrap();
            assert!(rows.contains(&("state", text(state))), "{now}");
        }
    }

    #[test]
    fn half_a_certificate_is_none() {
        assert!(certificate(&[0x30, 0x82, 0xff], "").is_none());
        assert!(certificate(&[], "").is_none());
        assert!(list(&[0x30, 0x03, 0x30], "").is_none());
    }
}
