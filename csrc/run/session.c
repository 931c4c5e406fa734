#include "run/session.h"

#include <sys/epoll.h>

#include "base/assert.h"
#include "core/passive.h"
#include "io/sock.h"
#include "run/account.h"
#include "run/admit.h"
#include "run/front.h"
#include "run/queue.h"
#include "run/reach.h"
#include "run/relay.h"
#include "run/secure.h"
#include "shm/count.h"

struct l4_session *l4_session_at(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_session(loop->table, loop->setup.index, index);
}

struct l4_column *l4_session_column(const struct l4_loop *loop, uint32_t backend)
{
    return l4_table_column(loop->table, loop->setup.index, backend);
}

static struct l4_tally *tally_of(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_tally(loop->table, loop->setup.index, listener);
}

/* ---- states ---------------------------------------------------------------------------------- */

void l4_session_enter(struct l4_loop *loop, uint32_t index, enum l4_session_state state)
{
    struct l4_session *s = l4_session_at(loop, index);
#define TO(x) (1u << L4_SESSION_##x)
    static const uint32_t edges[L4_SESSION_STATES] = {
        [L4_SESSION_FREE] = TO(READS) | TO(SHAKES) | TO(TARPITS) | TO(WAITS) | TO(CONNECTS) |
                            TO(QUEUES) | TO(RELAYS) | TO(RESETS) | TO(FREE),
        [L4_SESSION_READS] = TO(SHAKES) | TO(TARPITS) | TO(WAITS) | TO(FREE),
        [L4_SESSION_TARPITS] = TO(FREE),
        [L4_SESSION_SHAKES] = TO(WAITS) | TO(FREE),
        [L4_SESSION_WAITS] = TO(WAITS) | TO(QUEUES) | TO(CONNECTS) | TO(FREE),
        [L4_SESSION_QUEUES] = TO(WAITS) | TO(LEAVES) | TO(FREE),
        [L4_SESSION_CONNECTS] = TO(WAITS) | TO(SECURES) | TO(RELAYS) | TO(LEAVES) | TO(FREE),
        [L4_SESSION_SECURES] = TO(WAITS) | TO(RELAYS) | TO(FREE),
        [L4_SESSION_RELAYS] = TO(RESETS) | TO(LEAVES) | TO(FREE),
        [L4_SESSION_RESETS] = TO(LEAVES) | TO(FREE),
        [L4_SESSION_LEAVES] = TO(QUEUES) | TO(CONNECTS) | TO(RELAYS) | TO(RESETS) | TO(FREE),
    };
#undef TO
    L4_ASSERT(edges[L4_GET(s->state)] & (1u << state));
    if (s->list == L4_LIST_READY)
        l4_list_remove(loop, &loop->ready, index);
    L4_ASSERT(s->list == L4_LIST_NONE);
    L4_SET(s->state, state);
}

int l4_session_watch_client(struct l4_loop *loop, uint32_t index)
{
    struct l4_half *client = &l4_session_at(loop, index)->half[0];
    if (client->flags & L4_HALF_WATCHED)
        return 0;
    client->flags |= L4_HALF_WATCHED;
    return l4_loop_watch(loop, client->fd, L4_SOCKET_EVENTS, L4_WATCH_CLIENT, index);
}

void l4_session_wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms)
{
    l4_wheel_start(&loop->wheel, index, loop->now_ms + ms);
}

void l4_session_set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms)
{
    s->deadline_ms = (uint32_t)(loop->now_ms + ms);
}

int32_t l4_session_left_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    return (int32_t)(s->deadline_ms - (uint32_t)loop->now_ms);
}

/* ---- open and end ---------------------------------------------------------------------------- */

void l4_session_start(struct l4_loop *loop)
{
    loop->fresh = loop->held = 0;
    l4_list_init(&loop->free, L4_LIST_FREE);
    l4_list_init(&loop->ended, L4_LIST_ENDED);
    l4_list_init(&loop->ready, L4_LIST_READY);
}

uint32_t l4_session_take_row(struct l4_loop *loop)
{
    uint32_t index = l4_list_take(loop, &loop->free);
    if (index == L4_NONE) {
        index = loop->fresh++;
        l4_session_at(loop, index)->list = L4_LIST_NONE; /* a dead process may have left another */
        if (loop->fresh > L4_GET(loop->row->sessions_high))
            L4_SET(loop->row->sessions_high, loop->fresh);
    }
    loop->held++;
    return index;
}

void l4_session_return_row(struct l4_loop *loop, uint32_t index)
{
    l4_list_push(loop, &loop->free, index);
    loop->held--;
    L4_ASSERT(loop->held + loop->free.count == loop->fresh);
}

uint32_t l4_session_next_serial(struct l4_loop *loop)
{
    loop->serial = loop->serial + 1 ? loop->serial + 1 : 1;
    return loop->serial;
}

void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client)
{
    const uint32_t index = l4_session_take_row(loop);
    struct l4_session *s = l4_session_at(loop, index);
    const bool tcp = client->family != AF_UNIX;

    s->listener = bound->listener;
    s->pool = l4_table_listener(loop->table, bound->listener)->pool;
    s->backend = L4_NONE;
    s->client = *client;
    s->half[0] = (struct l4_half){
        .fd = fd, .flags = L4_HALF_OUT | (tcp ? L4_HALF_NODELAY : 0), .pipe = L4_NO_PIPE};
    s->half[1] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    L4_SET(s->bytes[0], 0);
    L4_SET(s->bytes[1], 0);
    L4_SET(s->active_ms, loop->now_ms);
    s->started_us = loop->now_us;
    s->connect_started_us = loop->now_us;
    s->connect_us = 0;
    s->queue_us = 0;
    s->owed = 0;
    s->first_byte_us = 0;
    s->accounted = 0;
    s->attempts = 0;
    s->reason = L4_END_NONE;
    s->first_end = 2;
    s->looked = 0;
    s->half_closed = 0;
    s->error = 0;
    s->name_hash = 0;
    s->known = 0;
    s->wants = 0;
    s->holds = 0;
    s->paced = 0;
    atomic_store_explicit(&s->serial, l4_session_next_serial(loop), memory_order_release);

    L4_OWN_ADD(loop->row->accepted, 1);
    L4_OWN_ADD(tally_of(loop, s->listener)->accepted, 1);
    L4_OWN_ADD(tally_of(loop, s->listener)->active, 1);

    l4_front_begin(loop, index);
}

static void free_row(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_session_enter(loop, index, L4_SESSION_FREE);
    atomic_store_explicit(&s->serial, 0, memory_order_release);
    l4_list_append(loop, &loop->ended, index);
}

/* Does a session that ends for this reason reset the sockets it still has? All ends that are not
 * both sides' own do: a peer must be able to tell them from an orderly close. */
static bool is_reset(enum l4_reason reason)
{
    return reason != L4_END_CLIENT_FIN && reason != L4_END_BACKEND_FIN &&
           reason != L4_END_QUEUE_TIMEOUT &&
           reason != L4_END_TLS_HANDSHAKE; /* whose alert must arrive */
}

/* How one side is told of the end. A reset takes back what the kernel has not delivered yet, so a
 * side whose stream is complete, and one that would lose bytes which are all with the kernel, are
 * closed in order, whatever ends the session; only the other side's own reset is passed on. */
static enum l4_close close_of(const struct l4_session *s, int side, enum l4_reason reason)
{
    const struct l4_half *to = &s->half[side], *from = &s->half[!side];
    const uint32_t state = L4_GET(s->state);
    if (!is_reset(reason))
        return L4_CLOSE;
    if (reason == L4_END_CLIENT_RESET || reason == L4_END_BACKEND_RESET || to->fd < 0 ||
        (state != L4_SESSION_RELAYS && state != L4_SESSION_RESETS))
        return L4_CLOSE_RESET;
    if (to->flags & L4_HALF_SHUT || (from->piped == 0 && l4_sock_unacked(to->fd)))
        return L4_CLOSE_IN_ORDER;
    return L4_CLOSE_RESET;
}

/* What a session that ends without a byte from its backend tells about it. */
static void judge_silent(const struct l4_loop *loop, const struct l4_session *s,
                         enum l4_reason reason)
{
    if (L4_GET(s->bytes[1]) != 0 || s->backend == L4_NONE)
        return;
    const bool provoked = L4_GET(s->bytes[0]) != 0; /* perhaps: the client had said something */
    if (reason == L4_END_BACKEND_RESET)
        l4_passive_reset(loop->table, loop->setup.index, s->backend, provoked ? &s->client : NULL,
                         loop->now_ms);
    else if (!is_reset(reason))
        l4_passive_served(loop->table, s->backend);
}

void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_tally *tally = tally_of(loop, s->listener);

    if (L4_GET(s->state) == L4_SESSION_QUEUES)
        l4_queue_leave(loop, index);
    s->reason = (uint8_t)reason;
    l4_account_session(loop, index, reason);
    if (L4_GET(s->state) == L4_SESSION_TARPITS)
        loop->tarpits--;
    l4_wheel_stop(&loop->wheel, index);
    l4_secure_leave(loop, s);
    const enum l4_close client = close_of(s, 0, reason), backend = close_of(s, 1, reason);
    l4_half_close(&loop->pump, &s->half[0], client);
    l4_half_close(&loop->pump, &s->half[1], backend);
    judge_silent(loop, s, reason);
    if (reason == L4_END_BACKEND_RESET)
        L4_OWN_ADD(l4_session_column(loop, s->backend)->resets, 1);
    L4_OWN_ADD(tally->active, -1u);
    l4_reach_leave(loop, s);
    l4_admit_leave(loop, s);
    l4_count_drop_client(loop->table, loop->setup.index);

    free_row(loop, index);
}

void l4_session_release(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_half_close(&loop->pump, &s->half[0], L4_CLOSE);
    L4_OWN_ADD(tally_of(loop, s->listener)->active, -1u);
    if (loop->parted)
        l4_reach_part(loop, s);
    else
        l4_reach_leave(loop, s);
    l4_admit_leave(loop, s);
    l4_count_drop_client(loop->table, loop->setup.index);
    free_row(loop, index);
}

void l4_session_sweep(struct l4_loop *loop)
{
    while (loop->ended.count)
        l4_session_return_row(loop, l4_list_take(loop, &loop->ended));
}

void l4_session_later(struct l4_loop *loop, uint32_t index)
{
    if (l4_session_at(loop, index)->list != L4_LIST_READY)
        l4_list_append(loop, &loop->ready, index);
}

void l4_session_resume(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (L4_GET(s->state) == L4_SESSION_RELAYS)
        l4_relay(loop, index);
    else /* it has just been taken out of the list, where only sessions of these states are */
        l4_secure_go_on(loop, index);
}

/* ---- what happens to it ---------------------------------------------------------------------- */

void l4_session_event(struct l4_loop *loop, uint32_t index, int half, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    switch (L4_GET(s->state)) {
    case L4_SESSION_RELAYS:
        l4_half_note(&s->half[half], events);
        l4_relay(loop, index);
        break;
    case L4_SESSION_CONNECTS:
        if (half == 0) {
            l4_half_note(&s->half[0], events);
            if (events & (EPOLLERR | EPOLLHUP))
                l4_session_end(loop, index, L4_END_CLIENT_RESET);
        } else if (events & (EPOLLERR | EPOLLHUP | EPOLLOUT)) {
            l4_reach_event(loop, index, events);
        }
        break;
    case L4_SESSION_READS:
        l4_front_event(loop, index, events);
        break;
    case L4_SESSION_TARPITS:
        l4_tarpit_event(loop, index, events);
        break;
    case L4_SESSION_SECURES:
    case L4_SESSION_SHAKES:
        l4_half_note(&s->half[half], events);
        if (half == (L4_GET(s->state) == L4_SESSION_SECURES))
            l4_secure_go_on(loop, index);
        else if (events & (EPOLLERR | EPOLLHUP))
            l4_session_end(loop, index, L4_END_CLIENT_RESET);
        break;
    case L4_SESSION_QUEUES:
        /* why: a client that has ended and sent nothing has left: it has nothing to wait for. */
        if (events & EPOLLRDHUP && !(events & (EPOLLERR | EPOLLHUP)) &&
            !l4_sock_has_data(s->half[0].fd)) {
            l4_session_end(loop, index, L4_END_CLIENT_FIN);
            break;
        }
        /* fall through */
    case L4_SESSION_WAITS:
        l4_half_note(&s->half[0], events);
        if (events & (EPOLLERR | EPOLLHUP))
            l4_session_end(loop, index, L4_END_CLIENT_RESET);
        break;
    case L4_SESSION_RESETS: /* all that matters is whether this side takes what it is owed */
        l4_half_note(&s->half[half], events);
        if (events & (EPOLLERR | EPOLLHUP | EPOLLOUT))
            l4_relay_drain(loop, index, (enum l4_reason)s->reason);
        break;
    case L4_SESSION_LEAVES: /* another worker has its sockets, or will say that it has not */
    case L4_SESSION_FREE:   /* it ended earlier in this turn */
        break;
    }
}

void l4_session_timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    switch (L4_GET(s->state)) {
    case L4_SESSION_READS:
        l4_front_timeout(loop, index);
        break;
    case L4_SESSION_TARPITS:
        l4_tarpit_timeout(loop, index);
        break;
    case L4_SESSION_SECURES:
    case L4_SESSION_SHAKES:
        l4_secure_timeout(loop, index);
        break;
    case L4_SESSION_WAITS:
        l4_reach_backend(loop, index);
        break;
    case L4_SESSION_QUEUES:
        l4_queue_timeout(loop, index);
        break;
    case L4_SESSION_CONNECTS:
        l4_reach_timeout(loop, index);
        break;
    case L4_SESSION_RELAYS:
        l4_relay_check_idle(loop, index);
        break;
    case L4_SESSION_RESETS:
        l4_relay_drain(loop, index, (enum l4_reason)s->reason);
        break;
    case L4_SESSION_LEAVES:
    case L4_SESSION_FREE:
        break;
    }
}
