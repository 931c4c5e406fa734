/* The choice of a backend, as core/pick.h makes it: the same client meets the same backend by way
 * of a worker and here.
 *
 * why: long for a header: a program of the kernel is one object, and links nothing.
 */
#ifndef L4_PACKET_CHOOSE_BPF_H
#define L4_PACKET_CHOOSE_BPF_H

#include "base/siphash.h"
#include "packet/maps.bpf.h"

enum { NONE = 0xffff };                                                   /* no backend */
enum { ROUND_ROBIN = 0, RANDOM = 3, FIRST = 4, IP_HASH = 5, MAGLEV = 6 }; /* enum l4_balance */
enum { HASH_TRIES = 64, RANDOM_TRIES = 16 };                              /* base/bounds.h */

struct choice {
    uint32_t at, count; /* the slots that are walked over */
    uint32_t next, bit; /* bit: of l4_forward_backend.usable */
    uint32_t found;
    uint32_t pool;
    uint64_t first_ticket;
    uint64_t hash;
};

HERE uint32_t slot(uint32_t at)
{
    const uint32_t key = at / L4_FORWARD_SLOTS_EACH;
    const struct l4_forward_slots *four = bpf_map_lookup_elem(&slots, &key);
    return four ? four->backends >> at % L4_FORWARD_SLOTS_EACH * 16 & 0xffff : NONE;
}

HERE bool is_usable(uint32_t backend, uint32_t bit)
{
    const struct l4_forward_backend *b = bpf_map_lookup_elem(&backends, &backend);
    return b && b->usable & bit;
}

static long walk_members(uint32_t i, struct choice *walk)
{
    (void)i;
    const uint32_t backend = slot(walk->at + walk->next);
    walk->next = walk->next + 1 == walk->count ? 0 : walk->next + 1;
    if (!is_usable(backend, walk->bit))
        return 0;
    walk->found = backend;
    return 1;
}

/* The next usable member from `start` on. */
HERE uint32_t scan(const struct l4_forward_view *view, uint32_t bit, uint64_t start)
{
    struct choice walk = {
        .at = view->members_at, .count = view->members, .bit = bit, .found = NONE};
    if (!walk.count)
        return NONE;
    walk.next = (uint32_t)(start % walk.count);
    bpf_loop(walk.count, walk_members, &walk, 0);
    return walk.found;
}

static long walk_hashes(uint32_t i, struct choice *walk)
{
    const uint64_t hash = i ? l4_hash_again(walk->hash, i) : walk->hash;
    const uint32_t backend = slot(walk->at + l4_hash_below(hash, walk->count));
    if (!is_usable(backend, walk->bit))
        return 0;
    walk->found = backend;
    return 1;
}

HERE uint32_t by_hash(const struct l4_forward_view *view, uint32_t at, uint32_t count, uint32_t bit,
                      uint64_t hash)
{
    struct choice walk = {.at = at, .count = count, .bit = bit, .found = NONE, .hash = hash};
    if (!count)
        return NONE;
    bpf_loop(HASH_TRIES, walk_hashes, &walk, 0);
    return walk.found == NONE ? scan(view, bit, hash) : walk.found;
}

static long walk_tickets(uint32_t i, struct choice *walk)
{
    (void)i;
    struct l4_forward_turn *turn = bpf_map_lookup_elem(&turns, &walk->pool);
    if (!turn || !walk->count)
        return 1;
    const uint64_t mine = __sync_fetch_and_add(&turn->ticket, 1);
    const uint32_t backend = slot(walk->at + (uint32_t)((mine - walk->first_ticket) % walk->count));
    if (!is_usable(backend, walk->bit))
        return 0;
    walk->found = backend;
    return 1;
}

HERE uint32_t by_turn(uint32_t pool, const struct l4_forward_view *view, uint32_t bit)
{
    struct choice walk = {.at = view->slots_at,
                          .count = view->slots,
                          .bit = bit,
                          .found = NONE,
                          .pool = pool,
                          .first_ticket = view->first_ticket};
    bpf_loop(walk.count, walk_tickets, &walk, 0);
    return walk.found;
}

static long walk_draws(uint32_t i, struct choice *walk)
{
    (void)i;
    const uint64_t hash = (uint64_t)bpf_get_prandom_u32() << 32;
    const uint32_t backend = slot(walk->at + l4_hash_below(hash, walk->count));
    if (!is_usable(backend, walk->bit))
        return 0;
    walk->found = backend;
    return 1;
}

HERE uint32_t at_random(const struct l4_forward_view *view, uint32_t bit)
{
    struct choice walk = {.at = view->slots_at, .count = view->slots, .bit = bit, .found = NONE};
    if (!walk.count)
        return NONE;
    bpf_loop(RANDOM_TRIES, walk_draws, &walk, 0);
    return walk.found == NONE ? scan(view, bit, bpf_get_prandom_u32()) : walk.found;
}

/* One tier's backend. */
HERE uint32_t choose_in(uint32_t id, const struct l4_forward_pool *pool,
                        const struct l4_forward_view *view, uint32_t bit, uint64_t hash)
{
    const uint32_t balance = pool->balance;
    if (balance == FIRST || (bit == L4_FORWARD_BACKUP && !(pool->flags & L4_FORWARD_ALL_BACKUPS)))
        return scan(view, bit, 0);
    if (balance == MAGLEV && view->maglev)
        return by_hash(view, view->maglev_at, view->maglev, bit, hash);
    if (balance == MAGLEV || balance == IP_HASH)
        return by_hash(view, view->slots_at, view->slots, bit, hash);
    return balance == RANDOM ? at_random(view, bit) : by_turn(id, view, bit);
}

/* why not static: the verifier then looks at it once, and not at each call. */
uint32_t choose(uint32_t id, uint64_t hash);
__noinline uint32_t choose(uint32_t id, uint64_t hash)
{
    const struct l4_forward_pool *pool = bpf_map_lookup_elem(&pools, &id);
    const struct l4_forward_turn *turn = bpf_map_lookup_elem(&turns, &id);
    if (!pool || !turn)
        return NONE;
    const uint32_t key = 2 * id + (turn->generation & 1);
    const struct l4_forward_view *view = bpf_map_lookup_elem(&views, &key);
    if (!view)
        return NONE;
    uint32_t found = choose_in(id, pool, view, L4_FORWARD_PRIMARY, hash);
    if (found == NONE)
        found = choose_in(id, pool, view, L4_FORWARD_BACKUP, hash);
    if (found == NONE && pool->flags & L4_FORWARD_TRY_ALL)
        found = choose_in(id, pool, view, L4_FORWARD_ANY, hash);
    return found;
}

HERE uint32_t part(const uint8_t *bytes)
{
    uint32_t made;
    __builtin_memcpy(&made, bytes, sizeof made);
    return made;
}

/* The hash of a client as core/hash_key.c makes it: of a struct l4_addr, which is family, port and
 * 16 bytes of address. why not made in memory: the verifier lets a process without CAP_PERFMON use
 * no byte of the stack for this and then for that. */
HERE uint64_t hash_client(const struct __sk_buff *skb, const struct l4_forward_pool *pool,
                          const struct packet *packet)
{
    enum { AF_INET = 2, AF_INET6 = 10, BYTES = 20 };
    const uint32_t zero = 0;
    const struct l4_forward_settings *set = bpf_map_lookup_elem(&settings, &zero);
    uint32_t mac[2] = {0, 0}, ip[4] = {0, 0, 0, 0};
    uint64_t family = 0;
    if (!set)
        return 0;
    if (pool->hash == L4_FORWARD_BY_MAC) {
        load(skb, offsetof(struct ethernet, from), mac, sizeof(((struct ethernet *)0)->from));
        ip[0] = mac[0];
        ip[1] = mac[1];
    } else if (is_ipv4(packet)) {
        family = AF_INET;
        ip[0] = part(packet->key.from) & part(pool->mask4);
    } else {
        family = AF_INET6;
        ip[0] = part(packet->key.from) & part(pool->mask6);
        ip[1] = part(packet->key.from + 4) & part(pool->mask6 + 4);
        ip[2] = part(packet->key.from + 8) & part(pool->mask6 + 8);
        ip[3] = part(packet->key.from + 12) & part(pool->mask6 + 12);
    }
    if (pool->hash == L4_FORWARD_BY_PORT)
        family |= (uint64_t)bpf_ntohs(packet->key.from_port) << 16;
    const struct l4_hash_key key = {set->k0, set->k1};
    struct l4_sip v = l4_sip_begin(&key);
    l4_sip_absorb(&v, family | (uint64_t)ip[0] << 32);
    l4_sip_absorb(&v, ip[1] | (uint64_t)ip[2] << 32);
    l4_sip_absorb(&v, ip[3] | (uint64_t)BYTES << 56);
    return l4_sip_end(&v);
}

#endif
