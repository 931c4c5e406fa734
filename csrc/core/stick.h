/* The pick of a pool whose clients go on meeting the backend they met first: shm/sticky.h has the
 * entries.
 *
 * A client goes to its backend as long as that may serve it: not down, not out of service, not
 * tried in vain just now; whether in drain says the pool. Otherwise it moves to the one that is
 * picked. While its backend is only full it is served elsewhere, or waits, and does not move.
 */
#ifndef L4_CORE_STICK_H
#define L4_CORE_STICK_H

#include "core/pick.h"
#include "shm/sticky.h"

struct l4_stick_client {
    const struct l4_addr *addr;
    uint64_t name_hash; /* of the server name asked for; 0: none */
    const char *name;
    uint32_t name_bytes;
};

/* Does this pool's stickiness hold? */
bool l4_stick_is_on(const struct l4_table *table, uint32_t pool);

/* As l4_pick, also where the pool is not sticky; what is dry changes no entry. *stuck, if not null,
 * says whether an entry decided. */
struct l4_pick_answer l4_stick_pick(const struct l4_table *table,
                                    const struct l4_pick_request *request,
                                    const struct l4_stick_client *client, bool *stuck);

/* A session of this client with this backend begins, lives or ends now. */
void l4_stick_touch(const struct l4_table *table, uint32_t pool,
                    const struct l4_stick_client *client, uint32_t backend, uint64_t now_ms);

/* The tag of a client's entry, and what it is shown as. */
uint64_t l4_stick_tag(const struct l4_table *table, uint32_t pool,
                      const struct l4_stick_client *client, struct l4_sticky_key *key);

#endif
