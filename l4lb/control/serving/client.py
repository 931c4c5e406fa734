"""A small client of the admin socket, for scripts and for the command line.

from l4lb.admin import AdminClient
with AdminClient("/run/l4lb/admin.sock") as admin:
    for backend in admin.call("backends"):
        print(backend["name"], backend["health"])
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from l4lb.control.serving import protocol
from l4lb.errors import AdminError, NoBalancerError

CONNECT_TIMEOUT_S = 5.0


class AdminClient:
    """One connection to a running balancer. timeout_s bounds each wait for an answer. Raises
    NoBalancerError if nothing answers at path."""

    def __init__(self, path: str, *, timeout_s: float | None = 30.0) -> None:
        self._path = path
        self._number = 0
        self._decoder = protocol.Decoder()
        self._inbox: list[dict[str, Any]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(CONNECT_TIMEOUT_S)
        try:
            self._sock.connect(path)
        except OSError as error:
            self._sock.close()
            raise NoBalancerError(
                f"no balancer answers on {path}: {error.strerror or error};"
                " is it running, and is --socket its [process] admin?"
            ) from error
        self._sock.settimeout(timeout_s)

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._sock.close()

    def call(self, command: str, **args: Any) -> Any:
        """Returns the command's result. Raises AdminError if the balancer refuses the command,
        NoBalancerError if the balancer goes away, TimeoutError if an answer takes longer than
        timeout_s."""
        parts = list(self._parts(command, args))
        return sum(parts[1:], parts[0]) if len(parts) > 1 else parts[0]

    def stream(self, command: str, **args: Any) -> Iterator[Any]:
        """Yields the parts of a stream, such as `events` with follow=True, each when it comes.
        timeout_s bounds the wait for each part; None waits without limit. Raises the exceptions of
        call."""
        return self._parts(command, args)

    def _parts(self, command: str, args: Mapping[str, Any]) -> Iterator[Any]:
        self._number += 1
        number = self._number
        try:
            frame = protocol.encode({"id": number, "command": command, "args": dict(args)})
        except (ValueError, OverflowError) as fault:  # not UTF-8, too long, a number too large
            raise AdminError("bad_argument", f"this cannot be sent: {fault}") from fault
        # why: a balancer that has closed the connection may have sent the reason before.
        with contextlib.suppress(ConnectionError):
            self._sock.sendall(frame)
        more = True
        while more:
            answer = self._receive()
            if answer.get("id") not in (number, None):
                continue  # an answer to an earlier call that stopped waiting
            if not answer.get("ok"):
                error = answer.get("error") or {}
                raise AdminError(str(error.get("code")), str(error.get("message")))
            more = bool(answer.get("more"))
            yield answer.get("result")

    def _receive(self) -> dict[str, Any]:
        while not self._inbox:
            try:
                data = self._sock.recv(64 << 10)
            except ConnectionError:
                data = b""
            if not data:
                raise NoBalancerError(f"the balancer on {self._path} closed the connection")
            try:
                self._inbox.extend(self._decoder.feed(data))
            except protocol.ProtocolError as fault:
                raise NoBalancerError(
                    f"a program that is not l4lb answers on {self._path}: {fault}"
                ) from fault
        return self._inbox.pop(0)
