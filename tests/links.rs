//! Floor 6. What lies between a socket and a protocol, against the libraries of others: a real
//! process, TLS by a client of rustls, WebSockets by tungstenite.
//!
//! Every test has a broker on ports of its own, and ends the processes it started.
#![cfg(all(feature = "cli", feature = "tls"))]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

#[path = "links/cast.rs"]
mod cast;
#[path = "links/mqtt.rs"]
mod mqtt;
#[expect(dead_code, reason = "another test uses all of it")]
#[path = "e2e/process.rs"]
mod process;
#[path = "links/relay.rs"]
mod relay;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use bytes::Bytes;
use cast::{Authority, tls, untrusting};
use mqtt::{Mqtt, open, web};
use process::{LONG, Scratch, Spindle};
use spindle::Broker;
use spindle::config::{Config, Sources};
use spindle::proto::mqtt::Packet;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Error, Message};

/// A broker with these listeners behind its first; where they are bound.
fn start(dir: &Scratch, listen: &[&str], flags: &[&str]) -> (Spindle, Vec<String>) {
    let mut all = vec!["--durability", "memory"];
    all.extend(listen.iter().flat_map(|url| ["--listen", *url]));
    all.extend(flags);
    let mut broker = Spindle::start(&dir.join("data"), &all);
    let lines = listen.iter().map(|_| broker.hear("listening "));
    let bound = lines.map(|line| line.rsplit_once("address=").unwrap().1.to_owned());
    let bound = bound.collect();
    (broker, bound)
}

/// Flags for the certificate of a house, written to files in `dir`.
fn certified(dir: &Scratch, house: &Authority, name: &str) -> Vec<String> {
    let leaf = house.sign(name, 1);
    let (certificate, key) = (dir.join("broker.pem"), dir.join("broker.key"));
    std::fs::write(&certificate, leaf.certificate).unwrap();
    std::fs::write(&key, leaf.key).unwrap();
    let flag = |name: &str, path: std::path::PathBuf| [name.to_owned(), path.display().to_string()];
    [flag("--tls-cert", certificate), flag("--tls-key", key)].concat()
}

fn refs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

#[test]
fn a_message_goes_from_every_link_to_every_link() {
    let dir = Scratch::new("links");
    let house = Authority::new("house");
    let flags = certified(&dir, &house, "broker");
    let unix = format!("unix:{}", dir.join("broker.sock").display());
    let local = "://127.0.0.1:0";
    let urls =
        ["mqtt", "mqtts", "ws", "wss", "any", "anys"].map(|scheme| format!("{scheme}{local}"));
    let mut listen: Vec<&str> = urls.iter().map(String::as_str).collect();
    listen.push(&unix);
    let (broker, at) = start(&dir, &listen, &refs(&flags));
    let mut all: Vec<(&str, Box<dyn Mqtt>)> = vec![
        ("mqtt", Box::new(open(&at[0]))),
        ("mqtts", Box::new(tls(&house, None, &at[1]))),
        ("ws", Box::new(web(open(&at[2]), "mqtt"))),
        ("wss", Box::new(web(tls(&house, None, &at[3]), "mqtt"))),
        ("any, bare", Box::new(open(&at[4]))),
        ("any, websocket", Box::new(web(open(&at[4]), "mqttv3.1"))),
        ("anys, bare", Box::new(tls(&house, None, &at[5]))),
        ("anys, websocket", Box::new(web(tls(&house, None, &at[5]), "mqtt"))),
        ("unix", Box::new(UnixStream::connect(dir.join("broker.sock")).unwrap())),
    ];
    for (name, client) in &mut all {
        client.join(name);
        client.subscribe("all/#");
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    for (from, name) in names.iter().enumerate() {
        let small = format!("from {name}");
        let large: Vec<u8> = (0..300_000u32).map(|i| (i * 31) as u8).collect();
        for payload in [small.as_bytes(), &large] {
            all[from].1.publish("all/of/them", payload);
            for (to, client) in &mut all {
                assert!(client.message() == payload, "from {name} to {to}");
            }
        }
    }
    assert_eq!(broker.stop(), 0);
    for (name, client) in &mut all {
        assert_eq!(client.hear(), None, "{name} is let go");
    }
    assert!(!dir.join("broker.sock").exists(), "a socket goes with its broker");
}

#[test]
fn eight_mebibytes_over_a_websocket_arrive_whole_however_they_are_cut() {
    let dir = Scratch::new("large");
    let flags = ["--limit", "packet_bytes_max=16777216", "--limit", "outbox_bytes_max=67108864"];
    let (broker, at) = start(&dir, &["ws://127.0.0.1:0"], &flags);
    let mut reader = web(open(&at[0]), "mqtt");
    reader.join("reader");
    reader.subscribe("large");
    let mut writer = web(open(&at[0]), "mqtt");
    writer.join("writer");
    let large: Vec<u8> = (0..8u32 << 20).map(|i| (i * 31) as u8).collect();
    writer.publish("large", &large);
    assert!(reader.message() == large, "in one frame");
    // The same, in fragments of any size with pings between them.
    let packet = mqtt::publish("large", &large);
    let mut rest = &packet[..];
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rest.len().min(size));
        let first = rest.len() == packet.len();
        let opcode = OpCode::Data(if first { Data::Binary } else { Data::Continue });
        let piece = Bytes::copy_from_slice(piece);
        let frame = Frame::message(piece, opcode, later.is_empty());
        writer.socket.send(Message::Frame(frame)).unwrap();
        writer.socket.send(Message::Ping(Bytes::from_static(b"?"))).unwrap();
        rest = later;
        size = size * 3 / 2 + 1;
    }
    assert!(reader.message() == large, "in fragments");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_websocket_keeps_its_own_rules() {
    let dir = Scratch::new("rules");
    let (mut broker, at) = start(&dir, &["ws://127.0.0.1:0"], &["--log", "debug"]);
    let ends = |message: Message| {
        let mut guest = web(open(&at[0]), "mqtt");
        guest.join("guest");
        guest.socket.send(message).unwrap();
        guest.socket.flush().unwrap();
        loop {
            match guest.socket.read() {
                Ok(Message::Close(Some(CloseFrame { code, .. }))) => return u16::from(code),
                Ok(_) => {}
                Err(e) => panic!("no Close but {e}"),
            }
        }
    };
    assert_eq!(ends(Message::Text("text".into())), 1003);
    broker.hear("a WebSocket text frame");
    let bare = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let reserved = FrameHeader { rsv1: true, ..bare };
    let framed = |header| Message::Frame(Frame::from_payload(header, Bytes::from_static(b"x")));
    assert_eq!(ends(framed(reserved)), 1002);
    let close = CloseFrame { code: CloseCode::Away, reason: "leaving".into() };
    assert_eq!(ends(Message::Close(Some(close))), 1001, "its own code comes back");
    // Nobody but a careless client forgets the mask, so it is written by hand.
    let mut guest = web(open(&at[0]), "mqtt");
    guest.join("guest");
    guest.socket.get_mut().write_all(&[0x82, 0x02, 0xc0, 0x00]).unwrap();
    match guest.socket.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Protocol),
        other => panic!("no Close but {other:?}"),
    }
    broker.hear("without a mask");
    assert!(matches!(guest.socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(broker.stop(), 0);
}

#[test]
fn who_asks_for_something_else_is_told_in_http() {
    let dir = Scratch::new("http");
    let flags = ["--limit", "connect_ms_max=400"];
    let (broker, at) = start(&dir, &["ws://127.0.0.1:0/only/here"], &flags);
    let ask = |request: &[u8]| {
        let mut stream = open(&at[0]);
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask(b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask(b"GET /only/here HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 426 "));
    assert!(ask(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0").starts_with("HTTP/1.1 400 "));
    let long = [b"GET /", &[b'a'; 1 << 20][..]].concat();
    let mut stream = open(&at[0]);
    // The broker stops listening in the midst of it.
    let _ = stream.write_all(&long);
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
    assert!(ask(b"GET /on").starts_with("HTTP/1.1 408 "), "after its time");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_certificate_is_a_user_until_it_is_revoked_and_ours_is_changed_under_open_connections() {
    let dir = Scratch::new("reload");
    let house = Authority::new("house");
    let (ca, crl) = (dir.join("ca.pem"), dir.join("crl.pem"));
    std::fs::write(&ca, &house.pem).unwrap();
    std::fs::write(&crl, house.revoke(99)).unwrap();
    let mut flags = certified(&dir, &house, "first");
    let asking = ["--tls-ca", &ca.display().to_string(), "--tls-crl", &crl.display().to_string()]
        .map(str::to_owned);
    flags.extend(asking);
    let (mut broker, at) = start(&dir, &["mqtts://127.0.0.1:0"], &refs(&flags));
    let alice = house.sign("alice", 7);
    let mut early = tls(&house, Some(&alice), &at[0]);
    early.join("early");
    early.subscribe("a");
    let shown = |client: &cast::Tls| cast::common_name(client);
    assert_eq!(shown(&early), "first");
    // Who has none, or one of somebody else, is refused by name.
    assert!(untrusting(&house, None, &at[0]).contains("CertificateRequired"));
    broker.hear("no client certificate, and one is required");
    let stranger = Authority::new("stranger").sign("alice", 7);
    assert!(untrusting(&house, Some(&stranger), &at[0]).contains("UnknownCA"));
    broker.hear("issuer is none of --tls-ca");

    certified(&dir, &house, "second");
    std::fs::write(&crl, house.revoke(7)).unwrap();
    broker.signal("HUP");
    broker.hear("certificate and key read again listeners=1");
    assert!(untrusting(&house, Some(&alice), &at[0]).contains("CertificateRevoked"));
    broker.hear("a client certificate that was revoked");
    let bob = house.sign("bob", 8);
    let mut late = tls(&house, Some(&bob), &at[0]);
    late.join("late");
    assert_eq!(shown(&late), "second");
    late.publish("a", b"still there");
    assert_eq!(early.message(), &b"still there"[..], "open connections stay");

    std::fs::write(dir.join("broker.key"), "nothing").unwrap();
    broker.signal("HUP");
    let said = broker.hear("everything stays as it was");
    assert!(said.contains("broker.key") && said.contains("BEGIN PRIVATE KEY"), "{said}");
    let mut later = tls(&house, Some(&bob), &at[0]);
    later.join("later");
    assert_eq!(shown(&later), "second");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn openssl_says_the_handshake_is_good_in_both_versions() {
    let dir = Scratch::new("openssl");
    let house = Authority::new("house");
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, &house.pem).unwrap();
    let flags = certified(&dir, &house, "broker");
    let (mut broker, at) = start(&dir, &["mqtts://127.0.0.1:0"], &refs(&flags));
    for version in ["-tls1_2", "-tls1_3"] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", version, "-brief", "-verify_return_error", "-CAfile"]).arg(&ca);
        openssl.args(["-connect", &at[0], "-servername", "localhost"]);
        let Ok(out) = openssl.stdin(std::process::Stdio::null()).output() else { return };
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && said.contains("Verification: OK"), "{said}");
    }
    let mut stream = open(&at[0]);
    stream.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0").unwrap();
    broker.hear("not TLS, on a listener that takes nothing else");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_proxy_on_this_machine_speaks_for_somebody_elsewhere() {
    let dir = Scratch::new("proxy");
    let flags = ["--trusted-proxy", "127.0.0.0/8"];
    let listen = ["mqtt://127.0.0.1:0?proxy=on", "ws://127.0.0.1:0"];
    let (mut broker, at) = start(&dir, &listen, &flags);
    let mut guest = open(&at[0]);
    guest.write_all(b"PROXY TCP4 203.0.113.9 127.0.0.1 5 6\r\n").unwrap();
    guest.join("first");
    broker.hear("New client connected from 203.0.113.9 as first");
    let mut guest = mqtt::web_with(open(&at[1]), "mqtt", &[("X-Forwarded-For", "203.0.113.7")]);
    guest.join("second");
    broker.hear("New client connected from 203.0.113.7 as second");
    let mut silent = open(&at[0]);
    silent.say(&mqtt::connect("third"));
    broker.hear("a trusted proxy sent no PROXY header");
    assert_eq!(silent.hear(), None);
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_socket_in_the_file_system_is_for_whom_its_mode_says() {
    let dir = Scratch::new("unix");
    let path = dir.join("x.sock");
    // What a broker that was killed left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let url = format!("unix:{}?mode=600&speak=mqtt", path.display());
    let (broker, at) = start(&dir, &[&url], &[]);
    assert_eq!(at[0], format!("unix:{}", path.display()));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    UnixStream::connect(&path).unwrap().join("guest");
    // One that is in use is not taken away, and neither is what is no socket.
    let refused = |url: &str| {
        let mut second = process::command();
        second.args(["serve", "--durability", "memory", "--listen", url]);
        let out = second.output().unwrap();
        assert_eq!(out.status.code(), Some(1));
    };
    refused(&url);
    UnixStream::connect(&path).unwrap().join("another");
    let file = dir.join("file");
    std::fs::write(&file, "mine").unwrap();
    refused(&format!("unix:{}", file.display()));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert_eq!(broker.stop(), 0);
    assert!(!path.exists());
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let dir = Scratch::new("start");
    let run = |flags: &[&str]| {
        let mut it = process::command();
        let out = it.args(["serve", "--durability", "memory"]).args(flags).output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = run(&["--listen", "mqtts://127.0.0.1:0"]);
    assert!(code == Some(2) && said.contains("--tls-cert FILE"), "{said}");
    let house = Authority::new("house");
    let mut flags = certified(&dir, &house, "broker");
    std::fs::write(dir.join("broker.key"), house.sign("other", 2).key).unwrap();
    flags.extend(["--listen", "mqtts://127.0.0.1:0"].map(str::to_owned));
    let (code, said) = run(&refs(&flags));
    assert!(code == Some(1) && said.contains("the private key is not the certificate's"), "{said}");
    let (code, said) = run(&["--trusted-proxy", "everybody"]);
    assert!(code == Some(2) && said.contains("10.0.0.0/8"), "{said}");
    let (code, said) = run(&["--tls-cert", "only.pem"]);
    assert!(code == Some(2) && said.contains("tls.key"), "{said}");
}

#[test]
fn half_handshakes_cost_nobody_anything() {
    let dir = Scratch::new("halves");
    let house = Authority::new("house");
    let flags = certified(&dir, &house, "broker");
    let flags = [refs(&flags), vec!["--limit", "connect_ms_max=700"]].concat();
    let (broker, at) = start(&dir, &["mqtts://127.0.0.1:0"], &flags);
    let halves: Vec<TcpStream> = (0..300)
        .map(|i| {
            let mut stream = open(&at[0]);
            stream.write_all(&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..i % 11]).unwrap();
            stream
        })
        .collect();
    let mut guest = tls(&house, None, &at[0]);
    guest.join("guest");
    for mut half in halves {
        half.set_read_timeout(Some(LONG)).unwrap();
        let mut rest = Vec::new();
        // Closed after its time, whatever is said about it.
        let _ = half.read_to_end(&mut rest);
    }
    guest.subscribe("x");
    assert_eq!(broker.stop(), 0);
    assert!(matches!(guest.hear(), None | Some(Packet::Disconnect(_))));
}

/// What the broker answers a browser that asks for a WebSocket here.
fn upgraded(mut stream: impl Read + Write) -> String {
    let asked = "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n";
    stream.write_all(asked.as_bytes()).unwrap();
    let (mut answer, mut octet) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        answer.push(octet[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_cookie_that_came_over_tls_is_shown_over_nothing_else() {
    let dir = Scratch::new("cookies");
    let house = Authority::new("house");
    let flags = certified(&dir, &house, "broker");
    let file = dir.join("broker.toml");
    let listener =
        |scheme| format!("[[listener]]\nurl = \"{scheme}://127.0.0.1:0\"\ncookie_s = 60\n");
    let head = "durability = \"memory\"\nadmin = { listen = \"\" }\n";
    let tls_files = format!("[tls]\ncert = {:?}\nkey = {:?}\n", flags[1], flags[3]);
    let listeners = ["any", "anys"].map(listener).concat();
    std::fs::write(&file, format!("{head}{tls_files}{listeners}")).unwrap();
    let sources = Sources { file: Some(file), ..Sources::default() };
    let config = Config::load(&sources).unwrap_or_else(|e| panic!("{e}"));
    let broker = Broker::builder().configured(&config).build().unwrap();
    let at = [0, 1].map(|no| broker.local_addr(no).unwrap().to_string());
    let handle = broker.handle();
    let thread = std::thread::spawn(move || broker.run());
    for (secure, answer) in
        [(false, upgraded(open(&at[0]))), (true, upgraded(tls(&house, None, &at[1])))]
    {
        let cookie = answer.lines().find(|line| line.starts_with("Set-Cookie: spindle-wamp="));
        let cookie = cookie.unwrap_or_else(|| panic!("{answer}"));
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        assert_eq!(cookie.ends_with("; Secure"), secure, "{cookie}");
    }
    handle.stop();
    thread.join().unwrap().unwrap();
}
