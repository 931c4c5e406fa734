#include "base/hash.h"

#include "base/siphash.h"

/* Up to 8 bytes as a little-endian word. */
static uint64_t word_at(const unsigned char *data, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)data[i] << (8 * i);
    return word;
}

uint64_t l4_hash(const struct l4_hash_key *key, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    struct l4_sip v = l4_sip_begin(key);
    size_t left = bytes;
    for (; left >= 8; left -= 8, at += 8)
        l4_sip_absorb(&v, word_at(at, 8));
    l4_sip_absorb(&v, word_at(at, left) | (uint64_t)bytes << 56);
    return l4_sip_end(&v);
}
