# cython: language_level=3
"""Observability of sessions from Python: rules for what is recorded, and the access log's rings as
lines."""

import time

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.http_counts cimport route_number
from l4lb.native.table cimport Table
from l4lb.native.snapshots import reasons

cdef extern from "sys/socket.h":
    enum:
        AF_INET
        AF_INET6

SHARE_WHOLE = 65536


def set_measures(Table table, on):
    """Switches histograms on or off."""
    c.l4_table_stats(table.handle()).measures = 1 if on else 0


def set_log_rule(Table table, *, on, errors_only=False, share=SHARE_WHOLE, min_duration_ms=0):
    """Sets which ended sessions are logged; share is of 65536."""
    cdef c.l4_log_rule *rule = &c.l4_table_stats(table.handle()).log_rule
    rule.errors_only = 1 if errors_only else 0
    rule.share = share
    rule.min_duration_ms = min_duration_ms
    rule.on = 1 if on else 0


def log_counts(Table table):
    """Returns (written, lost, failures, dropped): lines written, lines that the writer lost, failed
    writes, and records that found no room in a ring."""
    cdef c.l4_stats *seen = c.l4_table_stats(table.handle())
    dropped = 0
    for worker in table._counted():
        dropped += c.l4_table_log(table.handle(), worker).ring.dropped
        dropped += c.l4_table_request_log(table.handle(), worker).ring.dropped
    return seen.log_written, seen.log_lost, seen.log_failures, dropped


STYLES = ("text", "json", "combined", "squid")


cdef uint16_t _to_query(const char *text, uint16_t size, uint16_t room) noexcept:
    """Returns how many bytes of a URL there are before its query. room: bytes that it may have,
    whatever a worker says."""
    cdef uint16_t at = 0
    while at < size and at < room and text[at] != b"?":
        at += 1
    return at


cdef class LogReader:
    """The only reader of the rings of ended sessions and of ended requests: it reads lines, and
    removes them when told to."""

    cdef Table table
    cdef str _style
    cdef uint64_t positions[c.L4_WORKERS_MAX]
    cdef uint64_t of_requests[c.L4_WORKERS_MAX]
    cdef dict names  # (serial, name) of each backend that was seen, by row
    cdef bint query
    cdef uint32_t mask4, mask6

    def __init__(self, Table table, *, style):
        self.table = table
        self.set_privacy(query=True, mask=(32, 128))
        self.style = style
        self.names = {}
        for worker in range(table.table.plan.caps.workers):
            self.positions[worker] = c.l4_table_log(table.handle(), worker).ring.tail
            self.of_requests[worker] = c.l4_table_request_log(table.handle(), worker).ring.tail

    @property
    def style(self):
        return self._style

    @style.setter
    def style(self, value):
        if value not in STYLES:
            raise ValueError(f"the access log has no format {value!r}")
        self._style = value

    def set_privacy(self, *, query, mask):
        """Sets what lines have: the queries of requests, and so many bits of a client's IPv4 or
        IPv6 address."""
        self.query = query
        self.mask4, self.mask6 = mask

    def read(self, limit):
        """Returns up to about `limit` lines of sessions and as many of requests, in the order of
        their ends. They stay in the rings until commit."""
        cdef uint32_t worker
        cdef int64_t offset_us = (time.time_ns() - time.monotonic_ns()) // 1000
        cdef uint32_t workers = c.l4_table_workers_high(&self.table.table)
        lines = []
        share = max(1, limit // max(1, workers))
        for worker in range(workers):
            self._read_sessions(worker, share, offset_us, lines)
            self._read_requests(worker, share, offset_us, lines)
        lines.sort()
        return [line for _, line in lines]

    cdef _read_sessions(self, uint32_t worker, share, int64_t offset_us, list lines):
        """Appends lines of ended sessions, each after the time of its end."""
        cdef c.l4_outcome outcome
        cdef const c.l4_client_info *told
        cdef c.l4_log *log = c.l4_table_log(self.table.handle(), worker)
        for _ in range(share):
            if not c.l4_ring_peek(&log.ring, log.outcomes, &self.positions[worker], &outcome,
                                  sizeof(outcome), c.L4_LOG_PLACES):
                break
            self._mask(&outcome.client)
            told = NULL
            if outcome.told:
                told = &log.told[(self.positions[worker] - 1) & (c.L4_LOG_PLACES - 1)]
            lines.append((outcome.ended_us, self._line(&outcome, told, worker, offset_us)))

    cdef _read_requests(self, uint32_t worker, share, int64_t offset_us, list lines):
        cdef c.l4_request_end end
        cdef c.l4_request_log *log = c.l4_table_request_log(self.table.handle(), worker)
        for _ in range(share):
            if not c.l4_ring_peek(&log.ring, log.ends, &self.of_requests[worker], &end,
                                  sizeof(end), c.L4_REQUEST_PLACES):
                break
            lines.append((end.ended_us, self._of_request(&end, worker, offset_us)))

    def line_of(self, uint32_t worker, bytes end):
        """Returns the line of a request that a worker has told the recorder of. end: its struct
        l4_request_end. Raises ValueError."""
        cdef c.l4_request_end row
        cdef int64_t offset_us = (time.time_ns() - time.monotonic_ns()) // 1000
        if len(end) != sizeof(row):
            raise ValueError("that is no end of a request")
        memcpy(&row, <char *>end, sizeof(row))
        return self._of_request(&row, worker, offset_us)

    cdef object _of_request(self, c.l4_request_end *end, uint32_t worker, int64_t offset_us):
        """Returns the line of a request, without what is private."""
        self._mask(&end.client)
        self._mask(&end.peer)
        if not self.query:
            end.text.target_bytes = _to_query(
                end.text.target, end.text.target_bytes, c.L4_REQUEST_TARGET_MAX)
            end.text.referer_bytes = _to_query(
                end.text.referer, end.text.referer_bytes, c.L4_REQUEST_REFERER_MAX)
        return self._request_line(end, worker, offset_us)

    def commit(self, written, *, lost=0):
        """Removes the lines that were read from the rings. written, lost: their numbers for the
        counts."""
        cdef c.l4_stats *seen = c.l4_table_stats(self.table.handle())
        for worker in range(c.l4_table_workers_high(&self.table.table)):
            c.l4_ring_release(&c.l4_table_log(self.table.handle(), worker).ring,
                              self.positions[worker])
            c.l4_ring_release(&c.l4_table_request_log(self.table.handle(), worker).ring,
                              self.of_requests[worker])
        seen.log_written += written
        seen.log_lost += lost

    def failed(self):
        """Counts a write that failed."""
        c.l4_table_stats(self.table.handle()).log_failures += 1

    def still_open(self, since_ms, now_ms, every_ms, limit):
        """Returns at most `limit` lines of live sessions whose age became a multiple of every_ms
        after since_ms (CLOCK_MONOTONIC)."""
        cdef c.l4_session *row
        cdef c.l4_session copy
        cdef c.l4_outcome outcome
        cdef c.l4_client_info told
        cdef uint32_t serial
        cdef int64_t offset_us = (time.time_ns() - time.monotonic_ns()) // 1000
        lines = []
        for worker in range(c.l4_table_workers_high(&self.table.table)):
            for slot in self.table._slots(worker):
                row = c.l4_table_session(self.table.handle(), worker, slot)
                serial = row.serial
                if not serial or len(lines) >= limit:
                    continue
                memcpy(&copy, row, sizeof(copy))
                started_ms = copy.started_us // 1000
                if row.serial != serial or now_ms - started_ms < every_ms or \
                        (now_ms - started_ms) // every_ms == (since_ms - started_ms) // every_ms:
                    continue
                outcome = c.l4_account_describe(self.table.handle(), slot, &copy, now_ms * 1000)
                self._mask(&outcome.client)
                if slot < self.table.table.plan.caps.sessions:
                    outcome.told = c.l4_client_info_read(self.table.handle(), worker, slot,
                                                         &copy, &told)
                lines.append(self._line(&outcome, &told if outcome.told else NULL, worker,
                                        offset_us))
        return lines

    cdef void _mask(self, c.l4_addr *client) noexcept:
        """Clears the bits of an address that lines do not have."""
        cdef uint32_t bits = 0
        if client.family == AF_INET:
            bits = self.mask4
        elif client.family == AF_INET6:
            bits = self.mask6
        for i in range(4 if client.family == AF_INET else 16):
            if 8 * i >= bits:
                client.ip[i] = 0
            elif 8 * i + 8 > bits:
                client.ip[i] &= 0xff << (8 - bits % 8) & 0xff

    cdef object _line(self, const c.l4_outcome *outcome, const c.l4_client_info *told,
                      uint32_t worker, int64_t offset_us):
        cdef char text[2048]
        cdef c.l4_logline line
        cdef const c.l4_table *table = self.table.handle()
        line.outcome = outcome
        line.told = told
        line.unix_ms = (<int64_t>outcome.ended_us + offset_us) // 1000
        line.worker = worker
        line.listener = line.pool = line.backend = NULL
        if outcome.listener < table.plan.caps.listeners:
            line.listener = c.l4_table_listener(table, outcome.listener).name
        if outcome.pool < table.plan.caps.pools:
            line.pool = c.l4_table_pool(table, outcome.pool).name
        if outcome.backend < table.plan.caps.backends:
            name = self._backend(outcome.backend, outcome.backend_serial)
            if name is not None:
                line.backend = name
        if self._style == "json":
            size = c.l4_logline_json(&line, text)
        else:
            size = c.l4_logline_text(&line, text)
        return text[:size]

    cdef object _request_line(self, const c.l4_request_end *end, uint32_t worker,
                              int64_t offset_us):
        cdef char text[c.L4_REQUEST_LINE_MAX]
        cdef c.l4_request_line line
        cdef const c.l4_table *table = self.table.handle()
        line.end = end
        line.unix_ms = (<int64_t>end.ended_us + offset_us) // 1000
        line.worker = worker
        line.listener = line.pool = line.backend = NULL
        line.route = route_number(self.table, end.listener, end.route) or 0
        if end.listener < table.plan.caps.listeners:
            line.listener = c.l4_table_listener(table, end.listener).name
        if end.pool < table.plan.caps.pools:
            line.pool = c.l4_table_pool(table, end.pool).name
        name = None
        if end.backend < table.plan.caps.backends:
            name = self._backend(end.backend, end.backend_serial)
        if name is not None:
            line.backend = name
        if self._style == "json":
            size = c.l4_request_line_json(&line, text)
        elif self._style == "combined":
            size = c.l4_request_line_combined(&line, text)
        elif self._style == "squid":
            size = c.l4_request_line_squid(&line, text)
        else:
            size = c.l4_request_line_text(&line, text)
        return text[:size]

    cdef bytes _backend(self, uint32_t index, uint32_t serial):
        """Returns the name of the backend that had this row then, if it is still known."""
        cdef c.l4_backend *row = c.l4_table_backend(self.table.handle(), index)
        known = self.names.get(index)
        if known is not None and known[0] == serial:
            return known[1]
        if row.used != serial:
            return None
        name = <bytes>row.name
        self.names[index] = (serial, name)
        return name


MEASURES = ("connect", "first_byte", "session", "queue", "request", "answer", "client_rtt",
            "backend_rtt", "bytes_in", "bytes_out")


def bounds(measure):
    """Returns the upper bounds of a measure's buckets, in us or bytes; the last bucket has none."""
    found = [c.l4_bucket_bound(MEASURES.index(measure), i) for i in range(c.L4_BUCKETS)]
    return [bound for bound in found if bound != 2**64 - 1]


def ledger(Table table, pool):
    """Returns a pool's histograms over all workers: ({measure: (sum, counts)}, (retransmits to
    clients, to backends), sampled sessions). Counts are for each bucket alone."""
    table._pool(pool)
    cdef uint64_t sums[c.L4_MEASURES]
    cdef uint64_t counts[c.L4_MEASURES][c.L4_BUCKETS]
    cdef uint64_t retransmits[2]
    cdef uint64_t sampled = 0
    cdef uint32_t worker, measure, bucket, at = pool
    cdef c.l4_ledger *row
    memset(sums, 0, sizeof(sums))
    memset(counts, 0, sizeof(counts))
    memset(retransmits, 0, sizeof(retransmits))
    for worker in table._counted():
        row = c.l4_table_ledger(table.handle(), worker, at)
        for measure in range(<uint32_t>c.L4_MEASURES):
            sums[measure] += row.measures[measure].sum
            for bucket in range(<uint32_t>c.L4_BUCKETS):
                counts[measure][bucket] += row.measures[measure].counts[bucket]
        retransmits[0] += row.retransmits[0]
        retransmits[1] += row.retransmits[1]
        sampled += row.sampled
    found = {}
    for measure in range(<uint32_t>c.L4_MEASURES):
        used = len(_BOUNDS[measure]) + 1
        found[MEASURES[measure]] = (sums[measure], [counts[measure][i] for i in range(used)])
    return found, (retransmits[0], retransmits[1]), sampled


def ends(Table table, listener):
    """Returns how a bound address's sessions ended, over all workers: {reason: count}, without
    zeros."""
    table._listener(listener)
    cdef uint32_t worker, reason, at = listener
    cdef uint64_t count
    found = {}
    for reason in range(1, <uint32_t>c.L4_REASON_COUNT):
        count = 0
        for worker in table._counted():
            count += c.l4_table_tally(table.handle(), worker, at).ended[reason]
        if count:
            found[reasons[reason]] = count
    return found


_BOUNDS = [bounds(measure) for measure in MEASURES]
