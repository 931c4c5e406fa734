#include "base/hash.h"

#include <string.h>

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

static void rounds(struct state *v, int count)
{
    while (count--) {
        v->a += v->b;
        v->b = rotate(v->b, 13) ^ v->a;
        v->a = rotate(v->a, 32);
        v->c += v->d;
        v->d = rotate(v->d, 16) ^ v->c;
        v->a += v->d;
        v->d = rotate(v->d, 21) ^ v->a;
        v->c += v->b;
        v->b = rotate(v->b, 17) ^ v->c;
        v->c = rotate(v->c, 32);
    }
}

/* Up to 8 bytes as a little-endian word. */
static uint64_t word_at(const unsigned char *data, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)data[i] << (8 * i);
    return word;
}

static void absorb(struct state *v, uint64_t word)
{
    v->d ^= word;
    rounds(v, 2);
    v->a ^= word;
}

uint64_t l4_hash(const struct l4_hash_key *key, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    struct state v = {
        key->k0 ^ 0x736f6d6570736575ull,
        key->k1 ^ 0x646f72616e646f6dull,
        key->k0 ^ 0x6c7967656e657261ull,
        key->k1 ^ 0x7465646279746573ull,
    };
    size_t left = bytes;
    for (; left >= 8; left -= 8, at += 8)
        absorb(&v, word_at(at, 8));
    absorb(&v, word_at(at, left) | (uint64_t)bytes << 56);
    v.c ^= 0xff;
    rounds(&v, 4);
    return v.a ^ v.b ^ v.c ^ v.d;
}
