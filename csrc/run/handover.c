#include "run/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/fd_passing.h"
#include "run/handover_record.h"
#include "run/session.h"
#include "run/udp_adopt.h"
#include "run/udp_session.h"

int l4_handover_start(struct l4_loop *loop)
{
    loop->handovers = calloc(L4_HANDOVERS, sizeof *loop->handovers);
    return loop->handovers ? 0 : -ENOMEM;
}

void l4_handover_finish(struct l4_loop *loop)
{
    free(loop->handovers);
    loop->handovers = NULL;
}

static struct l4_handover *open_handover(struct l4_loop *loop, int fd, uint32_t number,
                                         enum l4_handover_role role)
{
    for (uint32_t i = 0; i < L4_HANDOVERS; i++) {
        struct l4_handover *handover = &loop->handovers[i];
        if (handover->role != L4_HANDOVER_FREE)
            continue;
        if (l4_loop_watch(loop, fd, EPOLLIN, L4_WATCH_HANDOVER, i))
            break;
        *handover = (struct l4_handover){.fd = fd, .role = role, .number = number};
        loop->handover_count++;
        L4_ASSERT(loop->handover_count <= L4_HANDOVERS);
        return handover;
    }
    close(fd);
    return NULL;
}

/* ---- the giver ------------------------------------------------------------------------------- */

static bool is_flow(const struct l4_loop *loop, uint32_t slot)
{
    return slot >= loop->table->plan.caps.sessions;
}

/* An offered session continues here, in its former state. Its sockets are added to the epoll set
 * anew, so their edges are reported again. */
static void continue_here(struct l4_loop *loop, struct l4_offer *offer)
{
    L4_ASSERT(offer->serial);
    offer->serial = 0;
    if (is_flow(loop, offer->slot)) /* it never stopped */
        l4_udp_stays(loop, offer->slot - loop->table->plan.caps.sessions);
    else
        l4_session_again(loop, offer->slot, offer->state);
}

/* The taker has refused the session, or is gone. If the session waits in a queue, this worker then
 * serves the queue by what its own table says, which is better than not to serve it at all. */
static void take_back(struct l4_loop *loop, struct l4_offer *offer)
{
    if (offer->state == L4_SESSION_QUEUE && !is_flow(loop, offer->slot))
        loop->parted = false;
    continue_here(loop, offer);
}

/* The taker has the session. */
static void release_taken(struct l4_loop *loop, const struct l4_offer *offer)
{
    const bool is_there = L4_GET(l4_session_at(loop, offer->slot)->serial) == offer->serial;
    L4_ASSERT(is_there || is_flow(loop, offer->slot)); /* only a UDP session goes on and may end */
    if (!is_flow(loop, offer->slot))
        l4_session_release(loop, offer->slot);
    else if (is_there)
        l4_udp_let_go(loop, offer->slot - loop->table->plan.caps.sessions);
}

/* Reads all answers that have arrived. Returns what the last receive returned: 0 or -errno. */
static ssize_t read_answers(struct l4_loop *loop, struct l4_handover *handover)
{
    struct l4_handover_answer answer;
    uint32_t fds = 0;
    ssize_t got;
    while ((got = l4_fds_receive(handover->fd, &answer, sizeof answer, NULL, &fds)) > 0) {
        for (uint32_t i = 0; i < L4_HANDOVER_WINDOW; i++) {
            struct l4_offer *offer = &handover->offers[i];
            if (got < (ssize_t)sizeof answer || !offer->serial || offer->slot != answer.slot ||
                offer->serial != answer.serial)
                continue;
            L4_ASSERT(handover->waiting > 0);
            handover->waiting--;
            if (answer.taken == 1) {
                handover->moved++;
                release_taken(loop, offer);
                offer->serial = 0;
            } else {
                take_back(loop, offer);
            }
        }
    }
    return got;
}

static void close_handover(struct l4_loop *loop, struct l4_handover *handover)
{
    L4_ASSERT(handover->role != L4_HANDOVER_FREE && loop->handover_count > 0);
    /* why: a session whose answer is not read yet may be the taker's already. */
    if (handover->role == L4_HANDOVER_GIVES && handover->waiting)
        (void)read_answers(loop, handover);
    for (uint32_t i = 0; handover->waiting && i < L4_HANDOVER_WINDOW; i++) {
        if (handover->offers[i].serial)
            take_back(loop, &handover->offers[i]);
    }
    if (handover->role == L4_HANDOVER_GIVES)
        l4_loop_event(loop, L4_EVENT_HANDED, handover->number, handover->moved);
    close(handover->fd);
    handover->role = L4_HANDOVER_FREE;
    loop->handover_count--;
}

/* The taker is gone, or takes no more. If this worker leaves, UDP sessions that were not taken
 * end, because their clients' datagrams no longer come here. */
static void stop_giving(struct l4_loop *loop, struct l4_handover *handover)
{
    const bool flows = handover->flows;
    close_handover(loop, handover);
    if (flows && loop->draining)
        l4_udp_end_all(loop, L4_NONE, L4_END_DRAIN_TIMEOUT);
}

/* Stops a session (a UDP session goes on) and offers it. Returns 0; or -errno if the offer could
 * not be sent, and the session continues here. */
static int offer_session(struct l4_loop *loop, struct l4_handover *handover, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_record record;
    int fds[L4_FDS_MAX];
    uint32_t place = 0, count;
    L4_ASSERT(handover->role == L4_HANDOVER_GIVES && handover->waiting < L4_HANDOVER_WINDOW);
    while (handover->offers[place].serial)
        place++;
    L4_ASSERT(place < L4_HANDOVER_WINDOW && L4_GET(s->serial));
    struct l4_offer *offer = &handover->offers[place];
    *offer = (struct l4_offer){.slot = index, .serial = L4_GET(s->serial)};
    if (is_flow(loop, index)) {
        const uint32_t flow = index - loop->table->plan.caps.sessions;
        count = l4_udp_describe(loop, flow, &record, fds);
    } else {
        offer->state = (enum l4_session_state)L4_GET(s->state);
        l4_session_offer(loop, index);
        L4_ASSERT(L4_GET(s->state) == L4_SESSION_HANDOVER);
        count = l4_record_write(loop, index, offer->state, &record, fds);
    }
    const int error = l4_fds_send(handover->fd, &record, record.bytes, fds, count);
    if (error)
        continue_here(loop, &handover->offers[place]);
    else
        handover->waiting++;
    return error;
}

/* Returns the next UDP session to offer; L4_NONE: there is none. */
static uint32_t next_flow(const struct l4_loop *loop, struct l4_handover *handover)
{
    const uint32_t fresh = loop->udp ? loop->udp->flows.fresh : 0;
    for (; handover->flow_cursor < fresh; handover->flow_cursor++) {
        if (l4_udp_may_go(loop, handover->flow_cursor, handover->places, handover->place))
            return loop->table->plan.caps.sessions + handover->flow_cursor++;
    }
    return L4_NONE;
}

static uint32_t next_to_offer(const struct l4_loop *loop, struct l4_handover *handover)
{
    const uint32_t flow = handover->flows ? next_flow(loop, handover) : L4_NONE;
    if (flow != L4_NONE || handover->flows_only)
        return flow;
    while (handover->cursor < loop->fresh) {
        const struct l4_session *s = l4_session_at(loop, handover->cursor);
        if (L4_GET(s->serial) && l4_session_can_move(s))
            return handover->cursor;
        handover->cursor++;
    }
    return L4_NONE;
}

/* All UDP sessions were offered: tells the taker that it may read their clients' datagrams. If
 * this worker leaves, sessions that the taker has not taken end, because their clients' datagrams
 * no longer come here. */
static int end_flows(struct l4_loop *loop, struct l4_handover *handover)
{
    const struct l4_record mark = {.bytes = offsetof(struct l4_record, facts),
                                   .magic = L4_RECORD_MAGIC,
                                   .mark = L4_RECORD_NO_MORE_FLOWS};
    const int error = l4_fds_send(handover->fd, &mark, mark.bytes, NULL, 0);
    if (error)
        return error;
    handover->flows = false;
    if (loop->draining)
        l4_udp_end_all(loop, L4_NONE, L4_END_DRAIN_TIMEOUT);
    return 0;
}

/* Offers sessions as far as the window, the socket and the number to give allow. */
static void offer_sessions(struct l4_loop *loop, struct l4_handover *handover)
{
    const bool all = handover->left == L4_NONE;
    int error = 0;
    while (!error && handover->left && handover->waiting < L4_HANDOVER_WINDOW) {
        const uint32_t index = next_to_offer(loop, handover);
        if (index == L4_NONE)
            break;
        /* why: TCP sessions are offered only when every offer of a UDP session was answered. */
        if (handover->flows && !is_flow(loop, index)) {
            if (!handover->waiting)
                error = end_flows(loop, handover);
            if (error || handover->waiting)
                break;
        }
        error = offer_session(loop, handover, index);
        if (error)
            break;
        if (!is_flow(loop, index))
            handover->cursor = index + 1;
        handover->left -= all ? 0 : 1;
    }
    if (handover->waiting)
        return; /* the next answer calls this function again */
    if (!error && handover->flows)
        error = end_flows(loop, handover);
    const bool later =
        error == -EAGAIN || error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
    if (later || (!error && all && !handover->flows_only && loop->held)) {
        handover->retry_ms = loop->now_ms + L4_HANDOVER_RETRY_MS;
        handover->cursor = error ? handover->cursor : 0;
        return;
    }
    stop_giving(loop, handover);
}

static void take_answers(struct l4_loop *loop, struct l4_handover *handover)
{
    const ssize_t got = read_answers(loop, handover);
    if (got == -EAGAIN || got == -EINTR)
        offer_sessions(loop, handover);
    else
        stop_giving(loop, handover);
}

void l4_handover_give(struct l4_loop *loop, int fd, uint32_t number, uint32_t count)
{
    struct l4_handover *handover = open_handover(loop, fd, number, L4_HANDOVER_GIVES);
    if (!handover) {
        l4_loop_event(loop, L4_EVENT_HANDED, number, 0);
        return;
    }
    handover->left = count;
    handover->flows = count == L4_NONE;
    offer_sessions(loop, handover);
}

void l4_handover_give_flows(struct l4_loop *loop, int fd, uint32_t number, uint32_t places,
                            uint32_t place)
{
    struct l4_handover *handover = open_handover(loop, fd, number, L4_HANDOVER_GIVES);
    if (!handover) {
        l4_loop_event(loop, L4_EVENT_HANDED, number, 0);
        return;
    }
    handover->left = L4_NONE;
    handover->flows = handover->flows_only = true;
    handover->places = places;
    handover->place = place;
    offer_sessions(loop, handover);
}

/* ---- the taker ------------------------------------------------------------------------------- */

static void take_record(struct l4_loop *loop, const struct l4_handover *handover,
                        const struct l4_record *record, const int *fds, uint32_t count)
{
    const bool known = record->magic == L4_RECORD_MAGIC;
    if (known && record->mark == L4_RECORD_NO_MORE_FLOWS) {
        l4_udp_release(loop);
        return;
    }
    const bool flow = record->fds == L4_RECORD_BACKEND;
    const struct l4_handover_answer answer = {
        .bytes = sizeof answer,
        .slot = record->slot,
        .serial = record->serial,
        .taken = known && (flow ? l4_udp_take(loop, record, fds, count)
                                : l4_record_read(loop, record, fds, count)),
    };
    for (uint32_t i = 0; !answer.taken && i < count; i++)
        close(fds[i]);
    /* why: if the giver is gone, the sessions that were taken exist in this worker only. If it is
     * not, the socket has room for as many answers as the giver waits for. */
    (void)!l4_fds_send(handover->fd, &answer, sizeof answer, NULL, 0);
}

static void take_records(struct l4_loop *loop, struct l4_handover *handover)
{
    for (int i = 0; i < L4_HANDOVER_WINDOW; i++) {
        struct l4_record record = {0};
        int fds[L4_FDS_MAX];
        uint32_t count = L4_FDS_MAX;
        const ssize_t got = l4_fds_receive(handover->fd, &record, sizeof record, fds, &count);
        if (got == -EAGAIN || got == -EINTR)
            return;
        if (got <= 0) {
            close_handover(loop, handover);
            return;
        }
        take_record(loop, handover, &record, fds, count);
    }
}

void l4_handover_take(struct l4_loop *loop, int fd, uint32_t number)
{
    open_handover(loop, fd, number, L4_HANDOVER_TAKES);
}

/* ---- both ------------------------------------------------------------------------------------ */

void l4_handover_event(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(index < L4_HANDOVERS);
    struct l4_handover *handover = &loop->handovers[index];
    if (handover->role == L4_HANDOVER_GIVES)
        take_answers(loop, handover);
    else if (handover->role == L4_HANDOVER_TAKES)
        take_records(loop, handover);
}

void l4_handover_revisit(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < L4_HANDOVERS; i++) {
        struct l4_handover *handover = &loop->handovers[i];
        if (handover->role != L4_HANDOVER_GIVES || !handover->retry_ms ||
            (loop->now_ms < handover->retry_ms && !loop->comes_to_rest))
            continue;
        handover->retry_ms = 0;
        offer_sessions(loop, handover);
    }
    loop->comes_to_rest = false;
}

int l4_handover_wait_ms(const struct l4_loop *loop)
{
    uint64_t soonest = 0;
    for (uint32_t i = 0; loop->handover_count && i < L4_HANDOVERS; i++) {
        const struct l4_handover *handover = &loop->handovers[i];
        if (handover->role == L4_HANDOVER_GIVES && handover->retry_ms &&
            (!soonest || handover->retry_ms < soonest))
            soonest = handover->retry_ms;
    }
    if (!soonest)
        return -1;
    return soonest > loop->now_ms && !loop->comes_to_rest ? (int)(soonest - loop->now_ms) : 0;
}

void l4_handover_close_all(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->handovers && i < L4_HANDOVERS; i++) {
        if (loop->handovers[i].role != L4_HANDOVER_FREE)
            close_handover(loop, &loop->handovers[i]);
    }
}
