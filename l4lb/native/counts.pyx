# cython: language_level=3
"""All counts of a table as plain data, and adding such counts to the book (the supervisor's own
counters).

An upgrade needs both: the new program's table may have another layout, so counts go from one table
to the other by name (csrc/shm/layout.h says what each count is).
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport add_column
from l4lb.native.table cimport Table
from l4lb.native import http_counts, listener_policy, session_stats, tls, udp
from l4lb.native.snapshots import reasons


def exported(Table table):
    """Returns {backends: {row: [...]}, requests: {backend's row: {...}}, gone: [...],
    listeners: {row: {...}}, pools: {row: {...}}, workers: {...}}. Each count is the sum over all
    workers and the book."""
    backends = {}
    for index in range(c.l4_table_backends_high(&table.table)):
        backends[index] = _column(table, index)
    listeners = {}
    for index in range(table.table.plan.caps.listeners):
        found = _tally(table, index)
        if found["accepted"]:
            listeners[index] = found
    for row in udp.tallies(table):
        listeners.setdefault(row.index, _tally(table, row.index))["udp"] = {
            **{name: getattr(row, name) for name in UDP}, "dropped": row.dropped}
    for index, found in listeners.items():
        requests = http_counts.of_listener(table, index)
        if requests.requests:
            found["http"] = requests._asdict()
    pools = {index: _pool(table, index) for index in range(table.table.plan.caps.pools)
             if c.l4_table_pool(&table.table, index).used}
    return {"backends": backends, "requests": _requests(table),
            "gone": _plain(c.l4_table_gone(&table.table)),
            "listeners": listeners, "pools": pools, "workers": _workers(table)}


cdef _requests(Table table):
    """Returns the counts of requests of each backend that had some."""
    found = {}
    for index in range(c.l4_table_backends_high(&table.table)):
        counts = http_counts.of_backend(table, index)._asdict()
        del counts["spare"]  # connections of workers, which the next program does not have
        if any(counts["classes"].values()) or any(counts["retries"].values()):
            found[index] = counts
    return found


cdef _plain(c.l4_column *column):
    return [column.total, column.connect_errors, column.bytes_in, column.bytes_out, column.resets]


cdef _column(Table table, uint32_t index):
    cdef c.l4_column sum
    memset(&sum, 0, sizeof(sum))
    for worker in table._counted():
        add_column(&sum, c.l4_table_column(&table.table, worker, index))
    return _plain(&sum)


cdef _tally(Table table, uint32_t index):
    cdef c.l4_tally *tally
    accepted = refused = 0
    ended = {}
    for worker in table._counted():
        tally = c.l4_table_tally(&table.table, worker, index)
        accepted += tally.accepted
        refused += tally.refused
        for i in range(1, len(reasons)):
            if tally.ended[i]:
                ended[reasons[i]] = ended.get(reasons[i], 0) + tally.ended[i]
    return {"accepted": accepted, "refused": refused, "ended": ended,
            "dry_run": listener_policy.dry_runs(table, index),
            "slowed": listener_policy.slowed(table, index),
            "handshakes": _handshakes(tls.listener_handshakes(table, index))}


cdef _pool(Table table, uint32_t index):
    measures, retransmits, sampled = session_stats.ledger(table, index)
    return {"measures": {name: {"sum": total, "counts": counts}
                         for name, (total, counts) in measures.items() if any(counts)},
            "retransmits": list(retransmits), "sampled": sampled,
            "handshakes": _handshakes(tls.pool_handshakes(table, index))}


def _handshakes(found):
    return {name: getattr(found, name) for name in SHAKES}


def of_worker(Table table, index):
    """Returns the counts of one worker row."""
    return _of_workers(table, [index])


cdef _workers(Table table):
    return _of_workers(table, table._counted())


def _of_workers(Table table, indexes):
    cdef c.l4_worker *row
    found = dict.fromkeys(WORKER, 0)
    ended = {}
    for worker in indexes:
        row = table._worker(worker)
        counts = (row.accepted, row.restarts, row.lost, row.turns,
                  row.uncounted, row.portless,
                  c.l4_table_log(table.handle(), worker).ring.dropped
                  + c.l4_table_request_log(table.handle(), worker).ring.dropped)
        found = {name: found[name] + count for name, count in zip(WORKER, counts)}
        for i in range(1, len(reasons)):
            if row.ended[i]:
                ended[reasons[i]] = ended.get(reasons[i], 0) + row.ended[i]
    return {**found, "ended": ended}


def book_backend(Table table, index, counts):
    """Adds to a backend's counts; index None: to the counts of removed backends."""
    cdef c.l4_column *book
    if index is None:
        book = c.l4_table_gone(&table.table)
    else:
        table._backend(index)
        book = c.l4_table_column(&table.table, c.l4_table_book(&table.table), index)
    book.total += counts[0]
    book.connect_errors += counts[1]
    book.bytes_in += counts[2]
    book.bytes_out += counts[3]
    book.resets += counts[4]


def book_listener(Table table, index, counts):
    """Adds to a listener's counts."""
    table._listener(index)
    cdef c.l4_tally *book = c.l4_table_tally(&table.table, c.l4_table_book(&table.table), index)
    book.accepted += counts["accepted"]
    book.refused += counts["refused"]
    for reason, count in counts["ended"].items():
        if reason in reasons:
            book.ended[reasons.index(reason)] += count
    for reason, count in counts.get("dry_run", {}).items():
        if reason == "slowed":
            book.slowed[1] += count
        elif reason in reasons:
            book.dry_run[reasons.index(reason) - <int>c.L4_REJECTED_FIRST] += count
    book.slowed[0] += counts.get("slowed", 0)
    _book_handshakes(table, index, counts.get("handshakes", {}))
    if "udp" in counts:
        _book_udp(table, index, counts["udp"])
    if "http" in counts:
        http_counts.book_listener(table, index, counts["http"])


cdef _book_udp(Table table, uint32_t index, counts):
    cdef c.l4_udp_tally *book = c.l4_table_udp_tally(
        &table.table, c.l4_table_book(&table.table), index)
    book.datagrams_in += counts["datagrams_in"]
    book.datagrams_out += counts["datagrams_out"]
    book.evicted += counts["evicted"]
    book.moved += counts["moved"]
    book.adopted += counts["adopted"]
    book.handed += counts.get("handed", 0)
    book.kept += counts.get("kept", 0)
    for word, count in counts["dropped"].items():
        if word in udp.drops:
            book.dropped[udp.drops.index(word)] += count


cdef _book_handshakes(Table table, uint32_t row, counts):
    cdef uint32_t own = c.l4_table_book(&table.table)
    cdef c.l4_tls_counters *book = c.l4_table_tls_counters(&table.table, own, row)
    book.full += counts.get("full", 0)
    book.resumed += counts.get("resumed", 0)
    book.failed += counts.get("failed", 0)


def book_pool(Table table, index, counts):
    """Adds to a pool's histograms. A histogram whose buckets differ in this version is left out."""
    table._pool(index)
    cdef c.l4_ledger *book = c.l4_table_ledger(
        table.handle(), c.l4_table_book(&table.table), index)
    cdef uint32_t measure, bucket
    for name, found in counts["measures"].items():
        known = name in session_stats.MEASURES
        if not known or len(found["counts"]) != len(session_stats.bounds(name)) + 1:
            continue
        measure = session_stats.MEASURES.index(name)
        book.measures[measure].sum += found["sum"]
        for bucket, count in enumerate(found["counts"]):
            book.measures[measure].counts[bucket] += count
    book.retransmits[0] += counts["retransmits"][0]
    book.retransmits[1] += counts["retransmits"][1]
    book.sampled += counts["sampled"]
    _book_handshakes(table, table.table.plan.caps.listeners + index, counts.get("handshakes", {}))


def book_workers(Table table, counts, index=None):
    """Adds to the counts of all workers together, or of one row."""
    if index is None:
        index = c.l4_table_book(&table.table)
    cdef c.l4_worker *book = table._worker(index)
    if index != c.l4_table_book(&table.table) and index >= c.l4_table_workers_high(&table.table):
        table.table.header.workers_high = index + 1
    book.accepted += counts["accepted"]
    book.restarts += counts["restarts"]
    book.lost += counts["lost"]
    book.turns += counts.get("turns", 0)
    book.uncounted += counts.get("uncounted", 0)
    book.portless += counts.get("portless", 0)
    c.l4_table_log(table.handle(), index).ring.dropped += counts.get("log_dropped", 0)
    for reason, count in counts["ended"].items():
        if reason in reasons:
            book.ended[reasons.index(reason)] += count


def parts(Table table):
    """Returns {row: sessions} of the backends with sessions in workers, without those of the
    book."""
    found = {}
    for worker in range(c.l4_table_workers_high(&table.table)):
        for index in range(c.l4_table_backends_high(&table.table)):
            active = c.l4_table_column(&table.table, worker, index).active
            if active and worker != c.l4_table_book(&table.table):
                found[index] = found.get(index, 0) + active
    return found


def active_at(Table table, worker):
    """Returns {row: active sessions} of the listeners with sessions in one worker row."""
    table._worker(worker)
    found = {}
    for index in range(table.table.plan.caps.listeners):
        active = c.l4_table_tally(&table.table, worker, index).active
        if active:
            found[index] = active
    return found


def set_elsewhere(Table table, index, sessions):
    """Sets the number of a backend's sessions that are in workers of older programs."""
    table._backend(index)
    c.l4_count_elsewhere(&table.table, index, sessions)


UDP = ("datagrams_in", "datagrams_out", "evicted", "moved", "adopted", "handed", "kept")
SHAKES = ("full", "resumed", "failed")
WORKER = ("accepted", "restarts", "lost", "turns", "uncounted", "portless", "log_dropped")
