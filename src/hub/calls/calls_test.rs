//! Floor 2. Calls and their answers, and the scene that other tests play on.

use bytes::Bytes;

use super::*;

pub(super) const HOME: RealmId = RealmId(0);
pub(super) const NOW: Now = Now { mono: 5_000_000, wall: 1_700_000_000_000 };

/// Somebody who can do everything, but does not watch the time.
pub(super) const ALL: Able = Able::ALL;

pub(super) fn sid(index: u32) -> SessionId {
    SessionId { index, life: 0 }
}

pub(super) fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn load(args: &str) -> Payload {
    Payload { form: 1, meta: Bytes::new(), args: text(args) }
}

/// A plain call.
pub(super) fn ask(caller: u32, request: u64, procedure: &str) -> Ask {
    Ask {
        realm: HOME,
        caller: sid(caller),
        request,
        procedure: text(procedure),
        payload: load("args"),
        more: false,
        pieces: false,
        timeout_ms: 0,
        disclose: false,
        trust: 0,
        needs: Able::NONE,
        can: ALL,
        shard: None,
    }
}

/// Calls, and what was said last.
pub(super) struct Scene {
    pub(super) calls: Calls,
    pub(super) now: Now,
    pub(super) request: u64,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self { calls: Calls::new(CallLimits::default(), 1), now: NOW, request: 0 }
    }

    pub(super) fn offer(&self, procedure: &str, kind: Kind, invoke: Invoke) -> Offer {
        let terms = Terms { can: ALL, ..Terms::default() };
        Offer { procedure: text(procedure), kind, invoke, terms }
    }

    pub(super) fn register(&mut self, session: u32, offer: &Offer) -> Result<Registered, Refused> {
        self.calls.register(self.now, HOME, sid(session), offer)
    }

    /// The number of a registration that is not refused.
    pub(super) fn offered(&mut self, who: u32, text: &str, kind: Kind, invoke: Invoke) -> u64 {
        let offer = self.offer(text, kind, invoke);
        self.register(who, &offer).unwrap().id()
    }

    /// One callee on these terms for the procedure "a".
    pub(super) fn offered_on(&mut self, session: u32, terms: Terms) -> u64 {
        let offer = self.offer("a", Kind::Exact, Invoke::Roundrobin);
        self.register(session, &Offer { terms, ..offer }).unwrap().id()
    }

    pub(super) fn call(&mut self, ask: Ask) -> Vec<Act> {
        let mut out = Vec::new();
        self.calls.call(self.now, ask, &mut out).unwrap();
        self.calls.audit().unwrap();
        out
    }

    /// A call that leads to an invocation.
    pub(super) fn invocation(&mut self, ask: Ask) -> Invocation {
        let out = self.call(ask);
        let [Act::Invoke(it)] = &out[..] else { panic!("{out:?}") };
        it.clone()
    }

    pub(super) fn invoked(&mut self, caller: u32, request: u64, procedure: &str) -> Invocation {
        self.invocation(ask(caller, request, procedure))
    }

    /// A call that fails at once.
    pub(super) fn failed(&mut self, caller: u32, request: u64, procedure: &str) -> Why {
        self.failure(ask(caller, request, procedure))
    }

    pub(super) fn failure(&mut self, ask: Ask) -> Why {
        let (caller, request) = (ask.caller, ask.request);
        let out = self.call(ask);
        let [Act::Fail { to, request: same, why, payload }] = &out[..] else { panic!("{out:?}") };
        assert_eq!((*to, *same, payload), (caller, request, &Payload::default()));
        why.clone()
    }

    pub(super) fn answer(&mut self, callee: u32, number: u64, answer: Answer) -> (Heard, Vec<Act>) {
        let mut out = Vec::new();
        let heard = self.calls.answer(self.now, sid(callee), number, answer, &mut out).unwrap();
        self.calls.audit().unwrap();
        (heard, out)
    }

    /// Who gets a result under which number, and whether there is more.
    pub(super) fn results(
        &mut self,
        callee: u32,
        number: u64,
        args: &str,
    ) -> Vec<(u32, u64, bool)> {
        let answer = Answer::Result(load(args), Able::NONE);
        received(self.answer(callee, number, answer).1, args)
    }

    pub(super) fn pieces(&mut self, callee: u32, number: u64, args: &str) -> Vec<(u32, u64, bool)> {
        let answer = Answer::Piece(load(args), Able::NONE);
        received(self.answer(callee, number, answer).1, args)
    }

    pub(super) fn cancel(&mut self, caller: u32, request: u64, mode: Mode) -> Vec<Act> {
        let mut out = Vec::new();
        self.calls.cancel(sid(caller), request, mode, &mut out);
        self.calls.audit().unwrap();
        out
    }

    pub(super) fn blocked(&mut self, callee: u32, number: u64) -> Vec<Act> {
        let mut out = Vec::new();
        self.calls.blocked(sid(callee), number, &mut out);
        self.calls.audit().unwrap();
        out
    }

    /// What is said when so many milliseconds have gone by.
    pub(super) fn later(&mut self, ms: u64) -> Vec<Act> {
        self.now.mono += ms * crate::base::time::MS;
        let mut out = Vec::new();
        assert!(!self.calls.expire(self.now, usize::MAX, &mut out));
        self.calls.audit().unwrap();
        out
    }

    pub(super) fn leave(&mut self, session: u32) -> (Vec<Lost>, Vec<Act>) {
        let mut out = Vec::new();
        let lost = self.calls.leave(sid(session), &mut out);
        self.calls.audit().unwrap();
        (lost, out)
    }
}

fn received(acts: Vec<Act>, args: &str) -> Vec<(u32, u64, bool)> {
    let one = |act| match act {
        Act::Result { to, request, more, payload } => {
            assert_eq!(payload, load(args), "untouched");
            (to.index, request, more)
        }
        other => panic!("{other:?}"),
    };
    acts.into_iter().map(one).collect()
}

pub(super) fn fail(to: u32, request: u64, why: Why) -> Act {
    Act::Fail { to: sid(to), request, why, payload: Payload::default() }
}

pub(super) fn stop(to: u32, number: u64, mode: Mode, why: Stop) -> Act {
    Act::Interrupt { to: sid(to), number, mode, why }
}

#[test]
fn a_call_goes_to_its_callee_and_the_answer_back_untouched() {
    let mut scene = Scene::new();
    let id = scene.offered(1, "a", Kind::Exact, Invoke::Single);
    let payload = Payload { form: 3, meta: text("beside"), args: text("\0\u{ff}") };
    let it = scene.invocation(Ask { payload: payload.clone(), trust: 7, ..ask(2, 40, "a") });
    let wanted = Invocation {
        to: sid(1),
        number: 1,
        registration: id,
        procedure: None,
        payload: payload.clone(),
        more: false,
        pieces: false,
        timeout_ms: 0,
        caller: None,
        trust: 7,
    };
    assert_eq!(it, wanted);
    let (heard, out) = scene.answer(1, 1, Answer::Result(payload.clone(), Able::NONE));
    let wanted = Act::Result { to: sid(2), request: 40, more: false, payload: payload.clone() };
    assert_eq!((heard, out), (Heard::Passed, vec![wanted]));
    scene.invoked(2, 41, "a");
    let (_, out) = scene.answer(1, 2, Answer::Error(text("e"), payload.clone()));
    let wanted = Act::Fail { to: sid(2), request: 41, why: Why::Said(text("e")), payload };
    assert_eq!(out, [wanted]);
    assert!(scene.calls.is_empty());
}

#[test]
fn numbers_are_counted_up_from_one_for_each_callee() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    scene.offered(1, "b", Kind::Exact, Invoke::Single);
    scene.offered(2, "c", Kind::Exact, Invoke::Single);
    let numbers = [(3, "a"), (4, "b"), (3, "c"), (4, "a"), (5, "c")]
        .map(|(caller, name)| scene.invoked(caller, 9_000 + u64::from(name.as_bytes()[0]), name))
        .map(|it| (it.to.index, it.number));
    assert_eq!(numbers, [(1, 1), (1, 2), (2, 1), (1, 3), (2, 2)]);
    // Answers come in any order, and each finds its caller.
    assert_eq!(scene.results(1, 3, "x"), [(4, 9_097, false)]);
    assert_eq!(scene.results(1, 1, "y"), [(3, 9_097, false)]);
    assert_eq!(scene.results(2, 2, "z"), [(5, 9_099, false)]);
}

#[test]
fn what_nobody_offers_is_no_procedure_and_nobody_learns_of_the_call() {
    let mut scene = Scene::new();
    assert_eq!(scene.failed(1, 1, "a"), Why::NoProcedure);
    assert_eq!(scene.calls.len(), 0);
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    assert_eq!(scene.failure(Ask { realm: RealmId(1), ..ask(1, 2, "a") }), Why::NoProcedure);
}

#[test]
fn the_name_is_told_where_the_registration_does_not_tell_it() {
    let mut scene = Scene::new();
    scene.offered(1, "a.b", Kind::Exact, Invoke::Single);
    scene.offered(1, "a.", Kind::Prefix, Invoke::Single);
    scene.offered(1, "..", Kind::Wildcard, Invoke::Single);
    assert_eq!(scene.invoked(2, 1, "a.b").procedure, None);
    assert_eq!(scene.invoked(2, 2, "a.c").procedure, Some(text("a.c")));
    assert_eq!(scene.invoked(2, 3, "x.y.z").procedure, Some(text("x.y.z")));
}

#[test]
fn the_caller_is_disclosed_if_it_asks_for_that_or_the_callee_does() {
    for (asks, demands, told) in
        [(false, false, None), (true, false, Some(sid(2))), (false, true, Some(sid(2)))]
    {
        let mut scene = Scene::new();
        scene.offered_on(
            1,
            Terms { can: Able::NONE, discloses: demands, takes_timeout: false, within_ms: 0 },
        );
        let it = scene.invocation(Ask { disclose: asks, ..ask(2, 1, "a") });
        assert_eq!(it.caller, told);
    }
}

#[test]
fn pieces_of_a_result_come_before_it_and_it_ends_them() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    let it = scene.invocation(Ask { pieces: true, ..ask(2, 5, "a") });
    assert!(it.pieces);
    assert_eq!(scene.pieces(1, 1, "one"), [(2, 5, true)]);
    assert_eq!(scene.pieces(1, 1, "two"), [(2, 5, true)]);
    assert_eq!(scene.results(1, 1, "three"), [(2, 5, false)]);
    let late = scene.answer(1, 1, Answer::Result(load("four"), Able::NONE));
    assert_eq!(late, (Heard::Late, Vec::new()));
}

#[test]
fn pieces_are_asked_of_who_can_give_them_and_be_stopped_and_not_passed_on_unasked() {
    let both = Able::RESULTS | Able::CANCEL;
    for (can, wants, asked) in [
        (both, true, true),
        (both, false, false),
        (Able::RESULTS, true, false),
        (Able::CANCEL, true, false),
    ] {
        let mut scene = Scene::new();
        scene.offered_on(1, Terms { can, ..Terms::default() });
        let it = scene.invocation(Ask { pieces: wants, ..ask(2, 5, "a") });
        assert_eq!(it.pieces, asked, "{can:?} {wants}");
        let (heard, out) = scene.answer(1, 1, Answer::Piece(load("one"), Able::NONE));
        assert_eq!((heard == Heard::Passed, out.len()), (asked, usize::from(asked)));
        assert!(asked || heard == Heard::Unasked);
        assert_eq!(scene.results(1, 1, "two"), [(2, 5, false)], "the call goes on");
    }
}

#[test]
fn pieces_of_a_call_go_where_the_first_went_under_its_number_and_as_it_wished() {
    for callees in [1, 2] {
        pieces_of_a_call(callees);
    }
}

fn pieces_of_a_call(callees: u32) {
    let mut scene = Scene::new();
    for session in 1..=callees {
        scene.offered(session, "a", Kind::Prefix, Invoke::Roundrobin);
    }
    let beside = |meta: &str, args: &str| Payload { form: 1, meta: text(meta), args: text(args) };
    let first = Ask {
        more: true,
        pieces: true,
        disclose: true,
        trust: 3,
        payload: beside("frozen", "one"),
        ..ask(9, 5, "a.b")
    };
    let it = scene.invocation(first);
    assert_eq!((it.to, it.number, it.more), (sid(1), 1, true));
    // What the others wish for themselves counts for nothing, not even another procedure.
    let second = Ask { more: true, payload: beside("other", "two"), ..ask(9, 5, "x") };
    let wanted = Invocation { payload: beside("frozen", "two"), ..it.clone() };
    assert_eq!(scene.invocation(second), wanted);
    let third = Ask { payload: beside("", "three"), ..ask(9, 5, "a.b") };
    let wanted = Invocation { payload: beside("frozen", "three"), more: false, ..it };
    assert_eq!(scene.invocation(third), wanted);
    assert_eq!(scene.pieces(1, 1, "x"), [(9, 5, true)]);
    assert_eq!(scene.results(1, 1, "y"), [(9, 5, false)]);
}

#[test]
fn a_number_in_use_for_a_call_in_one_piece_or_a_whole_one_is_not_used_again() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    let mut out = Vec::new();
    scene.invoked(2, 5, "a");
    for more in [false, true] {
        let again = Ask { more, ..ask(2, 5, "a") };
        assert_eq!(scene.calls.call(NOW, again, &mut out), Err(Violation::Reused));
    }
    scene.invocation(Ask { more: true, ..ask(2, 6, "a") });
    scene.invocation(Ask { more: false, ..ask(2, 6, "a") });
    let again = scene.calls.call(NOW, ask(2, 6, "a"), &mut out);
    assert_eq!((again, out.len()), (Err(Violation::Reused), 0));
    assert_eq!(scene.invoked(3, 5, "a").number, 3, "another caller may");
    scene.results(1, 1, "x");
    assert_eq!(scene.invoked(2, 5, "a").number, 4, "so may this one, when it is over");
}

#[test]
fn late_pieces_of_a_call_that_is_over_open_no_other() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    let piece = |request, more| Ask { more, ..ask(2, request, "a") };
    scene.invocation(piece(5, true));
    assert_eq!(scene.results(1, 1, "enough"), [(2, 5, false)]);
    assert_eq!(scene.call(piece(5, true)), []);
    assert_eq!(scene.call(piece(5, true)), []);
    assert_eq!(scene.call(piece(5, false)), [], "the last");
    assert_eq!(scene.invocation(piece(5, false)).number, 2, "and then it is free again");
    // The same for one that never began.
    let nothing = |more| Ask { more, ..ask(2, 6, "nothing") };
    assert_eq!(scene.failure(nothing(true)), Why::NoProcedure);
    assert_eq!(scene.call(nothing(true)), []);
    assert_eq!(scene.call(nothing(false)), []);
    assert_eq!(scene.failure(nothing(false)), Why::NoProcedure);
    // One whose last piece came is not waited for.
    scene.invocation(piece(7, true));
    let it = scene.invocation(piece(7, false));
    scene.results(1, it.number, "x");
    assert_eq!(scene.invocation(piece(7, false)).number, it.number + 1);
}

#[test]
fn of_calls_that_are_over_the_last_few_are_known() {
    let mut scene = Scene::new();
    scene.calls.limits.streams_known_max = 3;
    let piece = |request, more| Ask { more, ..ask(2, request, "nothing") };
    for request in 1..=3 {
        scene.failure(piece(request, true));
    }
    assert_eq!(scene.call(piece(2, false)), [], "it came to its end");
    scene.failure(piece(4, true));
    assert_eq!(scene.failure(piece(1, false)), Why::NoProcedure, "the oldest is forgotten");
    assert_eq!(scene.call(piece(3, false)), []);
    assert_eq!(scene.call(piece(4, false)), []);
}

#[test]
fn a_callee_must_be_able_to_do_what_a_call_needs() {
    let stream = Able::CHUNKS | Able::CANCEL;
    let wanted = |can, more, needs| {
        let mut scene = Scene::new();
        scene.offered_on(1, Terms { can, ..Terms::default() });
        let out = scene.call(Ask { more, needs, ..ask(2, 1, "a") });
        assert!(scene.calls.len() == 1 || out == [fail(2, 1, Why::Unsupported)]);
        scene.calls.len() == 1
    };
    assert!(wanted(Able::NONE, false, Able::NONE));
    assert!(wanted(stream, true, Able::NONE));
    assert!(!wanted(Able::CHUNKS, true, Able::NONE) && !wanted(Able::CANCEL, true, Able::NONE));
    assert!(wanted(Able::OPAQUE, false, Able::OPAQUE) && !wanted(stream, false, Able::OPAQUE));
}

#[test]
fn an_answer_that_the_caller_cannot_take_goes_back_and_another_may_come() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    scene.invocation(Ask { can: Able::NONE, pieces: true, ..ask(2, 1, "a") });
    for answer in [Answer::Piece, Answer::Result] {
        let heard = scene.answer(1, 1, answer(load("x"), Able::OPAQUE));
        assert_eq!(heard, (Heard::Unfit, Vec::new()));
    }
    assert_eq!(scene.results(1, 1, "y"), [(2, 1, false)]);
}

#[test]
fn who_answers_what_it_was_never_asked_breaks_the_rules() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    scene.offered(3, "b", Kind::Exact, Invoke::Single);
    for request in 1..=2 {
        scene.invoked(2, request, "a");
    }
    let mut out = Vec::new();
    // Not yet, not at all, and numbers of somebody else: who asked, and who does other things.
    scene.invoked(2, 3, "b");
    for (callee, number) in [(1, 3), (1, 0), (2, 1), (3, 2), (4, 1)] {
        let answer = Answer::Result(load("x"), Able::NONE);
        let heard = scene.calls.answer(NOW, sid(callee), number, answer, &mut out);
        assert_eq!(heard, Err(Violation::NeverIssued), "{callee} {number}");
    }
    assert_eq!((out.len(), scene.calls.len()), (0, 3));
}

#[test]
fn calls_have_a_bound_at_their_caller_and_at_their_callee() {
    let mut scene = Scene::new();
    scene.calls.limits.calls_per_caller_max = 2;
    scene.calls.limits.calls_per_callee_max = 3;
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    scene.invoked(2, 1, "a");
    scene.invoked(2, 2, "a");
    assert_eq!(scene.failed(2, 3, "a"), Why::Full(Bound::CallsPerCaller));
    scene.invoked(3, 1, "a");
    assert_eq!(scene.failed(3, 2, "a"), Why::Full(Bound::CallsPerCallee));
    // What nobody waits for any more makes room at the callee.
    scene.leave(2);
    assert_eq!(scene.calls.len(), 3);
    scene.invoked(3, 2, "a");
    assert_eq!(scene.calls.len(), 3);
    assert_eq!(scene.results(1, 1, "late"), []);
}

#[test]
fn calls_are_weighed_with_what_is_held_of_them() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Roundrobin);
    let empty = scene.calls.held();
    scene.invoked(9, 1, "a");
    let one = scene.calls.held() - empty;
    assert_eq!(one, pending::CALL_BYTES, "nobody else could be asked: nothing is held");
    scene.offered(2, "a", Kind::Exact, Invoke::Roundrobin);
    let before = scene.calls.held();
    let large = |request| Ask { payload: load(&"x".repeat(1_000)), ..ask(9, request, "a") };
    scene.calls.limits.held_bytes_max = before + one + 999;
    assert_eq!(scene.failure(large(2)), Why::Full(Bound::HeldBytes));
    assert_eq!(scene.calls.held(), before);
    scene.calls.limits.held_bytes_max += 1;
    let it = scene.invocation(large(3));
    assert_eq!(scene.calls.held(), before + one + 1_000);
    scene.results(it.to.index, it.number, "x");
    scene.results(1, 1, "x");
    assert_eq!(scene.calls.held(), before - one);
}

#[test]
fn what_cannot_be_handed_over_fails_and_leaves_no_gap_in_the_numbers() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    scene.invoked(2, 1, "a");
    scene.invoked(2, 2, "a");
    assert_eq!(scene.blocked(1, 2), [fail(2, 2, Why::Blocked)]);
    assert_eq!(scene.blocked(1, 2), [], "once");
    assert_eq!(scene.blocked(1, 9), [], "unknown");
    let mut out = Vec::new();
    let answer = Answer::Result(load("x"), Able::NONE);
    let heard = scene.calls.answer(NOW, sid(1), 2, answer, &mut out);
    assert_eq!(heard, Err(Violation::NeverIssued), "it was never given that number");
    assert_eq!(scene.invoked(2, 3, "a").number, 2);
    // Another one has come since: the number is lost.
    scene.invoked(2, 4, "a");
    assert_eq!(scene.blocked(1, 2), [fail(2, 3, Why::Blocked)]);
    assert_eq!(scene.invoked(2, 5, "a").number, 4);
    assert_eq!(scene.calls.len(), 3);
}

#[test]
fn a_piece_that_cannot_be_handed_over_fails_the_call_and_stops_the_callee() {
    let mut scene = Scene::new();
    scene.offered(1, "a", Kind::Exact, Invoke::Single);
    let piece = || Ask { more: true, ..ask(2, 1, "a") };
    scene.invocation(piece());
    scene.invocation(piece());
    let wanted = [fail(2, 1, Why::Blocked), stop(1, 1, Mode::KillNoWait, Stop::Blocked)];
    assert_eq!(scene.blocked(1, 1), wanted);
    assert_eq!(scene.call(piece()), [], "the rest is late");
    assert_eq!(scene.results(1, 1, "late"), []);
    assert_eq!(scene.invoked(2, 2, "a").number, 2);
}

#[test]
fn who_is_unavailable_hands_on_to_the_next_who_was_not_asked_yet() {
    for (invoke, order) in
        [(Invoke::First, [1, 2, 3]), (Invoke::Last, [3, 2, 1]), (Invoke::Roundrobin, [1, 2, 3])]
    {
        let mut scene = Scene::new();
        for session in [1, 2, 3] {
            scene.offered(session, "a", Kind::Prefix, invoke);
        }
        let mut it = scene.invoked(9, 5, "a.b");
        let away = || Answer::Unavailable(text("away"), load("x"));
        for (n, session) in order.into_iter().enumerate() {
            assert_eq!(it.to, sid(session), "{invoke:?}");
            assert_eq!((&it.payload, it.procedure.as_deref()), (&load("args"), Some(&b"a.b"[..])));
            let (heard, out) = scene.answer(session, it.number, away());
            assert_eq!(heard, Heard::Rerouted);
            match &out[..] {
                [Act::Invoke(next)] if n < 2 => it = next.clone(),
                [last] if n == 2 => assert_eq!(last, &fail(9, 5, Why::NoCallee)),
                other => panic!("{other:?}"),
            }
            let again = scene.answer(session, 1, away());
            assert_eq!(again, (Heard::Late, Vec::new()), "it is not asked any more");
        }
        assert!(scene.calls.is_empty());
    }
}

#[test]
fn only_those_are_asked_instead_who_can_and_have_room() {
    let mut scene = Scene::new();
    scene.calls.limits.calls_per_callee_max = 1;
    let can = |can| Terms { can, ..Terms::default() };
    scene.offered_on(1, can(Able::OPAQUE));
    scene.offered_on(2, can(Able::NONE));
    scene.offered_on(3, can(Able::OPAQUE));
    scene.offered_on(4, can(Able::OPAQUE));
    scene.offered(3, "b", Kind::Exact, Invoke::Single);
    scene.invoked(9, 1, "b");
    let it = scene.invocation(Ask { needs: Able::OPAQUE, ..ask(9, 2, "a") });
    assert_eq!(it.to, sid(1));
    let away = Answer::Unavailable(text("away"), load("x"));
    let (_, out) = scene.answer(1, 1, away);
    let [Act::Invoke(next)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(next.to, sid(4), "the second cannot, the third has no room");
}

#[test]
fn once_it_has_begun_unavailable_is_an_error_like_any_other() {
    let away = || Answer::Unavailable(text("away"), load("x"));
    let said = |request| Act::Fail {
        to: sid(9),
        request,
        why: Why::Said(text("away")),
        payload: load("x"),
    };
    let mut scene = Scene::new();
    for session in [1, 2] {
        scene.offered(session, "a", Kind::Exact, Invoke::First);
    }
    // A piece of the result came.
    scene.invocation(Ask { pieces: true, ..ask(9, 1, "a") });
    scene.pieces(1, 1, "one");
    assert_eq!(scene.answer(1, 1, away()), (Heard::Passed, vec![said(1)]));
    // A second piece of the call went.
    scene.invocation(Ask { more: true, ..ask(9, 2, "a") });
    scene.invocation(Ask { more: true, ..ask(9, 2, "a") });
    assert_eq!(scene.answer(1, 2, away()).1, [said(2)]);
    // The caller wanted it to stop.
    scene.invoked(9, 3, "a");
    scene.cancel(9, 3, Mode::Kill);
    assert_eq!(scene.answer(1, 3, away()).1, [said(3)]);
    // It had begun alone: what it would take to ask another is not held.
    scene.leave(2);
    scene.invoked(9, 4, "a");
    scene.offered(2, "a", Kind::Exact, Invoke::First);
    assert_eq!(scene.answer(1, 4, away()).1, [fail(9, 4, Why::NoCallee)]);
}

#[test]
fn pieces_follow_a_call_to_whoever_took_it_over() {
    let mut scene = Scene::new();
    for session in [1, 2] {
        scene.offered(session, "a", Kind::Exact, Invoke::First);
    }
    scene.invocation(Ask { more: true, ..ask(9, 1, "a") });
    let (_, out) = scene.answer(1, 1, Answer::Unavailable(text("away"), load("x")));
    let [Act::Invoke(it)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((it.to, it.number, it.more), (sid(2), 1, true));
    let it = scene.invocation(ask(9, 1, "a"));
    assert_eq!((it.to, it.number, it.more), (sid(2), 1, false));
    assert_eq!(scene.results(2, 1, "x"), [(9, 1, false)]);
}

#[test]
fn what_another_callee_would_be_asked_with_is_held_until_it_has_begun() {
    let mut scene = Scene::new();
    for session in [1, 2, 3] {
        scene.offered(session, "a", Kind::Exact, Invoke::First);
    }
    let empty = scene.calls.held();
    let large = load(&"x".repeat(1_000));
    let begun = empty + pending::CALL_BYTES;
    // Until a piece of the result comes.
    scene.invocation(Ask { pieces: true, payload: large.clone(), ..ask(9, 1, "a") });
    assert_eq!(scene.calls.held(), begun + 1_000);
    scene.answer(1, 1, Answer::Unavailable(text("away"), load("")));
    assert!(scene.calls.held() > begun + 1_000, "who was asked is held as well");
    scene.pieces(2, 1, "one");
    assert_eq!(scene.calls.held(), begun);
    scene.results(2, 1, "two");
    // Until a second piece of the call goes.
    let piece = || Ask { more: true, payload: large.clone(), ..ask(9, 2, "a") };
    scene.invocation(piece());
    assert_eq!(scene.calls.held(), begun + 1_000);
    scene.invocation(piece());
    assert_eq!(scene.calls.held(), begun);
    scene.leave(1);
    // Until nobody waits for it.
    let it = scene.invocation(Ask { payload: large, ..ask(9, 3, "a") });
    scene.cancel(9, 3, Mode::Skip);
    let two = empty - (scene.calls.held() - pending::CALL_BYTES);
    assert!((1..1_000).contains(&two), "a callee weighs less than what was dropped");
    scene.results(it.to.index, it.number, "late");
    assert_eq!(scene.calls.held(), empty - two);
}

#[test]
fn what_the_router_asks_nobody_else_calls() {
    let mut scene = Scene::new();
    let offer = scene.offer("a", Kind::Exact, Invoke::Single);
    scene.calls.register(NOW, HOME, sid(1), &offer).expect("room");
    scene.calls.close(vec![(HOME, text("a"))]);
    let mut acts = Vec::new();
    scene.calls.call(NOW, ask(2, 1, "a"), &mut acts).expect("new");
    assert!(matches!(&acts[..], [Act::Fail { why: Why::NoProcedure, .. }]), "{acts:?}");
    acts.clear();
    let own = Ask { caller: ROUTER, ..ask(2, 1, "a") };
    scene.calls.call(NOW, own, &mut acts).expect("new");
    assert!(matches!(&acts[..], [Act::Invoke(_)]), "{acts:?}");
    scene.calls.close(Vec::new());
    acts.clear();
    scene.calls.call(NOW, ask(2, 2, "a"), &mut acts).expect("new");
    assert!(matches!(&acts[..], [Act::Invoke(_)]), "{acts:?}");
}
