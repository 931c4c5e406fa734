"""UDP clients that come all at once: no datagram is lost for which the listener's socket has
room."""

from __future__ import annotations

import time

import pytest

from ..harness import stopped
from ..harness.datagrams import UdpBackends, clients, udp_balancer

CLIENTS = 1000
PAUSE_S = 0.3  # time for which the worker is stopped while they come


@pytest.mark.parametrize("each", [1, 4])
def test_clients_that_come_while_the_worker_is_not_scheduled_are_all_served(each: int) -> None:
    with (
        UdpBackends(1) as backends,
        udp_balancer(backends.rows(), workers=1) as lb,
        clients(lb, CLIENTS) as crowd,
    ):
        begin = time.monotonic()
        with stopped(lb.pids()[0]):
            for number, client in enumerate(crowd):
                for turn in range(each):
                    client.send(b"%d %d" % (number, turn))
            time.sleep(max(0.0, begin + PAUSE_S - time.monotonic()))
        for number, client in enumerate(crowd):
            answers = {client.recv(100) for _ in range(each)}
            assert answers == {b"%d %d" % (number, turn) for turn in range(each)}
        (row,) = lb.ask("listeners")
        assert row["accepted"] == CLIENTS
        assert row["dropped"] == {}
