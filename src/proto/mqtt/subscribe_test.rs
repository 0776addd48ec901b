//! Floor 3. Requests with many filters: a turn has so much time for them, and others have theirs.

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::effort::{ALL, SHARE};

use super::bench_test::*;
use super::packet::*;
use super::props::Props;

/// As many as fit into the record of a session here.
const MANY: usize = 60;

/// So many levels that each filter takes a good part of a share.
fn deep(name: &str) -> Asked {
    let filter = Bytes::from(format!("{name}{}", "/x".repeat(120)));
    Asked { filter, ..asked("", 0) }
}

fn filters(name: &str, count: usize) -> Vec<Asked> {
    (0..count).map(|n| deep(&format!("{name}{n:03}"))).collect()
}

/// At most this many of such filters fit into so much of a turn's two parts.
fn most(part: usize) -> usize {
    2 * part.div_ceil(deep("a000").filter.len())
}

fn hung(b: &Bench) -> usize {
    b.rig.engine.hub().subscriptions_len().0
}

/// Turns until the broker has nothing to do; the most filters that came or went in one of them.
fn run(b: &mut Bench, mut each: impl FnMut(&mut Bench, usize)) -> (usize, usize) {
    let (mut turns, mut largest) = (0, 0);
    loop {
        let before = hung(b);
        let busy = b.rig.turn();
        turns += 1;
        largest = largest.max(hung(b).abs_diff(before));
        each(b, turns);
        if !busy && b.rig.engine.poll_deadline().is_none_or(|at| at.0 > 0) {
            return (turns, largest);
        }
        assert!(turns < 10_000, "it comes to an end");
    }
}

fn heard(b: &Bench, conn: ConnId) -> usize {
    b.rig.wires[&conn].heard.len()
}

#[test]
fn many_filters_take_many_turns_and_one_answer() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new(Limits::default());
        let bomber = b.join(connect(version, "bomber")).0;
        let quiet = b.join5("quiet");
        let all = filters("f", MANY);
        b.send(bomber, &subscribe(&all));
        b.send(bomber, &Packet::PingReq);
        b.send(quiet, &Packet::PingReq);
        let (turns, largest) = run(&mut b, |b, turn| {
            assert!(heard(b, quiet) > 0, "others are heard in turn {turn}");
            assert_eq!(heard(b, bomber) > 0, hung(b) == MANY, "one answer, after all of it");
        });
        assert!(largest <= most(SHARE) && turns >= MANY / most(SHARE), "{largest} in {turns}");
        let said = b.said(bomber);
        let [Packet::SubAck(codes), Packet::PingResp] = &said[..] else { panic!("{said:?}") };
        assert_eq!(codes.codes[..], [0; MANY]);
        assert_eq!(b.count(Counter::Stalled), 0, "it did not wait for room");
        // They go as they came.
        let gone = all.iter().map(|asked| asked.filter.clone()).collect();
        let gone = Unsubscribe { id: 5, props: Props::none(), filters: gone };
        b.send(bomber, &Packet::Unsubscribe(gone));
        b.send(bomber, &Packet::PingReq);
        let (turns, largest) = run(&mut b, |_, _| ());
        assert!(largest <= most(SHARE) && turns >= MANY / most(SHARE), "{largest} in {turns}");
        let said = b.said(bomber);
        assert!(matches!(&said[..], [Packet::UnsubAck(_), Packet::PingResp]), "{said:?}");
        assert_eq!(hung(&b), 0);
    }
}

#[test]
fn many_requests_take_as_long_as_one_with_many_filters() {
    let mut b = Bench::new(Limits::default());
    let bomber = b.join5("bomber");
    for asked in filters("f", MANY) {
        b.send(bomber, &subscribe(&[asked]));
    }
    let (turns, largest) = run(&mut b, |_, _| ());
    assert!(largest <= most(SHARE) && turns >= MANY / most(SHARE), "{largest} in {turns}");
    assert_eq!(b.said(bomber).len(), MANY);
}

#[test]
fn a_crowd_with_many_filters_has_a_bounded_part_of_a_turn_and_everybody_comes_round() {
    let mut b = Bench::new(Limits::default());
    let names: [&str; 16] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    let all = names.map(|name| (name, b.join5(name)));
    for (name, conn) in all {
        b.send(conn, &subscribe(&filters(name, 40)));
    }
    let mut first = None;
    let (turns, largest) = run(&mut b, |b, turn| {
        if first.is_none() && all.iter().any(|(_, conn)| heard(b, *conn) > 0) {
            first = Some(turn);
        }
    });
    assert!(largest <= most(ALL), "{largest} in one turn");
    assert!(first.is_some_and(|first| first * 2 > turns), "{first:?} of {turns}: they take turns");
    for (name, conn) in all {
        let said = b.said(conn);
        assert!(matches!(&said[..], [Packet::SubAck(_)]), "{name}: {said:?}");
    }
}
