/* The shared table's health and views, as the kernel's program reads them; its totals, as the
 * shared table has them. */
#ifndef L4_PACKET_PUBLISHED_H
#define L4_PACKET_PUBLISHED_H

#include "packet/forwarder.h"

/* Writes what has changed of the backends and views. */
void l4_published_follow(struct l4_forwarder *f);

/* Tells the shared table what was counted of each backend. */
void l4_published_totals(struct l4_forwarder *f);

/* The rows of the shared table; L4_NONE: there is none any more. */
uint32_t l4_published_backend(const struct l4_forwarder *f, uint32_t backend);
uint32_t l4_published_pool(const struct l4_forwarder *f, uint32_t pool);
uint32_t l4_published_listener(const struct l4_forwarder *f, uint32_t listener);

#endif
