"""Turns the shared table into metrics when they are asked for; nothing is kept in between.

Counters are sums over all workers' columns, which outlive the workers, so no counter falls when a
worker is replaced. Exactly the metrics of names.py come out.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from l4lb.metrics import caches, forward, http, packets, records, shield
from l4lb.metrics.exposition import (
    OPENMETRICS,
    TEXT,
    Scrape,
    labelled,
    prefers_openmetrics,
    sample,
)  # fmt: skip
from l4lb.metrics.http import REJECTED, TURNED_AWAY
from l4lb.metrics.processes import Usage, usages
from l4lb.native import egress, listener_policy, session_stats, tls, udp
from l4lb.native.caches import NO_DISKS
from l4lb.native.rows import OUT, BackendRow, PoolRow, WorkerRow
from l4lb.native.table import Table
from l4lb.native.tls_rows import Handshakes

PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
US = 1e6
OF_REQUESTS = ("request", "answer")  # measures of HTTP: a pool without requests has none
# Reasons why a client without a session gets none; only its datagram is counted.
UDP_REFUSED = ("denied", "source_port", "source_sessions", "udp_sessions", "overload", "draining")


@dataclass(frozen=True)
class About:
    """Facts that are not in the table. started_s is Unix time; now_ms returns CLOCK_MONOTONIC."""

    version: str
    started_s: float
    stale_heartbeat_ms: int
    now_ms: Callable[[], int] = field(default=lambda: time.monotonic_ns() // 1_000_000)
    usages: Callable[[], Iterable[Usage]] = usages


def _bounds(measure: str, unit: int | float) -> tuple[str, ...]:
    return tuple(str(float(bound / unit)) for bound in session_stats.bounds(measure))


BACKEND_METRICS = (
    "l4lb_backend_up", "l4lb_backend_ready", "l4lb_backend_weight",
    "l4lb_backend_connections_active", "l4lb_backend_connections_total",
    "l4lb_backend_connect_errors_total", "l4lb_backend_resets_total",
    "l4lb_backend_response_seconds",
)  # fmt: skip
TIMES, BYTES = _bounds("session", US), _bounds("bytes_in", 1)
HISTOGRAMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("connect", "l4lb_connect_seconds", ()),
    ("first_byte", "l4lb_first_byte_seconds", ()),
    ("session", "l4lb_session_seconds", ()),
    ("queue", "l4lb_queue_seconds", ()),
    ("request", "l4lb_request_seconds", ()),
    ("answer", "l4lb_request_first_byte_seconds", ()),
    ("client_rtt", "l4lb_tcp_rtt_seconds", ("client",)),
    ("backend_rtt", "l4lb_tcp_rtt_seconds", ("backend",)),
    ("bytes_in", "l4lb_session_bytes", ("in",)),
    ("bytes_out", "l4lb_session_bytes", ("out",)),
)


def _add(to: dict[tuple[str, str], Handshakes], key: tuple[str, str], counts: Handshakes) -> None:
    known = to.get(key)
    if known is not None:
        counts = Handshakes(
            known.full + counts.full, known.resumed + counts.resumed, known.failed + counts.failed,
            known.now + counts.now, counts.why,
        )  # fmt: skip
    to[key] = counts


class Collector:
    """Reads the table. cache_fd: the memory of all caches. disks: the bytes of their disks, by
    name. policy_fd, record_fd, shield_fd, packets_fd: the tallies of the policy process, of
    the recorder, of the shield and of the packet path."""

    def __init__(
        self,
        table: Table,
        about: About,
        cache_fd: int = -1,
        disks: Mapping[str, int] = NO_DISKS,
        policy_fd: int = -1,
        record_fd: int = -1,
        shield_fd: int = -1,
        packets_fd: int = -1,
    ) -> None:
        self._table = table
        self._about = about
        self._cache_fd = cache_fd
        self._disks = disks
        self._policy_fd = policy_fd
        self._record_fd = record_fd
        self._shield_fd = shield_fd
        self._packets_fd = packets_fd

    def collect(self, certificates: Iterable[Mapping[str, Any]] = ()) -> Scrape:
        """Returns all present samples. certificates: rows of `admin certs`."""
        scrape = Scrape()
        backends = self._table.backends()
        self._service(scrape)
        self._listeners(scrape)
        self._tls(scrape)
        days = {(row["of"], row["file"]): row["days_left"] for row in certificates}
        for (of, file), left in days.items():
            scrape.add("l4lb_certificate_days_left", left, of, file)
        self._datagrams(scrape)
        self._backends(scrape, backends)
        self._pools(scrape, backends)
        http.add(scrape, self._table, backends)
        caches.add(scrape, self._table, self._cache_fd, self._disks)
        forward.add(scrape, self._policy_fd)
        records.add(scrape, self._record_fd)
        shield.add(scrape, self._shield_fd)
        packets.add(scrape, self._packets_fd)
        self._workers(scrape, self._table.workers())
        for one in self._about.usages():
            labels = (one.process, one.worker, str(one.pid))
            scrape.add("l4lb_process_cpu_seconds", one.cpu_seconds, *labels)
            scrape.add("l4lb_process_resident_memory_bytes", one.resident_bytes, *labels)
            if one.fds is not None:
                scrape.add("l4lb_process_open_fds", one.fds, *labels)
        return scrape

    def render(
        self, accept: str, certificates: Iterable[Mapping[str, Any]] = ()
    ) -> tuple[bytes, str]:
        """Returns the answer to a scrape and its content type. accept: the request's header."""
        scrape = self.collect(certificates)
        if prefers_openmetrics(accept):
            return scrape.openmetrics().encode(), OPENMETRICS
        return scrape.text().encode(), TEXT

    def _service(self, scrape: Scrape) -> None:
        table, about = self._table, self._about
        scrape.add("l4lb_build_info", 1, about.version)
        scrape.add("l4lb_start_time_seconds", about.started_s)
        scrape.add("l4lb_config_generation", table.generation)
        scrape.add("l4lb_clients", table.connections)
        scrape.add("l4lb_clients_limit", table.max_connections)
        scrape.add("l4lb_local_ports_exhausted_total", listener_policy.portless(table))
        if table.checker_beat_ms:
            age_ms = about.now_ms() - table.checker_beat_ms
            scrape.add("l4lb_checker_heartbeat_age_seconds", age_ms / 1000)
            scrape.add("l4lb_checker_up", int(age_ms <= about.stale_heartbeat_ms))
        else:
            scrape.add("l4lb_checker_up", 0)
        written, lost, failures, dropped = session_stats.log_counts(table)
        scrape.add("l4lb_access_log_lines_total", written)
        scrape.add("l4lb_access_log_dropped_total", dropped + lost)
        scrape.add("l4lb_access_log_failures_total", failures)

    def _listeners(self, scrape: Scrape) -> None:
        """Adds listeners. Several bound addresses may have one listener's name; their numbers are
        added up."""
        active: dict[str, int] = {}
        accepted: dict[str, int] = {}
        ended: dict[str, dict[str, int]] = {}
        for row in self._table.listeners():
            active[row.name] = active.get(row.name, 0) + row.active
            accepted[row.name] = accepted.get(row.name, 0) + row.accepted
            ends = ended.setdefault(row.name, dict.fromkeys(TURNED_AWAY, 0))
            for reason, count in session_stats.ends(self._table, row.index).items():
                ends[reason] = ends.get(reason, 0) + count
        for name, ends in ended.items():
            scrape.add("l4lb_connections_active", active[name], name)
            scrape.add("l4lb_connections_total", accepted[name], name)
            for reason, count in ends.items():
                scrape.add("l4lb_sessions_ended_total", count, name, reason)
                if reason in TURNED_AWAY or reason.startswith(REJECTED):
                    why = reason.removeprefix(REJECTED)
                    scrape.add("l4lb_rejected_total", count, name, why)

    def _tls(self, scrape: Scrape) -> None:
        """Adds TLS of listeners and pools; several rows may have one name."""
        ends: dict[str, int] = {}
        handshakes: dict[tuple[str, str], Handshakes] = {}
        for row in self._table.listeners():
            end_s = tls.listener_end(self._table, row.index)
            if end_s is not None:
                ends[row.name] = end_s
                counts = tls.listener_handshakes(self._table, row.index)
                _add(handshakes, ("listener", row.name), counts)
        for pool in self._table.pools():
            if tls.pool_has_tls(self._table, pool.index):
                _add(handshakes, ("pool", pool.name), tls.pool_handshakes(self._table, pool.index))
        for name, end_s in ends.items():
            scrape.add("l4lb_certificate_expiry_seconds", end_s, name)
        for (kind, name), counts in handshakes.items():
            metric = f"l4lb_tls_{'backend_' if kind == 'pool' else ''}handshakes_total"
            scrape.add(metric, counts.full, name, "full")
            scrape.add(metric, counts.resumed, name, "resumed")
            scrape.add(metric, counts.failed, name, "failed")

    def _datagrams(self, scrape: Scrape) -> None:
        scrape.add("l4lb_udp_sessions", udp.sessions(self._table))
        scrape.add("l4lb_udp_sessions_limit", udp.limit(self._table))
        sums: dict[tuple[str, str, str], int] = {}
        inside: dict[str, int] = {}
        for row in udp.tallies(self._table):
            inside[row.name] = inside.get(row.name, 0) + row.in_kernel
            counts = [
                ("l4lb_udp_datagrams_total", "in", row.datagrams_in),
                ("l4lb_udp_datagrams_total", "out", row.datagrams_out),
                ("l4lb_udp_session_changes_total", "evicted", row.evicted),
                ("l4lb_udp_session_changes_total", "moved", row.moved),
                ("l4lb_udp_session_changes_total", "adopted", row.adopted),
                ("l4lb_udp_session_changes_total", "handed_over", row.handed),
                ("l4lb_udp_session_changes_total", "kept", row.kept),
                *(("l4lb_udp_dropped_total", why, count) for why, count in row.dropped.items()),
                *(
                    ("l4lb_rejected_total", why, row.dropped[why])
                    for why in UDP_REFUSED
                    if row.dropped[why]
                ),
            ]
            for metric, label, count in counts:
                sums[metric, row.name, label] = sums.get((metric, row.name, label), 0) + count
        for (metric, name, label), count in sums.items():
            scrape.add(metric, count, name, label)
        for name, count in inside.items():
            scrape.add("l4lb_udp_sessions_in_kernel", count, name)

    def _backends(self, scrape: Scrape, rows: Iterable[BackendRow]) -> None:
        # why: a thousand backends are twelve thousand samples, so labels are formatted once.
        into = {name: scrape.lines_of(name) for name in BACKEND_METRICS}
        for row in rows:
            labels = labelled(("pool", "backend"), (row.pool, row.name))
            values = (
                int(row.health not in OUT), int(row.state == "ready"), row.weight, row.active,
                row.total, row.connect_errors, row.resets, row.response_us / US,
            )  # fmt: skip
            for name, value in zip(BACKEND_METRICS, values, strict=True):
                into[name].append(sample(name, labels, value))
            moved, checks = "l4lb_backend_bytes_total", "l4lb_health_checks_total"
            scrape.lines_of(moved).extend(
                (
                    sample(moved, f'{labels},direction="in"', row.bytes_in),
                    sample(moved, f'{labels},direction="out"', row.bytes_out),
                )
            )
            scrape.lines_of(checks).extend(
                (
                    sample(checks, f'{labels},result="passed"', row.checks_passed),
                    sample(checks, f'{labels},result="failed"', row.checks_failed),
                )
            )

    def _pools(self, scrape: Scrape, backends: Iterable[BackendRow]) -> None:
        members: dict[str, list[BackendRow]] = {}
        for row in backends:
            members.setdefault(row.pool, []).append(row)
        ports = local_ports()
        for pool in self._table.pools():
            mine = members.get(pool.name, [])
            usable = sum(row.is_usable for row in mine)
            scrape.add("l4lb_pool_connections_active", pool.active, pool.name)
            scrape.add("l4lb_pool_backends", len(mine), pool.name)
            scrape.add("l4lb_pool_backends_up", usable, pool.name)
            maximum = max((row.active for row in mine if not row.address.path), default=0)
            sources = egress.sources(self._table, pool.index) or ("any",)
            for source in sources:
                left = max(0, ports - maximum // len(sources))
                scrape.add("l4lb_source_ports_left", left, pool.name, source)
            self._measures(scrape, pool)

    def _measures(self, scrape: Scrape, pool: PoolRow) -> None:
        measured, retransmits, sampled = session_stats.ledger(self._table, pool.index)
        for measure, name, labels in HISTOGRAMS:
            bounds, unit = (TIMES, US) if name.endswith("_seconds") else (BYTES, 1.0)
            total, counts = measured[measure]
            if measure not in OF_REQUESTS or any(counts):
                scrape.add_histogram(name, (pool.name, *labels), bounds, counts, total / unit)
        for side, count in zip(("client", "backend"), retransmits, strict=True):
            scrape.add("l4lb_tcp_retransmits_total", count, pool.name, side)
        scrape.add("l4lb_tcp_sampled_sessions_total", sampled, pool.name)

    def _workers(self, scrape: Scrape, rows: list[WorkerRow]) -> None:
        for row in rows:
            name = str(row.index)
            scrape.add("l4lb_worker_up", int(row.pid != 0), name)
            scrape.add("l4lb_worker_connections_active", row.active + row.udp_active, name)
            scrape.add("l4lb_worker_connections_total", row.accepted, name)
            scrape.add("l4lb_worker_connections_lost_total", row.lost, name)
            scrape.add("l4lb_worker_restarts_total", row.restarts, name)
            scrape.add("l4lb_worker_paused", int(row.paused), name)
            scrape.add("l4lb_worker_capacity", row.capacity, name)
            scrape.add("l4lb_worker_turns_total", row.turns, name)
            left = descriptors_left(row.pid) if row.pid else None
            if left is not None:
                scrape.add("l4lb_worker_descriptors_left", left, name)
        scrape.add("l4lb_worker_skew_ratio", skew([row.active for row in rows if row.pid]))


def skew(active: list[int]) -> float:
    """Returns the maximum divided by the mean; 1 if there is nothing to compare."""
    return max(active) * len(active) / sum(active) if sum(active) else 1.0


def local_ports() -> int:
    """Returns the number of local ports that the kernel chooses from."""
    try:
        with open(PORT_RANGE) as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return 65_535
    return last - first + 1


def descriptors_left(pid: int) -> int | None:
    """Returns how many more files a process of this user can open; None if the kernel does not say.
    Since Linux 6.2 the size of the fd folder is their number (proc(5))."""
    with contextlib.suppress(OSError):
        size = os.stat(f"/proc/{pid}/fd").st_size
        if size:
            return max(0, resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] - size)
    return None
