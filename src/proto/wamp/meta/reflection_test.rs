//! Floor 3. What names mean, as somebody who knows says.

use super::bench_test::*;
use super::on_leave;
use crate::base::limits::Limits;
use crate::hub::calls::{Invoke, Kind};
use crate::proto::wamp::options::Matching::{Exact, Prefix};

#[test]
fn what_there_is_is_listed() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    b.offer(ann, "a.b", Kind::Exact, Invoke::Single);
    b.listen(ann, "c.", Prefix);
    assert_eq!(b.told(ann, "wamp.reflection.procedure.list", "[]"), "[\"a.b\"]");
    assert_eq!(b.told(ann, "wamp.reflection.topic.list", "[]"), "[\"c.\"]");
    let errors = b.told(ann, "wamp.reflection.error.list", "[]");
    assert!(errors.contains("\"wamp.error.invalid_uri\"") && !errors.contains("wamp.close"));
}

#[test]
fn what_nobody_described_is_told_as_far_as_it_is_known() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let id = b.offer(ann, "a", Kind::Exact, Invoke::Single);
    let about = b.told(ann, "wamp.registration.get", &format!("[{id}]"));
    let name = "wamp.reflection.procedure.describe";
    assert_eq!(b.told(ann, name, "[\"a\"]"), about);
    assert_eq!(b.told(ann, name, "[\"b\"]"), "null");
    let id = b.listen(ann, "a", Exact);
    let about = b.told(ann, "wamp.subscription.get", &format!("[{id}]"));
    let name = "wamp.reflection.topic.describe";
    assert_eq!(b.told(ann, name, "[\"a\"]"), about);
    assert_eq!(b.told(ann, name, "[\"b\"]"), "null");
    b.ask(ann, "wamp.reflect.define", "[\"a\",{\"x\":1}]").expect("defined");
    for name in [
        "reflection.procedure.describe",
        "reflection.topic.describe",
        "reflection.error.describe",
        "reflect.describe",
    ] {
        assert_eq!(b.told(ann, &format!("wamp.{name}"), "[\"a\"]"), "{\"x\":1}", "{name}");
    }
}

#[test]
fn what_is_said_of_a_name_is_told_and_taken_back_and_goes_with_who_said_it() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    b.listen(ann, "wamp.reflect.", Prefix);
    b.listen(bob, "wamp.reflect.", Prefix);
    b.ask(bob, "wamp.reflect.define", "[\"a\",{\"x\":1}]").expect("defined");
    b.ask(bob, "wamp.reflect.define", "[\"b\",2]").expect("defined");
    b.ask(bob, "wamp.reflect.define", "[\"c\",3]").expect("defined");
    b.ask(bob, "wamp.reflect.undefine", "[\"b\"]").expect("taken back");
    b.ask(bob, "wamp.reflect.undefine", "[\"b\"]").expect("was not there");
    b.ask(bob, "wamp.reflect.define", "[\"c\",null]").expect("taken back");
    let told = [
        "on_define [\"a\",{\"x\":1}]",
        "on_define [\"b\",2]",
        "on_define [\"c\",3]",
        "on_undefine [\"b\"]",
        "on_undefine [\"c\"]",
    ];
    assert_eq!(b.heard(ann), told.map(|it| format!("wamp.reflect.{it}")));
    assert!(b.heard(bob).is_empty(), "not to itself");
    assert_eq!(b.told(ann, "wamp.reflect.describe", "[\"b\"]"), "null");
    b.ask(ann, "wamp.reflect.define", "[\"d\",4]").expect("defined");
    let party = b.hub.parties.leave(bob.session).expect("there");
    on_leave(&party, &mut b.ctx());
    assert_eq!(b.heard(ann), ["wamp.reflect.on_undefine [\"a\"]"]);
    assert_eq!(b.told(ann, "wamp.reflect.describe", "[\"a\"]"), "null");
    assert_eq!(b.told(ann, "wamp.reflect.describe", "[\"d\"]"), "4");
}

#[test]
fn only_good_names_are_described_and_not_at_any_length_and_not_all_of_them() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let name = "wamp.reflect.define";
    for wrong in ["[\"a b\",1]", "[\"wamp.x\",1]"] {
        assert_eq!(why(b.ask(ann, name, wrong)), "wamp.error.invalid_uri");
    }
    let long = format!("[\"a\",\"{}\"]", "x".repeat(16_384));
    for wrong in ["[]", "[1,2]", &long] {
        assert_eq!(why(b.ask(ann, name, wrong)), "wamp.error.invalid_argument");
    }
    for n in 0..1_024 {
        b.ask(ann, name, &format!("[\"a{n}\",1]")).expect("defined");
    }
    assert_eq!(why(b.ask(ann, name, "[\"b\",1]")), "wamp.error.unavailable");
    b.ask(ann, name, "[\"a7\",2]").expect("it is there already");
    assert_eq!(b.told(ann, "wamp.reflect.describe", "[\"a7\"]"), "2");
    let mut b = Bench::bounded(Limits { memory_bytes_max: 10_000, ..Limits::default() });
    let ann = b.join("ann", "user");
    let _weight = b.hub.store(5_100).expect("room");
    assert_eq!(why(b.ask(ann, name, "[\"b\",1]")), "wamp.error.unavailable");
}
