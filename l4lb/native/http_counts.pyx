# cython: language_level=3
"""Counts of requests, and the requests in progress. csrc/shm/http.h says what each count is."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.table cimport Table
from l4lb.native import rows
from l4lb.native.http_texts import RETRY_ON
from l4lb.native.snapshots import reasons

CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
ABUSES = tuple(c.l4_h2_abuse_word(i).decode() for i in range(<int>c.L4_ABUSES))
assert len(CLASSES) == <int>c.L4_STATUS_CLASSES


def of_listener(Table table, listener):
    """Returns the counts of a bound address's requests, over all workers."""
    table._listener(listener)
    cdef c.l4_http_tally *tally
    cdef uint32_t at = listener
    requests = unrouted = bytes_in = bytes_out = 0
    connections = streams = 0
    abuses = [0] * len(ABUSES)
    classes = [0] * len(CLASSES)
    ended = {}
    for worker in table._counted():
        tally = c.l4_table_http_tally(table.handle(), worker, at)
        requests += tally.requests
        unrouted += tally.unrouted
        bytes_in += tally.bytes[0]
        bytes_out += tally.bytes[1]
        connections += tally.http2_opened - tally.http2_closed
        streams += tally.http2_streams
        for i in range(len(ABUSES)):
            abuses[i] += tally.http2_abuses[i]
        for i in range(len(CLASSES)):
            classes[i] += tally.classes[i]
        for i in range(1, len(reasons)):
            if tally.ended[i]:
                ended[reasons[i]] = ended.get(reasons[i], 0) + tally.ended[i]
    return rows.HttpTally(requests, dict(zip(CLASSES, classes)), bytes_in, bytes_out, ended,
                          unrouted, connections, streams, dict(zip(ABUSES, abuses)))


def of_backend(Table table, backend):
    """Returns the counts of a backend's requests, over all workers."""
    table._backend(backend)
    cdef c.l4_http_column *column
    cdef uint32_t at = backend
    cdef uint64_t sums[c.L4_STATUS_CLASSES]
    fresh = reused = stale = spare = 0
    retries = [0] * len(RETRY_ON)
    memset(sums, 0, sizeof(sums))
    for worker in table._counted():
        column = c.l4_table_http_column(table.handle(), worker, at)
        for i in range(<int>c.L4_STATUS_CLASSES):
            sums[i] += column.classes[i]
        fresh += column.fresh
        reused += column.reused
        stale += column.stale
        spare += column.spare
        for i in range(len(RETRY_ON)):
            retries[i] += column.retries[i]
    classes = {word: sums[i] for i, word in enumerate(CLASSES)}
    return rows.HttpColumn(classes, fresh, reused, stale, dict(zip(RETRY_ON, retries)), spare)


def spares(Table table):
    """Returns the connections to backends that wait for a request: (backend's row, worker,
    number) of each worker that has some."""
    cdef c.l4_http_column *column
    found = []
    for backend in range(c.l4_table_backends_high(table.handle())):
        for worker in range(c.l4_table_workers_high(table.handle())):
            column = c.l4_table_http_column(table.handle(), worker, backend)
            if column.spare:
                found.append((backend, worker, column.spare))
    return found


def book_listener(Table table, index, counts):
    """Adds to the counts of a listener's requests. counts: of_listener of another table, as a
    dict."""
    table._listener(index)
    cdef c.l4_http_tally *book = c.l4_table_http_tally(
        table.handle(), c.l4_table_book(table.handle()), index)
    book.requests += counts["requests"]
    book.unrouted += counts["unrouted"]
    book.bytes[0] += counts["bytes_in"]
    book.bytes[1] += counts["bytes_out"]
    for word, count in counts["classes"].items():
        if word in CLASSES:
            book.classes[CLASSES.index(word)] += count
    book.http2_streams += counts.get("http2_streams", 0)
    for word, count in counts.get("http2_abuses", {}).items():
        if word in ABUSES:
            book.http2_abuses[ABUSES.index(word)] += count
    for reason, count in counts["ended"].items():
        if reason in reasons:
            book.ended[reasons.index(reason)] += count


def book_backend(Table table, index, counts):
    """Adds to the counts of a backend's requests. counts: of_backend of another table, as a
    dict."""
    table._backend(index)
    cdef c.l4_http_column *book = c.l4_table_http_column(
        table.handle(), c.l4_table_book(table.handle()), index)
    for word, count in counts["classes"].items():
        if word in CLASSES:
            book.classes[CLASSES.index(word)] += count
    for word, count in counts["retries"].items():
        if word in RETRY_ON:
            book.retries[RETRY_ON.index(word)] += count
    book.fresh += counts["fresh"]
    book.reused += counts["reused"]
    book.stale += counts["stale"]


def clear_listener(Table table, index):
    """Clears the counts of a row, before another address gets it."""
    table._listener(index)
    for worker in table._counted():
        memset(c.l4_table_http_tally(table.handle(), worker, index), 0, sizeof(c.l4_http_tally))


def clear_backend(Table table, index):
    """Clears the counts of an idle row, before another backend gets it."""
    table._backend(index)
    for worker in table._counted():
        memset(c.l4_table_http_column(table.handle(), worker, index), 0, sizeof(c.l4_http_column))


# ---- requests in progress ------------------------------------------------------------------------


def requests(Table table, now_ms, limit):
    """Returns up to `limit` requests in progress. now_ms: CLOCK_MONOTONIC."""
    cdef c.l4_session *row
    cdef c.l4_session copy
    cdef c.l4_request *request
    cdef c.l4_request seen
    found = []
    for worker in range(c.l4_table_workers_high(table.handle())):
        for slot in range(min(table._worker(worker).sessions_high,
                              table.table.plan.caps.sessions)):
            row = c.l4_table_session(table.handle(), worker, slot)
            if not row.serial or not row.http:
                continue
            request = c.l4_table_request(table.handle(), worker, slot)
            if not request.counted:
                continue
            memcpy(&copy, row, sizeof(copy))
            memcpy(&seen, request, sizeof(seen))
            if row.serial != copy.serial or not seen.counted or request.number != seen.number:
                continue
            found.append(_request(table, worker, slot, &copy, &seen, now_ms))
            if len(found) >= limit:
                return found
    return found


cdef object _request(Table table, worker, slot, const c.l4_session *s, const c.l4_request *seen,
                     now_ms):
    cdef const c.l4_table *at = table.handle()
    pool = backend = ""
    if s.pool < at.plan.caps.pools:
        pool = (<bytes>c.l4_table_pool(at, s.pool).name).decode()
    if s.backend < at.plan.caps.backends:
        backend = (<bytes>c.l4_table_backend(at, s.backend).name).decode()
    listener = (<bytes>c.l4_table_listener(at, s.listener).name).decode()
    client = table._client_text(&seen.client if s.known & c.L4_FACT_CLAIMED else &s.client)
    return rows.RequestRow(
        f"{worker}.{slot}.{s.serial}", seen.number, worker, c.l4_state_word(s.state).decode(),
        listener, pool, backend, client,
        _text(seen.text.method, seen.text.method_bytes, 16),
        "https" if seen.flags & c.L4_REQUEST_TLS else "http",
        _text(seen.text.host, seen.text.host_bytes, c.L4_REQUEST_HOST_MAX),
        _text(seen.text.target, seen.text.target_bytes, c.L4_REQUEST_TARGET_MAX),
        route_number(table, s.listener, seen.route),
        max(0, now_ms - seen.started_us // 1000), s.attempts)


cdef object route_number(Table table, uint32_t listener, uint32_t slot):
    """Returns the number of a listener's route, from 1, by its slot; None: it has none with this
    slot any more."""
    cdef c.l4_http_choice choice
    if slot == c.L4_NONE or listener >= table.table.plan.caps.listeners or \
            not c.l4_http_route_find(table.handle(), listener, slot, &choice):
        return None
    return choice.answer.number + 1


cdef str _text(const char *text, size_t size, size_t room):
    """Returns what a client has sent, in printable characters."""
    return text[:min(size, room)].decode("ascii", "backslashreplace")
