#include "run/udp_relay.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "core/passive.h"
#include "core/response.h"
#include "io/dgram_sock.h"
#include "run/row.h"
#include "run/udp_kernel.h"
#include "run/udp_proxy_out.h"
#include "run/udp_route.h"
#include "run/udp_session.h"

enum { TO_BACKEND, TO_CLIENT }; /* indices of longest_run and datagrams */

static struct l4_udp_tally *tally_of(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_udp_tally(loop->table, loop->setup.index, listener);
}

static const struct l4_udp_settings *settings_of(const struct l4_loop *loop,
                                                 const struct l4_session *s)
{
    return &l4_table_pool(loop->table, s->pool)->udp;
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
 * reached. Returns false if there is none, and the session has ended. */
static bool send_ahead(struct l4_loop *loop, uint32_t flow)
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
            return true;
        s->error = -l4_dgram_cause(s->half[L4_BACKEND].fd, error);
        if (!l4_udp_move(loop, flow, true))
            break;
    }
    l4_udp_drop(loop, listener, L4_DROP_NO_BACKEND, l4_dgram_forget(&udp->ahead));
    return false;
}

/* Returns how many datagrams a session's messages of one batch are, from `first` to `last`. */
static uint32_t count_run(const struct l4_udp *udp, uint32_t first, uint32_t last)
{
    uint32_t count = 0;
    for (uint32_t i = first;; i = udp->links[i]) {
        count += l4_dgram_count(&udp->in.got[i]);
        if (i == last)
            return count;
    }
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
                l4_udp_drop(loop, listener, L4_DROP_NO_BACKEND, count_run(udp, i, last));
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
    const uint32_t listener = s->listener;
    const struct l4_dgram_to to = {.owner = flow};
    uint64_t bytes = 0;
    /* why nothing else is done: a session that finds no backend has ended, and so has its row. */
    if (!l4_udp_is_served(loop, flow) && !l4_udp_move(loop, flow, false)) {
        l4_udp_drop(loop, listener, L4_DROP_NO_BACKEND, count_run(udp, first, last));
        return;
    }
    if (L4_GET(settings_of(loop, s)->greets)) {
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
    L4_OWN_ADD(l4_row_column(loop, s)->bytes_in, bytes);
    if (send_ahead(loop, flow))
        l4_udp_kernel_offer(loop, flow);
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

bool l4_udp_is_live(const struct l4_loop *loop, uint32_t flow)
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
        if (L4_GET(l4_udp_session(loop, flow)->serial) == met->serials[i] &&
            l4_udp_is_live(loop, flow))
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

void l4_udp_receive(struct l4_loop *loop, uint32_t bound)
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

/* why L4_UDP_REST_BATCHES: that is more than a socket's queue holds. If clients go on to send to a
 * listener that goes, this must end all the same. */
void l4_udp_receive_rest(struct l4_loop *loop, uint32_t bound)
{
    struct l4_udp *udp = loop->udp;
    const bool reads = !udp->held_until_ms && !udp->draining && !loop->draining;
    for (int i = 0; reads && i < L4_UDP_REST_BATCHES; i++) {
        const int count = l4_dgram_receive(&udp->in, loop->bounds[bound].fd, 0, L4_UDP_BATCH);
        if (count <= 0)
            break;
        udp->opens = L4_UDP_BATCH;
        forward_batch(loop, bound, (uint32_t)count);
    }
    flush_replies(loop);
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
        udp->peers[flow].stay.answered = true;
        udp->peers[flow].stay.unanswered = 0;
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
    if (!l4_udp_is_live(loop, flow) || s->half[L4_BACKEND].fd < 0)
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

void l4_udp_event(struct l4_loop *loop, uint32_t flow, enum l4_side side, uint32_t events)
{
    (void)side; /* its only socket is the backend's */
    serve_backend(loop, flow, events);
}

void l4_udp_turn(struct l4_loop *loop)
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
    l4_udp_kernel_turn(loop);
    if (loop->now_ms - udp->swept_ms >= L4_UDP_SWEEP_MS) {
        udp->swept_ms = loop->now_ms;
        l4_udp_sweep(loop);
    }
}
