/* Objects of a cache that tell what they are. */
#ifndef L4_TESTS_STORED_H
#define L4_TESTS_STORED_H

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "cache_memory.h"

enum { POOL = 7 };

static inline uint64_t hash_of(uint32_t number)
{
    return l4_hash_again(0x1234, number);
}

static inline struct l4_text key_of(uint32_t number, char to[static 32])
{
    const int bytes = snprintf(to, 32, "http://a/%u", number);
    return (struct l4_text){to, (size_t)bytes};
}

/* A body whose every word tells the object and its version. */
static inline struct l4_text body_of(uint32_t number, uint32_t version, size_t words, uint64_t *to)
{
    for (size_t i = 0; i < words; i++)
        to[i] = (uint64_t)number << 32 | version;
    return (struct l4_text){(const char *)to, words * sizeof *to};
}

static inline bool all(void *context, const struct l4_cached *object)
{
    (void)context;
    (void)object;
    return true;
}

static inline enum l4_cache_stored put(struct l4_cache *cache, uint32_t number, uint32_t version,
                                       size_t words)
{
    char key[32];
    static _Thread_local uint64_t words_of_it[LARGEST / 8];
    const struct l4_text body = body_of(number, version, words, words_of_it);
    const struct l4_text pieces[] = {{body.at, body.bytes / 3},
                                     {body.at + body.bytes / 3, body.bytes - body.bytes / 3}};
    const struct l4_cache_new new = {
        .hash = hash_of(number),
        .pool = POOL,
        .freshness.date_s = version,
        .status = 200,
        .key = key_of(number, key),
        .head = L4_TEXT("ETag: x\r\n"),
        .body = pieces,
        .pieces = 2,
    };
    return l4_cache_put(cache, &new, all, NULL);
}

static inline bool find(struct l4_cache *cache, uint32_t number, struct l4_cache_read *read)
{
    char key[32];
    return l4_cache_find(cache, hash_of(number), POOL, key_of(number, key), all, NULL, read);
}

/* Returns the version of an object that is found, after a look at every word of it; -1: not found;
 * -2: not what was stored. */
static inline long long version_of(const struct l4_cached *object, uint32_t number)
{
    char key[32];
    const struct l4_text body = l4_cached_body(object);
    uint64_t word = 0;
    for (size_t at = 0; at + sizeof word <= body.bytes; at += sizeof word) {
        memcpy(&word, body.at + at, sizeof word);
        if (word >> 32 != number || (uint32_t)word != object->freshness.date_s)
            return -2;
    }
    const bool right = l4_text_is(l4_cached_key(object), key_of(number, key)) &&
                       l4_text_is(l4_cached_head(object), L4_TEXT("ETag: x\r\n"));
    return right ? object->freshness.date_s : -2;
}

static inline long long look(struct l4_cache *cache, uint32_t number)
{
    struct l4_cache_read read;
    if (!find(cache, number, &read))
        return -1;
    l4_cache_use(&read);
    const long long version = version_of(read.object, number);
    l4_cache_release(cache, &read);
    return version;
}

#endif
