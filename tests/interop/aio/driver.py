"""One connector of aioconnectors and an application beside it, driven in lines of JSON.

Runs in the environment that has the version in question. One process is one client: the connector
talks to the broker, the application to the connector through sockets in the file system, as in any
other use of the package. Absent on purpose: changes of what the package does.
"""

import asyncio
import base64
import inspect
import json
import os
import sys

from aioconnectors import api


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def fitting(make, options):
    """Those of the options that this version has."""
    known = set()
    for part in make.__mro__:
        if part is not object:
            known |= set(inspect.signature(part.__init__).parameters)
    return {name: value for name, value in options.items() if name in known}


class Client:
    """The connector, and what an application does with it."""

    def __init__(self, ask):
        folder = ask["folder"]
        self.answers = ask.get("answers", False)
        self.types = ask["types"]
        self.serves = ask.get("server", False)
        place = {
            "server_sockaddr": ("127.0.0.1", ask["port"]), "is_server": self.serves,
            "client_name": None if self.serves else ask["name"], "connector_files_dirpath": folder,
            "default_logger_dirpath": folder, "default_logger_log_level": "DEBUG",
        }
        received = {"target_directory": f"{folder}/received", "owner": None,
                    "override_existing": False}
        manager = {
            "use_ssl": ask.get("tls", False),
            "ssl_allow_all": not ask.get("strict", False), "debug_msg_counts": False,
            "certificates_directory_path": folder, "tokens_directory_path": folder,
            "use_token": ask.get("token", False), "token_verify_peer_cert": ask.get("peer", False),
            "token_client_send_cert": ask.get("peer", False), "subscribe_message_types": ask.get("subscribe", []),
            "file_recv_config": {"any": received}, "file_type2dirpath": {"any": f"{folder}/received"},
            "keep_alive_period": ask.get("keep_alive"),
            "disk_persistence_send": ask.get("keeps", False),
        }
        os.makedirs(f"{folder}/received", exist_ok=True)
        used = {"max_size_chunk_upload": ask.get("chunk", 209715200)}

        def make(of, more):
            # Lists of its own: some versions add to them.
            types = {key: list(self.types) for key in ("send_message_types", "recv_message_types")}
            return of(**fitting(of, {**place, **types, **more}))

        # Without one of its own it is for somebody else's.
        own = ask.get("connector", True)
        self.manager = make(api.ConnectorManager, manager) if own else None
        self.api = make(api.ConnectorAPI, used)
        self.tool = make(api.ConnectorRemoteTool, {})

    async def start(self):
        # What waited comes as soon as the connector is connected: somebody has to listen then.
        for kind in self.types:
            await self.api.start_waiting_for_messages(
                message_type=kind, message_received_cb=self.heard)
        if self.manager:
            self.task = asyncio.get_running_loop().create_task(self.manager.start_connector())
            await asyncio.sleep(0.3)

    async def heard(self, logger, header, data, binary):
        say(c=0, ev="message", header=header, data=coded(data), binary=coded(binary))
        if self.answers and header.get("await_response"):
            to = {"destination_id": header["source_id"]} if self.serves else {}
            await self.api.send_message(
                message_type=header["message_type"], response_id=header["request_id"],
                data=b"answer to " + (data or b""), data_is_json=False, binary=binary, **to)

    async def send(self, ask):
        more = ask["options"]
        if ask.get("binary") is not None:
            more["binary"] = base64.b64decode(ask["binary"])
        make = self.api.publish_message if ask["do"] == "publish" else self.api.send_message
        got = await make(message_type=ask["kind"], data=base64.b64decode(ask["data"]),
                         data_is_json=False, **more)
        if isinstance(got, tuple):
            header, data, binary = got
            return {"header": header, "data": coded(data), "binary": coded(binary)}
        return got

    async def stop(self, ask):
        await asyncio.wait_for(self.manager.stop_connector(), 10)
        return True


def coded(data):
    if isinstance(data, str):
        data = data.encode()
    return None if data is None else base64.b64encode(data).decode()


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    client = None

    async def do(ask):
        nonlocal client
        try:
            if ask["do"] == "start":
                client = Client(ask)
                got = await client.start()
            elif ask["do"] == "stop":
                got = await client.stop(ask)
            elif ask["do"] == "tool":
                got = (await getattr(client.tool, ask["name"])(**ask.get("with", {}))).decode()
            else:
                got = await client.send(ask)
            say(n=ask["n"], ok=got)
        except Exception as e:
            say(n=ask["n"], no=repr(e))

    # A task that waits for something that nobody else holds would be thrown away, and never end.
    tasks = set()
    while line := await lines.readline():
        task = loop.create_task(do(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)


asyncio.run(main())
