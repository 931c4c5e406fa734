#include "core/talkers.h"

#include <string.h>
#include <sys/socket.h>

#include "shm/table.h"

enum { SOURCE_BITS6 = 64, BYTES_A_POINT = 64 << 10, POINTS_MAX = 1 << 16 };

struct l4_addr l4_talkers_source(const struct l4_addr *client)
{
    return l4_addr_network(client, client->family == AF_INET6 ? SOURCE_BITS6 : 128);
}

/* why not keyed: two sources with one tag are told apart by their addresses, which costs one
 * comparison. */
static uint32_t tag_of(const struct l4_addr *source)
{
    uint64_t halves[2];
    memcpy(halves, source->ip, sizeof halves);
    const uint32_t tag = (uint32_t)(l4_hash_again(halves[0] ^ source->family, halves[1]) >> 32);
    return tag ? tag : 1;
}

static void halve(struct l4_talkers *talkers, uint64_t now_ms)
{
    if (now_ms - talkers->halved_ms < L4_TALKERS_HALF_MS)
        return;
    const uint64_t times = (now_ms - talkers->halved_ms) / L4_TALKERS_HALF_MS;
    for (uint32_t i = 0; i < L4_TALKERS; i++)
        talkers->weights[i] = times < 32 ? talkers->weights[i] >> times : 0;
    talkers->halved_ms = now_ms;
}

static uint32_t find(const struct l4_talkers *talkers, uint32_t tag, const struct l4_addr *source)
{
    for (uint32_t i = 0; i < L4_TALKERS; i++) {
        if (talkers->tags[i] == tag && l4_addr_equal(&talkers->rows[i].addr, source))
            return i;
    }
    return L4_NONE;
}

/* Gives the row with the least weight to this source. The weight stays, as Space-Saving
 * requires. */
static uint32_t replace(struct l4_talkers *talkers, uint32_t tag, const struct l4_addr *source,
                        uint64_t now_ms)
{
    uint32_t min = 0;
    for (uint32_t i = 1; i < L4_TALKERS; i++) {
        if (talkers->weights[i] < talkers->weights[min])
            min = i;
    }
    struct l4_talker *row = &talkers->rows[min];
    const uint32_t odd = L4_GET(row->seq) | 1; /* odd already if a process died in here */
    L4_SET(row->seq, odd);
    atomic_thread_fence(memory_order_release);
    talkers->tags[min] = tag;
    row->addr = *source;
    L4_SET(row->since_ms, now_ms);
    L4_SET(row->sessions, 0);
    L4_SET(row->rejected, 0);
    L4_SET(row->bytes, 0);
    atomic_store_explicit(&row->seq, odd + 1, memory_order_release);
    return min;
}

/* Returns the source's row, with its weight raised by these points. */
static struct l4_talker *weigh(struct l4_talkers *talkers, const struct l4_addr *client,
                               uint64_t now_ms, uint64_t points)
{
    const struct l4_addr source = l4_talkers_source(client);
    const uint32_t tag = tag_of(&source);
    halve(talkers, now_ms);
    uint32_t at = find(talkers, tag, &source);
    if (at == L4_NONE)
        at = replace(talkers, tag, &source, now_ms);
    const uint64_t weight = talkers->weights[at] + (points < POINTS_MAX ? points : POINTS_MAX);
    talkers->weights[at] = weight < UINT32_MAX ? (uint32_t)weight : UINT32_MAX;
    return &talkers->rows[at];
}

void l4_talkers_note(struct l4_talkers *talkers, const struct l4_addr *client, uint64_t now_ms,
                     uint64_t bytes, bool rejected)
{
    struct l4_talker *row = weigh(talkers, client, now_ms, 1 + bytes / BYTES_A_POINT);
    L4_OWN_ADD(row->sessions, 1);
    L4_OWN_ADD(row->rejected, rejected);
    L4_OWN_ADD(row->bytes, bytes);
}

void l4_talkers_reject(struct l4_talkers *talkers, const struct l4_addr *client, uint64_t now_ms)
{
    L4_OWN_ADD(weigh(talkers, client, now_ms, 1)->rejected, 1);
}

bool l4_talkers_read(const struct l4_talkers *talkers, uint32_t index, struct l4_talker *row)
{
    const struct l4_talker *from = &talkers->rows[index];
    const uint32_t seq = atomic_load_explicit(&from->seq, memory_order_acquire);
    if (!seq || seq & 1)
        return false;
    memcpy(row, from, sizeof *row);
    atomic_thread_fence(memory_order_acquire);
    return L4_GET(from->seq) == seq;
}
