//! Floor 4. Connections in layers, driven by hand: what a link hears becomes facts, and every rule
//! that is broken below a protocol ends a connection by its name.

use bytes::{Bytes, BytesMut};

use crate::base::id::{ConnId, ListenerNo, RealmId};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::{MS, Now};
use crate::hub::message::Durability;
use crate::hub::policy::{
    Access, Address, Admit, Claim, Event, Login, Observer, Policy, Principal, Refusal,
};
use crate::hub::{Hub, Parts};
use crate::link::fuzzing::{OPEN, open};
use crate::link::{Carrier, Flaw, Inside, Spoken, Terms};
use crate::proto::doom::Doom;
use crate::proto::fault::{Blame, FaultKind};
use crate::proto::prx1::packet::{ConnAck, Connect, Packet, Publish, Subscribe};
use crate::proto::{Listener, Speak, prx1};

use super::Engine;

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// Lets everybody in whose address is the forwarded one, or who is asked nothing.
struct Expects(Option<Address>);
impl Policy for Expects {
    fn accept(&mut self, _: Now, address: Address) -> bool {
        address != BANNED
    }
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        let expected = self.0.is_none_or(|it| it == login.address && !login.loopback);
        assert!(expected, "{:?} {}", login.address, login.loopback);
        Admit::Yes(Principal { user: Bytes::copy_from_slice(login.user), ..Principal::default() })
    }
    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        true
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

const WS: u16 = 0;
const ANY: u16 = 1;
const PROXIED: u16 = 2;
const HERE: Address = Address::V4([127, 0, 0, 1]);
const THERE: Address = Address::V4([203, 0, 113, 9]);
const BANNED: Address = Address::V4([203, 0, 113, 66]);

struct Bench {
    engine: Engine,
    now: Now,
}

impl Bench {
    fn new(expected: Option<Address>) -> Self {
        Self::bounded(expected, Limits::default())
    }

    fn bounded(expected: Option<Address>, limits: Limits) -> Self {
        let parts = Parts {
            limits,
            seed: 7,
            realms: vec!["main".into()],
            policy: Box::new(Expects(expected)),
            observer: Box::new(Quiet),
        };
        let listener = |no, speak, inside, proxy| Listener {
            relay: None,
            desk: None,
            no: ListenerNo(no),
            speak,
            realm: RealmId(0),
            level: Durability::Memory,
            link: Terms {
                inside,
                proxy,
                speaks: vec![Spoken::Prx1, Spoken::Mqtt, Spoken::Wamp(Carrier::Raw)],
                trusted: vec!["127.0.0.1".parse().unwrap()],
                ..Terms::default()
            },
        };
        let listeners = vec![
            listener(WS, Speak::Any, Inside::Ws, false),
            listener(ANY, Speak::Any, Inside::Any, false),
            listener(PROXIED, Speak::Prx1, Inside::Bare, true),
        ];
        let engine = Engine::new(Hub::new(parts), listeners, 7);
        Self { engine, now: Now { mono: 1_000 * MS, wall: 1_700_000_000_000 } }
    }

    fn open(&mut self, listener: u16) -> ConnId {
        self.engine.on_accept(self.now, listener, HERE, true).unwrap()
    }

    fn give(&mut self, conn: ConnId, bytes: &[u8]) {
        self.engine.on_bytes(self.now, conn, &mut BytesMut::from(bytes));
    }

    /// Everything that is said to `conn` now.
    fn heard(&mut self, conn: ConnId) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some(who) = self.engine.poll_dirty() {
            let mut out = Outbound::default();
            self.engine.poll_transmit(self.now, who, &mut out);
            if who == conn {
                said.extend(out.to_vec());
            }
        }
        said
    }

    /// Why it ends, and its last words.
    fn end(&mut self) -> Option<(Doom, Vec<u8>)> {
        let (conn, doom) = self.engine.poll_doomed()?;
        let mut out = Outbound::default();
        self.engine.poll_transmit(self.now, conn, &mut out);
        self.engine.bury(conn);
        Some((doom, out.to_vec()))
    }
}

/// A client's frame, masked with nothing but zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

fn packet(packet: &Packet) -> Vec<u8> {
    prx1::encode_vec(packet).unwrap()
}

fn connect(user: &'static str) -> Vec<u8> {
    let username = Some(Bytes::from_static(user.as_bytes()));
    packet(&Packet::Connect(Connect { username, ..Connect::default() }))
}

fn request(protocol: &str) -> Vec<u8> {
    String::from_utf8_lossy(OPEN).replace("Protocol: mqtt", protocol).into_bytes()
}

#[test]
fn a_message_goes_from_websocket_to_websocket_and_through_bare_bytes() {
    let mut bench = Bench::new(None);
    let prx1 = request("Protocol: prx1");
    let [reader, writer] = [WS, ANY].map(|listener| {
        let conn = bench.open(listener);
        bench.give(conn, &[&prx1[..], &frame(0x82, &connect("guest"))].concat());
        conn
    });
    let bare = bench.open(ANY);
    bench.give(bare, &connect("bare"));
    let said = bench.heard(reader);
    assert!(said.starts_with(b"HTTP/1.1 101 "));
    let welcome = packet(&Packet::ConnAck(ConnAck::plain(ConnAck::OK)));
    assert!(said.ends_with(&[&[0x82, welcome.len() as u8][..], &welcome].concat()));
    let topic = Bytes::from_static(b"a/b");
    let subscribe = Packet::Subscribe(Subscribe { qos: 1, id: 1, topic, ..Subscribe::default() });
    // In two frames, cut within the packet.
    let whole = packet(&subscribe);
    let (one, two) = whole.split_at(3);
    bench.give(reader, &[frame(0x02, one), frame(0x89, b"?"), frame(0x80, two)].concat());
    bench.give(bare, &packet(&subscribe));
    let ack = packet(&Packet::SubAck(1));
    let said = bench.heard(reader);
    assert_eq!(said, [b"\x8a\x01?\x82\x04", &ack[..]].concat(), "the Pong and the answer");
    bench.heard(bare);
    let publish = packet(&Packet::Publish(Publish {
        topic: Bytes::from_static(b"a/b"),
        payload: Bytes::from_static(b"hello"),
        ..Publish::default()
    }));
    bench.give(writer, &frame(0x82, &publish));
    let mut said = Vec::new();
    while let Some(conn) = bench.engine.poll_dirty() {
        let mut out = Outbound::default();
        bench.engine.poll_transmit(bench.now, conn, &mut out);
        said.push((conn, out.to_vec()));
    }
    let framed = [&[0x82, publish.len() as u8][..], &publish].concat();
    assert!(said.contains(&(reader, framed)) && said.contains(&(bare, publish)));
}

#[test]
fn a_trusted_proxy_speaks_for_somebody_else() {
    let mut bench = Bench::new(Some(THERE));
    let conn = bench.open(PROXIED);
    bench.give(conn, b"PROXY TCP4 203.0.113.9 127.0.0.1 ");
    bench.give(conn, &[b"5 6\r\n", &connect("guest")[..]].concat());
    assert!(!bench.heard(conn).is_empty(), "let in, as whom the proxy named");
    let conn = bench.open(WS);
    let request = request("Protocol: prx1\r\nX-Forwarded-For: 10.9.9.9, 203.0.113.9");
    bench.give(conn, &[&request[..], &frame(0x82, &connect("guest"))].concat());
    assert!(!bench.heard(conn).is_empty());
    assert_eq!(bench.end(), None);
}

#[test]
fn whom_a_proxy_names_is_counted_where_it_is_from() {
    let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
    let mut bench = Bench::bounded(None, limits);
    let named = |bench: &mut Bench, from: u8| {
        let conn = bench.open(PROXIED);
        let header = format!("PROXY TCP4 203.0.113.{from} 127.0.0.1 5 6\r\n");
        bench.give(conn, &[header.as_bytes(), &connect("guest")].concat());
        conn
    };
    let first = named(&mut bench, 9);
    assert!(!bench.heard(first).is_empty());
    let second = named(&mut bench, 9);
    assert_eq!(bench.end(), Some((Doom::Unwelcome, Vec::new())), "one from there is enough");
    assert!(bench.heard(second).is_empty());
    let other = named(&mut bench, 10);
    assert!(!bench.heard(other).is_empty(), "the proxy itself is not counted");
    named(&mut bench, 66);
    assert_eq!(bench.end(), Some((Doom::Unwelcome, Vec::new())), "the policy said no");
    bench.engine.on_closed(bench.now, first, true);
    assert_eq!(bench.end().map(|(doom, _)| doom), Some(Doom::Reset));
    let third = named(&mut bench, 9);
    assert!(!bench.heard(third).is_empty(), "whoever goes makes room");
}

#[test]
fn handshakes_have_the_deadline_of_strangers() {
    let mut bench = Bench::new(None);
    let slow = [WS, ANY, ANY, PROXIED].map(|listener| bench.open(listener));
    let mqtt = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
    for ms in 0..6 {
        bench.now.mono += 1_900 * MS;
        bench.engine.on_time(bench.now);
        bench.give(slow[0], b"G");
        // The second stops within its first packet, after what it speaks is known.
        if let Some(byte) = mqtt.get(ms * 2..ms * 2 + 2).filter(|_| ms < 5) {
            bench.give(slow[1], byte);
        }
    }
    let mut ends = Vec::new();
    while let Some((doom, words)) = bench.end() {
        assert_eq!(doom, Doom::ConnectTimeout);
        ends.push(words);
    }
    assert_eq!(ends.len(), 4);
    let late = ends.iter().filter(|words| words.starts_with(b"HTTP/1.1 408 ")).count();
    assert_eq!(late, 1, "only a request is told so");
}

#[test]
fn a_close_is_the_end_of_what_the_peer_says() {
    let mut bench = Bench::new(None);
    let conn = bench.open(WS);
    let bye = frame(0x88, &1000u16.to_be_bytes());
    let login = frame(0x82, &connect("guest"));
    bench.give(conn, &[&request("Protocol: prx1")[..], &login, &bye, b"late"].concat());
    let mut said = bench.heard(conn);
    let (doom, words) = bench.end().unwrap();
    said.extend(words);
    assert_eq!(doom, Doom::Eof);
    assert!(said.windows(2).any(|w| w == [0x82, 3]), "its answer still comes");
    assert!(said.ends_with(b"\x88\x05\x03\xe8eof"), "{}", said.escape_ascii());
}

#[test]
fn who_is_let_go_is_told_so_in_a_close() {
    let mut bench = Bench::new(None);
    let conn = bench.open(WS);
    bench.give(conn, &request("Protocol: prx1"));
    bench.heard(conn);
    let half = bench.open(WS);
    bench.give(half, b"GET / HTTP/1.1\r\n");
    bench.engine.stop(bench.now);
    let mut ends: Vec<_> = std::iter::from_fn(|| bench.end().map(|(_, words)| words)).collect();
    ends.sort();
    assert!(ends[0].starts_with(b"HTTP/1.1 503 "), "{ends:?}");
    assert_eq!(ends[1], b"\x88\x0a\x03\xe9stopping");
}

#[test]
fn every_rule_below_a_protocol_ends_a_connection_by_its_name() {
    let json = |behind: &[u8]| [&open("wamp.2.json")[..], behind].concat();
    let open = |behind: &[u8]| [OPEN, behind].concat();
    let ask = |from: &str, to: &str| String::from_utf8_lossy(OPEN).replace(from, to).into_bytes();
    let long = [b"GET /", &[b'a'; 9_000][..]].concat();
    let too_long = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes()].concat();
    let cases: Vec<(u16, Vec<u8>, FaultKind, &[u8])> = vec![
        (ANY, b"\x82\0".to_vec(), FaultKind::FirstBytes, b""),
        (ANY, b"\x16\x03\x01".to_vec(), FaultKind::TlsHere, b""),
        (PROXIED, b"\x10\x0c".to_vec(), FaultKind::ProxyMissing, b""),
        (PROXIED, b"PROXY TCP5 \r\n".to_vec(), FaultKind::ProxyMalformed, b""),
        (WS, b"\x10\x0c".to_vec(), FaultKind::HttpMalformed, b"HTTP/1.1 400 "),
        (WS, long, FaultKind::HttpTooLong, b"HTTP/1.1 431 "),
        (WS, ask("GET", "PUT"), FaultKind::HttpMethod, b"HTTP/1.1 405 "),
        (WS, ask("P/1.1", "P/1.0"), FaultKind::HttpVersion, b"HTTP/1.1 505 "),
        (WS, ask("/mqtt", "/x"), FaultKind::HttpPath, b"HTTP/1.1 404 "),
        (WS, ask("Upgrade: websocket\r\n", ""), FaultKind::WsUpgrade, b"HTTP/1.1 426 "),
        (WS, ask("13", "12"), FaultKind::WsVersion, b"HTTP/1.1 426 "),
        (WS, ask("dGhl", "dG"), FaultKind::WsKey, b"HTTP/1.1 400 "),
        (WS, ask("mqtt\r\n", "chat\r\n"), FaultKind::WsProtocol, b"HTTP/1.1 400 "),
        (ANY, ask("mqtt\r\n", "chat\r\n"), FaultKind::WsProtocol, b"HTTP/1.1 400 "),
        (WS, open(b"\x82\x01"), FaultKind::WsUnmasked, b"\x03\xea"),
        (WS, open(&frame(0xc2, b"")), FaultKind::WsReserved, b"\x03\xea"),
        (WS, open(&frame(0x83, b"")), FaultKind::WsOpcode, b"\x03\xea"),
        (WS, open(&frame(0x09, b"")), FaultKind::WsControl, b"\x03\xea"),
        (WS, open(&frame(0x80, b"")), FaultKind::WsFragment, b"\x03\xea"),
        (WS, open(b"\x82\xff\x80\0\0\0\0\0\0\x01"), FaultKind::WsLength, b"\x03\xea"),
        (WS, open(&too_long), FaultKind::WsTooLong, b"\x03\xf1"),
        (WS, open(&frame(0x81, b"hi")), FaultKind::WsText, b"\x03\xeb"),
        (WS, json(&frame(0x82, b"hi")), FaultKind::WsBinary, b"\x03\xeb"),
        (WS, json(&frame(0x01, b"\xff")), FaultKind::WsUtf8, b"\x03\xef"),
        (WS, open(&frame(0x88, b"\0")), FaultKind::WsClose, b"\x03\xea"),
        (WS, open(&frame(0x88, b"\x03\xe8\xff")), FaultKind::WsReason, b"\x03\xef"),
    ];
    for (listener, bytes, kind, words) in cases {
        let mut bench = Bench::new(None);
        let conn = bench.open(listener);
        bench.give(conn, &bytes);
        let mut said = bench.heard(conn);
        let (doom, more) = bench.end().unwrap_or_else(|| panic!("{kind:?} goes on"));
        assert_eq!(doom, Doom::Fault(kind.fault()));
        said.extend(more);
        if said.starts_with(b"HTTP/1.1 101 ") {
            let end = said.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
            said.drain(..end + 4);
        }
        let once = said.windows(14).filter(|w| *w == b"Content-Length").count();
        assert!(once <= 1 && said.len() < 400, "said once: {}", said.escape_ascii());
        // Some say words of their own before the Close.
        let close = said.iter().rposition(|byte| *byte == 0x88).map_or(0, |at| at + 2);
        let from = if words.len() == 2 { close } else { 0 };
        let found = said.get(from..from + words.len());
        assert_eq!(found, Some(words), "{kind:?} {}", said.escape_ascii());
        assert_eq!(bench.engine.connections(), 0);
    }
}

#[test]
fn a_message_in_fragments_counts_as_unfinished_and_has_its_time() {
    let fragment = |first| [&open("wamp.2.cbor")[..], &frame(first, &[7; 100])].concat();
    let limits = Limits { packet_ms_max: 1_000, ..Limits::default() };
    let mut bench = Bench::bounded(None, limits.clone());
    let conn = bench.open(WS);
    bench.give(conn, &fragment(0x02));
    bench.heard(conn);
    bench.now.mono += 900 * MS;
    // Neither more of it nor a Ping begins its time anew.
    bench.give(conn, &[frame(0x89, b"?"), frame(0x00, &[7; 100])].concat());
    bench.engine.on_time(bench.now);
    assert_eq!(bench.end(), None);
    bench.now.mono += 200 * MS;
    bench.engine.on_time(bench.now);
    assert_eq!(bench.end().map(|(doom, _)| doom), Some(Doom::PacketTimeout));
    // A stranger may send less in fragments than who is known, as it may in one piece.
    let mut bench = Bench::bounded(None, Limits { login_bytes_max: 250, ..limits });
    let conn = bench.open(WS);
    bench.give(conn, &[fragment(0x02), frame(0x00, &[7; 100])].concat());
    bench.heard(conn);
    assert_eq!(bench.end(), None);
    bench.give(conn, &frame(0x00, &[7; 100]));
    let (doom, words) = bench.end().unwrap();
    assert_eq!(doom, Doom::Fault(FaultKind::WsTooLong.fault()));
    assert!(words.windows(2).any(|code| code == 1009u16.to_be_bytes()));
    // Many of them at once make room for each other.
    let mut bench = Bench::bounded(None, Limits { unfinished_bytes_max: 65_536, ..limits });
    for _ in 0..40 {
        let conn = bench.open(WS);
        bench.give(conn, &fragment(0x02));
        for _ in 0..20 {
            bench.give(conn, &frame(0x00, &[7; 100]));
        }
    }
    assert_eq!(bench.end().map(|(doom, _)| doom), Some(Doom::Unfinished), "the first of them");
    assert!(bench.engine.connections() > 20);
}

/// The link tells them apart (its own tests do that by real handshakes); here is what they are
/// called, and whose fault they are.
#[test]
fn rules_of_tls_have_names_and_somebody_to_blame() {
    for (flaw, kind, blame) in [
        (Flaw::TlsPlain, FaultKind::TlsPlain, Blame::Peer),
        (Flaw::TlsVersion, FaultKind::TlsVersion, Blame::Peer),
        (Flaw::TlsCommon, FaultKind::TlsCommon, Blame::Peer),
        (Flaw::TlsNoCertificate, FaultKind::TlsNoCertificate, Blame::Policy),
        (Flaw::TlsUntrusted, FaultKind::TlsUntrusted, Blame::Policy),
        (Flaw::TlsExpired, FaultKind::TlsExpired, Blame::Policy),
        (Flaw::TlsRevoked, FaultKind::TlsRevoked, Blame::Policy),
        (Flaw::TlsNoCrl, FaultKind::TlsNoCrl, Blame::Policy),
        (Flaw::TlsCertificate, FaultKind::TlsCertificate, Blame::Policy),
        (Flaw::TlsName, FaultKind::TlsName, Blame::Policy),
        (Flaw::TlsDistrusted, FaultKind::TlsDistrusted, Blame::Peer),
        (Flaw::TlsAlert, FaultKind::TlsAlert, Blame::Peer),
        (Flaw::TlsBroken, FaultKind::TlsBroken, Blame::Peer),
        (Flaw::TlsServerUntrusted, FaultKind::TlsServerUntrusted, Blame::Policy),
        (Flaw::TlsServerName, FaultKind::TlsServerName, Blame::Policy),
        (Flaw::TlsServerCertificate, FaultKind::TlsServerCertificate, Blame::Policy),
        (Flaw::TlsServerAlert, FaultKind::TlsServerAlert, Blame::Policy),
        (Flaw::TlsServerBroken, FaultKind::TlsServerBroken, Blame::Peer),
    ] {
        assert_eq!((FaultKind::from(flaw), kind.fault().blame), (kind, blame));
    }
}
