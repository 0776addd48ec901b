"""A broker as a process: spindle, or mosquitto as the reference that the checks were tried on.

A broker has free ports of 127.0.0.1 and a data folder of its own, and keeps both over a restart.
What is wanted of it is said once, in words of neither (`users`, `limits`), and spelled for each.
Only what was started here is ended here, by its id.
"""

import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

TRANSPORTS = ("tcp", "tls", "ws", "wss")
START_S = 60
STOP_S = 15


@dataclass
class Setup:
    """What a broker is wanted for."""

    #: (name, password, [rules]); a rule is "can publish a/*" in the star grammar, and a password
    #: of None is one who comes in by a certificate.
    users: list = field(default_factory=list)
    #: server_keepalive, packet_max, receive_max, qos_max, retain_ok, alias_max
    limits: dict = field(default_factory=dict)
    #: Nobody comes in over TLS without a certificate.
    certificate_needed: bool = False
    #: The name in the certificate is the user.
    certificate_names: bool = False
    #: The list of revoked certificates is heeded.
    revocations: bool = False


class Ports:
    """Free ports, none of them handed out twice."""

    def __init__(self):
        self.lock = threading.Lock()
        self.given = set()

    def take(self):
        with self.lock:
            while True:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    port = s.getsockname()[1]
                if port not in self.given:
                    self.given.add(port)
                    return port


PORTS = Ports()


class Broker:
    """One broker, running or not."""

    more_ports = ()
    #: The shortest keep-alive that the broker can be told to ask for.
    server_keepalive_least = 2

    def __init__(self, program, folder, certificates, setup):
        self.program = program
        self.folder = folder
        self.certificates = certificates
        self.setup = setup
        self.process = None
        self.ports = {}
        self.log = folder / "broker.log"
        folder.mkdir(parents=True)
        self.unix = folder / "socket"
        #: Its own copies, so that they can be renewed.
        self.cert, self.key = folder / "server.crt", folder / "server.key"
        self.certify(certificates.server)

    def certify(self, pair):
        shutil.copy(pair[0], self.cert)
        shutil.copy(pair[1], self.key)

    def start(self):
        again = bool(self.ports)
        for _ in range(1 if again else 3):
            self.ports = self.ports or self._free()
            self.write_files()
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [str(a) for a in self.command()],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
            if self._is_up():
                return self
            self.kill()
            # Somebody else may have taken a port; who comes back needs the ones it had.
            self.ports = self.ports if again else {}
        raise RuntimeError(f"the broker does not start; its last lines:\n{self.last_lines()}")

    def _free(self):
        return {name: PORTS.take() for name in (*TRANSPORTS, *self.more_ports)}

    def _is_up(self):
        end = time.monotonic() + START_S
        for port in self.ports.values():
            while True:
                if self.process.poll() is not None or time.monotonic() > end:
                    return False
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.02)
        return self._answers(end)

    def _answers(self, end):
        """A socket may listen before anybody is ready to serve: wait for a CONNACK."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports["tcp"]), 1) as s:
                s.settimeout(max(0.1, end - time.monotonic()))
                s.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x0a\x00\x02up")
                return s.recv(4)[:1] == b"\x20"
        except OSError:
            return False

    def stop(self):
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the broker did not stop within {STOP_S} s") from None

    def kill(self):
        """End it without a warning."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def last_lines(self, count=15):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-count:])

    def close(self):
        self.kill()

    def write_files(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError


class Spindle(Broker):
    """The broker this is all about."""

    #: One port for all protocols, the same over TLS, and one behind a proxy that is trusted.
    more_ports = ("prx1", "any", "anys", "proxied")
    SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "proxied": "mqtt"}
    LIMITS = {
        "server_keepalive": "server_keepalive_s",
        "packet_max": "packet_bytes_max",
        "receive_max": "receive_max",
        "qos_max": "qos_max",
        "retain_ok": "retain_ok",
        "alias_max": "alias_max",
    }

    def write_files(self):
        if not self.setup.users:
            return
        lines = ['mode = "strict"']
        for name, _, rules in self.setup.users:
            lines += [f"[groups.of_{name}]", f"rules = {list(rules)!r}".replace("'", '"')]
        for name, password, _ in self.setup.users:
            lines += ["[[users]]", f'name = "{name}"', f'group = "of_{name}"']
            proof = "certificate = true" if password is None else f'shared_secret = "{password}"'
            lines += [proof]
        (self.folder / "users.toml").write_text("\n".join(lines) + "\n")

    def command(self):
        own = self.certificates
        args = [self.program, "serve", "--data", self.folder / "data"]
        for name, port in self.ports.items():
            scheme, tail = self.SCHEMES.get(name, name), "?proxy=on" if name == "proxied" else ""
            args += ["--listen", f"{scheme}://127.0.0.1:{port}{tail}"]
        args += ["--listen", f"unix:{self.unix}?speak=mqtt", "--trusted-proxy", "127.0.0.0/8"]
        args += ["--tls-cert", self.cert, "--tls-key", self.key, "--tls-ca", own.ca]
        needed = "required" if self.setup.certificate_needed else "optional"
        args += ["--tls-client-cert", needed]
        if self.setup.certificate_names:
            args += ["--tls-identity", "subject"]
        if self.setup.revocations:
            args += ["--tls-crl", own.revocations]
        if self.setup.users:
            args += ["--users", self.folder / "users.toml"]
        # Room for the large messages of the checks, unless a check is about the limit itself.
        for name, value in ({"packet_max": 32 << 20} | self.setup.limits).items():
            value = str(value).lower() if isinstance(value, bool) else value
            args += ["--limit", f"{self.LIMITS[name]}={value}"]
        return args


class Mosquitto(Broker):
    """The reference."""

    server_keepalive_least = 10

    def write_files(self):
        own, folder = self.certificates, self.folder
        (folder / "data").mkdir(exist_ok=True)
        lines = [
            "per_listener_settings false", "user root", "persistence true",
            f"persistence_location {folder}/data/",
            "max_queued_messages 0", "max_queued_bytes 0", "log_dest stderr", "sys_interval 1",
        ]
        lines += self._access()
        limits = self.setup.limits
        for name, spelled in (("server_keepalive", "max_keepalive"),
                              ("packet_max", "max_packet_size"),
                              ("receive_max", "max_inflight_messages"),
                              ("retain_ok", "retain_available")):
            if name in limits:
                lines.append(f"{spelled} {str(limits[name]).lower()}")
        for name in TRANSPORTS:
            lines.append(f"listener {self.ports[name]} 127.0.0.1")
            if name in ("ws", "wss"):
                lines.append("protocol websockets")
            if name in ("tls", "wss"):
                lines += [f"cafile {own.ca}", f"certfile {self.cert}", f"keyfile {self.key}"]
                if self.setup.certificate_needed:
                    lines.append("require_certificate true")
                if self.setup.certificate_names:
                    lines.append("use_identity_as_username true")
                if self.setup.revocations:
                    lines.append(f"crlfile {own.revocations}")
        lines.append(f"listener 0 {self.unix}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _access(self):
        if not self.setup.users:
            return ["allow_anonymous true"]
        passwords, rules = self.folder / "passwords", self.folder / "rules"
        maker = shutil.which("mosquitto_passwd")
        passwords.unlink(missing_ok=True)
        passwords.touch()
        lines = []
        for name, password, allowed in self.setup.users:
            if password is not None:
                subprocess.run([maker, "-H", "sha512", "-b", passwords, name, password],
                               check=True, timeout=10, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            lines.append(f"user {name}")
            for rule in allowed:
                _, action, resource = rule.split(" ", 2)
                action = {"publish": "write", "subscribe": "read"}[action]
                lines.append(f"topic {action} {resource.replace('*', '#')}")
        rules.write_text("\n".join(lines) + "\n")
        return ["allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}"]

    def command(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        return [program, "-c", self.folder / "mosquitto.conf"]
