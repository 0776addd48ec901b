"""The little that is said by hand: MQTT packets for a WebSocket library, and a PRX1 client.

No client of others sends a PUBLISH in three WebSocket fragments, or speaks PRX1. Encoders here
know the few packets that checks need, and no more.
"""

import socket
import struct
import time

import websocket

from clients import WAIT_S


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(value)) + value


def varint(n):
    out = b""
    while True:
        n, low = n >> 7, n & 127
        out += bytes([low | (128 if n else 0)])
        if not n:
            return out


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def connect(id, version=4):
    props = b"\x00" if version == 5 else b""
    body = text("MQTT") + bytes([version, 2]) + struct.pack(">H", 60) + props + text(id)
    return packet(0x10, body)


def subscribe(topic, mid=1, qos=0):
    return packet(0x82, struct.pack(">H", mid) + text(topic) + bytes([qos]))


def publish(topic, payload):
    return packet(0x30, text(topic) + payload)


PING = b"\xc0\x00"
PONG = b"\xd0\x00"
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x00"


class Socket:
    """A connection of websocket-client, as a stream of MQTT bytes."""

    def __init__(self, t, transport, port=None, **options):
        scheme = transport
        port = t.broker.ports[port or transport]
        ssl_options = {"ca_certs": str(t.world.certificates.ca)} if transport == "wss" else None
        options.setdefault("subprotocols", ["mqtt"])
        self.ws = websocket.create_connection(
            f"{scheme}://127.0.0.1:{port}/mqtt", timeout=WAIT_S, sslopt=ssl_options, **options)
        self.data = b""
        t.open.append(self)

    def send(self, data, fin=1, opcode=websocket.ABNF.OPCODE_BINARY):
        frame = websocket.ABNF(fin, 0, 0, 0, opcode, 1, data)
        self.ws.send_frame(frame)

    def expect(self, wanted, what):
        """These bytes come next, in whatever frames."""
        end = time.monotonic() + WAIT_S
        while len(self.data) < len(wanted) and time.monotonic() < end:
            frame = self.ws.recv_frame()
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            if frame.opcode == websocket.ABNF.OPCODE_TEXT:
                raise AssertionError("a text frame from the broker")
            if frame.opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_CONT):
                self.data += frame.data
        got, self.data = self.data[:len(wanted)], self.data[len(wanted):]
        if got != wanted:
            raise AssertionError(f"{what}: got {got[:60]!r}, wanted {wanted[:60]!r}")

    def frame(self, seconds=WAIT_S):
        """The next frame of any kind; None when the connection ended without one."""
        self.ws.settimeout(seconds)
        try:
            return self.ws.recv_frame()
        except (websocket.WebSocketConnectionClosedException, OSError):
            return None

    def close(self):
        self.ws.shutdown()


class Prx1:
    """A client of the other protocol of the broker."""

    def __init__(self, t, user, clean=False, port="prx1"):
        self.s = socket.create_connection(("127.0.0.1", t.broker.ports[port]), WAIT_S)
        self.data = b""
        self.mid = 0
        t.open.append(self)
        flags = 0x18 if clean else 0x10
        self.s.sendall(packet(flags, text("PRX1") + b"\x0b" + text("secret") + text("")
                              + text(user)))
        first, body = self.next()
        if first >> 4 != 2 or body[0] not in (0, 2):
            raise AssertionError(f"refused: {first:#x} {body!r}")
        self.resumed = bool(first & 8)

    def next(self, seconds=WAIT_S):
        """The next frame: its first byte and its body."""
        end = time.monotonic() + seconds
        while True:
            frame = self._whole()
            if frame:
                return frame
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                chunk = self.s.recv(65536)
            except TimeoutError:
                raise AssertionError(f"no frame within {seconds} s") from None
            if not chunk:
                raise AssertionError("the broker closed the connection")
            self.data += chunk

    def _whole(self):
        length, shift, at = 0, 0, 1
        while at < len(self.data):
            byte = self.data[at]
            length |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                if len(self.data) < at + length:
                    return None
                frame = self.data[0], self.data[at:at + length]
                self.data = self.data[at + length:]
                return frame
        return None

    def _id(self, qos):
        if not qos:
            return b""
        self.mid += 1
        return struct.pack(">H", self.mid)

    def _acked(self, code, id):
        first, body = self.next()
        if (first >> 4, body) != (code, id):
            raise AssertionError(f"got {first:#x} {body!r} for an acknowledgement")

    def subscribe(self, topic, qos=1):
        id = self._id(qos)
        self.s.sendall(packet(0x70 | qos << 1, id + text(topic)))
        if qos:
            self._acked(8, id)

    def unsubscribe(self, topic):
        id = self._id(1)
        self.s.sendall(packet(0x92, id + text(topic)))
        self._acked(10, id)

    def publish(self, topic, payload, qos=0, retain=False):
        id = self._id(qos)
        self.s.sendall(packet(0xB0 | qos << 1 | retain, id + text(topic) + text(payload)))
        if qos:
            self._acked(6, id)

    def take(self, seconds=WAIT_S, ack=True):
        """The next message: (topic, payload, QoS, retain, dup). Acknowledged if that is wanted."""
        while True:
            first, body = self.next(seconds)
            if first >> 4 == 0xB:
                break
        qos = first >> 1 & 3
        if qos:
            id, body = body[:2], body[2:]
            if ack:
                self.s.sendall(packet(0x60, id))
        length = struct.unpack(">H", body[:2])[0]
        topic, body = body[2:2 + length], body[2 + length:]
        payload = body[2:2 + struct.unpack(">H", body[:2])[0]]
        return topic.decode(), payload, qos, bool(first & 1), bool(first & 8)

    def nothing(self, seconds=0.4):
        try:
            got = self.take(seconds)
        except AssertionError:
            return
        raise AssertionError(f"a message that should not have come: {got}")

    def close(self):
        self.s.close()
