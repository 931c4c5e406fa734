from l4lb.native cimport c
from l4lb.native.memory cimport Memory


cdef class Snapshots(Memory):
    cdef object _session(self, c.l4_session *row, worker, slot, now_ms)
    cdef object _client_text(self, const c.l4_addr *addr)
    cdef tuple _told(self, c.l4_session *row, const c.l4_session *copy, worker, slot)
