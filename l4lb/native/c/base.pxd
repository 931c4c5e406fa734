"""base/addr.h, base/hash.h, base/reason.h, base/option.h"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "stdbool.h":
    ctypedef bint cbool "bool"


cdef extern from "base/addr.h":
    struct l4_addr:
        uint16_t family
        uint16_t port
        uint8_t ip[16]


cdef extern from "base/hash.h":
    struct l4_hash_key:
        uint64_t k0
        uint64_t k1

    uint64_t l4_hash(const l4_hash_key *key, const void *data, size_t bytes)
    uint64_t l4_hash_again(uint64_t hash, uint64_t number)
    uint32_t l4_hash_below(uint64_t hash, uint32_t n)


cdef extern from "base/reason.h":
    enum:
        L4_REJECTED_FIRST
        L4_REJECTED_COUNT
        L4_REASON_COUNT

    const char *l4_reason_word(unsigned reason)


cdef extern from "base/option.h":
    enum l4_option:
        L4_OPTIONS
        L4_SOURCES_MAX

    struct l4_options:
        uint32_t set
        uint32_t values[8]
        char interface[16]
