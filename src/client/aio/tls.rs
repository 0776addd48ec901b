//! Floor 5. The client's side of TLS as connectors do it: one server, known by its certificate.
//!
//! Their certificates are of version 1, without names and issuers (specification 4), which the
//! usual checks refuse. So the certificate is compared, byte by byte or by its fingerprint, with
//! the one that the client was given, and the handshake must be signed by the key in it. Absent on
//! purpose: issuers, names, dates; and SNI, which connectors do not send.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, crypto,
    version,
};

use crate::base::der::{INTEGER, SEQUENCE, Walk, part};
use crate::client::mqtt::Session;
use crate::link::tls::Config;

use super::keys::{Pair, Whom};
use super::{Error, Fingerprint};

/// One connection's TLS: to this server, showing this certificate, or none.
pub(super) fn session(whom: Whom<'_>, own: Option<&Pair>) -> Result<Session, Error> {
    let provider = Arc::new(ring::default_provider());
    let wanted = match whom {
        Whom::File(path) => Wanted::Certificate(certificate(path, &read(path)?)?),
        Whom::Known(print) => Wanted::Print(print),
        Whom::Anybody => Wanted::Nothing,
    };
    let own = own.map(|pair| shown(pair, &provider)).transpose()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Known { wanted, provider }));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_cert_resolver(Arc::new(Own(own))),
    };
    config.enable_sni = false;
    let nobody = ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    Ok(Session::over(config, nobody)?)
}

/// Can these be shown? What cannot is not kept.
pub(super) fn check(crt: &str, key: &str) -> Result<(), Error> {
    let given = Path::new("what the server gave");
    certificate(given, crt.as_bytes())?;
    let provider = ring::default_provider();
    signer(given, key.as_bytes(), &provider).map(drop)
}

/// The fingerprint of a certificate whose key this is, both in PEM.
pub(super) fn pair(crt: &str, key: &str) -> Result<Fingerprint, Error> {
    let provider = ring::default_provider();
    let certificate = certificate(Path::new("the certificate"), crt.as_bytes())?;
    let key = signer(Path::new("its key"), key.as_bytes(), &provider)?;
    let own = key.public_key().ok_or_else(|| broken("the key does not say what is public"))?;
    match public_key(&certificate) {
        Some(public) if public == &own[..] => Ok(Fingerprint::of(&certificate)),
        _ => Err(broken("the key is another certificate's")),
    }
}

fn shown(pair: &Pair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let certificate = certificate(&pair.certificate, &read(&pair.certificate)?)?;
    let key = signer(&pair.key, &read(&pair.key)?, provider)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

fn certificate(path: &Path, pem: &[u8]) -> Result<CertificateDer<'static>, Error> {
    let wrong = |why: String| broken(format!("{}: {why}", path.display()));
    CertificateDer::from_pem_slice(pem).map_err(|e| wrong(e.to_string()))
}

fn signer(
    path: &Path,
    pem: &[u8],
    provider: &CryptoProvider,
) -> Result<Arc<dyn rustls::sign::SigningKey>, Error> {
    let wrong = |why: String| broken(format!("{}: {why}", path.display()));
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|e| wrong(e.to_string()))?;
    provider.key_provider.load_private_key(key).map_err(|e| wrong(e.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| broken(format!("{}: {e}", path.display())))
}

fn broken(why: impl ToString) -> Error {
    Error::Tls(why.to_string())
}

/// What the side that listens does TLS by: it shows a certificate, and asks for none.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

impl Offer {
    /// With this certificate and its key, in PEM.
    pub(super) fn new(crt: &str, key: &str) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let (of_crt, of_key) = (Path::new("the certificate"), Path::new("its key"));
        let certificate = certificate(of_crt, crt.as_bytes())?;
        let fingerprint = Fingerprint::of(&certificate);
        let key = signer(of_key, key.as_bytes(), &provider)?;
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(broken)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        Ok(Self { config: Arc::new(config), fingerprint })
    }

    /// With this certificate and its key, in PEM, for callers who show a certificate of their own,
    /// whoever issued it: whose it is decides who compares it.
    pub(super) fn asking(crt: &str, key: &str) -> Result<Self, Error> {
        let made = Config::of_connectors(crt.as_bytes(), key.as_bytes()).map_err(broken)?;
        let own = certificate(Path::new("the certificate"), crt.as_bytes())?;
        Ok(Self { config: made.server(), fingerprint: Fingerprint::of(&own) })
    }

    /// For one who has called.
    pub(super) fn session(&self) -> Result<Session, Error> {
        Ok(Session::answering(Arc::clone(&self.config))?)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// Shows the one certificate there is to whoever asks.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What the server must show.
#[derive(Debug)]
enum Wanted {
    Certificate(CertificateDer<'static>),
    /// One with this fingerprint, or any; its key must have signed.
    Print(Option<Fingerprint>),
    Nothing,
}

/// Knows one certificate, or takes any.
#[derive(Debug)]
struct Known {
    wanted: Wanted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.wanted {
            Wanted::Certificate(wanted) if wanted != own => {
                Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
            }
            Wanted::Print(Some(wanted)) if *wanted != Fingerprint::of(own) => {
                let shown = Fingerprint::of(own);
                let why = format!("the server's fingerprint is {shown}, and not {wanted}");
                Err(rustls::Error::General(why))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if matches!(self.wanted, Wanted::Nothing) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if matches!(self.wanted, Wanted::Nothing) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let bad = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let key = public_key(own).ok_or(bad)?;
        let algorithms = &self.provider.signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(key);
        crypto::verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The key in a certificate of any version.
fn public_key(der: &[u8]) -> Option<&[u8]> {
    let mut body = Walk(Walk(Walk(der).enter(SEQUENCE)?).enter(SEQUENCE)?);
    body.skip_if(part(0));
    body.enter(INTEGER)?;
    for _ in ["algorithm", "issuer", "validity", "subject"] {
        body.enter(SEQUENCE)?;
    }
    body.whole()
}
