//! Floor 3. The order in which a frame is looked at, step by step.

use bytes::Bytes;

use super::heard::{Heard, Listening, What, Why, hear};
use super::inner::{ACK, HELLO, Meaning, PING, PUBSUB, Side, frame};
use super::names::Name;
use super::packet::{Frame, Id, Text};
use crate::proto::fault::{Fault, FaultKind};

fn ann() -> Name {
    Name::new(&Text::from("ann")).expect("a name")
}

/// What a server hears of a client called ann.
fn heard(frame: Frame) -> Result<Heard, Fault> {
    let on = Listening { me: "me", from: Side::Client, name: Some(&ann()), ignored: false };
    hear(frame, on, |kind| kind == "any")
}

/// Of one who has not said a name.
fn from_stranger(frame: Frame) -> Result<Heard, Fault> {
    hear(frame, Listening { me: "me", from: Side::Client, name: None, ignored: false }, |_| true)
}

fn ack(id: u64) -> Option<Frame> {
    frame(&Meaning::Ack(Id::from(id)), "me")
}

fn nothing(say: Option<Frame>, why: Why) -> Result<Heard, Fault> {
    Ok(Heard { say, what: What::Nothing(why) })
}

/// A message that wants to be acknowledged.
fn numbered(kind: &str) -> Frame {
    let mut frame = Frame::of(kind, "ann").with("data");
    frame.header.transport_id = Some(Id::from(7));
    frame.header.wait_for_ack = true;
    frame
}

/// The same as applications see it.
fn bare(mut frame: Frame) -> Frame {
    frame.header.transport_id = None;
    frame
}

#[test]
fn a_stranger_says_who_it_is_and_nothing_else() {
    let hello = Frame::of(HELLO, "ann").with("hello");
    let login = Meaning::Hello { tls: false, name: ann() };
    let what = What::Login(login);
    assert_eq!(from_stranger(hello.clone()), Ok(Heard { say: None, what }));
    let first = Err(FaultKind::AioFirst.fault());
    let ping = frame(&Meaning::Ping(Id::from(1)), "ann").expect("a ping");
    for early in [numbered("any"), ping, ack(1).expect("an ack"), Frame::of("_later", "ann")] {
        assert_eq!(from_stranger(early), first);
    }
    assert_eq!(from_stranger(Frame::of(PING, "ann")), Err(FaultKind::AioPing.fault()));
    assert_eq!(heard(hello), first, "and it says so once");
    let token = frame(&Meaning::GetToken(ann()), "ann").expect("it can be said");
    assert_eq!(heard(token), first);
}

#[test]
fn a_frame_that_names_another_is_passed_over_and_not_even_answered() {
    for source in [Some("bob"), Some("Ann"), Some(""), None] {
        for mut foreign in [numbered("any"), Frame::of(PING, "ann"), ack(1).expect("an ack")] {
            foreign.header.source_id = source.map(Text::from);
            foreign.header.request_id = Some(Id::from(1));
            foreign.header.await_response = true;
            assert_eq!(heard(foreign), nothing(None, Why::Foreign), "{source:?}");
        }
    }
}

#[test]
fn an_acknowledgement_is_for_whoever_waits_for_it_and_has_none_itself() {
    let mut came = Frame::of(ACK, "ann");
    came.header.transport_id = Some(Id::from(9));
    let what = What::Acked(Id::from(9));
    assert_eq!(heard(came), Ok(Heard { say: None, what }));
    assert_eq!(heard(Frame::of(ACK, "ann")), nothing(None, Why::Senseless));
}

#[test]
fn a_ping_is_answered_with_what_it_held_whatever_else_is_the_matter() {
    let mut ping = frame(&Meaning::Ping(Id::from("p")), "ann").expect("a ping").with("data");
    ping.binary = Bytes::from_static(b"binary");
    let mut pong = frame(&Meaning::Pong(Id::from("p")), "me").expect("a pong").with("data");
    pong.binary = ping.binary.clone();
    assert_eq!(heard(ping.clone()), nothing(Some(pong.clone()), Why::Pinged));
    let name = ann();
    let on = Listening { me: "me", from: Side::Client, name: Some(&name), ignored: true };
    assert_eq!(hear(ping, on, |_| false), nothing(Some(pong), Why::Pinged));
}

#[test]
fn what_has_a_number_is_acknowledged_whatever_becomes_of_it() {
    let what = What::Message(bare(numbered("any")));
    assert_eq!(heard(numbered("any")), Ok(Heard { say: ack(7), what }));
    assert_eq!(heard(numbered("other")), nothing(ack(7), Why::Type));
    assert_eq!(heard(numbered("_later")), nothing(ack(7), Why::Type));
    let name = ann();
    let on = Listening { me: "me", from: Side::Client, name: Some(&name), ignored: true };
    assert_eq!(hear(numbered("any"), on, |_| true), nothing(ack(7), Why::Ignored));
    let mut file = numbered("any");
    file.header.with_file = Some(Bytes::from_static(b"[1]"));
    assert_eq!(heard(file), nothing(ack(7), Why::Senseless));
    let mut zero = numbered("any");
    zero.header.transport_id = Some(Id::from(0));
    let what = What::Message(bare(zero.clone()));
    assert_eq!(heard(zero), Ok(Heard { say: ack(0), what }), "0 is a number");
    let none = bare(numbered("any"));
    assert_eq!(heard(none.clone()), Ok(Heard { say: None, what: What::Message(none) }));
}

#[test]
fn what_is_left_is_an_answer_a_message_or_about_topics() {
    let mut answer = numbered("any");
    answer.header.response_id = Some(Id::from(3));
    let what = What::Answer(bare(answer.clone()));
    assert_eq!(heard(answer), Ok(Heard { say: ack(7), what }));
    let pong = frame(&Meaning::Pong(Id::from(3)), "ann").expect("a pong");
    assert_eq!(heard(pong.clone()).map(|heard| heard.what), Ok(What::Answer(pong)));
    let mut publish = numbered(PUBSUB);
    publish.header.message_type_publish = Some("t".into());
    let what = What::Publish("t".into(), bare(publish.clone()));
    assert_eq!(heard(publish), Ok(Heard { say: ack(7), what }));
    let types = vec![Text::from("t")];
    for (meant, what) in [
        (Meaning::Subscribe(types.clone()), What::Subscribe(types.clone())),
        (Meaning::Unsubscribe(types.clone()), What::Unsubscribe(types)),
    ] {
        let said = frame(&meant, "ann").expect("it can be said");
        assert_eq!(heard(said), Ok(Heard { say: None, what }));
    }
}

#[test]
fn a_server_is_who_was_called_whatever_it_calls_itself() {
    let on = Listening { me: "ann", from: Side::Server, name: None, ignored: false };
    let message = Frame::of("any", "('::1', 10673)");
    let what = What::Message(message.clone());
    assert_eq!(hear(message, on, |_| true), Ok(Heard { say: None, what }));
    let welcome = frame(&Meaning::Welcome, "('::1', 10673)").expect("it can be said");
    let what = What::Login(Meaning::Welcome);
    assert_eq!(hear(welcome, on, |_| true), Ok(Heard { say: None, what }));
    let hello = Frame::of(HELLO, "ann").with("hello");
    assert_eq!(hear(hello, on, |_| true), Err(FaultKind::AioDirection.fault()));
}
