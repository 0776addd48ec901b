//! Floor 1. PROXY headers: whole, cut, and wrong.

use core::net::IpAddr;

use super::Flaw;
use super::proxy::{Header, header};

/// Whole with something behind it, and not whole at every shorter length.
fn says(input: &[u8], address: Option<&str>) {
    let address = address.map(|text| text.parse::<IpAddr>().unwrap());
    for len in 0..input.len() {
        assert_eq!(header(&input[..len]), Ok(None), "{len} of {}", input.escape_ascii());
    }
    let mut more = input.to_vec();
    more.extend_from_slice(b"\x10\x10\r\n");
    assert_eq!(header(&more), Ok(Some(Header { len: input.len(), address })));
}

fn second(what: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend_from_slice(&[what, family]);
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn a_line_of_version_one() {
    says(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Some("192.0.2.1"));
    says(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Some("2001:db8::1"));
    says(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Some("192.0.2.1"));
    says(b"PROXY UNKNOWN\r\n", None);
    says(b"PROXY UNKNOWN what ever else\r\n", None);
}

#[test]
fn numbers_of_version_two() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2];
    says(&second(0x21, 0x11, &v4), Some("192.0.2.1"));
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15]) = (0x20, 0x01, 9);
    says(&second(0x21, 0x21, &v6), Some("2001::9"));
    // With fields that are skipped.
    let mut long = v4.to_vec();
    long.extend_from_slice(&[0x04, 0, 2, 7, 7]);
    says(&second(0x21, 0x12, &long), Some("192.0.2.1"));
    says(&second(0x20, 0x00, &[]), None);
    says(&second(0x20, 0x11, &v4), None);
    says(&second(0x21, 0x31, &[0; 216]), None);
    says(&second(0x21, 0x00, &[]), None);
}

#[test]
fn what_is_wrong_is_refused() {
    for wrong in [
        &b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n"[..],
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 9\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        b"PROXY TCP4 192.0.2.300 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY \xff\xff\r\n",
        &[&b"PROXY TCP4 "[..], &[b'1'; 120]].concat(),
        &second(0x11, 0x11, &[0; 12]),
        &second(0x22, 0x11, &[0; 12]),
        &second(0x21, 0x13, &[0; 12]),
        &second(0x21, 0x11, &[0; 11]),
        &second(0x21, 0x21, &[0; 35]),
        &second(0x21, 0x11, &[0; 4_097])[..16],
    ] {
        assert_eq!(header(wrong), Err(Flaw::ProxyMalformed), "{}", wrong.escape_ascii());
    }
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x10\x10\0\x04MQTT", b"PROXYTCP4", b"\r\n\r\n\0\r\nQUIT\r"]
    {
        assert_eq!(header(other), Err(Flaw::ProxyMissing), "{}", other.escape_ascii());
    }
}
