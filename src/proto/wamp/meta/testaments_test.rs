//! Floor 3. What a session wants said when it is gone.

use super::bench_test::*;
use super::said as last_words;
use crate::base::limits::Limits;
use crate::proto::wamp::parts::{Payload, Raw};
use crate::value::{Form, Writer};

const ADD: &str = "wamp.session.add_testament";
const FLUSH: &str = "wamp.session.flush_testaments";

/// Topics, in the order in which they are said.
fn topics(b: &mut Bench, who: Who) -> Vec<String> {
    let mut party = b.hub.parties.leave(who.session).expect("there");
    let said = last_words(&mut party);
    assert!(party.testaments.is_empty(), "they are said once");
    said.into_iter().map(|(it, ..)| it.topic.as_str().to_owned()).collect()
}

#[test]
fn a_testament_is_the_publication_that_its_owner_would_have_made() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let options = r#"{"publish_options":{"retain":true,"exclude":[7],"acknowledge":true}}"#;
    let reply = b.ask_with(ann, ADD, r#"["a.b",[1,"x"],{"k":null}]"#, options).expect("kept");
    assert!(reply.args.is_empty() && reply.kwargs.is_empty());
    assert!(b.hub.memory_used() > 128, "it weighs");
    let mut party = b.hub.parties.leave(ann.session).expect("there");
    let all = last_words(&mut party);
    let (it, whole, form) = all.first().expect("one");
    assert_eq!((it.topic.as_str(), *form, all.len()), ("a.b", Form::Json, 1));
    assert!(it.options.retain && it.options.acknowledge);
    assert_eq!(it.options.audience.as_ref().and_then(|it| it.exclude.clone()), Some(vec![7]));
    let text = |raw: &Option<Raw>| raw.as_ref().map(|raw| raw.bytes.clone());
    assert_eq!(text(&it.payload.args).as_deref(), Some(&br#"[1,"x"]"#[..]));
    assert_eq!(text(&it.payload.kwargs).as_deref(), Some(&br#"{"k":null}"#[..]));
    let own = whole.as_ptr_range();
    assert!(own.contains(&text(&it.payload.args).expect("args").as_ptr()), "a part of the whole");
    assert_eq!(b.hub.memory_used(), 0, "and weighs no more");
}

#[test]
fn it_keeps_the_form_it_came_in() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let mut args = Vec::new();
    Writer::new(Form::Cbor, &mut args).list(2).text("a.b").list(1).bytes(b"\xff").end().end();
    let payload =
        Payload { args: Some(Raw { form: Form::Cbor, bytes: args.into() }), kwargs: None };
    b.asked(ann, ADD, &payload).expect("there is").expect("kept");
    let mut party = b.hub.parties.leave(ann.session).expect("there");
    let all = last_words(&mut party);
    assert_eq!((all[0].2, all[0].0.payload.kwargs.clone()), (Form::Cbor, None));
    assert_eq!(&all[0].0.payload.args.as_ref().expect("args").bytes[..], b"\x81\x41\xff");
}

#[test]
fn what_is_detached_is_said_before_what_is_destroyed_and_each_in_its_order() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    for (topic, scope) in [
        ("a", "{}"),
        ("b", r#"{"scope":"detached"}"#),
        ("c", r#"{"scope":"destroyed","publish_options":null}"#),
        ("d", r#"{"scope":"detached","publish_options":{}}"#),
    ] {
        b.ask_with(ann, ADD, &format!("[\"{topic}\",null,null]"), scope).expect("kept");
    }
    assert_eq!(topics(&mut b, ann), ["b", "d", "a", "c"]);
}

#[test]
fn one_scope_is_flushed_and_the_other_stays() {
    for (scope, left) in [
        ("{}", ["detached"]),
        (r#"{"scope":"destroyed"}"#, ["detached"]),
        (r#"{"scope":"detached"}"#, ["destroyed"]),
    ] {
        let mut b = Bench::new();
        let ann = b.join("ann", "user");
        for scope in ["detached", "destroyed"] {
            let kwargs = format!("{{\"scope\":\"{scope}\"}}");
            b.ask_with(ann, ADD, &format!("[\"{scope}\",[],{{}}]"), &kwargs).expect("kept");
        }
        b.ask_with(ann, FLUSH, "[]", scope).expect("flushed");
        assert_eq!(topics(&mut b, ann), left, "{scope}");
    }
}

#[test]
fn what_could_not_be_published_is_no_testament() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    for (args, kwargs, reason) in [
        ("[]", "{}", "wamp.error.invalid_argument"),
        ("[5,[],{}]", "{}", "wamp.error.invalid_argument"),
        ("[\"a\",{},{}]", "{}", "wamp.error.invalid_argument"),
        ("[\"a\",[],[]]", "{}", "wamp.error.invalid_argument"),
        ("[\"a\",[],{},1]", "{}", "wamp.error.invalid_argument"),
        ("[\"a\",[],{}]", r#"{"publish_options":5}"#, "wamp.error.invalid_argument"),
        ("[\"a\",[],{}]", r#"{"publish_options":{"retain":5}}"#, "wamp.error.invalid_argument"),
        ("[\"a\",[],{}]", r#"{"scope":"never"}"#, "wamp.error.invalid_argument"),
        ("[\"a\",[],{}]", r#"{"scope":5}"#, "wamp.error.invalid_argument"),
        ("[\"a b\",[],{}]", "{}", "wamp.error.invalid_uri"),
        ("[\"wamp.session.on_join\",[],{}]", "{}", "wamp.error.invalid_uri"),
    ] {
        assert_eq!(why(b.ask_with(ann, ADD, args, kwargs)), reason, "{args} {kwargs}");
    }
    let nothing = Payload::default();
    let answer = b.asked(ann, ADD, &nothing).expect("there is");
    assert_eq!(why(answer), "wamp.error.invalid_argument");
    assert_eq!(
        why(b.ask_with(ann, FLUSH, "[]", r#"{"scope":"x"}"#)),
        "wamp.error.invalid_argument"
    );
    b.terms(|terms| terms.disclose = false);
    let discloses = r#"{"publish_options":{"disclose_me":true}}"#;
    let answer = b.ask_with(ann, ADD, "[\"a\",[],{}]", discloses);
    assert_eq!(why(answer), "wamp.error.option_disallowed.disclose_me");
    b.forbid("no.way");
    assert_eq!(why(b.ask(ann, ADD, "[\"no.way\",[],{}]")), "wamp.error.not_authorized");
    b.ask(ann, ADD, "[\"a\",[],{}]").expect("kept");
    assert_eq!(topics(&mut b, ann), ["a"]);
}

#[test]
fn testaments_have_bounds() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    for _ in 0..64 {
        b.ask(ann, ADD, "[\"a\",[],{}]").expect("kept");
    }
    assert_eq!(why(b.ask(ann, ADD, "[\"a\",[],{}]")), "wamp.error.unavailable");
    let long = format!("[\"a\",[\"{}\"],{{}}]", "x".repeat(600_000));
    b.ask(bob, ADD, &long).expect("kept");
    assert_eq!(why(b.ask(bob, ADD, &long)), "wamp.error.unavailable", "a million bytes");
    let mut b = Bench::bounded(Limits { memory_bytes_max: 10_000, ..Limits::default() });
    let ann = b.join("ann", "user");
    let _weight = b.hub.store(5_100).expect("room");
    assert_eq!(why(b.ask(ann, ADD, "[\"a\",[],{}]")), "wamp.error.unavailable");
}
