"""A configuration of HAProxy or nginx run by the original program, and its import run by l4lb, side
by side in front of the same backends.

    with Beside("haproxy", tmp_path, text) as both:    # text has PORT where the listener's goes
        assert both.see(lambda port: who(port)) == "a"

Both must show the same behaviour.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from .balancer import Balancer
from .load import read_line
from .ports import PORTS
from .program import run
from .servers import need, running

MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
AWAY = "turned away"
Seen = TypeVar("Seen")


class Beside:
    """Both programs, each at a port of its own."""

    def __init__(
        self, program: str, folder: Path, text: str, *, status: int = 0, block: str = "stream"
    ) -> None:
        """status: the expected exit status of the import. block: that of nginx which has the
        text."""
        self._block = block
        self._program, self._folder, self._text = program, folder, text
        self._status = status
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Beside:
        with contextlib.ExitStack() as stack:
            path = need(self._program)
            self.theirs = stack.enter_context(PORTS.taken())
            self.ours = stack.enter_context(PORTS.taken())
            log = self._folder / "original.log"
            command = getattr(self, f"_{self._program}")(path, self._written(self.theirs, "theirs"))
            stop = signal.SIGQUIT if self._program == "nginx" else signal.SIGTERM
            stack.enter_context(running(command, self.theirs, log, stop=stop))
            file = self._written(self.ours, "ours")
            made = run("import", "--from", self._program, str(file))
            assert made.returncode == self._status, made.stderr
            self.said = made.stderr
            config = tomllib.loads(made.stdout)
            config.setdefault("process", {})["workers"] = 2
            self.balancer = stack.enter_context(Balancer(config))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _written(self, port: int, name: str) -> Path:
        text = self._text.replace("PORT", str(port))
        if self._program == "nginx":
            user = "user root;" if os.getuid() == 0 else ""
            module = f"load_module {MODULE};" if MODULE.exists() else ""
            text = (
                f"{module}\n{user}\nworker_processes 1;\ndaemon off;\nerror_log stderr;\n"
                f"pid {self._folder}/{name}.pid;\nevents {{ worker_connections 1000; }}\n"
                f"{self._block} {{\n{text}\n}}\n"
            )
        file = self._folder / f"{name}.cfg"
        file.write_text(text)
        return file

    def _haproxy(self, path: str, file: Path) -> list[str]:
        return [path, "-db", "-f", str(file)]

    def _nginx(self, path: str, file: Path) -> list[str]:
        return [path, "-p", str(self._folder), "-c", str(file), "-e", "stderr"]

    def see(self, look: Callable[[int], Seen]) -> Seen:
        """Returns what look(PORT) finds at the original. It must find the same at l4lb."""
        theirs, ours = look(self.theirs), look(self.ours)
        assert ours == theirs, f"{self._program}: {theirs!r}, l4lb: {ours!r}; {self.said}"
        return theirs


def who(
    port: int,
    *,
    source: str = "127.0.0.1",
    first: bytes = b"",
    tls: ssl.SSLContext | None = None,
    name: str = "localhost",
) -> str:
    """Returns the backend that a client reaches, by its first line; or that the client is turned
    away."""
    try:
        with contextlib.ExitStack() as stack:
            plain = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
            client: socket.socket = stack.enter_context(plain)
            if tls is not None:
                client = stack.enter_context(tls.wrap_socket(plain, server_hostname=name))
            if first:
                client.sendall(first)
            return read_line(client)
    except (ConnectionError, EOFError, ssl.SSLError, TimeoutError):
        return AWAY
