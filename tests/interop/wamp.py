"""One face for the WAMP clients of others: autobahn, autobahn-js, wampy, xconn and wamp_async.

What comes for a subscription lies in its inbox in the order in which it came; what a callee is
asked runs in a thread of its own; every wait has an end. Options are spelled as WAMP spells them
(`match`, `exclude_me`, ...). Absent on purpose: reconnection. A check that wants it does it itself.
"""

import base64
import itertools
import queue
import threading
import time

from clients import QUIET_S, WAIT_S

NAMES = itertools.count(1)

#: What each library can be told to speak. wampy and xconn know no batches; the RawSocket of
#: autobahn-js is for JSON in the plain, that of xconn is not for TLS.
SPEAKS = {
    "autobahn": {
        "ws": ("json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"),
        "wss": ("json", "msgpack", "cbor", "msgpack.batched"),
        "tcp": ("json", "msgpack", "cbor"),
        "tls": ("json", "msgpack", "cbor"),
        "unix": ("json", "msgpack", "cbor"),
    },
    "autobahnjs": {"ws": ("json", "msgpack", "cbor"), "wss": ("json", "msgpack", "cbor"),
                   "tcp": ("json",), "unix": ("json",)},
    "wampy": {"ws": ("json", "msgpack", "cbor"), "wss": ("json", "msgpack", "cbor")},
    "xconn": {"ws": ("json", "msgpack", "cbor"), "wss": ("json", "msgpack", "cbor"),
              "tcp": ("json", "msgpack", "cbor"), "unix": ("json", "msgpack", "cbor")},
    "wamprs": {"ws": ("json", "msgpack"), "tcp": ("json", "msgpack"), "tls": ("json", "msgpack")},
}
#: Every library, transport and serializer that fit.
ALL = tuple((lib, transport, serializer) for lib, ways in SPEAKS.items()
            for transport, serializers in ways.items() for serializer in serializers)
LIBS = tuple(SPEAKS)
#: The ones that take options and tell what they are told.
RICH = ("autobahn", "autobahnjs", "wampy", "xconn")


class Refused(Exception):
    """A session that was not given: the reason is a URI, or None where none was said."""

    def __init__(self, reason, message):
        super().__init__(f"refused with {reason}: {message}")
        self.reason, self.message = reason, message


class Failed(Exception):
    """An ERROR of the router or of a callee, or a call that a library would not make (no URI)."""

    def __init__(self, uri, args=(), kwargs=None, text=""):
        super().__init__(f"{uri} {list(args)} {text}")
        self.uri, self.kwargs = uri, kwargs or {}
        self.values = list(args)


def out(value):
    """A value as a line may carry it."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {k: out(v) for k, v in value.items()}
    return [out(v) for v in value] if isinstance(value, (list, tuple)) else value


def back(value):
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        if set(value) == {"$int"}:
            return int(value["$int"])
        return {k: back(v) for k, v in value.items()}
    return [back(v) for v in value] if isinstance(value, list) else value


class Event:
    def __init__(self, said):
        self.args, self.kwargs = back(said["args"] or []), back(said["kwargs"] or {})
        self.details = back(said["details"] or {})


class Inbox:
    """What comes one after the other."""

    def __init__(self):
        self.queue = queue.Queue()

    def take(self, seconds=WAIT_S):
        try:
            return self.queue.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"nothing came within {seconds} s") from None

    def take_many(self, count, seconds=WAIT_S):
        end = time.monotonic() + seconds
        return [self.take(max(0.01, end - time.monotonic())) for _ in range(count)]

    def nothing(self, seconds=QUIET_S):
        try:
            came = self.queue.get(timeout=seconds)
        except queue.Empty:
            return
        text = f"{came.args} {came.details}"
        raise AssertionError(f"something came that should not have: {text}")


class Subscription(Inbox):
    def __init__(self, client, name, topic):
        super().__init__()
        self.client, self.name, self.topic = client, name, topic
        self.id = None
        self.revoked = queue.Queue()

    def unsubscribe(self):
        self.client.ask("unsubscribe", s=self.name, id=self.id)


class Invocation:
    """What a callee was asked; `over` is set when it was interrupted."""

    def __init__(self, client, said):
        self.client, self.number = client, said["i"]
        self.args, self.kwargs = back(said["args"] or []), back(said["kwargs"] or {})
        self.details = back(said["details"] or {})
        self.over = threading.Event()

    def progress(self, *args, **kwargs):
        self.client.ask("yield", i=self.number, args=out(args), kwargs=out(kwargs), progress=True)

    def give(self, *args, **kwargs):
        self.client.ask("yield", i=self.number, args=out(args), kwargs=out(kwargs))

    def fail(self, uri, args=(), kwargs=None):
        self.client.ask("error", i=self.number, uri=uri, args=out(args), kwargs=out(kwargs or {}))


class Registration(Inbox):
    """A procedure; without a function to run, what it is asked is in its inbox."""

    def __init__(self, client, name, run):
        super().__init__()
        self.client, self.name, self.run = client, name, run
        self.id = None
        self.revoked = queue.Queue()
        self.open = {}

    def unregister(self):
        self.client.ask("unregister", r=self.name, id=self.id)

    def heard(self, said):
        asked = Invocation(self.client, said)
        self.open[asked.number] = asked
        if self.run is None:
            self.queue.put(asked)
        else:
            threading.Thread(target=self._answer, args=(asked,), daemon=True).start()

    def _answer(self, asked):
        try:
            got = self.run(asked)
            if isinstance(got, Result):
                asked.give(*got.args, **got.kwargs)
            else:
                asked.give(*([] if got is None else [got]))
        except Failed as e:
            asked.fail(e.uri, e.values, e.kwargs)
        except AssertionError:
            # The client is gone, and whoever called hears of that by itself.
            pass


class Result:
    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = list(args), kwargs


class Calling:
    """A call that was made, and not waited for yet."""

    def __init__(self, client):
        self.client, self.number = client, None
        self.answer = queue.Queue()
        self.progress = Inbox()

    def result(self, seconds=WAIT_S):
        ok = self.client.answered(self.answer, seconds)
        made = Result(*back(ok["args"] or []), **back(ok["kwargs"] or {}))
        return made

    def fails(self, seconds=WAIT_S):
        """The URI it ends with."""
        return self.failure(seconds).uri

    def failure(self, seconds=WAIT_S):
        try:
            got = self.result(seconds)
        except Failed as e:
            return e
        raise AssertionError(f"the call came back with {got.args} {got.kwargs}")

    def pending(self, seconds=QUIET_S):
        """No answer for a while."""
        time.sleep(seconds)
        if not self.answer.empty():
            raise AssertionError(f"answered: {self.answer.get()}")

    def cancel(self, mode=None):
        self.client.ask("cancel", call=self.number, mode=mode)


class Wamp:
    """One session, whichever library it is of."""

    def __init__(self, lines, name, ask):
        self.lines, self.name, self.asked = lines, name, ask
        self.joining = queue.Queue()
        self.over = threading.Event()
        self.left = queue.Queue()
        self.session, self.details = None, {}
        self.subscriptions, self.registrations, self.callings = {}, {}, {}

    def connect(self):
        self.lines.heard[self.name] = self._hear
        self.lines.ask(None, do="connect", c=self.name, **self.asked)
        try:
            said = self.joining.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError("neither let in nor refused") from None
        if said["ev"] == "closed":
            why = {"reason": said["reason"], "message": said["message"]}
            if not self.left.empty():
                why = self.left.get()
            raise Refused(why["reason"], why["message"])
        self.session, self.details = said["session"], back(said["details"])
        return self

    def _hear(self, said):
        event = said["ev"]
        if event == "event" and said["s"] in self.subscriptions:
            self.subscriptions[said["s"]].queue.put(Event(said))
        elif event == "invocation" and said["r"] in self.registrations:
            self.registrations[said["r"]].heard(said)
        elif event == "interrupt":
            for r in self.registrations.values():
                if said["i"] in r.open:
                    r.open[said["i"]].over.set()
        elif event == "progress" and said["call"] in self.callings:
            self.callings[said["call"]].progress.queue.put(Event({**said, "details": {}}))
        elif event == "revoked":
            at = self.subscriptions.get(said.get("s")) or self.registrations.get(said.get("r"))
            if at:
                at.revoked.put(said["reason"])
        elif event == "left":
            self.left.put(said)
        elif event in ("joined", "closed"):
            self.joining.put(said)
            if event == "closed":
                self.over.set()

    def answered(self, answer, seconds=WAIT_S):
        end = time.monotonic() + seconds
        while True:
            try:
                said = answer.get(timeout=0.2)
                break
            except queue.Empty:
                if self.over.is_set() and answer.empty():
                    raise AssertionError("the connection ended") from None
                if time.monotonic() > end:
                    raise AssertionError(f"no answer within {seconds} s") from None
        if "no" in said:
            no = said["no"]
            raise Failed(no["uri"], back(no.get("args") or []), back(no.get("kwargs") or {}),
                         no.get("text", ""))
        return said["ok"]

    def ask(self, do, **more):
        """Ask the library for something, and wait until it has an answer."""
        answer = queue.Queue()
        self.lines.ask(answer.put, do=do, c=self.name, **more)
        return self.answered(answer)

    def subscribe(self, topic, **options):
        made = Subscription(self, f"s{next(NAMES)}", topic)
        self.subscriptions[made.name] = made
        made.id = self.ask("subscribe", s=made.name, topic=topic, options=options)["id"]
        return made

    def publish(self, topic, *args, kwargs=None, acknowledge=True, **options):
        """Publish; the id of the publication where the library tells it."""
        if acknowledge:
            options["acknowledge"] = True
        return self.ask("publish", topic=topic, args=out(args), kwargs=out(kwargs or {}),
                        options=options)["id"]

    def send(self, topic, *args, **options):
        """Publish without waiting for anything, not even for the library."""
        self.lines.ask(None, do="publish", c=self.name, topic=topic, args=out(args), kwargs={},
                       options=options)

    def register(self, procedure, run=None, **options):
        made = Registration(self, f"r{next(NAMES)}", run)
        self.registrations[made.name] = made
        made.id = self.ask("register", r=made.name, procedure=procedure, options=options)["id"]
        return made

    def calling(self, procedure, *args, kwargs=None, **options):
        made = Calling(self)
        # Progress may come before the number is known here: the reader waits for the lock.
        with self.lines.lock:
            number = self.lines.last + 1
            self.callings[number] = made
            self.lines.put(made.answer.put, do="call", c=self.name, procedure=procedure,
                           args=out(args), kwargs=out(kwargs or {}), options=options)
        made.number = number
        return made

    def call(self, procedure, *args, kwargs=None, **options):
        return self.calling(procedure, *args, kwargs=kwargs, **options).result()

    def value(self, procedure, *args, **more):
        """What a procedure with a single result returns."""
        got = self.call(procedure, *args, **more)
        return got.args[0] if got.args else None

    def gone(self, seconds=WAIT_S):
        """The session ends; the reason that the router gave, or None."""
        if not self.over.wait(seconds):
            raise AssertionError(f"the session was still there after {seconds} s")
        return None if self.left.empty() else self.left.get()["reason"]

    def stays(self, seconds=QUIET_S):
        if self.over.wait(seconds):
            raise AssertionError("the session ended")

    def leave(self, **more):
        self.ask("leave", **more)
        return self.gone()

    def drop(self):
        """End the connection without a word."""
        try:
            self.ask("drop")
        except AssertionError:
            pass

    def close(self):
        self.lines.ask(None, do="forget", c=self.name)
        self.lines.heard.pop(self.name, None)


class WampRs(Wamp):
    """A client in a process of its own."""

    def drop(self):
        self.lines.end()

    def close(self):
        self.lines.end()


def client(t, lib="autobahn", transport="ws", serializer="json", realm=None, **more):
    """A session of this library, open."""
    return made(t, lib, transport, serializer, realm, **more).connect()


def made(t, lib="autobahn", transport="ws", serializer="json", realm=None, auth=None, authid=None,
         methods=None, hello=None):
    place = t.broker.wamp_place("ws" if transport == "lp" else transport)
    schemes = {"tcp": "tcp", "tls": "tcps", "unix": "unix"}
    if transport == "unix":
        url = f"unix://{place}"
    elif transport == "lp":
        url = f"http://127.0.0.1:{place}/lp"
    else:
        url = f"{schemes.get(transport, transport)}://127.0.0.1:{place}/"
        url += t.broker.wamp_path if transport in ("ws", "wss") else ""
    ask = {"lib": lib, "transport": transport, "serializer": serializer, "url": url,
           "host": "127.0.0.1", "port": place if transport != "unix" else None,
           "path": str(place) if transport == "unix" else None,
           "realm": realm or t.broker.wamp_realm, "auth": auth, "authid": authid,
           "methods": methods, "hello": hello, "ca": str(t.world.certificates.ca)}
    if lib == "wamprs":
        session = WampRs(t.world.wamp_rust(), None, ask)
    else:
        lines = t.world.wamp_python() if lib in ("autobahn", "xconn") else t.world.wamp_node()
        session = Wamp(lines, f"w{t.number}-{next(NAMES)}", ask)
    t.open.append(session)
    return session
