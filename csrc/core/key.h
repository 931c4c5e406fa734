/* What a client is known by: its source address (or the network it is in), with its port, or the
 * server name it asked for. One rule for hashing, one for stickiness. */
#ifndef L4_CORE_KEY_H
#define L4_CORE_KEY_H

#include "shm/layout.h"

/* The part of an address that counts under a rule: host bits cleared, port only if it counts. */
struct l4_addr l4_key_address(const struct l4_key_rule *rule, const struct l4_addr *client);

/* The client's hash under a rule. name_hash: of the server name asked for; where the rule wants one
 * and there is none (0), the source address serves. */
uint64_t l4_key_hash(const struct l4_hash_key *key, const struct l4_key_rule *rule,
                     const struct l4_addr *client, uint64_t name_hash);

#endif
