//! Floor 3. What is a request, what is none, and where each of them ends.

use bytes::BytesMut;

use crate::proto::fault::{Fault, FaultKind};

use super::decode::{Left, begins, head, head_len};
use super::packet::{Length, Media, Method, Request, Shown};

const HOST: &str = "Host: localhost:18083\r\n";

fn read(text: &str) -> Result<Request, Fault> {
    let len = head_len(text.as_bytes(), 0).expect("a whole head");
    head(&text.as_bytes()[..len], 4_096)
}

fn with(fields: &str) -> Result<Request, Fault> {
    read(&format!("POST /publish HTTP/1.1\r\n{HOST}{fields}\r\n"))
}

#[test]
fn a_request_is_read_as_it_was_meant() {
    let text = "GET /client/a%2Fb?x=1&y=%20 HTTP/1.1\r\nHost: Localhost:18083\r\n\
                Authorization: Basic YW5uOnNlOmNyZXQ=\r\nAccept: */*\r\n\r\n";
    let request = read(text).expect("a request");
    assert_eq!((request.method, &request.path[..]), (Method::Get, &b"/client/a%2Fb"[..]));
    assert_eq!(&request.query[..], b"x=1&y=%20");
    assert_eq!((&*request.host, &*request.authority), ("localhost", "localhost:18083"));
    assert!(request.keep && request.modern && request.length == Length::None);
    let Shown::Basic(name, password) = &request.shown else { panic!("a name and a password") };
    assert_eq!((&name[..], password.bytes()), (&b"ann"[..], &b"se:cret"[..]));
    let said = format!("{request:?}");
    assert!(!said.contains("cret") && !said.contains("c2U6"), "{said}");
}

#[test]
fn fields_mean_what_the_standard_says() {
    let old = read(&format!("GET / HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n")).unwrap();
    assert!(!old.modern && !old.keep);
    assert!(!with("Connection: foo, Close\r\n").unwrap().keep);
    assert_eq!(with("Content-Length: 17\r\n").unwrap().length, Length::Known(17));
    assert_eq!(with("Transfer-Encoding: Chunked\r\n").unwrap().length, Length::Chunked);
    let form = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    assert_eq!(with(form).unwrap().media, Media::Form);
    assert_eq!(with("Content-Type: Application/JSON\r\n").unwrap().media, Media::Json);
    assert_eq!(with("Content-Type: text/json\r\n").unwrap().media, Media::Other);
    assert!(with("Expect: 100-Continue\r\n").unwrap().expects);
    assert!(matches!(with("Authorization: bearer x\r\n").unwrap().shown, Shown::Bearer(_)));
    for nothing in ["Basic !!!", "Basic YW5u", "Digest x", "x"] {
        let shown = with(&format!("Authorization: {nothing}\r\n")).unwrap().shown;
        assert_eq!(shown, Shown::Else, "{nothing}");
    }
    let absolute = read(&format!("GET http://localhost/varz HTTP/1.1\r\n{HOST}\r\n")).unwrap();
    assert_eq!(&absolute.path[..], b"/varz");
    let six = read("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n").unwrap();
    assert_eq!(six.host, "[::1]");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    use FaultKind::*;
    for (fields, kind) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n", HttpFraming),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", HttpFraming),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HttpFraming),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HttpFraming),
        ("Content-Length: 1, 1\r\n", HttpFraming),
        ("Content-Length: +1\r\n", HttpFraming),
        ("Content-Length: 0x1\r\n", HttpFraming),
        ("Content-Length: \r\n", HttpFraming),
        ("Content-Length: 99999999999999999999\r\n", HttpFraming),
        ("Transfer-Encoding: gzip, chunked\r\n", HttpCoding),
        ("Transfer-Encoding: identity\r\n", HttpCoding),
        ("Transfer-Encoding: xchunked\r\n", HttpCoding),
        ("Content-Length : 1\r\n", HttpSyntax),
        ("X: a\r\n b\r\n", HttpSyntax),
        ("X: a\nContent-Length: 1\r\n", HttpSyntax),
        ("X: a\rContent-Length: 1\r\n", HttpSyntax),
        (" X: a\r\n", HttpSyntax),
        ("X\r\n", HttpSyntax),
        ("Host: other\r\n", HttpHost),
        ("Expect: something\r\n", HttpExpect),
    ] {
        assert_eq!(with(fields), Err(kind.fault()), "{fields:?}");
    }
    let old = format!("POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(read(&old), Err(HttpFraming.fault()));
}

#[test]
fn what_is_no_request_is_refused() {
    use FaultKind::*;
    for (text, kind) in [
        ("GET / HTTP/2.0\r\n\r\n", HttpOtherVersion),
        ("GET / HTTP/1.1\r\n\r\n", HttpHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HttpHost),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", HttpHost),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HttpHost),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HttpSyntax),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", HttpSyntax),
        ("GET /\r\nHost: a\r\n\r\n", HttpSyntax),
        ("GET / HTTP/1.1\nHost: a\n\r\n\r\n", HttpSyntax),
    ] {
        assert_eq!(read(text), Err(kind.fault()), "{text:?}");
    }
    let many = "X: y\r\n".repeat(100);
    assert_eq!(with(&many), Err(HttpTooLong.fault()));
    let far = format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "x".repeat(5_000));
    assert_eq!(read(&far), Err(HttpTarget.fault()));
}

#[test]
fn what_cannot_become_a_request_is_not_waited_for() {
    assert_eq!(begins(b"GE", 256), Ok(()));
    assert_eq!(begins(b"GET /", 256), Ok(()));
    assert_eq!(begins(b"\x10\x0c\0\x04MQTT", 256), Err(FaultKind::HttpSyntax.fault()));
    assert_eq!(begins(b" GET /", 256), Err(FaultKind::HttpSyntax.fault()));
    assert_eq!(begins(&[b'A'; 40], 256), Err(FaultKind::HttpSyntax.fault()));
    let far = [&b"GET /"[..], &[b'x'; 300]].concat();
    assert_eq!(begins(&far, 256), Err(FaultKind::HttpTarget.fault()));
    let long = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 300]].concat();
    assert_eq!(begins(&long, 256), Err(FaultKind::HttpTooLong.fault()));
}

/// Take a body that comes in pieces of `cut` bytes; what is left of the input comes back.
fn take(mut left: Left, text: &[u8], cut: usize) -> Result<(bool, Vec<u8>, Vec<u8>), Fault> {
    let (mut input, mut body, mut whole) = (BytesMut::new(), Vec::new(), false);
    for piece in text.chunks(cut) {
        input.extend_from_slice(piece);
        whole = whole || left.take(&mut input, &mut body, 100)?;
    }
    Ok((whole, body, input.to_vec()))
}

#[test]
fn bodies_end_where_they_end_however_they_come() {
    for cut in 1..40 {
        let known = take(Left::Known(5), b"hellonext", cut).unwrap();
        assert_eq!(known, (true, b"hello".to_vec(), b"next".to_vec()));
        let chunks = b"3\r\nhel\r\n2 ;x=\"y\"\r\nlo\r\n0\r\nTrailer: x\r\n\r\nnext";
        let chunks = take(Left::Line, chunks, cut).unwrap();
        assert_eq!(chunks, (true, b"hello".to_vec(), b"next".to_vec()), "in pieces of {cut}");
        assert!(!take(Left::Line, b"3\r\nhel\r\n", cut).unwrap().0);
    }
}

#[test]
fn malformed_and_endless_bodies_are_refused() {
    use FaultKind::*;
    let long = [&b"0\r\n"[..], &b"a: b\r\n".repeat(1_000)].concat();
    for (text, kind) in [
        (&b"x\r\n"[..], HttpChunk),
        (b"\r\n", HttpChunk),
        (b"-1\r\n", HttpChunk),
        (b"0x1\r\n", HttpChunk),
        (b"1\nx", HttpChunk),
        (b"1\r\nxy\r\n", HttpChunk),
        (b"1\r\nx\n\r\n", HttpChunk),
        (b"fffffffffffffffff\r\n", HttpChunk),
        (&[b'1'; 400], HttpChunk),
        (&long, HttpChunk),
        (b"65\r\n", HttpBodyLong),
        (b"32\r\n01234567890123456789012345678901234567890123456789\r\n33\r\n", HttpBodyLong),
    ] {
        for cut in [1, 7, 10_000] {
            assert_eq!(take(Left::Line, text, cut), Err(kind.fault()), "{text:?}");
        }
    }
    assert_eq!(Left::of(Length::Known(101), 100), Err(HttpBodyLong.fault()));
    assert_eq!(Left::of(Length::Known(0), 100), Ok(Left::Nothing));
}
