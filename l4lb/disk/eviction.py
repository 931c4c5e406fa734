"""What leaves a cache's disk when it is full. Pure: what was found in, what is to be removed out.

To know the least recently used files exactly, all would have to be looked at. A sample of them is,
and the oldest quarter of the sample goes: these are among the oldest quarter of all files, or close
to it. Then follows another sample, until there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

FULL_PERCENT, ROOM_PERCENT = 95, 90  # of the size: from where files leave, and until where
SAMPLE_FILES = 4_096
PART = 4  # of a sample, a fourth may leave


class File(NamedTuple):
    """One answer. used_ns: when it was last used."""

    used_ns: int
    bytes: int
    folder: int
    name: str


def excess(used: int, size: int, *, leaving: bool) -> int:
    """Returns how many bytes are to leave. leaving: files leave already, until there is room."""
    limit = size * (ROOM_PERCENT if leaving else FULL_PERCENT) // 100
    return max(0, used - size * ROOM_PERCENT // 100) if used > limit else 0


def chosen(sample: Sequence[File], wanted: int, *, whole: bool) -> list[File]:
    """Returns the files of a sample that leave for `wanted` bytes, the oldest first. whole: the
    sample is all that there is."""
    files = sorted(sample, key=lambda one: one.used_ns)
    most = len(files) if whole else -(-len(files) // PART)
    leaving: list[File] = []
    for one in files[:most]:
        if wanted <= 0:
            break
        leaving.append(one)
        wanted -= one.bytes
    return leaving
