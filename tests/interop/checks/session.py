"""Sessions, wills and keep-alive: what outlives a connection, and what ends it."""

import select
import time

from brokers import Setup
from clients import Refused
from harness import burst, check, same, that

KEEP = {"session_expiry": 300}


@check("session.expiry.ends")
def session_expiry_ends(t):
    """A session lives for as long as it asked, and no longer."""
    id = t.id()
    t.client(id=id, clean=False, session_expiry=1).disconnect()
    time.sleep(2.6)
    same(t.client(id=id, clean=False).present, False, "session present")


@check("session.expiry.holds")
def session_expiry_holds(t):
    id = t.id()
    t.client(id=id, clean=False, session_expiry=30).disconnect()
    time.sleep(1)
    same(t.client(id=id, clean=False).present, True, "session present")


@check("session.expiry.none")
def session_expiry_none(t):
    """Without an expiry the session of 5.0 ends with its connection."""
    id = t.id()
    t.client(id=id, clean=False).drop()
    same(t.client(id=id, clean=False).present, False, "session present")


@check("session.expiry.at_disconnect", over=(0, 300))
def session_expiry_at_disconnect(t, seconds):
    """The DISCONNECT may change how long the session lives."""
    id = t.id()
    t.client(id=id, clean=False, session_expiry=300 if seconds == 0 else 2).disconnect(
        session_expiry=seconds)
    time.sleep(0.3 if seconds == 0 else 3.2)
    same(t.client(id=id, clean=False).present, seconds > 0, "session present")


@check("session.expiry.raised_from_none",
       beyond="MQTT5 3.14.2.2.2: an expiry where CONNECT had none is a Protocol Error")
def session_expiry_raised(t):
    """A session that was to end cannot be made to stay by its DISCONNECT."""
    id = t.id()
    one = t.client(id=id, clean=False)
    one.disconnect(session_expiry=300)
    same(t.client(id=id, clean=False).present, False, "session present")


@check("session.across_versions")
def session_across_versions(t):
    """A session belongs to the client id, not to the version that made it."""
    id, topic = t.id(), t.topic("x")
    old = t.client(version=4, id=id, clean=False)
    old.subscribe(topic, qos=1)
    old.disconnect()
    t.client().publish(topic, b"between", 1)
    new = t.client("mqttjs", 5, id=id, clean=False, **KEEP)
    same((new.present, new.take().payload), (True, b"between"))


@check("session.across_transports", over=("tls", "ws", "wss"))
def session_across_transports(t, transport):
    """A session made over TCP is found over any other transport."""
    id, topic = t.id(), t.topic("x")
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(topic, qos=2)
    one.drop()
    t.client().publish(topic, b"between", 2)
    two = t.client(id=id, clean=False, transport=transport, **KEEP)
    same((two.present, two.take().payload), (True, b"between"))


@check("session.qos0_not_kept")
def session_qos0(t):
    """A subscription of QoS 0 keeps nothing that has to arrive."""
    id, topic = t.id(), t.topic("x")
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(topic, qos=0)
    one.disconnect()
    t.client().publish(topic, b"2", 2)
    one = t.client(id=id, clean=False, **KEEP)
    same(one.present, True, "session present")
    t.client().publish(topic, b"live", 0)
    while one.take().payload != b"live":
        pass


@check("session.many_offline", over=((1, 2000), (2, 800)))
def session_many_offline(t, qos, count):
    """Thousands wait for a client that is away, and come in order, each once."""
    id, topic = t.id(), t.topic("x")
    one = t.client(id=id, clean=False, **KEEP)
    one.subscribe(topic, qos=2)
    one.disconnect()
    sender = t.client()
    burst(sender, topic, [str(n) for n in range(count)], qos)
    one = t.client(id=id, clean=False, **KEEP)
    got = [int(m.payload) for m in one.take_many(count, 30)]
    same(got, list(range(count)), "came")
    one.nothing()


@check("resend.qos1", over=(4, 5))
def resend_qos1(t, version):
    """What was not acknowledged comes again with DUP, and not once more after that."""
    id, topic = t.id(), t.topic("x")
    keep = KEEP if version == 5 else {}
    one = t.client(version=version, id=id, clean=False, manual=True, **keep)
    one.subscribe(topic, qos=1)
    sender = t.client()
    for n in range(3):
        sender.publish(topic, str(n), 1)
    first = one.take_many(3)
    same([m.dup for m in first], [False] * 3, "DUP")
    one.ack(first[0])
    # An answer says that the broker has read what came before the question.
    one.unsubscribe(t.topic("none"))
    sender.publish(topic, b"end", 1)
    one.take()
    one.drop()
    one = t.client(version=version, id=id, clean=False, manual=True, **keep)
    again = one.take_many(3)
    same([(m.payload, m.dup) for m in again], [(b"1", True), (b"2", True), (b"end", True)])
    same([m.mid for m in again[:2]], [m.mid for m in first[1:]], "packet ids")
    for m in again:
        one.ack(m)
    one.unsubscribe(t.topic("none"))
    sender.publish(topic, b"fence", 1)
    same(one.take().payload, b"fence")
    one.drop()
    one = t.client(version=version, id=id, clean=False, manual=True, **keep)
    same([m.payload for m in one.take_many(1)], [b"fence"])


@check("resend.pubrel", over=(4, 5))
def resend_pubrel(t, version):
    """After PUBREC it is PUBREL that is sent again; the message itself does not come twice."""
    id, topic = t.id(), t.topic("x")
    keep = KEEP if version == 5 else {}
    # With manual acknowledgement this client answers PUBLISH, but leaves PUBREL without PUBCOMP.
    one = t.client(version=version, id=id, clean=False, manual=True, **keep)
    one.subscribe(topic, qos=2)
    t.client().publish(topic, b"once", 2)
    same(one.take().payload, b"once")
    one.drop()
    # Another object knows nothing of the first half: only a PUBLISH would give it a message.
    two = t.client(version=version, id=id, clean=False, **keep)
    same(two.present, True, "session present")
    two.nothing()
    t.client().publish(topic, b"next", 2)
    same(two.take().payload, b"next")


@check("takeover.reason", over=("tcp", "tls", "ws", "wss"),
       beyond="MQTT5 3.1.4-3: the old connection is sent a DISCONNECT with 0x8E")
def takeover_reason(t, transport):
    """The client that lost its connection to another is told so."""
    id = t.id()
    one = t.client(transport=transport, id=id)
    t.client(transport=transport, id=id)
    same(one.gone(), 0x8E, "reason")


@check("takeover.session")
def takeover_session(t):
    """Who takes over a session gets what the other had not acknowledged."""
    id, topic = t.id(), t.topic("x")
    one = t.client(id=id, clean=False, manual=True, **KEEP)
    one.subscribe(topic, qos=1)
    t.client().publish(topic, b"mine", 1)
    same(one.take().payload, b"mine")
    two = t.client(id=id, clean=False, **KEEP)
    one.gone()
    m = two.take()
    same((m.payload, m.dup), (b"mine", True))


@check("takeover.will")
def takeover_will(t):
    """A will without delay is published when another connection takes over."""
    id, topic = t.id(), t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    t.client(id=id, will={"topic": topic, "payload": b"taken", "qos": 1})
    t.client(id=id)
    same(watcher.take().payload, b"taken")


@check("takeover.storm")
def takeover_storm(t):
    """Thirty connections with one client id, one after the other: the last one is served."""
    id, topic = t.id(), t.topic("x")
    clients = [t.client(version=4 + n % 2, id=id) for n in range(30)]
    last = clients[-1]
    last.subscribe(topic, qos=1)
    last.publish(topic, b"x", 1)
    same(last.take().payload, b"x")
    for c in clients[:-1]:
        c.gone()


@check("will.delay")
def will_delay(t):
    """A will with a delay comes after the delay, not before."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    will = {"topic": topic, "payload": b"late", "qos": 1, "props": {"delay": 2}}
    dying = t.client(will=will, **KEEP)
    dropped = time.monotonic()
    dying.drop()
    same(watcher.take().payload, b"late")
    seconds = time.monotonic() - dropped
    that(1.8 < seconds < 4.5, f"it came after {seconds:.1f} s")


@check("will.delay.cancelled")
def will_delay_cancelled(t):
    """Who is back before the delay is over has not died."""
    id, topic = t.id(), t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    will = {"topic": topic, "payload": b"no", "qos": 1, "props": {"delay": 2}}
    dying = t.client(id=id, clean=False, will=will, **KEEP)
    dying.drop()
    t.client(id=id, clean=False, **KEEP)
    watcher.nothing(3.2)


@check("will.delay.session_ends",
       beyond="MQTT5 3.1.3.2.2: published when the delay has passed or the session ends, "
              "whichever happens first")
def will_delay_session_ends(t):
    """A session that ends before the delay is over has its will published then."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    will = {"topic": topic, "payload": b"end", "qos": 1, "props": {"delay": 60}}
    dying = t.client(will=will, session_expiry=1)
    dropped = time.monotonic()
    dying.drop()
    same(watcher.take(6).payload, b"end")
    seconds = time.monotonic() - dropped
    that(seconds > 0.8, f"it came after {seconds:.1f} s")


@check("will.retained", over=(4, 5))
def will_retained(t, version):
    """A retained will is there for who comes later."""
    topic = t.topic("status")
    will = {"topic": topic, "payload": b"offline", "qos": 1, "retain": True}
    dying = t.client(version=version, will=will)
    dying.publish(topic, b"online", 1, retain=True)
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    m = watcher.take()
    same((m.payload, m.retain), (b"online", True))
    dying.drop()
    m = watcher.take()
    same((m.payload, m.retain), (b"offline", False))
    late = t.client()
    late.subscribe(topic, qos=1)
    m = late.take()
    same((m.payload, m.retain), (b"offline", True))


@check("will.properties", over=("paho", "mqttjs", "rumqttc"))
def will_properties(t, peer):
    """The properties of a will travel with it."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    props = {"content_type": "text/plain", "response_topic": "re/ply", "correlation": b"\x00\x01",
             "payload_format": 1, "expiry": 100}
    if peer != "mqttjs":
        props["user"] = [("b", "1"), ("a", "2"), ("b", "3")]
    t.client(peer, will={"topic": topic, "payload": b"w", "qos": 1, "props": props}).drop()
    m = watcher.take()
    that(m.props.pop("expiry", 0) in (99, 100), "the expiry is gone or wrong")
    props.pop("expiry")
    same(m.props, props, "properties")


@check("will.with_disconnect")
def will_with_disconnect(t):
    """DISCONNECT 0x04 asks for the will."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    t.client(will={"topic": topic, "payload": b"asked", "qos": 1}).disconnect(code=4)
    same(watcher.take().payload, b"asked")


@check("will.keepalive")
def will_keepalive(t):
    """A client that falls silent is gone after one and a half times its keep-alive."""
    topic = t.topic("will")
    watcher = t.client()
    watcher.subscribe(topic, qos=1)
    silent = t.client(keepalive=2, will={"topic": topic, "payload": b"silent", "qos": 1})
    silent.freeze()
    same(watcher.take(10).payload, b"silent")


@check("keepalive.precise", over=("tcp", "wss"),
       beyond="MQTT5 3.1.2-22: within one and a half times the keep-alive")
def keepalive_precise(t, transport):
    """The silence that ends a connection is 1.5 times the keep-alive, to half a second."""
    silent = t.client(version=4, transport=transport, keepalive=2)
    silent.freeze()
    since = time.monotonic()
    s = silent.socket()
    # Bytes may still come (a close, an alert); the end is when nothing more can.
    while True:
        left = since + 8 - time.monotonic()
        that(left > 0, "still open after 8 s")
        if select.select([s], [], [], left)[0]:
            try:
                if not s.recv(4096):
                    break
            except OSError:
                break
    seconds = time.monotonic() - since
    # The loop of the client ends up to a second after its last packet.
    that(1.8 < seconds < 3.6, f"it ended after {seconds:.1f} s")


@check("keepalive.none")
def keepalive_none(t):
    """A keep-alive of 0 asks for none."""
    one = t.client(keepalive=0)
    one.stays(4)
    same(one.subscribe(t.topic("x"), qos=1), [1], "granted")


@check("keepalive.by_server", over=("paho", "mqttjs"))
def keepalive_by_server(t, peer):
    """A broker that wants another keep-alive says so, and clients keep to it."""
    seconds = t.world.brand.server_keepalive_least
    t.wants(Setup(limits={"server_keepalive": seconds}))
    one = t.client(peer, keepalive=60)
    same(one.props.get("server_keepalive"), seconds, "Server Keep Alive")
    one.stays(5)


@check("client_id.assigned", over=("paho", "mqttjs"))
def client_id_assigned(t, peer):
    """Who brings no client id is given one, and can come back with it."""
    first = t.client(peer, id="", **KEEP)
    second = t.client(peer, id="", **KEEP)
    ids = [c.props.get("assigned_id") for c in (first, second)]
    that(all(ids) and ids[0] != ids[1], f"assigned {ids}")
    first.subscribe(t.topic("x"), qos=1)
    first.disconnect()
    same(t.client(peer, id=ids[0], clean=False, **KEEP).present, True, "session present")


@check("client_id.empty_311", over=("paho", "mqttjs"))
def client_id_empty(t, peer):
    """3.1.1 with an empty client id and a clean session is welcome."""
    one = t.client(peer, 4, id="")
    one.subscribe(t.topic("x"), qos=1)
    one.publish(t.topic("x"), b"1", 1)
    same(one.take().payload, b"1")


@check("client_id.text")
def client_id_text(t):
    """A client id may be long, and in any script."""
    for id in ("ж" * 100, "a" * 1000, "with space/and+signs#"):
        id = f"{id}{t.number}"
        t.client(id=id, clean=False, **KEEP).disconnect()
        same(t.client(id=id, clean=False, **KEEP).present, True, "session present")


@check("client_id.refused_first")
def connect_refused(t):
    """A refused login leaves nothing behind that the right one would stumble over."""
    from .access import SETUP

    t.wants(SETUP)
    id = t.id()
    for _ in range(3):
        try:
            t.client(id=id, user="alice", password="no", clean=False, **KEEP)
        except Refused as e:
            that(e.code in (0x86, 0x87), f"refused with {e.code}")
    one = t.client(id=id, user="alice", password="apple", clean=False, **KEEP)
    same(one.present, False, "session present")
