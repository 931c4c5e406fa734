"""Messages between the supervisor and its helper processes: maps in msgpack over a socket that
keeps message boundaries and does not block. A long one goes in parts: {part, last}."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import msgpack

MESSAGE_MAX = 64 << 10  # bytes of one frame that are read
PART_BYTES = 32 << 10  # a longer message goes in parts
WHOLE_MAX = 64 << 20  # bytes of a message that comes in parts


def packed(message: Mapping[str, Any]) -> list[bytes]:
    """The frames that say it, to be sent in this order with no other between."""
    whole: bytes = msgpack.packb(dict(message))
    if len(whole) <= PART_BYTES:
        return [whole]
    starts = range(0, len(whole), PART_BYTES)
    return [
        msgpack.packb({"part": whole[at : at + PART_BYTES], "last": at + PART_BYTES >= len(whole)})
        for at in starts
    ]


def _map(data: bytes) -> dict[str, Any]:
    message = msgpack.unpackb(data)
    if not isinstance(message, dict):
        raise ValueError("a message is a map")
    return message


class Inbox:
    """What comes in at one end of a channel. ended: the other end is closed, nothing comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parts = bytearray()
        self.ended = False

    def take(self) -> dict[str, Any] | None:
        """The next whole message; None if there is none now. Raises ValueError for what is none,
        which is then taken away."""
        while not self.ended:
            try:
                data = self._sock.recv(MESSAGE_MAX)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return None
            message = _map(data)
            if "part" not in message:
                return message
            self._parts += message["part"]
            if message.get("last") or len(self._parts) > WHOLE_MAX:
                whole, self._parts = bytes(self._parts), bytearray()
                return _map(whole)
        return None
