#include "shm/count.h"
#include "base/assert.h"
#include "shm/policy_rows.h"

#include <errno.h>

#include "shm/http.h"
#include "shm/row_reuse.h"
#include "shm/tls_counters.h"
#include "shm/udp_rows.h"

enum { RECOVER_TRIES = 20000 };

#define COUNT_MASK ((1u << L4_SOURCE_COUNT_BITS) - 1)

/* Adds one to word, unless it is at limit or, if seen is given, differs from *seen. */
static bool take(_Atomic uint32_t *word, uint32_t limit, const uint32_t *seen)
{
    uint32_t now = seen ? *seen : L4_GET(*word);
    do {
        if (limit && now >= limit)
            return false;
        if (atomic_compare_exchange_weak_explicit(word, &now, now + 1, memory_order_seq_cst,
                                                  memory_order_relaxed))
            return true;
    } while (!seen || now == *seen);
    return false;
}

/* Adds one to the shared word and to this worker's part of it, unless the word is at limit. */
static bool take_part(const struct l4_table *table, uint32_t worker, _Atomic uint32_t *shared,
                      _Atomic uint32_t *part, uint32_t limit)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(worker < table->plan.caps.workers);
    l4_count_begin(w);
    const bool taken = take(shared, limit, NULL);
    if (taken)
        L4_OWN_ADD(*part, 1);
    l4_count_end(w);
    return taken;
}

/* Takes one off both. */
static void drop_part(const struct l4_table *table, uint32_t worker, _Atomic uint32_t *shared,
                      _Atomic uint32_t *part)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(L4_GET(*part) > 0);
    l4_count_begin(w);
    L4_OWN_ADD(*part, -1u);
    atomic_fetch_sub(shared, 1);
    l4_count_end(w);
}

bool l4_count_take_backend(const struct l4_table *table, uint32_t worker, uint32_t backend,
                           const uint32_t *seen)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(worker < table->plan.caps.workers && backend < table->plan.caps.backends);
    struct l4_backend *b = l4_table_backend(table, backend);
    struct l4_pool *pool = l4_table_pool(table, b->pool);
    l4_count_begin(w);
    bool taken = take(&pool->inflight, L4_GET(pool->max_connections), NULL);
    if (taken && !take(&b->inflight, L4_GET(b->max_connections), seen)) {
        atomic_fetch_sub(&pool->inflight, 1);
        taken = false;
    }
    if (taken)
        L4_OWN_ADD(l4_table_column(table, worker, backend)->active, 1);
    l4_count_end(w);
    return taken;
}

void l4_count_drop_backend(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    struct l4_backend *b = l4_table_backend(table, backend);
    L4_ASSERT(L4_GET(l4_table_column(table, worker, backend)->active) > 0);
    l4_count_begin(w);
    L4_OWN_ADD(l4_table_column(table, worker, backend)->active, -1u);
    atomic_fetch_sub(&b->inflight, 1);
    atomic_fetch_sub(&l4_table_pool(table, b->pool)->inflight, 1);
    l4_count_end(w);
}

uint32_t l4_count_owe(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(worker < table->plan.caps.workers && backend < table->plan.caps.backends);
    l4_count_begin(w);
    L4_OWN_ADD(l4_table_column(table, worker, backend)->owed, 1);
    const uint32_t before = atomic_fetch_add(&l4_table_backend(table, backend)->owed, 1);
    l4_count_end(w);
    return before;
}

void l4_count_answer(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    drop_part(table, worker, &l4_table_backend(table, backend)->owed,
              &l4_table_column(table, worker, backend)->owed);
}

bool l4_count_take_wait(const struct l4_table *table, uint32_t worker, uint32_t pool,
                        uint32_t limit)
{
    return take_part(table, worker, &l4_table_pool(table, pool)->queue.waiting,
                     &l4_table_wait(table, worker, pool)->waiting, limit);
}

void l4_count_drop_wait(const struct l4_table *table, uint32_t worker, uint32_t pool)
{
    drop_part(table, worker, &l4_table_pool(table, pool)->queue.waiting,
              &l4_table_wait(table, worker, pool)->waiting);
}

void l4_count_part_backend(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(L4_GET(l4_table_column(table, worker, backend)->active) > 0);
    l4_count_begin(w);
    L4_OWN_ADD(l4_table_column(table, worker, backend)->active, -1u);
    l4_count_end(w);
}

void l4_count_elsewhere(const struct l4_table *table, uint32_t backend, uint32_t sessions)
{
    struct l4_backend *b = l4_table_backend(table, backend);
    struct l4_column *book = l4_table_column(table, l4_table_book(table), backend);
    const uint32_t more = sessions - L4_GET(book->active);
    L4_SET(book->active, sessions);
    atomic_fetch_add(&b->inflight, more);
    atomic_fetch_add(&l4_table_pool(table, b->pool)->inflight, more);
}

void l4_count_join(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(worker < table->plan.caps.workers && backend < table->plan.caps.backends);
    struct l4_backend *b = l4_table_backend(table, backend);
    l4_count_begin(w);
    atomic_fetch_add(&l4_table_pool(table, b->pool)->inflight, 1);
    atomic_fetch_add(&b->inflight, 1);
    L4_OWN_ADD(l4_table_column(table, worker, backend)->active, 1);
    l4_count_end(w);
}

bool l4_count_take_client(const struct l4_table *table, uint32_t worker, uint32_t limit)
{
    return take_part(table, worker, &table->header->connections,
                     &l4_table_worker(table, worker)->active, limit);
}

void l4_count_drop_client(const struct l4_table *table, uint32_t worker)
{
    drop_part(table, worker, &table->header->connections, &l4_table_worker(table, worker)->active);
}

bool l4_count_take_listener(const struct l4_table *table, uint32_t worker, uint32_t listener,
                            uint32_t limit)
{
    return take_part(table, worker, &l4_table_listener(table, listener)->edge.limits.inflight,
                     &l4_table_tally(table, worker, listener)->counted, limit);
}

void l4_count_drop_listener(const struct l4_table *table, uint32_t worker, uint32_t listener)
{
    drop_part(table, worker, &l4_table_listener(table, listener)->edge.limits.inflight,
              &l4_table_tally(table, worker, listener)->counted);
}

bool l4_count_take_shake(const struct l4_table *table, uint32_t worker, uint32_t listener,
                         uint32_t limit)
{
    return take_part(table, worker, &l4_table_listener(table, listener)->secure.shaking,
                     &l4_table_tls_counters(table, worker, listener)->now, limit);
}

void l4_count_drop_shake(const struct l4_table *table, uint32_t worker, uint32_t listener)
{
    drop_part(table, worker, &l4_table_listener(table, listener)->secure.shaking,
              &l4_table_tls_counters(table, worker, listener)->now);
}

bool l4_count_take_flow(const struct l4_table *table, uint32_t worker, uint32_t limit)
{
    return take_part(table, worker, &table->header->udp_sessions,
                     &l4_table_worker(table, worker)->udp_active, limit);
}

void l4_count_drop_flow(const struct l4_table *table, uint32_t worker)
{
    drop_part(table, worker, &table->header->udp_sessions,
              &l4_table_worker(table, worker)->udp_active);
}

static uint32_t backend_part(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    return L4_GET(l4_table_column(table, worker, backend)->active);
}

static uint32_t owed_part(const struct l4_table *table, uint32_t worker, uint32_t backend)
{
    return L4_GET(l4_table_column(table, worker, backend)->owed);
}

static uint32_t pool_part(const struct l4_table *table, uint32_t worker, uint32_t pool)
{
    const uint32_t backends = l4_table_backends_high(table);
    uint32_t sum = 0;
    for (uint32_t b = 0; b < backends; b++) {
        if (l4_table_backend(table, b)->pool == pool)
            sum += backend_part(table, worker, b);
    }
    return sum;
}

static uint32_t wait_part(const struct l4_table *table, uint32_t worker, uint32_t pool)
{
    return L4_GET(l4_table_wait(table, worker, pool)->waiting);
}

static uint32_t client_part(const struct l4_table *table, uint32_t worker, uint32_t unused)
{
    (void)unused;
    return L4_GET(l4_table_worker(table, worker)->active);
}

static uint32_t flow_part(const struct l4_table *table, uint32_t worker, uint32_t unused)
{
    (void)unused;
    return L4_GET(l4_table_worker(table, worker)->udp_active);
}

static uint32_t listener_part(const struct l4_table *table, uint32_t worker, uint32_t listener)
{
    return L4_GET(l4_table_tally(table, worker, listener)->counted);
}

static uint32_t shake_part(const struct l4_table *table, uint32_t worker, uint32_t listener)
{
    return L4_GET(l4_table_tls_counters(table, worker, listener)->now);
}

static uint32_t source_part(const struct l4_table *table, uint32_t worker, uint32_t source)
{
    return L4_GET(*l4_table_source_part(table, worker, source));
}

typedef uint32_t part_of(const struct l4_table *, uint32_t worker, uint32_t index);

/* Reads ops of all workers into ops. Returns false if one of them is inside a change. */
static bool quiet(const struct l4_table *table, uint32_t workers, uint64_t *ops)
{
    bool even = true;
    for (uint32_t i = 0; i < workers; i++) {
        ops[i] = atomic_load(&l4_table_worker(table, i)->ops);
        even = even && !(ops[i] & 1);
    }
    return even;
}

/* Sets a count to the sum of the workers' parts at one moment. The count is `word`, or the low
 * bits of `source`. */
static int settle_either(const struct l4_table *table, _Atomic uint32_t *word,
                         _Atomic uint64_t *source, part_of *part, uint32_t index)
{
    const uint32_t workers = l4_table_workers_high(table);
    for (int i = 0; i < RECOVER_TRIES; i++) {
        uint64_t before[L4_WORKERS_MAX], after[L4_WORKERS_MAX];
        if (!quiet(table, workers, before))
            continue;
        uint32_t found = word ? atomic_load(word) : (uint32_t)atomic_load(source) & COUNT_MASK;
        uint32_t sum = 0;
        for (uint32_t w = 0; w < workers; w++)
            sum += part(table, w, index);
        /* The supervisor's own part belongs to this process and does not change meanwhile. */
        if (word && l4_table_book(table) >= workers)
            sum += part(table, l4_table_book(table), index);
        atomic_thread_fence(memory_order_seq_cst);
        bool same = quiet(table, workers, after);
        for (uint32_t w = 0; w < workers; w++)
            same = same && before[w] == after[w];
        /* A later change moves the word and its part alike, so only the difference is added. */
        if (same) {
            if (word)
                atomic_fetch_add(word, sum - found);
            else
                atomic_fetch_add(source, (uint64_t)(int64_t)(int32_t)(sum - found));
            return 0;
        }
    }
    return -EAGAIN;
}

static int settle(const struct l4_table *table, _Atomic uint32_t *word, part_of *part,
                  uint32_t index)
{
    return settle_either(table, word, NULL, part, index);
}

/* Returns the number of entries of the table of sources to look at. */
static uint32_t sources_of(const struct l4_table *table)
{
    return L4_GET(table->header->sources_used) ? L4_SOURCE_GROUPS * L4_SOURCE_WAYS : 0;
}

static int settle_sources(const struct l4_table *table)
{
    int error = 0;
    for (uint32_t i = 0; i < sources_of(table); i++) {
        _Atomic uint64_t *word =
            &l4_table_sources(table, i / L4_SOURCE_WAYS)->words[i % L4_SOURCE_WAYS];
        if (atomic_load(word) & COUNT_MASK && settle_either(table, NULL, word, source_part, i))
            error = -EAGAIN;
    }
    return error;
}

void l4_count_clear(const struct l4_table *table, uint32_t worker)
{
    L4_ASSERT(worker < table->plan.caps.workers);
    struct l4_worker *dead = l4_table_worker(table, worker);
    const uint32_t backends = l4_table_backends_high(table);

    L4_SET(dead->active, 0);
    L4_SET(dead->udp_active, 0);
    if (L4_GET(dead->ops) & 1)
        l4_count_end(dead);
    for (uint32_t b = 0; b < backends; b++) {
        L4_SET(l4_table_column(table, worker, b)->active, 0);
        L4_SET(l4_table_column(table, worker, b)->owed, 0);
        L4_SET(l4_table_http_column(table, worker, b)->spare, 0);
    }
    for (uint32_t p = 0; p < table->plan.caps.pools; p++) {
        L4_SET(l4_table_wait(table, worker, p)->head, 0);
        L4_SET(l4_table_wait(table, worker, p)->waiting, 0);
    }
    for (uint32_t l = 0; l < table->plan.caps.listeners; l++) {
        L4_SET(l4_table_tally(table, worker, l)->active, 0);
        L4_SET(l4_table_tls_counters(table, worker, l)->now, 0);
        L4_SET(l4_table_tally(table, worker, l)->counted, 0);
        L4_SET(l4_table_udp_tally(table, worker, l)->in_kernel, 0);
    }
    /* why: parts of sources without sessions are zero, and reading them would allocate their
     * memory. */
    for (uint32_t i = 0; i < sources_of(table); i++) {
        if (atomic_load(&l4_table_sources(table, i / L4_SOURCE_WAYS)->words[i % L4_SOURCE_WAYS]) &
            COUNT_MASK)
            L4_SET(*l4_table_source_part(table, worker, i), 0);
    }
}

int l4_count_settle(const struct l4_table *table)
{
    const uint32_t backends = l4_table_backends_high(table);
    int error = settle(table, &table->header->connections, client_part, 0);
    if (settle(table, &table->header->udp_sessions, flow_part, 0))
        error = -EAGAIN;
    for (uint32_t b = 0; b < backends; b++) {
        if (settle(table, &l4_table_backend(table, b)->inflight, backend_part, b) ||
            settle(table, &l4_table_backend(table, b)->owed, owed_part, b))
            error = -EAGAIN;
    }
    for (uint32_t l = 0; l < table->plan.caps.listeners; l++) {
        struct l4_listener *listener = l4_table_listener(table, l);
        /* why: also for an address that is no longer bound. It may have the counts of bound
         * addresses, and its last sessions go on. */
        if (L4_GET(listener->edge.limits.inflight) &&
            settle(table, &listener->edge.limits.inflight, listener_part, l))
            error = -EAGAIN;
        if (L4_GET(listener->secure.shaking) &&
            settle(table, &listener->secure.shaking, shake_part, l))
            error = -EAGAIN;
    }
    if (settle_sources(table))
        error = -EAGAIN;
    for (uint32_t p = 0; p < table->plan.caps.pools; p++) {
        struct l4_pool *pool = l4_table_pool(table, p);
        if (L4_GET(pool->used) && (settle(table, &pool->inflight, pool_part, p) ||
                                   settle(table, &pool->queue.waiting, wait_part, p)))
            error = -EAGAIN;
    }
    return error;
}
