"""What Python sees of the edge: shm/edge.h and the parsers of what clients say first."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c_l4 cimport l4_addr, l4_table


cdef extern from "base/bounds.h":
    enum:
        L4_ROUTES_MAX
        L4_ALPN_MAX
        L4_HELLO_NAME_MAX


cdef extern from "base/hash.h":
    struct l4_hash_key:
        uint64_t k0
        uint64_t k1
    uint64_t l4_hash(const l4_hash_key *key, const void *data, size_t bytes)


cdef extern from "shm/edge.h":
    enum:
        L4_NEEDS_HELLO
        L4_NEEDS_ROUTE
        L4_ROUTE_NAME
        L4_ROUTE_SUFFIX
        L4_ROUTE_ANY_NAME
        L4_ROUTE_ALPN
        L4_ROUTE_SOURCE
        L4_ROUTE_SHARE
        L4_FACT_NAME
        L4_FACT_ALPN

    struct l4_edge:
        uint32_t needs
        uint32_t handshake_timeout_ms
        uint32_t routes_at[2]
        uint32_t routes_count[2]

    struct l4_route:
        uint32_t wants
        uint32_t pool
        uint64_t name_hash
        uint32_t share
        uint32_t prefix
        l4_addr source
        uint16_t name_bytes
        uint8_t alpn_bytes
        uint8_t alpn[255]
        char name[256]


# why: rows of c_l4.pxd seen once more, with the fields that only the edge uses.
cdef extern from "shm/layout.h":
    struct l4_listener:
        l4_edge edge

    struct l4_header:
        uint32_t routes_generation
        l4_hash_key hash_key


cdef extern from "shm/table.h":
    l4_route *l4_table_routes(const l4_table *table, uint32_t generation)


cdef extern from "core/hello.h":
    enum l4_hello_result:
        L4_HELLO_MORE
        L4_HELLO_WHOLE
        L4_HELLO_NONE
    struct l4_hello:
        size_t due
        uint32_t name_bytes
        uint32_t alpn_bytes
        char name[256]
        uint8_t alpn[256]
    l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, l4_hello *hello)
