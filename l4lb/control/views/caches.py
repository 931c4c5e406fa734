"""Caches as operators see them, and what they keep."""

from __future__ import annotations

import contextlib
import mmap
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from l4lb.errors import AdminError
from l4lb.native import cache as native
from l4lb.native import cached
from l4lb.native.caches import NO_DISKS, CacheRow, Kept, mapped
from l4lb.native.table import Table

Map = dict[str, Any]
_GUEST = threading.Lock()  # why: this process is one reader of a cache, and views run in threads


def caches(
    table: Table, fd: int, only: str | None = None, disks: Mapping[str, int] = NO_DISKS
) -> list[Map]:
    """Returns one map for each cache in force, or for the one that is named. fd: their memory.
    disks: the bytes of their disks, by name."""
    rows = [row for row in native.rows(table) if only in (None, row.name)]
    return [_cache(table, fd, row, disks.get(row.name)) for row in rows]


def _cache(table: Table, fd: int, row: CacheRow, disk_size: int | None) -> Map:
    tally = native.tally(table, row.name)
    with mapped(fd, row.at, row.size) as area:
        room = native.room(area)
        disk = native.disk(area) if disk_size is not None else None
    asked = tally.requests - tally.results["bypass"]
    return {
        "cache": row.name,
        "memory_bytes": row.size,
        "objects": native.objects(fd, row.at, row.size),
        "used_bytes": room.bytes_used,
        "requests": tally.requests,
        "hit_ratio": round(tally.hits / asked, 4) if asked else None,
        "hits": tally.hits,
        "misses": asked - tally.hits,
        "stored": tally.stored,
        "evicted": room.evicted,
        "refused": tally.refused,
        "waited": tally.waited,
        "waited_in_vain": tally.in_vain,
        "refreshed": tally.refreshed,
        "purged": tally.purged,
        "bytes_out": tally.bytes_out,
        "results": tally.results,
        "disk_bytes": disk and disk.used,
        "disk_size": disk_size,
        "disk_reads": disk and disk.reads,
        "disk_writes": disk and disk.writes,
        "disk_errors": disk and disk.errors,
    }


@contextlib.contextmanager
def looked_at(fd: int, row: CacheRow) -> Iterator[tuple[mmap.mmap, mmap.mmap]]:
    """Yields the purges and the memory of a cache, to be looked at. Raises AdminError."""
    with mapped(fd, row.at, row.size) as area, mmap.mmap(fd, native.BANS_BYTES) as purges, _GUEST:
        try:
            yield purges, area
        except ValueError as error:
            raise AdminError("internal", f"cache {row.name}: {error}") from None


def kept(table: Table, fd: int, url: str, keys: Iterable[Mapping[str, Any]]) -> Map:
    """Returns what caches keep of a URL. keys: its key in each cache. Raises AdminError."""
    rows = {row.name: row for row in native.rows(table)}
    answers: list[Map] = []
    variants: list[Map] = []
    for one in keys:
        row, key = rows.get(str(one["cache"])), one["key"]
        if row is None:
            continue  # a reload has removed it meanwhile
        now_s = int(time.time())
        with looked_at(fd, row) as (purges, area):
            found = cached.kept(table, purges, area, row.row, key, now_s)
            on_disk, fields = cached.on_disk(table, purges, area, row.row, key, now_s)
        answers += [_answer(row.name, "memory", answer) for answer in found]
        if on_disk is not None and on_disk.vary not in [answer.vary for answer in found]:
            answers.append(_answer(row.name, "disk", on_disk))
        if fields:
            variants.append({"cache": row.name, "vary": fields})
    return {"url": url, "answers": answers} | ({"variants_on_disk": variants} if variants else {})


def _answer(cache: str, place: str, answer: Kept) -> Map:
    return {
        "cache": cache,
        "status": answer.status,
        "body_bytes": answer.body_bytes,
        "age_s": answer.age_s,
        "fresh_for_s": answer.left_s,
        "state": "purged" if answer.purged else "fresh" if answer.left_s > 0 else "stale",
        "place": place,
        "uses": answer.uses,
        "vary": answer.vary.splitlines(),
        "tags": answer.tags,
    }
