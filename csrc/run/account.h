/* Records the end of every session: counters, histograms, the access log.
 *
 * Every client that was counted in a listener's `accepted` gets exactly one outcome, whatever its
 * protocol and however it ended. That includes a client that was turned away, and one whose worker
 * died. So the sum of `ended` and of the active sessions is what was accepted, and the log has a
 * line for each client.
 */
#ifndef L4_RUN_ACCOUNT_H
#define L4_RUN_ACCOUNT_H

#include "run/loop.h"
#include "shm/session_stats.h"

/* Records one end. All ends of all protocols come to this function. The caller is the only process
 * that writes this worker's rows. */
void l4_account_end(const struct l4_table *table, uint32_t worker,
                    const struct l4_outcome *outcome);

/* Records the end of a TCP session that ends now. Its sockets are still open. */
void l4_account_session(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Records the end of each session that died with its worker's process; of UDP sessions only if
 * with_udp, when no new process takes them over. Returns how many there were. The caller knows
 * that no process writes that worker's rows. */
uint32_t l4_account_lost(const struct l4_table *table, uint32_t worker, bool with_udp,
                         uint64_t now_us);

/* Does for one row what l4_account_lost does for all. Returns false if the row has no session, or
 * one whose end was recorded before. */
bool l4_account_lost_one(const struct l4_table *table, uint32_t worker, uint32_t slot,
                         uint64_t now_us);

/* Returns what is known of a live session now. The outcome's reason is L4_END_NONE. */
struct l4_outcome l4_account_describe(const struct l4_table *table, uint32_t slot,
                                      const struct l4_session *s, uint64_t now_us);

/* Is the reason one of a session that ended without a fault? */
bool l4_account_is_clean(unsigned reason);

#endif
