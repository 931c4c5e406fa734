"""What Python sees of csrc/shm/seen.h and of the access log's lines."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native cimport c_l4 as c


cdef extern from "base/bounds.h":
    enum:
        L4_LOG_PLACES
        L4_LOG_LINE_MAX
        L4_BUCKETS


cdef extern from "shm/seen.h":
    enum:
        L4_MEASURES

    struct l4_histogram:
        uint64_t sum
        uint64_t counts[29]

    struct l4_ledger:
        l4_histogram measures[8]
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
        uint32_t rtt_us[2]
        uint32_t retransmits[2]
        c.l4_addr client
        int32_t error
        uint8_t reason
        uint8_t retries
        uint8_t reached
        uint8_t sampled
        uint8_t told

    struct l4_log:
        c.l4_ring ring
        l4_outcome outcomes[8192]
        c.l4_told told[8192]

    struct l4_log_rule:
        uint32_t on
        uint32_t errors_only
        uint32_t share
        uint32_t min_duration_ms

    struct l4_seen:
        uint32_t measures
        uint32_t trace_every
        l4_log_rule log_rule
        uint64_t log_written
        uint64_t log_lost
        uint64_t log_failures

    l4_seen *l4_table_seen(const c.l4_table *table)
    l4_ledger *l4_table_ledger(const c.l4_table *table, uint32_t worker, uint32_t pool)
    l4_log *l4_table_log(const c.l4_table *table, uint32_t worker)
    uint64_t l4_bucket_bound(int measure, uint32_t bucket)


cdef extern from "shm/ring.h":
    bint l4_ring_peek(const c.l4_ring *ring, const void *entries, uint64_t *position, void *entry,
                      size_t entry_bytes, uint64_t places)
    void l4_ring_release(c.l4_ring *ring, uint64_t position)


cdef extern from "core/logline.h":
    struct l4_logline:
        const l4_outcome *outcome
        int64_t unix_ms
        const char *listener
        const char *pool
        const char *backend
        const c.l4_told *told
        uint32_t worker

    size_t l4_logline_text(const l4_logline *line, char *out)
    size_t l4_logline_json(const l4_logline *line, char *out)


cdef extern from "run/account.h":
    void l4_account_end(const c.l4_table *table, uint32_t worker, const l4_outcome *outcome)
    l4_outcome l4_account_describe(const c.l4_table *table, uint32_t slot,
                                   const c.l4_session *s, uint64_t now_us)


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
        c.l4_addr client
        uint32_t members
        uint8_t balance
        uint8_t tier
        uint8_t full
        uint8_t attempts
        uint8_t stuck
        uint8_t by_name
        uint8_t candidate_count
        l4_candidate candidates[8]

    struct l4_traces:
        uint64_t head

    l4_traces *l4_table_traces(const c.l4_table *table, uint32_t worker)
    bint l4_trace_read(const l4_traces *traces, uint64_t index, l4_trace *copy)
