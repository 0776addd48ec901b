//! Floor 1. Names in certificates, in every shape, and certificates cut and bent.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

use super::certificate::{Named, NoName, name, until};

fn der(subject: &[(DnType, DnValue)], alternative: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    params.subject_alt_names = alternative;
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.into())
}

fn common(text: &str) -> Vec<u8> {
    der(&[(DnType::OrganizationName, utf8("house")), (DnType::CommonName, utf8(text))], Vec::new())
}

#[test]
fn the_common_name_is_found_behind_other_names() {
    assert_eq!(name(&common("alice"), Named::Subject), Ok(Some("alice".into())));
    assert_eq!(name(&common("bl\u{fc}te"), Named::Subject), Ok(Some("bl\u{fc}te".into())));
    let printable = DnValue::PrintableString("device 7".try_into().unwrap());
    let it = der(&[(DnType::CommonName, printable)], Vec::new());
    assert_eq!(name(&it, Named::Subject), Ok(Some("device 7".into())));
    let nameless = der(&[(DnType::OrganizationName, utf8("house"))], Vec::new());
    assert_eq!(name(&nameless, Named::Subject), Ok(None));
    assert_eq!(name(&common("alice"), Named::Alternative), Ok(None));
}

#[test]
fn the_first_alternative_name_that_is_text_is_taken() {
    let ia5 = |text: &str| Ia5String::try_from(text).unwrap();
    let all = vec![
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::Rfc822Name(ia5("alice@example.org")),
        SanType::DnsName(ia5("alice.example.org")),
    ];
    let it = der(&[(DnType::CommonName, utf8("bob"))], all);
    assert_eq!(name(&it, Named::Alternative), Ok(Some("alice@example.org".into())));
    assert_eq!(name(&it, Named::Subject), Ok(Some("bob".into())));
    let uri = der(&[], vec![SanType::URI(ia5("urn:device:7"))]);
    assert_eq!(name(&uri, Named::Alternative), Ok(Some("urn:device:7".into())));
}

#[test]
fn what_could_be_read_in_two_ways_is_no_name() {
    for text in ["alice\0.example.org", "al\nice", "", "\u{85}"] {
        assert_eq!(name(&common(text), Named::Subject), Err(NoName), "{text:?}");
    }
    let wide = DnValue::BmpString("alice".try_into().unwrap());
    let it = der(&[(DnType::CommonName, wide)], Vec::new());
    assert_eq!(name(&it, Named::Subject), Err(NoName));
    // The second common name, made of the organization's by its object identifier.
    let mut two = der(
        &[(DnType::OrganizationName, utf8("alice")), (DnType::CommonName, utf8("bob"))],
        Vec::new(),
    );
    let organization = two.windows(3).rposition(|w| w == [0x55, 4, 10]).unwrap();
    two[organization + 2] = 3;
    assert_eq!(name(&two, Named::Subject), Err(NoName));
}

#[test]
fn the_end_of_a_certificate_is_read_in_both_spellings() {
    // Up to 2049 a year has two digits.
    for (year, ms) in [(2033, 1_988_150_400_000), (2061, 2_871_763_200_000)] {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let it = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(until(it.der()), Some(ms), "{year}");
        for len in 0..it.der().len() {
            assert_eq!(until(&it.der()[..len]), None, "{len} bytes");
        }
    }
}

#[test]
fn bytes_that_are_no_certificate_are_no_name_and_no_panic() {
    let good = common("alice");
    for len in 0..good.len() {
        let cut = name(&good[..len], Named::Subject);
        assert!(cut.is_err(), "{len} bytes");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bent = good.clone();
            bent[at] ^= 1 << bit;
            // Whatever it says, it is said without harm.
            for named in [Named::Subject, Named::Alternative] {
                if let Ok(Some(found)) = name(&bent, named) {
                    assert!(!found.chars().any(char::is_control));
                }
            }
        }
    }
}
