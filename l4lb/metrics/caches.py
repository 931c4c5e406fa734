"""The metrics of caches."""

from __future__ import annotations

from l4lb.metrics.exposition import Scrape
from l4lb.native import cache
from l4lb.native.caches import mapped
from l4lb.native.table import Table


def add(scrape: Scrape, table: Table, fd: int) -> None:
    """Adds the samples of all caches. fd: their memory."""
    for row in cache.rows(table):
        tally = cache.tally(table, row.name)
        with mapped(fd, row.at, row.size) as area:
            room = cache.room(area)
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
        scrape.add("l4lb_cache_used_bytes", room.bytes_used, row.name)
        scrape.add("l4lb_cache_memory_bytes", row.size, row.name)
