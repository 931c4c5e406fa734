/* Load balancing: chooses the backend of a connection.
 *
 * Each algorithm is a file (pick_NAME.c) behind a table of operations. The algorithm proposes a
 * backend. l4_pick takes a place at it (shm/count.h), and asks again if another worker was
 * faster. Backends are tried in tiers: primaries that are up, then backups that are up, then,
 * with when_all_down = "try_all", all backends that no operator has taken out. Pure: time and
 * randomness are arguments, and only the table is read and written.
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
    uint64_t hash; /* hash of the client by the pool's hash_rule: core/hash_key.h */
    uint64_t random;
    const uint16_t *tried; /* backends not to propose again */
    uint32_t tried_count;
    bool dry; /* take no ticket and no place */
};

enum l4_pick_tier { L4_PRIMARIES, L4_BACKUPS, L4_ANY, L4_TIERS };

enum l4_usable { L4_USABLE, L4_FULL, L4_UNUSABLE };

struct l4_pick_answer {
    uint32_t backend; /* L4_NONE: none was found */
    bool full;        /* none was found because all usable backends are at their max_connections */
    enum l4_pick_tier tier;
};

/* The input of an algorithm: the view in force and the tier. */
struct l4_pick_context {
    const struct l4_table *table;
    const struct l4_pick_request *request;
    struct l4_pool *pool;
    struct l4_view *view;
    const uint16_t *members;
    const uint16_t *slots;
    const uint16_t *maglev;
    enum l4_pick_tier tier;
    bool full; /* a backend was seen that is usable except that it is full */
};

struct l4_pick_proposal {
    uint32_t backend; /* L4_NONE: none */
    uint32_t seen;    /* its inflight at the choice */
    bool exact;       /* the choice is valid only while inflight is `seen` */
};

struct l4_pick_ops {
    const char *name;
    struct l4_pick_proposal (*propose)(struct l4_pick_context *context);
};

extern const struct l4_pick_ops l4_pick_round_robin, l4_pick_least_connections,
    l4_pick_least_response_time, l4_pick_random, l4_pick_first, l4_pick_ip_hash, l4_pick_maglev;

/* Picks a backend and (unless dry) takes a place at it. */
struct l4_pick_answer l4_pick(const struct l4_table *table, const struct l4_pick_request *request);

/* Takes a place at this backend, for its sticky client, if it may serve the request. With try_all
 * it need not be up. With in_drain it may be draining. */
bool l4_pick_this(const struct l4_table *table, const struct l4_pick_request *request,
                  uint32_t backend, bool in_drain);

/* Can this backend get this request, in the context's tier? */
enum l4_usable l4_pick_judge(struct l4_pick_context *context, uint32_t backend);

static inline bool l4_pick_usable(struct l4_pick_context *context, uint32_t backend)
{
    return l4_pick_judge(context, backend) == L4_USABLE;
}

/* Returns the backend's weight in 1/1024, less during a slow start, never 0. */
uint64_t l4_pick_weight(const struct l4_pick_context *context, const struct l4_backend *backend);

/* True if a backend in its slow start takes the turn or client of this hash: as often as its
 * present share of its weight. A backend with its whole weight always does. */
bool l4_pick_ripe(const struct l4_pick_context *context, const struct l4_backend *backend,
                  uint64_t hash);

/* Takes the next ticket; all workers share one counter. */
uint64_t l4_pick_ticket(const struct l4_pick_context *context);

#endif
