"""Caches and what they keep, as l4lb/native/cache gives them."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# enum l4_cache_result
RESULTS = ("-", "hit", "miss", "expired", "revalidated", "updating", "stale", "bypass")
FROM_CACHE = ("hit", "revalidated", "updating", "stale")
NO_DISKS: Mapping[str, int] = {}


def mapped(fd: int, at: int, size: int) -> mmap.mmap:
    """Returns the memory of one cache. fd: the file with the memory of all caches."""
    return mmap.mmap(fd, size, offset=at)


class CacheRow(NamedTuple):
    """One cache in use. used: how often the row was given. at, size: its memory in the file of all
    caches."""

    row: int
    name: str
    used: int
    at: int
    size: int


class CacheTally(NamedTuple):
    """Counts of a cache's requests, over all workers. results: requests by what the cache did.
    stored, refused: answers that were kept, and that had no room. waited: requests that waited for
    another one's answer; in_vain: that then went to a backend. bytes_out: of bodies that were sent
    out of it. refreshed: answers that were asked for in the background. purged: answers that unsafe
    requests and purges by HTTP took out."""

    results: Mapping[str, int]
    stored: int
    refused: int
    waited: int
    in_vain: int
    bytes_out: int
    refreshed: int
    purged: int

    @property
    def requests(self) -> int:
        return sum(self.results.values())

    @property
    def hits(self) -> int:
        """Requests that were answered from the cache."""
        return sum(self.results[word] for word in FROM_CACHE)


class Room(NamedTuple):
    """What lies in the memory of a cache. bytes_used: of all answers, with those that are not used
    any more and not written over yet. evicted: answers that had to leave for others."""

    bytes_used: int
    evicted: int


class Disk(NamedTuple):
    """Counts of a cache's files. used: bytes of all of them; None: they are not counted yet. reads:
    answers that were found there. error: errno of the last of the errors."""

    used: int | None
    reads: int
    writes: int
    errors: int
    error: int


class Kept(NamedTuple):
    """One answer that is kept. left_s: of the time for which it is fresh; negative: stale since
    then. purged: it may only be used until a new one has come (soft purge). vary: what the request
    said in the fields that the answer's Vary names. uses: up to 3 are counted."""

    status: int
    body_bytes: int
    age_s: int
    left_s: int
    purged: bool
    uses: int
    vary: str
    tags: str


class KeyRules(NamedTuple):
    """By what a cache tells requests apart. parts: of a URL, a sum of KEY_PARTS. ignored: names of
    arguments; cookies: names of cookies. purge: the method that purges; empty: none
    does. collapses: whether requests wait for each other's answers."""

    parts: int
    ignored: Sequence[bytes]
    cookies: Sequence[bytes]
    purge: bytes
    collapses: bool


class Asked(NamedTuple):
    """What a request lets a cache do. may_answer: the cache may answer it. fetches: the answer may
    be kept. only: no backend may be asked (only-if-cached)."""

    may_answer: bool
    fetches: bool
    only: bool


class Found(NamedTuple):
    """What a request would get of a cache. place: "memory" or "disk". use: what the cache would do
    (one of RESULTS): "hit", "updating" or "expired"."""

    kept: Kept
    place: str
    use: str
