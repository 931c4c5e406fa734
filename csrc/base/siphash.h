/* The computation of base/hash.h, for that file and for programs of the kernel, which link nothing.
 */
#ifndef L4_BASE_SIPHASH_H
#define L4_BASE_SIPHASH_H

#include "base/hash.h"

#define L4_HERE static inline __attribute__((always_inline))

struct l4_sip {
    uint64_t a, b, c, d;
};

L4_HERE uint64_t l4_sip_rotate(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

L4_HERE void l4_sip_round(struct l4_sip *v)
{
    v->a += v->b;
    v->b = l4_sip_rotate(v->b, 13) ^ v->a;
    v->a = l4_sip_rotate(v->a, 32);
    v->c += v->d;
    v->d = l4_sip_rotate(v->d, 16) ^ v->c;
    v->a += v->d;
    v->d = l4_sip_rotate(v->d, 21) ^ v->a;
    v->c += v->b;
    v->b = l4_sip_rotate(v->b, 17) ^ v->c;
    v->c = l4_sip_rotate(v->c, 32);
}

L4_HERE struct l4_sip l4_sip_begin(const struct l4_hash_key *key)
{
    return (struct l4_sip){
        key->k0 ^ 0x736f6d6570736575ull,
        key->k1 ^ 0x646f72616e646f6dull,
        key->k0 ^ 0x6c7967656e657261ull,
        key->k1 ^ 0x7465646279746573ull,
    };
}

L4_HERE void l4_sip_absorb(struct l4_sip *v, uint64_t word)
{
    v->d ^= word;
    l4_sip_round(v);
    l4_sip_round(v);
    v->a ^= word;
}

L4_HERE uint64_t l4_sip_end(struct l4_sip *v)
{
    v->c ^= 0xff;
    l4_sip_round(v);
    l4_sip_round(v);
    l4_sip_round(v);
    l4_sip_round(v);
    return v->a ^ v->b ^ v->c ^ v->d;
}

#endif
