#include "run/udp_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/passive.h"
#include "io/bpf_map.h"
#include "io/dgram_sock.h"
#include "packet/forward.h"
#include "run/row.h"
#include "run/udp_session.h"

enum { UDP_HEADER = 8, IPV4_HEADER = 20, IPV6_HEADER = 40 };

/* The two entries of a session, by enum l4_side: the packets of its client, of its backend. */
struct ways {
    struct l4_forward_flow way[2];
};

void l4_udp_kernel_start(struct l4_loop *loop)
{
    loop->udp->kernel = (struct l4_udp_kernel){
        .map = loop->setup.flows_fd > 0 ? loop->setup.flows_fd : -1,
        .oldest = L4_NONE,
        .newest = L4_NONE,
    };
}

static bool is_there(const struct l4_loop *loop, uint32_t flow)
{
    return l4_udp_flow(loop, flow)->flags & L4_FLOW_KERNEL;
}

static struct l4_udp_tally *tally_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_table_udp_tally(loop->table, loop->setup.index, s->listener);
}

/* ---- the list, in the order of the last looks ------------------------------------------------ */

static void append(struct l4_udp *udp, uint32_t flow)
{
    struct l4_udp_stay *stay = &udp->peers[flow].stay;
    stay->newer = L4_NONE;
    stay->older = udp->kernel.newest;
    if (stay->older != L4_NONE)
        udp->peers[stay->older].stay.newer = flow;
    else
        udp->kernel.oldest = flow;
    udp->kernel.newest = flow;
    udp->kernel.count++;
    L4_ASSERT(udp->kernel.count <= udp->flows.capacity);
}

static void unlist(struct l4_udp *udp, uint32_t flow)
{
    const struct l4_udp_stay *stay = &udp->peers[flow].stay;
    L4_ASSERT(udp->kernel.count > 0);
    if (stay->older != L4_NONE)
        udp->peers[stay->older].stay.newer = stay->newer;
    else
        udp->kernel.oldest = stay->newer;
    if (stay->newer != L4_NONE)
        udp->peers[stay->newer].stay.older = stay->older;
    else
        udp->kernel.newest = stay->older;
    udp->kernel.count--;
}

/* Makes it a session in the kernel for all who ask. */
static void enter(struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_udp_stay *stay = &loop->udp->peers[flow].stay;
    stay->looked_ms = loop->now_ms;
    stay->unanswered = 0;
    append(loop->udp, flow);
    L4_OWN_ADD(tally_of(loop, s)->in_kernel, 1);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* The key of packets from one address to another. */
static struct l4_forward_key key_of(const struct l4_addr *from, const struct l4_addr *to)
{
    struct l4_forward_key key = {
        .from_port = htons(from->port),
        .to_port = htons(to->port),
        .protocol = IPPROTO_UDP,
        .family = from->family == AF_INET ? 4 : 6,
    };
    memcpy(key.from, from->ip, sizeof key.from);
    memcpy(key.to, to->ip, sizeof key.to);
    return key;
}

static struct l4_forward_key key_of_client(const struct l4_loop *loop, uint32_t flow)
{
    return key_of(&l4_udp_session(loop, flow)->client, &l4_udp_flow(loop, flow)->local);
}

/* The key of the backend's packets: the reverse of what the client's entry makes of a packet. */
static struct l4_forward_key key_of_answers(const struct l4_forward_key *client,
                                            const struct l4_forward_flow *way)
{
    struct l4_forward_key key = *client;
    memcpy(key.from, way->to, sizeof key.from);
    memcpy(key.to, way->from, sizeof key.to);
    key.from_port = way->to_port;
    key.to_port = way->from_port;
    return key;
}

/* What the kernel is to make of a packet: it goes from one address to another. */
static struct l4_forward_flow way_of(const struct l4_loop *loop, const struct l4_addr *from,
                                     const struct l4_addr *to, uint32_t flags)
{
    const struct l4_forward_key made = key_of(from, to);
    struct l4_forward_flow way = {
        .from_port = made.from_port,
        .to_port = made.to_port,
        .mode = L4_FORWARD_UDP,
        .flags = flags,
        .backend = L4_NONE,
        .listener = L4_NONE,
        .pool = L4_NONE,
        .began_ns = loop->now_us * 1000,
        .seen_ns = loop->now_us * 1000,
    };
    memcpy(way.from, made.from, sizeof way.from);
    memcpy(way.to, made.to, sizeof way.to);
    return way;
}

/* Reads both entries. Returns false if one of them is not there. */
static bool read_ways(const struct l4_loop *loop, uint32_t flow, struct ways *ways)
{
    const int map = loop->udp->kernel.map;
    const struct l4_forward_key key = key_of_client(loop, flow);
    if (l4_bpf_map_get(map, &key, &ways->way[L4_CLIENT]))
        return false;
    const struct l4_forward_key back = key_of_answers(&key, &ways->way[L4_CLIENT]);
    return l4_bpf_map_get(map, &back, &ways->way[L4_BACKEND]) == 0;
}

/* Takes out what there is of both entries; of an entry that is not there all is zero. */
static void take_ways(const struct l4_loop *loop, uint32_t flow, struct ways *ways)
{
    const int map = loop->udp->kernel.map;
    const struct l4_forward_key key = key_of_client(loop, flow);
    *ways = (struct ways){0};
    if (l4_bpf_map_get(map, &key, &ways->way[L4_CLIENT]))
        return;
    const struct l4_forward_key back = key_of_answers(&key, &ways->way[L4_CLIENT]);
    if (l4_bpf_map_take(map, &back, &ways->way[L4_BACKEND]))
        ways->way[L4_BACKEND] = (struct l4_forward_flow){0};
    if (l4_bpf_map_take(map, &key, &ways->way[L4_CLIENT]))
        ways->way[L4_CLIENT] = (struct l4_forward_flow){0};
}

/* Takes out the entries of a session that was lost with its worker, and that stand in the way of
 * this client's. */
static void drop_stale(const struct l4_loop *loop, const struct l4_forward_key *key)
{
    struct l4_forward_flow found;
    if (l4_bpf_map_get(loop->udp->kernel.map, key, &found) || found.mode != L4_FORWARD_UDP)
        return;
    const struct l4_forward_key back = key_of_answers(key, &found);
    l4_bpf_map_drop(loop->udp->kernel.map, &back);
    l4_bpf_map_drop(loop->udp->kernel.map, key);
}

/* Puts in both entries. own: the local address of the session's socket. Returns 0 or -errno. */
static int put_ways(const struct l4_loop *loop, uint32_t flow, const struct l4_addr *own)
{
    const int map = loop->udp->kernel.map;
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_addr *local = &l4_udp_flow(loop, flow)->local;
    const struct l4_addr *backend = &l4_table_backend(loop->table, s->backend)->addr;
    const struct l4_forward_key key = key_of_client(loop, flow), back = key_of(backend, own);
    const struct l4_forward_flow forth = way_of(loop, own, backend, 0);
    const struct l4_forward_flow answers = way_of(loop, local, &s->client, L4_FORWARD_REPLY);
    int error = l4_bpf_map_add(map, &key, &forth);
    if (error == -EEXIST)
        drop_stale(loop, &key);
    if (error)
        return error;
    error = l4_bpf_map_add(map, &back, &answers);
    if (error)
        l4_bpf_map_drop(map, &key);
    if (error == -EEXIST)
        drop_stale(loop, &back);
    return error;
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* Adds what the kernel has forwarded in one direction since the last time to the session's counts,
 * its backend's and its listener's. Returns true if that is anything. */
static bool add_counts(struct l4_loop *loop, uint32_t flow, enum l4_side side,
                       const struct l4_forward_flow *way)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    struct l4_flow_counted *counted = l4_table_flow_counted(loop->table, loop->setup.index, flow);
    if (way->packets <= counted->packets[side])
        return false;
    const uint64_t packets = way->packets - counted->packets[side];
    const uint64_t whole = way->bytes - counted->bytes[side];
    const uint64_t header = UDP_HEADER + (s->client.family == AF_INET ? IPV4_HEADER : IPV6_HEADER);
    const uint64_t headers = packets * header;
    const uint64_t bytes = whole > headers ? whole - headers : 0;
    struct l4_column *column = l4_row_column(loop, s);
    struct l4_udp_tally *tally = tally_of(loop, s);
    L4_OWN_ADD(s->bytes[side], bytes);
    L4_OWN_ADD(f->datagrams[side], packets);
    if (side == L4_CLIENT) {
        L4_OWN_ADD(column->bytes_in, bytes);
        L4_OWN_ADD(tally->datagrams_in, packets);
    } else {
        L4_OWN_ADD(column->bytes_out, bytes);
        L4_OWN_ADD(tally->datagrams_out, packets);
    }
    counted->packets[side] = way->packets;
    counted->bytes[side] = way->bytes;
    return true;
}

/* Adds what the kernel has forwarded in both directions, and records the last datagram. */
static void record(struct l4_loop *loop, uint32_t flow, const struct ways *ways)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_udp_stay *stay = &loop->udp->peers[flow].stay;
    const bool asked = add_counts(loop, flow, L4_CLIENT, &ways->way[L4_CLIENT]);
    const bool answered = add_counts(loop, flow, L4_BACKEND, &ways->way[L4_BACKEND]);
    const uint64_t asked_ns = ways->way[L4_CLIENT].seen_ns;
    const uint64_t answered_ns = ways->way[L4_BACKEND].seen_ns;
    const uint64_t seen_ms = l4_forward_seen_ms(asked_ns > answered_ns ? asked_ns : answered_ns);
    if (answered)
        stay->unanswered = 0;
    else if (asked)
        stay->unanswered++;
    if ((asked || answered) && seen_ms > L4_GET(s->active_ms))
        L4_SET(s->active_ms, seen_ms < loop->now_ms ? seen_ms : loop->now_ms);
}

/* ---- to the kernel --------------------------------------------------------------------------- */

static bool is_loopback(const struct l4_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    return addr->family == AF_INET ? addr->ip[0] == 127 : memcmp(addr->ip, one, sizeof one) == 0;
}

static bool is_wildcard(const struct l4_addr *addr)
{
    static const uint8_t any[16];
    return memcmp(addr->ip, any, sizeof any) == 0;
}

/* Do the settings allow it? A reload may change them while the session is in the kernel. */
static bool is_allowed(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_row_pool(loop, s)->udp.hand_over) &&
           L4_GET(l4_table_listener(loop->table, s->listener)->udp.hand_over);
}

/* Do its packets come through an interface, with addresses that the kernel can rewrite? */
static bool has_way(const struct l4_loop *loop, const struct l4_session *s, const struct l4_flow *f)
{
    const struct l4_addr *backend = &l4_table_backend(loop->table, s->backend)->addr;
    return s->client.family == f->local.family && s->client.family == backend->family &&
           !f->scope && !is_wildcard(&f->local) && !is_loopback(&f->local) &&
           !is_loopback(backend) && memcmp(s->client.ip, f->local.ip, sizeof f->local.ip) != 0;
}

static bool may_go(const struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_flow *f = l4_udp_flow(loop, flow);
    const struct l4_udp_peer *peer = &loop->udp->peers[flow];
    const unsigned kind = f->flags & (L4_FLOW_PROVEN | L4_FLOW_LOOSE | L4_FLOW_KERNEL);
    return kind == L4_FLOW_PROVEN && peer->stay.answered && !f->subflow && !peer->ghost &&
           !peer->stay.offered && !loop->draining && loop->now_ms >= peer->stay.retry_ms &&
           is_allowed(loop, s) && has_way(loop, s, f);
}

void l4_udp_kernel_offer(struct l4_loop *loop, uint32_t flow)
{
    if (loop->udp->kernel.map < 0 || !may_go(loop, flow))
        return;
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const struct l4_addr own = l4_dgram_bound_to(s->half[L4_BACKEND].fd);
    int error = own.family == s->client.family && !is_wildcard(&own) ? 0 : -EADDRNOTAVAIL;
    if (!error) {
        *l4_table_flow_counted(loop->table, loop->setup.index, flow) = (struct l4_flow_counted){0};
        f->flags |= L4_FLOW_KERNEL; /* why first: another process finds the entries by it */
        error = put_ways(loop, flow, &own);
    }
    if (error) {
        f->flags &= (uint16_t)~L4_FLOW_KERNEL;
        loop->udp->peers[flow].stay.retry_ms = loop->now_ms + L4_UDP_RETRY_MS;
        L4_OWN_ADD(tally_of(loop, s)->kept, 1);
        return;
    }
    f->asked_us = 0; /* why: the answer to this datagram is not seen here */
    enter(loop, flow);
    L4_OWN_ADD(tally_of(loop, s)->handed, 1);
}

void l4_udp_kernel_adopt(struct l4_loop *loop, uint32_t flow)
{
    struct ways ways;
    if (!is_there(loop, flow))
        return;
    if (loop->udp->kernel.map < 0) {
        l4_udp_flow(loop, flow)->flags &= (uint16_t)~L4_FLOW_KERNEL;
        return;
    }
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_addr own = l4_dgram_bound_to(s->half[L4_BACKEND].fd);
    enter(loop, flow);
    /* why: the backend's errors come to the address that the entry says. */
    if (!read_ways(loop, flow, &ways) || ways.way[L4_CLIENT].from_port != htons(own.port) ||
        memcmp(ways.way[L4_CLIENT].from, own.ip, sizeof own.ip) != 0)
        l4_udp_kernel_leave(loop, flow);
    else
        record(loop, flow, &ways);
}

void l4_udp_kernel_lose(struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_caps *caps = &loop->table->plan.caps;
    struct ways ways;
    if (!is_there(loop, flow))
        return;
    l4_udp_flow(loop, flow)->flags &= (uint16_t)~L4_FLOW_KERNEL;
    if (loop->udp->kernel.map < 0)
        return;
    take_ways(loop, flow, &ways);
    if (s->listener >= caps->listeners || s->backend >= caps->backends)
        return;
    (void)add_counts(loop, flow, L4_CLIENT, &ways.way[L4_CLIENT]);
    (void)add_counts(loop, flow, L4_BACKEND, &ways.way[L4_BACKEND]);
}

/* ---- back ------------------------------------------------------------------------------------ */

void l4_udp_kernel_leave(struct l4_loop *loop, uint32_t flow)
{
    struct ways ways;
    if (!is_there(loop, flow))
        return;
    const struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_udp_stay *stay = &loop->udp->peers[flow].stay;
    take_ways(loop, flow, &ways);
    record(loop, flow, &ways);
    l4_udp_flow(loop, flow)->flags &= (uint16_t)~L4_FLOW_KERNEL;
    unlist(loop->udp, flow);
    stay->back_ms = loop->now_ms;
    stay->answered = false;
    L4_ASSERT(L4_GET(tally_of(loop, s)->in_kernel) > 0);
    L4_OWN_ADD(tally_of(loop, s)->in_kernel, -1u);
}

void l4_udp_kernel_look(struct l4_loop *loop, uint32_t flow)
{
    struct ways ways;
    if (!is_there(loop, flow))
        return;
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_udp_stay *stay = &loop->udp->peers[flow].stay;
    const uint64_t active_ms = L4_GET(s->active_ms);
    const bool whole = read_ways(loop, flow, &ways);
    if (whole)
        record(loop, flow, &ways);
    if (L4_GET(s->active_ms) != active_ms)
        l4_flows_touch(&loop->udp->flows, flow);
    /* why unanswered: the kernel sends to a silent neighbour for ever. A socket of this worker asks
     * whether the neighbour is there, and is told if not. */
    if (!whole || stay->unanswered >= L4_UDP_UNANSWERED || !is_allowed(loop, s)) {
        l4_udp_kernel_leave(loop, flow);
        return;
    }
    unlist(loop->udp, flow);
    append(loop->udp, flow);
    loop->udp->peers[flow].stay.looked_ms = loop->now_ms;
}

static bool is_due(const struct l4_loop *loop, uint32_t flow)
{
    return loop->now_ms - loop->udp->peers[flow].stay.looked_ms >= L4_UDP_LOOK_MS;
}

/* Takes the sessions back whose backend may not serve them any more: the next datagram of their
 * client moves them. */
static void watch_backends(struct l4_loop *loop)
{
    const struct l4_udp *udp = loop->udp;
    if (!l4_udp_misses_backend(loop))
        return;
    for (uint32_t flow = udp->kernel.oldest, next; flow != L4_NONE; flow = next) {
        next = udp->peers[flow].stay.newer;
        if (!l4_udp_is_served(loop, flow))
            l4_udp_kernel_leave(loop, flow);
    }
}

void l4_udp_kernel_turn(struct l4_loop *loop)
{
    struct l4_udp_kernel *kernel = &loop->udp->kernel;
    if (!kernel->count)
        return;
    for (int i = 0; i < L4_UDP_LOOKS && kernel->count && is_due(loop, kernel->oldest); i++)
        l4_udp_kernel_look(loop, kernel->oldest);
    if (loop->now_ms - kernel->watched_ms >= L4_UDP_WATCH_MS) {
        kernel->watched_ms = loop->now_ms;
        watch_backends(loop);
    }
}

int l4_udp_kernel_wait_ms(const struct l4_loop *loop)
{
    const struct l4_udp_kernel *kernel = &loop->udp->kernel;
    if (!kernel->count)
        return -1;
    return is_due(loop, kernel->oldest) ? L4_WHEEL_TICK_MS : L4_UDP_WATCH_MS;
}
