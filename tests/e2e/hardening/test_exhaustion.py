"""At its limits the service waits: it does not spin, loses nothing, and still answers operators."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from ..harness import Backends, Balancer, Stream, finish, receive, until
from ..harness.http import answer, request
from ..harness.http import before as http_before
from ..harness.http import client as http_client
from ..harness.origin import Origin

FILES = 128
CLIENTS = 240
OBSERVED_S = 1.5


def cpu_share(pids: list[int], seconds: float) -> float:
    """Returns the maximum CPU time of one of these processes, as a share of the time."""
    processes = [psutil.Process(pid) for pid in pids]

    def used() -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in processes]

    before, begin = used(), time.monotonic()
    # why: a window of observation, not a wait for something to happen.
    time.sleep(seconds)
    passed = time.monotonic() - begin
    return max(now - then for now, then in zip(used(), before, strict=True)) / passed


class Crowd:
    """Clients that each send something and wait for its echo. The first ones served keep their
    sessions."""

    def __init__(self, lb: Balancer, count: int) -> None:
        self.clients = {n: lb.connect() for n in range(count)}
        for n, client in self.clients.items():
            client.sendall(b"%04d" % n)

    def served(self) -> list[int]:
        """Returns the clients that have an answer by now."""
        found = []
        for n, client in self.clients.items():
            client.setblocking(False)
            try:
                if client.recv(1, socket.MSG_PEEK):
                    found.append(n)
            except BlockingIOError:
                pass
            client.settimeout(20)
        return found

    def leave(self, who: list[int]) -> None:
        """Lets these clients check their echo and end their sessions."""
        for n in who:
            with self.clients.pop(n) as client:
                assert client.recv(2, socket.MSG_WAITALL) == b"a\n"
                assert client.recv(4, socket.MSG_WAITALL) == b"%04d" % n
                stream = Stream(n, 10_000)
                client.sendall(stream.part(0, stream.size))
                finish(client)
                assert receive(client, stream) == stream.size


@pytest.fixture
def one() -> Iterator[Backends]:
    """One echoing backend."""
    with Backends(1) as backends:
        yield backends


def at_the_limit(lb: Balancer, minimum: int) -> None:
    """Fills the service, watches it wait, and then lets all clients through."""
    crowd = Crowd(lb, CLIENTS)
    until(lambda: len(crowd.served()) >= minimum, "the first clients are served")
    until(lambda: len(crowd.served()) == sum(lb.active()), "the rest waits")
    assert len(crowd.served()) < CLIENTS, "the limit was not reached: the test shows nothing"
    assert cpu_share(lb.pids(), OBSERVED_S) < 0.4
    assert lb.admin("status")["workers"]
    assert lb.admin("backends")[0]["active"] == len(crowd.served())
    while crowd.clients:
        crowd.leave(until(crowd.served, "clients that waited are served"))
        assert lb.ask("status")
    until(lambda: lb.total("active") == 0, "no session is left")
    assert lb.backends()["a"]["total"] == CLIENTS
    assert lb.backends()["a"]["connect_errors"] == 0


def test_at_the_file_limit_clients_wait_without_spin_and_are_served_later(one: Backends) -> None:
    with Balancer.before(one.rows(), files=FILES) as lb:
        at_the_limit(lb, minimum=20)
        assert "does not accept" in lb.log()


def test_at_max_connections_clients_wait_without_spin_and_are_served_later(one: Backends) -> None:
    with Balancer.before(one.rows(), limits={"max_connections": 50}) as lb:
        at_the_limit(lb, minimum=50)


def test_bulk_transfers_at_the_file_limit_stay_byte_exact(one: Backends) -> None:
    """Without descriptors for pipes, bytes are copied."""
    with Balancer.before(one.rows(), files=FILES, workers=1) as lb:
        crowd = Crowd(lb, 60)
        until(lambda: len(crowd.served()) == sum(lb.active()) > 10, "the limit is reached")
        for n in crowd.served()[:5]:
            with crowd.clients.pop(n) as client:
                assert client.recv(6, socket.MSG_WAITALL) == b"a\n%04d" % n
                stream = Stream(n, 8_000_000)
                offset = 0
                while offset < stream.size:
                    part = stream.part(offset, 500_000)
                    client.sendall(part)
                    assert receive(client, stream, start=offset, count=len(part)) == len(part)
                    offset += len(part)
        while crowd.clients:
            crowd.leave(until(crowd.served, "clients that waited are served"))


def test_idle_sessions_use_no_processor(one: Backends) -> None:
    with Balancer.before(one.rows()) as lb:
        crowd = Crowd(lb, 100)
        until(lambda: len(crowd.served()) == 100, "all are served")
        assert cpu_share(lb.pids(), OBSERVED_S) < 0.1
        crowd.leave(crowd.served())


def test_clients_that_read_nothing_cost_no_processor_and_get_their_answers_when_they_read() -> None:
    """There are more of them than pipes: most answers wait in the kernel."""
    whole = b"x" * (8 << 20)
    said = answer(whole)
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(lambda _: said))
        lb = http_before([origin.row])
        lb.files = 2 * FILES
        stack.enter_context(lb)
        crowd = [stack.enter_context(http_client(lb)) for _ in range(24)]
        at_rest = cpu_share(lb.pids(), OBSERVED_S)
        for peer in crowd:
            peer.say(request())
        until(lambda: len(origin.requests) == len(crowd), "all have asked")
        until(lambda: quiet(lb), "nothing moves any more")
        assert cpu_share(lb.pids(), OBSERVED_S) < at_rest + 0.2
        assert [peer.answer().body == whole for peer in crowd] == [True] * len(crowd)


def quiet(lb: Balancer) -> bool:
    """Returns whether no byte moves for a moment."""
    moved = [sum(row["bytes_out"] for row in lb.ask("sessions")) for _ in range(3)]
    return len(set(moved)) == 1
