"""Sets of networks into the shared table; see sets.pyx and csrc/core/access.h."""

import mmap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from l4lb.native.table import Table

BLOCKS: int
SETS_MAX: int
HALF_BYTES: int  # for all sets together
FORMAT: int  # of a set's memory
ALLOW: int
DENY: int

class BadLineError(ValueError):
    """A line of a list is no network. args: set, which of its lists (index), line (from 1)."""

def rebuild(
    table: Table,
    changed: Mapping[int, Sequence[tuple[bytes, int]]],
    kept: Iterable[int],
    ready: Mapping[int, tuple[int, int, int]] | None = None,
) -> None:
    """Replaces all sets at once. `changed` maps sets to lists, from which they are built. `ready`
    maps sets to (descriptor, offset, size), from where they are copied as `build` has made them.
    Sets in `kept` stay. A list is (text, value): networks as bytes, one in each line.

    Raises BadLineError, MemoryError or OverflowError (too many): then nothing has changed.
    """

def build(memory: mmap.mmap, at: int, lists: Sequence[tuple[bytes, int]]) -> int:
    """Builds a set of these lists into a writable buffer, from an offset on. Returns its bytes.
    Raises the exceptions of rebuild."""

def release(table: Table) -> None:
    """Frees the memory of the half that is not in force. Call it some time after a rebuild."""

def find(table: Table, number: int, address: str) -> int:
    """Returns the value of an IP address in a set; 0: it is in none of its networks."""

def set_bytes(table: Table, number: int) -> int:
    """Returns the size of a set in force; 0: there is none."""

def exported(table: Table, number: int) -> bytes:
    """Returns a set in force as `build` makes it, in the format FORMAT; b"": there is none."""

BLOCKS_MAX: int

class BlockRow(NamedTuple):
    """One blocked network; times are CLOCK_MONOTONIC, until_ms None for good."""

    source: str
    since_ms: int
    until_ms: int | None
    by: str  # admin, or auto: the rule
    dry_run: bool

def write_blocks(table: Table, blocks: Sequence[BlockRow], refusal: str) -> None:
    """Returns the blocked sources, oldest first."""

def blocks(table: Table) -> list[BlockRow]:
    """The blocked sources, oldest first."""
