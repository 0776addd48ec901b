#!/usr/bin/env python3
"""spindle's client of aioconnectors, and its connector, against servers of the original.

    tests/interop/aio_client.py --spindle target/release/spindle --python VENV/bin/python [...]

Each `--python` is an interpreter that has aioconnectors installed, of any version since 1.0.9; each
is tried without TLS, in TLS that checks nobody, with certificates, and with tokens where it knows
them; applications of the same version sit beside the connector. Every check prints a line; the last is `N passed, N failed`, and the exit code is 0 only if
nothing failed. Absent on purpose: installing anything.
"""

import argparse
import base64
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

    def __init__(self, python, mode, home, port=None):
        self.home, self.mode, self.python = home, mode, python
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = port or probe.getsockname()[1]
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


class Application:
    """An application of the original beside spindle's connector."""

    def __init__(self, client, server, **config):
        self.home = Path(tempfile.mkdtemp(prefix="aio-"))
        self.name, self.spindle = client.name, client.spindle
        types = ["any", "news"]
        self.config = {
            "is_server": False, "server_sockaddr": ["127.0.0.1", server.port],
            "client_name": self.name, "connector_files_dirpath": str(self.home),
            "use_ssl": server.mode != "plain",
            "ssl_allow_all": server.mode in ("allow_all", "token"),
            "use_token": server.mode == "token",
            "certificates_directory_path": str(server.home),
            "tokens_directory_path": str(server.home / "tokens"),
            "send_message_types": types, "recv_message_types": types,
            "file_recv_config": {"any": {"target_directory": f"{self.home}/received"}}, **config}
        self.path = self.home / "connector.json"
        self.path.write_text(json.dumps(self.config))
        driver = [server.python, HERE / "aio" / "driver.py"]
        self.driver = subprocess.Popen(driver, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.answers, self.inbox, self.asked = {}, queue.Queue(), 0
        threading.Thread(target=self.listen, daemon=True).start()
        self.ask("start", port=server.port, folder=str(self.home), name=self.name, types=types,
                 connector=False, answers=True)
        self.connector = subprocess.Popen([self.spindle, "connector", self.path],
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.connector.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.connector, self.driver):
            process.terminate()
            process.communicate()
        shutil.rmtree(self.home, ignore_errors=True)

    def listen(self):
        for line in self.driver.stdout:
            said = json.loads(line)
            (self.answers[said["n"]] if "n" in said else self.inbox).put(said)

    def ask(self, do, **more):
        self.asked += 1
        answer = self.answers[self.asked] = queue.Queue()
        self.driver.stdin.write(json.dumps({"n": self.asked, "do": do, **more}) + "\n")
        self.driver.stdin.flush()
        try:
            said = answer.get(timeout=SOON)
        except queue.Empty:
            raise AssertionError(f"{do}: no answer") from None
        assert "ok" in said, said
        return said["ok"]

    def send(self, data, kind="any", **options):
        data = base64.b64encode(data.encode()).decode()
        got = self.ask("send", kind=kind, data=data, options=options)
        return base64.b64decode(got["data"] or "").decode() if isinstance(got, dict) else got

    def take(self):
        try:
            return base64.b64decode(self.inbox.get(timeout=SOON)["data"]).decode()
        except queue.Empty:
            raise AssertionError("no message") from None

    def order(self, *verb):
        command = [self.spindle, "aio", "--json", *verb, self.path]
        done = subprocess.run(command, capture_output=True, check=False, timeout=SOON)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def is_there(self):
        end = time.monotonic() + SOON
        while not self.order("peers")["peers"]:
            assert time.monotonic() < end, "it does not connect"
            time.sleep(0.1)


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


def serves_applications(client, server):
    with Application(client, server) as app:
        server.expect("peer", name=app.name)
        app.is_there()
        for n in range(20):
            app.send(f"one {n}", request_id=n, wait_for_ack=n % 2 == 0)
        for n in range(20):
            came = server.expect("message")
            assert came["data"] == f"one {n}" and came["header"]["request_id"] == n, came
        assert app.send("question", request_id="q", await_response=True) == "answer to question"
        server.expect("message")
        assert app.send("ping", kind="_ping", request_id=1, await_response=True) == "ping"
        server.tell(do="send", to=app.name, data="two")
        server.tell(do="ask", to=app.name, data="three")
        assert server.expect("answer")["data"] == "answer to three"
        assert (app.take(), app.take()) == ("two", "three")


def brings_files_of_applications(client, server):
    with Application(client, server) as app:
        server.expect("peer", name=app.name)
        app.is_there()
        for name, size in (("a_small", 1000), ("a_empty", 0), ("a_large", 30_000_000)):
            path = app.home / name
            path.write_bytes(os.urandom(size))
            with_file = dict(src_path=str(path), dst_type="any", dst_name=name, delete=False)
            app.send("a file", with_file=with_file)
            stored(server.home / "files" / name, path)
            server.expect("message")
        path = server.home / "to_application"
        path.write_bytes(os.urandom(5_000_000))
        server.tell(do="file", to=app.name, path=str(path), name="came")
        assert app.take() == "a file"
        stored(app.home / "received" / "came", path)


def keeps_for_a_server_that_is_away(client, server):
    if server.mode != "plain":
        return
    home = Path(tempfile.mkdtemp(prefix="aio-"))
    away = Server(server.python, "plain", home)
    try:
        with Application(client, away, disk_persistence_send=True) as app:
            app.is_there()
            app.send("before")
            assert away.expect("message")["data"] == "before"
            away.stop()
            for n in range(50):
                app.send(str(n))
            for left in (home / "run").glob("uds_*"):
                left.unlink()
            away = Server(server.python, "plain", home, away.port)
            came = [away.expect("message")["data"] for _ in range(50)]
            assert came == [str(n) for n in range(50)], came
    finally:
        away.stop()
        shutil.rmtree(home, ignore_errors=True)


CHECKS = (pings, sends, acknowledged, drills, asks, receives_and_answers, sends_files,
          sends_a_file_behind_a_binary, receives_files, publishes,
          serves_applications, brings_files_of_applications, keeps_for_a_server_that_is_away,
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
