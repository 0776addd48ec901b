"""WebSocket and RawSocket as WAMP uses them: handshakes, frames, limits, batches."""

import time

import websocket

import wamp
import wampwire as wire
from harness import check, same, that
from wampwire import Raw, Web

ABNF = websocket.ABNF


@check("wamp.no_subprotocol", over=("none", "unknown"))
def no_subprotocol(t, kind):
    """A WebSocket without a common subprotocol is not opened for WAMP."""
    try:
        one = Web(t, subprotocols=() if kind == "none" else ("wamp.2.smoke",))
    except websocket.WebSocketBadStatusException as e:
        that(400 <= e.status_code < 500, f"status {e.status_code}")
        return
    except websocket.WebSocketException:
        return
    one.hello()
    one.ended()


@check("wamp.subprotocol_chosen", over=("wamp.2.json", "wamp.2.msgpack", "wamp.2.cbor"))
def subprotocol_chosen(t, name):
    """The subprotocol that both know is the one that is answered."""
    one = Web(t, subprotocols=("wamp.2.smoke", name))
    same(one.ws.getsubprotocol(), name, "subprotocol")


@check("wamp.binary_in_json")
def binary_in_json(t):
    """JSON comes in text frames: in a binary one it fails the connection."""
    one = Web(t).join()
    one.frame(b'[32, 1, {}, "a.b"]', ABNF.OPCODE_BINARY)
    one.ended()


@check("wamp.text_in_msgpack")
def text_in_msgpack(t):
    """And the other way around."""
    one = Web(t, subprotocols=("wamp.2.msgpack",))
    one.frame(b"\x93\x01\xa1a\x80", ABNF.OPCODE_TEXT)
    one.ended()


@check("wamp.bad_utf8")
def bad_utf8(t):
    """Text that is no UTF-8 fails the connection."""
    one = Web(t).join()
    one.frame(b'[32, 1, {}, "\xff\xfe"]', ABNF.OPCODE_TEXT)
    one.ended()


@check("wamp.websocket_ping")
def websocket_ping(t):
    """A ping is answered, also before HELLO and between the fragments of a message."""
    one = Web(t)
    one.frame(b"early", ABNF.OPCODE_PING)
    one.join()
    same(one.pong, b"early")
    message = f'[32, 1, {{}}, "{t.uri("x")}"]'.encode()
    one.frame(message[:5], ABNF.OPCODE_TEXT, fin=0)
    one.frame(b"between", ABNF.OPCODE_PING)
    one.frame(message[5:9], ABNF.OPCODE_CONT, fin=0)
    one.frame(message[9:], ABNF.OPCODE_CONT)
    one.expect(wire.SUBSCRIBED, 1)
    same(one.pong, b"between")


@check("wamp.large", over=(("ws", "json"), ("ws", "msgpack"), ("ws", "cbor"), ("tcp", "cbor"),
                           ("tls", "json"), ("wss", "msgpack"), ("unix", "json")))
def large(t, transport, serializer):
    """A megabyte and a half goes there and back."""
    one = wamp.client(t, "autobahn", transport, serializer)
    # Not xconn: it takes a megabyte at most.
    two = wamp.client(t, "autobahn", "tcp", "msgpack")
    two.register(t.uri("echo"), lambda i: i.args[0])
    text = "snow ☃ " * 170_000
    that(one.value(t.uri("echo"), text) == text, "another text came back")
    heard = one.subscribe(t.uri("topic"))
    two.publish(t.uri("topic"), text)
    that(heard.take().args == [text], "another text arrived")


@check("wamp.rawsocket_handshake", over=("json", "msgpack", "cbor"))
def rawsocket_handshake(t, serializer):
    """The reply is four octets: what the router takes, and the serializer that was asked for."""
    kind = ("json", "msgpack", "cbor").index(serializer) + 1
    one = Raw(t, bytes([0x7f, 0xf0 | kind, 0, 0]))
    same((one.reply[0], one.reply[1] & 15, one.reply[2:]), (0x7f, kind, b"\0\0"), "reply")


@check("wamp.rawsocket_unknown_serializer")
def rawsocket_unknown_serializer(t):
    """A serializer that is not known is refused with error 1."""
    one = Raw(t, b"\x7f\xfe\0\0")
    same(one.reply, b"\x7f\x10\0\0", "reply")
    one.ended()


@check("wamp.rawsocket_reserved")
def rawsocket_reserved(t):
    """Reserved octets of the handshake that are set are refused with error 3."""
    one = Raw(t, b"\x7f\xf1\0\1")
    same(one.reply, b"\x7f\x30\0\0", "reply")
    one.ended()


@check("wamp.rawsocket_no_serializer")
def rawsocket_no_serializer(t):
    """Serializer 0 means nothing, and the connection ends."""
    one = Raw(t, b"\x7f\xf0\0\0")
    that(one.reply == b"" or one.reply[1] & 15 == 0, f"reply {one.reply}")
    one.ended()


@check("wamp.rawsocket_slow_handshake")
def rawsocket_slow_handshake(t):
    """Octets may come one by one, and several frames in one segment."""
    one = Raw(t, None)
    for octet in b"\x7f\xf1\0\0":
        one.s.sendall(bytes([octet]))
        time.sleep(0.02)
    same(one.octets(4)[:1], b"\x7f")
    one.join()
    both = b""
    for n in (1, 2, 3):
        message = f'[32, {n}, {{}}, "{t.uri(str(n))}"]'.encode()
        both += len(message).to_bytes(4, "big") + message
    one.s.sendall(both[:-20])
    one.expect(wire.SUBSCRIBED, 1)
    one.expect(wire.SUBSCRIBED, 2)
    for octet in both[-20:]:
        one.s.sendall(bytes([octet]))
        time.sleep(0.005)
    one.expect(wire.SUBSCRIBED, 3)


@check("wamp.rawsocket_ping")
def rawsocket_ping(t):
    """PING is answered with what it carries, also before HELLO."""
    one = Raw(t)
    for payload in (b"", b"early", b"x" * 1000):
        one.frame(1, payload)
        try:
            one.receive()
        except InterruptedError:
            pass
        same(one.pongs.pop(), (2, payload), "PONG")
    one.join()


@check("wamp.rawsocket_ping_client", over=("tcp", "unix", "ws"))
def ping_client(t, transport):
    """A library that pings hears of it."""
    wamp.client(t, "xconn", transport, "cbor").ask("ping")


@check("wamp.rawsocket_frame_type", over=("3", "4", "5", "6", "7", "8", "64", "128"))
def rawsocket_frame_type(t, first):
    """A frame of a reserved type fails its connection, and no other (nexus dies of it)."""
    for joined in (False, True):
        one = Raw(t)
        if joined:
            one.join()
        one.frame(int(first), b"\0\0\0\0")
        one.ended()
    wamp.client(t).value("wamp.session.count")


@check("wamp.rawsocket_client_limit")
def rawsocket_client_limit(t):
    """A client is not sent more than it takes: the large event is left out, the next one comes."""
    one = Raw(t, b"\x7f\x31\0\0").join()
    one.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    one.expect(wire.SUBSCRIBED, 1)
    two = wamp.client(t)
    two.publish(t.uri("x"), "x" * 8000)
    two.publish(t.uri("x"), "small")
    same(one.expect(wire.EVENT)[4], ["small"])


@check("wamp.rawsocket_result_too_large")
def rawsocket_result_too_large(t):
    """A result that its caller does not take becomes wamp.error.payload_size_exceeded."""
    wamp.client(t).register(t.uri("p"), lambda i: "x" * 8000)
    one = Raw(t, b"\x7f\x31\0\0").join()
    one.say(wire.CALL, 1, {}, t.uri("p"))
    same(one.fails(wire.CALL, 1), "wamp.error.payload_size_exceeded")
    one.say(wire.SUBSCRIBE, 2, {}, t.uri("x"))
    one.expect(wire.SUBSCRIBED, 2)


@check("wamp.rawsocket_tls_and_unix", over=("tls", "unix"))
def rawsocket_elsewhere(t, transport):
    """A RawSocket by hand over TLS and on a socket in the file system."""
    one = Raw(t, transport=transport).join()
    one.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    one.expect(wire.SUBSCRIBED, 1)


@check("wamp.batch_separator", over=("rs", "autobahn"))
def batch_separator(t, whose):
    """Batched JSON ends each message with 0x1e; autobahn writes 0x18, and is answered so."""
    separator = b"\x18" if whose == "autobahn" else b"\x1e"
    one = Web(t, subprotocols=("wamp.2.json.batched",))
    one.send(b'[1, "%s", {"roles": {"subscriber": {}}}]' % one.realm.encode() + separator)
    first = one.receive()
    that(first.endswith(separator) and first.startswith(b"[2,"), f"got {first!r}")


@check("wamp.batch_of_three")
def batch_of_three(t):
    """Several messages in one WebSocket message are several messages."""
    one = Web(t, subprotocols=("wamp.2.json.batched",))
    one.send(b'[1, "%s", {"roles": {"subscriber": {}}}]\x1e' % one.realm.encode())
    one.receive()
    one.send(b"".join(b'[32, %d, {}, "%s.%d"]\x1e' % (n, t.uri().encode(), n) for n in (1, 2, 3)))
    said = b""
    while said.count(b"\x1e") < 3:
        more = one.receive()
        that(more, "the connection ended")
        said += more
    starts = [part[:7].replace(b" ", b"")[:5] for part in said.split(b"\x1e")[:3]]
    same(starts, [b"[33,1", b"[33,2", b"[33,3"])


@check("wamp.batch_empty")
def batch_empty(t):
    """An empty batch fails the transport."""
    one = Web(t, subprotocols=("wamp.2.json.batched",))
    one.send(b"")
    one.ended()


@check("wamp.one_port", own=True)
def one_port(t):
    """MQTT, PRX1 and WAMP over both transports come in at the same port."""
    from wire import Prx1

    Raw(t).join()
    Web(t).join()
    mqtt = t.client(transport="any")
    mqtt.subscribe(t.topic("x"), qos=1)
    mqtt.publish(t.topic("x"), b"y", 1)
    same(mqtt.take().payload, b"y")
    Prx1(t, f"user{t.number}", port="any").subscribe("x/y")


@check("wamp.garbage", over=("zeros", "http", "noise"))
def garbage(t, kind):
    """What is no protocol at all ends its own connection at most."""
    data = {"zeros": bytes(64), "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "noise": bytes(range(128, 256))}[kind]
    Raw(t, None).s.sendall(data)
    Raw(t).join()


@check("wamp.deep_nesting", over=("json", "msgpack", "cbor"))
def deep_nesting(t, serializer):
    """Twenty thousand lists within lists cost a session at most."""
    head = {"json": b'[16, 1, {}, "a.b", [', "msgpack": b"\x95\x10\x01\x80\xa3a.b\x91",
            "cbor": b"\x85\x10\x01\xa0\x63a.b\x81"}[serializer]
    deep = {"json": (b"[", b"]"), "msgpack": (b"\x91", b"\xc0"), "cbor": (b"\x81", b"\xf6")}
    opening, closing = deep[serializer]
    count = 20_000
    tail = closing * count + b"]]" if serializer == "json" else closing
    kind = ("json", "msgpack", "cbor").index(serializer) + 1
    one = Raw(t, bytes([0x7f, 0xf0 | kind, 0, 0]))
    hello = {"json": b'[1, "%s", {"roles": {"publisher": {}}}]',
             "msgpack": b"\x93\x01" + bytes([0xa0 | len(one.realm)]) + b"%s\x81\xa5roles\x81"
                        b"\xa9publisher\x80",
             "cbor": b"\x83\x01" + bytes([0x60 | len(one.realm)]) + b"%s\xa1\x65roles\xa1"
                     b"\x69publisher\xa0"}[serializer] % one.realm.encode()
    one.send(hello)
    that(one.receive(), "not let in")
    one.send(head + opening * count + tail)
    wamp.client(t).value("wamp.session.count")


@check("wamp.announced_length", over=("msgpack", "cbor"))
def announced_length(t, serializer):
    """A list that announces four thousand million items costs nothing but its session."""
    kind = ("msgpack", "cbor").index(serializer) + 2
    one = Raw(t, bytes([0x7f, 0xf0 | kind, 0, 0]))
    one.send({"msgpack": b"\xdd\xff\xff\xff\xff", "cbor": b"\x9a\xff\xff\xff\xff"}[serializer])
    one.ended()
    wamp.client(t).value("wamp.session.count")
