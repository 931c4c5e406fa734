"""What an exact client and an exact server say to each other; both know every byte beforehand.

The client begins with a head that names a seed and two lengths. Then each side sends the stream
that the seed gives it, and compares what comes with the other's. The server closes when both are
done, so a clean end after all bytes is the one right end. A head without a client of ours behind
it (`FOE`) is served the same, and nobody is blamed for what becomes of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..bytestream import Stream

FRIEND, FOE = b"friend..", b"foe....."
_HEAD = struct.Struct(">8sIIIHI")
HEAD_SIZE = _HEAD.size
UP, DOWN = 0x10000001, 0x20000002  # added to a seed: the two streams differ


@dataclass(frozen=True)
class Head:
    """up and down: bytes to the server and back. rest_ms: how long the server rests between parts.
    port: the client's port as a PROXY header told it; 0 if there is none."""

    seed: int
    up: int
    down: int
    rest_ms: int = 0
    port: int = 0
    is_friend: bool = True

    def pack(self) -> bytes:
        who = FRIEND if self.is_friend else FOE
        return _HEAD.pack(who, self.seed, self.up, self.down, self.rest_ms, self.port)

    @classmethod
    def parse(cls, data: bytes) -> Head | None:
        """None: it is nobody's."""
        who, seed, up, down, rest_ms, port = _HEAD.unpack(data)
        if who not in (FRIEND, FOE):
            return None
        return cls(seed, up, down, rest_ms, port, who == FRIEND)

    def upstream(self) -> Stream:
        return Stream(self.seed + UP, self.up)

    def downstream(self) -> Stream:
        return Stream(self.seed + DOWN, self.down)
