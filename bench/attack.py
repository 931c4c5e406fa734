#!/usr/bin/env python3
"""The effect of an attack on well-behaved clients: quiet and attacked rounds in turn, one run.

    .venv/bin/python bench/attack.py --rounds 5 --seconds 3 --record

These attacks run at the same time: one source at 50 times its limits, both of new connections a
second and of open connections; 5,000 connections that send a ClientHello byte by byte; connections
that are reset right after their start; and half-open connections (SYNs from addresses where nobody
answers). Meanwhile clients from other sources make round trips over open connections and over new
ones, evenly paced. Their latency is compared with their latency in the quiet rounds between.

The benchmark runs in a network namespace of its own, for which it needs root. Without root,
half-open connections are left out.

Real attackers have machines of their own, and this machine would get only their packets. Here the
attackers therefore run only on idle processor time (SCHED_IDLE) and evenly paced, not in bursts.
Answers to forged addresses go to a router that drops them. The kernel's work for the attackers'
packets still takes time from the two cores that everybody shares.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen  # noqa: E402 - the tree is not a package that is installed
from bench.lib.measures import Generator  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import L4lb, Running, default_l4lb, free_port, running  # noqa: E402
from l4lb.admin import AdminClient  # noqa: E402

ATTACKERS = Path(__file__).resolve().parent / "lib" / "attackers.py"
INSIDE = "--inside"  # this process is in its own namespace
HOST, ROUTER, SPOOFED = "10.99.0.1", "10.99.0.254", "10.98.0.0/16"
NEW_A_SECOND, AT_ONE_TIME, TIMES = 100, 50, 50
SLOW = 5_000
SLOW_SOURCES = [f"127.0.3.{n}" for n in range(1, 101)]
PACED = {"rr": ("-c", "32", "-i", "10"), "conn": ("-c", "16", "-i", "40")}
QUIET, ATTACKED = "quiet", "attacked"


class Limited(L4lb):
    """l4lb with limits on its listener, and with a second listener that reads ClientHellos."""

    hello = 0  # port of the second listener

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "l4lb.toml"
        type(self).hello = free_port()
        text = config.read_text().replace("workers = 1", "workers = 2")
        text = text.replace(f"127.0.0.1:{port}", f"0.0.0.0:{port}")
        text += f"""
            [listeners.bench.limits]
            rate_per_source = {NEW_A_SECOND}
            connections_per_source = {AT_ONE_TIME}
            [listeners.hello]
            bind = ["0.0.0.0:{self.hello}"]
            routes = [{{ sni = "nobody.example", pool = "bench" }}]
            pool = "bench"
        """
        # why: under this load the kernel may lose a reset (`softnet_stat`). The session then ends
        # by idle_timeout, like any session whose client has vanished.
        text = text.replace("[pools.bench]", '[pools.bench]\nidle_timeout = "10s"')
        config.write_text(text)
        return command


def _attacks(port: int, hello: int, raw: bool) -> list[list[str]]:
    here = f"127.0.0.1:{port}"
    found = [
        ["flood", "--to", here, "--from", "127.0.0.66", "--rate", str(NEW_A_SECOND * TIMES),
         "--connections", str(AT_ONE_TIME * TIMES)],
        ["slow", "--to", f"127.0.0.1:{hello}", "--from", *SLOW_SOURCES, "--connections", str(SLOW),
         "--every", "2"],
        ["resets", "--to", here, "--from", "127.0.0.67", "--rate", "1000"],
    ]  # fmt: skip
    if raw:
        found.append(["half-open", "--to", f"{HOST}:{port}", "--rate", "2000", "--spoof", SPOOFED])
    return found


def _begin(attack: Sequence[str]) -> subprocess.Popen[str]:
    # why: the tick is shorter than the time between two connections, so that they are evenly
    # spaced.
    program = [sys.executable, str(ATTACKERS), *attack, "--tick", "0.0002"]
    command = ["chrt", "--idle", "0", *program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def attacked(attacks: Sequence[Sequence[str]]) -> Iterator[dict[str, dict[str, int]]]:
    """Runs all attacks at full strength inside the block. The result has their counts after the
    block."""
    did: dict[str, dict[str, int]] = {}
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_begin(attack)) for attack in attacks]
        try:
            for process in processes:
                assert process.stdout is not None
                if process.stdout.readline() != "attacks\n":
                    raise RuntimeError(f"{process.args} ended")
            yield did
        finally:
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            for attack, process in zip(attacks, processes, strict=True):
                assert process.stdout is not None
                said = process.stdout.read()
                did[attack[0]] = json.loads(said) if said.strip() else {}


def measure(generator: Generator, run: Running) -> dict[str, float]:
    """One round of both jobs; latencies in microseconds."""
    found: dict[str, float] = {}
    for job, options in PACED.items():
        result = generator.job(run.port, job, *options)
        for key in ("p50_us", "p99_us", "errors", "per_second"):
            found[f"{job}_{key}"] = result[key]
    return found


def _wait_until_empty(socket: str) -> None:
    """Waits until all sessions that an attack left have ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with AdminClient(socket) as client:
            if client.call("status")["connections"] == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("sessions are left 30 s after an attack")


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Returns a Markdown table of medians, and of the median over the rounds of each pair's
    ratio."""
    lines = ["| | quiet | attacked | ratio |", "| --- | ---: | ---: | ---: |"]
    titles = {"rr": "round trips over held connections", "conn": "new connections"}
    for job, title in titles.items():
        for key, unit in (("p50_us", "p50, us"), ("p99_us", "p99, us"), ("per_second", "a second")):
            quiet = [one[f"{job}_{key}"] for one in rounds[QUIET]]
            other = [one[f"{job}_{key}"] for one in rounds[ATTACKED]]
            ratio = median(b / a for a, b in zip(quiet, other, strict=True))
            lines.append(
                f"| {title}, {unit} | {median(quiet):,.0f} | {median(other):,.0f} | {ratio:.2f} |"
            )
        errors = [int(sum(one[f"{job}_errors"] for one in rounds[key])) for key in rounds]
        lines.append(f"| {title}, errors | {errors[0]} | {errors[1]} | |")
    return "\n".join(lines)


def _enter_namespace(argv: Sequence[str]) -> None:
    """As root: runs this program again in a network namespace that ends with it."""
    if os.getuid() == 0 and INSIDE not in argv:
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, *argv, INSIDE])


def _make_network() -> None:
    """Sets up loopback, and a router that forwards nothing; the forged addresses are behind it."""
    for command in (
        "link set lo up",
        "link add l4a type veth peer name l4b",
        f"addr add {HOST}/24 dev l4a",
        "link set l4a up",
        "link set l4b up",
        f"neigh add {ROUTER} lladdr 02:00:00:00:00:01 dev l4a nud permanent",
        f"route add {SPOOFED} via {ROUTER}",
    ):
        subprocess.run(["ip", *command.split()], check=True)


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each test")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--only", nargs="+", help="only these attacks: flood slow resets half-open")
    parser.add_argument("--json", metavar="FILE", help="write the figures of every round")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.inside:
        _make_network()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    generator = Generator(_loadgen(), options.seconds)
    rounds: dict[str, list[dict[str, float]]] = {QUIET: [], ATTACKED: []}
    did: dict[str, dict[str, int]] = {}
    target = Limited("l4lb", options.l4lb)
    with generator.server() as backend, running(target, backend) as run:
        socket = str(run.folder / "admin.sock")
        attacks = _attacks(run.port, Limited.hello, options.inside)
        attacks = [one for one in attacks if not options.only or one[0] in options.only]
        for number in range(options.rounds):
            rounds[QUIET].append(measure(generator, run))
            with attacked(attacks) as did:
                rounds[ATTACKED].append(measure(generator, run))
            _wait_until_empty(socket)
            print(f"round {number + 1} of {options.rounds} done: {did}", file=sys.stderr)
        with AdminClient(socket) as client:
            ended = client.call("stats")["ended"]
    about = (
        f"`python bench/attack.py --rounds {options.rounds} --seconds {options.seconds:g}`:"
        f" medians, and the median over the rounds of the ratio. Of the last attack:"
        f" {did}. Sessions ended over the run: {ended}."
    )
    shown = f"{about}\n\n{table(rounds)}"
    print(shown)
    if options.json:
        Path(options.json).write_text(json.dumps(rounds, indent=1))
    if options.record:
        record("attack", shown, title="Under attack")
    return 0


if __name__ == "__main__":
    _enter_namespace(sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
