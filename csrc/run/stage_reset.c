/* RESET: the session ends for its `reason`, but only after each side that still takes bytes has
 * acknowledged what was accepted for it. Nothing more is read.
 *
 * A side that acknowledges nothing is waited for no longer than L4_DRAIN_PATIENCE_MS; after a
 * reset by the other side, no longer than the pool's idle timeout if that is more. If the session
 * was killed, only the client is waited for.
 */
#include "base/assert.h"
#include "run/delivery.h"
#include "run/stages.h"

/* Returns how long a session waits for a side that acknowledges nothing. */
static uint64_t patience_ms(const struct l4_loop *loop, const struct l4_session *s)
{
    const uint64_t idle = L4_GET(l4_row_pool(loop, s)->idle_timeout_ms);
    const bool own = s->reason != L4_END_CLIENT_RESET && s->reason != L4_END_BACKEND_RESET;
    return own || idle < L4_DRAIN_PATIENCE_MS ? L4_DRAIN_PATIENCE_MS : idle;
}

/* Returns when to look again, as the kernel does not report that a send queue is empty: after a
 * quarter of the time since bytes last left it, and not before many of the remaining bytes could
 * have left. */
static uint64_t look_again_ms(const struct l4_loop *loop, const struct l4_session *s, uint64_t left)
{
    const uint64_t quiet = (loop->now_ms - L4_GET(s->active_ms)) / 4, size = left >> 17;
    const uint64_t ms = L4_DRAIN_LOOK_MS + (quiet > size ? quiet : size);
    return ms < L4_DRAIN_LOOK_MAX_MS ? ms : L4_DRAIN_LOOK_MAX_MS;
}

static struct l4_step drain(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const enum l4_reason reason = (enum l4_reason)s->reason;
    l4_pump_flush(&loop->pump, &s->half[L4_BACKEND], &s->half[L4_CLIENT]);
    uint64_t left = l4_delivery_left(s, L4_CLIENT);
    if (reason != L4_END_KILLED) {
        l4_pump_flush(&loop->pump, &s->half[L4_CLIENT], &s->half[L4_BACKEND]);
        left += l4_delivery_left(s, L4_BACKEND);
    }
    if (l4_delivery_goes_on(loop, index, left))
        l4_row_set_deadline(loop, s, patience_ms(loop, s));
    if (!left || l4_row_left_ms(loop, s) <= 0)
        return l4_end(reason);
    l4_row_wake_in(loop, index, look_again_ms(loop, s, left));
    return l4_stay();
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    s->looked = 0;
    L4_ASSERT(s->reason != L4_END_NONE);
    L4_SET(s->active_ms, loop->now_ms);
    l4_row_set_deadline(loop, s, patience_ms(loop, s));
    return drain(loop, index);
}

/* The only question in this state is whether the side takes the bytes that were accepted for
 * it. */
static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    l4_half_note(&l4_session_at(loop, index)->half[side], events);
    return events & (EPOLLERR | EPOLLHUP | EPOLLOUT) ? drain(loop, index) : l4_stay();
}

static struct l4_step again(struct l4_loop *loop, uint32_t index)
{
    l4_row_wake_in(loop, index, 0);
    return l4_stay();
}

const struct l4_stage l4_stage_reset = {
    .enter = enter,
    .event = event,
    .timeout = drain,
    .again = again,
};
