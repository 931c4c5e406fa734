"""TERM drains; INT and a second TERM stop at once. Nothing is left in either case."""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest

from ..harness import (
    Backends,
    Balancer,
    Door,
    Stream,
    ended,
    finish,
    greet,
    kill_and_wait,
    receive,
    reset,
    send_signal,
    until,
)


def refuses(lb: Balancer) -> bool:
    """Returns whether a new connection is refused."""
    with socket.socket() as probe:
        return probe.connect_ex(lb.address) != 0


def test_term_finishes_the_sessions_refuses_new_ones_and_exits_0(three: Backends) -> None:
    stream = Stream(1, 3_000_000)
    with Balancer.before(three.rows()) as lb:
        client, _ = greet(lb)
        with client:
            client.sendall(stream.part(0, 10_000))
            assert receive(client, stream, count=10_000) == 10_000
            lb.signal(signal.SIGTERM)
            until(lambda: refuses(lb), "new connections are refused")
            for offset in range(10_000, stream.size, 10_000):
                client.sendall(stream.part(offset, 10_000))
                assert receive(client, stream, start=offset, count=10_000) == 10_000
            assert lb.process.poll() is None
            finish(client)
            assert ended(client) == "fin"
        assert lb.wait() == 0
        until(lambda: not lb.processes(), "no process is left")


def test_term_without_sessions_exits_0_at_once(three: Backends) -> None:
    with Balancer.before(three.rows(), process={"drain_timeout": "1h"}) as lb:
        lb.signal(signal.SIGTERM)
        assert lb.wait() == 0
        until(lambda: not lb.processes(), "no process is left")
        assert refuses(lb)


def test_clients_in_the_queue_when_term_comes_are_served(three: Backends) -> None:
    """For its client, a connection that the kernel has completed is accepted."""
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        for pid in lb.pids():
            send_signal(pid, signal.SIGSTOP)
        clients = [stack.enter_context(lb.connect()) for _ in range(20)]
        lb.signal(signal.SIGTERM)
        for pid in lb.pids():
            send_signal(pid, signal.SIGCONT)
        for client in clients:
            assert client.recv(2, socket.MSG_WAITALL)[1:] == b"\n"
            finish(client)
            assert ended(client) == "fin"
        assert lb.wait() == 0


def test_drain_timeout_ends_the_sessions_that_stay(three: Backends) -> None:
    with Balancer.before(three.rows(), process={"drain_timeout": "700ms"}) as lb:
        client, _ = greet(lb)
        with client:
            lb.signal(signal.SIGTERM)
            until(lambda: refuses(lb), "the drain has begun")
            assert ended(client) == "reset"
        assert lb.wait() == 0
        assert not lb.processes()


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)])
def test_int_or_a_second_term_stops_now(
    three: Backends, signals: tuple[signal.Signals, ...]
) -> None:
    with Balancer.before(three.rows(), process={"drain_timeout": "1h"}) as lb:
        client, _ = greet(lb)
        with client:
            for number in signals:
                lb.signal(number)
                until(lambda: lb.process.poll() is not None or refuses(lb), "the signal is taken")
            assert ended(client) == "reset"
        lb.wait()
        assert not lb.processes()


def test_int_during_a_bulk_transfer_leaves_no_process_and_no_socket() -> None:
    with Door() as door, Balancer.before([door.address]) as lb:
        client, backend = door.behind(lb.connect())
        with client, backend:
            client.settimeout(1)
            stream = Stream(1, 1 << 30)
            with contextlib.suppress(TimeoutError):
                for _ in range(200):
                    client.send(stream.part(0, 1 << 20))
            lb.signal(signal.SIGINT)
            lb.wait()
            assert not lb.processes()
            reset(backend)


def test_signals_to_the_workers_from_a_terminal_do_not_end_them(three: Backends) -> None:
    """Ctrl-C reaches the whole process group; only the supervisor acts on it."""
    with Balancer.before(three.rows()) as lb:
        client, _ = greet(lb)
        with client:
            for process in lb.processes():
                if process.pid != lb.process.pid:
                    process.send_signal(signal.SIGINT)
                    process.send_signal(signal.SIGTERM)
            client.sendall(b"ping")
            assert client.recv(4, socket.MSG_WAITALL) == b"ping"
            assert greet(lb)[1] in "abc"
            assert lb.answers()


def test_a_worker_that_dies_while_draining_does_not_hold_up_the_end(three: Backends) -> None:
    with Balancer.before(three.rows(), process={"drain_timeout": "1h"}) as lb:
        clients = [greet(lb)[0] for _ in range(20)]
        pids = lb.pids()
        lb.signal(signal.SIGTERM)
        until(lambda: refuses(lb), "the drain has begun")
        for pid in pids:
            kill_and_wait(pid)
        assert lb.wait() == 0
        until(lambda: not lb.processes(), "no process is left")
        for client in clients:
            client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_processes_that_do_not_react_are_ended_all_the_same(
    three: Backends, number: signal.Signals
) -> None:
    with Balancer.before(three.rows(), process={"drain_timeout": "500ms"}) as lb:
        for title in ("control", "checker", "worker 0"):
            send_signal(lb.child(title).pid, signal.SIGSTOP)
        lb.signal(number)
        lb.wait()
        until(lambda: not lb.processes(), "no process is left")
