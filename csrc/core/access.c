#include "core/access.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/seq.h"

static struct l4_sets *half_of(const struct l4_table *table, uint32_t generation)
{
    return (struct l4_sets *)((char *)table->header + table->plan.sets_at +
                              (size_t)(generation & 1) * L4_SETS_BYTES);
}

static struct l4_sets *next_half(const struct l4_table *table)
{
    return half_of(table, L4_GET(table->header->sets_generation) + 1);
}

L4_READS_UNDER_SEQ uint8_t l4_access_find(const struct l4_table *table, uint32_t set,
                                          const struct l4_addr *addr)
{
    if (set >= L4_SETS_MAX)
        return 0;
    /* why without a bound: each further round needs a swap of all sets during the one before. An
     * invented answer would let in clients whom a list denies. */
    for (;;) {
        const uint32_t generation =
            atomic_load_explicit(&table->header->sets_generation, memory_order_acquire);
        const struct l4_sets *half = half_of(table, generation);
        const uint32_t at = half->at[set];
        uint8_t value = 0;
        if (at && at < L4_SETS_BYTES && !(at & 63))
            value = l4_cidr_find((const struct l4_cidr *)((const char *)half + at),
                                 L4_SETS_BYTES - at, addr);
        atomic_thread_fence(memory_order_acquire);
        if (generation == L4_GET(table->header->sets_generation))
            return value;
    }
}

uint8_t l4_access_find_named(const struct l4_table *table, const _Atomic uint32_t *name,
                             const struct l4_addr *addr)
{
    uint32_t set = atomic_load_explicit(name, memory_order_acquire);
    for (;;) {
        const uint8_t value = l4_access_find(table, set, addr);
        const uint32_t now = atomic_load_explicit(name, memory_order_acquire);
        if (now == set)
            return value;
        set = now;
    }
}

bool l4_access_denies(const struct l4_table *table, const struct l4_policy *edge,
                      const struct l4_addr *addr)
{
    uint8_t found = l4_access_find_named(table, &edge->rules_set, addr);
    if (!found)
        found = l4_access_find_named(table, &edge->access_set, addr);
    return found ? found == L4_ACCESS_DENY : L4_GET(edge->access_else_denied);
}

const struct l4_cidr *l4_access_set(const struct l4_table *table, uint32_t set)
{
    const struct l4_sets *half = half_of(table, L4_GET(table->header->sets_generation));
    if (set >= L4_SETS_MAX || !half->at[set])
        return NULL;
    return (const struct l4_cidr *)((const char *)half + half->at[set]);
}

uint32_t l4_access_bytes(const struct l4_table *table, uint32_t set)
{
    const struct l4_cidr *found = l4_access_set(table, set);
    return found ? found->bytes : 0;
}

void l4_access_begin(const struct l4_table *table)
{
    struct l4_sets *half = next_half(table);
    /* why: a reader that still uses this half must not see the new contents together with the
     * generation in which the old contents were in force. The release of the last publish orders
     * only what came before it. */
    atomic_thread_fence(memory_order_release);
    memset(half->at, 0, sizeof half->at);
    half->used = (sizeof *half + 63) & ~63u;
}

int l4_access_put(const struct l4_table *table, uint32_t set, const struct l4_prefix *networks,
                  size_t count)
{
    struct l4_sets *half = next_half(table);
    if (set >= L4_SETS_MAX)
        return -ENOSPC;
    const int64_t bytes =
        l4_cidr_build(networks, count, (char *)half + half->used, L4_SETS_BYTES - half->used);
    if (bytes < 0)
        return (int)bytes;
    half->at[set] = half->used;
    half->used += (uint32_t)bytes;
    return 0;
}

int l4_access_read(const struct l4_table *table, uint32_t set, int fd, uint64_t offset,
                   uint32_t bytes)
{
    struct l4_sets *half = next_half(table);
    if (set >= L4_SETS_MAX || bytes > L4_SETS_BYTES - half->used)
        return -ENOSPC;
    char *to = (char *)half + half->used;
    for (uint32_t done = 0; done < bytes;) {
        const ssize_t got = pread(fd, to + done, bytes - done, (off_t)(offset + done));
        if (got <= 0)
            return got < 0 ? -errno : -EPROTO;
        done += (uint32_t)got;
    }
    if (bytes < sizeof(struct l4_cidr) || bytes & 63 || ((struct l4_cidr *)to)->bytes != bytes)
        return -EPROTO;
    half->at[set] = half->used;
    half->used += bytes;
    return 0;
}

int l4_access_keep(const struct l4_table *table, uint32_t set)
{
    struct l4_sets *half = next_half(table);
    const struct l4_sets *now = half_of(table, L4_GET(table->header->sets_generation));
    if (set >= L4_SETS_MAX || !now->at[set])
        return 0;
    const struct l4_cidr *old = (const struct l4_cidr *)((const char *)now + now->at[set]);
    if (L4_SETS_BYTES - half->used < old->bytes)
        return -ENOSPC;
    memcpy((char *)half + half->used, old, old->bytes);
    half->at[set] = half->used;
    half->used += old->bytes;
    return 0;
}

void l4_access_publish(const struct l4_table *table)
{
    atomic_fetch_add_explicit(&table->header->sets_generation, 1, memory_order_release);
}

void l4_access_release(const struct l4_table *table)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), half = (uintptr_t)next_half(table);
    char *whole = (char *)((half + page - 1) & ~(page - 1));
    /* why unchecked: it only saves memory; if the kernel refuses, the memory stays. */
    (void)madvise(whole, (half + L4_SETS_BYTES - (uintptr_t)whole) & ~(page - 1), MADV_REMOVE);
}
