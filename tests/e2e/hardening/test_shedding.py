"""Load shedding: without room, the longest idle sessions of the largest source are ended to make
room for others."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PATIENCE_S, PORTS, Backends, Balancer, one_pool, read_line, toml, until
from ..harness.faults import Poor

BIG, SMALL, NEW = "127.0.0.2", "127.0.0.3", "127.0.0.4"
IDLE_S = 2.0
Limits = dict[str, Any]


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1) as backends:
        yield backends


def balancer(
    echo: Backends,
    *,
    files: int | None = None,
    workers: int = 2,
    kind: type[Balancer] = Balancer,
    **limits: Any,
) -> Balancer:
    limits = {"shed": "limit", "shed_idle": f"{IDLE_S:g}s", **limits}
    config = one_pool(
        f"127.0.0.1:{PORTS.take()}", echo.rows(), process={"workers": workers}, limits=limits
    )
    lb = kind(config, files=files)
    config["process"]["log"] = {"access": str(lb.folder / "access"), "access_format": "text"}
    return lb


def dial(lb: Balancer, source: str) -> socket.socket:
    """Returns a connection that the kernel has accepted; it may still wait to be served."""
    return socket.create_connection(lb.address, PATIENCE_S, (source, 0))


def serve(lb: Balancer, source: str) -> socket.socket:
    """Returns a client that is served."""
    client = dial(lb, source)
    assert read_line(client) == "a"
    return client


def answers(client: socket.socket) -> bool:
    client.sendall(b"x")
    return client.recv(1) == b"x"


def goes_on(client: socket.socket) -> bool:
    """Returns whether it answers. Else it must have been reset."""
    try:
        return answers(client)
    except ConnectionError:
        return False


def is_served(client: socket.socket) -> bool:
    """Returns whether it has been served by now, also if it was ended since."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.settimeout(PATIENCE_S)


def how_it_is(client: socket.socket) -> str:
    """Returns whether it is live, reset or ended (the kernel reports a reset once)."""
    client.setblocking(False)
    try:
        while client.recv(64):
            pass
    except BlockingIOError:
        return "live"
    except ConnectionResetError:
        return "reset"
    finally:
        client.settimeout(PATIENCE_S)
    return "ended"


def shed(lb: Balancer) -> int:
    return int(lb.ask("stats")["ended"].get("shed", 0))


@contextlib.contextmanager
def kept_busy(client: socket.socket) -> Iterator[list[Exception]]:
    """Moves bytes on the client's session all the time; yields its errors."""
    errors: list[Exception] = []
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.1):
                assert answers(client)
        except (OSError, AssertionError) as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join()


def fill(lb: Balancer, source: str) -> list[socket.socket]:
    """Opens clients from this source until one finds no room; that one is the last of the
    result."""
    clients = []
    while True:
        clients.append(dial(lb, source))
        until(lambda: is_served(clients[-1]) or lb.ask("workers")[0]["paused"], "served or not")
        if not is_served(clients[-1]):
            return clients


def make_way(lb: Balancer, fillers: int) -> None:
    """The large source has all places. Others come and are served, and only sessions of that source
    end."""
    busy, small = serve(lb, BIG), [serve(lb, SMALL) for _ in range(2)]
    with kept_busy(busy) as errors:
        big = [dial(lb, BIG) for _ in range(fillers)] if fillers else fill(lb, BIG)
        fillers = len(big)
        until(lambda: sum(map(is_served, big)) >= fillers - 1, "the big source has all there is")
        assert shed(lb) == 0
        new = [dial(lb, NEW) for _ in range(4)]
        for client in new:
            assert read_line(client) == "a"
            assert answers(client)
        big = [client for client in big if how_it_is(client) != "reset"]
        assert {how_it_is(client) for client in (*big, *small)} == {"live"}
        for client in small:
            assert answers(client)
        assert not errors
    gone = fillers - len(big)
    assert shed(lb) == gone
    assert 1 <= gone <= fillers / 2 + 1
    until(lambda: lb.status()["connections"] == sum(lb.active()), "counts agree")
    assert lb.backends()["a"]["active"] == sum(lb.active())
    (event, *_) = [one for one in lb.ask("events") if one["kind"] == "shed"]
    assert event["source"] == BIG
    assert event["sessions"] >= 1
    log = lb.folder / "access"
    until(lambda: log.exists() and log.read_text().count("end=shed") == gone, "each has its line")
    for client in (busy, *small, *big, *new):
        client.close()
    until(lambda: lb.status()["connections"] == 0, "no place is lost")
    assert lb.backends()["a"]["active"] == 0


def test_at_max_connections_the_biggest_sources_idle_sessions_make_room(echo: Backends) -> None:
    with balancer(echo, max_connections=40) as lb:
        make_way(lb, fillers=37)


def test_at_the_file_limit_too(echo: Backends) -> None:
    with balancer(echo, files=128, workers=1, shed="pressure") as lb:
        make_way(lb, fillers=None)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("accept4", errno.ENFILE),
        ("accept4", errno.ENOMEM),
        ("accept4", errno.ENOBUFS),
        ("socket", errno.ENOBUFS),
    ],
    ids=lambda it: errno.errorcode.get(it, it),
)
def test_where_the_host_has_no_socket_to_give(echo: Backends, call: str, error: int) -> None:
    """Ended sessions free sockets in the kernel; waiting clients are served as soon as there are
    some."""
    with balancer(echo, kind=Poor, shed="pressure", shed_idle="300ms") as lb:
        assert isinstance(lb, Poor)
        big, small = [serve(lb, BIG) for _ in range(12)], serve(lb, SMALL)
        with lb.fails(call, error):
            new = [dial(lb, NEW) for _ in range(2)]
            until(lambda: shed(lb) > 0, "the biggest source makes room")
            assert not any(is_served(client) for client in new)
        for client in new:
            assert read_line(client) == "a"
            assert answers(client)
        assert answers(small)
        # why asked and not looked at: a worker may still end one for which another worker asked
        # it; one that has just answered is not idle.
        big = [client for client in big if goes_on(client)]
        assert len(big) == 12 - shed(lb)
        for client in (*big, small, *new):
            assert answers(client)
            client.close()
        until(lambda: lb.status()["connections"] == 0, "no place is lost")
        assert lb.total("connect_errors") == 0
        assert lb.ask("stats")["ended"].get("error", 0) == 0


@pytest.mark.parametrize("shed_when", ["off", "pressure"])
def test_without_it_clients_wait(echo: Backends, shed_when: str) -> None:
    """A configured limit alone ends no sessions."""
    with balancer(echo, workers=1, max_connections=4, shed=shed_when, shed_idle="100ms") as lb:
        big = [serve(lb, BIG) for _ in range(4)]
        new = dial(lb, NEW)
        # why: a window of observation, many times shed_idle.
        time.sleep(1)
        assert not is_served(new)
        assert shed(lb) == 0
        big.pop().close()
        assert read_line(new) == "a"
        new.close()
        for client in big:
            assert answers(client)
            client.close()


def test_it_begins_and_ends_with_a_reload(echo: Backends) -> None:
    with balancer(echo, workers=1, max_connections=4, shed="off", shed_idle="100ms") as lb:
        assert lb.config is not None

        def reload(when: str) -> None:
            assert lb.config is not None
            lb.config["limits"]["shed"] = when
            (lb.folder / "l4lb.toml").write_text(toml(lb.config))
            lb.admin("reload")

        big = [serve(lb, BIG) for _ in range(4)]
        new = dial(lb, NEW)
        until(lambda: lb.ask("workers")[0]["paused"], "there is no room")
        reload("limit")
        assert read_line(new) == "a"
        assert shed(lb) == 1
        reload("off")
        last = dial(lb, SMALL)
        until(lambda: lb.ask("workers")[0]["paused"], "there is no room")
        # why: a window of observation, many times shed_idle.
        time.sleep(1)
        assert not is_served(last)
        assert shed(lb) == 1
        for client in (*big, new, last):
            client.close()


def test_where_all_sources_hold_alike_nobody_is_ended(echo: Backends) -> None:
    with balancer(echo, workers=1, max_connections=4, shed_idle="100ms") as lb:
        others = [serve(lb, f"127.0.1.{n}") for n in range(1, 5)]
        new = dial(lb, NEW)
        # why: a window of observation, many times shed_idle.
        time.sleep(1)
        assert not is_served(new)
        for client in others:
            assert answers(client)
        others.pop().close()
        assert read_line(new) == "a"
        for client in (new, *others):
            client.close()


def test_who_waits_in_the_tarpit_makes_room_first_and_keeps_his_reason(echo: Backends) -> None:
    lb = balancer(echo, workers=1, max_connections=6, shed_idle="300ms")
    assert lb.config is not None
    lb.config["listeners"]["web"]["limits"] = {
        "connections_per_source": {"limit": 2, "refusal": "tarpit"}
    }
    with lb:
        busy = [serve(lb, BIG) for _ in range(2)]
        with kept_busy(busy[0]) as first, kept_busy(busy[1]) as second:
            held = [dial(lb, BIG) for _ in range(4)]
            new = [serve(lb, NEW) for _ in range(2)]
            assert not first
            assert not second
        assert shed(lb) == 0
        assert lb.ask("stats")["ended"]["rejected:source_connections"] >= 1
        for client in (*busy, *held, *new):
            client.close()


def test_one_worker_asks_another_whose_sessions_they_are(echo: Backends) -> None:
    """The limit is common to all workers: a client that waits at one worker gets a place that
    another one frees."""
    with balancer(echo, max_connections=20) as lb:
        clients = [serve(lb, BIG) for _ in range(20)]
        active = lb.active()
        # The sessions of the worker with fewer ones stay busy, so only the other worker's are idle.
        worker = active.index(min(active))
        busy = {row["client"] for row in lb.ask("sessions") if row["worker"] == worker}
        names = {client: ":".join(map(str, client.getsockname())) for client in clients}
        with contextlib.ExitStack() as stack:
            errors = [
                stack.enter_context(kept_busy(client))
                for client in clients
                if names[client] in busy
            ]
            new = [dial(lb, NEW) for _ in range(6)]
            for client in new:
                assert read_line(client) == "a"
            assert not any(errors)
        for client in (*clients, *new):
            client.close()


def test_what_a_killed_worker_held_is_not_missing_afterwards(echo: Backends) -> None:
    with balancer(echo, max_connections=40, shed_idle="300ms") as lb:
        big = [dial(lb, BIG) for _ in range(40)]
        until(lambda: sum(map(is_served, big)) == 40, "the big source has all there is")
        new = [dial(lb, NEW) for _ in range(6)]
        lb.wait_for_new_worker(0, lb.kill(0))
        for client in new:
            with contextlib.suppress(ConnectionResetError):  # its session was in that worker
                assert read_line(client) == "a"
        again = [serve(lb, NEW) for _ in range(6)]
        until(lambda: lb.status()["connections"] == sum(lb.active()), "counts agree")
        assert lb.backends()["a"]["active"] == sum(lb.active())
        for client in (*big, *new, *again):
            client.close()
        until(lambda: lb.status()["connections"] == 0, "no place is lost")
