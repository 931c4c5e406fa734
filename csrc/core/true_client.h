/* Whom a request is from: the client that a trusted proxy tells of (core/hops.h). */
#ifndef L4_CORE_TRUE_CLIENT_H
#define L4_CORE_TRUE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/h1.h"
#include "shm/layout.h"

/* Is this peer a proxy whose word about its own clients is believed? */
bool l4_true_client_trusts(const struct l4_table *table, const struct l4_http_listener *rules,
                           const struct l4_addr *peer);

/* Finds the client in the head of a request of a peer that is believed. Returns false if the
 * request is the peer's own: the head names no client. */
bool l4_true_client_in(const struct l4_table *table, const struct l4_http_listener *rules,
                       const char *bytes, const struct l4_h1_head *head, struct l4_addr *client);

/* The same for a head that was not parsed, of any peer. */
bool l4_true_client_of(const struct l4_table *table, const struct l4_http_listener *rules,
                       const struct l4_addr *peer, const char *head, size_t bytes,
                       struct l4_addr *client);

#endif
