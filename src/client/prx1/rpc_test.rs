//! Floor 5. Tests of what a PRX1 client keeps of its calls: order, bounds, and what a lost
//! connection means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};

use super::call::{Reason, Said, Share};
use super::receipt::Error;
use super::rpc::{Outcome, Rpc};
use crate::base::outbound::Outbound;
use crate::proto::prx1::decode::BODY_MAX;
use crate::proto::prx1::extended::{
    Answer, Cancel, Extended, Register, Request, Response, What, mode, reason,
};
use crate::proto::prx1::next;
use crate::proto::prx1::packet::Packet;

fn said(rpc: &mut Rpc) -> Vec<Extended> {
    let mut out = Outbound::default();
    rpc.poll_transmit(&mut out, usize::MAX);
    assert!(!rpc.has_work() && rpc.bytes() == 0);
    let mut input = BytesMut::from(&out.to_vec()[..]);
    let frames = std::iter::from_fn(|| next(&mut input, BODY_MAX).unwrap());
    let only = |packet| if let Packet::Extended(it) = packet { it } else { panic!("{packet:?}") };
    frames.map(only).collect()
}

fn topic() -> Bytes {
    Bytes::from_static(b"a/b")
}

fn request(id: u64) -> Request {
    Request { id, topic: topic(), payload: Bytes::from_static(b"q"), ..Request::default() }
}

fn piece(id: u64) -> Extended {
    Extended::Response(Response { id, what: What::Piece(Bytes::from_static(b"p")) })
}

fn served(rpc: &mut Rpc) -> (u64, crossbeam_channel::Receiver<super::rpc::Question>) {
    let (key, queue, _) = rpc.serve(&topic(), Share::RoundRobin, true).expect("room");
    let [Extended::Register(Register { id, .. })] = said(rpc)[..] else { panic!("registered") };
    rpc.on_extended(Extended::Answer(Answer { id, reason: reason::NONE }));
    (key, queue)
}

fn failed(id: u64, reason: u8) -> Extended {
    let (name, payload) = (Bytes::new(), Bytes::new());
    Extended::Response(Response { id, what: What::Error { reason, name, payload } })
}

#[test]
fn a_call_that_is_lost_with_its_connection_is_told_so_and_not_said_again() {
    let mut rpc = Rpc::default();
    let (id, queue) = rpc.call(request(0)).expect("room");
    assert_eq!(said(&mut rpc), [Extended::Request(request(id))]);
    rpc.call(request(0)).expect("room");
    rpc.on_offline();
    assert_eq!(queue.try_recv(), Ok(Err(Error::Lost)));
    rpc.on_online();
    assert_eq!(said(&mut rpc), []);
    rpc.on_extended(piece(id));
    assert!(queue.try_recv().is_err(), "what comes late is nobody's");
}

#[test]
fn pieces_without_room_end_the_call_and_the_outcome_always_has_a_place() {
    let mut rpc = Rpc::default();
    let (id, queue) = rpc.call(request(0)).expect("room");
    said(&mut rpc);
    for _ in 0..1_024 {
        rpc.on_extended(piece(id));
    }
    assert_eq!(said(&mut rpc), []);
    rpc.on_extended(piece(id));
    let cancel = Extended::Cancel(Cancel { id, mode: mode::KILL_NO_WAIT });
    assert_eq!(said(&mut rpc), [cancel]);
    let all: Vec<Outcome> = queue.try_iter().collect();
    assert_eq!((all.len(), all.last()), (1_025, Some(&Err(Error::Full))));
    let (id, queue) = rpc.call(request(0)).expect("room");
    (0..1_024).for_each(|_| rpc.on_extended(piece(id)));
    let what = What::Final(Bytes::from_static(b"f"));
    rpc.on_extended(Extended::Response(Response { id, what }));
    let last = Ok(Said::Final(Bytes::from_static(b"f")));
    assert_eq!(queue.try_iter().last(), Some(last));
}

#[test]
fn a_question_without_room_is_left_to_others() {
    let mut rpc = Rpc::default();
    let (_, queue) = served(&mut rpc);
    for id in 1..=256 {
        rpc.on_extended(Extended::Request(request(id)));
    }
    assert_eq!(said(&mut rpc), []);
    rpc.on_extended(Extended::Request(request(257)));
    assert_eq!(said(&mut rpc), [failed(257, reason::UNAVAILABLE)]);
    assert_eq!(queue.try_iter().count(), 256);
}

#[test]
fn what_is_served_is_said_again_and_what_was_asked_before_is_over() {
    let mut rpc = Rpc::default();
    let (key, queue) = served(&mut rpc);
    rpc.on_extended(Extended::Request(request(1)));
    let question = queue.try_recv().expect("asked");
    rpc.on_offline();
    assert!(question.over.load(Ordering::Acquire));
    rpc.on_online();
    let again = said(&mut rpc);
    assert!(matches!(&again[..], [Extended::Register(it)] if it.share == 3), "{again:?}");
    // The number means another question by now.
    rpc.on_extended(Extended::Request(request(1)));
    let what = || What::Final(Bytes::new());
    assert!(!rpc.respond(1, &question.over, what()));
    let new = queue.try_recv().expect("asked").over;
    assert!(rpc.respond(1, &new, what()) && !rpc.respond(1, &new, what()), "once");
    assert_eq!(said(&mut rpc), [Extended::Response(Response { id: 1, what: what() })]);
    rpc.serve_no_more(&topic(), key + 1, true);
    assert_eq!(said(&mut rpc), [], "another's");
    rpc.serve_no_more(&topic(), key, true);
    assert!(matches!(said(&mut rpc)[..], [Extended::Unregister(_)]));
    rpc.on_online();
    assert_eq!(said(&mut rpc), []);
}

#[test]
fn what_is_not_granted_is_told_and_ends_the_queue() {
    let mut rpc = Rpc::default();
    let (_, queue, mut receipt) = rpc.serve(&topic(), Share::Single, true).expect("room");
    let twice = rpc.serve(&topic(), Share::Single, true).map(|_| ());
    assert_eq!(twice, Err(Error::Failed(Reason::Exists)));
    let [Extended::Register(Register { id, .. })] = said(&mut rpc)[..] else { panic!("said") };
    rpc.on_extended(Extended::Answer(Answer { id: id + 1, reason: reason::DENIED }));
    assert_eq!(receipt.poll(), None, "the answer to something else");
    rpc.on_extended(Extended::Answer(Answer { id, reason: reason::DENIED }));
    assert_eq!(receipt.poll(), Some(Err(Error::Failed(Reason::Denied))));
    assert!(matches!(queue.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected)));
    rpc.on_online();
    assert_eq!(said(&mut rpc), []);
}

#[test]
fn who_is_told_to_stop_may_answer_only_if_that_is_wanted() {
    let mut rpc = Rpc::default();
    let (_, queue) = served(&mut rpc);
    for (id, mode, wanted) in [(1, mode::KILL, true), (2, mode::KILL_NO_WAIT, false)] {
        rpc.on_extended(Extended::Request(request(id)));
        let over = queue.try_recv().expect("asked").over;
        rpc.on_extended(Extended::Cancel(Cancel { id, mode }));
        assert!(over.load(Ordering::Acquire));
        assert_eq!(rpc.respond(id, &over, What::Final(Bytes::new())), wanted);
    }
    let stranger = Arc::new(AtomicBool::new(false));
    rpc.on_extended(Extended::Request(request(3)));
    assert!(!rpc.respond(3, &stranger, What::Final(Bytes::new())));
}
