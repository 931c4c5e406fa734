#include "core/http_texts.h"

#include <stdalign.h>
#include <stddef.h>

#include "shm/policy_rows.h"
#include "shm/table.h"

/* Returns the `count` things of `size` bytes at an offset; NULL: they are not within the half. */
static const void *within(const struct l4_texts *texts, uint32_t at, uint32_t count, size_t size)
{
    if (at % alignof(uint32_t) || at > texts->bytes || count > (texts->bytes - at) / size)
        return NULL;
    return texts->half + at;
}

struct l4_texts l4_texts_begin(const struct l4_table *table)
{
    const uint32_t generation =
        atomic_load_explicit(&table->header->texts_generation, memory_order_acquire);
    const char *half = l4_table_texts(table, generation);
    const struct l4_texts_head *head = (const struct l4_texts_head *)half;
    const uint32_t bytes = head->bytes < L4_HTTP_TEXTS_BYTES ? head->bytes : L4_HTTP_TEXTS_BYTES;
    return (struct l4_texts){half, bytes < sizeof *head ? 0 : bytes, generation};
}

bool l4_texts_hold(const struct l4_table *table, const struct l4_texts *texts)
{
    atomic_thread_fence(memory_order_acquire);
    return L4_GET(table->header->texts_generation) == texts->generation;
}

struct l4_text l4_texts_read(const struct l4_texts *texts, struct l4_texts_at text)
{
    if (text.at > texts->bytes || text.bytes > texts->bytes - text.at)
        return (struct l4_text){NULL, 0};
    return (struct l4_text){texts->half + text.at, text.bytes};
}

/* Returns what row `index` of the offsets at `at` leads to; NULL: nothing. */
static const void *row(const struct l4_texts *texts, uint32_t at, uint32_t count, uint32_t index,
                       size_t size)
{
    const uint32_t *offsets = within(texts, at, count, sizeof *offsets);
    if (!offsets || index >= count || !offsets[index])
        return NULL;
    return within(texts, offsets[index], 1, size);
}

struct l4_listener_texts l4_texts_listener(const struct l4_texts *texts, uint32_t listener)
{
    struct l4_listener_texts found = {.hide = NULL};
    if (!texts->bytes)
        return found;
    const struct l4_texts_head head = *(const struct l4_texts_head *)texts->half;
    const struct l4_texts_of_listener *its =
        row(texts, head.listeners_at, head.listeners, listener, sizeof *its);
    if (!its)
        return found;
    found.request_id = l4_texts_read(texts, its->request_id);
    found.via = l4_texts_read(texts, its->via);
    found.hsts = l4_texts_read(texts, its->hsts);
    found.limit_key = l4_texts_read(texts, its->limit_key);
    const uint32_t hides = its->hides;
    found.hide = within(texts, its->hide_at, hides, sizeof *found.hide);
    found.hides = found.hide ? hides : 0;
    found.pages_at = its->pages_at;
    found.pages = its->pages;
    return found;
}

struct l4_texts_page l4_texts_page(const struct l4_texts *texts,
                                   const struct l4_listener_texts *listener, uint32_t status)
{
    const uint32_t pages = listener->pages;
    const struct l4_texts_page *page = within(texts, listener->pages_at, pages, sizeof *page);
    for (uint32_t i = 0; page && i < pages; i++) {
        if (page[i].status == status)
            return page[i];
    }
    return (struct l4_texts_page){.status = 0};
}

static const struct l4_texts_of_pool *of_pool(const struct l4_texts *texts, uint32_t pool)
{
    if (!texts->bytes)
        return NULL;
    const struct l4_texts_head head = *(const struct l4_texts_head *)texts->half;
    return row(texts, head.pools_at, head.pools, pool, sizeof(struct l4_texts_of_pool));
}

struct l4_texts_page l4_texts_rule_page(const struct l4_texts *texts, uint32_t pool,
                                        struct l4_text rule, uint32_t status)
{
    const struct l4_texts_of_pool *its = of_pool(texts, pool);
    const uint32_t pages = its ? its->pages : 0;
    const struct l4_texts_rule_page *page =
        its ? within(texts, its->pages_at, pages, sizeof *page) : NULL;
    for (uint32_t i = 0; page && i < pages; i++) {
        if (l4_text_is(l4_texts_read(texts, page[i].rule), rule))
            return (struct l4_texts_page){status, page[i].type, page[i].body};
    }
    return (struct l4_texts_page){.status = 0};
}

struct l4_text l4_texts_host(const struct l4_texts *texts, uint32_t pool)
{
    const struct l4_texts_of_pool *its = of_pool(texts, pool);
    return its ? l4_texts_read(texts, its->host) : (struct l4_text){NULL, 0};
}

struct l4_texts_cookie l4_texts_cookie(const struct l4_texts *texts, uint32_t pool)
{
    const struct l4_texts_of_pool *its = of_pool(texts, pool);
    if (!its)
        return (struct l4_texts_cookie){{NULL, 0}, {NULL, 0}};
    return (struct l4_texts_cookie){l4_texts_read(texts, its->cookie),
                                    l4_texts_read(texts, its->cookie_attributes)};
}

struct l4_text l4_texts_key(const struct l4_texts *texts, uint32_t pool, enum l4_texts_key key)
{
    const struct l4_texts_of_pool *its = of_pool(texts, pool);
    return its ? l4_texts_read(texts, its->keys[key]) : (struct l4_text){NULL, 0};
}

struct l4_cache_texts l4_texts_cache(const struct l4_texts *texts, uint32_t cache)
{
    struct l4_cache_texts found = {.ignored = NULL};
    if (!texts->bytes)
        return found;
    const struct l4_texts_head head = *(const struct l4_texts_head *)texts->half;
    const struct l4_texts_of_cache *at = row(texts, head.caches_at, head.caches, cache, sizeof *at);
    if (!at)
        return found;
    const struct l4_texts_of_cache its = *at;
    found.status = l4_texts_read(texts, its.status);
    found.tags = l4_texts_read(texts, its.tags);
    found.purge = l4_texts_read(texts, its.purge);
    found.ignored = within(texts, its.ignored_at, its.ignored, sizeof *found.ignored);
    found.ignored_count = found.ignored ? its.ignored : 0;
    found.cookies = within(texts, its.cookies_at, its.cookies, sizeof *found.cookies);
    found.cookie_count = found.cookies ? its.cookies : 0;
    found.targeted = within(texts, its.targeted_at, its.targeted, sizeof *found.targeted);
    found.targeted_count = found.targeted ? its.targeted : 0;
    found.statuses = within(texts, its.statuses_at, its.statuses, sizeof *found.statuses);
    found.status_count = found.statuses ? its.statuses : 0;
    return found;
}
