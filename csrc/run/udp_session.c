#include "run/udp_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/hash_key.h"
#include "core/passive.h"
#include "core/pick.h"
#include "core/sticky.h"
#include "io/dgram_sock.h"
#include "run/account.h"
#include "run/lines.h"
#include "run/pick_trace.h"
#include "run/row.h"
#include "run/udp_adopt.h"
#include "run/udp_kernel.h"
#include "shm/row_reuse.h"

struct l4_session *l4_udp_session(const struct l4_loop *loop, uint32_t flow)
{
    L4_ASSERT(flow < loop->table->plan.caps.flows);
    return l4_session_at(loop, loop->table->plan.caps.sessions + flow);
}

struct l4_flow *l4_udp_flow(const struct l4_loop *loop, uint32_t flow)
{
    return l4_table_flow(loop->table, loop->setup.index, flow);
}

/* A UDP session has no stages: it is bound to a backend as soon as it is opened. */
void l4_udp_enter(struct l4_loop *loop, uint32_t flow, enum l4_session_state state)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    const uint32_t from = L4_GET(s->state);
    L4_ASSERT(
        (from == L4_SESSION_FREE && (state == L4_SESSION_PICK || state == L4_SESSION_RELAY)) ||
        (from == L4_SESSION_PICK && (state == L4_SESSION_RELAY || state == L4_SESSION_FREE)) ||
        (from == L4_SESSION_RELAY && state == L4_SESSION_FREE));
    L4_SET(s->state, state);
}

static struct l4_udp_tally *udp_tally(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_udp_tally(loop->table, loop->setup.index, listener);
}

/* ---- a backend for it ------------------------------------------------------------------------ */

void l4_udp_leave(struct l4_loop *loop, struct l4_session *s)
{
    if (s->half[L4_BACKEND].fd >= 0)
        close(s->half[L4_BACKEND].fd);
    s->half[L4_BACKEND].fd = -1;
    if (s->backend != L4_NONE) {
        l4_count_drop_backend(loop->table, loop->setup.index, s->backend);
        l4_lines_released(loop, s->pool);
    }
    s->backend = L4_NONE;
}

/* The session's backend could not be reached. */
static void note_failed(const struct l4_loop *loop, struct l4_session *s)
{
    L4_ASSERT(s->backend != L4_NONE);
    L4_OWN_ADD(l4_row_column(loop, s)->connect_errors, 1);
    l4_passive_unreached(loop->table, loop->setup.index, s->backend, loop->now_ms, s->error);
    const uint32_t places = sizeof s->tried / sizeof *s->tried;
    s->tried[s->attempts % places] = (uint16_t)s->backend;
    if (s->attempts < places)
        s->attempts++;
}

static bool pick_for_flow(struct l4_loop *loop, uint32_t flow)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const struct l4_pick_request request = {
        .worker = loop->setup.index,
        .pool = s->pool,
        .now_ms = loop->now_ms,
        .hash = l4_key_hash(&loop->table->header->hash_key, &pool->hash_rule, &s->client, 0),
        .random = l4_random(&loop->random),
        .tried = s->tried,
        .tried_count = s->attempts,
    };
    f->flags &= (uint16_t) ~(L4_FLOW_LAST_HOPE | L4_FLOW_GREETED);
    struct l4_pick_answer answer = {.backend = L4_NONE};
    bool sticky = false;
    if (f->subflow) {
        if (l4_pick_this(loop->table, &request, f->subflow - 1, true))
            answer.backend = f->subflow - 1;
    } else {
        const struct l4_sticky_client client = {.addr = &s->client};
        answer = l4_sticky_pick(loop->table, &request, &client, &sticky);
        if (answer.tier == L4_ANY)
            f->flags |= L4_FLOW_LAST_HOPE;
    }
    s->backend = answer.backend;
    l4_pick_trace(loop, s, &request, &answer,
                  f->subflow ? L4_PICK_NAMED
                  : sticky   ? L4_PICK_STICKY
                             : L4_PICK_BALANCED);
    if (s->backend == L4_NONE)
        return false;
    f->backend_use = L4_GET(l4_table_backend(loop->table, s->backend)->used);
    return true;
}

int l4_udp_connect(struct l4_loop *loop, uint32_t flow, bool *made)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    L4_ASSERT(s->backend != L4_NONE && s->half[L4_BACKEND].fd < 0);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const struct l4_addr *to = &l4_table_backend(loop->table, s->backend)->addr;
    struct l4_way memory;
    const struct l4_way *way =
        l4_egress_way(&pool->egress, to->family, &s->client, l4_random(&loop->random), &memory);
    const int fd = l4_dgram_connect(to, way, &f->port, made);
    if (fd < 0)
        return fd;
    const int error =
        l4_loop_watch(loop, fd, EPOLLIN | EPOLLET, l4_watch_session(L4_UDP, L4_BACKEND), flow);
    if (error) {
        close(fd);
        *made = false;
        return error;
    }
    s->half[L4_BACKEND].fd = fd;
    loop->udp->peers[flow].longest_run[0] = UINT16_MAX;
    return 0;
}

/* Ends the session that has been idle longest, unless that is the session `keep`. */
static bool make_room(struct l4_loop *loop, uint32_t keep)
{
    const uint32_t victim = l4_flows_victim(&loop->udp->flows);
    if (victim == L4_NONE || victim == keep)
        return false;
    L4_OWN_ADD(udp_tally(loop, l4_udp_session(loop, victim)->listener)->evicted, 1);
    l4_udp_end(loop, victim, L4_END_EVICTED);
    return true;
}

/* Binds the session to a backend that it has not tried yet. Returns false with *why set if there
 * is none. */
static bool bind_backend(struct l4_loop *loop, uint32_t flow, enum l4_drop *why)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    *why = L4_DROP_NO_BACKEND;
    for (uint32_t i = 0; i <= L4_RETRIES_MAX && pick_for_flow(loop, flow); i++) {
        bool made;
        int error = l4_udp_connect(loop, flow, &made);
        const bool portless = !made && error == -EADDRNOTAVAIL;
        if (portless) /* another session's end would free a port towards its own backend only */
            l4_loop_portless(loop);
        if (error && !made && !portless && make_room(loop, flow))
            error = l4_udp_connect(loop, flow, &made);
        if (!error) {
            L4_OWN_ADD(l4_row_column(loop, s)->total, 1);
            return true;
        }
        s->error = -error;
        if (made)
            note_failed(loop, s);
        l4_udp_leave(loop, s);
        if (!made) {
            *why = portless ? L4_DROP_NO_LOCAL_PORT : L4_DROP_DESCRIPTORS;
            return false;
        }
    }
    return false;
}

/* Returns the reason of a session's end that has reached no backend. */
static enum l4_reason end_of(enum l4_drop why, bool tried)
{
    if (why == L4_DROP_DESCRIPTORS || why == L4_DROP_NO_LOCAL_PORT)
        return L4_END_ERROR;
    return tried ? L4_END_CONNECT_FAILED : L4_END_NO_BACKEND;
}

/* Is the backend in use, and not known to be down? */
static bool is_up(const struct l4_loop *loop, const struct l4_backend *b)
{
    return L4_GET(b->used) && L4_GET(b->health) != L4_DOWN && !l4_passive_ejected(b, loop->now_ms);
}

bool l4_udp_is_served(const struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_flow *f = l4_udp_flow(loop, flow);
    if (s->backend == L4_NONE)
        return false;
    const struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    return L4_GET(b->used) == f->backend_use && (is_up(loop, b) || f->flags & L4_FLOW_LAST_HOPE ||
                                                 L4_GET(l4_row_pool(loop, s)->udp.keep_down));
}

bool l4_udp_misses_backend(const struct l4_loop *loop)
{
    const uint32_t high = l4_table_backends_high(loop->table);
    for (uint32_t i = 0; i < high; i++) {
        if (!is_up(loop, l4_table_backend(loop->table, i)) &&
            L4_GET(l4_table_column(loop->table, loop->setup.index, i)->active))
            return true;
    }
    return false;
}

void l4_udp_sweep(struct l4_loop *loop)
{
    const bool any = l4_udp_misses_backend(loop);
    for (uint32_t i = 0; any && i < loop->udp->flows.fresh; i++) {
        if (!L4_GET(l4_udp_session(loop, i)->serial) || l4_udp_is_served(loop, i))
            continue;
        l4_udp_kernel_leave(loop, i);
        /* why not at once: while it was in the kernel, no datagram of its client could move it. */
        const uint64_t back_ms = loop->udp->peers[i].stay.back_ms;
        if (!back_ms || loop->now_ms - back_ms >= L4_UDP_SWEEP_MS)
            l4_udp_end(loop, i, L4_END_BACKEND_DOWN);
    }
}

bool l4_udp_move(struct l4_loop *loop, uint32_t flow, bool failed)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    enum l4_drop why;
    if (loop->udp->peers[flow].ghost) {
        l4_udp_forget(loop, flow);
        return false;
    }
    l4_udp_kernel_leave(loop, flow);
    if (failed)
        note_failed(loop, s);
    l4_udp_leave(loop, s);
    if (!bind_backend(loop, flow, &why)) {
        l4_udp_end(loop, flow, end_of(why, failed));
        return false;
    }
    loop->udp->peers[flow].stay = (struct l4_udp_stay){0};
    L4_OWN_ADD(udp_tally(loop, s->listener)->moved, 1);
    return true;
}

/* ---- its source ------------------------------------------------------------------------------ */

uint64_t l4_udp_source(const struct l4_loop *loop, const struct l4_addr *client, uint32_t listener)
{
    struct l4_addr source = *client;
    source.port = 0;
    return l4_hash_again(l4_hash(&loop->table->header->hash_key, &source, sizeof source), listener);
}

/* Takes a place among the sessions of its source, if that has a limit: then *counted is true.
 * Returns false if the source has as many sessions as it may. */
static bool take_source(struct l4_loop *loop, const struct l4_flow_key *key, bool *counted)
{
    const uint32_t limit =
        L4_GET(l4_table_listener(loop->table, key->listener)->udp.max_per_source);
    *counted = limit && l4_sources_take(&loop->udp->sources,
                                        l4_udp_source(loop, &key->client, key->listener), limit);
    return *counted || !limit;
}

void l4_udp_drop_source(struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    if (l4_udp_flow(loop, flow)->flags & L4_FLOW_COUNTED)
        l4_sources_drop(&loop->udp->sources, l4_udp_source(loop, &s->client, s->listener));
}

/* ---- open and end ---------------------------------------------------------------------------- */

static void fill_new(struct l4_loop *loop, uint32_t flow, uint32_t bound, uint32_t pool,
                     const struct l4_flow_key *key, uint32_t scope)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    l4_row_reset(loop, s, key->listener, pool, &key->client);
    *f = (struct l4_flow){.local = key->local, .scope = scope, .subflow = key->subflow};
    /* why some fields stay: an ended session's row may still be in the list of sessions with
     * answers left over. */
    struct l4_udp_peer *peer = &loop->udp->peers[flow];
    peer->bound = bound;
    peer->batch = 0;
    peer->ghost = false;
    peer->longest_run[0] = peer->longest_run[1] = UINT16_MAX;
    peer->stay = (struct l4_udp_stay){0};
    l4_udp_enter(loop, flow, L4_SESSION_PICK);
    if (flow + 1 > L4_GET(loop->row->flows_high))
        L4_SET(loop->row->flows_high, flow + 1);
    l4_row_publish(loop, s);
}

uint32_t l4_udp_idle_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_row_pool(loop, s)->udp.idle_ms);
}

/* Takes a place among all UDP sessions, and a row. Returns the row or L4_NONE. */
static uint32_t take_row(struct l4_loop *loop, const struct l4_flow_key *key)
{
    const uint32_t limit = L4_GET(loop->table->header->max_udp_sessions);
    for (int i = 0; i < 2; i++) {
        if (l4_flows_held(&loop->udp->flows) < loop->udp->flows.capacity &&
            l4_count_take_flow(loop->table, loop->setup.index, limit))
            return l4_flows_add(&loop->udp->flows, key);
        if (!make_room(loop, L4_NONE))
            break;
    }
    return L4_NONE;
}

uint32_t l4_udp_open(struct l4_loop *loop, uint32_t bound, uint32_t pool,
                     const struct l4_flow_key *key, uint32_t scope, enum l4_drop *why)
{
    *why = loop->udp->draining ? L4_DROP_DRAINING : L4_DROP_OVERLOAD;
    if (loop->udp->draining || loop->udp->opens == 0)
        return L4_NONE;
    loop->udp->opens--;
    bool counted;
    *why = L4_DROP_SOURCE;
    if (!take_source(loop, key, &counted))
        return L4_NONE;
    const uint32_t flow = take_row(loop, key);
    *why = L4_DROP_SESSIONS;
    if (flow == L4_NONE) {
        if (counted)
            l4_sources_drop(&loop->udp->sources, l4_udp_source(loop, &key->client, key->listener));
        return L4_NONE;
    }
    const struct l4_session *s = l4_udp_session(loop, flow);
    fill_new(loop, flow, bound, pool, key, scope);
    if (counted)
        l4_udp_flow(loop, flow)->flags |= L4_FLOW_COUNTED;
    L4_OWN_ADD(loop->row->accepted, 1);
    L4_OWN_ADD(l4_row_tally(loop, s)->accepted, 1);
    L4_OWN_ADD(l4_row_tally(loop, s)->active, 1);
    if (!bind_backend(loop, flow, why)) {
        l4_udp_end(loop, flow, end_of(*why, s->attempts));
        return L4_NONE;
    }
    l4_udp_enter(loop, flow, L4_SESSION_RELAY);
    l4_wheel_start(&loop->udp->wheel, flow, loop->now_ms + l4_udp_idle_ms(loop, s));
    return flow;
}

void l4_udp_timeout(struct l4_loop *loop, uint32_t flow)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    if (loop->udp->peers[flow].ghost) {
        l4_udp_forget(loop, flow);
        return;
    }
    l4_udp_kernel_look(loop, flow);
    const uint64_t active_ms = L4_GET(s->active_ms);
    const uint64_t idle = loop->now_ms > active_ms ? loop->now_ms - active_ms : 0;
    const uint64_t allowed = l4_udp_idle_ms(loop, s);
    if (idle >= allowed)
        l4_udp_end(loop, flow, L4_END_IDLE_TIMEOUT);
    else
        l4_wheel_start(&loop->udp->wheel, flow, loop->now_ms + allowed - idle);
}

void l4_udp_end(struct l4_loop *loop, uint32_t flow, enum l4_reason reason)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    if (loop->udp->peers[flow].ghost) {
        l4_udp_forget(loop, flow);
        return;
    }
    L4_ASSERT(L4_GET(s->serial) && !s->accounted);
    l4_udp_kernel_leave(loop, flow);
    struct l4_outcome outcome =
        l4_account_describe(loop->table, loop->table->plan.caps.sessions + flow, s, loop->now_us);
    outcome.reason = (uint8_t)reason;
    if (reason != L4_END_ERROR && reason != L4_END_CONNECT_FAILED)
        outcome.error = 0;
    l4_account_end(loop->table, loop->setup.index, &outcome);
    s->accounted = 1;
    l4_wheel_stop(&loop->udp->wheel, flow);
    L4_ASSERT(L4_GET(l4_row_tally(loop, s)->active) > 0);
    L4_OWN_ADD(l4_row_tally(loop, s)->active, -1u);
    if (l4_sticky_is_on(loop->table, s->pool) && s->backend != L4_NONE) {
        const struct l4_sticky_client client = {.addr = &s->client};
        l4_sticky_client_touch(loop->table, s->pool, &client, s->backend, loop->now_ms);
    }
    l4_udp_leave(loop, s);
    l4_count_drop_flow(loop->table, loop->setup.index);
    l4_udp_enter(loop, flow, L4_SESSION_FREE);
    atomic_store_explicit(&s->serial, 0, memory_order_release);
    l4_udp_drop_source(loop, flow);
    l4_flows_remove(&loop->udp->flows, flow);
}

void l4_udp_kill(struct l4_loop *loop, uint32_t slot, uint32_t serial)
{
    const uint32_t tcp = loop->table->plan.caps.sessions;
    if (loop->udp && slot >= tcp && slot - tcp < loop->udp->flows.fresh && serial &&
        L4_GET(l4_session_at(loop, slot)->serial) == serial)
        l4_udp_end(loop, slot - tcp, L4_END_KILLED);
}

void l4_udp_end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
{
    for (uint32_t i = 0; loop->udp && i < loop->udp->flows.fresh; i++) {
        const struct l4_session *s = l4_udp_session(loop, i);
        if (L4_GET(s->serial) && (backend == L4_NONE || s->backend == backend))
            l4_udp_end(loop, i, reason);
    }
}
