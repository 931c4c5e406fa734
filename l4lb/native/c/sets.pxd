"""core/cidr.h, core/access.h"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr
from l4lb.native.c.layout cimport l4_policy
from l4lb.native.c.table cimport l4_table


cdef extern from "core/cidr.h":
    enum:
        L4_CIDR_FORMAT

    struct l4_cidr:
        uint32_t bytes

    struct l4_prefix:
        l4_addr net
        uint8_t bits

    int64_t l4_cidr_build(const l4_prefix *networks, size_t count, void *to, size_t room) nogil
    int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, l4_prefix *networks,
                          size_t maximum) nogil


cdef extern from "core/access.h":
    uint8_t l4_access_find(const l4_table *table, uint32_t set, const l4_addr *addr)
    bint l4_access_denies(const l4_table *table, const l4_policy *edge, const l4_addr *addr)
    uint32_t l4_access_bytes(const l4_table *table, uint32_t set)
    const l4_cidr *l4_access_set(const l4_table *table, uint32_t set)
    void l4_access_begin(const l4_table *table)
    int l4_access_put(const l4_table *table, uint32_t set, l4_prefix *networks,
                      size_t count) nogil
    int l4_access_read(const l4_table *table, uint32_t set, int fd, uint64_t offset,
                       uint32_t size) nogil
    int l4_access_keep(const l4_table *table, uint32_t set) nogil
    void l4_access_publish(const l4_table *table)
    void l4_access_release(const l4_table *table) nogil
