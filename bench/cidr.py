#!/usr/bin/env python3
"""Speed of look-ups of addresses in a set of networks, the set's size, and the time to build it.

    .venv/bin/python bench/cidr.py --record

The networks are distinct and have the prefix lengths of routing tables: IPv4 /16 to /24 and IPv6
/32 to /48, most of them the longest, in the blocks that registries have given out. Half of them are
allowed, half denied. Half of the addresses looked up are in random networks, the other half
anywhere in those blocks.

The loop is C (bench/lib/lookups.c) and looks each address up once, in random order. "In turn" waits
for each answer before the next look-up: this is the time of one look-up. "In a row" lets the
processor overlap look-ups, as it can in a worker that has other work to do. "One load" is the time
of a single load from a random place in as much memory, in the same rounds. It is the minimum cost
of one cache miss on this machine at this time; other users of the machine's caches influence it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from l4lb.native import sets
from l4lb.native.table import Table

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.lookups import Lookups  # noqa: E402 - not a package that is installed
from bench.lib.results import RESULTS, record  # noqa: E402 - not a package that is installed

SET = 1
KINDS = ("IPv4", "IPv6", "both")
TARGET_NS, TARGET_MIB = 60, 64
# Shares of lengths, about those of the routing tables of 2025.
LENGTHS4 = {24: 60, 23: 10, 22: 11, 21: 5, 20: 5, 19: 3, 18: 2, 17: 1, 16: 3}
LENGTHS6 = {48: 48, 47: 2, 46: 3, 45: 1, 44: 11, 42: 2, 40: 10, 36: 6, 33: 4, 32: 13}
BLOCKS6 = (0x2001 << 112, 0x2400 << 112, 0x2600 << 112, 0x2800 << 112, 0x2A00 << 112, 0x2C00 << 112)
Network = tuple[int, int, int]  # width of an address, the address, bits


def _anywhere4(rng: random.Random) -> int:
    return rng.randrange(1 << 24, 224 << 24)


def _anywhere6(rng: random.Random) -> int:
    return rng.choice(BLOCKS6) | rng.getrandbits(116)


@dataclass(frozen=True)
class Family:
    """One address family."""

    width: int
    lengths: dict[int, int]
    anywhere: Callable[[random.Random], int]

    def networks(self, rng: random.Random, count: int) -> list[Network]:
        """Returns `count` different networks."""
        found: dict[Network, None] = {}
        lengths, shares = list(self.lengths), list(self.lengths.values())
        while len(found) < count:
            for bits in rng.choices(lengths, shares, k=count - len(found)):
                host = self.width - bits
                found[self.width, self.anywhere(rng) >> host << host, bits] = None
        return list(found)


FAMILIES = {"IPv4": Family(32, LENGTHS4, _anywhere4), "IPv6": Family(128, LENGTHS6, _anywhere6)}


def _text(networks: list[Network]) -> bytes:
    def line(width: int, first: int, bits: int) -> str:
        raw = f"{first:0{width // 4}x}"
        if width == 128:
            return ":".join(raw[at : at + 4] for at in range(0, 32, 4)) + f"/{bits}"
        return ".".join(str(byte) for byte in bytes.fromhex(raw)) + f"/{bits}"

    return "\n".join(line(*network) for network in networks).encode()


def _probes(rng: random.Random, networks: list[Network], kind: str, count: int) -> Iterator[bytes]:
    for number in range(count):
        if number % 2:
            width, first, bits = rng.choice(networks)
            at = first | rng.getrandbits(width - bits) if bits < width else first
        else:
            family = FAMILIES[kind if kind in FAMILIES else rng.choice(list(FAMILIES))]
            width, at = family.width, family.anywhere(rng)
        yield at.to_bytes(width // 8, "big")


@dataclass(frozen=True)
class Figures:
    """The figures of one set."""

    kind: str
    networks: int
    in_turn_ns: float
    in_a_row_ns: float
    load_ns: float
    size: int  # bytes
    build_s: float

    def row(self) -> str:
        """Returns the set's row of the table."""
        return (
            f"| {self.kind} | {self.networks:,} | {self.in_turn_ns:.1f} | {self.in_a_row_ns:.1f}"
            f" | {self.load_ns:.1f} | {self.size / (1 << 20):.2f} | {self.build_s:.2f} |"
        )


def measure(table: Table, kind: str, count: int, probes: int, rounds: int) -> Figures:
    """Builds a set, and looks addresses up in it in `rounds` rounds."""
    rng = random.Random(count)
    if kind == "both":
        networks = [one for family in FAMILIES.values() for one in family.networks(rng, count // 2)]
    else:
        networks = FAMILIES[kind].networks(rng, count)
    lists = [(_text(networks[::2]), sets.ALLOW), (_text(networks[1::2]), sets.DENY)]
    started = time.perf_counter()
    sets.rebuild(table, {SET: lists}, [])
    build_s = time.perf_counter() - started
    addresses = list(_probes(rng, networks, kind, probes))
    rng.shuffle(addresses)
    size = sets.set_bytes(table, SET)
    lookups = Lookups(sets.exported(table, SET))
    ways: tuple[Callable[[], float], ...] = (
        lambda: lookups.finds(addresses, in_turn=True),
        lambda: lookups.finds(addresses, in_turn=False),
        lambda: lookups.loads(probes),
    )
    taken = [[way() for way in ways] for _ in range(rounds)]
    by_way = list(zip(*taken, strict=True))
    in_turn, in_a_row, load = (statistics.median(one) / probes * 1e9 for one in by_way)
    return Figures(kind, count, in_turn, in_a_row, load, size, build_s)


def main() -> int:
    """Runs all measurements and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--networks", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="sizes of sets"
    )
    parser.add_argument("--probes", type=int, default=1_000_000, help="look-ups in a round")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    options = parser.parse_args()
    table = Table((1, 1, 1, 1, 1))
    rows = []
    for kind in KINDS:
        for count in options.networks:
            rows.append(measure(table, kind, count, options.probes, options.rounds))
            print(rows[-1].row(), flush=True)
    about = (
        f"`python bench/cidr.py --probes {options.probes} --rounds {options.rounds}`: medians."
        f" Target at 1,000,000 networks: {TARGET_NS} ns a look-up, {TARGET_MIB} MiB."
    )
    head = "| networks | of them | ns, in turn | in a row | one load | MiB | s to build |"
    table_rows = [head, "| --- |" + 6 * " ---: |", *(one.row() for one in rows)]
    text = "\n".join([about, "", *table_rows])
    if options.record:
        record("cidr", text, title="Sets of networks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
