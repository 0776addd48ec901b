//! Floor 2. Whose a session is: in every state and in every way that somebody could ask for it.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::topic::{Dialect, Filter, Match, Star};

use super::bench_test::Bench;
use super::policy::{Access, Admit, Claim, Login, Open, Policy, Principal, Refusal};
use super::registry::{Attach, Fresh, NoSession};
use super::session::Will;

fn acts_for(user: &'static str) -> impl Fn(&mut Attach) {
    move |a| {
        let who = Arc::make_mut(&mut a.principal);
        (who.user, who.client_id) = (user.into(), a.name.clone());
    }
}

fn will() -> Will {
    let star = Star { levels_max: 16 };
    Will {
        topic: star.topic(&Bytes::from_static(b"a/will")).expect("a topic"),
        body: Bytes::from_static(b"gone"),
        props: Bytes::new(),
        qos: 1,
        retain: false,
        expiry_s: 0,
        delay_s: 0,
    }
}

#[test]
fn a_session_stays_with_its_user() {
    let mut b = Bench::new(Limits::default());
    let refused = |b: &mut Bench, change: &dyn Fn(&mut Attach)| {
        for user in ["", "mallory"] {
            let mut ask = b.ask("x");
            acts_for(user)(&mut ask);
            change(&mut ask);
            assert_eq!(b.hub.attach(b.now, ask), Err(NoSession::Anothers), "{user:?}");
        }
    };
    let in_every_way = |b: &mut Bench| {
        refused(b, &|_| ());
        refused(b, &|a| a.durable = false);
        refused(b, &|a| a.fresh = Fresh::All);
        refused(b, &|a| a.will = Some(will()));
    };
    // While nothing but its connection holds it.
    let brief = b.client("x", |a| {
        acts_for("ann")(a);
        a.durable = false;
    });
    in_every_way(&mut b);
    b.leave(brief.session);
    let ann = b.client("x", acts_for("ann"));
    assert!(!ann.present && ann.yielding.is_none(), "what was not durable is gone");
    b.subscribe(ann.session, "a", 1);
    b.publish("a", b"one", 1, false);
    in_every_way(&mut b);
    assert_eq!(b.take_and_settle(ann.session).len(), 1, "its owner is at work");
    // While nobody is connected to it.
    b.leave(ann.session);
    b.publish("a", b"two", 1, false);
    in_every_way(&mut b);
    // And when it comes back from the disk.
    b.pump();
    let mut b = b.restart();
    in_every_way(&mut b);
    let back = b.client("x", acts_for("ann"));
    assert!(back.present && back.yielding.is_none());
    b.pump();
    assert_eq!(b.take_and_settle(back.session).len(), 1, "and its messages are");
}

#[test]
fn a_session_whose_user_is_gone_is_in_nobodys_way() {
    let mut b = Bench::new(Limits::default());
    let ann = b.client("x", acts_for("ann"));
    b.subscribe(ann.session, "a", 1);
    b.hub.policy = Box::new(Without("ann"));
    let bob = b.client("x", acts_for("bob"));
    assert!(bob.yielding.is_some() && !bob.present, "it is not handed over either");
    assert!(b.hub.session(ann.session).is_none());
}

/// As if everybody were welcome but one.
struct Without(&'static str);

impl Policy for Without {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        Open.admit(now, login)
    }
    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        Open.verified(now, claim, ok)
    }
    fn permit(&mut self, who: &Principal, access: &Access<'_>) -> bool {
        Open.permit(who, access)
    }
    fn explain(&self, who: &Principal, access: &Access<'_>) -> String {
        Open.explain(who, access)
    }
    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Open.recall(user).filter(|_| *user != self.0)
    }
}

#[test]
fn filters_of_a_session_that_ends_are_cut_bit_by_bit_and_nobody_notices() {
    let mut b = Bench::new(Limits::default());
    let deep = |n: usize| format!("{n:03}{}", "/x".repeat(14));
    let many = b.client("many", |a| a.durable = false).session;
    for n in 0..200 {
        b.subscribe(many, &deep(n), 1);
    }
    let filters = |b: &Bench| {
        let topics = &b.hub.realm(crate::base::id::RealmId(0)).expect("a realm").topics;
        (topics.len(), topics.weight())
    };
    let all = filters(&b).1;
    b.leave(many);
    assert!(filters(&b).1 > all / 2, "most of them are still there");
    assert!(b.hub.is_overgrown());
    assert_eq!(b.hub.subscriptions_len().0, 0);
    assert_eq!(b.publish(&deep(7), b"x", 1, false).matched, 0, "and nobody is there");
    // Somebody comes to one that is bare, and another goes again before it is cut.
    let other = b.client("other", |_| ()).session;
    b.subscribe(other, &deep(7), 1);
    b.subscribe(other, &deep(8), 1);
    let none = b.hub.unsubscribe(b.now, other, &filter(&deep(8)), None);
    assert!(matches!(none, Ok(Some(_))));
    let mut turns = 0;
    while b.hub.is_overgrown() {
        let before = filters(&b).1;
        b.hub.prune_some();
        assert!(before - filters(&b).1 < all, "not all at once");
        turns += 1;
    }
    assert!(turns > 1 || all < 1_024, "{turns} for {all}");
    assert_eq!(filters(&b).0, 1);
    assert_eq!(b.publish(&deep(7), b"x", 1, false).matched, 1);
    b.leave(other);
    assert_eq!(
        b.hub.unsubscribe(b.now, other, &filter(&deep(7)), None).map(|r| r.is_some()),
        Ok(true)
    );
    assert_eq!(filters(&b), (0, 0), "the last one out has put out the light");
}

#[test]
fn however_many_filters_a_session_has_a_turn_steps_out_of_few_of_them() {
    let mut b = Bench::new(Limits::default());
    let many = b.client("many", |a| a.durable = false).session;
    (0..900).for_each(|n| b.subscribe(many, &format!("{n}"), 0));
    let there = |b: &Bench| {
        let topics = &b.hub.realm(crate::base::id::RealmId(0)).expect("a realm").topics;
        (0..900)
            .filter(|n| {
                let leaf = topics.find(&filter(&n.to_string())).and_then(|leaf| topics.leaf(leaf));
                leaf.is_some_and(|members| !members.is_empty())
            })
            .count()
    };
    let full = b.hub.filters_heap();
    b.leave(many);
    let mut before = there(&b);
    assert!(before > 800, "{before} left");
    assert!(b.hub.filters_heap() > full - (20 << 10), "what it takes counts until it is cut");
    while b.hub.is_overgrown() {
        b.hub.prune_some();
        let now = there(&b);
        assert!(before - now <= 128, "{before} before, {now} now");
        before = now;
    }
    assert_eq!(before, 0);
    assert!(b.hub.filters_heap() < full / 2);
}

#[test]
fn filters_of_groups_are_cut_bit_by_bit_too() {
    let mut b = Bench::new(Limits::default());
    let many = b.client("many", |a| a.durable = false).session;
    let group = Bytes::from_static(b"g");
    for n in 0..200 {
        let filter = filter(&format!("{n}{}", "/x".repeat(14)));
        let opts = crate::hub::session::SubOpts::default();
        let never = crate::hub::subscribe::Replays::Never;
        b.hub.subscribe(b.now, many, &filter, Some(&group), opts, never).expect("room");
    }
    let weight =
        |b: &Bench| b.hub.realm(crate::base::id::RealmId(0)).expect("a realm").shared.weight();
    let mut before = weight(&b);
    b.leave(many);
    loop {
        let now = weight(&b);
        assert!(before - now < 300, "{before} before, {now} now");
        before = now;
        if !b.hub.is_overgrown() {
            break;
        }
        b.hub.prune_some();
    }
    assert_eq!(before, 0);
    // In another turn, who leaves little is cleared away at once.
    let few = b.client("few", |a| a.durable = false).session;
    (0..3).for_each(|n| b.subscribe(few, &format!("{n}"), 0));
    b.leave(few);
    assert!(!b.hub.is_overgrown());
}

#[test]
fn many_who_shared_filters_go_and_who_stays_stands_where_it_thinks() {
    let mut b = Bench::new(Limits::default());
    let all: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| b.client(name, |_| ()).session).into();
    for n in 0..40 {
        all.iter().for_each(|id| b.subscribe(*id, &format!("{n}"), 1));
    }
    // Those in the middle go, the others are moved to where they were, and so is who is gone.
    for gone in [1, 3, 0] {
        b.hub.forget(b.now, all[gone]);
    }
    let (stays, leaves) = (all[4], all[2]);
    for n in 0..40 {
        let gone = b.hub.unsubscribe(b.now, leaves, &filter(&n.to_string()), None);
        assert!(matches!(gone, Ok(Some(_))));
        b.hub.prune_some();
        assert_eq!(b.publish(&n.to_string(), b"x", 1, false).matched, 1);
    }
    while b.hub.is_overgrown() {
        b.hub.prune_some();
    }
    let s = b.hub.session(stays).expect("who stays");
    let topics = &b.hub.realm(crate::base::id::RealmId(0)).expect("a realm").topics;
    assert_eq!(s.subs.len(), 40);
    for sub in &s.subs {
        let members = topics.leaf(sub.leaf).expect("a leaf");
        assert_eq!(members.iter().map(|m| m.session).collect::<Vec<_>>(), [stays]);
        assert_eq!(sub.slot, 0);
    }
}

#[test]
fn who_comes_after_a_session_of_many_filters_only_appends_to_its_list() {
    let mut b = Bench::new(Limits::default());
    let many = b.client("many", |a| a.durable = false).session;
    for n in 0..200 {
        b.subscribe(many, &format!("before/{n}"), 0);
    }
    b.leave(many);
    while b.hub.is_overgrown() {
        b.hub.prune_some();
    }
    let next = b.client("next", |_| ()).session;
    for n in 0..200 {
        let text = format!("after/{n}");
        b.subscribe(next, &text, 0);
        let topics = &b.hub.realm(crate::base::id::RealmId(0)).expect("a realm").topics;
        let last = b.hub.session(next).and_then(|s| s.subs.last()).map(|sub| sub.leaf);
        assert_eq!(topics.find(&filter(&text)), last, "the {n}th moves all that came before");
    }
}

#[test]
fn whoever_is_handed_a_session_can_ask_for_it_by_its_number() {
    let mut b = Bench::new(Limits::default());
    let all = ["a", "b", "c"].map(|name| b.client(name, |_| ()).session);
    assert_eq!(all.map(|id| b.hub.session(id).map(|s| s.id)), all.map(Some));
}

fn filter(text: &str) -> Filter {
    let star = Star { levels_max: 16 };
    star.filter(&Bytes::copy_from_slice(text.as_bytes()), Match::Native).expect("a filter")
}
