//! Floor 3. What CONNECT asks for, and what becomes of it: terms, sessions, wills, refusals.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::hub::policy::{Access, Admit, Claim, Login, Policy, Principal, Refusal};
use crate::proto::fault::FaultKind;

use super::bench_test::*;
use super::packet::*;
use super::props::{Prop, Props};

#[test]
fn a_will_is_published_unless_the_goodbye_is_plain() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.join5("watcher");
    b.listen(watcher, "will/#", 1);
    let with_will = |id: &'static str| {
        let will = Will {
            topic: Bytes::from_static(b"will/x"),
            payload: Bytes::from_static(b"gone"),
            qos: 1,
            retain: false,
            props: Props::build(&[Prop::User(Bytes::from_static(b"k"), Bytes::from_static(b"v"))]),
        };
        Connect { will: Some(will), ..connect(Version::V5, id) }
    };
    let bye = |reason| Packet::Disconnect(Reason { reason, props: Props::none() });
    let (one, _) = b.join(with_will("one"));
    b.ask(one, &bye(0));
    assert!(b.said(watcher).is_empty());
    let (two, _) = b.join(with_will("two"));
    b.ask(two, &bye(4));
    let said = b.said(watcher);
    assert_eq!(published(&said).len(), 1);
    assert_eq!(published(&said)[0].props.iter().count(), 1, "its user property");
    let (three, _) = b.join(with_will("three"));
    b.cut(three);
    assert_eq!(published(&b.said(watcher)).len(), 1);
    // Another connection under its name: the first was lost.
    let (four, _) = b.join(with_will("four"));
    b.join(with_will("four"));
    let said = b.said(four);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x8e), "{said:?}");
    assert_eq!(published(&b.said(watcher)).len(), 1);
}

#[test]
fn a_will_waits_for_its_delay_and_no_longer_than_its_session() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.join5("watcher");
    b.listen(watcher, "will", 0);
    let with_delay = |id: &'static str, delay, expiry| {
        let will = Will {
            topic: Bytes::from_static(b"will"),
            payload: Bytes::from_static(b"gone"),
            qos: 0,
            retain: false,
            props: Props::build(&[Prop::WillDelay(delay), Prop::MessageExpiry(100)]),
        };
        let props = Props::build(&[Prop::SessionExpiry(expiry)]);
        Connect { will: Some(will), props, clean: false, ..connect(Version::V5, id) }
    };
    let (one, _) = b.join(with_delay("one", 10, 60));
    b.cut(one);
    b.pass(9_999);
    assert!(b.said(watcher).is_empty(), "not yet");
    let (back, _) = b.join(with_delay("one", 10, 60));
    b.pass(20_000);
    assert!(b.said(watcher).is_empty(), "its owner came back in time");
    b.cut(back);
    b.pass(10_000);
    let said = b.said(watcher);
    let expiry = prop(&published(&said)[0].props, |p| match p {
        Prop::MessageExpiry(s) => Some(s),
        _ => None,
    });
    assert_eq!(expiry, Some(100), "its life begins when it is published");
    let (two, _) = b.join(with_delay("two", 100, 5));
    b.cut(two);
    b.pass(4_999);
    assert!(b.said(watcher).is_empty());
    b.pass(1);
    assert_eq!(published(&b.said(watcher)).len(), 1, "the end of its session is the last moment");
}

#[test]
fn a_session_lasts_as_long_as_was_agreed() {
    let mut b = Bench::new(Limits { session_s_max: 100, ..Limits::default() });
    let with = |expiry, clean| {
        let props = Props::build(&[Prop::SessionExpiry(expiry)]);
        Connect { props, clean, ..connect(Version::V5, "c") }
    };
    let told = |welcome: &ConnAck| {
        prop(&welcome.props, |p| match p {
            Prop::SessionExpiry(s) => Some(s),
            _ => None,
        })
    };
    let (conn, welcome) = b.join(with(u32::MAX, true));
    assert_eq!((welcome.present, told(&welcome)), (false, Some(100)), "bounded, and told so");
    b.cut(conn);
    b.pass(99_999);
    let (conn, welcome) = b.join(with(10, false));
    assert_eq!((welcome.present, told(&welcome)), (true, None));
    // A goodbye may shorten or lengthen it.
    let props = Props::build(&[Prop::SessionExpiry(20)]);
    b.ask(conn, &Packet::Disconnect(Reason { reason: 0, props }));
    b.pass(19_999);
    // No expiry: it begins where the other left off and ends with the connection.
    let (conn, welcome) = b.join(with(0, false));
    assert!(welcome.present);
    let props = Props::build(&[Prop::SessionExpiry(20)]);
    b.send(conn, &Packet::Disconnect(Reason { reason: 0, props }));
    b.broke(conn, FaultKind::MqttSessionExpiry, Some(0x82));
    assert!(!b.join(with(10, false)).1.present);
    let (conn, _) = b.join(durable(Version::V311, "old"));
    b.cut(conn);
    b.pass(99_000);
    let (conn, welcome) = b.join(durable(Version::V311, "old"));
    assert!(welcome.present);
    b.cut(conn);
    b.pass(100_000);
    assert!(!b.join(durable(Version::V311, "old")).1.present);
}

#[test]
fn a_stranger_has_a_deadline_of_its_own() {
    let mut b = Bench::new(Limits::default());
    let conn = b.open(Version::V5);
    b.pass(b.setup.limits.connect_ms_max - 1);
    assert_eq!(b.ended(conn), None);
    b.pass(1);
    assert_eq!(b.ended(conn), Some("connect_timeout"));
    assert!(b.said(conn).is_empty());
}

#[test]
fn the_keep_alive_may_be_the_servers() {
    let mut b = Bench::new(Limits { server_keepalive_s: 10, ..Limits::default() });
    for asked in [0, 11] {
        let (conn, welcome) = b.join(Connect { keep_alive: asked, ..connect(Version::V5, "c") });
        let told = prop(&welcome.props, |p| match p {
            Prop::ServerKeepAlive(s) => Some(s),
            _ => None,
        });
        assert_eq!(told, Some(10));
        b.pass(15_000);
        assert_eq!(b.ended(conn), Some("idle_timeout"));
    }
}

#[test]
fn refusals_before_the_welcome_are_in_the_clients_version() {
    let mut b = Bench::new(Limits::default());
    let cases: [(&[u8], Version, &[u8], &str); 6] = [
        (b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0", Version::V311, b"\x20\x02\0\x02", "MqttClientId"),
        (b"\x10\x0c\0\x04MQTT\x02\x02\0\0\0\0", Version::V311, b"\x20\x02\0\x01", "MqttVersion"),
        (b"\x10\x0d\0\x04MQTT\x06\x02\0\0\0\0\0", Version::V5, b"", "MqttVersion"),
        (b"\x10\x0d\0\x04MQTT\x05\x03\0\0\0\0\0", Version::V5, b"", "MqttConnectFlags"),
        (b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", Version::V311, b"", "MqttConnectFlags"),
        (b"\x30\x03\0\x01a", Version::V311, b"", "MqttFirstPacket"),
    ];
    for (sent, version, bytes, name) in cases {
        let conn = b.open(version);
        b.raw(conn, sent);
        b.rig.rest(100);
        assert_eq!(b.ended(conn), Some(name));
        let heard = b.rig.wires[&conn].heard.clone();
        if version == Version::V5 {
            let said = b.said(conn);
            let [Packet::ConnAck(ack)] = &said[..] else { panic!("{said:?}") };
            assert!(ack.code >= 0x80 && !ack.present);
        } else {
            assert_eq!(heard, bytes, "{name}");
        }
    }
}

#[test]
fn a_client_without_a_name_is_given_one() {
    let mut b = Bench::new(Limits::default());
    let assigned = |welcome: &ConnAck| {
        prop(&welcome.props, |p| match p {
            Prop::AssignedClientId(id) => Some(id),
            _ => None,
        })
    };
    let (_, one) = b.join(connect(Version::V5, ""));
    let (_, two) = b.join(connect(Version::V5, ""));
    let (one, two) = (assigned(&one), assigned(&two));
    assert!(one.is_some() && two.is_some() && one != two);
    let (a, _) = b.join(connect(Version::V311, ""));
    b.join(connect(Version::V311, ""));
    assert_eq!(b.ended(a), None, "each is its own");
}

#[test]
fn what_is_switched_off_is_said_and_refused() {
    let limits = Limits {
        qos_max: 1,
        retain_ok: false,
        wildcard_ok: false,
        shared_ok: false,
        subids_ok: false,
        ..Limits::default()
    };
    let mut b = Bench::new(limits);
    let (conn, welcome) = b.join(connect(Version::V5, "c"));
    let told: Vec<Prop> = welcome.props.iter().collect();
    for prop in [
        Prop::MaximumQos(1),
        Prop::RetainAvailable(false),
        Prop::WildcardAvailable(false),
        Prop::SharedAvailable(false),
        Prop::SubIdAvailable(false),
    ] {
        assert!(told.contains(&prop), "{prop:?}");
    }
    let said = b.ask(conn, &subscribe(&[asked("a", 2)]));
    assert!(matches!(&said[..], [Packet::SubAck(a)] if a.codes[..] == [1]), "{said:?}");
    let numbered = |number| {
        let props = Props::build(&[Prop::SubscriptionId(number)]);
        Packet::Subscribe(Subscribe { id: 1, props, filters: [asked("b", 0)].into() })
    };
    for (packet, kind, code) in [
        (subscribe(&[asked("a/#", 0)]), FaultKind::MqttNoWildcards, 0xa2),
        (subscribe(&[asked("$share/g/a", 0)]), FaultKind::MqttNoShared, 0x9e),
        (numbered(1), FaultKind::MqttNoSubIds, 0xa1),
    ] {
        let conn = b.join5("x");
        b.send(conn, &packet);
        b.broke(conn, kind, Some(code));
    }
    let old = b.join3("old");
    let said = b.ask(old, &subscribe(&[asked("a/#", 0), asked("a", 0), asked("$share/g/a", 0)]));
    assert!(matches!(&said[..], [Packet::SubAck(a)] if a.codes[..] == [0x80, 0, 0x80]));
    b.send(conn, &publish("a", 2, 1));
    b.broke(conn, FaultKind::MqttWillQos, Some(0x9b));
    let conn = b.join5("d");
    let retained = Publish { retain: true, ..message("a", 0, 0) };
    b.send(conn, &Packet::Publish(retained));
    b.broke(conn, FaultKind::MqttRetainOff, Some(0x9a));
}

#[test]
fn a_session_that_could_not_be_kept_is_refused() {
    no_place_for_a_second(Limits { sessions_max: 1, ..Limits::default() });
    no_place_for_a_second(Limits { sessions_bytes_max: 1, ..Limits::default() });
}

fn no_place_for_a_second(limits: Limits) {
    let mut b = Bench::new(limits);
    let (first, _) = b.join(durable(Version::V311, "first"));
    b.cut(first);
    for (version, code) in [(Version::V311, 3), (Version::V5, 0x89)] {
        let conn = b.open(version);
        b.send(conn, &Packet::Connect(Box::new(durable(version, "second"))));
        b.pass(0);
        b.pass(100);
        let said = b.said(conn);
        assert!(matches!(&said[..], [Packet::ConnAck(ack)] if ack.code == code), "{said:?}");
    }
    assert!(b.join(durable(Version::V5, "first")).1.present, "it has its place");
    b.join(connect(Version::V5, "second"));
}

#[test]
fn who_takes_tiny_packets_is_told_less() {
    let mut b = Bench::new(Limits::default());
    let tiny = |max| {
        let props = Props::build(&[Prop::MaximumPacketSize(max)]);
        Connect { props, ..connect(Version::V5, "tiny") }
    };
    let full = b.join(tiny(100)).1.props.iter().count();
    let less = b.join(tiny(12)).1.props.iter().count();
    assert!(less < full && less > 0);
    let conn = b.open(Version::V5);
    let said = b.ask(conn, &Packet::Connect(Box::new(tiny(6))));
    assert!(matches!(&said[..], [Packet::ConnAck(ack)] if ack.code == 0x95), "{said:?}");
}

/// Lets nobody in, for a reason of its choice; whoever has no user name may do nothing.
struct Guard(fn() -> Admit);

impl Policy for Guard {
    fn admit(&mut self, _: Now, _: &Login<'_>) -> Admit {
        (self.0)()
    }
    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }
    fn permit(&mut self, who: &Principal, _: &Access<'_>) -> bool {
        !who.user.is_empty()
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        "nobody may".into()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn each_refusal_has_its_code_in_each_version() {
    let will = |qos, retain| Will {
        topic: Bytes::from_static(b"w"),
        payload: Bytes::new(),
        qos,
        retain,
        props: Props::none(),
    };
    let anybody = || Admit::Yes(Principal::default());
    type Case = (fn() -> Admit, Option<Will>, FaultKind, Option<u8>, u8);
    let cases: [Case; 5] = [
        (|| Admit::No(Refusal::Unknown), None, FaultKind::MqttCredentials, Some(4), 0x86),
        (|| Admit::Busy, None, FaultKind::MqttBusy, Some(3), 0x89),
        (anybody, Some(will(0, false)), FaultKind::MqttWillDenied, Some(5), 0x87),
        (anybody, Some(will(2, false)), FaultKind::MqttWillQos, None, 0x9b),
        (anybody, Some(will(0, true)), FaultKind::MqttRetainOff, None, 0x9a),
    ];
    for (admit, will, kind, old, new) in cases {
        let limits = Limits { qos_max: 1, retain_ok: false, ..Limits::default() };
        let mut b = Bench::new(limits);
        b.rig.engine.hub_mut().policy = Box::new(Guard(admit));
        for (version, code) in [(Version::V311, old), (Version::V5, Some(new))] {
            let conn = b.open(version);
            let connect = Connect { will: will.clone(), ..connect(version, "c") };
            b.send(conn, &Packet::Connect(Box::new(connect)));
            // Want of time is told a moment after it was read.
            b.pass(0);
            b.pass(100);
            b.broke(conn, kind, code);
        }
    }
    let mut b = Bench::new(Limits::default());
    let nameless = b.open(Version::V311);
    b.send(nameless, &Packet::Connect(Box::new(durable(Version::V311, ""))));
    b.broke(nameless, FaultKind::MqttClientId, Some(2));
}
