"""shm/client_info.h, shm/session_stats.h, shm/trace.h, core/talkers.h, core/logline.h,
run/account.h"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr
from l4lb.native.c.layout cimport l4_ring, l4_session, l4_talker, l4_talkers
from l4lb.native.c.table cimport l4_table


cdef extern from "shm/client_info.h":
    struct l4_client_info:
        l4_addr via
        uint16_t port
        const char *name
        const char *version
        const char *cipher
        const char *protocol

    bint l4_client_info_read(const l4_table *table, uint32_t worker, uint32_t slot,
                             const l4_session *s, l4_client_info *told)


cdef extern from "shm/session_stats.h":
    enum:
        L4_MEASURES

    struct l4_histogram:
        uint64_t sum
        uint64_t counts[29]

    struct l4_ledger:
        l4_histogram *measures
        uint64_t retransmits[2]
        uint64_t sampled

    struct l4_outcome:
        uint64_t ended_us
        uint64_t duration_us
        uint64_t bytes_in
        uint64_t bytes_out
        uint32_t queue_us
        uint32_t connect_us
        uint32_t first_byte_us
        uint32_t slot
        uint32_t serial
        uint32_t listener
        uint32_t pool
        uint32_t backend
        uint32_t backend_serial
        uint32_t retransmits[2]
        l4_addr client
        int32_t error
        uint8_t reason
        uint8_t retries
        uint8_t reached
        uint8_t sampled
        uint8_t told

    struct l4_log:
        l4_ring ring
        l4_outcome outcomes[8192]
        l4_client_info told[8192]

    struct l4_log_rule:
        uint32_t on
        uint32_t errors_only
        uint32_t share
        uint32_t min_duration_ms

    struct l4_stats:
        uint32_t measures
        uint32_t trace_every
        l4_log_rule log_rule
        uint64_t log_written
        uint64_t log_lost
        uint64_t log_failures

    l4_stats *l4_table_stats(const l4_table *table)
    l4_ledger *l4_table_ledger(const l4_table *table, uint32_t worker, uint32_t pool)
    l4_log *l4_table_log(const l4_table *table, uint32_t worker)
    uint64_t l4_bucket_bound(int measure, uint32_t bucket)


cdef extern from "shm/trace.h":
    enum:
        L4_TRACES

    struct l4_candidate:
        uint16_t backend
        uint16_t weight
        uint32_t inflight
        uint8_t usable
        uint8_t health
        uint8_t state
        uint8_t tried

    struct l4_trace:
        uint32_t pool
        uint32_t listener
        uint32_t backend
        uint32_t backend_serial
        uint32_t session
        uint64_t at_us
        l4_addr client
        uint32_t members
        uint8_t balance
        uint8_t tier
        uint8_t full
        uint8_t attempts
        uint8_t sticky
        uint8_t by_name
        uint8_t candidate_count
        l4_candidate candidates[8]

    struct l4_traces:
        uint64_t head

    l4_traces *l4_table_traces(const l4_table *table, uint32_t worker)
    bint l4_trace_read(const l4_traces *traces, uint64_t index, l4_trace *copy)


cdef extern from "core/talkers.h":
    bint l4_talkers_read(const l4_talkers *talkers, uint32_t index, l4_talker *row)
    l4_addr l4_talkers_source(const l4_addr *client)


cdef extern from "core/logline.h":
    struct l4_logline:
        const l4_outcome *outcome
        int64_t unix_ms
        const char *listener
        const char *pool
        const char *backend
        const l4_client_info *told
        uint32_t worker

    size_t l4_logline_text(const l4_logline *line, char *out)
    size_t l4_logline_json(const l4_logline *line, char *out)


cdef extern from "run/account.h":
    uint32_t l4_account_lost(const l4_table *table, uint32_t worker, bint with_udp,
                             uint64_t now_us)
    l4_outcome l4_account_describe(const l4_table *table, uint32_t slot,
                                   const l4_session *s, uint64_t now_us)
