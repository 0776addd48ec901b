#!/usr/bin/env python3
"""spindle beside crossbar, both as routers of WAMP, on one machine.

Starts both on one core, runs `spindle bench compare` from another, case by case, and prints a table
as Markdown with what is aimed at. Over a RawSocket, or with `--ws` over a WebSocket. Round trips are
also those of MQTT through spindle, and through no broker (`spindle bench null`): what there is to
compare them with in the same run. Nothing is kept on a disk by either. Crossbar is looked for on the
path, or is what `--crossbar` names (`pip install crossbar`); its processor time is that of the one
worker that routes. With `--also NAME=PROGRAM` another build of spindle takes its turn. Whatever was
started is ended by its process id. Only the standard library is used.
"""

import argparse
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import compare

# What is run, and of it: which figure, what it is called, what is aimed at.
COST = [("cpu_us_per_message", "CPU us each"), ("delivered_per_second", "a second")]
CASES = [
    ("pairs -n 1 -w 100 -s 32", COST, {"cpu_us_per_message": 2.5}),
    ("pairs -n 1 -w 100 -s 32 -q 1", COST, {}),
    ("pairs -n 1 -w 100 -s 32 --serializer json", COST, {}),
    ("pairs -n 1 -w 100 -s 32 --serializer cbor", COST, {}),
    ("fanout -n 100 -w 10 -s 32", COST, {"cpu_us_per_message": 0.8}),
    ("fanin -n 100 -w 10 -s 32", COST, {}),
    # With --spin the generator does not sleep. Whoever sends something to a sleeper on the same
    # machine pays for waking it; clients on other machines cost a router nothing of that.
    ("calls -n 1 -w 32 -s 32 --spin", COST, {"cpu_us_per_message": 4.0}),
    ("calls -n 1 -w 32 -s 32", COST, {}),
    ("calls -n 1 -w 32 -s 32 --spin --serializer json", COST, {}),
    ("calls -n 1 -w 32 -s 32 --spin --serializer cbor", COST, {}),
    ("rtt -s 32", [("latency_sent_us.p50", "publish to event, p50, us"),
                   ("latency_sent_us.p99", "p99, us")], {}),
    ("calls -n 1 -w 1 -s 32", [("acknowledged_us.p50", "call to result, p50, us"),
                               ("acknowledged_us.p99", "p99, us")], {}),
    ("connect -n 5000 -w 50 --spin", [("cpu_us_per_connect", "CPU us a session"),
                                      ("connected_per_second", "a second")],
     {"connected_per_second": 20000}),
]


def url(port, ws):
    return f"wamp+ws://127.0.0.1:{port}/ws" if ws else f"rs://127.0.0.1:{port}"


class Own(compare.Spindle):
    def __init__(self, name, scratch, core, program, ws):
        super().__init__(name, scratch, core, program, "memory")
        self.ws = ws

    def command(self):
        return [word.replace("mqtt://", "any://") for word in super().command()]

    def target(self):
        return f"{self.name}={url(self.port, self.ws)},{self.child.pid}"

    def by_mqtt(self):
        return f"mqtt=mqtt://127.0.0.1:{self.port},{self.child.pid}"


class Crossbar(compare.Broker):
    file = "config.json"

    def __init__(self, scratch, core, program, ws):
        super().__init__("crossbar", scratch, core)
        self.program, self.ws = program, ws

    def version(self):
        done = subprocess.run([self.program, "version"], capture_output=True, text=True,
                              check=False)
        lines = [line for line in done.stdout.splitlines() if "Crossbar.io" in line]
        return " ".join(lines[0].split()) if lines else "unknown"

    def config(self):
        may = {"call": True, "register": True, "publish": True, "subscribe": True}
        role = {"name": "anonymous", "permissions": [
            {"uri": "", "match": "prefix", "allow": may, "cache": True,
             "disclose": {"caller": False, "publisher": False}}]}
        end = {"type": "tcp", "port": self.port, "interface": "127.0.0.1", "backlog": 4096}
        transport = {"type": "websocket" if self.ws else "rawsocket", "endpoint": end,
                     "serializers": ["json", "msgpack", "cbor"],
                     "auth": {"anonymous": {"type": "static", "role": "anonymous"}}}
        if not self.ws:
            transport["options"] = {"max_message_size": 16 << 20}
        worker = {"type": "router", "realms": [{"name": "default", "roles": [role]}],
                  "transports": [transport]}
        return json.dumps({"version": 2, "controller": {}, "workers": [worker]})

    def command(self):
        return [self.program, "start", "--cbdir", self.folder, "--loglevel", "warn"]

    def start(self):
        # It takes far longer than others until it listens.
        for _ in range(6):
            try:
                if self.child is None:
                    super().start()
                return
            except RuntimeError as why:
                failure = why
        raise failure

    def target(self):
        path = f"/proc/{self.child.pid}/task/{self.child.pid}/children"
        with open(path, encoding="utf-8") as children:
            worker = children.read().split()[0]
        return f"{self.name}={url(self.port, self.ws)},{worker}"


class Bounded(Own):
    """spindle with the bounds that it has when nobody says anything."""

    def command(self):
        words = super().command()
        return words[:words.index("--limit")]


class Raw:
    """A session in JSON over a RawSocket, which reads when it is told to."""

    def __init__(self, where, role):
        self.socket = socket.create_connection(("127.0.0.1", where), 10)
        self.socket.sendall(bytes([0x7F, 0xF1, 0, 0]))
        self.exactly(4)
        self.say([1, "default", {"roles": {role: {}}}])
        self.hear(2)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise RuntimeError("it hung up")
            data += more
        return data

    @staticmethod
    def frame(message):
        text = json.dumps(message).encode()
        return len(text).to_bytes(4, "big") + text

    def say(self, message):
        self.socket.sendall(self.frame(message))

    def hear(self, kind):
        text = self.exactly(int.from_bytes(self.exactly(4)[1:], "big"))
        message = json.loads(text)
        if message[0] != kind:
            raise RuntimeError(f"heard {text[:200]!r}")


def memory(pid, what):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(status.read().split(what + ":")[1].split()[0]) / 1024


def stuck(broker):
    """100 MB at a reader that has stopped: how much more memory, in MiB, in the end and at most."""
    pid = broker.target().rsplit(",", 1)[1]
    reader, writer = Raw(broker.port, "subscriber"), Raw(broker.port, "publisher")
    reader.say([32, 1, {}, "bench.stuck"])
    reader.hear(33)
    before = memory(pid, "VmRSS")
    text = "x" * 1000
    for block in range(1, 100_001, 1000):
        writer.socket.sendall(b"".join(
            Raw.frame([16, n, {}, "bench.stuck", [text]]) for n in range(block, block + 1000)))
    writer.say([16, 100_001, {"acknowledge": True}, "bench.stuck"])
    writer.socket.settimeout(120)
    writer.hear(17)
    now, most = memory(pid, "VmRSS"), memory(pid, "VmHWM")
    reader.socket.close()
    writer.socket.close()
    return f"+{now - before:.1f} (most +{most - before:.1f})"


def three(value):
    median, least, most = (compare.short(value[key]) for key in ("median", "least", "most"))
    return f"{median} ({least} to {most})"


def run(args, targets, words):
    command = ["taskset", "-c", str(args.generator_core), args.spindle, "bench", "compare"]
    scenario, *rest = words.split()
    command += targets
    command += ["--scenario", scenario, *rest, "--rounds", str(args.rounds), "--even-so", "--json"]
    command += ["--quiet"]
    if "-d" not in rest:
        command += ["-d", str(args.seconds)]
    command += ["--warmup", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{words}: {done.stderr.strip()}", file=sys.stderr)
        return {}
    return json.loads(done.stdout)


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--spindle", default=os.path.join(compare.ROOT, "target/release/spindle"))
    parse.add_argument("--crossbar", help="its program [default: as the path has it]")
    parse.add_argument("--also", action="append", default=[], metavar="NAME=PROGRAM")
    parse.add_argument("--ws", action="store_true", help="over a WebSocket")
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parse.add_argument("--only", default="", help="only cases with these words in them")
    parse.add_argument("--broker-core", type=int, default=0)
    parse.add_argument("--generator-core", type=int, default=1)
    args = parse.parse_args()
    args.spindle = os.path.abspath(args.spindle)
    scratch = tempfile.mkdtemp(prefix="spindle-wamp-")
    brokers = [Own("spindle", scratch, args.broker_core, args.spindle, args.ws)]
    for other in args.also:
        name, program = other.split("=", 1)
        brokers.append(Own(name, scratch, args.broker_core, os.path.abspath(program), args.ws))
    program = args.crossbar or compare.found("crossbar")
    if program:
        brokers.append(Crossbar(scratch, args.broker_core, os.path.abspath(program), args.ws))
    null = compare.Null("null", scratch, args.broker_core, args.spindle)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    compare.STARTED.extend([*brokers, null])
    atexit.register(compare.stop_all)
    model, before = compare.machine()
    for broker in [*brokers, null]:
        broker.start()
    time.sleep(1)
    beside = [brokers[0].by_mqtt(), f"null=mqtt://127.0.0.1:{null.port},{null.child.pid}"]
    middle = {}
    names = [broker.name for broker in brokers]
    print(f"| case | figure | target | {' | '.join(names)} | first to last |")
    print("|---" * (4 + len(names)) + "|", flush=True)
    for words, figures, aims in CASES:
        if args.only not in words:
            continue
        trips = words.startswith("rtt")
        targets = [broker.target() for broker in brokers] + (beside if trips else [])
        said = run(args, targets, words)
        for figure, label in figures:
            of = said.get(figure, {})
            cells = [three(of[name]["value"]) if name in of else "-" for name in names]
            if figure.endswith(".p50"):
                middle.update({(words.split()[0], name): each["value"]["median"]
                               for name, each in of.items()})
            base = of.get(names[0], {}).get("value", {}).get("median")
            other = of.get(names[-1], {}).get("value", {}).get("median")
            ratio = f"{base / other:.3f}" if base and other and len(names) > 1 else "-"
            target = aims.get(figure)
            target = compare.short(target) if target else "-"
            print(f"| {words} | {label} | {target} | {' | '.join(cells)} | {ratio} |", flush=True)
    if not args.only and not args.ws:
        bounded = Bounded("bounded", scratch, args.broker_core, args.spindle, False)
        compare.STARTED.append(bounded)
        bounded.start()
        cells = [stuck(bounded if broker is brokers[0] else broker) for broker in brokers]
        print(f"| 100 MB at a reader that stopped | MiB more | the bound | {' | '.join(cells)} | - |")
    for what, one, other, most in [
            ("publish to event, p50, of MQTT's", ("rtt", "spindle"), ("rtt", "mqtt"), 1.15),
            ("call to result, p50, of a trip through no broker", ("calls", "spindle"),
             ("rtt", "null"), 2.5)]:
        if one in middle and other in middle:
            ratio = middle[one] / middle[other]
            print(f"\n{what}: {ratio:.2f} ({middle[one]:.1f} us of {middle[other]:.1f}), "
                  f"at most {most} wanted")
    print(f"\n{model}, load before {before} and after {compare.machine()[1]}")
    for broker in brokers:
        print(f"* {broker.name}: {broker.version()}")


if __name__ == "__main__":
    main()
