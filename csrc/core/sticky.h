/* The pick of a pool with sticky sessions: shm/sticky.h has the entries.
 *
 * A client gets its backend again as long as the backend may serve it: it is not down, not out of
 * service, and this client has not just failed to reach it; the pool decides whether it may
 * drain. Otherwise the client moves to the backend that is picked. While its backend is only
 * full, the client is served by another backend, or waits, and does not move.
 */
#ifndef L4_CORE_STICKY_H
#define L4_CORE_STICKY_H

#include "core/pick.h"
#include "shm/sticky.h"

/* The name is the one that the pool's rule asks for: the server name, or a value of the request. A
 * client whose request has no such value is not sticky. */
struct l4_sticky_client {
    const struct l4_addr *addr;
    uint64_t name_hash; /* 0: none */
    const char *name;
    uint32_t name_bytes;
};

/* True if the pool has sticky sessions. */
bool l4_sticky_is_on(const struct l4_table *table, uint32_t pool);

/* Picks as l4_pick does, for pools with and without sticky sessions. A dry pick changes no entry.
 * *sticky, if not null, becomes true if a sticky entry decided. */
struct l4_pick_answer l4_sticky_pick(const struct l4_table *table,
                                     const struct l4_pick_request *request,
                                     const struct l4_sticky_client *client, bool *sticky);

/* Records that a session of this client with this backend begins, lives or ends now. */
void l4_sticky_client_touch(const struct l4_table *table, uint32_t pool,
                            const struct l4_sticky_client *client, uint32_t backend,
                            uint64_t now_ms);

/* A server has told its client the name by which the client will be recognised: the client belongs
 * to this backend. */
void l4_sticky_learn(const struct l4_table *table, uint32_t who, uint32_t pool,
                     const struct l4_sticky_client *client, uint32_t backend, uint64_t now_ms);

/* Returns the tag of a client's entry; *key is what is shown of the client. */
uint64_t l4_sticky_client_tag(const struct l4_table *table, uint32_t pool,
                              const struct l4_sticky_client *client, struct l4_sticky_key *key);

#endif
