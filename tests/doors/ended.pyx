# cython: language_level=3
"""What a worker does at the end of a session, done by a test."""

import time

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport put_ip
from l4lb.native.table cimport Table
from l4lb.native.snapshots import reasons


cdef extern from "run/account.h":
    void l4_account_end(const c.l4_table *table, uint32_t worker, const c.l4_outcome *outcome)


cdef extern from "core/talkers.h":
    void l4_talkers_note(c.l4_talkers *talkers, const c.l4_addr *client, uint64_t now_ms,
                         uint64_t bytes, bint rejected)


def account(Table table, worker, reason, *, listener=0, pool=0, backend=None, client="127.0.0.1",
            error=0, reached=True, ended_us=None, **numbers):
    """Accounts for the end of one session, as that worker does; `numbers` are other fields of
    struct l4_outcome."""
    cdef c.l4_outcome outcome
    memset(&outcome, 0, sizeof(outcome))
    outcome.ended_us = time.monotonic_ns() // 1000 if ended_us is None else ended_us
    outcome.listener = listener
    outcome.pool = pool
    outcome.backend = c.L4_NONE if backend is None else backend
    if backend is not None:
        outcome.backend_serial = table._backend(backend).used
    put_ip(&outcome.client, client)
    outcome.client.port = numbers.pop("client_port", 4711)
    outcome.error = error
    outcome.reason = reasons.index(reason)
    outcome.reached = reached
    outcome.serial = numbers.pop("serial", 1)
    outcome.retries = numbers.pop("retries", 0)
    outcome.duration_us = numbers.pop("duration_us", 0)
    outcome.connect_us = numbers.pop("connect_us", 0)
    outcome.queue_us = numbers.pop("queue_us", 0)
    outcome.first_byte_us = numbers.pop("first_byte_us", 0)
    outcome.bytes_in = numbers.pop("bytes_in", 0)
    outcome.bytes_out = numbers.pop("bytes_out", 0)
    if numbers:
        raise TypeError(f"no such field: {', '.join(numbers)}")
    table._worker(worker)
    l4_account_end(table.handle(), worker, &outcome)


def note(Table table, worker, address, now_ms, *, moved=0, rejected=False):
    """What a worker does when a session ends, of the busiest sources."""
    cdef c.l4_addr addr
    put_ip(&addr, address)
    table._worker(worker)
    l4_talkers_note(c.l4_table_talkers(&table.table, worker), &addr, now_ms, moved, rejected)
