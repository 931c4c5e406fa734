# cython: language_level=3
"""Sticky entries from Python: which backend each client belongs to, and changes of that.

Thin, as table.pyx is. Only the supervisor changes entries here; workers do so in C.
"""

import ipaddress
import socket

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.table cimport Table
from l4lb.native import rows

SNI, HOST = rows.HASH_KEYS.index("sni"), rows.HASH_KEYS.index("host")
# why: a cookie or a header field may be all that proves who its client is; core/sticky.c keeps
# little of it.
SECRET = (rows.HASH_KEYS.index("header"), rows.HASH_KEYS.index("cookie"))


def entries(Table table, now_ms, pool=None, limit=1000):
    """Returns up to `limit` valid entries, of one pool (its row) or of all."""
    cdef c.l4_sticky_entry entry
    cdef uint64_t tag
    cdef c.l4_pool *row
    cdef uint64_t now = now_ms
    cdef uint32_t n
    cdef int wanted = -1 if pool is None else pool
    found = []
    for n in range(table.table.plan.caps.sticky):
        if not c.l4_sticky_read(&table.table, n, now, &tag, &entry):
            continue
        if wanted >= 0 and entry.key.pool != <uint32_t>wanted:
            continue
        if entry.key.pool >= table.table.plan.caps.pools:
            continue
        row = c.l4_table_pool(&table.table, entry.key.pool)
        if entry.idle_ms >= row.sticky.ttl_ms:
            continue
        if len(found) >= limit:
            break
        found.append(rows.StickyRow(
            row.name.decode(), _shown(&entry.key),
            c.l4_table_backend(&table.table, entry.backend).name.decode(),
            entry.idle_ms, row.sticky.ttl_ms - entry.idle_ms))
    return found


def put(Table table, pool, client, backend, now_ms):
    """Assigns a client to a backend (its row). client: an address, a server name if the pool's key
    is sni, or a value of requests if its key is one. Returns False if there is no room. Raises
    ValueError if client is none of them."""
    cdef c.l4_sticky_key key
    cdef uint64_t tag = _tag(table, pool, client, &key)
    table._backend(backend)
    return c.l4_sticky_put(&table.table, c.L4_STICKY_SUPERVISOR, tag, &key, backend, False,
                           table._pool(pool).sticky.ttl_ms, now_ms) != c.L4_NONE


def remove(Table table, pool, client):
    """Removes a client's entry. Returns False if there is none. Raises ValueError as put does."""
    cdef c.l4_sticky_key key
    return c.l4_sticky_remove(&table.table, _tag(table, pool, client, &key))


def clear(Table table, pool=None):
    """Removes all entries of one pool or of all. Returns their number."""
    cdef c.l4_sticky_entry entry
    cdef uint64_t tag
    cdef uint32_t n
    cleared = 0
    for n in range(table.table.plan.caps.sticky):
        if c.l4_sticky_read(&table.table, n, 0, &tag, &entry) and \
                (pool is None or entry.key.pool == pool):
            cleared += c.l4_sticky_remove(&table.table, tag)
    return cleared


cdef struct Carried:  # an entry that one program passes to the next, of ENTRY_BYTES
    c.l4_sticky_key key
    uint64_t tag
    uint32_t backend
    uint32_t idle_ms


ENTRY_BYTES = sizeof(Carried)


def exported(Table table, now_ms):
    """Returns every entry, packed, for restore."""
    cdef c.l4_sticky_entry entry
    cdef uint64_t tag, now = now_ms
    cdef uint32_t n, count = 0, places = table.table.plan.caps.sticky
    packed = bytearray(places * sizeof(Carried))
    cdef Carried *all_of_them = <Carried *><char *>packed
    for n in range(places):
        if c.l4_sticky_read(&table.table, n, now, &tag, &entry):
            all_of_them[count].key = entry.key
            all_of_them[count].tag = tag
            all_of_them[count].backend = entry.backend
            all_of_them[count].idle_ms = min(entry.idle_ms, <uint64_t>0xffffffff)
            count += 1
    return bytes(packed[:count * sizeof(Carried)])


def restore(Table table, const unsigned char[::1] packed, pools, backends, now_ms):
    """Enters the data of exported. pools and backends map old rows to new ones. Returns the number
    of entries. An entry without its whole name is found only as long as the key of all hashes is
    the one that it was made with."""
    cdef Carried one
    cdef c.l4_sticky_client known
    cdef c.l4_sticky_key key
    cdef uint64_t tag, now = now_ms
    cdef uint32_t pool, count = 0
    cdef size_t at
    for at in range(packed.shape[0] // sizeof(Carried)):
        memcpy(&one, &packed[at * sizeof(Carried)], sizeof(Carried))
        if one.key.pool not in pools or one.backend not in backends:
            continue
        pool = pools[one.key.pool]
        tag = c.l4_sticky_tag_in(one.key.pool, one.tag, pool)
        if one.key.kind <= SNI and one.key.name_bytes <= sizeof(one.key.name):
            memset(&known, 0, sizeof(known))
            if one.key.kind == SNI:
                known.name, known.name_bytes = one.key.name, one.key.name_bytes
                known.name_hash = c.l4_hash(&table.table.header.hash_key, one.key.name,
                                            one.key.name_bytes)
            known.addr = &one.key.addr
            tag = c.l4_sticky_client_tag(&table.table, pool, &known, &key)
        one.key.pool = pool
        count += c.l4_sticky_put(
            &table.table, c.L4_STICKY_SUPERVISOR, tag, &one.key, backends[one.backend], False,
            table._pool(pool).sticky.ttl_ms, now - min(now, <uint64_t>one.idle_ms)) != c.L4_NONE
    return count


cdef uint64_t _tag(Table table, pool, client, c.l4_sticky_key *key) except? 0:
    cdef c.l4_pool *row = table._pool(pool)
    cdef c.l4_addr addr
    cdef c.l4_sticky_client known
    cdef bytes name = b""
    memset(&addr, 0, sizeof(addr))
    memset(&known, 0, sizeof(known))
    known.addr = &addr
    kind = row.sticky.key.kind
    try:
        ip = None if kind > SNI else ipaddress.ip_address(client)
    except ValueError:
        if kind != SNI:
            raise ValueError(f"{client!r} is no IP address") from None
        ip = None
    if ip is not None:
        packed = ip.packed
        addr.family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        memcpy(addr.ip, <const char *>packed, len(packed))
    else:
        name = _name(kind, client)
        known.name = name
        known.name_bytes = len(name)
        known.name_hash = c.l4_hash(&table.table.header.hash_key, known.name, len(name)) or 1
    return c.l4_sticky_client_tag(&table.table, pool, &known, key)


cdef bytes _name(kind, client):
    """Returns a client's name as a pool with a key of this kind knows it."""
    if kind in (SNI, HOST):
        return client.lower().removesuffix(".").encode("ascii", "replace")
    name = client.encode("latin-1", "replace")
    if not 0 < len(name) <= c.L4_KEY_VALUE_MAX:
        raise ValueError(f"a client's name has 1 to {c.L4_KEY_VALUE_MAX} bytes here")
    return name


cdef _shown(const c.l4_sticky_key *key):
    if key.kind >= SNI:
        room = c.L4_STICKY_SECRET_SHOWN if key.kind in SECRET else sizeof(key.name)
        text = key.name[:min(key.name_bytes, room)].decode("ascii", "replace")
        return text if key.name_bytes <= room else text + "..."
    if key.addr.family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, key.addr.ip[:4])
    if key.addr.family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, key.addr.ip[:16])
    return "unix:"
