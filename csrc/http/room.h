/* The memory of a worker's HTTP plane: exchanges, blocks, connections to backends.
 *
 * Everything here is private memory of the worker, taken before the loop starts. A page that is
 * never touched costs nothing, so a worker without HTTP pays for none of it.
 *
 * A block keeps what a client has sent of a request until the request's answer begins: so a
 * request can be sent once more if a reused connection turns out to be closed. A client at rest
 * has no block.
 */
#ifndef L4_HTTP_ROOM_H
#define L4_HTTP_ROOM_H

#include "core/date.h"
#include "core/h1.h"
#include "core/target.h"
#include "http/exchange.h"
#include "http/h2.h"
#include "http/spare.h"
#include "run/loop.h"

/* The request that was judged last. Its texts lie in its block. It is judged again if another
 * request came between. */
struct l4_http_judged {
    uint32_t session; /* the session's row, L4_NONE: none */
    uint32_t number;  /* its request */
    struct l4_h1_head head;
    struct l4_target target;
    struct l4_host host; /* whom the request is for; no bytes: HTTP/1.0 without Host */
    uint32_t path_bytes;
    char path[L4_PATH_MATCH_MAX]; /* as it is matched */
};

struct l4_caches;
struct l4_outwards;
struct l4_inspections;
struct l4_recordings;

struct l4_http {
    struct l4_exchange *exchanges; /* one for each row of a TCP session */
    struct l4_spares spares;
    struct l4_h2 h2;
    struct l4_caches *caches;           /* http/caches.h */
    struct l4_outwards *outwards;       /* http/outward.h */
    struct l4_inspections *inspections; /* http/inspect.h */
    struct l4_recordings *recordings;   /* http/record.h */
    char *blocks;                       /* L4_HTTP_BLOCKS of L4_HTTP_BLOCK_BYTES */
    uint32_t *free_blocks;
    uint32_t free_count;
    uint32_t used_blocks; /* blocks from this number on were not used since the last thrift */
    uint64_t thrift_ms;   /* CLOCK_MONOTONIC of the next look for unused memory */
    char *written; /* L4_HTTP_WRITTEN_BYTES: where messages are written before they are sent */
    struct l4_http_judged judged;
    uint64_t date_s;
    char date[L4_DATE_BYTES + 1]; /* the value of the Date field at date_s */
};

/* Allocates the memory. Returns 0 or -ENOMEM; in both cases l4_http_finish frees it. */
__attribute__((warn_unused_result)) int l4_http_start(struct l4_loop *loop);
void l4_http_finish(struct l4_loop *loop);

static inline struct l4_exchange *l4_exchange_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->exchanges[index];
}

/* Returns a free block, or L4_NONE. */
uint32_t l4_http_take_block(struct l4_http *http);
void l4_http_give_block(struct l4_http *http, uint32_t block);

/* Gives memory of blocks back that nobody uses any more. Call it from time to time. */
void l4_http_thrift(struct l4_http *http);

static inline char *l4_http_block(const struct l4_http *http, uint32_t block)
{
    return http->blocks + (size_t)block * L4_HTTP_BLOCK_BYTES;
}

#endif
