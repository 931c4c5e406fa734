/* Records of sessions: histograms, the ring buffer of ended sessions, and recorded picks.
 *
 *   seen (rules of what is recorded) | ledgers (worker x pool) | logs (one ring a worker)
 *
 * This is a part of the shared table (shm/layout.h). A worker writes its own ledgers and log. After
 * its death, the process that takes back its counts writes both in its place. The log writer takes
 * entries from the logs. A full ring drops new entries and counts them; no worker waits.
 */
#ifndef L4_SHM_SESSION_STATS_H
#define L4_SHM_SESSION_STATS_H

#include "shm/client_info.h"
#include "shm/table.h"

/* ---- histograms ------------------------------------------------------------------------------ */

/* Measurements of each session; bytes come last. */
enum l4_measure {
    L4_MEASURE_CONNECT_US,
    L4_MEASURE_FIRST_BYTE_US,
    L4_MEASURE_SESSION_US,
    L4_MEASURE_QUEUE_US,
    L4_MEASURE_REQUEST_US, /* HTTP: from its first byte until the answer is with the client */
    L4_MEASURE_ANSWER_US,  /* HTTP: from the whole head until the head of the answer */
    L4_MEASURE_CLIENT_RTT_US,
    L4_MEASURE_BACKEND_RTT_US,
    L4_MEASURE_BYTES_IN,
    L4_MEASURE_BYTES_OUT,
    L4_MEASURES
};

/* Counts of values by fixed, inclusive upper bounds: for times 1-2-5 per decade from 10 us to
 * 10,000 s, for bytes powers of 4 from 64 to 1 TiB. The last bucket has all larger values. See
 * shm/session_stats.c. */
struct l4_histogram {
    _Atomic uint64_t sum;
    _Atomic uint64_t counts[L4_BUCKETS];
};

struct l4_ledger { /* one worker's measurements of one pool */
    alignas(64) struct l4_histogram measures[L4_MEASURES];
    _Atomic uint64_t retransmits[2]; /* of the sampled sessions: to clients, to backends */
    _Atomic uint64_t sampled;        /* sessions whose sockets the kernel was asked about */
};

/* ---- ended sessions -------------------------------------------------------------------------- */

struct l4_outcome {                 /* record of an ended session, and an entry of the log */
    uint64_t ended_us, duration_us; /* ended_us is CLOCK_MONOTONIC */
    uint64_t bytes_in, bytes_out;
    uint32_t queue_us;                /* time in the connection queue */
    uint32_t connect_us;              /* time that the backend took to accept */
    uint32_t first_byte_us;           /* time from accept to the backend's first byte; 0: none */
    uint32_t slot, serial;            /* session row and its serial; serial 0: no row */
    uint32_t listener, pool;          /* L4_NONE: not known */
    uint32_t backend, backend_serial; /* L4_NONE: no backend at its end */
    uint32_t unacked[2];              /* part of bytes_in and bytes_out that was not acknowledged */
    uint32_t rtt_us[2], retransmits[2]; /* from the kernel, for both sockets; with sampled */
    struct l4_addr client;
    int32_t error;            /* errno behind reason, or 0 */
    uint8_t reason;           /* enum l4_reason */
    uint8_t retries;          /* attempts to connect that failed */
    uint8_t reached, sampled; /* a backend accepted it; the kernel was asked about its sockets */
    uint8_t told;             /* facts about the client are beside the entry in the log */
    uint8_t by_request;       /* HTTP: each of its requests has an entry of its own */
};
_Static_assert(sizeof(struct l4_outcome) == 128, "struct l4_outcome is part of the shared table");

struct l4_log {
    struct l4_ring ring;
    struct l4_outcome outcomes[L4_LOG_PLACES];
    struct l4_client_info
        told[L4_LOG_PLACES]; /* for entries with told set, at the entry's position */
};

/* Rules for the log. The filters drop sessions that ended well (client_fin, backend_fin). Sessions
 * that did not end well are always logged. */
struct l4_log_rule {
    _Atomic uint32_t on;
    _Atomic uint32_t errors_only;
    _Atomic uint32_t share; /* share that is logged, of 65536 */
    _Atomic uint32_t min_duration_ms;
};

struct l4_stats {
    _Atomic uint32_t measures;    /* supervisor: 1: workers fill their histograms */
    _Atomic uint32_t trace_every; /* supervisor: one in this many picks is recorded; 0: none */
    struct l4_log_rule log_rule;  /* supervisor */

    alignas(64) _Atomic uint64_t log_written; /* log writer: lines written */
    _Atomic uint64_t log_lost;                /* log writer: lines lost */
    _Atomic uint64_t log_failures;            /* log writer: writes that failed */
};

static inline struct l4_stats *l4_table_stats(const struct l4_table *table)
{
    return (struct l4_stats *)((char *)table->header + table->plan.stats_at);
}

L4_WORKER_ROW(struct l4_ledger, l4_table_ledger, ledgers_at, caps->pools)
L4_ROW(struct l4_log, l4_table_log, logs_at, caps->workers)

/* Returns the upper bound of a bucket; UINT64_MAX for the last bucket and larger numbers. */
uint64_t l4_bucket_bound(enum l4_measure measure, uint32_t bucket);

/* Returns the first bucket whose bound is not below value. */
uint32_t l4_bucket_of(enum l4_measure measure, uint64_t value);

/* Adds a value to a ledger that only this process writes. */
void l4_ledger_add(struct l4_ledger *ledger, enum l4_measure measure, uint64_t value);

#endif
