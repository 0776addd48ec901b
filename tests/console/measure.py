"""Whether those who watch slow anybody down: `tests/console/run --watched WINDOWS`.

A client publishes a thousand times a second and waits each time until a reader has it. In every
other window of three seconds three viewers watch. Both kinds of windows are taken by turns, so
that whatever else the machine does is in both. Meant for a machine that does nothing else.
"""

import base64
import multiprocessing
import socket
import statistics
import time

from load import PASSWORD, Client

WINDOW_S = 3
EVERY_S = 0.001
VIEWERS = 3


def view(port, watching, over):
    """A viewer in a process of its own, while it is wanted."""
    shown = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {shown}\r\n\r\n"
    while not over.is_set():
        if not watching.wait(0.1):
            continue
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.settimeout(0.1)
            stream.sendall(head.encode())
            while watching.is_set() and not over.is_set():
                try:
                    if not stream.recv(65536):
                        break
                except TimeoutError:
                    pass


def window(writer, reader):
    """Microseconds from a publication to its reader, in order of size."""
    took, due = [], time.perf_counter()
    end = due + WINDOW_S
    while due < end:
        due += EVERY_S
        while time.perf_counter() < due:
            pass
        start = time.perf_counter()
        writer.publish("measured", b"0123456789")
        reader.message()
        took.append((time.perf_counter() - start) * 1e6)
    return sorted(took)


def measure(broker, windows):
    """The 99th percentile of both kinds of windows: medians, and of all of them together."""
    watching, over = multiprocessing.Event(), multiprocessing.Event()
    viewers = [
        multiprocessing.Process(target=view, args=(broker.http, watching, over))
        for _ in range(VIEWERS)
    ]
    for one in viewers:
        one.start()
    reader, writer = Client(broker, "measured-by"), Client(broker, "measured")
    reader.subscribe("measured")
    writer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    all_, each = ([], []), ([], [])
    for number in range(2 * windows):
        kind = number % 2
        (watching.set if kind else watching.clear)()
        time.sleep(1)
        took = window(writer, reader)
        each[kind].append(took[len(took) * 99 // 100])
        all_[kind].extend(took)
    over.set()
    for one in viewers:
        one.join()
    lines = []
    for kind, name in enumerate(["nobody watches", f"{VIEWERS} watch"]):
        took = sorted(all_[kind])
        lines.append(
            f"{name}: {len(took)} messages, 50 % {took[len(took) // 2]:.0f} µs, "
            f"99 % {took[len(took) * 99 // 100]:.0f} µs, "
            f"median of the windows' 99 % {statistics.median(each[kind]):.0f} µs"
        )
    return lines
