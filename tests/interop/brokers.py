"""A broker as a process: spindle, or mosquitto or crossbar as what the checks were tried on.

A broker has free ports of 127.0.0.1 and a data folder of its own, and keeps both over a restart.
What is wanted of it is said once, in words of neither (`users`, `limits`), and spelled for each.
Only what was started here is ended here, by its id.
"""

import base64
import hashlib
import hmac
import json
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
    #: server_keepalive, packet_max, receive_max, qos_max, retain_ok, alias_max, aio_silence_ms,
    #: silence_ms
    limits: dict = field(default_factory=dict)
    #: Nobody comes in over TLS without a certificate.
    certificate_needed: bool = False
    #: The name in the certificate is the user.
    certificate_names: bool = False
    #: The list of revoked certificates is heeded.
    revocations: bool = False
    #: What else is said of listeners, as in their URLs: {"aios": "tokens=/path"}.
    options: dict = field(default_factory=dict)
    #: Realms of WAMP beside the one that is always there.
    realms: list = field(default_factory=list)
    #: What a user of `users` proves itself with in WAMP if not with its password:
    #: {"cryptosign": public key} or {"salt": text}, by name.
    proofs: dict = field(default_factory=dict)


ARGON_ROUNDS, ARGON_KIB = 1, 512


def argon2id(name, password):
    """A salt, and what a broker keeps of a password for SCRAM over Argon2id: the pair of keys of
    the standard, and that of autobahn, which takes the text of the hash for the hash."""
    from argon2.low_level import Type, hash_secret

    salt = hashlib.sha256(name.encode()).digest()[:16]
    made = hash_secret(password.encode(), salt, ARGON_ROUNDS, ARGON_KIB, 1, 32, Type.ID, 0x13)
    text = made.split(b"$")[-1]
    pairs = []
    for salted in (base64.b64decode(text + b"="), text):
        client = hmac.digest(salted, b"Client Key", "sha256")
        server = hmac.digest(salted, b"Server Key", "sha256")
        pairs.append((hashlib.sha256(client).digest(), server))
    return salt, *pairs


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
    #: The realm that is always there, and what WebSocket clients of WAMP ask for.
    wamp_realm = "default"
    wamp_path = "ws"
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

    def wamp_place(self, transport):
        """The port, or the socket in the file system, that WAMP comes in at."""
        return self.unix if transport == "unix" else self.ports[transport]

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
    """The broker this is all about.

    What it is expected to be told for WAMP stands here and nowhere else: the listeners that tell
    protocols apart take WAMP in, `--realm` adds a realm, a user's group is its role, and keys stand
    in the users file.
    """

    WAMP_PLACES = {"ws": "any", "tcp": "any", "wss": "anys", "tls": "anys"}

    #: One port for all protocols, the same over TLS, and one behind a proxy that is trusted.
    more_ports = ("prx1", "any", "anys", "proxied", "wamp", "wamps", "aio", "aios")
    SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "proxied": "mqtt"}
    LIMITS = {
        "server_keepalive": "server_keepalive_s",
        "packet_max": "packet_bytes_max",
        "receive_max": "receive_max",
        "qos_max": "qos_max",
        "retain_ok": "retain_ok",
        "alias_max": "alias_max",
        "aio_silence_ms": "aio_idle_ms_max",
        "silence_ms": "idle_ms_max",
    }

    def wamp_place(self, transport):
        if transport == "unix":
            return self.folder / "any"
        return self.ports[self.WAMP_PLACES[transport]]

    def _proof(self, name, password, wamp):
        """The lines of the users file that say how this user proves to be that user."""
        own = self.setup.proofs.get(name, {})
        if "cryptosign" in own:
            return [f'cryptosign = "{own["cryptosign"]}"']
        if "salt" in own:
            made = hashlib.pbkdf2_hmac("sha256", password.encode(), own["salt"].encode(), 1000, 32)
            key = base64.b64encode(made).decode()
            return [f'wampcra = "WAMP-CRA$1000:{own["salt"]}${key}"']
        if password is None:
            return ["certificate = true"]
        lines = [f'shared_secret = "{password}"']
        if wamp:
            salt, *pairs = argon2id(name, password)
            pairs = "$".join(":".join(base64.b64encode(k).decode() for k in p) for p in pairs)
            salt = base64.b64encode(salt).decode()
            cost = f"{ARGON_ROUNDS},{ARGON_KIB}"
            lines += [f'scram_argon2id = "SCRAM-ARGON2ID${cost}:{salt}${pairs}"']
        return lines

    def _rules(self, rules, wamp):
        """To call is to request, to offer is to listen; what the router offers is for all."""
        words = {"call": "request", "register": "subscribe"}
        out = [" ".join(words.get(word, word) for word in rule.split(" ")) for rule in rules]
        meta = ["can request wamp/*", "can subscribe wamp/*"] if wamp else []
        return list(dict.fromkeys([*out, *meta]))

    def write_files(self):
        if not self.setup.users:
            return
        lines = ['mode = "strict"']
        wamp = any("can call " in rule for _, _, rules in self.setup.users for rule in rules)
        for name, _, rules in self.setup.users:
            rules = self._rules(rules, wamp)
            lines += [f"[groups.of_{name}]", f"rules = {rules!r}".replace("'", '"')]
        for name, password, _ in self.setup.users:
            lines += ["[[users]]", f'name = "{name}"', f'group = "of_{name}"']
            lines += self._proof(name, password, wamp)
        (self.folder / "users.toml").write_text("\n".join(lines) + "\n")

    def command(self):
        own = self.certificates
        args = [self.program, "serve", "--data", self.folder / "data"]
        for name, port in self.ports.items():
            scheme, tail = self.SCHEMES.get(name, name), "?proxy=on" if name == "proxied" else ""
            tail = "?" + self.setup.options[name] if name in self.setup.options else tail
            args += ["--listen", f"{scheme}://127.0.0.1:{port}{tail}"]
        args += ["--listen", f"unix:{self.unix}?speak=mqtt", "--trusted-proxy", "127.0.0.0/8"]
        args += ["--listen", f"unix:{self.folder / 'any'}?speak=any"]
        for realm in ["default?modify=on", *self.setup.realms]:
            args += ["--realm", realm]
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


class Crossbar(Broker):
    """The reference for WAMP, in an environment of its own: `program` is its command."""

    #: Every role may do everything everywhere where no rule says otherwise.
    EVERYTHING = {"call": True, "register": True, "publish": True, "subscribe": True}

    def _answers(self, end):
        """Its sockets listen before its realms are there: wait for a WELCOME."""
        hello = json.dumps([1, self.wamp_realm, {"roles": {"caller": {}}}]).encode()
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.ports["tcp"]), 1) as s:
                    s.settimeout(2)
                    s.sendall(b"\x7f\xf1\0\0")
                    s.recv(4)
                    s.sendall(len(hello).to_bytes(4, "big") + hello)
                    # Whoever needs a password is up when it refuses.
                    said = s.recv(1024)[4:]
                    if said[:3] == b"[2," or (said[:3] == b"[3," and b"no_such_realm" not in said):
                        return True
            except OSError:
                pass
            time.sleep(0.1)
        return False

    def _permissions(self, rules):
        if rules is None:
            return [{"uri": "", "match": "prefix", "allow": self.EVERYTHING, "cache": True,
                     "disclose": {"caller": False, "publisher": False}}]
        out = {}
        for rule in rules:
            _, action, resource = rule.split(" ", 2)
            uri = resource.replace("/", ".")
            at = (uri.rstrip("*"), "prefix") if uri.endswith("*") else (uri, "exact")
            out.setdefault(at, set()).add(action)
        made = [{"uri": uri, "match": match, "cache": True,
                 "allow": {name: name in actions for name in self.EVERYTHING},
                 "disclose": {"caller": False, "publisher": False}}
                for (uri, match), actions in out.items()]
        meta = {"uri": "wamp.", "match": "prefix", "cache": True,
                "allow": {**self.EVERYTHING, "register": False, "publish": False},
                "disclose": {"caller": False, "publisher": False}}
        return [*made, meta]

    def _roles(self):
        if not self.setup.users:
            return [{"name": "anonymous", "permissions": self._permissions(None)}]
        return [{"name": f"of_{name}", "permissions": self._permissions(rules)}
                for name, _, rules in self.setup.users]

    def _auth(self):
        if not self.setup.users:
            return {"anonymous": {"type": "static", "role": "anonymous"}}
        tickets, secrets, keys, scrams = {}, {}, {}, {}
        for name, password, _ in self.setup.users:
            role, own = f"of_{name}", self.setup.proofs.get(name, {})
            if "cryptosign" in own:
                keys[name] = {"authorized_keys": [own["cryptosign"]], "role": role}
                continue
            tickets[name] = {"ticket": password, "role": role}
            secrets[name] = {"secret": password, "role": role}
            if "salt" in own:
                secrets[name] |= {"salt": own["salt"], "iterations": 1000, "keylen": 32}
            scrams[name] = {**self._scram(name, password), "role": role}
        made = {"ticket": {"type": "static", "principals": tickets},
                "wampcra": {"type": "static", "users": secrets},
                "scram": {"type": "static", "principals": scrams}}
        if keys:
            made["cryptosign"] = {"type": "static", "principals": keys}
        return made

    @staticmethod
    def _scram(name, password):
        salt, _, (stored, server) = argon2id(name, password)
        return {"kdf": "argon2id-13", "iterations": ARGON_ROUNDS, "memory": ARGON_KIB,
                "salt": salt.hex(), "stored-key": stored.hex(), "server-key": server.hex()}

    def _transport(self, name):
        raw = name in ("tcp", "tls", "unix")
        if name == "unix":
            end = {"type": "unix", "path": str(self.unix)}
        else:
            end = {"type": "tcp", "port": self.ports[name], "interface": "127.0.0.1"}
        if name in ("tls", "wss"):
            end["tls"] = {"certificate": str(self.cert), "key": str(self.key)}
        made = {"type": "rawsocket" if raw else "websocket", "endpoint": end,
                "serializers": ["json", "msgpack", "cbor"], "auth": self._auth()}
        if raw:
            made["options"] = {"max_message_size": 16 << 20}
        return made

    def write_files(self):
        home = self.folder / ".crossbar"
        home.mkdir(exist_ok=True)
        realms = [{"name": name, "roles": self._roles(),
                   "store": {"type": "memory"}} for name in (self.wamp_realm, *self.setup.realms)]
        worker = {"type": "router", "realms": realms,
                  "transports": [self._transport(n) for n in (*TRANSPORTS, "unix")]}
        config = {"version": 2, "controller": {}, "workers": [worker]}
        (home / "config.json").write_text(json.dumps(config, indent=1))

    def command(self):
        return [self.program, "start", "--cbdir", self.folder / ".crossbar", "--loglevel", "warn"]

    def kill(self):
        """Its router is a process of its own that ends with it, if it is asked to."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_S)
