//! Floor 6. A private key, and what it signs.
//!
//! Keys that are made here are ECDSA on P-256, which every client knows; an issuer that was made
//! elsewhere may have any key that TLS can use. The signing is that of the TLS this program speaks
//! anyhow. Absent on purpose: encrypted keys, and keys in hardware.

use std::path::Path;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::SignatureScheme;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;

use crate::base::der::{BITS, NULL, OID, SEQUENCE, Walk, element};

/// A private key.
pub(super) struct Key {
    signing: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
}

impl Key {
    /// A new one, and how it is written down (PKCS#8).
    pub(super) fn generate() -> Result<(Self, Vec<u8>), String> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        let bytes = made.map_err(|_| "no randomness for a key")?.as_ref().to_vec();
        let key = Self::of(&PrivatePkcs8KeyDer::from(bytes.clone()).into())?;
        Ok((key, bytes))
    }

    /// The one in a file (PEM). An error names the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let der = PrivateKeyDer::from_pem_file(path).map_err(|e| wrong(e.to_string()))?;
        Self::of(&der).map_err(wrong)
    }

    fn of(der: &PrivateKeyDer<'_>) -> Result<Self, String> {
        let signing = any_supported_type(der).map_err(|e| e.to_string())?;
        let all: Vec<SignatureScheme> = ALGORITHMS.iter().map(|(scheme, ..)| *scheme).collect();
        let scheme = signing.choose_scheme(&all).map(|signer| signer.scheme());
        Ok(Self { signing, scheme: scheme.ok_or("not a key that certificates are signed with")? })
    }

    /// Its public half, as certificates have it.
    pub(super) fn public(&self) -> Result<Vec<u8>, String> {
        let public = self.signing.public_key().ok_or("the key has no public half")?;
        Ok(public.as_ref().to_vec())
    }

    /// How its signatures are called in a certificate.
    pub(super) fn algorithm(&self) -> Vec<u8> {
        let row = ALGORITHMS.iter().find(|(scheme, ..)| *scheme == self.scheme);
        let (name, with_null) = row.map_or((&[][..], false), |(_, name, null)| (*name, *null));
        let null: &[u8] = if with_null { &[NULL, 0] } else { &[] };
        element(SEQUENCE, &[&element(OID, &[name]), null])
    }

    /// What was said, and its signature, as certificates and lists end.
    pub(super) fn sign(&self, said: &[u8]) -> Result<Vec<u8>, String> {
        let signer = self.signing.choose_scheme(&[self.scheme]).ok_or("the key does not sign")?;
        let signature = signer.sign(said).map_err(|e| e.to_string())?;
        let signature = element(BITS, &[&[0], &signature]);
        Ok(element(SEQUENCE, &[said, &self.algorithm(), &signature]))
    }

    /// Is the signature at the end of this certificate, or list, of this key?
    pub(super) fn has_signed(&self, der: &[u8]) -> bool {
        self.public().is_ok_and(|public| judge(&public, der).unwrap_or(false))
    }
}

fn judge(public: &[u8], der: &[u8]) -> Option<bool> {
    let mut parts = Walk(Walk(der).enter(SEQUENCE)?);
    let (said, algorithm) = (parts.whole()?, parts.enter(SEQUENCE)?);
    let signature = parts.enter(BITS)?.get(1..)?;
    let mut parts = Walk(Walk(public).enter(SEQUENCE)?);
    let (kind, bits) = (parts.enter(SEQUENCE)?, parts.enter(BITS)?.get(1..)?);
    let all = default_provider().signature_verification_algorithms.all;
    let fits = all.iter().find(|it| {
        it.signature_alg_id().as_ref() == algorithm && it.public_key_alg_id().as_ref() == kind
    });
    Some(fits?.verify_signature(bits, said, signature).is_ok())
}

/// Schemes, their names (RFC 5758, RFC 8410, RFC 8017), and whether a NULL stands behind the name.
const ALGORITHMS: &[(SignatureScheme, &[u8], bool)] = &[
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], false),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], false),
    (SignatureScheme::ED25519, &[0x2b, 0x65, 0x70], false),
    (SignatureScheme::RSA_PKCS1_SHA256, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b], true),
];
