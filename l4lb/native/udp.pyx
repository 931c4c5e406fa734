# cython: language_level=3
"""The UDP rooms of the shared table from Python; csrc/shm/udp.h says who writes what."""

from libc.string cimport memset

from l4lb.native cimport c_l4 as c
from l4lb.native.table cimport Table, _put_address
from l4lb.native import rows


def set_limits(Table table, *, max_sessions, share_percent):
    """Of all workers together, and of each worker's descriptors."""
    table.table.header.max_udp_sessions = max_sessions
    table.table.header.udp_share_percent = share_percent


def sessions(Table table):
    """How many there are now."""
    return table.table.header.udp_sessions


def limit(Table table):
    """How many there may be."""
    return table.table.header.max_udp_sessions


def set_pool(Table table, index, *, idle_ms, requests=0, responses=0, per_datagram=False,
             quic=None, keep_down=False, greets="off"):
    """How the UDP sessions of a pool end; 0: no bound. quic: the configuration and the bytes of a
    server id in connection ids, if those choose. greets: which datagrams have a PROXY header."""
    cdef c.l4_pool *row = table._pool(index)
    row.udp.idle_ms = idle_ms
    row.udp.requests = requests
    row.udp.responses = responses
    row.udp.per_datagram = 1 if per_datagram else 0
    row.udp.quic_config, row.udp.quic_bytes = quic or (0, 0)
    row.udp.quic_id = 1 if quic else 0
    row.udp.keep_down = 1 if keep_down else 0
    row.udp.greets = GREETS.index(greets)


def set_listener(Table table, index, *, max_amplification=0, max_per_source=0,
                 no_privileged=False, counts=False, in_turn=False, quic=False,
                 routes=False):
    """What a UDP listener lets in; 0: no bound."""
    cdef c.l4_listener *row = table._listener(index)
    row.udp.max_amplification = max_amplification
    row.udp.max_per_source = max_per_source
    row.udp.no_privileged = 1 if no_privileged else 0
    row.udp.ways = (c.L4_UDP_COUNTS if counts else 0) | (c.L4_UDP_IN_TURN if in_turn else 0) | \
        (c.L4_UDP_QUIC if quic else 0) | (c.L4_UDP_ROUTES if routes else 0)


def set_seed(Table table, seed):
    """What decides whose client is whose: 32 bits that outsiders do not know."""
    table.table.header.udp_seed = seed


def seed(Table table):
    """What set_seed said."""
    return table.table.header.udp_seed


def place(host, port, count, seed, *, by_port=True):
    """Which of count sockets a client meets; csrc/core/steer.h."""
    cdef c.l4_addr addr
    memset(&addr, 0, sizeof(addr))
    _put_address(&addr, host, port)
    return c.l4_steer_place(&addr, count, seed, by_port)


def set_server_id(Table table, index, server_id):
    """The bytes that name a backend in QUIC connection ids; none: b""."""
    cdef c.l4_backend *row = table._backend(index)
    if len(server_id) > <Py_ssize_t>sizeof(row.server_id.id):
        raise ValueError(f"a server id has at most {sizeof(row.server_id.id)} bytes")
    row.server_id.bytes = len(server_id)
    for at, byte in enumerate(server_id):
        row.server_id.id[at] = byte


def tallies(Table table):
    """The counts of every UDP listener row, summed over all workers."""
    cdef c.l4_listener *row
    cdef c.l4_udp_tally *tally
    found = []
    for index in range(table.table.plan.caps.listeners):
        row = c.l4_table_listener(&table.table, index)
        if not row.used or row.protocol != 1:
            continue
        dropped = dict.fromkeys(drops, 0)
        sums = [0] * 5
        for worker in table._counted():
            tally = c.l4_table_udp_tally(&table.table, worker, index)
            for drop, word in enumerate(drops):
                dropped[word] += tally.dropped[drop]
            counts = (tally.datagrams_in, tally.datagrams_out, tally.evicted, tally.moved,
                      tally.adopted)
            sums = [a + b for a, b in zip(sums, counts)]
        found.append(rows.UdpTally(index, row.name.decode(), row.bind.decode(), *sums, dropped))
    return found


GREETS = ("off", "first", "each")  # enum l4_udp_greets
drops = tuple(c.l4_drop_word(i).decode() for i in range(c.L4_DROP_COUNT))
