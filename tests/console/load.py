"""A broker of its own, and clients of MQTT that are just enough: many of them in one thread."""

import hashlib
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request

from browser import free_port, until

PASSWORD = "s3cret of the console"
TOKEN = "token-of-a-person"
USERS = """mode = "strict"
[groups.all]
type = "normal"
rules = ["can publish #", "can subscribe #"]
[groups.some]
type = "normal"
rules = ["can subscribe open/#"]
[[users]]
name = "plant"
group = "all"
shared_secret = "word"
[[users]]
name = "guest"
group = "some"
shared_secret = "word"
"""


class Broker:
    """The program under test, on ports of its own, with an operator and a viewer."""

    def __init__(self, program, folder):
        self.program, self.folder = str(program), folder
        self.mqtt, self.mqtts, self.http = free_port(), free_port(), free_port()
        made = subprocess.run(
            [self.program, "hash"], input=PASSWORD, capture_output=True, text=True, check=True
        )
        self.hash = made.stdout.split()[-1]
        self.certificates = f"{folder}/certs"
        for words in [["ca"], ["server"]]:
            command = [self.program, "certs", "--dir", self.certificates, *words]
            subprocess.run(command, capture_output=True, check=True)
        (folder / "users.toml").write_text(USERS)
        (folder / "spindle.toml").write_text(self._configuration())
        self.running = None

    def _configuration(self):
        admins = "".join(
            f'[[admin.user]]\nname = "{name}"\npassword = "{self.hash}"\nrole = "{role}"\n'
            for name, role in [("ann", "operator"), ("vic", "viewer")]
        )
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        admins += f'[[admin.token]]\nname = "tok"\nsha256 = "{digest}"\nrole = "viewer"\n'
        return (
            f'data = "{self.folder}/data"\nusers = "{self.folder}/users.toml"\n'
            f'[log]\nlevel = "warn"\nfile = "{self.folder}/broker.log"\n'
            f'[admin]\nlisten = "http://127.0.0.1:{self.http}"\n{admins}'
            f'[tls]\ncert = "{self.certificates}/server.pem"\n'
            f'key = "{self.certificates}/server.key"\n'
            f'[[listener]]\nurl = "mqtt://127.0.0.1:{self.mqtt}"\n'
            f'[[listener]]\nurl = "mqtts://127.0.0.1:{self.mqtts}"\n'
            f'[limits]\nhistory_clients_max = 20000\n'
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http}/"

    def start(self):
        out = open(self.folder / "broker.out", "a")
        command = [self.program, "serve", "-c", str(self.folder / "spindle.toml")]
        self.running = subprocess.Popen(command, stdout=out, stderr=out)
        until(self.is_ready, "the broker is ready")

    def is_ready(self):
        if self.running.poll() is not None:
            said = [self.folder / name for name in ("broker.out", "broker.log")]
            raise AssertionError("".join(p.read_text() for p in said if p.exists()))
        try:
            return urllib.request.urlopen(self.url + "readyz", timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        if self.running and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            try:
                self.running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()


def text(value):
    value = value.encode()
    return struct.pack(">H", len(value)) + value


def packet(first, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([first]) + length + body


def connect(client_id, user="plant", keepalive=3600, clean=True):
    flags = 0xC0 | (2 if clean else 0)
    head = text("MQTT") + bytes([4, flags]) + struct.pack(">H", keepalive)
    return packet(0x10, head + text(client_id) + text(user) + text("word"))


def publish(topic, payload, retain=False):
    return packet(0x30 | (1 if retain else 0), text(topic) + payload)


def forward(path):
    """A port of this machine that leads to a socket with a name, as `ssh -L` would make it."""
    door = socket.create_server(("127.0.0.1", 0), backlog=64)

    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            near, _ = door.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(path)
            for pair in [(near, far), (far, near)]:
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return door.getsockname()[1]


class Client:
    """One client that waits for what it is told."""

    def __init__(self, broker, client_id, **options):
        self.socket = socket.create_connection(("127.0.0.1", broker.mqtt), timeout=15)
        self.socket.sendall(connect(client_id, **options))
        first, body = self.packet()
        assert (first, body[1:]) == (0x20, b"\x00"), f"{client_id} was not let in: {body}"

    def _exactly(self, n):
        got = b""
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def packet(self):
        first = self._exactly(1)[0]
        length, shift = 0, 0
        while True:
            digit = self._exactly(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first, self._exactly(length)

    def subscribe(self, topic, qos=0):
        self.socket.sendall(packet(0x82, b"\x00\x01" + text(topic) + bytes([qos])))
        assert self.packet()[0] == 0x90

    def publish(self, topic, payload, retain=False):
        self.socket.sendall(publish(topic, payload, retain))

    def message(self):
        """The next message: its topic and its payload."""
        while True:
            first, body = self.packet()
            if first & 0xF0 == 0x30:
                n = struct.unpack(">H", body[:2])[0]
                at = 2 + n + (2 if first & 6 else 0)
                return body[2 : 2 + n].decode(), body[at:]

    def is_gone(self, seconds=10):
        """Has the broker closed it?"""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(4096):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()


class Crowd:
    """Clients that are only there, and clients that publish now and then, in one thread."""

    def __init__(self, broker, idle, busy):
        self.selector = selectors.DefaultSelector()
        self.over = False
        self.sent = 0
        self.idle = [f"idle-{n:05}" for n in range(idle)]
        names = self.idle + [f"busy-{n:03}" for n in range(busy)]
        sockets = []
        for start in range(0, len(names), 200):
            some = []
            for name in names[start : start + 200]:
                one = socket.create_connection(("127.0.0.1", broker.mqtt), timeout=30)
                one.sendall(connect(name))
                some.append(one)
            for one in some:
                assert one.recv(4) == b"\x20\x02\x00\x00"
            sockets += some
        self.sockets = sockets
        self.publishers = sockets[idle:]
        self.reader = Client(broker, "reader")
        self.reader.subscribe("load/#")
        for one in [*sockets, self.reader.socket]:
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()

    def _go(self):
        at, due = 0, time.monotonic()
        while not self.over:
            for key, _ in self.selector.select(0.02):
                try:
                    if key.fileobj.recv(65536):
                        continue
                except OSError:
                    pass
                self.selector.unregister(key.fileobj)
            # Ten times a second a fifth of them publish.
            if time.monotonic() < due or not self.publishers:
                continue
            due += 0.1
            for _ in range(max(1, len(self.publishers) // 5)):
                at = (at + 1) % len(self.publishers)
                payload = b'{"n":%d,"t":%.6f}' % (self.sent, time.time())
                try:
                    self.publishers[at].send(publish(f"load/{at % 40}/value", payload))
                    self.sent += 1
                except OSError:
                    pass

    def close(self):
        self.over = True
        self.thread.join(timeout=10)
        for one in [*self.sockets, self.reader.socket]:
            one.close()


def files_for(clients):
    """Raise the number of descriptors as far as it goes; so many clients may be."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + 2000
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        soft = max(soft, most)
    return min(clients, soft - 2000) if soft < wanted else clients


__all__ = ["Broker", "Client", "Crowd", "PASSWORD", "TOKEN", "files_for", "forward"]
