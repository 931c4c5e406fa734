"""The values of the metrics of caches; cache_names.py has their names."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.metrics.exposition import Scrape
from l4lb.native import cache
from l4lb.native.caches import Disk, mapped
from l4lb.native.table import Table


def add(scrape: Scrape, table: Table, fd: int, disks: Mapping[str, int]) -> None:
    """Adds the samples of all caches. fd: their memory. disks: the bytes of their disks, by
    name."""
    for row in cache.rows(table):
        tally = cache.tally(table, row.name)
        with mapped(fd, row.at, row.size) as area:
            room, disk = cache.room(area), cache.disk(area)
        for result, count in tally.results.items():
            scrape.add("l4lb_cache_requests_total", count, row.name, result)
        scrape.add("l4lb_cache_bytes_total", tally.bytes_out, row.name)
        scrape.add("l4lb_cache_stored_total", tally.stored, row.name)
        scrape.add("l4lb_cache_refused_total", tally.refused, row.name)
        scrape.add("l4lb_cache_evictions_total", room.evicted, row.name)
        scrape.add("l4lb_cache_waits_total", tally.waited - tally.in_vain, row.name, "answered")
        scrape.add("l4lb_cache_waits_total", tally.in_vain, row.name, "in_vain")
        scrape.add("l4lb_cache_refreshes_total", tally.refreshed, row.name)
        scrape.add("l4lb_cache_purged_total", tally.purged, row.name)
        objects = cache.objects(fd, row.at, row.size)
        if objects is not None:
            scrape.add("l4lb_cache_objects", objects, row.name)
        scrape.add("l4lb_cache_used_bytes", room.bytes_used, row.name)
        scrape.add("l4lb_cache_memory_bytes", row.size, row.name)
        if row.name in disks:
            _add_disk(scrape, row.name, disks[row.name], disk)


def _add_disk(scrape: Scrape, name: str, size: int, disk: Disk) -> None:
    if disk.used is not None:
        scrape.add("l4lb_cache_disk_used_bytes", disk.used, name)
    scrape.add("l4lb_cache_disk_size_bytes", size, name)
    scrape.add("l4lb_cache_disk_reads_total", disk.reads, name)
    scrape.add("l4lb_cache_disk_writes_total", disk.writes, name)
    scrape.add("l4lb_cache_disk_errors_total", disk.errors, name)
