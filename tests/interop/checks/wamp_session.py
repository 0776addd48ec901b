"""Coming, staying and going: HELLO, WELCOME, GOODBYE, ABORT, realms."""

import json
import random

import wamp
import wampwire as wire
from brokers import Setup
from harness import check, same, that
from wampwire import Raw, Web

OTHER = Setup(realms=["com.other"])
VIOLATION = "wamp.error.protocol_violation"


@check("wamp.welcome", over=wamp.RICH)
def welcome(t, lib):
    """WELCOME names the session, and who it is for the router."""
    one = wamp.client(t, lib)
    that(1 <= one.session <= 2**53, f"session {one.session}")
    that(one.details["authid"], "no authid")
    same(one.details["authrole"], "anonymous", "role")
    if lib != "xconn":
        same(one.details["authmethod"], "anonymous", "method")
        same(set(one.details["roles"]), {"broker", "dealer"}, "roles")


@check("wamp.welcome_features")
def features(t):
    """What a broker and a dealer of this kind do is announced."""
    roles = Web(t).join().welcome["roles"]
    broker = {"publisher_exclusion", "subscriber_blackwhite_listing", "publisher_identification",
              "pattern_based_subscription", "subscription_meta_api", "event_retention"}
    dealer = {"progressive_call_results", "call_canceling", "caller_identification",
              "pattern_based_registration", "shared_registration", "registration_meta_api",
              "session_meta_api", "testament_meta_api", "call_timeout",
              "progressive_call_invocations"}
    for role, wanted in (("broker", broker), ("dealer", dealer)):
        has = {name for name, yes in roles[role]["features"].items() if yes is True}
        same(sorted(wanted - has), [], f"not announced by the {role}:")


@check("wamp.session_ids")
def session_ids(t):
    """Session ids come from all of 1 to 2^53: of twenty one is large, and none is given twice."""
    ids = [Web(t).join().id for _ in range(20)]
    same(len(set(ids)), 20, "different ids")
    that(max(ids) > 2**48, f"the largest of twenty is {max(ids)}")


@check("wamp.leave", over=wamp.LIBS)
def leave(t, lib):
    """A session that says GOODBYE ends, and is gone for the others."""
    watcher = wamp.client(t)
    one = wamp.client(t, lib)
    before = watcher.value("wamp.session.count")
    one.leave()
    t.until(lambda: watcher.value("wamp.session.count") < before, "the session is counted still")


@check("wamp.goodbye")
def goodbye(t):
    """GOODBYE is answered with wamp.close.goodbye_and_out."""
    one = Web(t).join()
    one.say(wire.GOODBYE, {}, "wamp.close.close_realm")
    same(one.expect(wire.GOODBYE)[2], "wamp.close.goodbye_and_out", "reason")


@check("wamp.drop", over=("autobahn", "autobahnjs", "wampy", "xconn", "wamprs"))
def drop(t, lib):
    """A connection that is lost takes its session, subscriptions and procedures along."""
    watcher = wamp.client(t)
    one = wamp.client(t, lib)
    one.register(t.uri("p"))
    one.subscribe(t.uri("s"))
    that(watcher.value("wamp.registration.lookup", t.uri("p")), "not registered")
    one.drop()
    t.until(lambda: watcher.value("wamp.registration.lookup", t.uri("p")) is None,
            "the procedure is there still")
    t.until(lambda: watcher.value("wamp.subscription.lookup", t.uri("s")) is None,
            "the subscription is there still")


@check("wamp.no_such_realm", over=("autobahn", "autobahnjs", "wampy", "xconn"))
def no_such_realm(t, lib):
    """A realm nobody made is refused by its name."""
    try:
        wamp.client(t, lib, realm="com.nowhere")
    except wamp.Refused as e:
        same(e.reason, "wamp.error.no_such_realm", "reason")
    else:
        raise AssertionError("let in")


@check("wamp.bad_realm", over=("a b", "", "a..b", "#"))
def bad_realm(t, realm):
    """What is no URI is no realm."""
    one = Web(t)
    one.say(wire.HELLO, realm, {"roles": wire.roles()})
    that(one.aborted() in ("wamp.error.no_such_realm", "wamp.error.invalid_uri", VIOLATION),
         "another reason")


@check("wamp.realms_apart")
def realms_apart(t):
    """What happens in one realm does not exist in another."""
    t.wants(OTHER)
    here, there = wamp.client(t), wamp.client(t, realm="com.other")
    heard = there.subscribe(t.uri("topic"))
    here.register(t.uri("procedure"), lambda i: "here")
    here.publish(t.uri("topic"), 1)
    heard.nothing()
    same(there.calling(t.uri("procedure")).fails(), "wamp.error.no_such_procedure")
    there.register(t.uri("procedure"), lambda i: "there")
    same((here.value(t.uri("procedure")), there.value(t.uri("procedure"))), ("here", "there"))


@check("wamp.realms_meta_apart")
def realms_meta_apart(t):
    """Neither are the sessions of another realm listed, found or told of."""
    t.wants(OTHER)
    here = wamp.client(t)
    joined = here.subscribe("wamp.session.on_join")
    there = wamp.client(t, realm="com.other")
    that(there.session not in here.value("wamp.session.list"), "listed")
    same(here.calling("wamp.session.get", there.session).fails(), "wamp.error.no_such_session")
    for event in (joined.take_many(1) if not joined.queue.empty() else []):
        that(event.args[0]["session"] != there.session, "told of")


@check("wamp.no_such_role")
def no_such_role(t):
    """A HELLO without any role is refused."""
    one = Web(t)
    one.say(wire.HELLO, one.realm, {"roles": {}})
    that(one.aborted() in ("wamp.error.no_such_role", VIOLATION), "another reason")


FIRST = {
    "subscribe": [wire.SUBSCRIBE, 1, {}, "a.b"], "call": [wire.CALL, 1, {}, "a.b"],
    "goodbye": [wire.GOODBYE, {}, "wamp.close.normal"], "authenticate": [5, "x", {}],
    "publish": [wire.PUBLISH, 1, {}, "a.b"],
}


@check("wamp.first_is_hello", over=tuple(FIRST))
def first_is_hello(t, message):
    """Whatever comes before a HELLO is a violation."""
    one = Web(t)
    one.say(*FIRST[message])
    same(one.aborted(), VIOLATION)


@check("wamp.second_hello")
def second_hello(t):
    """One session per connection."""
    one = Web(t).join()
    one.hello()
    same(one.aborted(), VIOLATION)


ROUTERS = {
    "welcome": [2, 1, {}], "challenge": [4, "ticket", {}], "published": [17, 1, 2],
    "subscribed": [33, 1, 2], "unsubscribed": [35, 1], "event": [36, 1, 2, {}],
    "result": [50, 1, {}], "registered": [65, 1, 2], "unregistered": [67, 1],
    "invocation": [68, 1, 2, {}], "interrupt": [69, 1, {}],
}


@check("wamp.routers_messages", over=tuple(ROUTERS))
def routers_messages(t, message):
    """What only a router says is a violation when a client says it."""
    one = Web(t).join()
    one.say(*ROUTERS[message])
    same(one.aborted(), VIOLATION)


BROKEN = {
    "no_json": b"[16, 1, {", "no_list": b'{"a": 1}', "empty": b"[]", "text": b'"hello"',
    "unknown_code": b"[99, 1, {}]", "code_text": b'["16", 1, {}, "a.b"]',
    "too_short": b"[16, 1, {}]", "too_long": b'[48, 1, {}, "a.b", [], {}, 7]',
    "options_list": b'[16, 1, [], "a.b"]', "topic_number": b'[32, 1, {}, 7]',
    "args_dict": b'[48, 1, {}, "a.b", {}]', "kwargs_list": b'[48, 1, {}, "a.b", [], []]',
    "id_zero": b'[48, 0, {}, "a.b"]', "id_large": b'[48, 9007199254740993, {}, "a.b"]',
    "id_negative": b'[48, -1, {}, "a.b"]', "id_text": b'[48, "1", {}, "a.b"]',
    "error_type": b'[8, 48, 1, {}, "a.b"]', "match_number": b'[32, 1, {"match": 7}, "a.b"]',
    "acknowledge_text": b'[16, 1, {"acknowledge": "yes"}, "a.b"]',
    "exclude_text": b'[16, 1, {"exclude": "me"}, "a.b"]',
    "ppt_cipher_number": b'[16, 1, {"ppt_scheme": "x_a", "ppt_cipher": 7}, "a.b", ["x"]]',
    "ppt_call_number": b'[48, 1, {"ppt_scheme": "x_a", "ppt_keyid": 7}, "a.b", ["x"]]',
}


@check("wamp.broken_message", over=tuple(BROKEN))
def broken_message(t, kind):
    """A message that is none, or is built wrongly, ends its session, and no other."""
    other, one = Web(t).join(), Web(t).join()
    one.send(BROKEN[kind])
    same(one.aborted(), VIOLATION)
    other.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    other.expect(wire.SUBSCRIBED, 1)


@check("wamp.unknown_options")
def unknown_options(t):
    """Options that nobody knows are nobody's business."""
    one = Web(t).join(_mine={"a": 1}, other="x")
    one.say(wire.SUBSCRIBE, 1, {"_x": [1], "whatever": None}, t.uri("x"))
    one.expect(wire.SUBSCRIBED, 1)
    one.say(wire.PUBLISH, 2, {"acknowledge": True, "_y": {"z": 1}}, t.uri("x"))
    one.expect(wire.PUBLISHED, 2)


@check("wamp.null_options")
def null_options(t):
    """An option that is null is as good as absent."""
    one = Web(t).join(authid=None, authextra=None)
    one.say(wire.SUBSCRIBE, 1, {"match": None, "get_retained": None}, t.uri("x"))
    one.expect(wire.SUBSCRIBED, 1)
    names = ("exclude", "eligible", "exclude_authid", "eligible_authrole", "exclude_me",
             "disclose_me", "retain", "ppt_scheme")
    one.say(wire.PUBLISH, 2, {"acknowledge": True, **dict.fromkeys(names)}, t.uri("x"))
    one.expect(wire.PUBLISHED, 2)
    one.say(wire.REGISTER, 3, {"match": None, "invoke": None}, t.uri("p"))
    one.expect(wire.REGISTERED, 3)


@check("wamp.whole_floats")
def whole_floats(t):
    """Encoders of JavaScript write large ids as floats: a whole float is an id."""
    one, two = Web(t).join(), Web(t).join()
    two.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
    two.expect(wire.SUBSCRIBED, 1)
    one.send(json.dumps([wire.PUBLISH, 1.0, {"eligible": [float(two.id)], "acknowledge": True},
                         t.uri("x")]).encode())
    one.expect(wire.PUBLISHED, 1)
    two.expect(wire.EVENT)


@check("wamp.claims_not_believed", over=("websocket", "rawsocket"))
def claims_not_believed(t, transport):
    """Nobody gives itself a role, a provider, a session id or a transport."""
    one = (Web if transport == "websocket" else Raw)(t).join(authrole="admin", authprovider="me", session=7, authmethod="ticket",
                      transport={"type": "forged"})
    same((one.welcome["authrole"], one.welcome["authmethod"]), ("anonymous", "anonymous"))
    that(one.id != 7, "the session id was taken over")
    one.say(wire.CALL, 1, {}, "wamp.session.get", [one.id])
    details = one.expect(wire.RESULT, 1)[3][0]
    same((details["session"], details["authrole"]), (one.id, "anonymous"))
    that(details.get("authprovider") != "me", "the provider was taken over")
    that((details.get("transport") or {}).get("type") != "forged", "the transport was taken over")


@check("wamp.anonymous_authid")
def anonymous_authid(t):
    """Who is nobody in particular does not choose a name."""
    one = wamp.client(t, "autobahn", authid="boss")
    that(one.details["authid"] != "boss", "the name was taken over")


@check("wamp.unknown_method_skipped", over=("autobahn", "autobahnjs"))
def unknown_method_skipped(t, lib):
    """Of several methods the first that the router knows counts."""
    one = wamp.client(t, lib, methods=["telepathy", "anonymous"])
    same(one.details["authmethod"], "anonymous", "method")


@check("wamp.no_matching_method")
def no_matching_method(t):
    """If it knows none, nobody comes in."""
    one = Web(t)
    one.hello(authmethods=["telepathy"])
    that(one.aborted() in ("wamp.error.no_matching_auth_method",
                           "wamp.error.authentication_failed"), "another reason")


@check("wamp.many_sessions")
def many_sessions(t):
    """Fifty sessions of one process hear one event each."""
    sessions = [Web(t).join() for _ in range(50)]
    for one in sessions:
        one.say(wire.SUBSCRIBE, 1, {}, t.uri("x"))
        one.expect(wire.SUBSCRIBED, 1)
    wamp.client(t).publish(t.uri("x"), "all")
    for one in sessions:
        same(one.expect(wire.EVENT)[4], ["all"])


@check("wamp.silent", over=("nothing", "handshake"))
def silent(t, said):
    """Who says nothing, or nothing but how it will speak, does not stay for ever."""
    one = Raw(t, None if said == "nothing" else b"\x7f\xf1\0\0")
    same(one.receive(60), None, "what came")


@check("wamp.fuzz")
def fuzz(t):
    """Messages made at random end sessions, and not the router."""
    dice = random.Random(7)
    values = [0, 1, -1, 2**53, 1.5, "", "a.b", t.uri("x"), None, True, [], {}, [1], {"a": 1},
              {"match": "prefix"}, {"progress": True}, {"mode": "kill"}, {"ppt_scheme": 1}]
    codes = list(range(1, 9)) + list(range(16, 18)) + list(range(32, 37)) + list(range(48, 51))
    codes += list(range(64, 71)) + [337, 0, -1]
    open_ones = []
    for _ in range(600):
        if len(open_ones) < 6:
            open_ones.append(Web(t).join())
        one = dice.choice(open_ones)
        try:
            one.say(dice.choice(codes), *(dice.choice(values) for _ in range(dice.randrange(6))))
            one.hear(0.001)
        except TimeoutError:
            pass
        except OSError:
            open_ones.remove(one)
    wamp.client(t).register(t.uri("alive"), lambda i: "yes")
    same(wamp.client(t).value(t.uri("alive")), "yes")


@check("wamp.stop", own=True)
def stop(t):
    """A router that is stopped says GOODBYE with wamp.close.system_shutdown."""
    broker = t.alone_with()
    one = Web(t).join()
    two = wamp.client(t, "autobahn")
    same(broker.stop(), 0, "exit code")
    same(one.expect(wire.GOODBYE)[2], "wamp.close.system_shutdown", "reason")
    two.gone()
