"""Who may come in, what they may do, and how a client is told that it may not."""

from brokers import Setup
from clients import Refused
from harness import check, same, that

SETUP = Setup(users=[
    ("alice", "apple", ["can publish open/*", "can subscribe open/*"]),
    ("bob", "banana", ["can publish open/*", "can subscribe open/*",
                       "can publish closed/*", "can subscribe closed/*"]),
])
ALICE = {"user": "alice", "password": "apple"}
BOB = {"user": "bob", "password": "banana"}
DENIED = "a broker that knows who may subscribe to what says so"


def refused(t, *args, **options):
    try:
        t.client(*args, **options)
    except Refused as e:
        return e.code
    raise AssertionError("the connection was let in")


@check("login.anonymous", over=(4, 5))
def login_anonymous(t, version):
    """Nobody comes in without a name where names are asked for."""
    t.wants(SETUP)
    that(refused(t, version=version) in (0x86, 0x87, 4, 5), "another code")


@check("login.name_alone", over=(4, 5))
def login_name_alone(t, version):
    """A name without a password is not enough."""
    t.wants(SETUP)
    that(refused(t, version=version, user="alice") in (0x86, 0x87, 4, 5), "another code")


@check("login.code", over=((4, 0x86), (5, 0x86)),
       beyond="MQTT5 3.2.2.2, MQTT 3.2.2.3: bad user name or password has a code of its own")
def login_code(t, version, code):
    """The code says that it is the password. (This client spells the 4 of 3.1.1 as 0x86.)"""
    t.wants(SETUP)
    same(refused(t, version=version, user="alice", password="no"), code, "code")


ENHANCED = "MQTT5 4.12: enhanced authentication, here with SCRAM-SHA-256 of RFC 7677"


@check("scram.right", over=("tcp", "wss"), beyond=ENHANCED)
def scram_right(t, transport):
    """Both sides prove that they know the password, and nobody says it."""
    t.wants(SETUP)
    scram = {"user": "alice", "password": "apple"}
    one = t.client("mqttjs", 5, transport, scram=scram)
    same(one.props.get("proved"), True, "the broker proved itself:")
    one.subscribe(f"open/{t.number}", qos=1)
    one.publish(f"open/{t.number}", b"in", 1)
    same(one.take().payload, b"in")
    same(one.publish(f"closed/{t.number}", b"no", 1), 0x87, "reason")


@check("scram.wrong", over=(("alice", "no"), ("nobody", "apple")), beyond=ENHANCED)
def scram_wrong(t, user, password):
    """A wrong password and a user who does not exist are refused alike."""
    t.wants(SETUP)
    code = refused(t, "mqttjs", scram={"user": user, "password": password})
    that(code in (0x86, 0x87), f"refused with {code}")


@check("scram.unknown_method", beyond="MQTT5 4.12.0-1: an unknown method is refused with 0x8C")
def scram_unknown(t):
    """A method nobody knows has a code of its own."""
    t.wants(SETUP)
    scram = {"user": "alice", "password": "apple", "method": "GUESSWORK"}
    same(refused(t, "mqttjs", scram=scram), 0x8C, "code")


@check("publish.denied", over=(("paho", 1), ("mqttjs", 1), ("mqttjs", 2), ("rumqttc", 1),
                               ("rumqttc", 2)),
       beyond="MQTT5 3.4.2.1: PUBACK or PUBREC with 0x87 is the answer; the connection goes on")
def publish_denied(t, peer, qos):
    """5.0 says 0x87 to who may not publish there, passes nothing on, and stays connected."""
    t.wants(SETUP)
    watcher = t.client(**BOB)
    watcher.subscribe(f"closed/{t.number}", qos=2)
    one = t.client(peer, **ALICE)
    same(one.publish(f"closed/{t.number}", b"no", qos), 0x87, "reason")
    that(one.publish(f"open/{t.number}", b"yes", qos) in (0, 0x10), "an allowed one failed, too")
    watcher.nothing()


@check("publish.denied_qos0")
def publish_denied_qos0(t):
    """QoS 0 has no answer: the message is dropped, or the connection ends with 0x87."""
    t.wants(SETUP)
    watcher = t.client(**BOB)
    watcher.subscribe(f"closed/{t.number}", qos=2)
    one = t.client(**ALICE)
    one.send(f"closed/{t.number}", b"no", 0)
    watcher.nothing()
    if one.over.is_set():
        that(one.disconnect_code in (0x87, None), f"ended with {one.disconnect_code}")


@check("publish.denied_311", over=(0, 1, 2))
def publish_denied_311(t, qos):
    """3.1.1 has no word for it: acknowledged or cut off, and never passed on."""
    t.wants(SETUP)
    watcher = t.client(**BOB)
    watcher.subscribe(f"closed/{t.number}", qos=2)
    one = t.client(version=4, **ALICE)
    try:
        one.publish(f"closed/{t.number}", b"no", qos)
    except AssertionError:
        one.gone()
    watcher.nothing()


@check("publish.denied_retained")
def publish_denied_retained(t):
    """What may not be published is not retained either, and clears nothing."""
    t.wants(SETUP)
    topic = f"closed/r{t.number}"
    bob = t.client(**BOB)
    bob.publish(topic, b"stays", 1, retain=True)
    for payload in (b"", b"no"):
        alice = t.client(**ALICE)
        alice.send(topic, payload, 1, retain=True)
        alice.over.wait(0.3)
    bob.subscribe(topic, qos=1)
    same(bob.take().payload, b"stays")


@check("subscribe.denied", over=(("paho", 4, 0x80), ("paho", 5, 0x87), ("mqttjs", 4, 0x80),
                                 ("mqttjs", 5, 0x87), ("rumqttc", 4, 0x80), ("rumqttc", 5, 0x87)),
       beyond=f"MQTT5 3.9.3, MQTT 3.8.4-3: {DENIED}")
def subscribe_denied(t, peer, version, code):
    """A subscription that is not allowed is refused by its own code, beside one that is."""
    t.wants(SETUP)
    one = t.client(peer, version, **ALICE)
    # The codes of 3.1.1 are spelled as those of 5.0 by one library.
    same(one.subscribe(f"open/{t.number}", f"closed/{t.number}", qos=1), [1, code], "granted")
    t.client(**BOB).publish(f"closed/{t.number}", b"secret", 1)
    one.nothing()


@check("subscribe.no_leak")
def subscribe_no_leak(t):
    """A filter wider than what is allowed shows nothing of what is not."""
    t.wants(SETUP)
    bob = t.client(**BOB)
    bob.publish(f"closed/l{t.number}", b"secret", 1, retain=True)
    one = t.client(**ALICE)
    for filter in ("#", "+/+", "closed/#", f"closed/l{t.number}"):
        one.subscribe(filter, qos=1)
    bob.publish(f"closed/l{t.number}", b"secret", 1)
    seen = []
    while True:
        try:
            seen.append(one.take(0.6).topic)
        except AssertionError:
            break
    that(not [s for s in seen if s.startswith("closed/")], f"came {seen}")


@check("will.denied", beyond="a will is a publication: who may not publish there may not leave one")
def will_denied(t):
    """A will where its client may not publish is refused at once, or never published."""
    t.wants(SETUP)
    watcher = t.client(**BOB)
    watcher.subscribe(f"closed/w{t.number}", qos=1)
    try:
        one = t.client(will={"topic": f"closed/w{t.number}", "payload": b"no", "qos": 1}, **ALICE)
    except Refused as e:
        that(e.code == 0x87, f"refused with {e.code}")
    else:
        one.drop()
    watcher.nothing()


@check("reload.users", over=("tcp", "tls", "ws", "wss"))
def reload_users(t, transport):
    """SIGHUP reads the users again: new ones come in, and nobody is disconnected."""
    setup = Setup(users=list(SETUP.users))
    broker = t.alone_with(setup)
    one = t.client(transport=transport, **ALICE)
    one.subscribe("open/x", qos=1)
    that(refused(t, user="carol", password="cherry") in (0x86, 0x87), "another code")
    setup.users.append(("carol", "cherry", ["can publish open/*"]))
    broker.write_files()
    broker.reload()
    for _ in range(50):
        try:
            carol = t.client(user="carol", password="cherry")
            break
        except Refused:
            one.stays(0.1)
    else:
        raise AssertionError("the new user was not let in within 5 s")
    carol.publish("open/x", b"hello", 1)
    same(one.take().payload, b"hello")
