"""How a session ends: half-closes, resets, timeouts. Each end is passed on unchanged."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from typing import Any

import pytest

from ..harness import (
    Balancer,
    Door,
    Manner,
    Stream,
    ended,
    finish,
    receive,
    reset,
    send,
    stopped,
    turned_away,
    until,
    wait_until_delivered,
)

KIB, MIB = 1 << 10, 1 << 20


def swap(pair: tuple[socket.socket, socket.socket], side: str) -> list[socket.socket]:
    """Returns the pair with the side that acts first: "client" or "backend"."""
    return list(pair) if side == "client" else list(reversed(pair))


@pytest.mark.parametrize("size", [0, 1, 1000, 100 * KIB, 3 * MIB])
@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_reset_arrives_as_a_reset_after_exactly_the_bytes_before_it(side: str, size: int) -> None:
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        for seed in range(4):
            acting, hearing = swap(door.behind(lb.connect()), side)
            stream = Stream(seed, size)
            sender = threading.Thread(target=_send_and_reset, args=(acting, stream))
            sender.start()
            # why: half of the rounds read slowly, so that the reset waits for delivery.
            manner = Manner(64 * KIB, 0.3, 3) if seed % 2 else Manner()
            with hearing, pytest.raises(ConnectionResetError) as caught:
                receive(hearing, stream, manner, seed)
            sender.join(timeout=20)
            assert caught.value.args == (size,)
        until(lambda: lb.total("active") == 0, "no session is left")


def _send_and_reset(peer: socket.socket, stream: Stream) -> None:
    send(peer, stream)
    wait_until_delivered(peer)
    reset(peer)


@pytest.mark.parametrize("size", [1000, 300 * KIB])
@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_session_whose_two_ends_reset_is_gone_while_delivery_still_waits(
    side: str, size: int
) -> None:
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        first, second = swap(door.behind(lb.connect()), side)
        send(first, Stream(1, size))
        wait_until_delivered(first)
        reset(first)
        reset(second)
        until(lambda: lb.total("active") == 0, "no session is left", timeout_s=5)


@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_session_whose_two_ends_reset_before_the_worker_looks_is_gone(side: str) -> None:
    sizes = [0, 1, 5000, 100_000]
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        for up, down in itertools.product(sizes, sizes):
            client, backend = pair = door.behind(lb.connect())
            with stopped(lb.pids()[0]):
                send(client, Stream(1, up))
                send(backend, Stream(2, down))
                for end in swap(pair, side):
                    reset(end)
            what = f"the session ends after {up} bytes up and {down} down"
            until(lambda: lb.total("active") == 0, what, timeout_s=5)


@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_half_closed_session_still_carries_the_other_direction(side: str) -> None:
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        first, last = swap(door.behind(lb.connect()), side)
        with first, last:
            first.sendall(b"request")
            finish(first)
            assert last.recv(100) == b"request"
            assert last.recv(100) == b""
            for n in range(20):
                last.sendall(b"%03d" % n)
                assert first.recv(100) == b"%03d" % n
            assert lb.total("active") == 1
            finish(last)
            assert first.recv(100) == b""
        until(lambda: lb.total("active") == 0, "no session is left")


def test_a_reset_into_a_half_closed_session_is_passed_on() -> None:
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        client, backend = door.behind(lb.connect())
        with backend:
            finish(backend)
            assert client.recv(10) == b""
            reset(client)
            assert ended(backend) == "reset"
        until(lambda: lb.total("active") == 0, "no session is left")


def test_a_backend_that_closes_without_reading_ends_the_client_too() -> None:
    """Closing a socket with unread bytes sends a reset; the client must not hang."""
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        client, backend = door.behind(lb.connect())
        with client:
            client.sendall(b"never read")
            until(lambda: lb.total("bytes_in") == 10, "the bytes are passed on")
            backend.close()
            assert ended(client) in ("reset", "fin")
        until(lambda: lb.total("active") == 0, "no session is left")


def test_an_idle_session_ends_after_idle_timeout_and_not_before() -> None:
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="800ms") as lb:
        client, backend = door.behind(lb.connect())
        with client, backend:
            client.sendall(b"x")
            assert backend.recv(1) == b"x"
            begin = time.monotonic()
            ended(client)
            # why: 50 ms of tolerance for the clocks of two processes and for the timer wheel's
            # tick.
            assert time.monotonic() - begin > 0.75
            ended(backend)
        until(lambda: lb.total("active") == 0, "no session is left")


@pytest.mark.parametrize("side", ["client", "backend"])
def test_bytes_in_one_direction_keep_a_session_from_being_idle(side: str) -> None:
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="900ms") as lb:
        talker, listener = swap(door.behind(lb.connect()), side)
        with talker, listener:
            begin = time.monotonic()
            while time.monotonic() - begin < 3:
                talker.sendall(b"x")
                assert listener.recv(1) == b"x"
                time.sleep(0.05)
            listener.sendall(b"still here")
            assert talker.recv(100) == b"still here"


def test_a_half_closed_session_ends_after_half_closed_timeout() -> None:
    timeouts: dict[str, Any] = {"idle_timeout": "1h", "half_closed_timeout": "800ms"}
    with Door() as door, Balancer.before([door.address], workers=1, **timeouts) as lb:
        open_client, open_backend = door.behind(lb.connect())
        client, backend = door.behind(lb.connect())
        with client, backend, open_client, open_backend:
            begin = time.monotonic()
            finish(client)
            assert backend.recv(1) == b""
            ended(client)
            assert time.monotonic() - begin > 0.75
            until(lambda: lb.total("active") == 1, "the half-closed session is gone")
            open_client.sendall(b"x")
            assert open_backend.recv(1) == b"x"


def drop_syns(door: Door) -> list[socket.socket]:
    """Fills a door's queue, so that its kernel drops every further SYN. Returns the connections
    that fill it."""
    fillers = []
    for _ in range(16):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", door.port))
        fillers.append(filler)
    return fillers


def test_a_backend_that_drops_syns_costs_one_connect_timeout_and_no_client() -> None:
    with Door() as good, Door(backlog=0) as black_hole:
        fillers = drop_syns(black_hole)
        rows = [black_hole.address, good.address]
        with Balancer.before(rows, workers=1, connect_timeout="300ms", retries=2) as lb:
            for _ in range(6):
                client, backend = good.behind(lb.connect())
                with client, backend:
                    client.sendall(b"x")
                    assert backend.recv(1) == b"x"
            row = lb.backends()[black_hole.address]
            assert row["connect_errors"] >= 1
            assert row["active"] == 0
        for filler in fillers:
            filler.close()


def test_what_a_client_says_before_its_backend_is_reached_arrives_with_its_end() -> None:
    with Door() as good, Door(backlog=0) as black_hole:
        fillers = drop_syns(black_hole)
        rows = [black_hole.address, good.address]
        with Balancer.before(rows, workers=1, connect_timeout="300ms", retries=1) as lb:
            for seed, size in enumerate([0, 1, 50_000, 50_000]):
                stream = Stream(seed, size)
                with lb.connect() as client:
                    send(client, stream)
                    finish(client)
                    with good.accept() as backend:
                        assert receive(backend, stream) == size
                        backend.sendall(b"heard")
                        finish(backend)
                    assert client.recv(5, socket.MSG_WAITALL) == b"heard"
                    assert client.recv(1) == b""
        for filler in fillers:
            filler.close()


def test_a_client_of_only_dead_ends_is_told_within_the_connect_timeouts() -> None:
    with Door(backlog=0) as black_hole:
        fillers = drop_syns(black_hole)
        rows = [black_hole.address]
        with Balancer.before(rows, workers=1, connect_timeout="300ms", retries=2) as lb:
            assert turned_away(lb)
            until(lambda: lb.total("active") == 0, "no session is left")
        for filler in fillers:
            filler.close()


def test_a_client_that_leaves_while_its_backend_is_being_reached_leaves_nothing_behind() -> None:
    with Door(backlog=0) as black_hole:
        fillers = drop_syns(black_hole)
        with Balancer.before([black_hole.address], workers=1, connect_timeout="60s") as lb:
            clients = [lb.connect() for _ in range(10)]
            until(lambda: sum(lb.active()) == 10, "all clients are taken")
            for client in clients:
                reset(client)
            until(lambda: sum(lb.active()) == 0, "all sessions ended")
            until(lambda: lb.total("active") == 0, "the backend is given back")
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("side", ["client", "backend"])
def test_urgent_data_stalls_nothing_and_loses_no_other_byte(side: str) -> None:
    rng = random.Random(7)
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        talker, listener = swap(door.behind(lb.connect()), side)
        with talker, listener:
            want = b""
            for _ in range(50):
                part = rng.randbytes(rng.randint(1, 3000)).replace(b"!", b"?")
                talker.sendall(part)
                talker.send(b"!", socket.MSG_OOB)
                want += part
            finish(talker)
            got = b""
            while data := listener.recv(65536):
                got += data
            assert got.replace(b"!", b"") == want
            listener.sendall(b"and back")
            assert talker.recv(100) == b"and back"
