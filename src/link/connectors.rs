//! Floor 1. The server's side of TLS as connectors of aioconnectors do it: everybody signs itself.
//!
//! Their certificates are of version 1, without names and issuers, which the usual checks refuse
//! (specification 4). So whoever comes must show one and have signed the handshake by the key in
//! it; whose it is decides who compares the whole of it with those that are kept, once the
//! handshake is done. TLS 1.3 alone: signatures by such a key are checked nowhere else. Nothing is
//! resumed: every connection shows its certificate, so that one which was taken away is missed at
//! once. Absent on purpose: the certificates that are kept.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme, client::danger::HandshakeSignatureValid, version,
};

use super::certificate::{self, Named};
use super::tls::{ClientCert, Config, Materials, Unusable, Wall, certificates, key};
use crate::base::der::{INTEGER, SEQUENCE, Walk, part};

impl Config {
    /// For connectors, by the server's own certificate and its key (PEM). Whoever comes is named by
    /// the digits of SHA-256 over its certificate.
    pub fn of_connectors(certificate: &[u8], private: &[u8]) -> Result<Self, Unusable> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(certificate).map_err(Unusable::Certificate)?;
        let until = chain.first().and_then(|first| certificate::until(first));
        let private_key = key(private).map_err(Unusable::Key)?;
        let signing = provider.key_provider.load_private_key(private_key);
        let signing = signing.map_err(|e| Unusable::Key(e.to_string()))?;
        let first = chain.first().and_then(|first| public_key(first));
        let theirs = first.ok_or_else(|| Unusable::Certificate("it cannot be read".into()))?;
        if signing.public_key().is_some_and(|own| own.as_ref() != theirs) {
            return Err(Unusable::Mismatch);
        }
        let shown = Arc::new(Own(Arc::new(CertifiedKey::new(chain, signing))));
        let wall = Arc::new(Wall::default());
        let clock = Arc::<Wall>::clone(&wall);
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), clock)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|e| Unusable::Certificate(e.to_string()))?;
        let mut server =
            builder.with_client_cert_verifier(Arc::new(AnyKey(provider))).with_cert_resolver(shown);
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let named = Named::Whole;
        let client = ClientCert::Required;
        let made_of = Materials { certificate, key: private, ca: None, crl: None, client, named };
        let (server, digest) = (Arc::new(server), made_of.digest());
        Ok(Self { server, wall, named, until, digest })
    }

    /// The same, for whoever goes through handshakes without the rest of this floor.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

/// Shows the one certificate there is.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Takes any certificate of which the client has the key.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyKey {
    // With a list of issuers the clients' libraries would look for one of those, and find none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        public_key(own).map(|_| ClientCertVerified::assertion()).ok_or(UNREADABLE)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // That version is not offered.
        Err(UNREADABLE)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key(own).ok_or(UNREADABLE)?);
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const UNREADABLE: Error = Error::InvalidCertificate(CertificateError::BadEncoding);

/// The key in a certificate of any version, with what kind it is.
fn public_key(der: &[u8]) -> Option<&[u8]> {
    let mut body = Walk(Walk(Walk(der).enter(SEQUENCE)?).enter(SEQUENCE)?);
    body.skip_if(part(0));
    body.enter(INTEGER)?;
    for _ in ["algorithm", "issuer", "validity", "subject"] {
        body.enter(SEQUENCE)?;
    }
    body.whole()
}
