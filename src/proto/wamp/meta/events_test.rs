//! Floor 3. What the router tells about what happened.

use bytes::{Bytes, BytesMut};

use super::bench_test::*;
use super::{on_join, on_leave, on_unregistered, on_unsubscribed};
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::calls::{Invoke, Kind};
use crate::proto::Protocol;
use crate::proto::carried::{ARGS, Head, OURS};
use crate::proto::doom::Doom;
use crate::proto::wamp::options::Matching::{Exact, Prefix};
use crate::proto::wamp::peer::Peer;
use crate::value::Form;

fn scene() -> (Bench, Who, Who) {
    let mut b = Bench::new();
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "guest"));
    b.listen(ann, "wamp.", Prefix);
    b.listen(bob, "wamp.", Prefix);
    (b, ann, bob)
}

/// What both hear, without the name that all of it begins with.
fn heard(b: &mut Bench, who: Who) -> Vec<String> {
    b.heard(who).into_iter().map(|it| it.trim_start_matches("wamp.").to_owned()).collect()
}

#[test]
fn who_comes_and_who_goes_is_told_to_all_others() {
    let (mut b, ann, bob) = scene();
    on_join(bob.session, &mut b.ctx());
    let details = b.told(ann, "wamp.session.get", &format!("[{}]", bob.id));
    assert_eq!(heard(&mut b, ann), [format!("session.on_join [{details}]")]);
    let party = b.hub.parties.leave(bob.session).expect("there");
    on_leave(&party, &mut b.ctx());
    assert_eq!(heard(&mut b, ann), [format!("session.on_leave [{},\"bob\",\"guest\"]", bob.id)]);
    assert!(b.heard(bob).is_empty(), "not to itself");
}

#[test]
fn a_subscription_is_made_before_it_is_joined_and_left_before_it_is_gone() {
    let (mut b, ann, bob) = scene();
    let id = b.listen(bob, "a.b", Exact);
    let about = b.told(ann, "wamp.subscription.get", &format!("[{id}]"));
    let name = |what: &str, who: Who| format!("subscription.{what} [{},{id}]", who.id);
    let created = format!("subscription.on_create [{},{about}]", bob.id);
    assert_eq!(heard(&mut b, ann), [created, name("on_subscribe", bob)]);
    b.listen(bob, "a.b", Exact);
    assert!(b.heard(ann).is_empty(), "it listened already");
    b.listen(ann, "a.b", Exact);
    assert_eq!(heard(&mut b, bob), [name("on_subscribe", ann)]);
    for (who, other, told) in [
        (ann, bob, vec![name("on_unsubscribe", ann)]),
        (bob, ann, vec![name("on_unsubscribe", bob), name("on_delete", bob)]),
    ] {
        let left = b.hub.interests.unsubscribe(who.session, id).expect("it listened");
        on_unsubscribed(who.id, REALM, left, &mut b.ctx());
        assert_eq!((heard(&mut b, other), b.heard(who).len()), (told, 0));
    }
}

#[test]
fn a_registration_is_made_before_it_is_joined_and_left_before_it_is_gone() {
    let (mut b, ann, bob) = scene();
    let id = b.offer(bob, "a.b", Kind::Exact, Invoke::First);
    let about = b.told(ann, "wamp.registration.get", &format!("[{id}]"));
    let name = |what: &str, who: Who| format!("registration.{what} [{},{id}]", who.id);
    let created = format!("registration.on_create [{},{about}]", bob.id);
    assert_eq!(heard(&mut b, ann), [created, name("on_register", bob)]);
    b.offer(bob, "a.b", Kind::Exact, Invoke::First);
    assert!(b.heard(ann).is_empty(), "it offered it already");
    b.offer(ann, "a.b", Kind::Exact, Invoke::First);
    assert_eq!(heard(&mut b, bob), [name("on_register", ann)]);
    for (who, other, told) in [
        (ann, bob, vec![name("on_unregister", ann)]),
        (bob, ann, vec![name("on_unregister", bob), name("on_delete", bob)]),
    ] {
        let lost = b.hub.calls.unregister(REALM, who.session, id).expect("it offered it");
        on_unregistered(who.id, REALM, lost, &mut b.ctx());
        assert_eq!((heard(&mut b, other), b.heard(who).len()), (told, 0));
    }
}

#[test]
fn who_is_removed_causes_what_is_told_of_it() {
    let (mut b, ann, bob) = scene();
    let id = b.listen(bob, "a", Exact);
    let offered = b.offer(bob, "a", Kind::Exact, Invoke::Single);
    b.heard(ann);
    let args = format!("[{id},{}]", bob.id);
    b.ask(ann, "wamp.subscription.remove_subscriber", &args).expect("removed");
    let args = format!("[{offered},{}]", bob.id);
    b.ask(ann, "wamp.registration.remove_callee", &args).expect("removed");
    let (gone, lost) = (format!("[{},{id}]", bob.id), format!("[{},{offered}]", bob.id));
    let told = [
        format!("subscription.on_unsubscribe {gone}"),
        format!("subscription.on_delete {gone}"),
        format!("registration.on_unregister {lost}"),
        format!("registration.on_delete {lost}"),
    ];
    assert_eq!((heard(&mut b, ann), b.heard(bob).len()), (told.to_vec(), 0));
}

#[test]
fn nothing_is_told_of_those_who_listen_to_what_is_told() {
    let (mut b, ann, bob) = scene();
    let id = b.listen(bob, "wamp.session.on_join", Exact);
    let left = b.hub.interests.unsubscribe(bob.session, id).expect("it listened");
    on_unsubscribed(bob.id, REALM, left, &mut b.ctx());
    assert!(b.heard(ann).is_empty());
    b.listen(bob, "wamp", Prefix);
    assert_eq!(b.heard(ann).len(), 2, "that is about others too");
}

#[test]
fn an_event_is_a_publication_like_any_other_with_a_number_of_its_own() {
    let (mut b, ann, bob) = scene();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        on_join(bob.session, &mut b.ctx());
        let d = b.hub.next(b.now, ann.session).expect("told");
        let head = Head::of(&d.message.props).expect("with arguments");
        assert_eq!((head.form, head.flags, d.qos), (Form::Json, ARGS | OURS, 0));
        numbers.push(head.number);
    }
    assert_ne!(numbers[0], numbers[1]);
}

#[test]
fn a_realm_hears_only_of_itself_and_only_if_it_is_told() {
    let (mut b, ann, bob) = scene();
    let dan = b.join_in(OTHER, "dan", "user");
    on_join(dan.session, &mut b.ctx());
    assert!(b.heard(ann).is_empty() && b.heard(bob).is_empty());
    b.terms(|terms| terms.meta = false);
    on_join(bob.session, &mut b.ctx());
    assert!(b.heard(ann).is_empty());
}

#[test]
fn what_nobody_listens_to_is_not_written_and_what_has_no_room_is_counted() {
    let limits = Limits { memory_bytes_max: 10_000, ..Limits::default() };
    let mut b = Bench::bounded(limits);
    let (ann, bob) = (b.join("ann", "user"), b.join("bob", "user"));
    let before = b.hub.parties.number();
    on_join(bob.session, &mut b.ctx());
    assert_eq!(b.hub.stats.get(Counter::PayloadReceived), 0);
    assert_ne!(before, b.hub.parties.number());
    b.listen(ann, "wamp.session.on_join", Exact);
    let weight = b.hub.store(9_900).expect("room");
    on_join(bob.session, &mut b.ctx());
    assert_eq!((b.heard(ann).len(), b.hub.stats.get(Counter::DroppedFull)), (0, 1));
    drop(weight);
    on_join(bob.session, &mut b.ctx());
    assert_eq!(b.heard(ann).len(), 1);
    b.publish("wamp.session.on_join", b"x", Bytes::new());
}

#[test]
fn where_everybody_goes_nobody_is_told_and_nothing_is_said_for_anybody() {
    for (doom, told) in [(Doom::Stopping, 0), (Doom::Eof, 2)] {
        let mut b = Bench::new();
        let ann = b.join("ann", "user");
        b.listen(ann, "wamp.session.on_leave", Exact);
        b.listen(ann, "t", Exact);
        let mut peer = Peer::carried(crate::link::Carrier::Raw, b.now, &b.hub);
        let mut input = BytesMut::from(&[0x7f, 0xf1, 0, 0][..]);
        for text in [
            r#"[1,"default",{"roles":{"caller":{}}}]"#,
            r#"[48,1,{},"wamp.session.add_testament",["t",[],{}]]"#,
        ] {
            input.extend_from_slice(&[0, 0, 0, text.len() as u8]);
            input.extend_from_slice(text.as_bytes());
        }
        for _ in 0..3 {
            peer.on_bytes(&mut input, &mut b.ctx()).expect("no fault");
        }
        let party = peer.session().and_then(|session| b.hub.parties.get(session));
        assert_eq!(party.map(|party| party.testaments.len()), Some(1));
        peer.on_doom(&doom, &mut b.ctx());
        assert_eq!(b.heard(ann).len(), told, "{doom:?}");
    }
}
