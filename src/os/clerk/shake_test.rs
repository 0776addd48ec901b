//! Floor 5. Handshakes with certificates as they are given out, of version 1, on both sides.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    version,
};
use sha2::{Digest, Sha256};

use super::making::{Made, self_signed};
use crate::base::hex;
use crate::base::outbound::Outbound;
use crate::base::time::Now;
use crate::link::Flaw;
use crate::link::tls::{Config, Tls, Unusable};

/// Takes any server.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Shows this, whoever has the key.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

fn der(made: &Made) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(made.crt.as_bytes()).unwrap()
}

/// A client that shows this certificate and signs by that key.
fn client(crt: Option<&Made>, key: &Made, newest: bool) -> Arc<ClientConfig> {
    let secret = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
    let signing = ring::sign::any_supported_type(&secret).unwrap();
    let shown = crt.map(|crt| Arc::new(CertifiedKey::new(vec![der(crt)], signing)));
    let versions = if newest { [&version::TLS13] } else { [&version::TLS12] };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_protocol_versions(&versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(Arc::new(Shows(shown)));
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// How far both come, and how.
fn shake(server: &Config, client: &Arc<ClientConfig>) -> Result<(Tls, HandshakeKind), Flaw> {
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    let name = ServerName::try_from("x").unwrap();
    let mut conn = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut tls = Tls::new(server).unwrap();
    for _ in 0..4 {
        let mut said = Vec::new();
        while conn.wants_write() {
            conn.write_tls(&mut said).unwrap();
        }
        tls.take(now, &said, &mut BytesMut::new())?;
        let mut out = Outbound::default();
        tls.drain(&mut out);
        let said = out.to_vec();
        let mut said = &said[..];
        while !said.is_empty() {
            conn.read_tls(&mut said).unwrap();
            // Its own complaints are told by the other end as well.
            let _ = conn.process_new_packets();
        }
    }
    let kind = conn.handshake_kind();
    assert!(tls.is_open(), "the handshake is done");
    Ok((tls, kind.unwrap()))
}

fn made() -> Made {
    self_signed().unwrap()
}

fn server() -> Config {
    let own = made();
    Config::of_connectors(own.crt.as_bytes(), own.key.as_bytes()).unwrap()
}

#[test]
fn a_certificate_of_version_1_is_taken_from_who_has_its_key_and_known_by_all_of_it() {
    let (server, ann, eve) = (server(), made(), made());
    let (tls, _) = shake(&server, &client(Some(&ann), &ann, true)).unwrap();
    let digest = hex::encode(&Sha256::digest(der(&ann)));
    assert_eq!(tls.name(), Some(digest.as_str()));
    let stolen = shake(&server, &client(Some(&ann), &eve, true)).map(|_| ());
    assert_eq!(stolen, Err(Flaw::TlsUntrusted), "whoever has seen it could show it");
    let none = shake(&server, &client(None, &ann, true)).map(|_| ());
    assert_eq!(none, Err(Flaw::TlsNoCertificate));
    let old = shake(&server, &client(Some(&ann), &ann, false)).map(|_| ());
    assert_eq!(old, Err(Flaw::TlsVersion), "there signatures are not checked");
}

#[test]
fn every_connection_shows_its_certificate_and_none_goes_on_where_another_ended() {
    let (server, ann) = (server(), made());
    let client = client(Some(&ann), &ann, true);
    for _ in 0..3 {
        let (tls, kind) = shake(&server, &client).unwrap();
        assert_eq!(kind, HandshakeKind::Full);
        assert!(tls.name().is_some());
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_none() {
    let (one, other) = (made(), made());
    let mixed = Config::of_connectors(one.crt.as_bytes(), other.key.as_bytes());
    assert_eq!(mixed.map(|_| ()), Err(Unusable::Mismatch));
}
