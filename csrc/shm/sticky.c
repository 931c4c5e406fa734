#include "shm/sticky.h"

#include <sched.h>

#include "base/assert.h"
#include "base/hash.h"

/* A value has the backend's row in 16 bits, the number of this use of the row in 16, and the last
 * use in 32 bits of ticks (17 years). */
enum { TICK_MS = 125, FILL_SPINS = 1000, FILL_YIELDS = 200 };

static uint64_t serial_of(const struct l4_table *table, uint32_t backend)
{
    return L4_GET(l4_table_backend(table, backend)->used) & 0xffff;
}

static uint64_t value_of(const struct l4_table *table, uint32_t backend, uint64_t now_ms)
{
    return (uint64_t)backend << 48 | serial_of(table, backend) << 32 | (uint32_t)(now_ms / TICK_MS);
}

static uint32_t backend_of(uint64_t value)
{
    return (uint32_t)(value >> 48);
}

static uint64_t idle_ms(uint64_t value, uint64_t now_ms)
{
    const uint32_t ticks = (uint32_t)(now_ms / TICK_MS) - (uint32_t)value;
    return ticks > INT32_MAX ? 0 : (uint64_t)ticks * TICK_MS;
}

/* True if the value still names an existing backend and has not expired. */
static bool is_valid(const struct l4_table *table, uint64_t value, uint64_t ttl_ms, uint64_t now_ms)
{
    const uint32_t backend = backend_of(value);
    return backend < table->plan.caps.backends && idle_ms(value, now_ms) < ttl_ms &&
           (value >> 32 & 0xffff) == serial_of(table, backend);
}

static struct l4_sticky_bucket *bucket_of(const struct l4_table *table, uint64_t tag)
{
    const uint32_t buckets = table->plan.caps.sticky / L4_STICKY_WAYS;
    return buckets ? l4_table_sticky(table) + l4_hash_below(tag, buckets) : NULL;
}

uint64_t l4_sticky_tag(uint32_t pool, uint64_t hash)
{
    const uint64_t tag = l4_hash_again(hash, pool);
    return tag ? tag : 1; /* 0 marks a free entry */
}

uint64_t l4_sticky_tag_in(uint32_t pool, uint64_t tag, uint32_t other)
{
    return l4_sticky_tag(other, l4_hash_before(tag, pool));
}

/* Returns the entry of a tag in its bucket; L4_STICKY_WAYS: none. */
static uint32_t place_of(const struct l4_sticky_bucket *bucket, uint64_t tag)
{
    uint32_t i = 0;
    while (i < L4_STICKY_WAYS &&
           atomic_load_explicit(&bucket->tags[i], memory_order_acquire) != tag)
        i++;
    return i;
}

uint32_t l4_sticky_find(const struct l4_table *table, uint64_t tag, uint64_t ttl_ms,
                        uint64_t now_ms)
{
    const struct l4_sticky_bucket *bucket = bucket_of(table, tag);
    const uint32_t place = bucket ? place_of(bucket, tag) : L4_STICKY_WAYS;
    if (place == L4_STICKY_WAYS)
        return L4_NONE;
    const uint64_t value = L4_GET(bucket->values[place]);
    atomic_thread_fence(memory_order_acquire);
    if (L4_GET(bucket->tags[place]) != tag || !is_valid(table, value, ttl_ms, now_ms))
        return L4_NONE;
    return backend_of(value);
}

static bool begin_to_fill(struct l4_sticky_bucket *bucket, uint32_t who)
{
    for (int i = 0; i < FILL_SPINS + FILL_YIELDS; i++) {
        uint32_t nobody = 0;
        if (atomic_compare_exchange_weak(&bucket->filler, &nobody, who + 1))
            return true;
        /* why: filling takes some dozen instructions. It takes longer only if the filler lost its
         * core, which may be this core. */
        if (i >= FILL_SPINS)
            sched_yield();
    }
    return false;
}

/* Returns the entry to replace: a free or expired one, else the least recently used. */
static uint32_t oldest(const struct l4_table *table, const struct l4_sticky_bucket *bucket,
                       uint64_t now_ms)
{
    uint32_t best = 0;
    uint64_t longest = 0;
    for (uint32_t i = 0; i < L4_STICKY_WAYS; i++) {
        const uint64_t value = L4_GET(bucket->values[i]);
        if (!L4_GET(bucket->tags[i]) || !is_valid(table, value, UINT64_MAX, now_ms))
            return i;
        if (idle_ms(value, now_ms) > longest) {
            longest = idle_ms(value, now_ms);
            best = i;
        }
    }
    return best;
}

/* Enters a client that has no entry in its bucket. Returns false if it got one meanwhile, or if
 * none can be filled. */
static bool enter(const struct l4_table *table, uint32_t who, struct l4_sticky_bucket *bucket,
                  uint64_t tag, const struct l4_sticky_key *key, uint64_t value, uint64_t now_ms)
{
    if (!begin_to_fill(bucket, who))
        return false;
    const bool absent = place_of(bucket, tag) == L4_STICKY_WAYS;
    if (absent) {
        const uint32_t place = oldest(table, bucket, now_ms);
        atomic_store(&bucket->tags[place], 0);
        bucket->keys[place] = *key;
        L4_SET(bucket->values[place], value);
        atomic_store(&bucket->tags[place], tag);
    }
    atomic_store(&bucket->filler, 0);
    return absent;
}

uint32_t l4_sticky_put(const struct l4_table *table, uint32_t who, uint64_t tag,
                       const struct l4_sticky_key *key, uint32_t backend, bool keep,
                       uint64_t ttl_ms, uint64_t now_ms)
{
    struct l4_sticky_bucket *bucket = bucket_of(table, tag);
    if (!bucket)
        return L4_NONE;
    L4_ASSERT(tag && backend < table->plan.caps.backends);
    const uint64_t value = value_of(table, backend, now_ms);
    uint32_t place = place_of(bucket, tag);
    if (place == L4_STICKY_WAYS) {
        if (enter(table, who, bucket, tag, key, value, now_ms))
            return backend;
        place = place_of(bucket, tag);
        if (place == L4_STICKY_WAYS)
            return L4_NONE;
    }
    uint64_t was = L4_GET(bucket->values[place]);
    do {
        if (keep && is_valid(table, was, ttl_ms, now_ms))
            return backend_of(was);
    } while (!atomic_compare_exchange_weak(&bucket->values[place], &was, value));
    return backend;
}

void l4_sticky_touch(const struct l4_table *table, uint64_t tag, uint32_t backend, uint64_t now_ms)
{
    struct l4_sticky_bucket *bucket = bucket_of(table, tag);
    const uint32_t place = bucket ? place_of(bucket, tag) : L4_STICKY_WAYS;
    if (place == L4_STICKY_WAYS)
        return;
    const uint64_t value = value_of(table, backend, now_ms);
    uint64_t was = L4_GET(bucket->values[place]);
    /* why: only the time may have changed. Then the entry still belongs to this client, or to
     * another client of this backend, for which one more use does no harm. */
    while (was >> 32 == value >> 32 && was != value) {
        if (atomic_compare_exchange_weak(&bucket->values[place], &was, value))
            return;
    }
}

bool l4_sticky_remove(const struct l4_table *table, uint64_t tag)
{
    struct l4_sticky_bucket *bucket = bucket_of(table, tag);
    const uint32_t place = bucket ? place_of(bucket, tag) : L4_STICKY_WAYS;
    return place != L4_STICKY_WAYS && atomic_compare_exchange_strong(&bucket->tags[place], &tag, 0);
}

bool l4_sticky_read(const struct l4_table *table, uint32_t n, uint64_t now_ms, uint64_t *tag,
                    struct l4_sticky_entry *entry)
{
    const uint32_t place = n % L4_STICKY_WAYS;
    const struct l4_sticky_bucket *bucket = l4_table_sticky(table) + n / L4_STICKY_WAYS;
    *tag = atomic_load_explicit(&bucket->tags[place], memory_order_acquire);
    if (!*tag)
        return false;
    const uint64_t value = L4_GET(bucket->values[place]);
    entry->key = bucket->keys[place];
    entry->backend = backend_of(value);
    entry->idle_ms = idle_ms(value, now_ms);
    atomic_thread_fence(memory_order_acquire);
    return L4_GET(bucket->tags[place]) == *tag && is_valid(table, value, UINT64_MAX, now_ms);
}

void l4_sticky_forget(const struct l4_table *table, uint32_t who)
{
    const uint32_t buckets = table->plan.caps.sticky / L4_STICKY_WAYS;
    for (uint32_t i = 0; i < buckets; i++) {
        struct l4_sticky_bucket *bucket = l4_table_sticky(table) + i;
        uint32_t dead = who + 1;
        if (L4_GET(bucket->filler) == dead)
            atomic_compare_exchange_strong(&bucket->filler, &dead, 0);
    }
}
