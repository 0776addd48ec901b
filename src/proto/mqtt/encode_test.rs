//! Floor 3. Tests of the MQTT encoder, and of random packets there and back again.
//!
//! The generator draws every packet of every version and both directions, with every property
//! where it may stand; the same packets feed the round trips, the cutting and the mangling.

use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::proto::fault::FaultKind;

use super::decode::next;
use super::encode::*;
use super::fault::{Codebook, is_code};
use super::fuzzing;
use super::packet::*;
use super::props::{Place, Prop, Props, TABLE};

const MAX: usize = 1 << 20;

fn text(rng: &mut Rng) -> Bytes {
    let len = match rng.below(40) {
        0 => 65_535,
        1 => 200 + rng.below(100),
        _ => rng.below(6),
    };
    (0..len).map(|_| *rng.pick(b"abc/$ \x01\x7f").unwrap()).collect()
}

fn name(rng: &mut Rng) -> Bytes {
    let mut name = Vec::from(*rng.pick(&["t", "\u{feff}/é", "/", "$SYS/x", "a/b", "€"]).unwrap());
    name.extend_from_slice(&text(rng));
    name.truncate(65_535);
    Bytes::from(name)
}

fn blob(rng: &mut Rng) -> Bytes {
    let len = if rng.chance(1, 10) { 3_000 } else { rng.below(9) };
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn id(rng: &mut Rng) -> u16 {
    *rng.pick(&[1, 9, 255, 256, 0x1234, 65_535]).unwrap()
}

/// Properties that may stand there, in any order.
fn props(rng: &mut Rng, version: Version, place: Place) -> Props {
    if version < Version::V5 || rng.chance(1, 3) {
        return Props::none();
    }
    let mut said = Vec::new();
    for row in TABLE.iter().filter(|row| row.may_stand(place)) {
        let times = if row.may_repeat(place) { rng.below(4) } else { rng.below(2) };
        // Data never goes without its method, which stands before it in the table.
        let lonely = row.id == 0x16 && !said.iter().any(|p| matches!(p, Prop::AuthMethod(_)));
        for _ in 0..if lonely { 0 } else { times } {
            said.push(prop(rng, row.id));
        }
    }
    if rng.chance(1, 2) {
        said.reverse();
    }
    Props::build(&said)
}

fn prop(rng: &mut Rng, number: u8) -> Prop {
    let yes = rng.chance(1, 2);
    match number {
        0x01 => Prop::PayloadFormat(u8::from(yes)),
        0x02 => Prop::MessageExpiry(rng.next_u64() as u32),
        0x03 => Prop::ContentType(text(rng)),
        0x08 => Prop::ResponseTopic(name(rng)),
        0x09 => Prop::CorrelationData(blob(rng)),
        0x0b => Prop::SubscriptionId(*rng.pick(&[1, 127, 128, 16_384, 268_435_455]).unwrap()),
        0x11 => Prop::SessionExpiry(rng.next_u64() as u32),
        0x12 => Prop::AssignedClientId(text(rng)),
        0x13 => Prop::ServerKeepAlive(id(rng)),
        0x15 => Prop::AuthMethod(text(rng)),
        0x16 => Prop::AuthData(blob(rng)),
        0x17 => Prop::RequestProblem(yes),
        0x18 => Prop::WillDelay(rng.next_u64() as u32),
        0x19 => Prop::RequestResponse(yes),
        0x1a => Prop::ResponseInfo(text(rng)),
        0x1c => Prop::ServerReference(text(rng)),
        0x1f => Prop::ReasonString(text(rng)),
        0x21 => Prop::ReceiveMax(id(rng)),
        0x22 => Prop::TopicAliasMax(0),
        0x23 => Prop::TopicAlias(id(rng)),
        0x24 => Prop::MaximumQos(u8::from(yes)),
        0x25 => Prop::RetainAvailable(yes),
        0x26 => Prop::User(text(rng), text(rng)),
        0x27 => Prop::MaximumPacketSize(1),
        0x28 => Prop::WildcardAvailable(yes),
        0x29 => Prop::SubIdAvailable(yes),
        0x2a => Prop::SharedAvailable(yes),
        _ => panic!("the table has a number that the tests do not know: {number:#04x}"),
    }
}

fn code(rng: &mut Rng, book: Codebook, v: Version) -> u8 {
    let legal: Vec<u8> = (0..=255).filter(|&code| is_code(code, book, v)).collect();
    *rng.pick(&legal).unwrap()
}

fn connect(rng: &mut Rng, version: Version) -> Connect {
    let username = rng.chance(1, 2).then(|| text(rng));
    let secret = rng.chance(1, 2) && (version == Version::V5 || username.is_some());
    Connect {
        version,
        bridge: version < Version::V5 && rng.chance(1, 4),
        clean: rng.chance(1, 2),
        keep_alive: rng.next_u64() as u16,
        client_id: text(rng),
        will: rng.chance(1, 2).then(|| Will {
            topic: name(rng),
            payload: blob(rng),
            qos: rng.below(3) as u8,
            retain: rng.chance(1, 2),
            props: props(rng, version, Place::Will),
        }),
        username,
        password: secret.then(|| blob(rng)),
        props: props(rng, version, Place::Connect),
    }
}

fn publish(rng: &mut Rng, v: Version, from: Sender) -> Publish {
    let qos = rng.below(3) as u8;
    let up = from == Sender::Client;
    let props = props(rng, v, if up { Place::PublishUp } else { Place::PublishDown });
    let unnamed = props.topic_alias().is_some() && rng.chance(1, 2);
    Publish {
        dup: qos > 0 && rng.chance(1, 2),
        qos,
        retain: rng.chance(1, 2),
        topic: if unnamed { Bytes::new() } else { name(rng) },
        id: if qos == 0 { 0 } else { id(rng) },
        props,
        payload: blob(rng),
    }
}

fn subscribe(rng: &mut Rng, v: Version) -> Subscribe {
    let v5 = v == Version::V5;
    let asked = |rng: &mut Rng| Asked {
        filter: text(rng),
        qos: rng.below(3) as u8,
        no_local: v5 && rng.chance(1, 2),
        as_published: v5 && rng.chance(1, 2),
        handling: if v5 { rng.below(3) as u8 } else { 0 },
    };
    let filters = (0..=rng.below(3)).map(|_| asked(rng)).collect();
    Subscribe { id: id(rng), props: props(rng, v, Place::Subscribe), filters }
}

fn codes(rng: &mut Rng, v: Version, book: Codebook) -> Codes {
    let mute = book == Codebook::UnsubAck && v < Version::V5;
    let len = if mute { 0 } else { 1 + rng.below(12) };
    let said = (0..len).map(|_| code(rng, book, v)).collect();
    Codes { id: id(rng), props: props(rng, v, Place::Codes), codes: said }
}

fn ack(rng: &mut Rng, v: Version, book: Codebook) -> Ack {
    let reason = if v == Version::V5 { code(rng, book, v) } else { 0 };
    Ack { id: id(rng), reason, props: props(rng, v, Place::Ack) }
}

fn reason(rng: &mut Rng, v: Version, book: Codebook, place: Place) -> Reason {
    let reason = if v == Version::V5 { code(rng, book, v) } else { 0 };
    Reason { reason, props: props(rng, v, place) }
}

/// Anything that this side may say in this version.
fn packet(rng: &mut Rng, v: Version, from: Sender) -> Packet {
    let v5 = v == Version::V5;
    let up = from == Sender::Client;
    match rng.below(12) {
        0 => Packet::PubAck(ack(rng, v, Codebook::PubAck)),
        1 => Packet::PubRec(ack(rng, v, Codebook::PubAck)),
        2 => Packet::PubRel(ack(rng, v, Codebook::PubRel)),
        3 => Packet::PubComp(ack(rng, v, Codebook::PubRel)),
        4 if up => Packet::Subscribe(subscribe(rng, v)),
        4 => Packet::SubAck(codes(rng, v, Codebook::SubAck)),
        5 if up => {
            let filters: SmallVec<[Bytes; 1]> = (0..=rng.below(3)).map(|_| text(rng)).collect();
            let props = props(rng, v, Place::Unsubscribe);
            Packet::Unsubscribe(Unsubscribe { id: id(rng), props, filters })
        }
        5 => Packet::UnsubAck(codes(rng, v, Codebook::UnsubAck)),
        6 if up => Packet::PingReq,
        6 => Packet::PingResp,
        7 if up => Packet::Connect(Box::new(connect(rng, v))),
        7 => Packet::ConnAck(ConnAck {
            present: rng.chance(1, 2),
            code: code(rng, Codebook::ConnAck, v),
            props: props(rng, v, Place::ConnAck),
        }),
        8 if up => Packet::Disconnect(reason(rng, v, Codebook::DisconnectUp, Place::DisconnectUp)),
        8 if v5 => {
            Packet::Disconnect(reason(rng, v, Codebook::DisconnectDown, Place::DisconnectDown))
        }
        9 if v5 => {
            let book = if up { Codebook::AuthUp } else { Codebook::AuthDown };
            Packet::Auth(reason(rng, v, book, Place::Auth))
        }
        _ => Packet::Publish(publish(rng, v, from)),
    }
}

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const SENDERS: [Sender; 2] = [Sender::Client, Sender::Server];

/// Every version and side, so many packets each; with the version that is known when it comes.
fn for_all(most: u64, mut each: impl FnMut(&mut Rng, Packet, Version, Option<Version>, Sender)) {
    for (seed, (v, from)) in
        VERSIONS.into_iter().flat_map(|v| SENDERS.map(|from| (v, from))).enumerate()
    {
        let mut rng = Rng::new(seed as u64 + 1);
        for _ in 0..most {
            let packet = packet(&mut rng, v, from);
            let known = if matches!(packet, Packet::Connect(_)) { None } else { Some(v) };
            each(&mut rng, packet, v, known, from);
        }
    }
}

#[test]
fn what_is_said_is_understood_as_it_was_meant() {
    for_all(1_500, |_, packet, v, known, from| {
        let said = encode_vec(&packet, v).unwrap_or_else(|why| panic!("{packet:?}: {why}"));
        let mut input = BytesMut::from(&said[..]);
        assert_eq!(next(&mut input, known, from, MAX), Ok(Some(packet.clone())));
        assert!(input.is_empty());
        fuzzing::say_again(&packet, known, from);
    });
}

#[test]
fn every_packet_cut_at_every_length_waits() {
    for_all(60, |_, packet, v, known, from| {
        let bytes = encode_vec(&packet, v).unwrap();
        let near = |cut: usize| cut < 200 || bytes.len() - cut < 200 || cut.is_multiple_of(8_191);
        for cut in (0..bytes.len()).filter(|&cut| near(cut)) {
            let mut input = BytesMut::from(&bytes[..cut]);
            assert_eq!(next(&mut input, known, from, MAX), Ok(None), "{cut} bytes of {packet:?}");
            assert_eq!(input.len(), cut, "nothing is taken before the packet is whole");
        }
    });
}

/// A body that ends early, in a packet that says it is so short, is the packet's own fault, and
/// the next one is not touched. Only kinds that may end in more than one place can be shorter.
#[test]
fn a_body_shorter_than_its_fields_is_a_fault_and_leaves_the_next_packet() {
    let mut refused = 0;
    for_all(300, |_, packet, v, known, from| {
        let bytes = encode_vec(&packet, v).unwrap();
        if bytes.len() < 3 || bytes[1] & 0x80 != 0 {
            return;
        }
        for len in 0..bytes.len() - 2 {
            let mut input = BytesMut::from(&[bytes[0], len as u8][..]);
            input.extend_from_slice(&bytes[2..2 + len]);
            input.extend_from_slice(b"rest");
            match next(&mut input, known, from, MAX) {
                Err(_) => refused += 1,
                Ok(Some(shorter)) => {
                    assert!(may_be_shorter(&packet, v), "{len} bytes of {packet:?}: {shorter:?}");
                    assert_ne!(shorter, packet);
                }
                Ok(None) => panic!("{len} bytes of {packet:?} are whole"),
            }
            assert_eq!(&input[..], b"rest");
        }
    });
    assert!(refused > 3_000, "{refused}");
}

fn may_be_shorter(packet: &Packet, v: Version) -> bool {
    match packet {
        Packet::Publish(p) => !p.payload.is_empty(),
        Packet::SubAck(p) | Packet::UnsubAck(p) => p.codes.len() > 1,
        Packet::Subscribe(p) => p.filters.len() > 1,
        Packet::Unsubscribe(p) => p.filters.len() > 1,
        Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
            v == Version::V5
        }
        Packet::Disconnect(_) | Packet::Auth(_) => v == Version::V5,
        // 3.1: the end of the packet overrules the flags.
        Packet::Connect(c) => v == Version::V31 && c.username.is_some(),
        Packet::ConnAck(_) | Packet::PingReq | Packet::PingResp => false,
    }
}

#[test]
fn mangled_streams_keep_the_laws() {
    let odd = [0u8, 1, 2, 0x7f, 0x80, 0xff, 0x10, 0x23, 0x26, 0x30, 0x82, 0xe0];
    for seed in 0..1_500 {
        let mut rng = Rng::new(seed);
        let v = *rng.pick(&VERSIONS).unwrap();
        let from = *rng.pick(&SENDERS).unwrap();
        let mut bytes = Vec::new();
        while bytes.len() < 200 {
            let said = packet(&mut rng, v, from);
            if matches!(said, Packet::Connect(_)) == bytes.is_empty() || from == Sender::Server {
                let mut one = encode_vec(&said, v).unwrap();
                one.truncate(120);
                bytes.append(&mut one);
            }
        }
        for _ in 0..rng.below(8) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = *rng.pick(&odd).unwrap();
        }
        let start = (from == Sender::Server).then_some(v);
        fuzzing::stream(start, from, &bytes);
    }
    fuzzing::mqtt3(&[]);
    fuzzing::mqtt5(&[]);
}

#[test]
fn a_head_and_its_payload_are_a_publish() {
    for_all(300, |rng, packet, version, _, _| {
        let Packet::Publish(p) = packet else { return };
        let subs: &[u32] = if rng.chance(1, 2) { &[1, 300] } else { &[] };
        let rest = p.props.forwardable();
        let expiry = rng.chance(1, 2).then_some(7);
        let alias = (p.topic.is_empty() || rng.chance(1, 2)).then_some(3);
        let props = PublishProps { expiry, alias, subs, rest: &rest };
        let head = PublishHead {
            version,
            dup: p.dup,
            qos: p.qos,
            retain: p.retain,
            topic: &p.topic,
            id: p.id,
            props,
            payload_len: p.payload.len(),
        };
        let mut out = Outbound::default();
        publish_head(&mut out, &head).unwrap();
        out.put_bytes(&p.payload);
        assert_eq!(out.len(), publish_len(&head));
        let mut said: Vec<Prop> = Vec::new();
        said.extend(expiry.map(Prop::MessageExpiry));
        said.extend(alias.map(Prop::TopicAlias));
        said.extend(subs.iter().map(|&id| Prop::SubscriptionId(id)));
        said.extend(Props::from_checked(rest.clone()).iter());
        let props = if version == Version::V5 { Props::build(&said) } else { Props::none() };
        let same = Packet::Publish(Publish { props, ..p });
        assert_eq!(Ok(out.to_vec()), encode_vec(&same, version));
    });
}

#[test]
fn what_a_version_lacks_is_left_out() {
    let v3 = Version::V311;
    let props = Props::build(&[Prop::ReasonString(Bytes::from_static(b"because"))]);
    let ack = Ack { id: 1, reason: 0x87, props: props.clone() };
    assert_eq!(encode_vec(&Packet::PubAck(ack), v3), Ok(vec![0x40, 2, 0, 1]));
    let codes = Codes { id: 1, props: props.clone(), codes: smallvec![1, 0x8f, 0x97] };
    let said = encode_vec(&Packet::SubAck(codes.clone()), v3);
    assert_eq!(said, Ok(vec![0x90, 5, 0, 1, 1, 0x80, 0x80]), "one way to refuse");
    assert_eq!(encode_vec(&Packet::UnsubAck(codes), v3), Ok(vec![0xb0, 2, 0, 1]));
    let bye = Packet::Disconnect(Reason { reason: 0x8e, props: props.clone() });
    assert_eq!(encode_vec(&bye, v3), Ok(vec![0xe0, 0]));
    let asked = Asked {
        filter: Bytes::from_static(b"a"),
        qos: 1,
        no_local: true,
        as_published: true,
        handling: 2,
    };
    let ask = Subscribe { id: 1, props, filters: smallvec![asked] };
    let said = encode_vec(&Packet::Subscribe(ask), v3);
    assert_eq!(said, Ok(vec![0x82, 6, 0, 1, 0, 1, b'a', 1]));
}

#[test]
fn what_no_packet_can_say_is_refused_and_leaves_nothing() {
    let none = Props::none;
    let topic = || Bytes::from_static(b"t");
    let publish = Publish {
        dup: false,
        qos: 0,
        retain: false,
        topic: topic(),
        id: 0,
        props: none(),
        payload: Bytes::new(),
    };
    let with = |fill: fn(&mut Publish)| {
        let mut p = publish.clone();
        fill(&mut p);
        Packet::Publish(p)
    };
    let asked =
        Asked { filter: topic(), qos: 0, no_local: false, as_published: false, handling: 0 };
    let ask =
        |a: Asked| Packet::Subscribe(Subscribe { id: 1, props: none(), filters: smallvec![a] });
    let ack = |id, reason, props| Packet::PubRel(Ack { id, reason, props });
    let misplaced = || Props::build(&[Prop::TopicAlias(1)]);
    let codes = |codes: &[u8]| Codes { id: 1, props: none(), codes: codes.into() };
    let v5 = Version::V5;
    for packet in [
        with(|p| p.qos = 3),
        with(|p| p.qos = 1),
        with(|p| p.dup = true),
        with(|p| p.topic = Bytes::new()),
        with(|p| p.topic = Bytes::from_static(b"a/#")),
        with(|p| p.topic = Bytes::from_static(b"\xff")),
        with(|p| p.props = Props::build(&[Prop::WillDelay(1)])),
        with(|p| p.props = Props::build(&[Prop::TopicAlias(0)])),
        ask(Asked { qos: 3, ..asked.clone() }),
        ask(Asked { handling: 3, ..asked.clone() }),
        ask(Asked { filter: Bytes::from_static(b"a\0"), ..asked.clone() }),
        ask(Asked { filter: Bytes::from_static(b"$share/g/a"), no_local: true, ..asked }),
        Packet::Subscribe(Subscribe { id: 1, props: none(), filters: smallvec![] }),
        Packet::Unsubscribe(Unsubscribe { id: 1, props: none(), filters: smallvec![] }),
        Packet::Unsubscribe(Unsubscribe { id: 0, props: none(), filters: smallvec![topic()] }),
        ack(0, 0, none()),
        ack(1, 0x10, none()),
        ack(1, 0, misplaced()),
        Packet::SubAck(codes(&[])),
        Packet::SubAck(codes(&[3])),
        Packet::UnsubAck(codes(&[1])),
        Packet::ConnAck(ConnAck { present: false, code: 5, props: none() }),
        Packet::Disconnect(Reason { reason: 0x18, props: none() }),
        Packet::Disconnect(Reason { reason: 0, props: misplaced() }),
        Packet::Auth(Reason { reason: 1, props: none() }),
    ] {
        let mut out = Outbound::default();
        assert_eq!(encode(&packet, v5, &mut out), Err(Unsendable::Meaningless), "{packet:?}");
        assert!(out.is_empty(), "a refused packet leaves nothing behind");
    }
    let step = Packet::Auth(Reason { reason: 0x18, props: none() });
    assert_eq!(encode_vec(&step, Version::V311), Err(Unsendable::Meaningless));
}

#[test]
fn what_cannot_be_counted_is_refused_and_leaves_nothing() {
    let long = Bytes::from(vec![b'x'; 65_536]);
    let plain = Connect {
        version: Version::V5,
        bridge: false,
        clean: true,
        keep_alive: 0,
        client_id: Bytes::new(),
        will: None,
        username: None,
        password: None,
        props: Props::none(),
    };
    let connect = |fill: fn(&mut Connect, Bytes)| {
        let mut c = plain.clone();
        fill(&mut c, long.clone());
        Packet::Connect(Box::new(c))
    };
    let will = |topic: Bytes, payload: Bytes| {
        Some(Will { topic, payload, qos: 0, retain: false, props: Props::none() })
    };
    let (t, filters) = (Bytes::from_static(b"t"), smallvec![long.clone()]);
    let mut cases = vec![
        connect(|c, long| c.client_id = long),
        connect(|c, long| c.username = Some(long)),
        connect(|c, long| c.password = Some(long)),
        Packet::Unsubscribe(Unsubscribe { id: 1, props: Props::none(), filters }),
    ];
    for will in [will(long.clone(), t.clone()), will(t, long.clone())] {
        cases.push(Packet::Connect(Box::new(Connect { will, ..plain.clone() })));
    }
    for packet in cases {
        let mut out = Outbound::default();
        assert_eq!(encode(&packet, Version::V5, &mut out), Err(Unsendable::TooLong));
        assert!(out.is_empty(), "a refused packet leaves nothing behind");
    }
    let mut out = Outbound::default();
    let mut head = PublishHead {
        version: Version::V311,
        dup: false,
        qos: 0,
        retain: false,
        topic: &long,
        id: 0,
        props: PublishProps::default(),
        payload_len: 0,
    };
    assert_eq!(publish_head(&mut out, &head), Err(Unsendable::TooLong));
    head.topic = b"t";
    head.payload_len = 268_435_455 - 3;
    assert_eq!(publish_head(&mut out, &head), Ok(()));
    assert_eq!(publish_len(&head), 268_435_455 + 5);
    out.clear();
    head.payload_len += 1;
    assert_eq!(publish_head(&mut out, &head), Err(Unsendable::TooLong));
    assert!(out.is_empty());
}

#[test]
fn a_head_with_impossible_properties_is_refused() {
    let mut out = Outbound::default();
    let head = |props| PublishHead {
        version: Version::V5,
        dup: false,
        qos: 0,
        retain: false,
        topic: b"t",
        id: 0,
        props,
        payload_len: 0,
    };
    let none = PublishProps::default();
    for (props, why) in [
        (PublishProps { alias: Some(0), ..none }, Unsendable::Meaningless),
        (PublishProps { subs: &[1, 0], ..none }, Unsendable::Meaningless),
        (PublishProps { subs: &[0x1000_0000], ..none }, Unsendable::TooLong),
    ] {
        assert_eq!(publish_head(&mut out, &head(props)), Err(why));
        assert!(out.is_empty());
    }
}

#[test]
fn a_packet_is_refused_by_its_size_before_it_is_there() {
    let mut input = BytesMut::from(&[0x30u8, 0xff, 0xff, 0x7f][..]);
    let said = next(&mut input, Some(Version::V5), Sender::Client, 64 << 10);
    assert_eq!(said.map_err(|f| f.kind), Err(FaultKind::MqttOverMax));
}
