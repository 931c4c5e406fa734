"""Hostile clients: each is a thread that performs one random act after the other.

They keep some of the connections that they open for a while. They expect no answer. They come from
addresses of their own (world.FOES), and failures of servers that they cause are not counted
(talk.FOE).
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable

from ..bytestream import reset
from ..deadline import PATIENCE_S
from .talk import Head
from .world import FOES, TLS_NAME, World

HELD = 12  # connections that one hostile client keeps at a time
*FROM, TOLD = FOES  # TOLD: the source address in a PROXY header
PORTS_A_TIME = 40
PAUSE_S = 0.02
V2 = b"\r\n\r\n\0\r\nQUIT\n"
BAD_HEADERS = (
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 2\r\n",
    b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    V2 + b"\x21\x11\xff\xff" + bytes(40),
    V2 + b"\x21\x11\0\x04" + bytes(4),
    V2 + b"\x41\x11\0\x0c" + bytes(12),
    V2[:7],
)
TCP = ("plain", "sni", "proxied", "ends", "renewed", "secured", "limited")
TLS = ("sni", "ends", "renewed")


def client_hello(name: str) -> bytes:
    """Returns a valid ClientHello."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


class Foe:
    """One hostile client."""

    def __init__(self, seed: int, world: World, did: Counter[str]) -> None:
        self.world, self.did = world, did
        self.rng = random.Random(seed)
        self.hello = client_hello(TLS_NAME)
        self.held: deque[socket.socket] = deque()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self.stop.wait(self.rng.random() * 2 * PAUSE_S):
            act = self.rng.choice(ACTS)
            # Errors that the balancer causes to a hostile client are ignored.
            with contextlib.suppress(OSError):
                act(self)
            self.did[act.__name__.replace("_", " ")] += 1
            while len(self.held) > HELD:
                self._let_go()
        while self.held:
            self._let_go()

    def _let_go(self) -> None:
        sock = self.held.popleft()
        if self.rng.random() < 0.5:
            reset(sock)
        else:
            sock.close()

    def _dial(self, listener: str, window: int = 0) -> socket.socket:
        sock = socket.socket()
        try:
            sock.settimeout(PATIENCE_S)
            if window:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            sock.bind((self.rng.choice(FROM), 0))
            sock.connect(("127.0.0.1", self.world.port(listener)))
            if listener == "proxied" and self.rng.random() < 0.8:
                sock.sendall(f"PROXY TCP4 {TOLD} 192.0.2.2 9 443\r\n".encode())
        except BaseException:
            sock.close()
            raise
        return sock

    def _head(self, up: int, down: int) -> bytes:
        return Head(self.rng.getrandbits(28), up, down, is_friend=False).pack()

    # ---- acts ----------------------------------------------------------------------------

    def resets(self) -> None:
        """Connects, sends something, and resets."""
        for _ in range(10):
            sock = self._dial(self.rng.choice((*TCP, "queued")))
            with contextlib.suppress(OSError):
                sock.send(self.rng.randbytes(self.rng.choice([0, 1, 4000])) or b"x")
            reset(sock)

    def half_requests(self) -> None:
        """Announces more bytes than it sends; then ends, or stays."""
        listener = self.rng.choice((*TCP, "queued"))
        sock = self._dial(listener)
        self.held.append(sock)
        sock.sendall(self._head(100_000, 1_000) + bytes(self.rng.randint(0, 50_000)))
        if listener == "queued" or self.rng.random() < 0.5:
            sock.shutdown(socket.SHUT_WR)

    def asks_and_never_reads(self) -> None:
        """Asks for data and never reads it: the bytes stay on their way."""
        sock = self._dial(self.rng.choice(("plain", "limited", "secured")), window=2048)
        self.held.append(sock)
        sock.sendall(self._head(0, 3_000_000))

    def says_nothing(self) -> None:
        self.held.append(self._dial(self.rng.choice(TCP)))

    def breaks_the_proxy_protocol(self) -> None:
        sock = socket.create_connection(
            ("127.0.0.1", self.world.port("proxied")), PATIENCE_S, (self.rng.choice(FROM), 0)
        )
        self.held.append(sock)
        sock.sendall(self.rng.choice(BAD_HEADERS))

    def breaks_a_handshake(self) -> None:
        """Sends a ClientHello that is cut or changed, or something else."""
        sock = self._dial(self.rng.choice(TLS))
        self.held.append(sock)
        data = bytearray(self.hello)
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        cut = self.rng.randrange(len(data))
        sock.sendall(self.rng.choice([bytes(data), self.hello[:cut], self.rng.randbytes(600)]))

    def drips_a_handshake(self) -> None:
        """Sends a ClientHello some bytes at a time, to its end or not."""
        sock = self._dial(self.rng.choice(TLS))
        self.held.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, self.rng.randrange(len(self.hello)), 7):
            sock.sendall(self.hello[at : at + 7])
            if self.stop.wait(0.001):
                return

    def breaks_tls_after_the_handshake(self) -> None:
        """Completes a handshake, then sends records that nobody can read."""
        sock = self._dial(self.rng.choice(("ends", "renewed")))
        try:
            peer = self.world.trusts.wrap_socket(sock, server_hostname="localhost")
        except BaseException:
            sock.close()
            raise
        with contextlib.suppress(OSError):
            peer.sendall(self._head(50_000, 50_000))
        raw = socket.socket(fileno=peer.detach())
        self.held.append(raw)
        raw.settimeout(PATIENCE_S)
        raw.sendall(struct.pack(">BHH", 23, 0x0303, 100) + self.rng.randbytes(100))

    def sends_datagrams_from_many_ports(self) -> None:
        """Sends one or two datagrams from each of many ports, and waits for no answer."""
        to = ("127.0.0.1", self.world.port(self.rng.choice(("datagrams", "singly"))))
        for _ in range(PORTS_A_TIME):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((self.rng.choice(FROM), 0))
                for _ in range(self.rng.randint(1, 2)):
                    sock.sendto(self.rng.randbytes(self.rng.randint(0, 1_400)), to)


ACTS: tuple[Callable[[Foe], None], ...] = (
    Foe.resets,
    Foe.half_requests,
    Foe.asks_and_never_reads,
    Foe.says_nothing,
    Foe.breaks_the_proxy_protocol,
    Foe.breaks_a_handshake,
    Foe.drips_a_handshake,
    Foe.breaks_tls_after_the_handshake,
    Foe.sends_datagrams_from_many_ports,
)


class Mob:
    """Hostile clients, until they are told to end."""

    def __init__(self, world: World, seed: int, count: int) -> None:
        self.did: Counter[str] = Counter()
        self.foes = [Foe(seed * 1000 + n, world, self.did) for n in range(count)]

    def start(self) -> None:
        for foe in self.foes:
            foe.thread.start()

    def end(self) -> None:
        """Ends all hostile clients and closes their connections."""
        for foe in self.foes:
            foe.stop.set()
        for foe in self.foes:
            foe.thread.join(timeout=3 * PATIENCE_S)
            assert not foe.thread.is_alive(), "a hostile client hangs"
