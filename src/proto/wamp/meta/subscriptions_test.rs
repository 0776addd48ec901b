//! Floor 3. What is listened to, and by whom.

use bytes::Bytes;

use super::bench_test::*;
use crate::hub::parties::Mail;
use crate::proto::wamp::options::Matching::{Exact, Prefix, Wildcard};

#[test]
fn subscriptions_are_listed_looked_up_and_matched() {
    let mut b = Bench::new();
    let (ann, dan) = (b.join("ann", "user"), b.join_in(OTHER, "dan", "user"));
    let exact = b.listen(ann, "a.b", Exact);
    let prefix = b.listen(ann, "a", Prefix);
    let wildcard = b.listen(ann, "a.", Wildcard);
    b.listen(dan, "a.b", Exact);
    let list = format!("{{\"exact\":[{exact}],\"prefix\":[{prefix}],\"wildcard\":[{wildcard}]}}");
    assert_eq!(b.told(ann, "wamp.subscription.list", "[]"), list);
    for (args, expected) in [
        ("[\"a.b\"]", exact.to_string()),
        ("[\"a.b\",{\"match\":\"wildcard\"}]", exact.to_string()),
        ("[\"a\",{\"match\":\"prefix\"}]", prefix.to_string()),
        ("[\"a.\",{\"match\":\"wildcard\"}]", wildcard.to_string()),
        ("[\"a.b\",{\"match\":\"prefix\"}]", "null".into()),
        ("[\"a b\"]", "null".into()),
    ] {
        assert_eq!(b.told(ann, "wamp.subscription.lookup", args), expected, "{args}");
    }
    for (uri, expected) in [
        ("a.b", format!("[{exact},{prefix},{wildcard}]")),
        ("a.x", format!("[{prefix},{wildcard}]")),
        ("ab", format!("[{prefix}]")),
        ("b", "null".into()),
        ("a b", "null".into()),
    ] {
        assert_eq!(b.told(ann, "wamp.subscription.match", &format!("[\"{uri}\"]")), expected);
    }
}

#[test]
fn a_subscription_is_described_with_its_listeners() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let dan = b.join_in(OTHER, "dan", "user");
    let id = b.listen(ann, "a.", Wildcard);
    b.listen(bob, "a.", Wildcard);
    let args = format!("[{id}]");
    let about = format!(
        "{{\"id\":{id},\"created\":\"2023-11-14T22:13:20.000Z\",\"uri\":\"a.\",\
         \"match\":\"wildcard\"}}"
    );
    assert_eq!(b.told(ann, "wamp.subscription.get", &args), about);
    let both = format!("[{},{}]", ann.id, bob.id);
    assert_eq!(b.told(ann, "wamp.subscription.list_subscribers", &args), both);
    assert_eq!(b.told(ann, "wamp.subscription.count_subscribers", &args), "2");
    assert_eq!(b.told(ann, "wamp.subscription.count_suscribers", &args), "2");
    for name in ["get", "list_subscribers", "count_subscribers", "remove_subscriber", "get_events"]
    {
        let name = format!("wamp.subscription.{name}");
        for (who, args) in [(ann, "[77,1]"), (dan, &args[..])] {
            assert_eq!(why(b.ask(who, &name, args)), "wamp.error.no_such_subscription");
        }
    }
}

#[test]
fn a_listener_can_be_removed_and_is_told_and_hears_nothing_more() {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let id = b.listen(bob, "a", Prefix);
    let name = "wamp.subscription.remove_subscriber";
    for (args, reason) in [
        (format!("[{id},7]"), "wamp.error.no_such_session"),
        (format!("[{id},{}]", ann.id), "wamp.error.no_such_session"),
        (format!("[{id}]"), "wamp.error.invalid_argument"),
    ] {
        assert_eq!(why(b.ask(ann, name, &args)), reason);
    }
    let args = format!("[{id},{}]", bob.id);
    assert_eq!(why(b.ask_with(ann, name, &args, r#"{"reason":"a b"}"#)), "wamp.error.invalid_uri");
    b.publish("ab", b"1", Bytes::new());
    assert_eq!(b.heard(bob), ["ab 1"]);
    b.ask(ann, name, &args).expect("removed");
    b.publish("ab", b"2", Bytes::new());
    assert!(b.heard(bob).is_empty());
    let reason = Bytes::from_static(b"wamp.close.normal");
    assert_eq!(b.mail(bob), [Mail::Unsubscribed { id: u64::from(id), reason }]);
    assert_eq!(b.hub.subs_len(bob.session), 0);
    assert!(b.hub.interests.is_empty());
}
