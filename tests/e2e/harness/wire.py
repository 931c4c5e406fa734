"""The admin protocol as the interface documents describe it, written independently of the
product."""

from __future__ import annotations

import itertools
import socket
import struct
from typing import Any

import msgpack

_ids = itertools.count(1)


class AdminError(Exception):
    """The balancer answered ok: false."""


def read_exactly(peer: socket.socket, count: int) -> bytes:
    """Returns `count` bytes. Raises EOFError if the peer ends before."""
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise EOFError(f"the peer closed after {len(data)} of {count} bytes")
        data += more
    return data


def frame(message: Any) -> bytes:
    """Returns a message with its 4-byte length before it."""
    body = msgpack.packb(message)
    return struct.pack(">I", len(body)) + bytes(body)


def read_frame(peer: socket.socket) -> dict[str, Any]:
    """Returns the next message."""
    (length,) = struct.unpack(">I", read_exactly(peer, 4))
    assert length <= 1 << 20, f"an answer of {length} bytes breaks the protocol's limit"
    message: dict[str, Any] = msgpack.unpackb(read_exactly(peer, length))
    return message


def connect(path: str, timeout_s: float = 10.0) -> socket.socket:
    """Returns a connection to the admin socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(timeout_s)
    try:
        peer.connect(path)
    except OSError:
        peer.close()
        raise
    return peer


def ask(path: str, command: str, *, patience_s: float = 10.0, **args: Any) -> Any:
    """Sends one request on a connection of its own. Returns the result. Raises AdminError or
    OSError."""
    with connect(path, patience_s) as peer:
        request_id = next(_ids)
        peer.sendall(frame({"id": request_id, "command": command, "args": args}))
        parts = [read_frame(peer)]
        while parts[-1].get("more"):
            parts.append(read_frame(peer))
    answer = parts[-1]
    assert answer["id"] == request_id
    if not answer["ok"]:
        raise AdminError(f"{command}: {answer['error']['code']}: {answer['error']['message']}")
    return [row for part in parts for row in part["result"]] if parts[1:] else answer["result"]
