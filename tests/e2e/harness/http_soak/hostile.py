"""Hostile clients of HTTP."""

from __future__ import annotations

import socket

from ..http import chunked, request
from ..http2 import END_HEADERS, END_STREAM, GET, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame
from ..soak.hostile import Hostile
from .talk import SEED_BITS, Plan

RESETS = 60  # of one rapid reset
BAD = (
    b"GET / HTTP/1.1\nHost: h\n\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + bytes(40),
    PREFACE + bytes(60),
    PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 2, GET),
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    bytes(200),
)


class Foe(Hostile):
    """One hostile client."""

    kept, pause_s = 8, 0.05

    def _plan(self, way: str, up: int = 0, down: int = 0) -> Plan:
        return Plan("steady", way, self.rng.getrandbits(SEED_BITS), up, down, 1)

    # ---- acts ----------------------------------------------------------------------------

    def half_heads(self) -> None:
        """Sends a part of a head; then ends, resets or stays."""
        said = request(self._plan("length", down=10).target)
        sock = self._dial()
        sock.sendall(said[: self.rng.randrange(1, len(said))])
        if self.rng.random() < 0.3:
            sock.shutdown(socket.SHUT_WR)

    def resets_in_bodies(self) -> None:
        """Sends a part of a body, and resets."""
        plan = self._plan("length", up=100_000, down=1_000)
        said = request(plan.target, "POST", body=plan.body())
        if self.rng.random() < 0.5:
            fields = [("Transfer-Encoding", "chunked")]
            said = request(plan.target, "POST", body=chunked(plan.body()), fields=fields)
        sock = self._dial()
        sock.sendall(said[: self.rng.randrange(200, len(said))])
        self._reset_newest()

    def resets_in_answers(self) -> None:
        """Asks for much, reads a little, and resets."""
        way = self.rng.choice(("length", "chunked", "until_close", "eager"))
        sock = self._dial()
        sock.sendall(request(self._plan(way, down=1_000_000).target))
        sock.recv(self.rng.choice((1, 1_000, 100_000)))
        self._reset_newest()

    def asks_and_never_reads(self) -> None:
        """Asks for much and reads nothing of it, perhaps half-closed."""
        sock = self._dial(window=2048)
        sock.sendall(request(self._plan("length", down=1_000_000).target) * self.rng.randint(1, 3))
        if self.rng.random() < 0.3:
            sock.shutdown(socket.SHUT_WR)

    def half_closes(self) -> None:
        """Asks, half-closes, and goes on reading or leaves."""
        sock = self._dial()
        sock.sendall(request(self._plan("slow", down=60_000).target))
        sock.shutdown(socket.SHUT_WR)

    def speaks_nonsense(self) -> None:
        self._dial().sendall(self.rng.choice(BAD))

    def resets_streams_rapidly(self) -> None:
        sock = self._dial()
        sock.sendall(PREFACE + frame(SETTINGS))
        cancel = (8).to_bytes(4, "big")
        for stream in range(1, 2 * RESETS, 2):
            opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)
            sock.sendall(opened + frame(RST_STREAM, 0, stream, cancel))

    def leaves_streams_open(self) -> None:
        """Begins requests of HTTP/2 without their bodies, or never opens its windows."""
        sock = self._dial(window=2048)
        sock.sendall(PREFACE + frame(SETTINGS, payload=b"\0\4\0\0\0\0"))
        for stream in range(1, 2 * self.rng.randint(1, 20), 2):
            path = self._plan("length", down=100_000).target.encode()
            head = GET[:1] + b"\x04" + bytes([len(path)]) + path + GET[2:]
            flags = END_HEADERS | (END_STREAM if self.rng.random() < 0.7 else 0)
            sock.sendall(frame(HEADERS, flags, stream, head))

    def upgrades_and_resets(self) -> None:
        """Becomes a tunnel, and resets in it."""
        plan = self._plan("upgrade", up=1_000, down=1_000_000)
        fields = [("Connection", "upgrade"), ("Upgrade", "soak")]
        sock = self._dial()
        sock.sendall(request(plan.target, fields=fields))
        sock.recv(self.rng.choice((1, 10_000)))
        self._reset_newest()

    acts = (
        half_heads,
        resets_in_bodies,
        resets_in_answers,
        asks_and_never_reads,
        half_closes,
        speaks_nonsense,
        resets_streams_rapidly,
        leaves_streams_open,
        upgrades_and_resets,
    )
