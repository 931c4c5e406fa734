/* Objects of a cache as they are read: found, used, and taken out; and who fetches one that is not
 * there. */
#ifndef L4_CACHE_FIND_H
#define L4_CACHE_FIND_H

#include "cache/store.h"

/* The texts of an object. */
struct l4_text l4_cached_key(const struct l4_cached *object);
struct l4_text l4_cached_vary(const struct l4_cached *object);
struct l4_text l4_cached_tags(const struct l4_cached *object);
struct l4_text l4_cached_head(const struct l4_cached *object);
struct l4_text l4_cached_body(const struct l4_cached *object);

/* A read of an object; its owner keeps it until the release. */
struct l4_cache_read {
    const struct l4_cached *object;
    uint64_t word; /* 0: of a copy, which nobody keeps */
};

/* Finds the newest object of a key that `fits` says yes to. The caller releases it. */
bool l4_cache_find(struct l4_cache *cache, uint64_t hash, uint64_t pool, struct l4_text key,
                   bool (*fits)(void *context, const struct l4_cached *object), void *context,
                   struct l4_cache_read *read);
/* Reads the next object of a key, of any pool. *way: where to look on, 0 at first. Returns false if
 * there is no further one; else the caller releases it. */
bool l4_cache_next(struct l4_cache *cache, uint64_t hash, struct l4_text key, uint32_t *way,
                   struct l4_cache_read *read);

void l4_cache_use(const struct l4_cache_read *read); /* counts a use */
void l4_cache_release(struct l4_cache *cache, struct l4_cache_read *read);

/* Takes out the object that was read, and releases it. */
void l4_cache_drop(struct l4_cache *cache, struct l4_cache_read *read);

/* Counts the purges of a key, with those of other keys. A purge counts before it takes out what is
 * on disk, and again when it takes out what is in memory: so who sees the same count before and
 * after it has stored something was not overtaken by one. */
uint32_t l4_cache_purges(const struct l4_cache *cache, uint64_t hash);
void l4_cache_note_purge(struct l4_cache *cache, uint64_t hash);

/* Takes out all objects of a key, of all pools, or makes them stale. Returns how many. Who fetches
 * it now has no claim any more. */
uint32_t l4_cache_purge(struct l4_cache *cache, uint64_t hash, struct l4_text key, bool soft);

/* ---- who fetches -------------------------------------------------------------------------------
 */

enum l4_cache_claimed {
    L4_CACHE_FETCH, /* this caller, who must end the claim */
    L4_CACHE_WAIT,  /* another one does */
    L4_CACHE_PASS,  /* each for himself */
};

struct l4_cache_claim {
    uint64_t hash, word; /* 0: none */
    uint32_t purged;     /* purges of the key's part of all keys, when it was made */
    uint64_t others;     /* no claim: the word of the one that was there instead */
};

/* Asks who fetches the object of a key. Two keys may be taken for one: then one waits in vain. */
enum l4_cache_claimed l4_cache_claim(struct l4_cache *cache, uint64_t hash, int64_t now_s,
                                     struct l4_cache_claim *claim);

/* Returns the word of the claim that somebody has on a key; 0: nobody has one. */
uint64_t l4_cache_claim_of(const struct l4_cache *cache, uint64_t hash, int64_t now_s);

/* Does this caller still have its claim? */
bool l4_cache_has_claim(const struct l4_cache *cache, const struct l4_cache_claim *claim);

/* Returns false if the key may have been purged since the claim was made: what was fetched may be
 * older than that. Holds also for a claim that somebody has taken away. */
bool l4_cache_is_current(const struct l4_cache *cache, const struct l4_cache_claim *claim);

/* Takes another one's claim away, who has had it for too long. Returns false if it has gone. */
bool l4_cache_revoke(struct l4_cache *cache, uint64_t hash, uint64_t word);

/* Ends a claim. pass_until_s: nobody is to wait until then; 0: the next one may. */
void l4_cache_end_claim(struct l4_cache *cache, struct l4_cache_claim *claim, int64_t pass_until_s);

#endif
