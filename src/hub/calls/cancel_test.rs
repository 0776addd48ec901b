//! Floor 2. Calls that end otherwise: canceled, too late, or without one of their ends.

use super::calls_test::{ALL, Scene, ask, fail, load, sid, stop};
use super::*;

/// A callee that can be interrupted, one that cannot, and a call to each.
fn scene(timeout_ms: u64) -> Scene {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms { can: ALL, ..Terms::default() });
    scene.offered_on(2, Terms { can: Able::RESULTS, ..Terms::default() });
    for (request, callee) in [(11, 1), (12, 2)] {
        let it = scene.invocation(Ask { pieces: true, timeout_ms, ..ask(9, request, "a") });
        assert_eq!((it.to, it.number), (sid(callee), 1));
    }
    scene
}

fn late_piece(scene: &mut Scene, callee: u32) -> Vec<Act> {
    let (heard, out) = scene.answer(callee, 1, Answer::Piece(load("late"), Able::NONE));
    assert_eq!(heard, Heard::Late);
    out
}

#[test]
fn skip_tells_the_caller_and_not_the_callee_whose_answer_is_late() {
    let mut scene = scene(0);
    for (request, callee) in [(11, 1), (12, 2)] {
        assert_eq!(scene.cancel(9, request, Mode::Skip), [fail(9, request, Why::Canceled)]);
        assert_eq!(scene.cancel(9, request, Mode::KillNoWait), [], "once is enough");
        assert_eq!(scene.results(callee, 1, "late"), []);
    }
    assert!(scene.calls.is_empty());
}

#[test]
fn what_nobody_waits_for_fills_no_callee_and_no_memory() {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms { can: ALL, ..Terms::default() });
    scene.calls.limits.calls_per_callee_max = 2;
    scene.calls.limits.held_bytes_max = scene.calls.held() + 3 * pending::CALL_BYTES;
    for request in 1..50 {
        assert_eq!(scene.invocation(ask(9, request, "a")).number, request);
        scene.cancel(9, request, Mode::Skip);
        assert!(scene.calls.len() <= 2);
    }
    // The oldest made room: what comes of it is late, and so is what comes of the last.
    assert_eq!(scene.results(1, 47, "late"), []);
    assert_eq!(scene.calls.len(), 2);
    assert_eq!(scene.results(1, 49, "late"), []);
    assert_eq!(scene.calls.len(), 1);
    // Those that somebody waits for stay.
    scene.invocation(ask(9, 50, "a"));
    scene.invocation(ask(9, 51, "a"));
    assert_eq!(scene.failure(ask(9, 52, "a")), Why::Full(Bound::CallsPerCallee));
    assert_eq!(scene.results(1, 50, "x"), [(9, 50, false)]);
    // Nor do those of one callee fill the memory that all share.
    scene.calls.limits.calls_per_callee_max = 99;
    for request in 60..70 {
        scene.invocation(ask(9, request, "a"));
        scene.cancel(9, request, Mode::Skip);
    }
    assert_eq!(scene.results(1, 51, "x"), [(9, 51, false)]);
    assert!(scene.calls.audit().is_ok());
}

#[test]
fn a_number_for_which_a_stop_is_on_its_way_is_not_given_again() {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms { can: ALL, ..Terms::default() });
    for (mode, number, next) in [(Mode::KillNoWait, 1, 2), (Mode::Kill, 2, 3)] {
        assert_eq!(scene.invocation(ask(9, number, "a")).number, number);
        scene.cancel(9, number, mode);
        scene.blocked(1, number);
        assert!(!scene.calls.is_worth_saying(sid(1), number, Stop::Canceled));
        assert_eq!(scene.invocation(ask(9, 10 + number, "a")).number, next);
        assert!(!scene.calls.is_worth_saying(sid(1), number, Stop::Canceled));
        scene.blocked(1, next);
    }
    // Nothing is on its way after a skip.
    assert_eq!(scene.invocation(ask(9, 30, "a")).number, 3);
    scene.cancel(9, 30, Mode::Skip);
    scene.blocked(1, 3);
    assert_eq!(scene.invocation(ask(9, 31, "a")).number, 3);
}

#[test]
fn kill_tells_the_callee_whose_answer_is_the_callers() {
    let mut scene = scene(0);
    let wanted = stop(1, 1, Mode::Kill, Stop::Canceled);
    assert_eq!(scene.cancel(9, 11, Mode::Kill), [wanted]);
    for mode in [Mode::Kill, Mode::KillNoWait, Mode::Skip] {
        assert_eq!(scene.cancel(9, 11, mode), [], "once is enough");
    }
    assert_eq!(scene.pieces(1, 1, "one"), [(9, 11, true)]);
    assert_eq!(scene.results(1, 1, "two"), [(9, 11, false)]);
}

#[test]
fn kill_without_waiting_tells_both_and_the_answer_is_late() {
    let mut scene = scene(0);
    let wanted = [fail(9, 11, Why::Canceled), stop(1, 1, Mode::KillNoWait, Stop::Canceled)];
    assert_eq!(scene.cancel(9, 11, Mode::KillNoWait), wanted);
    assert_eq!(scene.calls.len(), 2, "the callee has not answered yet");
    assert_eq!(scene.results(1, 1, "late"), []);
    assert_eq!(scene.calls.len(), 1);
}

#[test]
fn a_callee_that_cannot_be_interrupted_is_skipped() {
    for mode in [Mode::Kill, Mode::KillNoWait] {
        let mut scene = scene(0);
        assert_eq!(scene.cancel(9, 12, mode), [fail(9, 12, Why::Canceled)]);
        assert_eq!(late_piece(&mut scene, 2), []);
        assert_eq!(scene.results(2, 1, "late"), []);
    }
}

#[test]
fn late_pieces_stop_the_callee_each_time_until_it_answers_and_after_that() {
    let mut scene = scene(0);
    let wanted = || [stop(1, 1, Mode::KillNoWait, Stop::Late)];
    scene.cancel(9, 11, Mode::Skip);
    assert_eq!(late_piece(&mut scene, 1), wanted());
    assert_eq!(late_piece(&mut scene, 1), wanted());
    assert_eq!(scene.calls.len(), 2, "that is no answer");
    assert_eq!(scene.results(1, 1, "late"), []);
    assert_eq!(late_piece(&mut scene, 1), wanted());
    assert_eq!(scene.results(2, 1, "in time"), [(9, 12, false)]);
    assert_eq!(late_piece(&mut scene, 2), [], "it cannot be interrupted");
}

#[test]
fn who_cancels_what_is_unknown_or_anothers_is_ignored() {
    let mut scene = scene(0);
    for mode in [Mode::Skip, Mode::Kill, Mode::KillNoWait] {
        assert_eq!(scene.cancel(9, 1, mode), []);
        assert_eq!(scene.cancel(8, 11, mode), []);
        assert_eq!(scene.cancel(1, 11, mode), []);
    }
    assert_eq!(scene.results(1, 1, "x"), [(9, 11, false)]);
}

#[test]
fn pieces_of_a_canceled_call_are_not_handed_on() {
    for mode in [Mode::Kill, Mode::KillNoWait, Mode::Skip] {
        let mut scene = Scene::new();
        scene.offered_on(1, Terms { can: ALL, ..Terms::default() });
        scene.invocation(Ask { more: true, ..ask(9, 1, "a") });
        scene.cancel(9, 1, mode);
        assert_eq!(scene.call(Ask { more: true, ..ask(9, 1, "a") }), []);
        assert_eq!(scene.call(ask(9, 1, "a")), [], "nor the last");
        let got = scene.results(1, 1, "x");
        assert_eq!(got.len(), usize::from(mode == Mode::Kill));
        assert_eq!(scene.invoked(9, 1, "a").number, 2, "the number is free again");
    }
}

#[test]
fn a_call_that_takes_too_long_fails_and_stops_the_callee() {
    let mut scene = scene(100);
    assert_eq!(scene.calls.deadline(), Some(scene.now.after_ms(100)));
    assert_eq!(scene.later(99), []);
    let wanted = [
        fail(9, 11, Why::Timeout),
        stop(1, 1, Mode::KillNoWait, Stop::Timeout),
        fail(9, 12, Why::Timeout),
    ];
    assert_eq!(scene.later(1), wanted);
    assert_eq!(scene.calls.deadline(), None);
    for callee in [1, 2] {
        assert_eq!(scene.results(callee, 1, "late"), []);
    }
}

#[test]
fn an_answer_in_time_ends_the_timer_and_no_timeout_is_no_timer() {
    let mut timed = scene(100);
    timed.results(1, 1, "x");
    timed.cancel(9, 12, Mode::Skip);
    assert_eq!((timed.calls.deadline(), timed.later(1_000)), (None, Vec::new()));
    let mut untimed = scene(0);
    assert_eq!((untimed.calls.deadline(), untimed.later(u64::MAX / 2_000_000)), (None, Vec::new()));
    let ask = Ask { timeout_ms: u64::MAX, ..ask(9, 1, "a") };
    assert_eq!(untimed.invocation(ask).timeout_ms, 0);
    assert_eq!(untimed.calls.deadline(), None, "longer than there is time");
}

#[test]
fn each_piece_of_the_result_begins_the_time_anew() {
    let mut scene = scene(100);
    scene.results(2, 1, "x");
    for _ in 0..3 {
        assert_eq!(scene.later(99), []);
        assert_eq!(scene.pieces(1, 1, "one"), [(9, 11, true)]);
    }
    assert_eq!(scene.later(99), []);
    assert_eq!(scene.later(1).len(), 2);
}

#[test]
fn as_many_are_ended_at_once_as_one_wants_the_oldest_first() {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms::default());
    for (request, timeout_ms) in [(1, 30), (2, 10), (3, 20), (4, 1_000)] {
        scene.invocation(Ask { timeout_ms, ..ask(9, request, "a") });
    }
    scene.now.mono += 100 * crate::base::time::MS;
    let mut out = Vec::new();
    assert!(scene.calls.expire(scene.now, 2, &mut out), "there is more");
    assert_eq!(out, [2, 3].map(|request| fail(9, request, Why::Timeout)));
    assert!(!scene.calls.expire(scene.now, 1, &mut out), "there is not");
    assert!(!scene.calls.expire(scene.now, 1, &mut out));
    assert_eq!((out.len(), scene.calls.audit().unwrap().waiting), (3, 1));
}

#[test]
fn who_watches_the_time_by_itself_is_told_and_nobody_else_watches() {
    for (can, takes_timeout, there) in
        [(Able::TIMEOUT, true, true), (Able::TIMEOUT, false, false), (Able::CANCEL, true, false)]
    {
        let mut scene = Scene::new();
        scene.offered_on(1, Terms { can, takes_timeout, ..Terms::default() });
        let it = scene.invocation(Ask { timeout_ms: 100, ..ask(9, 1, "a") });
        assert_eq!(it.timeout_ms, if there { 100 } else { 0 });
        assert_eq!(scene.calls.deadline().is_some(), !there);
        let it = scene.invoked(9, 2, "a");
        assert_eq!(it.timeout_ms, 0, "none is none");
        assert_eq!(scene.later(1_000).is_empty(), there);
    }
}

#[test]
fn who_is_asked_instead_has_what_is_left_of_the_time() {
    let mut scene = Scene::new();
    let takes = |takes_timeout| Terms { can: ALL, takes_timeout, ..Terms::default() };
    for (session, there) in [(1, true), (2, false), (3, true)] {
        scene.offered_on(session, takes(there));
    }
    scene.invocation(Ask { timeout_ms: 100, ..ask(9, 1, "a") });
    assert_eq!(scene.calls.deadline(), None);
    let due = scene.now.after_ms(100);
    scene.later(30);
    let away = || Answer::Unavailable("away".into(), load("x"));
    scene.answer(1, 1, away());
    assert_eq!(scene.calls.deadline(), Some(due));
    scene.later(30);
    let (_, out) = scene.answer(2, 1, away());
    assert!(matches!(&out[..], [Act::Invoke(it)] if it.timeout_ms == 40), "{out:?}");
    assert_eq!(scene.calls.deadline(), None);
    // Nobody here ends it: who takes it over then has the least there is.
    scene.offered_on(4, takes(true));
    scene.later(1_000);
    let (_, out) = scene.answer(3, 1, away());
    assert!(matches!(&out[..], [Act::Invoke(it)] if it.timeout_ms == 1), "{out:?}");
}

#[test]
fn all_pieces_of_a_call_tell_the_time_that_the_first_one_told() {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms { can: ALL, takes_timeout: true, ..Terms::default() });
    let piece = |timeout_ms| Ask { more: true, timeout_ms, ..ask(9, 1, "a") };
    assert_eq!(scene.invocation(piece(100)).timeout_ms, 100);
    scene.later(30);
    assert_eq!(scene.invocation(piece(7)).timeout_ms, 100);
}

#[test]
fn who_was_told_to_stop_is_not_told_again_and_the_time_ends_the_wait_for_it() {
    let mut scene = scene(100);
    scene.results(2, 1, "x");
    scene.cancel(9, 11, Mode::Kill);
    assert_eq!(scene.later(100), [fail(9, 11, Why::Timeout)]);
    assert_eq!(scene.results(1, 1, "late"), []);
}

#[test]
fn when_the_caller_leaves_the_callee_is_stopped_at_once_and_its_answer_is_late() {
    let mut scene = scene(100);
    assert_eq!(scene.leave(9).1, [stop(1, 1, Mode::KillNoWait, Stop::Gone)]);
    let tally = scene.calls.audit().unwrap();
    assert_eq!((tally.calls, tally.waiting, scene.calls.deadline()), (2, 0, None));
    assert_eq!(late_piece(&mut scene, 1), [stop(1, 1, Mode::KillNoWait, Stop::Late)]);
    assert_eq!(scene.results(1, 1, "late"), []);
    scene.leave(2);
    assert!(scene.calls.is_empty());
}

#[test]
fn a_callee_that_was_killed_is_not_stopped_again_when_the_caller_leaves() {
    let mut scene = scene(0);
    scene.cancel(9, 11, Mode::Kill);
    assert_eq!(scene.leave(9).1, []);
}

#[test]
fn when_the_callee_leaves_all_who_wait_for_it_are_told_at_once() {
    let mut scene = scene(100);
    scene.invocation(ask(8, 11, "a"));
    scene.invocation(ask(8, 12, "a"));
    scene.invocation(ask(9, 13, "a"));
    scene.cancel(9, 13, Mode::Kill);
    let (lost, out) = scene.leave(1);
    assert_eq!(lost, [Lost { registration: 1, ended: false }]);
    let gone = |to, request| fail(to, request, Why::Gone);
    assert_eq!(out, [gone(9, 11), gone(8, 11), gone(9, 13)]);
    assert_eq!(scene.cancel(9, 11, Mode::Skip), []);
    let (lost, out) = scene.leave(2);
    assert_eq!(lost, [Lost { registration: 1, ended: true }]);
    assert_eq!(out, [gone(9, 12), gone(8, 12)]);
    assert_eq!(scene.failed(9, 14, "a"), Why::NoProcedure);
}

#[test]
fn who_leaves_is_told_nothing_also_of_calls_to_itself() {
    let mut scene = Scene::new();
    scene.offered_on(1, Terms { can: ALL, ..Terms::default() });
    scene.offered(2, "b", Kind::Exact, Invoke::Single);
    scene.invoked(1, 1, "a");
    scene.invocation(Ask { more: true, ..ask(1, 2, "a") });
    scene.invocation(Ask { more: true, ..ask(1, 3, "b") });
    scene.invoked(2, 1, "a");
    let wanted = [fail(2, 1, Why::Gone), stop(2, 1, Mode::KillNoWait, Stop::Gone)];
    assert_eq!(scene.leave(1).1, wanted);
    assert_eq!(scene.leave(2).1, []);
    assert_eq!(scene.calls.audit(), Ok(Tally::default()));
    assert_eq!(scene.calls.held(), 0);
}

#[test]
fn who_may_stay_silent_has_so_long_and_is_not_waited_for_when_the_caller_is_not() {
    let silent = Terms { within_ms: 100, ..Terms::default() };
    for (asked, due) in [(0, 100), (40, 40), (200, 100)] {
        let mut scene = Scene::new();
        scene.offered_on(1, silent);
        scene.invocation(Ask { timeout_ms: asked, ..ask(9, 1, "a") });
        assert_eq!(scene.calls.deadline(), Some(scene.now.after_ms(due)));
        let out = scene.later(due);
        assert!(matches!(&out[..], [Act::Fail { why: Why::Timeout, .. }]), "{out:?}");
        assert_eq!(scene.calls.audit().unwrap().calls, 0, "nobody waits for it");
        let (heard, out) = scene.answer(1, 1, Answer::Result(load("late"), Able::NONE));
        assert_eq!((heard, out.len()), (Heard::Late, 0));
    }
    for mode in [Mode::Skip, Mode::Kill, Mode::KillNoWait] {
        let mut scene = Scene::new();
        scene.offered_on(1, silent);
        scene.invoked(9, 1, "a");
        let mut out = Vec::new();
        scene.calls.cancel(sid(9), 1, mode, &mut out);
        assert!(matches!(&out[..], [Act::Fail { why: Why::Canceled, .. }]), "{out:?}");
        assert_eq!(scene.calls.audit().unwrap().calls, 0, "{mode:?}");
    }
    let mut scene = Scene::new();
    scene.offered_on(1, silent);
    scene.invoked(9, 1, "a");
    let mut out = Vec::new();
    scene.calls.leave(sid(9), &mut out);
    assert_eq!((out.len(), scene.calls.audit().unwrap().calls), (0, 0));
}
