/* Finds the session of a datagram: a worker's UDP sessions by client, local address and listener.
 *
 * A chained hash table over rows 0..capacity-1 uses the installation's hash key, so that nobody
 * outside can choose clients of one bucket. Two lists order the rows by age: young rows, whose
 * clients have sent only one datagram and may be forged, and proven rows. When a row is needed
 * and none is free, the row that has been idle for longest is reused. A proven row is reused only
 * while young rows are few (L4_UDP_YOUNG_SHARE), so a flood of forged sources replaces its own
 * rows. The code is pure; its memory is taken once.
 *
 * The subflow separates the sessions of one client that may have several: it is 0, or the session's
 * backend plus 1 (per_datagram, QUIC connection ids).
 */
#ifndef L4_CORE_FLOW_H
#define L4_CORE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "base/hash.h"

/* What identifies a flow. Keys are compared byte by byte. */
struct l4_flow_key {
    struct l4_addr client, local;
    uint32_t listener;
    uint32_t subflow;
};
_Static_assert(sizeof(struct l4_flow_key) == 48, "no padding may be hashed");

enum l4_flow_age { L4_FLOW_YOUNG, L4_FLOW_OLD, L4_FLOW_AGES };

struct l4_flow_node {
    struct l4_flow_key key;
    uint32_t next;         /* next row of the bucket, or of the free rows */
    uint32_t bucket;       /* L4_NONE: the row has no key */
    uint32_t older, newer; /* neighbours in the list of its age */
    uint8_t age;
    bool used;
};

struct l4_flows {
    struct l4_flow_node *nodes;
    uint32_t *buckets;
    uint32_t capacity;
    uint32_t mask;  /* buckets - 1 */
    uint32_t fresh; /* rows from this one on were never used */
    uint32_t free;  /* list of free rows that were used before */
    uint32_t oldest[L4_FLOW_AGES], newest[L4_FLOW_AGES], count[L4_FLOW_AGES];
    struct l4_hash_key hash_key;
};

/* Allocates the memory. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_flows_init(struct l4_flows *flows, uint32_t capacity,
                                                      const struct l4_hash_key *hash_key);
void l4_flows_close(struct l4_flows *flows);

/* Returns the row with this key, or L4_NONE. */
uint32_t l4_flows_find(const struct l4_flows *flows, const struct l4_flow_key *key);

/* Gives a free row to a key that no row has; the row is young and the newest. Returns L4_NONE if
 * no row is free. */
uint32_t l4_flows_add(struct l4_flows *flows, const struct l4_flow_key *key);

/* Gives this free row to a key. Only at the start: before the first l4_flows_add, and in rising
 * order of rows. */
void l4_flows_restore(struct l4_flows *flows, uint32_t row, const struct l4_flow_key *key);

/* Records a use of the row. */
void l4_flows_touch(struct l4_flows *flows, uint32_t row);

/* Marks the row's client as proven. */
void l4_flows_prove(struct l4_flows *flows, uint32_t row);

/* Takes the key from the row; another row can then get the key. */
void l4_flows_loosen(struct l4_flows *flows, uint32_t row);

/* Frees the row. */
void l4_flows_remove(struct l4_flows *flows, uint32_t row);

/* Returns the row to reuse when one is needed; L4_NONE if there is none. */
uint32_t l4_flows_victim(const struct l4_flows *flows);

static inline uint32_t l4_flows_held(const struct l4_flows *flows)
{
    return flows->count[L4_FLOW_YOUNG] + flows->count[L4_FLOW_OLD];
}

#endif
