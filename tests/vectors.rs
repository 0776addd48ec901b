//! Floor 6. Replays what was recorded from the original PRX1 encoder, client and broker.
//!
//! Every vector decodes to its fields and encodes back to its bytes, save the rows of
//! `deviations.md`, and a row that does not deviate fails too: the list is exact both ways.
//! Absent on purpose: running the exchanges against a broker; here only their frames are read.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use spindle::proto::prx1::decode::BODY_MAX;
use spindle::proto::prx1::{
    Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe, Unsendable, encode_vec,
    frame_len, next,
};

const DEVIATIONS: &str = include_str!("../src/proto/prx1/deviations.md");
const SMALL: &str = include_str!("vectors/prx1.json");
const LARGE: &str = include_str!("vectors/prx1-large.json");
const EXCHANGES: &str = include_str!("vectors/prx1-exchanges.json");

fn load(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("the vectors are JSON")
}

/// The rows of the table under a heading, cell by cell, without heading and rule.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = DEVIATIONS.split("\n## ").find(|s| s.starts_with(heading)).expect("a section");
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_else(|| panic!("{key} of {v}"))
}

fn blob(fields: &Value, key: &str) -> Option<Bytes> {
    let text = fields.get(key)?.as_str().expect("a blob is text");
    if let Some(digits) = text.strip_prefix("hex:") {
        return Some(hex(digits).into());
    }
    for middle in [" bytes of 0x", " x 0x"] {
        if let Some((len, byte)) = text.split_once(middle) {
            let byte = u8::from_str_radix(byte, 16).expect("a byte");
            return Some(vec![byte; len.parse().expect("a length")].into());
        }
    }
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn word(fields: &Value, key: &str) -> Option<u16> {
    fields.get(key).map(|v| v.as_u64().and_then(|n| n.try_into().ok()).expect("a word"))
}

fn flag(fields: &Value, key: &str) -> bool {
    fields[key].as_bool().unwrap_or_else(|| panic!("{key} of {fields}"))
}

/// The packet that the fields of a vector describe. Those made from a Go value rather than from
/// bytes name no packet, and spell absent as empty.
fn described(name: &str, fields: &Value) -> Packet {
    let by_value = fields.get("packet").is_none();
    let kind = fields.get("packet").map_or_else(|| kind_of(name), |v| v.as_str().expect("a name"));
    let small = |key| word(fields, key).unwrap_or(0) as u8;
    let id = word(fields, "message_id");
    let must = |key| blob(fields, key).unwrap_or_else(|| panic!("{key} of {name}"));
    let filter = || Subscribe {
        dup: flag(fields, "dup"),
        qos: small("qos"),
        retain: flag(fields, "retain"),
        id: id.unwrap_or(0),
        topic: must("topic"),
    };
    match kind {
        "Connect" => Packet::Connect(Connect {
            clean_start: flag(fields, "clean_start"),
            version: must("version"),
            password: blob(fields, "password"),
            client_id: blob(fields, "client_id"),
            keepalive: word(fields, "keepalive"),
            username: blob(fields, "username"),
        }),
        "ConnAck" => Packet::ConnAck(ConnAck {
            session_present: flag(fields, "session_present"),
            clean_start: flag(fields, "clean_start"),
            result: small("result"),
            session_id: blob(fields, "session_id"),
        }),
        "Queue" => Packet::Queue(described_queue(fields, by_value)),
        "QAck" => Packet::QAck(match small(if by_value { "code" } else { "ack_code" }) {
            0 => QAckCode::None,
            1 => QAckCode::Ok,
            _ => QAckCode::Error,
        }),
        "PubAck" => Packet::PubAck(id.expect("an id")),
        "SubAck" => Packet::SubAck(id.expect("an id")),
        "UnsubAck" => Packet::UnsubAck(id.expect("an id")),
        "Subscribe" => Packet::Subscribe(filter()),
        "Unsubscribe" => Packet::Unsubscribe(filter()),
        "Publish" => {
            let Subscribe { dup, qos, retain, id, topic } = filter();
            Packet::Publish(Publish { dup, qos, retain, id, topic, payload: must("payload") })
        }
        "Ping" => Packet::Ping,
        "Pong" => Packet::Pong,
        "Disconnect" => Packet::Disconnect,
        other => panic!("{name} describes a {other}"),
    }
}

fn described_queue(fields: &Value, by_value: bool) -> Queue {
    let given = |key| blob(fields, key).filter(|b| !(by_value && b.is_empty()));
    Queue {
        dup: flag(fields, "dup"),
        action: action(text(fields, "action")),
        id: word(fields, "message_id").filter(|&id| !(by_value && id == 0)),
        address: given("address"),
        return_path: given("return_path"),
        mark: given("mark"),
        message: given("message"),
    }
}

fn kind_of(name: &str) -> &'static str {
    match name.split('_').next() {
        Some("queue") => "Queue",
        Some("qack") => "QAck",
        Some("publish") => "Publish",
        _ => panic!("what is {name}?"),
    }
}

fn action(name: &str) -> Action {
    match name {
        "initialize" => Action::Initialize,
        "destroy" => Action::Destroy,
        "drain" => Action::Drain,
        "none" => Action::None,
        other => panic!("an action {other}"),
    }
}

fn decode_one(name: &str, bytes: &[u8]) -> Packet {
    let mut input = BytesMut::from(bytes);
    let packet = next(&mut input, BODY_MAX).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert!(input.is_empty(), "{name} is one frame");
    packet.unwrap_or_else(|| panic!("{name} is whole"))
}

/// Numbers the recording tells about the frame itself.
fn frame_numbers(name: &str, fields: &Value, bytes: &[u8]) {
    let Some(code) = word(fields, "code").filter(|_| fields.get("packet").is_some()) else {
        return;
    };
    assert_eq!(u16::from(bytes[0] >> 4), code, "{name}");
    assert_eq!(Some(u16::from(bytes[0] & 0x0f)), word(fields, "flags"), "{name}");
    let head = bytes.iter().skip(1).take_while(|&b| b & 0x80 != 0).count() + 2;
    let remaining = fields["remaining_length"].as_u64().expect("a length") as usize;
    assert_eq!(frame_len(bytes, BODY_MAX), Ok(Some(head + remaining)), "{name}");
}

#[test]
fn every_vector_decodes_to_its_fields_and_encodes_to_its_bytes() {
    let mut ours: BTreeMap<String, String> =
        table("Codec").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let mut replayed = 0;
    for vector in load(SMALL).iter().chain(&load(LARGE)) {
        let (name, fields) = (text(vector, "name"), &vector["fields"]);
        let recorded = hex(text(vector, "hex"));
        let packet = described(name, fields);
        let said = encode_vec(&packet);
        match ours.remove(name).as_deref() {
            None => {
                assert_eq!(decode_one(name, &recorded), packet, "{name}");
                assert_eq!(said, Ok(recorded.clone()), "{name}");
                frame_numbers(name, fields, &recorded);
            }
            Some("refused") => {
                said.expect_err(name);
            }
            Some(instead) => {
                assert_ne!(hex(instead), recorded, "{name} does not deviate");
                assert_eq!(said, Ok(hex(instead)), "{name}");
                assert_eq!(decode_one(name, &hex(instead)), packet, "{name}");
                if !recorded.is_empty() {
                    assert_eq!(decode_one(name, &recorded), packet, "{name}");
                }
            }
        }
        replayed += 1;
    }
    assert_eq!(replayed, 115);
    assert!(ours.is_empty(), "rows without a vector: {ours:?}");
}

#[test]
fn a_wrapped_count_is_read_as_it_stands_and_never_made() {
    let large = load(LARGE);
    let name = "publish_payload_65536_BUG_length_wraps";
    let vector = large.iter().find(|v| text(v, "name") == name).expect(name);
    let Packet::Publish(heard) = decode_one(name, &hex(text(vector, "hex"))) else {
        panic!("{name} is a Publish")
    };
    assert_eq!((&heard.topic[..], heard.payload.len()), (&b"a/b"[..], 0));
    let meant = described(name, &vector["fields"]);
    assert_eq!(encode_vec(&meant), Err(Unsendable::TooLong));
}

fn receives(exchange: &Value) -> Vec<&Value> {
    let steps = exchange["steps"].as_array().expect("steps");
    steps.iter().filter(|step| step["op"] == "recv").collect()
}

#[test]
fn every_frame_a_broker_sent_is_understood_and_said_alike() {
    let mut frames = 0;
    for exchange in load(EXCHANGES) {
        for step in receives(&exchange) {
            let bytes = hex(text(step, "hex"));
            let mut input = BytesMut::from(&bytes[..]);
            let mut again = Vec::new();
            while let Some(packet) = next(&mut input, BODY_MAX).expect("no fault") {
                again.append(&mut encode_vec(&packet).expect("what arrived can be said"));
                frames += 1;
            }
            assert_eq!(again, bytes, "{}", text(&exchange, "name"));
        }
    }
    assert!(frames > 80, "{frames}");
}

#[test]
fn every_exchange_row_names_a_receive_and_differs_from_it() {
    let exchanges = load(EXCHANGES);
    assert_eq!(exchanges.len(), 68);
    let find = |variant: &str, name: &str| {
        let same = |e: &&Value| text(e, "name") == name && text(e, "variant") == variant;
        exchanges.iter().find(same).unwrap_or_else(|| panic!("no exchange {name} {variant}"))
    };
    for row in table("Exchanges") {
        let [name, variant, receive, ours, reason] = &row[..] else {
            panic!("five cells: {row:?}")
        };
        assert!(reason.ends_with('.'), "{name} has a reason");
        if ours == "as 889f57c" {
            assert_ne!(receives(find("head", name)), receives(find("889f57c", name)), "{name}");
            continue;
        }
        let both = ["889f57c", "head"];
        let at: usize = receive.parse().expect("a number");
        for variant in both.iter().filter(|v| variant == "both" || variant == *v) {
            let all = receives(find(variant, name));
            let step = all.get(at - 1).unwrap_or_else(|| panic!("{name} has no receive {at}"));
            let (bytes, open) = match ours.strip_prefix("nothing") {
                Some(rest) => (Vec::new(), rest.trim_start_matches(',').trim()),
                None => {
                    let (bytes, rest) = ours.split_once('`').expect("bytes");
                    (hex(bytes), rest.trim())
                }
            };
            let was_open = step["closed"].is_null();
            let differs = bytes != hex(text(step, "hex")) || was_open != (open == "open");
            assert!(differs, "{name} {at} does not deviate");
        }
    }
}
