/* Which backend does this connection go to?
 *
 * One file an algorithm (pick_NAME.c) behind a table of operations. An algorithm proposes a
 * backend; l4_pick takes a place at it (shm/count.h) and asks again if it lost a race for it.
 * Pure: time and randomness are arguments, and nothing but the table is read or written.
 */
#ifndef L4_CORE_PICK_H
#define L4_CORE_PICK_H

#include <stdbool.h>

#include "shm/layout.h"

struct l4_table;

struct l4_pick_request {
    uint32_t worker;
    uint32_t pool;
    uint64_t now_ms;
    const uint16_t *tried; /* backends not to propose again */
    uint32_t tried_count;
};

/* What an algorithm sees: the view in force, and whether the last resort (when_all_down =
 * "try_all") is on, under which a backend that is down may be proposed. */
struct l4_pick_context {
    const struct l4_table *table;
    const struct l4_pick_request *request;
    struct l4_pool *pool;
    struct l4_view *view;
    const uint16_t *members;
    const uint16_t *slots;
    bool try_all;
};

struct l4_pick_proposal {
    uint32_t backend; /* L4_NONE: there is none */
    uint32_t seen;    /* its inflight when it was chosen */
    bool exact;       /* the choice holds only while inflight is `seen` */
};

struct l4_pick_ops {
    const char *name;
    struct l4_pick_proposal (*propose)(const struct l4_pick_context *context);
};

extern const struct l4_pick_ops l4_pick_round_robin;
extern const struct l4_pick_ops l4_pick_least_connections;

/* Picks a backend and takes a place at it. Returns its index, or L4_NONE if no backend is usable
 * or all that are usable are full. */
uint32_t l4_pick(const struct l4_table *table, const struct l4_pick_request *request);

/* The algorithm's name in configuration and reports; NULL past the last. */
const char *l4_pick_name(unsigned balance);

/* May this backend be given this request? Member of the pool, ready, weight above 0, not down
 * (unless try_all), not full, not tried before. */
bool l4_pick_usable(const struct l4_pick_context *context, uint32_t backend);

#endif
