"""Files of any size to the broker and back out of it, by clients of aioconnectors as they are."""

import shutil
import tempfile
import time
from pathlib import Path

import aioconnectors as aio
from brokers import Setup
from checks.aio import VERSIONS, heard
from harness import check, same, that

MIB = 1 << 20
#: What a broker may take, whatever files come: what it takes without any, and a few buffers.
MEMORY = 64 * MIB


def memory(broker):
    """The most that it ever had, in bytes."""
    for line in Path(f"/proc/{broker.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the system does not say how much memory it has")


class Store:
    """A broker that keeps files, and takes short packets."""

    def __init__(self, t):
        self.folder = Path(tempfile.mkdtemp(prefix="aio-"))
        self.files = self.folder / "files"
        (self.files / "any").mkdir(parents=True)
        setup = Setup(options={"aio": f"files={self.files}"}, limits={"packet_max": MIB})
        self.broker = t.alone_with(setup)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def at(self, name):
        return self.files / "any" / name

    def spooled(self):
        """What waits for others."""
        spool = self.files / ".spindle-spool"
        return [it.name for it in spool.iterdir()] if spool.exists() else []

    def is_alone(self, *names):
        """These lie there and nothing else, also nothing that is not whole."""
        found = sorted(it.name for it in (self.files / "any").iterdir())
        same(found, sorted(names), "files")


def large(path, size):
    """A file of that size in which no two pages are the same; its pattern is cheap to make."""
    page = bytes(range(256)) * 4096
    with open(path, "wb") as out:
        for at in range(0, size, len(page)):
            out.write(at.to_bytes(8, "big") + page[8:min(len(page), size - at)])
    return str(path)


def alike(one, other):
    """Both hold the same, looked at in pieces."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with open(one, "rb") as left, open(other, "rb") as right:
        while piece := left.read(MIB):
            if piece != right.read(MIB):
                return False
    return True


def send(client, kind, path, name, own=None, **options):
    with_file = {"src_path": path, "dst_type": "any", "dst_name": name, "delete": False}
    client.send(kind, name.encode(), own, with_file=with_file, **options)


@check("aio.files_of_any_size", over=VERSIONS, own=True, alone=True)
def any_size(t, version):
    """In one message or in chunks, a file is kept as it is, and the broker's memory stays small."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind], chunk=400 * MIB)
        cases = {"empty": 0, "short": 1000, "packet": MIB, "long": 30 * MIB, "large": 300 * MIB}
        for name, size in cases.items():
            path = large(a.folder / name, size)
            own = b"own" if name in ("short", "long") else None
            send(a, kind, path, name, own, wait_for_ack=True)
            t.until(store.at(name).exists, f"{name} is not there", seconds=120)
            that(alike(Path(path), store.at(name)), f"{name} is another")
        store.is_alone(*cases)
        a.is_there()
        if not aio.old(version):
            b = aio.client(t, version, types=[kind], chunk=40 * MIB)
            send(b, kind, path, "chunks")
            t.until(store.at("chunks").exists, "chunks are not there", seconds=120)
            that(alike(Path(path), store.at("chunks")), "chunks were joined otherwise")
            t.until(lambda: len(list((store.files / "any").iterdir())) == len(cases) + 1,
                    "a chunk is left")
        most = memory(store.broker)
        that(most < MEMORY, f"the broker took {most >> 20} MiB")


def has(client, name, path, own, came):
    """It has the file of that message."""
    that("file_error" not in came.header["with_file"], came.header)
    received = client.received(name)
    end = time.monotonic() + 60
    while not (received.exists() and alike(Path(path), received)):
        that(time.monotonic() < end, f"{name} is not at the other's, or is another")
        time.sleep(0.1)
    same(came.binary, own or b"", "binary")


@check("aio.files_to_others", over=VERSIONS, own=True)
def to_others(t, version):
    """Who hears the message has its file, whatever its length; and so has who was away."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind])
        b = aio.client(t, version, types=[kind], subscribe=[kind])
        away = aio.client(t, version, types=[kind], subscribe=[kind])
        away.end()
        sent = {}
        for name, size in {"empty": 0, "short": 1000, "long": 30 * MIB}.items():
            own = b"own" if size else None
            sent[name] = (large(a.folder / name, size), own)
            send(a, kind, sent[name][0], name, own, wait_for_ack=True)
            came = b.take()
            heard(came, kind, name.encode(), a.name)
            t.until(store.at(name).exists, f"{name} is not there")
            has(b, name, *sent[name], came)
        away.connect()
        for name, (path, own) in sent.items():
            came = away.take(60)
            heard(came, kind, name.encode(), a.name)
            has(away, name, path, own, came)
        t.until(lambda: not store.spooled(), "what all have is kept")


@check("aio.long_files_to_others", over=VERSIONS, own=True, alone=True)
def long_to_others(t, version):
    """300 MiB in one message go from one client to another; the broker's memory stays small, and
    nobody else waits."""
    kind = t.topic()
    other = kind + "_other"
    with Store(t) as store:
        a = aio.client(t, version, types=[kind], chunk=400 * MIB)
        b = aio.client(t, version, types=[kind], subscribe=[kind])
        c = aio.client(t, version, types=[other], subscribe=[other])
        d = aio.client(t, version, types=[other])
        path = large(a.folder / "large", 300 * MIB)
        send(a, kind, path, "large", b"own", wait_for_ack=True)
        send(a, kind, a.file("small", b"x"), "small")
        waited, count, end = 0, 0, time.monotonic() + 240
        while b.inbox.empty():
            that(time.monotonic() < end, "it does not come")
            began = time.monotonic()
            d.send(other, b"%d" % count)
            same(c.take(10).data, b"%d" % count, "data")
            waited, count = max(waited, time.monotonic() - began), count + 1
        that(waited < 2, f"others waited {waited:.1f} s")
        came = b.take()
        heard(came, kind, b"large", a.name)
        has(b, "large", path, b"own", came)
        has(b, "small", a.folder / "small", None, b.take(60))
        that(alike(Path(path), store.at("large")), "it is another here")
        t.until(lambda: not store.spooled(), "what it has is kept")
        most = memory(store.broker)
        that(most < MEMORY, f"the broker took {most >> 20} MiB")


@check("aio.long_files_cut_off", over=VERSIONS, own=True, alone=True)
def reader_cut_off(t, version):
    """A reader that is killed within a file has all of it when it is back."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind], chunk=400 * MIB)
        b = aio.client(t, version, types=[kind], subscribe=[kind])
        path = large(a.folder / "large", 100 * MIB)
        b.freeze()
        send(a, kind, path, "large", wait_for_ack=True)
        t.until(store.at("large").exists, "it is not there", seconds=60)
        time.sleep(1)
        b.end()
        b.connect()
        came = b.take(60)
        heard(came, kind, b"large", a.name)
        has(b, "large", path, None, came)
        a.is_there()
        that(memory(store.broker) < MEMORY, "the broker took too much")


@check("aio.files_cut_off", over=(aio.NEWEST, aio.OLDEST), own=True)
def cut_off(t, version):
    """Who is gone within a file leaves nothing behind, and nobody else waits for it."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind], chunk=2000 * MIB)
        b = aio.client(t, version, types=[kind])
        path = large(a.folder / "large", 900 * MIB)
        send(a, kind, path, "large")
        t.until(store.spooled, "nothing comes", seconds=60)
        began = time.monotonic()
        send(b, kind, b.file("short", b"x"), "short", wait_for_ack=True)
        t.until(store.at("short").exists, "the other's is not there")
        that(time.monotonic() - began < 10, "the other had to wait")
        whole = store.at("large").exists()
        a.end()
        t.until(lambda: not list((store.files / "any").glob(".*")), "a piece is left")
        t.until(lambda: not [it for it in store.spooled() if it.endswith(".part")], "or there")
        store.is_alone(*(["short", "large"] if whole else ["short"]))
        b.is_there()
        that(memory(store.broker) < MEMORY, "the broker took too much")
