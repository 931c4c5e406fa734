"""The access log: a line for each session and how it ended, whatever happens to its writer."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..harness import (
    PORTS,
    Backends,
    Balancer,
    Load,
    echo,
    greet,
    kill_and_wait,
    reset,
    stopped,
    turned_away,
    until,
)  # fmt: skip
from ..harness.disk import fill, small_disk

FIELDS = [
    "ts", "client", "listener", "pool", "backend", "retries", "queue_ms", "connect_ms",
    "duration_ms", "bytes_in", "bytes_out", "end",
]  # fmt: skip


def logging_to(
    path: Path | str, backends: Any, *, retries: int = 2, style: str = "json", **log: Any
) -> Balancer:
    return Balancer.before(
        backends,
        process={"log": {"access": str(path), "access_format": style, **log}},
        retries=retries,
    )


def named(backends: Backends) -> list[dict[str, str]]:
    pairs = zip(backends.names, backends.addresses, strict=True)
    return [{"name": name, "address": address} for name, address in pairs]


def lines(path: Path) -> list[dict[str, Any]]:
    """Returns the complete lines of the log."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_lines(read: Callable[[], list[Any]], count: int) -> list[Any]:
    until(lambda: len(read()) >= count, f"{count} lines are logged")
    found = read()
    assert len(found) == count
    return found


def transact(lb: Balancer, size: int = 1_000) -> str:
    client, name = greet(lb)
    with client:
        echo(client, 1, size)
    return name


def test_each_session_has_its_line_with_what_it_was(three: Backends, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with logging_to(path, named(three)) as lb:
        names = [transact(lb) for _ in range(3)]
        wait_lines(lambda: lines(path), 3)
        client, _ = greet(lb)
        reset(client)
        found = wait_lines(lambda: lines(path), 4)
    assert [one["end"] for one in found] == ["client_fin"] * 3 + ["client_reset"]
    assert Counter(one["backend"] for one in found[:3]) == Counter(names)
    for one in found:
        assert list(one)[: len(FIELDS)] == FIELDS
        assert (one["listener"], one["pool"], one["retries"]) == ("web", "web", 0)
        assert 0 <= one["connect_ms"] <= one["duration_ms"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", one["client"])
    assert all(one["bytes_in"] == 1_000 for one in found[:3])
    assert all(one["bytes_out"] == 1_002 for one in found[:3])  # with the backend's name


def test_a_client_that_reached_nobody_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with PORTS.taken() as port, logging_to(path, [f"127.0.0.1:{port}"], retries=0) as lb:
        assert turned_away(lb)
        (failed,) = wait_lines(lambda: lines(path), 1)
        lb.admin("drain", f"web/127.0.0.1:{port}")
        assert turned_away(lb)
        none = wait_lines(lambda: lines(path), 2)[1]
    assert (failed["end"], failed["error"]) == ("connect_failed", "ECONNREFUSED")
    assert (failed["connect_ms"], failed["retries"]) == (None, 1)
    assert (none["end"], none["backend"]) == ("no_backend", None)


def test_a_file_that_was_moved_is_made_anew(three: Backends, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with logging_to(path, three.addresses, style="text") as lb:
        transact(lb)
        until(path.exists, "the log is there")
        wait_lines(lambda: path.read_text().splitlines(), 1)
        path.rename(tmp_path / "old")
        lb.signal(signal.SIGUSR1)
        transact(lb)
        until(path.exists, "the log is there again")
        (line,) = wait_lines(lambda: path.read_text().splitlines(), 1)
    assert re.match(r"ts=\S+Z client=127.* end=client_fin$", line)
    assert len((tmp_path / "old").read_text().splitlines()) == 1


def test_lines_on_stdout_and_those_of_the_last_sessions_too(three: Backends) -> None:
    with logging_to("stdout", three.addresses, style="text") as lb:
        transact(lb)
        client, _ = greet(lb)
        lb.signal(signal.SIGINT)
        lb.wait()
        client.close()
        out = lb.out().splitlines()
    ends = [line.rsplit("end=", 1)[1] for line in out if line.startswith("ts=")]
    assert ends == ["client_fin", "stopped"]


def test_what_is_not_asked_for_is_left_out_and_a_long_session_is_told_of(
    three: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    with logging_to(path, named(three), access_errors_only=True, access_open_every="500ms") as lb:
        client, name = greet(lb)
        transact(lb)
        until(lambda: len(lines(path)) >= 2, "two lines of the session that goes on")
        reset(client)
        until(lambda: lines(path)[-1]["end"] == "client_reset", "its end")
    found = lines(path)
    assert {one["end"] for one in found[:-1]} == {"open"}
    assert {one["backend"] for one in found} == {name}
    assert len({one["session"] for one in found}) == 1


def test_sums_agree_after_a_mixed_load_with_a_worker_killed(
    three: Backends, tmp_path: Path
) -> None:
    """L4LB_SUMS_SECONDS sets the duration of the load."""
    path = tmp_path / "access.log"
    seconds = float(os.environ.get("L4LB_SUMS_SECONDS", "0"))
    with logging_to(path, named(three)) as lb:
        with Load(lb, threads=4) as load:
            time.sleep(seconds / 2)
            load.wait_for_more(100)
            lb.wait_for_new_worker(0, lb.kill(0))
            time.sleep(seconds / 2)
            load.wait_for_more(100)
        until(lambda: lb.status()["connections"] == 0, "all sessions have ended")
        accepted = sum(row["accepted"] for row in lb.status()["listeners"])
        found = wait_lines(lambda: lines(path), accepted)
        ends = Counter(one["end"] for one in found)
        stats = lb.ask("stats")
        assert ends == Counter(stats["ended"])
        assert load.done.total() + len(load.failures) == accepted
        assert ends["error:WORKER_DIED"] >= len(load.failures)
        print(f"{accepted} sessions, {ends['error:WORKER_DIED']} died with their worker")
        reached = Counter(one["backend"] for one in found if one["connect_ms"] is not None)
        for name, backend in lb.backends().items():
            mine = [one for one in found if one["backend"] == name]
            assert backend["total"] == reached[name]
            assert backend["bytes_in"] == sum(one["bytes_in"] for one in mine)
            assert backend["bytes_out"] == sum(one["bytes_out"] for one in mine)


def test_a_writer_that_is_stopped_or_killed_costs_no_traffic_and_no_line(
    three: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    with logging_to(path, three.addresses) as lb:
        transact(lb)
        wait_lines(lambda: lines(path), 1)
        writer = lb.child("logger")
        with stopped(writer.pid):
            for _ in range(20):
                transact(lb)
            assert len(lines(path)) == 1
        wait_lines(lambda: lines(path), 21)
        with stopped(writer.pid):
            for _ in range(5):
                transact(lb)
            kill_and_wait(writer.pid)
        wait_lines(lambda: lines(path), 26)
        assert lb.child("logger").pid != writer.pid


def test_a_full_disk_costs_no_traffic_and_is_written_again_when_there_is_room(
    three: Backends, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "access.log"
        with logging_to(path, three.addresses) as lb:
            transact(lb)
            wait_lines(lambda: lines(path), 1)
            ballast = fill(disk)
            until(lambda: transact(lb) and "No space left" in lb.log(), "the disk is full")
            before = sum(row["accepted"] for row in lb.status()["listeners"])
            for _ in range(30):
                transact(lb)
            ballast.unlink()
            wait_lines(lambda: lines(path), before + 30)
            assert lb.log().count("the access log cannot be written") == 1


def test_syslog_that_goes_away_and_comes_back(three: Backends, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    got: collections.deque[bytes] = collections.deque()

    def serve(count: int) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(path)
            server.settimeout(30)
            ready.set()
            for _ in range(count):
                got.append(server.recv(4_096))
        os.unlink(path)

    with logging_to("syslog", three.addresses, style="text", syslog=f"unix:{path}") as lb:
        for first, count in ((0, 3), (3, 5)):
            ready = threading.Event()
            server = threading.Thread(target=serve, args=(count,), daemon=True)
            if first == 0:
                server.start()
                assert ready.wait(30)
            for _ in range(count):
                transact(lb)
            if first:
                until(lambda: "cannot be written" in lb.log(), "its absence is told")
                server.start()
            server.join(timeout=30)
            assert len(got) == first + count
    assert all(re.match(rb"<134>1 \S+Z \S+ l4lb \d+ access - ts=", one) for one in got)


def test_clients_turned_away_and_clients_of_udp_have_their_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    denied, udp, behind = (PORTS.take() for _ in range(3))
    lb = logging_to(path, [f"127.0.0.1:{PORTS.take()}"])
    assert lb.config
    lb.config["listeners"]["denied"] = {
        "bind": [f"127.0.0.1:{denied}"], "pool": "web", "access": {"deny": ["127.0.0.0/8"]},
    }  # fmt: skip
    lb.config["listeners"]["dns"] = {
        "bind": [f"127.0.0.1:{udp}"], "pool": "dns", "protocol": "udp",
    }  # fmt: skip
    lb.config["pools"]["dns"] = {"idle_timeout": "300ms", "backends": [f"127.0.0.1:{behind}"]}
    with (
        lb,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", denied), timeout=20) as turned,
        ):
            assert turned.recv(1) == b""
        server.bind(("127.0.0.1", behind))
        server.settimeout(20)
        client.sendto(b"ask", ("127.0.0.1", udp))
        data, who = server.recvfrom(100)
        server.sendto(data * 2, who)
        found = {one["listener"]: one for one in wait_lines(lambda: lines(path), 2)}
        assert found["denied"]["end"] == "rejected:denied"
        assert found["denied"]["backend"] is None
        dns = found["dns"]
        assert (dns["end"], dns["bytes_in"], dns["bytes_out"]) == ("idle_timeout", 3, 6)
