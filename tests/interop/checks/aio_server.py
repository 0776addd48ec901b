"""Applications of aioconnectors beside a connector of spindle's that is their server, and connectors
of the original, and of spindle, as its clients."""

import os
import time

import aioconnectors as aio
from harness import check, same, that

from .aio import heard
from .aio_connector import count
from .aio_entry import stays_out

#: The application at the server, and a client.
PAIRS = tuple((one, other) for one in aio.VERSIONS for other in aio.ALL)
KEEPS = {"disk_persistence_send": True, "disk_persistence_recv": True}


def there(server, *clients, seconds=30):
    """They are connected, as the server says."""
    names = {client.name for client in clients}
    server.t.until(lambda: names <= server.peers(), f"{names} are not there", seconds)


def pair(t, one, other, types, client=None, **ask):
    s = aio.server(t, one, types=types, **ask)
    a = s.client(other, types=types, **(client or {})).start()
    a.is_there(30)
    there(s, a)
    return s, a


@check("aio_server.message", over=PAIRS, own=True)
def message(t, one, other):
    """Both ways, with all keys, acknowledged or not; who is not there hears nothing."""
    kind = t.topic()
    s, a = pair(t, one, other, [kind])
    b = s.client(other, types=[kind]).start()
    b.is_there(30)
    port = s.asked["port"]
    a.send(kind, b"up", b"\0binary", request_id="r")
    came = s.take()
    heard(came, kind, b"up", a.name)
    same((came.binary, came.header["request_id"]), (b"\0binary", "r"), "came")
    that("transport_id" not in came.header, "a number of the connection is told")
    s.say(a.name, kind, b"down", b"\0binary", request_id="r")
    came = a.take()
    heard(came, kind, b"down", f"('127.0.0.1', {port})")
    same((came.binary, came.header["request_id"]), (b"\0binary", "r"), "came")
    s.say("nobody", kind, b"lost")
    for n in range(100):
        a.send(kind, b"%d" % n, wait_for_ack=True)
        s.say(b.name, kind, b"%d" % n, wait_for_ack=True)
    wanted = [b"%d" % n for n in range(100)]
    same([s.take().data for _ in range(100)], wanted, "came")
    same([b.take().data for _ in range(100)], wanted, "came")
    for each in (a, b, s):
        each.nothing()


@check("aio_server.question", over=PAIRS, own=True)
def question(t, one, other):
    """Who asks has its answer, whichever side it is; several ask with one id."""
    kind = t.topic()
    s, a = pair(t, one, other, [kind], answers=True, client={"answers": True})
    b = s.client(other, types=[kind], answers=True).start()
    b.is_there(30)
    there(s, b)
    for asker in (a, b):
        got = asker.question(kind, b"q", b"bin", request_id=7)
        that(got, f"no answer: {got}")
        heard(got, kind, b"answer to q")
        same((got.binary, got.header["response_id"]), (b"bin", 7), "came")
        got = s.question_to(asker.name, kind, asker.name.encode(), b"bin", request_id=7)
        that(got, f"no answer: {got}")
        heard(got, kind, b"answer to " + asker.name.encode(), asker.name)
        same((got.binary, got.header["response_id"]), (b"bin", 7), "came")
    got = s.question_to(a.name, "_ping", b"ping", request_id=8)
    same(got.data, b"ping", "ping")
    began = time.monotonic()
    got = s.question_to("nobody", kind, b"q", seconds=30)
    that(not got or not got.header or "error" in got.header, f"an answer: {got}")
    that(time.monotonic() - began < 5, "it waited for nobody")


@check("aio_server.file", over=PAIRS, own=True)
def file(t, one, other):
    """Files both ways, beside what else there is, and a long one."""
    kind = t.topic()
    s, a = pair(t, one, other, [kind])
    content = os.urandom(5 << 20)
    cases = {"plain": (b"content", None), "beside": (b"content", b"own"), "long": (content, None)}
    for name, (content, own) in cases.items():
        for sender, hearer, way in ((a, s, {}), (s, a, {"destination_id": a.name})):
            with_file = {"src_path": sender.file(name, content), "dst_type": "any",
                         "dst_name": name, "delete": False}
            sender.send(kind, b"data", own, with_file=with_file, **way)
            came = hearer.take(60)
            same((came.data, came.binary), (b"data", own or b""), "came")
            place = hearer.received(name)
            t.until(lambda: place.exists() and place.read_bytes() == content, f"no {name}")


@check("aio_server.kept_for_a_client", over=PAIRS, own=True)
def kept_for_a_client(t, one, other):
    """What is said to a client that is away arrives when it comes, in order and before what comes
    later, though the server is killed meanwhile; also to one that was never there."""
    kind = t.topic()
    s, a = pair(t, one, other, [kind], config=KEEPS)
    s.say(a.name, kind, b"before")
    heard(a.take(), kind, b"before")
    t.until(lambda: count(s, "send") == 0, "it is not acknowledged")
    a.end()
    t.until(lambda: not s.peers(), "it is still there")
    for n in range(100):
        s.say(a.name, kind, b"%d" % n)
    s.say("other", kind, b"never seen")
    t.until(lambda: count(s, "send") == 101, "not all is kept")
    s.halt()
    s.begin()
    same(count(s, "send"), 101, "kept")
    a.start().is_there(30)
    s.say(a.name, kind, b"after")
    wanted = [b"%d" % n for n in range(100)] + [b"after"]
    same([a.take(30).data for _ in range(101)], wanted, "came")
    a.nothing()
    b = s.client(other, name="other", types=[kind]).start()
    heard(b.take(30), kind, b"never seen")
    t.until(lambda: count(s, "send") == 0, "something is still kept")


@check("aio_server.kept_types", over=aio.VERSIONS, own=True)
def kept_types(t, version):
    """Only what is to be kept is; the rest is dropped while the client is away."""
    kept = t.topic()
    other = kept + "b"
    s, a = pair(t, version, version, [kept, other], keeps=[kept])
    a.end()
    t.until(lambda: not s.peers(), "it is still there")
    s.say(a.name, other, b"dropped")
    s.say(a.name, kept, b"kept")
    t.until(lambda: count(s, "send") == 1, "it is not kept")
    a.start()
    heard(a.take(30), kept, b"kept")
    s.say(a.name, other, b"heard")
    heard(a.take(), other, b"heard")
    a.nothing()


@check("aio_server.kept_for_an_application", over=PAIRS, own=True)
def kept_for_an_application(t, one, other):
    """What clients say while nobody listens waits for the application, over a kill of the server;
    and what they keep while the server is away arrives when it is back."""
    kind = t.topic()
    s, a = pair(t, one, other, [kind], config=KEEPS, client={"keeps": True})
    s.lines.end()
    for n in range(20):
        a.send(kind, b"%d" % n, wait_for_ack=True)
    t.until(lambda: count(s, "recv") == 20, "not all is kept", 30)
    s.halt()
    time.sleep(1)
    for n in range(20, 30):
        a.send(kind, b"%d" % n)
    time.sleep(0.5)
    s.begin()
    same(count(s, "recv") >= 20, True, "kept")
    s.listen_again()
    same([s.take(30).data for _ in range(30)], [b"%d" % n for n in range(30)], "came")
    t.until(lambda: count(s, "recv") == 0, "something is still kept")
    s.nothing()


@check("aio_server.publish", over=PAIRS, own=True)
def publish(t, one, other):
    """The server is a broker of publications: who subscribed hears them from it, and nobody else."""
    kind = t.topic()
    news = kind + "b"
    types = [kind, news]
    s, a = pair(t, one, other, types, config={"pubsub_central_broker": True})
    b, c = (s.client(version, types=types, subscribe=[news]) for version in (one, other))
    for each in (b, c):
        each.start().is_there(30)
    time.sleep(0.5)
    a.publish(news, b"said", b"\0binary")
    for each in (b, c):
        came = each.take()
        heard(came, news, b"said", f"('127.0.0.1', {s.asked['port']})")
        same(came.binary, b"\0binary", "binary")
    with_file = {"src_path": a.file("f", b"content"), "dst_type": "any", "dst_name": "f",
                 "delete": False}
    a.publish(news, b"a file", with_file=with_file)
    for each in (b, c):
        heard(each.take(), news, b"a file")
        place = each.received("f")
        t.until(lambda: place.exists() and place.read_bytes() == b"content", "no file")
    a.send(news, b"to the server")
    heard(s.take(), news, b"to the server", a.name)
    c.stop()
    t.until(lambda: c.name not in s.peers(), "it is still there")
    a.publish(news, b"later")
    heard(b.take(), news, b"later")
    for each in (a, b, s):
        each.nothing()


@check("aio_server.allow_all", over=PAIRS, own=True)
def allow_all(t, one, other):
    """Within TLS that checks nobody."""
    entry(t, one, other, tls=True)


@check("aio_server.enrol", over=PAIRS, own=True)
def enrol(t, one, other):
    """With certificates: each is given one of its own and comes by it, until it is deleted."""
    s, a = entry(t, one, other, tls=True, strict=True)
    own = (a.certificates() / f"{a.name}.pem").read_text()
    at_server = s.folder / "certificates" / "server" / "client-certs"
    same((at_server / f"{a.name}.pem").read_text(), own, "the certificate at the server")
    thief = s.client(other, name=a.name, types=["any"]).start()
    stays_out(thief, 4)
    a.is_there()
    same(s.order("delete-client-certificate", "--client", a.name),
         {"deleted": True, "why": ""}, "deleted")
    thief.is_there(30)
    thief.end()
    stays_out(a, 4)


@check("aio_server.nobody_is_enrolled", over=PAIRS, own=True)
def nobody_is_enrolled(t, one, other):
    """As long as nobody has said who is given a certificate, nobody is."""
    s = aio.Server(t, one, types=["any"], tls=True, strict=True).certify()
    t.open.append(s)
    s.words = ()
    s.start()
    a = s.client(other, types=["any"]).start()
    stays_out(a, 4)
    given = s.folder / "certificates" / "server" / "client-certs"
    that(not list(given.glob(f"{a.name}*")), "it was given one")


@check("aio_server.token", over=((aio.NEWEST, aio.NEWEST), (aio.OLDEST, aio.BESIDE[0])), own=True)
def token(t, one, other):
    """With tokens: each is given one, and comes by it."""
    s, a = entry(t, one, other, tls=True, token=True, peer=True)
    that(a.name in (s.folder / "server_tokens.json").read_text(), "it is not noted")
    stays_out(s.client(other, name=a.name, types=["any"]).start(), 4)
    a.is_there()


def entry(t, one, other, **ask):
    """In, both ways, and in again."""
    kind = t.topic()
    s = aio.Server(t, one, types=[kind], **ask).certify()
    t.open.append(s)
    s.start()
    a = s.client(other, types=[kind])
    for turn in range(2):
        a.start()
        there(s, a)
        s.say(a.name, kind, b"down %d" % turn)
        heard(a.take(30), kind, b"down %d" % turn)
        # Python's loop lets the newest write only when it has heard something.
        s.say(a.name, kind, b"more")
        a.take()
        a.send(kind, b"up %d" % turn)
        s.say(a.name, kind, b"more")
        heard(s.take(30), kind, b"up %d" % turn, a.name)
        a.take()
        if turn == 0:
            a.end()
            t.until(lambda: not s.peers(), "it is still there")
    return s, a


@check("aio_server.conflict", over=aio.VERSIONS, own=True)
def conflict(t, version):
    """A name is one client's; another has it when that one is gone, and not before."""
    kind = t.topic()
    s, a = pair(t, version, version, [kind])
    b = s.client(version, name=a.name, types=[kind]).start()
    time.sleep(2)
    s.say(a.name, kind, b"one")
    heard(a.take(), kind, b"one")
    b.nothing()
    a.end()
    b.is_there(30)
    s.say(a.name, kind, b"two")
    heard(b.take(), kind, b"two")


@check("aio_server.lists", own=True)
def lists(t):
    """Who may come is said by lists, also while it runs."""
    s = aio.server(t, aio.NEWEST, config={"whitelisted_clients_id": ["ann", "b.*"]})
    a, b, c = (s.client(aio.NEWEST, name=name) for name in ("ann", "bob", "carl"))
    for each in (a, b, c):
        each.start()
    there(s, a, b)
    stays_out(c, 4)
    s.tool("add_whitelist_client", client_id="carl")
    c.is_there(30)
    s.tool("add_blacklist_client", client_id="bob")
    t.until(lambda: b.name not in s.peers(), "it is still there")
    stays_out(b, 4)


@check("aio_server.the_originals_tool", over=aio.VERSIONS, own=True)
def the_originals_tool(t, version):
    """What the original's own tool asks of a server is answered so that it understands."""
    kind = t.topic()
    s, a = pair(t, version, version, [kind])
    that(f'"{a.name}"' in s.tool("show_connected_peers"), "it is not connected")
    that('"queue_recv": 0' in s.tool("peek_queues"), "no queues")
    if version == aio.NEWEST:
        same(s.tool("ignore_peer_traffic_show"), "False", "ignored")
        same(s.tool("show_log_level"), "INFO", "level")
        s.tool("disconnect_client", client_id=a.name)
        t.until(lambda: not s.peers(), "it is still there", 4)
        a.is_there(30)
    same(s.order("ignore-peer-traffic", "--peer", a.name), {"ignored": [a.name]}, "ignored")
    a.send(kind, b"not heard", wait_for_ack=True)
    s.say(a.name, kind, b"not said")
    for each in (a, s):
        each.nothing()
    same(s.order("ignore-peer-traffic", "--off"), {"ignored": False}, "ignored")
    a.send(kind, b"heard")
    heard(s.take(), kind, b"heard")
    same(s.order("restart-connector", "--pause", "0"), {"restarted": True}, "restarted")
    a.is_there(30)
    same(s.order("stop-connector"), {"stopped": True}, "stopped")
    same(s.connector.wait(10), 0, "how it ended")
