/* What is told when a session ends: counts, histograms, the log.
 *
 * Every client that was counted in a listener's `accepted` gets exactly one outcome, whatever its
 * protocol and however it ended, also one that was turned away or died with its worker. So the sum
 * of `ended` and what is active is what was accepted, and the log has a line for each.
 */
#ifndef L4_RUN_ACCOUNT_H
#define L4_RUN_ACCOUNT_H

#include "run/loop.h"
#include "shm/seen.h"

/* Accounts for one end: the one function all ends come to. The caller is the only process that
 * writes this worker's rows. */
void l4_account_end(const struct l4_table *table, uint32_t worker,
                    const struct l4_outcome *outcome);

/* The same for a TCP session that ends now; its sockets are still open. */
void l4_account_session(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* For each session that died with its worker's process; UDP ones only if nobody takes them over.
 * Returns how many there were. The caller knows that no process writes that worker's rows. */
uint32_t l4_account_lost(const struct l4_table *table, uint32_t worker, bool with_udp,
                         uint64_t now_us);

/* For one row of them. False: there is no session in it, or it had been accounted for. */
bool l4_account_lost_one(const struct l4_table *table, uint32_t worker, uint32_t slot,
                         uint64_t now_us);

/* What can be told of a live session now: its reason is L4_END_NONE. */
struct l4_outcome l4_account_describe(const struct l4_table *table, uint32_t slot,
                                      const struct l4_session *s, uint64_t now_us);

/* Is this how a session ends when nothing went wrong? */
bool l4_account_is_clean(unsigned reason);

#endif
