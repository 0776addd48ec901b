"""What every WAMP client must find, over every transport, in every serializer."""

import wamp
from harness import check, same, that


@check("wamp.trip", over=wamp.ALL)
def trip(t, lib, transport, serializer):
    """Events and calls in both directions, with a client of another library."""
    one = wamp.client(t, lib, transport, serializer)
    two = wamp.client(t, "xconn" if lib == "autobahn" else "autobahn", "ws", "cbor")
    for speaker, listener, way in ((one, two, "out"), (two, one, "in")):
        topic, procedure = f"{t.uri()}.{way}.topic", f"{t.uri()}.{way}.procedure"
        heard = listener.subscribe(topic)
        speaker.publish(topic, 1, "two", [3], kwargs={"four": {"five": 5}})
        event = heard.take()
        same((event.args, event.kwargs), ([1, "two", [3]], {"four": {"five": 5}}))
        listener.register(procedure, lambda i: wamp.Result(*i.args, "and", **i.kwargs))
        got = speaker.call(procedure, 1, None, True, kwargs={"six": 6.5})
        same((got.args, got.kwargs), ([1, None, True, "and"], {"six": 6.5}))
    one.leave()
