#include "core/passive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bounds.h"
#include "base/hash.h"
#include "shm/row_reuse.h"

static const struct l4_passive_rule *rule_of(const struct l4_table *table,
                                             const struct l4_backend *b)
{
    return &l4_table_pool(table, b->pool)->passive;
}

static uint32_t members_of(const struct l4_table *table, uint32_t pool, uint64_t now_ms,
                           uint32_t *ejected)
{
    const uint32_t high = l4_table_backends_high(table);
    uint32_t members = 0;
    *ejected = 0;
    for (uint32_t i = 0; i < high; i++) {
        const struct l4_backend *b = l4_table_backend(table, i);
        if (!L4_GET(b->used) || b->pool != pool)
            continue;
        members++;
        *ejected += l4_passive_ejected(b, now_ms);
    }
    return members;
}

static bool has_room(const struct l4_table *table, const struct l4_backend *b, uint64_t now_ms)
{
    uint32_t ejected;
    const uint64_t members = members_of(table, b->pool, now_ms, &ejected);
    return ejected < members * L4_GET(rule_of(table, b)->max_ejected_percent) / 100;
}

/* Returns the duration of this ejection: doubled for each ejection in close succession. */
static uint32_t next_duration(const struct l4_passive_rule *rule, struct l4_passive *p,
                              uint64_t now_ms)
{
    const uint64_t max = L4_GET(rule->max_eject_ms), first = L4_GET(rule->eject_ms);
    const uint64_t ended = L4_GET(p->ejected_at_ms) + L4_GET(p->duration_ms);
    const uint32_t level = now_ms < ended + max ? L4_GET(p->level) : 0;
    const uint64_t ms = level < 32 ? first << level : max;
    L4_SET(p->level, ms < max ? level + 1 : level);
    return (uint32_t)(ms < max ? ms : max);
}

/* Returns the hash of a client's source, never 0. */
static uint32_t source_hash(const struct l4_table *table, const struct l4_addr *client)
{
    const uint32_t prefix = client->family == AF_INET6 ? L4_RESET_PREFIX : 32;
    const struct l4_addr source = l4_addr_network(client, prefix);
    const uint32_t hash = (uint32_t)l4_hash(&table->header->hash_key, &source, sizeof source);
    return hash ? hash : 1;
}

static void eject(const struct l4_table *table, struct l4_backend *b, uint64_t now_ms,
                  enum l4_passive_cause cause, int error)
{
    struct l4_passive *p = &b->passive;
    if (l4_passive_ejected(b, now_ms) || !has_room(table, b, now_ms))
        return;
    const uint32_t ms = next_duration(rule_of(table, b), p, now_ms);
    L4_SET(p->cause, cause);
    L4_SET(p->error, (uint32_t)error);
    L4_SET(p->duration_ms, ms);
    L4_SET(p->ejected_at_ms, now_ms);
    L4_SET(p->ejections, L4_GET(p->ejections) + 1);
    L4_SET(p->unreached, 0);
    L4_SET(p->resets, 0);
    L4_SET(p->reset_source, 0);
    atomic_store_explicit(&b->ejected_until_ms, now_ms + ms, memory_order_release);
}

static void failed(const struct l4_table *table, uint32_t worker, struct l4_backend *b,
                   uint64_t now_ms, _Atomic uint32_t *row, enum l4_passive_cause cause, int error,
                   bool needs_two)
{
    struct l4_passive_rule *rule = &l4_table_pool(table, b->pool)->passive;
    uint32_t limit = L4_GET(rule->failures);
    if (limit == 1 && needs_two)
        limit = 2;
    const uint32_t in_a_row = atomic_fetch_add_explicit(row, 1, memory_order_relaxed) + 1;
    uint32_t nobody = 0;
    if (!limit || in_a_row < limit)
        return;
    /* why: if another worker is deciding, this one goes on; the next failure asks again. */
    if (!atomic_compare_exchange_strong(&rule->ejector, &nobody, worker + 1))
        return;
    eject(table, b, now_ms, cause, error);
    atomic_store_explicit(&rule->ejector, 0, memory_order_release);
}

static bool is_own_fault(int error)
{
    switch (error) {
    case EADDRNOTAVAIL: /* every local port towards it is in use */
    case EADDRINUSE:
    case EACCES:
    case EPERM:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return true;
    default:
        return false;
    }
}

void l4_passive_unreached(const struct l4_table *table, uint32_t worker, uint32_t backend,
                          uint64_t now_ms, int error)
{
    struct l4_backend *b = l4_table_backend(table, backend);
    const int number = error < 0 ? -error : error;
    if (!is_own_fault(number))
        failed(table, worker, b, now_ms, &b->passive.unreached, L4_PASSIVE_CONNECT, number, false);
}

void l4_passive_reset(const struct l4_table *table, uint32_t worker, uint32_t backend,
                      const struct l4_addr *client, uint64_t now_ms)
{
    struct l4_backend *b = l4_table_backend(table, backend);
    const bool needs_two = client && L4_GET(rule_of(table, b)->several);
    if (needs_two) {
        const uint32_t source = source_hash(table, client);
        if (atomic_exchange(&b->passive.reset_source, source) == source)
            return;
    }
    failed(table, worker, b, now_ms, &b->passive.resets, L4_PASSIVE_RESET, ECONNRESET, needs_two);
}

/* Ends a series of failures. why it reads first: the cache line of a healthy backend stays
 * shared. */
static void end_series(_Atomic uint32_t *count)
{
    if (L4_GET(*count))
        L4_SET(*count, 0);
}

void l4_passive_reached(const struct l4_table *table, uint32_t backend)
{
    end_series(&l4_table_backend(table, backend)->passive.unreached);
}

void l4_passive_served(const struct l4_table *table, uint32_t backend)
{
    struct l4_passive *p = &l4_table_backend(table, backend)->passive;
    end_series(&p->resets);
    end_series(&p->reset_source);
}

bool l4_passive_end(const struct l4_table *table, uint32_t backend, uint64_t since_ms,
                    uint64_t now_ms)
{
    struct l4_backend *b = l4_table_backend(table, backend);
    uint64_t until = atomic_load_explicit(&b->ejected_until_ms, memory_order_acquire);
    if (until <= now_ms || L4_GET(b->passive.ejected_at_ms) >= since_ms)
        return false;
    /* A new ejection that has begun meanwhile must not be ended. */
    return atomic_compare_exchange_strong(&b->ejected_until_ms, &until, 0);
}

void l4_passive_clear(struct l4_backend *b)
{
    struct l4_passive *p = &b->passive;
    L4_SET(p->unreached, 0);
    L4_SET(p->resets, 0);
    L4_SET(p->reset_source, 0);
    L4_SET(p->level, 0);
    L4_SET(p->cause, L4_PASSIVE_NONE);
    L4_SET(p->error, 0);
    L4_SET(p->duration_ms, 0);
    L4_SET(p->ejected_at_ms, 0);
    L4_SET(p->ejections, 0);
    L4_SET(b->ejected_until_ms, 0);

    struct l4_check_words *w = &b->words;
    L4_SET(w->kind, 0);
    L4_SET(w->code, 0);
    L4_SET(w->cert_end_s, 0);
    L4_SET(w->told, 0);
    L4_SET(w->agent, 0);
    L4_SET(w->verdict, L4_UNKNOWN);
    memset(w->text, 0, sizeof w->text);
    L4_SET(b->weight_change, 0);
}

void l4_passive_forget(const struct l4_table *table, uint32_t worker)
{
    for (uint32_t i = 0; i < table->plan.caps.pools; i++) {
        uint32_t held = worker + 1;
        atomic_compare_exchange_strong(&l4_table_pool(table, i)->passive.ejector, &held, 0);
    }
}
