"""Calling and being called: results, errors, choice of a callee, progress, cancelling, time."""

import threading
import time

import wamp
import wampwire as wire
from harness import check, same, that
from wampwire import Web

#: Whoever is called, in three libraries; the one of xconn sends errors without named arguments.
CALLEES = ("autobahn", "autobahnjs", "wampy", "xconn", "wamprs")
NO_PROCEDURE = "wamp.error.no_such_procedure"
VIOLATION = "wamp.error.protocol_violation"


def callee(t, procedure="p", run=None, without=(), **options):
    """A callee by hand, registered."""
    one = Web(t).join(roles=wire.roles(*without))
    one.say(wire.REGISTER, 1, options, t.uri(procedure))
    one.registration = one.expect(wire.REGISTERED, 1)[2]
    return one


def named(value):
    return lambda i: value


@check("wamp.call", over=CALLEES)
def call(t, lib):
    """Arguments of both kinds go there, results of both kinds come back."""
    wamp.client(t, lib).register(
        t.uri("p"), lambda i: wamp.Result(i.args, i.kwargs, swapped=True))
    got = wamp.client(t, "xconn").call(t.uri("p"), 1, "b", kwargs={"c": [None, {}]})
    same((got.args, got.kwargs), ([[1, "b"], {"c": [None, {}]}], {"swapped": True}))


@check("wamp.call_nothing", over=CALLEES)
def call_nothing(t, lib):
    """No arguments, no result."""
    seen = []
    wamp.client(t, lib).register(t.uri("p"), lambda i: seen.append((i.args, i.kwargs)))
    got = wamp.client(t).call(t.uri("p"))
    same((got.args or [], got.kwargs or {}, seen), ([], {}, [([], {})]))


@check("wamp.no_such_procedure", over=wamp.LIBS)
def no_such_procedure(t, lib):
    """Calling what nobody offers."""
    same(wamp.client(t, lib).calling(t.uri("nothing")).fails(), NO_PROCEDURE)


@check("wamp.call_error", over=("autobahn", "autobahnjs", "wampy"))
def call_error(t, lib):
    """An error of a callee comes with its URI and all its arguments, to every library."""

    def run(i):
        raise wamp.Failed("com.app.broken", ["leg", 2], {"why": "fell"})

    wamp.client(t, lib).register(t.uri("p"), run)
    for caller in ("autobahn", "autobahnjs", "wampy", "xconn"):
        e = wamp.client(t, caller).calling(t.uri("p")).failure()
        same((e.uri, e.values, e.kwargs), ("com.app.broken", ["leg", 2], {"why": "fell"}))


@check("wamp.call_error_plain")
def call_error_plain(t):
    """The same of a library that sends less of it."""

    def run(i):
        raise wamp.Failed("com.app.broken", ["leg"])

    wamp.client(t, "xconn").register(t.uri("p"), run)
    same(wamp.client(t).calling(t.uri("p")).fails(), "com.app.broken")


@check("wamp.register_twice", over=("autobahn", "autobahnjs", "xconn", "wamprs"))
def register_twice(t, lib):
    """What one offers, another cannot."""
    wamp.client(t).register(t.uri("p"), named("first"))
    try:
        wamp.client(t, lib).register(t.uri("p"), named("second"))
    except wamp.Failed as e:
        same(e.uri, "wamp.error.procedure_already_exists")
    else:
        raise AssertionError("registered twice")
    same(wamp.client(t).value(t.uri("p")), "first")


@check("wamp.unregister", over=CALLEES)
def unregister(t, lib):
    """What was given up cannot be called, and may be offered by another."""
    made = wamp.client(t, lib).register(t.uri("p"), named("first"))
    two = wamp.client(t)
    same(two.value(t.uri("p")), "first")
    made.unregister()
    same(two.calling(t.uri("p")).fails(), NO_PROCEDURE)
    two.register(t.uri("p"), named("second"))
    same(two.value(t.uri("p")), "second")


@check("wamp.unregister_unknown")
def unregister_unknown(t):
    """What is not there cannot be given up."""
    one = Web(t).join()
    one.say(wire.UNREGISTER, 1, 123456789)
    same(one.fails(wire.UNREGISTER, 1), "wamp.error.no_such_registration")


@check("wamp.unregister_foreign")
def unregister_foreign(t):
    """Neither can what is another's (nexus confirms it)."""
    made = wamp.client(t).register(t.uri("p"), named("mine"))
    one = Web(t).join()
    one.say(wire.UNREGISTER, 1, made.id)
    same(one.fails(wire.UNREGISTER, 1), "wamp.error.no_such_registration")
    same(wamp.client(t).value(t.uri("p")), "mine")


@check("wamp.bad_procedure", over=("a b", "", "a..b", "a#b"))
def bad_procedure(t, procedure):
    """A procedure is named by a URI."""
    one = Web(t).join()
    one.say(wire.REGISTER, 1, {}, procedure)
    same(one.fails(wire.REGISTER, 1), "wamp.error.invalid_uri")


@check("wamp.call_bad_procedure", over=("a b", "", "a..b"))
def call_bad_procedure(t, procedure):
    """Calling what is no URI is an error, and not the end."""
    one = Web(t).join()
    one.say(wire.CALL, 1, {}, procedure)
    that(one.fails(wire.CALL, 1) in (NO_PROCEDURE, "wamp.error.invalid_uri"), "another error")


@check("wamp.reserved_procedure", over=("wamp.session.count", "wamp.mine"))
def reserved_procedure(t, procedure):
    """Nobody but the router offers what begins with wamp."""
    one = Web(t).join()
    one.say(wire.REGISTER, 1, {}, procedure)
    that(one.fails(wire.REGISTER, 1) in ("wamp.error.invalid_uri",
                                         "wamp.error.procedure_already_exists"), "another error")


@check("wamp.register_prefix", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def register_prefix(t, lib):
    """A callee of a prefix is told what was called."""
    wamp.client(t, lib).register(t.uri("a"), lambda i: i.details["procedure"], match="prefix")
    two = wamp.client(t)
    for name in ("a", "a.b", "a.b.c", "ab"):
        same(two.value(t.uri(name)), t.uri(name))
    same(two.calling(t.uri("b")).fails(), NO_PROCEDURE)


@check("wamp.register_wildcard", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def register_wildcard(t, lib):
    """And one of a wildcard."""
    wamp.client(t, lib).register(t.uri("a..c"), lambda i: i.details["procedure"], match="wildcard")
    two = wamp.client(t)
    same(two.value(t.uri("a.x.c")), t.uri("a.x.c"))
    for name in ("a.c", "a.x.y.c", "a.x.d"):
        same(two.calling(t.uri(name)).fails(), NO_PROCEDURE)


@check("wamp.precedence")
def precedence(t):
    """Exact before prefix before wildcard, and when one goes the next takes over."""
    one, two = wamp.client(t), wamp.client(t)
    made = [one.register(t.uri("a.b.c"), named("exact")),
            one.register(t.uri("a.b"), named("prefix"), match="prefix"),
            one.register(t.uri("a..c"), named("wildcard"), match="wildcard")]
    for registration, name in zip(made, ("exact", "prefix", "wildcard")):
        same(two.value(t.uri("a.b.c")), name)
        registration.unregister()
    same(two.calling(t.uri("a.b.c")).fails(), NO_PROCEDURE)


@check("wamp.longest_prefix")
def longest_prefix(t):
    """Of several prefixes the longest."""
    one, two = wamp.client(t), wamp.client(t)
    for name in ("a", "a.b.c", "a.b"):
        one.register(t.uri(name), named(name), match="prefix")
    for called, wanted in (("a.x", "a"), ("a.b.x", "a.b"), ("a.b.c.d", "a.b.c"),
                           ("a.bcd", "a.b")):
        same(two.value(t.uri(called)), wanted, called)


@check("wamp.best_wildcard")
def best_wildcard(t):
    """Of several wildcards the one whose first open component comes last, then the next."""
    one, two = wamp.client(t), wamp.client(t)
    for name in ("a...d", "a.b..d", "a..c.d", ".b.c.d"):
        one.register(t.uri(name), named(name), match="wildcard")
    for called, wanted in (("a.b.c.d", "a.b..d"), ("a.x.c.d", "a..c.d"), ("a.x.y.d", "a...d"),
                           ("x.b.c.d", ".b.c.d")):
        same(two.value(t.uri(called)), wanted, called)


def shared(t, policy, libs=("autobahn", "autobahnjs", "xconn")):
    """Three callees of one procedure, the first first."""
    made = [wamp.client(t, lib).register(t.uri("p"), named(n), invoke=policy)
            for n, lib in enumerate(libs)]
    same(len({m.id for m in made}), 1, "registrations")
    two = wamp.client(t)
    return made, lambda: two.value(t.uri("p"))


@check("wamp.roundrobin")
def roundrobin(t):
    """One after the other; who leaves is left out."""
    made, ask = shared(t, "roundrobin")
    same([ask() for _ in range(7)], [0, 1, 2, 0, 1, 2, 0])
    made[1].unregister()
    same(sorted({ask() for _ in range(4)}), [0, 2])


@check("wamp.invoke_first")
def invoke_first(t):
    """The first as long as it is there, then the next."""
    made, ask = shared(t, "first")
    same([ask() for _ in range(3)], [0, 0, 0])
    made[0].unregister()
    same([ask() for _ in range(2)], [1, 1])


@check("wamp.invoke_last")
def invoke_last(t):
    """The last that came."""
    made, ask = shared(t, "last")
    same([ask() for _ in range(3)], [2, 2, 2])
    made[2].unregister()
    same([ask() for _ in range(2)], [1, 1])


@check("wamp.invoke_random")
def invoke_random(t):
    """Any of them: of sixty calls each gets some."""
    _, ask = shared(t, "random")
    same(sorted({ask() for _ in range(60)}), [0, 1, 2])


@check("wamp.invoke_other_policy", over=(("single", "roundrobin"), ("roundrobin", "single"),
                                         ("roundrobin", "first"), ("first", "last")))
def other_policy(t, first, second):
    """Who shares a procedure shares its policy."""
    wamp.client(t).register(t.uri("p"), named(1), invoke=first)
    try:
        wamp.client(t, "xconn").register(t.uri("p"), named(2), invoke=second)
    except wamp.Failed as e:
        same(e.uri, "wamp.error.procedure_already_exists")
    else:
        raise AssertionError("registered")


@check("wamp.unknown_policy")
def unknown_policy(t):
    """A policy nobody knows is a violation, and not the end of the router (nexus dies of it)."""
    for _ in range(2):
        one = Web(t).join()
        one.say(wire.REGISTER, 1, {"invoke": "bogus"}, t.uri("p"))
        same(one.aborted(), VIOLATION)
    same(wamp.client(t).calling(t.uri("p")).fails(), NO_PROCEDURE)


@check("wamp.same_session_twice")
def same_session_twice(t):
    """A session that registers what it shares already is told the same, and counted once."""
    one = callee(t, invoke="roundrobin")
    one.say(wire.REGISTER, 2, {"invoke": "roundrobin"}, t.uri("p"))
    same(one.expect(wire.REGISTERED, 2)[2], one.registration, "registration")
    same(wamp.client(t).value("wamp.registration.count_callees", one.registration), 1, "callees")


@check("wamp.lost_callee", over=("autobahn", "autobahnjs", "wampy", "xconn", "wamprs"))
def lost_callee(t, lib):
    """A call whose callee is lost ends with an error, and soon."""
    one = wamp.client(t, lib)
    asked = one.register(t.uri("p"))
    calling = wamp.client(t).calling(t.uri("p"))
    asked.take()
    one.drop()
    that(calling.fails(5).startswith("wamp.error."), "another error")


@check("wamp.unregistered_while_called")
def unregistered_while_called(t):
    """Who gives a procedure up answers the calls that it has already."""
    made = wamp.client(t).register(t.uri("p"))
    calling = wamp.client(t).calling(t.uri("p"))
    asked = made.take()
    made.unregister()
    asked.give("late")
    same(calling.result().args, ["late"])


@check("wamp.call_oneself", over=("autobahn", "autobahnjs", "wampy", "xconn", "wamprs"))
def call_oneself(t, lib):
    """A session may call what it offers."""
    one = wamp.client(t, lib)
    one.register(t.uri("p"), lambda i: i.args[0] + 1)
    same(one.value(t.uri("p"), 41), 42)


@check("wamp.nested_calls")
def nested_calls(t):
    """A callee calls another before it answers, three deep, over three serializers."""
    sessions = [wamp.client(t, "autobahn", "ws", s) for s in ("json", "msgpack", "cbor")]
    sessions[0].register(t.uri("p0"), lambda i: i.args[0] * 2)
    sessions[1].register(t.uri("p1"), lambda i: sessions[1].value(t.uri("p0"), i.args[0] + 1))
    sessions[2].register(t.uri("p2"), lambda i: sessions[2].value(t.uri("p1"), i.args[0] + 1))
    same(sessions[0].value(t.uri("p2"), 5), 14)


@check("wamp.out_of_order")
def out_of_order(t):
    """Answers come in the order in which callees give them."""
    made = wamp.client(t).register(t.uri("p"))
    two = wamp.client(t, "xconn", "tcp", "cbor")
    calls = [two.calling(t.uri("p"), n) for n in range(5)]
    asked = made.take_many(5)
    for i in reversed(asked):
        i.give(i.args[0])
    same([c.result().args for c in calls], [[n] for n in range(5)])


@check("wamp.calls_in_order")
def calls_in_order(t):
    """A thousand calls of two procedures come to their callee in the order they were made in."""
    one = callee(t, "a", invoke="single")
    one.say(wire.REGISTER, 2, {}, t.uri("b"))
    one.expect(wire.REGISTERED, 2)
    two = Web(t).join()
    for n in range(1000):
        two.say(wire.CALL, n + 1, {}, t.uri("ab"[n % 3 == 0]), [n])
    for n in range(1000):
        message = one.expect(wire.INVOCATION)
        same(message[4], [n], "arguments")
        one.say(wire.YIELD, message[1], {}, [n])
    same({two.expect(wire.RESULT)[3][0] for _ in range(1000)}, set(range(1000)))


@check("wamp.invocation_ids")
def invocation_ids(t):
    """Invocations are numbered by themselves for each callee, from 1."""
    for _ in range(2):
        one, two = callee(t), Web(t).join()
        for n in (1, 2, 3):
            two.say(wire.CALL, n, {}, t.uri("p"))
            message = one.expect(wire.INVOCATION, n)
            one.say(wire.YIELD, message[1], {})
            two.expect(wire.RESULT, n)
        one.close()
        t.until(lambda: wamp_gone(two, t), "the registration is there still")


def wamp_gone(session, t):
    answer = session.ask(wire.CALL, 1000, {}, "wamp.registration.lookup", [t.uri("p")])
    return answer[0] == wire.RESULT and (answer[3] if len(answer) > 3 else [None])[0] is None


@check("wamp.yield_unknown")
def yield_unknown(t):
    """An answer to what was never asked is a violation."""
    one = callee(t)
    one.say(wire.YIELD, 77, {}, [1])
    same(one.aborted(), VIOLATION)


@check("wamp.error_unknown")
def error_unknown(t):
    """So is an error."""
    one = callee(t)
    one.say(wire.ERROR, wire.INVOCATION, 77, {}, "com.x")
    same(one.aborted(), VIOLATION)


@check("wamp.progress", over=tuple((a, b) for a in ("autobahn",)
                                   for b in ("autobahn", "autobahnjs", "wampy")))
def progress(t, lib, caller):
    """Progress comes as it is made, in order, and then the result."""
    made = wamp.client(t, lib).register(t.uri("p"))
    calling = wamp.client(t, caller).calling(t.uri("p"), receive_progress=True)
    asked = made.take()
    same(asked.details["receive_progress"], True, "receive_progress")
    for n in range(10):
        asked.progress(n)
        same(calling.progress.take().args, [n])
    asked.give("done")
    same(calling.result().args, ["done"])
    calling.progress.nothing(0.1)


@check("wamp.progress_then_error")
def progress_then_error(t):
    """Progress may end with an error as well."""
    made = wamp.client(t).register(t.uri("p"))
    calling = wamp.client(t, "autobahnjs").calling(t.uri("p"), receive_progress=True)
    asked = made.take()
    asked.progress(1)
    same(calling.progress.take().args, [1])
    asked.fail("com.app.tired", ["half way"])
    same(calling.fails(), "com.app.tired")


@check("wamp.progress_not_asked")
def progress_not_asked(t):
    """A callee is told if progress is not wanted."""
    made = wamp.client(t).register(t.uri("p"))
    calling = wamp.client(t, "autobahnjs").calling(t.uri("p"))
    asked = made.take()
    same(asked.details["receive_progress"], False, "receive_progress")
    asked.give(1)
    same(calling.result().args, [1])


@check("wamp.progress_not_known", over=("call_canceling", "progressive_call_results"))
def progress_not_known(t, feature):
    """Nobody is asked for progress who did not announce it, and that it can be cancelled."""
    one = callee(t, without=(feature,))
    calling = wamp.client(t, "autobahnjs").calling(t.uri("p"), receive_progress=True)
    message = one.expect(wire.INVOCATION)
    that(not message[3].get("receive_progress"), "asked for progress")
    one.say(wire.YIELD, message[1], {}, [1])
    same(calling.result().args, [1])


@check("wamp.progress_caller_gone")
def progress_caller_gone(t):
    """A callee hears that nobody waits any more."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CALL, 1, {"receive_progress": True}, t.uri("p"))
    message = one.expect(wire.INVOCATION)
    one.say(wire.YIELD, message[1], {"progress": True}, [1])
    same(two.expect(wire.RESULT, 1)[2].get("progress"), True, "progress")
    two.close()
    same(one.expect(wire.INTERRUPT, message[1])[2].get("mode"), "killnowait", "mode")


@check("wamp.caller_gone", over=("autobahnjs", "wampy", "xconn", "wamprs"))
def caller_gone(t, lib):
    """Without progress as well (nexus tells it only then); what it says then is dropped."""
    one = callee(t)
    two = wamp.client(t, lib)
    two.calling(t.uri("p"))
    message = one.expect(wire.INVOCATION)
    two.drop()
    one.expect(wire.INTERRUPT, message[1])
    one.say(wire.YIELD, message[1], {}, ["late"])
    one.quiet(0.2)


def cancelled(t, mode, without=()):
    """A call of wampy that was cancelled while its callee works on it."""
    one = callee(t, without=without)
    calling = wamp.client(t, "wampy").calling(t.uri("p"))
    message = one.expect(wire.INVOCATION)
    calling.cancel(mode)
    return one, calling, message[1]


@check("wamp.cancel_skip")
def cancel_skip(t):
    """skip: the caller hears at once, the callee nothing, and its answer is dropped."""
    one, calling, number = cancelled(t, "skip")
    same(calling.fails(), "wamp.error.canceled")
    one.quiet(0.2)
    one.say(wire.YIELD, number, {}, ["late"])
    one.quiet(0.2)


@check("wamp.cancel_kill")
def cancel_kill(t):
    """kill: the callee is interrupted, and what it says is what the caller gets."""
    one, calling, number = cancelled(t, "kill")
    same(one.expect(wire.INTERRUPT, number)[2].get("mode"), "kill", "mode")
    calling.pending()
    one.say(wire.ERROR, wire.INVOCATION, number, {}, "com.app.stopped", ["half"])
    e = calling.failure()
    same((e.uri, e.values), ("com.app.stopped", ["half"]))


@check("wamp.cancel_kill_result")
def cancel_kill_result(t):
    """kill: a callee that was nearly done may give its result."""
    one, calling, number = cancelled(t, "kill")
    one.expect(wire.INTERRUPT, number)
    one.say(wire.YIELD, number, {}, ["done"])
    same(calling.result().args, ["done"])


@check("wamp.cancel_killnowait")
def cancel_killnowait(t):
    """killnowait: both at once, and the late answer is dropped."""
    one, calling, number = cancelled(t, "killnowait")
    same(calling.fails(), "wamp.error.canceled")
    same(one.expect(wire.INTERRUPT, number)[2].get("mode"), "killnowait", "mode")
    one.say(wire.ERROR, wire.INVOCATION, number, {}, "wamp.error.canceled")
    one.quiet(0.2)


@check("wamp.cancel_default")
def cancel_default(t):
    """No mode: the caller hears at once, and the callee is interrupted."""
    one, calling, number = cancelled(t, None)
    same(calling.fails(), "wamp.error.canceled")
    one.expect(wire.INTERRUPT, number)


@check("wamp.cancel_without_support", over=("skip", "kill", "killnowait"))
def cancel_without_support(t, mode):
    """A callee that cannot be interrupted is not, and the caller is answered all the same."""
    one, calling, number = cancelled(t, mode, ("call_canceling",))
    same(calling.fails(), "wamp.error.canceled")
    one.quiet(0.2)
    one.say(wire.YIELD, number, {}, ["late"])
    one.quiet(0.2)


@check("wamp.cancel_library", over=("autobahn", "autobahnjs"))
def cancel_library(t, lib):
    """A library that cancels interrupts a callee of autobahn, which goes on serving."""
    made = wamp.client(t).register(t.uri("p"))
    calling = wamp.client(t, lib).calling(t.uri("p"))
    asked = made.take()
    calling.cancel()
    that(asked.over.wait(15), "not interrupted")
    calling.failure()
    again = wamp.client(t).calling(t.uri("p"))
    made.take().give("again")
    same(again.result().args, ["again"])


@check("wamp.cancel_unknown_mode")
def cancel_unknown_mode(t):
    """A mode nobody knows is an argument nobody takes, and the call goes on."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CALL, 1, {}, t.uri("p"))
    message = one.expect(wire.INVOCATION)
    two.say(wire.CANCEL, 1, {"mode": "softly"})
    answer = two.hear()
    that(answer[0] in (wire.ERROR, wire.ABORT), f"got {answer}")
    if answer[0] == wire.ERROR:
        same(answer[4], "wamp.error.invalid_argument")
    one.say(wire.YIELD, message[1], {}, ["late"])
    one.quiet(0.2)


@check("wamp.cancel_unknown_call")
def cancel_unknown_call(t):
    """Cancelling what is not there, or is over, or twice, is nothing."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CANCEL, 99, {"mode": "kill"})
    two.say(wire.CALL, 1, {}, t.uri("p"))
    number = one.expect(wire.INVOCATION)[1]
    for _ in range(3):
        two.say(wire.CANCEL, 1, {"mode": "kill"})
    one.expect(wire.INTERRUPT, number)
    one.quiet(0.2)
    one.say(wire.YIELD, number, {}, ["done"])
    two.expect(wire.RESULT, 1)
    two.say(wire.CANCEL, 1, {})
    two.quiet(0.2)


@check("wamp.cancel_foreign")
def cancel_foreign(t):
    """Nobody cancels the call of another."""
    one, two, three = callee(t), Web(t).join(), Web(t).join()
    two.say(wire.CALL, 5, {}, t.uri("p"))
    number = one.expect(wire.INVOCATION)[1]
    three.say(wire.CANCEL, 5, {"mode": "killnowait"})
    one.quiet(0.2)
    one.say(wire.YIELD, number, {}, ["done"])
    two.expect(wire.RESULT, 5)


@check("wamp.timeout", over=("autobahnjs", "wampy", "xconn"))
def timeout(t, lib):
    """A call that takes longer than it may ends with wamp.error.timeout, and is interrupted."""
    one = callee(t)
    started = time.monotonic()
    calling = wamp.client(t, lib).calling(t.uri("p"), timeout=300)
    number = one.expect(wire.INVOCATION)[1]
    same(calling.fails(), "wamp.error.timeout")
    that(0.25 < time.monotonic() - started < 10, f"after {time.monotonic() - started:.2f} s")
    one.expect(wire.INTERRUPT, number)
    one.say(wire.YIELD, number, {}, ["late"])
    one.quiet(0.2)


@check("wamp.timeout_in_time")
def timeout_in_time(t):
    """A call that is answered in time knows nothing of it."""
    wamp.client(t).register(t.uri("p"), named("quick"))
    one = wamp.client(t, "wampy")
    same(one.value(t.uri("p"), timeout=500), "quick")
    time.sleep(0.7)
    same(one.value(t.uri("p"), timeout=0), "quick")


@check("wamp.timeout_forwarded")
def timeout_forwarded(t):
    """A callee that wants to keep the time itself is told the time, and the router leaves it."""
    one = callee(t, forward_timeout=True)
    calling = wamp.client(t, "xconn").calling(t.uri("p"), timeout=200)
    message = one.expect(wire.INVOCATION)
    same(message[3].get("timeout"), 200, "timeout")
    calling.pending(0.6)
    one.say(wire.YIELD, message[1], {}, ["late"])
    same(calling.result().args, ["late"])


@check("wamp.caller_disclosed", over=("autobahnjs", "wampy", "xconn"))
def caller_disclosed(t, lib):
    """A caller that wants to be known is."""
    one = callee(t)
    caller = wamp.client(t, lib)
    calling = caller.calling(t.uri("p"), disclose_me=True)
    message = one.expect(wire.INVOCATION)
    same((message[3].get("caller"), message[3].get("caller_authid"),
          message[3].get("caller_authrole")),
         (caller.session, caller.details["authid"], "anonymous"), "caller")
    one.say(wire.YIELD, message[1], {})
    calling.result()


@check("wamp.caller_not_disclosed")
def caller_not_disclosed(t):
    """Nobody else is."""
    one = callee(t)
    calling = wamp.client(t, "autobahnjs").calling(t.uri("p"))
    message = one.expect(wire.INVOCATION)
    that("caller" not in message[3], "disclosed")
    one.say(wire.YIELD, message[1], {})
    calling.result()


@check("wamp.disclose_caller")
def disclose_caller(t):
    """A callee may ask to be told who calls."""
    one = callee(t, disclose_caller=True)
    caller = wamp.client(t, "autobahn")
    calling = caller.calling(t.uri("p"))
    message = one.expect(wire.INVOCATION)
    same(message[3].get("caller"), caller.session, "caller")
    one.say(wire.YIELD, message[1], {})
    calling.result()


@check("wamp.progressive_calls")
def progressive_calls(t):
    """A call in parts goes to one callee as one invocation, whatever the policy."""
    callees = [callee(t, invoke="roundrobin") for _ in range(2)]
    two = Web(t).join()
    for n in range(3):
        two.say(wire.CALL, 1, {"progress": True} if n < 2 else {}, t.uri("p"), [n])
    said = [callees[0].expect(wire.INVOCATION) for _ in range(3)]
    same(len({m[1] for m in said}), 1, "invocations")
    same([(m[4], bool(m[3].get("progress"))) for m in said],
         [([0], True), ([1], True), ([2], False)])
    callees[1].quiet(0.2)
    callees[0].say(wire.YIELD, said[0][1], {}, ["all"])
    same(two.expect(wire.RESULT, 1)[3], ["all"])


@check("wamp.progressive_calls_unknown")
def progressive_calls_unknown(t):
    """A callee that cannot take a call in parts is not asked."""
    one, two = callee(t, without=("progressive_call_invocations",)), Web(t).join()
    two.say(wire.CALL, 1, {"progress": True}, t.uri("p"), [0])
    same(two.fails(wire.CALL, 1), "wamp.error.feature_not_supported")
    one.quiet(0.2)


@check("wamp.progressive_calls_late")
def progressive_calls_late(t):
    """Parts that come after the answer are dropped, and open nothing (nexus invokes anew)."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CALL, 1, {"progress": True}, t.uri("p"), [0])
    number = one.expect(wire.INVOCATION)[1]
    one.say(wire.YIELD, number, {}, ["enough"])
    same(two.expect(wire.RESULT, 1)[3], ["enough"])
    two.say(wire.CALL, 1, {"progress": True}, t.uri("p"), [1])
    one.quiet()
    two.quiet(0.1)


@check("wamp.reused_request")
def reused_request(t):
    """The id of an open call that is not in parts cannot be used again."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CALL, 1, {}, t.uri("p"), [0])
    one.expect(wire.INVOCATION)
    two.say(wire.CALL, 1, {}, t.uri("p"), [1])
    same(two.aborted(), VIOLATION)


@check("wamp.passthru")
def passthru(t):
    """A payload that only the two ends read is passed as it is, with what is said of it."""
    one, two = callee(t), Web(t).join()
    marks = {"ppt_scheme": "x_secret", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa",
             "ppt_keyid": "k1"}
    two.say(wire.CALL, 1, marks, t.uri("p"), ["sealed"])
    message = one.expect(wire.INVOCATION)
    same(({k: message[3].get(k) for k in marks}, message[4]), (marks, ["sealed"]))
    one.say(wire.YIELD, message[1], marks, ["answer"])
    answer = two.expect(wire.RESULT, 1)
    same(({k: answer[2].get(k) for k in marks}, answer[3]), (marks, ["answer"]))


@check("wamp.passthru_unknown")
def passthru_unknown(t):
    """A callee that cannot read such a payload is not asked."""
    one, two = callee(t, without=("payload_passthru_mode",)), Web(t).join()
    two.say(wire.CALL, 1, {"ppt_scheme": "x_secret"}, t.uri("p"), ["sealed"])
    same(two.fails(wire.CALL, 1), "wamp.error.feature_not_supported")
    one.quiet(0.2)


@check("wamp.passthru_yield_types")
def passthru_yield_types(t):
    """A callee that says nonsense of its payload ends itself alone (nexus dies of it)."""
    one, two = callee(t), Web(t).join()
    two.say(wire.CALL, 1, {}, t.uri("p"))
    number = one.expect(wire.INVOCATION)[1]
    one.say(wire.YIELD, number, {"ppt_scheme": "x_a", "ppt_serializer": 7}, ["x"])
    same(one.aborted(), VIOLATION)
    that(two.fails(wire.CALL, 1).startswith("wamp.error."), "another error")


@check("wamp.registered_before_invocation")
def registered_before_invocation(t):
    """Nobody is called before it is told that it is registered."""
    two = Web(t).join()
    for _ in range(20):
        for n in range(10):
            two.say(wire.CALL, n + 1, {}, t.uri("p"))
        one = Web(t).join()
        one.say(wire.REGISTER, 1, {}, t.uri("p"))
        one.expect(wire.REGISTERED, 1)
        one.close()
        for _ in range(10):
            two.hear()


@check("wamp.blocked_callee", own=True, alone=True)
def blocked_callee(t):
    """Calls to a callee that does not read fail before long, and delay nobody else."""
    one = callee(t)
    wamp.client(t, "autobahn", "tcp", "json").register(t.uri("q"), named("quick"))
    two = wamp.client(t, "autobahn", "tcp", "msgpack")
    text = "x" * 64_000
    calls = [two.calling(t.uri("p"), text) for _ in range(400)]
    same(two.value(t.uri("q")), "quick")
    same(calls[-1].fails(), "wamp.error.network_failure")
    same(one.expect(wire.INVOCATION)[1], 1, "the first call")


@check("wamp.parallel_calls")
def parallel_calls(t):
    """Four libraries call one procedure a hundred times each, all at once."""
    wamp.client(t, "autobahn", "tcp", "cbor").register(t.uri("p"), lambda i: i.args[0] + 1)
    wrong = []

    def body(lib):
        one = wamp.client(t, lib)
        calls = [one.calling(t.uri("p"), n) for n in range(100)]
        wrong.extend(n for n, c in enumerate(calls) if c.result(60).args != [n + 1])

    threads = [threading.Thread(target=body, args=(lib,)) for lib in wamp.RICH]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        that(not thread.is_alive(), "not done")
    same(wrong, [], "wrong results")
