"""One face for the clients of others: paho-mqtt, MQTT.js and rumqttc behave alike to a check.

What a client hears lies in its inbox in the order in which it came; every wait has an end. Options
and properties have one spelling here (`session_expiry`, `user`, `correlation`, ...), and each
client is told in its own. Absent on purpose: reconnection. A check that wants it does it itself.
"""

import base64
import json
import queue
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

#: How long anything that should happen may take. Nothing here takes long; a busy machine might.
WAIT_S = 15
#: How long nothing has to happen to count as nothing. Too short makes a check weaker, not fail.
QUIET_S = 0.4


@dataclass
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    props: dict = field(default_factory=dict)
    #: Packet id, where the client tells it.
    mid: int = 0


class Refused(Exception):
    """The broker said no to a CONNECT: `code`, and what it said beside it."""

    def __init__(self, code, text=""):
        super().__init__(f"refused with {code}: {text}")
        self.code = code
        self.text = text


class Client:
    """What a check does with a client, whichever it is."""

    def __init__(self):
        self.inbox = queue.Queue()
        self.over = threading.Event()
        #: Reason code of the DISCONNECT that the broker sent, if it sent one.
        self.disconnect_code = None
        self.disconnect_props = {}
        #: Properties of the CONNACK, and whether a session was there.
        self.props = {}
        self.present = None

    def take(self, seconds=WAIT_S):
        """The next message."""
        try:
            return self.inbox.get(timeout=seconds)
        except queue.Empty:
            why = "; the connection is gone" if self.over.is_set() else ""
            raise AssertionError(f"no message within {seconds} s{why}") from None

    def take_many(self, count, seconds=WAIT_S):
        end = time.monotonic() + seconds
        out = []
        while len(out) < count:
            try:
                out.append(self.inbox.get(timeout=max(0, end - time.monotonic())))
            except queue.Empty:
                text = f"{len(out)} of {count} messages within {seconds} s"
                raise AssertionError(text) from None
        return out

    def nothing(self, seconds=QUIET_S):
        """No message for a while."""
        try:
            message = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return
        text = f"{message.topic} {message.payload[:40]!r}"
        raise AssertionError(f"a message that should not have come: {text}")

    def gone(self, seconds=WAIT_S):
        """The connection ends; the reason code that the broker gave, or None."""
        if not self.over.wait(seconds):
            raise AssertionError(f"the connection was still open after {seconds} s")
        return self.disconnect_code

    def stays(self, seconds):
        if self.over.wait(seconds):
            raise AssertionError(f"the connection ended: {self.disconnect_code}")


# Names of properties here, and in paho.
PAHO = {
    "payload_format": "PayloadFormatIndicator",
    "expiry": "MessageExpiryInterval",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation": "CorrelationData",
    "user": "UserProperty",
    "alias": "TopicAlias",
    "sub_ids": "SubscriptionIdentifier",
    "delay": "WillDelayInterval",
    "session_expiry": "SessionExpiryInterval",
    "receive_max": "ReceiveMaximum",
    "packet_max": "MaximumPacketSize",
    "alias_max": "TopicAliasMaximum",
    "assigned_id": "AssignedClientIdentifier",
    "server_keepalive": "ServerKeepAlive",
    "reason": "ReasonString",
    "qos_max": "MaximumQoS",
    "retain_ok": "RetainAvailable",
    "wildcard_ok": "WildcardSubscriptionAvailable",
    "sub_ids_ok": "SubscriptionIdentifierAvailable",
    "shared_ok": "SharedSubscriptionAvailable",
}


def to_paho(kind, props):
    out = Properties(kind)
    for name, value in props.items():
        setattr(out, PAHO[name], list(value) if name == "user" else value)
    return out


def from_paho(props):
    out = {}
    for name, theirs in PAHO.items():
        value = getattr(props, theirs, None) if props is not None else None
        if value is not None:
            out[name] = value
    return out


def split(options):
    """What goes into properties, taken out of the options of a CONNECT."""
    names = ("session_expiry", "receive_max", "packet_max", "alias_max", "user_props")
    props = {n: options.pop(n) for n in names if options.get(n) is not None}
    if "user_props" in props:
        props["user"] = props.pop("user_props")
    return props


def tls_context(tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls["ca"])
    if tls.get("cert"):
        context.load_cert_chain(tls["cert"], tls["key"])
    if tls.get("only"):
        if tls["only"] < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = tls["only"]
    return context


class Paho(Client):
    """paho-mqtt."""

    def __init__(self, port, transport, version, tls, *, id, clean=True, keepalive=60, user=None,
                 password=None, will=None, manual=False, inflight=20, **options):
        super().__init__()
        self.version = version
        self.answers = {}
        self.lock = threading.Condition()
        self.connack = queue.Queue()
        kind = {"tls": "tcp", "ws": "websockets", "wss": "websockets"}.get(transport, "tcp")
        kind = "unix" if transport == "unix" else kind
        more = {} if version == 5 else {"clean_session": clean}
        self.c = c = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=id, transport=kind, manual_ack=manual,
            protocol={3: paho.MQTTv31, 4: paho.MQTTv311, 5: paho.MQTTv5}[version],
            reconnect_on_failure=False, **more)
        c.on_connect, c.on_disconnect = self._on_connect, self._on_disconnect
        c.on_subscribe = lambda c, u, mid, codes, props: self._answer(mid, codes, props)
        c.on_unsubscribe = lambda c, u, mid, codes, props: self._answer(mid, codes, props)
        c.on_publish = lambda c, u, mid, code, props: self._answer(mid, code, props)
        c.on_message = self._on_message
        c.max_inflight_messages_set(inflight)
        c.ws_set_options(path="/mqtt")
        c.connect_timeout = 10
        if transport in ("tls", "wss", "anys"):
            c.tls_set_context(tls_context(tls))
        if user is not None:
            c.username_pw_set(user, password)
        if will:
            props = None
            if version == 5:
                props = to_paho(PacketTypes.WILLMESSAGE, will.get("props", {}))
            c.will_set(will["topic"], will["payload"], will.get("qos", 0),
                       will.get("retain", False), props)
        self.where = ("127.0.0.1", port, keepalive)
        if transport == "unix":
            self.where = (str(port), 1, keepalive)
        self.how = {}
        if version == 5:
            self.how["clean_start"] = clean
            self.how["properties"] = to_paho(PacketTypes.CONNECT, split(options))

    def connect(self):
        self.over.clear()
        self.c.connect(*self.where, **self.how)
        self.c.loop_start()
        try:
            code, present, props = self.connack.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError("no CONNACK") from None
        if code is None:
            raise Refused(None, "closed without a CONNACK")
        if code != 0:
            raise Refused(code, from_paho(props).get("reason", ""))
        self.present, self.props = present, from_paho(props)
        return self

    def _on_connect(self, c, u, flags, code, props):
        self.connack.put((code.value, flags.session_present, props))

    def _on_disconnect(self, c, u, flags, code, props):
        if flags.is_disconnect_packet_from_server:
            self.disconnect_code = code.value
            self.disconnect_props = from_paho(props)
        self.connack.put((None, None, None))
        self.over.set()
        with self.lock:
            self.lock.notify_all()

    def _on_message(self, c, u, m):
        self.inbox.put(Message(m.topic, m.payload, m.qos, m.retain, m.dup,
                               from_paho(m.properties) if self.version == 5 else {}, m.mid))

    def _answer(self, mid, codes, props):
        codes = codes if isinstance(codes, list) else [codes]
        with self.lock:
            self.answers[mid] = [c.value for c in codes]
            self.lock.notify_all()

    def _answered(self, mid, seconds=WAIT_S):
        with self.lock:
            if not self.lock.wait_for(lambda: mid in self.answers or self.over.is_set(), seconds):
                raise AssertionError(f"no answer within {seconds} s")
            if mid not in self.answers:
                raise AssertionError(f"the connection ended: {self.disconnect_code}")
            return self.answers.pop(mid)

    def subscribe(self, *filters, qos=0, sub_id=None, nl=False, rap=False, rh=0):
        if self.version == 5:
            asked = [(f, SubscribeOptions(qos, nl, rap, rh)) for f in filters]
            props = to_paho(PacketTypes.SUBSCRIBE, {"sub_ids": sub_id} if sub_id else {})
            _, mid = self.c.subscribe(asked, properties=props)
        else:
            _, mid = self.c.subscribe([(f, qos) for f in filters])
        return self._answered(mid)

    def unsubscribe(self, *filters):
        _, mid = self.c.unsubscribe(list(filters))
        return self._answered(mid)

    def send(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publish without waiting for the answer; what to give to `sent`."""
        if self.version == 5:
            props = to_paho(PacketTypes.PUBLISH, props)
            return self.c.publish(topic, payload, qos, retain, props).mid
        return self.c.publish(topic, payload, qos, retain).mid

    def sent(self, mid, seconds=WAIT_S):
        return self._answered(mid, seconds)[0]

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publish; the reason code of the answer."""
        return self.sent(self.send(topic, payload, qos, retain, **props))

    def ack(self, message):
        self.c.ack(message.mid, message.qos)

    def disconnect(self, code=0, **props):
        if self.version == 5:
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code)
            self.c.disconnect(reason, to_paho(PacketTypes.DISCONNECT, props))
        else:
            self.c.disconnect()
        self.gone()
        self._end()

    def socket(self):
        """The socket beneath whatever lies above it."""
        s = self.c.socket()
        return getattr(s, "_socket", s)

    def drop(self):
        """End the connection without a word."""
        try:
            s = self.socket()
            if s is not None:
                s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.gone()
        self._end()

    def freeze(self):
        """Fall silent: the connection is there, and nobody reads or writes."""
        self._end()

    def _end(self):
        self.c.loop_stop()

    def close(self):
        try:
            s = self.socket()
            if s is not None:
                s.close()
        except OSError:
            pass
        self.c._thread_terminate = True


class Lines:
    """A process that is spoken to in lines of JSON."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(
            [str(c) for c in command], env=env, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.lock = threading.Lock()
        self.last = 0
        self.answers = {}
        self.heard = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if "n" in value:
                waiting = self.answers.get(value["n"])
            else:
                waiting = self.heard.get(value.get("c"))
            if waiting is not None:
                waiting(value)
        for hear in list(self.heard.values()):
            hear({"ev": "closed", "why": "the process ended"})

    def ask(self, then, **ask):
        with self.lock:
            return self.put(then, **ask)

    def put(self, then, **ask):
        """For who holds the lock."""
        self.last += 1
        if then:
            self.answers[self.last] = then
        try:
            self.process.stdin.write(json.dumps({"n": self.last, **ask}) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass
        return self.last

    def end(self):
        self.process.kill()
        self.process.wait(5)


class Driven(Client):
    """A client in another process: MQTT.js (many in one) or rumqttc (one in each)."""

    def __init__(self, lines, name, ask):
        super().__init__()
        self.lines, self.name, self.asked = lines, name, ask
        self.version = ask["version"]
        self.connack = queue.Queue()
        self.why = ""
        self.code = None

    def connect(self):
        self.over.clear()
        self.lines.heard[self.name] = self._hear
        self.lines.ask(None, do="connect", c=self.name, **self.asked)
        try:
            said = self.connack.get(timeout=WAIT_S)
        except queue.Empty:
            raise AssertionError("no CONNACK") from None
        if said["ev"] == "closed":
            raise Refused(self.code, self.why or said.get("why", ""))
        if said["code"] != 0:
            raise Refused(said["code"])
        self.present, self.props = said["present"], said["props"]
        return self

    def _hear(self, said):
        event = said["ev"]
        if event == "message":
            props = said["props"]
            if "correlation" in props:
                props["correlation"] = base64.b64decode(props["correlation"])
            if "user" in props:
                props["user"] = [tuple(pair) for pair in props["user"]]
            self.inbox.put(Message(said["topic"], base64.b64decode(said["payload"]), said["qos"],
                                   said["retain"], said["dup"], props))
        elif event == "connected":
            self.connack.put(said)
        elif event == "error":
            self.why, self.code = said["why"], said["code"]
        elif event == "disconnect":
            self.disconnect_code, self.disconnect_props = said["code"], said["props"]
        elif event == "closed":
            self.why = self.why or said["why"]
            self.connack.put(said)
            self.over.set()

    def _do(self, what, **more):
        answer = queue.Queue()
        n = self.lines.ask(answer.put, do=what, c=self.name, **more)
        return n, answer

    def _answered(self, asked, seconds=WAIT_S):
        n, answer = asked
        end = time.monotonic() + seconds
        try:
            while True:
                try:
                    said = answer.get(timeout=0.2)
                    break
                except queue.Empty:
                    if self.over.is_set() and answer.empty():
                        raise AssertionError(
                            f"the connection ended: {self.disconnect_code} {self.why}") from None
                    if time.monotonic() > end:
                        raise AssertionError(f"no answer within {seconds} s") from None
        finally:
            self.lines.answers.pop(n, None)
        if "no" in said:
            raise AssertionError(said["no"])
        return said["ok"]

    def subscribe(self, *filters, qos=0, sub_id=None, nl=False, rap=False, rh=0):
        options = {"qos": qos, "nl": nl, "rap": rap, "rh": rh}
        asked = self._do("subscribe", filters=[[f, options] for f in filters], sub_id=sub_id)
        return self._answered(asked)["codes"]

    def unsubscribe(self, *filters):
        return self._answered(self._do("unsubscribe", filters=list(filters)))["codes"]

    def send(self, topic, payload=b"", qos=0, retain=False, **props):
        if "correlation" in props:
            props["correlation"] = base64.b64encode(props["correlation"]).decode()
        payload = payload.encode() if isinstance(payload, str) else payload
        return self._do("publish", topic=topic, payload=base64.b64encode(payload).decode(),
                        qos=qos, retain=retain, props=props)

    def sent(self, asked, seconds=WAIT_S):
        return self._answered(asked, seconds)["code"]

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        return self.sent(self.send(topic, payload, qos, retain, **props))

    def disconnect(self, code=0, **props):
        self._answered(self._do("disconnect", code=code, props=props))
        self.gone()

    def drop(self):
        self._do("drop")
        self.gone()

    def close(self):
        self.lines.ask(None, do="forget", c=self.name)
        self.lines.heard.pop(self.name, None)


class Rumqttc(Driven):
    def drop(self):
        self.lines.end()
        self.gone()

    def close(self):
        self.lines.end()


def driven_ask(port, transport, version, tls, *, id, clean=True, keepalive=60, user=None,
               password=None, will=None, reconnect=False, auto_alias=False, scram=None, **options):
    """A CONNECT as the drivers read it."""
    if will:
        payload = will["payload"]
        payload = payload.encode() if isinstance(payload, str) else payload
        props = dict(will.get("props", {}))
        if "correlation" in props:
            props["correlation"] = base64.b64encode(props["correlation"]).decode()
        will = {"topic": will["topic"], "payload": base64.b64encode(payload).decode(),
                "qos": will.get("qos", 0), "retain": will.get("retain", False), "props": props}
    files = {k: str(tls[k]) for k in ("ca", "cert", "key") if tls.get(k)}
    return {"host": "127.0.0.1", "port": port, "transport": transport, "version": version,
            "id": id, "clean": clean, "keepalive": keepalive, "user": user, "password": password,
            "will": will, "reconnect": reconnect, "auto_alias": auto_alias,
            "scram": scram, "props": split(options), **files}
