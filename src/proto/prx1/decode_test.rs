//! Floor 3. Tests of the PRX1 codec: every cut of every packet, golden bytes, random round trips.
//!
//! The generator draws every packet kind with every flag, field presence and awkward length; the
//! same packets feed the cutting, the chunking and the round trips. Absent on purpose: vectors
//! recorded from the original, which `tests/vectors.rs` replays.

use bytes::{Bytes, BytesMut};

use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::proto::fault::{Fault, FaultKind};

use super::decode::{BODY_MAX, frame_len, next};
use super::encode::{Unsendable, encode, encode_vec, publish_head};
use super::extended::*;
use super::fuzzing;
use super::packet::*;

fn decode(bytes: &[u8]) -> Result<Option<Packet>, Fault> {
    next(&mut BytesMut::from(bytes), BODY_MAX)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|c| u8::from_str_radix(&String::from_iter(c), 16).unwrap()).collect()
}

fn blob(rng: &mut Rng) -> Bytes {
    let len = match rng.below(20) {
        0 => 65_535,
        1 => 2_048 + rng.below(2) as usize,
        2 => rng.below(300) as usize,
        _ => rng.below(9) as usize,
    };
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn maybe(rng: &mut Rng) -> Option<Bytes> {
    rng.chance(1, 2).then(|| blob(rng))
}

fn id(rng: &mut Rng) -> u16 {
    *rng.pick(&[0, 1, 9, 255, 256, 0x1234, 65_534, 65_535]).unwrap()
}

fn subscribe(rng: &mut Rng) -> Subscribe {
    let qos = rng.below(4) as u8;
    let id = if qos == 0 { 0 } else { id(rng) };
    Subscribe { dup: rng.chance(1, 2), qos, retain: rng.chance(1, 2), id, topic: blob(rng) }
}

fn connect(rng: &mut Rng) -> Connect {
    Connect {
        clean_start: rng.chance(1, 2),
        version: if rng.chance(1, 4) { Bytes::from_static(b"MQTT") } else { VERSION.into() },
        password: maybe(rng),
        client_id: maybe(rng),
        keepalive: rng.chance(1, 2).then(|| id(rng)),
        username: maybe(rng),
    }
}

fn queue(rng: &mut Rng) -> Queue {
    Queue {
        dup: rng.chance(1, 2),
        action: *rng.pick(&[Action::Initialize, Action::Destroy, Action::Drain]).unwrap(),
        id: rng.chance(1, 2).then(|| id(rng)),
        address: maybe(rng),
        return_path: maybe(rng),
        mark: maybe(rng),
        message: maybe(rng),
    }
}

fn packet(rng: &mut Rng) -> Packet {
    match rng.below(19) {
        0 => Packet::Connect(connect(rng)),
        1 => Packet::ConnAck(ConnAck {
            session_present: rng.chance(1, 2),
            clean_start: rng.chance(1, 2),
            result: rng.next_u64() as u8,
            session_id: maybe(rng),
        }),
        2 => Packet::Queue(queue(rng)),
        3 => Packet::QAck(*rng.pick(&[QAckCode::None, QAckCode::Ok, QAckCode::Error]).unwrap()),
        4 => Packet::PubAck(id(rng)),
        5 => Packet::Subscribe(subscribe(rng)),
        6 => Packet::SubAck(id(rng)),
        7 => Packet::Unsubscribe(subscribe(rng)),
        8 => Packet::UnsubAck(id(rng)),
        9 => Packet::Ping,
        10 => Packet::Pong,
        11 => Packet::Disconnect,
        12..=15 => Packet::Extended(extended(rng)),
        _ => {
            let Subscribe { dup, qos, retain, id, topic } = subscribe(rng);
            Packet::Publish(Publish { dup, qos, retain, id, topic, payload: blob(rng) })
        }
    }
}

fn extended(rng: &mut Rng) -> Extended {
    let number = rng.next_u64();
    let (id, few) = (number as u16, (number >> 16) as u8);
    match rng.below(9) {
        0 => Extended::Register(Register { id, share: few, topic: blob(rng) }),
        1 => Extended::Unregister(Unregister { id, topic: blob(rng) }),
        2 => Extended::Answer(Answer { id, reason: few }),
        3 => Extended::Cancel(Cancel { id: number, mode: few }),
        4 => Extended::Request(Request {
            id: number,
            timeout_ms: (number >> 40) as u32 * u32::from(few & 1),
            many: (few & 2 != 0).then_some(id),
            pieces: few & 4 != 0,
            topic: blob(rng),
            payload: blob(rng),
        }),
        how => {
            let what = match how {
                5 => What::Final(blob(rng)),
                6 => What::Piece(blob(rng)),
                7 => What::Error { reason: few, name: blob(rng), payload: blob(rng) },
                _ => What::Gathered { asked: id, answered: id / 2, failed: id / 3 },
            };
            Extended::Response(Response { id: number, what })
        }
    }
}

fn golden(cases: &[(&str, Packet)]) {
    for (bytes, packet) in cases {
        assert_eq!(encode_vec(packet), Ok(hex(bytes)), "{packet:?}");
        assert_eq!(decode(&hex(bytes)).as_ref(), Ok(&Some(packet.clone())));
    }
}

fn topic() -> Bytes {
    Bytes::from_static(b"a/b")
}

#[test]
fn golden_bytes_of_messages() {
    let message = |dup, qos, retain, id, payload: &'static [u8]| {
        let payload = Bytes::from_static(payload);
        Packet::Publish(Publish { dup, qos, retain, id, topic: topic(), payload })
    };
    let filter = |qos, id| Subscribe { qos, id, topic: topic(), ..Subscribe::default() };
    golden(&[
        ("60 02 0009", Packet::PubAck(9)),
        ("70 05 0003 612f62", Packet::Subscribe(filter(0, 0))),
        ("72 07 0001 0003 612f62", Packet::Subscribe(filter(1, 1))),
        ("80 02 0001", Packet::SubAck(1)),
        ("92 07 0003 0003 612f62", Packet::Unsubscribe(filter(1, 3))),
        ("a0 02 0003", Packet::UnsubAck(3)),
        ("b0 09 0003 612f62 0002 6869", message(false, 0, false, 0, b"hi")),
        ("bb 0b 0009 0003 612f62 0002 6d31", message(true, 1, true, 9, b"m1")),
        ("b6 09 0009 0003 612f62 0000", message(false, 3, false, 9, b"")),
    ]);
}

#[test]
fn golden_bytes_of_everything_else() {
    let text = |text: &'static [u8]| Some(Bytes::from_static(text));
    let named = Connect {
        password: text(b"p"),
        client_id: text(b""),
        keepalive: Some(1),
        username: text(b"test"),
        ..Connect::default()
    };
    let push = Queue {
        dup: true,
        action: Action::Initialize,
        id: Some(9),
        address: text(b"q"),
        message: text(b"m"),
        ..Queue::default()
    };
    let mark = Queue { action: Action::Drain, mark: Some(topic()), ..Queue::default() };
    let named_ack = ConnAck { session_id: Some(topic()), ..ConnAck::plain(2) };
    golden(&[
        ("10 14 0004 50525831 0f 0001 70 0000 0001 0004 74657374", Packet::Connect(named)),
        ("20 01 02", Packet::ConnAck(ConnAck::plain(ConnAck::OK))),
        ("24 06 02 0003 612f62", Packet::ConnAck(named_ack)),
        ("4e 0a 00c0 0009 0001 71 0001 6d", Packet::Queue(push)),
        ("48 07 0012 0003 612f62", Packet::Queue(mark)),
        ("51 00", Packet::QAck(QAckCode::Ok)),
        ("c0 00", Packet::Ping),
        ("d0 00", Packet::Pong),
        ("e0 00", Packet::Disconnect),
    ]);
}

#[test]
fn every_packet_cut_at_every_length_waits() {
    let mut rng = Rng::new(1);
    for _ in 0..400 {
        let packet = packet(&mut rng);
        let bytes = encode_vec(&packet).unwrap();
        // Long packets: every cut near both ends, and a sample of the middle.
        let near = |cut: usize| cut < 300 || bytes.len() - cut < 300 || cut.is_multiple_of(8_191);
        for cut in (0..bytes.len()).filter(|&cut| near(cut)) {
            let mut input = BytesMut::from(&bytes[..cut]);
            assert_eq!(next(&mut input, BODY_MAX), Ok(None), "{cut} bytes of {packet:?}");
            assert_eq!(input.len(), cut, "nothing is taken before the frame is whole");
        }
        assert_eq!(decode(&bytes), Ok(Some(packet)));
    }
}

#[test]
fn a_body_shorter_than_its_fields_is_a_fault_and_leaves_the_next_frame() {
    let mut rng = Rng::new(2);
    let mut refused = 0;
    for _ in 0..400 {
        let packet = packet(&mut rng);
        let bytes = encode_vec(&packet).unwrap();
        let head = bytes.iter().skip(1).take_while(|&b| b & 0x80 != 0).count() + 2;
        let body = &bytes[head..];
        if body.is_empty() || body.len() > 127 {
            continue;
        }
        // An extended frame without a kind is none that anybody knows.
        let least = usize::from(matches!(packet, Packet::Extended(_)));
        for len in least..body.len() {
            let mut input = BytesMut::from(&[bytes[0], len as u8][..]);
            input.extend_from_slice(&body[..len]);
            input.extend_from_slice(&[0xc0, 0]);
            next(&mut input, BODY_MAX).expect_err("the last field is cut");
            assert_eq!(next(&mut input, BODY_MAX), Ok(Some(Packet::Ping)));
            refused += 1;
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn random_packets_in_random_chunks_are_the_same_packets() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let said: Vec<Packet> = (0..20).map(|_| packet(&mut rng)).collect();
        let mut out = Outbound::default();
        for packet in &said {
            encode(packet, &mut out).unwrap();
        }
        let stream = out.to_vec();
        let (mut input, mut heard, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
        while !rest.is_empty() {
            let most = if rng.chance(1, 4) { 70_000 } else { 40 };
            let (now, later) = rest.split_at((1 + rng.below(most) as usize).min(rest.len()));
            input.extend_from_slice(now);
            rest = later;
            while let Some(packet) = next(&mut input, BODY_MAX).unwrap() {
                heard.push(packet);
            }
        }
        assert!(input.is_empty());
        assert_eq!(heard, said, "seed {seed}");
    }
}

#[test]
fn mangled_streams_keep_the_laws() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let mut bytes = Vec::new();
        while bytes.len() < 200 {
            let mut one = encode_vec(&packet(&mut rng)).unwrap();
            one.truncate(100);
            bytes.append(&mut one);
        }
        for _ in 0..rng.below(12) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = *rng.pick(&[0, 1, 2, 0x7f, 0x80, 0xff, 0x4f, 0x12, 0xb2]).unwrap();
        }
        fuzzing::bytes(&bytes);
    }
    fuzzing::bytes(&[]);
}

#[test]
fn lengths_are_read_as_the_samples_say() {
    for (n, text) in [
        (0, "00"),
        (127, "7f"),
        (128, "80 01"),
        (16_383, "ff 7f"),
        (16_384, "80 80 01"),
        (262_152, "88 80 10"),
        (0, "80 00"),
        (2, "82 80 80 00"),
    ] {
        let mut bytes = vec![0xc0];
        bytes.extend(hex(text));
        let whole = bytes.len() + n;
        assert_eq!(frame_len(&bytes, BODY_MAX), Ok(Some(whole)), "{text}");
        for cut in 0..bytes.len() {
            assert_eq!(frame_len(&bytes[..cut], BODY_MAX), Ok(None));
        }
    }
}

#[test]
fn impossible_lengths_are_refused_before_the_body() {
    let fault = |bytes: &str, max| frame_len(&hex(bytes), max).unwrap_err().kind;
    assert_eq!(fault("c0 80 80 80 80", BODY_MAX), FaultKind::Prx1Length);
    assert_eq!(fault("c0 89 80 10", BODY_MAX), FaultKind::Prx1TooLong);
    assert_eq!(fault("b0 ff ff ff", BODY_MAX), FaultKind::Prx1TooLong, "three groups suffice");
    assert_eq!(fault("c0 ff ff ff 7f", usize::MAX), FaultKind::Prx1TooLong);
    assert_eq!(fault("10 80 08", 1_000), FaultKind::Prx1OverMax);
    assert_eq!(frame_len(&hex("10 e8 07"), 1_000), Ok(Some(1_003)), "max itself is allowed");
    for (first, most) in
        [(0x10, 196_620), (0x20, 65_538), (0x40, BODY_MAX), (0x70, 65_539), (0xb0, 131_076)]
    {
        let head = |n: usize| [first, n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8];
        assert_eq!(frame_len(&head(most), usize::MAX), Ok(Some(most + 4)));
        let refused = frame_len(&head(most + 1), usize::MAX).unwrap_err().kind;
        assert_eq!(refused, FaultKind::Prx1TooLong);
    }
}

#[test]
fn a_faulty_length_is_never_forgotten() {
    let mut input = BytesMut::from(&hex("c0 80 80 80 80 00")[..]);
    for _ in 0..2 {
        assert_eq!(next(&mut input, BODY_MAX).unwrap_err().kind, FaultKind::Prx1Length);
        assert_eq!(input.len(), 6, "the input stays, so asking again says the same");
    }
}

#[test]
fn what_the_original_tolerates_is_tolerated() {
    assert_eq!(decode(&hex("c1 02 ffff")), Ok(Some(Packet::Ping)), "flags and a body");
    assert_eq!(decode(&hex("ef 01 00")), Ok(Some(Packet::Disconnect)));
    assert_eq!(decode(&hex("6f 04 0007 ffff")), Ok(Some(Packet::PubAck(7))), "trailing bytes");
    assert_eq!(decode(&hex("c0 80 00")), Ok(Some(Packet::Ping)), "a length with a spare group");
    for code in [0x0u8, 0x3, 0xf] {
        assert_eq!(decode(&[code << 4, 1, 9]), Ok(Some(Packet::Unknown { code })));
    }
    assert_eq!(decode(&hex("53 00")), Ok(Some(Packet::Unknown { code: 5 })));
    let Ok(Some(Packet::Connect(connect))) = decode(&hex("17 07 0004 50525831 f0")) else {
        panic!("the high nibble of the connect flags and the low bits of byte 0 are ignored")
    };
    assert_eq!(connect, Connect::default());
    let Ok(Some(Packet::Queue(queue))) = decode(&hex("48 02 ff03")) else {
        panic!("an undefined action is no action, and the high byte of the word is ignored")
    };
    assert_eq!(queue.action, Action::None);
}

#[test]
fn fields_share_the_input() {
    let payload = Bytes::from(vec![7u8; 5_000]);
    let publish = Publish { topic: Bytes::from_static(b"a/b"), payload, ..Publish::default() };
    let mut input = BytesMut::from(&encode_vec(&Packet::Publish(publish)).unwrap()[..]);
    let range = input.as_ptr_range();
    let Ok(Some(Packet::Publish(heard))) = next(&mut input, BODY_MAX) else { panic!("a publish") };
    assert!(range.contains(&heard.payload.as_ptr()) && range.contains(&heard.topic.as_ptr()));
}

#[test]
fn what_cannot_be_counted_is_refused_and_leaves_nothing() {
    let long = Bytes::from(vec![b'x'; 65_536]);
    let filter = Subscribe { topic: long.clone(), ..Subscribe::default() };
    let some = || Some(long.clone());
    let connect = |fill: fn(&mut Connect, Bytes)| {
        let mut packet = Connect::default();
        fill(&mut packet, long.clone());
        Packet::Connect(packet)
    };
    let queue = |fill: fn(&mut Queue, Bytes)| {
        let mut packet = Queue { action: Action::Drain, ..Queue::default() };
        fill(&mut packet, long.clone());
        Packet::Queue(packet)
    };
    for packet in [
        connect(|c, long| c.version = long),
        connect(|c, long| c.password = Some(long)),
        connect(|c, long| c.client_id = Some(long)),
        connect(|c, long| c.username = Some(long)),
        Packet::ConnAck(ConnAck { session_id: some(), ..ConnAck::plain(2) }),
        queue(|q, long| q.address = Some(long)),
        queue(|q, long| q.return_path = Some(long)),
        queue(|q, long| q.mark = Some(long)),
        queue(|q, long| q.message = Some(long)),
        Packet::Subscribe(filter.clone()),
        Packet::Unsubscribe(filter),
        Packet::Publish(Publish { topic: long.clone(), ..Publish::default() }),
        Packet::Publish(Publish { payload: long.clone(), ..Publish::default() }),
    ] {
        let mut out = Outbound::default();
        assert_eq!(encode(&packet, &mut out), Err(Unsendable::TooLong));
        assert!(out.is_empty(), "a refused packet leaves nothing behind");
    }
    for packet in [Packet::Queue(Queue::default()), Packet::Unknown { code: 3 }] {
        assert_eq!(encode_vec(&packet), Err(Unsendable::Meaningless));
    }
}

#[test]
fn a_head_and_its_payload_are_a_publish() {
    let mut rng = Rng::new(5);
    for _ in 0..200 {
        let Packet::Publish(p) = packet(&mut rng) else {
            continue;
        };
        let mut out = Outbound::default();
        publish_head(&mut out, p.dup, p.qos, p.retain, p.id, &p.topic, p.payload.len()).unwrap();
        out.put_bytes(&p.payload);
        assert_eq!(Ok(out.to_vec()), encode_vec(&Packet::Publish(p)));
    }
}

#[test]
fn golden_bytes_of_calls() {
    let (payload, id) = (Bytes::from_static(b"hi"), 0x0102);
    let request = Request { id: 5, topic: topic(), payload: payload.clone(), ..Request::default() };
    let full = Request { timeout_ms: 1_000, many: Some(3), pieces: true, ..request.clone() };
    let response = |what| Packet::Extended(Extended::Response(Response { id: 5, what }));
    let error = What::Error { reason: 5, name: topic(), payload: payload.clone() };
    golden(&[
        (
            "f0 09 01 0102 03 0003 612f62",
            Packet::Extended(Extended::Register(Register { id, share: 3, topic: topic() })),
        ),
        (
            "f0 08 02 0102 0003 612f62",
            Packet::Extended(Extended::Unregister(Unregister { id, topic: topic() })),
        ),
        ("f0 04 03 0102 0a", Packet::Extended(Extended::Answer(Answer { id, reason: 10 }))),
        (
            "f0 13 04 0000000000000005 00 0003 612f62 0002 6869",
            Packet::Extended(Extended::Request(request)),
        ),
        (
            "f0 19 04 0000000000000005 07 000003e8 0003 0003 612f62 0002 6869",
            Packet::Extended(Extended::Request(full)),
        ),
        ("f0 0e 05 0000000000000005 00 0002 6869", response(What::Final(payload.clone()))),
        ("f0 0e 05 0000000000000005 01 0002 6869", response(What::Piece(payload))),
        ("f0 14 05 0000000000000005 02 05 0003 612f62 0002 6869", response(error)),
        (
            "f0 10 05 0000000000000005 03 0003 0002 0001",
            response(What::Gathered { asked: 3, answered: 2, failed: 1 }),
        ),
        (
            "f0 0a 06 0102030405060708 01",
            Packet::Extended(Extended::Cancel(Cancel { id: 0x0102_0304_0506_0708, mode: 1 })),
        ),
    ]);
}

#[test]
fn what_nobody_knows_yet_under_the_extended_code_has_no_meaning() {
    for unknown in ["f0 00", "f0 01 00", "f0 03 070000", "f5 0a 05 0000000000000005 04"] {
        assert_eq!(decode(&hex(unknown)), Ok(Some(Packet::Unknown { code: 0xf })), "{unknown}");
    }
    let short = "f0 13 04 0000000000000005 00 0003 612f62 0002 6869";
    let whole = hex(short);
    for end in 3..whole.len() {
        let mut cut = whole[..end].to_vec();
        cut[1] = (end - 2) as u8;
        let fault = FaultKind::Prx1ExtendedShort.fault();
        assert_eq!(decode(&cut), Err(fault), "{end}");
    }
    let long = Bytes::from(vec![b'x'; 65_536]);
    let register = Register { topic: long.clone(), ..Register::default() };
    let result = Response { id: 1, what: What::Final(long) };
    for packet in [Extended::Register(register), Extended::Response(result)] {
        let mut out = Outbound::default();
        assert_eq!(encode(&Packet::Extended(packet), &mut out), Err(Unsendable::TooLong));
        assert!(out.is_empty());
    }
}
