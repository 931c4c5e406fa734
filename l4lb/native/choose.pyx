# cython: language_level=3
"""Choices of a backend from Python, made by the code of the workers: one is explained, many are
simulated or timed.

Nothing here changes a table in service: an explained pick takes no place, and many picks are made
on a copy.
"""

import socket
import time

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.memory cimport put_ip
from l4lb.native.table cimport Table
from l4lb.native.rows import ExplainedBackend, Choice

TIERS = ("primaries", "backups", "any")


def explain(Table table, pool, ip, port, now_ms, *, hashed=b"", known=b""):
    """Returns the backend that a client would get now, and why. ip: "" for a client of a unix
    socket. hashed, known: what the pool's hash_key and its sticky.key take of the client beside
    its address: the server name of TLS, or a value of its request; b"": nothing."""
    cdef c.l4_pool *row = table._pool(pool)
    cdef c.l4_addr addr
    cdef c.l4_sticky_client client
    cdef c.l4_pick_request request
    cdef c.l4_pick_context context
    cdef c.cbool sticky = False
    cdef bytes name = known
    _put_client(&addr, ip, port)
    memset(&client, 0, sizeof(client))
    client.addr = &addr
    if name:
        client.name = name
        client.name_bytes = len(name)
        client.name_hash = _name_hash(table, name)
    memset(&request, 0, sizeof(request))
    request.pool = pool
    request.now_ms = now_ms
    request.dry = True
    request.hash = c.l4_key_hash(&table.table.header.hash_key, &row.hash_rule, &addr,
                                 _name_hash(table, hashed) if hashed else 0)
    cdef c.l4_pick_answer answer = c.l4_sticky_pick(&table.table, &request, &client, &sticky)
    memset(&context, 0, sizeof(context))
    context.table = &table.table
    context.request = &request
    context.pool = row
    context.tier = answer.tier
    cdef c.l4_view *view = c.l4_table_view(&table.table, pool, row.view_generation)
    cdef uint32_t i
    candidates = []
    for i in range(min(view.members, table.table.plan.caps.backends)):
        candidates.append(_candidate(table, &context, c.l4_view_members(view)[i], now_ms))
    slots = view.maglev if row.maglev_size else view.slots
    ticket = (row.ticket - view.first_ticket) % view.slots if view.slots else 0
    slot = c.l4_hash_below(request.hash, slots) if slots else 0
    cdef uint16_t *entries = c.l4_view_slots(&table.table, view)
    if row.maglev_size:
        entries = c.l4_view_maglev(&table.table, view)
    return Choice(
        None if answer.backend == c.L4_NONE else answer.backend, answer.full, TIERS[answer.tier],
        bool(sticky), f"{request.hash:016x}", slot, slots, entries[slot] if slots else None, ticket,
        view.slots, candidates)


cdef uint64_t _name_hash(Table table, bytes name):
    return c.l4_hash(&table.table.header.hash_key, <const char *>name, len(name)) or 1


cdef _candidate(Table table, c.l4_pick_context *context, uint32_t index, now_ms):
    cdef c.l4_backend *row = c.l4_table_backend(&table.table, index)
    cdef int word = c.l4_pick_judge(context, index)
    usable = "yes" if word == c.L4_USABLE else "full" if word == c.L4_FULL else "no"
    weight = c.l4_pick_weight(context, row) / 1024
    return ExplainedBackend(index, usable, weight, c.l4_response_of(row, now_ms))


def copy_pool(Table table, pool, *, remove=(), add=(), weights=None):
    """Returns a table with one pool, pool 0: the given pool as it would be after a change. It
    serves nobody. remove: rows of backends. add: (name, weight) pairs. weights: row to weight.
    Backends keep health, state and response times; connections and limits are left out. Also
    returns the original row of each of its backends (None: added)."""
    cdef c.l4_pool *row = table._pool(pool)
    cdef c.l4_backend *one
    cdef uint32_t at_row
    kept, gone = [], set(remove)
    for at_row in range(c.l4_table_backends_high(&table.table)):
        one = c.l4_table_backend(&table.table, at_row)
        if one.used and one.pool == pool and at_row not in gone:
            kept.append(at_row)
    cdef Table copy = Table((1, 1, 1, max(1, len(kept) + len(add)), 1))
    copy.table.header.hash_key = table.table.header.hash_key
    copy.table.header.workers_high = 1
    copy.set_pool(0, name="copy", balance=row.balance, when_all_down=row.all_down,
                  maglev_size=row.maglev_size, all_backups=row.all_backups)
    for at, index in enumerate(kept):
        one = copy._backend(at)
        memcpy(one, c.l4_table_backend(&table.table, index), sizeof(c.l4_backend))
        one.pool = 0
        one.inflight = one.max_connections = 0
        if weights and index in weights:
            one.weight = weights[index]
    for at, (name, weight) in enumerate(add, len(kept)):
        copy.set_backend(at, pool=0, name=name, address=_Nowhere, weight=weight,
                         max_connections=0, backup=False, health="unknown")
    copy.table.header.backends_high = len(kept) + len(add)
    copy.publish(0)
    return copy, [*kept, *(None for _ in add)]


class _Nowhere:
    host, port, path = "", 0, ""


def keys(Table table, pool, count, now_ms):
    """Returns for `count` clients, whose hashes are spread evenly, the backend of each, or None."""
    cdef uint32_t index = pool, many = count
    cdef uint64_t now = now_ms
    cdef uint16_t *chosen = <uint16_t *>calloc(many or 1, sizeof(uint16_t))
    table._pool(pool)
    if chosen is NULL:
        raise MemoryError
    try:
        with nogil:
            c.l4_simulate_keys(&table.table, index, now, many, chosen)
        return [None if chosen[i] == c.L4_SIMULATE_NONE else chosen[i] for i in range(many)]
    finally:
        free(chosen)


def picks(Table table, pool, count, now_ms, *, hold=False):
    """Makes `count` picks on a table that only the caller uses. Returns the number of picks of each
    backend, and the seconds."""
    cdef uint32_t index = pool, many = count
    cdef uint64_t now = now_ms
    cdef bint kept = hold
    cdef uint32_t backends = table.table.plan.caps.backends
    cdef uint32_t *counts = <uint32_t *>calloc(backends, sizeof(uint32_t))
    table._pool(pool)
    if counts is NULL:
        raise MemoryError
    try:
        started = time.perf_counter()
        with nogil:
            c.l4_simulate_picks(&table.table, index, now, many, kept, counts)
        seconds = time.perf_counter() - started
        return {i: counts[i] for i in range(backends) if counts[i]}, seconds
    finally:
        free(counts)


cdef _put_client(c.l4_addr *to, ip, port):
    memset(to, 0, sizeof(to[0]))
    if not ip:
        to.family = socket.AF_UNIX
        return
    put_ip(to, ip)
    to.port = port
