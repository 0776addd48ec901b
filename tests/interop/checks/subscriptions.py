"""Which subscriptions a message meets, and what of theirs it shows."""

import queue
import time

from harness import EACH, check, same, that
from paho.mqtt.subscribeoptions import SubscribeOptions

KEEP = {"session_expiry": 300}


@check("qos.lower_of_both", over=(4, 5))
def qos_lower(t, version):
    """A message arrives with the lower of its QoS and the subscription's."""
    sender = t.client()
    for granted in (0, 1, 2):
        topic = t.topic(f"q{granted}")
        one = t.client(version=version)
        same(one.subscribe(topic, qos=granted), [granted], "granted")
        for qos in (0, 1, 2):
            sender.publish(topic, b"", qos)
            same(one.take().qos, min(qos, granted), f"of {qos} to {granted}")


@check("subscribe.replaces")
def subscribe_replaces(t):
    """The same filter again replaces the subscription: one copy, with the new QoS."""
    topic = t.topic("x")
    one = t.client()
    one.subscribe(topic, qos=2)
    one.subscribe(topic, qos=0)
    one.publish(topic, b"1", 2)
    same(one.take().qos, 0, "QoS")
    one.nothing()


@check("subscribe.many_filters")
def subscribe_many_filters(t):
    """One SUBSCRIBE with 200 filters has 200 answers, in order."""
    one = t.client()
    asked = [(t.topic(str(n)), SubscribeOptions(n % 3)) for n in range(200)]
    _, mid = one.c.subscribe(asked)
    same(one._answered(mid), [n % 3 for n in range(200)], "granted")


@check("many_topics")
def many_topics(t):
    """Nine hundred subscriptions of one client: each gets its own message and no other."""
    one = t.client()
    names = [t.topic(f"{n % 7}/{n}") for n in range(900)]
    for at in range(0, 900, 100):
        one.subscribe(*names[at:at + 100], qos=1)
    sender = t.client("mqttjs")
    for n, name in enumerate(names):
        sender.send(name, str(n), 0)
    got = one.take_many(900, 20)
    same([(m.topic, m.payload) for m in got],
         [(name, str(n).encode()) for n, name in enumerate(names)], "came")
    one.nothing()


@check("many_clients")
def many_clients(t):
    """A hundred clients of one topic all get the message."""
    topic = t.topic("x")
    readers = [t.client(version=4 + n % 2) for n in range(100)]
    for r in readers:
        r.subscribe(topic, qos=2)
    t.client("rumqttc").publish(topic, b"all", 2)
    for r in readers:
        same(r.take().payload, b"all")


@check("overlap.one_copy", over=(4, 5),
       beyond="MQTT 3.3.5-1: the maximum QoS of all matching subscriptions is respected; "
              "one copy is what a subscriber can tell from two messages")
def overlap_one_copy(t, version):
    """Overlapping subscriptions are answered with one copy, of the highest QoS."""
    one = t.client(version=version)
    one.subscribe(t.topic("a/#"), qos=0)
    one.subscribe(t.topic("a/+"), qos=2)
    one.subscribe(t.topic("+/b"), qos=1)
    t.client().publish(t.topic("a/b"), b"x", 2)
    same(one.take().qos, 2, "QoS")
    one.nothing()


@check("overlap.all_ids",
       beyond="MQTT5 3.3.4-4: a single copy carries the identifiers of all matching subscriptions")
def overlap_all_ids(t):
    """That one copy names every subscription that wanted it."""
    one = t.client()
    for id, filter in ((1, "a/#"), (268435455, "a/+"), (200, "#")):
        one.subscribe(t.topic(filter), qos=1, sub_id=id)
    one.subscribe(t.topic("+/b"), qos=1)
    t.client().publish(t.topic("a/b"), b"x", 1)
    same(sorted(one.take().props["sub_ids"]), [1, 200, 268435455], "identifiers")
    one.nothing()


@check("sub_id.one", over=("paho", "mqttjs", "rumqttc"))
def sub_id_one(t, peer):
    """A message says which subscription it comes for, and none for one without."""
    one = t.client(peer)
    one.subscribe(t.topic("with"), qos=1, sub_id=77)
    one.subscribe(t.topic("without"), qos=1)
    sender = t.client()
    sender.publish(t.topic("with"), b"", 1)
    same(list(one.take().props.get("sub_ids", [])), [77], "identifiers")
    sender.publish(t.topic("without"), b"", 1)
    same(one.take().props.get("sub_ids"), None, "identifiers")


@check("sub_id.replaced")
def sub_id_replaced(t):
    """A subscription made again has the identifier it was made with last."""
    one = t.client()
    one.subscribe(t.topic("x"), qos=1, sub_id=1)
    one.subscribe(t.topic("x"), qos=1, sub_id=2)
    one.publish(t.topic("x"), b"", 1)
    same(one.take().props["sub_ids"], [2])
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"", 1)
    same(one.take().props.get("sub_ids"), None)


@check("sub_id.kept")
def sub_id_kept(t):
    """The identifier belongs to the session, and outlives the connection."""
    id, topic = t.id(), t.topic("x")
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(topic, qos=1, sub_id=9)
    one.disconnect()
    t.client().publish(topic, b"", 1)
    one = t.client(id=id, clean=False, **KEEP)
    same(one.take().props["sub_ids"], [9])


@check("sub_id.retained")
def sub_id_retained(t):
    """Retained messages carry it, too."""
    t.client().publish(t.topic("x"), b"v", 1, retain=True)
    one = t.client()
    one.subscribe(t.topic("x"), qos=1, sub_id=5)
    same(one.take().props["sub_ids"], [5])


@check("no_local", over=("paho", "mqttjs", "rumqttc"))
def no_local(t, peer):
    """With No Local a client does not hear itself, and others do."""
    topic = t.topic("x")
    one, two = t.client(peer), t.client()
    one.subscribe(topic, qos=1, nl=True)
    two.subscribe(topic, qos=1)
    one.publish(topic, b"own", 1)
    same(two.take().payload, b"own")
    two.publish(topic, b"other", 1)
    same(one.take().payload, b"other")
    one.nothing()


@check("no_local.shared",
       beyond="MQTT5 3.8.3-4: No Local on a shared subscription is a Protocol Error")
def no_local_shared(t):
    """No Local on a shared subscription is a Protocol Error."""
    one = t.client()
    try:
        one.subscribe(f"$share/g/{t.topic('x')}", qos=1, nl=True)
    except AssertionError:
        pass
    same(one.gone(5), 0x82, "reason")


@check("share.once", over=EACH)
def share_once(t, peer, version, transport):
    """Each message goes to one member of the group, and every member gets some."""
    members = [t.client(peer, version, transport) for _ in range(3)]
    for m in members:
        m.subscribe(f"$share/g/{t.topic('x/#')}", qos=1)
    sender = t.client()
    for n in range(60):
        sender.publish(t.topic(f"x/{n % 4}"), str(n), 1)
    got = []
    end = time.monotonic() + 15
    while sum(map(len, got)) < 60 and time.monotonic() < end:
        time.sleep(0.05)
        got = [list(m.inbox.queue) for m in members]
    payloads = sorted(int(m.payload) for each in got for m in each)
    same(payloads, list(range(60)), "all members together got")
    that(all(got), f"members got {[len(each) for each in got]}")


@check("share.two_groups")
def share_two_groups(t):
    """Two groups and one plain subscription each get every message."""
    one, two, three, plain = (t.client() for _ in range(4))
    one.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    two.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    three.subscribe(f"$share/h/{t.topic('x')}", qos=1)
    plain.subscribe(t.topic("x"), qos=1)
    sender = t.client()
    for n in range(10):
        sender.publish(t.topic("x"), str(n), 1)
    for reader in (three, plain):
        same([int(m.payload) for m in reader.take_many(10)], list(range(10)))
    time.sleep(0.3)
    same(one.inbox.qsize() + two.inbox.qsize(), 10, "the group of two got")


@check("share.leaves")
def share_leaves(t):
    """When a member leaves, the others get everything."""
    one, two = t.client(), t.client()
    for m in (one, two):
        m.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    one.drop()
    sender = t.client()
    for n in range(10):
        sender.publish(t.topic("x"), str(n), 1)
    same([int(m.payload) for m in two.take_many(10)], list(range(10)))
    same(two.unsubscribe(f"$share/g/{t.topic('x')}"), [0], "reason")
    sender.publish(t.topic("x"), b"no", 1)
    two.nothing()


@check("share.unacknowledged",
       beyond="MQTT5 4.8.2: when a session ends, its unacknowledged QoS 1 should go to another")
def share_unacknowledged(t):
    """What a member left unacknowledged when its session ended goes to another."""
    one = t.client(manual=True)
    one.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    sender = t.client()
    for n in range(5):
        sender.publish(t.topic("x"), str(n), 1)
    one.take_many(5)
    two = t.client()
    two.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    one.drop()
    same(sorted(int(m.payload) for m in two.take_many(5, 5)), list(range(5)))


@check("share.no_retained",
       beyond="MQTT5 4.8.2: no retained messages are sent for a shared subscription")
def share_no_retained(t):
    """A shared subscription is sent no retained messages."""
    t.client().publish(t.topic("x"), b"v", 1, retain=True)
    one = t.client()
    one.subscribe(f"$share/g/{t.topic('x')}", qos=1)
    one.nothing()


@check("share.malformed", over=("$share//t", "$share/+/t", "$share/g"),
       beyond="MQTT5 4.8.2-1, 4.8.2-2: a share name has at least one character and no wildcard")
def share_malformed(t, filter):
    """A share without a proper name is refused, by SUBACK or by DISCONNECT."""
    one = t.client()
    try:
        codes = one.subscribe(filter, qos=1)
    except AssertionError:
        that(one.gone(5) in (0x81, 0x82, 0x8F), f"DISCONNECT with {one.disconnect_code}")
    else:
        same(codes, [0x8F], "SUBACK")


@check("reason.no_subscription")
def reason_no_subscription(t):
    """Unsubscribing from what was never subscribed has its own code."""
    one = t.client()
    one.subscribe(t.topic("a"), qos=1)
    same(one.unsubscribe(t.topic("a"), t.topic("b")), [0, 0x11], "reasons")


@check("reason.nobody_listens", over=("paho", "mqttjs", "rumqttc"))
def reason_nobody(t, peer):
    """A publisher may be told that nobody listens, but not of a message that somebody got."""
    one = t.client(peer)
    for qos in (1, 2):
        that(one.publish(t.topic("x"), b"", qos) in (0, 0x10), "an error for a good message")
    one.subscribe(t.topic("x"), qos=1)
    for qos in (1, 2):
        same(one.publish(t.topic("x"), b"", qos), 0, "reason")


@check("dollar.sys")
def dollar_sys(t):
    """`#` and `+` at the beginning do not reach topics that begin with `$`."""
    one, two = t.client(), t.client()
    one.subscribe("#", qos=0)
    one.subscribe("+/broker/#", qos=0)
    two.subscribe(f"$x{t.number}/#", qos=0)
    t.client().publish(f"$x{t.number}/a", b"v", 0)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        try:
            m = one.inbox.get(timeout=0.2)
        except queue.Empty:
            continue
        that(not m.topic.startswith("$"), f"came {m.topic}")
