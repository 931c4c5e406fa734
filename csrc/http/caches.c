#include "http/caches.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int l4_caches_start(struct l4_loop *loop)
{
    struct l4_caches *caches = calloc(1, sizeof *caches);
    loop->http->caches = caches;
    if (!caches)
        return -ENOMEM;
    const size_t rows = loop->table->plan.caps.sessions;
    caches->rows = calloc(rows, sizeof *caches->rows);
    caches->next = calloc(L4_HTTP_BLOCKS, sizeof *caches->next);
    caches->found = malloc(sizeof *caches->found + L4_DISK_TEXTS_MAX);
    return caches->rows && caches->next && caches->found ? 0 : -ENOMEM;
}

static _Atomic uint32_t *opened(const struct l4_loop *loop, uint32_t row)
{
    return &l4_table_cache_tally(loop->table, loop->setup.index, row)->opened;
}

static void close_one(const struct l4_loop *loop, uint32_t row)
{
    struct l4_open_cache *open = &loop->http->caches->open[row];
    if (open->memory) {
        l4_cache_close(&open->cache);
        munmap(open->memory, open->bytes);
    }
    *open = (struct l4_open_cache){.memory = NULL};
    atomic_store(opened(loop, row), 0);
}

void l4_caches_finish(struct l4_loop *loop)
{
    struct l4_caches *caches = loop->http->caches;
    if (!caches)
        return;
    for (uint32_t i = 0; i < L4_CACHES_MAX; i++)
        close_one(loop, i);
    if (caches->bans)
        munmap(caches->bans, L4_BANS_BYTES);
    free(caches->rows);
    free(caches->next);
    free(caches->found);
    free(caches);
    loop->http->caches = NULL;
}

static void *map(const struct l4_loop *loop, uint64_t at, size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, loop->setup.cache_fd, (off_t)at);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Maps the purges. */
static bool map_bans(const struct l4_loop *loop)
{
    struct l4_caches *caches = loop->http->caches;
    if (!caches->bans)
        caches->bans = map(loop, 0, L4_BANS_BYTES);
    return caches->bans && l4_bans_are_known(caches->bans);
}

/* Opens the memory of a row. */
static bool open_one(const struct l4_loop *loop, struct l4_open_cache *open,
                     const struct l4_cache_rules *rules)
{
    const size_t bytes = rules->bytes;
    if (loop->setup.cache_fd <= 0 || !bytes || !map_bans(loop))
        return false;
    void *memory = map(loop, rules->at, bytes);
    if (!memory)
        return false;
    if (!l4_cache_open(&open->cache, memory, bytes, loop->setup.index)) {
        munmap(memory, bytes);
        return false;
    }
    open->memory = memory;
    open->bytes = bytes;
    open->name = l4_ban_cache(rules->name);
    if (rules->disk_fd > 0) {
        open->disk_max = rules->disk_max_object;
        l4_disk_open_folder(&open->disk, rules->disk_fd, rules->disk_key, rules->disk_size,
                            &open->cache.shared->disk);
    }
    return true;
}

/* Opens the memory of a row that was given so often; or not, if that is so no more. */
static void try_open(const struct l4_loop *loop, uint32_t row, const struct l4_cache_rules *rules,
                     uint32_t used)
{
    struct l4_open_cache *open = &loop->http->caches->open[row];
    /* why in this order: the supervisor takes a row out of use before it looks who has its memory.
     * Either it sees this worker, or this worker sees that. */
    atomic_store(opened(loop, row), used);
    if (atomic_load(&rules->used) == used && open_one(loop, open, rules))
        return;
    open->memory = NULL;
    atomic_store(opened(loop, row), 0);
}

void l4_caches_sweep(struct l4_loop *loop)
{
    struct l4_caches *caches = loop->http->caches;
    if (loop->now_ms < caches->sweep_ms)
        return;
    caches->sweep_ms = loop->now_ms + L4_CACHE_SWEEP_MS;
    for (uint32_t i = 0; i < L4_CACHES_MAX; i++) {
        const struct l4_open_cache *open = &caches->open[i];
        if (open->memory && !open->users &&
            open->used != atomic_load(&l4_table_cache(loop->table, i)->used))
            close_one(loop, i);
    }
}

struct l4_open_cache *l4_caches_join(struct l4_loop *loop, uint32_t number)
{
    if (!number || number > L4_CACHES_MAX)
        return NULL;
    const struct l4_cache_rules *rules = l4_table_cache(loop->table, number - 1);
    struct l4_open_cache *open = &loop->http->caches->open[number - 1];
    const uint32_t used = atomic_load_explicit(&rules->used, memory_order_acquire);
    if (open->used != used && !open->users) {
        close_one(loop, number - 1);
        if (used)
            try_open(loop, number - 1, rules, used);
        open->used = used;
    }
    if (open->used != used || !open->memory)
        return NULL;
    open->users++;
    return open;
}

/* Copies the names of cookies from the texts in force. */
static void copy_cookies(const struct l4_loop *loop, uint32_t index, struct l4_ignored_cookies *to)
{
    struct l4_texts texts;
    do {
        texts = l4_texts_begin(loop->table);
        const struct l4_cache_texts its = l4_caching_texts(loop, index, &texts);
        struct l4_text_out out = {.to = to->bytes, .size = sizeof to->bytes};
        to->list = (struct l4_name_list){to->names, 0};
        for (uint32_t i = 0; i < its.cookie_count && i < L4_CACHE_IGNORED_MAX; i++) {
            const struct l4_text name = l4_texts_read(&texts, its.cookies[i]);
            char *at = l4_text_room(&out, name.bytes);
            if (!at)
                break;
            l4_text_copy(at, name);
            to->names[to->list.count++] = (struct l4_text){at, name.bytes};
        }
    } while (!l4_texts_hold(loop->table, &texts));
    to->cache = l4_exchange_at(loop, index)->cache;
    to->generation = texts.generation;
}

const struct l4_name_list *l4_caching_cookies(const struct l4_loop *loop, uint32_t index)
{
    struct l4_ignored_cookies *cookies = &loop->http->caches->cookies;
    const uint32_t generation = L4_GET(loop->table->header->texts_generation);
    /* why they are copied: an object is looked for and kept by the same names, and a reload may
     * write over the texts meanwhile. */
    if (cookies->cache != l4_exchange_at(loop, index)->cache || cookies->generation != generation)
        copy_cookies(loop, index, cookies);
    return &cookies->list;
}
