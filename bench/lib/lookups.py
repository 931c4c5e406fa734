"""The loops of bench/cidr.py, in C: how long look-ups in a set take, and loads from memory."""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = ("bench/lib/lookups.c", "csrc/core/cidr.c", "csrc/base/addr.c", "csrc/base/hash.c")


class Lookups:
    """A set in force, in memory of this process."""

    def __init__(self, exported: bytes) -> None:
        """exported: by sets.exported."""
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / "lookups.so"
            flags = ["-std=c11", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-Icsrc"]
            subprocess.run(["cc", *flags, *SOURCES, "-o", str(built)], cwd=TOP, check=True)
            self._c = ctypes.CDLL(str(built))
        self._set = _aligned(exported)

    def finds(self, addresses: Sequence[bytes], *, in_turn: bool) -> float:
        """The seconds that looking these packed addresses (4 or 16 bytes) up takes. in_turn: none
        begins before the one before it has ended."""
        packed = ctypes.create_string_buffer(b"".join(map(_l4_addr, addresses)))
        started = time.perf_counter()
        self._c.finds(self._set, packed, ctypes.c_uint32(len(addresses)), ctypes.c_bool(in_turn))
        return time.perf_counter() - started

    def loads(self, count: int) -> float:
        """The seconds that so many loads from random places of as much memory take, each of which
        waits for the one before it."""
        words = max(1, len(self._set) // 8)
        memory = ctypes.create_string_buffer(words * 8)
        started = time.perf_counter()
        self._c.loads(memory, ctypes.c_uint64(words), ctypes.c_uint32(count))
        return time.perf_counter() - started


def _aligned(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """A copy that begins where a page does, as a set of the shared table."""
    room = mmap.mmap(-1, len(data))
    room.write(data)
    return (ctypes.c_char * len(data)).from_buffer(room)


def _l4_addr(packed: bytes) -> bytes:
    """struct l4_addr of csrc/base/addr.h."""
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return struct.pack("=HH16s", family, 0, packed)
