from libc.stdint cimport uint64_t

from l4lb.native cimport c


cdef put_text(char *to, size_t size, text)
cdef cut_text(char *to, size_t size, text)
cdef put_ip(c.l4_addr *to, text)
cdef put_address(c.l4_addr *to, host, port)
cdef host_of(const c.l4_addr *addr)
cdef uint64_t clock_ms() except? 0


cdef inline void add_column(c.l4_column *total, const c.l4_column *column) noexcept:
    """Adds the counts of one column that only grow."""
    total.total += column.total
    total.connect_errors += column.connect_errors
    total.bytes_in += column.bytes_in
    total.bytes_out += column.bytes_out
    total.resets += column.resets


cdef class Memory:
    cdef c.l4_table table
    cdef const c.l4_table *handle(self)
    cdef c.l4_listener *_listener(self, index) except NULL
    cdef c.l4_pool *_pool(self, index) except NULL
    cdef c.l4_backend *_backend(self, index) except NULL
    cdef c.l4_worker *_worker(self, index) except NULL
    cdef object _counted(self)
