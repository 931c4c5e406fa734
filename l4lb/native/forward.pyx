# cython: language_level=3
"""The packet process: csrc/packet/forwarder.h."""

import os
import time

from libc.stdint cimport uint64_t

from l4lb.native.c.forward cimport *
from l4lb.native.table cimport Table

MAPS = L4_FORWARD_MAPS
TICK_MS = L4_FORWARDER_TICK_MS
TRACKED_BYTES = sizeof(l4_tracked)
HEAD_BYTES = 16  # of struct l4_tracked_memory


cdef class Forwarder:
    cdef l4_forwarder forwarder
    cdef Table table
    cdef bint opened

    def __cinit__(self, Table table, worker, maps, memory_fd):
        cdef int fds[L4_FORWARD_MAPS]
        self.table = table
        if len(maps) != MAPS:
            raise ValueError("not the maps of the program that forwards")
        for index, fd in enumerate(maps):
            fds[index] = fd
        cdef int error = l4_forwarder_open(&self.forwarder, table.handle(), worker, fds, memory_fd)
        if error:
            raise OSError(-error, os.strerror(-error))
        self.opened = True

    def __dealloc__(self):
        if self.opened:
            l4_forwarder_close(&self.forwarder)

    def tick(self):
        cdef uint64_t now_us = time.monotonic_ns() // 1000
        cdef int error
        with nogil:
            error = l4_forwarder_tick(&self.forwarder, now_us)
        if error:
            raise OSError(-error, os.strerror(-error))
