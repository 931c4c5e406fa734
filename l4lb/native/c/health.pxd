"""shm/check.h, core/passive.h, core/response.h"""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native.c.layout cimport l4_backend, l4_check_words
from l4lb.native.c.table cimport l4_table


cdef extern from "shm/check.h":
    struct l4_check:
        uint32_t health
        uint32_t verdict
        uint32_t result
        uint32_t error
        uint32_t streak
        uint32_t kind
        uint32_t code
        uint64_t at_ms
        uint64_t duration_us
        uint64_t cert_end_s
        bint passed
        char text[160]

    void l4_check_record(l4_backend *b, const l4_check *check)
    void l4_check_say(l4_backend *b, uint32_t health, uint32_t agent, uint64_t at_ms)
    void l4_check_clear(l4_backend *b)
    void l4_check_read(const l4_backend *b, l4_check_words *words)


cdef extern from "core/passive.h":
    bint l4_passive_ejected(const l4_backend *b, uint64_t now_ms)
    bint l4_passive_end(const l4_table *table, uint32_t backend, uint64_t since_ms,
                        uint64_t now_ms)
    void l4_passive_clear(l4_backend *b)
    void l4_passive_forget(const l4_table *table, uint32_t worker)


cdef extern from "core/response.h":
    uint32_t l4_response_of(const void *backend, uint64_t now_ms)
    uint32_t l4_response_read(const uint64_t *word, uint64_t now_ms)
