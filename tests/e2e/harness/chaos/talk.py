"""The protocol between an exact client and an exact server; both know every byte beforehand.

The client begins with a head: a seed and two lengths. Then each side sends the stream that the seed
defines for it, and compares what it receives with the other side's stream. The server closes when
both are done, so the only right end is a clean one after all bytes. A head that marks a hostile
client (`FOE`) is served in this way too, but its failures are not counted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..bytestream import BothWays

FRIEND, FOE = b"friend..", b"foe....."
_HEAD = struct.Struct(">8sIIIHI")
HEAD_SIZE = _HEAD.size


@dataclass(frozen=True)
class Head(BothWays):
    """The head of a transfer, which says all of its two streams. rest_ms: how long the server
    pauses between parts. port: the client's port in a PROXY header; 0 if there is none."""

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
        """Returns the head; None if the bytes are no head of ours."""
        who, seed, up, down, rest_ms, port = _HEAD.unpack(data)
        if who not in (FRIEND, FOE):
            return None
        return cls(seed, up, down, rest_ms, port, who == FRIEND)
