"""Chats: spindle's and the original's, each called by the other, and two of spindle's."""

import hashlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import aioconnectors as aio
from clients import WAIT_S
from harness import check, same, that

#: Only the newest asks whom to accept.
VERSIONS = (aio.NEWEST,)
CALLED = "is there, at"


class Chat:
    """One end: what it prints lies in `said`, and what is typed is a line."""

    def __init__(self, t, command, state=None):
        # Names of sockets are short, or they are none.
        self.folder = Path(tempfile.mkdtemp(prefix="chat-"))
        self.said, self.lines = "", queue.Queue()
        env = dict(t.world.peers.env, XDG_STATE_HOME=str(state or self.folder / "state"),
                   PYTHONUNBUFFERED="1")
        self.process = subprocess.Popen(
            [str(word) for word in command(self.folder)], cwd=self.place("here"), env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()
        t.open.append(self)

    def place(self, name):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def here(self):
        """The folder it runs in."""
        return self.folder / "here"

    def _read(self):
        while part := os.read(self.process.stdout.fileno(), 1 << 16):
            self.said += part.decode(errors="replace")

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, text, seconds=WAIT_S):
        """It prints this."""
        end = time.monotonic() + seconds
        while text not in self.said:
            if time.monotonic() > end:
                raise AssertionError(f"not printed: {text!r}; but {self.said[-300:]!r}")
            time.sleep(0.02)

    def ends(self, code=0, seconds=WAIT_S):
        same(self.process.wait(seconds), code, f"code ({self.said[-300:]!r})")

    def make(self, name, content):
        """A file to be sent."""
        path = self.here / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free():
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ours(t, port, *flags, state=None):
    """Spindle's: waits for a call, or calls."""
    command = [t.world.program, "aio", "chat", "--port", port, *flags]
    if "--target" not in flags:
        command += ["--bind-server-ip", "127.0.0.1"]
    chat = Chat(t, lambda folder: command, state)
    if "--target" not in flags:
        chat.wait("fingerprint")
    return chat


def theirs(t, version, port, *flags):
    """The original's."""
    python = t.world.peers.aioconnectors(version)
    driver = t.world.peers_folder() / "aio" / "chat.py"
    chat = Chat(t, lambda folder: [python, driver, folder / "files", "--port", port, *flags])
    if "--target" not in flags:
        chat.wait("listening on")
        # It says so before it does.
        t.until(lambda: reachable(port), "it does not listen")
    return chat


def reachable(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def whole(t, path, content):
    """The file is there, and what was sent."""
    wanted = hashlib.sha256(content).hexdigest()

    def is_there():
        return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted

    t.until(is_there, f"{path} is not there, or not whole", 30)


def talked(t, one, other):
    """Both hear each other, and take files and folders of each other."""
    one.type("hello from one")
    other.wait("hello from one")
    other.type("hello from the other")
    one.wait("hello from the other")
    large = os.urandom(1 << 20) * 7
    one.make("large", large)
    one.type("!upload large")
    other.make("small", b"small")
    other.type("!upload small")
    return large


@check("aio_chat.called_by_the_original", over=VERSIONS, own=True, alone=True)
def called_by_the_original(t, version):
    """The original calls: it is asked for, both talk, files go both ways, it leaves."""
    port = free()
    a = ours(t, port)
    b = theirs(t, version, port, "--target", "127.0.0.1")
    a.wait("Accept client chat_client ('127.0.0.1'")
    a.type("y")
    a.wait(CALLED)
    b.wait("Connected !")
    large = talked(t, a, b)
    whole(t, b.here / "large", large)
    whole(t, a.here / "small", b"small")
    b.make("things/x", b"text " * 1000)
    b.type("!upload things")
    a.wait("things.zip")
    t.until((a.here / "things.zip").exists, "no archive came")
    a.type("!dezip things.zip")
    a.wait("made ")
    same((a.here / "things" / "x").read_bytes(), b"text " * 1000, "unpacked")
    a.wait("sent large")
    b.type("!exit")
    a.wait("has left")
    a.type("!exit")
    # Whom it says that to is gone; a line of a pipe waits for the next.
    a.process.send_signal(signal.SIGTERM)
    a.ends()


@check("aio_chat.calls_the_original", over=VERSIONS, own=True, alone=True)
def calls_the_original(t, version):
    """The original waits, and accepts: both talk, files and folders go both ways."""
    port = free()
    b = theirs(t, version, port)
    a = ours(t, port, "--target", "127.0.0.1")
    b.wait("Accept client")
    b.type("y")
    a.wait("connected to")
    large = talked(t, a, b)
    # It keeps files of who has called in a folder of that name.
    whole(t, b.here / "chat_client" / "large", large)
    whole(t, a.here / "small", b"small")
    a.make("things/sub", b"packed")
    a.type("!upload things")
    a.wait("sent things.zip")
    archive = b.here / "chat_client" / "things.zip"
    t.until(archive.exists, "no archive came")
    same(zipfile.ZipFile(archive).read("sub"), b"packed", "unpacked")
    a.type("!exit")
    a.ends()


@check("aio_chat.refused_by_the_original", over=VERSIONS, own=True, alone=True)
def refused_by_the_original(t, version):
    """Whoever is not accepted ends with 1."""
    port = free()
    b = theirs(t, version, port)
    a = ours(t, port, "--target", "127.0.0.1")
    b.wait("Accept client")
    b.type("n")
    a.ends(1)


@check("aio_chat.upload_to_the_original", over=VERSIONS, own=True, alone=True)
def upload_to_the_original(t, version):
    """A file alone, and the code says that it has come; or that nobody was there."""
    port = free()
    content = os.urandom(3 << 20)
    b = theirs(t, version, port, "--accept")
    path = b.make("content", content)
    a = ours(t, port, "--target", "127.0.0.1", "--upload", path)
    a.ends()
    whole(t, b.here / "chat_client" / "content", content)
    ours(t, free(), "--target", "127.0.0.1", "--upload", path).ends(1)
    ours(t, port, "--target", "127.0.0.1", "--upload", path / "not").ends(1)


@check("aio_chat.upload_by_the_original", over=VERSIONS, own=True, alone=True)
def upload_by_the_original(t, version):
    """The original sends a file alone, and is told that it has come."""
    port = free()
    a = ours(t, port, "--accept")
    content = os.urandom(3 << 20)
    path = a.make("../content", content)
    b = theirs(t, version, port, "--target", "127.0.0.1", "--upload", path)
    whole(t, a.here / "content", content)
    b.ends(0, 30)


class Cut:
    """Between two who talk; hangs up on both after so many bytes."""

    def __init__(self, port, most):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, args=(port, most), daemon=True).start()

    def _run(self, port, most):
        one = self.listener.accept()[0]
        other = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=self._copy, args=(other, one, 1 << 40), daemon=True).start()
        self._copy(one, other, most)

    @staticmethod
    def _copy(source, target, most):
        try:
            while most > 0 and (part := source.recv(1 << 16)):
                target.sendall(part)
                most -= len(part)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@check("aio_chat.goes_on_where_it_was_cut", own=True, alone=True)
def goes_on_where_it_was_cut(t):
    """A file that was cut goes on where it was, over the next connection."""
    port = free()
    a = ours(t, port, "--accept")
    content = os.urandom(20 << 20)
    path = a.make("../content", content)
    cut = Cut(port, 12 << 20)
    first = ours(t, cut.port, "--target", "127.0.0.1", "--upload", path)
    first.ends(7)
    that(not (a.here / "content").exists(), "it is there though it was cut")
    second = ours(t, port, "--target", "127.0.0.1", "--upload", path)
    second.wait("were there")
    second.ends()
    whole(t, a.here / "content", content)
    same(sorted(os.listdir(a.here)), ["content"], "left")


@check("aio_chat.somebody_else_answers", over=VERSIONS, own=True, alone=True)
def somebody_else_answers(t, version):
    """Who was called once is known; somebody else is refused, unless the user says who it is."""
    port = free()
    state = Path(tempfile.mkdtemp(prefix="chat-state-"))
    call = ("--target", "127.0.0.1", "--upload", "/etc/hostname")
    b = theirs(t, version, port, "--accept")
    ours(t, port, *call, state=state).ends()
    ours(t, port, *call, state=state).ends()
    b.type("!exit")
    b.process.wait(WAIT_S)
    a = ours(t, port, "--accept")
    refused = ours(t, port, *call, state=state)
    refused.ends(8)
    refused.wait("--fingerprint")
    print_ = a.said.split("fingerprint ")[1].split()[0]
    wrong = "0" * 64
    ours(t, port, *call, "--fingerprint", wrong, state=state).ends(8)
    that(not (a.here / "hostname").exists(), "it was sent all the same")
    ours(t, port, *call, "--fingerprint", print_, state=state).ends()
    # That one is known now.
    known = ours(t, port, "--target", "127.0.0.1", state=state)
    known.wait("fingerprint")
    that("(new" not in known.said, known.said)
    shutil.rmtree(state, ignore_errors=True)
