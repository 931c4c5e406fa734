/* Which backend a client belongs to: the sticky entries of all pools, in shared memory.
 *
 * A table of buckets of L4_STICKY_WAYS entries. An entry is two words that change at once: a tag
 * (the hash of the pool and of what the client is known by) and a value (backend, and when it was
 * last used). All workers read, use and move entries without a lock. A new entry takes a free, an
 * expired or the least recently used place of its bucket; one process at a time fills a place,
 * whose name stands in `filler`: so two that enter one client at the same moment agree. Nobody
 * waits long for it: who cannot have it goes without an entry. A dead process's hold is forgotten
 * by whoever reaps it (l4_sticky_forget); the place it was filling is free, because its tag is
 * written last.
 *
 * The bound is the table's: caps.sticky entries.
 */
#ifndef L4_SHM_STICKY_H
#define L4_SHM_STICKY_H

#include <stdbool.h>

#include "shm/table.h"

struct l4_sticky_key { /* what a client is known by, to be shown */
    uint32_t pool;
    uint16_t kind;       /* enum l4_key_kind: source_ip or sni */
    uint16_t name_bytes; /* of the whole name; its beginning is kept */
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
    _Atomic uint32_t filler; /* the process that fills a place just now, + 1; or 0 */
};

static inline struct l4_sticky_bucket *l4_table_sticky(const struct l4_table *table)
{
    return (struct l4_sticky_bucket *)((char *)table->header + table->plan.sticky_at);
}

struct l4_sticky_entry { /* as it is read */
    struct l4_sticky_key key;
    uint32_t backend;
    uint64_t idle_ms; /* since a session last used it */
};

/* Who enters: a worker's index, or this for the supervisor. */
#define L4_STICKY_SUPERVISOR L4_WORKERS_MAX

/* The tag of a client of a pool. hash: of what it is known by. */
uint64_t l4_sticky_tag(uint32_t pool, uint64_t hash);

/* The backend the client belongs to; L4_NONE: to none, or not any more after ttl_ms. */
uint32_t l4_sticky_find(const struct l4_table *table, uint64_t tag, uint64_t ttl_ms,
                        uint64_t now_ms);

/* Enters it, or moves it to this backend; with keep, only if it belongs to none. Returns the
 * backend that it belongs to now; L4_NONE if no entry could be made (none is kept, or another
 * process fills a place of the bucket). */
uint32_t l4_sticky_put(const struct l4_table *table, uint32_t who, uint64_t tag,
                       const struct l4_sticky_key *key, uint32_t backend, bool keep,
                       uint64_t ttl_ms, uint64_t now_ms);

/* It was used just now, if it belongs to this backend. */
void l4_sticky_touch(const struct l4_table *table, uint64_t tag, uint32_t backend, uint64_t now_ms);

/* It belongs to none any more. False: it did not. */
bool l4_sticky_remove(const struct l4_table *table, uint64_t tag);

/* Place n, 0 to caps.sticky - 1, with its tag. False: it is free, or changed just now. */
bool l4_sticky_read(const struct l4_table *table, uint32_t n, uint64_t now_ms, uint64_t *tag,
                    struct l4_sticky_entry *entry);

/* Forgets what a dead process was doing. */
void l4_sticky_forget(const struct l4_table *table, uint32_t who);

#endif
