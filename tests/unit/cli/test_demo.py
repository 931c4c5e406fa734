"""The demonstration's backends: there are three, each answers with its name, and none outlives its
parent."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import urllib.request
from typing import Any

import pytest

from l4lb.cli import demo
from l4lb.cli.program import program, typed
from l4lb.config.model import Config
from tests.e2e.harness.deadline import until

from .conftest import L4lb


def get(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        return str(answer.read().decode())


def refuses(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_three_backends_answer_while_it_serves_and_end_with_it(
    l4lb: L4lb, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    def serve(config: Config, announce: Any) -> int:
        announce()
        (pool,) = config.pools.values()
        ports.extend(backend.address.port for backend in pool.backends)
        assert [get(port) for port in ports] == [
            f"hello from backend {name}\n" for name in demo.NAMES
        ]
        assert config.process.workers == 2
        return 0

    monkeypatch.setattr("l4lb.supervisor.first_start.serve", serve)
    port = demo._any_port()
    more = ("--workers", "2", "--admin", "/tmp/l4lb-of-this-test.sock")
    done = l4lb("run", "--demo", "--port", str(port), *more)
    assert (done.status, done.err) == (0, "")
    lines = [line.strip() for line in done.out.splitlines()]
    assert f"curl http://127.0.0.1:{port}/" in lines
    assert f"curl http://127.0.0.1:{port}/hello" in lines
    asked = f"{typed()} admin --socket /tmp/l4lb-of-this-test.sock status"
    assert asked in lines
    assert all(refuses(port) for port in ports)


def test_a_port_that_is_taken_is_told_with_one_that_is_free(l4lb: L4lb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = l4lb("run", "--demo", "--port", str(port))
    assert (done.status, done.out) == (1, "")
    assert f"127.0.0.1:{port}: another program listens there" in done.err
    assert re.search(r"--demo --port \d+$", done.err.strip())


def test_a_port_without_the_demonstration_is_a_mistake(l4lb: L4lb) -> None:
    done = l4lb("run", "--port", "8081", "--listen", "tcp://127.0.0.1:1", "--backend", "[::1]:1")
    assert done.status == 2
    assert "--listen" in done.err


@pytest.mark.parametrize("is_on_path", [True, False])
def test_the_program_is_named_as_a_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, is_on_path: bool
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: program() if is_on_path else None)
    assert typed() == ("l4lb" if is_on_path else program())


def test_they_end_when_their_parent_is_killed() -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        with contextlib.suppress(BaseException):
            _, ports = demo._start_backends()
            os.write(writing, " ".join(map(str, ports)).encode())
            signal.pause()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        try:
            ports = [int(port) for port in os.read(pipe.fileno(), 100).split()]
            assert get(ports[0]) == "hello from backend demo-1\n"
        finally:
            os.kill(parent, signal.SIGKILL)
            os.waitpid(parent, 0)
    until(lambda: all(refuses(port) for port in ports), "the end of the backends")


def test_a_request_that_is_none_is_the_clients_affair() -> None:
    pid, ports = demo._start_backends()
    try:
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=20) as sock:
            sock.sendall(b"x" * demo.REQUEST_MAX * 2)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        assert get(ports[0]).startswith("hello")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
