//! Floor 5. A certificate for a connector that has none: it signs itself, and says nothing of whom.
//!
//! It is compared as it is, so neither issuer nor name are of use; a name by chance keeps two apart
//! in a folder of OpenSSL's, where one is found by a hash of its subject. Version 1, as those of
//! the original, and a key on P-256. Absent on purpose: keeping the key.

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use sha1_smol::Sha1;

use crate::base::calendar::Moment;
use crate::base::der::{
    BITS, LONG_TIME, OID, PRINTABLE, SEQUENCE, SET, UTC_TIME, UTF8, element, integer,
};
use crate::base::{base64, hex};
use crate::os::clock::Clock;

/// A certificate and its key.
pub(super) struct Made {
    /// The certificate, in PEM.
    pub(super) crt: String,
    /// Its key, in PEM.
    pub(super) key: String,
    /// What OpenSSL finds it by.
    pub(super) hash: String,
}

/// Valid for ten years, as those of the original.
const DAYS: u64 = 3_650;
/// For those whose clock is behind.
const EARLIER_MS: u64 = 300_000;

pub(super) fn self_signed() -> Result<Made, String> {
    let random = SystemRandom::new();
    let none = |_| "no randomness for a key".to_owned();
    let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
    let secret = secret.map_err(none)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, secret.as_ref(), &random);
    let pair = pair.map_err(|e| e.to_string())?;
    let (mut serial, mut chance) = ([0; 16], [0; 16]);
    random.fill(&mut serial).and_then(|()| random.fill(&mut chance)).map_err(none)?;
    let organization = hex::encode(&chance);
    let name = element(SEQUENCE, &[&parts(PRINTABLE, "US", &organization)]);
    let now = Clock::start().now().wall;
    let [begin, end] = [now.saturating_sub(EARLIER_MS), now + DAYS * 86_400_000].map(moment);
    let kind = [element(OID, &[EC_KEY]), element(OID, &[P256])].concat();
    let public = element(BITS, &[&[0], pair.public_key().as_ref()]);
    let algorithm = element(SEQUENCE, &[&element(OID, &[ECDSA_SHA256])]);
    let said = element(
        SEQUENCE,
        &[
            &integer(&serial),
            &algorithm,
            &name,
            &element(SEQUENCE, &[&begin, &end]),
            &name,
            &element(SEQUENCE, &[&element(SEQUENCE, &[&kind]), &public]),
        ],
    );
    let signature = pair.sign(&random, &said).map_err(none)?;
    let signature = element(BITS, &[&[0], signature.as_ref()]);
    Ok(Made {
        crt: pem("CERTIFICATE", &element(SEQUENCE, &[&said, &algorithm, &signature])),
        key: pem("PRIVATE KEY", secret.as_ref()),
        hash: hash(&organization),
    })
}

/// A country and an organization.
fn parts(country_as: u8, country: &str, organization: &str) -> Vec<u8> {
    let part = |kind: &[u8], tag: u8, text: &str| {
        let pair = [element(OID, &[kind]), element(tag, &[text.as_bytes()])].concat();
        element(SET, &[&element(SEQUENCE, &[&pair])])
    };
    [part(COUNTRY, country_as, country), part(ORGANIZATION, UTF8, organization)].concat()
}

/// The first four bytes of SHA-1 over the name as OpenSSL compares names: UTF-8, small letters,
/// without what is around the parts; the lowest byte first.
fn hash(organization: &str) -> String {
    let digest = Sha1::from(parts(UTF8, "us", &organization.to_ascii_lowercase())).digest();
    let first = digest.bytes().first_chunk::<4>().copied().unwrap_or_default();
    format!("{:08x}", u32::from_le_bytes(first))
}

fn moment(ms: u64) -> Vec<u8> {
    let Moment { year, month, day, clock: [h, m, s, _], .. } = Moment::of(ms);
    let rest = format!("{month:02}{day:02}{h:02}{m:02}{s:02}Z");
    match year {
        ..2050 => element(UTC_TIME, &[format!("{:02}{rest}", year % 100).as_bytes()]),
        _ => element(LONG_TIME, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let digits = base64::encode(der);
    let mut out = format!("-----BEGIN {what}-----\n");
    for line in digits.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {what}-----\n")
}

/// 2.5.4.6 and 2.5.4.10.
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 1.2.840.10045.2.1, 1.2.840.10045.3.1.7 and 1.2.840.10045.4.3.2.
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_openssl_prints() {
        // `openssl x509 -subject_hash` of a certificate of C=US, O=Company.
        assert_eq!(hash("Company"), "16ae8728");
    }
}
