"""autobahn and xconn, driven line by line: one JSON request per line on standard input, one JSON
answer or event per line on standard output. Any number of clients, each under a name of its own.

Nothing is decided here: a request becomes one call of the library, and what the library says
becomes one line. Octets are spelled {"$bytes": base64}. Absent on purpose: reconnection, timeouts,
expectations.
"""

import asyncio
import base64
import itertools
import json
import ssl
import sys
import threading

from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp import auth, serializer, types
from autobahn.wamp.exception import ApplicationError
import wampproto.auth
import wampproto.exception
import wampproto.serializers
import xconn
import xconn.types
from xconn.async_client import AsyncClient
from xconn.exception import ApplicationError as XconnError

LARGEST = 64 << 20


def out(value):
    """A value as a line may carry it."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(k): out(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [out(v) for v in value]
    return value


def back(value):
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return {k: back(v) for k, v in value.items()}
    return [back(v) for v in value] if isinstance(value, list) else value


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


NUMBERS = itertools.count(1)
INVOCATIONS = {}


def told(details, *names):
    """What an object of the library says, without what it does not say."""
    said = {name: getattr(details, name, None) for name in names}
    return {name: value for name, value in said.items() if value is not None}


class Wanted(Exception):
    """An error that the check wants its callee to raise."""

    def __init__(self, ask):
        super().__init__(ask["uri"])
        self.ask = ask


async def invoked(client, r, args, kwargs, details, progress):
    """Tell of an invocation, and wait for what the check wants of it."""
    i = next(NUMBERS)
    answer = asyncio.get_running_loop().create_future()
    INVOCATIONS[i] = (answer, progress)
    say(c=client, ev="invocation", i=i, r=r, args=out(args), kwargs=out(kwargs), details=details)
    try:
        return await answer
    except asyncio.CancelledError:
        say(c=client, ev="interrupt", i=i)
        raise
    finally:
        INVOCATIONS.pop(i, None)


def settle(ask):
    """The check answers an invocation; whether anybody still waits for it."""
    answer, progress = INVOCATIONS.get(ask["i"], (None, None))
    if answer is None or answer.done():
        return False
    if ask["do"] == "error":
        answer.set_exception(Wanted(ask))
    elif ask.get("progress"):
        progress(*back(ask["args"]), **back(ask["kwargs"]))
    else:
        answer.set_result((back(ask["args"]), back(ask["kwargs"])))
    return True


class Autobahn:
    """One client of autobahn."""

    SERIALIZERS = {
        "json": serializer.JsonSerializer,
        "msgpack": serializer.MsgPackSerializer,
        "cbor": serializer.CBORSerializer,
    }

    def __init__(self, ask):
        self.name, self.asked = ask["c"], ask
        self.session = self.link = None
        self.subscriptions, self.registrations, self.calls = {}, {}, {}
        a = ask.get("auth") or {}
        self.proof = None
        if a:
            kept = {"ticket": ("ticket",), "wampcra": ("secret",), "scram": ("password",),
                    "cryptosign": ("privkey",)}[a["method"]]
            more = {k: a[k] for k in (*kept, "authid", "authextra") if k in a}
            self.proof = auth.create_authenticator(a["method"], **more)

    def _session(self):
        client = self

        class Session(ApplicationSession):
            def onConnect(self):
                client.session = self
                client._join()

            def onChallenge(self, challenge):
                return client.proof.on_challenge(self, challenge)

            def onWelcome(self, welcome):
                client.welcome = welcome
                if client.proof:
                    return client.proof.on_welcome(self, welcome.authextra)
                return None

            def onJoin(self, details):
                w = client.welcome
                roles = {name: told(role, *vars(role)) for name, role in (w.roles or {}).items()}
                said = told(w, "realm", "authid", "authrole", "authmethod", "authprovider",
                            "authextra")
                say(c=client.name, ev="joined", session=details.session,
                    details=out({**said, "roles": roles}))

            def onLeave(self, details):
                say(c=client.name, ev="left", reason=details.reason, message=details.message)
                super().onLeave(details)

            def onDisconnect(self):
                super().onDisconnect()
                say(c=client.name, ev="closed", reason=None, message=None)

        return Session()

    def _join(self):
        a = self.asked.get("auth") or {}
        methods = self.asked.get("methods") or ([a["method"]] if a else None)
        extra = self.proof.authextra if self.proof else None
        self.session.join(self.asked["realm"], authmethods=methods,
                          authid=a.get("authid") or self.asked.get("authid"),
                          authextra=extra or None)

    async def connect(self):
        ask, loop = self.asked, asyncio.get_running_loop()
        kind, _, batched = ask["serializer"].partition(".")
        chosen = self.SERIALIZERS[kind](**({"batched": True} if batched else {}))
        context = None
        if ask["transport"] in ("wss", "tls"):
            context = ssl.create_default_context(cafile=ask["ca"])
        if ask["transport"] in ("ws", "wss"):
            factory = WampWebSocketClientFactory(self._session, url=ask["url"], loop=loop,
                                                 serializers=[chosen])
            factory.setProtocolOptions(maxFramePayloadSize=LARGEST, maxMessagePayloadSize=LARGEST,
                                       openHandshakeTimeout=10, closeHandshakeTimeout=2)
        else:
            factory = WampRawSocketClientFactory(self._session, serializer=chosen)
        if ask["transport"] == "unix":
            made = loop.create_unix_connection(factory, ask["path"])
        else:
            made = loop.create_connection(factory, ask["host"], ask["port"], ssl=context)
        self.link, _ = await made

    @staticmethod
    def failed(e):
        if isinstance(e, ApplicationError):
            return {"uri": e.error, "args": out(e.args), "kwargs": out(e.kwargs), "text": str(e)}
        return {"uri": None, "args": [], "kwargs": {}, "text": f"{type(e).__name__}: {e}"}

    async def subscribe(self, ask):
        def handler(*args, details, **kwargs):
            said = told(details, "publication", "publisher", "publisher_authid",
                        "publisher_authrole", "topic", "retained")
            say(c=self.name, ev="event", s=ask["s"], args=out(args), kwargs=out(kwargs),
                details=said)

        options = types.SubscribeOptions(details=True, **ask["options"])
        made = await self.session.subscribe(handler, ask["topic"], options=options)
        self.subscriptions[ask["s"]] = made
        return {"id": made.id}

    async def unsubscribe(self, ask):
        await self.subscriptions.pop(ask["s"]).unsubscribe()
        return {}

    async def publish(self, ask):
        options = types.PublishOptions(**ask["options"])
        made = self.session.publish(ask["topic"], *back(ask["args"]), options=options,
                                    **back(ask["kwargs"]))
        return {"id": (await made).id} if ask["options"].get("acknowledge") else {"id": None}

    async def register(self, ask):
        async def endpoint(*args, details, **kwargs):
            said = told(details, "caller", "caller_authid", "caller_authrole", "procedure")
            said["receive_progress"] = details.progress is not None
            try:
                got = await invoked(self.name, ask["r"], args, kwargs, said, details.progress)
            except Wanted as e:
                a = e.ask
                raise ApplicationError(a["uri"], *back(a["args"]), **back(a["kwargs"])) from None
            return types.CallResult(*got[0], **got[1])

        options = types.RegisterOptions(details=True, **ask["options"])
        made = await self.session.register(endpoint, ask["procedure"], options=options)
        self.registrations[ask["r"]] = made
        return {"id": made.id}

    async def unregister(self, ask):
        await self.registrations.pop(ask["r"]).unregister()
        return {}

    async def call(self, ask):
        def progress(*args, **kwargs):
            say(c=self.name, ev="progress", call=ask["n"], args=out(args), kwargs=out(kwargs))

        more = dict(ask["options"])
        if more.pop("receive_progress", False):
            more["on_progress"] = progress
        # Told the details, too, it chokes on progress without named arguments.
        more["details"] = "on_progress" not in more
        made = self.session.call(ask["procedure"], *back(ask["args"]),
                                 options=types.CallOptions(**more), **back(ask["kwargs"]))
        self.calls[ask["n"]] = made
        try:
            got = await made
        except asyncio.CancelledError:
            # The library ends a call that it cancelled without waiting for the router.
            raise ApplicationError("wamp.error.canceled") from None
        if isinstance(got, types.CallResult):
            return {"args": out(got.results), "kwargs": out(got.kwresults)}
        return {"args": [] if got is None else [out(got)], "kwargs": {}}

    async def cancel(self, ask):
        self.calls.pop(ask["call"]).cancel()
        return {}

    async def leave(self, ask):
        await self.session.leave(ask.get("reason"), ask.get("message"))
        return {}

    async def drop(self, ask):
        self.link.abort()
        return {}


class Xconn:
    """One client of xconn."""

    SERIALIZERS = {
        "json": wampproto.serializers.JSONSerializer,
        "msgpack": wampproto.serializers.MsgPackSerializer,
        "cbor": wampproto.serializers.CBORSerializer,
    }

    def __init__(self, ask):
        self.name, self.asked = ask["c"], ask
        self.session = None
        self.subscriptions, self.registrations = {}, {}

    def _proof(self):
        a = self.asked.get("auth") or {}
        made = {
            None: lambda: wampproto.auth.AnonymousAuthenticator(self.asked.get("authid") or ""),
            "ticket": lambda: wampproto.auth.TicketAuthenticator(a["authid"], a["ticket"]),
            "wampcra": lambda: wampproto.auth.WAMPCRAAuthenticator(a["authid"], a["secret"]),
            "cryptosign": lambda: wampproto.auth.CryptoSignAuthenticator(a.get("authid", ""),
                                                                        a["privkey"], {}),
        }
        return made[a.get("method")]()

    async def connect(self):
        ask = self.asked

        async def gone():
            say(c=self.name, ev="closed", reason=None, message=None)

        client = AsyncClient(self._proof(), self.SERIALIZERS[ask["serializer"]]())
        try:
            self.session = await client.connect(ask["url"], ask["realm"], None, gone)
        except wampproto.exception.ApplicationError as e:
            say(c=self.name, ev="left", reason=e.message, message=str(e))
            say(c=self.name, ev="closed", reason=None, message=str(e))
            return
        base = self.session._base_session
        say(c=self.name, ev="joined", session=base.id,
            details={"realm": base.realm, "authid": base.authid, "authrole": base.authrole})

    @staticmethod
    def failed(e):
        if isinstance(e, XconnError):
            args = [] if tuple(e.args or ()) == (e.message,) else e.args
            return {"uri": e.message, "args": out(args or []),
                    "kwargs": out(getattr(e, "kwargs", None) or {}), "text": str(e)}
        return {"uri": None, "args": [], "kwargs": {}, "text": f"{type(e).__name__}: {e}"}

    async def subscribe(self, ask):
        async def handler(event):
            say(c=self.name, ev="event", s=ask["s"], args=out(event.args or []),
                kwargs=out(event.kwargs or {}), details=out(event.details or {}))

        made = await self.session.subscribe(ask["topic"], handler, ask["options"])
        self.subscriptions[ask["s"]] = made
        return {"id": made.subscription_id}

    async def unsubscribe(self, ask):
        await self.subscriptions.pop(ask["s"]).unsubscribe()
        return {}

    async def publish(self, ask):
        await self.session.publish(ask["topic"], back(ask["args"]), back(ask["kwargs"]),
                                   ask["options"])
        return {"id": None}

    async def register(self, ask):
        async def endpoint(invocation):
            try:
                args, kwargs = await invoked(
                    self.name, ask["r"], invocation.args or [], invocation.kwargs or {},
                    out(invocation.details or {}), None)
            except Wanted as e:
                raise XconnError(e.ask["uri"], *back(e.ask["args"])) from None
            return xconn.types.Result(args, kwargs)

        made = await self.session.register(ask["procedure"], endpoint, ask["options"])
        self.registrations[ask["r"]] = made
        return {"id": made.registration_id}

    async def unregister(self, ask):
        await self.registrations.pop(ask["r"]).unregister()
        return {}

    async def call(self, ask):
        got = await self.session.call(ask["procedure"], back(ask["args"]), back(ask["kwargs"]),
                                      ask["options"])
        return {"args": out(got.args or []), "kwargs": out(got.kwargs or {}),
                "details": out(got.details or {})}

    async def ping(self, ask):
        await self.session.ping(10)
        return {}

    async def leave(self, ask):
        await self.session.leave()
        say(c=self.name, ev="closed", reason="wamp.close.normal", message=None)
        return {}

    async def drop(self, ask):
        link = self.session._base_session.transport
        writer = getattr(link, "_writer", None)
        (writer.transport if writer else link._websocket.transport).abort()
        return {}


CLIENTS = {}


async def connect(ask):
    made = {"autobahn": Autobahn, "xconn": Xconn}[ask["lib"]](ask)
    CLIENTS[ask["c"]] = made
    try:
        await made.connect()
    except Exception as e:  # noqa: BLE001 - whatever it is, there is no connection
        say(c=ask["c"], ev="closed", reason=None, message=f"{type(e).__name__}: {e}")


async def act(ask):
    if ask["do"] == "connect":
        return await connect(ask)
    if ask["do"] in ("yield", "error"):
        return say(n=ask["n"], ok={"waited": settle(ask)})
    client = CLIENTS.get(ask["c"])
    if ask["do"] == "forget":
        if CLIENTS.pop(ask["c"], None) and client.session:
            await client.drop(ask)
        return None
    try:
        say(n=ask["n"], ok=await getattr(client, ask["do"])(ask))
    except Exception as e:  # noqa: BLE001 - told to the check, whatever it is
        say(n=ask["n"], no=client.failed(e))


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    running = set()
    while (line := await lines.get()) is not None:
        task = loop.create_task(act(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
