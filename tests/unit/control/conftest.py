"""The admin server in this process: a real unix socket, a thread for its loop, and a channel. The
test holds the channel's other end in place of the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from l4lb.control.channel import Channel
from l4lb.control.handlers import Handlers
from l4lb.control.serving.admin_socket import Server
from l4lb.control.serving.client import AdminClient
from l4lb.control.serving.protocol import Decoder
from l4lb.control.sources import Sources
from l4lb.control.views.overview import Service
from l4lb.native.table import Table
from l4lb.supervisor.process.child import channel as channel_pair
from tests.unit.supervisor.tables import closed_port, table_of

SUPERVISOR = 0  # no process, so that no client is its child

PATIENCE_S = 20
NUMBERS = itertools.count()


class Peer:
    """A client that can violate the protocol: it sends bytes and reads frames."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(path)
        self._decoder = Decoder()
        self._inbox: list[dict[str, Any]] = []

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def frame(self, message: object) -> None:
        body = msgpack.packb(message)
        self.send(struct.pack(">I", len(body)) + body)

    def answer(self) -> dict[str, Any]:
        """Returns the next frame. Raises EOFError if the server has closed."""
        while not self._inbox:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError
            self._inbox += self._decoder.feed(data)
        return self._inbox.pop(0)

    def rest(self) -> list[dict[str, Any]]:
        """Returns all frames until the server closes."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(self.answer())
        return found

    def is_closed(self) -> bool:
        """Returns whether the server has closed and sent nothing more."""
        try:
            self.answer()
        except EOFError:
            return True
        return False

    def close(self) -> None:
        self.sock.close()


class Admin:
    """A running admin server over a table. `supervisor` is the other end of its channel."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.table: Table = table_of({"web": {"a": closed_port(1), "b": closed_port(2)}})
        self.supervisor, self._theirs = channel_pair()
        self.supervisor.settimeout(PATIENCE_S)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(512)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S)
        self._peers: list[Peer | AdminClient] = []

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            channel = Channel(self._theirs)
            channel.start()
            handlers = Handlers(
                self.table, channel, Service("9.9", 42, 0, 3_000), Sources(self.table, channel)
            )
            self.server = Server(self._listener, handlers, SUPERVISOR)
            task = asyncio.create_task(self.server.run())
            ready.set()
            await self._stop.wait()
            task.cancel()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the server from running inside the block."""
        gate = threading.Event()
        self._loop.call_soon_threadsafe(gate.wait, PATIENCE_S)
        try:
            yield
        finally:
            gate.set()

    def peer(self) -> Peer:
        peer = Peer(self.path)
        self._peers.append(peer)
        return peer

    def client(self) -> AdminClient:
        client = AdminClient(self.path, timeout_s=PATIENCE_S)
        self._peers.append(client)
        return client

    def ask(self, command: object, args: object = None, number: object = 1) -> dict[str, Any]:
        """Sends one request on a connection of its own. Returns its (first) answer."""
        peer = self.peer()
        peer.frame({"id": number, "command": command, "args": args or {}})
        return peer.answer()

    def refused(self, command: object, args: object = None) -> str:
        """Returns the code of a refusal."""
        answer = self.ask(command, args)
        assert not answer["ok"]
        return str(answer["error"]["code"])

    def question(self) -> dict[str, Any]:
        """Returns the control process's next request to the supervisor."""
        asked: dict[str, Any] = msgpack.unpackb(self.supervisor.recv(64 << 10))
        return asked

    def tell(self, message: Mapping[str, Any]) -> None:
        self.supervisor.send(msgpack.packb(message))

    def connected(self) -> int:
        """Returns the number of the server's clients."""
        return len(self.server._clients)

    def supervise(self, result: Callable[[dict[str, Any]], Mapping[str, Any]]) -> threading.Thread:
        """Answers one request in place of the supervisor."""

        def run() -> None:
            asked = self.question()
            self.tell({"id": asked["id"]} | dict(result(asked)))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        for sock in (self._listener, self.supervisor, self._theirs):
            sock.close()


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    with contextlib.closing(Admin(str(tmp_path / "admin.sock"))) as running:
        yield running
