//! Floor 3. Every key of every table: what it takes, what it refuses, and that null is none.

use bytes::Bytes;

use super::decode::{Most, decode};
use super::decode_test::{WHOLE, cast, sender};
use super::fuzzing;
use super::options::{Invoke, KEYS, Matching, Other};
use super::packet::{Hello, Message, Publish, Sender};
use super::roles::{Feature, Features, Roles};
use crate::proto::fault::FaultKind;
use crate::value::Form;

/// Where a table stands: the message around it.
fn around(dict: &str) -> Option<(&'static str, &'static str)> {
    Some(match dict {
        "HelloDetails" => ("[1,\"r\",", "]"),
        "WelcomeDetails" => ("[2,1,", "]"),
        "AuthExtra" => ("[1,\"r\",{\"authextra\":", "}]"),
        "ChallengeExtra" => ("[4,\"m\",", "]"),
        "AuthenticateExtra" => ("[5,\"s\",", "]"),
        "AbortDetails" => ("[3,", ",\"a\"]"),
        "GoodbyeDetails" => ("[6,", ",\"a\"]"),
        "PublishOptions" | "Audience" | "Ppt" => ("[16,1,", ",\"a\"]"),
        "Forward" => ("[32,1,{\"forward_for\":[", "]},\"a\"]"),
        "SubscribeOptions" => ("[32,1,", ",\"a\"]"),
        "RevokedDetails" => ("[35,1,", "]"),
        "EventDetails" => ("[36,1,1,", "]"),
        "CallOptions" => ("[48,1,", ",\"a\"]"),
        "CancelOptions" => ("[49,1,", "]"),
        "ResultDetails" => ("[50,1,", "]"),
        "RegisterOptions" => ("[64,1,", ",\"a\"]"),
        "InvocationDetails" => ("[68,1,1,", "]"),
        "InterruptOptions" => ("[69,1,", "]"),
        "YieldOptions" => ("[70,1,", "]"),
        // No keys of its own.
        "ErrorDetails" => return None,
        other => panic!("{other} has no place"),
    })
}

/// What a key takes: a flag, a text, an id, a number, lists of those, maps and words.
fn takes(key: &str) -> &'static [&'static str] {
    const FLAG: &[&str] = &["true", "false"];
    const TEXT: &[&str] = &["\"x\"", "\"\""];
    const ID: &[&str] = &["1", "2.0"];
    const NUMBER: &[&str] = &["0", "1", "2.0"];
    match key {
        "acknowledge"
        | "exclude_me"
        | "disclose_me"
        | "retain"
        | "get_retained"
        | "retained"
        | "x_acknowledged_delivery"
        | "receive_progress"
        | "progress"
        | "disclose_caller"
        | "forward_timeout" => FLAG,
        "session" | "publisher" | "caller" | "subscription" | "registration" => ID,
        "timeout" | "trustlevel" | "keylen" | "iterations" | "memory" => NUMBER,
        "exclude" | "eligible" => &["[]", "[1,2.0]"],
        "authmethods" | "exclude_authid" | "eligible_authid" | "exclude_authrole"
        | "eligible_authrole" => &["[]", "[\"x\",\"\"]"],
        "forward_for" => &["[]", "[{}]", "[{\"session\":1}]"],
        "roles" => &["{}", "{\"caller\":{}}", "{\"caller\":null,\"x\":1}"],
        "authextra" => &["{}", "{\"x\":1}"],
        "match" => &["\"exact\"", "\"prefix\"", "\"wildcard\""],
        "invoke" => &["\"single\"", "\"roundrobin\"", "\"random\"", "\"first\"", "\"last\""],
        _ => TEXT,
    }
}

const VALUES: &[&str] = &[
    "true",
    "\"x\"",
    "0",
    "1",
    "-1",
    "2.0",
    "1.5",
    "[]",
    "[1]",
    "[0]",
    "[\"x\"]",
    "[null]",
    "[{}]",
    "{}",
    "{\"x\":1}",
    "\"exact\"",
    "\"last\"",
    "{\"caller\":1}",
    "[1.5]",
    "\"\\u0000aGk=\"",
    "{\"caller\":{\"features\":1}}",
    "{\"caller\":{\"features\":{\"call_timeout\":1}}}",
];

/// Does `takes` speak of a value of this kind?
fn alike(key: &str, value: &str) -> bool {
    let all = takes(key);
    let is = |first: char| all.iter().any(|it| it.starts_with(first));
    match value {
        "true" => is('t'),
        "\"\\u0000aGk=\"" => false,
        _ if key == "match" => value == "\"exact\"",
        _ if key == "invoke" => value == "\"last\"",
        _ if value.starts_with('"') => is('"'),
        "0" => is('0'),
        "1" | "2.0" => is('1'),
        "-1" | "1.5" | "[null]" | "[0]" | "[1.5]" => false,
        "[]" => is('['),
        "[1]" => all.contains(&"[1,2.0]"),
        "[\"x\"]" => all.contains(&"[\"x\",\"\"]"),
        "[{}]" => all.contains(&"[{}]"),
        "{}" | "{\"x\":1}" => is('{'),
        _ if value.starts_with('{') => key == "authextra",
        other => panic!("{other}"),
    }
}

fn put(dict: &str, key: &str, value: &str) -> Option<String> {
    let (before, after) = around(dict)?;
    Some(format!("{before}{{\"{key}\":{value}}}{after}"))
}

fn read(json: &str) -> Result<Message, (FaultKind, String)> {
    let heard = |form| fuzzing::message(form, sender(json), &cast(form, json));
    let kinds = Form::ALL.map(|form| heard(form).err().map(|refused| refused.fault.kind));
    assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{json}: {kinds:?}");
    heard(Form::Json).map_err(|refused| (refused.fault.kind, refused.to_string()))
}

#[test]
fn every_key_takes_its_type_and_refuses_others_by_name() {
    let (mut taken, mut refused) = (0, 0);
    for (dict, keys) in KEYS {
        for key in *keys {
            for value in takes(key).iter().filter_map(|value| put(dict, key, value)) {
                assert!(read(&value).is_ok(), "{value}: {:?}", read(&value));
                taken += 1;
            }
            for value in VALUES.iter().filter(|value| !alike(key, value)) {
                // A way to cancel that is none is kept for the answer.
                let Some(json) = put(dict, key, value) else { continue };
                let Err((kind, told)) = read(&json) else { panic!("{json} was taken") };
                let of_values = [FaultKind::WampType, FaultKind::WampId, FaultKind::WampOption];
                assert!(of_values.contains(&kind), "{json}: {told}");
                // Of a map the innermost key is named.
                let named = told.contains(&format!(".{key}")) || value.starts_with('{');
                assert!(named, "{json}: {told}");
                refused += 1;
            }
        }
    }
    assert!(taken > 150 && refused > 1_000, "{taken} {refused}");
}

#[test]
fn null_is_no_value_and_an_unknown_key_no_matter() {
    for (dict, keys) in KEYS {
        for key in *keys {
            let (Some(null), Some((before, after))) = (put(dict, key, "null"), around(dict)) else {
                continue;
            };
            assert_eq!(read(&null), read(&format!("{before}{{}}{after}")), "{null}");
        }
        if matches!(*dict, "HelloDetails" | "WelcomeDetails") || dict.contains("Extra") {
            continue;
        }
        for value in VALUES {
            let Some(json) = put(dict, "_xyz", value) else { continue };
            let (before, after) = around(dict).expect("it was put there");
            assert_eq!(read(&json), read(&format!("{before}{{}}{after}")), "{json}");
        }
    }
}

#[test]
fn what_some_serializers_send_for_none_is_none() {
    // [16, 1, {acknowledge: .., exclude: ..}, "a"] with CBOR's undefined, and with the extension of
    // type 0 that some send for it.
    let cbor: &[u8] = b"\x84\x10\x01\xa2\x6backnowledge\xf7\x67exclude\xf7\x61a";
    let pack: &[u8] = b"\x94\x10\x01\x82\xabacknowledge\xd4\x00\x00\xa7exclude\xd4\x00\x00\xa1a";
    for (form, bytes) in [(Form::Cbor, cbor), (Form::MsgPack, pack)] {
        let bytes = Bytes::from_static(bytes);
        let heard = decode(form, &bytes, Sender::Client, &Most::default()).expect("it is taken");
        let expected = Publish { request: 1, topic: "a".into(), ..Publish::default() };
        assert_eq!(heard, expected.into());
    }
}

#[test]
fn a_list_that_is_there_counts_even_if_empty() {
    let json = r#"[16,1,{"eligible":[],"exclude_me":true},"a"]"#;
    let Ok(Message::Publish(it)) = read(json) else { panic!("{json}") };
    let audience = it.options.audience.clone().expect("a list is there");
    assert_eq!((audience.eligible, audience.exclude), (Some(vec![]), None));
    assert!(!it.options.includes_me());
    let Ok(Message::Publish(it)) = read(r#"[16,1,{"exclude_me":false},"a"]"#) else { panic!() };
    assert!(it.options.includes_me() && it.options.audience.is_none());
    let Ok(Message::Publish(it)) = read(r#"[16,1,{},"a"]"#) else { panic!() };
    assert!(!it.options.includes_me());
}

#[test]
fn any_attribute_can_choose_who_has_an_event() {
    let json = r#"[16,1,{"eligible_org":["y","z"],"exclude_x":[],"exclude_n":7,"eligible_":["e"],
        "exclude_org":["q"],"eligible_org":["y"]},"a"]"#;
    let heard = decode(Form::Json, &json.into(), Sender::Client, &Most::default());
    let Ok(Message::Publish(it)) = heard else { panic!("{heard:?}") };
    let other = |exclude, attribute: &str, among: &[&str]| Other {
        exclude,
        attribute: attribute.into(),
        among: among.iter().map(|it| (*it).into()).collect(),
    };
    assert_eq!(
        it.options.audience.expect("lists are there").others.0,
        [
            other(true, "x", &[]),
            other(false, "", &["e"]),
            other(true, "org", &["q"]),
            other(false, "org", &["y"]),
        ]
    );
    let told = read(r#"[16,1,{"eligible_org":[1]},"a"]"#).expect_err("no texts");
    assert_eq!(told.0, FaultKind::WampType);
    assert!(told.1.contains("eligible_*"), "{}", told.1);
}

#[test]
fn what_a_client_says_of_itself_is_kept() {
    let Ok(Message::Hello(Hello { details, .. })) = read(WHOLE[0]) else { panic!("a HELLO") };
    let more: Vec<_> =
        details.more.0.iter().map(|(key, raw)| (key.as_str(), &raw.bytes[..])).collect();
    assert_eq!(more, [("org_id", &b"\"y\""[..]), ("agent", b"{\"v\":[1,2]}")]);
    assert_eq!(details.more.of("agent").map(|raw| raw.form), Some(Form::Json));
    assert_eq!(details.more.of("roles"), None);
    let extra = details.authextra.expect("it is there");
    assert_eq!((extra.nonce, extra.more.0.len()), (Some("n".into()), 1));
    // A key that stands twice counts once, as it stands last; null takes it back.
    let twice = r#"[1,"r",{"a":1,"b":2,"a":3,"b":null}]"#;
    let heard = decode(Form::Json, &twice.into(), Sender::Client, &Most::default());
    let Ok(Message::Hello(Hello { details, .. })) = heard else { panic!("{heard:?}") };
    let more: Vec<_> =
        details.more.0.iter().map(|(key, raw)| (key.as_str(), &raw.bytes[..])).collect();
    assert_eq!(more, [("a", &b"3"[..])]);
}

#[test]
fn features_have_names_and_some_have_two() {
    let roles = |features: &str| {
        let json = format!(r#"[1,"r",{{"roles":{{"caller":{{"features":{{{features}}}}}}}}}]"#);
        let Ok(Message::Hello(it)) = read(&json) else { panic!("{json}") };
        it.details.roles
    };
    for (feature, name, also) in Feature::ALL {
        for name in [Some(*name), *also].into_iter().flatten() {
            let caller = Some(Features::these(&[*feature]));
            let expected = Roles { caller, ..Roles::default() };
            assert_eq!(roles(&format!("\"{name}\":true")), expected, "{name}");
            let none = Roles { caller: Some(Features::default()), ..Roles::default() };
            assert_eq!(roles(&format!("\"{name}\":false")), none, "{name}");
        }
    }
    let both = r#""progressive_calls":true,"progressive_call_results":false,"x":1"#;
    let caller = roles(both).caller.expect("a caller");
    assert!(caller.has(Feature::ProgressiveCallResults) && !caller.has(Feature::CallTimeout));
    assert_eq!(caller.bits().count_ones(), 1);
    assert!(Roles { caller: Some(caller), ..Roles::default() }.has_client());
    assert!(!Roles { dealer: Some(caller), ..Roles::default() }.has_client());
}

#[test]
fn words_are_what_the_standard_says() {
    assert_eq!(
        Matching::ALL.iter().map(|it| it.word()).collect::<Vec<_>>(),
        ["exact", "prefix", "wildcard"]
    );
    for it in Matching::ALL {
        assert_eq!(Matching::of(it.word()), Some(*it));
    }
    let invoke: Vec<_> = Invoke::ALL.iter().map(|it| it.word()).collect();
    assert_eq!(invoke, ["single", "roundrobin", "random", "first", "last"]);
    assert_eq!((Invoke::of("Last"), Matching::of("")), (None, None));
}
