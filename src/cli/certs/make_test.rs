//! Floor 6. What is made is read by rustls and by ourselves, whatever key an issuer has.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;

use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::make::{self, Issuer, Name, Subject};
use super::read::{self, Certificate, Revoked};

/// The 21st of November 2026.
const NOW: u64 = 1_795_219_200_000;
const YEAR: u64 = 31_536_000_000;

/// An issuer and how it signs.
struct Ca {
    der: Vec<u8>,
    key: Key,
}

impl Ca {
    fn new() -> Self {
        let (key, _) = Key::generate().unwrap();
        Self::with(key)
    }

    fn with(key: Key) -> Self {
        let name = make::common_name("an issuer");
        let public = key.public().unwrap();
        let id = make::key_id(&public).unwrap();
        let [begin, end] = [NOW, NOW + 10 * YEAR].map(make::moment);
        let own = Subject {
            name: &name,
            public: &public,
            validity: [&begin, &end],
            extensions: make::of_issuer(),
        };
        let issuer = Issuer { name: &name, key_id: Some(&id), key: &key };
        Self { der: make::certificate(&issuer, &own, [1; 16]).unwrap(), key }
    }

    /// A certificate of this number, until then.
    fn issue(&self, extensions: Vec<Vec<u8>>, random: u8, until: u64) -> Vec<u8> {
        let ca = Certificate::of(&self.der).unwrap();
        let (key, _) = Key::generate().unwrap();
        let (name, public) = (make::common_name("pump"), key.public().unwrap());
        let [begin, end] = [NOW, until].map(make::moment);
        let it = Subject { name: &name, public: &public, validity: [&begin, &end], extensions };
        let issuer = Issuer { name: ca.subject, key_id: ca.key_id(), key: &self.key };
        make::certificate(&issuer, &it, [random; 16]).unwrap()
    }

    fn list(&self, old: Option<&[u8]>, serials: &[&[u8]]) -> Vec<u8> {
        let ca = Certificate::of(&self.der).unwrap();
        let issuer = Issuer { name: ca.subject, key_id: ca.key_id(), key: &self.key };
        let old = old.and_then(Revoked::of);
        let [begin, end] = [NOW, NOW + YEAR].map(make::moment);
        make::list(&issuer, old.as_ref(), serials, [&begin, &end]).unwrap()
    }

    /// Does a broker that trusts us take this client, at this time?
    fn admits(&self, client: &[u8], list: Vec<u8>, at: u64) -> bool {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.der.clone())).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls([CertificateRevocationListDer::from(list)])
            .build()
            .unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at));
        verifier.verify_client_cert(&CertificateDer::from(client.to_vec()), &[], at).is_ok()
    }
}

#[test]
fn a_client_is_taken_until_it_is_over_or_revoked() {
    let ca = Ca::new();
    let pump = ca.issue(make::of_client(&[]), 2, NOW + YEAR);
    let none = ca.list(None, &[]);
    assert!(ca.admits(&pump, none.clone(), NOW + 1_000));
    assert!(!ca.admits(&pump, none.clone(), NOW + YEAR + 2_000));
    let serial = Certificate::of(&pump).unwrap().serial;
    let list = ca.list(Some(&none), &[serial]);
    assert!(!ca.admits(&pump, list.clone(), NOW + 1_000));
    let other = ca.issue(make::of_client(&[]), 3, NOW + YEAR);
    assert!(ca.admits(&other, list, NOW + 1_000));
    assert!(!Ca::new().admits(&pump, none, NOW + 1_000), "of another issuer of the same name");
}

#[test]
fn a_broker_s_certificate_is_no_client_s() {
    let ca = Ca::new();
    let broker = ca.issue(make::of_server(&[]), 2, NOW + YEAR);
    assert!(!ca.admits(&broker, ca.list(None, &[]), NOW + 1_000));
    // Nor may a client issue others.
    assert!(!Certificate::of(&broker).unwrap().is_ca());
    assert!(Certificate::of(&ca.der).unwrap().is_ca());
}

#[test]
fn a_list_only_grows() {
    let ca = Ca::new();
    let one = ca.list(None, &[&[5]]);
    let two = ca.list(Some(&one), &[&[6]]);
    let list = Revoked::of(&two).unwrap();
    assert_eq!(
        (list.number, list.has(&[5]), list.has(&[6]), list.has(&[7])),
        (2, true, true, false)
    );
    assert!(ca.key.has_signed(&two));
    let mut bent = two.clone();
    let at = two.windows(3).position(|w| w == [2, 1, 6]).unwrap();
    bent[at + 2] = 7;
    assert!(!ca.key.has_signed(&bent), "a list that somebody bent");
}

#[test]
fn issuers_have_any_key_of_tls() {
    for kind in
        [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256]
    {
        let pem = rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
        let path = std::env::temp_dir().join(format!("spindle-key-{}", std::process::id()));
        std::fs::write(&path, pem).unwrap();
        let key = Key::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let ca = Ca::with(key);
        let pump = ca.issue(make::of_client(&[]), 2, NOW + YEAR);
        assert!(ca.key.has_signed(&pump) && !Ca::new().key.has_signed(&pump), "{kind:?}");
        assert!(ca.admits(&pump, ca.list(None, &[]), NOW + 1_000), "{kind:?}");
    }
}

#[test]
fn names_are_what_a_host_or_an_address_can_be() {
    let host = |name: &str| Name::of(name).map(|name| name.to_string()).ok();
    assert_eq!(host("Broker-1.example.org").as_deref(), Some("broker-1.example.org"));
    assert_eq!(host("*.example.org").as_deref(), Some("*.example.org"));
    assert_eq!(Name::of("[::1]"), Ok(Name::Address("::1".parse().unwrap())));
    for wrong in ["", ".", "a..b", "a b", "*", "a.*", "bl\u{fc}te", "a/b", "a:1", &"x".repeat(64)] {
        assert_eq!(host(wrong), None, "{wrong}");
    }
    let ca = Ca::new();
    let names = ["a.b", "10.0.0.1", "::1"].map(|name| Name::of(name).unwrap());
    let it = ca.issue(make::of_server(&names), 2, NOW + YEAR);
    let names = Certificate::of(&it).unwrap().names().unwrap();
    assert_eq!(names, ["host a.b", "address 10.0.0.1", "address ::1"]);
}

#[test]
fn moments_are_written_as_their_century_wants_it() {
    for (ms, text) in [
        (NOW, "2026-11-21T00:00:00Z"),
        (NOW + 40 * YEAR, "2066-11-11T00:00:00Z"),
        (0, "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(read::moment(&make::moment(ms)).as_deref(), Some(text));
    }
    assert_eq!(make::moment(2_524_607_999_000)[0], 0x17, "the last second of 2049");
    assert_eq!(make::moment(2_524_608_000_000)[0], 0x18);
    let [soon, late] = [NOW, NOW + 40 * YEAR].map(make::moment);
    assert_eq!((make::earlier(&soon, &late), make::earlier(&late, &soon)), (&soon[..], &soon[..]));
}

#[test]
fn what_rcgen_makes_is_handed_on_whole() {
    let mut params = rcgen::CertificateParams::new(vec!["a.b".to_owned()]).unwrap();
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = rcgen::KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let old = Certificate::of(&der).unwrap();
    let ca = Ca::new();
    let new = ca.issue(make::handed_on(&old), 9, NOW + YEAR);
    let new = Certificate::of(&new).unwrap();
    assert_eq!(new.names(), old.names());
    assert_eq!(new.extension(read::KEY_USES), old.extension(read::KEY_USES));
    let own = |kind: &[u8]| new.extensions.iter().filter(|it| it.kind == kind).count();
    assert_eq!(
        (own(read::SUBJECT_KEY), own(read::ISSUER_KEY)),
        (1, 1),
        "of its own key and issuer"
    );
}

#[test]
fn a_block_is_read_as_it_was_written() {
    use super::pem::{CERTIFICATE, block, blocks};

    let ca = Ca::new();
    let text = format!("before\n{}between\n{0}", block(CERTIFICATE, &ca.der));
    assert_eq!(blocks(&text, CERTIFICATE).unwrap(), [&ca.der[..], &ca.der]);
    let theirs: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    assert_eq!(theirs.len(), 2);
    assert_eq!(theirs[1].as_deref().unwrap(), &ca.der[..]);
    assert!(text.lines().all(|line| line.len() <= 64));
    assert!(blocks("-----BEGIN CERTIFICATE-----\nAAAA", CERTIFICATE).is_err());
}
