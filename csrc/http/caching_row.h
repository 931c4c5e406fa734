/* What a session has of its cache: the row beside its exchange (http/caches.h). */
#ifndef L4_HTTP_CACHING_ROW_H
#define L4_HTTP_CACHING_ROW_H

#include "cache/disk.h"
#include "cache/find.h"
#include "cache/growing.h"
#include "core/fresh.h"

/* What a session does with its cache. */
enum l4_caching_state {
    L4_CACHING_OFF,
    L4_CACHING_SEND,  /* an object is the answer */
    L4_CACHING_FETCH, /* the answer is to be kept */
    L4_CACHING_ASK,   /* ... unless the backend says that the object still holds */
    L4_CACHING_PASS,  /* it is asked for this client only */
    L4_CACHING_PURGE, /* an unsafe method: its answer takes objects out (RFC 9111, 4.4) */
};

/* How an object is an answer. */
enum l4_caching_form {
    L4_CACHED_WHOLE,
    L4_CACHED_NOT_MODIFIED, /* 304: the client has it */
    L4_CACHED_FAILED,       /* 412: a condition of the client does not hold */
    L4_CACHED_PART,         /* 206 */
    L4_CACHED_NO_PART       /* 416: the range is not in it */
};

/* Texts and body of an answer that is kept, in blocks. The first block has the texts, one behind
 * the other; the others are full, but for the last one. */
struct l4_fill {
    uint32_t first, last; /* L4_NONE: none */
    uint32_t last_bytes;
    uint32_t head_bytes;
    uint16_t status, key_bytes, vary_bytes, tags_bytes;
    uint64_t body_bytes;
    uint64_t length; /* of the body; UINT64_MAX: not told */
    uint32_t grows;  /* the row + 1 that others read meanwhile (cache/growing.h); 0: none */
    int64_t asked_s;
    struct l4_freshness freshness;
    struct l4_disk_writer file; /* the body goes there instead, behind the texts */
    struct l4_disk_name name;   /* ... which gets this name */
    uint64_t marker;
};

/* An answer that is read while another session fetches it (http/follow.h). */
struct l4_follow {
    struct l4_growing_read read; /* serial 0: none */
    uint64_t filled;             /* bytes of the body that are there */
    uint64_t validator;          /* hash of what tells that other bytes are the same; 0: nothing */
    uint64_t lost_ms;            /* CLOCK_MONOTONIC: since when it does not go on; 0: it does */
    uint64_t refused;            /* serial of an answer that is none for this request */
    bool over;                   /* it cannot be read any more */
};

/* The row beside each exchange, for one that has a cache (struct l4_exchange.cache). */
struct l4_caching {
    uint8_t state;       /* enum l4_caching_state */
    uint8_t form;        /* enum l4_caching_form */
    bool waited;         /* for another one's answer */
    bool alone;          /* without a client: the object is asked for anew */
    uint64_t hash, pool; /* of the key; of who answers */
    uint64_t cleared;    /* number of the last purge when it was asked for */
    struct l4_cache_read read;
    struct l4_cache_claim claim;
    uint64_t awaited; /* the claim of another one that it waits for */
    int file;         /* that has the body of the object that is read; 0: none */
    uint64_t file_at;
    uint64_t at, end;   /* SEND: what is left of the body, as bytes of it */
    uint64_t total;     /* bytes of the whole body */
    uint32_t age_s;     /* when the answer was chosen */
    int32_t left_s;     /* of its lifetime then; negative: stale for so long */
    uint64_t pinned_ms; /* CLOCK_MONOTONIC: since when it is read in its place */
    struct l4_follow follow;
    struct l4_fill fill;
};

#endif
