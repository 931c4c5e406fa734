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
    """A line of a list is no network; args: set, which of its lists (index), line (from 1)."""

def rebuild(
    table: Table,
    changed: Mapping[int, Sequence[tuple[bytes, int]]],
    kept: Iterable[int],
    ready: Mapping[int, tuple[int, int, int]] | None = None,
) -> None:
    """Replaces all sets at once: those of `changed`, a map from set to lists, are built anew; those
    of `ready`, a map from set to (descriptor, offset, size), are copied from where `build` has made
    them; those of `kept` stay. A list is (text, value): networks, one a line.

    Raises BadLineError, MemoryError or OverflowError (too many): then nothing has changed."""

def build(memory: mmap.mmap, at: int, lists: Sequence[tuple[bytes, int]]) -> int:
    """Builds a set of these lists into memory, from an offset on; returns its bytes. Raises as
    rebuild does."""

def release(table: Table) -> None:
    """Gives the memory of the half that is not in force back: some time after a rebuild."""

def find(table: Table, number: int, address: str) -> int:
    """The value of an IP address in a set; 0: none."""

def set_bytes(table: Table, number: int) -> int:
    """How large a set in force is; 0: there is none."""

def exported(table: Table, number: int) -> bytes:
    """A set in force as `build` makes one, in the form FORMAT; b"": there is none."""

BLOCKS_MAX: int

class BlockRow(NamedTuple):
    """One blocked network; times are CLOCK_MONOTONIC, until_ms None for good."""

    source: str
    since_ms: int
    until_ms: int | None
    by: str  # admin, or auto: the rule
    dry_run: bool

def write_blocks(table: Table, blocks: Sequence[BlockRow], refusal: str) -> None:
    """The blocked sources, in place of those before: at most BLOCKS_MAX, oldest first, and what is
    done with their clients. The sets are in force; all listeners look from now on."""

def blocks(table: Table) -> list[BlockRow]:
    """The blocked sources, oldest first."""
