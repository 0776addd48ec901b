//! Floor 2. What is remembered for long is remembered after a restart, and nothing else is.

use bytes::Bytes;

use super::audience::{Audience, List};
use super::calls::Kind;
use super::hub_test::*;
use super::message::{Durability, Publication};
use super::parties_test::{joining, session};
use super::realm::{Remembered, Terms};
use super::registry::Fresh;
use crate::base::id::RealmId;
use crate::base::limits::Limits;
use crate::journal::memory::Memory;
use crate::topic::{Dialect, Match};

/// Pattern, how many, whether for long.
type Plan<'a> = &'a [(&'a str, usize, bool)];

fn limits() -> Limits {
    Limits { segment_bytes: 64 << 10, ..Limits::default() }
}

fn terms(plan: Plan<'_>) -> Terms {
    let one = |(pattern, limit, lasting): &(&str, usize, bool)| {
        let pattern = Bytes::copy_from_slice(pattern.as_bytes());
        let filter = STAR.filter(&pattern, Match::Native).expect("filter");
        Remembered { pattern, kind: Kind::Exact, filter, limit: *limit, lasting: *lasting }
    };
    Terms { histories: plan.iter().map(one).collect(), ..Terms::default() }
}

/// The first realm that is named has these terms.
fn over(disk: Memory, limits: Limits, realms: &[&str], plan: Plan<'_>) -> Bench {
    Bench::with_realms(disk, limits, realms, |hub, now| {
        let realm = hub.realm_named("a").expect("open");
        hub.tell_realm(now, realm, terms(plan));
    })
}

fn again(b: Bench, realms: &[&str], plan: Plan<'_>) -> Bench {
    over(Memory::holding(b.disk.image()), b.hub.limits, realms, plan)
}

fn realm(b: &Bench) -> RealmId {
    b.hub.realm_named("a").expect("open")
}

fn say(b: &mut Bench, topic: &str, body: &[u8], level: Durability) {
    let p = Publication { realm: realm(b), ..Bench::publication(topic, body, 0, false) };
    b.hub.publish(b.now, None, level, &p).expect("room");
    b.pump();
}

fn past(b: &Bench, pattern: &str) -> Vec<String> {
    let pattern = Bytes::copy_from_slice(pattern.as_bytes());
    let id = b.hub.interests.lookup(realm(b), Kind::Exact, &pattern).expect("it stands");
    let all = b.hub.history(realm(b), u64::from(id)).expect("remembered");
    all.map(|past| String::from_utf8_lossy(&past.body).into_owned()).collect()
}

const REALMS: &[&str] = &["default", "a"];

#[test]
fn the_newest_of_a_lasting_history_are_there_after_a_restart() {
    let plan: Plan<'_> = &[("t", 3, true), ("*", 4, true), ("u", 9, false)];
    let mut b = over(Memory::default(), limits(), REALMS, plan);
    for n in 0..6 {
        say(&mut b, "t", n.to_string().as_bytes(), Durability::Disk);
        say(&mut b, "u", n.to_string().as_bytes(), Durability::Os);
    }
    let before = [past(&b, "t"), past(&b, "*")];
    assert_eq!(before, [vec!["3", "4", "5"], vec!["4", "4", "5", "5"]]);
    let mut b = again(b, &["default", "b", "a"], plan);
    assert_eq!([past(&b, "t"), past(&b, "*")], before);
    assert!(past(&b, "u").is_empty(), "it is not for long");
    say(&mut b, "t", b"6", Durability::Disk);
    assert_eq!(past(&b, "t"), ["4", "5", "6"]);
    let b = again(b, REALMS, &[("t", 2, true)]);
    assert_eq!(past(&b, "t"), ["5", "6"], "as many as the terms say now");
    let b = again(b, REALMS, &[("t", 9, false)]);
    assert!(past(&b, "t").is_empty(), "the terms do not say so any more");
}

#[test]
fn a_history_has_what_was_said_in_its_own_realm() {
    let plan: Plan<'_> = &[("t", 9, true)];
    let all = |disk, realms: &[&str]| {
        Bench::with_realms(disk, limits(), realms, |hub, now| {
            for name in ["a", "b", "default"] {
                let realm = hub.realm_named(name).expect("open");
                hub.tell_realm(now, realm, terms(plan));
            }
        })
    };
    let mut b = all(Memory::default(), &["default", "a", "b"]);
    for name in ["b", "a", "default"] {
        let realm = b.hub.realm_named(name).expect("open");
        let p = Publication { realm, ..Bench::publication("t", name.as_bytes(), 0, false) };
        b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    }
    b.pump();
    let b = all(Memory::holding(b.disk.image()), &["default", "b", "a"]);
    for name in ["b", "a", "default"] {
        let realm = b.hub.realm_named(name).expect("open");
        let id = b.hub.interests.lookup(realm, Kind::Exact, &Bytes::from_static(b"t"));
        let all = b.hub.history(realm, u64::from(id.expect("stands"))).expect("remembered");
        assert!(all.map(|past| &past.body[..]).eq([name.as_bytes()]), "{name}");
    }
}

#[test]
fn what_is_published_in_memory_only_is_remembered_there_only() {
    let mut b = over(Memory::default(), limits(), REALMS, &[("t", 9, true)]);
    say(&mut b, "t", b"gone", Durability::Memory);
    say(&mut b, "t", b"stays", Durability::Os);
    assert_eq!(past(&b, "t"), ["gone", "stays"]);
    let b = again(b, REALMS, &[("t", 9, true)]);
    assert_eq!(past(&b, "t"), ["stays"]);
}

#[test]
fn its_number_and_for_whom_it_was_are_on_record_too() {
    let mut b = over(Memory::default(), limits(), REALMS, &[("t", 9, true)]);
    let list = |attribute: &str, eligible, value: &'static str| List {
        attribute: attribute.into(),
        eligible,
        values: vec![value.into(), "other".into()],
    };
    let lists = vec![list("authrole", true, "user"), list("authid", false, "nobody")];
    let audience = Audience { lists, ..Audience::default() };
    let from = b.attach("p", Fresh::No).session;
    let who = b.hub.session(from).expect("here").principal().clone();
    let mut p = Publication { realm: realm(&b), ..Bench::publication("t", b"x", 0, false) };
    b.hub.accept_for(b.now, (from, &who), Durability::Disk, &mut p, audience).expect("room");
    b.pump();
    let found = |b: &Bench| {
        let id = b.hub.interests.lookup(realm(b), Kind::Exact, &Bytes::from_static(b"t"));
        let mut all = b.hub.history(realm(b), u64::from(id.expect("stands"))).expect("remembered");
        all.next().cloned().expect("one")
    };
    let before = found(&b);
    let mut b = again(b, REALMS, &[("t", 9, true)]);
    let after = found(&b);
    assert_eq!((after.number, after.at), (before.number, before.at));
    let place = realm(&b);
    b.hub.parties.join(joining(1, session(70), place, "user"));
    b.hub.parties.join(joining(2, session(71), place, "guest"));
    let party = |id| b.hub.parties.numbered(place, id).expect("there");
    assert_eq!((after.is_for(party(1)), after.is_for(party(2))), (true, false));
}

#[test]
fn one_record_says_that_it_is_remembered_kept_and_owed() {
    let mut b = over(Memory::default(), limits(), REALMS, &[("t", 9, true)]);
    let place = realm(&b);
    let came = b.client("x", |a| a.realm = place).session;
    b.subscribe(came, "t", 1);
    b.detach(came);
    let before = b.hub.journal().expect("one").tally().records;
    let p = Publication { realm: place, ..Bench::publication("t", b"all", 1, true) };
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    b.pump();
    assert_eq!(b.hub.journal().expect("one").tally().records, before + 1);
    let mut b = again(b, REALMS, &[("t", 9, true)]);
    assert_eq!(past(&b, "t"), ["all"]);
    let place = realm(&b);
    let back = b.client("x", |a| a.realm = place);
    assert!(back.present);
    assert_eq!(bodies(&b.take_and_settle(back.session)), ["all"]);
    let new = b.client("y", |a| a.realm = place).session;
    b.subscribe(new, "t", 1);
    assert_eq!(bodies(&b.take(new)), ["all"], "kept");
}

#[test]
fn what_is_remembered_is_carried_forward_and_what_is_not_goes() {
    let plan: Plan<'_> = &[("t", 5, true), ("*", 6, true)];
    let mut b = over(Memory::default(), limits(), REALMS, plan);
    let body = |n: usize| format!("{n}{}", " ".repeat(400));
    for n in 0..20 {
        say(&mut b, "t", body(n).as_bytes(), Durability::Disk);
    }
    let filler = |b: &mut Bench| {
        let first = b.hub.journal().expect("one").head_segment();
        for n in 0..1_000 {
            b.publish("u", body(n).as_bytes(), 1, true);
            b.pump();
        }
        assert!(b.hub.journal().expect("one").head_segment() > first + 2, "the head went");
    };
    filler(&mut b);
    let expected: Vec<String> = (15..20).map(body).collect();
    assert_eq!(past(&b, "t"), expected);
    let mut b = again(b, REALMS, plan);
    assert_eq!(past(&b, "t"), expected);
    filler(&mut b);
    let mut b = again(b, &["default", "b", "a"], plan);
    assert_eq!(past(&b, "t"), expected);
    assert_eq!(past(&b, "*").len(), 6);
    // Nothing of it keeps the journal from ending small.
    let place = realm(&b);
    b.hub.tell_realm(b.now, place, Terms::default());
    filler(&mut b);
    assert!(b.hub.journal().expect("one").tally().refs < 10);
}

#[test]
fn a_realm_left_out_for_a_while_remembers_when_it_is_back() {
    let plan: Plan<'_> = &[("t", 3, true)];
    let mut b = over(Memory::default(), limits(), REALMS, plan);
    say(&mut b, "t", b"1", Durability::Disk);
    for _ in 0..2 {
        b = Bench::with_realms(
            Memory::holding(b.disk.image()),
            limits(),
            &["default", "b"],
            |hub, now| {
                let realm = hub.realm_named("b").expect("open");
                hub.tell_realm(now, realm, terms(plan));
            },
        );
        assert_eq!(b.hub.realm_named("a"), None);
        let place = b.hub.realm_named("b").expect("open");
        let id = b.hub.interests.lookup(place, Kind::Exact, &Bytes::from_static(b"t"));
        let mut all = b.hub.history(place, u64::from(id.expect("it stands"))).expect("one");
        assert_eq!(all.next().map(|past| past.number), None, "it is not another's");
    }
    let b = again(b, REALMS, plan);
    assert_eq!(past(&b, "t"), ["1"]);
}

#[test]
fn what_several_histories_remember_is_copied_once() {
    let plan: Plan<'_> = &[("t", 9, true), ("*", 9, true)];
    let (names, body) = (&["default", "a", "b", "c"][..], [b'x'; 1_000]);
    let all = |disk| {
        Bench::with_realms(disk, limits(), names, |hub, now| {
            for name in ["a", "b", "c"] {
                let realm = hub.realm_named(name).expect("open");
                hub.tell_realm(now, realm, terms(plan));
            }
        })
    };
    let mut b = all(Memory::default());
    say(&mut b, "t", &body, Durability::Disk);
    // A note may come later that says whose it is: any of them may want it.
    let fresh = all(Memory::default());
    let mut told = super::recover::Recovery::new(7, &fresh.hub);
    let mut disk = Memory::holding(b.disk.image());
    let options = crate::journal::Options { segment_bytes: 64 << 10, salt: 1, salvage: false };
    crate::journal::Journal::recover(&mut disk, options, &mut |spot, record| {
        told.apply(spot.lsn, spot.len, record);
    })
    .expect("whole");
    assert_eq!(told.pasts_copied(), 1);
    let b = all(Memory::holding(b.disk.image()));
    assert_eq!([past(&b, "t").len(), past(&b, "*").len()], [1, 1]);
    assert!(b.hub.memory_stored() < 2 * body.len(), "and weighs what one does");
}

#[test]
fn many_records_of_what_is_not_remembered_any_more_are_not_held_while_they_are_read() {
    let mut b = over(Memory::default(), limits(), REALMS, &[("t", 2, true)]);
    b.publish("hold", b"x", 1, true);
    for n in 0..200 {
        say(&mut b, "t", n.to_string().as_bytes(), Durability::Disk);
    }
    let mut told = super::recover::Recovery::new(7, &b.hub);
    let mut disk = Memory::holding(b.disk.image());
    let options = crate::journal::Options { segment_bytes: 64 << 10, salt: 1, salvage: false };
    let mut most = 0;
    crate::journal::Journal::recover(&mut disk, options, &mut |spot, record| {
        told.apply(spot.lsn, spot.len, record);
        most = most.max(told.pasts_held());
    })
    .expect("whole");
    assert_eq!(most, 2);
}

#[test]
fn a_full_journal_holds_a_publisher_up_and_remembers_nothing_twice() {
    let mut b = over(Memory::default(), limits(), REALMS, &[("t", 10_000, true)]);
    let body = vec![b'x'; 1_000];
    let p = Publication { realm: realm(&b), ..Bench::publication("t", &body, 0, false) };
    // Nobody performs what the disk is asked for: room ends.
    let mut done = 0;
    while b.hub.publish(b.now, None, Durability::Disk, &p).is_ok() {
        done += 1;
    }
    assert!((10..1_000).contains(&done), "{done}");
    assert_eq!(past(&b, "t").len(), done);
    b.pump();
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("there is room again");
    b.pump();
    let b = again(b, REALMS, &[("t", 10_000, true)]);
    assert_eq!(past(&b, "t").len(), done + 1);
}

#[test]
fn lists_that_are_cut_short_are_no_lists() {
    let lists = [List { attribute: "a".into(), eligible: true, values: vec!["b".into()] }];
    let written = super::lasting::put(&lists);
    assert_eq!(super::lasting::take(written.clone()).as_deref(), Some(&lists[..]));
    for len in 1..written.len() {
        assert_eq!(super::lasting::take(written.slice(..len)), None, "{len}");
    }
}
