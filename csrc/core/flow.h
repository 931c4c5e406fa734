/* Whose datagram is this? The sessions of a worker by client, local address and listener.
 *
 * A chained hash table over rows 0..capacity-1, hashed with the installation's key so that nobody
 * outside can aim at one bucket, and two lists by age: young rows, whose clients have sent but one
 * datagram and may be made up, and proven ones. When a row is needed and none is free, the row that
 * has been idle longest goes; a proven one only while the young are few (L4_UDP_YOUNG_SHARE), so
 * that a flood of strangers pushes out strangers. Pure; its memory is taken once.
 *
 * The lane tells sessions of one client apart where it may have several: 0, or one past the backend
 * that the session is bound to (datagrams balanced one by one, QUIC connection ids).
 */
#ifndef L4_CORE_FLOW_H
#define L4_CORE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "base/hash.h"

struct l4_flow_key { /* all its bytes count */
    struct l4_addr client, local;
    uint32_t listener;
    uint32_t lane;
};
_Static_assert(sizeof(struct l4_flow_key) == 48, "no padding may be hashed");

enum l4_flow_age { L4_FLOW_YOUNG, L4_FLOW_OLD, L4_FLOW_AGES };

struct l4_flow_node {
    struct l4_flow_key key;
    uint32_t next;         /* in its bucket, or among the free rows */
    uint32_t bucket;       /* L4_NONE: it is not found by its key */
    uint32_t older, newer; /* in the list of its age */
    uint8_t age;
    bool used;
};

struct l4_flows {
    struct l4_flow_node *nodes;
    uint32_t *buckets;
    uint32_t capacity;
    uint32_t mask;  /* buckets - 1 */
    uint32_t fresh; /* rows from here on were never used */
    uint32_t free;  /* list of rows that were */
    uint32_t oldest[L4_FLOW_AGES], newest[L4_FLOW_AGES], count[L4_FLOW_AGES];
    struct l4_hash_key hash_key;
};

/* Takes its memory. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_flows_init(struct l4_flows *flows, uint32_t capacity,
                                                      const struct l4_hash_key *hash_key);
void l4_flows_close(struct l4_flows *flows);

/* The row that is found by this key, or L4_NONE. */
uint32_t l4_flows_find(const struct l4_flows *flows, const struct l4_flow_key *key);

/* Gives a free row to this key, which no row has: young and the newest. L4_NONE: none is free. */
uint32_t l4_flows_add(struct l4_flows *flows, const struct l4_flow_key *key);

/* The same for one certain row that is free, at the start only: before the first l4_flows_add, and
 * in rising order. */
void l4_flows_restore(struct l4_flows *flows, uint32_t row, const struct l4_flow_key *key);

/* It was used just now. */
void l4_flows_touch(struct l4_flows *flows, uint32_t row);

/* Its client has proven itself. */
void l4_flows_prove(struct l4_flows *flows, uint32_t row);

/* It is no longer found by its key, which may be given to another row. */
void l4_flows_loosen(struct l4_flows *flows, uint32_t row);

/* It is free. */
void l4_flows_remove(struct l4_flows *flows, uint32_t row);

/* The row that has to go when one is needed; L4_NONE: there is none at all. */
uint32_t l4_flows_victim(const struct l4_flows *flows);

static inline uint32_t l4_flows_held(const struct l4_flows *flows)
{
    return flows->count[L4_FLOW_YOUNG] + flows->count[L4_FLOW_OLD];
}

#endif
