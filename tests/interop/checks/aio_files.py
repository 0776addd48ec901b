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


@check("aio.files_to_others", over=VERSIONS, own=True)
def to_others(t, version):
    """Who hears the message has short files; of a long one it is told that there is none."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind])
        b = aio.client(t, version, types=[kind], subscribe=[kind])
        for name, size in {"empty": 0, "short": 1000, "long": 30 * MIB}.items():
            path = large(a.folder / name, size)
            send(a, kind, path, name, b"own" if size else None, wait_for_ack=True)
            came = b.take()
            heard(came, kind, name.encode(), a.name)
            t.until(store.at(name).exists, f"{name} is not there")
            with_file = came.header["with_file"]
            if name != "long":
                that("file_error" not in with_file, with_file)
                t.until(lambda: b.received(name).exists(), f"{name} is not at the other's")
                that(alike(Path(path), b.received(name)), f"{name} is another at the other's")
                same(came.binary, b"own" if size else b"", "binary")
            else:
                that("file_error" in with_file, with_file)
                that(not b.received(name).exists(), "there is something")


@check("aio.files_cut_off", over=(aio.NEWEST, aio.OLDEST), own=True)
def cut_off(t, version):
    """Who is gone within a file leaves nothing behind, and nobody else waits for it."""
    kind = t.topic()
    with Store(t) as store:
        a = aio.client(t, version, types=[kind], chunk=2000 * MIB)
        b = aio.client(t, version, types=[kind])
        path = large(a.folder / "large", 900 * MIB)
        send(a, kind, path, "large")
        t.until(lambda: list((store.files / "any").iterdir()), "nothing comes", seconds=60)
        began = time.monotonic()
        send(b, kind, b.file("short", b"x"), "short", wait_for_ack=True)
        t.until(store.at("short").exists, "the other's is not there")
        that(time.monotonic() - began < 10, "the other had to wait")
        whole = store.at("large").exists()
        a.end()
        t.until(lambda: not list((store.files / "any").glob(".*")), "a piece is left")
        store.is_alone(*(["short", "large"] if whole else ["short"]))
        b.is_there()
        that(memory(store.broker) < MEMORY, "the broker took too much")
