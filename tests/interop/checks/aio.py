"""Clients of aioconnectors, the newest and the oldest that there is, with this broker as server."""

import time

import aioconnectors as aio
from brokers import Setup
from harness import check, same, that

VERSIONS = aio.ALL
#: Each with itself and with the others.
PAIRS = tuple((one, other) for one in VERSIONS for other in VERSIONS)


def heard(message, kind, data, source=None):
    same(message.header["message_type"], kind, "type")
    same(message.data, data, "data")
    if source:
        same(message.header["source_id"], source, "source")


@check("aio.message", over=PAIRS, own=True)
def message(t, one, other):
    """What one says to the server reaches who subscribed to the type, with all its keys."""
    kind = t.topic()
    b = aio.client(t, other, types=[kind], subscribe=[kind])
    a = aio.client(t, one, types=[kind])
    a.send(kind, b"data", b"\0binary", request_id="r")
    came = b.take()
    heard(came, kind, b"data", a.name)
    same(came.binary, b"\0binary", "binary")
    same(came.header["request_id"], "r", "request id")
    same(came.header["destination_id"], b.name, "destination")
    that("transport_id" not in came.header, "a number of the connection is told")
    b.nothing()


@check("aio.order", over=VERSIONS, own=True)
def order(t, version):
    """A thousand come in order, and none twice."""
    kind = t.topic()
    b = aio.client(t, version, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind])
    for n in range(1000):
        a.send(kind, b"%d" % n)
    same([b.take().data for _ in range(1000)], [b"%d" % n for n in range(1000)], "came")
    b.nothing()


@check("aio.acks", over=VERSIONS, own=True, alone=True)
def acks(t, version):
    """Who wants acknowledgements has them at once, one after the other."""
    kind = t.topic()
    b = aio.client(t, version, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind])
    began = time.monotonic()
    for n in range(200):
        a.send(kind, b"%d" % n, wait_for_ack=True)
    for n in range(200):
        came = b.take()
        heard(came, kind, b"%d" % n)
        that(came.header.get("wait_for_ack"), "the key is the application's too")
    # Were the network left to itself, each would wait for 20 or 40 ms.
    took = time.monotonic() - began
    that(took < 3, f"200 took {took:.1f} s")


@check("aio.pubsub", over=PAIRS, own=True)
def pubsub(t, one, other):
    """What is published reaches whoever listens, the publisher too."""
    kind = t.topic()
    a = aio.client(t, one, types=[kind], subscribe=[kind])
    b = aio.client(t, other, types=[kind], subscribe=[kind])
    a.publish(kind, b"one")
    for each in (a, b):
        heard(each.take(), kind, b"one")
        each.nothing()


@check("aio.question", over=PAIRS, own=True)
def question(t, one, other):
    """A question is answered by who listens to its type; both have asked with the same id."""
    kind = t.topic()
    server = aio.client(t, other, types=[kind], subscribe=[kind], answers=True)
    a = aio.client(t, one, types=[kind])
    b = aio.client(t, other, types=[kind])
    for asker in (a, b):
        for n in (1, "one"):
            got = asker.question(kind, b"q", b"bin", request_id=n)
            that(got, f"no answer: {got}")
            heard(got, kind, b"answer to q", server.name)
            same(got.header["response_id"], n, "response id")
            same(got.binary, b"bin", "binary")
    for asker in (a, b):
        asker.nothing()


@check("aio.question_both_ways", over=VERSIONS, own=True)
def both_ways(t, version):
    """Two who ask each other have their own answers."""
    kind = t.topic()
    a, b = (aio.client(t, version, types=[kind], subscribe=[kind], answers=True) for _ in "ab")
    for one, other in ((a, b), (b, a)):
        got = one.question(kind, one.name.encode(), request_id=7)
        that(got, f"no answer: {got}")
        heard(got, kind, b"answer to " + one.name.encode(), other.name)


@check("aio.nobody_answers", over=VERSIONS, own=True)
def nobody_answers(t, version):
    """Who asks nobody need not wait for an hour."""
    kind = t.topic()
    a = aio.client(t, version, types=[kind])
    began = time.monotonic()
    got = a.question(kind, b"q", seconds=30)
    that(not got or "error" in got.header, f"an answer: {got and got.data}")
    that(time.monotonic() - began < 5, "it waited for long")


@check("aio.ping", over=VERSIONS, own=True)
def ping(t, version):
    """A ping comes back, and who is silent is asked whether it is there, and stays if it is."""
    t.alone_with(Setup(limits={"aio_silence_ms": 500, "silence_ms": 1000}))
    kind = t.topic()
    a = aio.client(t, version, types=[kind], subscribe=[kind])
    that(a.ping(data=b"x" * 1000), "not what was sent")
    time.sleep(4)
    log = t.broker.log.read_text()
    that("idle_timeout" not in log, "it was let go")
    m = t.client()
    m.publish(kind, b"still", qos=1)
    heard(a.take(3), kind, b"still")


@check("aio.keep_alive", own=True)
def keep_alive(t):
    """The newest asks by itself whether the server is there."""
    kind = t.topic()
    a = aio.client(t, aio.NEWEST, types=[kind], subscribe=[kind], keep_alive=1)
    time.sleep(8)
    m = t.client()
    m.publish(kind, b"still", qos=1)
    heard(a.take(3), kind, b"still")


@check("aio.file", over=PAIRS, own=True)
def file(t, one, other):
    """A file lands in the other's directory, behind what else there was, whole or in parts."""
    kind = t.topic()
    b = aio.client(t, other, types=[kind], subscribe=[kind])
    a = aio.client(t, one, types=[kind], chunk=1000)
    content = bytes(range(256)) * 3
    cases = {"plain": (content, None), "beside": (content, b"own"), "parts": (content * 4, None)}
    if aio.old(one):
        del cases["parts"]
    for name, (content, own) in cases.items():
        with_file = {"src_path": a.file(name, content), "dst_type": "any", "dst_name": name,
                     "delete": False}
        a.send(kind, b"data", own, with_file=with_file)
        came = b.take()
        same(came.data, b"data", "data")
        same(came.binary, own or b"", "binary")
        if other == aio.OLDEST and name == "parts":
            continue
        place = b.received(name)
        t.until(lambda: place.exists() and place.read_bytes() == content, f"{name} is not there")
    if not aio.old(one):
        while not b.inbox.empty():
            b.inbox.get()


@check("aio.kept", over=VERSIONS, own=True)
def kept(t, version):
    """What comes while a client is away waits for it, in order, and once."""
    kind = t.topic()
    name = t.id()
    b = aio.client(t, version, name=name, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind])
    a.send(kind, b"here")
    heard(b.take(), kind, b"here")
    b.end()
    time.sleep(0.5)
    for n in range(10):
        a.send(kind, b"%d" % n)
    a.is_there()
    for _ in range(2):
        b = aio.made(t, version, name=name, types=[kind], subscribe=[kind]).start()
        wanted = [b"%d" % n for n in range(10)]
        same([b.take().data for _ in range(10)], wanted, "came")
        a.send(kind, b"later")
        heard(b.take(), kind, b"later")
        b.nothing()
        time.sleep(0.5)
        b.end()
        time.sleep(0.5)
        for n in range(10):
            a.send(kind, b"%d" % n)
        a.is_there()


@check("aio.reconnect", over=VERSIONS, own=True)
def reconnect(t, version):
    """Over a restart of the broker clients come back by themselves, and what waited is there."""
    broker = t.alone_with()
    kind = t.topic()
    b = aio.client(t, version, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind])
    a.send(kind, b"before", wait_for_ack=True)
    heard(b.take(), kind, b"before")
    # Who is cut off before its acknowledgement has arrived has it once more.
    time.sleep(0.5)
    broker.kill()
    broker.start()
    a.is_there(30)
    a.send(kind, b"after", wait_for_ack=True)
    heard(b.take(30), kind, b"after")


@check("aio.conflict", over=VERSIONS, own=True)
def conflict(t, version):
    """A name is one client's; another has it when that one is gone, and not before."""
    kind = t.topic()
    name = t.id()
    a = aio.client(t, version, name=name, types=[kind], subscribe=[kind])
    b = aio.made(t, version, name=name, types=[kind], subscribe=[kind]).start()
    m = t.client()
    time.sleep(2)
    m.publish(kind, b"one", qos=1)
    heard(a.take(), kind, b"one")
    b.nothing()
    a.end()
    b.is_there(30)
    m.publish(kind, b"two", qos=1)
    heard(b.take(), kind, b"two")


@check("aio.token", own=True)
def token(t):
    """A token that is the user's secret lets in, another does not."""
    rules = ["can publish *", "can subscribe *"]
    t.alone_with(Setup(users=[("ann", "secret", rules), ("bob", "hidden", rules)]))
    a, b = (aio.made(t, aio.NEWEST, tls=True, token=True, name=name) for name in ("ann", "bob"))
    for each in (a, b):
        # It stands where the connector keeps what it was given.
        (each.folder / each.name).write_text("secret")
        each.start()
    a.is_there()
    time.sleep(1)
    that(not b.ping(2), "a wrong token lets in")


@check("aio.to_mqtt", over=VERSIONS, own=True)
def to_mqtt(t, version):
    """Between aioconnectors and MQTT, both ways: data is a payload."""
    kind = t.topic()
    m = t.client()
    m.subscribe(kind, qos=1)
    a = aio.client(t, version, types=[kind], subscribe=[kind])
    a.send(kind, b"up", b"binary")
    came = m.take()
    same((came.topic, came.payload, came.qos), (kind, b"up", 1), "came")
    m.publish(kind, b"down", qos=1)
    same(m.take().payload, b"down", "payload")
    heard(a.take(), kind, b"down")


@check("aio.tls", own=True)
def tls(t):
    """Within TLS, as the oldest speaks it without certificates of clients."""
    kind = t.topic()
    a = aio.client(t, aio.OLDEST, tls=True, types=[kind], subscribe=[kind])
    a.publish(kind, b"x")
    heard(a.take(), kind, b"x")
