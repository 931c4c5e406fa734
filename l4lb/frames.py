"""Messages between the supervisor and its helper processes: msgpack maps over a socket that keeps
message boundaries and does not block. A long message is sent in parts: {part, last}."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import msgpack

MESSAGE_MAX = 64 << 10  # maximum size of one frame
PART_BYTES = 32 << 10  # a longer message goes in parts
WHOLE_MAX = 64 << 20  # maximum size of a message that comes in parts


def packed(message: Mapping[str, Any]) -> list[bytes]:
    """Returns the frames of a message. They are sent in this order, with no other frame between
    them."""
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
    """The receiving side of a channel. ended: the other end is closed, and nothing more will
    come."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parts = bytearray()
        self.ended = False

    def take(self) -> dict[str, Any] | None:
        """Returns the next whole message; None if there is none now. Raises ValueError for a
        malformed message, which is discarded."""
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
