"""What no WAMP library of others says: messages that break the rules, and frames cut anywhere.

Messages are lists in JSON, over a WebSocket of websocket-client or over a RawSocket that is spoken
by hand. Absent on purpose: request ids, roles and replies that keep to the rules by themselves.
"""

import http.client
import json
import socket
import time

import websocket

from clients import WAIT_S, tls_context

(HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR) = (1, 2, 3, 4, 5, 6, 8)
(PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT) = (
    16, 17, 32, 33, 34, 35, 36)
(CALL, CANCEL, RESULT, REGISTER, REGISTERED, UNREGISTER, UNREGISTERED) = (
    48, 49, 50, 64, 65, 66, 67)
(INVOCATION, INTERRUPT, YIELD) = (68, 69, 70)

#: Everything a client can announce.
ROLES = {
    "caller": ("caller_identification", "call_canceling", "call_timeout",
               "progressive_call_results", "progressive_call_invocations",
               "payload_passthru_mode"),
    "callee": ("caller_identification", "call_canceling", "call_timeout", "call_trustlevels",
               "pattern_based_registration", "shared_registration", "progressive_call_results",
               "progressive_call_invocations", "registration_revocation", "payload_passthru_mode"),
    "publisher": ("publisher_identification", "publisher_exclusion",
                  "subscriber_blackwhite_listing", "payload_passthru_mode"),
    "subscriber": ("publisher_identification", "pattern_based_subscription",
                   "subscription_revocation", "event_retention", "payload_passthru_mode"),
}


def roles(*without):
    """All roles with all features but these."""
    return {role: {"features": {f: True for f in features if f not in without}}
            for role, features in ROLES.items()}


class Session:
    """The messages of one session, whatever lies beneath."""

    def say(self, *message):
        self.send(json.dumps(message).encode())

    def hello(self, realm=None, **details):
        details.setdefault("roles", roles())
        self.say(HELLO, realm or self.realm, details)

    def join(self, realm=None, **details):
        """Let in as anybody; the id and the details of the WELCOME."""
        self.hello(realm, **details)
        message = self.expect(WELCOME)
        self.id, self.welcome = message[1], message[2]
        return self

    def hear(self, seconds=WAIT_S):
        """The next message; None when the connection ended."""
        data = self.receive(seconds)
        return None if data is None else json.loads(data)

    def expect(self, code, *start, seconds=WAIT_S):
        """The next message has this code, and these fields behind it."""
        message = self.hear(seconds)
        if message is None:
            raise AssertionError(f"the connection ended where a {code} was due")
        if message[0] != code or tuple(message[1:1 + len(start)]) != start:
            raise AssertionError(f"got {message}, wanted {[code, *start]}")
        return message

    def fails(self, kind, request):
        """The URI of the ERROR that is the answer."""
        message = self.expect(ERROR, kind, request)
        return message[4]

    def ask(self, *message):
        """Say, and hear what comes next."""
        self.say(*message)
        return self.hear()

    def aborted(self):
        """The URI of the ABORT that comes next; after it the connection ends."""
        message = self.expect(ABORT)
        rest = self.hear(5)
        if rest is not None:
            raise AssertionError(f"after the ABORT came {rest}")
        return message[2]

    def ended(self, seconds=WAIT_S):
        """The connection ends, with or without a word before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.receive(max(0.1, end - time.monotonic())) is None:
                return
        raise AssertionError(f"the connection was still open after {seconds} s")

    def quiet(self, seconds=0.4):
        """Nothing comes, and the connection goes on."""
        try:
            message = self.hear(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"got {message} where nothing was due")


class Web(Session):
    """A session over a WebSocket."""

    def __init__(self, t, subprotocols=("wamp.2.json",), transport="ws", **options):
        self.realm = t.broker.wamp_realm
        ssl_options = {"ca_certs": str(t.world.certificates.ca)} if transport == "wss" else None
        where = f"{transport}://127.0.0.1:{t.broker.wamp_place(transport)}/{t.broker.wamp_path}"
        self.ws = websocket.create_connection(
            where, timeout=WAIT_S, sslopt=ssl_options, subprotocols=list(subprotocols), **options)
        self.text = "json" in (self.ws.getsubprotocol() or "json")
        t.open.append(self)

    def send(self, data):
        kind = websocket.ABNF.OPCODE_TEXT if self.text else websocket.ABNF.OPCODE_BINARY
        self.frame(data, kind)

    def frame(self, data, opcode, fin=1):
        self.ws.send_frame(websocket.ABNF(fin, 0, 0, 0, opcode, 1, data))

    def receive(self, seconds=WAIT_S):
        self.ws.settimeout(seconds)
        try:
            while True:
                opcode, data = self.ws.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    return None
                if opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
                    return data
                if opcode == websocket.ABNF.OPCODE_PONG:
                    self.pong = data
        except websocket.WebSocketTimeoutException:
            raise TimeoutError(f"nothing came within {seconds} s") from None
        except (websocket.WebSocketException, OSError):
            return None

    def close(self):
        self.ws.shutdown()


class Raw(Session):
    """A session over a RawSocket; `handshake` None leaves even that to the check."""

    def __init__(self, t, handshake=b"\x7f\xf1\0\0", transport="tcp"):
        self.realm = t.broker.wamp_realm
        place = t.broker.wamp_place(transport)
        if transport == "unix":
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(str(place))
        else:
            self.s = socket.create_connection(("127.0.0.1", place), WAIT_S)
        if transport == "tls":
            self.s = tls_context(t.tls()).wrap_socket(self.s, server_hostname="127.0.0.1")
        self.data = b""
        self.pongs = []
        t.open.append(self)
        if handshake is not None:
            self.s.sendall(handshake)
            self.reply = self.octets(4)

    def octets(self, count, seconds=WAIT_S):
        """So many octets; fewer when the connection ended."""
        end = time.monotonic() + seconds
        while len(self.data) < count:
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                chunk = self.s.recv(65536)
            except ConnectionError:
                break
            if not chunk:
                break
            self.data += chunk
        got, self.data = self.data[:count], self.data[count:]
        return got

    def send(self, data):
        self.frame(0, data)

    def frame(self, first, data):
        self.s.sendall(bytes([first]) + len(data).to_bytes(3, "big") + data)

    def receive(self, seconds=WAIT_S):
        end = time.monotonic() + seconds
        while True:
            head = self.octets(4, max(0.01, end - time.monotonic()))
            if len(head) < 4:
                return None
            body = self.octets(int.from_bytes(head[1:], "big"))
            if head[0] == 0:
                return body
            self.pongs.append((head[0], body))
            if head[0] == 2:
                raise InterruptedError("a PONG")

    def close(self):
        self.s.close()


class Local(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Poll(Session):
    """A session that is spoken to by requests: one connection for what is said, one for what is
    heard. Messages are JSON unless somebody else writes and reads them."""

    def __init__(self, t, protocols=("wamp.2.json",), transport="ws"):
        self.realm = t.broker.wamp_realm
        place = t.broker.wamp_place(transport)

        def connection():
            if transport == "unix":
                return Local(place, WAIT_S)
            if transport == "wss":
                return http.client.HTTPSConnection(
                    "127.0.0.1", place, timeout=WAIT_S, context=tls_context(t.tls()))
            return http.client.HTTPConnection("127.0.0.1", place, timeout=WAIT_S)

        self.up, self.down = connection(), connection()
        t.open.append(self)
        status, body = self.post(self.up, "open", json.dumps({"protocols": list(protocols)}))
        if status != 200:
            raise AssertionError(f"open is answered with {status}: {body}")
        opened = json.loads(body)
        self.protocol, self.name = opened["protocol"], opened["transport"]

    def post(self, connection, rest, body=None):
        connection.request("POST", f"/lp/{rest}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def send(self, data):
        status, body = self.post(self.up, f"{self.name}/send", data)
        if status not in (200, 202, 204):
            raise AssertionError(f"send is answered with {status}: {body}")

    def receive(self, seconds=WAIT_S):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.down.sock:
                self.down.sock.settimeout(max(0.1, end - time.monotonic()))
            try:
                status, body = self.post(self.down, f"{self.name}/receive")
            except TimeoutError:
                self.down.close()
                break
            if status == 200:
                return body
            if status not in (202, 204):
                return None
        raise TimeoutError(f"nothing came within {seconds} s")

    def leave(self):
        return self.post(self.up, f"{self.name}/close")[0]

    def close(self):
        self.up.close()
        self.down.close()
