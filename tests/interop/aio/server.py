"""A server of the original: `server.py MODE PORT HOME`. Lines of JSON tell it what to do.

It says what comes as lines of JSON, answers questions with `answer to QUESTION`, and keeps files
below HOME/files. Absent on purpose: anything that depends on one version; what a version does not
know is left out of what it is given.
"""

import asyncio
import inspect
import json
import logging
import os
import sys
from importlib.metadata import version

from aioconnectors import api, ssl_helper

MODE, PORT, HOME = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def say(kind, **more):
    print(json.dumps({"kind": kind, **more}), flush=True)


def known(cls, given):
    """What of this a constructor of this version takes."""
    names = set()
    for each in cls.__mro__:
        if each is not object:
            names |= set(inspect.signature(each.__init__).parameters)
    return {key: value for key, value in given.items() if key in names}


def text(data):
    return data if isinstance(data, str) else bytes(data or b"").decode(errors="replace")


async def main():
    names = set(inspect.signature(api.ConnectorManager.__init__).parameters)
    number = tuple(int(part) for part in version("aioconnectors").split("."))
    tls = MODE != "plain"
    # A broker of publications joins no chunks.
    broker = MODE == "allow_all"
    knows = {"plain": True, "allow_all": True, "certificates": True, "token": "use_token" in names,
             "pubsub": broker and "pubsub_central_broker" in names,
             "chunks": number >= (1, 0, 33) and not broker}
    common = dict(
        server_sockaddr=("127.0.0.1", PORT), is_server=True, use_ssl=tls,
        ssl_allow_all=MODE in ("allow_all", "token"), use_token=MODE == "token",
        certificates_directory_path=HOME, tokens_directory_path=HOME + "/tokens",
        connector_files_dirpath=HOME + "/run", default_logger_dirpath=HOME + "/run",
        send_message_types=["any", "news"], recv_message_types=["any", "news"],
        debug_msg_counts=False, pubsub_central_broker=broker, reuse_server_sockaddr=True,
        file_type2dirpath={"any": HOME + "/files"},
        file_recv_config={"any": {"target_directory": HOME + "/files"}})
    for folder in ("run", "files", "tokens"):
        os.makedirs(os.path.join(HOME, folder), exist_ok=True)
    if tls:
        ssl_helper.create_certificates(logging.getLogger(), certificates_directory_path=HOME)
    connector = api.ConnectorManager(**known(api.ConnectorManager, common))
    task = asyncio.get_running_loop().create_task(connector.start_connector())
    application = api.ConnectorAPI(**known(api.ConnectorAPI, common))
    while not connector.connector.server and not task.done():
        await asyncio.sleep(0.05)

    async def came(logger, header, data, binary):
        say("message", header=header, data=text(data), binary=len(binary or b""))
        if header.get("await_response"):
            await application.send_message(
                message_type="any", response_id=header["request_id"], data_is_json=False,
                data="answer to " + text(data), destination_id=header["source_id"])

    await application.start_waiting_for_messages(message_type="any", message_received_cb=came)
    say("ready")
    say("knows", version=version("aioconnectors"), **knows)
    asyncio.get_running_loop().create_task(watch(connector))
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        told = json.loads(line)
        given = dict(message_type="any", destination_id=told["to"], data_is_json=False,
                     data=told.get("data", "a file"))
        if told["do"] == "ask":
            given |= dict(await_response=True, request_id=7)
        if told["do"] == "file":
            given["with_file"] = dict(src_path=told["path"], dst_type="any", delete=False,
                                      dst_name=told["name"])
        answer = await application.send_message(**given)
        if told["do"] == "ask":
            say("answer", data=text(answer[1]))


async def watch(connector):
    """Say who has come."""
    before = set()
    while True:
        now = set(connector.show_connected_peers(dump_result=False) or ())
        for peer in now - before:
            say("peer", name=peer)
        before = now
        await asyncio.sleep(0.05)


asyncio.run(main())
