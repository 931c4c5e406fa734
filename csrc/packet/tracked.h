/* The flows that the packet process knows, as sessions of the shared table. */
#ifndef L4_PACKET_TRACKED_H
#define L4_PACKET_TRACKED_H

#include "packet/forwarder.h"

L4_MUST_CHECK int l4_tracked_open(struct l4_forwarder *f, int memory_fd);
void l4_tracked_close(struct l4_forwarder *f);

/* An entry of the kernel's. */
void l4_tracked_see(struct l4_forwarder *f, const struct l4_forward_key *key,
                    const struct l4_forward_flow *flow);

/* Returns why a flow has ended, by what its sides have sent; L4_END_EVICTED: it has not, but its
 * entries are gone. */
unsigned l4_tracked_reason(const struct l4_tracked *tracked);

/* Records the end of a flow whose entries are gone, or linger. */
void l4_tracked_end(struct l4_forwarder *f, uint32_t row, unsigned reason);

/* Forgets a flow that has ended. */
void l4_tracked_forget(struct l4_forwarder *f, uint32_t row);

/* The key of the client's entry, and of the backend's. */
void l4_tracked_key(const struct l4_tracked *tracked, struct l4_forward_key *key);

#endif
