"""Slow readers: bytes accepted from one side reach the other, however the session ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from ..harness import (
    Balancer,
    Door,
    Stream,
    ended,
    finish,
    receive,
    reset,
    send,
    stopped,
    until,
    wait_until_delivered,
)
from ..harness.secure import Authority, secure

KB, MB = 1000, 1_000_000


def slow_client(lb: Balancer, door: Door) -> tuple[socket.socket, socket.socket]:
    """Yields a client with room for 16 KB, which it does not read yet, and its backend."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(20)
    client.connect(lb.address)
    return door.behind(client)


def slow_backend(lb: Balancer, door: Door) -> tuple[socket.socket, socket.socket]:
    """Yields a client and its backend, which has room for 16 KB and does not read yet."""
    door.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    return door.behind(lb.connect())


def read_in(seconds: float, peer: socket.socket, stream: Stream) -> tuple[int, str]:
    """Reads the stream slowly, in this time. Returns the number of bytes, and the end after
    them."""
    begin, got = time.monotonic(), 0
    try:
        while got < stream.size:
            count = receive(peer, stream, start=got, count=min(8192, stream.size - got))
            if not count:
                return got, "fin"
            got += count
            time.sleep(max(0.0, begin + seconds * got / stream.size - time.monotonic()))
        return got, ended(peer)
    except ConnectionResetError:
        return got, "reset"


def wait_until_accepted(lb: Balancer, sender: socket.socket, size: int) -> None:
    """Waits until the balancer has read everything that the sender sent."""
    wait_until_delivered(sender)
    field = "bytes_out" if sender.getpeername()[1] != lb.address[1] else "bytes_in"
    until(lambda: lb.total(field) >= size, "the balancer has read it all")


def last_line(lb: Balancer) -> dict[str, str]:
    """Returns the access log's last line, by key."""
    lines = until(lambda: [x for x in lb.out().splitlines() if " end=" in x], "a line is logged")
    return dict(word.split("=", 1) for word in lines[-1].split())


LOG = {"log": {"access": "stdout"}}


@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_peer_that_reads_without_a_pause_is_not_idle(side: str) -> None:
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="1s") as lb:
        pair = (slow_client if side == "client" else slow_backend)(lb, door)
        reader, sender = pair if side == "client" else (pair[1], pair[0])
        stream = Stream(1, 2 * MB)
        with reader, sender:
            send(sender, stream)
            wait_until_accepted(lb, sender, stream.size)
            assert read_in(4, reader, stream) == (stream.size, "reset")
            assert ended(sender) == "reset"


@pytest.mark.parametrize("timeout", ["idle_timeout", "half_closed_timeout"])
def test_a_whole_answer_reaches_its_reader_however_long_that_takes(timeout: str) -> None:
    more: dict[str, Any] = {timeout: "1s"}
    with Door() as door, Balancer.before([door.address], workers=1, **more) as lb:
        client, backend = slow_client(lb, door)
        stream = Stream(2, 2 * MB)
        with client, backend:
            send(backend, stream)
            finish(backend)
            assert read_in(4, client, stream) == (stream.size, "fin")
        until(lambda: lb.total("active") == 0, "no session is left")


def test_a_peer_that_reads_nothing_is_idle_and_the_log_says_what_it_got() -> None:
    with (
        Door() as door,
        Balancer.before([door.address], workers=1, idle_timeout="1s", process=LOG) as lb,
    ):
        client, backend = slow_client(lb, door)
        with client, backend:
            send(backend, Stream(3, 2 * MB))
            begin = time.monotonic()
            ended(backend)
            assert time.monotonic() - begin > 0.9
            until(lambda: lb.total("active") == 0, "no session is left")
            line = last_line(lb)
            assert line["end"] == "idle_timeout"
            assert int(line["bytes_out"]) == 2 * MB
            assert 0 < int(line["bytes_out_acked"]) < 200 * KB
            assert "bytes_in_acked" not in line


def test_what_a_backend_said_before_its_reset_is_delivered_however_long_that_takes() -> None:
    """Delivery takes longer than L4_DRAIN_PATIENCE_MS, with one pause; both ends are recorded."""
    with Door() as door, Balancer.before([door.address], workers=1, process=LOG) as lb:
        client, backend = slow_client(lb, door)
        stream = Stream(4, 1_500_000)
        with client:
            send(backend, stream)
            wait_until_accepted(lb, backend, stream.size)
            reset(backend)
            assert read_in(13, client, stream) == (stream.size, "reset")
        until(lambda: lb.total("active") == 0, "no session is left")
        line = last_line(lb)
        assert line["end"] == "backend_reset"
        assert "bytes_out_acked" not in line


def test_what_a_client_sent_before_its_reset_is_delivered() -> None:
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="1s") as lb:
        client, backend = slow_backend(lb, door)
        stream = Stream(5, 1_500_000)
        with backend:
            send(client, stream)
            wait_until_accepted(lb, client, stream.size)
            reset(client)
            assert read_in(4, backend, stream) == (stream.size, "reset")
        until(lambda: lb.total("active") == 0, "no session is left")


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "unfinished"])
def test_a_session_that_is_too_old_ends_when_its_bytes_have_arrived(whole: bool) -> None:
    with Door() as door:
        lb = Balancer.before([door.address], workers=1, process=LOG)
        assert lb.config is not None
        lb.config["listeners"]["web"]["limits"] = {"max_age": "1s"}
        with lb:
            client, backend = slow_client(lb, door)
            stream = Stream(6, 2 * MB)
            with client, backend:
                send(backend, stream)
                if whole:
                    finish(backend)
                assert read_in(4, client, stream) == (stream.size, "fin" if whole else "reset")
            line = last_line(lb)
            assert (line["end"], line["bytes_out"]) == ("max_age", str(2 * MB))
            assert "bytes_out_acked" not in line


def kill_backend(lb: Balancer) -> None:
    """Kills the backend's sessions, as on_down = "close" does."""
    (name,) = lb.backends()
    lb.admin("kill", "--backend", f"web/{name}")


def kill_session(lb: Balancer) -> None:
    """Kills one session by its id."""
    (row,) = lb.ask("sessions")
    lb.admin("kill", row["id"])


def drain(lb: Balancer) -> None:
    """Sends TERM, with a drain_timeout of 200 ms."""
    lb.signal(signal.SIGTERM)


def stop(lb: Balancer) -> None:
    """Sends INT."""
    lb.signal(signal.SIGINT)


ENDS = [kill_backend, kill_session, drain, stop]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "unfinished"])
@pytest.mark.parametrize("end", ENDS)
def test_bytes_that_the_kernel_holds_arrive_whatever_ends_the_session(
    end: Callable[[Balancer], None], whole: bool
) -> None:
    process = {"drain_timeout": "200ms", **LOG}
    with Door() as door, Balancer.before([door.address], workers=1, process=process) as lb:
        client, backend = slow_client(lb, door)
        stream = Stream(7, 500 * KB)
        with client, backend:
            send(backend, stream)
            wait_until_accepted(lb, backend, stream.size)
            client.sendall(b"not read by anyone")
            if whole:
                finish(backend)
            end(lb)
            got, how = read_in(2, client, stream)
            assert got == stream.size
            assert how in (("fin",) if whole else ("fin", "reset"))
            if end in (drain, stop):
                assert lb.wait() == 0


def test_a_killed_backend_is_not_waited_for() -> None:
    """The backend's process hangs and acknowledges nothing: its clients' sessions end at once."""
    with Door() as door, Balancer.before([door.address], workers=1) as lb:
        client, backend = slow_backend(lb, door)
        with client, backend:
            send(client, Stream(8, 500 * KB))
            wait_until_accepted(lb, client, 500 * KB)
            kill_backend(lb)
            until(lambda: lb.total("active") == 0, "no session is left", timeout_s=5)
            assert ended(client) == "reset"


def test_a_slow_reader_behind_tls_gets_its_whole_answer() -> None:
    with Authority() as ca, Door() as door:
        tls = {"certificates": [ca.issue("localhost")]}
        more = {"half_closed_timeout": "1s", "idle_timeout": "1s"}
        with Balancer.secured([door.address], tls, workers=1, **more) as lb:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            raw.settimeout(20)
            raw.connect(lb.address)
            stream = Stream(9, 2 * MB)
            with secure(raw, ca.client()) as client, door.accept() as backend:
                send(backend, stream)
                finish(backend)
                got, begin = 0, time.monotonic()
                while data := client.recv(8192):
                    stream.check(got, data)
                    got += len(data)
                    time.sleep(max(0.0, begin + 4 * got / stream.size - time.monotonic()))
                assert got == stream.size


def test_a_slow_reader_is_not_shed_and_one_that_reads_nothing_is() -> None:
    """Two sessions of one source look idle to the balancer; one of them has a slow reader."""
    limits = {"max_connections": 4, "shed": "limit", "shed_idle": "1s"}
    with Door() as door, Balancer.before([door.address], workers=1, limits=limits) as lb:
        pairs = [slow_client(lb, door) for _ in range(3)]
        streams = [Stream(seed, 2 * MB) for seed in range(3)]
        for (_, backend), stream in zip(pairs, streams, strict=True):
            send(backend, stream)
            wait_until_delivered(backend)
        with contextlib.ExitStack() as stack:
            for pair in pairs:
                for one in pair:
                    stack.enter_context(one)
            reader = pairs[0][0]
            begin, got = time.monotonic(), 0
            strangers: list[socket.socket] = []
            while got < streams[0].size:
                count = min(8192, streams[0].size - got)
                got += receive(reader, streams[0], start=got, count=count)
                time.sleep(max(0.0, begin + 5 * got / streams[0].size - time.monotonic()))
                if time.monotonic() - begin > len(strangers) + 1 and len(strangers) < 4:
                    stranger = socket.socket()
                    stranger.bind(("127.0.0.2", 0))
                    stranger.connect(lb.address)
                    strangers.append(stack.enter_context(stranger))
            assert got == streams[0].size
            until(lambda: lb.ask("status")["workers"][0]["active"] >= 2, "strangers are served")
            assert ended(pairs[1][1]) == "reset"


def test_a_reader_that_stops_for_a_while_within_its_time_loses_nothing() -> None:
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="3s") as lb:
        client, backend = slow_client(lb, door)
        stream = Stream(10, 1 * MB)
        with client, backend:
            send(backend, stream)
            got = receive(client, stream, count=200 * KB)
            time.sleep(1.2)
            got += receive(client, stream, start=got, count=300 * KB)
            time.sleep(1.2)
            assert receive(client, stream, start=got, count=500 * KB) == 500 * KB


def test_a_stopped_worker_that_wakes_late_takes_no_reader_for_idle() -> None:
    """The worker is stopped for longer than the timeout. Its clock has jumped, but its client has
    read."""
    with Door() as door, Balancer.before([door.address], workers=1, idle_timeout="1s") as lb:
        client, backend = slow_client(lb, door)
        stream = Stream(11, 1 * MB)
        with client, backend:
            send(backend, stream)
            wait_until_accepted(lb, backend, stream.size)
            with stopped(lb.pids()[0]):
                got = receive(client, stream, count=200 * KB)
                time.sleep(1.5)
            assert receive(client, stream, start=got, count=stream.size - got) == stream.size - got
