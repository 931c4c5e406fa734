#include "shm/source_limits.h"

#include "base/assert.h"
#include "shm/count.h"
#include "shm/policy_rows.h"

#define COUNT_MASK ((1ull << L4_SOURCE_COUNT_BITS) - 1)

enum { CLAIM_TRIES = 16 };

static _Atomic uint64_t *word_of(const struct l4_table *table, uint32_t source)
{
    return &l4_table_sources(table, source / L4_SOURCE_WAYS)->words[source % L4_SOURCE_WAYS];
}

_Atomic uint64_t *l4_source_full_ns(const struct l4_table *table, uint32_t source)
{
    return &l4_table_sources(table, source / L4_SOURCE_WAYS)->full_ns[source % L4_SOURCE_WAYS];
}

_Atomic uint64_t *l4_source_spent_ns(const struct l4_table *table, uint32_t source)
{
    return &l4_table_sources(table, source / L4_SOURCE_WAYS)->spent_ns[source % L4_SOURCE_WAYS];
}

/* Finds an entry that no source needs: without sessions, with full buckets. Returns
 * L4_SOURCE_WAYS if there is none. */
static uint32_t spare(struct l4_source_group *group, uint64_t now_ns, uint64_t *word)
{
    for (uint32_t i = 0; i < L4_SOURCE_WAYS; i++) {
        *word = atomic_load(&group->words[i]);
        if (!(*word & COUNT_MASK) && L4_GET(group->full_ns[i]) <= now_ns &&
            L4_GET(group->spent_ns[i]) <= now_ns)
            return i;
    }
    return L4_SOURCE_WAYS;
}

/* Makes one attempt. Sets *again if another worker changed the word meanwhile. */
static enum l4_source_answer try_take(struct l4_source_group *group, uint64_t tag, uint32_t limit,
                                      uint64_t now_ns, uint32_t *way, bool *again)
{
    uint32_t found = L4_SOURCE_WAYS;
    uint64_t sessions = 0, word = 0, seen;
    for (uint32_t i = 0; i < L4_SOURCE_WAYS; i++) {
        seen = atomic_load(&group->words[i]);
        if (seen >> L4_SOURCE_COUNT_BITS != tag)
            continue;
        /* why: two workers may have given one source two entries at one time; both count. */
        sessions += seen & COUNT_MASK;
        if (found == L4_SOURCE_WAYS) {
            found = i;
            word = seen;
        }
    }
    *again = false;
    if (found == L4_SOURCE_WAYS) {
        found = spare(group, now_ns, &word);
        if (found == L4_SOURCE_WAYS)
            return L4_SOURCE_NO_ROOM;
        *again = !atomic_compare_exchange_strong(&group->words[found], &word,
                                                 tag << L4_SOURCE_COUNT_BITS | 1);
    } else if ((limit && sessions >= limit) || sessions == COUNT_MASK) {
        *way = found;
        return L4_SOURCE_FULL;
    } else {
        *again = !atomic_compare_exchange_strong(&group->words[found], &word, word + 1);
    }
    *way = found;
    return L4_SOURCE_TAKEN;
}

static uint32_t group_of(uint64_t hash)
{
    return l4_hash_below(hash << 32, L4_SOURCE_GROUPS);
}

static uint64_t tag_of(uint64_t hash)
{
    return hash >> L4_SOURCE_COUNT_BITS ? hash >> L4_SOURCE_COUNT_BITS : 1;
}

bool l4_source_is(const struct l4_table *table, uint32_t source, uint64_t hash)
{
    return source / L4_SOURCE_WAYS == group_of(hash) &&
           atomic_load(word_of(table, source)) >> L4_SOURCE_COUNT_BITS == tag_of(hash);
}

enum l4_source_answer l4_source_take(const struct l4_table *table, uint32_t worker, uint64_t hash,
                                     uint32_t limit, uint64_t now_ns, uint32_t *source)
{
    const uint32_t at = group_of(hash);
    const uint64_t tag = tag_of(hash);
    struct l4_worker *w = l4_table_worker(table, worker);
    enum l4_source_answer answer = L4_SOURCE_NO_ROOM;
    bool again = true;
    if (!L4_GET(table->header->sources_used))
        L4_SET(table->header->sources_used, 1);
    l4_count_begin(w);
    for (int i = 0; again && i < CLAIM_TRIES; i++) {
        uint32_t way;
        answer = try_take(l4_table_sources(table, at), tag, limit, now_ns, &way, &again);
        if (answer != L4_SOURCE_NO_ROOM)
            *source = at * L4_SOURCE_WAYS + way;
    }
    if (again)
        answer = L4_SOURCE_NO_ROOM;
    if (answer == L4_SOURCE_TAKEN)
        L4_OWN_ADD(*l4_table_source_part(table, worker, *source), 1);
    l4_count_end(w);
    return answer;
}

void l4_source_drop(const struct l4_table *table, uint32_t worker, uint32_t source)
{
    struct l4_worker *w = l4_table_worker(table, worker);
    L4_ASSERT(source < L4_SOURCE_GROUPS * L4_SOURCE_WAYS);
    L4_ASSERT(L4_GET(*l4_table_source_part(table, worker, source)) > 0);
    l4_count_begin(w);
    L4_OWN_ADD(*l4_table_source_part(table, worker, source), -1u);
    atomic_fetch_sub(word_of(table, source), 1);
    l4_count_end(w);
}
