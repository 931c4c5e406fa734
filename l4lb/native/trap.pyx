# cython: language_level=3
"""The number of a system call that the kernel refused to a child, left for its parent."""

import os

from libc.stdint cimport uint32_t


cdef extern from "base/trap.h":
    bint L4_SANITIZED
    ctypedef uint32_t l4_client_info "_Atomic uint32_t"
    int l4_trap_install(l4_client_info *told)


SANITIZED = bool(L4_SANITIZED)


def install(unsigned char[::1] page not None):
    """Writes the number of a refused system call into page from now on. Parent and child share
    page."""
    cdef int error
    if page.shape[0] < <Py_ssize_t>sizeof(uint32_t):
        raise ValueError("the page is too small")
    error = l4_trap_install(<l4_client_info *>&page[0])
    if error:
        raise OSError(-error, os.strerror(-error))


def told(unsigned char[::1] page not None):
    """Returns the number of the refused system call; None: there was none."""
    cdef uint32_t number = (<uint32_t *>&page[0])[0]
    return number - 1 if number else None
