//! Floor 6. Replays what was recorded from the original aioconnectors, in three of its versions.
//!
//! Every frame decodes to the fields that were noted beside it and encodes back to its bytes; the
//! few whose spelling does not follow from what they say stand in a list that is exact both ways.
//! What they mean is understood on the side that heard them. Absent on purpose: a conversation;
//! here only what was said is read.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use spindle::base::outbound::Outbound;
use spindle::proto::aio::file::WithFile;
use spindle::proto::aio::{Frame, Meaning, Side, command, encode_vec, meaning, next, shelf};

const GIVEN: &str = include_str!("vectors/aioconnectors.json");
const MORE: &str = include_str!("vectors/aioconnectors-more.json");

/// Frames that are said in another order of keys, or another spelling of yes, than ours.
const OTHERWISE: &[&str] = &[
    // The keep-alive is put together in another place than all other pings.
    "keepalive.ka.1",
    "keepalive.ka.3",
    // The application said 1 for yes.
    "1.6.3.ack_one.1",
    "1.0.9.ack_one.1",
    // The binary is the application's, and nothing says so.
    "1.6.3.empty_file_binary.1",
    "1.0.9.empty_file_binary.1",
    // An answer to a ping, with a binary that no key announces: ours announces it.
    "1.6.3.ping_binary.2",
    "1.0.9.ping_binary.2",
    "1.6.3.ping_binary_s.2",
    "1.0.9.ping_binary_s.2",
];

fn load() -> Vec<Value> {
    let read = |text| serde_json::from_str::<Vec<Value>>(text).expect("the vectors are JSON");
    let mut all = read(GIVEN);
    all.extend(read(MORE));
    all
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_else(|| panic!("{key} of {v}"))
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Those that are frames: neither nothing, nor questions to a connector, nor a file of them.
fn frames() -> Vec<(Value, Vec<u8>)> {
    let is_frame = |v: &Value| {
        let name = text(v, "name");
        !name.starts_with("uds.commander.") && !name.starts_with("persistence")
    };
    let all = load().into_iter().filter(is_frame).map(|v| {
        let bytes = hex(text(&v, "hex"));
        (v, bytes)
    });
    all.filter(|(_, bytes)| !bytes.is_empty()).collect()
}

fn decode_one(name: &str, bytes: &[u8]) -> Frame {
    let mut input = BytesMut::from(bytes);
    let frame = next(&mut input, 1 << 20).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert!(input.is_empty(), "{name} is one frame");
    frame.unwrap_or_else(|| panic!("{name} is whole"))
}

/// The header as another reader has it.
fn plainly(bytes: &[u8]) -> Map<String, Value> {
    let len = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    serde_json::from_slice(&bytes[6..6 + len]).expect("a header is JSON")
}

/// The header as we understood it.
fn understood(frame: &Frame) -> Map<String, Value> {
    let mut header = Map::new();
    let said = &frame.header;
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("a value is JSON");
    let texts = [
        ("message_type", Some(&said.message_type)),
        ("source_id", said.source_id.as_ref()),
        ("destination_id", said.destination_id.as_ref()),
        ("message_type_publish", said.message_type_publish.as_ref()),
        ("tag", said.tag.as_ref()),
    ];
    for (key, value) in texts {
        header.extend(value.map(|value| (key.to_owned(), Value::from(value.as_str()))));
    }
    let ids = [
        ("request_id", &said.request_id),
        ("response_id", &said.response_id),
        ("transport_id", &said.transport_id),
    ];
    for (key, value) in ids {
        header.extend(value.as_ref().map(|value| (key.to_owned(), json(value.json()))));
    }
    let truths = [
        ("await_response", said.await_response),
        ("wait_for_ack", said.wait_for_ack),
        ("with_binary", !frame.binary.is_empty()),
    ];
    header.extend(truths.iter().filter(|it| it.1).map(|it| (it.0.to_owned(), Value::from(true))));
    header.extend(said.with_file.iter().map(|file| ("with_file".to_owned(), json(file))));
    header.extend(said.others.iter().map(|(key, it)| (key.as_str().to_owned(), json(it))));
    header
}

#[test]
fn every_frame_decodes_to_its_fields_and_encodes_to_its_bytes() {
    let mut otherwise: BTreeSet<&str> = OTHERWISE.iter().copied().collect();
    let mut packages: BTreeSet<String> = BTreeSet::new();
    let all = frames();
    for (vector, bytes) in &all {
        let name = text(vector, "name");
        let frame = decode_one(name, bytes);
        if let Some(noted) = vector["header"].as_object() {
            assert_eq!(understood(&frame), *noted, "{name}");
            let count = |key| vector[key].as_u64().unwrap_or(0) as usize;
            let found = (frame.data.len(), frame.binary.len());
            assert_eq!(found, (count("data_len"), count("binary_len")), "{name}");
        }
        let said = encode_vec(&frame).expect(name);
        if otherwise.remove(name) {
            assert_ne!(&said, bytes, "{name} is said alike");
            assert_eq!(decode_one(name, &said), frame, "{name}");
        } else {
            assert_eq!(&said, bytes, "{name}");
            assert_eq!(understood(&frame), plainly(bytes), "{name}");
        }
        packages.insert(text(vector, "package").to_owned());
        spindle_laws(bytes);
    }
    assert_eq!(otherwise, BTreeSet::new(), "names without a vector");
    assert_eq!((all.len(), packages.len()), (174, 3), "{packages:?}");
}

/// What must hold for any bytes holds for these, cut and damaged.
fn spindle_laws(bytes: &[u8]) {
    spindle::proto::aio::fuzzing::bytes(bytes);
    let mut damaged = bytes.to_vec();
    for at in (0..bytes.len()).step_by(7) {
        damaged[at] ^= 1;
        spindle::proto::aio::fuzzing::bytes(&damaged);
        damaged[at] ^= 1;
    }
}

#[test]
fn what_a_frame_means_is_understood_on_the_side_that_heard_it() {
    let mut meant: BTreeSet<&str> = BTreeSet::new();
    for (vector, bytes) in frames() {
        let name = text(&vector, "name");
        let from = match text(&vector, "direction") {
            "s2c" => Side::Server,
            _ => Side::Client,
        };
        let frame = decode_one(name, &bytes);
        let kind = frame.header.message_type.as_str().to_owned();
        let word = match meaning(&frame, from).unwrap_or_else(|fault| panic!("{name}: {fault}")) {
            Meaning::Hello { tls, name } => {
                assert_eq!((tls, name.as_str()), (kind == "_handshake_ssl", "client1"));
                if tls { "hello with TLS" } else { "hello" }
            }
            Meaning::GetCertificate(_) => "get certificate",
            Meaning::SetCertificate { crt, key } => {
                assert!(crt.as_str().starts_with("-----BEGIN CERTIFICATE-----\n"));
                assert!(key.reveal().starts_with("-----BEGIN "));
                "set certificate"
            }
            Meaning::GetToken(_) => "get token",
            Meaning::SetToken(token) => {
                assert_eq!(token.reveal().len(), 64);
                "set token"
            }
            Meaning::Authenticate(..) => "authenticate",
            Meaning::Welcome => "welcome",
            Meaning::Ack(id) => {
                assert!(id.number().is_some_and(|number| number > 0));
                "ack"
            }
            Meaning::Ping(_) => "ping",
            Meaning::Pong(_) => "pong",
            Meaning::Subscribe(_) => "subscribe",
            Meaning::Unsubscribe(_) => "unsubscribe",
            Meaning::Publish(topic) => {
                assert_eq!(topic.as_str(), "type1");
                "publish"
            }
            Meaning::Message => {
                assert!(!kind.starts_with('_'), "{name}");
                "message"
            }
            Meaning::Unknown => panic!("{name}: what is {kind}?"),
        };
        meant.insert(word);
    }
    assert_eq!(meant.len(), 15, "{meant:?}");
}

#[test]
fn what_is_said_of_files_is_said_alike_and_cuts_the_binary() {
    let mut files = 0;
    for (vector, bytes) in frames() {
        let name = text(&vector, "name");
        let frame = decode_one(name, &bytes);
        let Some(file) = WithFile::of(&frame).expect(name) else { continue };
        assert_eq!(Some(file.write()), frame.header.with_file, "{name}");
        let (own, content) = file.cut(&frame.binary).expect(name);
        match &content {
            Some(content) => {
                // Nothing says of this one that the binary is the application's.
                if !name.contains("empty_file_binary") {
                    let (again, binary) = file.clone().beside(&own, content);
                    assert_eq!((again, binary), (file, frame.binary.clone()), "{name}");
                }
            }
            None => assert!(file.file_error.is_some() && own == frame.binary, "{name}"),
        }
        files += 1;
    }
    assert_eq!(files, 26);
}

#[test]
fn questions_to_a_connector_and_its_answers_are_read_and_said_alike() {
    let mut count = 0;
    for vector in load() {
        let (name, bytes) = (text(&vector, "name"), hex(text(&vector, "hex")));
        if !name.starts_with("uds.commander.") {
            continue;
        }
        let (mut input, mut said) = (BytesMut::from(&bytes[..]), Outbound::default());
        if text(&vector, "direction") == "tool2connector" {
            let question = command::question(&mut input).expect(name).expect("it is whole");
            command::ask(&question, &mut said).expect(name);
        } else {
            let answer = command::answer(&mut input).expect(name).expect("it is whole");
            command::tell(&answer, &mut said).expect(name);
        }
        assert!(input.is_empty(), "{name}");
        assert_eq!(said.to_vec(), bytes, "{name}");
        count += 1;
    }
    assert_eq!(count, 22);
}

#[test]
fn what_an_original_kept_for_a_peer_is_read() {
    let all = load();
    let kept =
        all.iter().find(|v| text(v, "name") == "persistence_send_file").expect("it is there");
    let file: Bytes = hex(text(kept, "hex")).into();
    let frames: Vec<Frame> = shelf::remains(&file, 1 << 20).map(|it| it.expect("whole")).collect();
    let data: Vec<&[u8]> = frames.iter().map(|frame| &frame.data[..]).collect();
    assert_eq!(data, [b"kept 0", b"kept 1"]);
}
