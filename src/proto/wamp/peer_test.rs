//! Floor 3. What a WAMP peer does that no scene can provoke, and what its small parts hold to.

use bytes::{Bytes, BytesMut};

use super::line::{Heard, Line};
use super::meta::bench_test::Bench;
use super::notes::{Notes, Who, lists, put_lists};
use super::options::Ppt;
use super::parts::{Payload, Raw};
use super::peer::Peer;
use super::span::Span;
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::audience::{Audience, List};
use crate::hub::policy::{Access, Admit, Claim, Login, Policy, Principal, Refusal};
use crate::link::{Carrier, Pings};
use crate::proto::Protocol;
use crate::proto::carried::{ARGS, KWARGS};
use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;
use crate::value::{Bounds, Form};

/// Has no time for anybody.
struct Harried;

impl Policy for Harried {
    fn admit(&mut self, _: Now, _: &Login<'_>) -> Admit {
        Admit::Busy
    }
    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        false
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn a_policy_that_has_no_time_lets_nobody_in() {
    let mut b = Bench::new();
    b.hub.policy = Box::new(Harried);
    let mut peer = Peer::carried(Carrier::Json, b.now, &b.hub);
    let text = br#"[1,"default",{"roles":{"caller":{}}}]"#;
    let mut input = BytesMut::from(&[0, 0, 0, text.len() as u8][..]);
    input.extend_from_slice(text);
    let fault = peer.on_bytes(&mut input, &mut b.ctx()).expect_err("nobody is let in");
    assert_eq!(fault.kind, FaultKind::WampBusy);
}

/// Says so in a frame.
fn says(peer: &mut Peer, b: &mut Bench, text: &str) {
    let mut input = BytesMut::from(&[0, 0, 0, text.len() as u8][..]);
    input.extend_from_slice(text.as_bytes());
    peer.on_bytes(&mut input, &mut b.ctx()).expect("it may say so");
}

/// What it is told now.
fn told(peer: &mut Peer, b: &mut Bench) -> Vec<u8> {
    let mut out = Outbound::default();
    peer.poll_transmit(b.now, &mut b.hub, &mut out, 1 << 16);
    out.to_vec()
}

const HELLO: &str = r#"[1,"default",{"roles":{"caller":{}}}]"#;

#[test]
fn a_listener_says_when_the_silent_are_asked_and_how_long_they_have() {
    let mut b = Bench::new();
    b.pings(Pings { ping_ms: Some(5), pong_ms: Some(7) });
    let mut peer = Peer::carried(Carrier::Raw, b.now, &b.hub);
    let mut input = BytesMut::from(&b"\x7f\xf1\0\0"[..]);
    peer.on_bytes(&mut input, &mut b.ctx()).expect("a handshake");
    says(&mut peer, &mut b, HELLO);
    told(&mut peer, &mut b);
    let begun = b.now.mono;
    assert_eq!(peer.deadline(), Deadline(begun + 5 * MS));
    b.now.mono = begun + 5 * MS - 1;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    assert!(told(&mut peer, &mut b).is_empty(), "it is not time yet");
    b.now.mono += 1;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    // How long it has is counted from when it was told, not from when that was due.
    b.now.mono += 100 * MS;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    assert_eq!(told(&mut peer, &mut b), b"\x01\0\0\x07spindle");
    assert_eq!(peer.deadline(), Deadline(b.now.mono + 7 * MS));
    b.now.mono += 7 * MS;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Err(Doom::IdleTimeout));
}

#[test]
fn whoever_is_not_read_is_not_silent() {
    let mut b = Bench::new();
    let mut peer = Peer::carried(Carrier::Json, b.now, &b.hub);
    says(&mut peer, &mut b, HELLO);
    b.hub.limits.wamp_ping_ms = 1;
    let begun = b.now.mono;
    assert_eq!(peer.deadline(), Deadline(begun + 30_000 * MS), "as it was when it came");
    told(&mut peer, &mut b);
    b.now.mono = begun + 30_000 * MS;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    assert_eq!(told(&mut peer, &mut b).len(), 4 + 7);
    // It asks for so much that it is not read until it takes the answers.
    for _ in 0..b.hub.limits.replies_max {
        let mut input = BytesMut::from(&[1, 0, 0, 0][..]);
        peer.on_bytes(&mut input, &mut b.ctx()).expect("a ping");
    }
    assert!(!peer.wants_bytes(&b.hub));
    b.now.mono += 30_000 * MS;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    assert_eq!(peer.deadline(), Deadline(b.now.mono + 30_000 * MS));
    while !told(&mut peer, &mut b).is_empty() {}
    b.now.mono += 30_000 * MS;
    assert_eq!(peer.on_deadline(&mut b.ctx()), Ok(()));
    assert_eq!(told(&mut peer, &mut b), b"\x01\0\0\x07spindle", "and now it is");
}

#[test]
fn a_batch_is_taken_apart_as_it_is_taken() {
    let mut line = Line::framed(Form::Json, true);
    let mut input = BytesMut::from(&[0, 0, 0, 6][..]);
    input.extend_from_slice(b"1\x1e2\x1e3\x1e");
    for wanted in [&b"1"[..], b"2", b"3"] {
        assert!(line.has_packet(&input, 100));
        let heard = line.next(&mut input, 100).expect("whole");
        assert!(matches!(heard, Heard::Message(said) if said == wanted));
    }
    assert!(!line.has_packet(&input, 100));
    assert!(matches!(line.next(&mut input, 100), Ok(Heard::Nothing)));
    // What it holds does not depend on how many there are.
    assert!(size_of::<Line>() <= 96, "{}", size_of::<Line>());
    // What is wrong further on is said when its turn comes, and then there is no more of it.
    input.extend_from_slice(&[0, 0, 0, 3]);
    input.extend_from_slice(b"1\x1e2");
    assert!(matches!(line.next(&mut input, 100), Ok(Heard::Message(_))));
    assert_eq!(line.next(&mut input, 100).err(), Some(FaultKind::WampBatch));
    assert!(!line.has_packet(&input, 100));
}

fn raw(form: Form, whole: &Bytes, from: usize, to: usize) -> Option<Raw> {
    Some(Raw { form, bytes: whole.slice(from..to) })
}

#[test]
fn arguments_are_one_piece_of_what_they_were_read_from() {
    let whole = Bytes::from_static(br#"[1,[2,"}"] , {"k":[3]}]"#);
    let payload =
        Payload { args: raw(Form::Json, &whole, 3, 10), kwargs: raw(Form::Json, &whole, 13, 22) };
    let span = Span::of(&payload, &whole, Form::Json);
    assert_eq!((&span.bytes[..], span.elements()), (&br#"[2,"}"] , {"k":[3]}"#[..], 2));
    assert_eq!(span.payload(), payload);
    for form in [Form::MsgPack, Form::Cbor, Form::Json] {
        let there = span.turned(form, Bounds::default()).expect("it can be said");
        let back = there.turned(Form::Json, Bounds::default()).expect("it can be said");
        let (args, kwargs) = back.parts().expect("two of them");
        assert_eq!((args, kwargs), (Some(&br#"[2,"}"]"#[..]), Some(&br#"{"k":[3]}"#[..])));
    }
}

#[test]
fn arguments_of_one_kind_stay_of_that_kind() {
    let whole = Bytes::from_static(br#"{"k":1}"#);
    let named = Payload { args: None, kwargs: raw(Form::Json, &whole, 0, 7) };
    let span = Span::of(&named, &whole, Form::Json);
    assert_eq!((span.flags, span.elements()), (KWARGS, 2), "an empty list stands before them");
    assert_eq!(span.payload(), named);
    let whole = Bytes::from_static(b"[1]");
    let placed = Payload { args: raw(Form::Json, &whole, 0, 3), kwargs: None };
    assert_eq!(Span::of(&placed, &whole, Form::Json).flags, ARGS);
    let none = Span::of(&Payload::default(), &whole, Form::Json);
    assert_eq!((none.flags, none.elements(), none.payload()), (0, 0, Payload::default()));
    // What says that it has both and has not is not taken apart.
    let broken = Span { form: Form::Json, flags: ARGS | KWARGS, bytes: Bytes::from_static(b"[1") };
    assert_eq!((broken.parts(), broken.turned(Form::Cbor, Bounds::default())), (None, None));
}

#[test]
fn notes_come_back_as_they_were_put() {
    let who = Who { id: 7, authid: "ann".into(), authrole: "user".into() };
    let ppt = Ppt {
        scheme: Some("x_a".into()),
        serializer: Some("cbor".into()),
        cipher: None,
        keyid: Some("k".into()),
    };
    let notes = Notes { who: Some(who), trust: Some(3), ppt: Some(Box::new(ppt)) };
    let mut bytes = Vec::new();
    notes.put(&mut bytes);
    assert_eq!(Notes::of(&bytes.clone().into()), notes);
    for cut in 0..bytes.len() {
        // Cut anywhere, they are fewer, and nothing falls.
        let _ = Notes::of(&Bytes::copy_from_slice(&bytes[..cut]));
    }
    assert!(Notes::default().is_empty() && !notes.is_empty());
}

#[test]
fn lists_come_back_as_they_were_put() {
    let values = vec![Bytes::from_static(b"x"), Bytes::from_static(b"y")];
    let list = List { attribute: "org".into(), eligible: true, values };
    let shut = List { attribute: "authid".into(), eligible: false, values: Vec::new() };
    let audience = Audience {
        exclude: vec![1, 1 << 53],
        eligible: Some(Vec::new()),
        lists: vec![list, shut],
        ..Audience::default()
    };
    let mut bytes = Vec::new();
    assert!(put_lists(&audience, &mut bytes));
    assert_eq!(lists(&bytes.into()), audience);
    let many = Audience { exclude: vec![1; 10_000], ..Audience::default() };
    assert!(!put_lists(&many, &mut Vec::new()), "it does not fit");
}
