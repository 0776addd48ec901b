"""mosquitto_pub, mosquitto_sub and mosquitto_rr, as scripts use them."""

import json
import subprocess
import time

from clients import WAIT_S
from harness import check, same, that

OVER = ((3, "tcp"), (4, "tcp"), (5, "tcp"), (4, "tls"), (5, "tls"))
SPELLED = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}


def words(t, tool, version, transport, *args):
    own = ["-h", "127.0.0.1", "-p", t.broker.ports[transport], "-V", SPELLED[version]]
    if transport == "tls":
        own += ["--cafile", t.world.certificates.ca]
    path = t.world.peers.mosquitto / tool
    # Line by line, though nobody looks at a terminal.
    return [str(w) for w in ["stdbuf", "-oL", path, *own, *args]]


def pub(t, version, transport, *args, wanted=0):
    done = subprocess.run(words(t, "mosquitto_pub", version, transport, *args), text=True,
                          env=t.world.peers.env, timeout=WAIT_S, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    same(done.returncode, wanted, f"exit code of mosquitto_pub ({done.stdout.strip()})")
    return done.stdout


class Sub:
    """A mosquitto_sub that runs until it has what it waits for, or for its time."""

    def __init__(self, t, version, transport, *args, count=1, wait=True):
        form = '{"t":"%t","q":%q,"r":%r,"p":"%x"}'
        command = words(t, "mosquitto_sub", version, transport, "-d", "-C", count, "-W", WAIT_S,
                        "-F", form, *args)
        self.process = subprocess.Popen(command, env=t.world.peers.env, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        t.open.append(self)
        self.lines = []
        while wait:
            line = self.process.stdout.readline()
            that(line, f"mosquitto_sub ended: {self.lines}")
            self.lines.append(line)
            if line.startswith("Subscribed"):
                break

    def end(self):
        out, _ = self.process.communicate(timeout=WAIT_S + 5)
        self.lines += out.splitlines()
        return self.process.returncode

    def messages(self):
        self.end()
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)


def hexed(text):
    return text.encode().hex()


@check("tools.trip", over=OVER)
def tools_trip(t, version, transport):
    """Every QoS from mosquitto_pub to mosquitto_sub."""
    sub = Sub(t, version, transport, "-t", t.topic("x"), "-q", 2, count=3)
    for qos in (0, 1, 2):
        pub(t, version, transport, "-t", t.topic("x"), "-m", f"q{qos}", "-q", qos)
    same(sub.messages(), [{"t": t.topic("x"), "q": q, "r": 0, "p": hexed(f"q{q}")}
                          for q in (0, 1, 2)])


@check("tools.retained", over=(4, 5))
def tools_retained(t, version):
    """Set, read and clear a retained message; --retained-only ends after the replay."""
    pub(t, version, "tcp", "-t", t.topic("x"), "-m", "kept", "-r", "-q", 1)
    same(Sub(t, version, "tcp", "-t", t.topic("#"), "--retained-only", wait=False).messages(),
         [{"t": t.topic("x"), "q": 0, "r": 1, "p": hexed("kept")}])
    # It listens until its time is over, and says so in its exit code.
    same(Sub(t, version, "tcp", "-t", t.topic("#"), "--remove-retained", "-W", 1).end(), 27)
    one = t.client()
    one.subscribe(t.topic("#"))
    one.nothing()


@check("tools.lines")
def tools_lines(t):
    """A thousand lines through -l."""
    sub = Sub(t, 5, "tcp", "-t", t.topic("x"), "-q", 1, count=1000)
    lines = "".join(f"line {n}\n" for n in range(1000))
    done = subprocess.run(words(t, "mosquitto_pub", 5, "tcp", "-t", t.topic("x"), "-q", 1, "-l"),
                          input=lines, text=True, env=t.world.peers.env, timeout=WAIT_S,
                          capture_output=True)
    same(done.returncode, 0, "exit code")
    same([m["p"] for m in sub.messages()], [hexed(f"line {n}") for n in range(1000)])


@check("tools.file")
def tools_file(t):
    """A file of three mebibytes through -f."""
    file = t.world.folder / f"file-{t.number}"
    file.write_bytes(bytes(range(256)) * 12288)
    one = t.client()
    one.subscribe(t.topic("x"), qos=1)
    pub(t, 5, "tls", "-t", t.topic("x"), "-f", file, "-q", 1)
    that(one.take().payload == file.read_bytes(), "the file changed on its way")


@check("tools.session", over=(4, 5))
def tools_session(t, version):
    """-c keeps a session between two runs of mosquitto_sub."""
    keep = ["-i", t.id(), "-c", "-t", t.topic("x"), "-q", 1]
    keep += ["-x", 300] if version == 5 else []
    first = Sub(t, version, "tcp", *keep)
    pub(t, version, "tcp", "-t", t.topic("x"), "-m", "first", "-q", 1)
    same([m["p"] for m in first.messages()], [hexed("first")])
    for n in range(3):
        pub(t, version, "tcp", "-t", t.topic("x"), "-m", str(n), "-q", 1)
    second = Sub(t, version, "tcp", *keep, count=3, wait=False)
    same([m["p"] for m in second.messages()], [hexed(str(n)) for n in range(3)])


@check("tools.will", over=(4, 5))
def tools_will(t, version):
    """The will of a mosquitto_sub that is killed."""
    watcher = t.client()
    watcher.subscribe(t.topic("will"), qos=1)
    sub = Sub(t, version, "tcp", "-t", t.topic("x"), "--will-topic", t.topic("will"),
              "--will-payload", "killed", "--will-qos", 1)
    sub.close()
    m = watcher.take()
    same((m.payload, m.qos), (b"killed", 1))


@check("tools.properties")
def tools_properties(t):
    """-D sets properties, and the format of mosquitto_sub shows them."""
    form = "%C|%D|%E|%F|%P|%R"
    command = words(t, "mosquitto_sub", 5, "tcp", "-t", t.topic("x"), "-C", 1, "-W", WAIT_S,
                    "-F", form, "-D", "subscribe", "subscription-identifier", 7, "-d")
    sub = subprocess.Popen(command, env=t.world.peers.env, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not sub.stdout.readline().startswith("Subscribed"):
        that(sub.poll() is None, "mosquitto_sub ended")
    pub(t, 5, "tcp", "-t", t.topic("x"), "-m", "m", "-D", "publish", "content-type", "a/b",
        "-D", "publish", "correlation-data", "corr", "-D", "publish", "message-expiry-interval",
        60, "-D", "publish", "payload-format-indicator", 1, "-D", "publish", "user-property", "z",
        "1", "-D", "publish", "user-property", "a", "2", "-D", "publish", "response-topic", "r/t")
    out, _ = sub.communicate(timeout=WAIT_S + 5)
    line = [line for line in out.splitlines() if line.startswith("a/b|")]
    that(line and line[0].split("|")[2] in ("59", "60"), f"printed {out}")
    fields = line[0].split("|")
    same(fields[:2] + fields[3:], ["a/b", "corr", "1", "z:1 a:2", "r/t"], "properties")


@check("tools.request")
def tools_request(t):
    """mosquitto_rr asks, and a client of another library answers."""
    answerer = t.client("mqttjs")
    answerer.subscribe(t.topic("question"), qos=1)
    asking = subprocess.Popen(
        words(t, "mosquitto_rr", 5, "tcp", "-t", t.topic("question"), "-e", t.topic("answer"),
              "-m", "2+2", "-W", WAIT_S, "-q", 1), env=t.world.peers.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    m = answerer.take()
    same(m.payload, b"2+2")
    more = {"correlation": m.props["correlation"]} if "correlation" in m.props else {}
    answerer.publish(m.props["response_topic"], "4", 1, **more)
    out, _ = asking.communicate(timeout=WAIT_S + 5)
    same((asking.returncode, out.strip()), (0, "4"))


@check("tools.password")
def tools_password(t):
    """A wrong password is an error for scripts, a right one is not."""
    from .access import SETUP

    t.wants(SETUP)
    topic = ["-t", f"open/{t.number}", "-m", "m", "-q", 1]
    for version, code in ((4, (4, 5)), (5, (134, 135))):
        done = subprocess.run(
            words(t, "mosquitto_pub", version, "tcp", *topic, "-u", "alice", "-P", "no"),
            env=t.world.peers.env, timeout=WAIT_S, capture_output=True, stdin=subprocess.DEVNULL)
        that(done.returncode in code, f"exit code {done.returncode}: {done.stderr!r}")
        pub(t, version, "tcp", *topic, "-u", "alice", "-P", "apple")


@check("tools.client_certificate")
def tools_certificate(t):
    """mosquitto_pub with a client certificate, over TLS 1.2 and 1.3; with another CA it fails."""
    one = t.client()
    one.subscribe(t.topic("x"), qos=1)
    cert, key = t.world.certificates.client
    for version in ("tlsv1.2", "tlsv1.3"):
        pub(t, 5, "tls", "-t", t.topic("x"), "-m", version, "-q", 1, "--cert", cert, "--key", key,
            "--tls-version", version)
        same(one.take().payload, version.encode())
    other = subprocess.run(
        [str(w) for w in [t.world.peers.mosquitto / "mosquitto_pub", "-h", "127.0.0.1", "-p",
                          t.broker.ports["tls"], "--cafile", t.world.certificates.other_ca,
                          "-t", t.topic("x"), "-m", "no"]],
        env=t.world.peers.env, timeout=WAIT_S, capture_output=True, stdin=subprocess.DEVNULL)
    that(other.returncode != 0, "a certificate that nobody vouched for was taken")
    one.nothing()


@check("tools.repeat")
def tools_repeat(t):
    """--repeat at QoS 2, read by a shared subscription of two mosquitto_subs."""
    subs = [Sub(t, 5, "tcp", "-t", f"$share/g/{t.topic('x')}", "-q", 2, count=10)
            for _ in range(2)]
    started = time.monotonic()
    for _ in range(2):
        pub(t, 5, "tcp", "-t", t.topic("x"), "-m", "again", "-q", 2, "--repeat", 10,
            "--repeat-delay", 0.01)
    that(time.monotonic() - started < WAIT_S, "too slow")
    same([len(s.messages()) for s in subs], [10, 10], "each got")
