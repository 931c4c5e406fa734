"""Processes without a supervisor, and processes that do not answer: what is reported, and what
other processes may do meanwhile."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, echo, greet, kill_and_wait, send_signal, until
from ..harness.datagrams import UdpBackends


@pytest.fixture(scope="module")
def two() -> Iterator[Backends]:
    with Backends(2) as backends:
        yield backends


class Talker(threading.Thread):
    """A UDP client that sends something every 100 ms from one port, until it is told to stop."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._to = ("127.0.0.1", port)
        self._stop_it = threading.Event()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def run(self) -> None:
        while not self._stop_it.wait(0.1):
            try:
                self.sock.sendto(b"still here", self._to)
            except OSError:
                continue  # nothing receives at the moment

    def stop(self) -> None:
        self._stop_it.set()
        self.join()
        self.sock.close()


def again(lb: Balancer) -> None:
    """Starts the service once more with its configuration, at once; it must succeed."""
    with lb.log_path.open("ab") as log, lb.out_path.open("ab") as out:
        lb.process = subprocess.Popen(
            [*lb.command, *lb.args], stdin=subprocess.DEVNULL, stdout=out, stderr=log,
            cwd=lb.folder, env=lb.environment(), start_new_session=True,
        )  # fmt: skip
    until(lb.answers, "the service that was started again answers", timeout_s=60)


def test_a_killed_service_can_be_started_again_at_once_while_a_udp_client_talks(
    two: Backends,
) -> None:
    with UdpBackends(1, "name") as dns:
        port = PORTS.take()
        config: dict[str, Any] = {
            "process": {"workers": 2},
            "listeners": {
                "web": {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": "web"},
                "dns": {"bind": [f"127.0.0.1:{port}"], "pool": "dns", "protocol": "udp"},
            },
            "pools": {"web": {"backends": two.rows()}, "dns": {"backends": dns.rows()}},
        }
        talker = Talker(port)
        with Balancer(config) as lb:
            talker.start()
            try:
                until(lambda: lb.status()["workers"] and lb.ask("sessions"), "a session is there")
                for _ in range(5):
                    kill_and_wait(lb.process.pid)
                    lb.process.wait()
                    again(lb)
                    greet(lb)[0].close()
                until(lambda: lb.ask("sessions"), "the client has a session again")
            finally:
                talker.stop()


def test_sessions_of_workers_that_are_left_alone_end_with_drain_timeout(two: Backends) -> None:
    with Balancer.before(two.rows(), process={"drain_timeout": "1s"}) as lb:
        client, _ = greet(lb)
        workers = lb.pids()
        with client:
            kill_and_wait(lb.process.pid)
            echo(client, 1, 10_000)
            assert client.recv(1) == b"", "it ends, in order"
        again(lb)
        assert set(workers).isdisjoint(lb.pids())


def events(lb: Balancer) -> list[str]:
    return [one["kind"] for one in lb.ask("events")]


def states(lb: Balancer) -> list[str]:
    return [row["state"] for row in lb.ask("workers")]


@pytest.mark.parametrize("policy", ["tell", "replace"])
def test_a_worker_that_hangs_is_told_and_replaced_if_that_is_asked_for(
    two: Backends, policy: str
) -> None:
    """This takes 10 s: the supervisor looks ten times for a sign of life."""
    with Balancer.before(two.rows(), process={"hung_worker": policy}) as lb:
        until(lambda: all(row["last_turn_age_ms"] is not None for row in lb.ask("workers")),
              "each has made a turn: before that, none is judged")  # fmt: skip
        pid = lb.pids()[1]
        send_signal(pid, signal.SIGSTOP)
        until(lambda: "worker_hung" in events(lb), "it is told", timeout_s=60)
        assert "a worker hangs" in lb.log()
        if policy == "tell":
            assert states(lb) == ["runs", "hung"]
            send_signal(pid, signal.SIGCONT)
            until(lambda: states(lb) == ["runs", "runs"], "it goes on")
            assert lb.pids()[1] == pid
        else:
            lb.wait_for_new_worker(1, pid)
            until(lambda: states(lb) == ["runs", "runs"], "another runs")
        for _ in range(4):
            greet(lb)[0].close()
