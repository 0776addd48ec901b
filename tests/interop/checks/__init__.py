"""Everything that is checked, by subject. Importing this fills the list."""

from . import (  # noqa: F401 - they fill the list
    each,
    subscriptions,
    messages,
    session,
    flow,
    access,
    transports,
    tools,
    crossing,
    restart,
    wamp_each,
    wamp_session,
    wamp_transports,
    wamp_pubsub,
    wamp_rpc,
    wamp_meta,
    wamp_payload,
    wamp_auth,
    wamp_crossing,
    aio,
)
