//! Floor 6. The samples of the WAMP project, held against the codec in every form it has.
//!
//! They are under a licence of their own (CC-BY-SA 3.0), so they are not part of this tree: the
//! tests read them from `../shared/vectors/wamp`, or from where `SPINDLE_WAMP_VECTORS` says. Where
//! they are not, nothing is tested, and that is said. What is not held against them is listed here
//! by name with the reason, and the list is exact. Sequences through a router are played on the
//! engine. Absent on purpose: UBJSON and FlatBuffers.

#![expect(clippy::print_stderr, reason = "that nothing was tested must be said")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use spindle::proto::fault::Blame;
use spindle::proto::wamp::packet::{MESSAGES, Origin};
use spindle::proto::wamp::{Message, Most, Refused, Sender, decode, encode};
use spindle::testing::rig::Setup;
use spindle::testing::script::{Door, Tongue, World};
use spindle::testing::stage::Stage;
use spindle::testing::words_wamp::{Names, Phrase};
use spindle::value::{Bounds, Form, transcode};

/// Samples that are not taken as they are listed, because what stands in place of `Arguments` is a
/// text or bytes: autobahn's older way of packing payloads, which this router does not announce. A
/// router without it refuses them (`ppt_scheme` is the standard's way).
const PACKED: &[&str] = &[
    "EVENT with transparent payload (encrypted E2E)",
    "EVENT with both forward_for and E2EE (advanced R-Link + encryption)",
    "EVENT.Details.enc_algo cryptobox (valid with payload)",
    "EVENT.Details.enc_serializer cbor (valid with payload)",
    "PUBLISH with transparent payload (encrypted E2E)",
    "PUBLISH with both forward_for and E2EE (advanced R-Link + encryption)",
    "PUBLISH.Options.enc_algo cryptobox (valid with payload)",
    "PUBLISH.Options.enc_serializer cbor (valid with payload)",
];

/// Samples that are refused as they are listed, and for another reason: their payload is packed so.
const OTHERWISE: &[&str] =
    &["EVENT.Details.enc_algo with invalid value", "PUBLISH.Options.enc_algo with invalid value"];

fn folder(kind: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SPINDLE_WAMP_VECTORS").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/wamp");
    let found = named.clone().unwrap_or(usual).join(kind);
    assert!(named.is_none() || found.is_dir(), "no samples in {}", found.display());
    found.is_dir().then_some(found)
}

/// All files of this kind, in the order of their names.
fn files(kind: &str) -> Option<Vec<Value>> {
    let Some(folder) = folder(kind) else {
        eprintln!("the samples of the WAMP project are not here: nothing is tested");
        return None;
    };
    let mut files = Vec::new();
    for part in ["basic", "advanced"].map(|part| folder.join(part)) {
        let entries = part.is_dir().then(|| std::fs::read_dir(part).expect("a folder"));
        files.extend(entries.into_iter().flatten().map(|entry| entry.expect("an entry").path()));
    }
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("a file");
        serde_json::from_str(&text).expect("samples are JSON")
    };
    Some(files.iter().map(read).collect())
}

/// Every sample: its file's message code, and the sample.
fn samples() -> Option<Vec<(u64, Value)>> {
    let mut all = Vec::new();
    for it in files("singlemessage")? {
        let code = it["wamp_message_code"].as_u64().expect("a code");
        let samples = it["samples"].as_array().expect("samples").iter();
        all.extend(samples.map(|sample| (code, sample.clone())));
    }
    Some(all)
}

fn name(sample: &Value) -> &str {
    sample["description"].as_str().expect("a name")
}

fn sender(code: u64) -> Sender {
    let row = MESSAGES.iter().find(|row| row.0 == code).expect("a known code");
    if row.2 == Origin::Client { Sender::Client } else { Sender::Router }
}

fn read(form: Form, code: u64, bytes: Vec<u8>) -> Result<Message, Refused> {
    decode(form, &bytes.into(), sender(code), &Most::default())
}

fn said(message: &Message, form: Form) -> Vec<u8> {
    let mut into = Vec::new();
    encode(message, form, Bounds::default(), &mut into).expect("it can be said");
    into
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The variants of a sample in our forms.
fn variants(sample: &Value) -> Vec<(Form, Vec<u8>)> {
    let names = [("json", Form::Json), ("msgpack", Form::MsgPack), ("cbor", Form::Cbor)];
    let mut all = Vec::new();
    for (name, form) in names {
        let listed = sample["serializers"][name].as_array().expect("variants");
        all.extend(listed.iter().map(|it| (form, hex(it["bytes_hex"].as_str().expect("hex")))));
    }
    all
}

/// Any value as JSON, to be compared.
fn as_json(form: Form, bytes: &Bytes) -> Value {
    let mut out = Vec::new();
    transcode(form, bytes, Form::Json, &mut out, Bounds::default()).expect("it can be JSON");
    serde_json::from_slice(&out).expect("it is JSON")
}

/// The fields of a sample that make its list, in their order.
fn fields(code: u64) -> &'static [&'static str] {
    match code {
        1 => &["realm"],
        2 => &["session_id"],
        3 | 6 => &["details", "reason"],
        4 => &["method", "extra"],
        5 => &["signature", "extra"],
        8 => &["request_type", "request_id", "details", "error"],
        16 | 32 => &["request_id", "options", "topic"],
        17 => &["request_id", "publication_id"],
        33 | 34 => &["request_id", "subscription_id"],
        35 | 67 => &["request_id"],
        36 => &["subscription", "publication", "details"],
        48 | 64 => &["request_id", "options", "procedure"],
        49 | 69 | 70 => &["request_id", "options"],
        50 => &["request_id", "details"],
        65 | 66 => &["request_id", "registration_id"],
        68 => &["request_id", "registration_id", "details"],
        337 => &["publication_id"],
        other => panic!("a message {other}"),
    }
}

/// The list that a message is, made from what a sample says of it.
fn expected(code: u64, sample: &Value) -> Value {
    let said = &sample["expected_attributes"];
    let mut known: BTreeSet<&str> =
        said.as_object().expect("attributes").keys().map(|k| &**k).collect();
    let mut take = |key| {
        known.remove(key);
        said[key].clone()
    };
    assert_eq!(take("message_type"), json!(code));
    let mut list = vec![json!(code)];
    list.extend(fields(code).iter().map(|key| take(key)));
    if matches!(code, 1 | 2) {
        list.push(json!({"roles": take("roles")}));
    }
    let (args, kwargs) = (take("args"), take("kwargs"));
    assert_eq!(take("payload"), Value::Null, "packed payloads are listed above");
    assert!(known.is_empty(), "{known:?} of {}", name(sample));
    if !args.is_null() || !kwargs.is_null() {
        list.push(if args.is_null() { json!([]) } else { args });
    }
    if !kwargs.is_null() {
        list.push(kwargs);
    }
    Value::Array(list)
}

#[test]
fn every_sample_is_read_as_what_it_says_and_said_alike() {
    let Some(samples) = samples() else { return };
    let (mut read_some, mut packed, mut to_the_byte) = (0, 0, BTreeMap::new());
    for (code, sample) in samples.iter().filter(|it| it.1.get("serializers").is_some()) {
        let variants = variants(sample);
        if PACKED.contains(&name(sample)) {
            for (form, bytes) in variants {
                let refused = read(form, *code, bytes).expect_err(name(sample));
                assert_eq!(refused.place.element, "args", "{}: {refused}", name(sample));
            }
            packed += 1;
            continue;
        }
        let expected = expected(*code, sample);
        for (form, bytes) in &variants {
            let message = read(*form, *code, bytes.clone())
                .unwrap_or_else(|why| panic!("{} in {form:?}: {why}", name(sample)));
            assert_eq!(message.code(), *code);
            for other in Form::ALL {
                let again = said(&message, other);
                assert_eq!(as_json(other, &again.clone().into()), expected, "{}", name(sample));
                if variants.contains(&(other, again)) {
                    to_the_byte.insert((name(sample), format!("{other:?}")), ());
                }
            }
        }
        read_some += 1;
    }
    assert_eq!((read_some, packed), (31, 4));
    // Which key of a map comes first is nobody's business, so not each is the same to the byte.
    assert!(to_the_byte.len() >= 3 * 31 - 3, "{}", to_the_byte.len());
}

#[test]
fn every_sample_of_validation_is_judged_as_it_says() {
    let Some(samples) = samples() else { return };
    let (mut good, mut bad, mut packed) = (0, 0, 0);
    for (code, sample) in samples.iter().filter(|it| it.1.get("wmsg").is_some()) {
        let text = serde_json::to_vec(&sample["wmsg"]).expect("JSON");
        for form in Form::ALL {
            let mut bytes = Vec::new();
            transcode(Form::Json, &text, form, &mut bytes, Bounds::default()).expect("JSON");
            let says = read(form, *code, bytes);
            let name = name(sample);
            match sample.get("expected_error").and_then(Value::as_object) {
                None if PACKED.contains(&name) => {
                    assert_eq!(says.expect_err(name).place.element, "args", "{name}");
                    packed += 1;
                }
                None => {
                    says.unwrap_or_else(|why| panic!("{name}: {why}"));
                    good += 1;
                }
                Some(error) => {
                    refused_as(error, &says.expect_err(name), name);
                    bad += 1;
                }
            }
        }
    }
    assert_eq!((good, bad, packed), (3 * 35, 3 * 28, 3 * 4));
}

fn refused_as(error: &Map<String, Value>, refused: &Refused, name: &str) {
    assert_eq!(error["type"], "protocol_violation", "{name}");
    assert_eq!(refused.fault.blame, Blame::Peer, "{name}: {refused}");
    let word = if OTHERWISE.contains(&name) {
        "args"
    } else {
        error["contains"].as_str().expect("a word")
    };
    assert!(refused.to_string().contains(word), "{name}: {refused}");
}

/// A message of a sequence as a scene would have it. Numbers that the router gives have the name
/// of the sample's own; what it says beside them is its affair.
fn phrase(message: &Value, heard: bool) -> Phrase {
    let kind = message["type"].as_str().expect("a type");
    let row = MESSAGES.iter().find(|row| row.1 == kind).expect("a known type");
    let mut list = vec![json!(row.0)];
    for field in fields(row.0) {
        let told = match message.get(*field).or_else(|| message.get(format!("{field}_id"))) {
            None if matches!(*field, "options" | "details") => json!({}),
            None => panic!("{kind} has no {field}"),
            Some(told) => told.clone(),
        };
        let given = ["session", "subscription", "publication", "registration"];
        list.push(match *field {
            _ if given.iter().any(|word| field.starts_with(word)) => json!(format!("@{told}")),
            "details" if heard => json!({"...": 0}),
            _ => told,
        });
    }
    match (message.get("args"), message.get("kwargs")) {
        (None, None) => {}
        (args, None) => list.extend(args.cloned()),
        (args, Some(kwargs)) => {
            list.push(args.cloned().unwrap_or(json!([])));
            list.push(kwargs.clone());
        }
    }
    Phrase::parse(&Value::Array(list).to_string(), false).expect("a list")
}

/// Play it; who heard events, in their order.
fn play(sequence: &Value) -> Vec<Value> {
    let mut stage = Stage::new(&Setup::default()).expect("a broker");
    let (mut names, mut events) = (Names::default(), Vec::new());
    let all = |key: &str| sequence[key].as_array().expect("a list").clone();
    let say = |text: &str| Phrase::parse(text, false).expect("words");
    let known: Vec<Value> = all("sessions").iter().map(|it| it["session_id"].clone()).collect();
    for session in all("sessions") {
        // Which realm it is, is no matter of the sequence.
        let who = session["session_id"].as_str().expect("a name");
        let roles: Vec<Value> = session["roles"].as_array().expect("roles").clone();
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str().expect("a role")).collect();
        stage.open(who, Tongue::Wamp, Door::Own, None).expect("a slot");
        let hello = say(&format!("hello {}", roles.join(" ")));
        hello.say(&mut stage, who, &mut names).expect("said");
        say("welcome").hear(&mut stage, who, &mut names).expect("it is in");
    }
    for step in all("sequence") {
        let heard = step["from"] == "router";
        let session = &step[if heard { "to" } else { "from" }];
        assert!(known.contains(session), "{step}");
        let (who, it) = (session.as_str().expect("a name"), phrase(&step["message"], heard));
        let done = match heard {
            true => it.hear(&mut stage, who, &mut names),
            false => it.say(&mut stage, who, &mut names),
        };
        done.unwrap_or_else(|why| panic!("step {}: {why}", step["step"]));
        events.extend((heard && step["message"]["type"] == "EVENT").then(|| session.clone()));
    }
    for who in known {
        let left = stage.hear(who.as_str().expect("a name"), 0).expect("a wire");
        assert!(left.is_empty(), "{who} hears {} bytes more", left.len());
    }
    events
}

#[test]
fn every_sequence_through_a_router_comes_out_as_it_says() {
    let Some(sequences) = files("multisession") else { return };
    for sequence in &sequences {
        let (events, outcome) = (play(sequence), &sequence["expected_outcome"]);
        let name = &sequence["description"];
        assert_eq!(json!(events.len()), outcome["event_count"], "{name}");
        assert_eq!(Value::Array(events), outcome["event_recipients"], "{name}");
    }
    assert_eq!(sequences.len(), 1, "there was one when this was written: look at the others");
}

#[test]
fn what_is_listed_as_packed_is_there() {
    let Some(samples) = samples() else { return };
    let names: Vec<&str> = samples.iter().map(|it| name(&it.1)).collect();
    for listed in PACKED.iter().chain(OTHERWISE) {
        assert!(names.contains(listed), "{listed} is listed, and no sample");
    }
}
