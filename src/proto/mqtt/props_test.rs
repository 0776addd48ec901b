//! Floor 3. Tests of the table of properties, against another one written from the standard.

use bytes::{Bytes, BytesMut};

use crate::proto::fault::FaultKind;

use super::decode::next;
use super::packet::{Sender, Version};
use super::props::{Form, Place, Prop, Props, TABLE, check, put_var, row};

/// 5.0 Table 2-4: number, an example of its value, and where it may stand. C CONNECT, W will,
/// K CONNACK, P PUBLISH, p PUBLISH from a server, A PUBACK and its kin, S SUBSCRIBE, B SUBACK and
/// UNSUBACK, U UNSUBSCRIBE, D DISCONNECT, d from a client, e from a server, X AUTH.
const STANDARD: [(u8, &[u8], &str); 27] = [
    (0x01, &[1], "WP"),
    (0x02, &[0, 0, 0, 9], "WP"),
    (0x03, &[0, 1, b't'], "WP"),
    (0x08, &[0, 1, b't'], "WP"),
    (0x09, &[0, 1, 0xff], "WP"),
    (0x0b, &[0x80, 1], "pS"),
    (0x11, &[0, 0, 0, 0], "CKd"),
    (0x12, &[0, 1, b'i'], "K"),
    (0x13, &[0, 0], "K"),
    (0x15, &[0, 1, b'm'], "CKX"),
    (0x16, &[0, 1, 0xff], "CKX"),
    (0x17, &[0], "C"),
    (0x18, &[0xff, 0xff, 0xff, 0xff], "W"),
    (0x19, &[1], "C"),
    (0x1a, &[0, 0], "K"),
    (0x1c, &[0, 1, b's'], "Ke"),
    (0x1f, &[0, 2, b'n', b'o'], "KABDX"),
    (0x21, &[0, 1], "CK"),
    (0x22, &[0, 0], "CK"),
    (0x23, &[0, 1], "P"),
    (0x24, &[1], "K"),
    (0x25, &[0], "K"),
    (0x26, &[0, 1, b'k', 0, 0], "CWKPASBUDX"),
    (0x27, &[0, 0, 0, 1], "CK"),
    (0x28, &[1], "K"),
    (0x29, &[1], "K"),
    (0x2a, &[1], "K"),
];

fn letters(place: Place) -> &'static str {
    match place {
        Place::Connect => "C",
        Place::Will => "W",
        Place::ConnAck => "K",
        Place::PublishUp => "P",
        Place::PublishDown => "Pp",
        Place::Ack => "A",
        Place::Subscribe => "S",
        Place::Codes => "B",
        Place::Unsubscribe => "U",
        Place::DisconnectUp => "Dd",
        Place::DisconnectDown => "De",
        Place::Auth => "X",
    }
}

/// The shortest packet with a block of properties there.
fn packet(place: Place, block: &[u8]) -> (Option<Version>, Sender, Vec<u8>) {
    let (client, server) = (Sender::Client, Sender::Server);
    let v5 = Some(Version::V5);
    let connect = |flags| [0, 4, b'M', b'Q', b'T', b'T', 5, flags, 0, 0];
    let (version, from, first, before, after): (_, _, u8, Vec<u8>, &[u8]) = match place {
        Place::Connect => (None, client, 0x10, connect(2).to_vec(), &[0, 0]),
        Place::Will => {
            let before = [&connect(6)[..], &[0, 0, 0]].concat();
            (None, client, 0x10, before, &[0, 1, b'w', 0, 0])
        }
        Place::ConnAck => (v5, server, 0x20, vec![0, 0], &[]),
        Place::PublishUp => (v5, client, 0x30, vec![0, 1, b't'], &[]),
        Place::PublishDown => (v5, server, 0x30, vec![0, 1, b't'], &[]),
        Place::Ack => (v5, client, 0x40, vec![0, 1, 0], &[]),
        Place::Subscribe => (v5, client, 0x82, vec![0, 1], &[0, 1, b'f', 0]),
        Place::Codes => (v5, server, 0x90, vec![0, 1], &[0]),
        Place::Unsubscribe => (v5, client, 0xa2, vec![0, 1], &[0, 1, b'f']),
        Place::DisconnectUp => (v5, client, 0xe0, vec![0], &[]),
        Place::DisconnectDown => (v5, server, 0xe0, vec![0], &[]),
        Place::Auth => (v5, client, 0xf0, vec![0x18], &[]),
    };
    let mut body = before;
    put_var(block.len() as u32, &mut body);
    body.extend_from_slice(block);
    body.extend_from_slice(after);
    let mut whole = vec![first];
    put_var(body.len() as u32, &mut whole);
    whole.append(&mut body);
    (version, from, whole)
}

fn verdict(place: Place, block: &[u8]) -> Result<(), FaultKind> {
    let (version, from, bytes) = packet(place, block);
    match next(&mut BytesMut::from(&bytes[..]), version, from, 1 << 20) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => panic!("{bytes:?} is not whole"),
        Err(fault) => Err(fault.kind),
    }
}

fn one(id: u8, value: &[u8]) -> Vec<u8> {
    [&[id], value].concat()
}

/// Authentication data needs its method beside it.
fn company(id: u8) -> Vec<u8> {
    if id == 0x16 { vec![0x15, 0, 1, b'm'] } else { Vec::new() }
}

#[test]
fn every_property_stands_where_the_standard_has_it_and_nowhere_else() {
    assert_eq!(TABLE.len(), STANDARD.len());
    let mut legal = 0;
    for (id, value, places) in STANDARD {
        for place in Place::ALL {
            let fits = letters(place).chars().any(|letter| places.contains(letter));
            let mut block = if fits { company(id) } else { Vec::new() };
            block.extend(one(id, value));
            let said = verdict(place, &block);
            let expected = match (fits, id, place) {
                (true, ..) => Ok(()),
                (false, 0x0b, Place::PublishUp) => Err(FaultKind::MqttSubIdFromClient),
                _ => Err(FaultKind::MqttPropMisplaced),
            };
            assert_eq!(said, expected, "{id:#04x} in {place:?}");
            if fits {
                block.extend(one(id, value));
                let repeats = id == 0x26 || (id == 0x0b && place == Place::PublishDown);
                let expected = if repeats { Ok(()) } else { Err(FaultKind::MqttPropTwice) };
                assert_eq!(verdict(place, &block), expected, "{id:#04x} twice in {place:?}");
                legal += 1;
            }
        }
    }
    assert_eq!(legal, 65);
}

#[test]
fn no_other_number_is_a_property() {
    for id in 0..=u8::MAX {
        let known = STANDARD.iter().any(|(known, ..)| *known == id);
        assert_eq!(row(id).map(|row| row.id), known.then_some(id));
        if !known {
            for place in Place::ALL {
                let said = verdict(place, &one(id, &[0, 0, 0, 0]));
                assert_eq!(said, Err(FaultKind::MqttPropUnknown), "{id:#04x} in {place:?}");
            }
        }
    }
}

#[test]
fn a_value_that_ends_early_is_short_wherever_it_is_cut() {
    for (id, value, _) in STANDARD {
        let place = Place::ALL.into_iter().find(|p| row(id).unwrap().may_stand(*p)).unwrap();
        for cut in 0..value.len() {
            let mut block = company(id);
            block.extend(one(id, &value[..cut]));
            assert_eq!(verdict(place, &block), Err(FaultKind::MqttShort), "{id:#04x} at {cut}");
        }
    }
}

#[test]
fn values_that_may_not_be() {
    let cases: &[(Place, &[u8], FaultKind)] = &[
        (Place::PublishUp, &[0x01, 2], FaultKind::MqttPropValue),
        (Place::Will, &[0x01, 0xff], FaultKind::MqttPropValue),
        (Place::Connect, &[0x17, 2], FaultKind::MqttPropValue),
        (Place::Connect, &[0x19, 2], FaultKind::MqttPropValue),
        (Place::Connect, &[0x21, 0, 0], FaultKind::MqttPropValue),
        (Place::ConnAck, &[0x21, 0, 0], FaultKind::MqttPropValue),
        (Place::Connect, &[0x27, 0, 0, 0, 0], FaultKind::MqttPropValue),
        (Place::ConnAck, &[0x24, 2], FaultKind::MqttPropValue),
        (Place::ConnAck, &[0x25, 2], FaultKind::MqttPropValue),
        (Place::ConnAck, &[0x2a, 0x80], FaultKind::MqttPropValue),
        (Place::Subscribe, &[0x0b, 0], FaultKind::MqttPropValue),
        (Place::PublishDown, &[0x0b, 0], FaultKind::MqttPropValue),
        (Place::Subscribe, &[0x0b, 0x81, 0], FaultKind::MqttLength),
        (Place::Subscribe, &[0x0b, 0x80, 0x80, 0x80, 0x80], FaultKind::MqttLength),
        (Place::PublishUp, &[0x23, 0, 0], FaultKind::MqttAliasZero),
        (Place::PublishUp, &[0x08, 0, 1, b'#'], FaultKind::MqttResponseTopic),
        (Place::PublishUp, &[0x08, 0, 3, b'a', b'+', b'b'], FaultKind::MqttResponseTopic),
        (Place::Will, &[0x08, 0, 0], FaultKind::MqttResponseTopic),
        (Place::PublishUp, &[0x08, 0, 1, 0], FaultKind::MqttNul),
        (Place::PublishUp, &[0x03, 0, 1, 0xff], FaultKind::MqttUtf8),
        (Place::Ack, &[0x1f, 0, 2, 0xc0, 0xaf], FaultKind::MqttUtf8),
        (Place::Ack, &[0x26, 0, 1, 0xff, 0, 0], FaultKind::MqttUtf8),
        (Place::Ack, &[0x26, 0, 1, b'k', 0, 1, 0], FaultKind::MqttNul),
        (Place::Connect, &[0x16, 0, 0], FaultKind::MqttAuthProtocol),
        (Place::Auth, &[0x16, 0, 1, b'd'], FaultKind::MqttAuthProtocol),
    ];
    for &(place, block, kind) in cases {
        assert_eq!(verdict(place, block), Err(kind), "{block:?} in {place:?}");
    }
    assert_eq!(verdict(Place::Subscribe, &[0x0b, 0xff, 0xff, 0xff, 0x7f]), Ok(()));
}

#[test]
fn a_block_of_many_user_properties_is_read_in_one_walk() {
    let user = Prop::User(Bytes::from_static(b"k"), Bytes::from_static(b"v"));
    let props = Props::build(&vec![user; 10_000]);
    assert_eq!(verdict(Place::Connect, props.raw()), Ok(()));
    assert_eq!(props.iter().count(), 10_000);
}

#[test]
fn what_is_built_is_read_and_what_no_block_can_hold_is_left_out() {
    let said = vec![
        Prop::User(Bytes::from_static(b"k"), Bytes::new()),
        Prop::PayloadFormat(1),
        Prop::User(Bytes::from_static(b"k"), Bytes::from_static(b"v")),
        Prop::CorrelationData(Bytes::from_static(&[0, 255])),
    ];
    let block = Props::build(&said);
    assert_eq!(block.iter().collect::<Vec<_>>(), said, "order is kept");
    let mut more = said;
    more.push(Prop::ContentType(Bytes::from(vec![b'x'; 65_536])));
    more.push(Prop::User(Bytes::from_static(b"k"), Bytes::from(vec![b'x'; 65_536])));
    more.push(Prop::SubscriptionId(0x1000_0000));
    assert_eq!(Props::build(&more), block);
    assert!(Props::none().is_empty() && Props::build(&[]) == Props::none());
    assert_eq!(Props::from_checked(block.raw().clone()), block);
}

#[test]
fn a_block_that_nobody_checked_ends_at_its_first_fault() {
    let bad = Props::from_checked(Bytes::from_static(&[0x01, 1, 0x7f, 0x01, 1]));
    assert_eq!(bad.iter().collect::<Vec<_>>(), [Prop::PayloadFormat(1)]);
    assert!(check(bad.raw(), Place::PublishUp).is_err());
}

#[test]
fn what_belongs_to_one_hop_is_not_passed_on() {
    let kept = [
        Prop::PayloadFormat(0),
        Prop::User(Bytes::from_static(b"a"), Bytes::from_static(b"1")),
        Prop::ResponseTopic(Bytes::from_static(b"r")),
        Prop::User(Bytes::from_static(b"a"), Bytes::from_static(b"2")),
    ];
    let mut all = kept.to_vec();
    all.insert(1, Prop::MessageExpiry(3));
    all.insert(3, Prop::TopicAlias(3));
    all.push(Prop::SubscriptionId(3));
    all.push(Prop::WillDelay(3));
    let passed = Props::from_checked(Props::build(&all).forwardable());
    assert_eq!(passed.iter().collect::<Vec<_>>(), kept);
    let whole = Props::build(&kept);
    assert_eq!(whole.forwardable().as_ptr(), whole.raw().as_ptr(), "shared");
    assert_eq!(Props::build(&all).topic_alias(), Some(3));
    assert_eq!(whole.topic_alias(), None);
}

#[test]
fn the_table_says_how_values_are_written() {
    let with = |form| TABLE.iter().filter(|row| row.form == form).count();
    let forms = [Form::Bit, Form::U16, Form::U32, Form::Var, Form::Text, Form::Blob, Form::Pair];
    assert_eq!(forms.map(with), [8, 4, 4, 1, 7, 2, 1]);
}
