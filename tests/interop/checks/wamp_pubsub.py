"""Publishing and subscribing: who gets what, in which order, and what is told beside it."""

import wamp
import wampwire as wire
from harness import check, same, that
from wampwire import Web


def values(subscription, count):
    return [event.args[0] for event in subscription.take_many(count)]


@check("wamp.exact", over=wamp.LIBS)
def exact(t, lib):
    """An event comes to who subscribed to its topic, and to nobody else."""
    one = wamp.client(t, lib)
    heard, other = one.subscribe(t.uri("a")), one.subscribe(t.uri("b"))
    wamp.client(t).publish(t.uri("a"), "for a")
    same(heard.take().args, ["for a"])
    other.nothing()


@check("wamp.prefix", over=wamp.RICH)
def prefix(t, lib):
    """A prefix takes in everything that begins with it, and tells the topic."""
    heard = wamp.client(t, lib).subscribe(t.uri("a"), match="prefix")
    two = wamp.client(t)
    for topic in ("a", "a.b", "a.b.c", "b.a"):
        two.publish(t.uri(topic), topic)
    events = heard.take_many(3)
    same([e.args[0] for e in events], ["a", "a.b", "a.b.c"])
    same([e.details["topic"] for e in events], [t.uri(x) for x in ("a", "a.b", "a.b.c")])
    heard.nothing()


@check("wamp.prefix_is_text")
def prefix_is_text(t):
    """A prefix is plain text: a.em takes in a.emu."""
    heard = wamp.client(t).subscribe(t.uri("em"), match="prefix")
    two = wamp.client(t)
    for topic in ("em", "emu", "e", "em.u"):
        two.publish(t.uri(topic), topic)
    same(values(heard, 3), ["em", "emu", "em.u"])
    heard.nothing()


@check("wamp.prefix_open_end")
def prefix_open_end(t):
    """A prefix may end with a dot, and then what is above it is not meant."""
    heard = wamp.client(t).subscribe(t.uri("a."), match="prefix")
    two = wamp.client(t)
    for topic in ("a", "ab", "a.b"):
        two.publish(t.uri(topic), topic)
    same(heard.take().args, ["a.b"])
    heard.nothing()


@check("wamp.wildcard", over=wamp.RICH)
def wildcard(t, lib):
    """An empty component of a pattern stands for any one."""
    heard = wamp.client(t, lib).subscribe(t.uri("a..c"), match="wildcard")
    two = wamp.client(t)
    for topic in ("a.x.c", "a.c", "a.x.y.c", "a.y.c", "a.x.d"):
        two.publish(t.uri(topic), topic)
    events = heard.take_many(2)
    same([e.args[0] for e in events], ["a.x.c", "a.y.c"])
    same([e.details["topic"] for e in events], [t.uri("a.x.c"), t.uri("a.y.c")])
    heard.nothing()


@check("wamp.wildcard_ends")
def wildcard_ends(t):
    """The last component may be open as well, and two of them at once."""
    one, two = wamp.client(t), wamp.client(t)
    last = one.subscribe(t.uri("a."), match="wildcard")
    both = one.subscribe(t.uri("..c"), match="wildcard")
    for topic in ("a.b", "a", "x.y.c", "a.b.c"):
        two.publish(t.uri(topic), topic)
    same(last.take().args, ["a.b"])
    same(values(both, 2), ["x.y.c", "a.b.c"])
    last.nothing()


@check("wamp.no_topic_for_exact")
def no_topic_for_exact(t):
    """An exact subscription is not told the topic of somebody else's pattern (nexus leaks it)."""
    one, two = Web(t).join(), Web(t).join()
    one.say(wire.SUBSCRIBE, 1, {"match": "prefix"}, t.uri("a"))
    one.expect(wire.SUBSCRIBED, 1)
    two.say(wire.SUBSCRIBE, 1, {}, t.uri("a.b"))
    two.expect(wire.SUBSCRIBED, 1)
    wamp.client(t).publish(t.uri("a.b"), 1)
    same(one.expect(wire.EVENT)[3].get("topic"), t.uri("a.b"), "topic")
    same(two.expect(wire.EVENT)[3].get("topic"), None, "topic")


@check("wamp.once_per_subscription")
def once_per_subscription(t):
    """One event for each subscription that matches, all of the same publication."""
    one = wamp.client(t, "xconn")
    heard = [one.subscribe(t.uri("a.b")), one.subscribe(t.uri("a"), match="prefix"),
             one.subscribe(t.uri(".b"), match="wildcard")]
    id = wamp.client(t).publish(t.uri("a.b"), 1)
    same({h.take().details.get("publication", id) for h in heard}, {id}, "publications")
    for h in heard:
        h.nothing(0.1)


@check("wamp.publication_ids")
def publication_ids(t):
    """EVENT carries the publication id that PUBLISHED told, from all of 1 to 2^53."""
    one, two = Web(t).join(), Web(t).join()
    two.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    two.expect(wire.SUBSCRIBED, 1)
    ids = []
    for n in range(1, 21):
        one.say(wire.PUBLISH, n, {"acknowledge": True}, t.uri("x"))
        ids.append(one.expect(wire.PUBLISHED, n)[2])
        same(two.expect(wire.EVENT)[2], ids[-1], "publication")
    same(len(set(ids)), 20, "different ids")
    that(2**48 < max(ids) <= 2**53, f"the largest of twenty is {max(ids)}")


@check("wamp.acknowledge", over=("autobahn", "autobahnjs", "wampy", "wamprs"))
def acknowledge(t, lib):
    """Who asks for it is told the id of the publication."""
    that(1 <= wamp.client(t, lib).publish(t.uri("x"), 1) <= 2**53, "no id")


@check("wamp.no_acknowledge")
def no_acknowledge(t):
    """Who does not ask for it hears nothing, not even of what went wrong."""
    one = Web(t).join()
    one.say(wire.PUBLISH, 1, {}, t.uri("x"))
    one.say(wire.PUBLISH, 2, {"acknowledge": False}, t.uri("x"))
    one.quiet()


@check("wamp.exclude_me", over=wamp.LIBS)
def exclude_me(t, lib):
    """A publisher does not get its own event."""
    one, two = wamp.client(t, lib), wamp.client(t)
    mine, theirs = one.subscribe(t.uri("x")), two.subscribe(t.uri("x"))
    one.publish(t.uri("x"), 1)
    same(theirs.take().args, [1])
    mine.nothing()


@check("wamp.exclude_me_not", over=("autobahn", "autobahnjs", "xconn"))
def exclude_me_not(t, lib):
    """Unless it says that it wants it."""
    one = wamp.client(t, lib)
    mine = one.subscribe(t.uri("x"))
    one.publish(t.uri("x"), 1, exclude_me=False)
    same(mine.take().args, [1])


LISTS = ("autobahn", "autobahnjs", "wampy", "xconn")


def three(t, lib):
    """A publisher of this library, and three who listen."""
    sessions = [wamp.client(t) for _ in range(3)]
    return (wamp.client(t, lib), sessions, [s.subscribe(t.uri("x")) for s in sessions])


@check("wamp.exclude", over=LISTS)
def exclude(t, lib):
    """Sessions that are excluded get nothing."""
    one, sessions, heard = three(t, lib)
    one.publish(t.uri("x"), 1, exclude=[sessions[0].session, sessions[2].session])
    same(heard[1].take().args, [1])
    heard[0].nothing()
    heard[2].nothing(0.1)


@check("wamp.eligible", over=LISTS)
def eligible(t, lib):
    """If some are eligible, others get nothing."""
    one, sessions, heard = three(t, lib)
    one.publish(t.uri("x"), 1, eligible=[sessions[1].session])
    same(heard[1].take().args, [1])
    heard[0].nothing()
    heard[2].nothing(0.1)


@check("wamp.eligible_and_excluded", over=LISTS)
def eligible_and_excluded(t, lib):
    """All lists count: who is eligible and excluded gets nothing."""
    one, sessions, heard = three(t, lib)
    ids = [s.session for s in sessions]
    one.publish(t.uri("x"), 1, eligible=ids[:2], exclude=ids[1:])
    same(heard[0].take().args, [1])
    heard[1].nothing()
    heard[2].nothing(0.1)


@check("wamp.eligible_nobody")
def eligible_nobody(t):
    """A list that is empty counts: nobody is eligible."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = Web(t).join()
    one.say(wire.PUBLISH, 1, {"acknowledge": True, "eligible": []}, t.uri("x"))
    one.expect(wire.PUBLISHED, 1)
    heard.nothing()


@check("wamp.exclude_authid", over=LISTS)
def exclude_authid(t, lib):
    """Excluded by name."""
    one, sessions, heard = three(t, lib)
    one.publish(t.uri("x"), 1, exclude_authid=[sessions[0].details["authid"]])
    same(heard[1].take().args, [1])
    heard[0].nothing()


@check("wamp.eligible_authid", over=LISTS)
def eligible_authid(t, lib):
    """Eligible by name."""
    one, sessions, heard = three(t, lib)
    one.publish(t.uri("x"), 1, eligible_authid=[sessions[2].details["authid"]])
    same(heard[2].take().args, [1])
    heard[0].nothing()


@check("wamp.authroles", over=LISTS)
def authroles(t, lib):
    """Excluded and eligible by role."""
    one, _, heard = three(t, lib)
    one.publish(t.uri("x"), 1, exclude_authrole=["anonymous"])
    one.publish(t.uri("x"), 2, eligible_authrole=["admin"])
    one.publish(t.uri("x"), 3, eligible_authrole=["anonymous"], exclude_authrole=["admin"])
    same(heard[0].take().args, [3])
    heard[0].nothing()


@check("wamp.any_attribute", own=True)
def any_attribute(t):
    """Lists may be of whatever sessions say of themselves: eligible_x, exclude_x."""
    people = [wamp.client(t, "wampy", hello={"org_id": org}) for org in ("acorp", "ycorp", "zcorp")]
    heard = [p.subscribe(t.uri("x")) for p in people]
    one = wamp.client(t, "autobahnjs")
    one.publish(t.uri("x"), 1, eligible_org_id=["ycorp", "zcorp"], exclude_org_id=["zcorp"])
    same(heard[1].take().args, [1])
    heard[0].nothing()
    heard[2].nothing(0.1)


@check("wamp.disclose_me", over=("autobahnjs", "wampy"))
def disclose_me(t, lib):
    """Who wants to be known as the publisher is."""
    one = wamp.client(t, lib)
    heard = wamp.client(t).subscribe(t.uri("x"))
    one.publish(t.uri("x"), 1, disclose_me=True)
    details = heard.take().details
    same((details.get("publisher"), details.get("publisher_authid"),
          details.get("publisher_authrole")),
         (one.session, one.details["authid"], "anonymous"), "publisher")


@check("wamp.not_disclosed")
def not_disclosed(t):
    """Nobody else is."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    wamp.client(t).publish(t.uri("x"), 1)
    that("publisher" not in heard.take().details, "disclosed")


@check("wamp.disclosed_to_who_knows")
def disclosed_to_who_knows(t):
    """A subscriber that did not announce the feature is not told, another beside it is."""
    plain = Web(t).join(roles=wire.roles("publisher_identification"))
    knows = Web(t).join()
    for one in (plain, knows):
        one.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
        one.expect(wire.SUBSCRIBED, 1)
    publisher = Web(t).join()
    publisher.say(wire.PUBLISH, 1, {"disclose_me": True}, t.uri("x"))
    same(knows.expect(wire.EVENT)[3].get("publisher"), publisher.id, "publisher")
    same(plain.expect(wire.EVENT)[3].get("publisher"), None, "publisher")


@check("wamp.shared_subscription")
def shared_subscription(t):
    """All who subscribed to the same share one subscription, whatever they speak."""
    ids = {wamp.client(t, lib, serializer=s).subscribe(t.uri("x")).id
           for lib, s in (("autobahn", "cbor"), ("autobahnjs", "json"), ("xconn", "msgpack"))}
    same(len(ids), 1, "subscriptions")
    other = wamp.client(t).subscribe(t.uri("x"), match="prefix").id
    that(other not in ids, "a prefix has the same id as an exact topic")


@check("wamp.subscribed_twice")
def subscribed_twice(t):
    """A session that subscribes to the same again has the same subscription, and one event."""
    one = Web(t).join()
    ids = []
    for n in (1, 2):
        one.say(wire.SUBSCRIBE, n, {}, t.uri("x"))
        ids.append(one.expect(wire.SUBSCRIBED, n)[2])
    same(ids[0], ids[1], "subscription")
    wamp.client(t).publish(t.uri("x"), 1)
    one.expect(wire.EVENT, ids[0])
    one.quiet()


@check("wamp.two_handlers", over=("autobahn", "autobahnjs", "wampy"))
def two_handlers(t, lib):
    """A library with two handlers for one topic calls both; one of them leaves, the other stays."""
    one = wamp.client(t, lib)
    heard = [one.subscribe(t.uri("x")) for _ in range(2)]
    two = wamp.client(t)
    two.publish(t.uri("x"), 1)
    same([h.take().args for h in heard], [[1], [1]])
    heard[0].unsubscribe()
    two.publish(t.uri("x"), 2)
    same(heard[1].take().args, [2])
    heard[0].nothing(0.2)


@check("wamp.unsubscribe", over=wamp.LIBS)
def unsubscribe(t, lib):
    """After UNSUBSCRIBED nothing comes."""
    one, two = wamp.client(t, lib), wamp.client(t)
    heard = one.subscribe(t.uri("x"))
    two.publish(t.uri("x"), 1)
    same(heard.take().args, [1])
    heard.unsubscribe()
    two.publish(t.uri("x"), 2)
    heard.nothing()


@check("wamp.unsubscribe_unknown")
def unsubscribe_unknown(t):
    """What is not there cannot be given up."""
    one = Web(t).join()
    one.say(wire.UNSUBSCRIBE, 1, 123456789)
    same(one.fails(wire.UNSUBSCRIBE, 1), "wamp.error.no_such_subscription")


@check("wamp.unsubscribe_foreign")
def unsubscribe_foreign(t):
    """Neither can what is another's, who goes on hearing (nexus confirms it)."""
    heard = wamp.client(t).subscribe(t.uri("x"))
    one = Web(t).join()
    one.say(wire.UNSUBSCRIBE, 1, heard.id)
    same(one.fails(wire.UNSUBSCRIBE, 1), "wamp.error.no_such_subscription")
    wamp.client(t).publish(t.uri("x"), 1)
    same(heard.take().args, [1])


@check("wamp.order", over=("autobahn", "xconn"))
def order(t, lib):
    """A thousand events over two topics come in the order in which they were published."""
    one = Web(t).join()
    for n, topic in enumerate(("a", "b"), 1):
        one.say(wire.SUBSCRIBE, n, {}, t.uri(topic))
        one.expect(wire.SUBSCRIBED, n)
    two = wamp.client(t, lib, "tcp", "msgpack")
    for n in range(1000):
        two.send(t.uri("ab"[n % 3 == 0]), n)
    same([one.expect(wire.EVENT)[4][0] for _ in range(1000)], list(range(1000)))


@check("wamp.subscribed_before_event")
def subscribed_before_event(t):
    """Nothing of a subscription comes before SUBSCRIBED, however much is published."""
    two = wamp.client(t)
    for round in range(20):
        one = Web(t).join()
        for n in range(20):
            two.send(t.uri("x"), n)
        one.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
        one.expect(wire.SUBSCRIBED, 1)
        one.close()


@check("wamp.retained", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def retained(t, lib):
    """The last event that was to be kept is there for who asks for it, marked as such."""
    one = wamp.client(t)
    for value in ("old", "new"):
        one.publish(t.uri("x"), value, retain=True)
    one.publish(t.uri("x"), "not kept")
    heard = wamp.client(t, lib).subscribe(t.uri("x"), get_retained=True)
    event = heard.take()
    same((event.args, event.details.get("retained")), (["new"], True))
    heard.nothing()
    one.publish(t.uri("x"), "live", retain=True)
    event = heard.take()
    same((event.args, event.details.get("retained") or False), (["live"], False))


@check("wamp.retained_not_asked_for")
def retained_not_asked_for(t):
    """Who does not ask for it does not get it."""
    wamp.client(t).publish(t.uri("x"), 1, retain=True)
    wamp.client(t).subscribe(t.uri("x")).nothing()


@check("wamp.retained_white_list")
def retained_white_list(t):
    """What was kept for some is not for others (crossbar gives it to all)."""
    friend = wamp.client(t)
    wamp.client(t).publish(t.uri("x"), 1, retain=True, eligible=[friend.session])
    wamp.client(t).subscribe(t.uri("x"), get_retained=True).nothing()
    same(friend.subscribe(t.uri("x"), get_retained=True).take().args, [1])


@check("wamp.retained_prefix", own=True)
def retained_prefix(t):
    """A pattern is answered with what is kept under it."""
    one = wamp.client(t)
    for topic in ("a.b", "a.c"):
        one.publish(t.uri(topic), topic, retain=True)
    heard = wamp.client(t).subscribe(t.uri("a."), match="prefix", get_retained=True)
    that(set(values(heard, 1)) <= {"a.b", "a.c"}, "something else came")


BAD = ("a b", "", "a..b", ".a", "a.", "a#b", "a\tb")


@check("wamp.bad_topic_published", over=BAD)
def bad_topic_published(t, topic):
    """Publishing to what is no topic is an error, told to who asked for an answer."""
    one = Web(t).join()
    one.say(wire.PUBLISH, 1, {"acknowledge": True}, topic)
    same(one.fails(wire.PUBLISH, 1), "wamp.error.invalid_uri")
    one.say(wire.PUBLISH, 2, {}, topic)
    one.quiet(0.2)


@check("wamp.bad_topic_subscribed", over=(
    ("a b", "exact"), ("", "exact"), ("a..b", "exact"), ("a..b", "prefix"), ("a#b", "wildcard")))
def bad_topic_subscribed(t, topic, match):
    """Subscribing to what is neither a topic nor a pattern of its kind is an error."""
    one = Web(t).join()
    one.say(wire.SUBSCRIBE, 1, {"match": match}, topic)
    same(one.fails(wire.SUBSCRIBE, 1), "wamp.error.invalid_uri")


@check("wamp.reserved_topic", over=("wamp.session.on_join", "wamp.mine"))
def reserved_topic(t, topic):
    """Nobody but the router publishes under wamp (nexus lets clients forge on_join)."""
    heard = wamp.client(t).subscribe(topic)
    one = Web(t).join()
    one.say(wire.PUBLISH, 1, {"acknowledge": True}, topic, [{"session": 1, "forged": True}])
    same(one.fails(wire.PUBLISH, 1), "wamp.error.invalid_uri")
    try:
        while True:
            that(not heard.take(0.3).args[0].get("forged"), "a forged event came")
    except AssertionError as e:
        that("nothing came" in str(e), str(e))


@check("wamp.unknown_match")
def unknown_match(t):
    """A way of matching that nobody knows is a violation, not an exact match."""
    one = Web(t).join()
    one.say(wire.SUBSCRIBE, 1, {"match": "fuzzy"}, t.uri("x"))
    same(one.aborted(), "wamp.error.protocol_violation")


@check("wamp.utf8_topics")
def utf8_topics(t):
    """Topics are not only of ASCII."""
    heard = wamp.client(t, "xconn").subscribe(t.uri("straße.☃"))
    wamp.client(t, "autobahnjs").publish(t.uri("straße.☃"), 1)
    same(heard.take().args, [1])


@check("wamp.slow_reader", own=True, alone=True)
def slow_reader(t):
    """Who does not read loses events, and delays neither the publisher nor other subscribers."""
    slow = Web(t).join()
    slow.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    slow.expect(wire.SUBSCRIBED, 1)
    brisk = wamp.client(t, "autobahn", "tcp", "msgpack")
    heard = brisk.subscribe(t.uri("x"))
    one = wamp.client(t, "xconn", "tcp", "msgpack")
    text = "x" * 64_000
    for n in range(400):
        one.publish(t.uri("x"), n, text)
    same(values(heard, 400), list(range(400)))
    came = []
    try:
        while (message := slow.hear(1)) is not None:
            came.append(message[4][0])
    except TimeoutError:
        pass
    same(came, sorted(set(came)), "order")
