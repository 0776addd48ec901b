"""What a broker still knows after it was stopped, and after it was killed."""

import threading
import time

import paho.mqtt.client as paho
from clients import WAIT_S, to_paho
from harness import burst, check, same, that
from paho.mqtt.packettypes import PacketTypes

KEEP = {"session_expiry": 600}
KILLED = "what was acknowledged is kept, whatever ends the broker (MQTT 4.1, 4.3.2, 4.3.3)"


def ended(broker, way):
    """End the broker and start it again."""
    if way == "sigterm":
        same(broker.stop(), 0, "exit code")
    else:
        broker.kill()
    broker.start()


def both_ways(name, **more):
    """The same check for a broker that is stopped and for one that is killed."""

    def add(function):
        check(name, over=("sigterm",), **more)(function)
        check(name, over=("kill9",), beyond=KILLED, **more)(function)
        return function

    return add


@both_ways("restart.sessions")
def restart_sessions(t, way):
    """Sessions, their subscriptions and what waits for them, of clients of both versions."""
    broker = t.alone_with()
    ids = {version: t.id() for version in (4, 5)}
    for version, id in ids.items():
        keep = KEEP if version == 5 else {}
        one = t.client(version=version, id=id, clean=False, **keep)
        one.subscribe(t.topic("x/#"), qos=2)
        one.disconnect()
    sender = t.client()
    for n in range(60):
        that(sender.publish(t.topic(f"x/{n % 5}"), str(n), 1 + n % 2) == 0, "not accepted")
    ended(broker, way)
    for version, id in ids.items():
        keep = KEEP if version == 5 else {}
        one = t.client(version=version, id=id, clean=False, **keep)
        same(one.present, True, "session present")
        got = [int(m.payload) for m in one.take_many(60)]
        for qos in (1, 2):
            wanted = list(range(qos - 1, 60, 2))
            same([n for n in got if n % 2 == qos - 1], wanted, f"of QoS {qos}")
        t.client().publish(t.topic("x/live"), f"live {version}", 2)
        # The other session's live message came to this one, too.
        while (m := one.take()).payload.decode() != f"live {version}":
            same(m.payload, b"live 4")
        one.nothing(0.2)
        one.disconnect()


@both_ways("restart.retained")
def restart_retained(t, way):
    """Retained messages with what they carry, and the ones that were cleared stay cleared."""
    broker = t.alone_with()
    sender = t.client()
    props = {"content_type": "a/b", "user": [("b", "1"), ("a", "2")]}
    for n in range(30):
        sender.publish(t.topic(f"x/{n}"), str(n), n % 3, retain=True, **props)
    for n in range(0, 30, 3):
        sender.publish(t.topic(f"x/{n}"), b"", 1, retain=True)
    sender.publish(t.topic("x/1"), b"changed", 1, retain=True)
    ended(broker, way)
    one = t.client()
    one.subscribe(t.topic("x/+"), qos=2)
    got = {m.topic.rsplit("/", 1)[1]: m for m in one.take_many(20)}
    one.nothing()
    same(sorted(map(int, got)), [n for n in range(30) if n % 3], "topics")
    same(got.pop("1").payload, b"changed")
    for name, m in got.items():
        same((m.payload, m.retain, m.props), (name.encode(), True, props))


@both_ways("restart.properties")
def restart_properties(t, way):
    """What a waiting message carries, and what its expiry has left."""
    broker = t.alone_with()
    id = t.id()
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(t.topic("x"), qos=1, sub_id=42)
    one.disconnect()
    props = {"response_topic": "r", "correlation": b"\x00\x01", "payload_format": 1,
             "user": [("k", "1"), ("k", "0")]}
    sender = t.client()
    sender.publish(t.topic("x"), b"gone", 1, expiry=1)
    sender.publish(t.topic("x"), b"here", 1, expiry=60, **props)
    time.sleep(2.1)
    ended(broker, way)
    one = t.client(id=id, clean=False, **KEEP)
    m = one.take()
    same(m.payload, b"here")
    left = m.props.pop("expiry")
    that(40 <= left <= 58, f"of 60 s and over 2 s later the expiry has left {left}")
    same(list(m.props.pop("sub_ids")), [42])
    same(m.props, props)


@both_ways("restart.half_of_qos2")
def restart_half(t, way):
    """QoS 2 stopped after PUBREC: PUBREL comes again, the message does not."""
    broker = t.alone_with()
    id = t.id()
    one = t.client(id=id, clean=False, manual=True, **KEEP)
    one.subscribe(t.topic("x"), qos=2)
    t.client().publish(t.topic("x"), b"once", 2)
    same(one.take().payload, b"once")
    # PUBREC was sent and PUBREL came; PUBCOMP is held back.
    time.sleep(0.3)
    one.drop()
    ended(broker, way)
    two = t.client(id=id, clean=False, **KEEP)
    same(two.present, True, "session present")
    two.nothing(0.8)
    t.client().publish(t.topic("x"), b"next", 2)
    same(two.take().payload, b"next")


@check("restart.expired_session", over=("sigterm", "kill9"),
       beyond="MQTT5 3.1.2.11.2: a session ends when its time has passed")
def restart_expired(t, way):
    """A session whose time is over is gone, if not while the broker is down, then soon after."""
    broker = t.alone_with()
    id, other = t.id(), t.id()
    t.client(id=id, clean=False, session_expiry=2).disconnect()
    t.client(id=other, clean=False, **KEEP).disconnect()
    t.client().publish(t.topic("x"), b"", 1, retain=True)
    if way == "sigterm":
        same(broker.stop(), 0, "exit code")
    else:
        broker.kill()
    broker.start()
    time.sleep(3.2)
    same(t.client(id=id, clean=False).present, False, "session present")
    same(t.client(id=other, clean=False).present, True, "session present")


@check("restart.told", beyond="MQTT5 4.13: a broker that shuts down may say so, 0x8B")
def restart_told(t):
    """A broker that stops says so to clients of 5.0."""
    broker = t.alone_with()
    clients = [t.client(transport=tr) for tr in ("tcp", "tls", "ws", "wss")]
    same(broker.stop(), 0, "exit code")
    same([c.gone() for c in clients], [0x8B] * 4, "reasons")


class Steady:
    """A paho client that keeps its state when the connection is gone: exactly once needs both ends
    to remember. It comes back when it is told to, since a connection that is refused makes this
    library forget which messages it had released."""

    def __init__(self, t, name, version):
        more = {} if version == 5 else {"clean_session": False}
        self.c = c = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False,
            protocol=paho.MQTTv5 if version == 5 else paho.MQTTv311, **more)
        self.got, self.done = [], {}
        self.ready, self.gone = threading.Event(), threading.Event()
        #: What the library did, for whoever has to find out why.
        self.log = []
        c.on_log = lambda c, u, level, text: self.log.append(f"{time.monotonic():.3f} {text}")
        c.on_connect = lambda *_: self.ready.set()
        c.on_disconnect = lambda *_: self.gone.set()
        c.on_message = lambda c, u, m: self.got.append(int(m.payload))
        c.on_publish = lambda c, u, mid, code, props: self.done.__setitem__(mid, code.value)
        how = {}
        if version == 5:
            how = {"clean_start": False, "properties": to_paho(PacketTypes.CONNECT, KEEP)}
        c.connect("127.0.0.1", t.broker.ports["tcp"], 60, **how)
        t.open.append(self)
        self._run()

    def _run(self):
        self.c.loop_start()
        that(self.ready.wait(WAIT_S), "not connected")

    def back(self):
        that(self.gone.wait(WAIT_S), "the connection is still there")
        end = time.monotonic() + WAIT_S
        while self.c._thread is not None and time.monotonic() < end:
            time.sleep(0.01)
        self.ready.clear()
        self.gone.clear()
        self.c.reconnect()
        self._run()

    def close(self):
        self.c._thread_terminate = True
        try:
            self.c.socket().close()
        except (AttributeError, OSError):
            pass


@check("exactly_once.kill9", over=(4, 5), beyond=KILLED)
def exactly_once(t, version):
    """The broker is killed three times while QoS 2 flows: every message comes, once, in order."""
    broker = t.alone_with()
    reader, sender = Steady(t, t.id(), version), Steady(t, t.id(), version)
    reader.c.subscribe(t.topic("x"), 2)
    time.sleep(0.3)
    count = 600
    for n in range(count):
        sender.c.publish(t.topic("x"), str(n), 2)
        if n in (100, 250, 400):
            broker.kill()
        elif n in (110, 260, 410):
            broker.start()
            reader.back()
            sender.back()
        time.sleep(0.003)
    seen, since = 0, time.monotonic()
    while len(reader.got) < count or len(sender.done) < count:
        now = len(reader.got) + len(sender.done)
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > 8:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    if reader.got != list(range(count)):
        told = t.world.folder / f"exactly-once-{t.number}.txt"
        told.write_text("\n".join(["reader", *reader.log, "", "sender", *sender.log]))
    twice = sorted({n for n in reader.got if reader.got.count(n) > 1})
    lost = sorted(set(range(count)) - set(reader.got))
    same((lost, twice), ([], []), "lost and twice")
    same(reader.got, list(range(count)), "order")
    same(len(sender.done), count, "acknowledged")


@check("at_least_once.kill9", over=("paho", "mqttjs"), beyond=KILLED)
def at_least_once(t, peer):
    """Killed three times while QoS 1 flows: what was acknowledged came, new ones in order."""
    broker = t.alone_with()
    id = t.id()
    reader = t.client(id=id, clean=False, **KEEP)
    reader.subscribe(t.topic("x"), qos=1)
    reader.disconnect()
    acked, next_one = set(), 0
    for _ in range(3):
        sender = t.client(peer)
        waiting = []
        for _ in range(150):
            waiting.append((next_one, sender.send(t.topic("x"), str(next_one), 1)))
            next_one += 1
        for number, asked in waiting[:75]:
            sender.sent(asked)
            acked.add(number)
        broker.kill()
        for number, asked in waiting[75:]:
            try:
                sender.sent(asked, 0.5)
            except AssertionError:
                break
            acked.add(number)
        broker.start()
    reader = t.client(id=id, clean=False, **KEEP)
    same(reader.present, True, "session present")
    t.client().publish(t.topic("x"), str(next_one), 1)
    numbers = []
    while not numbers or numbers[-1] != next_one:
        numbers.append(int(reader.take().payload))
    same(sorted(acked - set(numbers)), [], "acknowledged and lost")
    first = list(dict.fromkeys(numbers))
    same(first, sorted(first), "order of the first copies")


@check("restart.while_connected", over=("mqttjs",))
def restart_connected(t, peer):
    """A library that reconnects by itself finds its session, and goes on."""
    broker = t.alone_with()
    id = t.id()
    one = t.client(peer, id=id, clean=False, reconnect=True, **KEEP)
    one.subscribe(t.topic("x"), qos=2)
    same(broker.stop(), 0, "exit code")
    one.gone()
    while not one.connack.empty():
        one.connack.get()
    broker.start()
    said = one.connack.get(timeout=15)
    same((said["ev"], said.get("present")), ("connected", True))
    t.client().publish(t.topic("x"), b"again", 2)
    same(one.take().payload, b"again")


@check("restart.many_retained")
def restart_many(t):
    """Five thousand retained messages and a thousand waiting ones are there after a restart."""
    broker = t.alone_with()
    id = t.id()
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(t.topic("queue"), qos=1)
    one.disconnect()
    sender = t.client("mqttjs")
    for n in range(5000):
        sender.send(t.topic(f"r/{n}"), str(n), 0, retain=True)
    burst(sender, t.topic("queue"), [str(n) for n in range(1000)], 1)
    same(broker.stop(), 0, "exit code")
    broker.start()
    one = t.client(id=id, clean=False, **KEEP)
    same([int(m.payload) for m in one.take_many(1000)], list(range(1000)), "waiting")
    late = t.client()
    late.subscribe(t.topic("r/#"), qos=0)
    same(len({m.topic for m in late.take_many(5000, 30)}), 5000, "retained")
