#include "run/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "core/passive.h"
#include "core/response.h"
#include "io/dgram_sock.h"
#include "run/row.h"
#include "run/udp_adopt.h"
#include "run/udp_proxy_out.h"
#include "run/udp_route.h"
#include "run/udp_session.h"

enum { TO_BACKEND, TO_CLIENT }; /* indices of longest_run and datagrams */

static bool is_udp(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_listener(loop->table, listener)->protocol == L4_UDP;
}

static struct l4_udp_tally *tally_of(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_udp_tally(loop->table, loop->setup.index, listener);
}

void l4_udp_drop(const struct l4_loop *loop, uint32_t listener, enum l4_drop why, uint32_t count)
{
    L4_OWN_ADD(tally_of(loop, listener)->dropped[why], count);
}

static const struct l4_udp_settings *settings_of(const struct l4_loop *loop,
                                                 const struct l4_session *s)
{
    return &l4_table_pool(loop->table, s->pool)->udp;
}

/* ---- start and end --------------------------------------------------------------------------- */

static uint64_t plan(struct l4_loop *loop, uint64_t descriptors)
{
    bool any = false;
    for (uint32_t i = 0; i < loop->setup.bound_count; i++)
        any = any || is_udp(loop, loop->setup.bounds[i].listener);
    const struct l4_header *header = loop->table->header;
    uint64_t max = descriptors * L4_GET(header->udp_share_percent) / 100;
    if (max > loop->table->plan.caps.flows)
        max = loop->table->plan.caps.flows;
    max = any ? (max ? max : 1) : 0;
    L4_SET(loop->row->udp_capacity, (uint32_t)max);
    return max;
}

static int open_front(struct l4_loop *loop, uint32_t bound)
{
    static const uint8_t any[16];
    struct l4_udp_front *front = &loop->udp->fronts[bound];
    const int fd = loop->bounds[bound].fd;
    front->at = l4_dgram_bound_to(fd);
    front->wildcard = memcmp(front->at.ip, any, sizeof any) == 0;
    front->six = l4_dgram_is_six(fd);
    front->open = true;
    l4_dgram_tell(fd, front->wildcard);
    if (loop->udp->held_until_ms)
        return 0;
    return l4_loop_watch(loop, fd, EPOLLIN, L4_WATCH_LISTENER, bound);
}

static int allocate(struct l4_loop *loop, uint32_t capacity)
{
    struct l4_udp *udp = loop->udp;
    struct l4_timer *timers = calloc(capacity, sizeof *timers);
    udp->peers = calloc(capacity, sizeof *udp->peers);
    udp->fronts = calloc(l4_bounds_room(loop->table), sizeof *udp->fronts);
    if (!timers || !udp->peers || !udp->fronts || l4_dgram_inbox_init(&udp->in, true) ||
        l4_dgram_inbox_init(&udp->back, false) ||
        l4_flows_init(&udp->flows, capacity, &loop->table->header->hash_key) ||
        l4_sources_init(&udp->sources, capacity)) {
        free(timers);
        return -ENOMEM;
    }
    l4_wheel_init(&udp->wheel, timers, capacity, loop->now_ms);
    l4_dgram_outbox_init(&udp->ahead);
    l4_dgram_outbox_init(&udp->replies);
    udp->ready_head = udp->ready_tail = L4_NONE;
    return 0;
}

static int open_udp(struct l4_loop *loop, uint32_t capacity)
{
    loop->udp = calloc(1, sizeof *loop->udp);
    if (!loop->udp)
        return -ENOMEM;
    if (loop->setup.hold_udp)
        loop->udp->held_until_ms = loop->now_ms + L4_UDP_HOLD_MS;
    int error = allocate(loop, capacity);
    for (uint32_t i = 0; !error && i < loop->bound_count; i++) {
        if (loop->bounds[i].fd >= 0 && l4_loop_protocol(loop, i) == L4_UDP)
            error = open_front(loop, i);
    }
    if (!error)
        l4_udp_adopt(loop);
    return error;
}

static int start(struct l4_loop *loop)
{
    const uint32_t capacity = L4_GET(loop->row->udp_capacity);
    const int error = capacity ? open_udp(loop, capacity) : 0;
    loop->setup.hold_udp = false; /* listeners that come later have nothing to wait for */
    return error;
}

static int add(struct l4_loop *loop, uint32_t bound)
{
    if (loop->udp)
        return open_front(loop, bound);
    /* why a quarter: the descriptors were planned without UDP. The two descriptors of a TCP
     * session make two UDP sessions. */
    const uint32_t spare = loop->capacity / 4, max = loop->table->plan.caps.flows;
    loop->capacity -= spare;
    L4_SET(loop->row->udp_capacity, 2 * spare < max ? 2 * spare + 1 : max);
    return start(loop);
}

/* The sessions of a listener that goes end with it, because their clients' datagrams come through
 * its socket. */
static bool remove_bound(struct l4_loop *loop, uint32_t bound)
{
    for (uint32_t i = 0; i < loop->udp->flows.fresh; i++) {
        const struct l4_session *s = l4_udp_session(loop, i);
        if (L4_GET(s->serial) && loop->udp->peers[i].bound == bound)
            l4_udp_end(loop, i, L4_END_DRAIN_TIMEOUT);
    }
    l4_loop_unwatch(loop, loop->bounds[bound].fd);
    loop->udp->fronts[bound].open = false;
    return true;
}

void l4_udp_release(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (!udp || !udp->held_until_ms)
        return;
    udp->held_until_ms = 0;
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (udp->fronts[i].open)
            loop->error = l4_loop_watch(loop, loop->bounds[i].fd, EPOLLIN, L4_WATCH_LISTENER, i);
        if (loop->error)
            return;
    }
}

/* Other workers read the listeners from now on. */
static void leave(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->udp && i < loop->bound_count; i++) {
        if (loop->udp->fronts[i].open && !loop->udp->held_until_ms)
            l4_loop_unwatch(loop, loop->bounds[i].fd);
    }
}

static void finish(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (!udp)
        return;
    l4_flows_close(&udp->flows);
    l4_sources_close(&udp->sources);
    l4_dgram_inbox_close(&udp->in);
    l4_dgram_inbox_close(&udp->back);
    free(udp->wheel.timers);
    free(udp->peers);
    free(udp->fronts);
    free(udp);
    loop->udp = NULL;
}

static void drain(struct l4_loop *loop)
{
    if (loop->udp)
        loop->udp->draining = true;
}

static uint32_t held(const struct l4_loop *loop)
{
    return loop->udp ? l4_flows_held(&loop->udp->flows) : 0;
}

/* ---- towards backends ------------------------------------------------------------------------ */

/* Records in the session's rows what its client sent. */
static void account_in(struct l4_loop *loop, uint32_t flow, const struct l4_dgram *d)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const uint32_t count = l4_dgram_count(d);
    const uint32_t requests = L4_GET(settings_of(loop, s)->requests);
    L4_OWN_ADD(s->bytes[0], d->bytes);
    L4_OWN_ADD(f->datagrams[0], count);
    L4_OWN_ADD(tally_of(loop, s->listener)->datagrams_in, count);
    if (!(f->flags & L4_FLOW_PROVEN) && L4_GET(f->datagrams[0]) > 1) {
        f->flags |= L4_FLOW_PROVEN;
        l4_flows_prove(&loop->udp->flows, flow);
    } else if (L4_GET(s->active_ms) != loop->now_ms) {
        l4_flows_touch(&loop->udp->flows, flow);
    }
    L4_SET(s->active_ms, loop->now_ms);
    if (!f->asked_us)
        f->asked_us = loop->now_us;
    if (requests && L4_GET(f->datagrams[0]) >= requests) {
        f->flags |= L4_FLOW_LOOSE;
        l4_flows_loosen(&loop->udp->flows, flow);
    }
}

/* Sends the datagrams in `ahead` to the session's backend, or to another one if that cannot be
 * reached. */
static void send_ahead(struct l4_loop *loop, uint32_t flow)
{
    struct l4_udp *udp = loop->udp;
    struct l4_session *s = l4_udp_session(loop, flow);
    const uint32_t listener = s->listener;
    struct l4_dgram_sent sent;
    for (int i = 0; i <= L4_RETRIES_MAX; i++) {
        const int error = l4_dgram_send(&udp->ahead, s->half[L4_BACKEND].fd, &sent);
        if (sent.lost)
            l4_udp_drop(loop, listener, L4_DROP_SEND_BACKEND, sent.lost);
        if (sent.unfit)
            udp->peers[flow].longest_run[TO_BACKEND] = (uint16_t)(sent.unfit - 1);
        if (!error)
            return;
        s->error = -l4_dgram_cause(s->half[L4_BACKEND].fd, error);
        if (!l4_udp_move(loop, flow, true))
            break;
    }
    l4_udp_drop(loop, listener, L4_DROP_NO_BACKEND, l4_dgram_forget(&udp->ahead));
}

/* Sends the messages of a session whose backend gets a PROXY header, as `forward` does without
 * one. */
static void forward_with_header(struct l4_loop *loop, uint32_t flow, uint32_t first, uint32_t last)
{
    struct l4_udp *udp = loop->udp;
    struct l4_session *s = l4_udp_session(loop, flow);
    const uint32_t listener = s->listener;
    for (uint32_t i = first;; i = udp->links[i]) {
        const struct l4_dgram *d = &udp->in.got[i];
        uint32_t at = 0, lost = 0;
        int error = -EAGAIN;
        L4_OWN_ADD(l4_row_column(loop, s)->bytes_in, d->bytes);
        for (int tries = 0; error && tries <= L4_RETRIES_MAX; tries++) {
            error = l4_udp_proxy_out(loop, flow, d, &at, &lost);
            s->error = error ? -l4_dgram_cause(s->half[L4_BACKEND].fd, error) : s->error;
            if (error && !l4_udp_move(loop, flow, true)) {
                l4_udp_drop(loop, listener, L4_DROP_NO_BACKEND, 1);
                return;
            }
        }
        if (lost)
            l4_udp_drop(loop, listener, L4_DROP_SEND_BACKEND, lost);
        if (i == last)
            return;
    }
}

/* Sends a session's messages of one batch to its backend, from `first` to `last`. */
static void forward(struct l4_loop *loop, uint32_t flow, uint32_t first, uint32_t last)
{
    struct l4_udp *udp = loop->udp;
    struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_dgram_to to = {.owner = flow};
    uint64_t bytes = 0;
    const bool greets = L4_GET(settings_of(loop, s)->greets);
    if (greets && (l4_udp_is_served(loop, flow) || l4_udp_move(loop, flow, false))) {
        forward_with_header(loop, flow, first, last);
        return;
    }
    for (uint32_t i = first;; i = udp->links[i]) {
        const struct l4_dgram *d = &udp->in.got[i];
        bytes += d->bytes;
        l4_dgram_put(&udp->ahead, &to, d, d->segment <= udp->peers[flow].longest_run[TO_BACKEND]);
        if (i == last)
            break;
    }
    if (!l4_udp_is_served(loop, flow) && !l4_udp_move(loop, flow, false)) {
        l4_udp_drop(loop, s->listener, L4_DROP_NO_BACKEND, l4_dgram_forget(&udp->ahead));
        return;
    }
    L4_OWN_ADD(l4_row_column(loop, s)->bytes_in, bytes);
    send_ahead(loop, flow);
}

/* Links message i of the batch behind the messages that the session has in it. Returns true if it
 * is the session's first. */
static bool link_message(struct l4_udp *udp, uint32_t flow, uint32_t i)
{
    struct l4_udp_peer *peer = &udp->peers[flow];
    const bool first = peer->batch != udp->batch;
    if (first)
        peer->first = (uint16_t)i;
    else
        udp->links[peer->last] = (uint16_t)i;
    peer->last = (uint16_t)i;
    peer->batch = udp->batch;
    return first;
}

/* The sessions of the current batch, in the order in which they were met. */
struct met {
    uint32_t flows[L4_UDP_BATCH], serials[L4_UDP_BATCH], count;
};

static void begin_batch(struct l4_udp *udp, struct met *met)
{
    udp->batch = udp->batch + 1 ? udp->batch + 1 : 1;
    met->count = 0;
}

/* Is there a session in this row, or the ghost of one that another worker has? */
static bool is_live(const struct l4_loop *loop, uint32_t flow)
{
    return L4_GET(l4_udp_session(loop, flow)->serial) || loop->udp->peers[flow].ghost;
}

static void forward_all(struct l4_loop *loop, const struct met *met)
{
    for (uint32_t i = 0; i < met->count; i++) {
        const uint32_t flow = met->flows[i];
        const struct l4_udp_peer *peer = &loop->udp->peers[flow];
        /* why: a session may have been ended meanwhile to make room for a later one, which then
         * got its row. The serial of a ghost is 0, as that of a free row. */
        if (L4_GET(l4_udp_session(loop, flow)->serial) == met->serials[i] && is_live(loop, flow))
            forward(loop, flow, peer->first, peer->last);
    }
}

/* Sends each datagram of a run separately, because they may belong to several sessions. */
static void forward_pieces(struct l4_loop *loop, uint32_t bound, uint32_t i)
{
    const struct l4_dgram run = loop->udp->in.got[i];
    struct l4_dgram piece;
    for (uint32_t at = 0; l4_dgram_piece(&run, &at, &piece);) {
        const uint32_t flow = l4_udp_route(loop, bound, &piece);
        if (flow == L4_NONE)
            continue;
        loop->udp->in.got[i] = piece;
        account_in(loop, flow, &piece);
        forward(loop, flow, i, i);
    }
}

/* Sorts a batch by session, and sends each session's messages. */
static void forward_batch(struct l4_loop *loop, uint32_t bound, uint32_t count)
{
    struct l4_udp *udp = loop->udp;
    struct met met;
    begin_batch(udp, &met);
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_dgram *d = &udp->in.got[i];
        if (l4_dgram_count(d) > 1 && !l4_udp_goes_together(loop, bound, d)) {
            forward_all(loop, &met);
            forward_pieces(loop, bound, i);
            begin_batch(udp, &met);
            continue;
        }
        const uint32_t flow = l4_udp_route(loop, bound, d);
        if (flow == L4_NONE)
            continue;
        account_in(loop, flow, d);
        if (link_message(udp, flow, i)) {
            L4_ASSERT(met.count < L4_UDP_BATCH);
            met.serials[met.count] = L4_GET(l4_udp_session(loop, flow)->serial);
            met.flows[met.count++] = flow;
        }
    }
    forward_all(loop, &met);
}

static void receive(struct l4_loop *loop, uint32_t bound)
{
    struct l4_udp *udp = loop->udp;
    struct l4_udp_front *front = &udp->fronts[bound];
    for (int i = 0; i < L4_UDP_TURN_BATCHES && loop->bounds[bound].fd >= 0; i++) {
        const int count = l4_dgram_receive(&udp->in, loop->bounds[bound].fd, 0, L4_UDP_BATCH);
        /* why: a new session costs twenty times as much as a datagram of a known client. A flood
         * of new clients must not make the queue overflow, because the kernel would then drop
         * datagrams of all clients. */
        udp->opens = front->flood.on ? L4_UDP_OPENS : L4_UDP_BATCH * L4_UDP_SEGMENTS * 2;
        if (count > 0)
            forward_batch(loop, bound, (uint32_t)count);
        if (count < L4_UDP_BATCH) {
            front->flood = (struct l4_flood){0};
            return;
        }
    }
    if (loop->bounds[bound].fd >= 0)
        l4_flood_look(&front->flood, loop->bounds[bound].fd, loop->now_ms);
}

/* ---- towards clients ------------------------------------------------------------------------- */

static void flush_replies(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (udp->replies.messages) {
        const struct l4_bound *bound = &loop->bounds[udp->replies_bound];
        struct l4_dgram_sent sent;
        const int error = l4_dgram_send(&udp->replies, bound->fd, &sent);
        if (error)
            sent.lost += l4_dgram_forget(&udp->replies);
        if (sent.lost)
            l4_udp_drop(loop, bound->listener, L4_DROP_SEND_CLIENT, sent.lost);
        if (sent.unfit)
            udp->peers[sent.unfit_owner].longest_run[TO_CLIENT] = (uint16_t)(sent.unfit - 1);
    }
    udp->back_used = 0;
}

/* Would this answer make the answers to an unproven client longer than max_amplification
 * allows? */
static bool amplifies(const struct l4_loop *loop, const struct l4_session *s,
                      const struct l4_flow *f, uint32_t bytes)
{
    const uint64_t max = L4_GET(l4_table_listener(loop->table, s->listener)->udp.max_amplification);
    return max && !(f->flags & L4_FLOW_PROVEN) &&
           L4_GET(s->bytes[L4_BACKEND]) + bytes > max * L4_GET(s->bytes[0]);
}

static bool is_answered(const struct l4_loop *loop, const struct l4_session *s,
                        const struct l4_flow *f)
{
    const struct l4_udp_settings *settings = settings_of(loop, s);
    const uint64_t responses = L4_GET(settings->responses);
    const bool complete = !L4_GET(settings->requests) || f->flags & L4_FLOW_LOOSE;
    return responses && complete && L4_GET(f->datagrams[1]) >= responses * L4_GET(f->datagrams[0]);
}

/* Puts one message of a backend into the queue towards the session's client. */
static void queue_reply(struct l4_loop *loop, uint32_t flow, const struct l4_dgram *d)
{
    struct l4_udp *udp = loop->udp;
    struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const struct l4_udp_peer *peer = &udp->peers[flow];
    const uint32_t count = l4_dgram_count(d);
    if (f->asked_us) {
        l4_response_observe(&l4_table_backend(loop->table, s->backend)->response, loop->now_ms,
                            (uint32_t)(loop->now_us - f->asked_us));
        f->asked_us = 0;
        l4_passive_reached(loop->table, s->backend);
        l4_passive_served(loop->table, s->backend);
        s->attempts = 0;
    }
    if (!L4_GET(f->datagrams[1]))
        s->first_byte_us = (uint32_t)(loop->now_us - s->started_us);
    if (amplifies(loop, s, f, d->bytes)) {
        l4_udp_drop(loop, s->listener, L4_DROP_AMPLIFICATION, count);
        return;
    }
    const struct l4_dgram_to to = {
        .peer = &s->client,
        .local = udp->fronts[peer->bound].wildcard ? &f->local : NULL,
        .scope = f->scope,
        .six = udp->fronts[peer->bound].six,
        .owner = flow,
    };
    l4_dgram_put(&udp->replies, &to, d, d->segment <= peer->longest_run[TO_CLIENT]);
    L4_OWN_ADD(s->bytes[1], d->bytes);
    L4_OWN_ADD(f->datagrams[1], count);
    L4_OWN_ADD(l4_row_column(loop, s)->bytes_out, d->bytes);
    L4_OWN_ADD(tally_of(loop, s->listener)->datagrams_out, count);
}

/* Receives what the session's backend sent, up to the share of one loop iteration. Returns 1 if
 * there may be more, 0, or -errno of a backend that cannot be reached. */
static int take_replies(struct l4_loop *loop, uint32_t flow)
{
    struct l4_udp *udp = loop->udp;
    struct l4_session *s = l4_udp_session(loop, flow);
    if (udp->peers[flow].bound != udp->replies_bound || udp->back_used == L4_UDP_BATCH)
        flush_replies(loop);
    udp->replies_bound = udp->peers[flow].bound;
    const uint32_t room = L4_UDP_BATCH - udp->back_used;
    const uint32_t asked = room < L4_UDP_REPLIES ? room : L4_UDP_REPLIES;
    const int got = l4_dgram_receive(&udp->back, s->half[L4_BACKEND].fd, udp->back_used, asked);
    if (got < 0)
        return l4_dgram_peer_gone(-got) ? got : 0;
    for (uint32_t i = udp->back_used; i < udp->back_used + (uint32_t)got; i++)
        queue_reply(loop, flow, &udp->back.got[i]);
    udp->back_used += (uint32_t)got;
    L4_ASSERT(udp->back_used <= L4_UDP_BATCH);
    if (got) {
        L4_SET(s->active_ms, loop->now_ms);
        l4_flows_touch(&udp->flows, flow);
    }
    return (uint32_t)got == asked;
}

static void list_ready(struct l4_udp *udp, uint32_t flow)
{
    struct l4_udp_peer *peer = &udp->peers[flow];
    if (peer->listed)
        return;
    peer->listed = true;
    peer->next = L4_NONE;
    if (udp->ready_tail == L4_NONE)
        udp->ready_head = flow;
    else
        udp->peers[udp->ready_tail].next = flow;
    udp->ready_tail = flow;
}

static void serve_backend(struct l4_loop *loop, uint32_t flow, uint32_t events)
{
    struct l4_session *s = l4_udp_session(loop, flow);
    if (!is_live(loop, flow) || s->half[L4_BACKEND].fd < 0)
        return;
    int gone = events & EPOLLERR ? -l4_dgram_error(s->half[L4_BACKEND].fd) : 0;
    const int result = take_replies(loop, flow);
    if (result < 0)
        gone = result;
    if (is_answered(loop, s, l4_udp_flow(loop, flow))) {
        l4_udp_end(loop, flow, L4_END_BACKEND_FIN);
        return;
    }
    if (gone) {
        s->error = -gone;
        l4_udp_move(loop, flow, true);
    } else if (result > 0) {
        list_ready(loop->udp, flow);
    }
}

static void event(struct l4_loop *loop, uint32_t flow, enum l4_side side, uint32_t events)
{
    (void)side; /* its only socket is the backend's */
    serve_backend(loop, flow, events);
}

static void turn(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (!udp)
        return;
    if (udp->held_until_ms && loop->now_ms >= udp->held_until_ms)
        l4_udp_release(loop);
    uint32_t flow = udp->ready_head;
    udp->ready_head = udp->ready_tail = L4_NONE;
    while (flow != L4_NONE) {
        const uint32_t next = udp->peers[flow].next;
        udp->peers[flow].listed = false;
        serve_backend(loop, flow, 0);
        flow = next;
    }
    flush_replies(loop);
    for (uint32_t n; (n = l4_wheel_expire(&udp->wheel, loop->now_ms)) != L4_NONE;)
        l4_udp_timeout(loop, n);
    if (loop->now_ms - udp->swept_ms >= L4_UDP_SWEEP_MS) {
        udp->swept_ms = loop->now_ms;
        l4_udp_sweep(loop);
    }
}

static int wait_ms(struct l4_loop *loop)
{
    const struct l4_udp *udp = loop->udp;
    if (udp && udp->held_until_ms)
        return L4_WHEEL_TICK_MS;
    if (!udp || held(loop) == 0)
        return -1;
    if (udp->ready_head != L4_NONE)
        return 0;
    const int timer = l4_wheel_wait_ms(&loop->udp->wheel, loop->now_ms);
    return timer < 0 || timer > L4_UDP_SWEEP_MS ? L4_UDP_SWEEP_MS : timer;
}

const struct l4_plane l4_plane_udp = {
    .name = "udp",
    .plan = plan,
    .start = start,
    .finish = finish,
    .add = add,
    .remove = remove_bound,
    .receive = receive,
    .event = event,
    .turn = turn,
    .wait_ms = wait_ms,
    .drain = drain,
    .leave = leave,
    .end_all = l4_udp_end_all,
    .kill = l4_udp_kill,
    .held = held,
};
