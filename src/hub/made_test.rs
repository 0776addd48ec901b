//! Floor 2. Namespaces that come and go: how many, what is left of them, and those on record.

use bytes::Bytes;

use super::hub_test::*;
use super::message::{Durability, Publication};
use super::parties_test::joining;
use super::realm::{Asked, Terms};
use super::registry::Attach;
use super::session::SubOpts;
use super::subscribe::Replays;
use crate::base::id::{RealmId, SessionId};
use crate::base::limits::Limits;
use crate::journal::memory::Memory;
use crate::journal::record::Record;
use crate::journal::{Journal, Options};
use crate::topic::{Dialect, Match};

const SMALL: u32 = 64 << 10;

fn over(disk: Memory, realms: &[&str]) -> Bench {
    let limits = Limits { segment_bytes: SMALL, realms_made_max: 2, ..Limits::default() };
    let mut b = Bench::with_realms(disk, limits, realms, |_, _| {});
    b.hub.set_template(Terms { strict: true, ..Terms::default() });
    b
}

/// Somebody comes to it.
fn come(b: &mut Bench, name: &str) -> (RealmId, SessionId) {
    let realm = b.hub.realm_for(b.now, name).expect("room");
    let id = b.hub.parties.number();
    let named = |a: &mut Attach| (a.realm, a.durable) = (realm, false);
    let came = b.client(&id.to_string(), named).session;
    b.hub.parties.join(joining(id, came, realm, "user"));
    (realm, came)
}

fn go(b: &mut Bench, (realm, session): (RealmId, SessionId)) {
    b.hub.parties.leave(session);
    b.leave(session);
    b.hub.quit_realm(b.now, realm);
}

fn keep(b: &mut Bench, realm: RealmId, topic: &str) {
    let p = Publication { realm, ..Bench::publication(topic, b"kept", 1, true) };
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    b.pump();
}

fn kept(b: &mut Bench, session: SessionId, topic: &str) -> usize {
    let filter = STAR.filter(&Bytes::copy_from_slice(topic.as_bytes()), Match::Native);
    let opts = SubOpts { qos: 1, ..SubOpts::default() };
    let filter = filter.expect("good");
    b.hub.subscribe(b.now, session, &filter, None, opts, Replays::Always).expect("room");
    b.take(session).len()
}

fn records(b: &Bench) -> usize {
    let (mut all, mut disk) = (0, Memory::holding(b.disk.image()));
    let options = Options { segment_bytes: SMALL, salt: 1, salvage: false };
    let mut tell = |_, _: &Record| all += 1;
    Journal::recover(&mut disk, options, &mut tell).expect("whole");
    all
}

#[test]
fn a_realm_is_made_for_whoever_comes_as_long_as_there_is_room_and_goes_with_the_last() {
    let mut b = over(Memory::default(), &["default"]);
    assert!(b.hub.realm_for(b.now, "").is_none(), "nobody is called nothing");
    let (one, first) = come(&mut b, "one");
    let also = come(&mut b, "one");
    let two = come(&mut b, "two");
    assert!(b.hub.realm(one).is_some_and(|realm| realm.terms.strict), "as the template has it");
    assert_eq!((also.0, b.hub.realms_made()), (one, 2));
    assert!(!b.hub.has_vacancy() && b.hub.realm_for(b.now, "three").is_none());
    go(&mut b, also);
    assert_eq!(b.hub.realm_named("one"), Some(one), "somebody is there still");
    go(&mut b, (one, first));
    assert_eq!(b.hub.realm_named("one"), None);
    b.hub.vacate_some();
    let three = come(&mut b, "three");
    assert_eq!(three.0, one, "its place is another's");
    go(&mut b, two);
    go(&mut b, three);
    // One that is configured stays.
    b.hub.quit_realm(b.now, RealmId(0));
    assert_eq!(b.hub.realm_named("default"), Some(RealmId(0)));
}

#[test]
fn what_was_kept_in_a_realm_is_for_nobody_who_comes_to_its_place_and_is_not_on_record() {
    let mut b = over(Memory::default(), &["default"]);
    let (one, two) = (come(&mut b, "one"), come(&mut b, "two"));
    keep(&mut b, one.0, "t");
    keep(&mut b, one.0, "$t");
    assert_eq!(kept(&mut b, one.1, "t"), 1);
    assert_eq!(records(&b), 0, "nothing of it goes on record");
    let weight = b.hub.memory_stored();
    go(&mut b, one);
    assert!(
        b.hub.realm_for(b.now, "three").is_none(),
        "until that is forgotten its place is not free"
    );
    b.hub.limits.realms_made_max = 3;
    let four = come(&mut b, "four");
    assert_ne!(four.0, one.0, "nor for anybody for whom there is room");
    go(&mut b, four);
    while b.hub.is_vacating() {
        b.hub.vacate_some();
    }
    assert!(b.hub.memory_stored() < weight);
    let three = come(&mut b, "three");
    assert_eq!(three.0, one.0);
    assert!(b.hub.realm(three.0).is_some_and(|realm| realm.retained.is_empty()));
    assert_eq!(kept(&mut b, three.1, "t"), 0);
    go(&mut b, two);
}

#[test]
fn a_realm_on_record_is_opened_with_what_it_keeps_and_shut_again() {
    let mut b = over(Memory::default(), &["default", "a"]);
    let a = b.hub.realm_named("a").expect("configured");
    keep(&mut b, a, "t");
    let mut b = over(Memory::holding(b.disk.image()), &["default"]);
    assert_eq!(b.hub.realm_named("a"), None, "nobody configures it any more");
    for _ in 0..2 {
        let came = come(&mut b, "a");
        assert_eq!((kept(&mut b, came.1, "t"), b.hub.realms_made()), (1, 1));
        keep(&mut b, came.0, "t");
        go(&mut b, came);
        assert_eq!((b.hub.realm_named("a"), b.hub.realms_made()), (None, 0));
    }
    let mut b = over(Memory::holding(b.disk.image()), &["default", "a"]);
    let came = come(&mut b, "a");
    assert_eq!(kept(&mut b, came.1, "t"), 1, "whoever configures it again finds it as it was");
}

#[test]
fn what_the_router_asks_is_closed_where_it_asks_and_nowhere_else() {
    let mut b = over(Memory::default(), &["default", "a"]);
    let (default, a) = (RealmId(0), b.hub.realm_named("a").expect("configured"));
    let asked = |realm: Option<&str>| Terms {
        asked: std::sync::Arc::new(Asked {
            realm: realm.map(Into::into),
            authorizer: Some(Bytes::from_static(b"may")),
            ..Asked::default()
        }),
        ..Terms::default()
    };
    b.hub.tell_realm(b.now, a, asked(None));
    assert!(b.hub.is_answering(a, b"may") && !b.hub.is_answering(default, b"may"));
    b.hub.tell_realm(b.now, a, asked(Some("default")));
    assert!(!b.hub.is_answering(a, b"may") && b.hub.is_answering(default, b"may"));
    b.hub.tell_realm(b.now, a, Terms::default());
    assert!(!b.hub.is_answering(default, b"may"));
    b.hub.set_template(asked(None));
    let (one, came) = come(&mut b, "one");
    assert!(b.hub.is_answering(one, b"may"));
    go(&mut b, (one, came));
    assert!(!b.hub.is_answering(one, b"may"), "its place is another's");
}
