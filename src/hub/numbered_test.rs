//! Floor 2. What is kept of a realm is that realm's after a restart, whatever else there is then.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::hub_test::*;
use super::message::{Durability, Publication, id_of};
use super::numbered::FIRST;
use super::queue::Queued;
use super::registry::{Attach, Attached};
use super::session::SubOpts;
use super::subscribe::Replays;
use crate::base::id::RealmId;
use crate::base::limits::Limits;
use crate::journal::memory::Memory;
use crate::journal::record::Record;
use crate::journal::{Journal, Options};
use crate::topic::{Dialect, Match};

const SMALL: u32 = 64 << 10;

fn limits() -> Limits {
    Limits { segment_bytes: SMALL, ..Limits::default() }
}

fn over(disk: Memory, realms: &[&str]) -> Bench {
    Bench::with_realms(disk, limits(), realms, |_, _| {})
}

fn again(b: Bench, realms: &[&str]) -> Bench {
    over(Memory::holding(b.disk.image()), realms)
}

fn place(b: &Bench, name: &str) -> RealmId {
    b.hub.realm_named(name).expect("open")
}

fn say(b: &mut Bench, realm: &str, topic: &str, body: &[u8], retain: bool) {
    let p = Publication { realm: place(b, realm), ..Bench::publication(topic, body, 1, retain) };
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    b.pump();
}

/// What somebody who comes now is told of `topic`.
fn kept(b: &mut Bench, realm: &str, topic: &str) -> Vec<String> {
    let came = client(b, realm, "asks", false);
    let filter = STAR.filter(&Bytes::copy_from_slice(topic.as_bytes()), Match::Native);
    let opts = SubOpts { qos: 1, ..SubOpts::default() };
    let done =
        b.hub.subscribe(b.now, came.session, &filter.expect("good"), None, opts, Replays::Always);
    done.expect("room");
    let all = bodies(&b.take(came.session));
    b.leave(came.session);
    all
}

fn client(b: &mut Bench, realm: &str, name: &str, durable: bool) -> Attached {
    let realm = place(b, realm);
    b.client(name, |a: &mut Attach| (a.realm, a.durable) = (realm, durable))
}

/// All records, in order.
fn records(b: &Bench) -> Vec<Record> {
    let (mut all, mut disk) = (Vec::new(), Memory::holding(b.disk.image()));
    let options = Options { segment_bytes: SMALL, salt: 1, salvage: false };
    let mut tell = |_, record: &Record| all.push(record.clone());
    Journal::recover(&mut disk, options, &mut tell).expect("whole");
    all
}

fn notes(b: &Bench) -> Vec<(Bytes, Bytes)> {
    let note = |record| match record {
        Record::Note { key, value } => Some((key, value)),
        _ => None,
    };
    records(b).into_iter().filter_map(note).collect()
}

#[test]
fn what_a_realm_keeps_is_its_own_after_a_restart_in_another_order() {
    let mut b = over(Memory::default(), &["default", "a", "b"]);
    say(&mut b, "a", "t", b"of a", true);
    say(&mut b, "b", "t", b"of b", true);
    say(&mut b, "default", "t", b"of all", true);
    let mut b = again(b, &["default", "c", "b", "a"]);
    assert_eq!(kept(&mut b, "a", "t"), ["of a"]);
    assert_eq!(kept(&mut b, "b", "t"), ["of b"]);
    assert_eq!(kept(&mut b, "default", "t"), ["of all"]);
    assert!(kept(&mut b, "c", "t").is_empty());
    // What is cleared under a number is cleared for good.
    say(&mut b, "b", "t", b"", true);
    let mut b = again(b, &["default", "b", "a"]);
    assert!(kept(&mut b, "b", "t").is_empty());
    assert_eq!(kept(&mut b, "a", "t"), ["of a"]);
}

#[test]
fn a_session_of_a_realm_is_there_after_a_restart_with_what_it_is_owed() {
    let mut b = over(Memory::default(), &["default", "a", "b"]);
    for realm in ["a", "b"] {
        let came = client(&mut b, realm, "x", true);
        b.subscribe(came.session, "t", 1);
        b.detach(came.session);
        say(&mut b, realm, "t", realm.as_bytes(), false);
    }
    let mut b = again(b, &["default", "b", "a"]);
    for realm in ["a", "b"] {
        let came = client(&mut b, realm, "x", true);
        assert!(came.present, "{realm}");
        let all = b.take(came.session);
        assert_eq!(bodies(&all), [realm]);
        assert!(b.hub.settle(came.session, id_of(all[0].ord)));
        say(&mut b, realm, "t", b"more", false);
        assert_eq!(bodies(&b.take(came.session)), ["more"], "its subscription is in its realm");
    }
}

#[test]
fn a_queue_of_a_realm_is_there_after_a_restart() {
    let mut b = over(Memory::default(), &["default", "a"]);
    let (realm, address, user) = (place(&b, "a"), Bytes::from_static(b"q"), Bytes::new());
    let opened = b.hub.queue_open(realm, &address, &user, true, Durability::Disk);
    assert!(matches!(opened, Ok(Queued::Yes(_))));
    let p = Publication { realm, ..Bench::publication("q", b"one", 1, false) };
    b.hub.queue_push(b.now, &address, &p, Durability::Disk).expect("room");
    let b = again(b, &["default", "b", "a"]);
    assert!(b.hub.queue(place(&b, "a"), &address).is_some());
    assert!(b.hub.queue(place(&b, "b"), &address).is_none());
}

#[test]
fn a_number_is_written_down_once_when_it_is_needed_and_before_what_it_is_for() {
    let mut b = over(Memory::default(), &["default", "$broker", "a", "b"]);
    let p = Publication { realm: place(&b, "a"), ..Bench::publication("t", b"x", 0, true) };
    b.hub.publish(b.now, None, Durability::Memory, &p).expect("room");
    say(&mut b, "default", "t", b"x", true);
    say(&mut b, "$broker", "t", b"x", true);
    say(&mut b, "b", "t", b"nobody is owed it", false);
    assert!(notes(&b).is_empty());
    say(&mut b, "b", "t", b"1", true);
    say(&mut b, "b", "t", b"2", true);
    let key = Bytes::from([&b"realm"[..], &FIRST.to_be_bytes()].concat());
    assert_eq!(notes(&b), [(key, Bytes::from_static(b"\x01b"))]);
    let all = records(&b);
    let note = all.iter().position(|record| matches!(record, Record::Note { .. }));
    let is_of_b = |r: &Record| matches!(r, Record::Message(m) if m.realm == RealmId(FIRST));
    assert!(note < all.iter().position(is_of_b));
    let mut b = again(b, &["default", "$broker", "a", "b"]);
    say(&mut b, "b", "t", b"3", true);
    say(&mut b, "a", "t", b"4", true);
    let names: Vec<Bytes> = notes(&b).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["\x01b", "\x01a"]);
}

#[test]
fn a_journal_without_any_numbers_opens_as_before() {
    let mut b = Bench::over(Memory::default(), limits());
    b.publish("t", b"old", 1, true);
    b.pump();
    assert!(notes(&b).is_empty(), "as software that knows none writes it");
    let mut b = again(b, &["default", "$broker", "a"]);
    assert_eq!(kept(&mut b, "default", "t"), ["old"]);
    assert!(kept(&mut b, "a", "t").is_empty());
}

#[test]
fn a_realm_that_nobody_configures_is_shut_and_what_it_keeps_waits() {
    let mut b = over(Memory::default(), &["default", "a", "b"]);
    say(&mut b, "a", "t", b"of a", true);
    say(&mut b, "b", "t", b"of b", true);
    let mut b = again(b, &["default", "b"]);
    assert_eq!(b.hub.realm_named("a"), None, "nobody comes in");
    assert_eq!(kept(&mut b, "b", "t"), ["of b"]);
    let mut b = again(b, &["default", "c", "a"]);
    say(&mut b, "c", "t", b"of c", true);
    assert_eq!(kept(&mut b, "a", "t"), ["of a"]);
    let mut b = again(b, &["default", "a", "b", "c"]);
    for realm in ["a", "b", "c"] {
        assert_eq!(kept(&mut b, realm, "t"), [format!("of {realm}")]);
    }
}

#[test]
fn a_realm_that_nobody_configures_and_that_keeps_nothing_is_forgotten_with_its_number() {
    let mut b = over(Memory::default(), &["default", "a", "b"]);
    say(&mut b, "a", "t", b"of a", true);
    say(&mut b, "a", "t", b"", true);
    let b = again(b, &["default", "b"]);
    assert_eq!(notes(&b).last().map(|(_, name)| name.len()), Some(0));
    let mut b = again(b, &["default", "b"]);
    assert_eq!(b.hub.realms.len(), 2, "it is not even shut");
    say(&mut b, "b", "t", b"of b", true);
    let (key, _) = notes(&b).pop().expect("a note");
    assert_eq!(&key[5..], (FIRST + 1).to_be_bytes(), "no number is used twice");
}

#[test]
fn names_are_carried_forward_with_what_they_are_for() {
    let mut b = over(Memory::default(), &["default", "a"]);
    say(&mut b, "a", "t", b"kept", true);
    let first = b.hub.journal().expect("one").head_segment();
    for n in 0..2_000 {
        say(&mut b, "default", "u", n.to_string().repeat(40).as_bytes(), true);
    }
    assert!(b.hub.journal().expect("one").head_segment() > first + 1, "the head went");
    assert_eq!(notes(&b).len(), 1, "one that stands");
    let mut b = again(b, &["default", "b", "a"]);
    assert_eq!(kept(&mut b, "a", "t"), ["kept"]);
    // It is kept alive after a restart as before.
    for n in 0..2_000 {
        say(&mut b, "default", "u", n.to_string().repeat(40).as_bytes(), true);
    }
    let mut b = again(b, &["default", "a"]);
    assert_eq!(kept(&mut b, "a", "t"), ["kept"]);
}

#[test]
fn what_a_lost_name_was_for_is_nobody_elses() {
    let mut b = over(Memory::default(), &["default", "a"]);
    // As if a salvage had found everything but the note.
    let message = |realm| {
        let mut topic = Vec::new();
        Bench::publication("t", b"", 0, false).topic.encode(&mut topic);
        crate::journal::record::MessageRecord {
            retain: true,
            qos: 1,
            realm,
            born: 1,
            expires: 0,
            topic: topic.into(),
            props: Bytes::new(),
            body: Bytes::from_static(b"whose"),
            owed: Default::default(),
            past: None,
        }
    };
    for realm in [RealmId(FIRST), RealmId(2)] {
        let record = Record::Message(message(realm));
        b.hub.append(crate::journal::Class::Growth, &record).expect("room");
    }
    b.pump();
    let told = Arc::new(Mutex::new(Vec::new()));
    struct Tell(Arc<Mutex<Vec<String>>>);
    impl super::policy::Observer for Tell {
        fn see(&mut self, _: crate::base::time::Now, event: &super::policy::Event<'_>) {
            if let super::policy::Event::Storage { text, .. } = event {
                self.0.lock().expect("whole").push((*text).to_owned());
            }
        }
    }
    let disk = Memory::holding(b.disk.image());
    let mut b = Bench::with_realms(disk, limits(), &["default", "a", "b"], |hub, _| {
        hub.observer =
            super::watch::Watch::new(Box::new(Tell(told.clone())), hub.numbers.seed.clone());
    });
    let said = told.lock().expect("whole").clone();
    assert_eq!(said, ["2 records are of realms whose names are lost"]);
    for realm in ["default", "a", "b"] {
        assert!(kept(&mut b, realm, "t").is_empty(), "{realm}");
    }
}
