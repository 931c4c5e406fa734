# cython: language_level=3
"""Recorded picks from Python: newest first."""

from libc.stdint cimport uint64_t

from l4lb.native cimport c
from l4lb.native.table cimport Table
from l4lb.native import rows

USABLE = ("usable", "full", "unusable")
TIERS = ("primaries", "backups", "any")


def set_every(Table table, every):
    """Records one pick in `every`; 0: none."""
    c.l4_table_stats(table.handle()).trace_every = every


def recent(Table table, limit):
    """Returns up to `limit` recorded picks of all workers, newest first."""
    cdef c.l4_traces *traces
    cdef c.l4_trace copy
    cdef uint64_t index, head
    found = []
    for worker in range(c.l4_table_workers_high(&table.table)):
        traces = c.l4_table_traces(table.handle(), worker)
        head = traces.head
        for index in range(min(head, <uint64_t>c.L4_TRACES)):
            if c.l4_trace_read(traces, head - 1 - index, &copy):
                found.append(_pick(table, worker, &copy))
    found.sort(key=lambda one: one.at_us, reverse=True)
    return found[:limit]


cdef _name(Table table, uint64_t backend):
    if backend >= table.table.plan.caps.backends:
        return ""
    return c.l4_table_backend(table.handle(), backend).name.decode()


cdef _word(tuple words, index):
    return words[index] if index < len(words) else "?"


cdef _pick(Table table, worker, const c.l4_trace *copy):
    candidates = [
        rows.Candidate(
            _name(table, copy.candidates[i].backend), copy.candidates[i].weight,
            copy.candidates[i].inflight, _word(USABLE, copy.candidates[i].usable),
            _word(rows.STATES, copy.candidates[i].state),
            _word(rows.HEALTHS, copy.candidates[i].health), bool(copy.candidates[i].tried))
        for i in range(min(copy.candidate_count, 8))
    ]
    pool = listener = ""
    if copy.pool < table.table.plan.caps.pools:
        pool = c.l4_table_pool(table.handle(), copy.pool).name.decode()
    if copy.listener < table.table.plan.caps.listeners:
        listener = c.l4_table_listener(table.handle(), copy.listener).name.decode()
    chosen = None
    if copy.backend < table.table.plan.caps.backends:
        same = c.l4_table_backend(table.handle(), copy.backend).used == copy.backend_serial
        chosen = _name(table, copy.backend) if same else "?"
    return rows.PickRow(
        copy.at_us, worker, copy.session, table._client_text(&copy.client), listener, pool, chosen,
        _word(rows.BALANCES, copy.balance), _word(TIERS, copy.tier), bool(copy.full),
        bool(copy.sticky), bool(copy.by_name), copy.attempts, copy.members, candidates)
