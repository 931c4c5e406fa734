/* Words of the index: what they say, and where a key's are. Of csrc/cache only. */
#ifndef L4_CACHE_WORDS_H
#define L4_CACHE_WORDS_H

#include "cache/find.h"

enum { L4_CACHE_PLACE_BITS = 32, L4_CACHE_PRINT_SHIFT = 40 };

/* Returns the part of a hash that words have: never 0, so no word is. */
static inline uint64_t l4_word_print(uint64_t hash)
{
    return hash >> L4_CACHE_PRINT_SHIFT | 1;
}

static inline uint64_t l4_word(uint64_t hash, uint32_t owner, uint64_t place)
{
    return l4_word_print(hash) << L4_CACHE_PRINT_SHIFT | (uint64_t)owner << L4_CACHE_PLACE_BITS |
           (uint32_t)place;
}

static inline bool l4_word_is_of(uint64_t word, uint64_t hash)
{
    return word >> L4_CACHE_PRINT_SHIFT == l4_word_print(hash);
}

static inline uint32_t l4_word_owner(uint64_t word)
{
    return word >> L4_CACHE_PLACE_BITS & 0xff;
}

static inline uint32_t l4_word_place(uint64_t word)
{
    return (uint32_t)word;
}

static inline bool l4_word_is_object(const struct l4_cache *cache, uint64_t word)
{
    return word && l4_word_owner(word) < cache->log_count &&
           (uint64_t)l4_word_place(word) * L4_CACHE_UNIT + sizeof(struct l4_cached) <=
               cache->log_bytes;
}

/* Returns the words of a key's bucket. */
static inline _Atomic uint64_t *l4_cache_bucket(const struct l4_cache *cache, uint64_t hash)
{
    return cache->index + (size_t)(hash & (cache->buckets - 1)) * L4_CACHE_WAYS;
}

/* Returns where the object of a word lies. */
static inline struct l4_cached *l4_cache_at(const struct l4_cache *cache, uint64_t word)
{
    return (struct l4_cached *)(cache->logs + l4_word_owner(word) * cache->log_bytes +
                                (uint64_t)l4_word_place(word) * L4_CACHE_UNIT);
}

/* Returns the bit of the region in which a place lies. */
static inline uint32_t l4_cache_region(const struct l4_cache *cache, uint32_t place)
{
    return (uint32_t)((uint64_t)place * L4_CACHE_UNIT / (cache->log_bytes / L4_CACHE_REGIONS));
}

/* Puts a word into the key's bucket: in place of `old`, or, if that is gone or 0, in a free place
 * or in that of another object, which is then lost. */
void l4_cache_publish(struct l4_cache *cache, uint64_t hash, uint64_t old, uint64_t word);

/* Puts a word in place of another one. Returns false if that was not there. */
bool l4_cache_replace(struct l4_cache *cache, uint64_t hash, uint64_t old, uint64_t word);

/* Takes a word out. Returns false if it was not there. */
bool l4_cache_withdraw(struct l4_cache *cache, uint64_t hash, uint64_t word);

#endif
