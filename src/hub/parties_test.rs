//! Floor 2. Who is there, by number, and what waits in a mailbox.

use bytes::Bytes;

use super::calls::{Act, Invocation, Mode, Payload, Stop, Why};
use super::message::Meter;
use super::outbox::Room;
use super::parties::{Joining, Mail, NUMBER_MAX, Parties, scatter};
use crate::base::id::{ConnId, RealmId, SessionId};
use crate::value::Value;

const HERE: RealmId = RealmId(0);
const THERE: RealmId = RealmId(1);
const ROOM: Room = Room { len: 2, bytes: 100_000 };

pub(super) fn session(index: u32) -> SessionId {
    SessionId { index, life: 0 }
}

pub(super) fn joining(id: u64, session: SessionId, realm: RealmId, role: &'static str) -> Joining {
    let conn = ConnId { index: session.index, life: 0 };
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let details = vec![
        ("org".to_owned(), Value::Text("acme".into())),
        ("size".to_owned(), Value::Int(3)),
        ("authid".to_owned(), Value::Text("forged".into())),
    ];
    let (authid, authrole) = (text("ann"), text(role));
    let (authmethod, authprovider) = (text("ticket"), text("static"));
    Joining { id, session, realm, conn, authid, authrole, authmethod, authprovider, details }
}

fn three() -> Parties {
    let mut all = Parties::new(1);
    all.join(joining(30, session(1), HERE, "user"));
    all.join(joining(10, session(2), HERE, "user"));
    all.join(joining(20, session(3), HERE, "guest"));
    all.join(joining(40, session(4), THERE, "user"));
    all
}

fn payload(from: &Bytes) -> Payload {
    Payload { form: 1, meta: from.slice(..4), args: from.slice(4..8) }
}

fn invoke(to: SessionId, from: &Bytes) -> Mail {
    Mail::Act(Act::Invoke(Invocation {
        to,
        number: 1,
        registration: 1,
        procedure: Some(from.slice(8..12)),
        payload: payload(from),
        more: false,
        pieces: false,
        timeout_ms: 0,
        caller: None,
        trust: 0,
    }))
}

fn interrupt(to: SessionId) -> Mail {
    Mail::Act(Act::Interrupt { to, number: 1, mode: Mode::Kill, why: Stop::Canceled })
}

#[test]
fn numbers_are_in_range_and_tell_nothing_and_are_nobody_s() {
    let (mut one, mut other) = (Parties::new(1), Parties::new(2));
    let mut seen = Vec::new();
    for _ in 0..1_000 {
        let id = one.number();
        assert!((1..=NUMBER_MAX).contains(&id));
        assert_ne!(id, other.number(), "another seed, other numbers");
        seen.push(id);
    }
    assert!(seen.windows(2).any(|two| two[0] > two[1]), "they do not just count up");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 1_000);
    // The same lots are drawn again; whose number one of them is, it is passed over.
    let mut again = Parties::new(1);
    let first = Parties::new(1).number();
    again.join(joining(first, session(1), HERE, "user"));
    assert_ne!(again.number(), first);
}

#[test]
fn a_number_is_known_in_its_realm_only_and_until_its_party_leaves() {
    let mut all = three();
    assert_eq!(all.numbered(HERE, 10).map(|party| party.session), Some(session(2)));
    assert!(all.numbered(THERE, 10).is_none(), "of another realm");
    assert!(all.numbered(HERE, 11).is_none());
    let gone = all.leave(session(2)).expect("it was there");
    assert_eq!((gone.id, all.len()), (10, 3));
    assert!(all.numbered(HERE, 10).is_none() && all.leave(session(2)).is_none());
}

#[test]
fn parties_are_counted_and_listed_in_order_by_realm_and_by_role() {
    let mut all = three();
    let user = Bytes::from_static(b"user");
    let list = |all: &Parties, after| all.of_realm(HERE, after).collect::<Vec<_>>();
    let users = |all: &Parties, after| all.of_role(HERE, &user, after).collect::<Vec<_>>();
    assert_eq!((all.count(HERE), all.count(THERE), all.count(RealmId(9))), (3, 1, 0));
    assert_eq!(
        (list(&all, 0), list(&all, 10), list(&all, u64::MAX)),
        (vec![10, 20, 30], vec![20, 30], vec![])
    );
    assert_eq!((users(&all, 0), users(&all, 10)), (vec![10, 30], vec![30]));
    assert_eq!(all.count_role(HERE, &user), 2);
    all.leave(session(1));
    all.leave(session(2));
    assert_eq!((list(&all, 0), users(&all, 0), all.count_role(HERE, &user)), (vec![20], vec![], 0));
}

#[test]
fn who_joins_again_is_there_once() {
    let mut all = three();
    all.join(joining(50, session(1), HERE, "guest"));
    assert_eq!((all.len(), all.count(HERE)), (4, 3));
    assert!(all.numbered(HERE, 30).is_none());
    assert_eq!(all.numbered(HERE, 50).map(|party| party.session), Some(session(1)));
}

#[test]
fn as_what_somebody_was_let_in_goes_before_what_it_says_of_itself() {
    let all = three();
    let party = all.get(session(1)).expect("there");
    assert_eq!(party.attribute("authid"), Some(&b"ann"[..]));
    assert_eq!(party.attribute("authrole"), Some(&b"user"[..]));
    assert_eq!(party.attribute("authmethod"), Some(&b"ticket"[..]));
    assert_eq!(party.attribute("authprovider"), Some(&b"static"[..]));
    assert_eq!(party.attribute("org"), Some(&b"acme"[..]));
    assert_eq!((party.attribute("size"), party.attribute("none")), (None, None), "no text");
}

#[test]
fn names_do_not_keep_alive_what_was_read_with_them() {
    let mut all = Parties::new(1);
    let read = Bytes::from(b"annuser".to_vec());
    let mut it = joining(1, session(1), HERE, "");
    (it.authid, it.authrole) = (read.slice(..3), read.slice(3..));
    all.join(it);
    assert!(read.is_unique());
    assert_eq!(all.get(session(1)).and_then(|party| party.attribute("authid")), Some(&b"ann"[..]));
}

#[test]
fn who_can_be_told_otherwise_has_less_room_than_who_can_not() {
    let (mut all, meter, read) = (three(), Meter::default(), Bytes::from(vec![7; 12]));
    let to = session(1);
    for _ in 0..2 {
        assert!(all.post(to, invoke(to, &read), false, ROOM, &meter));
    }
    assert!(!all.post(to, invoke(to, &read), false, ROOM, &meter));
    for _ in 2..8 {
        assert!(all.post(to, interrupt(to), false, ROOM, &meter));
    }
    assert!(!all.post(to, interrupt(to), false, ROOM, &meter), "four times as much");
    assert!(!all.post(session(9), interrupt(to), false, ROOM, &meter), "nobody");
    let (len, bytes) = all.get(to).map(super::parties::Party::waiting).expect("there");
    assert_eq!((len, bytes), (8, meter.used()), "all of it weighs");
    while all.take(to).is_some() {}
    assert_eq!((all.get(to).map(super::parties::Party::waiting), meter.used()), (Some((0, 0)), 0));
}

#[test]
fn a_mailbox_is_bounded_by_bytes_too_and_an_empty_one_always_takes_a_letter() {
    let (mut all, meter) = (three(), Meter::default());
    let (to, room) = (session(1), Room { len: 100, bytes: 1_000 });
    let go = || Mail::Go {
        reason: Bytes::from(vec![b'a'; 3_000]),
        message: Bytes::from(vec![b'b'; 3_000]),
    };
    assert!(all.post(to, go(), false, room, &meter));
    assert!(meter.used() > 6_000, "what it says weighs");
    assert!(!all.post(to, go(), false, room, &meter));
    assert!(all.has_mail(to) && all.take(to).is_some() && !all.has_mail(to));
    let none = Room { len: 100, bytes: 0 };
    let read = Bytes::from(vec![7; 12]);
    assert!(all.post(to, invoke(to, &read), false, none, &meter), "it waits for nothing");
    assert!(!all.post(to, invoke(to, &read), false, none, &meter));
}

#[test]
fn letters_come_in_order_and_are_gone_with_their_party() {
    let (mut all, meter, to) = (three(), Meter::default(), session(1));
    let letter = |id| Mail::Unsubscribed { id, reason: Bytes::new() };
    for id in 0..4 {
        assert!(all.post(to, letter(id), false, ROOM, &meter));
    }
    assert_eq!((all.take(to), all.take(to)), (Some(letter(0)), Some(letter(1))));
    all.leave(to);
    assert_eq!((all.take(to), meter.used()), (None, 0));
}

#[test]
fn what_stays_for_longer_than_a_turn_keeps_no_read_buffer_alive() {
    let (mut all, meter, to) = (three(), Meter::default(), session(1));
    let letters: [fn(SessionId, &Bytes) -> Mail; 3] = [
        invoke,
        |to, read| Mail::Act(Act::Result { to, request: 1, more: false, payload: payload(read) }),
        |to, read| {
            let why = Why::Said(read.slice(8..));
            Mail::Act(Act::Fail { to, request: 1, why, payload: payload(read) })
        },
    ];
    for letter in letters {
        let read = Bytes::from(vec![7; 12]);
        assert!(all.post(to, letter(to, &read), false, ROOM, &meter));
        assert!(!read.is_unique(), "it goes on in this turn, and nothing is copied");
        all.set_apart(to);
        assert!(read.is_unique(), "what is left of a turn is copied");
        assert_eq!(all.take(to), Some(letter(to, &read)), "and says the same");
        let (other, room) = (Bytes::from(vec![8; 12]), Room { len: 9, ..ROOM });
        (0..8).for_each(|_| assert!(all.post(to, letter(to, &other), false, room, &meter)));
        assert!(all.post(to, letter(to, &read), false, room, &meter));
        assert!(read.is_unique(), "behind so many others it may stay");
        (0..8).for_each(|_| assert_eq!(all.take(to), Some(letter(to, &other))));
        assert_eq!(all.take(to), Some(letter(to, &read)));
        assert!(all.post(to, letter(to, &read), true, ROOM, &meter));
        assert!(read.is_unique(), "who lags keeps it for longer");
        assert_eq!(all.take(to), Some(letter(to, &read)));
    }
}

/// What `scatter` was made of.
fn gather(number: u64) -> u64 {
    let mut z = number ^ (number >> 31) ^ (number >> 62);
    z = z.wrapping_mul(0x3196_42b2_d24d_8ec3);
    z = z ^ (z >> 27) ^ (z >> 54);
    z = z.wrapping_mul(0x96de_1b17_3f11_9089);
    z ^ (z >> 30) ^ (z >> 60)
}

#[test]
fn a_number_does_not_lead_back_to_the_seed_of_maps() {
    for n in [0, 1, 7, u64::MAX, 0x1234_5678_9abc_def0] {
        assert_eq!(gather(scatter(n)), n, "there is a way back");
    }
    let seed = 0x00c0_ffee_00c0_ffee;
    let first = Parties::new(seed).number() - 1;
    for high in 0..1 << 11 {
        let drawn = gather(high << 53 | first) ^ 0x9e37_79b9_7f4a_7c15;
        assert_ne!(drawn, seed);
        assert_ne!(drawn ^ seed, 0x70_61_72_74_69_65_73, "nor by way of a constant");
    }
}
