/* Passive health checks (outlier detection): failures of clients' sessions eject a backend for
 * some time.
 *
 * Two kinds of failures in a row are counted over all workers: attempts that did not reach the
 * backend (a successful connect resets the count), and sessions that the backend reset before its
 * first byte (a first byte or an orderly end resets the count). When a count reaches the pool's
 * rule, the backend is ejected: picks skip it until ejected_until_ms. If the rule asks for
 * several sources, a reset of a session whose client had sent something counts only if the
 * previous reset was of another source. Otherwise one client could eject a backend by the data it
 * sends.
 *
 * Each ejection lasts twice as long as the one before, up to max_eject. A backend that was not
 * ejected for max_eject after its last ejection starts again with eject. At most max_ejected of a
 * pool's members are ejected at one time: the worker that decides takes `ejector` first, and
 * never waits for it. The process that reaps a dead worker clears its `ejector`.
 *
 * An ejection is a time, so no process has to end it. A health check that passes ends it early.
 */
#ifndef L4_CORE_PASSIVE_H
#define L4_CORE_PASSIVE_H

#include <stdbool.h>

#include "shm/table.h"

/* An attempt to reach the backend failed; error is an errno, or its negative. Faults of this host
 * (no port, no memory) are not counted. */
void l4_passive_unreached(const struct l4_table *table, uint32_t worker, uint32_t backend,
                          uint64_t now_ms, int error);

/* An attempt reached the backend. */
void l4_passive_reached(const struct l4_table *table, uint32_t backend);

/* The backend reset a session of this client before its first byte. client is NULL if the client
 * had sent nothing, and so cannot have provoked the reset. A client's source is its IPv4 address,
 * or the IPv6 network of L4_RESET_PREFIX bits; all clients of unix sockets are one source. */
void l4_passive_reset(const struct l4_table *table, uint32_t worker, uint32_t backend,
                      const struct l4_addr *client, uint64_t now_ms);

/* The backend sent its first byte to a client, or ended a session in order. */
void l4_passive_served(const struct l4_table *table, uint32_t backend);

/* True if the backend is ejected at this time. */
static inline bool l4_passive_ejected(const struct l4_backend *b, uint64_t now_ms)
{
    return L4_GET(b->ejected_until_ms) > now_ms;
}

/* Ends an ejection that began before since_ms. Returns false if there is none. */
bool l4_passive_end(const struct l4_table *table, uint32_t backend, uint64_t since_ms,
                    uint64_t now_ms);

/* Clears a row's ejections, failures and the checker's words, before another backend gets the row;
 * l4_check_clear has the rest. */
void l4_passive_clear(struct l4_backend *b);

/* Clears the `ejector` of a dead worker. */
void l4_passive_forget(const struct l4_table *table, uint32_t worker);

#endif
