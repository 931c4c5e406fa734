"""shm/http.h, core/request_line.h"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr
from l4lb.native.c.layout cimport l4_ring
from l4lb.native.c.table cimport l4_table


cdef extern from "base/bounds.h":
    enum:
        L4_REQUEST_PLACES
        L4_REQUEST_LINE_MAX
        L4_REQUEST_HOST_MAX
        L4_REQUEST_TARGET_MAX
        L4_REQUEST_REFERER_MAX


cdef extern from "shm/http.h":
    enum:
        L4_STATUS_CLASSES
        L4_REQUEST_REUSED
        L4_REQUEST_OWN
        L4_REQUEST_TLS
        L4_REQUEST_CUT

    struct l4_request_text:
        uint16_t method_bytes
        uint16_t host_bytes
        uint16_t target_bytes
        uint16_t agent_bytes
        uint16_t referer_bytes
        uint16_t id_bytes
        char *method
        char *host
        char *target
        char *agent
        char *referer
        char *id

    struct l4_request:
        uint32_t number
        uint32_t counted
        uint64_t started_us
        uint32_t route
        uint8_t minor
        uint8_t flags
        l4_addr client
        l4_request_text text

    struct l4_request_end:
        uint64_t ended_us
        uint64_t duration_us
        uint64_t bytes_in
        uint64_t bytes_out
        uint32_t head_us
        uint32_t queue_us
        uint32_t connect_us
        uint32_t answer_us
        uint32_t listener
        uint32_t pool
        uint32_t backend
        uint32_t backend_serial
        uint32_t route
        uint32_t serial
        uint32_t slot
        uint32_t number
        l4_addr client
        l4_addr peer
        int32_t error
        uint16_t status
        uint8_t reason
        uint8_t retries
        uint8_t retry_cause
        uint8_t minor
        uint8_t flags
        char *fault
        l4_request_text text

    struct l4_request_log:
        l4_ring ring
        l4_request_end *ends

    struct l4_http_tally:
        uint64_t requests
        uint64_t *classes
        uint64_t *bytes
        uint64_t *ended
        uint64_t unrouted
        uint64_t http2_opened
        uint64_t http2_closed
        uint64_t http2_streams
        uint64_t *http2_abuses

    struct l4_http_column:
        uint64_t *classes
        uint64_t fresh
        uint64_t reused
        uint64_t stale
        uint64_t *retries
        uint32_t spare

    l4_request *l4_table_request(const l4_table *table, uint32_t worker, uint32_t slot)
    l4_http_tally *l4_table_http_tally(const l4_table *table, uint32_t worker, uint32_t listener)
    l4_http_column *l4_table_http_column(const l4_table *table, uint32_t worker, uint32_t backend)
    l4_request_log *l4_table_request_log(const l4_table *table, uint32_t worker)


cdef extern from "shm/h2_abuse.h":
    enum:
        L4_ABUSES

    const char *l4_h2_abuse_word(unsigned int abuse)


cdef extern from "core/request_line.h":
    struct l4_request_line:
        const l4_request_end *end
        int64_t unix_ms
        const char *listener
        const char *pool
        const char *backend
        uint32_t route
        uint32_t worker

    size_t l4_request_line_text(const l4_request_line *line, char *to)
    size_t l4_request_line_json(const l4_request_line *line, char *to)
    size_t l4_request_line_combined(const l4_request_line *line, char *to)
    size_t l4_request_line_squid(const l4_request_line *line, char *to)
