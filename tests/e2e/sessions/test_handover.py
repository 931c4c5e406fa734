"""Hand-overs of sessions between workers while something fails."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from ..harness import (
    Backends,
    Balancer,
    echo,
    has_ended,
    held,
    kill_and_wait,
    run,
    send_signal,
    stopped,
    toml,
    until,
)

BYTES = 6 << 20  # more than sockets and pipes hold, so that bytes are always in flight


@pytest.fixture(scope="module")
def two() -> Any:
    """Backends that echo."""
    with Backends(2, mode="echo") as backends:
        yield backends


def receive(client: socket.socket, count: int) -> bytes:
    """Receives exactly this number of bytes."""
    parts = []
    while count:
        parts.append(client.recv(min(count, 1 << 16)))
        assert parts[-1], "it ended early"
        count -= len(parts[-1])
    return b"".join(parts)


@pytest.mark.parametrize("change", ["upgrade", "rebalance"])
def test_what_waits_for_a_slow_reader_goes_with_the_session(two: Backends, change: str) -> None:
    with Balancer.before(two.rows(), workers=2) as lb, held(lb, 6) as clients:
        sent = [random.Random(seed).randbytes(BYTES) for seed in range(len(clients))]
        senders = [
            threading.Thread(target=client.sendall, args=(data,), daemon=True)
            for (client, _), data in zip(clients, sent, strict=True)
        ]
        for sender in senders:
            sender.start()
        got = [receive(client, 200_000) for client, _ in clients]
        old = lb.pids()
        until(
            lambda: all(row["bytes_out"] > 1 << 20 for row in lb.ask("sessions")),
            "pipes and sockets are full",
        )
        lb.admin(change)
        if change == "upgrade":
            until(lambda: set(lb.pids()).isdisjoint({*old, 0}), "other workers serve")
        for at, (client, _) in enumerate(clients):
            got[at] += receive(client, BYTES - len(got[at]))
        for sender in senders:
            sender.join(timeout=20)
        assert got == sent
        assert lb.ask("stats")["connections_lost"] == 0


def of_worker(lb: Balancer, worker: int) -> set[str]:
    """Returns the addresses of the clients that a worker serves."""
    return {row["client"] for row in lb.ask("sessions") if row["worker"] == worker}


def test_a_worker_killed_while_it_takes_sessions_loses_only_its_own(two: Backends) -> None:
    with Balancer.before(two.rows(), workers=2) as lb, held(lb, 80) as clients:
        by_address = {"{}:{}".format(*client.getsockname()): client for client, _ in clients}
        own = sorted(of_worker(lb, 1))
        for address in own[2:]:
            by_address[address].close()
        until(lambda: len(of_worker(lb, 1)) == 2, "worker 1 has two left")
        others = of_worker(lb, 0)
        assert len(others) > 10
        taker = next(row["pid"] for row in lb.ask("workers") if row["index"] == 1)
        send_signal(taker, signal.SIGSTOP)
        moved: list[Any] = []
        rebalance = threading.Thread(target=lambda: moved.append(lb.admin("rebalance")))
        rebalance.start()
        until(
            lambda: any(row["state"] == "handover" for row in lb.ask("sessions")),
            "sessions are on their way",
        )
        send_signal(taker, signal.SIGKILL)
        rebalance.join(timeout=30)
        assert moved == [{"moved": 0}]
        for seed, address in enumerate(sorted(others)):
            echo(by_address[address], seed, 10_000)
        assert lb.ask("stats")["connections_lost"] == 2
        until(lambda: sum(row["active"] for row in lb.ask("backends")) == 0, "all are counted out")


def offered(lb: Balancer) -> int:
    """Returns the number of sessions that are being handed over."""
    return sum(row["state"] == "handover" for row in lb.ask("sessions"))


def test_a_worker_that_is_stopped_while_the_taker_hangs_ends_every_session_as_stopped(
    two: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    log = {"access": str(path), "access_format": "json"}
    lb = Balancer.before(two.rows(), workers=2, process={"log": log})
    with lb, contextlib.ExitStack() as stack:
        clients = stack.enter_context(held(lb, 60))
        by_address = {"{}:{}".format(*client.getsockname()): client for client, _ in clients}
        for address in sorted(of_worker(lb, 1))[2:]:
            by_address[address].close()
        until(lambda: len(of_worker(lb, 1)) == 2, "worker 1 has two left")
        givers, taker = of_worker(lb, 0), lb.pids()[1]
        with stopped(taker):
            rebalance = threading.Thread(
                target=lambda: run("admin", "--socket", lb.socket, "rebalance", timeout_s=60)
            )
            rebalance.start()
            until(lambda: offered(lb) > 2, "several sessions are on offer")
            giver = lb.pids()[0]
            lb.signal(signal.SIGINT)
            until(lambda: has_ended(giver), "it has ended")
        rebalance.join(timeout=30)
        lb.wait()
        ends = [json.loads(line) for line in path.read_text().splitlines()]
        assert {line["client"]: line["end"] for line in ends if line["client"] in givers} == (
            dict.fromkeys(givers, "stopped")
        )


def test_a_worker_that_leaves_hands_its_sessions_to_the_one_that_replaces_a_dead_taker(
    two: Backends,
) -> None:
    lb = Balancer.before(two.rows(), workers=2, process={"drain_timeout": "10m"})
    with lb, held(lb, 60) as clients:
        until(lambda: sum(lb.active()) == 60, "all sessions are counted")
        taker, giver = lb.pids()
        survivors = of_worker(lb, 1)
        assert lb.config
        lb.config["process"]["workers"] = 1
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        with stopped(taker):
            lb.admin("reload")
            until(lambda: offered(lb) > 0, "sessions are on offer")
            kill_and_wait(taker)
        until(lambda: has_ended(giver), "the giver has nothing left")
        assert lb.ask("stats")["connections_lost"] == 60 - len(survivors)
        by_address = {"{}:{}".format(*client.getsockname()): client for client, _ in clients}
        for seed, address in enumerate(survivors):
            echo(by_address[address], seed, 10_000)


def test_an_upgrade_hands_sessions_to_the_worker_that_replaces_a_dead_new_one(
    two: Backends,
) -> None:
    """Queued clients move with them, and are served when it is their turn."""
    rows = [row | {"max_connections": 10} for row in two.rows()]
    lb = Balancer.before(rows, workers=1, process={"drain_timeout": "10m"},
                         queue={"length": 5, "timeout": "5m"})  # fmt: skip
    with lb, held(lb, 20) as clients, lb.connect() as queues:
        until(lambda: lb.ask("pools")[0]["waiting"] == 1, "one queues")
        (giver,) = lb.pids()
        with stopped(giver):
            lb.admin("upgrade")
            new = lb.kill(0)
            lb.wait_for_new_worker(0, new)
        until(lambda: has_ended(giver), "the old worker has nothing left")
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 10_000)
        assert queues.recv(2)
        assert lb.ask("stats")["connections_lost"] == 0
