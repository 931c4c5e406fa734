"""Passive health (outlier detection) in the whole program: clients' failed connects eject a
backend."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PATIENCE_S, Backends, Balancer, until

PASSIVE = {"failures": 5, "eject": "1h", "max_eject": "2h"}


@pytest.fixture
def three() -> Iterator[Backends]:
    with Backends(3) as backends:
        yield backends


def greeting(lb: Balancer, source: str = "127.0.0.1") -> bytes:
    """Returns the backend's first bytes; b"" if the session ends without any."""
    try:
        with socket.create_connection(lb.address, PATIENCE_S, (source, 0)) as client:
            return client.recv(16)
    except ConnectionResetError:
        return b""


def health(lb: Balancer, name: str) -> Any:
    return lb.backends()[name]["health"]


def test_a_refusing_backend_is_ejected_after_as_many_failures_and_no_client_sees_one(
    three: Backends,
) -> None:
    with Balancer.before(three.rows(), passive=PASSIVE) as lb:
        three.stop("b")
        assert all(greeting(lb) for _ in range(40))
        row = lb.backends()["b"]
        assert (row["health"], row["connect_errors"], row["total"]) == ("ejected", 5, 0)
        three.start("b")
        assert {greeting(lb) for _ in range(20)} == {b"a\n", b"c\n"}


def test_an_ejection_ends_by_itself_and_the_next_lasts_longer(three: Backends) -> None:
    rule = {"failures": 2, "eject": "300ms", "max_eject": "1h"}
    with Balancer.before(three.rows(), passive=rule) as lb:
        three.stop("b")
        until(lambda: greeting(lb) and health(lb, "b") == "ejected", "b is ejected")
        three.start("b")
        until(lambda: greeting(lb) == b"b\n", "b serves again")
        assert health(lb, "b") == "unknown"


def test_a_check_that_passes_ends_an_ejection(three: Backends) -> None:
    checks = {"type": "tcp", "interval": "50ms", "timeout": "5s", "fall": 1000}
    with Balancer.before(three.rows(), passive=PASSIVE, health=checks) as lb:
        until(lambda: health(lb, "b") == "up", "b is up")
        three.stop("b")
        until(lambda: greeting(lb) and health(lb, "b") == "ejected", "b is ejected")
        three.start("b")
        until(lambda: health(lb, "b") == "up", "b is back long before its hour is over")
        until(lambda: greeting(lb) == b"b\n", "b serves again")


def refused(lb: Balancer, source: str = "127.0.0.1") -> bool:
    """Sends something that the backends answer with a reset."""
    try:
        with socket.create_connection(lb.address, PATIENCE_S, (source, 0)) as client:
            client.sendall(b"not what you speak")
            return client.recv(16) == b""
    except ConnectionResetError:
        return True


def test_a_backend_that_resets_before_a_byte_is_ejected() -> None:
    with Backends(1) as good, Backends(1, mode="reset") as bad:
        rows = [{**good.rows()[0], "name": "good"}, {**bad.rows()[0], "name": "bad"}]
        with Balancer.before(rows, passive=PASSIVE) as lb:
            assert [greeting(lb) for _ in range(30)].count(b"") <= 5
            assert health(lb, "bad") == "ejected"


@pytest.fixture
def picky() -> Iterator[list[dict[str, Any]]]:
    with Backends(2, mode="picky") as backends:
        yield backends.rows()


EITHER = PASSIVE | {"max_ejected": "100%"}


def test_one_client_whose_words_are_reset_ejects_no_backend_alone(
    picky: list[dict[str, Any]],
) -> None:
    with Balancer.before(picky, passive=EITHER) as lb:
        assert all(refused(lb) for _ in range(40))
        assert sum(row["resets"] for row in lb.backends().values()) == 40
        assert {health(lb, "a"), health(lb, "b")} == {"unknown"}


def test_words_of_several_clients_that_are_reset_eject(picky: list[dict[str, Any]]) -> None:
    with Balancer.before(picky, passive=EITHER) as lb:
        assert all(refused(lb, f"127.0.0.{n}") for n in range(2, 32))
        assert {health(lb, "a"), health(lb, "b")} == {"ejected"}


def test_any_clients_resets_eject_where_that_is_asked_for(picky: list[dict[str, Any]]) -> None:
    with Balancer.before(picky, passive=EITHER | {"reset_sources": "any"}) as lb:
        assert all(refused(lb) for _ in range(40))
        assert {health(lb, "a"), health(lb, "b")} == {"ejected"}


def test_the_only_backend_is_never_ejected() -> None:
    with Backends(1) as backends, Balancer.before(backends.rows(), passive=PASSIVE) as lb:
        backends.stop("a")
        assert not any(greeting(lb) for _ in range(20))
        assert health(lb, "a") == "unknown"
        backends.start("a")
        assert greeting(lb) == b"a\n"


def test_a_silent_backend_is_ejected_by_its_connect_timeouts(three: Backends) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:  # fills the queue: further handshakes get no answer
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        rows = [*three.rows(), {"name": "deaf", "address": "{}:{}".format(*deaf.getsockname())}]
        rule = {**PASSIVE, "failures": 2}
        with Balancer.before(rows, passive=rule, connect_timeout="100ms") as lb:
            until(lambda: greeting(lb) and health(lb, "deaf") == "ejected", "it is ejected")
        for one in fillers:
            one.close()
