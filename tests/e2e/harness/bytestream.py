"""Byte-exact streams: seeded data whose every position is known, and the two ends that check it.

The data is a block of random bytes of prime length, repeated: any byte lost, added, repeated or
moved shows as a difference at a known offset, and no stream needs memory for its whole length.
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


class Stream:
    """`size` bytes that a seed defines."""

    def __init__(self, seed: int, size: int) -> None:
        self.size = size
        block = random.Random(seed).randbytes(min(PRIME, max(size, 1)))
        self._block = memoryview(block + block if size > PRIME else block)

    def part(self, offset: int, count: int) -> memoryview:
        """Up to `count` bytes from `offset`: as many as lie in one piece."""
        start = offset % PRIME
        return self._block[start : start + min(count, self.size - offset, PRIME)]

    def check(self, offset: int, data: bytes) -> None:
        """Raises AssertionError if `data` is not what stands at `offset`."""
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


@dataclass(frozen=True)
class Manner:
    """How one end sends or reads: the most bytes a call, and how often it rests, and how long."""

    chunk: int = 65536
    rest_chance: float = 0.0
    rest_ms: float = 1.0

    def size(self, rng: random.Random) -> int:
        """Bytes for one call: mostly near the most, at times very few."""
        return rng.randint(1, min(64, self.chunk)) if rng.random() < 0.2 else self.chunk

    def rest(self, rng: random.Random) -> None:
        """A pause of the kind under test."""
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
    """Reads, comparing byte for byte, until the peer's end or until `count` bytes have come.

    Returns how many came. A reset raises ConnectionResetError with that number as its argument.
    """
    rng = random.Random(seed)
    offset = start
    while count is None or offset - start < count:
        most = manner.size(rng) if count is None else min(manner.chunk, count - (offset - start))
        try:
            data = peer.recv(most)
        except ConnectionResetError as error:
            raise ConnectionResetError(offset - start) from error
        if not data:
            break
        stream.check(offset, data)
        offset += len(data)
        manner.rest(rng)
    return offset - start


def finish(peer: socket.socket) -> None:
    """Half-closes: no more bytes from this end."""
    peer.shutdown(socket.SHUT_WR)


def reset(peer: socket.socket) -> None:
    """Closes with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    peer.close()


def unsent(peer: socket.socket) -> int:
    """Bytes that the other end's kernel has not acknowledged yet."""
    answer = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def wait_until_delivered(peer: socket.socket) -> None:
    """Waits until all that was sent lies with the other end's kernel."""
    until(lambda: unsent(peer) == 0, "the sent bytes are acknowledged")


def ended(peer: socket.socket) -> str:
    """Reads to the end of the connection: "fin" or "reset". Bytes before it are dropped."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while peer.recv(65536):
            pass
        return "fin"
    return "reset"
