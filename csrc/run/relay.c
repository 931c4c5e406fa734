#include "run/relay.h"

#include <errno.h>

#include "core/passive.h"
#include "io/sock.h"
#include "run/answer.h"
#include "run/pace.h"
#include "run/reach.h"
#include "run/session.h"
#include "shm/edge_rows.h"

/* Moves what one half sent; adds it to the session's and the backend's bytes. */
static enum l4_pump_result move(struct l4_loop *loop, struct l4_session *s, int half)
{
    uint64_t moved = 0;
    const enum l4_pump_result result =
        l4_pump(&loop->pump, &s->half[half], &s->half[!half], &moved);
    if (moved) {
        struct l4_column *column = l4_session_column(loop, s->backend);
        if (half == 1 && !L4_GET(s->bytes[1])) {
            s->first_byte_us = (uint32_t)(loop->now_us - s->started_us);
            l4_passive_served(loop->table, s->backend);
            l4_answer_came(loop, s);
        }
        if (half == 0 && !L4_GET(s->bytes[0]))
            l4_answer_asked(loop, s);
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

/* ---- what was accepted and is not yet delivered -----------------------------------------------
 */

/* Bytes for one side that its peer's kernel has not acknowledged: in the pipe or in the socket. */
static uint64_t undelivered(const struct l4_session *s, int side)
{
    const struct l4_half *to = &s->half[side];
    if (to->flags & (L4_HALF_BROKEN | L4_HALF_RESET))
        return 0;
    const uint64_t held = s->half[!side].piped + !!(to->flags & L4_HALF_UNSENT);
    return held + l4_sock_unacked(to->fd);
}

/* l4_relay_delivers, of `left` bytes that are still on their way. */
static bool delivers(struct l4_loop *loop, uint32_t index, uint64_t left)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_table_facts(loop->table, loop->setup.index, index);
    if (s->looked ? facts->undelivered == (uint32_t)left : !left)
        return false;
    s->looked = 1;
    facts->undelivered = (uint32_t)left;
    L4_SET(s->active_ms, loop->now_ms);
    return true;
}

bool l4_relay_delivers(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    return delivers(loop, index, undelivered(s, 0) + undelivered(s, 1));
}

/* How long a session that is to end waits for a side that acknowledges nothing. */
static uint64_t patience_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    const uint64_t idle = L4_GET(l4_table_pool(loop->table, s->pool)->idle_timeout_ms);
    const bool own = s->reason != L4_END_CLIENT_RESET && s->reason != L4_END_BACKEND_RESET;
    return own || idle < L4_DRAIN_PATIENCE_MS ? L4_DRAIN_PATIENCE_MS : idle;
}

/* When to look again, as nothing tells that a socket's queue is empty: after a part of the time
 * since anything left it, and not before much of it could have. */
static uint64_t look_again_ms(const struct l4_loop *loop, const struct l4_session *s, uint64_t left)
{
    const uint64_t quiet = (loop->now_ms - L4_GET(s->active_ms)) / 4, size = left >> 17;
    const uint64_t ms = L4_DRAIN_LOOK_MS + (quiet > size ? quiet : size);
    return ms < L4_DRAIN_LOOK_MAX_MS ? ms : L4_DRAIN_LOOK_MAX_MS;
}

void l4_relay_drain(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (L4_GET(s->state) != L4_SESSION_RESETS) {
        l4_session_enter(loop, index, L4_SESSION_RESETS);
        s->reason = (uint8_t)reason;
        s->looked = 0;
        L4_SET(s->active_ms, loop->now_ms);
        l4_session_set_deadline(loop, s, patience_ms(loop, s));
    }
    l4_pump_flush(&loop->pump, &s->half[1], &s->half[0]);
    uint64_t left = undelivered(s, 0);
    if (reason != L4_END_KILLED) {
        l4_pump_flush(&loop->pump, &s->half[0], &s->half[1]);
        left += undelivered(s, 1);
    }
    if (delivers(loop, index, left))
        l4_session_set_deadline(loop, s, patience_ms(loop, s));
    if (!left || l4_session_left_ms(loop, s) <= 0)
        l4_session_end(loop, index, reason);
    else
        l4_session_wake_in(loop, index, look_again_ms(loop, s, left));
}

/* ---- bytes, ends and resets -------------------------------------------------------------------
 */

static bool all_passed_on(const struct l4_half *from, const struct l4_half *to)
{
    return (from->piped == 0 && !(to->flags & L4_HALF_UNSENT)) || to->flags & L4_HALF_BROKEN;
}

/* True: it has used its bandwidth for now, and its timer will wake it. */
static bool wait_for_bandwidth(struct l4_loop *loop, uint32_t index)
{
    const uint64_t wait = l4_pace_wait_ms(loop, index);
    if (!wait)
        return false;
    l4_session_at(loop, index)->paced |= L4_PACED_WAITS;
    l4_session_wake_in(loop, index, l4_pace_left_ms(loop, index, wait));
    return true;
}

void l4_relay(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_half *client = &s->half[0], *backend = &s->half[1];
    if (s->paced & L4_PACED_BYTES && wait_for_bandwidth(loop, index))
        return;
    const uint64_t before = L4_GET(s->bytes[0]) + L4_GET(s->bytes[1]);
    const enum l4_pump_result up = move(loop, s, 0);
    const enum l4_pump_result down = move(loop, s, 1);
    if (s->paced & L4_PACED_BYTES)
        l4_pace_spend(loop, index, L4_GET(s->bytes[0]) + L4_GET(s->bytes[1]) - before);
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
        l4_relay_drain(loop, index, L4_END_CLIENT_RESET);
        return;
    }
    if (backend->flags & L4_HALF_RESET && all_passed_on(backend, client)) {
        l4_relay_drain(loop, index, L4_END_BACKEND_RESET);
        return;
    }
    if (client->flags & backend->flags & L4_HALF_SHUT) {
        l4_session_end(loop, index, s->first_end == 0 ? L4_END_CLIENT_FIN : L4_END_BACKEND_FIN);
        return;
    }
    if ((client->flags | backend->flags) & L4_HALF_SHUT && !s->half_closed) {
        s->half_closed = 1;
        const uint64_t ms = L4_GET(l4_table_pool(loop->table, s->pool)->half_closed_timeout_ms);
        const uint64_t look = l4_relay_look_ms(0, ms);
        l4_session_wake_in(loop, index, l4_pace_left_ms(loop, index, look));
    }
    if (up == L4_PUMP_MORE || down == L4_PUMP_MORE)
        l4_session_later(loop, index);
}

void l4_relay_check_idle(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);
    uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    uint64_t allowed = L4_GET(pool->idle_timeout_ms);
    enum l4_reason reason = L4_END_IDLE_TIMEOUT;
    if (s->half_closed && L4_GET(pool->half_closed_timeout_ms) < allowed) {
        allowed = L4_GET(pool->half_closed_timeout_ms);
        reason = L4_END_HALF_CLOSED_TIMEOUT;
    }
    l4_answer_check(loop, s);
    const enum l4_reason over = l4_pace_over(loop, index);
    if (over == L4_END_MAX_AGE) {
        l4_relay_drain(loop, index, over);
        return;
    }
    if (over) {
        l4_session_end(loop, index, over);
        return;
    }
    if (s->paced & L4_PACED_WAITS) {
        s->paced &= (uint8_t)~L4_PACED_WAITS;
        l4_relay(loop, index);
        if (L4_GET(s->state) != L4_SESSION_RELAYS || s->paced & L4_PACED_WAITS)
            return;
        idle = loop->now_ms - L4_GET(s->active_ms);
    }
    if (2 * idle >= allowed && l4_relay_delivers(loop, index))
        idle = 0;
    if (idle >= allowed) {
        l4_session_end(loop, index, reason);
    } else {
        const uint64_t look = l4_reach_refresh(loop, s, l4_relay_look_ms(idle, allowed));
        const uint64_t ms = l4_answer_left_ms(loop, s, look);
        l4_session_wake_in(loop, index, l4_pace_left_ms(loop, index, ms));
    }
}
