//! Floor 3. What arguments come to for those who know only bodies, and the way back.

use bytes::Bytes;

use super::carried::{
    ARGS, HEAD, Head, KWARGS, LISTED, Nature, SEALED, arguments_of, body_in, body_of, is_carried,
    plain, read, shown,
};
use crate::hub::calls::Payload;
use crate::hub::message::{Message, Meter};
use crate::topic::Topic;
use crate::value::{Form, transcode};

fn made(form: Form, span: &Bytes) -> Option<(Bytes, Nature)> {
    body_of(form, span).map(|read| (read.body.to_bytes(), read.nature))
}

/// Arguments, one behind the other as in a message, in each form.
fn spans(parts: &[&str]) -> [(Form, Bytes); 3] {
    Form::ALL.map(|form| {
        let mut span = Vec::new();
        for part in parts {
            transcode(
                Form::Json,
                part.as_bytes(),
                form,
                &mut span,
                crate::value::Bounds::default(),
            )
            .expect("it is a value");
        }
        (form, Bytes::from(span))
    })
}

#[test]
fn arguments_make_the_same_body_in_every_form() {
    let cases: [(&[&str], Nature, &[u8]); 16] = [
        (&[], Nature::Bytes, b""),
        (&["[]"], Nature::Bytes, b""),
        (&["[]", "{}"], Nature::Bytes, b""),
        (&["{}"], Nature::Bytes, b""),
        (&["[\"hello\"]"], Nature::Text, b"hello"),
        (&["[\"hello\"]", "{}"], Nature::Text, b"hello"),
        (&["[\"a\\nb\"]"], Nature::Text, b"a\nb"),
        (&["[\"\"]"], Nature::Text, b""),
        (&["[\"\\u0000AQL/\"]"], Nature::Bytes, &[1, 2, 255]),
        (&["[23]"], Nature::Json, b"23"),
        (&["[null]"], Nature::Json, b"null"),
        (&["[{\"a\":[1,2.5,true]}]"], Nature::Json, b"{\"a\":[1,2.5,true]}"),
        (&["[1,\"two\"]"], Nature::Json, b"[1,\"two\"]"),
        (&["[]", "{\"a\":1}"], Nature::Json, b"{\"args\":[],\"kwargs\":{\"a\":1}}"),
        (&["{\"a\":1}"], Nature::Json, b"{\"args\":[],\"kwargs\":{\"a\":1}}"),
        (&["[\"x\"]", "{\"a\":1}"], Nature::Json, b"{\"args\":[\"x\"],\"kwargs\":{\"a\":1}}"),
    ];
    for (parts, nature, body) in cases {
        for (form, span) in spans(parts) {
            let body = Bytes::copy_from_slice(body);
            assert_eq!(made(form, &span), Some((body, nature)), "{form:?} {parts:?}");
        }
    }
}

#[test]
fn what_stood_between_them_in_json_may_stand_there_still() {
    let span = Bytes::from_static(b"[ \"x\" , 2 ] , { \"a\" : 1 } ");
    let body = br#"{"args":[ "x" , 2 ],"kwargs":{ "a" : 1 }}"#;
    assert_eq!(made(Form::Json, &span), Some((Bytes::from_static(body), Nature::Json)));
}

#[test]
fn what_stands_as_it_is_said_is_not_copied() {
    let long = "x".repeat(300);
    for (form, span) in spans(&[&format!("[\"{long}\"]")]) {
        let (body, _) = made(form, &span).expect("a body");
        let within = span.as_ptr_range();
        assert!(within.contains(&body.as_ptr()), "{form:?}");
        assert_eq!(&body[..], long.as_bytes());
    }
    let mut binary = vec![0x91, 0xC5, 1, 44];
    binary.extend([0xFF; 300]);
    let binary = Bytes::from(binary);
    let (body, nature) = made(Form::MsgPack, &binary).expect("a body");
    assert_eq!((body.as_ptr(), body.len(), nature), (binary[4..].as_ptr(), 300, Nature::Bytes));
    // JSON is its own spelling.
    let json = Bytes::from_static(b"[{\"a\":[1,2,3]}]");
    let (body, _) = made(Form::Json, &json).expect("a body");
    assert_eq!(body.as_ptr(), json[1..].as_ptr());
    // A text in pieces has to be put together.
    let pieces = Bytes::from_static(&[0x81, 0x7F, 0x61, b'a', 0x61, b'b', 0xFF]);
    assert_eq!(made(Form::Cbor, &pieces), Some((Bytes::from_static(b"ab"), Nature::Text)));
}

#[test]
fn of_what_is_no_list_and_no_map_behind_it_nothing_is_made() {
    let hostile: [(Form, &[u8]); 16] = [
        (Form::Json, b"[1"),
        (Form::Json, b"\"text\""),
        (Form::Json, b"{},[]"),
        (Form::Json, b"[],[]"),
        (Form::Json, b"[],{},{}"),
        (Form::Json, b",[]"),
        (Form::Json, b"[],,{}"),
        (Form::Json, b"[\"\xff\"]"),
        (Form::Json, b"[] x"),
        (Form::MsgPack, &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]),
        (Form::MsgPack, &[0x91, 0xC6, 0xFF, 0xFF, 0xFF, 0xFF]),
        (Form::MsgPack, &[0x91, 0xC1]),
        // An extension that nobody knows can be passed over, and not be said in JSON.
        (Form::MsgPack, &[0x91, 0xD4, 9, 0]),
        (Form::Cbor, &[0x9F, 0x01]),
        (Form::Cbor, &[0x81, 0x62, 0xC3, 0x28]),
        (Form::Cbor, &[0xFF]),
    ];
    for (form, span) in hostile {
        assert!(body_of(form, &Bytes::from_static(span)).is_none(), "{form:?} {span:x?}");
    }
    for form in Form::ALL {
        // Nested deeper than anybody reads, and more than anybody counts.
        let open = [b'[', 0x91, 0x81][form as usize];
        assert!(body_of(form, &Bytes::from(vec![open; 10_000])).is_none());
    }
    let many = format!("[{}1]", "1,".repeat(70_000));
    assert!(body_of(Form::Json, &Bytes::from(many)).is_none());
}

#[test]
fn a_body_is_one_argument_and_comes_back() {
    let bodies: [&[u8]; 7] =
        [b"", b"hello", "größer".as_bytes(), b"\"\\\n", &[0xFF, 0xFE], b"\0AQI=", &[0, 1, 2]];
    for form in Form::ALL {
        for body in bodies {
            let mut args = vec![b'.'];
            arguments_of(body, form, &mut args);
            assert_eq!(args.remove(0), b'.', "it is appended");
            let back = made(form, &args.into()).expect("a body");
            assert_eq!(&back.0[..], body, "{form:?}");
        }
    }
    let said = |body: &[u8], form| {
        let mut args = Vec::new();
        arguments_of(body, form, &mut args);
        args
    };
    assert_eq!(said(b"hi", Form::Json), b"[\"hi\"]");
    assert_eq!(said(b"hi", Form::MsgPack), [0x91, 0xA2, b'h', b'i']);
    assert_eq!(said(&[0xFF], Form::MsgPack), [0x91, 0xC4, 1, 0xFF]);
    assert_eq!(said(&[0xFF], Form::Cbor), [0x81, 0x41, 0xFF]);
    assert_eq!(said(&[0xFF], Form::Json), b"[\"\\u0000/w==\"]");
}

fn message(head: Option<Head>, body: &'static [u8]) -> Message {
    Message {
        topic: Topic::split(Bytes::from_static(b"a"), b'/'),
        body: Bytes::from_static(body).into(),
        props: head.map(|head| head.put(b"rest")).unwrap_or_default(),
        qos: 0,
        serial: 0,
        born: 0,
        came: 0,
        expires: 0,
        charge: Meter::default().charge(0),
    }
}

#[test]
fn what_was_kept_for_some_is_given_to_nobody_else() {
    let head = |flags| Some(Head { form: Form::Json, flags, number: 7 });
    let body = |m: &Message, kept| plain(m, kept).map(|body| body.to_bytes());
    let some = Some(Bytes::from_static(b"x"));
    let open = message(head(ARGS), b"[\"x\"]");
    assert_eq!((body(&open, false), body(&open, true)), (some.clone(), some.clone()));
    let listed = message(head(ARGS | LISTED), b"[\"x\"]");
    assert_eq!((body(&listed, false), body(&listed, true)), (some.clone(), None));
    assert!(read(&listed, true).is_none());
    let sealed = message(head(ARGS | SEALED), b"[\"\\u0000eA==\"]");
    assert_eq!(body(&sealed, true), some);
    assert_eq!(body(&message(None, b"x"), true), some, "a body is a body");
    assert!(read(&message(None, b"x"), false).is_none(), "and was not made of anything");
    assert_eq!(body(&message(head(ARGS), b"[1"), false), None);
    let props = Head { form: Form::Json, flags: KWARGS | LISTED, number: 1 }.put(b"");
    assert_eq!(
        shown(&props, b"{\"a\":1}").as_deref(),
        Some(&b"{\"args\":[],\"kwargs\":{\"a\":1}}"[..])
    );
    assert_eq!(shown(b"\x01\x01", b"x"), None);
}

#[test]
fn a_head_is_read_as_it_was_put_and_no_other_bytes_are_one() {
    for form in Form::ALL {
        let head = Head { form, flags: ARGS | KWARGS, number: 1 << 52 };
        let props = head.put(b"more");
        assert_eq!((Head::of(&props), is_carried(&props)), (Some(head), true));
        assert_eq!(&props[HEAD..], b"more");
        for end in 0..HEAD {
            assert_eq!(Head::of(&props[..end]), None);
        }
    }
    assert!(!is_carried(b"") && !is_carried(b"\x01\x01"));
    assert_eq!(Head::of(&[0xFF, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None, "no such form");
}

#[test]
fn what_calls_carry_is_a_body_already_or_is_made_one() {
    let payload = |form, args| Payload { form, meta: Bytes::new(), args };
    let args = Bytes::from_static(b"[\"x\"]");
    assert_eq!(body_in(&payload(0, args.clone())), Some(args.clone()));
    assert_eq!(body_in(&payload(1, args.clone())).as_deref(), Some(&b"x"[..]));
    assert_eq!(body_in(&payload(2, args.clone())), None, "it is no MessagePack");
    assert_eq!(body_in(&payload(9, args)), None, "nobody knows that form");
}
