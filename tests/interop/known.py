"""What crossbar, the reference for WAMP, is known to do otherwise, and why the check is right.

A check that it fails and that stands here counts as skipped; any other is a mistake in the check.
The words of the standard are those of the WAMP specification, basic and advanced profile.
"""

import fnmatch

ABORTS = ("a violation is answered with an ABORT that names it; crossbar closes the connection, or "
          "takes no notice")
NULLS = ("an option that is null is as good as absent, and JavaScript sends such; crossbar closes "
         "the connection")
BAD_URIS = ("a bad URI in a request is answered with an ERROR (wamp.error.invalid_uri); crossbar "
            "closes the connection")
DISCLOSURE = "who asks to be disclosed is; crossbar decides by role alone"
CANCELING = ("CANCEL always has an answer for the caller, and `kill` waits for that of the callee; "
             "crossbar answers some modes never, and others at once")
PARTS = "crossbar knows no calls in parts"
TIMEOUTS = "crossbar hands the time on and keeps none itself"
ANSWERS = "RawSocket: a handshake that is refused is told why; crossbar closes, or goes on"
NO_PING = "RawSocket: PING is answered with PONG; crossbar knows neither"

CROSSBAR = {
    "wamp.trip.wampy.*.msgpack": NULLS,
    "wamp.trip.wampy.*.cbor": NULLS,
    "wamp.payload_autobahnjs.*.msgpack": NULLS,
    "wamp.payload_autobahnjs.*.cbor": NULLS,
    "wamp.null_options": NULLS,
    "wamp.poll_*": "the long poll of 26.10.1 fails at HELLO",
    "wamp.whole_floats": "an id that an encoder wrote as a whole float is an id; crossbar closes",
    "wamp.silent": "who does not say HELLO is waited for, and not for ever; crossbar waits",
    "wamp.welcome_features": "crossbar does not keep time, and " + PARTS,
    "wamp.goodbye": "GOODBYE is answered with goodbye_and_out; crossbar says wamp.close.normal",
    "wamp.bad_realm": BAD_URIS,
    "wamp.no_such_role": ABORTS,
    "wamp.realms_meta_apart": "no_such_session; with a store of its own crossbar crashes inside",
    "wamp.session_get_unknown": "no_such_session; with a store of its own crossbar crashes inside",
    "wamp.kill_by_authid": "no_such_session; with a store of its own crossbar crashes inside",
    "wamp.first_is_hello": ABORTS,
    "wamp.second_hello": ABORTS,
    "wamp.routers_messages": ABORTS,
    "wamp.broken_message": ABORTS,
    "wamp.unknown_match": ABORTS,
    "wamp.unknown_policy": ABORTS,
    "wamp.yield_unknown": ABORTS,
    "wamp.error_unknown": ABORTS,
    "wamp.reused_request": ABORTS,
    "wamp.cancel_unknown_mode": ABORTS,
    "wamp.passthru_yield_types": ABORTS,
    "wamp.instead_of_authenticate": ABORTS,
    "wamp.second_try": "one try for each connection; crossbar grants a second one",
    "wamp.unknown_method_skipped": "unknown methods are skipped; crossbar refuses because of them",
    "wamp.no_matching_method": "after an ABORT the connection ends; crossbar leaves it open",
    "wamp.rawsocket_unknown_serializer": ANSWERS,
    "wamp.rawsocket_reserved": ANSWERS,
    "wamp.rawsocket_ping": NO_PING,
    "wamp.rawsocket_ping_client.tcp": NO_PING,
    "wamp.rawsocket_ping_client.unix": NO_PING,
    "wamp.rawsocket_result_too_large": "the error is wamp.error.payload_size_exceeded; crossbar "
                                       "says invalid_argument",
    "wamp.batch_separator.rs": "JSON in batches is separated by 0x1e; crossbar has 0x18",
    "wamp.batch_of_three": "JSON in batches is separated by 0x1e; crossbar has 0x18",
    "wamp.eligible_nobody": "a list that is there counts, also empty; crossbar takes it as absent",
    "wamp.disclose_me": DISCLOSURE,
    "wamp.disclosed_to_who_knows": DISCLOSURE,
    "wamp.caller_disclosed": DISCLOSURE,
    "wamp.disclose_caller": DISCLOSURE,
    "wamp.bad_topic_published": BAD_URIS,
    "wamp.bad_topic_subscribed": BAD_URIS,
    "wamp.bad_procedure": BAD_URIS,
    "wamp.call_bad_procedure": BAD_URIS,
    "wamp.retained_white_list": "what was kept for some is for them only; crossbar does not even "
                                "acknowledge it",
    "wamp.invoke_other_policy": "the error is procedure_already_exists; crossbar has one "
                                "of its own",
    "wamp.invocation_ids": "ids of requests count from 1 in each session; those of crossbar are "
                           "of the whole router",
    "wamp.progress_not_known": "nobody is asked for progress who did not announce it",
    "wamp.cancel_skip": CANCELING,
    "wamp.cancel_kill": CANCELING,
    "wamp.cancel_kill_result": CANCELING,
    "wamp.cancel_unknown_call": CANCELING,
    "wamp.cancel_without_support": CANCELING,
    "wamp.timeout": TIMEOUTS,
    "wamp.progressive_calls": PARTS,
    "wamp.progressive_calls_unknown": PARTS,
    "wamp.progressive_calls_late": PARTS,
    "wamp.passthru": "crossbar has a transparency of its own instead",
    "wamp.passthru_unknown": "crossbar has a transparency of its own instead",
    "wamp.on_leave_details": "on_leave tells name and role; crossbar tells the session alone",
    "wamp.kill_oneself": "nobody ends itself with wamp.session.kill; crossbar obeys",
    "wamp.kill_by_authrole": "who asks is spared; crossbar ends it as well",
    "wamp.kill_bad_reason": "a reason is a URI; crossbar takes any text",
    "wamp.kill_silent": "who does not answer its GOODBYE ends as well; crossbar waits for ever",
    "wamp.subscription_list": "wildcards are listed like others; crossbar leaves them out",
    "wamp.subscription_subscribers.count_suscribers": "the misspelt name of another router",
    "wamp.registration_events.lost": "events of a lost session name it; those of crossbar do not",
    "wamp.subscription_events.lost": "events of a lost session name it; those of crossbar do not",
    "wamp.no_events_of_oneself": "a session does not hear of what it causes; in crossbar it does",
    "wamp.revoked_registration": "crossbar has the procedure, and crashes in it",
    "wamp.testament_bad": "what cannot be published later is refused now; crossbar takes it",
    "wamp.nobody_is_challenged": "names cannot be guessed; crossbar says that there is no such one",
    "wamp.cryptosign_replayed": "after an ABORT the connection ends; crossbar leaves it open",
}


def why(name):
    """The reason why crossbar may fail this check; empty where it may not."""
    for pattern, reason in CROSSBAR.items():
        if fnmatch.fnmatch(name, pattern) or name.startswith(pattern + "."):
            return reason
    return ""
