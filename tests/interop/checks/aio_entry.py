"""How clients of aioconnectors show who they are: certificates and tokens that the broker gives
out, and files that they send to it."""

import hashlib
import json
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import aioconnectors as aio
from aio_client import Server
from brokers import Setup
from checks.aio import VERSIONS, heard
from harness import check, same, that


class Place:
    """A folder of certificates, made by the original, and what else such a broker is told."""

    def __init__(self, t, enrol="anyone", folder=None, **options):
        self.folder = folder or Path(tempfile.mkdtemp(prefix="aio-"))
        self.list = self.folder / "enrol"
        if isinstance(enrol, list):
            self.list.write_text("\n".join(enrol) + "\n")
            enrol = self.list
        if not folder:
            make = [t.world.peers.aioconnectors(aio.NEWEST), "-m", "aioconnectors",
                    "create_certificates", self.folder]
            made = subprocess.run(make, capture_output=True, timeout=60)
            that(self.clients().is_dir(), made)
        options = {"certificates": self.folder, "enrol": enrol, **options}
        said = "&".join(f"{name}={value}" for name, value in options.items() if value)
        t.alone_with(Setup(options={"aios": said}))

    def clients(self):
        return self.folder / "certificates" / "server" / "client-certs"

    def client(self, t, version, **ask):
        """One that has the default certificate, and nothing of its own."""
        ask.setdefault("strict", True)
        client = aio.made(t, version, tls=True, **ask)
        shutil.copytree(self.folder / "certificates" / "client",
                        client.folder / "certificates" / "client", dirs_exist_ok=True)
        # Until version 1.2.0 it was called otherwise.
        server = client.folder / "certificates" / "client" / "server-cert"
        shutil.copy(server / "server.pem", server / "server.crt")
        return client


def stays_out(client, seconds=8):
    """It is not let in, though it tries."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            that(not client.ping(2), "it is let in")
        except AssertionError as why:
            that("no answer" in str(why), why)
        time.sleep(0.5)


@check("aio.enrol", over=VERSIONS, own=True)
def enrol(t, version):
    """Who is listed has a certificate of its own, and comes in by it: again and again."""
    kind = t.topic()
    place = Place(t, enrol=["ann"])
    a = place.client(t, version, name="ann", types=[kind], subscribe=[kind]).start()
    a.is_there(30)
    own = (a.certificates() / "ann.pem").read_text()
    same((place.clients() / "ann.pem").read_text(), own, "the certificate at the server")
    that(not (place.clients() / "ann.key").exists(), "the server keeps the key")
    m = t.client()
    m.publish(kind, b"one", qos=1)
    heard(a.take(), kind, b"one")
    a.end()
    m.publish(kind, b"two", qos=1)
    a.start()
    heard(a.take(30), kind, b"two")
    same((a.certificates() / "ann.pem").read_text(), own, "the certificate")


@check("aio.as_it_is", own=True)
def as_it_is(t):
    """Who was given its certificate by the original comes in where the original was."""
    home = Path(tempfile.mkdtemp(prefix="aio-"))
    server = Server(t.world.peers.aioconnectors(aio.NEWEST), "certificates", home)
    try:
        place = Place(t, enrol=None, folder=home)
        a = place.client(t, aio.NEWEST, name="ann")
        ours, a.asked["port"] = a.asked["port"], server.port
        a.start()
        server.expect("peer", name="ann")
        a.end()
    finally:
        server.stop()
    same((place.clients() / "ann.pem").read_text(), (a.certificates() / "ann.pem").read_text(),
         "what the original keeps")
    a.asked["port"] = ours
    a.start().is_there(30)
    stays_out(place.client(t, aio.NEWEST, name="bob").start())


@check("aio.not_listed", over=VERSIONS, own=True)
def not_listed(t, version):
    """Who is not listed is given nothing, until there is one line more."""
    place = Place(t, enrol=["ann"])
    b = place.client(t, version, name="bob").start()
    stays_out(b)
    that(not (place.clients() / "bob.pem").exists(), "it has a certificate")
    place.list.write_text("ann\nbob\n")
    b.is_there(30)


@check("aio.nobody_enrols", own=True)
def nobody_enrols(t):
    """Unless something else is said nobody is given anything."""
    place = Place(t, enrol=None)
    stays_out(place.client(t, aio.NEWEST, name="ann").start())
    that(not (place.clients() / "ann.pem").exists(), "it has a certificate")


@check("aio.name_is_not_given_twice", over=VERSIONS, own=True)
def not_twice(t, version):
    """A name that has a certificate is nobody else's: not by asking, and not by saying it."""
    kind = t.topic()
    place = Place(t)
    a = place.client(t, version, name="ann", types=[kind], subscribe=[kind]).start()
    a.is_there(30)
    other = place.client(t, version, name="ann", types=[kind], subscribe=[kind]).start()
    b = place.client(t, version, name="bob", types=[kind]).start()
    b.is_there(30)
    stays_out(other)
    m = t.client()
    m.publish(kind, b"one", qos=1)
    heard(a.take(), kind, b"one")
    other.nothing()


@check("aio.revoked", over=VERSIONS, own=True)
def revoked(t, version):
    """A certificate that is deleted opens nothing from the next connection on."""
    place = Place(t, enrol=["ann"])
    a = place.client(t, version, name="ann").start()
    a.is_there(30)
    a.end()
    place.list.write_text("")
    (place.clients() / "ann.pem").unlink()
    a.start()
    stays_out(a)


@check("aio.another_certificate", own=True)
def another(t):
    """One that was made elsewhere opens nothing, whatever it is called."""
    place = Place(t)
    a = place.client(t, aio.NEWEST, name="ann").start()
    a.is_there(30)
    b = place.client(t, aio.NEWEST, name="ann")
    own = b.certificates()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=x",
                    "-keyout", own / "ann.key", "-out", own / "ann.pem"],
                   check=True, capture_output=True)
    stays_out(b.start())


@check("aio.strict_both_ways", over=VERSIONS, own=True)
def both_ways(t, version):
    """Messages, questions and acknowledgements between two that have certificates."""
    kind = t.topic()
    place = Place(t)
    make = {"types": [kind], "subscribe": [kind], "answers": True}
    a, b = (place.client(t, version, name=name, **make).start() for name in ("ann", "bob"))
    a.is_there(30)
    b.is_there(30)
    a.send(kind, b"said", b"\0binary", wait_for_ack=True)
    came = b.take()
    heard(came, kind, b"said", "ann")
    same(came.binary, b"\0binary", "binary")
    got = b.question(kind, b"q", request_id=1)
    that(got, "no answer")
    heard(got, kind, b"answer to q", "ann")


def kept(path):
    return json.loads(path.read_text())


@check("aio.token_given", over=(False, True), own=True)
def token_given(t, peer):
    """A token is given out once, kept as a digest, and lets in; with the default certificate
    beside it, and without."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens.json"
        names = {"name": "ann", "token": True, "strict": False, "peer": peer}
        if peer:
            place = Place(t, enrol=["ann"], tokens=tokens)
            make = lambda: place.client(t, aio.NEWEST, **names)
        else:
            listed = Path(folder) / "enrol"
            listed.write_text("ann\n")
            t.alone_with(Setup(options={"aios": f"tokens={tokens}&enrol={listed}"}))
            make = lambda: aio.made(t, aio.NEWEST, tls=True, **names)
        a = make().start()
        a.is_there(30)
        token = (a.folder / "ann").read_text()
        same(kept(tokens), {"ann": hashlib.sha256(token.encode()).hexdigest()}, "kept")
        same(stat.S_IMODE(tokens.stat().st_mode), 0o600, "mode")
        stays_out(make().start())
        a.is_there()
        a.end()
        a.start().is_there(30)
        a.end()
        tokens.write_text("{}")
        a.start()
        stays_out(a)


@check("aio.token_needs_default", own=True)
def token_needs_default(t):
    """Where certificates are asked for, a token alone is not enough."""
    with tempfile.TemporaryDirectory() as folder:
        Place(t, tokens=Path(folder) / "tokens.json")
        a = aio.made(t, aio.NEWEST, tls=True, token=True, name="ann").start()
        stays_out(a)


@check("aio.file_kept", over=VERSIONS, own=True)
def file_kept(t, version):
    """A file that is sent to the broker is below its folder, whole, and nowhere else."""
    kind = t.topic()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        (files / "any").mkdir(parents=True)
        t.alone_with(Setup(options={"aio": f"files={files}"}))
        a = aio.client(t, version, types=[kind], subscribe=[kind], chunk=1000)
        b = aio.client(t, version, types=[kind])
        content = bytes(range(256)) * 3
        cases = {"plain": (content, None), "beside": (content, b"own"), "sub/empty": (b"", None)}
        if version == aio.NEWEST:
            cases["parts"] = (content * 15, None)

        def send(name, content, own=None, kind_of="any"):
            made = b.file(name.replace("/", "_"), content)
            with_file = {"src_path": made, "dst_type": kind_of, "dst_name": name, "delete": False}
            b.send(kind, name.encode(), own, with_file=with_file)

        for name, (content, own) in cases.items():
            send(name, content, own)
            at = files / "any" / name
            t.until(lambda: at.exists() and at.read_bytes() == content, f"{name} is not there")
            a.take()
        # The last case may have come in several messages.
        while not a.inbox.empty():
            a.inbox.get()
        send("../out", b"x")
        send("/tmp/out", b"x")
        send("plain", b"another")
        send("other", b"x", kind_of="elsewhere")
        a.is_there()
        b.is_there()
        time.sleep(1)
        found = {str(it.relative_to(folder)) for it in Path(folder).rglob("*") if it.is_file()}
        same(found, {f"files/any/{name}" for name in cases}, "files")
        same((files / "any" / "plain").read_bytes(), cases["plain"][0], "the first one")
