/* What a cache has for a request, as operators see it: nothing is counted, noted as used or taken
 * into memory. */
#ifndef L4_CACHE_PEEK_H
#define L4_CACHE_PEEK_H

#include "cache/ban.h"
#include "cache/disk.h"
#include "cache/find.h"
#include "core/vary.h"

struct l4_peek {
    struct l4_cache *cache;     /* opened by this reader */
    const struct l4_disk *disk; /* fd 0: there is none */
    const struct l4_bans *bans;
    uint64_t name; /* by which purges name the cache */
    struct l4_text key;
    const char *bytes;                  /* of the request's head */
    const struct l4_h1_head *request;   /* NULL: the disk has the variant that was written first */
    const struct l4_name_list *cookies; /* that do not count */
};

/* Reads a whole head of a request. Returns false if it is none. */
bool l4_peek_head(const char *bytes, size_t count, struct l4_h1_head *head);

/* Finds the object in memory that the request would get. pool: a hash of who answers. The caller
 * releases it. */
bool l4_peek_memory(const struct l4_peek *peek, uint64_t hash, uint64_t pool,
                    struct l4_cache_read *read);

enum l4_peeked {
    L4_PEEKED_NOTHING,
    L4_PEEKED_OBJECT,
    L4_PEEKED_VARIANTS, /* answers to other requests may be there: Vary's fields are copied */
};

/* Copies what is on the disk for the request, of any pool. `to` has room for L4_DISK_TEXTS_MAX
 * bytes of texts behind it. Its pool is a hash by the disk's key, and its marker is that of its
 * variants. */
enum l4_peeked l4_peek_disk(const struct l4_peek *peek, struct l4_cached *to);

/* How the request would use an object. */
enum l4_fresh_use l4_peek_use(const struct l4_peek *peek, const struct l4_cached *object,
                              int64_t now_s);

struct l4_peek_request {
    bool may_answer; /* a cache may answer it */
    bool fetches;    /* its answer may be kept */
    bool only;       /* no backend may be asked (only-if-cached) */
};

struct l4_peek_request l4_peek_request(const char *bytes, const struct l4_h1_head *head);

#endif
