"""Origins: HTTP servers in the test itself, which answer as a function of the test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .backends import Door
from .bytestream import reset
from .deadline import PATIENCE_S, until
from .http import CutOffError, Peer, Request, answer


@dataclass(frozen=True)
class Reply:
    """What an origin sends, and what it does with its connection then: "stay", "close" or
    "reset". Of several parts each is sent before the next one is asked for."""

    said: bytes | Iterable[bytes]
    then: str = "stay"


Answering = Callable[[Request], "bytes | Reply"]


def path_and_name(name: str) -> Answering:
    """Answers with the origin's name and the request's target."""
    return lambda request: answer(f"{name} {request.target}".encode(), fields=[("X-From", name)])


class Origin:
    """A server whose every connection has a thread of its own.

    with Origin() as origin: ... origin.requests, origin.connections
    """

    def __init__(
        self,
        answering: Answering | None = None,
        *,
        name: str = "a",
        unix: bool = False,
        secure: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.answering = answering or path_and_name(name)
        self.requests: list[Request] = []
        self.connections = 0  # accepted so far
        self.open = 0  # that have not ended
        self.working = 0  # requests that are being answered
        self.peak = 0  # maximum of `working`
        self._door = Door(unix=unix, backlog=1024)
        self._secure = secure
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()

    def __enter__(self) -> Origin:
        self._door.accept_each(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()
        self.close_all()
        until(lambda: self.open == 0, "the origin's connections have ended")
        self._door.__exit__(kind, error, trace)

    @property
    def address(self) -> str:
        return self._door.address

    @property
    def row(self) -> dict[str, Any]:
        """Returns its row of a configuration."""
        return {"name": self.name, "address": self.address}

    def refuse(self) -> None:
        """Stops listening: its port refuses. Connections go on."""
        self._door.refuse()

    def close_all(self) -> None:
        """Ends every connection."""
        with self._lock:
            for sock in self._live:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    def _take(self, sock: socket.socket) -> None:
        with self._lock:
            number = self.connections
            self.connections += 1
            self.open += 1
        threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, connection: int) -> None:
        try:
            with contextlib.suppress(OSError, CutOffError):
                sock.settimeout(PATIENCE_S * 4)
                if self._secure:
                    sock = self._secure.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._live.add(sock)
                self._talk(Peer(sock), connection)
        finally:
            with self._lock:
                self._live.discard(sock)
                self.open -= 1
            sock.close()

    def _talk(self, peer: Peer, connection: int) -> None:
        number = 0
        while True:
            request = peer.request(connection=connection, number=number)
            number += 1
            with self._lock:
                self.requests.append(request)
                self.working += 1
                self.peak = max(self.peak, self.working)
            try:
                reply = self.answering(request)
            finally:
                with self._lock:
                    self.working -= 1
            reply = Reply(reply) if isinstance(reply, bytes) else reply
            for part in [reply.said] if isinstance(reply.said, bytes) else reply.said:
                peer.say(part)
            if reply.then == "reset":
                reset(peer.sock)
            if reply.then != "stay":
                return


class Gate:
    """Holds the requests of an origin until the test lets them go on.

    gate = Gate(path_and_name("a")); with Origin(gate) ...; gate.open()
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._opened = threading.Event()

    def __call__(self, request: Request) -> bytes | Reply:
        assert self._opened.wait(PATIENCE_S * 4), "the gate was not opened"
        return self._answering(request)

    def open(self) -> None:
        self._opened.set()


@contextlib.contextmanager
def three(answering: Callable[[str], Answering] = path_and_name) -> Iterator[list[Origin]]:
    """Yields three origins: a, b, c."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Origin(answering(name), name=name)) for name in "abc"]


def shares(origins: list[Origin]) -> Counter[str]:
    """Returns by name how many requests each origin got."""
    return Counter({one.name: len(one.requests) for one in origins})
