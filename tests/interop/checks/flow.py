"""How much at once: windows, packet sizes, and what a broker says of its limits."""

import threading
import time

from brokers import Setup
from clients import Refused
from harness import burst, check, same, that

KEEP = {"session_expiry": 300}


@check("receive_max.client", over=(1, 2),
       beyond="MQTT5 3.3.4-9: never more in flight than the client's Receive Maximum")
def receive_max_client(t, qos):
    """No more unacknowledged messages than the client asked for; each answer lets one more in."""
    one = t.client(receive_max=3, manual=True)
    one.subscribe(t.topic("x"), qos=qos)
    sender = t.client()
    for n in range(10):
        sender.publish(t.topic("x"), str(n), qos)
    got = one.take_many(3)
    one.nothing()
    for n in range(3, 10):
        one.ack(got[n - 3])
        got.append(one.take())
        one.nothing(0.1)
    same([int(m.payload) for m in got], list(range(10)), "came")


@check("receive_max.others_flow")
def receive_max_others(t):
    """A full window holds up messages; every other packet is answered as ever."""
    one = t.client(receive_max=1, manual=True, keepalive=1)
    one.subscribe(t.topic("#"), qos=1)
    sender = t.client()
    for n in range(3):
        sender.publish(t.topic("1"), str(n), 1)
    same(one.take().payload, b"0")
    same(one.unsubscribe(t.topic("none")), [0x11], "reason")
    same(one.publish(t.topic("1"), b"3", 2), 0, "reason")
    one.stays(2)


@check("receive_max.server_says")
def receive_max_server(t):
    """A broker that takes fewer at once says so, and a client that keeps to it is served."""
    t.wants(Setup(limits={"receive_max": 5}))
    one = t.client("mqttjs")
    same(one.props.get("receive_max"), 5, "Receive Maximum")
    two = t.client("rumqttc")
    two.subscribe(t.topic("x"), qos=2)
    for n in range(60):
        two.send(t.topic("x"), str(n), 2)
    same([int(m.payload) for m in two.take_many(60)], list(range(60)), "came")


@check("receive_max.exceeded",
       beyond="MQTT5 3.3.4: more than Receive Maximum without an answer is answered with 0x93")
def receive_max_exceeded(t):
    """Who sends more than was agreed is told so."""
    t.wants(Setup(limits={"receive_max": 5}))
    one = t.client(inflight=100)
    one.freeze()
    # Nobody reads: what is sent from here on stays without its PUBREL.
    for n in range(8):
        one.c.publish(t.topic("x"), str(n), 2)
    end = time.monotonic() + 8
    while not one.over.is_set() and time.monotonic() < end:
        # Only whole packets from the broker; the PUBRELs stay unsent.
        _read_disconnect(one)
    same(one.gone(0.1), 0x93, "reason")


def _read_disconnect(client):
    """Read on the client's socket until the DISCONNECT or the end."""
    s = client.socket()
    s.settimeout(0.5)
    data = b""
    try:
        while chunk := s.recv(4096):
            data += chunk
    except OSError:
        pass
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == 0xE0:
            client.disconnect_code = data[2] if length else 0
            client.over.set()
        data = data[2 + length:]


@check("flow.no_window_311", over=(1, 2),
       beyond="MQTT 4.6: 3.1.1 knows no window that a client could exceed")
def no_window_311(t, qos):
    """A 3.1.1 client may have hundreds in flight, and is not cut off for it."""
    one = t.client(version=4, inflight=0)
    one.subscribe(t.topic("x"), qos=0)
    for n in range(800):
        one.send(t.topic("x"), str(n), qos)
    same([int(m.payload) for m in one.take_many(800, 8)], list(range(800)), "came")
    one.stays(0.2)


@check("packet_max.client", over=(0, 1, 2))
def packet_max_client(t, qos):
    """A client is not sent what is larger than it takes; the next one comes."""
    one, other = t.client(packet_max=300), t.client()
    for c in (one, other):
        c.subscribe(t.topic("x"), qos=2)
    sender = t.client()
    for payload in (b"small", b"x" * 400, b"after"):
        sender.publish(t.topic("x"), payload, qos)
    same([m.payload for m in one.take_many(2)], [b"small", b"after"])
    same(len(other.take_many(3)), 3)
    one.nothing()


@check("packet_max.server_says", over=("tcp", "ws"),
       beyond="MQTT5 3.2.2.3.6: too large a packet is answered with 0x95 over every transport")
def packet_max_server(t, transport):
    """What a broker does not take it says beforehand, and refuses with 0x95."""
    t.wants(Setup(limits={"packet_max": 20_000}))
    one = t.client(transport=transport)
    same(one.props.get("packet_max"), 20_000, "Maximum Packet Size")
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"x" * 19_000, 1)
    same(len(one.take().payload), 19_000)
    one.send(t.topic("x"), b"x" * 21_000, 1)
    same(one.gone(5), 0x95, "reason")


@check("qos_max", beyond="MQTT5 3.2.2.3.4: a broker may be told to take no QoS above one")
def qos_max(t):
    """A broker with a highest QoS says so, grants no more, and refuses more."""
    t.wants(Setup(limits={"qos_max": 1}))
    one = t.client()
    same(one.props.get("qos_max"), 1, "Maximum QoS")
    one.subscribe(t.topic("x"), qos=2)
    one.publish(t.topic("x"), b"1", 1)
    same(one.take().qos, 1)
    one.send(t.topic("x"), b"2", 2)
    same(one.gone(5), 0x9B, "reason")


@check("retain_off")
def retain_off(t):
    """A broker that keeps no retained messages says so, and refuses them."""
    t.wants(Setup(limits={"retain_ok": False}))
    one = t.client()
    same(one.props.get("retain_ok"), 0, "Retain Available")
    one.send(t.topic("x"), b"1", 1, retain=True)
    same(one.gone(5), 0x9A, "reason")


@check("capabilities")
def capabilities(t):
    """What is not said to be missing is there."""
    one = t.client()
    for name in ("retain_ok", "wildcard_ok", "sub_ids_ok", "shared_ok"):
        that(one.props.get(name, 1) == 1, f"{name} is 0")
    that("qos_max" not in one.props, "a maximum QoS without a reason")
    that(one.props.get("receive_max", 65535) >= 10, "a window of less than ten")
    same(one.props.get("session_expiry"), None, "a session expiry nobody asked for")


@check("slow_reader")
def slow_reader(t):
    """A client that stops reading keeps nobody else waiting, and loses nothing of QoS 1."""
    slow, quick = t.client(clean=False, **KEEP), t.client()
    for c in (slow, quick):
        c.subscribe(t.topic("x"), qos=1)
    slow.freeze()
    payload = b"x" * 20_000
    sender = t.client()
    started = time.monotonic()
    burst(sender, t.topic("x"), [b"%04d" % n + payload for n in range(500)], 1)
    same([int(m.payload[:4]) for m in quick.take_many(500, 20)], list(range(500)))
    that(time.monotonic() - started < 15, "the others had to wait")
    slow.c.loop_start()
    seen = {int(m.payload[:4]) for m in slow.take_many(500, 30)}
    same(len(seen), 500, "of 500 different messages came")


@check("connect.crowd")
def connect_crowd(t):
    """Two hundred clients connect from eight threads, over every transport, and all are served."""
    clients, errors = [], []
    lock = threading.Lock()

    def some(at):
        for n in range(25):
            transport = ("tcp", "tcp", "ws", "tls")[n % 4]
            try:
                c = t.client(version=4 + n % 2, transport=transport)
            except (AssertionError, Refused, OSError) as e:
                errors.append(e)
                continue
            with lock:
                clients.append(c)

    threads = [threading.Thread(target=some, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    same(errors, [], "errors")
    same(len(clients), 200)
    last = clients[-1]
    last.subscribe(t.topic("x"), qos=0)
    for c in clients:
        c.send(t.topic("x"), b"", 0)
    same(len(last.take_many(200)), 200)
