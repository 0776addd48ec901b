//! Floor 3. What can be called, and by whom it is answered.

use bytes::Bytes;

use super::bench_test::*;
use crate::hub::calls::{Invoke, Kind};
use crate::hub::parties::Mail;

#[test]
fn registrations_are_listed_looked_up_and_matched() {
    let mut b = Bench::new();
    let ann = b.join("ann", "user");
    let exact = b.offer(ann, "a.b", Kind::Exact, Invoke::Single);
    let prefix = b.offer(ann, "a", Kind::Prefix, Invoke::Single);
    let wildcard = b.offer(ann, "a..c", Kind::Wildcard, Invoke::Single);
    let dan = b.join_in(OTHER, "dan", "user");
    let list = format!("{{\"exact\":[{exact}],\"prefix\":[{prefix}],\"wildcard\":[{wildcard}]}}");
    assert_eq!(b.told(ann, "wamp.registration.list", "[]"), list);
    assert_eq!(
        b.told(dan, "wamp.registration.list", "[]"),
        r#"{"exact":[],"prefix":[],"wildcard":[]}"#
    );
    let after = format!("{{\"after\":{prefix}}}");
    let rest = b.ask_with(ann, "wamp.registration.list", "[]", &after).expect("a list");
    assert_eq!(
        said(&rest.args[0]),
        format!("{{\"exact\":[],\"prefix\":[],\"wildcard\":[{wildcard}]}}")
    );
    for (args, expected) in [
        ("[\"a.b\"]", exact.to_string()),
        ("[\"a\",{\"match\":\"prefix\"}]", prefix.to_string()),
        ("[\"a..c\",{\"match\":\"wildcard\"}]", wildcard.to_string()),
        ("[\"a\",{}]", "null".into()),
        ("[\"a\",null]", "null".into()),
    ] {
        assert_eq!(b.told(ann, "wamp.registration.lookup", args), expected, "{args}");
    }
    for (uri, expected) in
        [("a.b", exact.to_string()), ("a.x.c", prefix.to_string()), ("x", "null".into())]
    {
        assert_eq!(b.told(ann, "wamp.registration.match", &format!("[\"{uri}\"]")), expected);
    }
    for wrong in [
        "[]",
        "[5]",
        "[\"a\",{\"match\":\"fuzzy\"}]",
        "[\"a\",\"prefix\"]",
        "[\"a\",{\"match\":5}]",
    ] {
        let answer = b.ask(ann, "wamp.registration.lookup", wrong);
        assert_eq!(why(answer), "wamp.error.invalid_argument", "{wrong}");
    }
}

#[test]
fn a_registration_is_described_with_its_callees() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let dan = b.join_in(OTHER, "dan", "user");
    let id = b.offer(bob, "a.b", Kind::Exact, Invoke::Roundrobin);
    b.offer(ann, "a.b", Kind::Exact, Invoke::Roundrobin);
    let args = format!("[{id}]");
    let about = format!(
        "{{\"id\":{id},\"created\":\"2023-11-14T22:13:20.000Z\",\"uri\":\"a.b\",\
         \"match\":\"exact\",\"invoke\":\"roundrobin\"}}"
    );
    assert_eq!(b.told(ann, "wamp.registration.get", &args), about);
    let both = format!("[{},{}]", bob.id, ann.id);
    assert_eq!(b.told(ann, "wamp.registration.list_callees", &args), both, "as they came");
    assert_eq!(b.told(ann, "wamp.registration.count_callees", &args), "2");
    for name in ["get", "list_callees", "count_callees", "remove_callee"] {
        let name = format!("wamp.registration.{name}");
        for who in [ann, dan] {
            let args = if who.id == ann.id { "[77,1]" } else { &args };
            assert_eq!(why(b.ask(who, &name, args)), "wamp.error.no_such_registration");
        }
        assert_eq!(why(b.ask(ann, &name, "[\"x\"]")), "wamp.error.invalid_argument");
    }
}

#[test]
fn a_callee_can_be_removed_and_is_told() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let id = b.offer(bob, "a.b", Kind::Exact, Invoke::Single);
    let name = "wamp.registration.remove_callee";
    for (args, reason) in [
        (format!("[{id},7]"), "wamp.error.no_such_session"),
        (format!("[{id},{}]", ann.id), "wamp.error.no_such_session"),
        (format!("[{id}]"), "wamp.error.invalid_argument"),
    ] {
        assert_eq!(why(b.ask(ann, name, &args)), reason);
    }
    let args = format!("[{id},{}]", bob.id);
    assert_eq!(why(b.ask_with(ann, name, &args, r#"{"reason":"a b"}"#)), "wamp.error.invalid_uri");
    assert_eq!(b.hub.calls.best(REALM, b"a.b"), Some(id), "nothing happened yet");
    b.ask_with(ann, name, &args, r#"{"reason":"com.example.why"}"#).expect("removed");
    let reason = Bytes::from_static(b"com.example.why");
    assert_eq!(b.mail(bob), [Mail::Unregistered { id, reason }]);
    assert_eq!(b.hub.calls.best(REALM, b"a.b"), None);
    assert_eq!(why(b.ask(ann, name, &args)), "wamp.error.no_such_registration");
}
