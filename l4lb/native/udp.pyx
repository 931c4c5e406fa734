# cython: language_level=3
"""The UDP part of the shared table from Python; csrc/shm/udp.h says who writes what."""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport put_address
from l4lb.native.table cimport Table
from l4lb.native import rows


def sessions(Table table):
    """Returns the number of UDP sessions now."""
    return table.table.header.udp_sessions


def limit(Table table):
    """Returns the maximum number of UDP sessions."""
    return table.table.header.max_udp_sessions


def set_seed(Table table, seed):
    """Sets the secret 32-bit number that decides which worker a client meets."""
    table.table.header.udp_seed = seed


def seed(Table table):
    """Returns the number of set_seed."""
    return table.table.header.udp_seed


def place(host, port, count, seed, *, by_port=True):
    """Returns which of count sockets a client meets; csrc/core/udp_steering.h."""
    cdef c.l4_addr addr
    memset(&addr, 0, sizeof(addr))
    put_address(&addr, host, port)
    return c.l4_steer_place(&addr, count, seed, by_port)


def set_server_id(Table table, index, server_id):
    """Sets the bytes that name a backend in QUIC connection ids; b"" for none."""
    cdef c.l4_backend *row = table._backend(index)
    if len(server_id) > <Py_ssize_t>sizeof(row.server_id.id):
        raise ValueError(f"a server id has at most {sizeof(row.server_id.id)} bytes")
    row.server_id.bytes = len(server_id)
    for at, byte in enumerate(server_id):
        row.server_id.id[at] = byte


def tallies(Table table):
    """Returns the counts of every UDP listener row, summed over all workers."""
    cdef c.l4_listener *row
    cdef c.l4_udp_tally *tally
    found = []
    for index in range(table.table.plan.caps.listeners):
        row = c.l4_table_listener(&table.table, index)
        if not row.used or row.protocol != <uint32_t>c.L4_UDP:
            continue
        dropped = dict.fromkeys(drops, 0)
        sums = [0] * 8
        for worker in table._counted():
            tally = c.l4_table_udp_tally(&table.table, worker, index)
            for drop, word in enumerate(drops):
                dropped[word] += tally.dropped[drop]
            counts = (tally.datagrams_in, tally.datagrams_out, tally.evicted, tally.moved,
                      tally.adopted, tally.handed, tally.kept, tally.in_kernel)
            sums = [a + b for a, b in zip(sums, counts)]
        found.append(rows.UdpTally(index, row.name.decode(), row.bind.decode(), *sums, dropped))
    return found


drops = tuple(c.l4_drop_word(i).decode() for i in range(c.L4_DROP_COUNT))
