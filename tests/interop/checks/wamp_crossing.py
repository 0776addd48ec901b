"""WAMP to MQTT and PRX1 and back: `a.b` is `a/b`, and arguments are bodies.

One text is the text, one binary the octets, anything else JSON; a body that is text becomes one
text, another one binary.
"""

import json

import wamp
from harness import check, same, that
from wire import Prx1

BINARY = bytes(range(256))
#: Positional and named arguments, and the body that they come to.
BODIES = {
    "text": (["hello ☃"], {}, "hello ☃".encode()),
    "empty_text": ([""], {}, b""),
    "binary": ([BINARY], {}, BINARY),
    "nothing": ([], {}, b""),
    "integer": ([23], {}, b"23"),
    "float": ([1.5], {}, b"1.5"),
    "null": ([None], {}, b"null"),
    "true": ([True], {}, b"true"),
    "map": ([{"a": [1, 2.5, True]}], {}, {"a": [1, 2.5, True]}),
    "list": ([[1, 2]], {}, [1, 2]),
    "several": ([1, "two"], {}, [1, "two"]),
    "named": ([], {"a": 1}, {"args": [], "kwargs": {"a": 1}}),
    "both": (["x"], {"a": 1}, {"args": ["x"], "kwargs": {"a": 1}}),
}


def topics(t, rest="x"):
    """The same topic in WAMP and in MQTT."""
    return t.uri(rest), t.uri(rest).replace(".", "/")


def is_body(body, wanted):
    if isinstance(wanted, bytes):
        same(body, wanted, "body")
    else:
        same(json.loads(body), wanted, "JSON of the body")


@check("wamp.to_mqtt", over=tuple((kind, s) for kind in BODIES for s in (
    "json", "msgpack", "cbor")), own=True)
def to_mqtt(t, kind, serializer):
    """What a client of WAMP publishes, a client of MQTT reads."""
    uri, topic = topics(t)
    args, kwargs, wanted = BODIES[kind]
    one = t.client()
    one.subscribe(topic, qos=1)
    wamp.client(t, "autobahn", "ws", serializer).publish(uri, *args, kwargs=kwargs)
    message = one.take()
    same(message.topic, topic, "topic")
    is_body(message.payload, wanted)


@check("wamp.to_prx1", over=("text", "binary", "several"), own=True)
def to_prx1(t, kind):
    """And a client of PRX1."""
    uri, topic = topics(t)
    args, kwargs, wanted = BODIES[kind]
    one = Prx1(t, f"user{t.number}")
    one.subscribe(topic)
    wamp.client(t, "autobahn", "tcp", "cbor").publish(uri, *args, kwargs=kwargs)
    is_body(one.take()[1], wanted)


@check("wamp.libraries_to_mqtt", over=wamp.LIBS, own=True)
def libraries_to_mqtt(t, lib):
    """Whatever library it is, and whichever version of MQTT."""
    uri, topic = topics(t)
    ones = [t.client(version=version) for version in (4, 5)]
    for one in ones:
        one.subscribe(topic, qos=2)
    wamp.client(t, lib).publish(uri, "☃")
    for one in ones:
        message = one.take()
        same((message.topic, message.payload, message.retain), (topic, "☃".encode(), False))


@check("wamp.from_mqtt", over=tuple((lib, version) for lib in wamp.LIBS for version in (4, 5)),
       own=True)
def from_mqtt(t, lib, version):
    """A body that is text comes as one text."""
    uri, topic = topics(t)
    heard = wamp.client(t, lib).subscribe(uri)
    t.client(version=version).publish(topic, "Grüße ☃".encode(), 1)
    same(heard.take().args, ["Grüße ☃"])


@check("wamp.from_mqtt_binary", over=("json", "msgpack", "cbor"), own=True)
def from_mqtt_binary(t, serializer):
    """A body that is none comes as one binary."""
    uri, topic = topics(t)
    heard = wamp.client(t, "autobahn", "ws", serializer).subscribe(uri)
    one = t.client()
    for body in (BINARY, b"\xff", b"\xc3\x28"):
        one.publish(topic, body, 1)
        same(heard.take().args, [body])


@check("wamp.from_mqtt_odd", over=("json", "msgpack", "cbor"), own=True)
def from_mqtt_odd(t, serializer):
    """Bodies that look like JSON, or begin with a NUL, or are empty, are still what they are."""
    uri, topic = topics(t)
    heard = wamp.client(t, "autobahn", "ws", serializer).subscribe(uri)
    one = t.client()
    for body in (b"", b"[1, 2]", b"null", b'{"args": [1]}', b'"', b"a\nb"):
        one.publish(topic, body, 1)
        same(heard.take().args, [body.decode()])
    one.publish(topic, b"\0AQL/", 1)
    came = heard.take().args
    that(came in ([b"\0AQL/"], ["\0AQL/"]), f"a body with a NUL came as {came}")


@check("wamp.from_prx1", own=True)
def from_prx1(t):
    """What PRX1 publishes comes as well."""
    uri, topic = topics(t)
    heard = wamp.client(t, "xconn", "tcp", "cbor").subscribe(uri)
    one = Prx1(t, f"user{t.number}")
    one.publish(topic, b"from prx1", 1)
    same(heard.take().args, ["from prx1"])
    one.publish(topic, BINARY, 1)
    same(heard.take().args, [BINARY])


@check("wamp.qos_of_mqtt", over=("0", "1", "2"), own=True)
def qos_of_mqtt(t, qos):
    """Each quality of service comes once."""
    uri, topic = topics(t)
    heard = wamp.client(t).subscribe(uri)
    one = t.client()
    for n in range(20):
        one.publish(topic, str(n), int(qos))
    same([e.args for e in heard.take_many(20)], [[str(n)] for n in range(20)])
    heard.nothing(0.2)


@check("wamp.patterns_from_mqtt", own=True)
def patterns_from_mqtt(t):
    """Patterns take in what MQTT publishes, and tell the topic in the spelling of WAMP."""
    one = wamp.client(t)
    prefix = one.subscribe(t.uri("a"), match="prefix")
    wildcard = one.subscribe(t.uri("..c"), match="wildcard")
    two = t.client()
    for rest in ("a/b/c", "ab", "x/y/c", "x/y"):
        two.publish(t.uri().replace(".", "/") + "/" + rest, rest, 1)
    same([(e.args[0], e.details["topic"]) for e in prefix.take_many(2)],
         [("a/b/c", t.uri("a.b.c")), ("ab", t.uri("ab"))])
    same([e.args[0] for e in wildcard.take_many(2)], ["a/b/c", "x/y/c"])
    prefix.nothing(0.2)


@check("wamp.filters_of_mqtt", own=True)
def filters_of_mqtt(t):
    """Filters of MQTT take in what WAMP publishes."""
    base = t.uri().replace(".", "/")
    plus, hash = t.client(), t.client()
    plus.subscribe(f"{base}/+/c", qos=1)
    hash.subscribe(f"{base}/a/#", qos=1)
    one = wamp.client(t)
    for rest in ("a.c", "a", "a.b.c", "b.c"):
        one.publish(t.uri(rest), rest)
    same([m.payload for m in plus.take_many(2)], [b"a.c", b"b.c"])
    same([m.payload for m in hash.take_many(3)], [b"a.c", b"a", b"a.b.c"])


@check("wamp.retained_to_mqtt", own=True)
def retained_to_mqtt(t):
    """What WAMP has kept, MQTT finds."""
    uri, topic = topics(t)
    wamp.client(t).publish(uri, "kept", retain=True)
    one = t.client()
    one.subscribe(topic, qos=1)
    message = one.take()
    same((message.payload, message.retain), (b"kept", True))


@check("wamp.retained_from_mqtt", own=True)
def retained_from_mqtt(t):
    """And the other way around."""
    uri, topic = topics(t)
    t.client().publish(topic, b"kept", 1, retain=True)
    event = wamp.client(t).subscribe(uri, get_retained=True).take()
    same((event.args, event.details.get("retained")), (["kept"], True))
    wamp.client(t).subscribe(uri).nothing(0.2)


@check("wamp.retained_for_some", own=True)
def retained_for_some(t):
    """What was kept for some is not for a protocol that knows no lists."""
    uri, topic = topics(t)
    friend = wamp.client(t)
    wamp.client(t).publish(uri, "secret", retain=True, eligible=[friend.session])
    one = t.client()
    one.subscribe(topic, qos=1)
    one.nothing()


@check("wamp.lists_and_mqtt", own=True)
def lists_and_mqtt(t):
    """What is for certain sessions is not for clients of MQTT, who are none of them."""
    uri, topic = topics(t)
    one = t.client()
    one.subscribe(topic, qos=1)
    friend = wamp.client(t)
    publisher = wamp.client(t)
    publisher.publish(uri, "for one", eligible=[friend.session])
    publisher.publish(uri, "for all")
    same(one.take().payload, b"for all")
    one.nothing(0.2)


@check("wamp.realms_and_mqtt", own=True)
def realms_and_mqtt(t):
    """MQTT lives in the first realm, and hears nothing of another."""
    from brokers import Setup

    t.wants(Setup(realms=["com.other"]))
    uri, topic = topics(t)
    one = t.client()
    one.subscribe(topic, qos=1)
    there = wamp.client(t, realm="com.other")
    heard = there.subscribe(uri)
    wamp.client(t, realm="com.other").publish(uri, "there")
    same(heard.take().args, ["there"])
    one.nothing()
    t.client().publish(topic, b"here", 1)
    same(one.take().payload, b"here")
    heard.nothing()


@check("wamp.unspellable", own=True)
def unspellable(t):
    """Topics that WAMP cannot spell are left out there, and hold nothing up."""
    base = t.uri().replace(".", "/")
    heard = wamp.client(t).subscribe(t.uri(), match="prefix")
    one = t.client()
    for rest in ("a b", "a.b", "//", "x", "a#b".replace("#", " ")):
        one.publish(f"{base}/{rest}", rest, 1)
    same(heard.take().args, ["x"])
    heard.nothing(0.2)


@check("wamp.will_of_mqtt", own=True)
def will_of_mqtt(t):
    """A will of MQTT is an event, a testament of WAMP a message."""
    uri, topic = topics(t)
    heard = wamp.client(t).subscribe(uri)
    dying = t.client(will={"topic": topic, "payload": b"gone", "qos": 1})
    dying.drop()
    same(heard.take().args, ["gone"])
    one = t.client()
    one.subscribe(topic, qos=1)
    leaving = wamp.client(t)
    leaving.call("wamp.session.add_testament", uri, ["gone, too"], {})
    leaving.drop()
    same(one.take().payload, b"gone, too")


@check("wamp.away_of_mqtt", own=True)
def away_of_mqtt(t):
    """A session of MQTT that is away gets later what WAMP published meanwhile."""
    uri, topic = topics(t)
    id = t.id()
    keep = {"id": id, "clean": False, "session_expiry": 600}
    one = t.client(**keep)
    one.subscribe(topic, qos=1)
    one.disconnect()
    two = wamp.client(t)
    for n in range(20):
        two.publish(uri, str(n))
    one = t.client(**keep)
    same([m.payload for m in one.take_many(20)], [str(n).encode() for n in range(20)])


@check("wamp.order_across", own=True)
def order_across(t):
    """A thousand from MQTT arrive in order at WAMP, and a thousand back."""
    uri, topic = topics(t)
    one, two = t.client(), wamp.client(t, "autobahn", "tcp", "msgpack")
    heard = two.subscribe(uri)
    for n in range(1000):
        one.send(topic, str(n), 1)
    same([int(e.args[0]) for e in heard.take_many(1000)], list(range(1000)))
    one.subscribe(topics(t, "y")[1], qos=0)
    for n in range(1000):
        two.send(t.uri("y"), n)
    same([int(m.payload) for m in one.take_many(1000)], list(range(1000)))


@check("wamp.meta_stays", own=True)
def meta_stays(t):
    """Clients of MQTT cannot forge what only the router says."""
    heard = wamp.client(t).subscribe("wamp.session.on_leave")
    t.client().publish("wamp/session/on_leave", b"forged", 1)
    try:
        while True:
            that(heard.take(0.4).args != ["forged"], "a forged event came")
    except AssertionError as e:
        that("nothing came" in str(e), str(e))


def procedures(t):
    """All topics of the checks are procedures, also to MQTT."""
    from brokers import Setup

    t.wants(Setup(realms=["default?modify=on&procedures=prefix:org."]))


def asked(t, one, topic, payload, **props):
    """What comes of a request in MQTT."""
    back = topic + "/back"
    one.subscribe(back, qos=1)
    one.publish(topic, payload, 1, response_topic=back, correlation=b"\x00k", **props)
    message = one.take()
    same((message.topic, message.props.get("correlation")), (back, b"\x00k"))
    return message.payload, dict(message.props.get("user") or {}).get("error")


@check("wamp.called_by_mqtt", over=("autobahn", "autobahnjs", "wampy", "xconn"), own=True)
def called_by_mqtt(t, lib):
    """A request of MQTT calls a procedure of WAMP; result and error come back."""
    procedures(t)
    uri, topic = topics(t)

    def run(i):
        if i.args == ["bad"]:
            raise wamp.Failed("com.app.broken", ["leg"])
        return {"said": i.args}

    wamp.client(t, lib).register(uri, run)
    one, other = t.client(), t.client()
    other.subscribe(topic + "/#", qos=1)
    body, error = asked(t, one, topic, "hello")
    same((json.loads(body), error), ({"said": ["hello"]}, None))
    same(asked(t, one, topic, "bad"), (b"leg", "com.app.broken"))
    same(asked(t, one, topic + "/none", "x"), (b"", "wamp.error.no_such_procedure"))
    other.nothing(0.2)


@check("wamp.calls_mqtt", over=("autobahn", "autobahnjs", "wampy", "xconn"), own=True)
def calls_mqtt(t, lib):
    """A client of MQTT serves calls of WAMP, with a result and with an error."""
    procedures(t)
    uri, topic = topics(t)
    server, stranger = t.client(), t.client()
    server.subscribe(topic, qos=1)
    caller = wamp.client(t, lib)
    for error in (None, "com.app.broken"):
        calling = caller.calling(uri, "2+2")
        m = server.take()
        same(m.payload, b"2+2")
        back, mark = m.props["response_topic"], m.props["correlation"]
        that(stranger.publish(back, "5", 1, correlation=mark) in (0x87, 0x10), "forged an answer")
        user = {} if error is None else {"user": [("error", error)]}
        server.publish(back, "4", 1, correlation=mark, **user)
        if error is None:
            same(calling.result().args, ["4"])
        else:
            same(calling.fails(), error)
    server.drop()
    same(caller.calling(uri, "2+2").fails(), "wamp.error.no_such_procedure")
