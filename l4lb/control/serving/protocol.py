"""Frames of the admin socket: a 4-byte big-endian length, then that many bytes of msgpack map.

Sans I/O: bytes in, maps out. Everything that comes from the other side is bounded before it is
looked at: the frame's length, the nesting, and the size of every part.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

FRAME_MAX = 1 << 20  # bytes of one frame, without its length
NESTING_MAX = 16
ELEMENTS_MAX = 16_384  # of all lists and maps of one request; answers may have as many as they like
WORD_MAX = 64  # characters of an id or a command that is text
LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """What came is not a frame of this protocol; nothing after it can be understood."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One frame. Raises ValueError if the message is larger than FRAME_MAX."""
    body: bytes = msgpack.packb(message)
    if len(body) > FRAME_MAX:
        raise ValueError(f"the message has {len(body)} bytes; a frame holds {FRAME_MAX}")
    return LENGTH.pack(len(body)) + body


def _depth_is_sound(value: object, left: int = NESTING_MAX) -> bool:
    if isinstance(value, dict):
        return left > 0 and all(_depth_is_sound(one, left - 1) for one in value.values())
    if isinstance(value, list):
        return left > 0 and all(_depth_is_sound(one, left - 1) for one in value)
    return True


class _Elements:
    """Counts what a message has while it is unpacked, so that one with too much costs little.
    Raises ValueError past the most."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def of_list(self, values: list[Any]) -> list[Any]:
        self._spend(len(values))
        return values

    def of_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._spend(len(pairs))
        return dict(pairs)

    def _spend(self, count: int) -> None:
        self._left -= count + 1
        if self._left < 0:
            raise ValueError(f"more than {self._most} elements")


def _unpack(body: bytes, elements_max: int | None) -> Any:
    # msgpack itself refuses nesting beyond its stack, and lengths beyond the buffer.
    if elements_max is None:
        return msgpack.unpackb(body, strict_map_key=True)
    elements = _Elements(elements_max)
    return msgpack.unpackb(
        body,
        strict_map_key=True,
        max_array_len=elements_max,
        max_map_len=elements_max,
        list_hook=elements.of_list,
        object_pairs_hook=elements.of_map,
    )


def _decode(body: bytes, elements_max: int | None) -> dict[str, Any]:
    try:
        message = _unpack(body, elements_max)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise ProtocolError(f"a frame that is not msgpack: {error}") from error
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ProtocolError("a frame that is not a map with text keys")
    if not _depth_is_sound(message):
        raise ProtocolError(f"a frame with more than {NESTING_MAX} levels")
    return message


class Decoder:
    """Turns a stream of bytes, cut anywhere, into messages.

    elements_max: of all lists and maps of one message; None: as many as a frame holds."""

    def __init__(self, elements_max: int | None = None) -> None:
        self._waiting = bytearray()
        self._elements_max = elements_max

    @property
    def is_inside_frame(self) -> bool:
        """Has a frame begun that has not ended?"""
        return bool(self._waiting)

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that data completes. Raises ProtocolError, after which it is of no use."""
        self._waiting += data
        while len(self._waiting) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._waiting)
            if length > FRAME_MAX:
                raise ProtocolError(f"a frame of {length} bytes; at most {FRAME_MAX} are taken")
            end = LENGTH.size + length
            if len(self._waiting) < end:
                return
            body = bytes(self._waiting[LENGTH.size : end])
            del self._waiting[:end]
            yield _decode(body, self._elements_max)


@dataclass(frozen=True)
class Request:
    """What a client asks: a number or word of its own for the answer, a command, its arguments."""

    id: int | str | None
    command: str
    args: dict[str, Any]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Request:
        """Raises ProtocolError if message is none. A command that is no word is the empty one,
        which nobody knows; nothing else of the message is kept."""
        number, command, args = message.get("id"), message.get("command"), message.get("args")
        if not isinstance(number, int | str | None) or not isinstance(args, dict | None):
            raise ProtocolError("a request is {id, command, args}: a number or text, text, a map")
        if isinstance(number, str) and len(number) > WORD_MAX:
            raise ProtocolError(f"an id of more than {WORD_MAX} characters")
        known = isinstance(command, str) and len(command) <= WORD_MAX
        return cls(number, str(command) if known else "", args or {})


def refusal(number: object, code: str, message: str) -> dict[str, Any]:
    """An answer that says why not; number is None where no request is meant."""
    return {"id": number, "ok": False, "error": {"code": code, "message": message}}
