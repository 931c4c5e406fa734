# cython: language_level=3
"""Sets of domain names: drafts of them, files that are read into drafts, and look-ups."""

import errno
import os
from typing import NamedTuple

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t

from l4lb.native cimport c

FORMATS = {"auto": c.L4_NAMES_AUTO, "domains": c.L4_NAMES_DOMAINS, "hosts": c.L4_NAMES_HOSTS,
           "dnsmasq": c.L4_NAMES_DNSMASQ}
BELOW, EXCEPT = c.L4_NAME_BELOW, c.L4_NAME_EXCEPT
WORD_MAX = 1_000  # bytes of an odd word that are kept


class OddWord(NamedTuple):
    """A word that a set does not take as it is: wrong, or with letters that are not ASCII."""

    line: int
    word: bytes
    flags: int
    wrong: bool


cdef _odd(const c.l4_names_text *text, bint wrong):
    return OddWord(text.line, text.word.at[:min(text.word.bytes, WORD_MAX)], text.flags, wrong)


cdef class Draft:
    """Names that become a set."""
    cdef c.l4_names_draft draft

    def __cinit__(self, bytes key=None):
        cdef c.l4_hash_key own
        key = os.urandom(16) if key is None else key
        own.k0 = int.from_bytes(key[:8], "little")
        own.k1 = int.from_bytes(key[8:], "little")
        c.l4_names_begin(&self.draft, &own)

    def __dealloc__(self):
        c.l4_names_end(&self.draft)

    def add(self, bytes name, flags=0):
        """Adds a name in the form of lists.name. flags: BELOW, EXCEPT. Returns False if a set does
        not take it. Raises OverflowError: there are too many; MemoryError."""
        cdef int error = c.l4_names_add(&self.draft, name, len(name), flags)
        if error == -errno.EINVAL:
            return False
        _check(error)
        return True

    def add_text(self, bytes content, form, flags, most):
        """Adds the names in a file's content, with these flags beside their own. form: of
        FORMATS. Returns how many they are, how many words are odd, and the first `most` of these.
        Raises as add does."""
        cdef c.l4_names_text text
        cdef c.l4_names_result result
        cdef uint32_t more = flags
        cdef uint64_t added = 0
        cdef int error = 0
        cdef uint64_t odd = 0
        cdef uint64_t kept = most
        found = []
        c.l4_names_text_begin(&text, content, len(content), FORMATS[form])
        while True:
            with nogil:
                result = c.l4_names_text_add(&text, more, &self.draft, &added, &error)
            _check(error)
            if result == c.L4_NAMES_END:
                return added, odd, found
            odd += 1
            if odd <= kept:
                found.append(_odd(&text, result == c.L4_NAMES_WRONG))

    def size(self):
        """Returns the bytes of the set. Raises OverflowError: its names need another key."""
        cdef int64_t found
        with nogil:
            found = c.l4_names_size(&self.draft)
        _check(<int>min(found, 0))
        return found

    def count(self):
        """Returns the number of names; after size, of different ones."""
        return self.draft.count

    def write(self, memory):
        """Writes the set into a writable buffer of the size that size has returned."""
        cdef Py_buffer view
        size = self.size()
        PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE | 1)
        try:
            if view.len != size or <size_t>view.buf % 8:
                raise ValueError(f"a buffer of {view.len} bytes for a set of {size}")
            with nogil:
                c.l4_names_write(&self.draft, view.buf)
        finally:
            PyBuffer_Release(&view)


cdef class Set:
    """A set in memory, for look-ups."""
    cdef Py_buffer view
    cdef c.l4_names set
    cdef bint held

    def __cinit__(self, memory):
        PyObject_GetBuffer(memory, &self.view, PyBUF_SIMPLE)
        self.held = True
        if c.l4_names_open(&self.set, self.view.buf, self.view.len):
            raise ValueError("the memory has no set of names")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    def __len__(self):
        return self.set.head.names

    def find(self, bytes host):
        """Returns the longest name of the set that means a host; b"": the host is not in it."""
        cdef uint32_t found = c.l4_names_find(&self.set, host, len(host))
        return host[len(host) - found:]


def find_line(bytes content, form, bytes name):
    """Returns the first line of a file's content with this name; 0: none has it."""
    cdef c.l4_names_text text
    cdef const char *wanted = name
    cdef size_t size = len(name)
    cdef uint64_t line
    c.l4_names_text_begin(&text, content, len(content), FORMATS[form])
    with nogil:
        line = c.l4_names_text_find(&text, wanted, size)
    return line


cdef _check(int error):
    if error == -errno.ENOMEM:
        raise MemoryError
    if error:
        raise OverflowError(f"the set of names has no room: {os.strerror(-error)}")
