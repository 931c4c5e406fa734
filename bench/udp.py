#!/usr/bin/env python3
"""UDP side by side: no balancer, l4lb and nginx's stream module, one worker each, interleaved.

    .venv/bin/python bench/udp.py --rounds 5 --seconds 2 --record

Each session keeps a window of 64-byte datagrams in flight. The benchmark counts the datagrams that
come back, those that are lost, and the balancer's processor time for each. Only ratios within one
run can be compared; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen  # noqa: E402 - the tree is not a package that is installed
from bench.lib import targets as lib  # noqa: E402
from bench.lib.measures import Generator  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402

TESTS = {
    "64 sessions, 1 under way": (("-c", "64", "-w", "1"), 2.0),
    "64 sessions, 4 under way": (("-c", "64", "-w", "4"), 2.0),
    "1,000 sessions, 1 under way": (("-c", "1000", "-w", "1"), 2.0),
    "64 sessions, GSO sender, 16 a send": (("-c", "64", "-w", "16", "-g"), 3.0),
}
Found = dict[str, dict[str, float]]  # by test


class UdpL4lb(lib.L4lb):
    """l4lb in front of a UDP backend."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "l4lb.toml"
        config.write_text(
            config.read_text().replace("[listeners.bench]", '[listeners.bench]\nprotocol = "udp"')
        )
        return command


class UdpNginx(lib.Nginx):
    """nginx's stream module in front of a UDP backend, with buffers as large as l4lb's."""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "nginx.conf"
        config.write_text(
            config.read_text()
            .replace("backlog=4096", "udp rcvbuf=4m sndbuf=4m")
            .replace("tcp_nodelay on;", "proxy_timeout 30s;")
        )
        return command


def _wait_until_echoed(process: subprocess.Popen[bytes], port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect(("127.0.0.1", port))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            try:
                probe.send(b"probe")
                probe.recv(100)
            except OSError:
                continue
            return
    raise RuntimeError(f"{process.args!r} did not serve")


@contextmanager
def running(target: lib.Target, backend: int) -> Iterator[lib.Running]:
    """Runs the target in front of the backend's port, for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="l4lb-bench-") as name:
        port = lib.free_port()
        process = subprocess.Popen(
            target.command(Path(name), port, backend),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_echoed(process, port)
            yield lib.Running(process, port)
        finally:
            lib.end(process)


def _round(generator: Generator, target: lib.Target | None) -> Found:
    with generator.server() as backend:
        if target is None:
            return _measured(generator, backend, None)
        with running(target, backend) as run:
            return _measured(generator, run.port, run)


def _measured(generator: Generator, port: int, run: lib.Running | None) -> Found:
    found = {}
    for test, (args, _) in TESTS.items():
        before = run.cpu_seconds() if run else 0.0
        found[test] = generator.job(port, "udp", "-s", "64", *args)
        used = run.cpu_seconds() - before if run else 0.0
        found[test]["cpu_us"] = used * 1e6 / max(1.0, found[test]["done"])
    return found


def _table(rounds: dict[str, list[Found]]) -> str:
    names = list(rounds)
    lines = [
        ["datagrams/s echoed; balancer's CPU for each", *names,
         "l4lb / nginx", "target", ""],
        ["---"] * (len(names) + 4),
    ]  # fmt: skip
    for test, (_, target) in TESTS.items():
        rate = {
            name: median(one[test]["per_second"] for one in found) for name, found in rounds.items()
        }
        lost = {
            name: sum(int(one[test]["lost"] + one[test]["errors"]) for one in found)
            for name, found in rounds.items()
        }
        cpu = {name: median(one[test]["cpu_us"] for one in found) for name, found in rounds.items()}
        cells = [
            f"{rate[name]:,.0f}"
            + (f" ({lost[name]:,} lost)" if lost[name] else "")
            + (f", {cpu[name]:.2f} us" if cpu[name] else "")
            for name in names
        ]
        ratio = rate["l4lb"] / rate["nginx"] if "nginx" in rate else 0.0
        verdict = "reached" if ratio >= target and not lost["l4lb"] else "not reached"
        lines.append([test, *cells, f"{ratio:.2f}", f">= {target:g} x, none lost", verdict])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(argv: Sequence[str]) -> int:
    """Runs the comparison and prints its table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each test")
    parser.add_argument("--l4lb", default=lib.default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    options = parser.parse_args(argv)
    generator = Generator(_loadgen(), options.seconds)
    targets: list[lib.Target] = [UdpL4lb("l4lb", options.l4lb), UdpNginx("nginx", "nginx")]
    targets = [one for one in targets if one.available()]
    rounds: dict[str, list[Found]] = {"direct": [], **{one.name: [] for one in targets}}
    for number in range(options.rounds):
        turn = number % len(targets)
        for target in (None, *targets[turn:], *targets[:turn]):
            rounds[target.name if target else "direct"].append(_round(generator, target))
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    versions = "; ".join(f"{one.name}: {one.version()}" for one in targets)
    command = "python bench/udp.py " + shlex.join(argv)
    about = (
        f"`{command.strip()}` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, kernel "
        f"{platform.release()}. {options.rounds} rounds, {options.seconds:g} s a test, 64 bytes. "
        f"{versions}."
    )
    shown = f"{about}\n\n{_table(rounds)}"
    print(shown)
    if options.record:
        record("udp", shown, title="UDP")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
