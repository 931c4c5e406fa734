#include "core/hash_key.h"

#include <string.h>

static void keep_bits(uint8_t *ip, uint32_t bytes, uint32_t bits)
{
    for (uint32_t i = 0; i < bytes; i++) {
        const uint32_t kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8)
            ip[i] &= (uint8_t)(0xff00 >> kept);
    }
}

struct l4_addr l4_key_address(const struct l4_key_rule *rule, const struct l4_addr *client)
{
    struct l4_addr kept = *client;
    const uint32_t kind = atomic_load_explicit(&rule->kind, memory_order_relaxed);
    if (kind != L4_KEY_SOURCE_IP_PORT && kind != L4_KEY_QUIC)
        kept.port = 0;
    if (kept.family == AF_INET)
        keep_bits(kept.ip, 4, atomic_load_explicit(&rule->prefix4, memory_order_relaxed));
    else
        keep_bits(kept.ip, 16, atomic_load_explicit(&rule->prefix6, memory_order_relaxed));
    return kept;
}

uint64_t l4_key_hash(const struct l4_hash_key *key, const struct l4_key_rule *rule,
                     const struct l4_addr *client, uint64_t name_hash)
{
    const uint32_t kind = atomic_load_explicit(&rule->kind, memory_order_relaxed);
    if ((kind == L4_KEY_SNI || l4_key_is_of_request(kind)) && name_hash)
        return name_hash;
    const struct l4_addr kept = l4_key_address(rule, client);
    return l4_hash(key, &kept, sizeof kept);
}
