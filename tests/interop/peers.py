"""What the clients of others need, installed into a scratch folder, and certificates.

Everything is installed once and found again the next time; nothing is taken from the machine but
the tools that install (pip, npm, cargo, apt) and openssl. mosquitto_pub and mosquitto_sub are taken
from the machine where it has them.
"""

import os
import shutil
import subprocess
import threading
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CROSSBAR = "crossbar==26.10.1"


def ran(command, seconds, **more):
    """Run a command to its end, or say what it wrote."""
    done = subprocess.run(
        [str(c) for c in command],
        timeout=seconds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        **more,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


class Peers:
    """Where each client of others is."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.node_path = scratch / "node" / "node_modules"
        self.rumqttc = scratch / "rumqttc" / "debug" / "interop-rumqttc"
        self.wamp_async = scratch / "wamp-async" / "debug" / "interop-wamp-async"
        self.mosquitto = None
        self.env = dict(os.environ)
        self.lock = threading.Lock()

    def install(self, say):
        self._node(say)
        self._rust(say, self.rumqttc, "rumqttc", "rust")
        self._rust(say, self.wamp_async, "wamp-async", "rust-wamp")
        self._mosquitto(say)
        return self

    def _node(self, say):
        home = self.scratch / "node"
        wanted = (HERE / "node" / "package.json").read_text()
        stamp = home / "installed.json"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        say(f"installing the clients of node into {home}")
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "node" / "package.json", home / "package.json")
        quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        ran(["npm", "install", *quiet], 300, cwd=home)
        stamp.write_text(wanted)

    def _rust(self, say, program, name, folder):
        if not program.exists():
            say(f"building the {name} client")
        manifest = HERE / folder / "Cargo.toml"
        env = dict(self.env, CARGO_TARGET_DIR=str(self.scratch / name))
        ran(["cargo", "build", "--quiet", "--locked", "--manifest-path", manifest], 900, env=env)

    def crossbar(self, say):
        """The reference for WAMP, which wants other versions of what the clients want."""
        home = self.scratch / "crossbar"
        stamp = home / "installed.txt"
        if not (stamp.exists() and stamp.read_text() == CROSSBAR):
            say(f"installing crossbar into {home}")
            venv.create(home, with_pip=True, clear=True)
            pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet",
                   "--disable-pip-version-check"]
            ran([*pip, CROSSBAR], 1200)
            stamp.write_text(CROSSBAR)
        return home / "bin" / "crossbar"

    def aioconnectors(self, version):
        """The interpreter that has this version of aioconnectors; made when it is first wanted."""
        home = self.scratch / f"aioconnectors-{version}"
        stamp = home / "installed.txt"
        with self.lock:
            if not (stamp.exists() and stamp.read_text() == version):
                self._environment(home)
                pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet",
                       "--disable-pip-version-check"]
                ran([*pip, f"aioconnectors=={version}"], 300)
                stamp.write_text(version)
        return home / "bin" / "python"

    @staticmethod
    def _environment(home):
        """Of an older Python, where there is one: since 3.11 the newest version says nothing within
        TLS until it is spoken to."""
        for older in ("python3.10", "python3.9"):
            make = [older, "-m", "venv", "--clear", home]
            if shutil.which(older) and subprocess.run(make, capture_output=True).returncode == 0:
                return
        venv.create(home, with_pip=True, clear=True)

    def _mosquitto(self, say):
        found = shutil.which("mosquitto_sub")
        home = self.scratch / "mosquitto-clients"
        if not found and os.geteuid() == 0 and shutil.which("apt-get"):
            say("installing mosquitto-clients")
            env = dict(self.env, DEBIAN_FRONTEND="noninteractive")
            try:
                ran(["apt-get", "install", "-y", "--no-install-recommends", "mosquitto-clients"],
                    300, env=env)
            except RuntimeError:
                ran(["apt-get", "update"], 300, env=env)
                ran(["apt-get", "install", "-y", "--no-install-recommends", "mosquitto-clients"],
                    300, env=env)
            found = shutil.which("mosquitto_sub")
        if found:
            self.mosquitto = Path(found).parent
            return
        self.mosquitto = home / "usr" / "bin"
        if not (self.mosquitto / "mosquitto_sub").exists():
            say(f"unpacking mosquitto-clients into {home}")
            home.mkdir(parents=True, exist_ok=True)
            packages = ["mosquitto-clients", "libmosquitto1", "libcjson1"]
            ran(["apt-get", "download", *packages], 300, cwd=home)
            for package in sorted(home.glob("*.deb")):
                ran(["dpkg", "-x", package, home], 60)
        libraries = ":".join(str(p.parent) for p in home.glob("usr/lib/**/libmosquitto.so.1"))
        self.env["LD_LIBRARY_PATH"] = libraries


class Certificates:
    """A CA, what it signed, and the same again by a CA nobody trusts. Made anew for each run."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self.ca = self._ca("ca", "interop CA")
        self.other_ca = self._ca("other-ca", "another CA")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
        self.server = self._signed("server", "localhost", "ca", names)
        self.renewed = self._signed("renewed", "localhost", "ca", names)
        client = "extendedKeyUsage=clientAuth\n"
        self.client = self._signed("alice", "alice", "ca", client)
        self.stranger = self._signed("mallory", "mallory", "other-ca", client)
        self.revoked = self._signed("revoked", "alice", "ca", client)
        self.revocations = self._revoke(self.revoked[0])

    def _new(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.folder / f"{name}.key"]

    def _ca(self, name, subject):
        cert = self.folder / f"{name}.crt"
        ran(["openssl", "req", "-x509", *self._new(name), "-out", cert, "-days", "2",
             "-subj", f"/CN={subject}", "-addext", "keyUsage=critical,keyCertSign,cRLSign"], 30)
        return cert

    def _signed(self, name, subject, ca, extensions):
        request, cert = self.folder / f"{name}.csr", self.folder / f"{name}.crt"
        (self.folder / f"{name}.ext").write_text("basicConstraints=CA:FALSE\n" + extensions)
        ran(["openssl", "req", "-new", *self._new(name), "-out", request,
             "-subj", f"/CN={subject}"], 30)
        ran(["openssl", "x509", "-req", "-in", request, "-CA", self.folder / f"{ca}.crt",
             "-CAkey", self.folder / f"{ca}.key", "-CAcreateserial", "-days", "2", "-out", cert,
             "-extfile", self.folder / f"{name}.ext"], 30)
        return cert, self.folder / f"{name}.key"

    def _revoke(self, cert):
        """The list of what the CA takes back: this one."""
        config, crl = self.folder / "ca.cnf", self.folder / "ca.crl"
        (self.folder / "index.txt").touch()
        (self.folder / "crlnumber").write_text("01\n")
        config.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.folder}/index.txt\n"
            f"crlnumber={self.folder}/crlnumber\ndefault_md=sha256\ndefault_crl_days=2\n"
            f"certificate={self.ca}\nprivate_key={self.folder}/ca.key\ncrl_extensions=more\n"
            "[more]\nauthorityKeyIdentifier=keyid:always\n")
        ran(["openssl", "ca", "-config", config, "-revoke", cert], 30)
        ran(["openssl", "ca", "-config", config, "-gencrl", "-out", crl], 30)
        return crl
