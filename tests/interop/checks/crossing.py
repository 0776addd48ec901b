"""One topic space: what PRX1 says MQTT hears, and the other way round."""

import time

from harness import check, same
from wire import Prx1

KEEP = {"session_expiry": 300}


def prx1(t, name=None, **more):
    return Prx1(t, name or f"user{t.number}-{next(t.names)}", **more)


@check("crossing.to_mqtt", over=((0, 4), (0, 5), (1, 4), (1, 5)), own=True)
def to_mqtt(t, qos, version):
    """PRX1 publishes, MQTT gets it with its QoS."""
    one = t.client(version=version)
    one.subscribe(t.topic("x/y"), qos=2)
    other = prx1(t)
    for payload in (b"one", b"", bytes(range(256))):
        other.publish(t.topic("x/y"), payload, qos)
        m = one.take()
        same((m.topic, m.payload, m.qos, m.retain), (t.topic("x/y"), payload, qos, False))


@check("crossing.to_prx1", over=(0, 1, 2), own=True)
def to_prx1(t, qos):
    """MQTT publishes, PRX1 gets it; of QoS 2 it knows 1."""
    other = prx1(t)
    other.subscribe(t.topic("x/y"))
    t.client().publish(t.topic("x/y"), b"hi", qos)
    same(other.take(), (t.topic("x/y"), b"hi", min(qos, 1), False, False))


@check("crossing.wildcards", own=True)
def wildcards(t):
    """The wildcards of each match the topics of the other."""
    other, one = prx1(t), t.client()
    other.subscribe(t.topic("a/*"))
    other.subscribe(t.topic("b/*/d"))
    one.subscribe(t.topic("p/#"), t.topic("q/+/s"), qos=1)
    for topic in ("a/b", "a/b/c", "b/c/d"):
        one.publish(t.topic(topic), topic, 1)
        same(other.take()[:2], (t.topic(topic), topic.encode()))
    one.publish(t.topic("b/c"), b"no", 1)
    other.nothing()
    for topic in ("p/q", "p/q/r", "q/r/s"):
        other.publish(t.topic(topic), topic.encode(), 1)
        same(one.take().topic, t.topic(topic))
    other.publish(t.topic("q/r"), b"no", 1)
    one.nothing()


@check("crossing.retained", own=True)
def retained(t):
    """A retained message of either is replayed to the other, and cleared by the other."""
    other, one = prx1(t), t.client()
    other.publish(t.topic("r/prx1"), b"p", 1, retain=True)
    one.publish(t.topic("r/mqtt"), b"m", 1, retain=True)
    late_mqtt, late_prx1 = t.client(), prx1(t)
    late_mqtt.subscribe(t.topic("r/+"), qos=1)
    got = sorted((m.topic, m.payload, m.retain) for m in late_mqtt.take_many(2))
    same(got, [(t.topic("r/mqtt"), b"m", True), (t.topic("r/prx1"), b"p", True)])
    late_prx1.subscribe(t.topic("r/*"))
    got = sorted(late_prx1.take()[:4] for _ in range(2))
    same(got, [(t.topic("r/mqtt"), b"m", 1, True), (t.topic("r/prx1"), b"p", 1, True)])
    one.publish(t.topic("r/prx1"), b"", 1, retain=True)
    other.publish(t.topic("r/mqtt"), b"", 1, retain=True)
    last = t.client()
    last.subscribe(t.topic("r/#"), qos=1)
    last.nothing()


@check("crossing.offline_prx1", own=True)
def offline_prx1(t):
    """What MQTT publishes waits for a PRX1 user who is away."""
    name = f"user{t.number}"
    other = prx1(t, name)
    other.subscribe(t.topic("x/y"))
    other.close()
    time.sleep(0.2)
    sender = t.client()
    for n in range(20):
        sender.publish(t.topic("x/y"), str(n), 1 + n % 2)
    other = prx1(t, name)
    same([int(other.take()[1]) for _ in range(20)], list(range(20)))


@check("crossing.offline_mqtt", over=(4, 5), own=True)
def offline_mqtt(t, version):
    """What PRX1 publishes waits for an MQTT session that is away."""
    id = t.id()
    keep = KEEP if version == 5 else {}
    one = t.client(version=version, id=id, clean=False, **keep)
    one.subscribe(t.topic("x/#"), qos=2)
    one.disconnect()
    other = prx1(t)
    for n in range(20):
        other.publish(t.topic("x/y"), str(n).encode(), 1)
    one = t.client(version=version, id=id, clean=False, **keep)
    same([(int(m.payload), m.qos) for m in one.take_many(20)], [(n, 1) for n in range(20)])


@check("crossing.restart", over=("sigterm", "kill9"), own=True)
def restart(t, way):
    """Both kinds of sessions and both kinds of messages are there after a restart."""
    broker = t.alone_with()
    name, id = f"user{t.number}", t.id()
    other = prx1(t, name)
    other.subscribe(t.topic("x/y"))
    other.close()
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(t.topic("x/y"), qos=2)
    one.disconnect()
    prx1(t).publish(t.topic("x/y"), b"from prx1", 1)
    t.client().publish(t.topic("x/y"), b"from mqtt", 2)
    if way == "sigterm":
        same(broker.stop(), 0, "exit code")
    else:
        broker.kill()
    broker.start()
    other = prx1(t, name)
    same([other.take()[1] for _ in range(2)], [b"from prx1", b"from mqtt"])
    one = t.client(id=id, clean=False, **KEEP)
    same([m.payload for m in one.take_many(2)], [b"from prx1", b"from mqtt"])


@check("crossing.too_large", own=True)
def too_large(t):
    """A message that PRX1 cannot carry is left out, and its connection goes on."""
    other, one = prx1(t), t.client()
    other.subscribe(t.topic("x/y"))
    one.subscribe(t.topic("x/y"), qos=1)
    sizes = (65535, 65536, 200_000, 5)
    for size in sizes:
        one.publish(t.topic("x/y"), b"x" * size, 1)
    same([len(m.payload) for m in one.take_many(4)], list(sizes))
    same([len(other.take()[1]) for _ in range(2)], [65535, 5])
    other.nothing()


@check("crossing.unspellable", own=True)
def unspellable(t):
    """Topics that only one of them can spell are left out for the other, who goes on."""
    other, one = prx1(t), t.client()
    one.subscribe(t.topic("#"), qos=1)
    other.publish(t.topic("x/+"), b"plus", 1)
    other.publish(t.topic("x/#"), b"hash", 1)
    other.publish(t.topic("x/y"), b"fine", 1)
    same(one.take().payload, b"fine")
    one.nothing()


@check("crossing.user_and_client_id", own=True)
def same_name(t):
    """A PRX1 user and an MQTT client id of the same name are two sessions."""
    name = f"same{t.number}"
    other = prx1(t, name)
    other.subscribe(t.topic("x/y"))
    one = t.client(id=name)
    one.subscribe(t.topic("x/y"), qos=1)
    one.publish(t.topic("x/y"), b"both", 1)
    same(one.take().payload, b"both")
    same(other.take()[1], b"both")
    one.stays(0.2)


@check("crossing.unsubscribe", own=True)
def unsubscribe(t):
    """After UnsubAck nothing of MQTT comes to PRX1."""
    other, one = prx1(t), t.client()
    other.subscribe(t.topic("x/y"))
    other.unsubscribe(t.topic("x/y"))
    one.publish(t.topic("x/y"), b"no", 1)
    other.nothing()


@check("crossing.order", own=True)
def order(t):
    """A thousand from PRX1 arrive in order at MQTT, and a thousand back."""
    other, one = prx1(t), t.client()
    one.subscribe(t.topic("x/y"), qos=1)
    other.subscribe(t.topic("y/x"))
    for n in range(1000):
        other.publish(t.topic("x/y"), str(n).encode(), 1)
    same([int(m.payload) for m in one.take_many(1000)], list(range(1000)))
    for n in range(1000):
        one.send(t.topic("y/x"), str(n), 1)
    same([int(other.take()[1]) for _ in range(1000)], list(range(1000)))


@check("crossing.properties_dropped", own=True)
def properties(t):
    """Properties of 5.0 do not reach PRX1, and do not hold the message up; expiry does."""
    name = f"user{t.number}"
    other = prx1(t, name)
    other.subscribe(t.topic("x/y"))
    one = t.client()
    one.publish(t.topic("x/y"), b"m", 1, user=[("a", "b")], content_type="c", expiry=60)
    same(other.take()[1], b"m")
    other.close()
    time.sleep(0.2)
    one.publish(t.topic("x/y"), b"short", 1, expiry=1)
    one.publish(t.topic("x/y"), b"long", 1, expiry=60)
    time.sleep(2.2)
    other = prx1(t, name)
    same(other.take()[1], b"long")
    other.nothing()
