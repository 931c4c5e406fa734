/* SipHash-2-4, a keyed hash. It is the only hash here whose input a client can choose.
 *
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012. The key belongs to the
 * installation ([process] hash_seed): nobody outside can choose input that hits one backend or one
 * bucket, and several load balancers with one key agree.
 */
#ifndef L4_BASE_HASH_H
#define L4_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct l4_hash_key {
    uint64_t k0, k1;
};

uint64_t l4_hash(const struct l4_hash_key *key, const void *data, size_t bytes);

/* Mixes a hash and a small number into another hash (the finaliser of splitmix64, Steele, Lea and
 * Flood, OOPSLA 2014). The result is as good as random for anyone who does not know the hash. */
static inline uint64_t l4_hash_again(uint64_t hash, uint64_t number)
{
    uint64_t z = hash + (number + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Returns the hash from which l4_hash_again made this one with the number: each of its steps is one
 * to one, and is undone here. */
static inline uint64_t l4_hash_before(uint64_t again, uint64_t number)
{
    uint64_t z = again ^ (again >> 31) ^ (again >> 62);
    z *= 0x319642b2d24d8ec3ull;
    z ^= (z >> 27) ^ (z >> 54);
    z *= 0x96de1b173f119089ull;
    z ^= (z >> 30) ^ (z >> 60);
    return z - (number + 1) * 0x9e3779b97f4a7c15ull;
}

/* Maps a hash to a number below n, evenly, without a division (Lemire, ACM TOMACS 29(1), 2019). */
static inline uint32_t l4_hash_below(uint64_t hash, uint32_t n)
{
    return (uint32_t)(((hash >> 32) * (uint64_t)n) >> 32);
}

#endif
