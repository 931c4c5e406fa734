/* TARPIT: the session was turned away and is held for a while, silent, so that its client cannot
 * come again at once. There are few places (run/admission.h asks for one before). What the session
 * took of its listener's and its source's places it gives back: those are for clients that are
 * served. */
#include "run/admission.h"
#include "run/stages.h"

static struct l4_step end(struct l4_loop *loop, uint32_t index)
{
    return l4_end((enum l4_reason)l4_session_at(loop, index)->reason);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    loop->tarpits++;
    l4_admission_leave(loop, s);
    if (l4_row_watch_client(loop, index))
        return end(loop, index);
    l4_row_set_deadline(loop, s, L4_GET(loop->table->header->tarpit_ms));
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    (void)side; /* there is no backend */
    return events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) ? end(loop, index) : l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return end(loop, index);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

static void leave(struct l4_loop *loop, uint32_t index)
{
    (void)index;
    loop->tarpits--;
}

const struct l4_stage l4_stage_tarpit = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .leave = leave,
};
