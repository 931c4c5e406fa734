/* What has been seen of sessions: histograms, the ring of those that ended, the picks made.
 *
 *   seen (the rules of what is kept) | ledgers (worker x pool) | logs (one ring a worker)
 *
 * A part of the shared table (shm/layout.h). A worker writes its own ledgers and log; when it is
 * dead, whoever takes back its counts does both for it. The log writer takes from the logs. A full
 * ring drops what comes, counts it, and costs nobody time.
 */
#ifndef L4_SHM_SEEN_H
#define L4_SHM_SEEN_H

#include "shm/table.h"
#include "shm/told.h"

/* ---- histograms ------------------------------------------------------------------------------ */

/* What is measured of each session; bytes come last. */
enum l4_measure {
    L4_MEASURE_CONNECT_US,
    L4_MEASURE_FIRST_BYTE_US,
    L4_MEASURE_SESSION_US,
    L4_MEASURE_QUEUE_US,
    L4_MEASURE_CLIENT_RTT_US,
    L4_MEASURE_BACKEND_RTT_US,
    L4_MEASURE_BYTES_IN,
    L4_MEASURE_BYTES_OUT,
    L4_MEASURES
};

/* Values by fixed upper bounds (included): of times 1-2-5 per decade from 10 us to 10,000 s, of
 * bytes powers of 4 from 64 to 1 TiB; the last bucket has what is above. See shm/seen.c. */
struct l4_histogram {
    _Atomic uint64_t sum;
    _Atomic uint64_t counts[L4_BUCKETS];
};

struct l4_ledger { /* one worker's of one pool */
    alignas(64) struct l4_histogram measures[L4_MEASURES];
    _Atomic uint64_t retransmits[2]; /* of the sampled sessions: to clients, to backends */
    _Atomic uint64_t sampled;        /* sessions whose sockets the kernel was asked about */
};

/* ---- ended sessions -------------------------------------------------------------------------- */

struct l4_outcome { /* all that is told of a session at its end, and an entry of the log */
    uint64_t ended_us, duration_us; /* the first: CLOCK_MONOTONIC */
    uint64_t bytes_in, bytes_out;
    uint32_t queue_us;                /* it waited this long for a place */
    uint32_t connect_us;              /* the backend took this long to accept */
    uint32_t first_byte_us;           /* from accept to the backend's first byte; 0: none */
    uint32_t slot, serial;            /* its row and the use of it; serial 0: it had none */
    uint32_t listener, pool;          /* L4_NONE: none was known */
    uint32_t backend, backend_serial; /* L4_NONE: none at its end */
    uint32_t unacked[2];              /* of bytes_in, bytes_out: not acknowledged when it was cut */
    uint32_t rtt_us[2], retransmits[2]; /* the kernel's word on both sockets; with sampled */
    struct l4_addr client;
    int32_t error;            /* errno behind reason, or 0 */
    uint8_t reason;           /* enum l4_reason */
    uint8_t retries;          /* attempts that failed */
    uint8_t reached, sampled; /* a backend had accepted it; its sockets were asked about */
    uint8_t told;             /* its client's facts lie beside it in the log */
};
_Static_assert(sizeof(struct l4_outcome) == 128, "struct l4_outcome is part of the shared table");

struct l4_log {
    struct l4_ring ring;
    struct l4_outcome outcomes[L4_LOG_PLACES];
    struct l4_told told[L4_LOG_PLACES]; /* of those that say so, at the same place */
};

/* Which outcomes a log gets. The filters thin out sessions that ended well (client_fin,
 * backend_fin); those that did not are always told. */
struct l4_log_rule {
    _Atomic uint32_t on;
    _Atomic uint32_t errors_only;
    _Atomic uint32_t share; /* of 65536 */
    _Atomic uint32_t min_duration_ms;
};

struct l4_seen {
    _Atomic uint32_t measures;    /* supervisor: 1: ledgers are kept */
    _Atomic uint32_t trace_every; /* supervisor: of so many picks one is kept; 0: none */
    struct l4_log_rule log_rule;  /* supervisor */

    alignas(64) _Atomic uint64_t log_written; /* log writer: lines */
    _Atomic uint64_t log_lost;                /* log writer: lines that no one took */
    _Atomic uint64_t log_failures;            /* log writer: times that writing failed */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static inline struct l4_seen *l4_table_seen(const struct l4_table *table)
{
    return (struct l4_seen *)((char *)table->header + table->plan.seen_at);
}

static inline struct l4_ledger *l4_table_ledger(const struct l4_table *table, uint32_t worker,
                                                uint32_t pool)
{
    struct l4_ledger *first = (struct l4_ledger *)((char *)table->header + table->plan.ledgers_at);
    return first + (size_t)worker * table->plan.caps.pools + pool;
}

static inline struct l4_log *l4_table_log(const struct l4_table *table, uint32_t worker)
{
    return (struct l4_log *)((char *)table->header + table->plan.logs_at) + worker;
}

/* The upper bound of a measure's bucket; UINT64_MAX for the last and those past it. */
uint64_t l4_bucket_bound(enum l4_measure measure, uint32_t bucket);

/* The first bucket whose bound is not below value. */
uint32_t l4_bucket_of(enum l4_measure measure, uint64_t value);

/* Adds a value that only this process adds to. */
void l4_ledger_add(struct l4_ledger *ledger, enum l4_measure measure, uint64_t value);

#endif
