//! Floor 1. Requests: the RFC's own, and everything that can be wrong with one.

use core::net::IpAddr;

use super::sniff::Spoken;
use super::ws_handshake::{COOKIE, accept, head_len, late, refusal, unwelcome, upgrade};
use super::{Carrier, Flaw, Terms};

const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: chat, mqtt\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

fn terms() -> Terms {
    let trusted = ["10.0.0.0/8", "192.0.2.1"].iter().map(|block| block.parse().unwrap()).collect();
    Terms { speaks: vec![Spoken::Mqtt, Spoken::Prx1], trusted, ..Terms::default() }
}

fn ask(head: &str) -> Result<(Spoken, String), Flaw> {
    let granted = upgrade(head.as_bytes(), &terms(), None)?;
    Ok((granted.spoken, String::from_utf8(granted.answer).unwrap()))
}

#[test]
fn the_key_of_the_rfc_is_answered_as_there() {
    assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let (spoken, answer) = ask(GOOD).unwrap();
    assert_eq!(spoken, Spoken::Mqtt);
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        "no extension is agreed to"
    );
}

#[test]
fn the_first_subprotocol_that_is_spoken_is_taken() {
    let offered = |offer: &str| ask(&GOOD.replace("chat, mqtt", offer));
    assert_eq!(offered("mqttv3.1").unwrap().0, Spoken::Mqtt);
    assert!(offered("mqttv3.1, mqtt").unwrap().1.contains("Protocol: mqttv3.1\r\n"));
    assert_eq!(offered("prx1").unwrap().0, Spoken::Prx1);
    let twice = "chat\r\nSec-WebSocket-Protocol: mqtt";
    assert_eq!(offered(twice).unwrap().0, Spoken::Mqtt);
    for none in ["chat", "", "MQTT", "mqtt5", ","] {
        assert_eq!(offered(none), Err(Flaw::WsProtocol), "{none:?}");
    }
    let only = Terms { speaks: vec![Spoken::Prx1], ..Terms::default() };
    assert_eq!(upgrade(GOOD.as_bytes(), &only, None), Err(Flaw::WsProtocol));
}

#[test]
fn a_subprotocol_of_wamp_says_how_messages_are_carried() {
    let speaks = vec![Spoken::Mqtt, Spoken::Wamp(Carrier::Raw)];
    let wamp = Terms { speaks, ..Terms::default() };
    let asked = |offer: &str| {
        let granted = upgrade(GOOD.replace("chat, mqtt", offer).as_bytes(), &wamp, None)?;
        let answer = String::from_utf8(granted.answer).unwrap();
        let line = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        Ok((granted.spoken, line.unwrap().to_owned()))
    };
    for (name, carrier, text) in [
        ("wamp.2.json", Carrier::Json, true),
        ("wamp.2.json.batched", Carrier::JsonBatched, true),
        ("wamp.2.msgpack", Carrier::MsgPack, false),
        ("wamp.2.msgpack.batched", Carrier::MsgPackBatched, false),
        ("wamp.2.cbor", Carrier::Cbor, false),
        ("wamp.2.cbor.batched", Carrier::CborBatched, false),
    ] {
        assert_eq!(asked(name), Ok((Spoken::Wamp(carrier), name.to_owned())));
        assert_eq!(carrier.is_text(), text);
        // The first that is spoken, whatever else is offered.
        let many = format!("wamp.3.json, {name}, mqtt, wamp.2.cbor");
        assert_eq!(asked(&many), Ok((Spoken::Wamp(carrier), name.to_owned())));
        assert_eq!(ask(&GOOD.replace("chat, mqtt", name)), Err(Flaw::WsProtocol), "not here");
    }
    for none in ["wamp.2.ubjson", "wamp.2.flatbuffers", "wamp.2", "WAMP.2.JSON", "wamp"] {
        assert_eq!(asked(none), Err(Flaw::WsProtocol), "{none}");
    }
}

#[test]
fn paths_are_those_that_were_named() {
    let at = |path: &str| ask(&GOOD.replace("/mqtt", path)).map(|it| it.0);
    for path in ["/", "/mqtt", "/mqtt?token=x", "/prx1", "/ws", "/wamp", "/?x=/y"] {
        assert_eq!(at(path), Ok(Spoken::Mqtt), "{path}");
    }
    for path in ["/admin", "/mqttx", "*", "x"] {
        assert_eq!(at(path), Err(Flaw::HttpPath), "{path}");
    }
    // The target may be an address as a whole.
    let hosts = ["http://h/mqtt", "https://h:84/ws?x", "HTTP://h", "http://h?x=/y", "http://h/"];
    for path in hosts {
        assert_eq!(at(path), Ok(Spoken::Mqtt), "{path}");
    }
    for path in ["http://h/x", "ftp://h/mqtt", "http:/mqtt"] {
        assert_eq!(at(path), Err(Flaw::HttpPath), "{path}");
    }
    let own = Terms { paths: vec!["/a".into()], ..terms() };
    assert_eq!(upgrade(GOOD.as_bytes(), &own, None), Err(Flaw::HttpPath));
    assert!(upgrade(GOOD.replace("/mqtt", "/a").as_bytes(), &own, None).is_ok());
}

#[test]
fn everything_that_is_wrong_has_its_name() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let cases = [
        (Flaw::HttpMethod, "GET ", "POST "),
        (Flaw::HttpVersion, "HTTP/1.1", "HTTP/1.0"),
        (Flaw::HttpVersion, "HTTP/1.1", "HTTP/2.0"),
        (Flaw::HttpMalformed, "Host: broker", "Host broker"),
        (Flaw::HttpMalformed, "Host: broker\r\n", ""),
        (Flaw::HttpMalformed, "Host: broker", "Host: broker\r\nHost: broker"),
        (Flaw::HttpMalformed, "Host: broker", "Host: broker\r\nhost: other"),
        (Flaw::HttpMalformed, "Host: broker", "Host: broker\r\nContent-Length: 5"),
        (Flaw::HttpMalformed, "Host: broker", "Host: broker\r\nTransfer-Encoding: chunked"),
        (Flaw::WsUpgrade, "Upgrade: websocket\r\n", ""),
        (Flaw::WsUpgrade, "Upgrade: websocket", "Upgrade: h2c"),
        (Flaw::WsUpgrade, "keep-alive, Upgrade", "close"),
        (Flaw::WsVersion, "Version: 13", "Version: 8"),
        (Flaw::WsVersion, "Sec-WebSocket-Version: 13\r\n", ""),
        (Flaw::WsKey, key, "short=="),
        (Flaw::WsKey, key, "dGhlIHNhbXBsZSBub25jZR=="),
        (Flaw::WsKey, key, "dGhlIHNhbXBsZSBub25j Q=="),
        (Flaw::WsKey, key, "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: other"),
        (Flaw::WsKey, "Sec-WebSocket-Key", "X-Key"),
    ];
    for (flaw, from, to) in cases {
        assert!(GOOD.contains(from));
        assert_eq!(ask(&GOOD.replace(from, to)), Err(flaw), "{to:?}");
    }
    let many: String = (0..70).map(|i| format!("X-{i}: y\r\n")).collect();
    let head = GOOD.replace("Host: broker\r\n", &format!("Host: broker\r\n{many}"));
    assert_eq!(ask(&head), Err(Flaw::HttpTooLong));
    assert!(
        ask(&GOOD.replace("websocket", "WebSocket").replace("Upgrade\r\n", "upgrade\r\n")).is_ok()
    );
}

#[test]
fn a_refusal_says_what_to_do_and_ends() {
    for (flaw, status, word) in [
        (Flaw::HttpPath, "404 Not Found", "/mqtt"),
        (Flaw::HttpMethod, "405 Method Not Allowed", "Allow: GET"),
        (Flaw::HttpMalformed, "400 Bad Request", "no HTTP request"),
        (Flaw::HttpTooLong, "431 Request Header Fields Too Large", "too long"),
        (Flaw::HttpVersion, "505 HTTP Version Not Supported", "HTTP/1.1 is spoken"),
        (Flaw::WsUpgrade, "426 Upgrade Required", "Upgrade: websocket"),
        (Flaw::WsVersion, "426 Upgrade Required", "Sec-WebSocket-Version: 13"),
        (Flaw::WsKey, "400 Bad Request", "16 bytes"),
        (Flaw::WsProtocol, "400 Bad Request", "Sec-WebSocket-Protocol: mqtt"),
    ] {
        let answer = String::from_utf8(refusal(flaw)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(answer.contains(word) && head.contains("close\r\n"), "{answer}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    }
    assert!(late().starts_with(b"HTTP/1.1 408 ") && unwelcome().starts_with(b"HTTP/1.1 503 "));
}

#[test]
fn the_end_of_a_head_is_found_wherever_the_search_was_broken_off() {
    let head = GOOD.as_bytes();
    for seen in 0..head.len() {
        assert_eq!(head_len(&head[..seen], 0), None);
        assert_eq!(head_len(head, seen), Some(head.len()), "after {seen}");
    }
}

#[test]
fn forwarded_addresses_are_believed_as_far_as_trusted_proxies_wrote_them() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let asked = |from: &str, said: &[&str]| {
        let lines: String = said.iter().map(|s| format!("X-Forwarded-For: {s}\r\n")).collect();
        let head = GOOD.replace("Host: broker\r\n", &format!("Host: broker\r\n{lines}"));
        upgrade(head.as_bytes(), &terms(), Some(ip(from))).unwrap().forwarded
    };
    assert_eq!(asked("10.0.0.1", &["203.0.113.9"]), Some(ip("203.0.113.9")));
    assert_eq!(asked("203.0.113.1", &["203.0.113.9"]), None, "nobody trusts this one");
    assert_eq!(asked("10.0.0.1", &[]), None);
    // What stands before the first address that is not a proxy's anybody may have written.
    assert_eq!(asked("10.0.0.1", &["127.0.0.1, 203.0.113.9, 10.0.0.2"]), Some(ip("203.0.113.9")));
    assert_eq!(
        asked("10.0.0.1", &["127.0.0.1", "203.0.113.9, 192.0.2.1"]),
        Some(ip("203.0.113.9"))
    );
    assert_eq!(asked("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), Some(ip("10.0.0.3")));
    assert_eq!(asked("10.0.0.1", &["203.0.113.9:5000"]), Some(ip("203.0.113.9")));
    assert_eq!(asked("10.0.0.1", &["[2001:db8::7]:5000"]), Some(ip("2001:db8::7")));
    assert_eq!(asked("10.0.0.1", &["[2001:db8::7]"]), Some(ip("2001:db8::7")));
    assert_eq!(asked("10.0.0.1", &["203.0.113.9, nonsense"]), None);
    assert_eq!(asked("10.0.0.1", &["nonsense, 10.0.0.2"]), Some(ip("10.0.0.2")));
}

#[test]
fn a_cookie_is_one_and_its_page_is_of_this_origin() {
    let own = [0xab; 16];
    let text = format!("{COOKIE}={}", "ab".repeat(16));
    let visit = |fields: &str| {
        let head = GOOD.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"));
        upgrade(head.as_bytes(), &terms(), None).expect(fields).visit
    };
    let host = GOOD.lines().find_map(|line| line.strip_prefix("Host: ")).expect("one");
    for (fields, cookie) in [
        (format!("Cookie: {text}"), Some(own)),
        (format!("Cookie: a=b; {text}; c"), Some(own)),
        (format!("Cookie: {text}; {text}"), None),
        (format!("Cookie: {text}\r\nCookie: a=b"), None),
        (format!("Cookie: {text}0"), None),
        (format!("Cookie: x{text}"), None),
        (format!("Cookie: {text}\r\nOrigin: http://{host}"), Some(own)),
        (format!("Cookie: {text}\r\nOrigin: HTTPS://{}", host.to_uppercase()), Some(own)),
        (format!("Cookie: {text}\r\nOrigin: http://{host}.evil"), None),
        (format!("Cookie: {text}\r\nOrigin: null"), None),
        (format!("Cookie: {text}\r\nOrigin: http://{host}\r\nOrigin: http://{host}"), None),
    ] {
        assert_eq!(visit(&fields).cookie, cookie, "{fields}");
    }
    assert!(visit("X: y").own && !visit("Origin: http://evil").own);
}
