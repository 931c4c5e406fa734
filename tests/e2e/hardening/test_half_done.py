"""Clients that begin and never finish: their memory is bounded and is given back."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hellos import hello, records

from ..harness import Backends, Balancer, until
from ..harness.secure import Authority, secure

MANY = 600  # enough handshakes for the worker to give memory back (L4_TLS_THRIFT_MIN)
KIB_OF_HANDSHAKE = 96
KIB_OF_BEGINNING = 8
HELLO = hello("localhost")
# Nine bytes that announce a ClientHello of 64 KiB.
BOASTER = records(b"\x01\x00\xff\x00")


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


class Worker:
    """The resources of a balancer's only worker."""

    def __init__(self, lb: Balancer) -> None:
        self.lb = lb
        (self.pid,) = lb.pids()

    def memory_kib(self) -> int:
        """Returns its memory without the shared table."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"RssAnon:\s+(\d+)", text)[0])

    def sockets(self) -> int:
        found = 0
        for entry in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(f"/proc/{self.pid}/fd/{entry}").startswith("socket:")
        return found

    def handshakes(self) -> int:
        return int(self.lb.ask("listeners")[0]["tls"]["in_progress"])

    def connections(self) -> int:
        return int(self.lb.status()["connections"])


@contextlib.contextmanager
def crowd(lb: Balancer, said: bytes, at_once: int = 0) -> Iterator[list[socket.socket]]:
    """Opens MANY clients that send these bytes, `at_once` at a time (0: all)."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lb.connect()) for _ in range(MANY)]
        for start in range(0, len(said), at_once or len(said)):
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(said[start : start + (at_once or len(said))])
        yield clients


def served(lb: Balancer, ca: Authority) -> None:
    with secure(lb.connect(), ca.client()) as peer:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"


def test_handshakes_that_stop_halfway_take_little_and_give_it_back(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(
            backends.addresses, tls, workers=1, listener={"handshake_timeout": "60s"}
        ) as lb,
    ):
        served(lb, ca)
        worker = Worker(lb)
        until(lambda: worker.connections() == 0, "the first client has left")
        quiet, sockets = worker.memory_kib(), worker.sockets()
        for said, maximum in ((BOASTER, KIB_OF_BEGINNING), (HELLO[:-1], KIB_OF_BEGINNING)):
            with crowd(lb, said):
                until(lambda: worker.connections() == MANY, "all have come")
                served(lb, ca)
                assert worker.handshakes() == 0
                assert worker.memory_kib() - quiet < MANY * maximum
            until(lambda: worker.connections() == 0, "all have left")
        with crowd(lb, HELLO):
            until(lambda: worker.handshakes() == MANY, "all wait for the client's second word")
            full = worker.memory_kib()
            assert full - quiet < MANY * KIB_OF_HANDSHAKE
            served(lb, ca)
        until(lambda: worker.connections() == 0, "all have left")
        assert worker.sockets() == sockets
        assert worker.handshakes() == 0
        until(lambda: worker.memory_kib() - quiet < (full - quiet) * 0.75, "memory is given back")
        served(lb, ca)


def by_hello(lb: Balancer) -> None:
    assert lb.config is not None
    lb.config["listeners"]["web"]["routes"] = [{"sni": "localhost", "pool": "web"}]


def by_proxy(lb: Balancer) -> None:
    assert lb.config is not None
    lb.config["listeners"]["web"] |= {"proxy_protocol": "require", "trusted": ["127.0.0.1"]}


@pytest.mark.parametrize(
    ("asks", "said"),
    [(by_hello, HELLO[:24]), (by_proxy, b"PROXY TCP4 203.0.113.9 1"), (None, HELLO[:24])],
    ids=["hello", "proxy", "tls"],
)
def test_who_says_it_byte_by_byte_has_its_time_and_leaves_nothing(
    ca: Authority, asks: Callable[[Balancer], None] | None, said: bytes
) -> None:
    with Backends(1, "quiet") as backends:
        lb = Balancer.secured(
            backends.addresses,
            {"certificates": [ca.issue("localhost")]},
            workers=1,
            listener={"handshake_timeout": "3s"},
        )
        assert lb.config is not None
        if asks is not None:
            del lb.config["listeners"]["web"]["tls"]
            asks(lb)
        with lb:
            worker = Worker(lb)
            quiet, sockets = worker.memory_kib(), worker.sockets()
            with crowd(lb, said, 1):
                maximum = 2 * MANY  # KiB
                assert worker.memory_kib() - quiet < maximum
                until(
                    lambda: lb.ask("stats")["ended"].get("rejected:handshake_timeout", 0) == MANY,
                    "all have had their time",
                    timeout_s=60,
                )
                assert worker.connections() == 0
                assert worker.sockets() == sockets
                assert worker.memory_kib() - quiet < maximum
