//! Floor 2. Who may offer what, whose turn it is, and what is left when somebody leaves.

use bytes::Bytes;

use super::calls_test::{ALL, HOME, NOW, Scene, sid};
use super::*;

const OTHER: RealmId = RealmId(1);

/// Who is asked in so many calls, one after the other.
fn asked(scene: &mut Scene, times: u64) -> Vec<u32> {
    let next = |scene: &mut Scene| {
        scene.request += 1;
        scene.invoked(9, 1_000 + scene.request, "a").to.index
    };
    (0..times).map(|_| next(scene)).collect()
}

#[test]
fn a_second_callee_is_refused_where_there_is_one_only_or_they_share_in_another_way() {
    let mut scene = Scene::new();
    let single = scene.offer("a", Kind::Exact, Invoke::Single);
    assert_eq!(scene.register(1, &single), Ok(Registered::Created(1)));
    assert_eq!(scene.register(2, &single), Err(Refused::Exists));
    let first = scene.offer("b", Kind::Exact, Invoke::First);
    let last = scene.offer("b", Kind::Exact, Invoke::Last);
    assert_eq!(scene.register(1, &first), Ok(Registered::Created(2)));
    assert_eq!(scene.register(2, &last), Err(Refused::Exists));
    assert_eq!(scene.register(1, &last), Err(Refused::Exists), "nor by its first callee");
    assert_eq!(scene.register(2, &first), Ok(Registered::Joined(2)));
    let tally = scene.calls.audit().unwrap();
    assert_eq!((tally.registrations, tally.callees), (2, 3));
}

#[test]
fn a_session_that_registers_twice_has_the_same_registration_once_on_its_new_terms() {
    let mut scene = Scene::new();
    for invoke in [Invoke::Single, Invoke::Roundrobin] {
        let name = format!("{invoke:?}");
        let mut offer = scene.offer(&name, Kind::Exact, invoke);
        let Ok(Registered::Created(id)) = scene.register(1, &offer) else { panic!("it is new") };
        offer.terms.discloses = true;
        assert_eq!(scene.register(1, &offer), Ok(Registered::Again(id)));
        let callees = scene.calls.registration(HOME, id).unwrap().callees();
        assert_eq!(callees, [Callee { session: sid(1), terms: offer.terms }]);
        assert_eq!(scene.invoked(9, id, &name).caller, Some(sid(9)), "it is told who calls");
    }
}

#[test]
fn the_same_text_is_another_registration_as_another_kind_and_in_another_realm() {
    let mut scene = Scene::new();
    for (id, kind) in [(1, Kind::Exact), (2, Kind::Prefix), (3, Kind::Wildcard)] {
        let offer = scene.offer("a.b", kind, Invoke::Single);
        assert_eq!(scene.register(1, &offer), Ok(Registered::Created(id)));
    }
    let offer = scene.offer("a.b", Kind::Exact, Invoke::Single);
    let there = scene.calls.register(NOW, OTHER, sid(2), &offer);
    assert_eq!(there, Ok(Registered::Created(4)));
    assert_eq!(scene.calls.best(OTHER, b"a.b"), Some(4));
    assert_eq!(scene.calls.best(HOME, b"a.b"), Some(1));
    assert_eq!(scene.calls.best(RealmId(2), b"a.b"), None);
    assert!(scene.calls.registration(OTHER, 1).is_none(), "realms do not see each other");
    assert_eq!(scene.calls.list(OTHER, 0).map(|it| it.id).collect::<Vec<_>>(), [4]);
}

#[test]
fn what_is_foreign_or_unknown_is_not_unregistered() {
    let mut scene = Scene::new();
    let id = scene.offered(1, "a", Kind::Exact, Invoke::Single);
    assert_eq!(scene.calls.unregister(HOME, sid(2), id), None);
    scene.offered(2, "b", Kind::Exact, Invoke::Single);
    assert_eq!(scene.calls.unregister(HOME, sid(2), id), None, "nor by who has another");
    assert_eq!(scene.calls.unregister(OTHER, sid(1), id), None);
    assert_eq!(scene.calls.unregister(HOME, sid(1), id + 1), None);
    let lost = Lost { registration: id, ended: true };
    assert_eq!(scene.calls.unregister(HOME, sid(1), id), Some(lost));
    assert_eq!(scene.calls.unregister(HOME, sid(1), id), None, "nor twice");
    assert_eq!(scene.calls.best(HOME, b"a"), None);
    assert_eq!(scene.offered(1, "a", Kind::Exact, Invoke::Single), id + 2, "a new number");
}

#[test]
fn a_registration_stays_until_its_last_callee_is_taken_off() {
    let mut scene = Scene::new();
    let id = scene.offered(1, "a", Kind::Exact, Invoke::Last);
    scene.offered(2, "a", Kind::Exact, Invoke::Last);
    let it = scene.invoked(9, 1, "a");
    assert_eq!(it.to, sid(2));
    let lost = scene.calls.unregister(HOME, sid(2), id);
    assert_eq!(lost, Some(Lost { registration: id, ended: false }));
    assert_eq!(asked(&mut scene, 2), [1, 1]);
    let lost = scene.calls.unregister(HOME, sid(1), id);
    assert_eq!(lost, Some(Lost { registration: id, ended: true }));
    assert_eq!(scene.failed(9, 7, "a"), Why::NoProcedure);
    assert_eq!(scene.results(2, it.number, "late but wanted"), [(9, 1, false)]);
}

#[test]
fn it_can_be_looked_up_by_everything_that_is_asked_about_it() {
    let mut scene = Scene::new();
    let exact = scene.offered(1, "a.b", Kind::Exact, Invoke::Single);
    let prefix = scene.offered(1, "a", Kind::Prefix, Invoke::First);
    let wildcard = scene.offered(2, "x..z", Kind::Wildcard, Invoke::Random);
    assert_eq!(scene.calls.lookup(HOME, Kind::Prefix, b"a"), Some(prefix));
    assert_eq!(scene.calls.lookup(HOME, Kind::Exact, b"a"), None);
    assert_eq!(scene.calls.lookup(HOME, Kind::Wildcard, b"x..z"), Some(wildcard));
    assert_eq!(scene.calls.best(HOME, b"a.b"), Some(exact));
    assert_eq!(scene.calls.best(HOME, b"a.c"), Some(prefix));
    assert_eq!(scene.calls.best(HOME, b"x.y.z"), Some(wildcard));
    let it = scene.calls.registration(HOME, prefix).unwrap();
    assert_eq!((it.kind, it.invoke, it.created), (Kind::Prefix, Invoke::First, NOW.wall));
    assert_eq!(it.procedure, "a");
    let all: Vec<_> = scene.calls.list(HOME, 0).map(|it| (it.kind, it.id)).collect();
    assert_eq!(all, [(Kind::Exact, exact), (Kind::Prefix, prefix), (Kind::Wildcard, wildcard)]);
}

#[test]
fn first_and_last_are_by_the_order_in_which_they_came() {
    for (invoke, wanted) in [(Invoke::First, [1, 2]), (Invoke::Last, [3, 2])] {
        let mut scene = Scene::new();
        for session in [1, 2, 3] {
            scene.offered(session, "a", Kind::Exact, invoke);
        }
        assert_eq!(asked(&mut scene, 2), [wanted[0]; 2]);
        scene.leave(wanted[0]);
        assert_eq!(asked(&mut scene, 2), [wanted[1]; 2]);
    }
}

#[test]
fn a_turn_goes_round_and_begins_anew_when_it_points_behind_the_end() {
    let mut scene = Scene::new();
    for session in [1, 2, 3] {
        scene.offered(session, "a", Kind::Exact, Invoke::Roundrobin);
    }
    assert_eq!(asked(&mut scene, 5), [1, 2, 3, 1, 2]);
    scene.offered(4, "a", Kind::Exact, Invoke::Roundrobin);
    assert_eq!(asked(&mut scene, 3), [3, 4, 1]);
    // The turn is at the second place, where there is another one now.
    scene.leave(1);
    assert_eq!(asked(&mut scene, 2), [3, 4]);
    scene.leave(4);
    assert_eq!(asked(&mut scene, 4), [2, 3, 2, 3], "behind the end of two");
    scene.offered(5, "a", Kind::Exact, Invoke::Roundrobin);
    assert_eq!(asked(&mut scene, 2), [5, 2], "who comes where the turn is has it");
}

#[test]
fn any_is_everybody_about_as_often() {
    let mut scene = Scene::new();
    for session in 1..=4 {
        scene.offered(session, "a", Kind::Exact, Invoke::Random);
    }
    let mut counts = [0; 5];
    for to in asked(&mut scene, 1_200) {
        counts[to as usize] += 1;
    }
    assert!(counts[1..].iter().all(|n| (240..360).contains(n)), "{counts:?}");
}

#[test]
fn a_shard_stays_with_its_callee_while_others_come_and_go() {
    let mut scene = Scene::new();
    for session in 1..=5 {
        scene.offered(session, "a", Kind::Exact, Invoke::Roundrobin);
    }
    let whose = |scene: &mut Scene, request| -> Vec<u32> {
        let ask = |key| Ask { shard: Some(key), ..scene_ask(request + key) };
        (0..100).map(|key| scene.invocation(ask(key)).to.index).collect()
    };
    let before = whose(&mut scene, 1_000);
    assert_eq!(before, whose(&mut scene, 2_000), "always the same");
    assert!((1..=5).all(|session| before.iter().filter(|to| **to == session).count() > 5));
    scene.leave(3);
    for (before, after) in before.iter().zip(whose(&mut scene, 3_000)) {
        assert!(*before == after || *before == 3, "only those of who left move");
    }
}

fn scene_ask(request: u64) -> Ask {
    calls_test::ask(9, request, "a")
}

#[test]
fn registrations_callees_texts_and_shapes_have_bounds_of_their_own() {
    let mut scene = Scene::new();
    scene.calls.limits = CallLimits {
        registrations_per_session_max: 2,
        callees_per_registration_max: 2,
        pattern_len_max: 3,
        wildcard_shapes_max: 1,
        ..CallLimits::default()
    };
    let full = |bound| Err(Refused::Full(bound));
    let offer = |text: &str, kind| scene_offer(text, kind);
    for session in [1, 2] {
        assert!(scene.register(session, &offer("a", Kind::Exact)).is_ok());
    }
    let third = scene.register(3, &offer("a", Kind::Exact));
    assert_eq!(third, full(Bound::CalleesPerRegistration));
    assert!(scene.register(1, &offer("a", Kind::Exact)).is_ok(), "that is no third");
    assert!(scene.register(1, &offer("abc", Kind::Exact)).is_ok());
    let third = scene.register(1, &offer("b", Kind::Exact));
    assert_eq!(third, full(Bound::RegistrationsPerSession));
    assert!(scene.register(1, &offer("a", Kind::Exact)).is_ok(), "nor is that");
    assert_eq!(scene.register(3, &offer("abcd", Kind::Exact)), full(Bound::PatternLen));
    assert!(scene.register(3, &offer("a.", Kind::Wildcard)).is_ok());
    assert_eq!(scene.register(3, &offer(".a", Kind::Wildcard)), full(Bound::WildcardShapes));
    assert!(scene.register(3, &offer("b.", Kind::Wildcard)).is_ok());
    scene.calls.audit().unwrap();
}

fn scene_offer(text: &str, kind: Kind) -> Offer {
    let procedure = Bytes::copy_from_slice(text.as_bytes());
    let terms = Terms { can: ALL, ..Terms::default() };
    Offer { procedure, kind, invoke: Invoke::First, terms }
}

#[test]
fn registrations_and_their_callees_are_weighed_and_give_back_what_they_took() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::First);
    let one = scene.calls.held();
    scene.offered(2, "a", Kind::Exact, Invoke::First);
    let two = scene.calls.held();
    scene.calls.limits.held_bytes_max = two + one;
    let refused = scene.register(3, &scene_offer("aa", Kind::Exact));
    assert_eq!(refused, Err(Refused::Full(Bound::HeldBytes)), "a longer text weighs more");
    scene.calls.limits.held_bytes_max = two + (two - one) - 1;
    let refused = scene.register(3, &scene_offer("a", Kind::Exact));
    assert_eq!(refused, Err(Refused::Full(Bound::HeldBytes)), "a callee more does, too");
    scene.calls.limits.held_bytes_max += 1;
    assert!(scene.register(3, &scene_offer("a", Kind::Exact)).is_ok());
    for session in [3, 1, 2] {
        scene.leave(session);
    }
    assert_eq!(scene.calls.held(), 0);
}

#[test]
fn who_leaves_is_missed_by_all_its_registrations_the_oldest_first() {
    let mut scene = Scene::new();
    let one = scene.offered(1, "a", Kind::Exact, Invoke::First);
    let two = scene.offered(1, "b", Kind::Prefix, Invoke::Single);
    let three = scene.offered(2, "a.", Kind::Wildcard, Invoke::First);
    scene.offered(2, "a", Kind::Exact, Invoke::First);
    scene.offered(1, "a.", Kind::Wildcard, Invoke::First);
    let lost = |registration, ended| Lost { registration, ended };
    let wanted = [lost(one, false), lost(two, true), lost(three, false)];
    assert_eq!(scene.leave(1).0, wanted);
    assert_eq!(scene.leave(1).0, [], "once");
    assert_eq!(scene.leave(2).0, [lost(one, true), lost(three, true)]);
    assert_eq!(scene.calls.audit(), Ok(Tally::default()));
    assert_eq!(scene.calls.list(HOME, 0).count(), 0);
}

#[test]
fn a_registration_does_not_keep_what_was_read_with_its_name() {
    let mut scene = Scene::new();
    let read = Bytes::from(vec![b'a'; 1 << 16]);
    let procedure = read.slice(..3);
    let offer = Offer { procedure, ..scene_offer("", Kind::Wildcard) };
    assert!(scene.register(1, &offer).is_ok());
    drop(offer);
    assert!(read.is_unique());
}
