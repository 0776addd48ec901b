"""What every client must find, in both versions, over every transport."""

import itertools

from clients import Refused
from harness import EACH, PEERS, burst, check, same, that

MATRIX = tuple(itertools.product(PEERS, (4, 5), ("tcp", "tls", "ws", "wss")))


@check("trip", over=(*MATRIX, ("paho", 3, "tcp"), ("paho", 3, "ws")))
def trip(t, peer, version, transport):
    """Every QoS in both directions, to itself and to a client of the other version."""
    topic = t.topic("trip")
    one = t.client(peer, version, transport)
    two = t.client("paho", 9 - version if version > 3 else 5)
    same(one.subscribe(topic, qos=2), [2], "granted")
    same(two.subscribe(topic, qos=2), [2], "granted")
    for sender in (one, two):
        for qos in (0, 1, 2):
            payload = f"{qos} of {sender is one}".encode()
            code = sender.publish(topic, payload, qos)
            that(code in (0, 0x10), f"QoS {qos} was answered with {code:#x}")
            for reader in (one, two):
                m = reader.take()
                same((m.topic, m.payload, m.qos, m.retain), (topic, payload, qos, False))


@check("retained.replay", over=EACH)
def retained_replay(t, peer, version, transport):
    """A live copy has retain 0, a later one retain 1; the last value counts."""
    topic = t.topic("r/1")
    one = t.client(peer, version, transport)
    one.subscribe(topic, qos=1)
    for value in (b"old", b"new"):
        one.publish(topic, value, 1, retain=True)
        m = one.take()
        same((m.payload, m.retain), (value, False), "live")
    two = t.client(peer, version, transport)
    two.subscribe(t.topic("r/+"), qos=1)
    m = two.take()
    same((m.topic, m.payload, m.retain, m.qos), (topic, b"new", True, 1), "replayed")
    two.nothing()


@check("retained.clear", over=EACH)
def retained_clear(t, peer, version, transport):
    """An empty retained message takes the old one away, and goes to whoever listens."""
    topic = t.topic("r")
    one = t.client(peer, version, transport)
    one.publish(topic, b"value", 1, retain=True)
    one.subscribe(topic, qos=1)
    same(one.take().payload, b"value")
    one.publish(topic, b"", 1, retain=True)
    m = one.take()
    same((m.payload, m.retain), (b"", False))
    two = t.client(peer, version, transport)
    two.subscribe(topic, qos=1)
    two.nothing()


@check("will.abnormal", over=EACH)
def will_abnormal(t, peer, version, transport):
    """A connection that ends without a DISCONNECT has its will published."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=2)
    will = {"topic": topic, "payload": b"gone \xe2\x98\x83", "qos": 1}
    dying = t.client(peer, version, transport, will=will)
    dying.drop()
    m = watcher.take()
    same((m.topic, m.payload, m.qos, m.retain), (topic, b"gone \xe2\x98\x83", 1, False))


@check("will.normal", over=EACH)
def will_normal(t, peer, version, transport):
    """A DISCONNECT takes the will back."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    leaving = t.client(peer, version, transport, will={"topic": topic, "payload": b"no", "qos": 1})
    leaving.disconnect()
    watcher.nothing()


@check("session.offline", over=EACH)
def session_offline(t, peer, version, transport):
    """What came while a client was away waits for it, comes once, and in order at each QoS."""
    id, topic = t.id(), t.topic("s/#")
    keep = {"session_expiry": 300} if version == 5 else {}
    one = t.client(peer, version, transport, id=id, clean=False, **keep)
    same(one.present, False, "session present")
    one.subscribe(topic, qos=2)
    one.disconnect()
    two = t.client()
    for n in range(20):
        two.publish(t.topic(f"s/{n % 3}"), str(n), qos=1 + n % 2)
    one = t.client(peer, version, transport, id=id, clean=False, **keep)
    same(one.present, True, "session present")
    got = one.take_many(20)
    for qos in (1, 2):
        same([int(m.payload) for m in got if m.qos == qos], list(range(qos - 1, 20, 2)), "order")
    one.nothing()
    two.publish(t.topic("s/live"), b"live", 1)
    same(one.take().payload, b"live")


@check("session.clean", over=EACH)
def session_clean(t, peer, version, transport):
    """A clean start forgets the session, what it subscribed and what waited."""
    id, topic = t.id(), t.topic("s")
    keep = {"session_expiry": 300} if version == 5 else {}
    one = t.client(peer, version, transport, id=id, clean=False, **keep)
    one.subscribe(topic, qos=1)
    one.disconnect()
    two = t.client()
    two.publish(topic, b"waits", 1)
    one = t.client(peer, version, transport, id=id, clean=True)
    same(one.present, False, "session present")
    two.publish(topic, b"live", 1)
    one.nothing()


@check("takeover", over=EACH)
def takeover(t, peer, version, transport):
    """The second connection of a client id ends the first, and is the one that is served."""
    id, topic = t.id(), t.topic("x")
    one = t.client(peer, version, transport, id=id)
    two = t.client(peer, version, transport, id=id)
    one.gone()
    two.subscribe(topic, qos=1)
    two.publish(topic, b"here", 1)
    same(two.take().payload, b"here")


@check("unsubscribe", over=EACH)
def unsubscribe(t, peer, version, transport):
    """After UNSUBACK nothing comes any more; other subscriptions stay."""
    one = t.client(peer, version, transport)
    one.subscribe(t.topic("a"), t.topic("b"), qos=1)
    codes = one.unsubscribe(t.topic("a"))
    if version == 5:
        same(codes, [0], "reason")
    one.publish(t.topic("a"), b"a", 1)
    one.publish(t.topic("b"), b"b", 1)
    same(one.take().payload, b"b")
    one.nothing()


@check("wildcards", over=EACH)
def wildcards(t, peer, version, transport):
    """`+` is one level, `#` the rest and its parent; neither reaches into `$` topics."""
    cases = {
        "a/+": {"a/b", "a/"},
        "a/#": {"a", "a/b", "a/b/c", "a/"},
        "+/b": {"a/b", "x/b", "/b"},
        "a/+/c": {"a/b/c"},
        "+": {"a"},
        "/+": {"/b"},
    }
    topics = {"a", "a/b", "a/", "a/b/c", "x/b", "/b"}
    root = t.topic()
    sender = t.client()
    for filter, wanted in cases.items():
        one = t.client(peer, version, transport)
        one.subscribe(f"{root}/{filter}", qos=1)
        for topic in sorted(topics):
            sender.publish(f"{root}/{topic}", topic, 1)
        got = {m.payload.decode() for m in one.take_many(len(wanted))}
        same(got, wanted, f"to {filter} came")
        one.nothing(0.1)
        one.disconnect()


@check("text", over=EACH)
def text(t, peer, version, transport):
    """Topics in any script, payloads of nothing and of every byte."""
    topic = t.topic("температура/室温/🌡️/é")
    one = t.client(peer, version, transport)
    one.subscribe(topic, qos=1)
    for payload in (b"", bytes(range(256)), "жук 🐞".encode()):
        one.publish(topic, payload, 1)
        m = one.take()
        same((m.topic, m.payload), (topic, payload))


@check("large", over=EACH)
def large(t, peer, version, transport):
    """One mebibyte, whole, at every QoS."""
    topic = t.topic("large")
    payload = bytes(range(256)) * 4096
    one = t.client(peer, version, transport)
    one.subscribe(topic, qos=2)
    for qos in (0, 1, 2):
        one.publish(topic, payload, qos)
        that(one.take().payload == payload, f"the payload changed on its way at QoS {qos}")


@check("order", over=EACH)
def order(t, peer, version, transport):
    """Hundreds of messages of one publisher, in their order."""
    topic = t.topic("order")
    one = t.client(peer, version, transport)
    one.subscribe(topic, qos=2)
    for qos in (0, 1, 2):
        count = 400
        burst(one, topic, [f"{qos}:{n}" for n in range(count)], qos)
        got = [m.payload.decode() for m in one.take_many(count)]
        same(got, [f"{qos}:{n}" for n in range(count)], f"order at QoS {qos}:")


@check("password.wrong", over=EACH)
def password_wrong(t, peer, version, transport):
    """A wrong password is refused with the code of the version."""
    from .access import SETUP

    t.wants(SETUP)
    for user, password in (("alice", "wrong"), ("nobody", "apple")):
        client = t.make(peer, version, transport, user=user, password=password)
        try:
            client.connect()
        except Refused as e:
            spelled = {4: ("BadUserNamePassword", "NotAuthorized"),
                       5: ("BadUserNamePassword", "NotAuthorized")}[version]
            codes = {4: (4, 5), 5: (0x86, 0x87)}[version]
            # paho spells the codes of 3.1.1 as those of 5.0.
            fits = e.code in codes + (0x86, 0x87) or any(s in e.text for s in spelled)
            that(fits, f"refused with {e.code} {e.text}")
        else:
            raise AssertionError(f"{user} came in with a wrong password")


@check("password.right", over=EACH)
def password_right(t, peer, version, transport):
    """A right password opens, and the rules of the user hold."""
    from .access import SETUP

    t.wants(SETUP)
    one = t.client(peer, version, transport, user="alice", password="apple")
    same(one.subscribe("open/+", qos=1), [1], "granted")
    topic = f"open/{t.number}"
    one.publish(topic, b"in", 1)
    while (m := one.take()).topic != topic:
        pass
    same(m.payload, b"in")


@check("keepalive.idle", over=EACH)
def keepalive_idle(t, peer, version, transport):
    """An idle client whose library pings stays connected for longer than its keep-alive."""
    seconds = 5 if (peer, version) == ("rumqttc", 5) else 1
    one = t.client(peer, version, transport, keepalive=seconds)
    one.stays(seconds * 1.5 + 2)
    same(one.subscribe(t.topic("x"), qos=1), [1], "granted")
