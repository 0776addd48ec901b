//! Floor 5. The client's side of TLS: whom it trusts, what it shows, and bytes either way.
//!
//! Nothing is trusted that was not named: a file, a folder, or the machine's own list. A session
//! may be the listening side's, for protocols in which a client of ours is called. Absent on
//! purpose: encrypted keys, pre-shared keys, versions before 1.2.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct,
    RootCertStore, ServerConfig, ServerConnection, SignatureScheme, StreamOwned, version,
};

use super::Error;
use super::setup::{Tls, TlsVersion};

/// One connection's TLS.
#[derive(Debug)]
pub(crate) struct Session(Box<Connection>);

/// Why nothing was read.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Tls(Error),
}

/// What all connections with the same flags share: files are read once.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    pub(crate) fn new(tls: &Tls) -> Result<Self, Error> {
        Ok(Self(Arc::new(config(tls)?)))
    }

    pub(crate) fn session(&self, host: &str) -> Result<Session, Error> {
        Ok(Session(Box::new(self.connection(host)?.into())))
    }

    fn connection(&self, host: &str) -> Result<ClientConnection, Error> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| broken("the broker's name is none that a certificate has"))?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(broken)
    }
}

impl Session {
    pub(crate) fn new(tls: &Tls, host: &str) -> Result<Self, Error> {
        Trust::new(tls)?.session(host)
    }

    /// With a configuration of the caller's own, for protocols whose certificates are no others'.
    pub(crate) fn over(config: ClientConfig, name: ServerName<'static>) -> Result<Self, Error> {
        let connection = ClientConnection::new(Arc::new(config), name).map_err(broken)?;
        Ok(Self(Box::new(connection.into())))
    }

    /// The side that was called.
    pub(crate) fn answering(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = ServerConnection::new(config).map_err(broken)?;
        Ok(Self(Box::new(connection.into())))
    }

    /// The certificate that the other side has shown, once the handshake is done.
    pub(crate) fn shown(&self) -> Option<&[u8]> {
        Some(self.0.peer_certificates()?.first()?)
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Take what is to be said.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<(), Error> {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(plain).map_err(Error::Io)
    }

    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        self.0.write_tls(socket)
    }

    /// Read once; what it said goes to `into`. 0: the end.
    pub(crate) fn read_from(
        &mut self,
        socket: &mut impl Read,
        into: &mut BytesMut,
    ) -> Result<usize, Broken> {
        let read = self.0.read_tls(socket).map_err(Broken::Io)?;
        let state = self.0.process_new_packets().map_err(|e| Broken::Tls(broken(e)))?;
        let mut left = state.plaintext_bytes_to_read();
        let mut part = [0; 4096];
        while left > 0 {
            let len = match self.0.reader().read(&mut part) {
                Ok(0) => break,
                Ok(len) => len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(Broken::Io(e)),
            };
            into.extend_from_slice(part.get(..len).unwrap_or_default());
            left = left.saturating_sub(len);
        }
        if state.peer_has_closed() { Ok(0) } else { Ok(read) }
    }

    pub(crate) fn close(&mut self) {
        self.0.send_close_notify();
    }
}

/// Say this over TLS, for protocols that answer once: what comes back is read from the stream.
pub(super) fn ask(
    tls: &Tls,
    host: &str,
    socket: TcpStream,
    question: &[u8],
) -> Result<Box<dyn Read + Send>, Error> {
    let connection = Trust::new(tls)?.connection(host)?;
    let mut stream = StreamOwned::new(connection, socket);
    // A certificate that is refused is an error of reading or writing here.
    let said = stream.write_all(question).and_then(|()| stream.flush());
    said.map_err(
        |e| if e.kind() == io::ErrorKind::InvalidData { broken(e) } else { Error::Io(e) },
    )?;
    Ok(Box::new(stream))
}

fn config(tls: &Tls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = match tls.version {
        None => vec![&version::TLS13, &version::TLS12],
        Some(TlsVersion::V12) => vec![&version::TLS12],
        Some(TlsVersion::V13) => vec![&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(broken)?;
    let roots = Arc::new(roots(tls)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
    let verifier = verifier.build().map_err(broken)?;
    let builder = if tls.any_name {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
    } else {
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match (&tls.certificate, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|e| broken(format!("{}: {e}", key.display())))?;
            builder.with_client_auth_cert(chain, key).map_err(broken)?
        }
        _ => return Err(broken("a certificate and its key belong together")),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(config)
}

fn roots(tls: &Tls) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &tls.ca_file {
        for issuer in certificates(file)? {
            roots.add(issuer).map_err(|e| broken(format!("{}: {e}", file.display())))?;
        }
    }
    if let Some(folder) = &tls.ca_path {
        add_folder(&mut roots, folder)?;
    }
    if tls.system || tls.ca_file.is_none() && tls.ca_path.is_none() {
        let list = machines_issuers();
        let list = list.ok_or_else(|| broken("this machine has no list of issuers"))?;
        // One that cannot be understood takes nothing from the others.
        roots.add_parsable_certificates(certificates(list)?);
    }
    if roots.is_empty() { Err(broken("nobody is trusted")) } else { Ok(roots) }
}

fn add_folder(roots: &mut RootCertStore, folder: &Path) -> Result<(), Error> {
    let unread = |e: io::Error| broken(format!("{}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_file() {
            // Keys and lists may lie beside the certificates.
            roots.add_parsable_certificates(certificates(&path).unwrap_or_default());
        }
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => {
            Err(broken(format!("{}: there is no BEGIN CERTIFICATE in it", path.display())))
        }
        Ok(all) => Ok(all),
        Err(e) => Err(broken(format!("{}: {e}", path.display()))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| broken(format!("{}: {e}", path.display())))
}

fn broken(why: impl ToString) -> Error {
    Error::Tls(why.to_string())
}

/// Checks everything about a certificate but whose it is.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(own, issuers, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Where this machine keeps the issuers it trusts.
pub(crate) fn machines_issuers() -> Option<&'static Path> {
    SYSTEM.iter().map(Path::new).find(|path| path.exists())
}

/// Where machines keep the issuers they trust: Debian, Fedora, SUSE, BSD.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
