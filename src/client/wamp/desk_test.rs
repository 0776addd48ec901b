//! Floor 5. What a WAMP client asks and is asked, without a socket.
//!
//! Absent on purpose: threads; whoever waits here waits for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::desk::{About, Answer, Desk, Outlet};
use super::event::Event;
use super::line::most;
use super::registration::Request;
use super::{Error, Outcome, Payload};
use crate::proto::wamp::options::{
    CancelMode, InvocationDetails, Matching, ResultDetails, RevokedDetails,
};
use crate::proto::wamp::packet::{self, Call, Ended, Goodbye, Publish, Subscribe};
use crate::proto::wamp::{Message, Sender, Text, decode};
use crate::value::{Form, Value};

type Results = Receiver<Result<Outcome, Error>>;

struct Rig(Desk);

struct Tap<T> {
    queue: Receiver<T>,
    missed: Arc<AtomicU64>,
    revoked: Arc<OnceLock<String>>,
}

fn outlet<T>(key: u64, uri: &str, room: usize) -> (Outlet<T>, Tap<T>) {
    let (send, queue) = bounded(room);
    let (missed, revoked) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
    let tap = Tap { queue, missed: Arc::clone(&missed), revoked: Arc::clone(&revoked) };
    let matching = Matching::Exact;
    (Outlet { key, uri: uri.into(), matching, send, missed, revoked }, tap)
}

impl Rig {
    fn new() -> Self {
        Self(Desk::new(Form::Json, most().walk, 1 << 20, 2))
    }

    fn hear(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.0.on_message(message.into())
    }

    /// What was said since.
    fn said(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Some(bytes) = self.0.poll_message() {
            let bytes = Bytes::from(bytes);
            all.push(decode(Form::Json, &bytes, Sender::Client, &most()).unwrap());
        }
        all
    }

    fn names(&mut self) -> Vec<&'static str> {
        self.said().iter().map(Message::name).collect()
    }

    fn ask(&mut self, topic: &str, room: usize) -> (u64, Receiver<Answer>, Tap<Event>) {
        let (outlet, tap) = outlet(self.0.next_number(), topic, room);
        let make = |request| Subscribe { request, topic: topic.into(), ..Default::default() };
        let (number, answer) =
            self.0.ask(About::Subscribe(outlet), |request| make(request).into()).unwrap();
        (number, answer, tap)
    }

    fn subscribe(&mut self, topic: &str, id: u64, room: usize) -> (u64, Tap<Event>) {
        let (request, answer, tap) = self.ask(topic, room);
        self.hear(packet::Subscribed { request, subscription: id }).unwrap();
        assert_eq!(answer.try_recv().unwrap().unwrap(), id);
        (request, tap)
    }

    fn register(&mut self, id: u64, room: usize) -> (u64, Tap<Request>) {
        let (outlet, tap) = outlet(self.0.next_number(), "p", room);
        let make = |request| {
            packet::Register { request, procedure: "p".into(), ..Default::default() }.into()
        };
        let (request, _) = self.0.ask(About::Register(outlet), make).unwrap();
        self.hear(packet::Registered { request, registration: id }).unwrap();
        (request, tap)
    }

    fn event(&mut self, subscription: u64, publication: u64) {
        self.hear(packet::Event { subscription, publication, ..Default::default() }).unwrap();
    }

    fn call(&mut self, room: usize) -> (u64, Results) {
        let make = |request| Call { request, procedure: "p".into(), ..Default::default() }.into();
        self.0.call(room, make).unwrap()
    }

    fn result(&mut self, request: u64, progress: bool) {
        let details = ResultDetails { progress, ..Default::default() };
        self.hear(packet::Outcome { request, details, ..Default::default() }).unwrap();
    }

    fn invoke(&mut self, request: u64, registration: u64, progress: bool) {
        let details = InvocationDetails { progress, ..Default::default() };
        let asked = packet::Invocation { request, registration, details, ..Default::default() };
        self.hear(asked).unwrap();
    }

    /// The only thing that was said since, which is an ERROR.
    fn refusal(&mut self) -> (u64, String) {
        match self.said().as_slice() {
            [Message::Failure(it)] => (it.request, it.error.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn requests_are_numbered_from_one_without_gaps_and_a_refused_one_takes_no_number() {
    let mut rig = Rig(Desk::new(Form::Json, most().walk, 600, 2));
    rig.ask("a", 1);
    let long = Publish { topic: "x".repeat(600).as_str().into(), ..Default::default() };
    let make = |request| Publish { request, ..long.clone() }.into();
    assert!(matches!(rig.0.take_number(make), Err(Error::TooLarge)));
    rig.call(1);
    rig.ask("b", 1);
    let numbers: Vec<u64> = rig
        .said()
        .iter()
        .map(|message| match message {
            Message::Subscribe(it) => it.request,
            Message::Call(it) => it.request,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn events_beyond_the_queue_are_dropped_and_counted_and_those_before_stay() {
    let mut rig = Rig::new();
    let (_, tap) = rig.subscribe("a", 7, 2);
    (1..=5).for_each(|n| rig.event(7, n));
    rig.event(8, 9);
    assert_eq!(tap.missed.load(Ordering::Relaxed), 3);
    let got: Vec<u64> = tap.queue.try_iter().map(|event| event.publication).collect();
    assert_eq!(got, [1, 2]);
    rig.event(7, 6);
    assert_eq!(tap.queue.try_recv().unwrap().topic, "a");
}

#[test]
fn two_subscriptions_of_one_id_both_hear_and_the_last_one_ends_it() {
    let mut rig = Rig::new();
    let (first, one) = rig.subscribe("a", 7, 4);
    let (second, two) = rig.subscribe("a", 7, 4);
    rig.event(7, 1);
    assert_eq!((one.queue.len(), two.queue.len()), (1, 1));
    assert!(!rig.0.unsubscribe(7, first), "the other one goes on");
    rig.event(7, 2);
    assert_eq!((one.queue.len(), two.queue.len()), (1, 2));
    assert!(rig.0.unsubscribe(7, second));
    assert!(!rig.0.unsubscribe(7, second), "it is over");
}

#[test]
fn a_subscription_under_way_keeps_the_one_that_ends_from_taking_it_along() {
    let mut rig = Rig::new();
    let (first, _one) = rig.subscribe("a", 7, 4);
    let (request, _answer, two) = rig.ask("a", 4);
    assert!(!rig.0.unsubscribe(7, first), "the router would end both");
    rig.hear(packet::Subscribed { request, subscription: 7 }).unwrap();
    rig.event(7, 1);
    assert_eq!(two.queue.len(), 1);
}

#[test]
fn what_is_granted_too_late_is_given_back() {
    let mut rig = Rig::new();
    let (request, answer, _tap) = rig.ask("a", 4);
    rig.0.forget(request);
    assert!(matches!(answer.try_recv(), Err(TryRecvError::Disconnected)));
    rig.said();
    rig.hear(packet::Subscribed { request, subscription: 7 }).unwrap();
    rig.hear(packet::Registered { request, registration: 8 }).unwrap();
    assert_eq!(rig.names(), ["UNSUBSCRIBE", "UNREGISTER"]);
    rig.subscribe("a", 7, 4);
    rig.said();
    rig.hear(packet::Subscribed { request, subscription: 7 }).unwrap();
    assert!(rig.said().is_empty(), "somebody else wants it");
}

#[test]
fn who_is_revoked_learns_why() {
    let mut rig = Rig::new();
    let (_, tap) = rig.subscribe("a", 7, 4);
    let (_, calls) = rig.register(8, 4);
    let revoked = |subscription, registration| {
        let reason = Some("why".into());
        Ended { request: 0, revoked: Some(RevokedDetails { subscription, registration, reason }) }
    };
    rig.hear(packet::Unsubscribed { ended: revoked(Some(7), None) }).unwrap();
    rig.hear(packet::Unregistered { ended: revoked(None, Some(8)) }).unwrap();
    assert!(matches!(tap.queue.try_recv(), Err(TryRecvError::Disconnected)));
    assert_eq!(tap.revoked.get().map(String::as_str), Some("why"));
    assert!(matches!(calls.queue.try_recv(), Err(TryRecvError::Disconnected)));
    assert_eq!(calls.revoked.get().map(String::as_str), Some("why"));
}

#[test]
fn a_result_without_room_is_held_and_nothing_is_read_until_there_is_some() {
    let mut rig = Rig::new();
    let (number, results) = rig.call(2);
    (0..2).for_each(|_| rig.result(number, true));
    assert!(!rig.0.is_choked());
    rig.result(number, false);
    assert!(rig.0.is_choked() && rig.0.is_held());
    rig.0.retry(false);
    assert!(rig.0.is_choked(), "nobody took anything");
    results.try_recv().unwrap().unwrap();
    rig.0.retry(false);
    assert!(!rig.0.is_choked());
    let last: Vec<bool> = results.try_iter().map(|outcome| outcome.unwrap().last).collect();
    assert_eq!(last, [false, true]);
    assert!(matches!(results.try_recv(), Err(TryRecvError::Disconnected)));
}

#[test]
fn a_call_whose_results_nobody_takes_is_cancelled_in_the_end() {
    let mut rig = Rig::new();
    let (number, results) = rig.call(1);
    rig.result(number, true);
    rig.result(number, true);
    rig.said();
    rig.0.retry(true);
    assert!(!rig.0.is_choked());
    match rig.said().as_slice() {
        [Message::Cancel(it)] => {
            assert_eq!((it.request, &it.options.mode), (number, &Some(CancelMode::KillNoWait)));
        }
        other => panic!("{other:?}"),
    }
    assert!(results.try_recv().unwrap().is_ok(), "what was there is still there");
    assert!(matches!(results.try_recv(), Err(TryRecvError::Disconnected)));
    rig.result(number, false);
    assert!(!rig.0.forget_call(number), "it is over");
}

#[test]
fn a_call_that_is_dropped_lets_go_of_what_is_held_for_it() {
    let mut rig = Rig::new();
    let (number, _results) = rig.call(1);
    rig.result(number, true);
    rig.result(number, true);
    assert!(rig.0.forget_call(number));
    assert!(!rig.0.is_choked());
}

#[test]
fn errors_find_who_asked() {
    let mut rig = Rig::new();
    let (request, answer, _tap) = rig.ask("a", 1);
    let (call, results) = rig.call(1);
    let error = |kind, request| {
        let spans = Payload::from("words").spans(Form::Json);
        let error = Text::from("x.y");
        packet::Failure { kind, request, error, payload: spans, ..Default::default() }
    };
    rig.hear(error(32, request)).unwrap();
    rig.hear(error(48, call)).unwrap();
    rig.hear(error(48, 99)).unwrap();
    for failed in [answer.try_recv().unwrap().unwrap_err(), results.recv().unwrap().unwrap_err()] {
        assert_eq!(failed.to_string(), "x.y: words");
        let Error::Failed(failure) = failed else { panic!("{failed:?}") };
        assert_eq!(failure.payload.args, [Value::Text("words".to_owned())]);
    }
}

#[test]
fn invocations_beyond_the_queue_are_refused_and_each_is_answered_once() {
    let mut rig = Rig::new();
    let (key, calls) = rig.register(8, 1);
    rig.said();
    rig.invoke(1, 8, false);
    rig.invoke(2, 8, false);
    assert_eq!(rig.refusal(), (2, "wamp.error.unavailable".to_owned()));
    rig.invoke(3, 77, false);
    assert_eq!(rig.refusal().0, 3, "nobody offers it here");
    assert_eq!(calls.queue.len(), 1);
    assert!(rig.0.answers(1, false) && rig.0.answers(1, true) && !rig.0.answers(1, true));
    assert!(!rig.0.answers(2, false));
    assert!(rig.0.unregister(8, key));
    drop(calls);
    rig.invoke(4, 8, false);
    assert_eq!(rig.refusal().0, 4);
}

#[test]
fn an_invocation_whose_values_cannot_be_read_is_refused() {
    let mut rig = Rig::new();
    let (_, calls) = rig.register(8, 4);
    rig.said();
    let whole = Bytes::from_static(br#"[68,1,8,{},[],{"a":1,"a":2}]"#);
    let asked = decode(Form::Json, &whole, Sender::Router, &most()).unwrap();
    rig.hear(asked).unwrap();
    assert_eq!(rig.refusal(), (1, "wamp.error.invalid_argument".to_owned()));
    assert!(calls.queue.is_empty());
    let (_, tap) = rig.subscribe("a", 7, 4);
    let whole = Bytes::from_static(br#"[36,7,1,{},[],{"a":1,"a":2}]"#);
    rig.hear(decode(Form::Json, &whole, Sender::Router, &most()).unwrap()).unwrap();
    assert_eq!((tap.queue.len(), tap.missed.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn parts_of_a_call_join_the_first_one_and_too_many_end_it() {
    let mut rig = Rig::new();
    let (_, calls) = rig.register(8, 4);
    rig.said();
    rig.invoke(1, 8, true);
    rig.invoke(1, 8, true);
    rig.invoke(1, 8, false);
    assert_eq!(calls.queue.len(), 1, "one invocation");
    assert!(rig.said().is_empty());
    rig.invoke(1, 8, false);
    assert_eq!(rig.refusal().0, 1, "no more was announced");
    rig.invoke(2, 8, true);
    (0..2).for_each(|_| rig.invoke(2, 8, true));
    assert!(rig.said().is_empty());
    rig.invoke(2, 8, true);
    assert_eq!(rig.refusal(), (2, "wamp.error.unavailable".to_owned()));
    assert!(!rig.0.answers(2, true));
}

#[test]
fn an_interrupt_that_waits_for_nothing_takes_the_answer_away() {
    let mut rig = Rig::new();
    let (_, _calls) = rig.register(8, 4);
    for (request, mode, answers) in [
        (1, Some(CancelMode::KillNoWait), false),
        (2, Some(CancelMode::Kill), true),
        (3, None, true),
    ] {
        rig.invoke(request, 8, false);
        let mut interrupt = packet::Interrupt { request, ..Default::default() };
        interrupt.options.mode = mode;
        rig.hear(interrupt).unwrap();
        assert_eq!(rig.0.answers(request, true), answers, "{request}");
    }
}

#[test]
fn a_goodbye_is_answered_and_is_the_end() {
    let mut rig = Rig::new();
    let bye = Goodbye { reason: "wamp.close.system_shutdown".into(), ..Default::default() };
    let error = rig.hear(bye).unwrap_err();
    assert_eq!(error.uri(), Some("wamp.close.system_shutdown"));
    assert_eq!(rig.names(), ["GOODBYE"]);
    let mut rig = Rig::new();
    rig.0.leave();
    rig.0.leave();
    assert_eq!(rig.names(), ["GOODBYE"]);
    assert!(matches!(rig.0.take_number(|_| Goodbye::default().into()), Err(Error::Left)));
    assert!(matches!(rig.hear(Goodbye::default()), Err(Error::Left)));
    assert!(rig.said().is_empty(), "an answer is not answered");
}

#[test]
fn the_end_is_the_end_for_everybody() {
    let mut rig = Rig::new();
    let (_, events) = rig.subscribe("a", 7, 4);
    let (_, calls) = rig.register(8, 4);
    let (_, answer, _tap) = rig.ask("b", 1);
    let (_, results) = rig.call(1);
    rig.0.end(Error::Silent);
    rig.0.end(Error::Lost);
    assert!(matches!(rig.0.ended(), Some(Error::Silent)), "the first reason is the reason");
    assert!(matches!(events.queue.try_recv(), Err(TryRecvError::Disconnected)));
    assert!(matches!(calls.queue.try_recv(), Err(TryRecvError::Disconnected)));
    assert!(matches!(answer.try_recv(), Err(TryRecvError::Disconnected)));
    assert!(matches!(results.try_recv(), Err(TryRecvError::Disconnected)));
    assert!(matches!(rig.0.take_number(|_| Goodbye::default().into()), Err(Error::Silent)));
}

#[test]
fn what_a_router_may_not_say_now_is_the_end() {
    for message in
        [Message::Welcome(packet::Welcome::default()), packet::Challenge::default().into()]
    {
        assert!(matches!(Rig::new().hear(message), Err(Error::Protocol(_))));
    }
    let abort = packet::Abort { reason: "x".into(), ..Default::default() };
    assert!(matches!(Rig::new().hear(abort), Err(Error::Refused { .. })));
}

#[test]
fn who_says_too_much_is_to_wait_and_the_thread_that_reads_stops_later() {
    let mut rig = Rig(Desk::new(Form::Json, most().walk, 1 << 20, 2));
    let topic: Text = "x".repeat(400_000).as_str().into();
    let say = |desk: &mut Desk| {
        let make = |request| Publish { request, topic: topic.clone(), ..Default::default() }.into();
        desk.take_number(make).unwrap();
    };
    (0..2).for_each(|_| say(&mut rig.0));
    assert!(!rig.0.is_full());
    say(&mut rig.0);
    assert!(rig.0.is_full() && !rig.0.is_choked());
    (0..3).for_each(|_| say(&mut rig.0));
    assert!(rig.0.is_choked());
    (0..5).for_each(|_| drop(rig.0.poll_message()));
    assert!(!rig.0.is_full() && !rig.0.is_choked());
}

#[test]
fn no_more_requests_calls_and_invocations_are_kept_than_there_are_places() {
    const PLACES: usize = 65_536;
    let mut rig = Rig::new();
    let ping = |desk: &mut Desk| desk.ask(About::Plain, |_| Goodbye::default().into()).map(drop);
    let call = |desk: &mut Desk| desk.call(1, |_| Goodbye::default().into()).map(drop);
    for _ in 0..PLACES {
        ping(&mut rig.0).unwrap();
        call(&mut rig.0).unwrap();
    }
    assert!(matches!(ping(&mut rig.0), Err(Error::Full)));
    assert!(matches!(call(&mut rig.0), Err(Error::Full)));
    let mut rig = Rig::new();
    let (_, calls) = rig.register(8, PLACES + 8);
    rig.said();
    (1..=PLACES as u64).for_each(|request| rig.invoke(request, 8, false));
    assert!(rig.said().is_empty());
    rig.invoke(70_000, 8, false);
    assert_eq!(rig.refusal().0, 70_000);
    assert_eq!(calls.queue.len(), PLACES);
}
