//! Floor 2. Kept values on their way to whoever subscribes, in steps.

use crate::base::limits::Limits;

use super::bench_test::*;
use super::registry::Fresh;

/// What a connection is handed that comes back only when it is called.
fn called(b: &mut Bench, id: crate::base::id::SessionId) -> (Vec<String>, usize) {
    let (mut all, mut turns) = (Vec::new(), 0);
    while b.hub.poll_awake().is_some() {
        b.hub.heard(id);
        while let Some(d) = b.hub.next(b.now, id) {
            all.push(d);
        }
        b.pump();
        turns += 1;
    }
    (bodies(&all), turns)
}

#[test]
fn a_value_behind_many_that_do_not_match_comes_without_another_call() {
    let mut b = Bench::new(Limits::default());
    for n in 0..5_000 {
        b.publish(&format!("t{n:04}/a"), b"no", 0, true);
    }
    b.publish("z/b", b"yes", 0, true);
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "*/b", 0);
    let (got, turns) = called(&mut b, reader);
    assert_eq!(got, ["yes"]);
    assert!(turns > 10, "the walk gave others their turn, {turns} times");
}

#[test]
fn the_last_of_many_filters_has_its_value_too() {
    let mut b = Bench::new(Limits::default());
    b.publish("here", b"yes", 0, true);
    let reader = b.attach("reader", Fresh::No).session;
    for n in 0..100 {
        b.subscribe(reader, &format!("nothing/{n}"), 0);
    }
    b.subscribe(reader, "here", 0);
    let (got, _) = called(&mut b, reader);
    assert_eq!(got, ["yes"]);
}

#[test]
fn a_replay_takes_a_small_part_of_a_turn() {
    let mut b = Bench::new(Limits::default());
    for n in 0..500 {
        b.publish(&format!("t/{n}"), b"kept", 0, true);
    }
    let reader = b.attach("reader", Fresh::No).session;
    assert_eq!(b.hub.share(reader, 4_096), 4_096);
    b.subscribe(reader, "t/*", 0);
    assert_eq!(b.hub.share(reader, 4_096), 128, "others have the rest");
    let (got, _) = called(&mut b, reader);
    assert_eq!(got.len(), 500);
    assert_eq!(b.hub.share(reader, 4_096), 4_096, "what comes now is like everybody's");
}

#[test]
fn what_kept_values_weigh_is_given_back() {
    let mut b = Bench::new(Limits { retained_inline_bytes: 20_000, ..Limits::default() });
    let (small, large) = (&[1; 100][..], &[2; 10_000][..]);
    for (topic, body) in [("a", small), ("b", large), ("c/d", small), ("c/d", large)] {
        b.publish(topic, body, 0, true);
    }
    let all = b.hub.memory_stored();
    assert!(all > small.len() + 2 * large.len(), "{all} bytes for 20,100 of bodies");
    b.publish("b", small, 0, true);
    assert!(b.hub.memory_stored() < all - 9_000, "a large value was replaced by a small one");
    for topic in ["a", "b", "c/d"] {
        b.publish(topic, b"", 0, true);
    }
    assert_eq!(b.hub.memory_stored(), 0, "nothing is kept");
}
