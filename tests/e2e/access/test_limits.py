"""Limits of a listener and of its sources: exact over all workers, places are given back, and dry
runs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, one_pool, read_line, toml, until


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1) as backends:
        yield backends


def balancer(echo: Backends, workers: int = 2, **limits: Any) -> Balancer:
    binds = [f"127.0.0.1:{PORTS.take()}", f"127.0.0.1:{PORTS.take()}"]
    config = one_pool(binds, echo.addresses, process={"workers": workers})
    config["listeners"]["web"]["limits"] = limits
    return Balancer(config)


def connect(lb: Balancer, source: str = "127.0.0.1", bind: int = 0) -> socket.socket | None:
    """Returns a client that is served; None if it was reset."""
    host, _, port = lb.binds()[bind].rpartition(":")
    try:  # why: a reset may come before connect() returns
        client = socket.create_connection((host, int(port)), 20, (source, 0))
    except ConnectionResetError:
        return None
    try:
        assert read_line(client) == "a"
    except ConnectionResetError:
        client.close()
        return None
    return client


def served(lb: Balancer, count: int, **how: Any) -> list[socket.socket]:
    """Returns those of this number of simultaneous clients that were served."""
    found: list[socket.socket | None] = []
    lock = threading.Lock()

    def one() -> None:
        client = connect(lb, **how)
        with lock:
            found.append(client)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return [client for client in found if client is not None]


def close(clients: list[socket.socket]) -> None:
    for client in clients:
        client.close()


def ended(lb: Balancer, reason: str) -> int:
    return int(lb.ask("stats")["ended"].get(reason, 0))


def test_a_listener_has_so_many_connections_over_all_addresses_and_workers(echo: Backends) -> None:
    with balancer(echo, connections=7) as lb:
        first, second = served(lb, 10), []
        assert len(first) == 7
        assert connect(lb, bind=1) is None
        close(first[:3])
        until(lambda: lb.status()["connections"] == 4, "places are given back")
        second = served(lb, 10, bind=1)
        assert len(second) == 3
        assert ended(lb, "rejected:connections") == 3 + 1 + 7
        close(first + second)


def test_what_is_counted_stays_so_whatever_the_listener_is_bound_to(echo: Backends) -> None:
    with balancer(echo, connections=4, connections_per_source=4) as lb:
        assert lb.config is not None
        config, spare = lb.config, f"127.0.0.1:{PORTS.take()}"
        listener = config["listeners"]["web"]
        one, other = listener["bind"]

        def bind(*addresses: str) -> None:
            listener["bind"] = list(addresses)
            (lb.folder / "l4lb.toml").write_text(toml(config))
            lb.admin("reload")

        clients = served(lb, 2) + served(lb, 2, bind=1)
        assert len(clients) == 4
        bind(other, one)
        assert connect(lb) is None
        assert connect(lb, bind=1) is None
        bind(spare)
        assert connect(lb) is None
        close(clients[1:3])
        until(lambda: lb.status()["connections"] == 2, "places are given back")
        clients = clients[::3] + served(lb, 5)
        assert len(clients) == 4
        lb.wait_for_new_worker(0, lb.kill(0))
        until(lambda: lb.status()["connections"] == sum(lb.active()), "the dead worker's are back")
        clients += served(lb, 5)
        until(lambda: lb.status()["connections"] == 4, "there is room for as many again")
        bind(one)
        assert connect(lb) is None
        close(clients)
        until(lambda: lb.status()["connections"] == 0, "all are gone")
        bind(other, spare)
        clients = served(lb, 6)
        assert len(clients) == 4
        close(clients)


def test_a_source_has_so_many_connections_and_a_dead_worker_gives_its_own_back(
    echo: Backends,
) -> None:
    with balancer(echo, connections_per_source=6, source_prefix=[31, 64]) as lb:
        mine = served(lb, 12, source="127.0.0.2")
        assert len(mine) == 6
        assert connect(lb, "127.0.0.3") is None
        others = served(lb, 6, source="127.0.0.4")
        assert len(others) == 6
        old = lb.kill(0)
        lb.wait_for_new_worker(0, old)
        until(lambda: lb.status()["connections"] == lb.active()[1], "what was lost is settled")
        left = sum(row["client"].startswith("127.0.0.2:") for row in lb.ask("sessions"))
        again = served(lb, 12, source="127.0.0.2")
        assert len(again) == 6 - left
        close(mine + others + again)
        until(lambda: lb.status()["connections"] == 0, "all are gone")


def test_clients_in_the_tarpit_take_no_place_of_those_who_are_served(echo: Backends) -> None:
    lb = balancer(echo, connections=5, connections_per_source={"limit": 3, "refusal": "tarpit"})
    assert lb.config is not None
    lb.config["listeners"]["web"]["access"] = {"deny": ["127.0.0.2"], "refusal": "tarpit"}
    with lb, contextlib.ExitStack() as stack:
        mine = served(lb, 3, source="127.0.0.3")
        for source in ("127.0.0.2", "127.0.0.3"):
            for _ in range(6):
                stack.enter_context(socket.create_connection(lb.address, 20, (source, 0)))
        until(
            lambda: [row["state"] for row in lb.ask("sessions")].count("tarpit") == 12,
            "they are held",
        )
        mine += served(lb, 2, source="127.0.0.4")
        assert len(mine) == 5
        assert connect(lb, "127.0.0.4") is None
        assert ended(lb, "rejected:connections") == 1
        close(mine)


def test_new_connections_come_at_their_rate_after_their_burst(echo: Backends) -> None:
    with balancer(echo, rate_per_source={"limit": 1, "burst": 4}) as lb:
        started = time.monotonic()
        clients = [connect(lb, "127.0.0.2") for _ in range(12)]
        others = [connect(lb, "127.0.0.3") for _ in range(3)]
        took = time.monotonic() - started
        came = sum(client is not None for client in clients)
        assert 4 <= came <= 5 + took
        assert all(others)
        assert ended(lb, "rejected:source_rate") == 12 - came
        until(lambda: connect(lb, "127.0.0.2"), "the bucket fills again")
        close([client for client in clients + others if client])


def test_the_listeners_rate_is_shared_by_all_sources(echo: Backends) -> None:
    with balancer(echo, rate={"limit": 1, "burst": 5}) as lb:
        started = time.monotonic()
        clients = [connect(lb, f"127.0.0.{n + 2}") for n in range(12)]
        took = time.monotonic() - started
        came = sum(client is not None for client in clients)
        assert 5 <= came <= 6 + took
        assert ended(lb, "rejected:rate") == 12 - came
        close([client for client in clients if client])


def test_who_is_turned_away_for_himself_uses_up_nothing_of_what_all_share(echo: Backends) -> None:
    lb = balancer(echo, rate={"limit": 1, "burst": 4}, rate_per_source={"limit": 1, "burst": 1})
    assert lb.config is not None
    lb.config["listeners"]["web"]["access"] = {"deny": ["127.0.0.2"]}
    with lb:
        assert not any(connect(lb, "127.0.0.2") for _ in range(20))
        greedy = served(lb, 20, source="127.0.0.3")
        others = [connect(lb, f"127.0.0.{n}") for n in (4, 5, 6)]
        assert all(others)
        assert len(greedy) < 4
        assert ended(lb, "rejected:denied") == 20
        assert ended(lb, "rejected:rate") == 0
        close([*greedy, *(one for one in others if one)])


def test_limits_that_a_reload_brings_count_the_sessions_that_are_there(echo: Backends) -> None:
    with balancer(echo, max_age="1h") as lb:
        assert lb.config is not None
        config, clients = lb.config, served(lb, 5, source="127.0.0.2")

        def limit(**limits: Any) -> None:
            config["listeners"]["web"]["limits"] = limits
            (lb.folder / "l4lb.toml").write_text(toml(config))
            lb.admin("reload")

        def come(source: str, count: int) -> int:
            found = served(lb, count, source=source)
            clients.extend(found)
            return len(found)

        limit(connections=7)
        assert come("127.0.0.3", 4) == 2
        limit(connections_per_source=6)
        assert come("127.0.0.2", 3) == 1
        limit(connections_per_source=9, source_prefix=[31, 64])
        assert come("127.0.0.2", 3) == 1
        limit(rate=1_000_000)
        assert come("127.0.0.2", 2) == 2
        limit(connections=11, connections_per_source=10)
        assert come("127.0.0.2", 2) == 0
        close(clients)
        until(lambda: lb.status()["connections"] == 0, "all are gone")
        assert come("127.0.0.2", 12) == 10
        close(clients)


def test_limits_in_dry_run_only_count(echo: Backends) -> None:
    with balancer(
        echo,
        connections={"limit": 1, "dry_run": True},
        connections_per_source={"limit": 2, "dry_run": True},
        rate_per_source={"limit": 1, "burst": 3, "dry_run": True},
    ) as lb:
        clients = served(lb, 6)
        assert len(clients) == 6
        (dry, _) = (row["dry_run"] for row in lb.ask("listeners"))
        assert dry["rejected:connections"] == 5
        assert dry["rejected:source_connections"] == 4
        assert dry["rejected:source_rate"] >= 1
        assert all(row["refused"] == 0 for row in lb.ask("listeners"))
        close(clients)


def fetch(client: socket.socket, size: int) -> None:
    """Sends this number of bytes and reads them back, byte-exact."""
    data = bytes(range(256)) * (size // 256)

    def send() -> None:
        with contextlib.suppress(OSError):
            client.sendall(data)

    sender = threading.Thread(target=send)
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        piece = client.recv(1 << 16)
        assert piece
        got += piece
    sender.join()
    assert bytes(got) == data


def test_a_session_is_no_faster_than_its_bandwidth_and_loses_nothing(echo: Backends) -> None:
    with balancer(echo, bandwidth_per_session="512KiB") as lb:
        client = connect(lb)
        assert client is not None
        started = time.monotonic()
        fetch(client, 512 << 10)  # 1 MiB in both directions together
        assert time.monotonic() - started > 1.5
        assert sum(row["slowed"] for row in lb.ask("listeners")) == 1
        client.close()


def test_a_sources_sessions_share_its_bandwidth(echo: Backends) -> None:
    with balancer(echo, bandwidth_per_source="1MiB") as lb:
        clients = served(lb, 4, source="127.0.0.2")
        started = time.monotonic()
        threads = [threading.Thread(target=fetch, args=(one, 256 << 10)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started > 1.5  # 2 MiB have moved
        close(clients)


def test_sessions_end_at_their_age_and_clients_must_speak_in_time(echo: Backends) -> None:
    with balancer(echo, max_age="1s", max_age_jitter="0%") as lb:
        client = connect(lb)
        assert client is not None
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            while time.monotonic() - started < 20:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        assert ended(lb, "max_age") == 1
    with balancer(echo, first_byte_timeout="700ms") as lb:
        speaker, silent = connect(lb), connect(lb)
        assert speaker is not None
        assert silent is not None
        speaker.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            silent.recv(1)
        assert speaker.recv(1) == b"x"
        assert ended(lb, "rejected:first_byte_timeout") == 1
        speaker.sendall(b"y")
        assert speaker.recv(1) == b"y"
        close([speaker, silent])


def test_only_the_limited_pay_and_the_told_address_is_limited(echo: Backends) -> None:
    config = one_pool(f"127.0.0.1:{PORTS.take()}", echo.addresses, process={"workers": 1})
    config["listeners"]["web"] |= {
        "proxy_protocol": "require",
        "trusted": ["127.0.0.1"],
        "limits": {"connections_per_source": 1},
    }
    with Balancer(config) as lb:

        def via(told: str) -> socket.socket | None:
            client = lb.connect()
            client.sendall(f"PROXY TCP4 {told} 10.0.0.1 1 2\r\n".encode())
            try:
                assert read_line(client) == "a"
            except ConnectionResetError:
                client.close()
                return None
            return client

        first, second, third = via("10.1.1.1"), via("10.1.1.1"), via("10.1.1.2")
        assert first is not None
        assert second is None
        assert third is not None
        close([first, third])
