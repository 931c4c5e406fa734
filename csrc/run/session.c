#include "run/session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/key.h"
#include "core/pick.h"
#include "core/response.h"
#include "io/sock.h"
#include "shm/count.h"

static const uint32_t socket_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

static void reach_backend(struct l4_loop *loop, uint32_t index);

struct l4_session *l4_session_at(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_session(loop->table, loop->setup.index, index);
}

static struct l4_column *column_of(const struct l4_loop *loop, uint32_t backend)
{
    return l4_table_column(loop->table, loop->setup.index, backend);
}

static struct l4_tally *tally_of(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_tally(loop->table, loop->setup.index, listener);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void enter(struct l4_session *s, enum l4_session_state state)
{
#define TO(x) (1u << L4_SESSION_##x)
    static const uint32_t edges[L4_SESSION_STATES] = {
        [L4_SESSION_FREE] = TO(WAITS),
        [L4_SESSION_WAITS] = TO(WAITS) | TO(CONNECTS) | TO(FREE),
        [L4_SESSION_CONNECTS] = TO(WAITS) | TO(RELAYS) | TO(FREE),
        [L4_SESSION_RELAYS] = TO(RESETS) | TO(FREE),
        [L4_SESSION_RESETS] = TO(FREE),
    };
#undef TO
    L4_ASSERT(edges[L4_GET(s->state)] & (1u << state));
    L4_SET(s->state, state);
}

static void wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms)
{
    l4_wheel_start(&loop->wheel, index, loop->now_ms + ms);
}

static void set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms)
{
    s->deadline_ms = (uint32_t)(loop->now_ms + ms);
}

/* Milliseconds to the session's deadline; 0 or less: it has passed. */
static int32_t left_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    return (int32_t)(s->deadline_ms - (uint32_t)loop->now_ms);
}

/* ---- open and end ---------------------------------------------------------------------------- */

static uint32_t take_row(struct l4_loop *loop)
{
    const uint32_t index = loop->free_head;
    if (index == L4_NONE) {
        if (loop->fresh + 1 > L4_GET(loop->row->sessions_high))
            L4_SET(loop->row->sessions_high, loop->fresh + 1);
        return loop->fresh++;
    }
    loop->free_head = l4_session_at(loop, index)->next;
    return index;
}

void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client)
{
    const uint32_t index = take_row(loop);
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
    s->attempts = 0;
    s->reason = L4_END_NONE;
    s->first_end = 2;
    s->listed = 0;
    s->half_closed = 0;
    s->error = 0;
    loop->serial = loop->serial + 1 ? loop->serial + 1 : 1;
    atomic_store_explicit(&s->serial, loop->serial, memory_order_release);

    loop->held++;
    L4_OWN_ADD(loop->row->accepted, 1);
    L4_OWN_ADD(tally_of(loop, s->listener)->accepted, 1);
    L4_OWN_ADD(tally_of(loop, s->listener)->active, 1);

    enter(s, L4_SESSION_WAITS);
    set_deadline(loop, s, L4_GET(l4_table_pool(loop->table, s->pool)->connect_timeout_ms));
    reach_backend(loop, index);
}

static void leave_backend(struct l4_loop *loop, struct l4_session *s)
{
    l4_half_close(&loop->pump, &s->half[1], false);
    if (s->backend != L4_NONE)
        l4_count_drop_backend(loop->table, loop->setup.index, s->backend);
    s->backend = L4_NONE;
}

/* Does a session that ends for this reason reset the sockets it still has? All ends that are not
 * both sides' own do: a peer must be able to tell them from an orderly close. */
static bool is_reset(enum l4_reason reason)
{
    return reason != L4_END_CLIENT_FIN && reason != L4_END_BACKEND_FIN;
}

void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_tally *tally = tally_of(loop, s->listener);

    s->reason = (uint8_t)reason;
    l4_wheel_stop(&loop->wheel, index);
    l4_half_close(&loop->pump, &s->half[0], is_reset(reason));
    l4_half_close(&loop->pump, &s->half[1], is_reset(reason));
    if (reason == L4_END_BACKEND_RESET)
        L4_OWN_ADD(column_of(loop, s->backend)->resets, 1);
    if (reason == L4_END_CONNECT_FAILED || reason == L4_END_NO_BACKEND)
        L4_OWN_ADD(tally->refused, 1);
    L4_OWN_ADD(tally->active, -1u);
    L4_OWN_ADD(loop->row->ended[reason], 1);
    leave_backend(loop, s);
    l4_count_drop_client(loop->table, loop->setup.index);

    enter(s, L4_SESSION_FREE);
    atomic_store_explicit(&s->serial, 0, memory_order_release);
    /* why: a row in the ready list is freed when that list comes to it, its link is in use. */
    if (!s->listed) {
        s->next = loop->ended_head;
        loop->ended_head = index;
    }
}

void l4_session_sweep(struct l4_loop *loop)
{
    while (loop->ended_head != L4_NONE) {
        const uint32_t index = loop->ended_head;
        struct l4_session *s = l4_session_at(loop, index);
        loop->ended_head = s->next;
        s->next = loop->free_head;
        loop->free_head = index;
        loop->held--;
    }
}

/* ---- towards the backend --------------------------------------------------------------------- */

static void relay(struct l4_loop *loop, uint32_t index);

static void connected(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);

    enter(s, L4_SESSION_RELAYS);
    s->connect_us = (uint32_t)(loop->now_us - s->connect_started_us);
    L4_OWN_ADD(column_of(loop, s->backend)->total, 1);
    l4_response_observe(&b->response, loop->now_ms, s->connect_us);
    if (b->addr.family == AF_UNIX)
        s->half[1].flags |= L4_HALF_NODELAY;
    L4_SET(s->active_ms, loop->now_ms);
    wake_in(loop, index, L4_GET(pool->idle_timeout_ms));
    relay(loop, index);
}

/* This attempt failed: the backend is counted and left, and another one may be tried. */
static void connect_failed(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_OWN_ADD(column_of(loop, s->backend)->connect_errors, 1);
    s->tried[s->attempts++] = (uint16_t)s->backend;
    s->error = -error;
    leave_backend(loop, s);
    enter(s, L4_SESSION_WAITS);
    const uint32_t retries = L4_GET(l4_table_pool(loop->table, s->pool)->retries);
    if (s->attempts > retries || s->attempts > L4_RETRIES_MAX) {
        l4_session_end(loop, index, L4_END_CONNECT_FAILED);
        return;
    }
    set_deadline(loop, s, L4_GET(l4_table_pool(loop->table, s->pool)->connect_timeout_ms));
    reach_backend(loop, index);
}

/* This host had no socket to give. The client waits, up to the time a connect may take. */
static void wait_for_socket(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    leave_backend(loop, s);
    enter(s, L4_SESSION_WAITS);
    s->error = -error;
    if (left_ms(loop, s) <= 0)
        l4_session_end(loop, index, L4_END_ERROR);
    else
        wake_in(loop, index, L4_RESOURCE_RETRY_MS);
}

static void reach_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);
    const struct l4_pick_request request = {
        .worker = loop->setup.index,
        .pool = s->pool,
        .now_ms = loop->now_ms,
        .hash = l4_key_hash(&loop->table->header->hash_key, &pool->hash_rule, &s->client, "", 0),
        .random = l4_random(&loop->random),
        .tried = s->tried,
        .tried_count = s->attempts,
    };
    s->backend = l4_pick(loop->table, &request).backend;
    if (s->backend == L4_NONE) {
        l4_session_end(loop, index, s->attempts ? L4_END_CONNECT_FAILED : L4_END_NO_BACKEND);
        return;
    }
    const struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    bool made;
    s->connect_started_us = loop->now_us;
    const int fd = l4_sock_connect(&b->addr, b->path, &pool->source, &made);
    enter(s, L4_SESSION_CONNECTS);
    if (fd < 0) {
        if (made)
            connect_failed(loop, index, fd);
        else
            wait_for_socket(loop, index, fd);
        return;
    }
    s->half[1] = (struct l4_half){.fd = fd, .pipe = L4_NO_PIPE};
    int error = l4_loop_watch(loop, fd, socket_events, L4_WATCH_BACKEND, index);
    /* The client is watched from its first attempt on. Until there is a backend nothing is read
     * from it: the edge is kept in its flags. */
    if (!error && !(s->half[0].flags & L4_HALF_WATCHED)) {
        error = l4_loop_watch(loop, s->half[0].fd, socket_events, L4_WATCH_CLIENT, index);
        s->half[0].flags |= L4_HALF_WATCHED;
    }
    if (error) {
        s->error = -error;
        l4_session_end(loop, index, L4_END_ERROR);
        return;
    }
    wake_in(loop, index, (uint64_t)(left_ms(loop, s) > 0 ? left_ms(loop, s) : 0));
}

/* ---- relay ----------------------------------------------------------------------------------- */

static void list_ready(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (s->listed)
        return;
    s->listed = 1;
    s->next = L4_NONE;
    if (loop->ready_tail == L4_NONE)
        loop->ready_head = index;
    else
        l4_session_at(loop, loop->ready_tail)->next = index;
    loop->ready_tail = index;
}

/* Moves what one half sent; adds it to the session's and the backend's bytes. */
static enum l4_pump_result move(struct l4_loop *loop, struct l4_session *s, int half)
{
    uint64_t moved = 0;
    const enum l4_pump_result result =
        l4_pump(&loop->pump, &s->half[half], &s->half[!half], &moved);
    if (moved) {
        struct l4_column *column = column_of(loop, s->backend);
        L4_OWN_ADD(s->bytes[half], moved);
        if (half == 0)
            L4_OWN_ADD(column->bytes_in, moved);
        else
            L4_OWN_ADD(column->bytes_out, moved);
        L4_SET(s->active_ms, loop->now_ms);
    }
    if (s->first_end == 2 && s->half[half].flags & (L4_HALF_EOF | L4_HALF_RESET))
        s->first_end = (uint8_t)half;
    return result;
}

/* One half was reset and all that it sent has been passed on: the other half is told by a reset
 * too, but not before its peer's kernel has everything, which a reset would take back. */
static void pass_reset(struct l4_loop *loop, uint32_t index, int half)
{
    struct l4_session *s = l4_session_at(loop, index);
    const enum l4_reason reason = half == 0 ? L4_END_CLIENT_RESET : L4_END_BACKEND_RESET;
    const struct l4_half *other = &s->half[!half];
    if (other->flags & (L4_HALF_BROKEN | L4_HALF_RESET) || l4_sock_drained(other->fd)) {
        l4_session_end(loop, index, reason);
        return;
    }
    if (L4_GET(s->state) != L4_SESSION_RESETS) {
        enter(s, L4_SESSION_RESETS);
        s->reason = (uint8_t)reason;
        set_deadline(loop, s, L4_RESET_WAIT_MS);
    }
    if (left_ms(loop, s) <= 0)
        l4_session_end(loop, index, reason);
    else
        wake_in(loop, index, L4_RESET_POLL_MS);
}

static bool all_passed_on(const struct l4_half *from, const struct l4_half *to)
{
    return from->piped == 0 || to->flags & L4_HALF_BROKEN;
}

static void relay(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_half *client = &s->half[0], *backend = &s->half[1];
    const enum l4_pump_result up = move(loop, s, 0);
    const enum l4_pump_result down = move(loop, s, 1);
    if (up == L4_PUMP_LOST || down == L4_PUMP_LOST) {
        s->error = ENOMEM;
        l4_session_end(loop, index, L4_END_ERROR);
        return;
    }
    if (client->flags & backend->flags & L4_HALF_BROKEN) { /* nobody is left to tell anything */
        l4_session_end(loop, index, s->first_end == 1 ? L4_END_BACKEND_RESET : L4_END_CLIENT_RESET);
        return;
    }
    if (client->flags & L4_HALF_RESET && all_passed_on(client, backend)) {
        pass_reset(loop, index, 0);
        return;
    }
    if (backend->flags & L4_HALF_RESET && all_passed_on(backend, client)) {
        pass_reset(loop, index, 1);
        return;
    }
    if (client->flags & backend->flags & L4_HALF_SHUT) {
        l4_session_end(loop, index, s->first_end == 0 ? L4_END_CLIENT_FIN : L4_END_BACKEND_FIN);
        return;
    }
    if ((client->flags | backend->flags) & L4_HALF_SHUT && !s->half_closed) {
        s->half_closed = 1;
        wake_in(loop, index, L4_GET(l4_table_pool(loop->table, s->pool)->half_closed_timeout_ms));
    }
    if (up == L4_PUMP_MORE || down == L4_PUMP_MORE)
        list_ready(loop, index);
}

void l4_session_resume(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    s->listed = 0;
    if (L4_GET(s->state) == L4_SESSION_FREE) {
        s->next = loop->ended_head;
        loop->ended_head = index;
    } else if (L4_GET(s->state) == L4_SESSION_RELAYS) {
        relay(loop, index);
    }
}

/* ---- what happens to it ---------------------------------------------------------------------- */

static void note_edges(struct l4_half *half, uint32_t events)
{
    if (events & EPOLLPRI) {
        l4_sock_urgent_inline(half->fd);
        half->flags |= L4_HALF_URGENT;
    }
    if (events & (EPOLLIN | EPOLLPRI))
        half->flags |= L4_HALF_IN;
    if (events & EPOLLOUT)
        half->flags |= L4_HALF_OUT;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        half->flags |= L4_HALF_IN | L4_HALF_HUP;
    if (events & EPOLLERR) {
        half->flags |= L4_HALF_BROKEN;
        half->flags &= (uint16_t)~L4_HALF_OUT;
    }
}

/* The connect came to an end: the backend is there, or not. */
static void connect_ended(struct l4_loop *loop, uint32_t index, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    int error = 0;
    if (events & (EPOLLERR | EPOLLHUP))
        error = l4_sock_connect_result(s->half[1].fd);
    /* why: a backend may accept, answer and reset before this turn: what it said is delivered.
     * One that resets without a word has served nobody; another backend may. */
    if (error == -ECONNRESET && l4_sock_has_data(s->half[1].fd)) {
        events |= EPOLLERR;
        error = 0;
    } else if (!error) {
        events &= ~(uint32_t)EPOLLERR;
        events |= EPOLLOUT;
    }
    if (error) {
        connect_failed(loop, index, error);
        return;
    }
    note_edges(&s->half[1], events);
    connected(loop, index);
}

void l4_session_event(struct l4_loop *loop, uint32_t index, int half, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    switch (L4_GET(s->state)) {
    case L4_SESSION_RELAYS:
        note_edges(&s->half[half], events);
        relay(loop, index);
        break;
    case L4_SESSION_CONNECTS:
        if (half == 0) {
            note_edges(&s->half[0], events);
            if (events & (EPOLLERR | EPOLLHUP))
                l4_session_end(loop, index, L4_END_CLIENT_RESET);
        } else if (events & (EPOLLERR | EPOLLHUP | EPOLLOUT)) {
            connect_ended(loop, index, events);
        }
        break;
    case L4_SESSION_WAITS:
        note_edges(&s->half[0], events);
        if (events & (EPOLLERR | EPOLLHUP))
            l4_session_end(loop, index, L4_END_CLIENT_RESET);
        break;
    case L4_SESSION_RESETS: /* only the drain of what was sent matters now, and who cannot take it
                             */
        note_edges(&s->half[half], events);
        if (events & EPOLLERR)
            pass_reset(loop, index, s->reason == L4_END_CLIENT_RESET ? 0 : 1);
        break;
    case L4_SESSION_FREE: /* it ended earlier in this turn */
        break;
    }
}

/* The wheel fires early and lazily: has the time really come? */
static void check_idle(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);
    const uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    uint64_t allowed = L4_GET(pool->idle_timeout_ms);
    enum l4_reason reason = L4_END_IDLE_TIMEOUT;
    if (s->half_closed && L4_GET(pool->half_closed_timeout_ms) < allowed) {
        allowed = L4_GET(pool->half_closed_timeout_ms);
        reason = L4_END_HALF_CLOSED_TIMEOUT;
    }
    if (idle >= allowed)
        l4_session_end(loop, index, reason);
    else
        wake_in(loop, index, allowed - idle);
}

void l4_session_timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    switch (L4_GET(s->state)) {
    case L4_SESSION_WAITS:
        reach_backend(loop, index);
        break;
    case L4_SESSION_CONNECTS:
        if (left_ms(loop, s) <= 0)
            connect_failed(loop, index, -ETIMEDOUT);
        else
            wake_in(loop, index, (uint64_t)left_ms(loop, s));
        break;
    case L4_SESSION_RELAYS:
        check_idle(loop, index);
        break;
    case L4_SESSION_RESETS:
        pass_reset(loop, index, s->reason == L4_END_CLIENT_RESET ? 0 : 1);
        break;
    case L4_SESSION_FREE:
        break;
    }
}
