//! Floor 5. The desk of a client of aioconnectors, without a socket.

use std::time::Duration;

use super::desk::{Desk, OUT_MAX};
use super::*;
use crate::base::time::{MS, Now};

fn at(ms: u64) -> Now {
    Now { mono: ms * MS, wall: 0 }
}

fn desk(change: impl FnOnce(Builder) -> Builder) -> Desk {
    let builder = change(Client::builder("127.0.0.1:1", "me"));
    let plan = builder.plan().expect("good");
    Desk::new(&plan, 7)
}

/// A desk with a connection.
fn online(change: impl FnOnce(Builder) -> Builder) -> Desk {
    let mut desk = desk(change);
    connect(&mut desk);
    desk
}

/// A connection whose waker wakes nobody.
fn connect(desk: &mut Desk) {
    let poll = mio::Poll::new().expect("a poll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
    desk.on_online(Arc::new(waker));
}

fn acked(data: &'static str) -> Message {
    let mut message = Message::of("any", "").with(data);
    message.header.wait_for_ack = true;
    message
}

fn said(desk: &mut Desk) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(frame) = desk.poll_frame(at(0)) {
        all.push(String::from_utf8_lossy(&frame.data).into_owned());
    }
    all
}

fn received(kind: &str, data: &'static str) -> Received {
    Received { frame: Message::of(kind, "server").with(data), file: None }
}

#[test]
fn messages_leave_in_order_with_our_name_and_the_servers() {
    let mut desk = desk(|it| it);
    desk.say(Message::of("any", "somebody else").with("a"), None).expect("room");
    desk.say(Message::of("any", "").with("b"), None).expect("room");
    let first = desk.poll_frame(at(0)).expect("the first");
    assert_eq!(first.header.source_id, Some("me".into()));
    assert_eq!(first.header.destination_id, Some("('127.0.0.1', 1)".into()));
    assert_eq!(said(&mut desk), ["b"]);
}

#[test]
fn no_more_wait_for_their_acknowledgement_than_the_window_holds() {
    let mut desk = online(|it| it.window(2));
    let (send, done) = bounded(4);
    for data in ["a", "b", "c"] {
        desk.say(acked(data), Some(send.clone())).expect("room");
    }
    assert_eq!(said(&mut desk), ["a", "b"]);
    desk.on_ack(&1.into());
    assert!(matches!(done.try_recv(), Ok(Ok(()))));
    let third = desk.poll_frame(at(0)).expect("there is room now");
    assert_eq!(third.header.transport_id, Some(3.into()));
    desk.on_ack(&1.into());
    assert!(done.try_recv().is_err(), "once");
}

#[test]
fn what_was_not_acknowledged_is_said_again_by_the_next_connection_in_order() {
    let mut desk = online(|it| it.window(2));
    for data in ["a", "b", "c"] {
        desk.say(acked(data), None).expect("room");
    }
    assert_eq!(said(&mut desk), ["a", "b"]);
    desk.on_ack(&1.into());
    desk.on_lost(&Error::Lost);
    assert!(!desk.is_online());
    connect(&mut desk);
    let first = desk.poll_frame(at(0)).expect("the first");
    assert_eq!(first.header.transport_id, Some(1.into()), "numbers begin anew");
    assert_eq!(&first.data[..], b"b");
    assert_eq!(said(&mut desk), ["c"]);
}

#[test]
fn what_is_never_acknowledged_is_repeated_and_given_up() {
    let mut desk = online(|it| it);
    let (send, done) = bounded(1);
    desk.say(acked("a"), Some(send)).expect("room");
    assert_eq!(said(&mut desk), ["a"]);
    for n in 1..=3 {
        desk.on_time(at(n * 50_000));
        assert_eq!(said(&mut desk), ["a"]);
    }
    desk.on_time(at(200_000));
    assert!(matches!(done.try_recv(), Ok(Err(Error::TimedOut))));
    assert_eq!(said(&mut desk), [""; 0]);
}

#[test]
fn an_answer_goes_to_whoever_asked_and_to_nobody_else() {
    let mut desk = online(|it| it.listen("sum"));
    let mouth = desk.listen(&"sum".into()).expect("it is there");
    let (_, id, answer) = desk.ask(at(0), Message::of("sum", "")).expect("room");
    let reply = |kind: &str, id: &Id| {
        let mut reply = received(kind, "3");
        reply.frame.header.response_id = Some(id.clone());
        reply
    };
    desk.on_message(reply("other", &id));
    assert!(answer.try_recv().is_err(), "another type");
    desk.on_message(reply("sum", &"x".into()));
    assert!(answer.try_recv().is_err(), "another id");
    assert_eq!(mouth.queue.len(), 1, "what nobody waits for is a message");
    desk.on_message(reply("sum", &id));
    assert!(matches!(answer.try_recv(), Ok(Ok(_))));
    assert_eq!(mouth.queue.len(), 1);
}

#[test]
fn a_question_with_the_id_of_one_that_is_open_is_refused_and_a_loss_ends_them() {
    let mut desk = online(|it| it);
    let mut question = Message::of("sum", "");
    question.header.request_id = Some(5.into());
    let (.., answer) = desk.ask(at(0), question.clone()).expect("room");
    assert!(matches!(desk.ask(at(0), question.clone()), Err(Error::Open)));
    desk.on_lost(&Error::Lost);
    assert!(matches!(answer.try_recv(), Ok(Err(Error::Lost))));
    assert!(matches!(desk.ask(at(0), question), Err(Error::Lost)), "nobody is there to be asked");
}

#[test]
fn a_queue_that_is_full_in_number_or_bytes_drops_and_counts() {
    let mut desk = online(|it| it.queue(2, 1 << 20));
    let mouth = desk.listen(&"any".into()).expect("open");
    for _ in 0..3 {
        desk.on_message(received("any", "x"));
    }
    assert_eq!((mouth.queue.len(), mouth.missed.load(Ordering::Relaxed)), (2, 1));
    let mut desk = online(|it| it.queue(100, 200));
    let mouth = desk.listen(&"any".into()).expect("open");
    for _ in 0..4 {
        desk.on_message(received("any", "thirty-six bytes are in this message"));
    }
    assert_eq!((mouth.queue.len(), mouth.missed.load(Ordering::Relaxed)), (2, 2));
    assert_eq!(mouth.bytes.load(Ordering::Relaxed), 200);
}

#[test]
fn what_came_before_anybody_listened_is_there_if_it_was_asked_for_at_the_beginning() {
    let mut desk = online(|it| it.listen("early"));
    desk.on_message(received("early", "a"));
    desk.on_message(received("late", "b"));
    assert_eq!(desk.listen(&"early".into()).expect("open").queue.len(), 1);
    assert_eq!(desk.listen(&"late".into()).expect("open").queue.len(), 0);
}

#[test]
fn topics_are_asked_for_once_on_each_connection_and_given_back_by_the_last() {
    let mut desk = online(|it| it.subscribe("a"));
    assert_eq!(said(&mut desk), ["{\"subscribe_message_types\": [\"a\"]}"]);
    let early = desk.subscribe(&"a".into()).expect("open");
    let second = desk.subscribe(&"a".into()).expect("open");
    desk.subscribe(&"b".into()).expect("open");
    assert_eq!(said(&mut desk), ["{\"subscribe_message_types\": [\"b\"]}"]);
    desk.on_lost(&Error::Lost);
    connect(&mut desk);
    assert_eq!(said(&mut desk), ["{\"subscribe_message_types\": [\"a\", \"b\"]}"]);
    for mouth in [early, second] {
        assert_eq!(said(&mut desk), [""; 0]);
        desk.close(&"a".into(), mouth.key);
        desk.unsubscribe(&"a".into());
    }
    assert_eq!(said(&mut desk), ["{\"unsubscribe_message_types\": [\"a\"]}"]);
}

#[test]
fn callers_wait_when_much_is_under_way_and_a_frame_that_cannot_be_is_refused() {
    let mut desk = online(|it| it.window(1));
    let large = Bytes::from(vec![0; OUT_MAX]);
    let mut message = acked("");
    message.data = large;
    assert!(!desk.is_full());
    desk.say(message, None).expect("room");
    assert!(desk.is_full());
    assert!(desk.poll_frame(at(0)).is_some());
    assert!(desk.is_full(), "it may have to be said again");
    desk.on_ack(&1.into());
    assert!(!desk.is_full());
    let mut wide = Message::of("any", "");
    wide.header.tag = Some("x".repeat(65_535).as_str().into());
    assert!(matches!(desk.say(wide, None), Err(Error::TooLarge)));
}

#[test]
fn the_end_is_told_to_everybody_who_waits() {
    let mut desk = online(|it| it);
    let mouth = desk.listen(&"any".into()).expect("open");
    let (send, done) = bounded(1);
    desk.say(acked("a"), Some(send)).expect("room");
    let (.., answer) = desk.ask(at(0), Message::of("sum", "")).expect("room");
    desk.end(&Error::Silent);
    assert!(matches!(done.try_recv(), Ok(Err(Error::Silent))));
    assert!(matches!(answer.try_recv(), Ok(Err(Error::Silent))));
    assert!(mouth.queue.recv_timeout(Duration::ZERO).is_err());
    assert!(matches!(desk.say(acked("b"), None), Err(Error::Silent)));
    assert!(matches!(desk.listen(&"any".into()), Err(Error::Silent)));
}

#[test]
fn whoever_leaves_says_what_is_left_and_gives_topics_back() {
    let mut desk = online(|it| it.subscribe("a"));
    let _ = said(&mut desk);
    desk.say(acked("last"), None).expect("room");
    desk.leave();
    assert!(matches!(desk.say(acked("late"), None), Err(Error::Left)));
    assert!(!desk.has_left());
    assert_eq!(said(&mut desk), ["last", "{\"unsubscribe_message_types\": [\"a\"]}"]);
    assert!(!desk.has_left(), "something is not acknowledged");
    desk.on_ack(&1.into());
    assert!(desk.has_left());
}
