//! Floor 3. Who is there, and sending them away.

use bytes::Bytes;

use super::bench_test::*;
use super::{LIST_MAX, on_leave};
use crate::hub::parties::Mail;
use crate::value::Value;

fn go(reason: &'static str, message: &'static str) -> Mail {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    Mail::Go { reason: text(reason), message: text(message) }
}

#[test]
fn sessions_are_counted_and_listed_by_realm_and_role() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let bob = b.join("bob", "guest");
    let cy = b.join("cy", "user");
    b.join_in(OTHER, "dan", "user");
    assert_eq!(b.told(ann, "wamp.session.count", "[]"), "3");
    assert_eq!(b.told(ann, "wamp.session.count", "[[\"user\"]]"), "2");
    assert_eq!(
        b.told(ann, "wamp.session.count", "[[\"user\",\"user\",\"guest\"]]"),
        "3",
        "once each"
    );
    assert_eq!(b.told(ann, "wamp.session.count", "[[]]"), "0", "a list that is there counts");
    let mut ids = [ann.id, bob.id, cy.id];
    ids.sort_unstable();
    let list = |ids: &[u64]| format!("{ids:?}").replace(' ', "");
    assert_eq!(b.told(ann, "wamp.session.list", "[]"), list(&ids));
    assert_eq!(b.told(ann, "wamp.session.list", "[[\"guest\"]]"), list(&[bob.id]));
    assert_eq!(b.told(ann, "wamp.session.list", "[null]"), list(&ids), "null is not there");
    for wrong in ["[1]", "[[1]]", "[\"user\"]"] {
        assert_eq!(why(b.ask(ann, "wamp.session.count", wrong)), "wamp.error.invalid_argument");
        assert_eq!(why(b.ask(ann, "wamp.session.list", wrong)), "wamp.error.invalid_argument");
    }
}

#[test]
fn a_list_has_an_end_and_can_be_gone_on_with() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    for _ in 0..LIST_MAX {
        b.join("bob", "many");
    }
    for args in ["[]", "[[\"user\",\"many\"]]"] {
        let first = b.ask(ann, "wamp.session.list", args).expect("a list");
        assert_eq!(first.kwargs, [("is_limit_reached".to_owned(), Value::Bool(true))]);
        let all = first.args[0].as_list().expect("a list");
        assert_eq!(all.len(), LIST_MAX);
        let last = all.last().and_then(Value::as_int).expect("a number");
        let after = format!("{{\"after\":{last}}}");
        let rest = b.ask_with(ann, "wamp.session.list", args, &after).expect("a list");
        assert_eq!(rest.args[0].as_list().map(<[Value]>::len), Some(1));
        assert!(rest.kwargs.is_empty());
    }
    let gone = b.ask(ann, "wamp.session.kill_by_authid", "[\"bob\"]").expect("killed");
    assert_eq!(gone.args[0].as_list().map(<[Value]>::len), Some(LIST_MAX));
    assert_eq!(gone.kwargs, [("count".to_owned(), Value::Int(LIST_MAX as i64))]);
}

#[test]
fn of_a_session_is_said_what_it_was_let_in_as_and_what_it_says_itself() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join_in(OTHER, "bob", "user"));
    let transport = value(r#"{"peer":"x","auth":{"cookie":"secret"}}"#);
    let party = b.hub.parties.get_mut(ann.session).expect("there");
    party.details.push(("transport".into(), transport));
    let its = format!(
        "{{\"session\":{},\"authid\":\"ann\",\"authrole\":\"user\",\"authmethod\":\"ticket\",\
         \"authprovider\":\"static\",\"org\":\"acme\",\"transport\":{{\"peer\":\"x\"}}}}",
        ann.id
    );
    let args = format!("[{}]", ann.id);
    assert_eq!(b.told(ann, "wamp.session.get", &args), its);
    assert_eq!(b.told(ann, "wamp.session.get", &format!("[{}.0]", ann.id)), its, "as a double");
    b.terms(|terms| terms.shown = Some(["other".to_owned()].into()));
    assert_eq!(b.told(ann, "wamp.session.get", &args), its.replace("\"org\":\"acme\",", ""));
    for unknown in [bob.id, 7] {
        let args = format!("[{unknown}]");
        assert_eq!(why(b.ask(ann, "wamp.session.get", &args)), "wamp.error.no_such_session");
    }
    for wrong in ["[]", "[\"7\"]", "[-1]", "[1.5]", "[9007199254740993]"] {
        assert_eq!(why(b.ask(ann, "wamp.session.get", wrong)), "wamp.error.invalid_argument");
    }
}

#[test]
fn who_is_killed_is_told_to_go_and_why() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let args = format!("[{}]", bob.id);
    let reply = b.ask(ann, "wamp.session.kill", &args).expect("killed");
    assert!(reply.args.is_empty() && reply.kwargs.is_empty());
    let said = r#"{"reason":"com.example.enough","message":"go home"}"#;
    b.ask_with(ann, "wamp.session.kill", &args, said).expect("killed");
    b.terms(|terms| terms.normal = true);
    b.ask(ann, "wamp.session.kill", &args).expect("killed");
    let told = [
        go("wamp.close.killed", ""),
        go("com.example.enough", "go home"),
        go("wamp.close.normal", ""),
    ];
    assert_eq!(b.mail(bob), told);
    assert!(b.hub.poll_awake().is_some());
}

#[test]
fn nobody_kills_itself_or_who_is_not_there_or_for_no_good_reason() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let dan = b.join_in(OTHER, "dan", "user");
    for id in [ann.id, dan.id, 7] {
        let args = format!("[{id}]");
        assert_eq!(why(b.ask(ann, "wamp.session.kill", &args)), "wamp.error.no_such_session");
    }
    let args = format!("[{}]", bob.id);
    for reason in [r#"{"reason":"a b"}"#, r#"{"reason":""}"#, r#"{"reason":5}"#] {
        for name in ["kill", "kill_all", "kill_by_authid", "kill_by_authrole"] {
            let args = if name.starts_with("kill_by") { "[\"user\"]" } else { &args };
            let name = format!("wamp.session.{name}");
            assert_eq!(why(b.ask_with(ann, &name, args, reason)), "wamp.error.invalid_uri");
        }
    }
    b.terms(|terms| terms.strict = true);
    let loud = r#"{"reason":"Loud"}"#;
    assert_eq!(why(b.ask_with(ann, "wamp.session.kill", &args, loud)), "wamp.error.invalid_uri");
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(1_025));
    let answer = b.ask_with(ann, "wamp.session.kill", &args, &long);
    assert_eq!(why(answer), "wamp.error.invalid_argument");
    assert!(b.mail(bob).is_empty() && b.mail(dan).is_empty());
}

#[test]
fn many_are_killed_by_what_they_were_let_in_as_but_not_the_one_who_asks() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let others = [b.join("ann", "user"), b.join("bob", "user"), b.join("cy", "guest")];
    let dan = b.join_in(OTHER, "ann", "user");
    let told = |b: &mut Bench| others.map(|who| b.mail(who).len());
    let gone = b.ask(ann, "wamp.session.kill_by_authid", "[\"ann\"]").expect("killed");
    assert_eq!(said(&gone.args[0]), format!("[{}]", others[0].id), "which ones");
    assert_eq!(gone.kwargs, [("count".to_owned(), Value::Int(1))], "and how many");
    assert_eq!(told(&mut b), [1, 0, 0]);
    assert_eq!(b.told(ann, "wamp.session.kill_by_authrole", "[\"user\"]"), "2");
    assert_eq!(told(&mut b), [1, 1, 0]);
    assert_eq!(b.told(ann, "wamp.session.kill_all", "[]"), "3");
    assert_eq!(told(&mut b), [1, 1, 1]);
    assert!(b.mail(ann).is_empty() && b.mail(dan).is_empty());
    assert_eq!(why(b.ask(ann, "wamp.session.kill_by_authid", "[]")), "wamp.error.invalid_argument");
}

#[test]
fn nobody_hears_of_those_who_are_all_killed_and_nothing_is_said_for_them() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    b.listen(ann, "wamp.session.on_leave", super::super::options::Matching::Exact);
    b.ask(bob, "wamp.session.add_testament", "[\"a\",[],{}]").expect("kept");
    b.told(ann, "wamp.session.kill_all", "[]");
    let party = b.hub.parties.leave(bob.session).expect("there");
    assert!(party.testaments.is_empty());
    on_leave(&party, &mut b.ctx());
    assert!(b.heard(ann).is_empty());
}

#[test]
fn what_is_said_of_a_session_is_changed_where_that_is_allowed_but_not_as_whom_it_came() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let name = "wamp.session.modify_details";
    let args = format!("[{},{{\"org\":null,\"size\":3}}]", bob.id);
    assert!(b.asked(ann, name, &json(&args, "{}")).is_none(), "not unless a realm says so");
    b.terms(|terms| terms.modify = true);
    assert!(b.ask(ann, name, &args).expect("changed").args.is_empty());
    let party = b.hub.parties.get(bob.session).expect("there");
    assert_eq!(party.details.last(), Some(&("size".to_owned(), Value::Int(3))));
    assert!(party.attribute("org").is_none());
    for key in ["session", "authid", "authrole", "authmethod", "authprovider", "transport"] {
        let args = format!("[{},{{\"{key}\":\"x\"}}]", bob.id);
        assert_eq!(why(b.ask(ann, name, &args)), "wamp.error.invalid_argument", "{key}");
    }
    let long = format!("[{},{{\"x\":\"{}\"}}]", bob.id, "x".repeat(66_000));
    for wrong in [&long, &format!("[{}]", bob.id), "[1,2]", "[]"] {
        assert_eq!(why(b.ask(ann, name, wrong)), "wamp.error.invalid_argument");
    }
    assert_eq!(why(b.ask(ann, name, "[7,{}]")), "wamp.error.no_such_session");
}

#[test]
fn a_realm_has_the_procedures_that_it_is_told_to_have() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let is_there = |b: &mut Bench, name: &str| b.asked(ann, name, &json("[]", "{}")).is_some();
    assert!(is_there(&mut b, "wamp.session.count") && is_there(&mut b, "wamp.session.kill_all"));
    assert!(!is_there(&mut b, "wamp.session.counts") && !is_there(&mut b, "session.count"));
    b.terms(|terms| terms.kill = false);
    for name in [
        "session.kill",
        "session.kill_all",
        "registration.remove_callee",
        "subscription.remove_subscriber",
    ] {
        assert!(!is_there(&mut b, &format!("wamp.{name}")), "{name}");
    }
    assert!(is_there(&mut b, "wamp.session.count"));
    b.terms(|terms| terms.meta = false);
    assert!(!is_there(&mut b, "wamp.session.count"));
}
