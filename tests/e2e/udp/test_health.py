"""Health of UDP backends: checks, ICMP errors, and sessions that move to another backend."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from ..harness import until
from ..harness.datagrams import UdpBackends, ask, clients, udp_balancer

CHECKS = {"type": "udp", "send": "ping", "interval": "50ms", "timeout": "5s", "rise": 1, "fall": 2}


@pytest.fixture
def two() -> Iterator[UdpBackends]:
    with UdpBackends(2, "name") as backends:
        yield backends


def named(client: socket.socket) -> str:
    """Returns the name of the backend that answers; "" for none (datagrams may be lost)."""
    client.settimeout(0.3)
    try:
        return ask(client)[:1].decode()
    except (TimeoutError, ConnectionRefusedError):
        return ""


@pytest.mark.parametrize("on_down", ["keep", "close"])
def test_a_udp_check_sees_a_port_nobody_has_and_its_sessions_move(
    two: UdpBackends, on_down: str
) -> None:
    with udp_balancer(two.rows(), health=CHECKS, on_down=on_down) as lb, clients(lb, 8) as some:
        until(lambda: {row["health"] for row in lb.ask("backends")} == {"up"}, "both are up")
        assert Counter(ask(one)[:1] for one in some) == {b"a": 4, b"b": 4}
        two.stop("b")
        until(lambda: lb.backends()["b"]["health"] == "down", "b is down")
        assert lb.backends()["b"]["last_check"]["result"] == "refused"
        until(lambda: [named(one) for one in some] == ["a"] * 8, "all are served by a")


def test_icmp_errors_eject_a_udp_backend(two: UdpBackends) -> None:
    passive = {"failures": 3, "eject": "1h", "max_eject": "1h"}
    with udp_balancer(two.rows(), passive=passive) as lb:
        two.stop("b")

        def is_ejected() -> bool:
            with clients(lb, 4) as some:
                for one in some:
                    named(one)
            return bool(lb.backends()["b"]["health"] == "ejected")

        until(is_ejected, "b is ejected", timeout_s=60)
        assert lb.backends()["b"]["passive"]["error"] == "Connection refused"
        with clients(lb, 6) as some:
            assert [named(one) for one in some] == ["a"] * 6
