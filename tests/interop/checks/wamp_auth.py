"""Who is let in, by which proof, and what it may do then."""

import base64
import hashlib
import hmac
import json

import nacl.signing

import wamp
import wampwire as wire
from brokers import Setup
from harness import check, same, that
from wampwire import Web

KEY = bytes(range(32)).hex()
PUBLIC = nacl.signing.SigningKey(bytes.fromhex(KEY)).verify_key.encode().hex()
OTHER_KEY = bytes(range(1, 33)).hex()
OPEN = [f"can {action} open/*" for action in ("publish", "subscribe", "call", "register")]
SETUP = Setup(
    users=[("alice", "apple", OPEN), ("bob", "banana", [*OPEN, *(
        f"can {action} closed/*" for action in ("publish", "subscribe", "call", "register"))]),
        ("sally", "cherry", OPEN), ("carol", None, OPEN)],
    proofs={"sally": {"salt": "salt of sally"}, "carol": {"cryptosign": PUBLIC}})

TICKET = {"method": "ticket", "authid": "alice", "ticket": "apple"}
BOB = {"method": "ticket", "authid": "bob", "ticket": "banana"}
CRA = {"method": "wampcra", "authid": "alice", "secret": "apple"}
SALTED = {"method": "wampcra", "authid": "sally", "secret": "cherry"}
SCRAM = {"method": "scram", "authid": "alice", "password": "apple"}
SIGN = {"method": "cryptosign", "authid": "carol", "privkey": KEY, "pubkey": PUBLIC}
#: The router says only that it failed, whoever asked and whatever was wrong.
FAILED = ("wamp.error.authentication_failed", "wamp.error.authentication_denied",
          "wamp.error.not_authorized", "wamp.error.no_such_principal")
DENIED = ("wamp.error.not_authorized", "wamp.error.authorization_denied")


def let_in(t, lib, auth, **more):
    """A session of this user, which is who it says it is, in its own role."""
    t.wants(SETUP)
    one = wamp.client(t, lib, auth=auth, **more)
    if lib != "wamprs":
        same((one.details["authid"], one.details["authrole"]),
             (auth["authid"], f"of_{auth['authid']}"))
    if lib not in ("wamprs", "xconn"):
        same(one.details["authmethod"], auth["method"], "method")
    heard = one.subscribe(f"open.{t.number}")
    one.publish(f"open.{t.number}", 1)
    heard.nothing(0.05)
    return one


def refused(t, lib, auth, **changed):
    t.wants(SETUP)
    try:
        wamp.client(t, lib, auth=auth and {**auth, **changed})
    except wamp.Refused as e:
        return e.reason
    raise AssertionError("let in")


@check("wamp.ticket", over=(("autobahn", "ws"), ("autobahnjs", "ws"), ("wampy", "wss"),
                            ("xconn", "tcp"), ("wamprs", "tcp"), ("autobahn", "tls")))
def ticket(t, lib, transport):
    """A password lets in."""
    let_in(t, lib, TICKET, transport=transport)


@check("wamp.ticket_wrong", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def ticket_wrong(t, lib):
    """Another does not, and neither does a name that nobody has."""
    reasons = {refused(t, lib, TICKET, ticket="pear"), refused(t, lib, TICKET, authid="nobody")}
    that(reasons <= set(FAILED), f"refused with {reasons}")


@check("wamp.wampcra", over=(("autobahn", "ws"), ("autobahnjs", "wss"), ("wampy", "ws"),
                             ("xconn", "unix")))
def wampcra(t, lib, transport):
    """A proof of the password lets in, and the password is not said."""
    let_in(t, lib, CRA, transport=transport)


@check("wamp.wampcra_salted", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def wampcra_salted(t, lib):
    """Also when the router keeps only what was derived from it with a salt."""
    let_in(t, lib, SALTED)


@check("wamp.wampcra_wrong", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def wampcra_wrong(t, lib):
    """A wrong proof does not, salted or not, and neither does a name that nobody has."""
    reasons = {refused(t, lib, CRA, secret="pear"), refused(t, lib, CRA, authid="nobody"),
               refused(t, lib, SALTED, secret="pear")}
    that(reasons <= set(FAILED), f"refused with {reasons}")


@check("wamp.scram", over=("ws", "tcp"))
def scram(t, transport):
    """SCRAM as autobahn speaks it: both sides prove that they know the password."""
    let_in(t, "autobahn", SCRAM, transport=transport)


@check("wamp.scram_wrong")
def scram_wrong(t):
    """And here, too, the wrong ones do not come in."""
    reasons = {refused(t, "autobahn", SCRAM, password="pear"),
               refused(t, "autobahn", SCRAM, authid="nobody")}
    that(reasons <= set(FAILED), f"refused with {reasons}")


@check("wamp.scram_standard", own=True)
def scram_standard(t):
    """SCRAM as the standard has it: wamp-scram, with PBKDF2 or Argon2."""
    from argon2.low_level import Type, hash_secret_raw

    t.wants(SETUP)
    one = Web(t)
    nonce = base64.b64encode(b"0123456789abcdef").decode()
    one.hello(authmethods=["wamp-scram"], authid="alice",
              authextra={"nonce": nonce, "channel_binding": None})
    method, extra = one.expect(wire.CHALLENGE)[1:3]
    same(method, "wamp-scram", "method")
    that(extra["nonce"].startswith(nonce) and extra["nonce"] != nonce, "the nonce")
    salt, rounds = base64.b64decode(extra["salt"]), extra["iterations"]
    if extra["kdf"] == "pbkdf2":
        salted = hashlib.pbkdf2_hmac("sha256", b"apple", salt, rounds, 32)
    else:
        salted = hash_secret_raw(b"apple", salt, rounds, extra["memory"], 1, 32, Type.ID, 0x13)
    words = (f"n=alice,r={nonce},r={extra['nonce']},s={extra['salt']},i={rounds},"
             f"c=biws,r={extra['nonce']}").encode()
    client = hmac.digest(salted, b"Client Key", "sha256")
    mark = hmac.digest(hashlib.sha256(client).digest(), words, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, mark))).decode()
    one.say(wire.AUTHENTICATE, proof, {"nonce": extra["nonce"], "channel_binding": None,
                                       "cbind_data": None})
    welcome = one.expect(wire.WELCOME)[2]
    vouched = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), words, "sha256")
    same(welcome["authextra"]["verifier"], "v=" + base64.b64encode(vouched).decode())
    same((welcome["authid"], welcome["authrole"]), ("alice", "of_alice"))


@check("wamp.cryptosign", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def cryptosign(t, lib):
    """A key of its own lets in."""
    let_in(t, lib, SIGN)


@check("wamp.cryptosign_wrong", over=("autobahn", "autobahnjs", "xconn"))
def cryptosign_wrong(t, lib):
    """Another key does not."""
    that(refused(t, lib, SIGN, privkey=OTHER_KEY) in FAILED, "another reason")


def signed(one, message):
    key = nacl.signing.SigningKey(bytes.fromhex(KEY))
    return key.sign(message).signature.hex() + message.hex()


@check("wamp.cryptosign_replayed")
def cryptosign_replayed(t):
    """What was signed has to be this challenge: an older one does not do (in nexus it does)."""
    t.wants(SETUP)
    old = None
    for attempt in range(2):
        one = Web(t)
        one.hello(authmethods=["cryptosign"], authid="carol", authextra={"pubkey": PUBLIC})
        challenge = bytes.fromhex(one.expect(wire.CHALLENGE)[2]["challenge"])
        same(len(challenge), 32, "octets of a challenge")
        if attempt == 0:
            old = signed(one, challenge)
            one.say(wire.AUTHENTICATE, old, {})
            one.expect(wire.WELCOME)
        else:
            one.say(wire.AUTHENTICATE, old, {})
            that(one.aborted() in FAILED, "another reason")


@check("wamp.anonymous_refused", over=wamp.LIBS)
def anonymous_refused(t, lib):
    """Where users are known nobody comes in without being one."""
    refused(t, lib, None)


@check("wamp.method_chosen")
def method_chosen(t):
    """Of the methods that a client offers the first that fits counts."""
    t.wants(SETUP)
    for methods in (["ticket", "wampcra"], ["wampcra", "ticket"]):
        one = Web(t)
        one.hello(authmethods=methods, authid="alice")
        same(one.expect(wire.CHALLENGE)[1], methods[0], "method")


@check("wamp.nobody_is_challenged")
def nobody_is_challenged(t):
    """A name that nobody has is challenged like others: names cannot be guessed."""
    t.wants(SETUP)
    said = []
    for name in ("alice", "nobody"):
        one = Web(t)
        one.hello(authmethods=["wampcra"], authid=name)
        extra = one.expect(wire.CHALLENGE)[2]
        challenge = json.loads(extra["challenge"])
        said.append((sorted(extra), sorted(challenge)))
        one.say(wire.AUTHENTICATE, base64.b64encode(bytes(32)).decode(), {})
        message = one.expect(wire.ABORT)
        said.append((message[2], (message[1] or {}).get("message")))
    same(said[2:], said[:2], "for nobody")


@check("wamp.challenge")
def challenge(t):
    """A challenge is of this session and never the same again."""
    t.wants(SETUP)
    nonces = set()
    for _ in range(3):
        one = Web(t)
        one.hello(authmethods=["wampcra"], authid="alice")
        text = one.expect(wire.CHALLENGE)[2]["challenge"]
        said = json.loads(text)
        same((said["authid"], said["authmethod"]), ("alice", "wampcra"))
        nonces.add(said["nonce"])
        signature = base64.b64encode(hmac.digest(b"apple", text.encode(), "sha256")).decode()
        one.say(wire.AUTHENTICATE, signature, {})
        same(one.expect(wire.WELCOME)[1], said["session"], "session")
    same(len(nonces), 3, "nonces")


@check("wamp.instead_of_authenticate", over=("subscribe", "hello", "goodbye"))
def instead_of_authenticate(t, what):
    """Nothing can be done before the proof, and who tries is out."""
    t.wants(SETUP)
    one = Web(t)
    one.hello(authmethods=["ticket"], authid="alice")
    one.expect(wire.CHALLENGE)
    if what == "hello":
        one.hello(authmethods=["ticket"], authid="alice")
    elif what == "goodbye":
        one.say(wire.GOODBYE, {}, "wamp.close.normal")
    else:
        one.say(wire.SUBSCRIBE, 1, {}, "open.x")
    message = one.hear()
    that(message is None or message[0] == wire.ABORT, f"got {message}")


@check("wamp.second_try")
def second_try(t):
    """A proof that failed ends the connection: there is no second try."""
    t.wants(SETUP)
    one = Web(t)
    one.hello(authmethods=["ticket"], authid="alice")
    one.expect(wire.CHALLENGE)
    one.say(wire.AUTHENTICATE, "pear", {})
    one.say(wire.AUTHENTICATE, "apple", {})
    that(one.aborted() in FAILED, "another reason")


@check("wamp.session_of_user")
def session_of_user(t):
    """What is told of a session is who it proved to be."""
    alice = let_in(t, "autobahn", TICKET)
    got = wamp.client(t, "xconn", auth=BOB).value("wamp.session.get", alice.session)
    same((got["authid"], got["authrole"], got["authmethod"]), ("alice", "of_alice", "ticket"))


def denied(action):
    try:
        action()
    except wamp.Failed as e:
        that(e.uri in DENIED, f"failed with {e}")
    else:
        raise AssertionError("it was done")


@check("wamp.publish_denied", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def publish_denied(t, lib):
    """Who may not publish there is told so, and nothing is passed on."""
    alice = let_in(t, lib, TICKET)
    heard = wamp.client(t, auth=BOB).subscribe(f"closed.{t.number}")
    denied(lambda: alice.publish(f"closed.{t.number}", 1))
    if lib != "wampy":
        alice.publish(f"closed.{t.number}", 2, acknowledge=False)
    heard.nothing()
    alice.stays(0.1)


@check("wamp.subscribe_denied", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def subscribe_denied(t, lib):
    """Nor may everybody listen everywhere, also not by a pattern that takes in more."""
    alice = let_in(t, lib, TICKET)
    denied(lambda: alice.subscribe(f"closed.{t.number}"))
    denied(lambda: alice.subscribe("closed", match="prefix"))
    denied(lambda: alice.subscribe("o", match="prefix"))


@check("wamp.call_denied", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def call_denied(t, lib):
    """Nor call."""
    alice = let_in(t, lib, TICKET)
    wamp.client(t, auth=BOB).register(f"closed.p{t.number}", lambda i: "secret")
    denied(lambda: alice.call(f"closed.p{t.number}"))


@check("wamp.register_denied", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def register_denied(t, lib):
    """Nor offer."""
    alice = let_in(t, lib, TICKET)
    denied(lambda: alice.register(f"closed.p{t.number}"))
    alice.register(f"open.p{t.number}", lambda i: "open")
    same(alice.value(f"open.p{t.number}"), "open")


@check("wamp.testament_denied")
def testament_denied(t):
    """A testament is a publication: nobody leaves one where it may not publish."""
    alice = let_in(t, "autobahn", TICKET)
    heard = wamp.client(t, auth=BOB).subscribe(f"closed.{t.number}")
    try:
        alice.call("wamp.session.add_testament", f"closed.{t.number}", ["no"], {})
    except wamp.Failed as e:
        that(e.uri in DENIED, f"failed with {e}")
    alice.drop()
    heard.nothing()


@check("wamp.lists_of_users")
def lists_of_users(t):
    """Lists of names and roles mean those who proved them."""
    alice, bob = let_in(t, "autobahn", TICKET), let_in(t, "autobahn", BOB)
    topic = f"open.lists{t.number}"
    heard = [one.subscribe(topic) for one in (alice, bob)]
    one = let_in(t, "autobahnjs", CRA)
    one.publish(topic, 1, eligible_authid=["bob"])
    one.publish(topic, 2, exclude_authid=["bob"])
    one.publish(topic, 3, eligible_authrole=["of_bob"])
    one.publish(topic, 4, exclude_authrole=["of_bob"])
    same([e.args[0] for e in heard[0].take_many(2)], [2, 4])
    same([e.args[0] for e in heard[1].take_many(2)], [1, 3])


@check("wamp.disclosed_user", own=True)
def disclosed_user(t):
    """Who discloses itself discloses the name that it proved."""
    alice, bob = let_in(t, "autobahnjs", TICKET), let_in(t, "autobahn", BOB)
    topic = f"open.disclosed{t.number}"
    heard = bob.subscribe(topic)
    alice.publish(topic, 1, disclose_me=True)
    details = heard.take().details
    same((details["publisher"], details["publisher_authid"], details["publisher_authrole"]),
         (alice.session, "alice", "of_alice"))


@check("wamp.users_of_mqtt", own=True)
def users_of_mqtt(t):
    """A user is the same in MQTT, under the same rules."""
    bob = let_in(t, "autobahn", BOB)
    heard = bob.subscribe(f"closed.m{t.number}")
    other = t.client(user="alice", password="apple")
    same(other.publish(f"closed/m{t.number}", b"no", 1), 0x87, "reason")
    t.client(user="bob", password="banana").publish(f"closed/m{t.number}", b"yes", 1)
    same(heard.take().args, ["yes"])


@check("wamp.reload_users", own=True)
def reload_users(t):
    """SIGHUP reads the users again: new ones come in, those who are gone are ended."""
    setup = Setup(users=[u for u in SETUP.users if u[0] in ("alice", "bob")])
    broker = t.alone_with(setup)
    alice, bob = wamp.client(t, auth=TICKET), wamp.client(t, auth=BOB)
    setup.users = [("bob", "banana", OPEN), ("dave", "date", OPEN)]
    broker.write_files()
    broker.reload()
    alice.gone()
    bob.stays(0.2)
    wamp.client(t, auth={"method": "wampcra", "authid": "dave", "secret": "date"})
