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

/* A purge of more than one object: those that are older are not used any more (Varnish calls it a
 * ban). `cache` and `hash` are hashes, so a purge may take more than it should, and never less. */
struct l4_ban {
    _Atomic uint64_t number; /* written last; 0: none yet */
    uint64_t cache;          /* of the name of the cache that is meant */
    uint64_t hash;
    uint64_t stamp;     /* as its number, for objects of earlier programs, too */
    uint32_t bytes;     /* of the text that was hashed */
    uint8_t kind, soft; /* enum l4_ban_kind; 1: they are stale */
};

/* The begin of the file that all caches are in. A program that takes over goes on with it, and
 * makes caches of its own behind those of the old one. */
struct l4_bans {
    uint64_t format;
    uint64_t epoch;    /* counts the programs that began a list */
    uint64_t floor;    /* objects with a smaller stamp are older than purges that are forgotten */
    uint64_t restored; /* the number of the last row that an earlier program has left */
    _Atomic uint32_t shared; /* supervisor: 1 while an older program's workers serve, too */
    alignas(64) _Atomic uint64_t last; /* number of the last purge, of all processes */
    struct l4_ban rows[L4_CACHE_BANS]; /* the place is the remainder of the number */
};

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

/* A stamp says of which program and which purge something is newer: the program's epoch, and the
 * number of the purge there. So objects that outlive a program can be compared with the purges of
 * the next one, whose list goes on with those of the programs before it. */
enum { L4_BAN_EPOCH_SHIFT = 40 };

/* Begins the list where all is zero. epoch: larger than that of any list before it. floor: the
 * stamp of the last purge that nobody remembers. l4_bans_are_known: is there a list of this form?
 */
void l4_bans_format(struct l4_bans *bans, uint64_t epoch, uint64_t floor);

/* Puts a purge of an earlier program into a list that was just begun, in the order of stamps. */
void l4_ban_restore(struct l4_bans *bans, const struct l4_ban *ban);

/* Copies a purge. Returns false if it is not there any more, or not yet. */
bool l4_ban_read(const struct l4_bans *bans, uint64_t number, struct l4_ban *to);

/* The stamp of what is newer than a purge of this program. */
static inline uint64_t l4_ban_stamp(const struct l4_bans *bans, uint64_t number)
{
    return bans->epoch << L4_BAN_EPOCH_SHIFT | number;
}

/* Gives the number of the last purge that is older than a stamp. Returns false if a purge that
 * nobody remembers may be newer. */
bool l4_ban_of_stamp(const struct l4_bans *bans, uint64_t stamp, uint64_t *number);

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
