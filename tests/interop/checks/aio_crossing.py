"""Questions of connectors that are calls of other protocols, and calls that connectors answer."""

import aioconnectors as aio
import wamp
from brokers import Setup
from harness import check, same, that

from .aio import heard


def procedure(t):
    """A type that is a procedure."""
    t.wants(Setup(realms=["default?modify=on&procedures=prefix:rpc"]))
    return f"rpc{t.number}"


@check("aio_crossing.calls_wamp", over=aio.ALL, own=True)
def calls_wamp(t, version):
    """A question of a connector's application is answered by a procedure of WAMP, with its result,
    with its error, and where there is none."""
    kind = procedure(t)

    def run(i):
        if i.args == ["bad"]:
            raise wamp.Failed("com.app.broken", ["leg"])
        return {"said": i.args}

    wamp.client(t).register(kind, run)
    a = aio.client(t, version, types=[kind, kind + "none"])
    other = t.client()
    other.subscribe(f"{kind}/#", qos=1)
    got = a.question(kind, b"hello", request_id="one")
    that(got, f"no answer: {got}")
    heard(got, kind, b'{"said":["hello"]}')
    same(got.header["response_id"], "one", "response id")
    for asked, data, error in ((kind, b"leg", "com.app.broken"),
                               (kind + "none", b"", "wamp.error.no_such_procedure")):
        got = a.question(asked, b"bad", request_id=2)
        that(got, f"no answer: {got}")
        same((got.data, got.header["error"]), (data, error))
    other.nothing()


@check("aio_crossing.serves", over=aio.ALL, own=True)
def serves(t, version):
    """A connector's application answers calls of WAMP, requests of MQTT, and questions of another."""
    kind = procedure(t)
    server = aio.client(t, version, types=[kind], subscribe=[kind], answers=True)
    same(wamp.client(t).call(kind, "one").args, ["answer to one"])
    m = t.client()
    m.subscribe(t.topic("back"), qos=1)
    m.publish(kind, b"two", 1, response_topic=t.topic("back"), correlation=b"k")
    came = m.take()
    same((came.payload, came.props.get("correlation")), (b"answer to two", b"k"))
    a = aio.client(t, version, types=[kind])
    got = a.question(kind, b"three", request_id=3)
    that(got, f"no answer: {got}")
    heard(got, kind, b"answer to three")
    m.publish(kind, b"said", qos=1)
    for data in (b"one", b"two", b"three", b"said"):
        heard(server.take(), kind, data)


@check("aio_crossing.serves_again", over=aio.ALL, own=True)
def serves_again(t, version):
    """Who comes back serves again; several take turns."""
    kind = procedure(t)
    one, two = (aio.client(t, version, types=[kind], subscribe=[kind], answers=True)
                for _ in "ab")
    caller = wamp.client(t)
    for n in range(6):
        same(caller.call(kind, str(n)).args, [f"answer to {n}"])
    same((one.inbox.qsize(), two.inbox.qsize()), (3, 3), "they were asked")
    one.end()
    two.end()
    one.start().is_there(30)
    t.until(lambda: answered(caller, kind), "it does not serve again")


def answered(caller, kind):
    try:
        return caller.call(kind, "x").args == ["answer to x"]
    except wamp.Failed:
        return False
