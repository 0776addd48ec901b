//! Floor 3. Tests of the MQTT decoder: bytes written by hand, one for each rule that can be broken.
//!
//! What is legal is checked both ways: the same bytes decode to a packet and are its encoding.
//! Absent on purpose: random packets (`encode_test.rs`) and properties (`props_test.rs`).

use bytes::{Bytes, BytesMut};
use smallvec::smallvec;

use crate::proto::fault::{Fault, FaultKind};

use super::decode::{frame_len, next};
use super::encode::encode_vec;
use super::packet::*;
use super::props::{Prop, Props};

const MAX: usize = 1 << 20;
const CLIENT: Sender = Sender::Client;
const SERVER: Sender = Sender::Server;
const V31: Option<Version> = Some(Version::V31);
const V311: Option<Version> = Some(Version::V311);
const V5: Option<Version> = Some(Version::V5);

/// Hex, and text between quotes.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, part) in text.split('\'').enumerate() {
        if i % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<char> = part.chars().filter(|c| !c.is_whitespace()).collect();
        let byte = |c: &[char]| u8::from_str_radix(&String::from_iter(c), 16).unwrap();
        bytes.extend(digits.chunks(2).map(byte));
    }
    bytes
}

fn decode(text: &str, version: Option<Version>, from: Sender) -> Result<Option<Packet>, Fault> {
    next(&mut BytesMut::from(&hex(text)[..]), version, from, MAX)
}

fn refused(text: &str, version: Option<Version>, from: Sender) -> FaultKind {
    match decode(text, version, from) {
        Err(fault) => fault.kind,
        Ok(packet) => panic!("{text} of {version:?} was taken for {packet:?}"),
    }
}

/// Both ways.
fn golden(text: &str, version: Option<Version>, from: Sender, packet: &Packet) {
    assert_eq!(decode(text, version, from), Ok(Some(packet.clone())), "{text}");
    let said = encode_vec(packet, version.unwrap_or(Version::V5));
    assert_eq!(said, Ok(hex(text)), "{packet:?}");
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn plain(version: Version) -> Connect {
    Connect {
        version,
        bridge: false,
        clean: true,
        keep_alive: 60,
        client_id: text("me"),
        will: None,
        username: None,
        password: None,
        props: Props::none(),
    }
}

#[test]
fn golden_bytes_of_connect() {
    let connect = |c: Connect| Packet::Connect(Box::new(c));
    let v3 = |text: &str, c: Connect| golden(text, None, CLIENT, &connect(c));
    v3("10 0e 0004 'MQTT' 04 02 003c 0002 'me'", plain(Version::V311));
    v3("10 10 0006 'MQIsdp' 03 02 003c 0002 'me'", plain(Version::V31));
    v3("10 0f 0004 'MQTT' 05 02 003c 00 0002 'me'", plain(Version::V5));
    let bridge = |version| Connect { bridge: true, ..plain(version) };
    v3("10 0e 0004 'MQTT' 84 02 003c 0002 'me'", bridge(Version::V311));
    v3("10 10 0006 'MQIsdp' 83 02 003c 0002 'me'", bridge(Version::V31));
    let will = Will {
        topic: text("w"),
        payload: text("gone"),
        qos: 1,
        retain: true,
        props: Props::none(),
    };
    let full = Connect {
        clean: false,
        keep_alive: 1,
        client_id: text(""),
        will: Some(will.clone()),
        username: Some(text("u")),
        password: Some(Bytes::from_static(b"\x00\xff")),
        ..plain(Version::V311)
    };
    v3("10 1c 0004 'MQTT' 04 ec 0001 0000 0001 'w' 0004 'gone' 0001 'u' 0002 00ff", full);
    let delayed = Will { props: Props::build(&[Prop::WillDelay(5)]), qos: 2, ..will };
    let secret = Connect {
        will: Some(Will { retain: false, ..delayed }),
        password: Some(text("p")),
        props: Props::build(&[Prop::SessionExpiry(u32::MAX), Prop::ReceiveMax(2)]),
        ..plain(Version::V5)
    };
    v3(
        "10 29 0004 'MQTT' 05 56 003c 08 11 ffffffff 21 0002 0002 'me' \
         05 18 00000005 0001 'w' 0004 'gone' 0001 'p'",
        secret,
    );
}

#[test]
fn golden_bytes_of_publish() {
    let publish = Publish {
        dup: false,
        qos: 0,
        retain: false,
        topic: text("a/b"),
        id: 0,
        props: Props::none(),
        payload: text("hi"),
    };
    let both = |text: &str, version, p: Publish| {
        for from in [CLIENT, SERVER] {
            golden(text, version, from, &Packet::Publish(p.clone()));
        }
    };
    both("30 07 0003 'a/b' 'hi'", V311, publish.clone());
    both("30 08 0003 'a/b' 00 'hi'", V5, publish.clone());
    let again = Publish { dup: true, qos: 1, retain: true, id: 9, ..publish.clone() };
    both("3b 09 0003 'a/b' 0009 'hi'", V31, again.clone());
    both("3b 0a 0003 'a/b' 0009 00 'hi'", V5, again);
    let twice = Publish { qos: 2, id: 0xffff, payload: text(""), ..publish.clone() };
    both("34 07 0003 'a/b' ffff", V311, twice);
    let props = Props::build(&[Prop::TopicAlias(3)]);
    both("30 08 0000 03 23 0003 'hi'", V5, Publish { topic: text(""), props, ..publish.clone() });
    let props = Props::build(&[Prop::SubscriptionId(1), Prop::SubscriptionId(300)]);
    let down = Packet::Publish(Publish { props, ..publish });
    golden("30 0d 0003 'a/b' 05 0b 01 0b ac02 'hi'", V5, SERVER, &down);
}

#[test]
fn golden_bytes_of_acknowledgements() {
    let bare = Ack { id: 7, reason: 0, props: Props::none() };
    type Kind = fn(Ack) -> Packet;
    let kinds: [(&str, Kind, u8); 4] = [
        ("40", Packet::PubAck, 0x87),
        ("50", Packet::PubRec, 0x10),
        ("62", Packet::PubRel, 0x92),
        ("70", Packet::PubComp, 0x92),
    ];
    for (first, kind, reason) in kinds {
        for from in [CLIENT, SERVER] {
            for version in [V31, V311, V5] {
                golden(&format!("{first} 02 0007"), version, from, &kind(bare.clone()));
            }
            let short = kind(Ack { reason, ..bare.clone() });
            golden(&format!("{first} 03 0007 {reason:02x}"), V5, from, &short);
            let props = Props::build(&[Prop::ReasonString(text("no"))]);
            let said = kind(Ack { reason, props: props.clone(), ..bare.clone() });
            golden(&format!("{first} 09 0007 {reason:02x} 05 1f 0002 'no'"), V5, from, &said);
            let well = kind(Ack { props, ..bare.clone() });
            golden(&format!("{first} 09 0007 00 05 1f 0002 'no'"), V5, from, &well);
            // Longer than needed, and legal.
            for long in ["03 0007 00", "04 0007 00 00"] {
                let heard = decode(&format!("{first} {long}"), V5, from);
                assert_eq!(heard, Ok(Some(kind(bare.clone()))));
            }
        }
    }
}

#[test]
fn golden_bytes_of_subscriptions() {
    let asked = |filter, qos| Asked {
        filter: text(filter),
        qos,
        no_local: false,
        as_published: false,
        handling: 0,
    };
    let none = Props::none;
    let filters = smallvec![asked("a/#", 1), asked("+", 2)];
    let two = Packet::Subscribe(Subscribe { id: 1, props: none(), filters });
    golden("82 0c 0001 0003 'a/#' 01 0001 '+' 02", V311, CLIENT, &two);
    golden("82 0d 0001 00 0003 'a/#' 01 0001 '+' 02", V5, CLIENT, &two);
    let options = Asked { no_local: true, as_published: true, handling: 2, ..asked("a", 2) };
    let props = Props::build(&[Prop::SubscriptionId(0x0fff_ffff)]);
    let full = Subscribe { id: 2, props, filters: smallvec![options] };
    golden("82 0c 0002 05 0b ffffff7f 0001 'a' 2e", V5, CLIENT, &Packet::Subscribe(full));
    let shared = Subscribe { id: 3, props: none(), filters: smallvec![asked("$share/g/t", 0)] };
    golden("82 10 0003 00 000a '$share/g/t' 00", V5, CLIENT, &Packet::Subscribe(shared));
    let gone = Unsubscribe { id: 4, props: none(), filters: smallvec![text("a"), text("b/#")] };
    golden("a2 0a 0004 0001 'a' 0003 'b/#'", V311, CLIENT, &Packet::Unsubscribe(gone.clone()));
    golden("a2 0b 0004 00 0001 'a' 0003 'b/#'", V5, CLIENT, &Packet::Unsubscribe(gone));
    let codes = |codes: &[u8]| Codes { id: 5, props: none(), codes: codes.into() };
    golden("90 06 0005 00 01 02 80", V311, SERVER, &Packet::SubAck(codes(&[0, 1, 2, 0x80])));
    golden("90 06 0005 00 02 8f a2", V5, SERVER, &Packet::SubAck(codes(&[2, 0x8f, 0xa2])));
    golden("b0 02 0005", V311, SERVER, &Packet::UnsubAck(codes(&[])));
    golden("b0 05 0005 00 00 11", V5, SERVER, &Packet::UnsubAck(codes(&[0, 0x11])));
    // 3.1 sends its requests at QoS 1 and may repeat them.
    for text in ["8a 06 0001 0001 'a' 01", "aa 05 0001 0001 'a'", "6a 02 0001"] {
        assert!(matches!(decode(text, V31, CLIENT), Ok(Some(_))), "{text}");
        assert_eq!(refused(text, V311, CLIENT), FaultKind::MqttFlags);
    }
}

#[test]
fn golden_bytes_of_everything_else() {
    let none = Props::none;
    let ack = |present, code| Packet::ConnAck(ConnAck { present, code, props: none() });
    golden("20 02 01 00", V311, SERVER, &ack(true, 0));
    golden("20 02 00 05", V31, SERVER, &ack(false, 5));
    golden("20 03 00 87 00", V5, SERVER, &ack(false, 0x87));
    let props = Props::build(&[Prop::AssignedClientId(text("x")), Prop::RetainAvailable(false)]);
    let named = Packet::ConnAck(ConnAck { present: false, code: 0, props });
    golden("20 09 00 00 06 12 0001 'x' 25 00", V5, SERVER, &named);
    for version in [V31, V311, V5] {
        golden("c0 00", version, CLIENT, &Packet::PingReq);
        golden("d0 00", version, SERVER, &Packet::PingResp);
        let bye = Packet::Disconnect(Reason { reason: 0, props: none() });
        golden("e0 00", version, CLIENT, &bye);
    }
    let bye = |reason, props| Packet::Disconnect(Reason { reason, props });
    golden("e0 01 04", V5, CLIENT, &bye(4, none()));
    golden("e0 01 8e", V5, SERVER, &bye(0x8e, none()));
    let expiry = Props::build(&[Prop::SessionExpiry(9)]);
    golden("e0 07 00 05 11 00000009", V5, CLIENT, &bye(0, expiry));
    let method = Props::build(&[Prop::AuthMethod(text("m")), Prop::AuthData(text("d"))]);
    let step = |reason, props| Packet::Auth(Reason { reason, props });
    golden("f0 0a 18 08 15 0001 'm' 16 0001 'd'", V5, CLIENT, &step(0x18, method.clone()));
    golden("f0 0a 18 08 15 0001 'm' 16 0001 'd'", V5, SERVER, &step(0x18, method.clone()));
    golden("f0 0a 19 08 15 0001 'm' 16 0001 'd'", V5, CLIENT, &step(0x19, method));
    golden("f0 00", V5, SERVER, &step(0, none()));
}

#[test]
fn the_first_byte_is_judged_alone() {
    let cases: &[(&str, Option<Version>, Sender, FaultKind)] = &[
        ("00", None, CLIENT, FaultKind::MqttType),
        ("00", V311, CLIENT, FaultKind::MqttType),
        ("00", V5, SERVER, FaultKind::MqttType),
        ("f0", V311, CLIENT, FaultKind::MqttType),
        ("f0", V31, SERVER, FaultKind::MqttType),
        ("11", None, CLIENT, FaultKind::MqttFlags),
        ("10", None, SERVER, FaultKind::MqttFirstPacket),
        ("10", V311, CLIENT, FaultKind::MqttSecondConnect),
        ("10", V5, SERVER, FaultKind::MqttDirection),
        ("36", V311, CLIENT, FaultKind::MqttQos3),
        ("3f", V5, SERVER, FaultKind::MqttQos3),
        ("38", V5, CLIENT, FaultKind::MqttDupQos0),
        ("39", V311, CLIENT, FaultKind::MqttDupQos0),
        ("41", V5, CLIENT, FaultKind::MqttFlags),
        ("58", V311, CLIENT, FaultKind::MqttFlags),
        ("60", V311, CLIENT, FaultKind::MqttFlags),
        ("63", V31, CLIENT, FaultKind::MqttFlags),
        ("72", V5, SERVER, FaultKind::MqttFlags),
        ("80", V311, CLIENT, FaultKind::MqttFlags),
        ("8a", V5, CLIENT, FaultKind::MqttFlags),
        ("a0", V5, CLIENT, FaultKind::MqttFlags),
        ("c1", V5, CLIENT, FaultKind::MqttFlags),
        ("d1", V5, SERVER, FaultKind::MqttFlags),
        ("e1", V311, CLIENT, FaultKind::MqttFlags),
        ("f1", V5, CLIENT, FaultKind::MqttFlags),
        ("e0", V311, SERVER, FaultKind::MqttDirection),
        ("20", V5, CLIENT, FaultKind::MqttDirection),
        ("90", V311, CLIENT, FaultKind::MqttDirection),
        ("b0", V311, CLIENT, FaultKind::MqttDirection),
        ("d0", V311, CLIENT, FaultKind::MqttDirection),
        ("82", V5, SERVER, FaultKind::MqttDirection),
        ("a2", V5, SERVER, FaultKind::MqttDirection),
        ("c0", V5, SERVER, FaultKind::MqttDirection),
    ];
    for &(text, version, from, kind) in cases {
        assert_eq!(refused(text, version, from), kind, "{text} {version:?} {from:?}");
    }
    for first in (0x20..=0xff_u8).filter(|first| first >> 4 != 1) {
        assert_eq!(refused(&format!("{first:02x}"), None, CLIENT), FaultKind::MqttFirstPacket);
    }
}

#[test]
fn lengths_are_minimal_and_bounded() {
    for (n, text) in [
        (0, "00"),
        (127, "7f"),
        (128, "80 01"),
        (16_383, "ff 7f"),
        (16_384, "80 80 01"),
        (2_097_151, "ff ff 7f"),
        (2_097_152, "80 80 80 01"),
        (268_435_455, "ff ff ff 7f"),
    ] {
        let bytes = hex(&format!("30 {text}"));
        assert_eq!(frame_len(&bytes, usize::MAX), Ok(Some(bytes.len() + n)), "{text}");
        for cut in 0..bytes.len() {
            assert_eq!(frame_len(&bytes[..cut], usize::MAX), Ok(None));
        }
        let over = frame_len(&bytes, bytes.len() + n - 1).map_err(|fault| fault.kind);
        assert_eq!(over, Err(FaultKind::MqttOverMax), "the head counts too");
    }
    for text in ["80 00", "ff 00", "80 80 00", "80 80 80 00", "80 80 80 80", "ff ff ff ff 7f"] {
        let fault = frame_len(&hex(&format!("30 {text}")), usize::MAX).unwrap_err();
        assert_eq!(fault.kind, FaultKind::MqttLength, "{text}");
        for version in [V311, V5] {
            let fault = next(
                &mut BytesMut::from(&hex(&format!("30 {text}"))[..]),
                version,
                CLIENT,
                usize::MAX,
            );
            assert_eq!(fault.map_err(|f| f.kind), Err(FaultKind::MqttLength), "{text}");
        }
    }
    let early = frame_len(&hex("30 ff ff"), 1_000).unwrap_err();
    assert_eq!(early.kind, FaultKind::MqttOverMax, "known before the last length byte");
}

#[test]
fn a_packet_of_known_length_is_not_waited_for() {
    for text in ["c0 01", "e0 81", "40 03", "50 ff", "62 7f", "70 83"] {
        assert_eq!(refused(text, V311, CLIENT), FaultKind::MqttTrailing, "{text}");
    }
    assert_eq!(refused("c0 ff", V5, CLIENT), FaultKind::MqttTrailing);
    assert_eq!(refused("20 03", V311, SERVER), FaultKind::MqttTrailing);
    assert_eq!(refused("b0 03", V311, SERVER), FaultKind::MqttTrailing);
}

#[test]
fn a_connect_that_is_not_quite_mqtt() {
    let cases = [
        ("10 0e 0004 'MQTX' 04 02 003c 0002 'me'", FaultKind::MqttProtocolName),
        ("10 0e 0004 'mqtt' 04 02 003c 0002 'me'", FaultKind::MqttProtocolName),
        ("10 0a 0000 04 02 003c 0002 'me'", FaultKind::MqttProtocolName),
        ("10 0e 0004 'MQTT' 00 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 0e 0004 'MQTT' 03 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 10 0006 'MQIsdp' 04 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 0e 0004 'MQTT' 06 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 0e 0004 'MQTT' 85 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 0e 0004 'MQTT' ff 02 003c 0002 'me'", FaultKind::MqttVersion),
        ("10 0e 0004 'MQTT' 04 03 003c 0002 'me'", FaultKind::MqttConnectFlags),
        ("10 0e 0004 'MQTT' 04 1e 003c 0002 'me'", FaultKind::MqttWillFlags),
        ("10 0e 0004 'MQTT' 04 0a 003c 0002 'me'", FaultKind::MqttWillFlags),
        ("10 0e 0004 'MQTT' 04 22 003c 0002 'me'", FaultKind::MqttWillFlags),
        ("10 11 0004 'MQTT' 04 42 003c 0002 'me' 0001 'p'", FaultKind::MqttPasswordNoUser),
        ("10 13 0006 'MQIsdp' 03 42 003c 0002 'me' 0001 'p'", FaultKind::MqttPasswordNoUser),
        ("10 0e 0004 'MQTT' 04 82 003c 0002 'me'", FaultKind::MqttShort),
        ("10 0e 0004 'MQTT' 04 06 003c 0002 'me'", FaultKind::MqttShort),
        ("10 0f 0004 'MQTT' 04 02 003c 0002 'me' 00", FaultKind::MqttTrailing),
        ("10 0e 0004 'MQTT' 04 02 003c 0003 'me'", FaultKind::MqttShort),
        ("10 00", FaultKind::MqttShort),
        ("10 06 ffff 'MQTT'", FaultKind::MqttShort),
        ("10 12 0004 'MQTT' 04 06 003c 0002 'me' 0000 0000", FaultKind::MqttTopicEmpty),
        ("10 15 0004 'MQTT' 04 06 003c 0002 'me' 0003 'a/#' 0000", FaultKind::MqttTopicWildcard),
        ("10 13 0004 'MQTT' 04 06 003c 0002 'me' 0001 00 0000", FaultKind::MqttNul),
        ("10 14 0004 'MQTT' 04 06 003c 0002 'me' 0002 c328 0000", FaultKind::MqttUtf8),
        ("10 0d 0004 'MQTT' 04 02 003c 0001 00", FaultKind::MqttNul),
        ("10 0f 0004 'MQTT' 04 02 003c 0003 eda080", FaultKind::MqttUtf8),
        ("10 0e 0004 'MQTT' 04 02 003c 0002 c0af", FaultKind::MqttUtf8),
        ("10 10 0004 'MQTT' 04 02 003c 0004 f4908080", FaultKind::MqttUtf8),
        ("10 11 0004 'MQTT' 04 82 003c 0002 'me' 0001 ff", FaultKind::MqttUtf8),
        ("10 13 0004 'MQTT' 05 02 003c 80808080 01 0002 'me'", FaultKind::MqttLength),
        ("10 10 0004 'MQTT' 05 02 003c 8000 0002 'me'", FaultKind::MqttLength),
        ("10 0f 0004 'MQTT' 05 02 003c 7f 0002 'me'", FaultKind::MqttShort),
    ];
    for (text, kind) in cases {
        assert_eq!(refused(text, None, CLIENT), kind, "{text}");
    }
    // A byte order mark is a character, and a client id may be anything else.
    let bom = decode("10 0f 0004 'MQTT' 04 02 003c 0003 efbbbf", None, CLIENT);
    let Ok(Some(Packet::Connect(c))) = bom else { panic!("{bom:?}") };
    assert_eq!(c.client_id, text("\u{feff}"));
    // 3.1: the end of the packet overrules the flags.
    let ended = decode("10 10 0006 'MQIsdp' 03 c2 003c 0002 'me'", None, CLIENT);
    assert_eq!(ended, Ok(Some(Packet::Connect(Box::new(plain(Version::V31))))));
}

#[test]
fn messages_that_break_a_rule() {
    let cases = [
        ("30 00", V311, FaultKind::MqttShort),
        ("32 00", V311, FaultKind::MqttShort),
        ("30 02 0000", V311, FaultKind::MqttTopicEmpty),
        ("30 03 0000 00", V5, FaultKind::MqttTopicEmpty),
        ("30 05 0003 'a/#'", V311, FaultKind::MqttTopicWildcard),
        ("30 03 0001 '+'", V311, FaultKind::MqttTopicWildcard),
        ("30 06 0003 'a+b' 00", V5, FaultKind::MqttTopicWildcard),
        ("30 05 0003 'a' 00 'b'", V311, FaultKind::MqttNul),
        ("30 05 0003 eda080", V311, FaultKind::MqttUtf8),
        ("30 04 0003 'a/'", V311, FaultKind::MqttShort),
        ("30 03 ffff 'a'", V5, FaultKind::MqttShort),
        ("32 03 0001 'a'", V311, FaultKind::MqttShort),
        ("32 05 0001 'a' 0000", V311, FaultKind::MqttPacketId),
        ("34 06 0001 'a' 0000 00", V5, FaultKind::MqttPacketId),
        ("30 03 0001 'a'", V5, FaultKind::MqttShort),
        ("30 05 0001 'a' 05 00", V5, FaultKind::MqttShort),
        ("30 07 0000 03 23 0000 00", V5, FaultKind::MqttAliasZero),
    ];
    for (text, version, kind) in cases {
        for from in [CLIENT, SERVER] {
            assert_eq!(refused(text, version, from), kind, "{text}");
        }
    }
}

#[test]
fn requests_and_answers_that_break_a_rule() {
    let cases = [
        ("40 00", V311, CLIENT, FaultKind::MqttShort),
        ("40 01 00", V5, CLIENT, FaultKind::MqttShort),
        ("50 02 0000", V5, CLIENT, FaultKind::MqttPacketId),
        ("62 02 0000", V311, CLIENT, FaultKind::MqttPacketId),
        ("40 03 0001 92", V5, CLIENT, FaultKind::MqttReason),
        ("62 03 0001 10", V5, CLIENT, FaultKind::MqttReason),
        ("40 05 0001 00 00 00", V5, CLIENT, FaultKind::MqttTrailing),
        ("40 04 0001 00 01", V5, CLIENT, FaultKind::MqttShort),
        ("82 00", V311, CLIENT, FaultKind::MqttShort),
        ("82 02 0001", V311, CLIENT, FaultKind::MqttNoFilters),
        ("82 03 0001 00", V5, CLIENT, FaultKind::MqttNoFilters),
        ("82 06 0000 0001 'a' 00", V311, CLIENT, FaultKind::MqttPacketId),
        ("82 05 0001 0001 'a'", V311, CLIENT, FaultKind::MqttShort),
        ("82 06 0001 00 0001 'a'", V5, CLIENT, FaultKind::MqttShort),
        ("82 06 0001 0003 'a' 00", V311, CLIENT, FaultKind::MqttShort),
        ("82 06 0001 0001 'a' 03", V311, CLIENT, FaultKind::MqttOptions),
        ("82 06 0001 0001 'a' 04", V311, CLIENT, FaultKind::MqttOptions),
        ("82 07 0001 00 0001 'a' 03", V5, CLIENT, FaultKind::MqttOptions),
        ("82 07 0001 00 0001 'a' 30", V5, CLIENT, FaultKind::MqttOptions),
        ("82 07 0001 00 0001 'a' 40", V5, CLIENT, FaultKind::MqttOptions),
        ("82 07 0001 00 0001 'a' 80", V5, CLIENT, FaultKind::MqttOptions),
        ("82 10 0001 00 000a '$share/g/t' 04", V5, CLIENT, FaultKind::MqttShareNoLocal),
        ("82 06 0001 0001 00 00", V311, CLIENT, FaultKind::MqttNul),
        ("82 06 0001 0001 ff 00", V311, CLIENT, FaultKind::MqttUtf8),
        ("a2 00", V311, CLIENT, FaultKind::MqttShort),
        ("a2 02 0001", V311, CLIENT, FaultKind::MqttNoFilters),
        ("a2 03 0001 00", V5, CLIENT, FaultKind::MqttNoFilters),
        ("a2 05 0000 0001 'a'", V311, CLIENT, FaultKind::MqttPacketId),
        ("a2 05 0001 0002 'a'", V311, CLIENT, FaultKind::MqttShort),
        ("a2 05 0001 0001 ff", V311, CLIENT, FaultKind::MqttUtf8),
        ("90 02 0001", V311, SERVER, FaultKind::MqttShort),
        ("90 03 0001 03", V311, SERVER, FaultKind::MqttReason),
        ("90 03 0001 87", V311, SERVER, FaultKind::MqttReason),
        ("90 04 0001 00 03", V5, SERVER, FaultKind::MqttReason),
        ("90 03 0000 00", V311, SERVER, FaultKind::MqttPacketId),
        ("b0 03 0001 00", V5, SERVER, FaultKind::MqttShort),
        ("b0 04 0001 00 01", V5, SERVER, FaultKind::MqttReason),
        ("20 02 02 00", V311, SERVER, FaultKind::MqttFlags),
        ("20 02 00 06", V311, SERVER, FaultKind::MqttReason),
        ("20 03 00 05 00", V5, SERVER, FaultKind::MqttReason),
        ("20 02 00 00", V5, SERVER, FaultKind::MqttShort),
        ("e0 01 05", V5, CLIENT, FaultKind::MqttReason),
        ("e0 01 8e", V5, CLIENT, FaultKind::MqttReason),
        ("e0 01 04", V5, SERVER, FaultKind::MqttReason),
        ("e0 02 00 01", V5, CLIENT, FaultKind::MqttShort),
        ("e0 03 00 00 00", V5, CLIENT, FaultKind::MqttTrailing),
        ("f0 00", V5, CLIENT, FaultKind::MqttReason),
        ("f0 01 18", V5, CLIENT, FaultKind::MqttShort),
        ("f0 02 19 00", V5, SERVER, FaultKind::MqttReason),
        ("f0 02 17 00", V5, CLIENT, FaultKind::MqttReason),
    ];
    for (text, version, from, kind) in cases {
        assert_eq!(refused(text, version, from), kind, "{text}");
    }
}

#[test]
fn a_fault_of_framing_is_never_forgotten() {
    let mut input = BytesMut::from(&hex("c0 80 80 80 80 00")[..]);
    for _ in 0..2 {
        let fault = next(&mut input, V5, CLIENT, MAX).unwrap_err();
        assert_eq!((fault.kind, input.len()), (FaultKind::MqttLength, 6));
    }
}

#[test]
fn fields_share_the_input() {
    let publish = Publish {
        dup: false,
        qos: 0,
        retain: false,
        topic: text("a/b"),
        id: 0,
        props: Props::build(&[Prop::ContentType(text("x"))]),
        payload: Bytes::from(vec![7u8; 5_000]),
    };
    let said = encode_vec(&Packet::Publish(publish), Version::V5).unwrap();
    let mut input = BytesMut::from(&said[..]);
    let range = input.as_ptr_range();
    let Ok(Some(Packet::Publish(heard))) = next(&mut input, V5, CLIENT, MAX) else {
        panic!("a publish")
    };
    let Some(Prop::ContentType(kind)) = heard.props.iter().next() else { panic!("a property") };
    for field in [&heard.payload, &heard.topic, &kind, &heard.props.forwardable()] {
        assert!(range.contains(&field.as_ptr()));
    }
}
