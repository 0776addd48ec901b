"""What arguments are worth: every kind of value through every pair of serializers."""

import itertools

import wamp
from harness import check, same, that

SERIALIZERS = ("json", "msgpack", "cbor")
PAIRS = tuple(itertools.product(SERIALIZERS, SERIALIZERS))
BINARY = bytes(range(256))


def carried(t, values, here, there, libs=("autobahn", "autobahn")):
    """These values as the arguments of an event and of a call, and as the result."""
    one = wamp.client(t, libs[0], "ws", here)
    two = wamp.client(t, libs[1], "ws", there)
    heard = two.subscribe(t.uri("x"))
    one.publish(t.uri("x"), *values, kwargs={"all": values})
    event = heard.take()
    yield "event", event.args, event.kwargs
    seen = []

    def run(i):
        seen.append((i.args, i.kwargs))
        return wamp.Result(*i.args, **i.kwargs)

    two.register(t.uri("p"), run)
    got = one.call(t.uri("p"), *values, kwargs={"all": values})
    yield "arguments", *seen[0]
    yield "result", got.args, got.kwargs


def unchanged(t, values, here, there, **more):
    for what, args, kwargs in carried(t, values, here, there, **more):
        same(args, values, f"{what} of {here} to {there}:")
        same([type(a) for a in args], [type(a) for a in values], f"{what}: types")
        same(kwargs, {"all": values}, f"named {what} of {here} to {there}:")


@check("wamp.payload_integers", over=PAIRS)
def integers(t, here, there):
    """Integers to the ends of 64 bits."""
    unchanged(t, [0, -1, 23, 24, 127, 128, 255, 256, -32, -33, -129, 65535, 65536, 2**31, -2**31,
                  2**32, 2**53, -2**53, 2**53 + 1, 2**63 - 1, -2**63], here, there)


@check("wamp.payload_unsigned", over=PAIRS)
def unsigned(t, here, there):
    """And those that only an unsigned one holds."""
    unchanged(t, [2**63, 2**64 - 1], here, there)


@check("wamp.payload_floats", over=PAIRS)
def floats(t, here, there):
    """Floats to the last bit, and whole ones stay floats."""
    unchanged(t, [0.1, -0.1, 1.5, 1e300, -1e-300, 5e-324, 3.141592653589793, 1 / 3,
                  1.7976931348623157e308], here, there)


@check("wamp.payload_texts", over=PAIRS)
def texts(t, here, there):
    """Texts in all scripts, with quotes, escapes and ends of lines."""
    unchanged(t, ["", "plain", "snow ☃", "Grüße", "日本語", "𝄞 😀", 'a "b" \\ /', "a\nb\tc\r\x01",
                  "\u2028", "x" * 40, "é" * 300, "y" * 70_000], here, there)


@check("wamp.payload_others", over=PAIRS)
def others(t, here, there):
    """null, true, false, lists and maps within each other."""
    unchanged(t, [None, True, False, [], {}, [[[]]], {"a": {"b": [None, {"c": []}]}},
                  list(range(40)), {str(n): n for n in range(40)}, {"": "", "ß": "☃"}], here, there)


@check("wamp.payload_binary", over=PAIRS)
def binary(t, here, there):
    """Octets: JSON has a spelling of its own for them, which the router translates."""
    unchanged(t, [b"", b"\0", BINARY, BINARY * 300, [b"in", {"a": b"map"}]], here, there)


@check("wamp.payload_wampy", over=tuple((a, b) for a in SERIALIZERS for b in SERIALIZERS))
def wampy(t, here, there):
    """What wampy carries, null options and all, to a client of Python and back."""
    values = ["text ☃", 1, -1, 2**31, 2.5, True, None, [1, [2]], {"a": {"b": 1}}]
    for what, args, kwargs in carried(t, values, here, there, libs=("wampy", "autobahn")):
        same((args, kwargs), (values, {"all": values}), what)


@check("wamp.payload_autobahnjs", over=tuple((a, b) for a in SERIALIZERS for b in SERIALIZERS))
def autobahnjs(t, here, there):
    """What autobahn-js carries, to wampy and back."""
    values = ["text ☃", 1, -1, 2**31, 2.5, True, None, [1, [2]], {"a": {"b": 1}}]
    for what, args, kwargs in carried(t, values, here, there, libs=("autobahnjs", "wampy")):
        same((args, kwargs), (values, {"all": values}), what)


@check("wamp.payload_large_integers_of_js", over=SERIALIZERS)
def large_integers_of_js(t, there):
    """2^53 - 1 of JavaScript, which its encoders write as a float, is that number."""
    for lib, here in itertools.product(("autobahnjs", "wampy"), SERIALIZERS):
        one = wamp.client(t, lib, "ws", here)
        heard = wamp.client(t, "autobahn", "ws", there).subscribe(t.uri(f"{lib}.{here}"))
        one.publish(t.uri(f"{lib}.{here}"), 2**53 - 1, 2**40)
        same(heard.take().args, [2**53 - 1, 2**40], f"{lib} {here}")


@check("wamp.payload_binary_of_js", over=(
    ("autobahnjs", "cbor"), ("autobahnjs", "msgpack"), ("wampy", "cbor"), ("wampy", "msgpack")))
def binary_of_js(t, lib, serializer):
    """Octets of JavaScript reach a client of Python in JSON, and come back."""
    one = wamp.client(t, lib, "ws", serializer)
    two = wamp.client(t, "autobahn", "ws", "json")
    seen = []

    def run(i):
        seen.extend(i.args)
        return i.args[0]

    two.register(t.uri("p"), run)
    same(one.value(t.uri("p"), BINARY), BINARY, "came back")
    same(seen, [BINARY], "arrived")


@check("wamp.payload_xconn", over=PAIRS)
def xconn(t, here, there):
    """What xconn carries, octets with it, to autobahn over a RawSocket of that."""
    values = ["☃", 2**53, -1.5, None, {"a": [True]}]
    values += [BINARY] if "json" not in (here, there) else []
    one = wamp.client(t, "xconn", "tcp", here)
    two = wamp.client(t, "autobahn", "tcp", there)
    two.register(t.uri("p"), lambda i: wamp.Result(*i.args, **i.kwargs))
    got = one.call(t.uri("p"), *values, kwargs={"k": values})
    same((got.args, got.kwargs), (values, {"k": values}))


@check("wamp.payload_error", over=PAIRS)
def error(t, here, there):
    """Arguments of errors are carried like others."""
    values = [BINARY, 2**53, "☃", None, {"a": [1.5]}]

    def run(i):
        raise wamp.Failed("com.app.error", values, {"k": values})

    wamp.client(t, "autobahn", "ws", there).register(t.uri("p"), run)
    e = wamp.client(t, "autobahn", "ws", here).calling(t.uri("p")).failure()
    same((e.uri, e.values, e.kwargs), ("com.app.error", values, {"k": values}))


@check("wamp.payload_none", over=SERIALIZERS)
def none(t, serializer):
    """No arguments, only positional ones, only named ones."""
    one = wamp.client(t, "autobahn", "ws", serializer)
    heard = wamp.client(t, "xconn", "ws", "cbor").subscribe(t.uri("x"))
    one.publish(t.uri("x"))
    one.publish(t.uri("x"), 1)
    one.publish(t.uri("x"), kwargs={"a": 1})
    same([(e.args, e.kwargs) for e in heard.take_many(3)], [([], {}), ([1], {}), ([], {"a": 1})])


@check("wamp.payload_many")
def many(t):
    """Thousands of arguments."""
    one = wamp.client(t, "autobahn", "tcp", "json")
    heard = wamp.client(t, "autobahn", "tcp", "cbor").subscribe(t.uri("x"))
    one.publish(t.uri("x"), *range(5000), kwargs={f"k{n}": n for n in range(200)})
    event = heard.take()
    that(event.args == list(range(5000)) and len(event.kwargs) == 200, "not all arrived")
