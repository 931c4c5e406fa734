/* Sticky sessions: the table of clients and their backends, for all pools, in shared memory.
 *
 * The table has buckets of L4_STICKY_WAYS entries. An entry is two words: a tag (a hash of the pool
 * and of what identifies the client) and a value (the backend, and the time of the last use). All
 * workers read, use and move entries without a lock. A new entry takes a free or expired entry of
 * its bucket, else the one that was used least recently. One process at a time fills an entry;
 * `filler` has its index, so two workers that enter one client at the same moment agree. No process
 * waits long for `filler`: one that does not get it goes on without an entry. The process that
 * reaps a dead process clears its `filler` (l4_sticky_forget). The entry that was being filled is
 * then free, because its tag is written last.
 *
 * The table has caps.sticky entries.
 */
#ifndef L4_SHM_STICKY_H
#define L4_SHM_STICKY_H

#include <stdbool.h>

#include "shm/table.h"

/* What identifies a client, for people to see. */
struct l4_sticky_key {
    uint32_t pool;
    uint16_t kind;       /* enum l4_key_kind: what the rest is */
    uint16_t name_bytes; /* length of the whole name; only its beginning is kept */
    union {
        struct l4_addr addr;
        char name[40];
    };
};
_Static_assert(sizeof(struct l4_sticky_key) == 48, "part of the shared table");

struct l4_sticky_bucket {
    alignas(64) _Atomic uint64_t tags[L4_STICKY_WAYS]; /* 0: free */
    _Atomic uint64_t values[L4_STICKY_WAYS];
    struct l4_sticky_key keys[L4_STICKY_WAYS];
    _Atomic uint32_t filler; /* the process that fills an entry now, plus 1; 0: none */
};

static inline struct l4_sticky_bucket *l4_table_sticky(const struct l4_table *table)
{
    return (struct l4_sticky_bucket *)((char *)table->header + table->plan.sticky_at);
}

/* Bytes that are kept of the value of a cookie or a header field. */
enum { L4_STICKY_SECRET_SHOWN = 8 };

/* An entry as a reader gets it. */
struct l4_sticky_entry {
    struct l4_sticky_key key;
    uint32_t backend;
    uint64_t idle_ms; /* time since a session last used it */
};

/* The process that enters: a worker's index, or this constant for the supervisor. */
#define L4_STICKY_SUPERVISOR L4_WORKERS_MAX

/* Returns the tag of a client of a pool. hash: of what identifies the client. */
uint64_t l4_sticky_tag(uint32_t pool, uint64_t hash);

/* Returns the tag that the client of a tag has in another pool. */
uint64_t l4_sticky_tag_in(uint32_t pool, uint64_t tag, uint32_t other);

/* Returns the backend of the client; L4_NONE if it has no entry, or not any more after ttl_ms. */
uint32_t l4_sticky_find(const struct l4_table *table, uint64_t tag, uint64_t ttl_ms,
                        uint64_t now_ms);

/* Enters the client, or moves it to this backend; with keep, only if it has no backend. Returns its
 * backend now; L4_NONE if no entry could be made (the table is off, or another process fills an
 * entry of the bucket). */
uint32_t l4_sticky_put(const struct l4_table *table, uint32_t who, uint64_t tag,
                       const struct l4_sticky_key *key, uint32_t backend, bool keep,
                       uint64_t ttl_ms, uint64_t now_ms);

/* Records a use of the entry, if the client still has this backend. */
void l4_sticky_touch(const struct l4_table *table, uint64_t tag, uint32_t backend, uint64_t now_ms);

/* Removes the client's entry. Returns false if it has none. */
bool l4_sticky_remove(const struct l4_table *table, uint64_t tag);

/* Reads entry n, 0 to caps.sticky - 1, with its tag. Returns false if it is free or being
 * changed. */
bool l4_sticky_read(const struct l4_table *table, uint32_t n, uint64_t now_ms, uint64_t *tag,
                    struct l4_sticky_entry *entry);

/* Clears the `filler` of a dead process. */
void l4_sticky_forget(const struct l4_table *table, uint32_t who);

#endif
