/* Passive health: what clients' own sessions tell about a backend, and when it is left alone.
 *
 * Two rows of failures are counted over all workers: attempts that did not reach the backend (ended
 * by one that did), and sessions it reset before its first byte (ended by a first byte or an
 * orderly end). A row as long as the pool's rule says ejects; where the
 * rule asks for several sources, a reset of a session whose client had sent something counts only
 * if another source saw the one before it, or one client could eject a backend by what it sends:
 * picks pass the backend over until ejected_until_ms. Each ejection lasts twice as long as the one
 * before, up to max_eject; one that was not ejected for max_eject after its last starts again from
 * eject. Never are more than max_ejected of a pool's members ejected at one time: who decides takes
 * `ejector` first, never waits for it, and a dead worker's hold on it is forgotten by whoever reaps
 * it.
 *
 * Nobody has to end an ejection: it is a time. A check that passes ends it early.
 */
#ifndef L4_CORE_PASSIVE_H
#define L4_CORE_PASSIVE_H

#include <stdbool.h>

#include "shm/table.h"

/* An attempt to reach the backend failed; error is an errno, or its negative. What is this host's
 * own fault (no port, no memory) is not counted. */
void l4_passive_unreached(const struct l4_table *table, uint32_t worker, uint32_t backend,
                          uint64_t now_ms, int error);

/* It was reached. */
void l4_passive_reached(const struct l4_table *table, uint32_t backend);

/* It reset a session of this client before its first byte; client is NULL if the client had sent
 * nothing, and so cannot have provoked it. A client's source is its address, of IPv6 the network of
 * L4_RESET_PREFIX bits; all clients of unix sockets are one. */
void l4_passive_reset(const struct l4_table *table, uint32_t worker, uint32_t backend,
                      const struct l4_addr *client, uint64_t now_ms);

/* It said its first byte to a client, or ended a session in good order. */
void l4_passive_served(const struct l4_table *table, uint32_t backend);

/* Is it ejected at this time? */
static inline bool l4_passive_ejected(const struct l4_backend *b, uint64_t now_ms)
{
    return L4_GET(b->ejected_until_ms) > now_ms;
}

/* Ends an ejection that began before since_ms. False: there is none. */
bool l4_passive_end(const struct l4_table *table, uint32_t backend, uint64_t since_ms,
                    uint64_t now_ms);

/* A row that is given to another backend knows nothing, of passive health or any other. */
void l4_passive_clear(struct l4_backend *b);

/* The worker is dead: it does not eject any more. */
void l4_passive_forget(const struct l4_table *table, uint32_t worker);

#endif
