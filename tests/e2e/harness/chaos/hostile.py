"""Hostile clients of every kind of listener. Failures of servers that they cause are not counted
(talk.FOE)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections import Counter

from ..deadline import PATIENCE_S
from ..soak.hostile import FROM, TOLD, Hostile
from .talk import Head
from .world import TLS_NAME, World

PORTS_A_TIME = 40
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


class Foe(Hostile):
    """One hostile client."""

    kept, pause_s = 12, 0.02
    world: World

    def __init__(self, seed: int | str, world: World, did: Counter[str]) -> None:
        super().__init__(seed, world, did)
        self.hello = client_hello(TLS_NAME)

    def _dial(self, listener: str = "plain", window: int = 0) -> socket.socket:
        sock = super()._dial(listener, window)
        if listener == "proxied" and self.rng.random() < 0.8:
            sock.sendall(f"PROXY TCP4 {TOLD} 192.0.2.2 9 443\r\n".encode())
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
            self._reset_newest()

    def half_requests(self) -> None:
        """Announces more bytes than it sends; then ends, or stays."""
        listener = self.rng.choice((*TCP, "queued"))
        sock = self._dial(listener)
        sock.sendall(self._head(100_000, 1_000) + bytes(self.rng.randint(0, 50_000)))
        if listener == "queued" or self.rng.random() < 0.5:
            sock.shutdown(socket.SHUT_WR)

    def asks_and_never_reads(self) -> None:
        """Asks for data and never reads it: the bytes stay on their way."""
        sock = self._dial(self.rng.choice(("plain", "limited", "secured")), window=2048)
        sock.sendall(self._head(0, 3_000_000))

    def says_nothing(self) -> None:
        self._dial(self.rng.choice(TCP))

    def breaks_the_proxy_protocol(self) -> None:
        super()._dial("proxied").sendall(self.rng.choice(BAD_HEADERS))

    def breaks_a_handshake(self) -> None:
        """Sends a ClientHello that is cut or changed, or something else."""
        sock = self._dial(self.rng.choice(TLS))
        data = bytearray(self.hello)
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        cut = self.rng.randrange(len(data))
        sock.sendall(self.rng.choice([bytes(data), self.hello[:cut], self.rng.randbytes(600)]))

    def drips_a_handshake(self) -> None:
        """Sends a ClientHello some bytes at a time, to its end or not."""
        sock = self._dial(self.rng.choice(TLS))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, self.rng.randrange(len(self.hello)), 7):
            sock.sendall(self.hello[at : at + 7])
            if self.stop.wait(0.001):
                return

    def breaks_tls_after_the_handshake(self) -> None:
        """Completes a handshake, then sends records that nobody can read."""
        self._dial(self.rng.choice(("ends", "renewed")))
        sock = self.held.pop()
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

    acts = (
        resets,
        half_requests,
        asks_and_never_reads,
        says_nothing,
        breaks_the_proxy_protocol,
        breaks_a_handshake,
        drips_a_handshake,
        breaks_tls_after_the_handshake,
        sends_datagrams_from_many_ports,
    )
