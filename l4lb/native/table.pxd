from l4lb.native cimport c_l4 as c


cdef class Table:
    cdef c.l4_table table
    cdef const c.l4_table *handle(self)
    cdef c.l4_listener *_listener(self, index) except NULL
    cdef c.l4_pool *_pool(self, index) except NULL
    cdef c.l4_backend *_backend(self, index) except NULL
    cdef c.l4_worker *_worker(self, index) except NULL
    cdef object _session(self, c.l4_session *row, worker, slot, now_ms)
