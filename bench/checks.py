"""One checker with many backends: its processor time, and the lateness of its checks.

    python bench/checks.py [--backends 2000] [--interval-ms 1000] [--seconds 60] [--record]

The backends are addresses of 127.0.0.0/8 behind one listening socket, in a process of its own that
records the time of each check. Lateness is thus measured from outside, between two checks of one
backend. Jitter is off: a check that does not come exactly one interval after the last one is late
or early.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import select
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from l4lb.checker import main
from l4lb.checker.plan import Plan
from l4lb.checker.types import Settings
from l4lb.native.rows import Address
from l4lb.native.table import Table
from l4lb.supervisor.process.child import channel, fork

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.results import RESULTS, record  # noqa: E402 - not a package that is installed

HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
WARM_UP_S = 5.0


def serve(listener: socket.socket, http: bool, pipe: Connection) -> None:
    """Accepts connections until told to stop, then sends the times of arrival by address."""
    arrivals: dict[str, list[float]] = {}
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    poller.register(pipe, select.EPOLLIN)
    open_: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poller.poll():
            if fd == pipe.fileno():
                pipe.send(arrivals)
                return
            if fd == listener.fileno():
                accept_all(listener, arrivals, open_ if http else None, poller)
                continue
            sock = open_[fd]
            try:
                if sock.recv(4096):
                    sock.sendall(HTTP)
                    continue
            except OSError:
                pass
            poller.unregister(fd)
            open_.pop(fd).close()


def accept_all(
    listener: socket.socket,
    arrivals: dict[str, list[float]],
    open_: dict[int, socket.socket] | None,
    poller: select.epoll,
) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        arrivals.setdefault(sock.getsockname()[0], []).append(time.monotonic())
        if open_ is None:
            sock.close()
        else:
            open_[sock.fileno()] = sock
            poller.register(sock, select.EPOLLIN)


def table_of(backends: int, port: int) -> Table:
    table = Table((1, 1, 1, backends, 1))
    table.set_pool(
        0, name="p", balance="round_robin", when_all_down="refuse", retries=0,
        connect_timeout_ms=1, idle_timeout_ms=1, half_closed_timeout_ms=1,
    )  # fmt: skip
    for index in range(backends):
        host = f"127.1.{index // 250}.{index % 250 + 1}"
        table.set_backend(
            index, pool=0, name=host, address=Address(host, port), weight=1, max_connections=0,
            backup=False, health="unknown",
        )  # fmt: skip
    return table


class Run:
    """One run: a checker, its targets, and the records of both."""

    def __init__(self, backends: int, interval_ms: int, kind: str) -> None:
        self.interval_ms = interval_ms
        self._listener = socket.create_server(("0.0.0.0", 0), backlog=4096)
        self._pipe, theirs = multiprocessing.Pipe()
        self._server = multiprocessing.Process(
            target=serve, args=(self._listener, kind == "http", theirs)
        )
        self._server.start()
        self.table = table_of(backends, self._listener.getsockname()[1])
        settings = Settings(
            kind, interval_ms=interval_ms, timeout_ms=interval_ms, rise=2, fall=3, jitter_percent=0
        )
        self._channel, checker = channel()
        setup = main.CheckerSetup(self.table, checker, {"p": Plan(settings)})
        self._child = fork("checker", lambda: main.run(setup), keep=[checker.fileno()], now_ms=0)
        checker.close()
        self.process = psutil.Process(self._child.pid)

    def end(self) -> dict[str, list[float]]:
        """Stops both processes. Returns the times of arrival by address."""
        self._channel.close()
        self._child.reap()
        self._pipe.send("stop")
        arrivals: dict[str, list[float]] = self._pipe.recv()
        self._server.join()
        self._listener.close()
        return arrivals


def late_ms(arrivals: dict[str, list[float]], start: float, interval_ms: int) -> list[float]:
    """Returns for each check how much later it came than one interval after the last one,
    sorted."""
    return sorted(
        (later - earlier) * 1000 - interval_ms
        for times in arrivals.values()
        for earlier, later in itertools.pairwise(times)
        if later > start
    )


def measured(backends: int, interval_ms: int, seconds: float, kind: str) -> dict[str, object]:
    """Returns the checker's processor time, lateness and descriptors."""
    run = Run(backends, interval_ms, kind)
    try:
        time.sleep(WARM_UP_S)
        before, files = run.process.cpu_times(), run.process.num_fds()
        start, high = time.monotonic(), files
        while time.monotonic() - start < seconds:
            time.sleep(0.5)
            high = max(high, run.process.num_fds())
        after, wall = run.process.cpu_times(), time.monotonic() - start
    finally:
        arrivals = run.end()
    gaps = late_ms(arrivals, start, interval_ms)
    return {
        "type": kind,
        "backends": backends,
        "interval_ms": interval_ms,
        "checks": sum(len(times) for times in arrivals.values()),
        "failed": sum(row.checks_failed for row in run.table.backends()),
        "cores": round((sum(after[:2]) - sum(before[:2])) / wall, 3),
        "late_ms_p50": round(gaps[len(gaps) // 2], 1) + 0.0,
        "late_ms_p99.9": round(gaps[int(len(gaps) * 0.999)], 1),
        "late_ms_max": round(gaps[-1], 1),
        "early_ms_max": round(-gaps[0], 1),
        "descriptors": [files, high],
    }


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backends", type=int, default=2_000, help="number of backends")
    parser.add_argument("--interval-ms", type=int, default=1_000, help="interval of checks")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each run")
    parser.add_argument("--type", choices=("tcp", "http"), action="append", help="default: both")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = [
        measured(given.backends, given.interval_ms, given.seconds, kind)
        for kind in given.type or ("tcp", "http")
    ]
    print(json.dumps(found, indent=2))
    if given.record:
        record("checks", shown(found))
    good = all(held(one) for one in found)
    print("held: under half a core, none later than 10 % of its interval" if good else "NOT held")
    return 0 if good else 1


def held(found: Mapping[str, object]) -> bool:
    cores, late = float(str(found["cores"])), float(str(found["late_ms_max"]))
    return cores < 0.5 and late <= float(str(found["interval_ms"])) / 10


def shown(found: Sequence[Mapping[str, object]]) -> str:
    """Returns a table with one column for each run."""
    lines = [
        "One checker, backends on loopback; lateness as targets see it: `python bench/checks.py`",
        "(targets: under half a core, no check later than 10 % of its interval, no growth).",
        "",
        "| | " + " | ".join(str(one["type"]) for one in found) + " |",
        "| --- " * (len(found) + 1) + "|",
    ]
    rows = (
        f"| {key} | " + " | ".join(str(one[key]) for one in found) + " |"
        for key in list(found[0])[1:]
    )
    return "\n".join((*lines, *rows))


if __name__ == "__main__":
    sys.exit(run())
