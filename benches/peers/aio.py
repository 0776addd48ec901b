#!/usr/bin/env python3
"""aioconnectors through spindle on one machine: what it carries, beside what is aimed at.

Starts spindle on one core, and from another, one after the other and in several rounds: an
unmodified client of Python says acknowledged messages (`--python`, an interpreter in which
`aioconnectors` is installed; without it that part is left out); spindle's own client says messages
that nobody acknowledges (`spindle aio send --repeat`); and a file goes through spindle into its
folder, in one frame, beside the same bytes through a plain socket into a file (a few lines of
Python on the broker's core) and, where there is one, through `nc` into a file, the listening one on
the broker's core. Prints a table as Markdown, and the most memory that the broker ever
had. Every part has an end by the clock; whatever was started is ended by its process id. Only the
standard library is used here.
"""

import argparse
import atexit
import filecmp
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import compare

#: Nothing takes longer than this, in seconds.
END = 120
MIB = 1 << 20
SIZE = 64

#: In an interpreter that has the original: one connector, one application.
CLIENT = """
import asyncio, os, sys, time
from aioconnectors import api
port, count, size, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
place = {"server_sockaddr": ("127.0.0.1", port), "is_server": False, "client_name": "bench",
         "connector_files_dirpath": folder, "default_logger_dirpath": folder,
         "default_logger_log_level": "WARNING",
         "send_message_types": ["any"], "recv_message_types": ["any"]}

async def main():
    manager = api.ConnectorManager(use_ssl=False, debug_msg_counts=False, **place)
    task = asyncio.get_running_loop().create_task(manager.start_connector())
    use = api.ConnectorAPI(**place)

    async def ping(number):
        while True:
            got = await use.send_message(message_type="_ping", data="ping", request_id=number,
                                         await_response=True, data_is_json=False)
            if got and got[0] and "error" not in got[0]:
                return
            await asyncio.sleep(0.1)

    await asyncio.sleep(0.5)
    await ping(1)
    data = b"x" * size
    began = time.monotonic()
    for _ in range(count):
        await use.send_message(message_type="any", data=data, data_is_json=False,
                               wait_for_ack=True)
    # It stands behind them in the connector's queue.
    await ping(2)
    print(count / (time.monotonic() - began), flush=True)
    os._exit(0)

asyncio.run(main())
"""

#: Bytes from a socket into a file, and nothing else.
PLAIN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
end, _ = listener.accept()
room = memoryview(bytearray(1 << 18))
with open(sys.argv[1], "wb", buffering=0) as out:
    while got := end.recv_into(room):
        out.write(room[:got])
end.sendall(b".")
"""


class Own(compare.Spindle):
    def command(self):
        words = super().command()
        listen = words.index("--listen") + 1
        words[listen] = f"aio://127.0.0.1:{self.port}?files={self.folder}/files"
        return words

    def figure(self, name):
        """Of the process, in KiB."""
        with open(f"/proc/{self.child.pid}/status", encoding="utf-8") as status:
            lines = [line.split() for line in status if line.startswith(name)]
        return int(lines[0][1])

    def cpu(self):
        """Seconds that it worked."""
        with open(f"/proc/{self.child.pid}/stat", encoding="utf-8") as stat:
            words = stat.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def pinned(args, *words):
    return ["taskset", "-c", str(args.generator_core), *map(str, words)]


def acknowledged(args, broker, scratch):
    """Messages a second that the original has acknowledged."""
    folder = tempfile.mkdtemp(dir=scratch)
    words = [args.python, "-c", CLIENT, broker.port, args.acked, SIZE, folder]
    done = subprocess.run(pinned(args, *words), capture_output=True, text=True, timeout=END,
                          check=False)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"the client of Python: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def plain(args, broker):
    """Messages a second that nobody acknowledges, and microseconds of the broker's for each."""
    words = [args.spindle, "aio", "--json", "-L", f"127.0.0.1:{broker.port}", "-n", "bench",
             "send", "--repeat", args.count, "-W", END, "x" * SIZE]
    before, began = broker.cpu(), time.monotonic()
    done = subprocess.run(pinned(args, *words), capture_output=True, text=True, timeout=END,
                          check=False)
    took, worked = time.monotonic() - began, broker.cpu() - before
    if done.returncode or json.loads(done.stdout)["messages"] != args.count:
        raise RuntimeError(f"spindle aio send: {done.stderr.strip()[-500:]}")
    return args.count / took, worked / args.count * 1e6


def frame(header, data=b"", binary=0):
    """All of a frame but its binary, of which so many bytes follow."""
    if binary:
        header = {**header, "with_binary": True}
    text = json.dumps(header).encode()
    body = struct.pack("<H", len(text)) + text + struct.pack("<I", len(data)) + data
    body += struct.pack("<I", binary) if binary else b""
    return struct.pack("<I", len(body) + binary) + body


def said(end, path, *before):
    """Seconds from the first byte of a file until somebody answers."""
    with open(path, "rb") as content:
        began = time.monotonic()
        for words in before:
            end.sendall(words)
        end.sendfile(content)
        if not before:
            end.shutdown(socket.SHUT_WR)
        if not end.recv(1):
            raise RuntimeError("hung up")
        return time.monotonic() - began


def through_spindle(broker, path, size, number):
    place = os.path.join(broker.folder, "files", "any", f"f{number}")
    hello = frame({"message_type": "_handshake_no_ssl", "source_id": "files"}, b"hello")
    with_file = {"src_path": "", "dst_type": "any", "dst_name": f"f{number}", "delete": False}
    head = frame({"message_type": "any", "source_id": "files", "wait_for_ack": True,
                  "transport_id": 1, "with_file": with_file}, b"null", size)
    with socket.create_connection(("127.0.0.1", broker.port), timeout=END) as end:
        took = said(end, path, hello, head)
    if not filecmp.cmp(path, place, shallow=False):
        raise RuntimeError("the file is another")
    os.remove(place)
    return took


def through_nothing(args, path, scratch):
    place = os.path.join(scratch, "plain")
    words = ["taskset", "-c", str(args.broker_core), sys.executable, "-c", PLAIN, place]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        port = int(child.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=END) as end:
            took = said(end, path)
        child.wait(END)
    finally:
        child.kill()
        child.wait()
    os.remove(place)
    return took


def through_nc(args, path, scratch):
    """Nothing, where there is no `nc`."""
    program, place = shutil.which("nc"), os.path.join(scratch, "plain")
    if not program:
        return None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = ["taskset", "-c", str(args.broker_core), program, "-l", "127.0.0.1", port]
    with open(place, "wb") as out:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out)
    try:
        time.sleep(0.5)
        with open(path, "rb") as content:
            began = time.monotonic()
            subprocess.run([program, "-N", "127.0.0.1", port], stdin=content, timeout=END,
                           check=True)
        child.wait(END)
        took = time.monotonic() - began
    finally:
        child.kill()
        child.wait()
    if not filecmp.cmp(path, place, shallow=False):
        raise RuntimeError("nc's file is another")
    os.remove(place)
    return took


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--spindle", default=os.path.join(compare.ROOT, "target/release/spindle"))
    parse.add_argument("--python", help="an interpreter with aioconnectors in it")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--acked", type=int, default=10_000, help="acknowledged messages, each round")
    parse.add_argument("--count", type=int, default=2_000_000, help="other messages, each round")
    parse.add_argument("--mib", type=int, default=1024, help="of the file")
    parse.add_argument("--durability", default="memory", choices=["memory", "os", "disk"])
    parse.add_argument("--scratch", help="where the files lie")
    parse.add_argument("--broker-core", type=int, default=0)
    parse.add_argument("--generator-core", type=int, default=1)
    args = parse.parse_args()
    args.spindle = os.path.abspath(args.spindle)
    scratch = tempfile.mkdtemp(prefix="spindle-aio-", dir=args.scratch)
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    broker = Own("spindle", scratch, args.broker_core, args.spindle, args.durability)
    os.makedirs(os.path.join(broker.folder, "files", "any"))
    compare.STARTED.append(broker)
    atexit.register(compare.stop_all)
    os.sched_setaffinity(0, {args.generator_core})
    model, before = compare.machine()
    broker.start()
    time.sleep(0.5)
    idle = broker.figure("VmRSS:")
    size = args.mib * MIB
    path = os.path.join(scratch, "content")
    with open(path, "wb") as out:
        for at in range(args.mib):
            out.write(at.to_bytes(8, "big") * (MIB // 8))
    figures = {"acked": [], "rate": [], "cpu": [], "file": [], "plain": [], "nc": []}
    peak = 0
    for number in range(args.rounds):
        if args.python:
            figures["acked"].append(acknowledged(args, broker, scratch))
        rate, cpu = plain(args, broker)
        figures["rate"].append(rate)
        figures["cpu"].append(cpu)
        figures["plain"].append(args.mib / through_nothing(args, path, scratch))
        if took := through_nc(args, path, scratch):
            figures["nc"].append(args.mib / took)
        figures["file"].append(args.mib / through_spindle(broker, path, size, number))
        peak = broker.figure("VmHWM:")
    say(figures, args)
    print(f"\nMemory of the broker: {idle >> 10} MiB when it had done nothing, {peak >> 10} MiB at "
          f"most.\n\n{model}, load before {before} and after {compare.machine()[1]}; "
          f"{broker.version()}; durability {args.durability}")


def say(figures, args):
    """The table."""
    def three(values):
        if not values:
            return "-"
        least, most = min(values), max(values)
        return f"{statistics.median(values):,.2f} ({least:,.2f} to {most:,.2f})"

    def ratios(other):
        return [one / two for one, two in zip(figures["file"], figures[other])]

    print("| what | aimed at | found |\n|---|---|---|")
    for what, aim, values in [
            (f"acknowledged messages of {SIZE} bytes a second, client of Python", "2,000",
             figures["acked"]),
            (f"messages of {SIZE} bytes a second, client of spindle", "300,000", figures["rate"]),
            ("CPU of the broker for each of those, us", "-", figures["cpu"]),
            (f"a file of {args.mib} MiB, MiB a second", "-", figures["file"]),
            ("the same bytes through nc into a file", "-", figures["nc"]),
            ("the file by that", "0.50", ratios("nc")),
            ("the same bytes through a socket into a file, Python", "-", figures["plain"]),
            ("the file by that", "-", ratios("plain"))]:
        print(f"| {what} | {aim} | {three(values)} |", flush=True)


if __name__ == "__main__":
    main()
