//! Floor 1. TLS as a transformation of bytes: records in, plain bytes out, and back.
//!
//! rustls is fed and drained by hand and never sees a socket; the time it judges certificates by
//! is the turn's. A connection keeps the configuration it began with, so a reload only concerns
//! those who come later. What is to be encrypted waits as shared slices and becomes records a
//! turn's share at a time, so a slow reader of large messages owns few records. Absent on purpose:
//! files, pre-shared keys, versions before 1.2, and renegotiation. Entropy is ring's own.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Connection, Error, InconsistentKeys,
    PeerIncompatible, RootCertStore, ServerConfig, ServerConnection,
};

use sha2::{Digest, Sha256};

use super::Flaw;
use super::certificate::{self, Named};
pub use super::toward::{Toward, Trusted};
use crate::base::outbound::Outbound;
use crate::base::time::Now;

/// Must a client have a certificate?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientCert {
    /// It may have one; a bad one is refused, none is fine.
    #[default]
    Optional,
    /// Without one it does not come in.
    Required,
}

/// What a configuration is made of, as PEM.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'a> {
    /// Our certificate, then those between it and its root.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
    /// Issuers of client certificates; without them no client is asked for one.
    pub ca: Option<&'a [u8]>,
    /// What those issuers have revoked.
    pub crl: Option<&'a [u8]>,
    /// Must a client have one?
    pub client: ClientCert,
    /// Which of its names is the user's.
    pub named: Named,
}

impl Materials<'_> {
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [Some(self.certificate), Some(self.key), self.ca, self.crl] {
            // A length in front, so that no two ways of cutting look the same.
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        hash.update([self.client as u8, self.named as u8]);
        hash.finalize().into()
    }
}

/// Why materials make no configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// The certificate is none.
    Certificate(String),
    /// The private key is none.
    Key(String),
    /// The issuers are none.
    Ca(String),
    /// The revocation list is none.
    Crl(String),
    /// Certificate and key do not belong together.
    Mismatch,
    /// A client certificate is required, and no issuer of one is named.
    NoCa,
    /// What the other end is called is none of the names that certificates have.
    Name,
}

/// What a listener does TLS by.
#[derive(Clone)]
pub struct Config {
    pub(super) server: Arc<ServerConfig>,
    pub(super) wall: Arc<Wall>,
    pub(super) named: Named,
    /// When the certificate ends, in milliseconds since 1970, if that can be read.
    pub(super) until: Option<u64>,
    /// Of all that it was made of.
    pub(super) digest: [u8; 32],
}

impl Config {
    /// When the certificate ends, in milliseconds since 1970.
    #[must_use]
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Make one, or say what is wrong with what it was to be made of.
    pub fn new(materials: &Materials<'_>) -> Result<Self, Unusable> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(materials.certificate).map_err(Unusable::Certificate)?;
        let until = chain.first().and_then(|first| certificate::until(first));
        let key = key(materials.key).map_err(Unusable::Key)?;
        let wall = Arc::new(Wall::default());
        let clock = Arc::<Wall>::clone(&wall);
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), clock)
            .with_safe_default_protocol_versions()
            .map_err(|e| Unusable::Certificate(e.to_string()))?;
        let builder = match materials.ca {
            None if materials.client == ClientCert::Required => return Err(Unusable::NoCa),
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(verifier(ca, materials, provider)?),
        };
        let server = builder.with_single_cert(chain, key).map_err(|e| match e {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unusable::Mismatch,
            Error::InvalidCertificate(e) => Unusable::Certificate(e.to_string()),
            other => Unusable::Key(other.to_string()),
        })?;
        let (server, digest) = (Arc::new(server), materials.digest());
        Ok(Self { server, wall, named: materials.named, until, digest })
    }

    /// Is the other one made of the same?
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("named", &self.named).finish_non_exhaustive()
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) => write!(f, "the certificate cannot be used: {why}"),
            Self::Key(why) => write!(f, "the private key cannot be used: {why}"),
            Self::Ca(why) => write!(f, "the issuers of client certificates: {why}"),
            Self::Crl(why) => write!(f, "the revocation list: {why}"),
            Self::Mismatch => f.write_str(
                "the private key is not the certificate's: the first certificate in the file must \
                 be the broker's own",
            ),
            Self::NoCa => f.write_str(
                "client certificates are required, and no issuer of them is named (--tls-ca FILE)",
            ),
            Self::Name => f.write_str("its name is none of those that certificates have"),
        }
    }
}

impl std::error::Error for Unusable {}

pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|e| e.to_string())?;
    if all.is_empty() {
        return Err("there is no BEGIN CERTIFICATE in it; PEM is expected".into());
    }
    Ok(all)
}

pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let locked = b"ENCRYPTED";
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(_) if text.windows(locked.len()).any(|w| w == locked) => {
            Err("it is encrypted; `openssl pkey -in KEY -out PLAIN` makes one that is not".into())
        }
        Err(pem::Error::NoItemsFound) => {
            Err("there is no BEGIN PRIVATE KEY in it; PEM is expected".into())
        }
        Err(e) => Err(e.to_string()),
    }
}

fn verifier(
    ca: &[u8],
    materials: &Materials<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Unusable> {
    let mut roots = RootCertStore::empty();
    for issuer in certificates(ca).map_err(Unusable::Ca)? {
        roots.add(issuer).map_err(|e| Unusable::Ca(e.to_string()))?;
    }
    let mut lists = Vec::new();
    if let Some(crl) = materials.crl {
        for list in CertificateRevocationListDer::pem_slice_iter(crl) {
            lists.push(list.map_err(|e| Unusable::Crl(e.to_string()))?);
        }
        if lists.is_empty() {
            return Err(Unusable::Crl("there is no BEGIN X509 CRL in it".into()));
        }
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        // Issuers between client and root seldom come with lists of their own roots.
        .only_check_end_entity_revocation();
    let builder = match materials.client {
        ClientCert::Optional => builder.allow_unauthenticated(),
        ClientCert::Required => builder,
    };
    builder.build().map_err(|e| match e {
        VerifierBuilderError::InvalidCrl(e) => Unusable::Crl(format!("{e:?}")),
        other => Unusable::Ca(other.to_string()),
    })
}

/// The time of the last turn, for whoever asks in the midst of a handshake.
#[derive(Debug, Default)]
pub(super) struct Wall(AtomicU64);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = self.0.load(Ordering::Relaxed);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// One connection's TLS.
pub struct Tls {
    conn: Connection,
    wall: Arc<Wall>,
    /// Which name of a client's certificate is the user's; a server's is checked by its name.
    named: Option<Named>,
    name: Option<String>,
    /// Plain bytes that wait to become records.
    backlog: VecDeque<Bytes>,
    open: bool,
    ended: bool,
    broken: bool,
}

impl Tls {
    /// The server's side of a new connection.
    pub fn new(config: &Config) -> Result<Self, Flaw> {
        let conn = ServerConnection::new(Arc::clone(&config.server));
        let mut conn = conn.map_err(|_| Flaw::TlsBroken)?;
        // What is written is taken away at once, so nothing piles up in there.
        conn.set_buffer_limit(None);
        Ok(Self::with(Connection::Server(conn), &config.wall, Some(config.named)))
    }

    /// The client's side of a new connection.
    pub fn toward(toward: &Toward) -> Result<Self, Flaw> {
        let conn = ClientConnection::new(Arc::clone(&toward.client), toward.name.clone());
        let mut conn = conn.map_err(|_| Flaw::TlsServerBroken)?;
        conn.set_buffer_limit(None);
        Ok(Self::with(Connection::Client(conn), &toward.wall, None))
    }

    fn with(conn: Connection, wall: &Arc<Wall>, named: Option<Named>) -> Self {
        Self {
            conn,
            wall: Arc::clone(wall),
            named,
            name: None,
            backlog: VecDeque::new(),
            open: false,
            ended: false,
            broken: false,
        }
    }

    /// Records came; what they hold is appended to `clear`, also when a flaw comes behind it.
    pub fn take(&mut self, now: Now, mut records: &[u8], clear: &mut BytesMut) -> Result<(), Flaw> {
        self.wall.0.store(now.wall, Ordering::Relaxed);
        while !records.is_empty() && !self.ended && !self.broken {
            let read = self.conn.read_tls(&mut records);
            let state = self.conn.process_new_packets();
            self.uncover(clear);
            match (read, state) {
                (Ok(_), Ok(state)) => self.ended = state.peer_has_closed(),
                (Ok(_), Err(e)) => return Err(self.give_up(self.flaw(&e))),
                (Err(_), _) => return Err(self.give_up(Flaw::TlsBroken)),
            }
            if !self.open && !self.conn.is_handshaking() {
                self.open = true;
                // Whoever has no name has said nothing.
                self.learn_name().inspect_err(|_| clear.clear())?;
            }
        }
        Ok(())
    }

    fn uncover(&mut self, clear: &mut BytesMut) {
        let mut reader = self.conn.reader();
        while let Ok(chunk) = reader.fill_buf()
            && !chunk.is_empty()
        {
            clear.extend_from_slice(chunk);
            let n = chunk.len();
            reader.consume(n);
        }
    }

    fn give_up(&mut self, flaw: Flaw) -> Flaw {
        self.broken = true;
        flaw
    }

    /// What an error means to who has to do something about it.
    fn flaw(&self, error: &Error) -> Flaw {
        match self.named {
            Some(_) => flaw(error, self.open),
            None => flaw_of_server(error),
        }
    }

    fn learn_name(&mut self) -> Result<(), Flaw> {
        let Some(named) = self.named else { return Ok(()) };
        let Some([own, ..]) = self.conn.peer_certificates() else { return Ok(()) };
        match certificate::name(own, named) {
            Ok(name) => self.name = name,
            Err(certificate::NoName) => return Err(Flaw::TlsName),
        }
        Ok(())
    }

    /// The handshake is done, and nothing was wrong since.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open && !self.broken
    }

    /// The peer said that nothing follows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The user name in the client's certificate.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Records of its own, or plain bytes, wait to go out.
    #[must_use]
    pub fn has_words(&self) -> bool {
        self.conn.wants_write() || self.has_backlog()
    }

    /// Plain bytes wait to become records.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Take over what is to be encrypted, behind what waits already.
    pub fn queue(&mut self, plain: &Outbound) {
        plain.leftover(0, &mut self.backlog);
    }

    /// Encrypt at once what fits into `most`, and keep the rest for later.
    pub fn seal(&mut self, plain: &Outbound, most: usize) {
        if self.has_backlog() {
            return self.queue(plain);
        }
        let mut pieces = Vec::with_capacity(4);
        plain.pieces(0, usize::MAX, &mut pieces);
        let done = encrypt(&mut self.conn, &pieces, most);
        plain.leftover(done, &mut self.backlog);
    }

    /// Encrypt of what waits, up to `most`.
    pub fn seal_backlog(&mut self, most: usize) {
        let pieces: Vec<IoSlice<'_>> = self.backlog.iter().map(|b| IoSlice::new(b)).collect();
        let mut done = encrypt(&mut self.conn, &pieces, most);
        while let Some(front) = self.backlog.front_mut() {
            if done < front.len() {
                front.advance(done);
                return;
            }
            done -= front.len();
            self.backlog.pop_front();
        }
        self.backlog = VecDeque::new();
    }

    /// Nothing follows from us: everything that waits becomes records, and the last one says so.
    pub fn close(&mut self) {
        if !self.broken {
            self.seal_backlog(usize::MAX);
            self.conn.send_close_notify();
        }
    }

    /// Move finished records out.
    pub fn drain(&mut self, out: &mut Outbound) {
        while self.conn.wants_write() {
            if self.conn.write_tls(&mut Sink(out)).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, ended, broken, .. } = self;
        write!(f, "Tls {{ open: {open}, ended: {ended}, broken: {broken} }}")
    }
}

/// Encrypt the first `most` bytes; how many were taken. Everything goes in one call, because every
/// call ends a record.
fn encrypt(conn: &mut Connection, pieces: &[IoSlice<'_>], most: usize) -> usize {
    let mut left = most;
    let mut taken = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let piece: &[u8] = piece.get(..piece.len().min(left)).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        left -= piece.len();
        taken.push(IoSlice::new(piece));
    }
    // An error here was an error of reading before, and was told then.
    conn.writer().write_vectored(&taken).unwrap_or(0)
}

/// An `Outbound` that records are written into.
struct Sink<'a>(&'a mut Outbound);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(pieces.iter().map(|piece| self.write(piece)).filter_map(Result::ok).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an error of the machine means to the person who has to do something about it.
fn flaw(error: &Error, open: bool) -> Flaw {
    match error {
        Error::InvalidMessage(_) if !open => Flaw::TlsPlain,
        Error::NoCertificatesPresented => Flaw::TlsNoCertificate,
        Error::PeerIncompatible(why) => match why {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // Without it no version above 1.1 can be meant.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired => Flaw::TlsVersion,
            _ => Flaw::TlsCommon,
        },
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Flaw::TlsUntrusted,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Flaw::TlsExpired,
            CertificateError::Revoked => Flaw::TlsRevoked,
            CertificateError::UnknownRevocationStatus => Flaw::TlsNoCrl,
            _ => Flaw::TlsCertificate,
        },
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate,
        ) => Flaw::TlsDistrusted,
        Error::AlertReceived(_) => Flaw::TlsAlert,
        _ => Flaw::TlsBroken,
    }
}

/// The same about a server's.
fn flaw_of_server(error: &Error) -> Flaw {
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Flaw::TlsServerUntrusted
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Flaw::TlsServerName
            }
            _ => Flaw::TlsServerCertificate,
        },
        Error::AlertReceived(_) => Flaw::TlsServerAlert,
        _ => Flaw::TlsServerBroken,
    }
}
