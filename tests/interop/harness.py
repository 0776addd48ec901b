"""Checks by name, what each is handed, and how they are run.

A check is a function that gets a `Test` and raises when the broker is wrong. It has topics, client
ids and, if it asks for one, a broker of its own, so that checks run beside each other without
hearing each other. Every check ends: waits inside are bounded, and the run gives up on one that is
not done after `CHECK_S`. Absent on purpose: retries.
"""

import collections
import itertools
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from brokers import Setup
from clients import Driven, Lines, Paho, Rumqttc, driven_ask

CHECK_S = 120


@dataclass
class Check:
    name: str
    run: object
    args: tuple
    #: The clause that puts the standard on our side where the reference fails.
    beyond: str
    #: About something that only this broker has, PRX1 above all.
    own: bool
    #: Runs while nothing else does: it measures time, or needs both cores.
    alone: bool

    @property
    def wamp(self):
        """Is it about WAMP?"""
        return self.run.__module__.startswith("checks.wamp")


CHECKS = []


def check(name, over=((),), beyond="", own=False, alone=False):
    """Make a function a check, or one check for each of `over`, named by its values."""

    def add(function):
        for args in over:
            args = args if isinstance(args, tuple) else (args,)
            full = ".".join([name, *(str(VERSIONS.get(a, a)) for a in args)])
            CHECKS.append(Check(full, function, args, beyond, own, alone))
        return function

    return add


VERSIONS = {3: "v3.1", 4: "v3.1.1", 5: "v5"}
PEERS = ("paho", "mqttjs", "rumqttc")
#: Every client, in both versions, and a transport so that all four see all behaviours.
EACH = tuple(
    (peer, version, ("tcp", "tls", "ws", "wss")[at % 4])
    for at, (peer, version) in enumerate(itertools.product(PEERS, (4, 5)))
)


def same(got, wanted, what="got"):
    if got != wanted:
        raise AssertionError(f"{what} {shown(got)}, wanted {shown(wanted)}")


def that(fact, text):
    if not fact:
        raise AssertionError(text)


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else text[:297] + "..."


def burst(client, topic, payloads, qos, window=16, **props):
    """Publish many, with no more than `window` of them unanswered."""
    waiting = collections.deque()
    for payload in payloads:
        waiting.append(client.send(topic, payload, qos, **props))
        if len(waiting) >= window:
            client.sent(waiting.popleft())
    while waiting:
        client.sent(waiting.popleft())


class World:
    """What all checks share: where the clients are, the certificates, and running brokers."""

    def __init__(self, brand, program, folder, peers, certificates):
        self.brand, self.program, self.folder = brand, program, folder
        self.peers, self.certificates = peers, certificates
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.brokers = {}
        self.all = []
        self.drivers = {}

    def broker(self, setup=None):
        """A broker for this setup that checks share."""
        setup = setup or Setup()
        key = repr(setup)
        with self.lock:
            if key not in self.brokers:
                self.brokers[key] = self._made(setup)
            return self.brokers[key]

    def own_broker(self, setup=None):
        with self.lock:
            return self._made(setup or Setup())

    def _made(self, setup):
        folder = self.folder / f"broker-{next(self.numbers)}"
        broker = self.brand(self.program, folder, self.certificates, setup)
        self.all.append(broker)
        return broker.start()

    def node_lines(self):
        return self._shared("node", ["node", self.peers_folder() / "node" / "driver.js"])

    def wamp_node(self):
        return self._shared("wamp.js", ["node", self.peers_folder() / "node" / "wamp.js"])

    def wamp_python(self):
        driver = self.peers_folder() / "wamp" / "driver.py"
        return self._shared("wamp.py", [sys.executable, driver])

    def aio(self, version):
        """A process that is one client of this version of aioconnectors."""
        driver = self.peers_folder() / "aio" / "driver.py"
        return Lines([self.peers.aioconnectors(version), driver], dict(self.peers.env))

    def wamp_rust(self):
        return Lines([self.peers.wamp_async], None)

    def _shared(self, name, command):
        """A process that drives the clients of many checks; another when it ended."""
        with self.lock:
            lines = self.drivers.get(name)
            if lines is None or lines.process.poll() is not None:
                ca = str(self.certificates.ca)
                env = dict(self.peers.env, NODE_PATH=str(self.peers.node_path),
                           NODE_EXTRA_CA_CERTS=ca, SSL_CERT_FILE=ca)
                lines = self.drivers[name] = Lines(command, env)
            return lines

    @staticmethod
    def peers_folder():
        return Path(__file__).resolve().parent

    def close(self):
        for lines in self.drivers.values():
            lines.end()
        for broker in self.all:
            broker.close()


class Test:
    """What one check is handed."""

    def __init__(self, world):
        self.world = world
        self.number = next(world.numbers)
        self.names = itertools.count(1)
        self.open = []
        self._broker = None

    @property
    def broker(self):
        if self._broker is None:
            self._broker = self.world.broker()
        return self._broker

    def wants(self, setup):
        """A broker that was set up like this, shared with whoever wants the same."""
        self._broker = self.world.broker(setup)
        return self._broker

    def alone_with(self, setup=None):
        """A broker of this check's own."""
        self._broker = self.world.own_broker(setup)
        self.open.append(self._broker)
        return self._broker

    def topic(self, rest=""):
        """A topic nobody else uses."""
        return f"t{self.number}/{rest}" if rest else f"t{self.number}"

    def uri(self, rest=""):
        """A topic or procedure of WAMP nobody else uses."""
        return f"org.t{self.number}.{rest}" if rest else f"org.t{self.number}"

    def id(self):
        return f"c{self.number}-{next(self.names)}"

    @staticmethod
    def until(holds, text, seconds=15):
        """Something holds before long."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(text)
            time.sleep(0.05)

    def tls(self, **more):
        return {"ca": self.world.certificates.ca, **more}

    def make(self, peer="paho", version=5, transport="tcp", tls=None, **options):
        """A client that is not connected yet."""
        tls = tls or self.tls()
        options.setdefault("id", self.id())
        port = self.broker.unix if transport == "unix" else self.broker.ports[transport]
        if peer == "paho":
            client = Paho(port, transport, version, tls, **options)
        else:
            ask = driven_ask(port, transport, version, tls, **options)
            if peer == "mqttjs":
                name = f"{self.number}-{next(self.names)}"
                client = Driven(self.world.node_lines(), name, ask)
            else:
                client = Rumqttc(Lines([self.world.peers.rumqttc], None), None, ask)
        self.open.append(client)
        return client

    def client(self, *args, **options):
        """A client that is connected."""
        return self.make(*args, **options).connect()

    def close(self):
        for thing in reversed(self.open):
            try:
                thing.close()
            except Exception:  # noqa: BLE001 - what is left over is not what was checked
                pass


@dataclass
class Result:
    check: Check
    ok: bool
    seconds: float
    why: str = ""


def run_one(world, check):
    """Run one check in a thread of its own, and wait for it, but not for ever."""
    box = []
    test = Test(world)

    def body():
        try:
            check.run(test, *check.args)
            box.append("")
        except Exception as e:  # noqa: BLE001 - whatever it is, the check failed
            calls = traceback.extract_tb(e.__traceback__)
            lines = [f for f in calls if "checks" in Path(f.filename).parent.name]
            where = f" (line {lines[-1].lineno} of {lines[-1].name})" if lines else ""
            kind = "" if isinstance(e, AssertionError) else f"{type(e).__name__}: "
            box.append(f"{kind}{e}{where}")
            with open(world.folder / "failures.txt", "a") as file:
                file.write(f"{check.name}\n{''.join(traceback.format_exception(e))}\n")

    started = time.monotonic()
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(CHECK_S)
    why = box[0] if box else f"not done after {CHECK_S} s"
    test.close()
    return Result(check, why == "", time.monotonic() - started, why)


def run_all(world, checks, jobs, tell):
    """Run checks, `jobs` at a time; those that want to be alone, alone and last."""
    results = []
    lock = threading.Lock()
    together = iter([c for c in checks if not c.alone])

    def work():
        while True:
            with lock:
                check = next(together, None)
            if check is None:
                return
            result = run_one(world, check)
            with lock:
                results.append(result)
                tell(result)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for check in (c for c in checks if c.alone):
        result = run_one(world, check)
        results.append(result)
        tell(result)
    return results
