//! Floor 1. Layers together: whatever is inside of whatever, cut at every byte.

use core::net::IpAddr;

use bytes::{Bytes, BytesMut};

use super::fuzzing::{OPEN, beginnings, frames, hear, terms};
use super::ws_frame::{BINARY, PING, head};
use super::*;

const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };
const MQTT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";

/// A client's frame, masked with nothing but zeroes.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(opcode, payload.len()).to_vec();
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn every_cut(terms: &Terms, all: &[u8], clear: &[u8], wanted: Heard) {
    for cut in 0..=all.len() {
        let whole = hear(terms, [&all[..cut], &all[cut..]]);
        assert_eq!((&whole.clear[..], whole.heard), (clear, wanted), "cut at {cut}");
    }
    let whole = hear(terms, all.chunks(1));
    assert_eq!((&whole.clear[..], whole.heard), (clear, wanted), "byte by byte");
}

#[test]
fn a_listener_that_takes_anything_tells_them_apart() {
    let any = terms(Inside::Any, false);
    let heard = |spoken| Heard { spoken: Some(spoken), ..Heard::default() };
    every_cut(&any, MQTT, MQTT, heard(Spoken::Mqtt));
    let prx1 = b"\x10\x08\0\x04PRX1\0\0";
    every_cut(&any, prx1, prx1, heard(Spoken::Prx1));
    let ws = [OPEN, &frame(BINARY, MQTT)[..], &frame(BINARY, b"\xc0\0")].concat();
    every_cut(&any, &ws, &[MQTT, b"\xc0\0"].concat(), heard(Spoken::Mqtt));
    let nobody = Heard { flaw: Some(Flaw::FirstBytes), ..Heard::default() };
    every_cut(&any, b"\x82\x03\0\x01a", b"", nobody);
    let mqtt_only = Terms { speaks: vec![Spoken::Mqtt], ..any };
    every_cut(&mqtt_only, prx1, b"", nobody);
}

#[test]
fn a_header_of_a_trusted_proxy_comes_first() {
    let proxied = terms(Inside::Bare, true);
    let all = [&b"PROXY TCP4 203.0.113.9 127.0.0.1 5 6\r\n"[..], MQTT].concat();
    let address = Some("203.0.113.9".parse::<IpAddr>().unwrap());
    every_cut(&proxied, &all, MQTT, Heard { address, ..Heard::default() });
    let missing = Heard { flaw: Some(Flaw::ProxyMissing), ..Heard::default() };
    every_cut(&proxied, MQTT, b"", missing);
    let elsewhere = "203.0.113.9".parse().ok();
    assert!(
        matches!(Link::new(&proxied, elsewhere), Ok(Link::Plain)),
        "from others it is a packet"
    );
    assert!(matches!(Link::new(&proxied, None), Ok(Link::Plain)));
    // The proxy speaks for another proxy, whose own word is taken too.
    let twice = terms(Inside::Ws, true);
    let forwarded =
        String::from_utf8_lossy(OPEN).replace("Host: h", "Host: h\r\nX-Forwarded-For: 192.0.2.9");
    let all = [b"PROXY TCP4 127.0.0.7 127.0.0.1 5 6\r\n", forwarded.as_bytes()].concat();
    let address = Some("192.0.2.9".parse::<IpAddr>().unwrap());
    every_cut(&twice, &all, b"", Heard { address, spoken: Some(Spoken::Mqtt), ..Heard::default() });
}

#[test]
fn a_layer_that_is_done_with_is_gone() {
    let proxied = terms(Inside::Any, true);
    let mut link = Link::new(&proxied, "127.0.0.1".parse().ok()).unwrap();
    let mut chunk = BytesMut::from(&b"PROXY UNKNOWN\r\n"[..]);
    let limits = Limits::default();
    link.on_bytes(NOW, &mut chunk, &mut BytesMut::new(), &proxied, &limits);
    assert!(matches!(link, Link::Wrapped(_)));
    chunk.extend_from_slice(MQTT);
    link.on_bytes(NOW, &mut chunk, &mut BytesMut::new(), &proxied, &limits);
    assert!(matches!(link, Link::Plain), "nothing is left to unwrap");
    assert_eq!(chunk, MQTT);
}

#[test]
fn the_listener_for_websockets_refuses_what_is_none() {
    let ws = terms(Inside::Ws, false);
    let flaw = |flaw| Heard { flaw: Some(flaw), ..Heard::default() };
    every_cut(&ws, MQTT, b"", flaw(Flaw::HttpMalformed));
    every_cut(&ws, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"", flaw(Flaw::WsUpgrade));
    // A head without end, in one line and in many, ends at the limit.
    let line = [b"GET /", &[b'a'; 10_000][..]].concat();
    assert_eq!(hear(&ws, line.chunks(100)).heard, flaw(Flaw::HttpTooLong));
    let lines = [b"GET / HTTP/1.1\r\n", &b"A: b\r\n".repeat(2_000)[..]].concat();
    assert_eq!(hear(&ws, lines.chunks(1_000)).heard, flaw(Flaw::HttpTooLong));
    assert_eq!(hear(&ws, [&lines[..]]).heard, flaw(Flaw::HttpTooLong));
}

/// An open WebSocket, its 101 said.
fn open() -> Link {
    let ws = terms(Inside::Ws, false);
    let mut link = Link::new(&ws, None).unwrap();
    assert_eq!(say(&mut link, None, b"unheard"), b"", "nothing before the upgrade");
    give(&mut link, OPEN);
    assert!(link.has_words());
    let said = say(&mut link, None, b"");
    assert!(said.starts_with(b"HTTP/1.1 101 ") && said.ends_with(b"mqtt\r\n\r\n"));
    assert!(!link.has_words());
    link
}

fn give(link: &mut Link, bytes: &[u8]) -> Heard {
    let ws = terms(Inside::Ws, false);
    link.on_bytes(NOW, &mut BytesMut::from(bytes), &mut BytesMut::new(), &ws, &Limits::default())
}

fn say(link: &mut Link, last: Option<Parting>, words: &[u8]) -> Vec<u8> {
    let Link::Wrapped(it) = link else { panic!("it is wrapped") };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    it.speak(&mut out, &mut spare, 65_536, last, |out| {
        out.put_bytes(&Bytes::copy_from_slice(words));
        false
    });
    out.to_vec()
}

#[test]
fn what_the_peer_says_is_one_frame_and_large_payloads_stay_shared() {
    let mut link = open();
    assert_eq!(say(&mut link, None, b""), b"", "no empty frames");
    assert_eq!(say(&mut link, None, b"hello"), b"\x82\x05hello");
    let large = Bytes::from(vec![7; 8 << 20]);
    let Link::Wrapped(it) = &mut link else { panic!("it is wrapped") };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    it.speak(&mut out, &mut spare, 65_536, None, |out| {
        out.put_slice(b"head");
        out.put_bytes(&large);
        true
    });
    let mut pieces = Vec::new();
    out.pieces(0, 64, &mut pieces);
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[0][..], *b"\x82\x7f\0\0\0\0\0\x80\0\x04head");
    assert_eq!(pieces[1].as_ptr(), large.as_ptr(), "not a byte of it was copied");
}

#[test]
fn every_ping_is_answered_in_its_turn_until_too_many_wait() {
    let mut link = open();
    give(&mut link, &[frame(PING, b"one"), frame(PING, b"two")].concat());
    assert!(link.has_words());
    assert_eq!(say(&mut link, None, b"x"), b"\x8a\x03one\x8a\x03two\x82\x01x");
    assert!(!link.has_words());
    // Of a hundred that nobody takes up, the latest are answered, in little memory.
    for i in 0..100 {
        give(&mut link, &frame(PING, &[i; 125]));
    }
    let said = say(&mut link, None, b"");
    assert!(said.len() <= 4_064 && said.len().is_multiple_of(127), "{}", said.len());
    let bodies: Vec<u8> = said.chunks(127).map(|pong| pong[126]).collect();
    let latest: Vec<u8> = (100 - bodies.len() as u8..100).collect();
    assert_eq!(bodies, latest);
    // What is broken later does not take an answer away.
    give(&mut link, &[frame(PING, b"three"), frame(3, b"")].concat());
    let last = Some(Parting { code: 1001, reason: "", late: false });
    assert_eq!(say(&mut link, last, b""), b"\x8a\x05three\x88\x02\x03\xea");
}

#[test]
fn the_end_is_said_by_a_close() {
    let last = Some(Parting { code: 1001, reason: "stopping", late: false });
    let mut link = open();
    assert_eq!(say(&mut link, last, b"bye"), b"\x82\x03bye\x88\x0a\x03\xe9stopping");
    assert_eq!(say(&mut link, last, b"more"), b"", "nothing follows a Close");
    // The peer's Close is answered by its own code.
    let mut link = open();
    let heard = give(&mut link, &frame(8, &1000u16.to_be_bytes()));
    assert!(heard.ended && heard.flaw.is_none());
    assert_eq!(say(&mut link, last, b"")[..4], [0x88, 10, 0x03, 0xe8]);
    // What it broke has a code of its own.
    for (bytes, code) in [
        (frame(1, b"text"), 1003u16),
        (vec![0x82, 0x00], 1002),
        (frame(8, &[0x03, 0xe8, 0xff]), 1007),
        ([&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes()].concat(), 1009),
    ] {
        let mut link = open();
        assert!(give(&mut link, &bytes).flaw.is_some());
        assert_eq!(say(&mut link, last, b"")[2..4], code.to_be_bytes());
    }
}

#[test]
fn a_request_that_is_not_granted_is_answered_in_http() {
    let say_last = |bytes: &[u8], late| {
        let mut link = Link::new(&terms(Inside::Ws, false), None).unwrap();
        give(&mut link, bytes);
        let last = Some(Parting { code: 1008, reason: "x", late });
        String::from_utf8(say(&mut link, last, b"never heard")).unwrap()
    };
    assert!(say_last(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n", false).starts_with("HTTP/1.1 404 "));
    assert!(say_last(MQTT, false).starts_with("HTTP/1.1 400 "));
    assert!(say_last(b"GET / HT", true).starts_with("HTTP/1.1 408 "));
    assert!(say_last(b"GET / HT", false).starts_with("HTTP/1.1 503 "));
    let mut nobody = Link::new(&terms(Inside::Any, false), None).unwrap();
    let last = Some(Parting { code: 1008, reason: "x", late: true });
    assert_eq!(say(&mut nobody, last, b"never heard"), b"", "who knows what it speaks");
}

#[test]
fn the_laws_hold_for_examples() {
    frames(&[frame(BINARY, MQTT), frame(PING, b"?"), frame(8, b""), vec![1, 2]].concat());
    frames(&frame(1, b"text"));
    for how in [0, 1] {
        for data in
            [MQTT, OPEN, b"PROXY UNKNOWN\r\n\x10\x02", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\x10"]
        {
            beginnings(&[&[how], data].concat());
        }
    }
}
