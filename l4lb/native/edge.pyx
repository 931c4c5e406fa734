# cython: language_level=3
"""The edge's door to the shared table: what listeners ask of clients, and routes.

Thin, as table.pyx is: it converts, copies and raises. The supervisor is the only caller.
"""

import ipaddress
import socket

from libc.string cimport memcpy, memset

from l4lb.native cimport c_edge as e
from l4lb.native cimport c_l4 as c
from l4lb.native.table cimport Table, _put_address


cdef e.l4_header *_header(Table table):
    return <e.l4_header *>table.table.header


cdef e.l4_edge *_edge(Table table, listener) except NULL:
    return &(<e.l4_listener *>table._listener(listener)).edge


LIMITS = ("connections", "rate", "connections_per_source", "rate_per_source",
          "bandwidth_per_session", "bandwidth_per_source")
KEPT_NEEDS = e.L4_NEEDS_ROUTE | e.L4_NEEDS_BLOCKS | e.L4_NEEDS_LIMITS | e.L4_NEEDS_PACE
PROXY_MODES = {"off": 0, "accept": e.L4_MAY_PROXY, "require": e.L4_NEEDS_PROXY}
HELLO = {"no": 0, "likes": e.L4_LIKES_HELLO, "needs": e.L4_NEEDS_HELLO}
REFUSALS = ("reject", "drop", "tarpit")
TLVS = ("authority", "alpn", "unique_id", "crc32c", "received", "ssl")


def set_listener(Table table, listener, *, hello, proxy, trusted_set, handshake_timeout_ms,
                 access_set, rules_set, else_denied, refusal, dry_run):
    """What this listener asks of a client before its backend is chosen; routes add to it."""
    cdef e.l4_edge *edge = _edge(table, listener)
    edge.handshake_timeout_ms = handshake_timeout_ms
    edge.trusted_set = c.L4_NONE if trusted_set is None else trusted_set
    edge.access_set = c.L4_NONE if access_set is None else access_set
    edge.rules_set = c.L4_NONE if rules_set is None else rules_set
    edge.access_else_denied = else_denied
    edge.access.refusal = REFUSALS.index(refusal)
    edge.access.dry_run = dry_run
    cdef unsigned int needs = edge.needs & KEPT_NEEDS
    needs |= PROXY_MODES[proxy] | HELLO[hello]
    if access_set is not None or rules_set is not None:
        needs |= e.L4_NEEDS_ACCESS
    edge.needs = needs


def set_shed(Table table, idle_ms, at_limit):
    """Sessions idle for so long may be ended when others find no room; 0: none. at_limit: also at
    the process-wide limit of connections."""
    table.table.header.shed_at_limit = at_limit
    table.table.header.shed_idle_ms = idle_ms


def set_rules(Table table, listener, number):
    """The set of this listener's rules of run time; None: there are none."""
    cdef e.l4_edge *edge = _edge(table, listener)
    edge.rules_set = c.L4_NONE if number is None else number
    if edge.rules_set == c.L4_NONE and edge.access_set == c.L4_NONE:
        edge.needs &= ~<unsigned>e.L4_NEEDS_ACCESS
    else:
        edge.needs |= e.L4_NEEDS_ACCESS


def denies(Table table, listener, address):
    """Is an IP address turned away by this listener's networks?"""
    cdef e.l4_edge *edge = _edge(table, listener)
    cdef c.l4_addr addr
    _put_address(&addr, address, 0)
    return bool(edge.needs & e.L4_NEEDS_ACCESS) and e.l4_access_denies(&table.table, edge, &addr)


def set_limits(Table table, listener, *, head, limits, source_prefix, first_byte_ms, max_age_ms,
               age_jitter):
    """This listener's limits: by name (LIMITS) a dict of limit, burst, refusal and dry_run.

    head: the row that has the listener's counts, one of its own."""
    cdef e.l4_edge *edge = _edge(table, listener)
    cdef e.l4_limit *row
    for index, name in enumerate(LIMITS):
        rule = limits.get(name, {})
        row = &edge.limits.limits[<int>index]
        row.burst = rule.get("burst", 0)
        row.verdict.refusal = REFUSALS.index(rule.get("refusal", "reject"))
        row.verdict.dry_run = rule.get("dry_run", False)
        row.value = rule.get("limit", 0)
    edge.limits.prefix4, edge.limits.prefix6 = source_prefix
    edge.limits.first_byte_ms = first_byte_ms
    edge.limits.max_age_ms = max_age_ms
    edge.limits.age_jitter = age_jitter
    edge.limits.head = head
    cdef unsigned int needs = edge.needs & ~<unsigned>(e.L4_NEEDS_LIMITS | e.L4_NEEDS_PACE)
    if limits:
        needs |= e.L4_NEEDS_LIMITS
    if first_byte_ms or max_age_ms or any("bandwidth" in name for name in limits):
        needs |= e.L4_NEEDS_PACE
    edge.needs = needs


def set_blocks(Table table, *, some, refusal, dry_refusal="reject"):
    """Are there blocked sources, and what is done with them? All listeners look from then on."""
    cdef e.l4_header *header = _header(table)
    header.block_verdict[1].refusal = REFUSALS.index(refusal)
    header.block_verdict[0].refusal = REFUSALS.index(dry_refusal)
    header.block_verdict[0].dry_run = 1
    cdef e.l4_edge *edge
    for index in range(table.table.plan.caps.listeners):
        edge = _edge(table, index)
        if some:
            edge.needs |= e.L4_NEEDS_BLOCKS
        else:
            edge.needs &= ~<unsigned>e.L4_NEEDS_BLOCKS


def set_tarpit(Table table, ms):
    """How long a tarpit holds a client."""
    _header(table).tarpit_ms = ms


def set_pool(Table table, pool, *, send_proxy, tlvs):
    """What this pool's backends are told first. send_proxy: 0 nothing, or the version."""
    cdef e.l4_pool *row = <e.l4_pool *>table._pool(pool)
    row.proxy_tlvs = sum(1 << TLVS.index(one) for one in tlvs)
    row.send_proxy = send_proxy


def dry_runs(Table table, listener):
    """Whom rules in dry run would have turned away, by reason word."""
    table._listener(listener)
    cdef e.l4_tally *tally
    found = {}
    for worker in table._counted():
        tally = <e.l4_tally *>c.l4_table_tally(&table.table, worker, listener)
        for i in range(<int>e.L4_REJECTED_COUNT):
            if tally.dry_run[i]:
                word = c.l4_reason_word(<int>e.L4_REJECTED_FIRST + i).decode()
                found[word] = found.get(word, 0) + tally.dry_run[i]
        if tally.slowed[1]:
            found["slowed"] = found.get("slowed", 0) + tally.slowed[1]
    return found


def slowed(Table table, listener):
    """How many sessions a limit of bandwidth has held back."""
    table._listener(listener)
    cdef e.l4_tally *tally
    total = 0
    for worker in table._counted():
        tally = <e.l4_tally *>c.l4_table_tally(&table.table, worker, listener)
        total += tally.slowed[0]
    return total


def uncounted(Table table):
    """How many clients found no place in the table of sources."""
    return sum((<e.l4_worker *>c.l4_table_worker(&table.table, index)).uncounted
               for index in table._counted())


def portless(Table table):
    """How many connects found no free local port."""
    return sum((<e.l4_worker *>c.l4_table_worker(&table.table, index)).portless
               for index in table._counted())


def publish_routes(Table table, groups):
    """Replaces all routes: (listener rows, routes) pairs; each route is a dict, see edge.pyi.

    Raises ValueError if they are too many; then nothing has changed."""
    if sum(len(routes) for _, routes in groups) > e.L4_ROUTES_MAX:
        raise ValueError(f"more than {e.L4_ROUTES_MAX} routes")
    cdef e.l4_header *header = _header(table)
    cdef int half = (header.routes_generation + 1) & 1
    cdef e.l4_route *rows = e.l4_table_routes(&table.table, half)
    cdef e.l4_edge *edge
    cdef unsigned int at = 0
    routed = set()
    for index in range(table.table.plan.caps.listeners):
        _edge(table, index).routes_count[half] = 0
    for listeners, routes in groups:
        for index in listeners:
            edge = _edge(table, index)
            edge.routes_at[half] = at
            edge.routes_count[half] = len(routes)
            if routes:
                routed.add(index)
        for route in routes:
            _put_route(&rows[at], header, route)
            at += 1
    # A listener that is routed for the first time looks only once its routes are in force.
    header.routes_generation += 1
    for index in range(table.table.plan.caps.listeners):
        edge = _edge(table, index)
        if index in routed:
            edge.needs |= e.L4_NEEDS_ROUTE
        else:
            edge.needs &= ~<unsigned>e.L4_NEEDS_ROUTE


cdef _put_route(e.l4_route *row, e.l4_header *header, route):
    sni, alpn = route.get("sni"), route.get("alpn")
    source, percent = route.get("source"), route.get("percent")
    memset(row, 0, sizeof(row[0]))
    row.pool = route["pool"]
    if sni == "*":
        row.wants |= e.L4_ROUTE_ANY_NAME
    elif sni is not None:
        name = sni.lower().removeprefix("*").encode("ascii")
        row.wants |= e.L4_ROUTE_SUFFIX if sni.startswith("*") else e.L4_ROUTE_NAME
        if len(name) > e.L4_HELLO_NAME_MAX:
            raise ValueError(f"{sni!r} is longer than {e.L4_HELLO_NAME_MAX} bytes")
        memcpy(row.name, <const char *>name, len(name))
        row.name_bytes = len(name)
        row.name_hash = e.l4_hash(&header.hash_key, <const char *>name, len(name))
    if alpn is not None:
        protocol = alpn.encode()
        if not 0 < len(protocol) <= e.L4_ALPN_MAX:
            raise ValueError(f"{alpn!r} is not the name of a protocol")
        row.wants |= e.L4_ROUTE_ALPN
        memcpy(row.alpn, <const char *>protocol, len(protocol))
        row.alpn_bytes = len(protocol)
    if source is not None:
        row.wants |= e.L4_ROUTE_SOURCE
        _put_network(&row.source, &row.prefix, source)
    if route.get("goes_on"):
        row.wants |= e.L4_ROUTE_GOES_ON
    if percent is not None and percent < 100:
        row.wants |= e.L4_ROUTE_SHARE
        row.share = int(percent / 100 * (1 << 32))


cdef _put_network(c.l4_addr *to, unsigned int *prefix, text):
    network = ipaddress.ip_network(text, strict=False)
    packed = network.network_address.packed
    memset(to, 0, sizeof(to[0]))
    to.family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    memcpy(to.ip, <const char *>packed, len(packed))
    prefix[0] = network.prefixlen
