"""Byte-exact streams: seeded data, and the two ends that check it.

The data is a block of random bytes whose length is a prime, repeated. A byte that is lost, added,
repeated or moved shows as a difference at a known offset. No stream needs memory for its whole
length.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
import struct
import termios
import time
from dataclasses import dataclass

from .deadline import until

PRIME = 1_000_003
LINGER_0 = struct.pack("ii", 1, 0)
UP, DOWN = 0x10000001, 0x20000002  # added to a seed, so that two streams differ


class Stream:
    """A stream of `size` bytes, defined by a seed."""

    def __init__(self, seed: int, size: int) -> None:
        self.size = size
        block = random.Random(seed).randbytes(min(PRIME, max(size, 1)))
        self._block = memoryview(block + block if size > PRIME else block)

    def part(self, offset: int, count: int) -> memoryview:
        """Returns up to `count` bytes from `offset`: as many as are contiguous in the block."""
        start = offset % PRIME
        return self._block[start : start + min(count, self.size - offset, PRIME)]

    def check(self, offset: int, data: bytes) -> None:
        """Raises AssertionError if `data` differs from the stream at `offset`."""
        assert offset + len(data) <= self.size, (
            f"{offset + len(data)} bytes came of a stream of {self.size}"
        )
        done = 0
        while done < len(data):
            want = self.part(offset + done, len(data) - done)
            got = memoryview(data)[done : done + len(want)]
            if got != want:
                first = next(i for i in range(len(want)) if got[i] != want[i])
                raise AssertionError(f"wrong byte at offset {offset + done + first}")
            done += len(want)


class BothWays:
    """Two streams that one seed defines. up, down: bytes to the server and back."""

    seed: int
    up: int
    down: int

    def upstream(self) -> Stream:
        return Stream(self.seed + UP, self.up)

    def downstream(self) -> Stream:
        return Stream(self.seed + DOWN, self.down)


@dataclass(frozen=True)
class Manner:
    """How one end sends or reads: the maximum bytes in one call, and how often and how long it
    pauses."""

    chunk: int = 65536
    rest_chance: float = 0.0
    rest_ms: float = 1.0

    def size(self, rng: random.Random) -> int:
        """Returns the number of bytes for one call: mostly near the maximum, sometimes very few."""
        return rng.randint(1, min(64, self.chunk)) if rng.random() < 0.2 else self.chunk

    def rest(self, rng: random.Random) -> None:
        """Pauses, as the manner says."""
        if self.rest_chance and rng.random() < self.rest_chance:
            time.sleep(self.rest_ms / 1000)


EAGER = Manner()


def send(peer: socket.socket, stream: Stream, manner: Manner = EAGER, seed: int = 0) -> None:
    """Sends the whole stream in chunks of random size."""
    rng = random.Random(seed)
    offset = 0
    while offset < stream.size:
        offset += peer.send(stream.part(offset, manner.size(rng)))
        manner.rest(rng)


def receive(
    peer: socket.socket,
    stream: Stream,
    manner: Manner = EAGER,
    seed: int = 0,
    *,
    start: int = 0,
    count: int | None = None,
) -> int:
    """Reads and compares byte for byte, until the peer's end or until `count` bytes have come.
    Returns the number of bytes. A reset raises ConnectionResetError with that number as its
    argument."""
    rng = random.Random(seed)
    offset = start
    while count is None or offset - start < count:
        maximum = manner.size(rng) if count is None else min(manner.chunk, count - (offset - start))
        try:
            data = peer.recv(maximum)
        except ConnectionResetError as error:
            raise ConnectionResetError(offset - start) from error
        if not data:
            break
        stream.check(offset, data)
        offset += len(data)
        manner.rest(rng)
    return offset - start


def finish(peer: socket.socket) -> None:
    """Half-closes: this end sends no more bytes."""
    peer.shutdown(socket.SHUT_WR)


def reset(peer: socket.socket) -> None:
    """Closes with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    peer.close()


def unsent(peer: socket.socket) -> int:
    """Returns the number of bytes that the other end's kernel has not acknowledged yet."""
    answer = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def wait_until_delivered(peer: socket.socket) -> None:
    """Waits until the other end's kernel has acknowledged everything."""
    until(lambda: unsent(peer) == 0, "the sent bytes are acknowledged")


def ended(peer: socket.socket) -> str:
    """Reads to the end of the connection. Returns "fin" or "reset"; bytes before it are dropped."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while peer.recv(65536):
            pass
        return "fin"
    return "reset"
