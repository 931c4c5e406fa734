/* Picks that were watched: what a client's pick found, and what it chose among.
 *
 * One ring a worker, of the last L4_TRACES; the newest overwrites the oldest, nobody takes from it.
 * Readers copy an entry and keep it if its seq was the same, and even, before and after. Of picks
 * one in trace_every is watched; the others cost a compare.
 */
#ifndef L4_SHM_TRACE_H
#define L4_SHM_TRACE_H

#include "shm/table.h"

struct l4_candidate {
    uint16_t backend;
    uint16_t weight;
    uint32_t inflight; /* when it was looked at, right after the pick */
    uint8_t usable;    /* enum l4_usable of core/pick.h */
    uint8_t health, state;
    uint8_t tried; /* this client could not reach it before */
};

struct l4_trace {
    _Atomic uint32_t seq; /* odd: being written */
    uint32_t pool, listener;
    uint32_t backend; /* that was chosen; L4_NONE: none */
    uint32_t backend_serial;
    uint32_t session; /* serial */
    uint64_t at_us;   /* CLOCK_MONOTONIC */
    struct l4_addr client;
    uint32_t members;        /* of the pool */
    uint8_t balance, tier;   /* enum l4_balance, enum l4_pick_tier */
    uint8_t full;            /* none was chosen because all that could serve were full */
    uint8_t attempts;        /* backends it could not reach before */
    uint8_t candidate_count; /* the first of the pool's members, and always the chosen one */
    uint8_t stuck;           /* the client belonged to it */
    uint8_t by_name;         /* what the client sent names it (QUIC connection ids) */
    uint8_t unused;
    struct l4_candidate candidates[L4_CANDIDATES];
};

struct l4_traces {
    _Atomic uint64_t head; /* entries ever written */
    struct l4_trace traces[L4_TRACES];
};

static inline struct l4_traces *l4_table_traces(const struct l4_table *table, uint32_t worker)
{
    return (struct l4_traces *)((char *)table->header + table->plan.traces_at) + worker;
}

/* Copies an entry; index counts from the oldest ever. False: it was overwritten or is being. */
bool l4_trace_read(const struct l4_traces *traces, uint64_t index, struct l4_trace *copy);

/* Where the next entry goes; it is written between these two calls. */
struct l4_trace *l4_trace_begin(struct l4_traces *traces);
void l4_trace_end(struct l4_traces *traces, struct l4_trace *trace);

#endif
