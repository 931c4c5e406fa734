# cython: language_level=3
"""The memory of the shared table: its life, its rows by index, the fields of its header.

csrc/shm/layout.h says who may write what. This module has no rules; it only checks indexes.
"""

import ipaddress
import itertools
import os
import socket
import time

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native import rows


cdef class Memory:

    def __cinit__(self, capacities):
        cdef c.l4_caps caps
        (caps.workers, caps.listeners, caps.pools, caps.backends, caps.sessions,
         caps.flows, caps.sticky) = rows.Capacities(*capacities)
        self._check(c.l4_table_create(&self.table, &caps), "make the shared table")

    def __dealloc__(self):
        if self.table.header is not NULL:
            c.l4_table_close(&self.table)

    @staticmethod
    def _check(int error, what):
        if error < 0:
            raise OSError(-error, f"cannot {what}: {os.strerror(-error)}")

    cdef const c.l4_table *handle(self):
        return &self.table

    @property
    def capacities(self):
        cdef c.l4_caps caps = self.table.plan.caps
        return rows.Capacities(caps.workers, caps.listeners, caps.pools, caps.backends,
                               caps.sessions, caps.flows, caps.sticky)

    # ---- rows by index --------------------------------------------------------------------------

    cdef c.l4_listener *_listener(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.listeners:
            raise IndexError(f"listener {index}")
        return c.l4_table_listener(&self.table, index)

    cdef c.l4_pool *_pool(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.pools:
            raise IndexError(f"pool {index}")
        return c.l4_table_pool(&self.table, index)

    cdef c.l4_backend *_backend(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.backends:
            raise IndexError(f"backend {index}")
        return c.l4_table_backend(&self.table, index)

    cdef c.l4_worker *_worker(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.workers:
            raise IndexError(f"worker {index}")
        return c.l4_table_worker(&self.table, index)

    cdef object _counted(self):
        """Returns the worker rows with counts: those ever used, and the book (the supervisor's
        own)."""
        book = c.l4_table_book(&self.table)
        return [*range(min(c.l4_table_workers_high(&self.table), book)), book]

    def _slots(self, worker):
        """Returns the session rows of a worker that were ever used: TCP rows, then UDP rows."""
        caps = self.table.plan.caps
        row = self._worker(worker)
        first = caps.sessions
        return itertools.chain(range(min(row.sessions_high, first)),
                               range(first, first + min(row.flows_high, caps.flows)))

    # ---- the header -----------------------------------------------------------------------------

    @property
    def connections(self):
        return self.table.header.connections

    @property
    def max_connections(self):
        return self.table.header.max_connections

    @property
    def generation(self):
        return self.table.header.generation

    @generation.setter
    def generation(self, value):
        self.table.header.generation = value

    @property
    def checker_beat_ms(self):
        return self.table.header.checker_beat_ms

    def beat_checker(self, now_ms):
        self.table.header.checker_beat_ms = now_ms

    @property
    def checker_pid(self):
        return self.table.header.checker_pid

    @checker_pid.setter
    def checker_pid(self, value):
        self.table.header.checker_pid = value

    @property
    def hash_key(self):
        cdef c.l4_hash_key key = self.table.header.hash_key
        return int(key.k0).to_bytes(8, "little") + int(key.k1).to_bytes(8, "little")

    def set_hash_key(self, key):
        """Sets the 16 secret bytes that key every hash of a client. Call it before the first
        fork."""
        if len(key) != 16:
            raise ValueError("a hash key has 16 bytes")
        self.table.header.hash_key.k0 = int.from_bytes(key[:8], "little")
        self.table.header.hash_key.k1 = int.from_bytes(key[8:], "little")


# ---- between Python's values and C's ---------------------------------------------------------


cdef uint64_t clock_ms() except? 0:
    return time.monotonic_ns() // 1000000


cdef put_text(char *to, size_t size, text):
    data = text.encode()
    if len(data) >= <Py_ssize_t>size:
        raise ValueError(f"{text!r} is longer than {size - 1} bytes")
    if <bytes>to == data:
        return  # why: other processes read it, also between the two writes below
    memset(to, 0, size)
    memcpy(to, <const char *>data, len(data))


cdef cut_text(char *to, size_t size, text):
    data = text.encode(errors="replace")[:size - 1]
    memset(to, 0, size)
    memcpy(to, <const char *>data, len(data))


cdef put_ip(c.l4_addr *to, text):
    """Raises ValueError."""
    ip = ipaddress.ip_address(text)
    packed = ip.packed
    memset(to, 0, sizeof(to[0]))
    to.family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    memcpy(to.ip, <const char *>packed, len(packed))


cdef put_address(c.l4_addr *to, host, port):
    """host: an IP address, a unix path (begins with / or @), or "" for none."""
    memset(to, 0, sizeof(to[0]))
    if not host:
        return
    if host[0] in "/@":
        to.family = socket.AF_UNIX
        return
    put_ip(to, host)
    to.port = port


cdef host_of(const c.l4_addr *addr):
    """Returns the IP address as text; "" for a unix socket."""
    if addr.family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, addr.ip[:4])
    if addr.family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, addr.ip[:16])
    return ""
