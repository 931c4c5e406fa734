/* Requests in the shared table: the present request of each session that speaks HTTP, counts of
 * requests, and the ring of ended requests for the access log.
 *
 *   requests (one a TCP session) | http tallies (worker x listener) | http columns (worker x
 *   backend) | request logs (one ring a worker)
 *
 * This is a part of the shared table (shm/layout.h). A worker writes its own rows; after its death,
 * the process that takes back its counts writes them in its place. A listener without HTTP never
 * touches them.
 */
#ifndef L4_SHM_HTTP_H
#define L4_SHM_HTTP_H

#include "shm/gate.h"
#include "shm/h2_abuse.h"
#include "shm/session_stats.h"
#include "shm/table.h"

/* The classes of statuses, by their first digit; 0: the client got no answer. */
enum { L4_STATUS_CLASSES = 6 };

/* Where an answer came from, and what became of its connection to the backend. */
enum l4_request_flags {
    L4_REQUEST_REUSED = 1 << 0, /* a connection that was used before */
    L4_REQUEST_TLS = 1 << 2,    /* the client used TLS */
    L4_REQUEST_CUT = 1 << 3,    /* a text was cut to its place */
    L4_REQUEST_HTTP2 = 1 << 4,  /* the client used HTTP/2 */
};

/* What a request is, in the client's words. The texts are bytes of the head, not ended by NUL. */
struct l4_request_text {
    uint16_t method_bytes, host_bytes, target_bytes, agent_bytes, referer_bytes, id_bytes;
    char method[16];
    char host[L4_REQUEST_HOST_MAX];
    char target[L4_REQUEST_TARGET_MAX];
    char agent[L4_REQUEST_AGENT_MAX];
    char referer[L4_REQUEST_REFERER_MAX];
    char id[L4_REQUEST_ID_MAX];
};

/* The present request of a session. Its worker writes. Others use it as they use the session's
 * row: if the session's serial and `number` are the same before and after. */
struct l4_request {
    _Atomic uint32_t number;  /* of the client's requests; 0: none yet */
    _Atomic uint32_t counted; /* 1: it has begun and its end was not counted yet */
    uint64_t started_us;      /* CLOCK_MONOTONIC of its first byte */
    uint32_t route;           /* L4_NONE: none */
    uint8_t minor, flags;     /* HTTP/1.minor; enum l4_request_flags */
    struct l4_addr client;    /* with L4_FACT_CLAIMED: whom it is from */
    struct l4_request_text text;
};

/* A request that has ended, and an entry of the log. */
struct l4_request_end {
    uint64_t ended_us; /* CLOCK_MONOTONIC */
    uint64_t duration_us;
    uint64_t bytes_in, bytes_out; /* of the bodies */
    uint32_t head_us;             /* from its first byte until its head was whole */
    uint32_t queue_us, connect_us;
    uint32_t answer_us; /* from its whole head to the answer's head; 0: there was none */
    uint32_t listener, pool, backend, backend_serial, route; /* L4_NONE: none */
    uint32_t serial, slot, number; /* of the session, and of the request among the session's */
    struct l4_addr client, peer;   /* peer: family is 0 if the client is the peer */
    int32_t error;
    uint16_t status; /* 0: the client got none */
    uint8_t reason;  /* enum l4_reason; L4_END_NONE: answered in full */
    uint8_t retries, retry_cause;
    uint8_t minor, flags;
    uint8_t cached, verdict;          /* enum l4_cache_result, enum l4_inspect_verdict */
    char fault[L4_REQUEST_FAULT_MAX]; /* why a request was refused; "" */
    char tls[L4_TLS_VERSION_MAX + 1]; /* version of TLS with the client; "" */
    uint16_t sni_bytes, filter_bytes, inspect_bytes;
    uint8_t rule_bytes, user_bytes; /* of a forward proxy: the rule that decided, the user */
    struct l4_addr outside;         /* ... the address that was connected to; family 0: none */
    char rule[L4_GATE_NAME_MAX];
    char user[L4_GATE_NAME_MAX];
    char sni[L4_REQUEST_SNI_MAX]; /* the server name that the client asked for */
    /* names of the last rule of the filter that it met, and of that which had it inspected */
    char filter[L4_REQUEST_FILTER_MAX], inspect[L4_REQUEST_FILTER_MAX];
    struct l4_request_text text;
};

struct l4_request_log {
    struct l4_ring ring;
    struct l4_request_end ends[L4_REQUEST_PLACES];
};

/* One worker's counts of one listener's requests. */
struct l4_http_tally {
    alignas(64) _Atomic uint64_t requests;
    _Atomic uint64_t classes[L4_STATUS_CLASSES];
    _Atomic uint64_t bytes[2];               /* of bodies, from clients and to clients */
    _Atomic uint64_t ended[L4_REASON_COUNT]; /* requests that were not answered in full by a
                                                backend, by enum l4_reason */
    _Atomic uint64_t unrouted;               /* requests that no route took */
    _Atomic uint64_t http2_opened, http2_closed, http2_streams; /* connections, and their streams */
    _Atomic uint64_t http2_abuses[L4_ABUSES];                   /* connections ended for it */
};

/* One worker's counts of one backend's requests. */
struct l4_http_column {
    alignas(64) _Atomic uint64_t classes[L4_STATUS_CLASSES];
    _Atomic uint64_t fresh, reused, stale; /* connections that carried a request: new; used before;
                                              used before and found closed */
    _Atomic uint64_t retries[8];           /* by the bit number of enum l4_http_retry_on */
    _Atomic uint32_t spare;                /* its connections between two requests: http/spare.h */
};

L4_WORKER_ROW(struct l4_request, l4_table_request, requests_at, caps->sessions)
L4_WORKER_ROW(struct l4_http_tally, l4_table_http_tally, http_tallies_at, caps->listeners)
L4_WORKER_ROW(struct l4_http_column, l4_table_http_column, http_columns_at, caps->backends)
/* The rates of all keys (core/rate_table.h). */
static inline struct l4_rate_group *l4_table_rates(const struct l4_table *table)
{
    return (struct l4_rate_group *)((char *)table->header + table->plan.rates_at);
}

L4_ROW(struct l4_request_log, l4_table_request_log, request_logs_at, caps->workers)

#endif
