"""Caches as operators see them, and what they keep."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from l4lb.errors import AdminError
from l4lb.native import cache as native
from l4lb.native.caches import NO_DISKS, CacheRow, mapped
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


def kept(table: Table, fd: int, url: str, keys: Iterable[Mapping[str, Any]]) -> Map:
    """Returns what caches keep of a URL. keys: its key in each cache. Raises AdminError."""
    rows = {row.name: row for row in native.rows(table)}
    found = []
    for one in keys:
        row, key = rows.get(str(one["cache"])), one["key"]
        if row is None:
            continue  # a reload has removed it meanwhile
        area = mapped(fd, row.at, row.size)
        with area, mmap.mmap(fd, native.BANS_BYTES) as purges, _GUEST:
            try:
                answers = native.kept(table, purges, area, row.name, key, int(time.time()))
            except ValueError as error:
                raise AdminError("internal", f"cache {row.name}: {error}") from None
        found += [
            {
                "cache": row.name,
                "status": answer.status,
                "body_bytes": answer.body_bytes,
                "age_s": answer.age_s,
                "fresh_for_s": answer.left_s,
                "state": "purged" if answer.purged else "fresh" if answer.left_s > 0 else "stale",
                "uses": answer.uses,
                "vary": answer.vary.splitlines(),
                "tags": answer.tags,
            }
            for answer in answers
        ]
    return {"url": url, "answers": found}
