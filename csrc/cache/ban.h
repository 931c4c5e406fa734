/* Purges of more than one object: by URL with all its variants, by the beginning of URLs, by host,
 * by tag, or of everything.
 *
 * A purge is a row that says what is meant; objects are compared with it when they are met, each
 * once. So a purge costs the same whatever the cache holds, and counts from the moment at which
 * l4_ban_add returns: also for an answer that is on its way, which is older than the purge if it
 * was asked for before.
 */
#ifndef L4_CACHE_BAN_H
#define L4_CACHE_BAN_H

#include "cache/store.h"

enum l4_ban_kind {
    L4_BAN_ALL,
    L4_BAN_URL,    /* of the whole key */
    L4_BAN_PREFIX, /* of the beginning of keys */
    L4_BAN_HOST,   /* with its port as in the key, or without */
    L4_BAN_TAG,
    L4_BAN_KINDS
};

/* The bytes at the begin of the file that the purges have. */
enum {
    L4_BANS_BYTES = (sizeof(struct l4_bans) + L4_PAGE_BYTES - 1) / L4_PAGE_BYTES * L4_PAGE_BYTES
};

/* Begins the list where all is zero. l4_bans_are_known: is there a list of this form? */
void l4_bans_format(struct l4_bans *bans);
bool l4_bans_are_known(const struct l4_bans *bans);

/* Returns the number by which purges name a cache. */
uint64_t l4_ban_cache(const char *name);

/* Adds a purge. soft: what it concerns is stale, and may be used while it is asked for anew. Any
 * process may call it. Returns the purge's number. */
uint64_t l4_ban_add(struct l4_bans *bans, uint64_t cache, enum l4_ban_kind kind,
                    struct l4_text text, bool soft);

/* Returns the number of the last purge, for what is asked for now. */
static inline uint64_t l4_ban_last(const struct l4_bans *bans)
{
    return atomic_load(&bans->last);
}

/* Looks at the purges that an object has not met yet. Returns true if it may not be used any more.
 * A soft purge marks it. */
bool l4_ban_is_dead(const struct l4_bans *bans, uint64_t cache, struct l4_cached *object);

#endif
