# cython: language_level=3
"""The busiest sources (top talkers), merged from the sketches of all workers."""

import socket
from typing import NamedTuple

from l4lb.native cimport c
from l4lb.native.table cimport Table


class TalkerRow(NamedTuple):
    source: str
    active: int
    sessions: int
    rejected: int
    bytes: int
    since_ms: int


def read(Table table, *, active=True):
    """Returns the sources in the sketches of all workers. Sources with the most rejected clients
    come first, then those with the most sessions.

    active: also counts live sessions by source; without it these counts are 0.
    """
    cdef c.l4_talker row
    found = {}
    for worker in range(c.l4_table_workers_high(&table.table)):
        for index in range(<int>c.L4_TALKERS):
            if not c.l4_talkers_read(c.l4_table_talkers(&table.table, worker), index, &row):
                continue
            source = _text(&row.addr)
            old = found.get(source, (0, 0, 0, row.since_ms))
            found[source] = (old[0] + row.sessions, old[1] + row.rejected, old[2] + row.bytes,
                             min(old[3], row.since_ms))
    living = _living(table) if active else {}
    merged = [TalkerRow(source, living.get(source, 0), *counts)
              for source, counts in found.items()]
    merged += [TalkerRow(source, count, 0, 0, 0, 0)
               for source, count in living.items() if source not in found]
    return sorted(merged, key=lambda one: (-one.rejected, -one.active - one.sessions, one.source))


cdef _living(Table table):
    """Returns the number of live sessions by source."""
    cdef c.l4_session *row
    cdef c.l4_addr source
    counts = {}
    for worker in range(c.l4_table_workers_high(&table.table)):
        for slot in table._slots(worker):
            row = c.l4_table_session(&table.table, worker, slot)
            if row.serial:
                source = c.l4_talkers_source(&row.client)
                key = (source.family, source.ip[:16])
                counts[key] = counts.get(key, 0) + 1
    return {_named(*key): count for key, count in counts.items()}


cdef _text(const c.l4_addr *addr):
    return _named(addr.family, addr.ip[:16])


def _named(family, ip):
    """Returns an address as text; for IPv6 its /64 network."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, ip[:4])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, ip) + "/64"
    return "unix:"
