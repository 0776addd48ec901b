"""What a message carries, how large and how many, and in which order."""

import threading
import time

from harness import burst, check, same, that

KEEP = {"session_expiry": 300}


@check("retain_as_published", over=("paho", "mqttjs", "rumqttc"))
def retain_as_published(t, peer):
    """The flag stays as it was sent where that was asked for, and is cleared elsewhere."""
    one, two = t.client(peer), t.client(peer)
    one.subscribe(t.topic("x"), qos=1, rap=True)
    two.subscribe(t.topic("x"), qos=1)
    sender = t.client()
    for retain in (True, False):
        sender.publish(t.topic("x"), b"v", 1, retain=retain)
        same((one.take().retain, two.take().retain), (retain, False), "retain")


@check("retain_handling", over=("paho", "mqttjs", "rumqttc"))
def retain_handling(t, peer):
    """0 replays at every SUBSCRIBE, 1 at a new one only, 2 never."""
    t.client().publish(t.topic("x"), b"v", 1, retain=True)
    for handling, wanted in ((0, [1, 1]), (1, [1, 0]), (2, [0, 0])):
        one = t.client(peer)
        for count in wanted:
            one.subscribe(t.topic("x"), qos=1, rh=handling)
            if count:
                one.take()
            one.nothing(0.3)


@check("retained.again_311")
def retained_again(t):
    """In 3.1.1 a repeated SUBSCRIBE replays every time."""
    t.client().publish(t.topic("x"), b"v", 1, retain=True)
    one = t.client(version=4)
    for _ in range(3):
        one.subscribe(t.topic("x"), qos=1)
        m = one.take()
        same((m.payload, m.retain), (b"v", True))


@check("retained.qos")
def retained_qos(t):
    """A replayed message has the lower of its own QoS and the subscription's."""
    sender = t.client()
    for qos in (0, 1, 2):
        sender.publish(t.topic(f"x/{qos}"), b"v", qos, retain=True)
    for granted in (0, 1, 2):
        one = t.client()
        one.subscribe(t.topic("x/+"), qos=granted)
        got = sorted((m.topic[-1], m.qos) for m in one.take_many(3))
        same(got, [(str(q), min(q, granted)) for q in (0, 1, 2)])


@check("retained.properties")
def retained_properties(t):
    """What a message carried is replayed with it, to clients of either version."""
    props = {"content_type": "a/b", "user": [("k", "1"), ("k", "2")], "correlation": b"\xff",
             "response_topic": "r"}
    t.client().publish(t.topic("x"), b"v", 1, retain=True, **props)
    new, old = t.client(), t.client(version=4)
    for one in (new, old):
        one.subscribe(t.topic("x"), qos=1)
    same(new.take().props, props)
    same(old.take().payload, b"v")


@check("retained.expires")
def retained_expires(t):
    """A retained message that expired is not replayed."""
    t.client().publish(t.topic("x"), b"v", 1, retain=True, expiry=1)
    one = t.client()
    one.subscribe(t.topic("x"), qos=1)
    same(one.take().payload, b"v")
    time.sleep(2.2)
    two = t.client()
    two.subscribe(t.topic("x"), qos=1)
    two.nothing()


@check("retained.ten_thousand")
def retained_many(t):
    """Ten thousand retained messages reach a late subscriber, each once, and nobody waits."""
    sender = t.client("mqttjs")
    count = 10_000
    root = t.topic("r")
    for n in range(count):
        sender.send(f"{root}/{n % 10}/{n}", str(n), 0, retain=True)
    sender.publish(f"{root}/end", b"", 1)
    late, other = t.client(inflight=0), t.client()
    other.subscribe(t.topic("live"), qos=1)
    late.subscribe(f"{root}/#", qos=1)
    started = time.monotonic()
    other.publish(t.topic("live"), b"x", 1)
    same(other.take().payload, b"x")
    that(time.monotonic() - started < 3, "another client had to wait")
    got = late.take_many(count, 60)
    that(all(m.retain for m in got), "a replayed message without the flag")
    same(sorted(int(m.payload) for m in got), list(range(count)), "replayed")
    late.nothing()


@check("user_properties", over=(("paho", "tcp"), ("rumqttc", "wss")))
def user_properties(t, peer, transport):
    """User properties arrive in their order, the same name more than once."""
    pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("", ""), ("ключ", "значение"), ("a", "2")]
    one = t.client(peer, transport=transport)
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"", 1, user=pairs)
    same(one.take().props["user"], pairs)


@check("request_response", over=(("paho", "mqttjs"), ("mqttjs", "rumqttc"), ("rumqttc", "paho")))
def request_response(t, asking, answering):
    """A request names where the answer goes and what it belongs to."""
    asker, answerer = t.client(asking), t.client(answering)
    asker.subscribe(t.topic("answers"), qos=1)
    answerer.subscribe(t.topic("questions"), qos=1)
    asker.publish(t.topic("questions"), "2+2", 1, response_topic=t.topic("answers"),
                  correlation=b"\x00\xfe", content_type="text/plain", payload_format=1)
    m = answerer.take()
    same(m.props, {"response_topic": t.topic("answers"), "correlation": b"\x00\xfe",
                   "content_type": "text/plain", "payload_format": 1})
    answerer.publish(m.props["response_topic"], "4", 1, correlation=m.props["correlation"])
    m = asker.take()
    same((m.payload, m.props), (b"4", {"correlation": b"\x00\xfe"}))


@check("expiry.counted_down", over=("paho", "mqttjs", "rumqttc"))
def expiry_counted(t, peer):
    """A message that waited says how long it still lives."""
    id = t.id()
    one = t.client(peer, id=id, clean=False, **KEEP)
    one.subscribe(t.topic("x"), qos=1)
    one.disconnect()
    t.client().publish(t.topic("x"), b"", 1, expiry=20)
    time.sleep(2.2)
    one = t.client(peer, id=id, clean=False, **KEEP)
    left = one.take().props["expiry"]
    that(12 <= left <= 18, f"of 20 s and over 2 s later the expiry has left {left}")


@check("expiry.passed", over=(4, 5))
def expiry_passed(t, version):
    """A message that expired while it waited does not come; the others do."""
    id = t.id()
    keep = KEEP if version == 5 else {}
    one = t.client(version=version, id=id, clean=False, **keep)
    one.subscribe(t.topic("x"), qos=1)
    one.disconnect()
    sender = t.client()
    sender.publish(t.topic("x"), b"short", 1, expiry=1)
    sender.publish(t.topic("x"), b"long", 1, expiry=100)
    sender.publish(t.topic("x"), b"ever", 1)
    time.sleep(2.2)
    one = t.client(version=version, id=id, clean=False, **keep)
    same([m.payload for m in one.take_many(2)], [b"long", b"ever"])
    one.nothing()


@check("alias.in", over=("paho", "rumqttc"))
def alias_in(t, peer):
    """A publisher names a topic once, and by number from then on; the number can move."""
    one, two = t.client(peer), t.client()
    two.subscribe(t.topic("#"), qos=1)
    that(one.props.get("alias_max", 0) >= 2, "the broker takes no aliases")
    for topic, alias, payload in ((t.topic("a"), 1, b"1"), ("", 1, b"2"), (t.topic("b"), 2, b"3"),
                                  ("", 1, b"4"), (t.topic("c"), 1, b"5"), ("", 1, b"6"),
                                  ("", 2, b"7")):
        one.publish(topic, payload, 1, alias=alias)
    got = [(m.topic[-1], m.payload) for m in two.take_many(7)]
    same(got, [("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4"), ("c", b"5"), ("c", b"6"),
               ("b", b"7")])


@check("alias.in.automatic", over=("tcp", "wss"))
def alias_automatic(t, transport):
    """A library that hands out aliases by itself is understood."""
    one, two = t.client("mqttjs", transport=transport, auto_alias=True), t.client()
    two.subscribe(t.topic("#"), qos=1)
    sent = []
    for n in range(120):
        topic = t.topic(str(n * n % 17))
        sent.append((topic, str(n).encode()))
        one.publish(topic, str(n), 1)
    same([(m.topic, m.payload) for m in two.take_many(120)], sent)


@check("alias.out.used",
       beyond="MQTT5 3.1.2.11.5: a client that allows aliases is sent them where that saves bytes")
def alias_out_used(t):
    """A client that allows aliases is sent a topic once."""
    one = t.client(alias_max=3)
    one.subscribe(t.topic("#"), qos=1)
    sender = t.client()
    sent, got = [], []
    for n in range(12):
        topic = t.topic(f"long/topic/{n % 2}")
        sent.append((topic, str(n).encode()))
        sender.publish(topic, str(n), 1)
    # This library shows the packet as it came.
    known, short = {}, 0
    for m in one.take_many(12):
        alias = m.props.get("alias")
        that(alias is None or 1 <= alias <= 3, f"alias {alias}")
        short += m.topic == ""
        topic = m.topic or known[alias]
        if alias:
            known[alias] = topic
        got.append((topic, m.payload))
    same(got, sent)
    that(short >= 8, f"only {short} of 12 packets went without their topic")


@check("alias.out.understood", over=("mqttjs", "rumqttc"))
def alias_out_understood(t, peer):
    """More topics than aliases: a library that resolves them finds each message its topic."""
    one, sender = t.client(peer, alias_max=4), t.client()
    one.subscribe(t.topic("#"), qos=1)
    sent = []
    for n in range(200):
        topic = t.topic(str(n * n % 23))
        sent.append((topic, str(n).encode()))
    for topic, payload in sent:
        sender.publish(topic, payload, 1)
    same([(m.topic, m.payload) for m in one.take_many(200)], sent)


@check("alias.out.not_allowed")
def alias_out_none(t):
    """Who did not allow aliases is sent none."""
    one = t.client()
    one.subscribe(t.topic("x"), qos=1)
    for _ in range(10):
        one.publish(t.topic("x"), b"", 1)
    for m in one.take_many(10):
        same((m.topic, m.props.get("alias")), (t.topic("x"), None))


@check("alias.not_passed_on")
def alias_not_passed_on(t):
    """The alias of a publisher is its own affair."""
    one, two = t.client(), t.client(alias_max=0)
    two.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"", 1, alias=1)
    same(two.take().props.get("alias"), None)


@check("order.ten_thousand", over=((0, "tcp"), (1, "tcp"), (1, "wss"), (2, "tls")))
def order_many(t, qos, transport):
    """Thousands of messages from one client to another, each once and in order."""
    count = 10_000 if transport == "tcp" else 3000
    one, two = t.client(transport=transport), t.client(transport=transport)
    two.subscribe(t.topic("x"), qos=qos)
    sending = threading.Thread(
        target=burst, args=(one, t.topic("x"), [str(n) for n in range(count)], qos))
    sending.start()
    got = [int(m.payload) for m in two.take_many(count, 60)]
    sending.join(20)
    same(got, list(range(count)), "came")
    two.nothing(0.2)


@check("order.interleaved")
def order_interleaved(t):
    """Three publishers of three libraries on one topic: each one's order stands."""
    reader = t.client()
    reader.subscribe(t.topic("x"), qos=1)
    senders = [t.client(peer) for peer in ("paho", "mqttjs", "rumqttc")]
    threads = [threading.Thread(target=burst, args=(
        s, t.topic("x"), [f"{at}:{n}" for n in range(300)], 1)) for at, s in enumerate(senders)]
    for thread in threads:
        thread.start()
    got = [m.payload.decode().split(":") for m in reader.take_many(900, 30)]
    for thread in threads:
        thread.join(20)
    for at in range(3):
        same([int(n) for who, n in got if who == str(at)], list(range(300)), f"of publisher {at}")


@check("large.eight_mebibytes", over=(("paho", 4, "tcp"), ("paho", 5, "tls"), ("mqttjs", 5, "tcp"),
                                      ("mqttjs", 5, "wss"), ("rumqttc", 5, "ws")))
def large_eight(t, peer, version, transport):
    """Eight mebibytes, whole."""
    payload = bytes(range(256)) * (8 << 12)
    one = t.client(peer, version, transport)
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), payload, 1)
    that(one.take(30).payload == payload, "the payload changed on its way")
    one.publish(t.topic("x"), b"after", 1)
    same(one.take().payload, b"after")


@check("topic.deep_and_long")
def topic_deep(t):
    """A topic of a hundred levels, and one of thirty thousand bytes."""
    one = t.client()
    for topic in (t.topic("/".join("x" * 100)), t.topic("y" * 30_000)):
        one.subscribe(topic, qos=1)
        one.publish(topic, b"", 1)
        same(one.take().topic, topic)
