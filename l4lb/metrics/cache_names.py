"""The names of the metrics of caches, a part of the list in names.py."""

from __future__ import annotations

from l4lb.metrics.metric import Metric

CACHE = ("cache",)

CACHES = (
    Metric(
        "l4lb_cache_requests_total",
        "counter",
        "HTTP requests that had a cache, by what it did.",
        ("cache", "result"),
    ),
    Metric(
        "l4lb_cache_bytes_total",
        "counter",
        "Bytes of bodies that were sent out of the cache.",
        CACHE,
    ),
    Metric("l4lb_cache_stored_total", "counter", "Answers that were kept.", CACHE),
    Metric(
        "l4lb_cache_refused_total",
        "counter",
        "Answers that could be kept and had no room.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_evictions_total",
        "counter",
        "Answers that had to leave for others.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_waits_total",
        "counter",
        "Requests that waited for the answer to another one: answered, or in_vain.",
        ("cache", "result"),
    ),
    Metric(
        "l4lb_cache_refreshes_total",
        "counter",
        "Answers that were asked for anew in the background.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_purged_total",
        "counter",
        "Answers that requests with an unsafe or the purging method took out.",
        CACHE,
    ),
    Metric("l4lb_cache_objects", "gauge", "Answers in memory.", CACHE),
    Metric("l4lb_cache_used_bytes", "gauge", "Bytes of the answers in memory.", CACHE),
    Metric("l4lb_cache_memory_bytes", "gauge", "Memory of the cache.", CACHE),
    Metric(
        "l4lb_cache_disk_used_bytes",
        "gauge",
        "Bytes of the files on the cache's disk. Absent until they are counted.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_disk_size_bytes",
        "gauge",
        "Bytes that the files on the cache's disk may take.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_disk_reads_total",
        "counter",
        "Answers that were taken from the disk.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_disk_writes_total",
        "counter",
        "Answers that were written to the disk.",
        CACHE,
    ),
    Metric(
        "l4lb_cache_disk_errors_total",
        "counter",
        "Attempts to read or write the disk that failed.",
        CACHE,
    ),
)
