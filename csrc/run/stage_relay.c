/* RELAY: both sides are connected. Bytes, ends and resets pass from each side to the other. */
#include <errno.h>

#include "base/assert.h"
#include "core/passive.h"
#include "run/attempt.h"
#include "run/delivery.h"
#include "run/first_byte.h"
#include "run/shaping.h"
#include "run/stages.h"

/* Moves what one side sent, and adds it to the byte counts of the session and of the backend. */
static enum l4_pump_result move_bytes(struct l4_loop *loop, struct l4_session *s, enum l4_side from)
{
    uint64_t moved = 0;
    const enum l4_pump_result result =
        l4_pump(&loop->pump, &s->half[from], &s->half[!from], &moved);
    if (moved) {
        struct l4_column *column = l4_row_column(loop, s);
        if (from == L4_BACKEND && !L4_GET(s->bytes[L4_BACKEND])) {
            s->first_byte_us = (uint32_t)(loop->now_us - s->started_us);
            l4_passive_served(loop->table, s->backend);
            l4_first_byte_came(loop, s);
        }
        if (from == L4_CLIENT && !L4_GET(s->bytes[L4_CLIENT]))
            l4_first_byte_asked(loop, s);
        L4_OWN_ADD(s->bytes[from], moved);
        if (from == L4_CLIENT)
            L4_OWN_ADD(column->bytes_in, moved);
        else
            L4_OWN_ADD(column->bytes_out, moved);
        L4_SET(s->active_ms, loop->now_ms);
    }
    if (s->first_end == L4_NO_SIDE && s->half[from].flags & (L4_HALF_EOF | L4_HALF_RESET))
        s->first_end = (uint8_t)from;
    return result;
}

static bool all_passed_on(const struct l4_half *from, const struct l4_half *to)
{
    return (from->piped == 0 && !(to->flags & L4_HALF_UNSENT)) || to->flags & L4_HALF_BROKEN;
}

/* Answers by the ends and resets of the two sides, after bytes were moved. */
static struct l4_step ends_of(const struct l4_session *s)
{
    const struct l4_half *client = &s->half[L4_CLIENT], *backend = &s->half[L4_BACKEND];
    if (client->flags & backend->flags & L4_HALF_BROKEN) /* there is no side left to reset */
        return l4_end(s->first_end == L4_BACKEND ? L4_END_BACKEND_RESET : L4_END_CLIENT_RESET);
    if (client->flags & L4_HALF_RESET && all_passed_on(client, backend))
        return l4_go_to_end(L4_SESSION_RESET, L4_END_CLIENT_RESET);
    if (backend->flags & L4_HALF_RESET && all_passed_on(backend, client))
        return l4_go_to_end(L4_SESSION_RESET, L4_END_BACKEND_RESET);
    if (client->flags & backend->flags & L4_HALF_SHUT)
        return l4_end(s->first_end == L4_CLIENT ? L4_END_CLIENT_FIN : L4_END_BACKEND_FIN);
    return l4_stay();
}

/* Returns after how many milliseconds to look again at a session that has been idle for `idle` of
 * `allowed` milliseconds. There are two looks in that time, so that bytes that leave the send
 * queue in between are noticed. */
static uint64_t look_ms(uint64_t idle, uint64_t allowed)
{
    const uint64_t middle = (allowed + 1) / 2;
    return idle < middle ? middle - idle : idle < allowed ? allowed - idle : 0;
}

/* One side has ended, and the other side has been told. */
static void note_half_closed(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint64_t look = look_ms(0, L4_GET(l4_row_pool(loop, s)->half_closed_timeout_ms));
    s->half_closed = 1;
    l4_row_wake_in(loop, index, l4_shaping_left_ms(loop, index, look));
}

/* Moves what can be moved in both directions, and acts on the ends that it meets. */
static struct l4_step relay(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_half *client = &s->half[L4_CLIENT], *backend = &s->half[L4_BACKEND];
    L4_ASSERT(s->backend != L4_NONE);
    if (l4_shaping_holds(loop, index))
        return l4_stay();
    const uint64_t before = L4_GET(s->bytes[L4_CLIENT]) + L4_GET(s->bytes[L4_BACKEND]);
    const enum l4_pump_result up = move_bytes(loop, s, L4_CLIENT);
    const enum l4_pump_result down = move_bytes(loop, s, L4_BACKEND);
    loop->pump.max = 0;
    l4_shaping_spend(loop, index,
                     L4_GET(s->bytes[L4_CLIENT]) + L4_GET(s->bytes[L4_BACKEND]) - before);
    if (up == L4_PUMP_LOST || down == L4_PUMP_LOST)
        return l4_end_by_error(s, -ENOMEM);
    const struct l4_step step = ends_of(s);
    if (step.kind != L4_STAY)
        return step;
    if ((client->flags | backend->flags) & L4_HALF_SHUT && !s->half_closed)
        note_half_closed(loop, index);
    if (up == L4_PUMP_MORE || down == L4_PUMP_MORE)
        l4_row_later(loop, index);
    return step;
}

/* Starts the timer of a session that has been idle for `idle` milliseconds, and may be so for
 * `allowed`. */
static void wake_when_idle(struct l4_loop *loop, uint32_t index, uint64_t idle, uint64_t allowed)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint64_t look = l4_attempt_refresh(loop, s, look_ms(idle, allowed));
    const uint64_t ms = l4_first_byte_left_ms(loop, s, look);
    l4_row_wake_in(loop, index, l4_shaping_left_ms(loop, index, ms));
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (l4_table_backend(loop->table, s->backend)->addr.family == AF_UNIX)
        s->half[L4_BACKEND].flags |= L4_HALF_NODELAY;
    L4_SET(s->active_ms, loop->now_ms);
    wake_when_idle(loop, index, 0, L4_GET(l4_row_pool(loop, s)->idle_timeout_ms));
    return relay(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    l4_half_note(&l4_session_at(loop, index)->half[side], events);
    return relay(loop, index);
}

/* Ends the session if its time is over, or sets the timer again. The timer may fire too early: the
 * wheel is coarse, and bytes may have moved since the timer was set. */
static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    uint64_t allowed = L4_GET(pool->idle_timeout_ms);
    enum l4_reason reason = L4_END_IDLE_TIMEOUT;
    if (s->half_closed && L4_GET(pool->half_closed_timeout_ms) < allowed) {
        allowed = L4_GET(pool->half_closed_timeout_ms);
        reason = L4_END_HALF_CLOSED_TIMEOUT;
    }
    l4_first_byte_check(loop, s);
    const enum l4_reason over = l4_shaping_over(loop, index);
    if (over == L4_END_MAX_AGE)
        return l4_go_to_end(L4_SESSION_RESET, over);
    if (over != L4_END_NONE)
        return l4_end(over);
    if (s->paced & L4_PACED_WAITS) {
        const struct l4_step step = relay(loop, index);
        if (step.kind != L4_STAY || s->paced & L4_PACED_WAITS)
            return step;
    }
    uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    if (2 * idle >= allowed && l4_delivery_look(loop, index))
        idle = 0;
    if (idle >= allowed)
        return l4_end(reason);
    wake_when_idle(loop, index, idle, allowed);
    return l4_stay();
}

static struct l4_step again(struct l4_loop *loop, uint32_t index)
{
    l4_row_wake_in(loop, index, 0);
    return l4_stay();
}

const struct l4_stage l4_stage_relay = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = relay,
    .again = again,
};
