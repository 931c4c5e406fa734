#include "run/delivery.h"

#include "base/assert.h"
#include "io/sock.h"

uint64_t l4_delivery_left(const struct l4_session *s, enum l4_side to)
{
    const struct l4_half *half = &s->half[to];
    if (half->flags & (L4_HALF_BROKEN | L4_HALF_RESET))
        return 0;
    L4_ASSERT(half->fd >= 0);
    const uint64_t held = s->half[!to].piped + !!(half->flags & L4_HALF_UNSENT);
    return held + l4_sock_unacked(half->fd);
}

bool l4_delivery_goes_on(struct l4_loop *loop, uint32_t index, uint64_t left)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    if (s->looked ? facts->undelivered == (uint32_t)left : !left)
        return false;
    s->looked = 1;
    facts->undelivered = (uint32_t)left;
    L4_SET(s->active_ms, loop->now_ms);
    return true;
}
