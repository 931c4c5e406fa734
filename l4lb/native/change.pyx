# cython: language_level=3
"""What a reload does to rows that are in use: the supervisor's, while workers read.

Thin, like table.pyx. A row that nobody configures any more keeps its name and its counts, for the
sessions it still has and for its return; only when it is given to another key are its counts moved
to the supervisor's book (csrc/shm/layout.h).
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memset

from l4lb.native cimport c
from l4lb.native.memory cimport put_address, put_text
from l4lb.native.table cimport Table


def change_backend(Table table, index, *, pool, address, weight, max_connections, backup):
    """Other settings of a backend, in use or not. At another address, or in use again, its health
    is not known, and its serial is a new one."""
    cdef c.l4_backend *row = table._backend(index)
    cdef c.l4_addr addr
    cdef char path[c.L4_PATH_MAX + 1]
    memset(path, 0, sizeof(path))
    put_text(path, sizeof(path), address.path)
    put_address(&addr, address.path or address.host, address.port)
    moved = memcmp(&addr, &row.addr, sizeof(addr)) or memcmp(path, row.path, sizeof(path))
    if moved:
        c.l4_table_move(row, &addr, path)
    row.weight = weight
    row.max_connections = max_connections
    row.flags = c.L4_BACKUP if backup else 0
    if moved or not row.used:
        row.health = c.L4_UNKNOWN
        row.check_at_ms = 0
        row.check_streak = 0
        row.up_since_ms = 0
        c.l4_passive_clear(row)
        if not row.used:
            row.pool = pool  # its pool may have come back in another row
        row.uses = row.uses + 1 or 1
        row.used = row.uses


def retire_backend(Table table, index):
    """No new sessions; those it has go on."""
    table._backend(index).used = 0


def start_slowly(Table table, index, now_ms):
    """A backend that came while the service runs has its weight by and by, where its pool says."""
    table._backend(index).ready_since_ms = now_ms


def backend_is_idle(Table table, index):
    """Has it no sessions at all?"""
    cdef c.l4_backend *row = table._backend(index)
    return row.inflight == 0 and not any(
        c.l4_table_column(table.handle(), worker, index).active for worker in table._counted())


def listener_is_idle(Table table, index):
    """Are all its clients gone, and those of other addresses that are counted at this row?"""
    cdef c.l4_listener *row = table._listener(index)
    if row.edge.limits.inflight or row.secure.shaking:
        return False
    return not any(
        c.l4_table_tally(table.handle(), worker, index).active for worker in table._counted())


def pool_is_idle(Table table, index):
    """Has it no sessions, with a backend or on the way to one?"""
    cdef uint32_t pool = index
    cdef c.l4_session *row
    if table._pool(index).inflight:
        return False
    for worker in range(table.table.header.workers_high):
        high = min(table._worker(worker).sessions_high, table.table.plan.caps.sessions)
        for slot in range(high):
            row = c.l4_table_session(&table.table, worker, slot)
            if row.serial and row.pool == pool:
                return False
    return True


def fold_backend(Table table, index):
    """Before an idle row is given to another backend: its counts stay in totals() only."""
    cdef c.l4_column *gone = c.l4_table_gone(&table.table)
    cdef c.l4_column *column
    table._backend(index)
    for worker in table._counted():
        column = c.l4_table_column(&table.table, worker, index)
        gone.total += column.total
        gone.connect_errors += column.connect_errors
        gone.bytes_in += column.bytes_in
        gone.bytes_out += column.bytes_out
        gone.resets += column.resets
        memset(column, 0, sizeof(column[0]))


def fold_listener(Table table, index):
    """Before an idle row is given to another address. What was accepted is in the workers' rows;
    what counted towards its rates is forgotten."""
    cdef c.l4_listener *row = table._listener(index)
    row.edge.limits.full_ns = 0
    row.secure.next_us = 0
    for worker in table._counted():
        memset(c.l4_table_tally(&table.table, worker, index), 0, sizeof(c.l4_tally))


def totals(Table table):
    """Over all backends there ever were: (total, connect_errors, bytes_in, bytes_out, resets)."""
    cdef c.l4_column *column = c.l4_table_gone(&table.table)
    cdef uint32_t backends = table.table.header.backends_high
    cdef uint32_t worker, backend
    cdef uint64_t total = column.total, errors = column.connect_errors
    cdef uint64_t bytes_in = column.bytes_in, bytes_out = column.bytes_out, resets = column.resets
    for worker in table._counted():
        for backend in range(backends):
            column = c.l4_table_column(&table.table, worker, backend)
            total += column.total
            errors += column.connect_errors
            bytes_in += column.bytes_in
            bytes_out += column.bytes_out
            resets += column.resets
    return total, errors, bytes_in, bytes_out, resets
