"""A small map that one process writes and others read, in a memory file: counts that outlive the
writer. A reader never waits; what it finds half written it reads again.

There are two places, written in turns: a writer that dies while it writes leaves the map before.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgpack

BYTES = 128 << 10  # of both places
HEAD = struct.Struct("<QII")  # the number of the map, from 1; its length; its check sum
READS = 5


def make(name: str, size: int = BYTES) -> int:
    """Returns the descriptor of an empty one. size: bytes; a map can have half of them."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


def write(area: mmap.mmap, told: Mapping[str, Any]) -> None:
    """Writes a map in place of the one before. One that is too long is left out."""
    body = msgpack.packb(dict(told))
    if HEAD.size + len(body) > len(area) // 2:
        return
    number = _newest(area)[0] + 1
    at = number % 2 * (len(area) // 2)
    area[at : at + HEAD.size + len(body)] = HEAD.pack(number, len(body), zlib.crc32(body)) + body


def read(fd: int) -> dict[str, Any]:
    """Returns the map; {} if there is none."""
    with mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ) as area:
        for _ in range(READS):
            number, body = _newest(area)
            if number:
                found = msgpack.unpackb(body)
                return found if isinstance(found, dict) else {}
    return {}


def _newest(area: mmap.mmap) -> tuple[int, bytes]:
    """Returns the newest whole map and its number; 0 if there is none."""
    found = (0, b"")
    for at in (0, len(area) // 2):
        number, length, known = HEAD.unpack(area[at : at + HEAD.size])
        body = area[at + HEAD.size : at + min(HEAD.size + length, len(area) // 2)]
        if number > found[0] and zlib.crc32(body) == known:
            found = (number, body)
    return found
