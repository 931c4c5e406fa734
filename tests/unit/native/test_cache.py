"""Caches by their native door: keys of URLs, the memory of an empty cache, words of results."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.native import cache, cached
from l4lb.native.caches import RESULTS, Room, mapped
from l4lb.native.table import Table

TOP = Path(__file__).parents[3]
ALL = sum(cache.KEY_PARTS.values())


def key(path: bytes, query: bytes | None = None, *, parts: int = ALL, ignored: str = "") -> bytes:
    names = [name.encode() for name in ignored.split()]
    return cache.key(b"http", b"a.example", path, query, parts, names)


@pytest.fixture
def area() -> Iterator[mmap.mmap]:
    """The memory of an empty cache of two workers."""
    size = cache.memory_bytes(4 << 20, 2, 1 << 16)
    with mmap.mmap(-1, size) as memory:
        cache.make(memory, 4 << 20, 2, 1 << 16)
        yield memory


def test_a_key_has_the_parts_that_its_rules_name() -> None:
    assert key(b"/a", b"b=c") == b"http://a.example/a?b=c"
    assert key(b"/a", parts=cache.KEY_PARTS["host"]) == b"://a.example/a"
    assert key(b"/a", b"b=c", parts=0) == b":///a"


def test_arguments_that_are_ignored_are_not_in_the_key() -> None:
    found = key(b"/a", b"utm_source=x&b=c&fbclid=1", ignored="utm_* fbclid")
    assert found == b"http://a.example/a?b=c"
    assert key(b"/a", b"utm_source=x", ignored="utm_*") == key(b"/a", ignored="utm_*")


def test_a_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8192 bytes"):
        key(b"/" + b"a" * 8192)


def test_objects_are_counted_in_the_file_of_all_caches() -> None:
    with open(os.memfd_create("caches"), "r+b") as file:
        size = cache.memory_bytes(4 << 20, 2, 1 << 16)
        os.ftruncate(file.fileno(), 4096 + size)
        assert cache.objects(file.fileno(), 4096, size) is None
        with mapped(file.fileno(), 4096, size) as memory:
            cache.make(memory, 4 << 20, 2, 1 << 16)
        assert cache.objects(file.fileno(), 4096, size) == 0
        assert cache.objects(file.fileno(), 0, size) is None
        assert cache.objects(file.fileno(), 4096, size // 2) is None
    assert cache.objects(-1, 0, size) is None


def test_a_cache_that_was_just_made_is_empty(area: mmap.mmap) -> None:
    assert cache.room(area) == Room(0, 0)
    cache.forget(area, cache.GUEST)
    with mmap.mmap(-1, cache.BANS_BYTES) as purges:
        cache.begin_bans(purges)
        assert cached.kept(Table((2, 1, 1, 1, 1)), purges, area, 0, key(b"/a"), 0) == []
        for kind in cache.BANS:
            cache.purge(purges, "pages", kind, b"x", soft=False)


def test_memory_that_is_none_of_a_cache_is_refused() -> None:
    with mmap.mmap(-1, 1 << 20) as memory:
        with pytest.raises(ValueError, match="does not fit"):
            cache.make(memory, 4 << 20, 2, 1 << 16)
        with pytest.raises(ValueError, match="cannot be read"):
            cached.kept(Table((2, 1, 1, 1, 1)), memory, memory, 0, b"x", 0)
    with mmap.mmap(-1, 4096) as small, pytest.raises(ValueError, match="no memory of a cache"):
        cache.room(small)
    with mmap.mmap(-1, 4096) as small, pytest.raises(IndexError):
        cache.forget(small, cache.GUEST + 1)


def test_the_words_of_results_are_those_of_the_header() -> None:
    text = (TOP / "csrc/shm/cache.h").read_text()
    words = re.findall(r'^    X\([A-Z]+, "([-a-z]+)"\)', text, re.MULTILINE)
    assert tuple(words) == RESULTS


def test_counts_of_a_cache_nobody_asked_are_zero() -> None:
    tally = cache.tally(Table((2, 1, 1, 1, 1)), "pages")
    assert (tally.requests, tally.hits, tally.stored) == (0, 0, 0)
    assert tally.results == dict.fromkeys(RESULTS[1:], 0)
