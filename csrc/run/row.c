#include "run/row.h"

#include "base/assert.h"

void l4_row_start(struct l4_loop *loop)
{
    loop->sessions = l4_table_session(loop->table, loop->setup.index, 0);
    loop->fresh = loop->held = 0;
    l4_list_init(&loop->free, L4_LIST_FREE);
    l4_list_init(&loop->ended, L4_LIST_ENDED);
    l4_list_init(&loop->ready, L4_LIST_READY);
    l4_list_init(&loop->pipeless, L4_LIST_PIPELESS);
    l4_list_init(&loop->blockless, L4_LIST_BLOCKLESS);
}

/* ---- taken and given back -------------------------------------------------------------------- */

uint32_t l4_row_take(struct l4_loop *loop)
{
    uint32_t index = l4_list_take(loop->sessions, &loop->free);
    if (index == L4_NONE) {
        index = loop->fresh++;
        l4_session_at(loop, index)->list = L4_LIST_NONE; /* a dead process may have left a value */
        if (loop->fresh > L4_GET(loop->row->sessions_high))
            L4_SET(loop->row->sessions_high, loop->fresh);
    }
    L4_ASSERT(index < loop->table->plan.caps.sessions && index < loop->fresh);
    loop->held++;
    return index;
}

void l4_row_return(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(index < loop->fresh && loop->held > 0);
    l4_list_push(loop->sessions, &loop->free, index);
    loop->held--;
    L4_ASSERT(loop->held + loop->free.count == loop->fresh);
}

void l4_row_reset(const struct l4_loop *loop, struct l4_session *s, uint32_t listener,
                  uint32_t pool, const struct l4_addr *client)
{
    s->listener = listener;
    s->pool = pool;
    s->backend = L4_NONE;
    s->client = *client;
    s->half[L4_CLIENT] = s->half[L4_BACKEND] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    L4_SET(s->bytes[L4_CLIENT], 0);
    L4_SET(s->bytes[L4_BACKEND], 0);
    L4_SET(s->active_ms, loop->now_ms);
    s->started_us = s->connect_started_us = loop->now_us;
    s->turn = 0;
    s->connect_us = s->queue_us = s->asked_us = s->first_byte_us = 0;
    s->deadline_ms = 0;
    s->attempts = 0;
    s->reason = L4_END_NONE;
    s->first_end = L4_NO_SIDE;
    s->half_closed = s->looked = s->socketless = s->stream = 0;
    s->http = L4_NO_HTTP;
    s->owed = 0;
    s->accounted = 0;
    s->error = 0;
    s->name_hash = 0;
    s->known = s->wants = s->holds = s->paced = 0;
}

void l4_row_publish(struct l4_loop *loop, struct l4_session *s)
{
    L4_ASSERT(L4_GET(s->serial) == 0);
    loop->serial = loop->serial + 1 ? loop->serial + 1 : 1;
    atomic_store_explicit(&s->serial, loop->serial, memory_order_release);
}

void l4_row_free(struct l4_loop *loop, uint32_t index)
{
    l4_row_enter(loop, index, L4_SESSION_FREE);
    atomic_store_explicit(&l4_session_at(loop, index)->serial, 0, memory_order_release);
    l4_list_append(loop->sessions, &loop->ended, index);
}

void l4_row_sweep(struct l4_loop *loop)
{
    while (loop->ended.count)
        l4_row_return(loop, l4_list_take(loop->sessions, &loop->ended));
}

/* ---- state and work -------------------------------------------------------------------------- */

static void stop_lacking(struct l4_loop *loop, uint32_t index)
{
    const uint32_t list = l4_session_at(loop, index)->list;
    if (list == L4_LIST_PIPELESS)
        l4_list_remove(loop->sessions, &loop->pipeless, index);
    if (list == L4_LIST_BLOCKLESS)
        l4_list_remove(loop->sessions, &loop->blockless, index);
}

void l4_row_enter(struct l4_loop *loop, uint32_t index, enum l4_session_state state)
{
    struct l4_session *s = l4_session_at(loop, index);
#define TO(x) (1u << L4_SESSION_##x)
    static const uint32_t edges[L4_SESSION_STATES] = {
        [L4_SESSION_FREE] = TO(ACCEPTED) | TO(HANDOVER) | TO(REQUEST),
        [L4_SESSION_ACCEPTED] = TO(PREREAD) | TO(TARPIT) | TO(PICK) | TO(REQUEST) | TO(FREE),
        [L4_SESSION_PREREAD] = TO(TLS_CLIENT) | TO(TARPIT) | TO(PICK) | TO(REQUEST) | TO(FREE),
        [L4_SESSION_TARPIT] = TO(FREE),
        [L4_SESSION_TLS_CLIENT] = TO(PICK) | TO(REQUEST) | TO(FREE),
        [L4_SESSION_PICK] =
            TO(QUEUE) | TO(CONNECT) | TO(FORWARD) | TO(REPLY) | TO(CACHED) | TO(FREE),
        [L4_SESSION_QUEUE] = TO(CONNECT) | TO(HANDOVER) | TO(REPLY) | TO(CACHED) | TO(FREE),
        [L4_SESSION_CONNECT] = TO(PICK) | TO(TLS_BACKEND) | TO(RELAY) | TO(HANDOVER) |
                               TO(EXCHANGE) | TO(FORWARD) | TO(REPLY) | TO(CACHED) | TO(FREE),
        [L4_SESSION_TLS_BACKEND] =
            TO(PICK) | TO(RELAY) | TO(EXCHANGE) | TO(REPLY) | TO(CACHED) | TO(FREE),
        [L4_SESSION_RELAY] = TO(RESET) | TO(HANDOVER) | TO(FREE),
        [L4_SESSION_RESET] = TO(HANDOVER) | TO(FREE),
        [L4_SESSION_HANDOVER] =
            TO(REQUEST) | TO(QUEUE) | TO(CONNECT) | TO(RELAY) | TO(RESET) | TO(FREE),
        [L4_SESSION_REQUEST] = TO(PICK) | TO(FORWARD) | TO(SOCKS) | TO(REPLY) | TO(CACHED) |
                               TO(AWAIT) | TO(TARPIT) | TO(HTTP2) | TO(INSPECT) | TO(HANDOVER) |
                               TO(FREE),
        [L4_SESSION_HTTP2] = TO(FREE),
        [L4_SESSION_EXCHANGE] = TO(REQUEST) | TO(REPLY) | TO(CACHED) | TO(PICK) | TO(CONNECT) |
                                TO(RELAY) | TO(HELLO) | TO(INSPECT) | TO(FREE),
        [L4_SESSION_REPLY] = TO(REQUEST) | TO(FREE),
        [L4_SESSION_CACHED] = TO(REQUEST) | TO(REPLY) | TO(FREE),
        [L4_SESSION_AWAIT] = TO(CACHED) | TO(PICK) | TO(REPLY) | TO(FREE),
        [L4_SESSION_FORWARD] = TO(CONNECT) | TO(PICK) | TO(CACHED) | TO(AWAIT) | TO(SOCKS) |
                               TO(INSPECT) | TO(REPLY) | TO(FREE),
        [L4_SESSION_INSPECT] =
            TO(PICK) | TO(FORWARD) | TO(CACHED) | TO(AWAIT) | TO(REQUEST) | TO(REPLY) | TO(FREE),
        [L4_SESSION_SOCKS] = TO(FORWARD) | TO(REPLY) | TO(FREE),
        [L4_SESSION_HELLO] = TO(RELAY) | TO(FREE),
    };
#undef TO
    L4_ASSERT(index < loop->fresh && state < L4_SESSION_STATES &&
              L4_GET(s->state) < L4_SESSION_STATES);
    L4_ASSERT(edges[L4_GET(s->state)] & (1u << state));
    if (s->list == L4_LIST_READY)
        l4_list_remove(loop->sessions, &loop->ready, index);
    stop_lacking(loop, index);
    L4_ASSERT(s->list == L4_LIST_NONE);
    L4_SET(s->state, state);
}

void l4_row_later(struct l4_loop *loop, uint32_t index)
{
    stop_lacking(loop, index);
    if (l4_session_at(loop, index)->list != L4_LIST_READY)
        l4_list_append(loop->sessions, &loop->ready, index);
}

void l4_row_lacks(struct l4_loop *loop, struct l4_list *what, uint32_t index)
{
    const uint32_t list = l4_session_at(loop, index)->list;
    L4_ASSERT(what == &loop->pipeless || what == &loop->blockless);
    /* A session with work left over will find out again that it lacks something. */
    if (list != L4_LIST_READY && list != (uint32_t)what->kind)
        l4_list_append(loop->sessions, what, index);
}

void l4_row_found(struct l4_loop *loop, struct l4_list *what, uint32_t count)
{
    for (; count && what->count; count--)
        l4_row_later(loop, what->head);
}

/* ---- time ------------------------------------------------------------------------------------ */

void l4_row_wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms)
{
    L4_ASSERT(index < loop->fresh && L4_GET(l4_session_at(loop, index)->state) != L4_SESSION_FREE);
    l4_wheel_start(&loop->wheel, index, loop->now_ms + ms);
}

void l4_row_set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms)
{
    s->deadline_ms = (uint32_t)(loop->now_ms + ms);
}

int32_t l4_row_left_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    return (int32_t)(s->deadline_ms - (uint32_t)loop->now_ms);
}

void l4_row_wake_at_deadline(struct l4_loop *loop, uint32_t index)
{
    const int32_t left = l4_row_left_ms(loop, l4_session_at(loop, index));
    l4_row_wake_in(loop, index, (uint64_t)(left > 0 ? left : 0));
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int watch_side(const struct l4_loop *loop, uint32_t index, enum l4_side side)
{
    struct l4_half *half = &l4_session_at(loop, index)->half[side];
    if (half->fd < 0 || half->flags & L4_HALF_WATCHED)
        return 0;
    half->flags |= L4_HALF_WATCHED;
    return l4_loop_watch(loop, half->fd, L4_SOCKET_EVENTS, l4_watch_session(L4_TCP, side), index);
}

int l4_row_watch_client(struct l4_loop *loop, uint32_t index)
{
    return watch_side(loop, index, L4_CLIENT);
}

int l4_row_watch(struct l4_loop *loop, uint32_t index)
{
    const int error = watch_side(loop, index, L4_BACKEND);
    return error ? error : watch_side(loop, index, L4_CLIENT);
}

void l4_row_unwatch(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    for (int side = 0; side < 2; side++) {
        if (s->half[side].flags & L4_HALF_WATCHED)
            l4_loop_unwatch(loop, s->half[side].fd);
        s->half[side].flags &= (uint16_t)~L4_HALF_WATCHED;
    }
}

bool l4_row_moves_soon(const struct l4_loop *loop, const struct l4_session *s)
{
    return loop->leaves_ms && loop->now_ms - loop->leaves_ms < L4_LEAVE_PATIENCE_MS &&
           l4_row_is_portable(s);
}
