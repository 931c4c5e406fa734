# cython: language_level=3
"""What a child leaves for its parent when the kernel refuses it a system call."""

import os

from libc.stdint cimport uint32_t


cdef extern from "base/trap.h":
    bint L4_SANITIZED
    ctypedef uint32_t l4_told "_Atomic uint32_t"
    int l4_trap_install(l4_told *told)


SANITIZED = bool(L4_SANITIZED)


def install(unsigned char[::1] page not None):
    """From now on a refused system call is told in page, which parent and child share."""
    cdef int error
    if page.shape[0] < <Py_ssize_t>sizeof(uint32_t):
        raise ValueError("the page is too small")
    error = l4_trap_install(<l4_told *>&page[0])
    if error:
        raise OSError(-error, os.strerror(-error))


def told(unsigned char[::1] page not None):
    """The number of the refused system call; None: there was none."""
    cdef uint32_t number = (<uint32_t *>&page[0])[0]
    return number - 1 if number else None
