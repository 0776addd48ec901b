//! Floor 3. What was said, for who asks later.

use bytes::Bytes;

use super::bench_test::*;
use super::given::kind;
use super::{Failed, Reply};
use crate::hub::audience::{Audience, List};
use crate::hub::message::Publication;
use crate::hub::realm::Remembered;
use crate::proto::carried::{ARGS, Head, KWARGS};
use crate::proto::wamp::dialect::Spelling;
use crate::proto::wamp::notes::{Notes, Who as Publisher};
use crate::proto::wamp::options::{Matching, Ppt};
use crate::proto::wamp::uri::Rule;
use crate::topic::{Dialect, Topic};
use crate::value::{Form, Value, Writer};

/// A realm that remembers these, and somebody who asks.
fn scene(all: &[(&str, Matching)]) -> (Bench, Who) {
    let mut b = Bench::new();
    let spelling = Spelling::new(&b.hub.limits, Rule::Loose);
    let remembered = |(pattern, matching): &(&str, Matching)| {
        let pattern = Bytes::copy_from_slice(pattern.as_bytes());
        let filter = spelling.filter(&pattern, matching.how()).expect("a filter");
        Remembered { pattern, kind: kind(*matching), filter, limit: 2_000, lasting: false }
    };
    let histories = all.iter().map(remembered).collect();
    b.terms(|terms| terms.histories = histories);
    let ann = b.join("ann", "user");
    (b, ann)
}

/// Events with the numbers 1 to n, each ten seconds after the other, the first at 22:13:20.
fn events(b: &mut Bench, n: u64) {
    for number in 1..=n {
        let head = Head { form: Form::Json, flags: ARGS, number };
        b.publish("a", b"[1]", head.put(&[]));
        b.now.wall += 10_000;
    }
}

fn id(b: &mut Bench, who: Who, pattern: &str, matching: &str) -> String {
    let args = format!("[\"{pattern}\",{{\"match\":\"{matching}\"}}]");
    b.told(who, "wamp.subscription.lookup", &args)
}

fn ask(b: &mut Bench, who: Who, kwargs: &str) -> Result<Reply, Failed> {
    let args = format!("[{}]", id(b, who, "a", "exact"));
    b.ask_with(who, "wamp.subscription.get_events", &args, kwargs)
}

/// The numbers of what is told, and whether there was more.
fn told(b: &mut Bench, who: Who, kwargs: &str) -> (Vec<i64>, bool) {
    let reply = ask(b, who, kwargs).expect("events");
    let number = |event: &Value| event.get("publication").and_then(Value::as_int);
    let numbers = reply.args.iter().map(|event| number(event).expect("a number")).collect();
    let [(key, more)] = &reply.kwargs[..] else { panic!("{:?}", reply.kwargs) };
    assert_eq!(key, "is_limit_reached");
    (numbers, more.as_bool().expect("yes or no"))
}

#[test]
fn what_was_said_is_told_with_when_and_under_which_number() {
    let (mut b, ann) = scene(&[("a", Matching::Exact)]);
    events(&mut b, 1);
    let id = id(&mut b, ann, "a", "exact");
    let reply = ask(&mut b, ann, "{}").expect("events");
    let event = format!(
        "{{\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"subscription\":{id},\"publication\":1,\
         \"details\":{{}},\"args\":[1]}}"
    );
    assert_eq!(reply.args.iter().map(said).collect::<Vec<_>>(), [event]);
    assert_eq!(b.told(ann, "wamp.subscription.match", "[\"a\"]"), format!("[{id}]"), "it stands");
    let other = b.listen(ann, "b", Matching::Exact);
    let answer =
        b.ask(ann, "wamp.subscription.get_events", &format!("[{other}]")).expect("an answer");
    assert!(answer.args.is_empty(), "nothing is remembered there");
}

#[test]
fn arguments_and_what_stood_beside_them_come_with_it() {
    let (mut b, ann) = scene(&[("a.", Matching::Prefix)]);
    let who = Publisher { id: 5, authid: "bob".into(), authrole: "user".into() };
    let ppt = Ppt { scheme: Some("x_y".into()), keyid: Some("k".into()), ..Ppt::default() };
    let notes = Notes { who: Some(who), trust: Some(3), ppt: Some(Box::new(ppt)) };
    let mut rest = Vec::new();
    notes.put(&mut rest);
    let head = Head { form: Form::Json, flags: ARGS | KWARGS, number: 9 };
    b.publish("a.b", b"[1] , {\"k\":2}", head.put(&rest));
    let head = Head { form: Form::Cbor, flags: KWARGS, number: 10 };
    b.publish("a.b", b"\xa1\x61k\x02", head.put(&[]));
    b.publish("a.b", b"plain", Bytes::new());
    b.publish("a.b", b"\xff", Bytes::from_static(b"another's"));
    let args = format!("[{}]", id(&mut b, ann, "a.", "prefix"));
    let reply = b.ask(ann, "wamp.subscription.get_events", &args).expect("events");
    let part = |at: usize, key: &str| reply.args[at].get(key).map(said).unwrap_or_default();
    assert_eq!((part(0, "args"), part(0, "kwargs")), ("[1]".into(), "{\"k\":2}".into()));
    let details = "{\"topic\":\"a.b\",\"publisher\":5,\"publisher_authid\":\"bob\",\
                   \"publisher_authrole\":\"user\",\"trustlevel\":3,\"ppt_scheme\":\"x_y\",\
                   \"ppt_keyid\":\"k\"}";
    assert_eq!(part(0, "details"), details);
    assert_eq!((part(1, "args"), part(1, "kwargs")), (String::new(), "{\"k\":2}".into()));
    assert_eq!(
        (part(2, "args"), part(2, "details")),
        ("[\"plain\"]".into(), "{\"topic\":\"a.b\"}".into())
    );
    let mut bytes = Vec::new();
    Writer::new(Form::Json, &mut bytes).list(1).bytes(b"\xff").end();
    assert_eq!(part(3, "args").as_bytes(), bytes);
    assert_ne!(part(2, "publication"), part(3, "publication"), "each has a number");
}

#[test]
fn an_answer_is_cut_by_time_and_by_publication_and_counted_from_where_it_begins() {
    let (mut b, ann) = scene(&[("a", Matching::Exact)]);
    events(&mut b, 6);
    let at = |second: &str| format!("2023-11-14T22:13:{second}Z");
    for (kwargs, expected) in [
        ("{}".to_owned(), (vec![1, 2, 3, 4, 5, 6], false)),
        (r#"{"limit":2}"#.into(), (vec![1, 2], true)),
        (r#"{"limit":6}"#.into(), (vec![1, 2, 3, 4, 5, 6], false)),
        (r#"{"limit":2,"reverse":true}"#.into(), (vec![6, 5], true)),
        (
            r#"{"reverse":false,"topic":"a","limit":9007199254740992}"#.into(),
            (vec![1, 2, 3, 4, 5, 6], false),
        ),
        (r#"{"topic":"b"}"#.into(), (vec![], false)),
        (format!("{{\"from_time\":\"{}\"}}", at("40")), (vec![3, 4, 5, 6], false)),
        (format!("{{\"after_time\":\"{}\"}}", at("40")), (vec![4, 5, 6], false)),
        (format!("{{\"before_time\":\"{}\"}}", at("40")), (vec![1, 2], false)),
        (format!("{{\"until_time\":\"{}\"}}", at("40")), (vec![1, 2, 3], false)),
        (r#"{"until_time":"2023-11-14T23:13:40.5+01:00"}"#.into(), (vec![1, 2, 3], false)),
        (r#"{"from_publication":3}"#.into(), (vec![3, 4, 5, 6], false)),
        (r#"{"after_publication":3}"#.into(), (vec![4, 5, 6], false)),
        (r#"{"before_publication":3}"#.into(), (vec![1, 2], false)),
        (r#"{"until_publication":3}"#.into(), (vec![1, 2, 3], false)),
        (
            r#"{"after_publication":2,"until_publication":5,"reverse":true,"limit":2}"#.into(),
            (vec![5, 4], true),
        ),
        (r#"{"after_publication":6}"#.into(), (vec![], false)),
        (r#"{"from_publication":4,"before_publication":4}"#.into(), (vec![], false)),
        (r#"{"from_publication":77}"#.into(), (vec![], false)),
        (r#"{"until_publication":77}"#.into(), (vec![], false)),
    ] {
        assert_eq!(told(&mut b, ann, &kwargs), expected, "{kwargs}");
    }
    for wrong in [
        r#"{"limit":0}"#,
        r#"{"limit":-1}"#,
        r#"{"limit":"2"}"#,
        r#"{"reverse":1}"#,
        r#"{"topic":1}"#,
        r#"{"from_time":"yesterday"}"#,
        r#"{"after_time":5}"#,
        r#"{"from_publication":"3"}"#,
    ] {
        assert_eq!(why(ask(&mut b, ann, wrong)), "wamp.error.invalid_argument", "{wrong}");
    }
}

#[test]
fn one_answer_has_an_end_in_number_and_in_bytes() {
    let (mut b, ann) = scene(&[("a", Matching::Exact)]);
    events(&mut b, 1_001);
    let (numbers, more) = told(&mut b, ann, "{}");
    assert_eq!((numbers.len(), more), (1_000, true));
    let (mut b, ann) = scene(&[("a", Matching::Exact)]);
    for number in 1..=3 {
        let mut body = Vec::new();
        let long = "x".repeat(600_000);
        Writer::new(Form::Json, &mut body).list(1).text(&long).end();
        let head = Head { form: Form::Json, flags: ARGS, number };
        b.publish("a", body.leak(), head.put(&[]));
    }
    assert_eq!(told(&mut b, ann, "{}"), (vec![1, 2], true));
}

#[test]
fn who_may_not_listen_is_told_nothing_and_others_what_was_for_them() {
    let (mut b, ann) = scene(&[("a", Matching::Exact), ("", Matching::Prefix)]);
    let guest = b.join("gus", "guest");
    let values = vec![Bytes::from_static(b"user")];
    let list = List { attribute: "authrole".into(), eligible: true, values };
    let mut p = Publication {
        realm: REALM,
        topic: Topic::split(Bytes::from_static(b"a"), b'.'),
        body: Bytes::from_static(b"[1]"),
        props: Head { form: Form::Json, flags: ARGS, number: 7 }.put(&[]),
        qos: 0,
        retain: false,
        expires: 0,
        inbound: None,
    };
    let audience = Audience { lists: vec![list], ..Audience::default() };
    b.hub.say_for(b.now, &mut p, audience).expect("room");
    assert_eq!(told(&mut b, ann, "{}"), (vec![7], false));
    assert_eq!(told(&mut b, guest, "{}"), (vec![], false));
    let all = format!("[{}]", id(&mut b, ann, "", "prefix"));
    let ask = |b: &mut Bench| {
        let reply = b.ask(ann, "wamp.subscription.get_events", &all).expect("events");
        reply.args.len()
    };
    assert_eq!(ask(&mut b), 1);
    b.forbid("a");
    let args = format!("[{}]", id(&mut b, ann, "a", "exact"));
    assert_eq!(why(b.ask(ann, "wamp.subscription.get_events", &args)), "wamp.error.not_authorized");
    assert_eq!(ask(&mut b), 0, "of the rest, what it may receive");
}
