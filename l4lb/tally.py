"""A small map that one process writes and others read, in a memory file: counts that outlive the
writer. A reader never waits; what it finds half written it reads again."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgpack

BYTES = 64 << 10
HEAD = struct.Struct("<II")  # the length of the map and its check sum
READS = 5


def make(name: str) -> int:
    """Returns the descriptor of an empty one."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, BYTES)
    return fd


def write(area: mmap.mmap, told: Mapping[str, Any]) -> None:
    """Writes a map in place of the one before. One that is too long is left out."""
    body = msgpack.packb(dict(told))
    if HEAD.size + len(body) <= BYTES:
        area[: HEAD.size + len(body)] = HEAD.pack(len(body), zlib.crc32(body)) + body


def read(fd: int) -> dict[str, Any]:
    """Returns the map; {} if there is none."""
    with mmap.mmap(fd, BYTES, prot=mmap.PROT_READ) as area:
        for _ in range(READS):
            length, known = HEAD.unpack(area[: HEAD.size])
            body = area[HEAD.size : HEAD.size + min(length, BYTES)]
            if length and zlib.crc32(body) == known:
                found = msgpack.unpackb(body)
                return found if isinstance(found, dict) else {}
    return {}
