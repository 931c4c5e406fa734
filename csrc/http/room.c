#include "http/room.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "http/caches.h"
#include "http/inspect.h"
#include "http/outward.h"
#include "http/record.h"

/* Memory of which only the pages that are used take room. */
static void *reserve(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static const size_t blocks_bytes = (size_t)L4_HTTP_BLOCKS * L4_HTTP_BLOCK_BYTES;

/* Puts all blocks into the list of free ones, the first on top. */
static void fill_free(struct l4_http *http)
{
    for (uint32_t i = 0; i < L4_HTTP_BLOCKS; i++)
        http->free_blocks[i] = L4_HTTP_BLOCKS - 1 - i;
    http->free_count = L4_HTTP_BLOCKS;
    http->used_blocks = 0;
}

int l4_http_start(struct l4_loop *loop)
{
    struct l4_http *http = calloc(1, sizeof *http);
    loop->http = http;
    if (!http)
        return -ENOMEM;
    http->judged.session = L4_NONE;
    http->exchanges = calloc(loop->table->plan.caps.sessions, sizeof *http->exchanges);
    http->blocks = reserve(blocks_bytes);
    http->free_blocks = malloc(L4_HTTP_BLOCKS * sizeof *http->free_blocks);
    http->written = malloc(L4_HTTP_WRITTEN_BYTES);
    if (!http->exchanges || !http->blocks || !http->free_blocks || !http->written)
        return -ENOMEM;
    fill_free(http);
    loop->pump.h2 = &http->h2;
    int error = l4_h2_start(&http->h2, loop->table->plan.caps.sessions);
    if (!error)
        error = l4_caches_start(loop);
    if (!error)
        error = l4_outward_start(loop);
    if (!error)
        error = l4_inspect_start(loop);
    if (!error)
        error = l4_recording_start(loop);
    return error ? error : l4_spares_start(loop);
}

void l4_http_finish(struct l4_loop *loop)
{
    struct l4_http *http = loop->http;
    if (!http)
        return;
    l4_spares_finish(loop);
    l4_recording_finish(loop);
    l4_inspect_finish(loop);
    l4_outward_finish(loop);
    l4_caches_finish(loop);
    l4_h2_finish(&http->h2);
    free(http->exchanges);
    if (http->blocks)
        munmap(http->blocks, blocks_bytes);
    free(http->free_blocks);
    free(http->written);
    free(http);
    loop->http = NULL;
}

uint32_t l4_http_take_block(struct l4_http *http)
{
    if (!http->free_count)
        return L4_NONE;
    const uint32_t block = http->free_blocks[--http->free_count];
    if (block >= http->used_blocks)
        http->used_blocks = block + 1;
    return block;
}

void l4_http_give_block(struct l4_http *http, uint32_t block)
{
    L4_ASSERT(block < L4_HTTP_BLOCKS && http->free_count < L4_HTTP_BLOCKS);
    http->free_blocks[http->free_count++] = block;
}

void l4_http_thrift(struct l4_http *http)
{
    if (http->free_count != L4_HTTP_BLOCKS || http->used_blocks <= L4_HTTP_BLOCKS_WARM)
        return;
    madvise(l4_http_block(http, L4_HTTP_BLOCKS_WARM),
            blocks_bytes - (size_t)L4_HTTP_BLOCKS_WARM * L4_HTTP_BLOCK_BYTES, MADV_DONTNEED);
    fill_free(http);
}
