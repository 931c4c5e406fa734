#include "run/udp_adopt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "core/udp_steering.h"
#include "run/account.h"
#include "run/lines.h"
#include "run/row.h"
#include "run/udp_kernel.h"
#include "run/udp_session.h"

static uint32_t bound_of(const struct l4_loop *loop, uint32_t listener)
{
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (loop->bounds[i].listener == listener && loop->udp->fronts[i].open)
            return i;
    }
    return L4_NONE;
}

/* Sets up all else that a session needs here, after its row, its flow and its entry in the table
 * of flows are set. */
static void set_up_taken(struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_flow *f = l4_udp_flow(loop, flow);
    struct l4_udp_peer *peer = &loop->udp->peers[flow];
    /* why some fields stay: the row's last session may still be in the list of sessions with
     * answers left over. */
    peer->bound = bound_of(loop, s->listener);
    L4_ASSERT(peer->bound != L4_NONE && s->half[L4_BACKEND].fd >= 0);
    peer->batch = 0;
    peer->ghost = false;
    peer->longest_run[0] = peer->longest_run[1] = UINT16_MAX;
    /* why its former answers: while both workers have the socket, the other one may read them. */
    peer->stay = (struct l4_udp_stay){.answered = L4_GET(f->datagrams[L4_BACKEND]) > 0};
    if (f->flags & L4_FLOW_PROVEN)
        l4_flows_prove(&loop->udp->flows, flow);
    if (f->flags & L4_FLOW_LOOSE)
        l4_flows_loosen(&loop->udp->flows, flow);
    if (f->flags & L4_FLOW_COUNTED)
        (void)l4_sources_take(&loop->udp->sources, l4_udp_source(loop, &s->client, s->listener), 0);
    l4_wheel_start(&loop->udp->wheel, flow, L4_GET(s->active_ms) + l4_udp_idle_ms(loop, s));
    L4_OWN_ADD(l4_table_tally(loop->table, loop->setup.index, s->listener)->active, 1);
    L4_OWN_ADD(l4_table_udp_tally(loop->table, loop->setup.index, s->listener)->adopted, 1);
}

/* ---- from a dead process --------------------------------------------------------------------- */

/* Is the row one that can be continued? It was written by a process that died at any
 * instruction. */
static bool is_row_sound(const struct l4_loop *loop, const struct l4_session *s,
                         const struct l4_flow *f)
{
    const struct l4_caps *caps = &loop->table->plan.caps;
    if (s->listener >= caps->listeners || s->backend >= caps->backends)
        return false;
    const struct l4_listener *listener = l4_table_listener(loop->table, s->listener);
    const struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    return L4_GET(listener->used) && listener->protocol == L4_UDP && s->pool < caps->pools &&
           L4_GET(b->used) == f->backend_use && b->pool == s->pool &&
           bound_of(loop, s->listener) != L4_NONE;
}

/* Takes over one session: its row, its places, and a socket to its backend, from its former port
 * if that is free. */
static bool adopt_row(struct l4_loop *loop, uint32_t flow)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const uint32_t limit = L4_GET(loop->table->header->max_udp_sessions);
    bool made;
    if (!l4_count_take_flow(loop->table, loop->setup.index, limit))
        return false;
    if (!l4_count_take_backend(loop->table, loop->setup.index, s->backend, NULL)) {
        l4_count_drop_flow(loop->table, loop->setup.index);
        return false;
    }
    s->half[L4_BACKEND].fd = -1;
    if (l4_udp_connect(loop, flow, &made)) {
        l4_udp_leave(loop, s);
        l4_count_drop_flow(loop->table, loop->setup.index);
        return false;
    }
    const struct l4_flow_key key = {
        .client = s->client, .local = f->local, .listener = s->listener, .subflow = f->subflow};
    l4_flows_restore(&loop->udp->flows, flow, &key);
    set_up_taken(loop, flow);
    l4_udp_kernel_adopt(loop, flow);
    return true;
}

/* Restores the order of the lists by age: sessions that have been idle longest come first. */
static void order_by_age(struct l4_loop *loop);

void l4_udp_adopt(struct l4_loop *loop)
{
    const uint32_t high = L4_GET(loop->row->flows_high);
    for (uint32_t i = 0; i < high && i < loop->table->plan.caps.flows; i++) {
        struct l4_session *s = l4_udp_session(loop, i);
        const bool lives = L4_GET(s->serial) && !s->accounted && i < loop->udp->flows.capacity &&
                           is_row_sound(loop, s, l4_udp_flow(loop, i));
        if (lives && adopt_row(loop, i)) {
            L4_SET(s->state, L4_SESSION_RELAY);
            continue;
        }
        if (L4_GET(s->serial) && !s->accounted)
            l4_udp_kernel_lose(loop, i);
        const uint32_t slot = loop->table->plan.caps.sessions + i;
        if (l4_account_lost_one(loop->table, loop->setup.index, slot, loop->now_us))
            L4_OWN_ADD(loop->row->lost, 1);
        L4_SET(s->state, L4_SESSION_FREE);
    }
    order_by_age(loop);
}

struct aged {
    uint64_t active_ms;
    uint32_t flow;
};

static int by_age(const void *a, const void *b)
{
    const uint64_t x = ((const struct aged *)a)->active_ms, y = ((const struct aged *)b)->active_ms;
    return (x > y) - (x < y);
}

static void order_by_age(struct l4_loop *loop)
{
    const struct l4_flows *flows = &loop->udp->flows;
    struct aged *all = calloc(flows->fresh ? flows->fresh : 1, sizeof *all);
    uint32_t count = 0;
    for (uint32_t i = 0; all && i < flows->fresh; i++) {
        if (flows->nodes[i].used)
            all[count++] = (struct aged){L4_GET(l4_udp_session(loop, i)->active_ms), i};
    }
    if (all)
        qsort(all, count, sizeof *all, by_age);
    for (uint32_t i = 0; all && i < count; i++)
        l4_flows_touch(&loop->udp->flows, all[i].flow);
    free(all);
}

/* ---- to a live one --------------------------------------------------------------------------- */

bool l4_udp_may_go(const struct l4_loop *loop, uint32_t flow, uint32_t places, uint32_t place)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    if (!L4_GET(s->serial) || s->half[L4_BACKEND].fd < 0)
        return false;
    const struct l4_udp_listener *settings = &l4_table_listener(loop->table, s->listener)->udp;
    return !places || l4_steer_place(&s->client, places, L4_GET(loop->table->header->udp_seed),
                                     !L4_GET(settings->max_per_source)) == place;
}

uint32_t l4_udp_describe(struct l4_loop *loop, uint32_t flow, struct l4_record *record, int *fds)
{
    l4_udp_kernel_leave(loop, flow);
    loop->udp->peers[flow].stay.offered = true;
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_flow *f = l4_udp_flow(loop, flow);
    *record = (struct l4_record){
        .bytes = offsetof(struct l4_record, facts), /* nothing was read of its client */
        .magic = L4_RECORD_MAGIC,
        .slot = loop->table->plan.caps.sessions + flow,
        .serial = L4_GET(s->serial),
        .state = L4_SESSION_RELAY,
        .fds = L4_RECORD_BACKEND,
        .listener = s->listener,
        .pool = s->pool,
        .backend = s->backend,
        .client = s->client,
        .first_byte_us = s->first_byte_us,
        .moved = {L4_GET(s->bytes[0]), L4_GET(s->bytes[L4_BACKEND])},
        .active_ms = L4_GET(s->active_ms),
        .started_us = s->started_us,
        .connect_started_us = s->connect_started_us,
        .flow = {.local = f->local,
                 .scope = f->scope,
                 .bound = f->subflow != 0,
                 .flags = L4_GET(f->flags),
                 .port = f->port,
                 .datagrams = {L4_GET(f->datagrams[0]), L4_GET(f->datagrams[1])}},
    };
    l4_record_put_names(loop, s, record);
    fds[0] = s->half[L4_BACKEND].fd;
    return 1;
}

void l4_udp_stays(const struct l4_loop *loop, uint32_t flow)
{
    loop->udp->peers[flow].stay.offered = false;
}

void l4_udp_forget(struct l4_loop *loop, uint32_t flow)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    L4_ASSERT(loop->udp->peers[flow].ghost && s->half[L4_BACKEND].fd >= 0);
    l4_wheel_stop(&loop->udp->wheel, flow);
    /* why: the taker has the socket too, so closing it here does not take it out of the epoll set.
     */
    l4_loop_unwatch(loop, s->half[L4_BACKEND].fd);
    close(s->half[L4_BACKEND].fd);
    s->half[L4_BACKEND].fd = -1;
    s->backend = L4_NONE;
    loop->udp->peers[flow].ghost = false;
    l4_flows_remove(&loop->udp->flows, flow);
}

void l4_udp_let_go(struct l4_loop *loop, uint32_t flow)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    L4_ASSERT(!loop->udp->peers[flow].ghost && s->backend != L4_NONE);
    L4_ASSERT(!(l4_udp_flow(loop, flow)->flags & L4_FLOW_KERNEL));
    L4_ASSERT(L4_GET(l4_row_tally(loop, s)->active) > 0);
    L4_OWN_ADD(l4_table_tally(loop->table, loop->setup.index, s->listener)->active, -1u);
    l4_count_drop_backend(loop->table, loop->setup.index, s->backend);
    l4_lines_released(loop, s->pool);
    l4_count_drop_flow(loop->table, loop->setup.index);
    l4_udp_drop_source(loop, flow);
    s->accounted = 1;
    l4_udp_enter(loop, flow, L4_SESSION_FREE);
    atomic_store_explicit(&s->serial, 0, memory_order_release);
    loop->udp->peers[flow].ghost = true;
    if (loop->draining) /* no datagram of its client comes here any more */
        l4_udp_forget(loop, flow);
    else
        l4_wheel_start(&loop->udp->wheel, flow, loop->now_ms + L4_UDP_GHOST_MS);
}

/* ---- from a live one ------------------------------------------------------------------------- */

static void fill_from_record(struct l4_loop *loop, uint32_t flow, const struct l4_record *record,
                             const struct l4_flow_key *key, uint32_t pool, uint32_t backend, int fd)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    l4_row_reset(loop, s, key->listener, pool, &key->client);
    s->backend = backend;
    s->half[L4_BACKEND].fd = fd;
    L4_SET(s->bytes[L4_CLIENT], record->moved[L4_CLIENT]);
    L4_SET(s->bytes[L4_BACKEND], record->moved[L4_BACKEND]);
    /* why: as in run/handover_record.c, the giver may have read its clock a moment later. */
    L4_SET(s->active_ms, record->active_ms < loop->now_ms ? record->active_ms : loop->now_ms);
    s->started_us = record->started_us < loop->now_us ? record->started_us : loop->now_us;
    s->connect_started_us = s->started_us;
    s->first_byte_us = record->first_byte_us;
    *f = (struct l4_flow){
        .local = key->local,
        .scope = record->flow.scope,
        .subflow = key->subflow,
        .port = record->flow.port,
        .flags = record->flow.flags & L4_FLOW_FLAGS,
        .datagrams = {record->flow.datagrams[0], record->flow.datagrams[1]},
        .backend_use = L4_GET(l4_table_backend(loop->table, backend)->used),
    };
}

static bool is_internet(const struct l4_addr *addr)
{
    return addr->family == AF_INET || addr->family == AF_INET6;
}

/* Is there room for the session here, and will its client's datagrams find it? */
static bool has_place(struct l4_loop *loop, const struct l4_flow_key *key, uint16_t flags)
{
    const struct l4_udp *udp = loop->udp;
    if (!udp || udp->draining || loop->draining || bound_of(loop, key->listener) == L4_NONE)
        return false;
    const uint32_t same = flags & L4_FLOW_LOOSE ? L4_NONE : l4_flows_find(&udp->flows, key);
    if (same != L4_NONE && !udp->peers[same].ghost)
        return false;
    if (same != L4_NONE) /* the session left here a moment ago, and comes back */
        l4_udp_forget(loop, same);
    return l4_flows_held(&udp->flows) < udp->flows.capacity;
}

bool l4_udp_take(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                 uint32_t count)
{
    uint32_t listener, pool, backend;
    if (count != 1 || record->state != L4_SESSION_RELAY || !is_internet(&record->client) ||
        !is_internet(&record->flow.local) ||
        !l4_record_find(loop, record, &listener, &pool, &backend))
        return false;
    const struct l4_flow_key key = {.client = record->client,
                                    .local = record->flow.local,
                                    .listener = listener,
                                    .subflow = record->flow.bound ? backend + 1 : 0};
    if (!has_place(loop, &key, record->flow.flags))
        return false;
    const uint32_t flow = l4_flows_add(&loop->udp->flows, &key);
    if (l4_loop_watch(loop, fds[0], EPOLLIN | EPOLLET, l4_watch_session(L4_UDP, L4_BACKEND),
                      flow)) {
        l4_flows_remove(&loop->udp->flows, flow);
        return false;
    }
    fill_from_record(loop, flow, record, &key, pool, backend, fds[0]);
    /* why no limit: the giver gives the session's place back in the next moment. */
    (void)l4_count_take_flow(loop->table, loop->setup.index, 0);
    l4_count_join(loop->table, loop->setup.index, backend);
    set_up_taken(loop, flow);
    struct l4_session *s = l4_udp_session(loop, flow);
    l4_udp_enter(loop, flow, L4_SESSION_RELAY);
    if (flow + 1 > L4_GET(loop->row->flows_high))
        L4_SET(loop->row->flows_high, flow + 1);
    l4_row_publish(loop, s);
    return true;
}
