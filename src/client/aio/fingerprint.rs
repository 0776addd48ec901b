//! Floor 5. What a certificate is known by to people: SHA-256 over all of it, in digits.
//!
//! Written without separators, and read with those that OpenSSL and people put in. Absent on
//! purpose: shorter forms; of few digits somebody could make another certificate.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::hex;

use super::{Error, tls};

/// The fingerprint of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of this certificate (DER).
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// That of this certificate, if this is its key; both in PEM.
    pub fn of_pair(crt: &str, key: &str) -> Result<Self, Error> {
        tls::pair(crt, key)
    }

    /// What these digits say: 64 of them, with blanks or colons between them or not.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b':')).collect();
        hex::decode(&digits)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written_here_and_by_openssl() {
        let print = Fingerprint::of(b"abc");
        let text = print.to_string();
        assert!(text.starts_with("ba7816bf") && text.len() == 64, "that of FIPS 180");
        let pairs: Vec<&str> = (0..32).map(|n| &text[2 * n..2 * n + 2]).collect();
        for said in [text.clone(), pairs.join(":").to_uppercase(), pairs.join(" ")] {
            assert_eq!(Fingerprint::read(&said), Some(print), "{said}");
        }
        for bad in ["", &text[2..], &format!("{text}00"), &text.replace('b', "g")] {
            assert_eq!(Fingerprint::read(bad), None, "{bad}");
        }
    }
}
