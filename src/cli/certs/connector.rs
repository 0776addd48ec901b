//! Floor 6. Certificates as connectors of aioconnectors know each other by: each signs itself.
//!
//! They are compared as they are, so nothing in them says whose they are; a name by chance keeps
//! two apart in a folder of OpenSSL's, where a certificate is found by a hash of its subject.
//! Absent on purpose: issuers.

use sha1_smol::Sha1;

use crate::base::der::{OID, PRINTABLE, SEQUENCE, SET, UTF8, element};

use super::issue::{random, validity};
use super::key::Key;
use super::make::{self, Issuer, Subject};
use super::pem::{self, CERTIFICATE, KEY};

/// A certificate that signs itself.
pub(in crate::cli) struct SelfSigned {
    /// In PEM.
    pub(in crate::cli) certificate: String,
    /// Its key, in PEM.
    pub(in crate::cli) key: String,
    /// What OpenSSL finds it by.
    pub(in crate::cli) hash: String,
}

/// Make one of an organization of this name, in ASCII.
pub(in crate::cli) fn self_signed(organization: &str, days: u32) -> Result<SelfSigned, String> {
    let subject = name(PRINTABLE, "US", organization);
    let (key, secret) = Key::generate()?;
    let public = key.public()?;
    let [begin, end] = validity(days).map_err(|no| no.0)?;
    let issuer = Issuer { name: &subject, key_id: None, key: &key };
    let template = Subject {
        name: &subject,
        public: &public,
        validity: [&begin, &end],
        extensions: Vec::new(),
    };
    let der = make::certificate(&issuer, &template, random()?)?;
    Ok(SelfSigned {
        certificate: pem::block(CERTIFICATE, &der),
        key: pem::block(KEY, &secret),
        hash: hash(organization),
    })
}

/// A country and an organization.
fn name(country_as: u8, country: &str, organization: &str) -> Vec<u8> {
    element(SEQUENCE, &[&parts(country_as, country, organization)])
}

fn parts(country_as: u8, country: &str, organization: &str) -> Vec<u8> {
    let part = |kind: &[u8], tag: u8, text: &str| {
        let pair = [element(OID, &[kind]), element(tag, &[text.as_bytes()])].concat();
        element(SET, &[&element(SEQUENCE, &[&pair])])
    };
    [part(COUNTRY, country_as, country), part(ORGANIZATION, UTF8, organization)].concat()
}

/// The first four bytes of SHA-1 over the name as OpenSSL compares names: UTF-8, small letters, and
/// without what is around the parts; the lowest byte first.
fn hash(organization: &str) -> String {
    let canonical = parts(UTF8, "us", &organization.to_ascii_lowercase());
    let digest = Sha1::from(&canonical).digest().bytes();
    let first = digest.first_chunk::<4>().copied().unwrap_or_default();
    format!("{:08x}", u32::from_le_bytes(first))
}

/// A number by chance, in 32 digits.
pub(in crate::cli) fn by_chance() -> Result<String, String> {
    Ok(random()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 2.5.4.6 and 2.5.4.10.
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_openssl_prints() {
        // `openssl x509 -subject_hash` of a certificate of C=US, O=Company.
        assert_eq!(hash("Company"), "16ae8728");
    }
}
