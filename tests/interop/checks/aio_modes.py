"""aioconnectors in each way in which a client can come in: without TLS, within TLS that checks
nobody, with certificates that are given out, with tokens that are. What it does must not depend on
that, nor on whether its connector is the original's or spindle's."""

import shutil
import tempfile
import time
from pathlib import Path

import aio_client
import aioconnectors as aio
from brokers import Setup
from checks.aio import heard
from checks.aio_entry import Place
from harness import check, same, that

PLAIN, ALLOW_ALL, STRICT, TOKEN = MODES = "plain", "allow_all", "strict", "token"
#: The oldest knows no tokens.
EACH = tuple((version, mode) for version in aio.ALL for mode in MODES
             if (version, mode) != (aio.OLDEST, TOKEN))


class Way:
    """A broker of a check's own that lets clients in so, and such clients."""

    def __init__(self, t, mode):
        self.t, self.mode, self.place = t, mode, None
        if mode == STRICT:
            self.place = Place(t)
        elif mode == TOKEN:
            tokens = t.world.folder / f"tokens-{t.number}.json"
            t.alone_with(Setup(options={"aios": f"tokens={tokens}&enrol=anyone"}))
        else:
            t.alone_with()

    def client(self, version, **ask):
        # Files are called by letters and digits of a name.
        ask.setdefault("name", self.t.id().replace("-", "x"))
        if self.place:
            return self.place.client(self.t, version, **ask)
        token = {"token": True} if self.mode == TOKEN else {}
        return aio.made(self.t, version, tls=self.mode != PLAIN, **token, **ask)

    def two(self, version, **ask):
        """Two of them, which are in."""
        pair = [self.client(version, **ask).start() for _ in "ab"]
        for each in pair:
            each.is_there(30)
        return pair


@check("aio_modes.messages", over=EACH, own=True)
def messages(t, version, mode):
    """Messages of every kind, from each to the other, and from and to MQTT."""
    way, kind = Way(t, mode), t.topic()
    a, b = way.two(version, types=[kind], subscribe=[kind])
    for one, other in ((a, b), (b, a)):
        one.send(kind, b"data")
        heard(other.take(), kind, b"data", one.name)
        one.send(kind, b"\0\xff" * 1000, b"\0binary" * 10_000, request_id="r")
        came = other.take()
        heard(came, kind, b"\0\xff" * 1000, one.name)
        same(came.binary, b"\0binary" * 10_000, "binary")
        same(came.header["request_id"], "r", "request id")
        one.send(kind)
        heard(other.take(), kind, b"", one.name)
        one.publish(kind, b"published")
        for each in (a, b):
            heard(each.take(), kind, b"published")
    m = t.client()
    m.subscribe(kind, qos=1)
    m.publish(kind, b"down", qos=1)
    for each in (a, b):
        heard(each.take(), kind, b"down")
    same(m.take().payload, b"down", "payload")
    a.send(kind, b"up")
    same(m.take().payload, b"up", "payload")
    heard(b.take(), kind, b"up")
    a.nothing()
    b.nothing()


@check("aio_modes.acks", over=EACH, own=True)
def acks(t, version, mode):
    """What wants an acknowledgement has one, or nothing would follow it; what the broker says is
    acknowledged, or it would be said again."""
    way, kind = Way(t, mode), t.topic()
    a, b = way.two(version, types=[kind], subscribe=[kind])
    for one, other in ((a, b), (b, a)):
        for n in range(20):
            one.send(kind, b"%d" % n, wait_for_ack=True)
        same([other.take().data for _ in range(20)], [b"%d" % n for n in range(20)], "came")
    a.is_there()
    time.sleep(0.5)
    a.end()
    a.start().is_there(30)
    a.nothing()


@check("aio_modes.questions", over=EACH, own=True)
def questions(t, version, mode):
    """Each asks the other, and has its answer."""
    way, kind = Way(t, mode), t.topic()
    a, b = way.two(version, types=[kind], subscribe=[kind], answers=True)
    for one, other in ((a, b), (b, a)):
        for n in (7, "seven"):
            got = one.question(kind, b"q", b"\0b", request_id=n)
            that(got, f"no answer: {got}")
            heard(got, kind, b"answer to q", other.name)
            same((got.header["response_id"], got.binary), (n, b"\0b"), "answer")


@check("aio_modes.files", over=EACH, own=True)
def files(t, version, mode):
    """Files from each to the other: empty, small, longer than a frame of TLS, in parts."""
    way, kind = Way(t, mode), t.topic()
    a, b = way.two(version, types=[kind], subscribe=[kind], chunk=400_000)
    content = bytes(range(256)) * 1200
    cases = {"empty": b"", "small": b"x" * 10, "large": content}
    if not aio.old(version):
        cases["parts"] = content * 5
    for one, other in ((a, b), (b, a)):
        for name, content in cases.items():
            name = f"{name}_of_{one.name}"
            with_file = {"src_path": one.file(name, content), "dst_type": "any", "dst_name": name,
                         "delete": False}
            one.send(kind, b"data", with_file=with_file)
            heard(other.take(), kind, b"data", one.name)
            place = other.received(name)
            t.until(lambda: place.exists() and place.read_bytes() == content,
                    f"{name} is not there")
        while not other.inbox.empty():
            other.inbox.get()


@check("aio_modes.away", over=EACH, own=True)
def away(t, version, mode):
    """What comes for a client that is away waits for it, also over a kill of the broker, and comes
    once; the client shows what it was given before."""
    way, kind = Way(t, mode), t.topic()
    a = way.client(version, types=[kind], subscribe=[kind]).start()
    a.is_there(30)
    time.sleep(0.5)
    a.end()
    m = t.client()
    for n in range(10):
        m.publish(kind, b"%d" % n, qos=1)
    m.close()
    t.broker.kill()
    t.broker.start()
    a.start()
    same([a.take(30).data for _ in range(10)], [b"%d" % n for n in range(10)], "came")
    a.is_there()
    time.sleep(0.5)
    a.end()
    a.start().is_there(30)
    a.nothing()


@check("aio_modes.back", over=EACH, own=True)
def back(t, version, mode):
    """Clients come back by themselves when the broker does, and hear what they subscribed to."""
    way, kind = Way(t, mode), t.topic()
    a, b = way.two(version, types=[kind], subscribe=[kind])
    time.sleep(0.5)
    t.broker.kill()
    t.broker.start()
    for each in (a, b):
        each.is_there(30)
    for one, other in ((a, b), (b, a)):
        one.send(kind, b"again", wait_for_ack=True)
        heard(other.take(30), kind, b"again", one.name)


@check("aio_modes.kept", over=EACH, own=True)
def kept(t, version, mode):
    """What an application says while the broker is away is kept by its connector, also over that
    one's end, and arrives in order."""
    way, kind = Way(t, mode), t.topic()
    a = way.client(version, types=[kind], keeps=True).start()
    a.is_there(30)
    # A message before: what is on its way at the end of a connection is not what is asked here.
    m = t.client()
    m.subscribe(kind, qos=1)
    a.send(kind, b"before")
    same(m.take().payload, b"before", "payload")
    time.sleep(0.5)
    t.broker.kill()
    time.sleep(1)
    for n in range(10):
        a.send(kind, b"%d" % n)
    time.sleep(1)
    a.end()
    t.broker.start()
    m = t.client()
    m.subscribe(kind, qos=1)
    a.start()
    same([m.take(30).payload for _ in range(10)], [b"%d" % n for n in range(10)], "came")


@check("aio_modes.conflict", over=EACH, own=True)
def conflict(t, version, mode):
    """A name that is only said is its owner's until that one is gone; who shows it has it at once,
    though the owner is still connected."""
    way, kind = Way(t, mode), t.topic()
    ask = {"types": [kind], "subscribe": [kind]}
    a = way.client(version, **ask).start()
    a.is_there(30)
    b = way.client(version, name=a.name, **ask)
    m = t.client()
    if mode in (PLAIN, ALLOW_ALL):
        b.start()
        time.sleep(2)
        m.publish(kind, b"one", qos=1)
        heard(a.take(), kind, b"one")
        b.nothing()
        a.end()
        b.is_there(30)
    else:
        for proof in a.proofs():
            (b.folder / proof).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(a.folder / proof, b.folder / proof)
        # Or it would come back, and have the name.
        a.freeze()
        b.start().is_there(30)
    m.publish(kind, b"two", qos=1)
    heard(b.take(), kind, b"two")


@check("aio_modes.of_the_original", over=tuple(
    (python, mode) for python in aio.VERSIONS for mode in aio_client.MODES
    if (python, mode) != (aio.OLDEST, "token")), own=True)
def of_the_original(t, python, mode):
    """spindle's connector between the original's applications and the original's connector as the
    server: messages, questions and files both ways, and what is kept while the server is away."""
    home = Path(tempfile.mkdtemp(prefix="aio-"))
    server = aio_client.Server(t.world.peers.aioconnectors(python), mode, home)
    try:
        server.knows = server.expect("knows")
        for run in (aio_client.serves_applications, aio_client.brings_files_of_applications,
                    aio_client.keeps_for_a_server_that_is_away):
            name = run.__name__.replace("_", "")
            run(aio_client.Client(t.world.program, server, name), server)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
