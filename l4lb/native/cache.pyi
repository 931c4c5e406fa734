"""Caches: their rows in the shared table, and the memory of one; see cache.pyx and
csrc/cache/layout.h."""

from collections.abc import Iterable, Mapping, Sequence
from mmap import mmap

from l4lb.native.caches import CacheRow, CacheTally, Disk, Room
from l4lb.native.table import Table

CACHES_MAX: int
BANS: Mapping[str, int]  # what can be purged
GUEST: int  # the reader that is no worker
BANS_MAX: int  # purges that are remembered
DISK_FOLDERS: int  # in the folder of a cache on disk
BANS_BYTES: int  # of the purges, which the file with all memory begins with
KEY_PARTS: Mapping[str, int]

def put(
    table: Table,
    index: int,
    *,
    name: str,
    at: int,
    size: int,
    used: int,
    disk_fd: int = 0,
    disk_key: bytes = b"",
    disk_size: int = 0,
    disk_max_object: int = 0,
    **values: object,
) -> None:
    """Writes the rules of a cache. Its memory is ready. size: its bytes. used: how
    often the row was given. disk_fd: its folder as workers have it open; 0: none. disk_key: the
    secret of the names there. disk_size, disk_max_object: bytes of all files, and of one."""

def clear(table: Table, index: int) -> None:
    """Marks a row that no configuration needs any more."""

def rows(table: Table) -> list[CacheRow]:
    """Returns the caches in use, in the order of their rows."""

def tally(table: Table, name: str) -> CacheTally:
    """Returns the counts of a cache over all workers, those of its earlier rows included."""

def exported(table: Table, name: str) -> list[int]:
    """Returns the counts of a cache as plain numbers, for `book`."""

def book(table: Table, index: int, numbers: Sequence[int]) -> None:
    """Adds counts that `exported` has written to the supervisor's own of a row."""

def move_counts(table: Table, index: int, to: int | None) -> None:
    """Takes the counts of a row that no worker has open away, for another cache: to another row of
    the same cache, or nowhere (None)."""

def name_of(table: Table, index: int) -> str:
    """Returns the name of the cache that a row has or had."""

def is_open(table: Table, index: int, used: int) -> bool:
    """Returns whether a worker has the memory of a row open that was given so often."""

def closed(table: Table, worker: int) -> None:
    """Notes that a worker has ended, and with it what it had open."""

def begin_bans(
    area: mmap,
    epoch: int = 1,
    floor: int = 0,
    rows: Iterable[tuple[int, int, int, int, int, bool]] = (),
) -> None:
    """Begins the list of purges in a buffer of BANS_BYTES zeros. epoch: larger than that of every
    list before it. floor: the stamp of the last purge that is forgotten. rows: purges of lists
    before it, as bans_of gives them, at most BANS_MAX, by their stamps."""

def bans_epoch(area: mmap) -> int:
    """Returns the epoch of a list of purges."""

def bans_of(area: mmap, name: str) -> list[tuple[int, int, int, int, int, bool]]:
    """Returns the purges of a cache, oldest first: stamp, hash of the cache's name, kind, hash and
    bytes of the text that is meant, soft."""

def bans_are_known(area: mmap) -> bool:
    """Returns whether a buffer has a list of purges of this form."""

def share_bans(area: mmap, shared: bool) -> None:
    """Says whether an older program's workers serve, too: then each purge must reach both
    programs' caches."""

def purge(area: mmap, name: str, kind: str, text: bytes, soft: bool) -> None:
    """Takes out of a cache what a purge means (a key of BANS). area: the list of purges. soft: it
    is stale instead."""

def punch(fd: int, at: int, size: int) -> None:
    """Gives the memory of a part of a memory file back. Raises OSError."""

def memory_bytes(memory: int, logs: int, object_max: int) -> int:
    """Returns the bytes that a cache of this memory takes with its index; 0: object_max does not
    fit. logs: how many workers store."""

def make(area: mmap, memory: int, logs: int, object_max: int) -> None:
    """Makes an empty cache in a buffer of zeros that has memory_bytes."""

def forget(area: mmap, reader: int) -> None:
    """Forgets what a dead worker (or GUEST) read and fetched; what it stored stays."""

def room(area: mmap) -> Room:
    """Returns what lies in a cache's memory."""

def objects(fd: int, at: int, size: int) -> int | None:
    """Returns how many objects a cache has at this moment; None if its memory cannot be read. fd:
    the file of all caches. at, size: the cache's part of it."""

def disk(area: mmap) -> Disk:
    """Returns the counts of a cache's files."""

def disk_set_used(area: mmap, size: int) -> None:
    """Says how many bytes all files have: from now on workers write."""

def disk_add_used(area: mmap, delta: int) -> None:
    """Adds to the bytes of all files."""

def disk_take_pending(area: mmap, folder: int) -> int:
    """Returns how many bytes workers have written to a folder, less what they gave up there, since
    the last call. They are a part of the bytes of all files already."""

def key(
    scheme: bytes,
    host: bytes,
    path: bytes,
    query: bytes | None,
    parts: int,
    ignored: Iterable[bytes],
) -> bytes:
    """Returns the key of a URL. query: None if there is none. parts: a sum of KEY_PARTS. ignored:
    names of arguments. Raises ValueError if it is too long."""
