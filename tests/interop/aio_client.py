#!/usr/bin/env python3
"""spindle's client of aioconnectors against servers of the original.

    tests/interop/aio_client.py --spindle target/release/spindle --python VENV/bin/python [...]

Each `--python` is an interpreter that has aioconnectors installed, of any version since 1.0.9; each
is tried without TLS, in TLS that checks nobody, with certificates, and with tokens where it knows
them. Every check prints a line; the last is `N passed, N failed`, and the exit code is 0 only if
nothing failed. Absent on purpose: installing anything.
"""

import argparse
import filecmp
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODES = ("plain", "allow_all", "certificates", "token")
SOON = 60


class Server:
    """The original as a server, in a process of its own that does what lines tell it."""

    def __init__(self, python, mode, home):
        self.home, self.mode = home, mode
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        args = [python, HERE / "aio" / "server.py", mode, str(self.port), home]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(home / "server.log", "wb"), text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.expect("ready")

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def expect(self, kind, **more):
        """What it says next, of this kind and with these values."""
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            try:
                line = self.lines.get(timeout=end - time.monotonic())
            except (queue.Empty, ValueError):
                break
            if not line:
                raise AssertionError("the server ended")
            if line.startswith("{"):
                said = json.loads(line)
                if said["kind"] == kind and more.items() <= said.items():
                    return said
        raise AssertionError(f"no {kind}")

    def tell(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait()


class Client:
    """Command lines of spindle that speak to one server under one name."""

    def __init__(self, spindle, server, name):
        self.spindle, self.server, self.name = spindle, server, name
        self.flags = ["--json", "-L", f"127.0.0.1:{server.port}", "-n", name, "--patience", "20000"]
        self.flags += {
            "plain": [],
            "allow_all": ["--allow-all"],
            "certificates": ["--certificates", server.home],
            "token": ["--tokens", server.home / "tokens", "--certificates", server.home],
        }[server.mode]

    def start(self, *args):
        return subprocess.Popen([self.spindle, "aio", *self.flags, *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *args):
        """The documents that it printed."""
        done = self.start(*args)
        out, complaints = done.communicate(timeout=SOON)
        assert done.returncode == 0, (args, done.returncode, complaints)
        return [json.loads(line) for line in out.splitlines()]


def pings(client, server):
    said = client.run("ping", "-C", "3", "-i", "50")
    assert [row["data"] for row in said] == ["PING 11111", "PING 22222", "PING 33333"], said
    assert all(row["same"] for row in said), said


def sends(client, server):
    client.run("send", "hello", "--tag", "label", "--request-id", "r1")
    came = server.expect("message")
    assert came["data"] == "hello" and came["header"]["request_id"] == "r1", came
    assert came["header"]["source_id"] == client.name, came


def acknowledged(client, server):
    client.run("send", "acked", "--ack")
    came = server.expect("message")
    assert came["data"] == "acked" and came["header"]["wait_for_ack"], came


def drills(client, server):
    client.run("test-send-messages", "-C", "2", "-i", "10", "--ack")
    first, second = server.expect("message"), server.expect("message")
    assert (first["data"], second["data"]) == ('"TEST_MESSAGE 11111"', '"TEST_MESSAGE 22222"')


def asks(client, server):
    (answer,) = client.run("send", "question", "--ask", "--binary", __file__)
    assert answer["data"] == "answer to question", answer
    server.expect("message")


def receives_and_answers(client, server):
    with client.start("receive", "-C", "2", "-W", "40", "--answer", "mine") as child:
        server.expect("peer", name=client.name)
        server.tell(do="send", to=client.name, data="one")
        server.tell(do="ask", to=client.name, data="two")
        answer = server.expect("answer")
        out, complaints = child.communicate(timeout=SOON)
    assert child.returncode == 0, complaints
    assert [json.loads(line)["data"] for line in out.splitlines()] == ["one", "two"], out
    assert answer["data"] == "mine", answer


def sends_files(client, server):
    for name, size in (("small", 1000), ("empty", 0), ("chunked", 25_000)):
        path = server.home / f"up_{name}"
        path.write_bytes(os.urandom(size))
        chunk = "2000" if name == "chunked" and server.knows["chunks"] else "1000000"
        client.run("send", "a file", "--file", path, "--file-name", name, "--chunk", chunk, "--ack")
        stored(server.home / "files" / name, path)


def sends_a_file_behind_a_binary(client, server):
    path = server.home / "up_behind"
    path.write_bytes(os.urandom(3000))
    client.run("send", "x", "--file", path, "--file-name", "behind", "--binary", __file__, "--ack")
    stored(server.home / "files" / "behind", path)


def stored(there, here):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if there.exists() and filecmp.cmp(there, here, shallow=False):
            return
        time.sleep(0.05)
    raise AssertionError(f"{there} is not {here}")


def receives_files(client, server):
    folder = server.home / f"down_{client.name}"
    folder.mkdir()
    with client.start("receive", "-W", "40", "-C", "3", "--folder", f"any={folder}") as child:
        server.expect("peer", name=client.name)
        files = {"d_small": 10, "d_empty": 0, "d_large": 5_000_000}
        for name, size in files.items():
            path = server.home / name
            path.write_bytes(os.urandom(size))
            server.tell(do="file", to=client.name, path=str(path), name=name)
        out, complaints = child.communicate(timeout=SOON)
    assert child.returncode == 0, (out, complaints)
    for name in files:
        stored(folder / name, server.home / name)


def publishes(client, server):
    if not server.knows["pubsub"]:
        return
    reader = Client(client.spindle, server, "reader")
    with reader.start("receive", "-T", "news", "-C", "1", "-W", "40") as child:
        server.expect("peer", name="reader")
        time.sleep(0.5)
        client.run("send", "today", "--publish", "-t", "news")
        out, complaints = child.communicate(timeout=SOON)
    assert json.loads(out)["data"] == "today", (out, complaints)


def stays_out_with_another_certificate(client, server):
    if server.mode != "certificates":
        return
    other = server.home / "other"
    made = subprocess.run([client.spindle, "aio", "create-certificates", other], check=False,
                          capture_output=True)
    assert made.returncode == 0, made
    flags = ["-L", f"127.0.0.1:{server.port}", "-n", "stranger", "--certificates", other]
    done = subprocess.run([client.spindle, "aio", "ping", "-C", "1", *flags], check=False,
                          capture_output=True, timeout=SOON)
    assert done.returncode == 8, done


CHECKS = (pings, sends, acknowledged, drills, asks, receives_and_answers, sends_files,
          sends_a_file_behind_a_binary, receives_files, publishes,
          stays_out_with_another_certificate)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spindle", required=True, type=Path)
    parser.add_argument("--python", required=True, action="append")
    parser.add_argument("--mode", choices=MODES, action="append")
    parser.add_argument("--keep", action="store_true", help="keep what servers wrote")
    args = parser.parse_args()
    spindle, passed, failed = args.spindle.resolve(), 0, 0
    for python in args.python:
        for mode in args.mode or MODES:
            home = Path(tempfile.mkdtemp(prefix="aio-"))
            server = Server(python, mode, home)
            ready = server.knows = server.expect("knows")
            if not ready[mode]:
                server.stop()
                continue
            for check in CHECKS:
                label = f"{ready['version']}.{mode}.{check.__name__}"
                try:
                    name = re.sub("[^a-z0-9]", "", check.__name__)
                    check(Client(spindle, server, name), server)
                    passed += 1
                    print("ok  ", label, flush=True)
                except (AssertionError, subprocess.TimeoutExpired, ValueError) as why:
                    failed += 1
                    print("FAIL", label, why, flush=True)
            server.stop()
            if not args.keep:
                shutil.rmtree(home)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
