"""Fifty admin clients at the same time, under traffic: followers, clients that never read, and
hostile ones."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

from ..harness import Backends, Balancer, Load, until
from ..harness.wire import frame

FOLLOWERS, STUCK, HOSTILE = 15, 20, 15


def connected(lb: Balancer) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(lb.socket)
    return sock


def bother(lb: Balancer, stop: threading.Event) -> None:
    """Sends nonsense repeatedly, each time on a new connection."""
    while not stop.wait(0.02):
        with contextlib.suppress(OSError), connected(lb) as sock:
            sock.sendall(os.urandom(64))
            sock.recv(4096)


def test_status_is_answered_among_fifty_others() -> None:
    stop = threading.Event()
    with Backends(2) as backends, Balancer.before(backends.addresses) as lb, Load(lb) as load:
        with contextlib.ExitStack() as stack:
            for number in range(FOLLOWERS):
                sock = stack.enter_context(connected(lb))
                sock.sendall(frame({"id": number, "command": "events", "args": {"follow": True}}))
            for _ in range(STUCK):
                sock = stack.enter_context(connected(lb))
                sock.sendall(b"\x00\x00\x01\x00half of a frame")
            hostile = [threading.Thread(target=bother, args=(lb, stop)) for _ in range(HOSTILE)]
            for thread in hostile:
                thread.start()
            try:
                for _ in range(50):
                    assert lb.ask("status")["workers"]
                load.wait_for_more(20)
            finally:
                stop.set()
                for thread in hostile:
                    thread.join(30)
        until(lambda: lb.ask("status")["workers"], "it answers after them")
