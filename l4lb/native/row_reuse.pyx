# cython: language_level=3
"""Changes of rows that are in use, at a reload. The supervisor writes while workers read.

Thin, like table.pyx. A row that is no longer configured keeps its name and its counts, for its live
sessions and for its return. When the row is given to another key, a backend's counts are added to
those of removed backends (l4_table_gone), and an address's are cleared.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memset

from l4lb.native cimport c
from l4lb.native.memory cimport add_column, put_address, put_text
from l4lb.native.table cimport Table
from l4lb.native import http_counts


def change_backend(Table table, index, *, pool, address, weight, max_connections, backup):
    """Writes new settings of a backend, in use or not. If its address has changed or it was not in
    use, its health is unknown and it gets a new serial."""
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
    """Gives a backend no new sessions; its live sessions go on."""
    table._backend(index).used = 0


def start_slowly(Table table, index, now_ms):
    """Starts a new backend slowly, if its pool has a slow start."""
    table._backend(index).ready_since_ms = now_ms


def backend_is_idle(Table table, index):
    """Returns whether a backend has no sessions at all."""
    cdef c.l4_backend *row = table._backend(index)
    return row.inflight == 0 and not any(
        c.l4_table_column(table.handle(), worker, index).active for worker in table._counted())


def listener_is_idle(Table table, index):
    """Returns whether a listener row has no clients, those of other addresses that are counted here
    included."""
    cdef c.l4_listener *row = table._listener(index)
    if row.edge.limits.inflight or row.secure.shaking:
        return False
    return not any(
        c.l4_table_tally(table.handle(), worker, index).active for worker in table._counted())


def pool_is_idle(Table table, index):
    """Returns whether a pool has no sessions, with a backend or on the way to one."""
    cdef uint32_t pool = index
    cdef c.l4_session *row
    if table._pool(index).inflight:
        return False
    for worker in range(c.l4_table_workers_high(&table.table)):
        high = min(table._worker(worker).sessions_high, table.table.plan.caps.sessions)
        for slot in range(high):
            row = c.l4_table_session(&table.table, worker, slot)
            if row.serial and row.pool == pool:
                return False
    return True


def fold_backend(Table table, index):
    """Clears the counts of an idle row, before another backend gets it. They stay in totals()."""
    cdef c.l4_column *gone = c.l4_table_gone(&table.table)
    cdef c.l4_column *column
    table._backend(index)
    for worker in table._counted():
        column = c.l4_table_column(&table.table, worker, index)
        add_column(gone, column)
        memset(column, 0, sizeof(column[0]))
    http_counts.clear_backend(table, index)


def fold_listener(Table table, index):
    """Clears the counts of an idle row, before another address gets it. Accepted connections stay
    counted in the workers' rows; the state of rate limits is lost."""
    cdef c.l4_listener *row = table._listener(index)
    row.edge.limits.full_ns = 0
    row.secure.next_us = 0
    for worker in table._counted():
        memset(c.l4_table_tally(&table.table, worker, index), 0, sizeof(c.l4_tally))
    http_counts.clear_listener(table, index)


def totals(Table table):
    """Returns the sums over all backends that ever were: (total, connect_errors, bytes_in,
    bytes_out, resets)."""
    cdef c.l4_column sum
    cdef uint32_t backends = c.l4_table_backends_high(&table.table)
    cdef uint32_t worker, backend
    memset(&sum, 0, sizeof(sum))
    add_column(&sum, c.l4_table_gone(&table.table))
    for worker in table._counted():
        for backend in range(backends):
            add_column(&sum, c.l4_table_column(&table.table, worker, backend))
    return sum.total, sum.connect_errors, sum.bytes_in, sum.bytes_out, sum.resets
