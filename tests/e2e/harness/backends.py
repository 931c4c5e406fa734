"""Backends for tests: a process with simple servers, or a listener in the test itself."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from .ports import PORTS


class Backends:
    """Servers named a, b, c ... in a process of their own; serve.py lists the modes.

    with Backends(3) as backends: ... backends.stop("b"); backends.start("b")
    """

    def __init__(self, count: int = 1, mode: str = "echo", hold_ms: int = 0) -> None:
        self.names = [chr(ord("a") + i) for i in range(count)]
        self.mode, self.hold_ms = mode, hold_ms
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Backends:
        ours, theirs = socket.socketpair()
        script = Path(__file__).with_name("serve.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(script), str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._reins = ours
        self._reins.settimeout(30)
        self._lines = ours.makefile("rb")
        try:
            for name in self.names:
                self.add(name, self.mode)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._lines.close()
        self._reins.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        for port in self.ports.values():
            PORTS.release(port)
        self.ports.clear()

    @property
    def pid(self) -> int:
        """The pid of the process that serves them."""
        return self._process.pid

    def _do(self, what: str, **args: Any) -> Any:
        self._reins.sendall(json.dumps({"do": what, **args}).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert "error" not in answer, answer
        return answer["ok"]

    def add(self, name: str, mode: str = "echo", *, at: str | None = None) -> None:
        """Adds one backend. at: a host other than 127.0.0.1, or the path of a unix socket."""
        address: Any = at
        if not at or not at.startswith("/"):
            self.ports[name] = PORTS.take()
            address = [at or "127.0.0.1", self.ports[name]]
        self._do("add", name=name, mode=mode, hold_ms=self.hold_ms, address=address)

    def address(self, name: str) -> str:
        """Returns HOST:PORT of a backend on 127.0.0.1."""
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def addresses(self) -> list[str]:
        """Returns the addresses of all backends."""
        return [self.address(name) for name in self.ports]

    def rows(self, **weights: int) -> list[dict[str, Any]]:
        """Returns configuration rows: the backends by name, with these weights (1 where not
        given)."""
        return [
            {"name": name, "address": self.address(name), "weight": weights.get(name, 1)}
            for name in self.ports
        ]

    def stop(self, name: str) -> None:
        """Stops listening: the port refuses. Connections go on."""
        self._do("stop", name=name)

    def drop(self, name: str) -> None:
        """Resets every connection of a backend."""
        self._do("drop", name=name)

    def start(self, name: str) -> None:
        """Listens again, on the same port."""
        self._do("start", name=name)

    def turn(self, name: str, mode: str) -> None:
        """Gives a backend another mode, for its later connections."""
        self._do("mode", name=name, mode=mode)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns by name: accepted, ended, active and the peak of active."""
        counts: dict[str, dict[str, int]] = self._do("counts")
        return counts


class Door:
    """A backend in the test itself: the test accepts each connection."""

    def __init__(self, host: str = "127.0.0.1", *, unix: bool = False, backlog: int = 128) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if unix:
            self._folder = tempfile.TemporaryDirectory(prefix="l4lb-door-")
            Path(self._folder.name).chmod(0o755)
            path = f"{self._folder.name}/backend.sock"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            Path(path).chmod(0o666)
            self.address = f"unix:{path}"
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.port = PORTS.take()
            self.listener.bind((host, self.port))
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.listener.listen(backlog)
        self.listener.settimeout(20)

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.listener.close()
        if self._folder:
            self._folder.cleanup()
        else:
            PORTS.release(self.port)

    def accept_each(self, take: Callable[[socket.socket], None]) -> None:
        """Takes each connection in a thread, until `refuse`."""

        def accept() -> None:
            self.listener.settimeout(None)
            while True:
                try:
                    sock, _ = self.listener.accept()
                except OSError:
                    return
                take(sock)

        threading.Thread(target=accept, daemon=True).start()

    def refuse(self) -> None:
        """Stops listening: its port refuses. Connections go on."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> socket.socket:
        """Returns the next connection that the balancer makes to this backend."""
        peer, _ = self.listener.accept()
        peer.settimeout(20)
        return peer

    def behind(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Returns the client's connection and this backend's end of it."""
        return client, self.accept()
