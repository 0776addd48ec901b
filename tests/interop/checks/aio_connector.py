"""Applications of aioconnectors beside a connector of spindle's: what is kept, orders, files."""

import hashlib
import os
import signal
import time

import aioconnectors as aio
from harness import check, same, that

from .aio import heard

KEEPS = {"disk_persistence_send": True, "disk_persistence_recv": True}


def count(client, which):
    """What waits: for the server or for applications."""
    queues = client.order("peek-queues")["queues"]
    return queues["queue_recv"] if which == "recv" else sum(queues["queue_send"].values())


@check("aio_connector.kept_for_the_server", over=aio.BESIDE, own=True)
def kept_for_the_server(t, version):
    """What is said while the server is away arrives, in order and before what comes later, though the
    connector is killed meanwhile."""
    broker = t.alone_with()
    kind = t.topic()
    b = aio.client(t, aio.NEWEST, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind], config=KEEPS)
    a.send(kind, b"before")
    heard(b.take(), kind, b"before", a.name)
    t.until(lambda: count(a, "send") == 0, "it is not acknowledged")
    # Who is cut off before its acknowledgement has arrived has it once more.
    time.sleep(0.5)
    broker.kill()
    for n in range(200):
        a.send(kind, b"%d" % n)
    t.until(lambda: count(a, "send") == 200, "not all is kept")
    a.halt()
    a.begin()
    same(count(a, "send"), 200, "kept")
    broker.start()
    b.is_there(30)
    a.send(kind, b"after")
    wanted = [b"%d" % n for n in range(200)] + [b"after"]
    same([b.take(30).data for _ in range(201)], wanted, "came")
    b.nothing()
    t.until(lambda: count(a, "send") == 0, "something is still kept")


@check("aio_connector.killed", over=aio.BESIDE, own=True, alone=True)
def killed(t, version):
    """Killed again and again: with all of it kept, in the middle of bringing it, and when it has just
    been brought. Everything arrives, in order, some of it twice."""
    broker = t.alone_with()
    kind = t.topic()
    m = t.client()
    m.subscribe(kind, qos=1)
    a = aio.client(t, version, types=[kind], config=KEEPS)
    came, sent = [], 0
    for turn in range(6):
        if turn % 3 < 2:
            # A broker that stands still has what is on its way unacknowledged, so that all is kept:
            # what is still in the socket is not the connector's yet, and goes with it.
            broker.process.send_signal(signal.SIGSTOP)
        for _ in range(50):
            a.send(kind, b"%d" % sent)
            sent += 1
        if turn % 3 < 2:
            t.until(lambda: count(a, "send") >= 50, "not all is kept")
        else:
            up_to(m, came, sent - 1)
        if turn % 3 == 1:
            broker.process.send_signal(signal.SIGCONT)
        a.halt()
        broker.process.send_signal(signal.SIGCONT)
        a.begin()
        a.is_there(30)
        t.until(lambda: count(a, "send") == 0, "something is still kept", 30)
    up_to(m, came, sent - 1)
    same(list(dict.fromkeys(came)), list(range(sent)), "came")


def up_to(client, came, last):
    """Take what comes, until the last has come."""
    while last not in came:
        came.append(int(client.take().payload))


@check("aio_connector.kept_for_an_application", over=aio.BESIDE, own=True)
def kept_for_an_application(t, version):
    """What comes while nobody listens waits for the application, over a kill of the connector."""
    kind = t.topic()
    b = aio.client(t, version, types=[kind], subscribe=[kind], config=KEEPS)
    a = aio.client(t, aio.NEWEST, types=[kind])
    b.lines.end()
    for n in range(20):
        a.send(kind, b"%d" % n, wait_for_ack=True)
    t.until(lambda: count(b, "recv") == 20, "not all is kept", 30)
    b.halt()
    b.begin()
    same(count(b, "recv"), 20, "kept")
    b.listen_again()
    same([b.take().data for _ in range(20)], [b"%d" % n for n in range(20)], "came")
    t.until(lambda: count(b, "recv") == 0, "something is still kept")
    a.send(kind, b"later")
    heard(b.take(), kind, b"later")
    b.nothing()


@check("aio_connector.orders", over=aio.BESIDE, own=True)
def orders(t, version):
    """Who is there, what is ignored, and that it ends, as it is asked."""
    kind = t.topic()
    a = aio.client(t, version, types=[kind], subscribe=[kind])
    port = a.asked["port"]
    same(a.order("peers"), {"peers": {f"('127.0.0.1', {port})": ["127.0.0.1", port]}}, "peers")
    same(a.order("ignore-peer-traffic"), {"ignored": False}, "ignored")
    same(a.order("ignore-peer-traffic", "--all"), {"ignored": True}, "ignored")
    a.publish(kind, b"not said")
    m = t.client()
    m.publish(kind, b"not heard", qos=1)
    a.nothing()
    same(a.order("ignore-peer-traffic", "--off"), {"ignored": False}, "ignored")
    a.publish(kind, b"said")
    heard(a.take(), kind, b"said")
    same(a.order("restart-connector", "--pause", "0"), {"restarted": True}, "restarted")
    a.is_there()
    a.publish(kind, b"again")
    heard(a.take(), kind, b"again")
    same(a.order("stop-connector"), {"stopped": True}, "stopped")
    same(a.connector.wait(10), 0, "how it ended")


@check("aio_connector.the_originals_tool", own=True)
def the_originals_tool(t):
    """What the original's own tool asks of it is answered so that it understands."""
    kind = t.topic()
    a = aio.client(t, aio.BESIDE[0], types=[kind], subscribe=[kind])
    port = a.asked["port"]
    that(str(port) in a.tool("show_connected_peers"), "it is not connected")
    that('"queue_recv": 0' in a.tool("peek_queues"), "no queues")
    same(a.tool("ignore_peer_traffic_show"), "False", "ignored")
    same(a.tool("show_subscribe_message_types"), f"['{kind}']", "topics")
    same(a.tool("show_log_level"), "INFO", "level")


@check("aio_connector.large_file", over=aio.BESIDE, own=True, alone=True)
def large_file(t, version):
    """A file of 8 MB in one message, of which the connectors never have more than a part."""
    kind = t.topic()
    b = aio.client(t, version, types=[kind], subscribe=[kind])
    a = aio.client(t, version, types=[kind])
    before = [peak(each) for each in (a, b)]
    content = os.urandom(1 << 20) * 8
    with_file = {"src_path": a.file("large", content), "dst_type": "any", "dst_name": "large",
                 "delete": True}
    a.send(kind, b"data", with_file=with_file)
    b.take(60)
    place = b.received("large")
    t.until(place.exists, "it is not there", 30)
    same(hashlib.sha256(place.read_bytes()).digest(), hashlib.sha256(content).digest(), "content")
    t.until(lambda: not (a.folder / "large").exists(), "it is not deleted")
    for each, least in zip((a, b), before):
        grown = peak(each) - least
        that(grown < 6_000, f"the connector took {grown} kB for it")


def peak(client):
    """What its connector had in memory at most, in kB."""
    status = open(f"/proc/{client.connector.pid}/status").read()
    return int(status.split("VmHWM:")[1].split()[0])
