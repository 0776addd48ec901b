//! Floor 6. `spindle certs revoke` and `crl`: the list of certificates that count no more.
//!
//! A list only ever grows, and every one has a higher number than the one before it. Absent on
//! purpose: reasons, which no broker reads; and taking a certificate off again.

use std::path::PathBuf;

use super::issue::{Ca, list_path, revoked, validity};
use super::make;
use super::pem::{self, CERTIFICATE, CRL, Draft};
use super::read::{self, Certificate, Revoked};
use super::{Done, No, Where, text, texts};
use crate::base::der::{self, Walk};

pub(super) fn revoke(place: &Where, files: &[PathBuf], serial: &[String]) -> Result<Done, No> {
    let ca = Ca::read(place)?;
    let mut serials: Vec<Vec<u8>> =
        serial.iter().map(|s| number(s)).collect::<Result<_, _>>().map_err(No::usage)?;
    for file in files {
        let wrong = |why: &str| format!("{}: {why}", file.display());
        let der = pem::first(file, CERTIFICATE)?;
        let it = Certificate::of(&der).ok_or_else(|| wrong("it cannot be read"))?;
        let issuer = ca.certificate()?;
        if it.issuer != issuer.subject || !ca.key.has_signed(&der) {
            return Err(wrong(&format!("it is not from the issuer {}", ca.path.display())).into());
        }
        if it.public == issuer.public {
            return Err(
                wrong("an issuer does not revoke itself; nobody would have to believe it").into()
            );
        }
        serials.push(it.serial.to_vec());
    }
    write(place, &ca, serials, None)
}

pub(super) fn crl(place: &Where, days: Option<u32>) -> Result<Done, No> {
    write(place, &Ca::read(place)?, Vec::new(), days)
}

fn write(place: &Where, ca: &Ca, mut more: Vec<Vec<u8>>, days: Option<u32>) -> Result<Done, No> {
    let old = revoked(place, ca)?;
    let old = old.as_deref().and_then(Revoked::of);
    let has = |serial: &Vec<u8>| old.as_ref().is_some_and(|old| old.has(serial));
    more.sort();
    more.dedup();
    let (known, more): (Vec<_>, Vec<_>) = more.into_iter().partition(has);
    let [begin, end] = validity(days.unwrap_or(1))?;
    let end = match days {
        Some(_) => &end,
        None => ca.certificate()?.end,
    };
    let more: Vec<&[u8]> = more.iter().map(Vec::as_slice).collect();
    let der = make::list(&ca.issuer()?, old.as_ref(), &more, [&begin, end])?;
    let path = list_path(place);
    // Everything that was in it is in it still.
    pem::write(&[Draft::open(path.clone(), pem::block(CRL, &der))], true)?;
    let list = Revoked::of(&der).ok_or("what was made cannot be read")?;
    let rows: Vec<String> = list.rows.iter().map(|row| read::serial(row.serial)).collect();
    let end = read::moment(end).unwrap_or_default();
    let mut said = format!("written      {}\nvalid until  {end}", path.display());
    for serial in &more {
        said += &format!("\nrevoked      {}", read::serial(serial));
    }
    for serial in &known {
        said += &format!("\nrevoked      {}   (before)", read::serial(serial));
    }
    if more.is_empty() && known.is_empty() {
        said += &rows.iter().map(|row| format!("\nrevoked      {row}")).collect::<String>();
    }
    said += &match rows.len() {
        0 => "\n\nNothing is revoked.".to_owned(),
        1 => "\n\nOne certificate is revoked.".to_owned(),
        n => format!("\n\n{n} certificates are revoked."),
    };
    said += " A broker that runs takes the list over by\n`spindle ctl reload`, or by SIGHUP; who \
             is connected stays so (`spindle ctl clients kick ID`).";
    let rows = vec![
        ("list", text(&path.to_string_lossy())),
        ("not_after", text(&end)),
        ("revoked", texts(&rows)),
    ];
    Ok(Done { text: said, rows })
}

/// A serial number as it is printed.
fn number(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes = bytes.filter(|bytes| (1..=20).contains(&bytes.len()));
    // What a certificate has: as short as can be, and not negative.
    let whole = bytes.map(|bytes| der::integer(&bytes));
    let bytes = whole.and_then(|whole| Walk(&whole).enter(der::INTEGER).map(<[u8]>::to_vec));
    bytes.ok_or_else(|| format!("not a serial number: {}", text.escape_debug()))
}
