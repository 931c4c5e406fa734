"""What a refused client costs: by the workers, and by the shield in the kernel (docs/shield.md).

    python bench/shield.py [--rounds 5] [--record]

A source that is denied, or that is above its rate limit, sends datagrams or begins connections
over the loopback interface as fast as one sender can. Both ways of refusing are measured in turns.
The cost is the processor time of the worker for each of them; the kernel's part is in the sender's
time, as packets over loopback are received in the call that sends them. Needs root.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.results import RESULTS, record  # noqa: E402 - not a package that is installed
from tests.e2e.harness import PORTS, Balancer, one_pool  # noqa: E402

DENIED = "127.0.0.66"
WAYS = {"workers": "off", "shield": "tc"}
RULES: dict[str, dict[str, Any]] = {
    "denied": {"access": {"deny": [DENIED], "refusal": "drop"}},
    "source_rate": {"limits": {"rate_per_source": {"limit": 50, "burst": 100, "refusal": "drop"}}},
}


def balancer(shield: str, protocol: str, rule: str) -> Balancer:
    packet = {"interfaces": ["lo"], "shield": shield}
    config = one_pool(f"127.0.0.1:{PORTS.take()}", ["127.0.0.1:9"],
                      process={"workers": 1, "packet": packet})  # fmt: skip
    config["listeners"]["web"] |= {"protocol": protocol, **RULES[rule]}
    return Balancer(config)


def datagrams(target: tuple[str, int], count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((DENIED, 0))
        sender.connect(target)
        for _ in range(count):
            sender.send(bytes(64))


def connections(target: tuple[str, int], count: int) -> None:
    for _ in range(count):
        with socket.socket() as sender:
            sender.bind((DENIED, 0))
            sender.setblocking(False)
            sender.connect_ex(target)


def spent(lb: Balancer) -> float:
    """Returns the processor time of the worker, in seconds."""
    worker = lb.pids()[0]
    return sum(psutil.Process(worker).cpu_times()[:2])


def one_round(
    shield: str, protocol: str, rule: str, job: Callable[[tuple[str, int], int], None], count: int
) -> tuple[float, float, float]:
    """Returns ns of the worker and of the sender for each, and their number in a second."""
    with balancer(shield, protocol, rule) as lb:
        before, sender, began = spent(lb), time.process_time(), time.monotonic()
        job(lb.address, count)
        took, sender = time.monotonic() - began, time.process_time() - sender
        time.sleep(0.5)  # the worker refuses what still waits
        (row,) = lb.ask("shield")
        if shield == "tc" and row[rule] < 0.9 * count:
            raise RuntimeError(f"the shield dropped {row[rule]} of {count}")
        return (spent(lb) - before) / count * 1e9, sender / count * 1e9, count / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help=f"write them to {RESULTS.name}")
    args = parser.parse_args()
    lines = [
        "| refused | by | worker, ns | sender, ns | a second |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, protocol, rule, job, count in (
        ("a datagram", "udp", "denied", datagrams, 300_000),
        ("a connection", "tcp", "denied", connections, 20_000),
        ("a connection above its rate", "tcp", "source_rate", connections, 20_000),
    ):
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
        for _ in range(args.rounds):
            for way, shield in WAYS.items():
                found[way].append(one_round(shield, protocol, rule, job, count))
        for way, rounds in found.items():
            worker, sender, rate = (statistics.median(one) for one in zip(*rounds, strict=True))
            lines.append(f"| {name} | {way} | {worker:,.0f} | {sender:,.0f} | {rate:,.0f} |")
    text = "\n".join(lines)
    print(text)
    if args.record:
        said = f"`python bench/shield.py --rounds {args.rounds}`: medians."
        record("shield", f"{said}\n\n{text}", title="The shield")


if __name__ == "__main__":
    main()
