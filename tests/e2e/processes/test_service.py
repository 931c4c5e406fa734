"""The service on its host: messages to its manager, its rights, and users that are kept out."""

from __future__ import annotations

import contextlib
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import (
    PATIENCE_S,
    PORTS,
    Backends,
    Balancer,
    one_pool,
    program,
    read_line,
    run,
    send_signal,
    until,
)

root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(1) as running:
        yield running


def field(pid: int, name: str) -> str:
    """Returns a line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


class Manager:
    """The socket of a service manager."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self._heard: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Reads messages as soon as they come, as a manager does."""
        with contextlib.suppress(OSError):
            while True:
                self._heard.put(self.sock.recv(4096).decode())

    def hears(self, word: str) -> list[str]:
        """Returns the next message that contains this word."""
        for _ in range(1_000):
            lines = self._heard.get(timeout=PATIENCE_S).split("\n")
            if any(line.startswith(word) for line in lines):
                return lines
        raise AssertionError(f"{word} did not come among 1,000 messages")


def test_the_manager_hears_of_a_service_from_ready_to_stopping(
    tmp_path: Path, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with manager.sock, Balancer.before(backends.addresses) as lb:
        assert "STATUS=serving: 0 connections" in manager.hears("READY=1")
        manager.hears("WATCHDOG=1")
        manager.hears("WATCHDOG=1")
        (worker, *_) = lb.pids()
        assert worker
        lb.signal(signal.SIGHUP)
        assert any(line.startswith("MONOTONIC_USEC=") for line in manager.hears("RELOADING=1"))
        manager.hears("READY=1")
        for command in ("reload", "upgrade"):
            lb.admin(command)
            manager.hears("RELOADING=1")
            manager.hears("READY=1")
        manager.hears("WATCHDOG=1")
        lb.signal(signal.SIGTERM)
        manager.hears("STOPPING=1")
        assert lb.wait() == 0


@root_only
def test_after_binding_it_is_another_user_with_one_right_left(backends: Backends) -> None:
    port = next(port for port in range(700, 1000) if PORTS.claim(port))
    config = one_pool(f"127.0.0.1:{port}", backends.addresses, process={"workers": 2})
    config["process"]["user"] = "nobody"
    lb = Balancer(config)
    lb.folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(PORTS.release, port)
        stack.enter_context(lb)
        nobody = pwd.getpwnam("nobody")
        for process in lb.processes():
            assert set(process.uids()) == {nobody.pw_uid}
            assert set(process.gids()) == {nobody.pw_gid}
            assert field(process.pid, "NoNewPrivs") == "1"
            supervisor = process.pid == lb.process.pid
            for capabilities in ("CapEff", "CapPrm", "CapAmb"):
                assert int(field(process.pid, capabilities), 16) == (1 << 10 if supervisor else 0)
        with lb.connect() as client:
            assert read_line(client)
        assert lb.admin("status")["workers"]
        old = lb.kill(0)
        lb.wait_for_new_worker(0, old)
        about, folder = os.stat(lb.socket), os.stat(os.path.dirname(lb.socket))
        assert (about.st_uid, about.st_mode & 0o777) == (nobody.pw_uid, 0o660)
        assert (folder.st_uid, folder.st_gid) == (0, nobody.pw_gid)
        assert folder.st_mode & 0o7777 == 0o750, "its next start as root is not led astray"
        lb.signal(signal.SIGTERM)
        assert lb.wait() == 0
        # The service may not remove its socket from that folder; the next start does.
        assert run("admin", "--socket", lb.socket, "status").returncode == 3


@root_only
def test_a_user_that_is_not_there_is_told_before_anything_is_bound(tmp_path: Path) -> None:
    file = tmp_path / "l4lb.toml"
    file.write_text(
        f'[process]\nuser = "nobody-of-that-name"\nadmin = "{tmp_path}/a.sock"\n'
        '[listeners.a]\nbind = ["127.0.0.1:1"]\npool = "p"\n'
        '[pools.p]\nbackends = ["127.0.0.1:2"]\n'
    )
    done = run("run", "-c", str(file))
    assert (done.returncode, "no user nobody-of-that-name" in done.stderr) == (1, True)
    assert not (tmp_path / "a.sock").exists()


def test_a_second_service_on_the_socket_is_told_who_has_it(backends: Backends) -> None:
    with Balancer.before(backends.addresses) as lb, PORTS.taken() as port:
        second = run(
            "run", "--listen", f"tcp://127.0.0.1:{port}", "--backend", backends.addresses[0],
            "--admin", lb.socket,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"another l4lb (pid {lb.process.pid}) runs on the admin socket" in second.stderr
        assert lb.status()["pid"] == lb.process.pid


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here"
)
def test_sockets_of_the_manager_are_found_by_name(backends: Backends) -> None:
    with PORTS.taken() as port, PORTS.taken() as other, PORTS.taken() as stray:
        config = one_pool(
            [f"127.0.0.1:{port}", f"127.0.0.1:{other}"], backends.addresses,
            process={"workers": 2},
        )  # fmt: skip
        command = [
            "systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", f"127.0.0.1:{stray}",
            "--fdname=web:web", *program(),
        ]  # fmt: skip
        lb = Balancer(config, command=command)
        clients: list[socket.socket] = []

        def woken() -> bool:
            # The first client starts the service, and is served.
            with contextlib.suppress(ConnectionError):
                clients.append(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            return bool(clients)

        lb._start()
        try:
            until(woken, "the manager listens")
            until(lb.answers, "the service answers")
            assert read_line(clients[0])
            with lb.connect() as one:
                assert read_line(one)
            with socket.create_connection(("127.0.0.1", other), PATIENCE_S) as one:
                assert read_line(one)
            assert {row["accepted"] for row in lb.ask("listeners")} == {1, 2}
            assert "a passed socket belongs to no listener" in lb.log()
            assert f"127.0.0.1:{stray}" in lb.log()
        finally:
            for client in clients:
                client.close()
            lb.__exit__(None, None, None)


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    done = run("unit", "-c", str(tmp_path / "l4lb.toml"))
    assert done.returncode == 0
    assert f"ExecStart={program()[0]} run -c {tmp_path}/l4lb.toml" in done.stdout
    assert "@PROGRAM@" not in done.stdout
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "l4lb.service"
    unit.write_text(done.stdout)
    said = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "l4lb.service" not in said.stderr, said.stderr


def test_a_child_does_not_have_the_managers_socket(
    tmp_path: Path, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    with manager.sock, Balancer.before(backends.addresses) as lb:
        manager.hears("READY=1")
        old = lb.child("checker").pid
        send_signal(old, signal.SIGKILL)
        until(lambda: lb.status()["checker"]["pid"] not in (0, old), "the checker is back")
        assert lb.status()["checker"]["pid"]
