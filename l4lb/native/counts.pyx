# cython: language_level=3
"""All counts of a table as plain data, and adding such counts to the supervisor's book.

For the program that takes over from this one: its table may have another layout, so what was
counted goes from one to the other by name (csrc/shm/layout.h says what each count is).
"""

from libc.stdint cimport uint32_t

from l4lb.native cimport c_l4 as c
from l4lb.native.table cimport Table
from l4lb.native.table import reasons


def exported(Table table):
    """{backends: {row: [...]}, gone: [...], listeners: {row: [...]}, workers: {...}}, each a sum
    over all workers and the book."""
    backends = {}
    for index in range(table.table.header.backends_high):
        backends[index] = _column(table, index)
    listeners = {}
    for index in range(table.table.header.caps.listeners):
        found = _tally(table, index)
        if found["accepted"]:
            listeners[index] = found
    return {"backends": backends, "gone": _plain(c.l4_table_gone(&table.table)),
            "listeners": listeners, "workers": _workers(table)}


cdef _plain(c.l4_column *column):
    return [column.total, column.connect_errors, column.bytes_in, column.bytes_out, column.resets]


cdef _column(Table table, uint32_t index):
    found = [0, 0, 0, 0, 0]
    for worker in table._counted():
        plain = _plain(c.l4_table_column(&table.table, worker, index))
        found = [a + b for a, b in zip(found, plain)]
    return found


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
    return {"accepted": accepted, "refused": refused, "ended": ended}


cdef _workers(Table table):
    cdef c.l4_worker *row
    accepted = restarts = lost = 0
    ended = {}
    for worker in table._counted():
        row = c.l4_table_worker(&table.table, worker)
        accepted += row.accepted
        restarts += row.restarts
        lost += row.lost
        for i in range(1, len(reasons)):
            if row.ended[i]:
                ended[reasons[i]] = ended.get(reasons[i], 0) + row.ended[i]
    return {"accepted": accepted, "restarts": restarts, "lost": lost, "ended": ended}


def book_backend(Table table, index, counts):
    """Adds to a backend's counts; index None: to those of backends that are gone."""
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


def book_workers(Table table, counts):
    """Adds to the counts of all workers together."""
    cdef c.l4_worker *book = c.l4_table_worker(&table.table, c.l4_table_book(&table.table))
    book.accepted += counts["accepted"]
    book.restarts += counts["restarts"]
    book.lost += counts["lost"]
    for reason, count in counts["ended"].items():
        if reason in reasons:
            book.ended[reasons.index(reason)] += count
