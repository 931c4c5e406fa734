from libc.stdint cimport uint32_t, uint64_t

from l4lb.native cimport c_l4 as c


cdef _put_text(char *to, size_t size, text)
cdef _host(const c.l4_addr *addr)
cdef _put_address(c.l4_addr *to, host, port)


cdef class Table:
    cdef c.l4_table table
    cdef const c.l4_table *handle(self)
    cdef c.l4_listener *_listener(self, index) except NULL
    cdef c.l4_pool *_pool(self, index) except NULL
    cdef c.l4_backend *_backend(self, index) except NULL
    cdef c.l4_worker *_worker(self, index) except NULL
    cdef object _counted(self)
    cdef object _session(self, c.l4_session *row, worker, slot, now_ms)
    cdef void _put_health(self, c.l4_backend *row, uint32_t word, uint64_t at_ms)
    cdef object _client_text(self, const c.l4_addr *addr)
    cdef tuple _told(self, c.l4_session *row, const c.l4_session *copy, worker, slot)
