/* The identity of a client for hashing and sticky sessions: its source address (or network), with
 * its port, the server name that it asked for, or a value of its request
 * (core/request_values.h). Hashing has one rule and sticky sessions have another. */
#ifndef L4_CORE_HASH_KEY_H
#define L4_CORE_HASH_KEY_H

#include <stdbool.h>

#include "shm/layout.h"

/* Returns the part of an address that counts under a rule: host bits cleared, and the port only
 * if it counts. */
struct l4_addr l4_key_address(const struct l4_key_rule *rule, const struct l4_addr *client);

/* True if keys of this kind are values of a request. */
static inline bool l4_key_is_of_request(uint32_t kind)
{
    return kind >= L4_KEY_HEADER;
}

/* Returns the client's hash under a rule. name_hash is the hash of the name that the rule needs:
 * the server name, or the request's value. If there is none (0), the source address is hashed. */
uint64_t l4_key_hash(const struct l4_hash_key *key, const struct l4_key_rule *rule,
                     const struct l4_addr *client, uint64_t name_hash);

#endif
