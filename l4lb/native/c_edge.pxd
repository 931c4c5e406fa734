"""What Python sees of the edge: shm/edge.h and the parsers of what clients say first."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c_l4 cimport l4_addr, l4_table


cdef extern from "base/bounds.h":
    enum:
        L4_ROUTES_MAX
        L4_ALPN_MAX
        L4_HELLO_NAME_MAX
        L4_PPV_BYTES_MAX
        L4_PREFIXES_MAX
        L4_SETS_MAX
        L4_SETS_BYTES
        L4_BLOCKS_MAX


cdef extern from "base/reason.h":
    enum:
        L4_REJECTED_FIRST
        L4_REJECTED_COUNT


cdef extern from "base/hash.h":
    struct l4_hash_key:
        uint64_t k0
        uint64_t k1
    uint64_t l4_hash(const l4_hash_key *key, const void *data, size_t bytes)


cdef extern from "shm/edge.h":
    enum:
        L4_NEEDS_HELLO
        L4_LIKES_HELLO
        L4_NEEDS_ROUTE
        L4_NEEDS_PROXY
        L4_MAY_PROXY
        L4_NEEDS_ACCESS
        L4_NEEDS_BLOCKS
        L4_NEEDS_LIMITS
        L4_NEEDS_PACE
        L4_LIMITS
        L4_LIMIT_CONNECTIONS
        L4_LIMIT_SESSION_BANDWIDTH
        L4_SET_BLOCKS
        L4_ACCESS_ALLOW
        L4_ACCESS_DENY
        L4_ROUTE_NAME
        L4_ROUTE_SUFFIX
        L4_ROUTE_ANY_NAME
        L4_ROUTE_ALPN
        L4_ROUTE_SOURCE
        L4_ROUTE_SHARE
        L4_ROUTE_GOES_ON
        L4_FACT_NAME
        L4_FACT_ALPN

    struct l4_verdict:
        uint32_t refusal
        uint32_t dry_run

    struct l4_limit:
        uint64_t value
        uint64_t burst
        l4_verdict verdict

    struct l4_limits:
        l4_limit limits[6]
        uint32_t prefix4
        uint32_t prefix6
        uint32_t first_byte_ms
        uint32_t max_age_ms
        uint32_t age_jitter
        uint32_t head
        uint32_t inflight
        uint64_t full_ns

    struct l4_edge:
        uint32_t needs
        l4_limits limits
        uint32_t handshake_timeout_ms
        uint32_t trusted_set
        uint32_t access_set
        uint32_t rules_set
        uint32_t access_else_denied
        l4_verdict access
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

    struct l4_block:
        l4_addr net
        uint32_t bits
        uint32_t flags
        uint64_t since_ms
        uint64_t until_ms

    struct l4_pool:
        uint32_t send_proxy
        uint32_t proxy_tlvs

    struct l4_tally:
        uint64_t dry_run[1]
        uint64_t slowed[2]

    struct l4_worker:
        uint64_t uncounted
        uint64_t portless

    struct l4_header:
        uint32_t routes_generation
        uint32_t sets_generation
        uint32_t blocks
        l4_verdict block_verdict[2]
        uint32_t tarpit_ms
        l4_hash_key hash_key


cdef extern from "shm/edge_rows.h":
    l4_route *l4_table_routes(const l4_table *table, uint32_t generation)


cdef extern from "shm/talkers.h":
    enum:
        L4_TALKERS
    struct l4_talker:
        l4_addr addr
        uint64_t since_ms
        uint64_t sessions
        uint64_t rejected
        uint64_t bytes
    struct l4_talkers:
        pass


cdef extern from "shm/edge_rows.h":
    l4_block *l4_table_block(const l4_table *table, uint32_t index)
    l4_talkers *l4_table_talkers(const l4_table *table, uint32_t worker)


cdef extern from "core/talkers.h":
    bint l4_talkers_read(const l4_talkers *talkers, uint32_t index, l4_talker *row)
    l4_addr l4_talkers_source(const l4_addr *client)
    void l4_talkers_note(l4_talkers *talkers, const l4_addr *client, uint64_t now_ms,
                         uint64_t bytes, bint rejected)


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
    l4_hello_result l4_hello_await(const uint8_t *data, size_t bytes, size_t *due)
    l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, l4_hello *hello)


cdef extern from "core/ppv.h":
    enum l4_ppv_result:
        L4_PPV_MORE
        L4_PPV_WHOLE
        L4_PPV_NONE
        L4_PPV_BROKEN
    struct l4_ppv:
        size_t bytes
        uint8_t version
        bint local
        l4_addr from_ "from"
        l4_addr to
        const uint8_t *tlvs
        uint32_t tlvs_bytes
    struct l4_ppv_write:
        uint8_t version
        bint local
        bint crc32c
        l4_addr from_ "from"
        l4_addr to
        const uint8_t *tlvs
        uint32_t tlvs_bytes
    l4_ppv_result l4_ppv_read(const uint8_t *data, size_t bytes, l4_ppv *header)
    size_t l4_ppv_write_ "l4_ppv_write"(const l4_ppv_write *say, uint8_t *to)


cdef extern from "core/cidr.h":
    enum:
        L4_CIDR_FORMAT
    struct l4_cidr:
        uint32_t bytes
    struct l4_prefix:
        l4_addr net
        uint8_t bits
        uint8_t value
    int64_t l4_cidr_build(const l4_prefix *networks, size_t count, void *to, size_t room) nogil
    int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, l4_prefix *networks,
                          size_t most) nogil


cdef extern from "core/bulk.h":
    uint32_t l4_bulk_finds(const l4_table *table, uint32_t set, const l4_addr *addresses,
                           uint32_t count, bint in_turn) nogil
    uint64_t l4_bulk_loads(const uint64_t *memory, uint64_t words, uint32_t count) nogil


cdef extern from "core/access.h":
    uint8_t l4_access_find(const l4_table *table, uint32_t set, const l4_addr *addr)
    bint l4_access_denies(const l4_table *table, const l4_edge *edge, const l4_addr *addr)
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
