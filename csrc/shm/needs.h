/* What the sessions of a listener must pass on their way from accept to the pick, in one word: so a
 * listener that asks for nothing pays one load.
 *
 * The word follows from the rest of its row, the routes and the blocked sources. It is reckoned
 * here and nowhere else, by the supervisor, after any of these has changed.
 */
#ifndef L4_SHM_NEEDS_H
#define L4_SHM_NEEDS_H

#include "shm/table.h"

/* enum l4_policy_needs, from what stands in the table now. */
uint32_t l4_needs_of(const struct l4_header *header, const struct l4_policy *edge);

/* Puts them into force: of one listener, and of all that are in use. */
void l4_needs_settle(const struct l4_table *table, uint32_t listener);
void l4_needs_settle_all(const struct l4_table *table);

#endif
