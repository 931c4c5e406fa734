"""UDP backends and clients for tests, and a balancer in front of the backends."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from .balancer import Balancer
from .configuration import one_pool
from .deadline import PATIENCE_S
from .ports import PORTS

LARGEST = 65_507  # maximum bytes of a datagram over IPv4
BUFFER_BYTES = 4 << 20


def enlarge(sock: socket.socket) -> None:
    """Enlarges the receive buffer, so that a burst of a test fits into it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


class UdpBackends:
    """UDP servers named a, b, c ... in a thread. Modes: echo sends each datagram back; name adds
    the server's name before it; silent answers nothing; twice sends two echoes."""

    def __init__(self, count: int = 1, mode: str = "echo", host: str = "127.0.0.1") -> None:
        self.names = [chr(ord("a") + i) for i in range(count)]
        self.host = host
        self.modes = dict.fromkeys(self.names, mode)
        self.ports = {name: PORTS.take() for name in self.names}
        self.received: Counter[str] = Counter()
        self.peers: dict[str, set[tuple[str, int]]] = {name: set() for name in self.names}
        self._sockets: dict[str, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stop = False

    def __enter__(self) -> UdpBackends:
        for name in self.names:
            self.start(name)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = True
        self._thread.join(timeout=PATIENCE_S)
        for name in list(self._sockets):
            self.stop(name)
        for port in self.ports.values():
            PORTS.release(port)

    def address(self, name: str) -> str:
        """Returns HOST:PORT of a backend."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.ports[name]}"

    def rows(self) -> list[dict[str, Any]]:
        """Returns configuration rows: the backends by name."""
        return [{"name": name, "address": self.address(name)} for name in self.names]

    def start(self, name: str) -> None:
        """Receives on the backend's port."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        enlarge(sock)
        sock.bind((self.host, self.ports[name]))
        sock.setblocking(False)
        with self._lock:
            self._sockets[name] = sock
            self._selector.register(sock, selectors.EVENT_READ, name)

    def stop(self, name: str) -> None:
        """Closes the socket: its port is unreachable."""
        with self._lock:
            sock = self._sockets.pop(name)
            self._selector.unregister(sock)
            sock.close()

    def _serve(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select(0.05):
                with self._lock, contextlib.suppress(OSError, ValueError):
                    self._take(key.data)

    def _take(self, name: str) -> None:
        sock = self._sockets.get(name)
        for _ in range(64 if sock else 0):
            assert sock is not None
            try:
                data, peer = sock.recvfrom(LARGEST + 100)
            except BlockingIOError:
                return
            self.received[name] += 1
            self.peers[name].add(peer[:2])
            mode = self.modes[name]
            if mode == "silent":
                continue
            answer = name.encode() + data if mode == "name" else data
            for _ in range(2 if mode == "twice" else 1):
                sock.sendto(answer, peer)


def udp_balancer(
    backends: Sequence[str | Mapping[str, Any]],
    *,
    workers: int = 2,
    bind: str | Sequence[str] = "",
    files: int | None = None,
    process: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    listener: Mapping[str, Any] | None = None,
    **pool: Any,
) -> Balancer:
    """Returns a balancer with UDP listener `web` on a free port of 127.0.0.1 and one pool of these
    backends."""
    config = one_pool(
        bind or f"127.0.0.1:{PORTS.take()}",
        backends,
        process={"workers": workers, **(process or {})},
        limits=limits,
        **pool,
    )
    config["listeners"]["web"] |= {"protocol": "udp", **(listener or {})}
    return Balancer(config, files=files)


@contextlib.contextmanager
def clients(
    lb: Balancer,
    count: int = 1,
    source: str = "",
    timeout_s: float = PATIENCE_S,
    at: tuple[str, int] | None = None,
) -> Iterator[list[socket.socket]]:
    """Yields UDP sockets connected to the balancer's first address, or to the given one."""
    host, port = at or lb.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            enlarge(sock)
            sock.settimeout(timeout_s)
            if source:
                sock.bind((source, 0))
            sock.connect((host, port))
            made.append(sock)
        yield made


def ask(client: socket.socket, data: bytes = b"?") -> bytes:
    """Sends one datagram. Returns the datagram that comes back."""
    client.send(data)
    return client.recv(LARGEST + 100)
