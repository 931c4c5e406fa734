"""The connection queue: limits hold under a race, clients are served in order over all workers, and
a client that left, waited too long or was at a worker that died is no longer in the queue."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from ..harness import Backends, Balancer, greet, read_line, toml, turned_away, until
from ..harness.secure import Authority, secure

QUEUE = {"length": 3_000, "timeout": "1m"}


def waiting(lb: Balancer) -> int:
    return int(lb.ask("pools")[0]["waiting"])


def ends(lb: Balancer, reason: str) -> int:
    return int(lb.ask("stats")["ended"].get(reason, 0))


@pytest.fixture
def one() -> Iterator[Backends]:
    with Backends(1) as backends:
        yield backends


def narrow(backends: Backends, **pool: object) -> Balancer:
    """A balancer whose backends have one place each."""
    rows = [{**row, "max_connections": 1} for row in backends.rows()]
    return Balancer.before(rows, **{"workers": 4, "queue": QUEUE, **pool})  # type: ignore[arg-type]


def enqueue(lb: Balancer, count: int) -> list[socket.socket]:
    """Yields waiting clients, which came one after the other."""
    before = waiting(lb)
    clients: list[socket.socket] = []
    while len(clients) < count:
        clients.append(lb.connect())
        until(lambda: waiting(lb) == before + len(clients), "it waits", every_s=0.002)
    return clients


def is_served(client: socket.socket) -> bool:
    client.settimeout(20)
    return read_line(client) != ""


async def _one_of_many(lb: Balancer) -> str:
    reader, writer = await asyncio.open_connection(*lb.address)
    name = await reader.readline()
    await reader.read()
    writer.close()
    return name.decode().strip()


def test_two_thousand_at_once_are_all_served_and_no_backend_sees_one_too_many() -> None:
    async def race() -> Counter[str]:
        return Counter(await asyncio.gather(*(_one_of_many(lb) for _ in range(2_000))))

    with Backends(3, mode="brief", hold_ms=20) as backends:
        rows = [{**row, "max_connections": 100} for row in backends.rows()]
        with Balancer.before(rows, workers=4, queue=QUEUE) as lb:
            served = asyncio.run(race())
            assert served.keys() == {"a", "b", "c"}
            assert served.total() == 2_000
            until(lambda: lb.total("active") == 0, "all sessions ended")
            assert waiting(lb) == 0
            counts = backends.counts()
            assert all(50 < row["peak"] <= 100 for row in counts.values()), counts


def test_a_pools_limit_holds_over_its_backends_and_workers() -> None:
    async def race() -> Counter[str]:
        return Counter(await asyncio.gather(*(_one_of_many(lb) for _ in range(300))))

    with (
        Backends(1, mode="brief", hold_ms=5) as backends,
        Balancer.before(backends.rows(), workers=4, max_connections=10, queue=QUEUE) as lb,
    ):
        assert asyncio.run(race()) == {"a": 300}
        assert backends.counts()["a"]["peak"] <= 10


def test_the_queue_is_served_in_the_order_of_arrival_over_all_workers(one: Backends) -> None:
    with narrow(one) as lb:
        first, _ = greet(lb)
        clients = enqueue(lb, 40)
        assert sum(active > 0 for active in lb.active()) > 1  # at several workers
        first.close()
        for number, client in enumerate(clients):
            assert is_served(client)
            assert waiting(lb) == len(clients) - number - 1
            client.close()
        until(lambda: lb.total("active") == 0, "all sessions ended")


def test_who_waits_too_long_is_closed_and_that_is_told(one: Backends) -> None:
    with narrow(one, queue={"timeout": "300ms"}) as lb:
        first, _ = greet(lb)
        started = time.monotonic()
        clients = [lb.connect() for _ in range(10)]
        for client in clients:
            client.settimeout(20)
            assert client.recv(1) == b""
            client.close()
        assert time.monotonic() - started >= 0.3
        assert ends(lb, "queue_timeout") == 10
        assert waiting(lb) == 0
        first.sendall(b"still served")
        assert first.recv(100) == b"still served"
        first.close()


@pytest.mark.parametrize("how", ["close", "reset", "kill"])
def test_a_client_that_leaves_leaves_the_queue(one: Backends, how: str) -> None:
    with narrow(one) as lb:
        first, _ = greet(lb)
        early, middle, late = enqueue(lb, 3)
        if how == "reset":
            linger = b"\1\0\0\0\0\0\0\0"
            middle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if how == "kill":
            ours = f"127.0.0.1:{middle.getsockname()[1]}"
            (row,) = (row for row in lb.ask("sessions") if row["client"] == ours)
            assert row["state"] == "queue"
            lb.admin("kill", row["id"])
        middle.close()
        until(lambda: waiting(lb) == 2, "it has left the queue")
        first.close()
        for client in (early, late):
            assert is_served(client)
            client.close()
        until(lambda: lb.total("active") == 0, "all sessions ended")
        assert one.counts()["a"]["accepted"] == 3


def test_a_client_that_has_said_all_it_has_to_say_still_waits_for_its_answer() -> None:
    with Backends(1, mode="quiet") as backends, narrow(backends) as lb:
        first = lb.connect()
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        (second,) = enqueue(lb, 1)
        second.sendall(b"question")
        second.shutdown(socket.SHUT_WR)
        first.close()
        assert second.recv(100) == b"question"
        assert second.recv(1) == b""
        second.close()


def test_more_than_the_queues_length_are_turned_away(one: Backends) -> None:
    with narrow(one, queue={"length": 5}) as lb:
        first, _ = greet(lb)
        clients = enqueue(lb, 5)
        assert all(turned_away(lb) for _ in range(8))
        assert ends(lb, "rejected:queue_full") == 8
        first.close()
        for client in clients:
            assert is_served(client)
            client.close()


def test_a_worker_that_dies_gives_back_its_queue_places_and_the_others_are_served(
    one: Backends,
) -> None:
    with narrow(one, workers=2) as lb, contextlib.ExitStack() as stack:
        first, _ = greet(lb)
        clients = [stack.enter_context(client) for client in enqueue(lb, 24)]
        holder = next(row["worker"] for row in lb.ask("sessions") if row["state"] == "relay")
        ours = Counter(row["worker"] for row in lb.ask("sessions") if row["state"] == "queue")
        lb.wait_for_new_worker(holder, lb.kill(holder))
        # The place of the dead worker's session goes to the first client of the other worker.
        until(lambda: waiting(lb) == max(0, ours[1 - holder] - 1), "counts are exact again")
        lost = served = 0
        for client in clients:
            client.settimeout(20)
            try:
                served += read_line(client) != ""
            except (ConnectionResetError, EOFError):
                lost += 1
            client.close()
        assert (lost, served) == (ours[holder], ours[1 - holder])
        first.close()
        until(lambda: lb.total("active") == 0, "all sessions ended")
        assert one.counts()["a"]["peak"] == 1


def test_a_backend_that_returns_serves_those_who_wait(three: Backends) -> None:
    with narrow(three) as lb:
        for name in "bc":
            lb.admin("maint", f"web/{name}")
        first, _ = greet(lb)
        (second,) = enqueue(lb, 1)
        lb.admin("ready", "web/b")
        assert read_line(second) == "b"
        first.close()
        second.close()


def test_who_waits_when_the_last_backend_goes_is_told_so_at_once(one: Backends) -> None:
    with narrow(one) as lb:
        first, _ = greet(lb)
        (second,) = enqueue(lb, 1)
        lb.admin("maint", "web/a")
        with pytest.raises(ConnectionResetError):
            second.recv(1)
        assert ends(lb, "no_backend") == 1
        first.close()


def by_turns(
    backends: Backends, clients: list[socket.socket], holders: list[socket.socket]
) -> None:
    """Frees one place after the other; each goes to the client that came first."""
    for client, holder in zip(clients, [*holders, *clients], strict=False):
        holder.close()
        assert is_served(client)
    assert backends.counts()["a"]["peak"] <= len(holders)
    for client in clients:
        client.close()


def test_limit_and_order_outlive_upgrades_while_clients_wait(one: Backends) -> None:
    with narrow(one, workers=2) as lb:
        holder, _ = greet(lb)
        clients = enqueue(lb, 8)
        for _ in range(2):
            lb.admin("upgrade")
            until(lambda: waiting(lb) == 8, "all wait in the new program")
        clients += enqueue(lb, 2)
        assert one.counts()["a"]["active"] == 1
        by_turns(one, clients, [holder])


def test_limit_and_order_outlive_a_change_of_workers_while_clients_wait(one: Backends) -> None:
    with narrow(one, workers=3) as lb:
        holder, _ = greet(lb)
        clients = enqueue(lb, 8)
        assert lb.config is not None
        lb.config["process"]["workers"] = 1
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        until(lambda: len(lb.pids()) == 1, "one worker is left")
        lb.admin("rebalance")
        assert waiting(lb) == 8
        by_turns(one, clients, [holder])


def test_places_are_counted_over_both_programs_while_new_clients_come(one: Backends) -> None:
    """There is no queue: clients that come during the upgrade are refused while the old sessions
    hold the places."""
    rows = [{**row, "max_connections": 3} for row in one.rows()]
    with Balancer.before(rows, workers=2) as lb, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(greet(lb)[0])
        upgrade = threading.Thread(target=lb.admin, args=("upgrade",))
        upgrade.start()
        refused = 0
        while upgrade.is_alive():
            refused += turned_away(lb)
        upgrade.join()
        assert refused > 0
        assert one.counts()["a"]["peak"] == 3


def test_tls_sessions_that_stay_in_the_old_program_keep_their_places(one: Backends) -> None:
    rows = [{**row, "max_connections": 1} for row in one.rows()]
    with Authority() as authority:
        tls = {"certificates": [authority.issue("localhost")]}
        with Balancer.secured(rows, tls, workers=1, queue=QUEUE) as lb:
            held = secure(lb.connect(), authority.client())
            assert held.recv(2)
            lb.admin("upgrade")
            assert lb.backends()["a"]["active"] == 1
            waits = secure(lb.connect(), authority.client())
            until(lambda: waiting(lb) == 1, "the place is taken")
            assert one.counts()["a"]["active"] == 1
            held.close()
            waits.settimeout(10)
            assert waits.recv(2), "a place that the old program gives back is free here"
            waits.close()
        assert one.counts()["a"]["peak"] == 1
