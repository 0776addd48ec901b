//! Floor 1. TLS without a socket: a client of the same library on the other side of two buffers.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use super::certificate::Named;
use super::tls::{ClientCert, Config, Materials, Unusable};
use super::{Flaw, Heard, Inside, Link, Parting, Spoken, Terms};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::Now;

/// 14 November 2023.
pub(super) const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };

/// Somebody who signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

/// A certificate and its key, PEM.
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(super) fn sign(&self, common: &str, serial: u64, until: i32) -> Leaf {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { certificate, key: key.serialize_pem() }
    }

    fn revoke(&self, serial: u64) -> String {
        let gone = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2023, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2023, 1, 1),
            next_update: date_time_ymd(2033, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![gone],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Who there is.
pub(super) struct Cast {
    pub(super) house: Authority,
    pub(super) broker: Leaf,
}

impl Cast {
    pub(super) fn new() -> Self {
        let house = Authority::new("house");
        let broker = house.sign("broker", 1, 2033);
        Self { house, broker }
    }

    pub(super) fn materials(&self) -> Materials<'_> {
        Materials {
            certificate: self.broker.certificate.as_bytes(),
            key: self.broker.key.as_bytes(),
            ca: None,
            crl: None,
            client: ClientCert::Optional,
            named: Named::Subject,
        }
    }

    /// Asking clients for certificates of the house.
    pub(super) fn asking(&self, client: ClientCert) -> Materials<'_> {
        Materials { ca: Some(self.house.pem.as_bytes()), client, ..self.materials() }
    }

    fn client(
        &self,
        own: Option<&Leaf>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConnection {
        client(&self.house, own, version)
    }
}

fn client(
    trusted: &Authority,
    own: Option<&Leaf>,
    version: &'static SupportedProtocolVersion,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// Both sides of one connection.
struct Pair {
    client: ClientConnection,
    link: Link,
    terms: Terms,
    /// What the peer inside heard.
    heard: Vec<u8>,
    all: Heard,
    /// Bytes given to the link at a time.
    step: usize,
    /// What the client's side says went wrong.
    error: Option<rustls::Error>,
}

impl Pair {
    fn new(materials: &Materials<'_>, client: ClientConnection) -> Self {
        Self::with(Terms { tls: Some(Config::new(materials).unwrap()), ..Terms::default() }, client)
    }

    fn with(terms: Terms, client: ClientConnection) -> Self {
        let link = Link::new(&terms, None).unwrap();
        let (heard, all, step, error) = (Vec::new(), Heard::default(), 65_536, None);
        Self { client, link, terms, heard, all, step, error }
    }

    fn give(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.step) {
            if self.all.flaw.is_some() {
                return;
            }
            let mut chunk = BytesMut::from(piece);
            let mut spare = BytesMut::new();
            let limits = Limits::default();
            let heard = self.link.on_bytes(NOW, &mut chunk, &mut spare, &self.terms, &limits);
            self.heard.extend_from_slice(&chunk);
            self.all.spoken = heard.spoken.or(self.all.spoken);
            self.all.ended |= heard.ended;
            self.all.flaw = heard.flaw;
        }
    }

    /// What the link says now, `words` among it. True: it wants to go on at once.
    fn say(&mut self, words: &Bytes, last: Option<Parting>) -> (Vec<u8>, bool) {
        let Link::Wrapped(it) = &mut self.link else { panic!("it is wrapped") };
        let (mut out, mut spare) = (Outbound::default(), Outbound::default());
        let mut more = it.speak(&mut out, &mut spare, 65_536, last, |out| {
            out.put_bytes(words);
            false
        });
        more &= last.is_none();
        (out.to_vec(), more)
    }

    fn tell_client(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut clear = Vec::new();
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            if let Err(e) = self.client.process_new_packets() {
                self.error = Some(e);
                break;
            }
            let _ = self.client.reader().read_to_end(&mut clear);
        }
        clear
    }

    /// Talk until nobody has anything to say; the last words of a flaw included.
    fn shake(&mut self) {
        for _ in 0..20 {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            self.give(&bytes);
            let last = Parting { code: 1002, reason: "x", late: false };
            let (said, _) = self.say(&Bytes::new(), self.all.flaw.map(|_| last));
            let quiet = bytes.is_empty() && said.is_empty();
            self.tell_client(&said);
            if quiet {
                return;
            }
        }
        panic!("they never stop");
    }
}

#[test]
fn both_versions_carry_bytes_both_ways_in_pieces_of_any_size() {
    let cast = Cast::new();
    for version in [&version::TLS12, &version::TLS13] {
        for step in [1, 7, 100, 65_536] {
            let mut pair = Pair::new(&cast.materials(), cast.client(None, version));
            pair.step = step;
            pair.shake();
            assert_eq!((pair.all, pair.error.take()), (Heard::default(), None));
            assert_eq!(pair.link.certificate(), None);
            let large: Vec<u8> = (0..40_000u32).map(|i| (i * 13) as u8).collect();
            pair.client.writer().write_all(&large).unwrap();
            pair.shake();
            assert!(pair.heard == large, "steps of {step}");
            let (said, more) = pair.say(&Bytes::from_static(b"hello"), None);
            assert!(!more);
            assert_eq!(pair.tell_client(&said), b"hello");
        }
    }
}

#[test]
fn a_large_message_becomes_records_a_share_at_a_time() {
    let cast = Cast::new();
    let mut pair = Pair::new(&cast.materials(), cast.client(None, &version::TLS13));
    pair.shake();
    let large = Bytes::from((0..1_000_000u32).map(|i| (i * 13) as u8).collect::<Vec<_>>());
    let (mut said, mut more) = pair.say(&large, None);
    let mut clear = Vec::new();
    let mut turns = 1;
    loop {
        assert!(said.len() < 70_000, "{} bytes at once", said.len());
        clear.extend(pair.tell_client(&said));
        if !more {
            break;
        }
        (said, more) = pair.say(&Bytes::new(), None);
        turns += 1;
    }
    assert!(clear == large && turns == 16, "{turns} turns");
    // The end does not wait: everything is said before it.
    let (said, _) = pair.say(&large, Some(Parting { code: 1000, reason: "x", late: false }));
    assert!(pair.tell_client(&said) == large);
    let state = pair.client.process_new_packets().unwrap();
    assert!(state.peer_has_closed(), "and the end is told");
}

#[test]
fn the_client_ends_by_saying_so() {
    let cast = Cast::new();
    let mut pair = Pair::new(&cast.materials(), cast.client(None, &version::TLS13));
    pair.shake();
    pair.client.writer().write_all(b"last").unwrap();
    pair.client.send_close_notify();
    pair.shake();
    assert_eq!((&pair.heard[..], pair.all.ended), (&b"last"[..], true));
}

#[test]
fn a_certificate_names_its_user() {
    let cast = Cast::new();
    let alice = cast.house.sign("alice", 7, 2033);
    for version in [&version::TLS12, &version::TLS13] {
        for how in [ClientCert::Optional, ClientCert::Required] {
            let mut pair = Pair::new(&cast.asking(how), cast.client(Some(&alice), version));
            pair.shake();
            assert_eq!((pair.all.flaw, pair.link.certificate()), (None, Some("alice")));
        }
        let named = Materials { named: Named::Alternative, ..cast.asking(ClientCert::Required) };
        let mut pair = Pair::new(&named, cast.client(Some(&alice), version));
        pair.shake();
        assert_eq!(pair.link.certificate(), Some("localhost"));
        let mut pair = Pair::new(&cast.asking(ClientCert::Optional), cast.client(None, version));
        pair.shake();
        assert_eq!((pair.all.flaw, pair.link.certificate()), (None, None));
    }
}

#[test]
fn everything_that_keeps_a_client_out_has_its_name() {
    let cast = Cast::new();
    let stranger = Authority::new("stranger");
    let (good, old) = (cast.house.sign("alice", 7, 2033), cast.house.sign("alice", 8, 2021));
    let (foreign, odd) = (stranger.sign("alice", 7, 2033), cast.house.sign("a\0b", 9, 2033));
    let (revoked, elsewhere) = (cast.house.revoke(7), stranger.revoke(7));
    let asking = cast.asking(ClientCert::Required);
    let listed = Materials { crl: Some(revoked.as_bytes()), ..asking };
    let unlisted = Materials { crl: Some(elsewhere.as_bytes()), ..asking };
    for version in [&version::TLS12, &version::TLS13] {
        let ends = |materials: &Materials<'_>, own: Option<&Leaf>| {
            let mut pair = Pair::new(materials, cast.client(own, version));
            pair.shake();
            let alert = matches!(pair.error, Some(rustls::Error::AlertReceived(_)));
            let (flaw, name) = (pair.all.flaw, pair.link.certificate());
            assert!(flaw.is_none() || name.is_none(), "nobody is somebody by a bad certificate");
            (flaw, alert)
        };
        assert_eq!(ends(&asking, None), (Some(Flaw::TlsNoCertificate), true));
        assert_eq!(ends(&asking, Some(&foreign)), (Some(Flaw::TlsUntrusted), true));
        assert_eq!(ends(&asking, Some(&old)), (Some(Flaw::TlsExpired), true));
        assert_eq!(ends(&listed, Some(&good)), (Some(Flaw::TlsRevoked), true));
        assert_eq!(ends(&unlisted, Some(&good)), (Some(Flaw::TlsNoCrl), true));
        assert_eq!(ends(&asking, Some(&odd)), (Some(Flaw::TlsName), false));
        // A bad one is refused also where none would do.
        let optional = cast.asking(ClientCert::Optional);
        assert_eq!(ends(&optional, Some(&foreign)), (Some(Flaw::TlsUntrusted), true));
        let other = cast.house.sign("alice", 10, 2033);
        assert_eq!(ends(&listed, Some(&other)), (None, false));
        // The other way round: it is us whom the client does not know.
        let mut pair = Pair::new(&cast.materials(), client(&stranger, None, version));
        pair.shake();
        assert_eq!(pair.all.flaw, Some(Flaw::TlsDistrusted));
    }
}

#[test]
fn what_is_not_tls_is_told_apart_from_what_is_too_old() {
    let cast = Cast::new();
    let end = |bytes: &[u8]| {
        let mut pair = Pair::new(&cast.materials(), cast.client(None, &version::TLS13));
        pair.give(bytes);
        (pair.all.flaw, pair.say(&Bytes::from_static(b"unheard"), None).0)
    };
    for plain in [&b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let (flaw, said) = end(plain);
        assert_eq!(flaw, Some(Flaw::TlsPlain));
        assert!(!said.windows(7).any(|w| w == b"unheard"), "nothing goes out unencrypted");
    }
    // A ClientHello of TLS 1.0 with one cipher suite and nothing else.
    let mut hello = b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x01".to_vec();
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(b"\0\0\x02\0\x2f\x01\0");
    assert_eq!(end(&hello).0, Some(Flaw::TlsVersion));
}

#[test]
fn what_breaks_off_is_told_apart_too() {
    let cast = Cast::new();
    // Nothing in common: cipher suites for another kind of key.
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| format!("{suite:?}").contains("ECDHE_RSA"));
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&version::TLS12]).unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let other = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut pair = Pair::new(&cast.materials(), other);
    pair.shake();
    assert_eq!(pair.all.flaw, Some(Flaw::TlsCommon));
    // An alert, and a record that nobody has sealed.
    for (record, flaw) in [
        (&b"\x15\x03\x03\0\x02\x02\x28"[..], Flaw::TlsAlert),
        (b"\x17\x03\x03\0\x20 not sealed, not sealed, not sea", Flaw::TlsBroken),
    ] {
        let mut pair = Pair::new(&cast.materials(), cast.client(None, &version::TLS12));
        if flaw == Flaw::TlsBroken {
            pair.shake();
        }
        pair.give(record);
        assert_eq!(pair.all.flaw, Some(flaw));
    }
    // A certificate that is good, but for servers.
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2033, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &cast.house.issuer).unwrap().pem();
    let server = Leaf { certificate, key: key.serialize_pem() };
    let asking = cast.asking(ClientCert::Required);
    let mut pair = Pair::new(&asking, cast.client(Some(&server), &version::TLS13));
    pair.shake();
    assert_eq!(pair.all.flaw, Some(Flaw::TlsCertificate));
}

#[test]
fn after_a_flaw_nothing_is_heard_and_nothing_is_sealed() {
    let cast = Cast::new();
    let mut pair = Pair::new(&cast.materials(), cast.client(None, &version::TLS12));
    pair.shake();
    // More than a turn's share waits when the flaw comes.
    let (_, more) = pair.say(&Bytes::from(vec![b'x'; 1_000_000]), None);
    assert!(more);
    pair.client.writer().write_all(b"good").unwrap();
    let mut good = Vec::new();
    pair.client.write_tls(&mut good).unwrap();
    let Link::Wrapped(link) = &mut pair.link else { panic!("it is wrapped") };
    let tls = link.tls.as_mut().expect("it does TLS");
    let mut clear = BytesMut::new();
    let forged = b"\x17\x03\x03\0\x20 not sealed, not sealed, not sea";
    assert_eq!(tls.take(NOW, forged, &mut clear), Err(Flaw::TlsBroken));
    assert_eq!(tls.take(NOW, &good, &mut clear), Ok(()), "a flaw is told once");
    assert!(clear.is_empty() && !tls.is_open());
    tls.close();
    let mut out = Outbound::default();
    tls.drain(&mut out);
    assert!(out.to_vec().len() < 100, "an alert, and nothing of what waited");
}

#[test]
fn a_websocket_within_tls() {
    let cast = Cast::new();
    let terms = Terms {
        tls: Some(Config::new(&cast.materials()).unwrap()),
        inside: Inside::Any,
        speaks: vec![Spoken::Mqtt],
        ..Terms::default()
    };
    let mut pair = Pair::with(terms, cast.client(None, &version::TLS13));
    pair.step = 13;
    pair.shake();
    pair.client.writer().write_all(super::fuzzing::OPEN).unwrap();
    pair.client.writer().write_all(&[0x82, 0x82, 0, 0, 0, 0, 0xc0, 0]).unwrap();
    pair.shake();
    assert_eq!((&pair.heard[..], pair.all.spoken), (&b"\xc0\0"[..], Some(Spoken::Mqtt)));
    let (said, _) = pair.say(&Bytes::from_static(b"\xd0\0"), None);
    assert_eq!(pair.tell_client(&said), b"\x82\x02\xd0\0");
    let last = Parting { code: 1001, reason: "stopping", late: false };
    let (said, _) = pair.say(&Bytes::new(), Some(last));
    assert_eq!(pair.tell_client(&said)[..4], [0x88, 10, 0x03, 0xe9]);
}

#[test]
fn what_cannot_be_used_is_refused_in_words_for_people() {
    let cast = Cast::new();
    let other = cast.house.sign("other", 2, 2033);
    let good = cast.materials();
    let why = |materials: Materials<'_>| Config::new(&materials).unwrap_err();
    assert_eq!(why(Materials { key: other.key.as_bytes(), ..good }), Unusable::Mismatch);
    assert_eq!(why(Materials { client: ClientCert::Required, ..good }), Unusable::NoCa);
    let said = |materials: Materials<'_>, words: &str| {
        let said = why(materials).to_string();
        assert!(said.contains(words), "{said}");
    };
    said(Materials { certificate: b"nothing", ..good }, "BEGIN CERTIFICATE");
    said(Materials { certificate: good.key, ..good }, "BEGIN CERTIFICATE");
    said(Materials { key: good.certificate, ..good }, "BEGIN PRIVATE KEY");
    let locked =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    said(Materials { key: locked, ..good }, "openssl pkey");
    said(Materials { ca: Some(b""), ..good }, "issuers of client certificates");
    said(Materials { ca: good.certificate.into(), crl: Some(b"x"), ..good }, "X509 CRL");
    let bent = cast.broker.certificate.replace("MII", "MIX");
    said(Materials { certificate: bent.as_bytes(), ..good }, "certificate cannot be used");
}
