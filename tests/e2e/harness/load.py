"""Many clients: connections held open, names of backends asked for, and a load of checked
transactions."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

from .balancer import Balancer
from .bytestream import Stream, finish, receive
from .deadline import PATIENCE_S, until

Connect = Callable[[], socket.socket]


def read_line(peer: socket.socket) -> str:
    """Reads up to and including a newline."""
    line = b""
    while not line.endswith(b"\n"):
        byte = peer.recv(1)
        if not byte:
            raise EOFError(f"the peer ended after {line!r}")
        line += byte
    return line[:-1].decode()


def greet(lb: Balancer) -> tuple[socket.socket, str]:
    """Returns a new connection, and the name of the backend that it reached."""
    client = lb.connect()
    try:
        return client, read_line(client)
    except BaseException:
        client.close()
        raise


def names(lb: Balancer, count: int) -> Counter[str]:
    """Returns the backends that `count` connections reach. They are opened and ended one after the
    other."""
    reached: Counter[str] = Counter()
    for _ in range(count):
        client, name = greet(lb)
        client.close()
        reached[name] += 1
    return reached


def turned_away(lb: Balancer) -> bool:
    """Connects. Returns whether the balancer ends the connection without sending a byte."""
    try:
        with lb.connect() as client:
            return not client.recv(1)
    except ConnectionResetError:  # why: a reset may come before connect() returns.
        return True


@contextlib.contextmanager
def held(lb: Balancer, count: int, batch: int = 200) -> Iterator[list[tuple[socket.socket, str]]]:
    """Yields `count` open connections, each with the name of its backend."""
    clients: list[tuple[socket.socket, str]] = []
    with contextlib.ExitStack() as stack:
        while len(clients) < count:
            size = min(batch, count - len(clients))
            made = [stack.enter_context(lb.connect()) for _ in range(size)]
            clients += [(client, read_line(client)) for client in made]
        yield clients


def echo(client: socket.socket, seed: int, size: int) -> None:
    """Sends `size` bytes to an echoing backend, reads them back, compares them, and ends."""
    stream = Stream(seed, size)
    sender = threading.Thread(target=_send_and_finish, args=(client, stream), daemon=True)
    sender.start()
    got = receive(client, stream)
    sender.join(timeout=PATIENCE_S)
    assert got == size, f"{got} of {size} bytes came back"


def _send_and_finish(client: socket.socket, stream: Stream) -> None:
    with contextlib.suppress(OSError):
        offset = 0
        while offset < stream.size:
            offset += client.send(stream.part(offset, 65536))
        finish(client)


@dataclass
class Load:
    """Threads that make transactions through a balancer until the block ends. A transaction
    connects, reads the backend's name, echoes seeded bytes and compares them. Failures are kept
    with their error; read `failures` after the block."""

    lb: Balancer
    threads: int = 4
    size: int = 20_000
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(seed,), daemon=True)
            for seed in range(self.threads)
        ]
        for thread in self._threads:
            thread.start()
        self.wait_for_more(self.threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def _work(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._stop.is_set():
            try:
                client, name = greet(self.lb)
                with client:
                    echo(client, rng.getrandbits(32), rng.randint(0, self.size))
                self.done[name] += 1
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(repr(error))

    def wait_for_more(self, count: int = 50) -> None:
        """Waits until `count` more transactions have succeeded."""
        target = self.done.total() + count
        until(lambda: self.done.total() >= target, f"{count} more transactions succeed")
