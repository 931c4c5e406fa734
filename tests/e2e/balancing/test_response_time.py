"""least_response_time over real connections: a slow backend is avoided and used again later, and a
silent one does not count as fast."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

from ..harness import Backends, Balancer, names, read_line, until

FAIR = 1 / 4


def shares(lb: Balancer, seconds: float) -> dict[str, float]:
    """Returns each backend's share of four clients' connections in this time."""
    end = time.monotonic() + seconds
    found: list[Counter[str]] = []

    def work() -> None:
        while time.monotonic() < end:
            found.append(names(lb, 5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = sum(found, Counter[str]())
    return {name: counts[name] / counts.total() for name in "abcd"}


def test_a_backend_that_slows_down_is_left_at_once_and_returns_soon_after_it_recovers() -> None:
    with (
        Backends(4, hold_ms=50) as backends,
        Balancer.before(backends.rows(), balance="least_response_time") as lb,
    ):
        shares(lb, 0.5)
        backends.turn("c", "late")
        slowed = time.monotonic()
        until(lambda: shares(lb, 0.5)["c"] < FAIR / 4, "c is left")
        assert time.monotonic() - slowed < 20
        # The shares stay: there is no flapping.
        assert all(shares(lb, 1)["c"] < FAIR / 4 for _ in range(2))
        backends.turn("c", "echo")
        until(lambda: shares(lb, 1)["c"] > FAIR / 2, "c has its share again")


def test_a_silent_backend_does_not_look_fast() -> None:
    with (
        Backends(3) as backends,
        Balancer.before(backends.rows(), balance="least_response_time") as lb,
    ):
        backends.turn("b", "silent")
        silent = 0
        for _ in range(200):
            with lb.connect(timeout_s=0.3) as client:
                try:
                    read_line(client)
                except TimeoutError:
                    silent += 1
        assert silent <= 3


def test_a_backend_that_refuses_does_not_look_fast() -> None:
    with (
        Backends(3) as backends,
        Balancer.before(backends.rows(), balance="least_response_time") as lb,
    ):
        backends.stop("b")
        assert names(lb, 100).keys() == {"a", "c"}
        assert lb.backends()["b"]["connect_errors"] <= 5
        backends.start("b")
        until(lambda: names(lb, 10)["b"], "b serves again")


def test_the_response_time_has_the_time_to_the_first_byte() -> None:
    with Backends(1, mode="late", hold_ms=200) as backends, Balancer.before(backends.rows()) as lb:
        client = lb.connect()
        read_line(client)
        # The client may have the byte before the worker has counted it.
        until(lambda: lb.backends()["a"]["response_time_ms"] > 20, "it counts the first byte")
        client.close()
        with socket.create_connection(lb.address, timeout=20) as again:
            assert read_line(again) == "a"
