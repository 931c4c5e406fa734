/* Maintains the sketch of the top talkers: shm/talkers.h. */
#ifndef L4_CORE_TALKERS_H
#define L4_CORE_TALKERS_H

#include <stdbool.h>

#include "shm/talkers.h"

/* Records that a session of this source has ended. Only one process writes. */
void l4_talkers_note(struct l4_talkers *talkers, const struct l4_addr *client, uint64_t now_ms,
                     uint64_t bytes, bool rejected);

/* Records that a request of this source was turned away. */
void l4_talkers_reject(struct l4_talkers *talkers, const struct l4_addr *client, uint64_t now_ms);

/* Copies row `index`. Returns false if it is free, or changed during the copy. */
bool l4_talkers_read(const struct l4_talkers *talkers, uint32_t index, struct l4_talker *row);

/* Returns the source of an address. */
struct l4_addr l4_talkers_source(const struct l4_addr *client);

#endif
