/* Keeping the sketch of the busiest sources: shm/talkers.h. */
#ifndef L4_CORE_TALKERS_H
#define L4_CORE_TALKERS_H

#include <stdbool.h>

#include "shm/talkers.h"

/* A session of this source has ended. One writer. */
void l4_talkers_note(struct l4_talkers *talkers, const struct l4_addr *client, uint64_t now_ms,
                     uint64_t bytes, bool rejected);

/* Copies row `index`. False: it is free, or it changed meanwhile. */
bool l4_talkers_read(const struct l4_talkers *talkers, uint32_t index, struct l4_talker *row);

/* The source that an address counts as. */
struct l4_addr l4_talkers_source(const struct l4_addr *client);

#endif
