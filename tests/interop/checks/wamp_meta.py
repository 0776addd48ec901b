"""What the router tells of itself: sessions, registrations, subscriptions, testaments, history."""

import time

import wamp
import wampwire as wire
from harness import check, same, that
from wampwire import Raw, Web

NO_SESSION = "wamp.error.no_such_session"


def own(events, key, value):
    """The first event in which this stands, among what others do meanwhile."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        event = events.take(max(0.01, end - time.monotonic()))
        if key(event) == value:
            return event
    raise AssertionError(f"nothing of {value}")


def first(event):
    return event.args[0] if event.args else None


@check("wamp.session_count")
def session_count(t):
    """count and list agree on who is there."""
    one = wamp.client(t)
    t.until(lambda: one.value("wamp.session.count") == len(one.value("wamp.session.list")),
            "count and list differ")
    that(one.session in one.value("wamp.session.list"), "who asks is not listed")


@check("wamp.session_count_roles")
def session_count_roles(t):
    """Both may be asked for some roles only."""
    one = wamp.client(t)
    that(one.value("wamp.session.count", ["anonymous"]) >= 1, "nobody is anonymous")
    same(one.value("wamp.session.count", ["nobodys"]), 0, "sessions")
    that(one.session in one.value("wamp.session.list", ["anonymous"]), "not listed")
    same(one.value("wamp.session.list", ["nobodys"]), [], "sessions")


@check("wamp.session_get", over=wamp.RICH)
def session_get(t, lib):
    """get tells who a session is."""
    one = wamp.client(t, lib)
    got = wamp.client(t).value("wamp.session.get", one.session)
    same((got["session"], got["authid"], got["authrole"]),
         (one.session, one.details["authid"], "anonymous"))


@check("wamp.session_get_unknown", over=("get", "kill"))
def session_get_unknown(t, what):
    """A session that is not there."""
    same(wamp.client(t).calling(f"wamp.session.{what}", 123).fails(), NO_SESSION)


@check("wamp.on_join", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def on_join(t, lib):
    """Whoever watches hears who comes and who goes, each once."""
    watcher = wamp.client(t)
    joins = watcher.subscribe("wamp.session.on_join")
    leaves = watcher.subscribe("wamp.session.on_leave")
    one = wamp.client(t, lib)
    details = own(joins, lambda e: first(e)["session"], one.session).args[0]
    same((details["authid"], details["authrole"]), (one.details["authid"], "anonymous"))
    one.leave()
    own(leaves, first, one.session)


@check("wamp.on_leave_details")
def on_leave_details(t):
    """on_leave tells the name and the role as well, also of a connection that is lost."""
    leaves = wamp.client(t).subscribe("wamp.session.on_leave")
    one = wamp.client(t, "autobahn")
    one.drop()
    event = own(leaves, first, one.session)
    same(event.args, [one.session, one.details["authid"], "anonymous"])


@check("wamp.kill")
def kill(t):
    """A session can be ended by another, who chooses the reason."""
    one = wamp.client(t, "autobahn")
    wamp.client(t).call("wamp.session.kill", one.session,
                        kwargs={"reason": "com.app.enough", "message": "go"})
    same(one.gone(), "com.app.enough", "reason")


@check("wamp.kill_silent")
def kill_silent(t):
    """A session that does not answer its GOODBYE ends as well."""
    one = Web(t).join()
    wamp.client(t).call("wamp.session.kill", one.id)
    message = one.expect(wire.GOODBYE)
    that(message[2] in ("wamp.close.killed", "wamp.close.normal"), f"reason {message[2]}")
    one.ended()


@check("wamp.kill_oneself")
def kill_oneself(t):
    """Nobody ends itself this way."""
    one = wamp.client(t)
    same(one.calling("wamp.session.kill", one.session).fails(), NO_SESSION)
    one.stays(0.2)


@check("wamp.kill_bad_reason")
def kill_bad_reason(t):
    """A reason is a URI, and nobody is ended for another."""
    one, two = wamp.client(t), wamp.client(t)
    calling = two.calling("wamp.session.kill", one.session, kwargs={"reason": "not a reason"})
    same(calling.fails(), "wamp.error.invalid_uri")
    one.stays(0.2)


@check("wamp.kill_by_authid")
def kill_by_authid(t):
    """All sessions of a name are ended, and nobody else."""
    one, two, three = (wamp.client(t) for _ in range(3))
    two.call("wamp.session.kill_by_authid", one.details["authid"],
             kwargs={"reason": "com.app.enough"})
    same(one.gone(), "com.app.enough", "reason")
    three.stays(0.2)
    same(two.calling("wamp.session.get", one.session).fails(), NO_SESSION)


@check("wamp.kill_by_authrole")
def kill_by_authrole(t):
    """All sessions of a role, but not the one that asks."""
    t.alone_with()
    one, two = wamp.client(t), wamp.client(t)
    two.call("wamp.session.kill_by_authrole", "anonymous", kwargs={"reason": "com.app.enough"})
    same(one.gone(), "com.app.enough", "reason")
    same(two.value("wamp.session.count"), 1, "sessions")


@check("wamp.kill_all", own=True)
def kill_all(t):
    """All sessions, but not the one that asks."""
    t.alone_with()
    others, one = [wamp.client(t, lib) for lib in wamp.RICH], wamp.client(t)
    one.call("wamp.session.kill_all")
    for other in others:
        other.gone()
    same(one.value("wamp.session.count"), 1, "sessions")


@check("wamp.modify_details", own=True)
def modify_details(t):
    """What is told of a session can be changed, and taken back with null."""
    one, two = wamp.client(t), wamp.client(t)
    two.call("wamp.session.modify_details", one.session, {"org": "acorp"})
    same(two.value("wamp.session.get", one.session)["org"], "acorp")
    heard = one.subscribe(t.uri("x"))
    publisher = wamp.client(t, "autobahnjs")
    publisher.publish(t.uri("x"), 1, exclude_org=["acorp"])
    publisher.publish(t.uri("x"), 2, eligible_org=["acorp"])
    same(heard.take().args, [2])
    two.call("wamp.session.modify_details", one.session, {"org": None})
    that("org" not in two.value("wamp.session.get", one.session), "still there")


@check("wamp.registration_get")
def registration_get(t):
    """A registration is found, and told of."""
    one = wamp.client(t, "xconn")
    made = one.register(t.uri("p."), match="prefix", invoke="roundrobin")
    got = one.value("wamp.registration.get", made.id)
    same((got["id"], got["uri"], got["match"], got["invoke"]),
         (made.id, t.uri("p."), "prefix", "roundrobin"))
    that(got["created"].startswith("20"), f"created {got['created']}")


@check("wamp.registration_defaults")
def registration_defaults(t):
    """What was not said is exact and single, not empty."""
    one = wamp.client(t)
    made = one.register(t.uri("p"))
    got = one.value("wamp.registration.get", made.id)
    same((got["match"], got["invoke"]), ("exact", "single"))


@check("wamp.registration_list")
def registration_list(t):
    """Registrations are listed by how they match."""
    one = wamp.client(t)
    ids = {match: one.register(t.uri(f"{match}..p") if match == "wildcard" else t.uri(match),
                               match=match).id for match in ("exact", "prefix", "wildcard")}
    got = one.value("wamp.registration.list")
    for match, id in ids.items():
        that(id in got[match], f"not listed as {match}")
        same([m for m in ids if id in got[m]], [match], "listed as")


@check("wamp.registration_lookup")
def registration_lookup(t):
    """lookup finds what was registered so, match what would be called."""
    one = wamp.client(t)
    exact = one.register(t.uri("a.b")).id
    prefix = one.register(t.uri("a"), match="prefix").id
    same(one.value("wamp.registration.lookup", t.uri("a.b")), exact)
    same(one.value("wamp.registration.lookup", t.uri("a"), {"match": "prefix"}), prefix)
    same(one.value("wamp.registration.lookup", t.uri("a")), None)
    same([one.value("wamp.registration.match", t.uri(x)) for x in ("a.b", "a.c", "b")],
         [exact, prefix, None])


@check("wamp.registration_callees")
def registration_callees(t):
    """Callees are listed and counted."""
    sessions = [wamp.client(t, lib) for lib in ("autobahn", "autobahnjs", "xconn")]
    ids = {s.register(t.uri("p"), invoke="random").id for s in sessions}
    same(len(ids), 1, "registrations")
    one = wamp.client(t)
    same(sorted(one.value("wamp.registration.list_callees", *ids)),
         sorted(s.session for s in sessions))
    same(one.value("wamp.registration.count_callees", *ids), 3, "callees")


@check("wamp.registration_unknown", over=("get", "list_callees", "count_callees"))
def registration_unknown(t, what):
    """A registration that is not there."""
    same(wamp.client(t).calling(f"wamp.registration.{what}", 123).fails(),
         "wamp.error.no_such_registration")


@check("wamp.subscription_get")
def subscription_get(t):
    """A subscription is found, and told of."""
    one = wamp.client(t, "xconn")
    made = one.subscribe(t.uri("a"), match="prefix")
    got = one.value("wamp.subscription.get", made.id)
    same((got["id"], got["uri"], got["match"]), (made.id, t.uri("a"), "prefix"))
    that(got["created"].startswith("20"), f"created {got['created']}")


@check("wamp.subscription_list")
def subscription_list(t):
    """Subscriptions are listed by how they match (crossbar leaves wildcards out)."""
    one = wamp.client(t)
    ids = {match: one.subscribe(t.uri(f"{match}..s") if match == "wildcard" else t.uri(match),
                                match=match).id for match in ("exact", "prefix", "wildcard")}
    got = one.value("wamp.subscription.list")
    for match, id in ids.items():
        same([m for m in ids if id in got[m]], [match], "listed as")


@check("wamp.subscription_match")
def subscription_match(t):
    """match tells all subscriptions that an event would go out for."""
    one = wamp.client(t)
    ids = [one.subscribe(t.uri("a.b")).id, one.subscribe(t.uri("a"), match="prefix").id,
           one.subscribe(t.uri(".b"), match="wildcard").id]
    same(one.value("wamp.subscription.lookup", t.uri("a.b")), ids[0])
    same(one.value("wamp.subscription.lookup", t.uri(".b"), {"match": "wildcard"}), ids[2])
    same(sorted(one.value("wamp.subscription.match", t.uri("a.b"))), sorted(ids))
    same(one.value("wamp.subscription.match", t.uri("nothing")) or None, None)


@check("wamp.subscription_subscribers", over=("count_subscribers", "count_suscribers"))
def subscription_subscribers(t, count):
    """Subscribers are listed and counted, also under the name that nexus misspells."""
    sessions = [wamp.client(t, lib) for lib in ("autobahn", "wampy", "xconn")]
    ids = {s.subscribe(t.uri("x")).id for s in sessions}
    one = wamp.client(t)
    same(sorted(one.value("wamp.subscription.list_subscribers", *ids)),
         sorted(s.session for s in sessions))
    same(one.value(f"wamp.subscription.{count}", *ids), 3, "subscribers")


@check("wamp.subscription_unknown", over=("get", "list_subscribers", "count_subscribers"))
def subscription_unknown(t, what):
    """A subscription that is not there."""
    same(wamp.client(t).calling(f"wamp.subscription.{what}", 123).fails(),
         "wamp.error.no_such_subscription")


def story(t, kind, names, act):
    """The events of this kind that somebody causes, by name, in the order in which they come."""
    watcher = Web(t).join()
    topics = {}
    for n, name in enumerate(names, 1):
        watcher.say(wire.SUBSCRIBE, n, {}, f"wamp.{kind}.{name}")
        topics[watcher.expect(wire.SUBSCRIBED, n)[2]] = name
    session, count = act()
    came = []
    while len(came) < count:
        message = watcher.expect(wire.EVENT)
        if message[4][0] == session:
            came.append((topics[message[1]], message[4][1]))
    return came


@check("wamp.registration_events", over=("unregistered", "lost"))
def registration_events(t, how):
    """create before register, unregister before delete, also when the session is lost."""
    made = []

    def act():
        one = wamp.client(t)
        made.append(one.register(t.uri("p")))
        if how == "lost":
            one.drop()
        else:
            made[0].unregister()
        return one.session, 4

    names = ("on_create", "on_register", "on_unregister", "on_delete")
    came = story(t, "registration", names, act)
    same([name for name, _ in came], list(names))
    details, id = came[0][1], made[0].id
    same((details["id"], details["uri"], details["match"], details["invoke"]),
         (id, t.uri("p"), "exact", "single"))
    same([what for _, what in came[1:]], [id] * 3)


@check("wamp.subscription_events", over=("unsubscribed", "lost"))
def subscription_events(t, how):
    """The same of subscriptions (nexus leaves one out when the session is lost)."""
    made = []

    def act():
        one = wamp.client(t)
        made.append(one.subscribe(t.uri("x")))
        if how == "lost":
            one.drop()
        else:
            made[0].unsubscribe()
        return one.session, 4

    names = ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")
    came = story(t, "subscription", names, act)
    same([name for name, _ in came], list(names))
    details, id = came[0][1], made[0].id
    same((details["id"], details["uri"], details["match"]), (id, t.uri("x"), "exact"))
    same([what for _, what in came[1:]], [id] * 3)


@check("wamp.no_events_of_oneself")
def no_events_of_oneself(t):
    """Nobody hears of what it does itself."""
    one = wamp.client(t)
    heard = one.subscribe("wamp.registration.on_register")
    made = one.register(t.uri("p"))
    try:
        while True:
            that(heard.take(0.4).args[1] != made.id, "heard of it")
    except AssertionError as e:
        that("nothing came" in str(e), str(e))


@check("wamp.revoked_subscription")
def revoked_subscription(t):
    """A subscription can be taken from its subscriber, who is told."""
    one = wamp.client(t, "autobahnjs")
    heard = one.subscribe(t.uri("x"))
    two = wamp.client(t)
    two.call("wamp.subscription.remove_subscriber", heard.id, one.session,
             kwargs={"reason": "com.app.no_more"})
    same(heard.revoked.get(timeout=15), "com.app.no_more", "reason")
    two.publish(t.uri("x"), 1)
    heard.nothing()


@check("wamp.revoked_registration")
def revoked_registration(t):
    """And a registration from its callee (in crossbar that procedure crashes)."""
    one = wamp.client(t, "autobahnjs")
    made = one.register(t.uri("p"), lambda i: 1)
    two = wamp.client(t)
    two.call("wamp.registration.remove_callee", made.id, one.session,
             kwargs={"reason": "com.app.no_more"})
    same(made.revoked.get(timeout=15), "com.app.no_more", "reason")
    same(two.calling(t.uri("p")).fails(), "wamp.error.no_such_procedure")


def testament(one, topic, value, **kwargs):
    one.call("wamp.session.add_testament", topic, [value], {}, kwargs=kwargs)


@check("wamp.testament", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def testament_lost(t, lib):
    """What a session left is published when its connection is lost."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = wamp.client(t, lib)
    one.call("wamp.session.add_testament", t.uri("x"), ["gone", 1], {"why": "lost"})
    heard.nothing(0.2)
    one.drop()
    event = heard.take()
    same((event.args, event.kwargs), (["gone", 1], {"why": "lost"}))
    heard.nothing(0.1)


@check("wamp.testament_goodbye")
def testament_goodbye(t):
    """Also when it leaves."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = wamp.client(t)
    testament(one, t.uri("x"), "bye")
    one.leave()
    same(heard.take().args, ["bye"])


@check("wamp.testament_killed")
def testament_killed(t):
    """And when it is ended by another."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = wamp.client(t)
    testament(one, t.uri("x"), "killed")
    wamp.client(t).call("wamp.session.kill", one.session)
    same(heard.take().args, ["killed"])


@check("wamp.testament_scopes")
def testament_scopes(t):
    """Those of detaching come before those of destruction, each in the order they were added."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = wamp.client(t)
    for n, scope in enumerate(("destroyed", "detached", "destroyed", "detached")):
        testament(one, t.uri("x"), n, scope=scope)
    one.drop()
    same([e.args[0] for e in heard.take_many(4)], [1, 3, 0, 2])


@check("wamp.testament_flushed")
def testament_flushed(t):
    """What was taken back is not published; of the other scope it is."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = wamp.client(t)
    testament(one, t.uri("x"), "destroyed", scope="destroyed")
    testament(one, t.uri("x"), "detached", scope="detached")
    one.call("wamp.session.flush_testaments", kwargs={"scope": "destroyed"})
    one.drop()
    same(heard.take().args, ["detached"])
    heard.nothing()


@check("wamp.testament_options")
def testament_options(t):
    """It is published as was asked: kept, and for some only."""
    friend, other = wamp.client(t), wamp.client(t)
    mine, theirs = friend.subscribe(t.uri("x")), other.subscribe(t.uri("x"))
    one = wamp.client(t)
    testament(one, t.uri("x"), "for one", publish_options={"eligible": [friend.session]})
    testament(one, t.uri("y"), "kept", publish_options={"retain": True})
    one.drop()
    same(mine.take().args, ["for one"])
    theirs.nothing(0.2)
    t.until(lambda: retained(other, t.uri("y")) == ["kept"], "nothing was kept")


def retained(session, topic):
    heard = session.subscribe(topic, get_retained=True)
    try:
        return heard.take(0.3).args
    except AssertionError:
        return None
    finally:
        heard.unsubscribe()


@check("wamp.testament_bad", over=("scope", "topic", "args"))
def testament_bad(t, what):
    """A testament that cannot be published is refused at once."""
    args = {"scope": [t.uri("x"), [], {}], "topic": ["not a topic", [], {}],
            "args": [t.uri("x"), "text", {}]}[what]
    kwargs = {"scope": "never"} if what == "scope" else {}
    e = wamp.client(t).calling("wamp.session.add_testament", *args, kwargs=kwargs).failure()
    that((e.uri or "").startswith("wamp.error."), f"failed with {e}")


@check("wamp.bad_arguments", over=(
    ("wamp.session.get",), ("wamp.session.get", "seven"), ("wamp.registration.get", None),
    ("wamp.subscription.lookup",), ("wamp.registration.match", 7), ("wamp.session.count", 7)))
def bad_arguments(t, procedure, *args):
    """A procedure of the router that is asked nonsense says so."""
    one = Raw(t).join()
    one.say(wire.CALL, 1, {}, procedure, args)
    that(one.fails(wire.CALL, 1).startswith("wamp.error."), "another error")


@check("wamp.no_such_meta")
def no_such_meta(t):
    """The router has no procedures of any name."""
    same(wamp.client(t).calling("wamp.session.whatever").fails(), "wamp.error.no_such_procedure")
