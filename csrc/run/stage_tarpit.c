/* TARPIT: the client was turned away and is kept waiting in silence, so that it does not come back
 * at once. There are few places (run/admission.h checks for one before). The session gives back
 * its places among the listener's and the source's sessions, which are for clients that are
 * served. */
#include "base/assert.h"
#include "run/admission.h"
#include "run/stages.h"

static struct l4_step end_refused(struct l4_loop *loop, uint32_t index)
{
    return l4_end((enum l4_reason)l4_session_at(loop, index)->reason);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    loop->tarpits++;
    L4_ASSERT(loop->tarpits <= L4_TARPITS_MAX && s->reason != L4_END_NONE);
    l4_admission_leave(loop, s);
    if (l4_row_watch_client(loop, index))
        return end_refused(loop, index);
    l4_row_set_deadline(loop, s, L4_GET(loop->table->header->tarpit_ms));
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    (void)side; /* there is no backend */
    return events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) ? end_refused(loop, index) : l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return end_refused(loop, index);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

static void leave(struct l4_loop *loop, uint32_t index)
{
    (void)index;
    L4_ASSERT(loop->tarpits > 0);
    loop->tarpits--;
}

const struct l4_stage l4_stage_tarpit = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .leave = leave,
};
