#!/usr/bin/env python3
"""The packet data path beside a cable, the kernel's own ways and proxies, in interleaved rounds.

    python bench/packet.py [--rounds 5] [--seconds 1.2] [--record]
    python bench/packet.py --hand-over [--record]   UDP sessions of the proxy in the kernel
    python bench/packet.py --flood [--record]       a proxy's clients during refused floods

Client, balancer and three backends are network namespaces with cables between them
(bench/lib/testbed.py). Each round measures each target in a new testbed, and the order rotates.

The balancer's CPU is the processor time of client, servers, balancer and the kernel's softirq
threads, minus that of clients and servers on a bare cable (wire): the kernel's work for a packet is
done inside whoever sends it, so it cannot be told by process. Behind it is what the balancer's
processes used, idle work included. Rates are shared by everybody on this machine; only ratios
within one run can be compared. "kernel routing" spreads connections over the backends by a hash
(multipath), without translation of addresses.

A flood's sources are denied by the listeners' access lists. "to another host" is the same flood
with another MAC. It shows what the sender takes from the two cores that everybody shares: what the
refusing costs is the difference from that ("of elsewhere"). "ns each" is the processor time of all
for a packet of the flood when there are no clients, its sender included. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen, about  # noqa: E402 - not a package that is installed
from bench.lib import packet_targets as lib  # noqa: E402
from bench.lib.packet_report import (  # noqa: E402
    EACH,
    ELSEWHERE,
    QUIET,
    ROUTING,
    SENT,
    Bar,
    Measured,
    Test,
    bars,
    kept,
    measured,
    tables,
)
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import default_l4lb  # noqa: E402
from bench.lib.testbed import (  # noqa: E402
    CLIENT,
    DENIED,
    END_S,
    FRONT,
    INSIDE,
    PORT,
    Testbed,
    enter,
    front,
    inside,
)
from l4lb.admin import AdminClient  # noqa: E402

ROUND_TRIPS = Test(("rr", "-c", "64", "-s", "64"), "tcp")
CONNECTIONS = Test(("conn", "-c", "64", "-s", "64"), "tcp")
UDP_64 = Test(("udp", "-c", "64", "-w", "1", "-s", "64"), "udp")
UDP_1000 = Test(("udp", "-c", "1000", "-w", "1", "-s", "64"), "udp")
TESTS = {
    "round trips": ROUND_TRIPS,
    "new connections": CONNECTIONS,
    "bulk down": Test(("bulk", "-c", "8"), "tcp", per_byte=True),
    "bulk up": Test(("bulk", "-c", "8", "-u"), "tcp", per_byte=True),
    "UDP 64 flows": UDP_64,
    "UDP 1,000 flows": UDP_1000,
}
SESSIONS = {
    "64 sessions": UDP_64,
    "1,000 sessions": UDP_1000,
    "64 GSO senders, 16 a send": Test(("udp", "-c", "64", "-w", "16", "-g", "-s", "64"), "udp"),
}
FLOODED = {"round trips": ROUND_TRIPS, "new connections": CONNECTIONS, "UDP 64 flows": UDP_64}
FLOODS = {QUIET: "", ELSEWHERE: "udp", "datagrams": "udp", "SYNs": "syn"}
KEPT_AT_LEAST, FLOOD_RATE, AT_LEAST_SENT = 0.95, 100_000, 0.9
WARM_S = 0.1
BASES = (lib.WIRE, lib.ROUTING)  # what the others are compared with
BARS = [
    *(Bar(test, ROUTING, rate=0.95 if one.per_byte else 0.9) for test, one in TESTS.items()),
    *(
        Bar(test, ROUTING, cpu=2 if one is CONNECTIONS else 1.3)
        for test, one in TESTS.items()
        if not one.per_byte
    ),
    *(
        Bar(test, peer, cpu=part)
        for test, one in TESTS.items()
        if not one.per_byte
        for peer, part in ((lib.PROXY, 0.25), ("haproxy", 0.2), ("nginx", 0.2))
    ),
]
HAND_OVER_BARS = [
    *(Bar(test, ROUTING, rate=0.9) for test in SESSIONS),
    *(Bar(test, "nginx", rate=3) for test in SESSIONS),
]


def usable(targets: Sequence[lib.Target], generator: str) -> list[lib.Target]:
    """Returns the targets that can run here. Says of the others why they are left out."""
    found = []
    for target in targets:
        why = lib.left_out(target, generator)
        if why:
            print(f"left out: {target.name}: {why}", file=sys.stderr)
        else:
            found.append(target)
    return found


def _turned(targets: Sequence[lib.Target], number: int) -> list[lib.Target]:
    turn = number % len(targets)
    return [*targets[turn:], *targets[:turn]]


def _measure(
    target: lib.Target, generator: str, tests: dict[str, Test], seconds: float
) -> dict[str, Measured]:
    found = {}
    with lib.serving(target, generator) as bed:
        for name, test in tests.items():
            if test.protocol in target.protocols:
                bed.job(WARM_S, *test.args)
                found[name] = measured(test, bed.job(seconds, *test.args))
    return found


def compare(
    targets: Sequence[lib.Target],
    generator: str,
    tests: dict[str, Test],
    options: argparse.Namespace,
) -> dict[str, list[dict[str, Measured]]]:
    """Returns the rounds of each target."""
    rounds: dict[str, list[dict[str, Measured]]] = {one.name: [] for one in targets}
    for number in range(options.rounds):
        for target in _turned(targets, number):
            rounds[target.name].append(_measure(target, generator, tests, options.seconds))
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return rounds


@contextlib.contextmanager
def flooded(program: str, flood: str, rate: int) -> Iterator[dict[str, float]]:
    """Sends the flood during the block. The result has what was sent, after the block."""
    mac = "02:00:00:00:00:99" if flood == ELSEWHERE else front()["address"]
    network, bits = DENIED
    where = ("front", mac, network, str(bits), FRONT, str(PORT))
    command = inside(CLIENT, program, FLOODS[flood], *where, str(rate), "60")
    did: dict[str, float] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield did
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=END_S)
    did |= json.loads(said)


def _dropped(bed: Testbed) -> int:
    with AdminClient(str(bed.folder / "admin.sock")) as client:
        return sum(int(row["denied"]) for row in client.call("shield"))


@contextlib.contextmanager
def refused(
    bed: Testbed, target: lib.Target, program: str, flood: str, rate: int
) -> Iterator[dict[str, float]]:
    """Like flooded(). Raises RuntimeError if a shield has not dropped what was sent."""
    before = _dropped(bed)
    with flooded(program, flood, rate) as did:
        yield did
    dropped = _dropped(bed) - before
    shielded = flood != ELSEWHERE and not target.name.endswith("off")
    if shielded and dropped < did["sent"] * AT_LEAST_SENT:
        raise RuntimeError(f"{target.name} dropped {dropped:,} of {did['sent']:,.0f} packets")


def _flood_round(
    target: lib.Target, generator: str, program: str, options: argparse.Namespace, number: int
) -> dict[str, dict[str, float]]:
    """Returns by flood the rate of each test, of the flood itself, and what a packet of it costs
    when there are no clients."""
    found: dict[str, dict[str, float]] = {one: {} for one in FLOODS}
    order = list(FLOODS)
    order = order[number % len(order) :] + order[: number % len(order)]
    with lib.serving(target, generator) as bed:
        for name, test in FLOODED.items():
            bed.job(WARM_S, *test.args)
            for flood in order:
                if flood == QUIET:
                    found[flood][name] = bed.job(options.seconds, *test.args)["per_second"]
                    continue
                with refused(bed, target, program, flood, options.rate) as did:
                    found[flood][name] = bed.job(options.seconds, *test.args)["per_second"]
                rate = did["sent"] / did["seconds"]
                found[flood][SENT] = min(rate, found[flood].get(SENT, rate))
        for flood in order:
            if flood != QUIET:
                before = bed.spent_ns()["cpu_ns"]
                with refused(bed, target, program, flood, options.rate) as did:
                    time.sleep(options.seconds)
                found[flood][EACH] = (bed.spent_ns()["cpu_ns"] - before) / did["sent"]
    return found


def floods(
    targets: Sequence[lib.Target], generator: str, options: argparse.Namespace
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Returns by shield and flood the rates of each round."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        target.name: {one: [] for one in FLOODS} for target in targets
    }
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/flood"
        source = str(TOP / "bench/lib/flood.c")
        subprocess.run(
            ["cc", "-std=c11", "-O2", "-D_GNU_SOURCE", source, "-o", program], check=True
        )
        for number in range(options.rounds):
            for target in _turned(targets, number):
                rates = _flood_round(target, generator, program, options, number)
                for flood, one in rates.items():
                    found[target.name][flood].append(one)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return found


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hand-over", action="store_true", help="UDP sessions in the kernel")
    what.add_argument("--flood", action="store_true", help="clients during refused floods")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=1.2, help="duration of each test")
    parser.add_argument("--rate", type=int, default=FLOOD_RATE, help="packets of a flood, a second")
    parser.add_argument(
        "--without", action="append", default=[], help="leave out this target", metavar="NAME"
    )
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> tuple[str, str, list[lib.Target], str]:
    """Returns the name of the section, its title, the targets, and the tables."""
    generator = _loadgen()

    def wanted(targets: list[lib.Target]) -> list[lib.Target]:
        chosen = [one for one in targets if one.name not in options.without or one in BASES]
        return usable(chosen, generator)

    if options.flood:
        targets = wanted(lib.shields(options.l4lb))
        table = kept(floods(targets, generator, options), list(FLOODED), KEPT_AT_LEAST)
        return "packet-flood", "A proxy's clients during floods", targets, table
    if options.hand_over:
        targets = wanted(lib.hand_overs(options.l4lb))
        rounds = compare(targets, generator, SESSIONS, options)
        reached = bars(rounds, lib.HAND_OVER, HAND_OVER_BARS)
        shown = f"{tables(rounds, SESSIONS)}\n\n{reached}"
        return "packet-hand-over", "UDP sessions in the kernel", targets, shown
    targets = wanted(lib.paths(options.l4lb))
    rounds = compare(targets, generator, TESTS, options)
    shown = f"{tables(rounds, TESTS)}\n\n{bars(rounds, lib.PACKET, BARS)}"
    return "packet", "The packet data path", targets, shown


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the tables. Returns the exit status."""
    options = _options(argv)
    name, title, targets, table = _run(options)
    told = about("bench/packet.py", options, [one for one in targets if one.program],
                 [one for one in argv if one != INSIDE])  # fmt: skip
    shown = f"{told}\n\n{table}"
    print(shown)
    if options.record:
        record(name, shown, title=title)
    return 0


if __name__ == "__main__":
    enter(__file__, sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
