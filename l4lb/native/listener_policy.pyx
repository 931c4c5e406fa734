# cython: language_level=3
"""Listeners' policy and routes in the shared table.

Thin, as table.pyx is: it converts, copies and raises. Only the supervisor calls it.
"""

import ipaddress
import socket

from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.memory cimport put_address
from l4lb.native.table cimport Table


PROXY_MODES = {"off": 0, "accept": c.L4_MAY_PROXY, "require": c.L4_NEEDS_PROXY}
HELLO = {"no": 0, "likes": c.L4_LIKES_HELLO, "needs": c.L4_NEEDS_HELLO}
UDP_WAYS = {"counts": c.L4_UDP_COUNTS, "in_turn": c.L4_UDP_IN_TURN, "quic": c.L4_UDP_QUIC,
            "routes": c.L4_UDP_ROUTES}
LIMITS = ("connections", "rate", "connections_per_source", "rate_per_source",
          "bandwidth_per_session", "bandwidth_per_source")  # enum l4_limit_kind
TLVS = ("authority", "alpn", "unique_id", "crc32c", "received", "ssl")  # enum l4_proxy_tlvs
assert len(LIMITS) == <int>c.L4_LIMITS


def denies(Table table, listener, address):
    """Returns whether this listener's access list turns an IP address away."""
    cdef c.l4_policy *edge = &table._listener(listener).edge
    cdef c.l4_addr addr
    put_address(&addr, address, 0)
    return bool(edge.needs & c.L4_NEEDS_ACCESS) and c.l4_access_denies(&table.table, edge, &addr)


def proxy_mode(Table table, listener):
    """Returns which PROXY headers this listener takes, a key of PROXY_MODES."""
    needs = table._listener(listener).edge.needs
    return next((word for word, bit in PROXY_MODES.items() if needs & bit), "off")


def speaks_socks(Table table, listener):
    """Returns whether clients of this listener speak SOCKS5; its plane is that of HTTP."""
    return bool(table._listener(listener).http.speaks_socks)


def dry_runs(Table table, listener):
    """Returns the number of clients that rules in a dry run would have turned away, by reason."""
    table._listener(listener)
    cdef c.l4_tally *tally
    found = {}
    for worker in table._counted():
        tally = c.l4_table_tally(&table.table, worker, listener)
        for i in range(<int>c.L4_REJECTED_COUNT):
            if tally.dry_run[i]:
                word = c.l4_reason_word(<int>c.L4_REJECTED_FIRST + i).decode()
                found[word] = found.get(word, 0) + tally.dry_run[i]
        if tally.slowed[1]:
            found["slowed"] = found.get("slowed", 0) + tally.slowed[1]
    return found


def slowed(Table table, listener):
    """Returns the number of sessions that a bandwidth limit has slowed down."""
    table._listener(listener)
    cdef c.l4_tally *tally
    total = 0
    for worker in table._counted():
        tally = c.l4_table_tally(&table.table, worker, listener)
        total += tally.slowed[0]
    return total


def uncounted(Table table):
    """Returns the number of clients that found no room in the table of sources."""
    return sum(c.l4_table_worker(&table.table, index).uncounted
               for index in table._counted())


def portless(Table table):
    """Returns the number of connects that found no free local port."""
    return sum(c.l4_table_worker(&table.table, index).portless
               for index in table._counted())


def publish_routes(Table table, groups):
    """Replaces all routes: (listener rows, routes) pairs; each route is a dict, see edge.pyi.

    Raises ValueError if they are too many; then nothing has changed."""
    if sum(len(routes) for _, routes in groups) > c.L4_ROUTES_MAX:
        raise ValueError(f"more than {c.L4_ROUTES_MAX} routes")
    cdef c.l4_header *header = table.table.header
    cdef int half = (header.routes_generation + 1) & 1
    cdef c.l4_route *rows = c.l4_table_routes(&table.table, half)
    cdef c.l4_policy *edge
    cdef unsigned int at = 0
    for index in range(table.table.plan.caps.listeners):
        table._listener(index).edge.routes_count[half] = 0
    for listeners, routes in groups:
        for index in listeners:
            edge = &table._listener(index).edge
            edge.routes_at[half] = at
            edge.routes_count[half] = len(routes)
        for route in routes:
            _put_route(&rows[at], header, route)
            at += 1
    # The routes are in force before a listener begins to look at them.
    header.routes_generation += 1
    c.l4_needs_settle_all(&table.table)


cdef _put_route(c.l4_route *row, c.l4_header *header, route):
    sni, alpn = route.get("sni"), route.get("alpn")
    source, percent = route.get("source"), route.get("percent")
    memset(row, 0, sizeof(row[0]))
    row.pool = route["pool"]
    if sni == "*":
        row.wants |= c.L4_ROUTE_ANY_NAME
    elif sni is not None:
        name = sni.lower().removeprefix("*").encode("ascii")
        row.wants |= c.L4_ROUTE_SUFFIX if sni.startswith("*") else c.L4_ROUTE_NAME
        if len(name) > c.L4_HELLO_NAME_MAX:
            raise ValueError(f"{sni!r} is longer than {c.L4_HELLO_NAME_MAX} bytes")
        memcpy(row.name, <const char *>name, len(name))
        row.name_bytes = len(name)
        row.name_hash = c.l4_hash(&header.hash_key, <const char *>name, len(name))
    if alpn is not None:
        protocol = alpn.encode()
        if not 0 < len(protocol) <= c.L4_ALPN_MAX:
            raise ValueError(f"{alpn!r} is not the name of a protocol")
        row.wants |= c.L4_ROUTE_ALPN
        memcpy(row.alpn, <const char *>protocol, len(protocol))
        row.alpn_bytes = len(protocol)
    if source is not None:
        row.wants |= c.L4_ROUTE_SOURCE
        _put_network(&row.source, &row.prefix, source)
    if route.get("goes_on"):
        row.wants |= c.L4_ROUTE_GOES_ON
    if percent is not None and percent < 100:
        row.wants |= c.L4_ROUTE_SHARE
        row.share = int(percent / 100 * (1 << 32))


cdef _put_network(c.l4_addr *to, unsigned int *prefix, text):
    network = ipaddress.ip_network(text, strict=False)
    packed = network.network_address.packed
    memset(to, 0, sizeof(to[0]))
    to.family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    memcpy(to.ip, <const char *>packed, len(packed))
    prefix[0] = network.prefixlen
