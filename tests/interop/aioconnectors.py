"""One face for the clients of aioconnectors: a connector and an application, in a process of their
own for each client, in the version that is asked for.

What the application hears lies in its inbox in the order in which it came; every wait has an end.
A version with `.spindle` behind it is an application of that version beside `spindle connector`.
A client that is connected has had a ping answered.
"""

import base64
import json
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from clients import QUIET_S, WAIT_S

NEWEST, OLDEST = "1.6.3", "1.0.9"
VERSIONS = (NEWEST, OLDEST)
#: Applications of both beside a connector of spindle's.
BESIDE = tuple(f"{version}.spindle" for version in VERSIONS)
ALL = VERSIONS + BESIDE


def old(version):
    """Its application is the oldest."""
    return version.removesuffix(".spindle") == OLDEST


class Message:
    def __init__(self, said):
        self.header = said["header"]
        self.data = base64.b64decode(said["data"] or "")
        self.binary = base64.b64decode(said["binary"] or "")


class Aio:
    """One client."""

    #: What spindle's connector is told beside its configuration.
    words = ()

    def __init__(self, t, version, port, **ask):
        # Names of sockets are short, or they are none.
        self.folder = Path(tempfile.mkdtemp(prefix="aio-"))
        self.name = ask.setdefault("name", t.id())
        ask.setdefault("types", ["any"])
        self.asked = {"port": port, "folder": str(self.folder), **ask}
        number = version.removesuffix(".spindle")
        self.make = lambda: t.world.aio(number)
        self.program = t.world.program if number != version else None
        self.asked["connector"] = self.program is None
        self.lines = self.connector = None
        self.inbox = queue.Queue()

    def start(self):
        """Begin to connect; a client goes on trying for ever."""
        for left in self.folder.glob("uds_path_*"):
            # Of one that was ended without a word; the newest would not begin.
            left.unlink()
        self.lines = self.make()
        self.lines.heard[0] = self._hear
        self.ask("start", **self.asked)
        if self.program:
            self.begin()
        return self

    def begin(self):
        """Start spindle's connector."""
        path = self.folder / "connector.json"
        path.write_text(json.dumps(self.settings()))
        with open(self.folder / "connector.log", "ab") as log:
            self.connector = subprocess.Popen([self.program, "connector", path, *self.words],
                                              stdout=subprocess.PIPE, stderr=log)
        # It says a line when its sockets are there.
        self.connector.stdout.readline()

    def settings(self):
        """What one of Python would be given."""
        asked = self.asked
        received = {"target_directory": f"{self.folder}/received"}
        return {
            "is_server": False, "server_sockaddr": ["127.0.0.1", asked["port"]],
            "client_name": self.name, "connector_files_dirpath": str(self.folder),
            "use_ssl": asked.get("tls", False), "ssl_allow_all": not asked.get("strict", False),
            "certificates_directory_path": str(self.folder),
            "use_token": asked.get("token", False), "tokens_directory_path": str(self.folder),
            "token_verify_peer_cert": asked.get("peer", False),
            "disk_persistence_send": asked.get("keeps", False),
            "send_message_types": asked["types"], "recv_message_types": asked["types"],
            "subscribe_message_types": asked.get("subscribe", []),
            "file_recv_config": {"any": received}, "keep_alive_period": asked.get("keep_alive"),
            **asked.get("config", {}),
        }

    def halt(self, how=signal.SIGKILL):
        """End spindle's connector."""
        if self.connector:
            self.connector.send_signal(how)
            self.connector.communicate()
            self.connector = None

    def freeze(self):
        """Let its connector do nothing more, without an end."""
        process = self.connector or self.lines.process
        process.send_signal(signal.SIGSTOP)

    def proofs(self):
        """Files by which it shows who it is, below its folder."""
        found = [*self.folder.glob("certificates/**/*"), self.folder / self.name]
        return [path.relative_to(self.folder) for path in found if path.is_file()]

    def listen_again(self):
        """Start the application again, beside the connector that runs."""
        for left in self.folder.glob("uds_path_receive_*"):
            left.unlink()
        self.lines = self.make()
        self.lines.heard[0] = self._hear
        self.ask("start", **self.asked)

    def tool(self, name, **more):
        """What the original's own tool is told."""
        return self.ask("tool", name=name, **({"with": more} if more else {}))

    def order(self, *verb):
        """What a verb for a connector that runs prints."""
        command = [self.program, "aio", "--json", *verb, self.folder / "connector.json"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=WAIT_S)
        return json.loads(done.stdout)

    def connect(self, seconds=WAIT_S):
        self.start()
        self.is_there(seconds)
        return self

    def is_there(self, seconds=WAIT_S):
        """A ping comes back."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.ping(2):
                    return
            except AssertionError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not connected within {seconds} s")

    def ping(self, seconds=WAIT_S, data=b"ping"):
        options = {"request_id": int(time.monotonic() * 1e6), "await_response": True}
        got = self.ask("send", seconds, kind="_ping", data=coded(data), options=options)
        return bool(got) and base64.b64decode(got["data"] or "") == data

    def _hear(self, said):
        if said["ev"] == "message":
            self.inbox.put(Message(said))

    def ask(self, do, seconds=WAIT_S, **more):
        answer = queue.Queue()
        self.lines.ask(answer.put, do=do, **more)
        try:
            said = answer.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"{do}: no answer within {seconds} s") from None
        if "no" in said:
            raise AssertionError(f"{do}: {said['no']}")
        return said["ok"]

    def send(self, kind, data=b"", binary=None, **options):
        return self.ask("send", kind=kind, data=coded(data), binary=coded(binary), options=options)

    def publish(self, kind, data=b"", binary=None, **options):
        return self.ask("publish", kind=kind, data=coded(data), binary=coded(binary),
                        options=options)

    def question(self, kind, data=b"", binary=None, request_id=1, seconds=WAIT_S):
        """Ask and wait; a message, or something false."""
        options = {"request_id": request_id, "await_response": True}
        got = self.ask("send", seconds, kind=kind, data=coded(data), binary=coded(binary),
                       options=options)
        return Message(got) if isinstance(got, dict) else got

    def take(self, seconds=WAIT_S):
        try:
            return self.inbox.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no message within {seconds} s") from None

    def nothing(self, seconds=QUIET_S):
        try:
            came = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"a message that should not have come: {came.header}")

    def certificates(self):
        """Where it keeps its own, and those it begins with."""
        return self.folder / "certificates" / "client" / "client-certs"

    def received(self, name):
        """Where a file of this name was put."""
        return self.folder / "received" / name

    def file(self, name, content):
        """A file to be sent."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def stop(self):
        """End it in an orderly way: it says goodbye to what it listens to."""
        if self.program:
            self.halt(signal.SIGTERM)
        else:
            self.ask("stop")
        self.end()

    def end(self):
        """End it without a word."""
        self.halt()
        if self.lines:
            self.lines.end()

    def close(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Server(Aio):
    """Spindle's connector as a server, and an application of this version beside it."""

    #: It lets in as the original does.
    words = ("--enrol", "anyone")

    def __init__(self, t, version, **ask):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        super().__init__(t, version, port, server=True, **ask)
        self.program = t.world.program
        self.asked["connector"] = False
        self.t = t

    def settings(self):
        """What one of Python would be given."""
        asked = self.asked
        return {
            "is_server": True, "server_sockaddr": ["127.0.0.1", asked["port"]],
            "connector_files_dirpath": str(self.folder),
            "use_ssl": asked.get("tls", False), "ssl_allow_all": not asked.get("strict", False),
            "certificates_directory_path": str(self.folder),
            "use_token": asked.get("token", False), "tokens_directory_path": str(self.folder),
            "token_verify_peer_cert": asked.get("peer", False),
            "disk_persistence_send": asked.get("keeps", False),
            "send_message_types": asked["types"], "recv_message_types": asked["types"],
            "file_recv_config": {"any": {"target_directory": f"{self.folder}/received"}},
            **asked.get("config", {}),
        }

    def certify(self):
        """Make the certificates of a server and its clients, by the original."""
        make = [self.t.world.peers.aioconnectors(NEWEST), "-m", "aioconnectors",
                "create_certificates", self.folder]
        subprocess.run(make, capture_output=True, timeout=60)
        return self

    def client(self, version, **ask):
        """A client of this server that does not connect yet, with the default certificate if there
        is one."""
        ask = {key: self.asked.get(key, False) for key in ("tls", "strict", "token", "peer")} | ask
        client = Aio(self.t, version, self.asked["port"], **ask)
        self.t.open.append(client)
        has = self.folder / "certificates" / "client"
        if has.is_dir():
            shutil.copytree(has, client.folder / "certificates" / "client", dirs_exist_ok=True)
            # Until version 1.2.0 it was called otherwise.
            server = client.folder / "certificates" / "client" / "server-cert"
            shutil.copy(server / "server.pem", server / "server.crt")
        return client

    def peers(self):
        return set(self.order("peers")["peers"])

    def say(self, to, kind, data=b"", binary=None, **options):
        return self.send(kind, data, binary, destination_id=to, **options)

    def question_to(self, to, kind, data=b"", binary=None, request_id=1, seconds=WAIT_S):
        options = {"request_id": request_id, "await_response": True, "destination_id": to}
        got = self.ask("send", seconds, kind=kind, data=coded(data), binary=coded(binary),
                       options=options)
        return Message(got) if isinstance(got, dict) else got


def server(t, version, **ask):
    """One that runs."""
    it = Server(t, version, **ask)
    t.open.append(it)
    return it.start()


def coded(data):
    return None if data is None else base64.b64encode(data).decode()


def made(t, version, tls=False, **ask):
    """A client that does not connect yet."""
    port = t.broker.ports["aios" if tls else "aio"]
    client = Aio(t, version, port, tls=tls, **ask)
    t.open.append(client)
    return client


def client(t, version, **ask):
    return made(t, version, **ask).connect()
