"""Frames of the admin socket: a 4-byte big-endian length, then a msgpack map of that many bytes.

Sans I/O: bytes in, maps out. Everything from the other side is bounded before it is read: the
frame's length, its nesting, and the size of every part.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

FRAME_MAX = 1 << 20  # bytes of one frame, without its length
NESTING_MAX = 16
ELEMENTS_MAX = 16_384  # in all lists and maps of one request together; answers have no limit
WORD_MAX = 64  # characters of a command, or of an id that is text
LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """Bytes that are not a frame of this protocol; nothing after them can be understood."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Returns one frame. Raises ValueError if the message is larger than FRAME_MAX."""
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
    """Counts the elements of a message while it is unpacked, so that a message with too many costs
    little. Raises ValueError past the maximum."""

    def __init__(self, maximum: int) -> None:
        self._max = self._left = maximum

    def of_list(self, values: list[Any]) -> list[Any]:
        self._spend(len(values))
        return values

    def of_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._spend(len(pairs))
        return dict(pairs)

    def _spend(self, count: int) -> None:
        self._left -= count + 1
        if self._left < 0:
            raise ValueError(f"more than {self._max} elements")


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
    """Turns a stream of bytes, cut anywhere, into messages. elements_max: maximum number of
    elements in all lists and maps of one message; None: no maximum but the frame's."""

    def __init__(self, elements_max: int | None = None) -> None:
        self._waiting = bytearray()
        self._elements_max = elements_max

    @property
    def is_inside_frame(self) -> bool:
        """Returns whether a frame has begun and not ended."""
        return bool(self._waiting)

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yields the messages that data completes. Raises ProtocolError; the decoder is of no use
        after that."""
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
    """A client's request: an id (number or word) for the answer, a command, its arguments."""

    id: int | str | None
    command: str
    args: dict[str, Any]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Request:
        """Returns the request in a message. Raises ProtocolError if there is none. A command that
        is no word becomes "", which is an unknown command. Other keys of the message are
        dropped."""
        number, command, args = message.get("id"), message.get("command"), message.get("args")
        if not isinstance(number, int | str | None) or not isinstance(args, dict | None):
            raise ProtocolError("a request is {id, command, args}: a number or text, text, a map")
        if isinstance(number, str) and len(number) > WORD_MAX:
            raise ProtocolError(f"an id of more than {WORD_MAX} characters")
        known = isinstance(command, str) and len(command) <= WORD_MAX
        return cls(number, str(command) if known else "", args or {})


def refusal(number: object, code: str, message: str) -> dict[str, Any]:
    """Returns an answer with an error. number: the request's id, None if the error is about no
    request."""
    return {"id": number, "ok": False, "error": {"code": code, "message": message}}
