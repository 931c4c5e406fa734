#!/usr/bin/env python3
"""Forward proxies side by side: l4lb, Squid and tinyproxy, one worker each, in interleaved rounds.

    .venv/bin/python bench/forward.py --rounds 5 --seconds 3 --record

Client (this program; wrk for requests), proxy and servers share the machine, whose speed changes
between rounds. What is compared is the processor time of all processes of a proxy, as the kernel
counts it: for each GB through one tunnel, for each tunnel that is opened for one request, and for
each request for a whole URL. Only ratios within one run can be compared. What comes first is not
counted. Then a list of a million names is measured: its memory, a look-up, and how long it takes
until a change is in force while requests go on (bench/lib/name_lists.py).
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from l4lb.lists.build import build

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen, about  # noqa: E402 - not a package that is installed
from bench.http import asked  # noqa: E402
from bench.lib import name_lists  # noqa: E402
from bench.lib.forward_targets import known  # noqa: E402
from bench.lib.http_targets import serving  # noqa: E402
from bench.lib.measures import Generator  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import Running, Target, default_l4lb, running  # noqa: E402

PATIENCE_S = 60.0
READ_BYTES = 1 << 20
WARM_BYTES = 64 << 20
BULK_S = 6.0  # a tunnel through a slow proxy carries less than what is asked for
LOOK_S, RESTS_S = 0.5, 0.015  # a proxy that uses less time between two looks is at rest
WARM_TUNNELS = 200
CONNECTIONS = 64  # of wrk
OURS = "l4lb"


@contextmanager
def tunnel(proxy: int, server: int) -> Iterator[socket.socket]:
    """Opens a tunnel by CONNECT for the time of the block."""
    with socket.create_connection(("127.0.0.1", proxy), timeout=PATIENCE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = f"127.0.0.1:{server}"
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(4096)
            if not data:
                raise RuntimeError(f"the proxy ended a tunnel: {head!r}")
            head += data
        if head.split()[1] != b"200":
            raise RuntimeError(f"the proxy refused a tunnel: {head!r}")
        yield sock


def rest(run: Running) -> None:
    """Waits until a proxy that was started does nothing more."""
    end, before = time.monotonic() + PATIENCE_S, -1.0
    while (now := run.cpu_seconds()) - before > RESTS_S and time.monotonic() < end:
        before = now
        time.sleep(LOOK_S)


def _discard(sock: socket.socket, room: bytearray, most: int) -> int:
    """Reads so many bytes, or for BULK_S. Returns how many they were."""
    begun, got = time.monotonic(), 0
    while got < most and time.monotonic() - begun < BULK_S:
        one = sock.recv_into(room)
        if not one:
            raise RuntimeError("a tunnel ended early")
        got += one
    return got


def bulk(run: Running, server: int, gib: float) -> dict[str, float]:
    """Measures CPU seconds for each GB to the client, through one tunnel."""
    room = bytearray(READ_BYTES)
    with tunnel(run.port, server) as sock:
        sock.sendall(b"D")  # bench/loadgen: send without end
        _discard(sock, room, WARM_BYTES)
        before, begun = run.cpu_seconds(), time.monotonic()
        size = _discard(sock, room, int(gib * (1 << 30)))
        used, took_s = run.cpu_seconds() - before, time.monotonic() - begun
    return {"GB": used / (size / 1e9), "GB rate": size * 8 / 1e9 / took_s}


def _one_request(proxy: int, server: int) -> None:
    said = f"GET /64 HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\nConnection: close\r\n\r\n".encode()
    with tunnel(proxy, server) as sock:
        sock.sendall(said)
        got = b""
        while data := sock.recv(4096):
            got += data
    if not got.endswith(b"x" * 64):
        raise RuntimeError(f"not the server's answer: {got[:200]!r}")


def tunnels(run: Running, server: int, seconds: float) -> dict[str, float]:
    """Measures CPU microseconds for each tunnel; one after the other, one request in each."""
    for _ in range(WARM_TUNNELS):
        _one_request(run.port, server)
    before, begun, count = run.cpu_seconds(), time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        _one_request(run.port, server)
        count += 1
    used, took_s = run.cpu_seconds() - before, time.monotonic() - begun
    return {"tunnel": used / count * 1e6, "tunnel rate": count / took_s}


def requests(run: Running, server: int, seconds: int) -> dict[str, float]:
    """Measures CPU microseconds for each request for a whole URL of 64 bytes."""
    script, host = run.folder / "whole-url.lua", f"127.0.0.1:{server}"
    script.write_text(f'request = function() return wrk.format("GET", "http://{host}/64") end\n')

    def ask(during_s: int) -> tuple[int, float]:
        done, number, rate = asked(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{during_s}s", "-s", str(script), "-H",
             f"Host: {host}", f"http://127.0.0.1:{run.port}/"],
            during_s, r"(\d+) requests in ", r"Requests/sec:\s*([\d.]+)",
        )  # fmt: skip
        if "Non-2xx" in done:
            raise RuntimeError(f"{host}: {done}")
        return int(number[1]), float(rate[1])

    ask(1)
    before = run.cpu_seconds()
    count, rate = ask(seconds)
    return {"request": (run.cpu_seconds() - before) / count * 1e6, "request rate": rate}


# What a row of the table says of a key, and its targets by peer.
ROWS: dict[str, tuple[str, str, dict[str, float]]] = {
    "GB": ("{:.3f}", "one tunnel: CPU s for each GB", {"squid": 0.45}),
    "GB rate": ("{:.1f}", "one tunnel: Gbit/s", {}),
    "tunnel": ("{:.0f}", "a tunnel for one request: CPU us", {"squid": 0.70}),
    "tunnel rate": ("{:,.0f}", "a tunnel for one request: a second", {}),
    "request": ("{:.0f}", "a request for a URL: CPU us", {}),
    "request rate": ("{:,.0f}", "a request for a URL: a second", {}),
}


Figures = dict[str, float]


def measure(target: Target, servers: tuple[int, int], options: argparse.Namespace) -> Figures:
    """Measures one proxy in one round. servers: one without end, and one of HTTP."""
    endless, http = servers
    jobs: tuple[Callable[[Running], dict[str, float]], ...] = (
        lambda run: bulk(run, endless, options.gib),
        lambda run: tunnels(run, http, options.seconds),
        lambda run: requests(run, http, options.seconds),
    )
    found: dict[str, float] = {}
    with running(target, http) as run:
        rest(run)
        for job in jobs:
            found |= job(run)
    return found


def table(rounds: dict[str, list[Figures]]) -> str:
    """Returns the table of medians and spreads, with the median of l4lb's share of each peer's time
    in the same round."""
    peers = [name for name in rounds if name != OURS]
    heads = ["", *rounds, *(f"{OURS} / {name}" for name in peers)]
    lines = [" | ".join(("", *heads, "")).strip(), "| --- |" + " ---: |" * (len(heads) - 1)]
    for key, (form, title, targets) in ROWS.items():
        cells = []
        for of in rounds.values():
            values = [one[key] for one in of]
            shown = [form.format(one) for one in (statistics.median(values), *_ends(values))]
            cells.append(f"{shown[0]} ({shown[1]}-{shown[2]})")
        for name in peers:
            pairs = zip(rounds[OURS], rounds[name], strict=True)
            part = f"{statistics.median(our[key] / their[key] for our, their in pairs):.2f}"
            cells.append(f"{part} (target {targets[name]:g})" if name in targets else part)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=int, default=3, help="duration of each test")
    parser.add_argument("--gib", type=float, default=2.0, help="GiB through one tunnel")
    parser.add_argument("--names", type=int, default=1_000_000, help="names of the list; 0: none")
    parser.add_argument("--peers", default="squid,tinyproxy", help="what to compare with")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--squid", default="squid", help="path of Squid")
    parser.add_argument("--tinyproxy", default="tinyproxy", help="path of tinyproxy")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    return parser.parse_args(argv)


def _compare(targets: list[Target], options: argparse.Namespace) -> dict[str, list[Figures]]:
    rounds: dict[str, list[Figures]] = {one.name: [] for one in targets}
    generator = Generator(_loadgen(), 1)
    with serving(1) as (http,), generator.server() as endless:
        for number in range(options.rounds):
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                rounds[target.name].append(measure(target, (endless, http), options))
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return rounds


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints both tables. Returns the exit status."""
    options = _options(argv)
    for needed in ("wrk", "nginx"):
        if not shutil.which(needed):
            raise SystemExit(f"{needed} is not installed: apt-get install {needed}")
    wanted = [OURS, *options.peers.split(",")]
    programs = (options.l4lb, options.squid, options.tinyproxy)
    targets = [one for one in known(*programs) if one.name in wanted]
    for missing in [one for one in targets if not one.available()]:
        print(f"not installed, left out: {missing.program}", file=sys.stderr)
        targets.remove(missing)
    shown = about("bench/forward.py", options, targets, argv)
    shown += f"\n\n{table(_compare(targets, options))}"
    if options.names:
        shown += f"\n\n{name_lists.table(build, options.l4lb, options.names, options.rounds)}"
    print(shown)
    if options.record:
        record("forward", shown, title="Forward proxies")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
