# cython: language_level=3
"""A worker's only call into C."""

import os

from libc.stdlib cimport calloc, free

from l4lb.native cimport c
from l4lb.native.table cimport Table


def run(Table table, index, bounds, *, command_fd, post_fd, event_fd, lifeline_fd, wakeups=(),
        vault_fd=0, cache_fd=0, gate_fd=0, gate_wake_fd=0, record_fd=0, record_wake_fd=0,
        flows_fd=0, hold_udp=False):
    """Serves until told to end. Python code does not run meanwhile.

    bounds: (descriptor, listener row, tag, exclusive) of each listening socket of this worker.
    wakeups: by index, the eventfd that wakes each worker (its command_fd). hold_udp: see struct
    l4_worker_setup. Raises OSError if the loop could not start or lost its epoll set.
    """
    cdef c.l4_worker_setup setup
    cdef c.l4_bound *sockets = <c.l4_bound *>calloc(len(bounds) or 1, sizeof(c.l4_bound))
    cdef int *rung = <int *>calloc(len(wakeups) or 1, sizeof(int))
    cdef int error
    try:
        if sockets is NULL or rung is NULL:
            raise MemoryError
        for i, fd in enumerate(wakeups):
            rung[i] = fd
        for i, (fd, listener, tag, exclusive) in enumerate(bounds):
            sockets[i].fd = fd
            sockets[i].listener = listener
            sockets[i].tag = tag
            sockets[i].exclusive = exclusive
        setup.table = table.table
        setup.index = index
        setup.bounds = sockets
        setup.bound_count = len(bounds)
        setup.wakeups = rung
        setup.wakeup_count = len(wakeups)
        setup.command_fd = command_fd
        setup.mailbox_fd = post_fd
        setup.event_fd = event_fd
        setup.lifeline_fd = lifeline_fd
        setup.vault_fd = vault_fd
        setup.cache_fd = cache_fd
        setup.gate_fd = gate_fd
        setup.gate_wake_fd = gate_wake_fd
        setup.record_fd = record_fd
        setup.record_wake_fd = record_wake_fd
        setup.flows_fd = flows_fd
        setup.hold_udp = hold_udp
        with nogil:
            error = c.l4_worker_run(&setup)
    finally:
        free(sockets)
        free(rung)
    if error:
        raise OSError(-error, f"worker {index}: {os.strerror(-error)}")
