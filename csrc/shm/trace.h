/* Recorded picks: the result of a client's pick, and the candidates.
 *
 * Each worker has one ring of the last L4_TRACES picks. The newest entry overwrites the oldest, and
 * no process takes entries out. A reader copies an entry, and uses it if its seq was even and equal
 * before and after. One pick in trace_every is recorded; the others cost one comparison.
 */
#ifndef L4_SHM_TRACE_H
#define L4_SHM_TRACE_H

#include "shm/table.h"

struct l4_candidate {
    uint16_t backend;
    uint16_t weight;
    uint32_t inflight; /* right after the pick */
    uint8_t usable;    /* enum l4_usable of core/pick.h */
    uint8_t health, state;
    uint8_t tried; /* this client had failed to reach it before */
};

struct l4_trace {
    _Atomic uint32_t seq; /* odd: being written */
    uint32_t pool, listener;
    uint32_t backend; /* the backend that was chosen; L4_NONE: none */
    uint32_t backend_serial;
    uint32_t session; /* serial */
    uint64_t at_us;   /* CLOCK_MONOTONIC */
    struct l4_addr client;
    uint32_t members;        /* members of the pool */
    uint8_t balance, tier;   /* enum l4_balance, enum l4_pick_tier */
    uint8_t full;            /* none was chosen, because all usable backends were full */
    uint8_t attempts;        /* backends that the client had failed to reach before */
    uint8_t candidate_count; /* number of candidates: the first members of the pool, and always the
                                chosen one */
    uint8_t sticky;          /* a sticky entry gave the backend */
    uint8_t by_name;         /* a QUIC connection id gave the backend */
    uint8_t unused;
    struct l4_candidate candidates[L4_CANDIDATES];
};

struct l4_traces {
    _Atomic uint64_t head; /* number of entries written so far */
    struct l4_trace traces[L4_TRACES];
};

L4_ROW(struct l4_traces, l4_table_traces, traces_at, caps->workers)

/* Copies an entry; index counts from the first entry ever. Returns false if it was overwritten or
 * is being written. */
bool l4_trace_read(const struct l4_traces *traces, uint64_t index, struct l4_trace *copy);

/* The writer fills the next entry between these two calls. */
struct l4_trace *l4_trace_begin(struct l4_traces *traces);
void l4_trace_end(struct l4_traces *traces, struct l4_trace *trace);

#endif
