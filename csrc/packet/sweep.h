/* The walk over the kernel's flows, in slices; commands and events. */
#ifndef L4_PACKET_SWEEP_H
#define L4_PACKET_SWEEP_H

#include "packet/forwarder.h"

L4_MUST_CHECK int l4_sweep_open(struct l4_forwarder *f);
void l4_sweep_close(struct l4_forwarder *f);

/* Does the next part of the walk. Returns 0 or -errno. */
L4_MUST_CHECK int l4_sweep_slice(struct l4_forwarder *f);

/* Ends a flow: takes its entries out of the kernel, and records the end. reason: enum l4_reason. */
void l4_forwarder_end(struct l4_forwarder *f, uint32_t row, unsigned reason);

#endif
