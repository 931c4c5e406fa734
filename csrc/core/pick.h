/* Which backend does this connection go to?
 *
 * One file an algorithm (pick_NAME.c) behind a table of operations. An algorithm proposes a
 * backend; l4_pick takes a place at it (shm/count.h) and asks again if it lost a race for it.
 * Backends are asked for in tiers: primaries that are up, then backups that are up, then, with
 * when_all_down = "try_all", any that is not taken out by an operator. Pure: time and randomness
 * are arguments, and nothing but the table is read or written.
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
    uint64_t hash; /* of the client, by the pool's hash_rule: core/key.h */
    uint64_t random;
    const uint16_t *tried; /* backends not to propose again */
    uint32_t tried_count;
    bool dry; /* only look: take no ticket and no place */
};

enum l4_pick_tier { L4_PRIMARIES, L4_BACKUPS, L4_ANY, L4_TIERS };

enum l4_usable { L4_USABLE, L4_FULL, L4_UNUSABLE };

struct l4_pick_answer {
    uint32_t backend; /* L4_NONE: there is none */
    bool full;        /* ... because all that could serve are at their max_connections */
    enum l4_pick_tier tier;
};

/* What an algorithm sees: the view in force and the tier asked for. */
struct l4_pick_context {
    const struct l4_table *table;
    const struct l4_pick_request *request;
    struct l4_pool *pool;
    struct l4_view *view;
    const uint16_t *members;
    const uint16_t *slots;
    const uint16_t *maglev;
    enum l4_pick_tier tier;
    bool full; /* an otherwise usable backend was seen that is full */
};

struct l4_pick_proposal {
    uint32_t backend; /* L4_NONE: there is none */
    uint32_t seen;    /* its inflight when it was chosen */
    bool exact;       /* the choice holds only while inflight is `seen` */
};

struct l4_pick_ops {
    const char *name;
    struct l4_pick_proposal (*propose)(struct l4_pick_context *context);
};

extern const struct l4_pick_ops l4_pick_round_robin, l4_pick_least_connections,
    l4_pick_least_response_time, l4_pick_random, l4_pick_first, l4_pick_ip_hash, l4_pick_maglev;

/* Picks a backend and (unless dry) takes a place at it. */
struct l4_pick_answer l4_pick(const struct l4_table *table, const struct l4_pick_request *request);

/* Takes a place at this backend if it may serve the request; it need not be up with try_all, nor,
 * with in_drain, be ready rather than draining. For a client that belongs to it. */
bool l4_pick_this(const struct l4_table *table, const struct l4_pick_request *request,
                  uint32_t backend, bool in_drain);

/* The algorithm's name in configuration and reports; NULL past the last. */
const char *l4_pick_name(unsigned balance);

/* May this backend be given this request, in the context's tier? */
enum l4_usable l4_pick_judge(struct l4_pick_context *context, uint32_t backend);

static inline bool l4_pick_usable(struct l4_pick_context *context, uint32_t backend)
{
    return l4_pick_judge(context, backend) == L4_USABLE;
}

/* The backend's weight in 1/1024, less while it starts slowly, never 0. */
uint64_t l4_pick_weight(const struct l4_pick_context *context, const struct l4_backend *backend);

/* Does a backend that starts slowly take the turn or client of this hash? As often as its grown
 * share of its weight; one that has its whole weight always does. */
bool l4_pick_ripe(const struct l4_pick_context *context, const struct l4_backend *backend,
                  uint64_t hash);

/* The next of the tickets that all workers share. */
uint64_t l4_pick_ticket(const struct l4_pick_context *context);

#endif
