"""What caches keep, as operators see it: of a URL, and for a request; see cached.pyx. One thread of
one process may look at one time: it is the reader GUEST of a cache's memory."""

from mmap import mmap

from l4lb.native.caches import Asked, Found, Kept, KeyRules
from l4lb.native.table import Table

def rules(table: Table, index: int) -> KeyRules:
    """Returns by what the cache of this row tells requests apart."""

def asked(head: bytes) -> Asked:
    """Returns what a request with this head lets a cache do. Raises ValueError if it is no head."""

def kept(
    table: Table, purges: mmap, area: mmap, index: int, wanted: bytes, now_s: int
) -> list[Kept]:
    """Returns the answers of a key in the memory of a row's cache. purges: the list of purges.
    now_s: seconds since 1970. Raises ValueError if the memory cannot be read; all below do."""

def on_disk(
    table: Table, purges: mmap, area: mmap, index: int, wanted: bytes, now_s: int
) -> tuple[Kept | None, list[str] | None]:
    """Returns the answer of a key on the disk of a row's cache, or None. If answers are told apart
    there by what requests say, it is the one that was written first. Then the names of the fields
    follow; else None."""

def found(
    table: Table,
    purges: mmap,
    area: mmap,
    index: int,
    wanted: bytes,
    head: bytes,
    pool: str,
    route: int | None,
    now_s: int,
) -> Found | None:
    """Returns what a request with this head would get, or None. pool: the name of the pool that
    would answer it; route: the slot of its route, or None. Raises ValueError if it is no head."""

def is_fetched(
    table: Table, purges: mmap, area: mmap, index: int, wanted: bytes, now_s: int
) -> bool:
    """Returns whether a worker fetches a key at this moment, for others to wait."""
