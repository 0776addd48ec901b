"""Sessions that are spoken to by requests (long poll): by a client of our own that has nothing but
Python's library, and by autobahn-js."""

import threading

import wamp
import wampwire as wire
from harness import check, same, that
from wampwire import Poll, Raw, Web


@check("wamp.poll_there_and_back", over=("ws", "wss", "unix"))
def there_and_back(t, transport):
    """Subscribe, publish, register and call, by requests alone and across to a WebSocket."""
    one, two = Poll(t, transport=transport).join(), Web(t).join()
    topic, procedure = t.uri("topic"), t.uri("add")
    same(one.ask(wire.SUBSCRIBE, 1, {}, topic)[0], wire.SUBSCRIBED)
    two.say(wire.PUBLISH, 1, {}, topic, ["there"], {"k": 1})
    same(one.expect(wire.EVENT)[4:], [["there"], {"k": 1}])
    same(two.ask(wire.SUBSCRIBE, 2, {}, topic)[0], wire.SUBSCRIBED)
    same(one.ask(wire.PUBLISH, 2, {"acknowledge": True}, topic, ["back"])[0], wire.PUBLISHED)
    same(two.expect(wire.EVENT)[4], ["back"])
    same(one.ask(wire.REGISTER, 3, {}, procedure)[0], wire.REGISTERED)
    two.say(wire.CALL, 3, {}, procedure, [20, 22])
    invocation = one.expect(wire.INVOCATION)
    one.say(wire.YIELD, invocation[1], {}, [sum(invocation[4])])
    same(two.expect(wire.RESULT, 3)[3], [42])
    one.say(wire.GOODBYE, {}, "wamp.close.close_realm")
    same(one.expect(wire.GOODBYE)[2], "wamp.close.goodbye_and_out")
    that(one.hear(5) is None, "something came after the GOODBYE")


@check("wamp.poll_waits")
def waits(t):
    """Who asks before there is something is answered when there is."""
    one, two = Poll(t).join(), Raw(t).join()
    topic = t.uri("topic")
    one.ask(wire.SUBSCRIBE, 1, {}, topic)
    heard = []
    waiting = threading.Thread(target=lambda: heard.append(one.hear()))
    waiting.start()
    two.quiet(0.5)
    that(not heard, "an answer came before there was anything to say")
    two.say(wire.PUBLISH, 1, {}, topic, ["now"])
    waiting.join(wire.WAIT_S)
    same(heard[0][4], ["now"])


@check("wamp.poll_batched")
def batched(t):
    """Several messages go in one request and come in one answer."""
    one = Poll(t, protocols=("wamp.2.smoke", "wamp.2.json.batched"))
    same(one.protocol, "wamp.2.json.batched")
    messages = [[wire.HELLO, one.realm, {"roles": wire.roles()}],
                [wire.SUBSCRIBE, 1, {}, t.uri("topic")],
                [wire.PUBLISH, 2, {"exclude_me": False}, t.uri("topic"), ["x"]]]
    one.send("".join(wire.json.dumps(m) + "\x1e" for m in messages))
    codes = []
    while len(codes) < 3:
        codes += [wire.json.loads(m)[0] for m in one.receive().split(b"\x1e") if m]
    same(codes, [wire.WELCOME, wire.SUBSCRIBED, wire.EVENT])


@check("wamp.poll_closed")
def closed(t):
    """Who is closed is gone: others are told, and nothing more is taken of it."""
    one, two = Poll(t).join(), Web(t).join()
    two.ask(wire.SUBSCRIBE, 1, {}, "wamp.session.on_leave")
    that(one.leave() in (200, 202, 204), "the session could not be closed")
    gone = []
    while one.id not in gone:
        gone.append(two.expect(wire.EVENT)[4][0])
    that(one.hear(5) is None, "something was said after the end")


@check("wamp.poll_autobahnjs")
def autobahnjs(t):
    """The long poll of autobahn-js goes there and back."""
    one = wamp.client(t, "autobahnjs", "lp", "json")
    two = wamp.client(t, "autobahn", "tcp", "cbor")
    two.register(t.uri("echo"), lambda i: i.args[0])
    same(one.value(t.uri("echo"), "there"), "there")
    heard = one.subscribe(t.uri("topic"))
    for n in range(20):
        two.publish(t.uri("topic"), n)
    same([event.args[0] for event in heard.take_many(20)], list(range(20)))
    one.leave()
