//! Floor 3. What goes out: nothing that need not, payloads as they came, and every word of errors.

use bytes::Bytes;

use super::decode_test::{WHOLE, cast, sender};
use super::fault::{Reason, last_words, reason};
use super::packet::{Event, Invocation, Message, Outcome, Sender};
use super::parts::{Payload, Raw};
use super::{Most, decode, encode, fuzzing};
use crate::proto::fault::{Blame, FaultKind};
use crate::topic::TopicFault;
use crate::value::{Bounds, Flaw, Form};

fn said(message: &Message, form: Form) -> Result<Vec<u8>, Flaw> {
    let mut into = Vec::new();
    encode(message, form, Bounds::default(), &mut into).map(|()| into)
}

fn json(message: impl Into<Message>) -> String {
    String::from_utf8(said(&message.into(), Form::Json).expect("it can be said")).expect("UTF-8")
}

fn raw(form: Form, bytes: &'static [u8]) -> Option<Raw> {
    Some(Raw { form, bytes: Bytes::from_static(bytes) })
}

fn event(args: Option<Raw>, kwargs: Option<Raw>) -> Event {
    let payload = Payload { args, kwargs };
    Event { subscription: 1, publication: 2, payload, ..Event::default() }
}

#[test]
fn what_is_empty_is_left_out() {
    let list = || raw(Form::Json, b"[1]");
    let map = || raw(Form::Json, b"{\"a\":1}");
    assert_eq!(json(event(None, None)), "[36,1,2,{}]");
    assert_eq!(json(event(list(), None)), "[36,1,2,{},[1]]");
    assert_eq!(json(event(None, map())), "[36,1,2,{},[],{\"a\":1}]");
    assert_eq!(json(event(list(), map())), "[36,1,2,{},[1],{\"a\":1}]");
    let binary = said(&event(None, raw(Form::Cbor, b"\xa1\x61a\x01")).into(), Form::Cbor);
    assert_eq!(binary.as_deref(), Ok(&b"\x86\x18\x24\x01\x02\xa0\x80\xa1\x61a\x01"[..]));
}

#[test]
fn a_payload_passes_as_it_came_in_its_own_form_and_is_turned_for_others() {
    // Not as this broker would write it: spaces, an indefinite list, a long head.
    let came: [(Form, &'static [u8]); 3] = [
        (Form::Json, b"[ 1 ,\"\\u0061\" ]"),
        (Form::Cbor, b"\x9f\x01\x61a\xff"),
        (Form::MsgPack, b"\xdc\x00\x02\x01\xa1a"),
    ];
    for (form, bytes) in came {
        let payload = Payload { args: raw(form, bytes), kwargs: None };
        let messages: [Message; 3] = [
            event(raw(form, bytes), None).into(),
            Invocation {
                request: 1,
                registration: 2,
                payload: payload.clone(),
                ..Invocation::default()
            }
            .into(),
            Outcome { request: 1, payload, ..Outcome::default() }.into(),
        ];
        for message in messages {
            let same = said(&message, form).expect("it can be said");
            assert!(same.windows(bytes.len()).any(|part| part == bytes), "{form:?}");
            for other in Form::ALL.into_iter().filter(|other| *other != form) {
                let turned = said(&message, other).expect("it can be said");
                assert!(turned.ends_with(&cast(other, "[[1,\"a\"]]")[1..]), "{form:?} {other:?}");
            }
        }
    }
}

#[test]
fn bytes_are_text_in_json_and_bytes_elsewhere() {
    let binary = event(raw(Form::MsgPack, b"\x91\xc4\x02hi"), None);
    assert_eq!(json(binary), "[36,1,2,{},[\"\\u0000aGk=\"]]");
    let text = event(raw(Form::Json, b"[\"\\u0000aGk=\"]"), None);
    let cbor = said(&text.into(), Form::Cbor).expect("it can be said");
    assert!(cbor.ends_with(b"\x81\x42hi"), "{}", cbor.escape_ascii());
}

#[test]
fn what_only_its_form_can_hold_is_not_said_in_another_and_leaves_nothing() {
    let strange = event(raw(Form::MsgPack, b"\x91\xd4\x05\x00"), None).into();
    assert!(said(&strange, Form::MsgPack).is_ok());
    for form in [Form::Json, Form::Cbor] {
        let mut into = b"before".to_vec();
        let done = encode(&strange, form, Bounds::default(), &mut into);
        assert_eq!((done, &into[..]), (Err(Flaw::Unsupported), &b"before"[..]));
    }
    let mut into = Vec::new();
    let deep = event(raw(Form::Json, b"[[[[1]]]]"), None).into();
    let done = encode(&deep, Form::Cbor, Bounds { depth: 3, items: 9 }, &mut into);
    assert_eq!(done, Err(Flaw::Depth));
}

#[test]
fn every_message_is_said_alike_after_any_journey() {
    for json in WHOLE {
        for form in Form::ALL {
            let message = fuzzing::message(form, sender(json), &cast(form, json)).expect(json);
            assert_eq!(
                message,
                decode(
                    form,
                    &said(&message, form).expect(json).into(),
                    sender(json),
                    &Most::default()
                )
                .expect(json)
            );
        }
    }
    for message in Message::each() {
        assert!(json(message).starts_with('['));
    }
}

#[test]
fn every_fault_has_a_reason_and_every_reason_one_word() {
    for reason in Reason::ALL {
        assert_eq!(Reason::of(reason.uri()), Some(*reason));
    }
    assert_eq!((Reason::ALL.len(), Reason::of("wamp.error.cancelled")), (33, None));
    for (kind, blame, ..) in FaultKind::ALL {
        let expected = match blame {
            Blame::Peer => "wamp.error.protocol_violation",
            Blame::Policy => "wamp.error.not_authorized",
            Blame::Capacity => "wamp.error.payload_size_exceeded",
            Blame::Us => "wamp.error.unavailable",
        };
        assert_eq!(reason(&kind.fault()).uri(), expected);
    }
    let refused = decode(Form::Json, &"[".into(), Sender::Client, &Most::default());
    let words = json(last_words(&refused.expect_err("it is cut")));
    let text = "a message that is not written in its form (the value ends early)";
    assert_eq!(words, format!("[3,{{\"message\":\"{text}\"}},\"wamp.error.protocol_violation\"]"));
    assert_eq!(Reason::from(TopicFault::TooDeep), Reason::InvalidUri);
}
