# cython: language_level=3
"""Programs of the kernel and their maps (csrc/packet/bpf.h)."""

import errno
import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from l4lb.native.c.bpf cimport *

MAPS_MAX = L4_BPF_MAPS_MAX
PACKET_MAX = 4096  # bytes of a packet that `run` returns


class LoadError(OSError):
    def __init__(self, number, text, said):
        super().__init__(number, text)
        self.said = said


cdef _check(int error):
    if error < 0:
        raise OSError(-error, os.strerror(-error))
    return error


cdef class Program:
    cdef readonly object kind
    cdef int program
    cdef int maps[L4_BPF_MAPS_MAX]
    cdef uint32_t count
    cdef object _names

    def __cinit__(self, kind):
        self.program = -1
        self.kind = kind
        self.count = len(kind.maps)
        if self.count > MAPS_MAX:
            raise ValueError("too many maps")
        self._names = {one.name: index for index, one in enumerate(kind.maps)}
        for index in range(MAPS_MAX):
            self.maps[index] = -1

    def __dealloc__(self):
        self.close()

    def close(self):
        cdef uint32_t i
        if self.program >= 0:
            os.close(self.program)
        self.program = -1
        for i in range(self.count):
            if self.maps[i] >= 0:
                os.close(self.maps[i])
            self.maps[i] = -1

    cdef l4_bpf_kind _described(self, l4_bpf_map *rows, list names, reuse):
        cdef l4_bpf_kind described
        for index, one in enumerate(self.kind.maps):
            names.append(one.name.encode())
            rows[index].name = PyBytes_AS_STRING(names[index])
            rows[index].key = one.key
            rows[index].value = one.value
            rows[index].entries = one.entries
            rows[index].reuse = reuse.get(one.name, -1)
        names.append(self.kind.program.encode())
        described.program = PyBytes_AS_STRING(names[-1])
        described.type = self.kind.type
        described.count = self.count
        described.maps = rows
        return described

    @staticmethod
    def load(whole, kind, reuse=None):
        cdef Program made = Program(kind)
        cdef l4_bpf_map rows[L4_BPF_MAPS_MAX]
        cdef list names = []
        cdef l4_bpf_kind described = made._described(rows, names, reuse or {})
        cdef char why[4096]
        cdef bytes object_file = whole
        cdef int error = l4_bpf_load(&described, PyBytes_AS_STRING(object_file), len(object_file),
                                     &made.program, made.maps, why, sizeof(why))
        if error:
            made.program = -1
            for index in range(MAPS_MAX):
                made.maps[index] = -1
            raise LoadError(-error, os.strerror(-error), why.decode(errors="replace").strip())
        return made

    @staticmethod
    def adopt(fds, kind):
        cdef Program made = Program(kind)
        cdef l4_bpf_map rows[L4_BPF_MAPS_MAX]
        cdef list names = []
        cdef l4_bpf_kind described = made._described(rows, names, {})
        cdef int error
        if len(fds) != len(kind.maps) + 1:
            raise OSError(errno.EPROTO, "not the descriptors of such a program")
        made.program = fds[0]
        for index in range(len(kind.maps)):
            made.maps[index] = fds[index + 1]
        error = l4_bpf_check(&described, made.program, made.maps)
        if error:  # the descriptors stay the caller's
            made.program = -1
            for index in range(MAPS_MAX):
                made.maps[index] = -1
        _check(error)
        return made

    @property
    def fds(self):
        return [self.program] + [self.maps[i] for i in range(self.count)]

    def fd(self, name):
        return self.maps[<int>self._names[name]]

    # ---- interfaces ----------------------------------------------------------------------------

    def link(self, target, attach):
        return _check(l4_bpf_link(self.program, target, attach))

    def relink(self, link):
        _check(l4_bpf_relink(self.program, link))

    def filter(self, interface, handle, priority):
        _check(l4_bpf_filter(self.program, interface, handle, priority))

    # ---- maps ----------------------------------------------------------------------------------

    cdef _sized(self, name, key, value):
        row = self.kind.maps[self._names[name]]
        if len(key) != row.key or (value is not None and len(value) != row.value):
            raise ValueError(f"map {name}: a key has {row.key} bytes, a value {row.value}")

    def put(self, name, key, value, absent=False):
        self._sized(name, key, value)
        cdef bytes k = key, v = value
        _check(l4_bpf_put(self.fd(name), PyBytes_AS_STRING(k), PyBytes_AS_STRING(v),
                          <bint>absent))

    def get(self, name, key):
        values = self._values(name, key)
        return None if values is None else values[0]

    def get_all(self, name, key):
        return self._values(name, key) or []

    cdef _values(self, name, key):
        self._sized(name, key, None)
        row = self.kind.maps[self._names[name]]
        cdef bytes k = key
        cdef size_t each = (row.value + 7) // 8 * 8 if row.per_cpu else row.value
        cdef size_t copies = _check(l4_bpf_processors()) if row.per_cpu else 1
        cdef bytes value = PyBytes_FromStringAndSize(NULL, each * copies)
        cdef int error = l4_bpf_get(self.fd(name), PyBytes_AS_STRING(k), PyBytes_AS_STRING(value))
        if error == -errno.ENOENT:
            return None
        _check(error)
        return [value[at * each:at * each + row.value] for at in range(copies)]

    def drop(self, name, key):
        self._sized(name, key, None)
        cdef bytes k = key
        _check(l4_bpf_drop(self.fd(name), PyBytes_AS_STRING(k)))

    def keys(self, name, maximum):
        cdef int64_t size = self.kind.maps[self._names[name]].key, room = maximum
        cdef int map = self.fd(name)
        cdef char *keys = <char *>malloc(max(room, 1) * size)
        cdef int64_t count, i
        if keys is NULL:
            raise MemoryError
        try:
            with nogil:
                count = l4_bpf_keys(map, <uint32_t>size, keys, room)
            _check(<int>min(count, 0))
            return [keys[i * size:(i + 1) * size] for i in range(count)]
        finally:
            free(keys)

    # ---- tests ---------------------------------------------------------------------------------

    def run(self, packet, interface=1, segments=0, repeat=1):
        cdef bytes whole = packet
        cdef char out[4096]
        cdef uint32_t ns = 0, size = sizeof(out)
        memset(out, 0, sizeof(out))
        cdef int answer = l4_bpf_run(self.program, PyBytes_AS_STRING(whole), len(whole), out, &size,
                                     interface, segments, repeat, &ns)
        if answer <= -1000:
            _check(answer + 1000)
        return answer, out[:size], ns


def unfilter(interface, handle, priority):
    _check(l4_bpf_unfilter(interface, handle, priority))


def pin(fd, path):
    cdef bytes where = os.fsencode(path)
    _check(l4_bpf_pin(fd, PyBytes_AS_STRING(where)))


def pinned(path):
    cdef bytes where = os.fsencode(path)
    return _check(l4_bpf_pinned(PyBytes_AS_STRING(where)))
