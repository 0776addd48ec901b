"""TLS and WebSocket, beneath MQTT."""

import socket
import ssl
import threading
import time

import websocket

import wire
from brokers import Setup
from clients import Refused
from harness import check, same, that
from wire import CONNACK, PING, PONG, SUBACK, Socket


def alive(t, transport="tls"):
    """The listener still serves."""
    one = t.client(transport=transport)
    one.subscribe(t.topic("alive"), qos=1)
    one.publish(t.topic("alive"), b"yes", 1)
    same(one.take().payload, b"yes")


@check("tls.version", over=(("1.2", "tls"), ("1.3", "tls"), ("1.2", "wss"), ("1.3", "wss")))
def tls_version(t, version, transport):
    """Both versions are spoken, each where the client takes no other."""
    only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    one = t.client(transport=transport, tls=t.tls(only=only))
    s = one.socket()
    same(s.version(), f"TLSv{version}")
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"x" * 100_000, 1)
    same(len(one.take().payload), 100_000)


@check("tls.too_old")
def tls_too_old(t):
    """TLS 1.1 is refused."""
    try:
        t.client(transport="tls", tls=t.tls(only=ssl.TLSVersion.TLSv1_1))
    except (ssl.SSLError, OSError):
        pass
    else:
        raise AssertionError("TLS 1.1 was spoken")
    alive(t)


@check("tls.wrong_ca", over=(("paho", "tls"), ("paho", "wss"), ("mqttjs", "tls"),
                             ("mqttjs", "wss"), ("rumqttc", "tls"), ("rumqttc", "wss")))
def tls_wrong_ca(t, peer, transport):
    """A client that trusts another CA does not connect, and the broker goes on."""
    tls = {"ca": t.world.certificates.other_ca}
    try:
        t.client(peer, 5, transport, tls=tls)
    except (ssl.SSLError, OSError, Refused):
        pass
    else:
        raise AssertionError("a certificate that nobody vouched for was taken")
    alive(t, transport)


@check("tls.client_certificate", over=(("paho", "tls"), ("paho", "wss"), ("mqttjs", "tls"),
                                       ("rumqttc", "tls")))
def tls_client_certificate(t, peer, transport):
    """A client certificate of the right CA is welcome."""
    cert, key = t.world.certificates.client
    one = t.client(peer, 5, transport, tls=t.tls(cert=cert, key=key))
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"x", 1)
    same(one.take().payload, b"x")


@check("tls.client_certificate.foreign", over=(("paho", "1.2"), ("paho", "1.3"), ("mqttjs", "1.3"),
                                               ("rumqttc", "1.3")),
       beyond="with a CA for clients configured, a certificate it did not sign is no certificate")
def tls_foreign(t, peer, version):
    """A client certificate of another CA is refused, also where none is needed."""
    cert, key = t.world.certificates.stranger
    only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    more = {"only": only} if peer == "paho" else {}
    try:
        t.client(peer, 5, "tls", tls=t.tls(cert=cert, key=key, **more))
    except (ssl.SSLError, OSError, Refused):
        pass
    else:
        raise AssertionError("a stranger's certificate was taken")
    alive(t)


NEEDED = Setup(certificate_needed=True)
NAMED = Setup(certificate_needed=True, certificate_names=True,
              users=[("alice", None, ["can publish open/*", "can subscribe open/*"])])
REVOKED = Setup(certificate_needed=True, revocations=True)


def not_let_in(t, *args, **options):
    """Refused in the handshake, or as soon as the client speaks."""
    try:
        t.client(*args, **options)
    except (ssl.SSLError, OSError, Refused):
        return
    raise AssertionError("the connection was let in")


@check("tls.certificate_needed", over=("tls", "wss"))
def tls_needed(t, transport):
    """Where a certificate is needed, nobody comes in without; plain listeners are not concerned."""
    t.wants(NEEDED)
    not_let_in(t, transport=transport)
    cert, key = t.world.certificates.stranger
    not_let_in(t, transport=transport, tls=t.tls(cert=cert, key=key))
    cert, key = t.world.certificates.client
    t.client(transport=transport, tls=t.tls(cert=cert, key=key))
    t.client()


@check("tls.certificate_names", over=(("paho", "tls"), ("paho", "wss"), ("mqttjs", "tls"),
                                      ("rumqttc", "tls")))
def tls_names(t, peer, transport):
    """The name in the certificate is the user, with the rules of that user and no password."""
    t.wants(NAMED)
    cert, key = t.world.certificates.client
    one = t.client(peer, 5, transport, tls=t.tls(cert=cert, key=key))
    topic = f"open/{t.number}"
    one.subscribe(topic, qos=1)
    one.publish(topic, b"x", 1)
    same(one.take().payload, b"x")
    try:
        same(one.publish("closed/x", b"x", 1), 0x87, "reason")
    except AssertionError:
        # Some end the connection instead.
        one.gone()
    not_let_in(t, transport="tcp", user="alice", password="anything")


@check("tls.revoked", over=("tls", "wss"),
       beyond="RFC 5280 6.3: what a CA revoked is not valid, on no listener")
def tls_revoked(t, transport):
    """A certificate that its CA took back opens nothing; another of the same name does."""
    t.wants(REVOKED)
    cert, key = t.world.certificates.revoked
    not_let_in(t, transport=transport, tls=t.tls(cert=cert, key=key))
    cert, key = t.world.certificates.client
    t.client(transport=transport, tls=t.tls(cert=cert, key=key))


@check("tls.renewed")
def tls_renewed(t):
    """SIGHUP takes a new certificate for new connections, and old ones stay."""
    broker = t.alone_with()

    def shown():
        context = ssl.create_default_context(cafile=str(t.world.certificates.ca))
        with socket.create_connection(("127.0.0.1", broker.ports["tls"]), 10) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                return s.getpeercert()["serialNumber"]

    one = t.client(transport="tls")
    before = shown()
    broker.certify(t.world.certificates.renewed)
    broker.reload()
    end = time.monotonic() + 5
    while shown() == before:
        that(time.monotonic() < end, "the old certificate is still shown after 5 s")
        time.sleep(0.1)
    one.subscribe(t.topic("x"), qos=1)
    t.client(transport="wss").publish(t.topic("x"), b"x", 1)
    same(one.take().payload, b"x")


@check("tls.plain_bytes")
def tls_plain(t):
    """Plain MQTT on a TLS port is refused soon, and nobody else notices."""
    with socket.create_connection(("127.0.0.1", t.broker.ports["tls"]), 10) as s:
        s.sendall(wire.connect("plain"))
        s.settimeout(10)
        data = b"more"
        try:
            while data:
                data = s.recv(100)
                that(not data.startswith(b"\x20"), "a CONNACK in plain")
        except ConnectionError:
            pass
    alive(t)


@check("tls.half_handshake")
def tls_half(t):
    """Twenty connections that stop in the middle of their handshake keep nobody out."""
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", t.broker.ports["tls"]), 10)
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        t.open.append(s)
    alive(t)


@check("tls.resumed")
def tls_resumed(t):
    """A session ticket of one connection opens the next one."""
    context = ssl.create_default_context(cafile=str(t.world.certificates.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", t.broker.ports["tls"]), 10)
        s = context.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
        t.open.append(s)
        s.sendall(wire.connect(t.id()))
        same(s.recv(4), CONNACK)
        session = s.session
    that(s.session_reused, "the handshake was made in full again")


@check("ws.subprotocol", over=("ws", "wss"))
def ws_subprotocol(t, transport):
    """Of the subprotocols a client names, the broker takes `mqtt`."""
    for names in (["mqtt"], ["chat", "mqtt"], ["mqttv3.1", "mqtt"]):
        one = Socket(t, transport, subprotocols=names)
        that(one.ws.getsubprotocol() in ("mqtt", names[0]), f"took {one.ws.getsubprotocol()}")
        if "chat" in names:
            same(one.ws.getsubprotocol(), "mqtt", "subprotocol")
        one.send(wire.connect(t.id()))
        one.expect(CONNACK, "CONNACK")


@check("ws.fragments", over=("ws", "wss"))
def ws_fragments(t, transport):
    """A packet in three fragments, with a ping between them, is one packet."""
    one = Socket(t, transport)
    whole = wire.connect(t.id())
    ops = websocket.ABNF
    one.send(whole[:5], fin=0)
    one.send(whole[5:9], fin=0, opcode=ops.OPCODE_CONT)
    one.send(b"are you there", opcode=ops.OPCODE_PING)
    one.send(whole[9:], opcode=ops.OPCODE_CONT)
    frame = one.frame()
    if frame.opcode == ops.OPCODE_PONG:
        same(frame.data, b"are you there", "PONG")
    else:
        one.data += frame.data
    one.expect(CONNACK, "CONNACK")
    alive(t, transport)


@check("ws.frame_borders", over=("ws", "wss"))
def ws_borders(t, transport):
    """Frames and packets need not begin or end together."""
    one = Socket(t, transport)
    topic = t.topic("x")
    stream = (wire.connect(t.id()) + wire.subscribe(topic) + wire.publish(topic, b"one")
              + wire.publish(topic, b"two"))
    for at in range(0, len(stream), 7):
        one.send(stream[at:at + 7])
    echoed = wire.publish(topic, b"one") + wire.publish(topic, b"two")
    one.expect(CONNACK + SUBACK, "CONNACK and SUBACK")
    one.expect(echoed, "two messages")
    fifty = b"".join([wire.publish(topic, b"%d" % n) for n in range(50)])
    one.send(fifty)
    one.expect(fifty, "fifty messages")
    one.send(PING)
    one.expect(PONG, "PINGRESP")


@check("ws.byte_by_byte")
def ws_bytes(t):
    """One byte in each frame."""
    one = Socket(t, "ws")
    for byte in wire.connect(t.id()) + PING:
        one.send(bytes([byte]))
    one.expect(CONNACK + PONG, "CONNACK and PINGRESP")


@check("ws.empty_frames")
def ws_empty(t):
    """Frames without a byte mean nothing."""
    one = Socket(t, "ws")
    one.send(b"")
    one.send(wire.connect(t.id()))
    one.send(b"")
    one.send(PING)
    one.expect(CONNACK + PONG, "CONNACK and PINGRESP")


@check("ws.large", over=("ws", "wss"),
       beyond="RFC 6455 5.2: a frame may be of any length, and costs no more than its bytes")
def ws_large(t, transport):
    """One mebibyte in one frame, there and back."""
    one = Socket(t, transport)
    topic = t.topic("x")
    one.send(wire.connect(t.id()) + wire.subscribe(topic))
    one.expect(CONNACK + SUBACK, "CONNACK and SUBACK")
    whole = wire.publish(topic, bytes(range(256)) * 4096)
    started = time.monotonic()
    one.send(whole)
    one.expect(whole, "the message")
    that(time.monotonic() - started < 4, f"it took {time.monotonic() - started:.1f} s")


@check("ws.ping", over=("ws", "wss"))
def ws_ping(t, transport):
    """A ping of WebSocket is answered with its own bytes."""
    one = Socket(t, transport)
    one.send(wire.connect(t.id()))
    one.expect(CONNACK, "CONNACK")
    one.send(b"\x00\xffping", opcode=websocket.ABNF.OPCODE_PING)
    frame = one.frame()
    same((frame.opcode, frame.data), (websocket.ABNF.OPCODE_PONG, b"\x00\xffping"))


@check("ws.close", over=("ws", "wss"))
def ws_close(t, transport):
    """A close is answered with a close, and is no DISCONNECT: the will is published."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=0)
    one = Socket(t, transport)
    will = (wire.text("MQTT") + bytes([4, 0b110]) + b"\x00\x3c" + wire.text(t.id())
            + wire.text(topic) + wire.text("bye"))
    one.send(wire.packet(0x10, will))
    one.expect(CONNACK, "CONNACK")
    one.send(b"\x03\xe8", opcode=websocket.ABNF.OPCODE_CLOSE)
    frame = one.frame()
    same(frame and frame.opcode, websocket.ABNF.OPCODE_CLOSE, "answer")
    same(watcher.take().payload, b"bye")


@check("ws.text_refused",
       beyond="MQTT 6.0.0-1: data comes in binary frames, or the connection ends")
def ws_text(t):
    """A text frame ends the connection."""
    one = Socket(t, "ws")
    one.send(wire.connect(t.id()))
    one.expect(CONNACK, "CONNACK")
    one.send(PING, opcode=websocket.ABNF.OPCODE_TEXT)
    frame = one.frame(5)
    that(frame is None or frame.opcode == websocket.ABNF.OPCODE_CLOSE, "it was answered")


@check("ws.unmasked_refused",
       beyond="RFC 6455 5.1: a server closes the connection on a frame without a mask")
def ws_unmasked(t):
    """A frame without a mask ends the connection."""
    one = Socket(t, "ws")
    data = wire.connect(t.id())
    one.ws.sock.sendall(bytes([0x82, len(data)]) + data)
    frame = one.frame(5)
    that(frame is None or frame.opcode == websocket.ABNF.OPCODE_CLOSE, "it was answered")


@check("ws.not_a_websocket", over=("ws",))
def ws_http(t, transport):
    """A plain request is answered with an HTTP error, and plain MQTT is not served."""
    for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", wire.connect("plain")):
        with socket.create_connection(("127.0.0.1", t.broker.ports[transport]), 10) as s:
            s.settimeout(12)
            s.sendall(data)
            got = b""
            try:
                while not got and (chunk := s.recv(1000)):
                    got += chunk
            except OSError:
                pass
            that(not got.startswith((b"\x20", b"HTTP/1.1 101", b"HTTP/1.1 200")), f"got {got!r}")
    alive(t, transport)


@check("tcp.byte_by_byte")
def tcp_bytes(t):
    """One byte in each segment."""
    with socket.create_connection(("127.0.0.1", t.broker.ports["tcp"]), 10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(10)
        for byte in wire.connect(t.id()) + PING:
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        got = b""
        while len(got) < 6 and (chunk := s.recv(100)):
            got += chunk
        same(got, CONNACK + PONG)


@check("transports.share")
def transports_share(t):
    """A message of each transport reaches all of them."""
    clients = [t.client("paho", v, tr) for v in (4, 5) for tr in ("tcp", "tls", "ws", "wss")]
    for c in clients:
        c.subscribe(t.topic("x"), qos=1)
    for n, c in enumerate(clients):
        c.publish(t.topic("x"), str(n), 1)
    for c in clients:
        same(sorted(int(m.payload) for m in c.take_many(8)), list(range(8)))


@check("unix", over=(4, 5))
def unix(t, version):
    """A socket in the file system is a transport like any other."""
    one, two = t.client(version=version, transport="unix"), t.client(transport="wss")
    for c in (one, two):
        c.subscribe(t.topic("x"), qos=2)
    for qos in (0, 1, 2):
        one.publish(t.topic("x"), b"x" * 100_000, qos)
        for c in (one, two):
            m = c.take()
            same((len(m.payload), m.qos), (100_000, qos))


@check("any.mqtt", over=("any", "anys"), own=True)
def any_mqtt(t, transport):
    """A port that takes every protocol takes MQTT, also over TLS."""
    for version in (3, 4, 5):
        one = t.client(version=version, transport=transport)
        one.subscribe(t.topic("x"), qos=1)
        one.publish(t.topic("x"), b"x", 1)
        same(one.take().payload, b"x")


@check("any.websocket", own=True)
def any_websocket(t):
    """The same port takes a WebSocket, and PRX1 beside it."""
    one = Socket(t, "ws", port="any")
    one.send(wire.connect(t.id()) + wire.subscribe(t.topic("x")))
    one.expect(CONNACK + SUBACK, "CONNACK and SUBACK")
    other = wire.Prx1(t, f"user{t.number}", port="any")
    other.publish(t.topic("x"), b"from prx1", 1)
    one.expect(wire.publish(t.topic("x"), b"from prx1"), "the message")


class Proxy:
    """A proxy that says who it speaks for, and passes bytes on."""

    def __init__(self, t, header):
        self.header, self.target = header, t.broker.ports["proxied"]
        self.s = socket.create_server(("127.0.0.1", 0))
        self.port = self.s.getsockname()[1]
        t.open.append(self)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            client, _ = self.s.accept()
            broker = socket.create_connection(("127.0.0.1", self.target), 10)
            broker.sendall(self.header)
            threading.Thread(target=self._pass, args=(broker, client), daemon=True).start()
            self._pass(client, broker)
        except OSError:
            pass

    @staticmethod
    def _pass(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.s.close()


V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n"
V2 = (b"\r\n\r\n\x00\r\nQUIT\n" + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1])
      + b"\x9c\x40\x07\x5b")


@check("proxy", over=("v1", "v2"), own=True)
def proxy(t, version):
    """A proxy in front is believed about whom it speaks for, and noticed by nobody else."""
    broker = t.alone_with()
    proxy = Proxy(t, {"v1": V1, "v2": V2}[version])
    one = t.make()
    one.where = ("127.0.0.1", proxy.port, 60)
    one.connect()
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"x" * 100_000, 1)
    same(len(one.take().payload), 100_000)
    that("192.0.2.7" in broker.last_lines(), "the log does not name the address of the client")


@check("proxy.header_missing", own=True)
def proxy_missing(t):
    """Where a proxy is expected, a connection without its header is not served."""
    one = t.make()
    one.where = ("127.0.0.1", t.broker.ports["proxied"], 60)
    try:
        one.connect()
    except (Refused, AssertionError, OSError):
        pass
    else:
        raise AssertionError("it was let in without a header")
    alive(t, "tcp")
