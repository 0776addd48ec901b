//! Floor 3. Every message with every count of elements and values of the wrong type, in all forms.

use bytes::Bytes;

use super::decode::{Most, Refused, decode};
use super::fuzzing;
use super::options::{AbortDetails, CancelMode, CancelOptions};
use super::packet::{
    Abort, Call, Cancel, Ended, MESSAGES, Message, Origin, Publish, Sender, Unsubscribed,
};
use super::parts::{Payload, Raw};
use crate::base::rng::Rng;
use crate::proto::fault::FaultKind;
use crate::value::{Bounds, Form, transcode};

/// One of each, with all elements it can have.
pub(super) const WHOLE: &[&str] = &[
    r#"[1,"realm.1",{"roles":{"caller":{"features":{"call_canceling":true}},"publisher":{}},
        "authmethods":["ticket","anonymous"],"authid":"joe","authextra":{"nonce":"n","x":[1]},
        "org_id":"y","agent":{"v":[1,2]}}]"#,
    r#"[2,9129137332,{"roles":{"broker":{"features":{"event_retention":true,
        "sharded_subscription":true}},"dealer":{}},"realm":"r","authid":"joe","authrole":"user",
        "authmethod":"ticket","authprovider":"static","authextra":{"verifier":"v="},
        "x_extra":1.5}]"#,
    r#"[3,{"message":"no"},"wamp.error.no_such_realm",["a"],{"b":1}]"#,
    r#"[4,"wamp-scram",{"challenge":"c","salt":"s","keylen":32,"iterations":1000,"memory":0,
        "kdf":"pbkdf2","nonce":"n","channel_binding":"tls-unique","x":true}]"#,
    r#"[5,"c2ln",{"nonce":"n","channel_binding":"tls-unique","cbind_data":"d","x":[]}]"#,
    r#"[6,{"message":"bye"},"wamp.close.normal"]"#,
    r#"[8,68,3,{"ppt_scheme":"x_a"},"com.error",["a"],{"b":1}]"#,
    r#"[16,1,{"acknowledge":true,"exclude_me":false,"disclose_me":true,"retain":true,"rkey":"k",
        "exclude":[1,2],"eligible":[],"exclude_authid":["a"],"eligible_authrole":[],
        "eligible_org":["y","z"],"exclude_team":[],"transaction_hash":"h",
        "forward_for":[{"session":1,"authid":"a","authrole":"b"}],"ppt_scheme":"wamp",
        "ppt_serializer":"cbor","ppt_cipher":"c","ppt_keyid":"k"},"a.b",[1,"x",null,{"k":[true,
        2.5]}],{"k":-1,"l":18446744073709551615}]"#,
    "[17,1,9007199254740992]",
    r#"[32,1,{"match":"prefix","get_retained":true,"nkey":"k","forward_for":[]},"a.b"]"#,
    "[33,1,2]",
    "[34,1,2]",
    r#"[35,0,{"subscription":2,"reason":"why"}]"#,
    r#"[36,1,2,{"topic":"a.b","publisher":3,"publisher_authid":"p","publisher_authrole":"r",
        "trustlevel":0,"retained":true,"transaction_hash":"h","x_acknowledged_delivery":true,
        "forward_for":[{"session":1}],"ppt_scheme":"wamp"},["\u0000aGVsbG8="],{"k":"v"}]"#,
    r#"[48,1,{"timeout":500,"receive_progress":true,"progress":true,"disclose_me":true,
        "runmode":"partition","rkey":"k","ppt_scheme":"mqtt"},"a.b",[1],{"k":2}]"#,
    r#"[49,1,{"mode":"killnowait"}]"#,
    r#"[50,1,{"progress":true,"ppt_keyid":"k"},[1],{"k":2}]"#,
    r#"[64,1,{"match":"wildcard","invoke":"roundrobin","disclose_caller":true,
        "forward_timeout":true},"a..b"]"#,
    "[65,1,2]",
    "[66,1,2]",
    r#"[67,0,{"registration":2,"reason":"why"}]"#,
    r#"[68,1,2,{"procedure":"a.b","caller":3,"caller_authid":"c","caller_authrole":"r",
        "trustlevel":7,"receive_progress":true,"progress":true,"timeout":500,"ppt_cipher":"c"},
        [1],{"k":2}]"#,
    r#"[69,1,{"mode":"kill","reason":"why"}]"#,
    r#"[70,1,{"progress":true,"ppt_serializer":"json"},[1],{"k":2}]"#,
    "[337,1,{}]",
];

/// How many elements after the code a message must have, and may have.
const COUNTS: &[(u64, usize, usize)] = &[
    (1, 2, 2),
    (2, 2, 2),
    (3, 2, 4),
    (4, 2, 2),
    (5, 2, 2),
    (6, 2, 2),
    (8, 4, 6),
    (16, 3, 5),
    (17, 2, 2),
    (32, 3, 3),
    (33, 2, 2),
    (34, 2, 2),
    (35, 1, 2),
    (36, 3, 5),
    (48, 3, 5),
    (49, 2, 2),
    (50, 2, 4),
    (64, 3, 3),
    (65, 2, 2),
    (66, 2, 2),
    (67, 1, 2),
    (68, 3, 5),
    (69, 2, 2),
    (70, 2, 4),
    (337, 1, 2),
];

/// The value in a form, from JSON.
pub(super) fn cast(form: Form, json: &str) -> Bytes {
    let mut out = Vec::new();
    let bounds = Bounds { depth: 64, ..Bounds::default() };
    transcode(Form::Json, json.as_bytes(), form, &mut out, bounds).expect(json);
    out.into()
}

pub(super) fn sender(json: &str) -> Sender {
    let code: String = json.chars().skip(1).take_while(char::is_ascii_digit).collect();
    let code: u64 = code.parse().expect(json);
    let row = MESSAGES.iter().find(|row| row.0 == code).expect(json);
    if row.2 == Origin::Router { Sender::Router } else { Sender::Client }
}

/// Read in all forms, which must agree.
fn read(from: Sender, json: &str) -> Result<Message, (FaultKind, String)> {
    let told = |refused: Refused| (refused.fault.kind, refused.to_string());
    let heard = |form| fuzzing::message(form, from, &cast(form, json)).map_err(told);
    let json_says = heard(Form::Json);
    for form in [Form::MsgPack, Form::Cbor] {
        let says = heard(form);
        assert_eq!(says.as_ref().err(), json_says.as_ref().err(), "{json} in {form:?}");
    }
    json_says
}

fn kind(from: Sender, json: &str) -> Option<FaultKind> {
    read(from, json).err().map(|it| it.0)
}

fn elements(json: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(json).expect(json)
}

fn text(elements: &[serde_json::Value]) -> String {
    serde_json::to_string(elements).expect("it is JSON")
}

#[test]
fn every_message_is_read_whole_in_every_form() {
    assert_eq!(WHOLE.len(), MESSAGES.len());
    for (json, (code, name, _)) in WHOLE.iter().zip(MESSAGES) {
        let message = read(sender(json), json).unwrap_or_else(|why| panic!("{json}: {why:?}"));
        assert_eq!((message.code(), message.name()), (*code, *name));
    }
    for message in Message::each() {
        assert!(MESSAGES.iter().any(|row| (row.0, row.1) == (message.code(), message.name())));
    }
}

#[test]
fn a_message_has_its_elements_no_fewer_and_no_more() {
    for (json, &(code, least, most)) in WHOLE.iter().zip(COUNTS) {
        let all = elements(json);
        assert_eq!((all[0].as_u64(), all.len()), (Some(code), most + 1), "{json}");
        for count in 0..=most + 2 {
            let mut some: Vec<_> = all.iter().take(count + 1).cloned().collect();
            some.resize(count + 1, serde_json::json!({}));
            let expected = match count {
                // Without details, it is the answer to a request.
                1 if matches!(code, 35 | 67) => Some(FaultKind::WampId),
                _ if (least..=most).contains(&count) => None,
                _ => Some(FaultKind::WampArity),
            };
            assert_eq!(kind(sender(json), &text(&some)), expected, "{}", text(&some));
        }
    }
}

#[test]
fn an_element_of_the_wrong_type_is_refused_by_its_name() {
    let wrong = [r#""x""#, "1.5", "true", "null", "[]", "{}", "-1", "0", "9007199254740993"];
    let mut refused = 0;
    for json in WHOLE {
        let all = elements(json);
        for at in 0..all.len() {
            for value in wrong {
                let mut some = all.clone();
                some[at] = serde_json::from_str(value).expect(value);
                let number = all[at].is_number() && some[at].is_number() && value != "1.5";
                let alike = std::mem::discriminant(&some[at]) == std::mem::discriminant(&all[at]);
                let says = read(sender(json), &text(&some));
                if alike && !number {
                    assert!(says.is_ok() || value == "1.5", "{}", text(&some));
                    continue;
                }
                let Err((kind, told)) = says else {
                    assert!(matches!(all[0].as_u64(), Some(35 | 67)), "{}", text(&some));
                    continue;
                };
                let expected: &[FaultKind] = match (at, number) {
                    (0, true) => &[FaultKind::WampCode],
                    (_, true) => &[FaultKind::WampId, FaultKind::WampOption],
                    (_, false) => &[FaultKind::WampType],
                };
                assert!(expected.contains(&kind), "{}: {told}", text(&some));
                assert!(at == 0 || told.contains('.'), "{told} names the element");
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn what_only_the_other_side_may_say_is_refused() {
    for (json, (code, name, origin)) in WHOLE.iter().zip(MESSAGES) {
        for side in [Sender::Client, Sender::Router] {
            let expected = (!origin.allows(side)).then_some(FaultKind::WampDirection);
            assert_eq!(kind(side, json), expected, "{name}");
        }
        let both = [Origin::Both, Origin::Client, Origin::Router];
        let expected = match code {
            3 | 6 | 8 => both[0],
            1 | 5 | 16 | 32 | 34 | 48 | 49 | 64 | 66 | 70 | 337 => both[1],
            _ => both[2],
        };
        assert_eq!(*origin, expected, "{name}");
    }
}

#[test]
fn what_is_no_list_of_a_known_code_is_refused() {
    for json in ["[]", "{}", "1", "null", r#""x""#, r#"{"1":2}"#] {
        assert_eq!(kind(Sender::Client, json), Some(FaultKind::WampNotList), "{json}");
    }
    for json in ["[0]", "[7,1]", "[-1]", "[18446744073709551615]", "[1e3,1]", "[71,1,{}]"] {
        assert_eq!(kind(Sender::Client, json), Some(FaultKind::WampCode), "{json}");
    }
    for json in [r#"["16"]"#, "[null]", "[[16]]", "[16.5]", "[true]"] {
        assert_eq!(kind(Sender::Client, json), Some(FaultKind::WampType), "{json}");
    }
    for json in ["", " ", "[", "[16", "[16,1,{},", "[16,1,{},\"a\"]]", "[34,1,2] x", "[34,1,02]"] {
        let refused = decode(Form::Json, &json.into(), Sender::Client, &Most::default());
        let kind = refused.expect_err(json).fault.kind;
        assert_eq!(kind, FaultKind::WampUndecodable, "{json}");
    }
}

#[test]
fn ids_are_from_one_to_two_to_the_53rd_and_may_be_written_as_floats() {
    for (id, expected) in [
        ("1", Some(1)),
        ("1.0", Some(1)),
        ("5e9", Some(5_000_000_000)),
        ("9007199254740992", Some(1 << 53)),
        ("9007199254740992.0", Some(1 << 53)),
    ] {
        let Ok(Message::Cancel(Cancel { request, .. })) =
            read(Sender::Client, &format!("[49.0,{id},{{}}]"))
        else {
            panic!("{id} is an id")
        };
        assert_eq!(Some(request), expected);
    }
    for id in ["0", "-1", "0.0", "9007199254740993", "18446744073709551615", "1e300", "-1e300"] {
        let json = format!("[49,{id},{{}}]");
        assert_eq!(kind(Sender::Client, &json), Some(FaultKind::WampId), "{id}");
    }
    let json = r#"[16,1,{"exclude":[4294967296.0]},"a"]"#;
    let Ok(Message::Publish(Publish { options, .. })) = read(Sender::Client, json) else {
        panic!("floats in lists")
    };
    assert_eq!(options.audience.unwrap_or_default().exclude, Some(vec![1 << 32]));
}

#[test]
fn a_client_says_an_error_of_an_invocation_only() {
    for about in [32, 34, 16, 48, 49, 64, 66] {
        let json = format!(r#"[8,{about},1,{{}},"a.b"]"#);
        assert_eq!(kind(Sender::Client, &json), Some(FaultKind::WampErrorType));
        assert_eq!(kind(Sender::Router, &json), None);
    }
}

#[test]
fn a_reply_names_its_request_and_a_revocation_what_ended() {
    let read = |json| match read(Sender::Router, json) {
        Ok(Message::Unsubscribed(Unsubscribed { ended })) => Ok(ended),
        Ok(other) => panic!("{other:?}"),
        Err(why) => Err(why.0),
    };
    assert_eq!(read("[35,7]"), Ok(Ended { request: 7, revoked: None }));
    assert_eq!(read("[35,0]"), Err(FaultKind::WampId));
    let Ok(Ended { request: 0, revoked: Some(revoked) }) = read(WHOLE[12]) else {
        panic!("a revocation")
    };
    assert_eq!((revoked.subscription, revoked.registration), (Some(2), None));
}

#[test]
fn an_unknown_way_to_cancel_is_kept_for_the_answer() {
    let json = r#"[49,1,{"mode":"softly"}]"#;
    let mode = Some(CancelMode::Other("softly".into()));
    let expected = Cancel { request: 1, options: CancelOptions { mode } };
    assert_eq!(read(Sender::Client, json), Ok(expected.into()));
}

#[test]
fn what_is_empty_is_as_good_as_not_there() {
    let expected = Call { request: 1, procedure: "a".into(), ..Call::default() };
    for json in [r#"[48,1,{},"a"]"#, r#"[48,1,{},"a",[]]"#, r#"[48,1,{},"a",[],{}]"#] {
        assert_eq!(read(Sender::Client, json), Ok(expected.clone().into()), "{json}");
    }
    let Ok(Message::Call(Call { payload, .. })) =
        read(Sender::Client, r#"[48,1,{},"a",[],{"b":1}]"#)
    else {
        panic!("a call")
    };
    let kwargs = Raw { form: Form::Json, bytes: Bytes::from_static(br#"{"b":1}"#) };
    assert_eq!((payload.is_empty(), payload.len()), (false, 7));
    assert_eq!(payload, Payload { args: None, kwargs: Some(kwargs) });
}

#[test]
fn texts_and_payload_are_slices_of_what_was_read() {
    let json = r#" [ 16, 1, {"rkey":"kk"}, "a.b" , [ 1, 2 ] , {"c":3} ] "#;
    let whole = Bytes::from_static(json.as_bytes());
    let message = decode(Form::Json, &whole, Sender::Client, &Most::default());
    let Ok(Message::Publish(it)) = message else { panic!("{message:?}") };
    let payload = it.payload.clone();
    let (args, kwargs) = (payload.args.unwrap().bytes, payload.kwargs.unwrap().bytes);
    assert_eq!((&args[..], &kwargs[..]), (&b"[ 1, 2 ]"[..], &br#"{"c":3}"#[..]));
    let within = whole.as_ptr_range();
    for part in [&args, &kwargs, it.topic.bytes(), it.options.rkey.as_ref().unwrap().bytes()] {
        assert!(within.contains(&part.as_ptr()), "{part:?}");
    }
    let apart = it.payload.detached();
    assert_eq!(apart, it.payload);
    assert!(!within.contains(&apart.args.unwrap().bytes.as_ptr()));
    assert!(!within.contains(&it.topic.detached().bytes().as_ptr()));
}

#[test]
fn a_message_is_bounded_in_depth_items_texts_and_entries() {
    let heard = |json: &str, most: Most| {
        let refused = decode(Form::Json, &json.to_owned().into(), Sender::Client, &most).err();
        refused.map(|it| it.fault.kind)
    };
    let nested = |n| format!("[16,1,{{}},\"a\",{}{}]", "[".repeat(n), "]".repeat(n));
    let most = Most { walk: Bounds { depth: 8, items: 30 }, text: 20, entries: 2 };
    assert_eq!(heard(&nested(7), most), None);
    assert_eq!(heard(&nested(8), most), Some(FaultKind::WampDeep));
    assert_eq!(heard(&nested(20_000), Most::default()), Some(FaultKind::WampDeep));
    let many = |n: usize| format!("[16,1,{{}},\"a\",[{}1]]", "1,".repeat(n - 1));
    assert_eq!((heard(&many(20), most), heard(&many(40), most)), (None, Some(FaultKind::WampDeep)));
    let long = |n| format!("[16,1,{{}},\"{}\"]", "a".repeat(n));
    assert_eq!((heard(&long(20), most), heard(&long(21), most)), (None, Some(FaultKind::WampLong)));
    for (list, item) in [("exclude", "1"), ("eligible_x", "\"y\"")] {
        let of = |n| format!("[16,1,{{\"{list}\":[{}]}},\"a\"]", vec![item; n].join(","));
        assert_eq!((heard(&of(2), most), heard(&of(3), most)), (None, Some(FaultKind::WampDeep)));
    }
    for (open, value) in [("[1,\"r\",{", "1"), ("[16,1,{", "[]")] {
        let of = |n: usize| {
            let keys: Vec<_> = (0..n).map(|n| format!("\"exclude_{n}\":{value}")).collect();
            let rest = if value == "1" { "" } else { ",\"a\"" };
            format!("{open}{}}}{rest}]", keys.join(","))
        };
        assert_eq!((heard(&of(2), most), heard(&of(3), most)), (None, Some(FaultKind::WampDeep)));
    }
}

#[test]
fn a_text_that_json_would_take_for_bytes_is_none() {
    for json in [r#"[16,1,{},"\u0000aGk="]"#, r#"[16,1,{},"\u0000a"]"#] {
        assert_eq!(kind(Sender::Client, json), Some(FaultKind::WampType), "{json}");
    }
}

#[test]
fn a_refusal_says_where_and_what() {
    let told = |json| read(Sender::Client, json).expect_err(json).1;
    let text = "PUBLISH.options.acknowledge: a value of the wrong type";
    assert_eq!(told(r#"[16,1,{"acknowledge":1},"a"]"#), text);
    assert_eq!(told("[16,1]"), "PUBLISH.options: a message of too few or too many elements");
    assert_eq!(told("[99,1]"), "a message code that does not exist");
    let deep = told(&format!("[16,1,{{}},\"a\",{}{}]", "[".repeat(40), "]".repeat(40)));
    assert!(deep.starts_with("PUBLISH.args: a message deeper"), "{deep}");
    assert!(deep.ends_with("(nested too deep)"), "{deep}");
    let words = AbortDetails { message: Some(text.into()) };
    let refused = decode(
        Form::Json,
        &r#"[16,1,{"acknowledge":1},"a"]"#.into(),
        Sender::Client,
        &Most::default(),
    );
    let Abort { details, reason, payload } =
        super::fault::last_words(&refused.expect_err("refused"));
    assert_eq!((details, payload), (words, Payload::default()));
    assert_eq!(reason.as_str(), "wamp.error.protocol_violation");
}

#[test]
fn no_cut_message_is_read_and_no_damage_breaks_a_law() {
    let mut rng = Rng::new(53);
    for json in WHOLE {
        for form in Form::ALL {
            let whole = cast(form, json);
            let side = sender(json);
            for end in 0..whole.len() {
                let cut = fuzzing::message(form, side, &whole.slice(..end));
                assert!(cut.is_err(), "{form:?} {}", whole.slice(..end).escape_ascii());
            }
            for _ in 0..200 {
                let mut bytes = whole.to_vec();
                for _ in 0..=rng.below(3) {
                    let at = rng.below(bytes.len() as u64) as usize;
                    bytes[at] = rng.below(256) as u8;
                }
                let _ = fuzzing::message(form, side, &bytes.into());
            }
        }
    }
}

#[test]
fn no_noise_breaks_a_law() {
    let mut rng = Rng::new(59);
    for _ in 0..3_000 {
        let len = rng.below(60) as usize;
        let noise: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
        fuzzing::wamp(&noise);
        fuzzing::rawsocket(&noise);
    }
}
