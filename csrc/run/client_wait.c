#include "run/client_wait.h"

#include "run/shaping.h"

void l4_client_wait(struct l4_loop *loop, uint32_t index)
{
    const int32_t left = l4_row_left_ms(loop, l4_session_at(loop, index));
    const uint64_t ms = left > 0 ? (uint64_t)left : 0;
    const bool passed = l4_shaping_over(loop, index) != L4_END_NONE;
    l4_row_wake_in(loop, index, passed ? ms : l4_shaping_left_ms(loop, index, ms));
}

enum l4_reason l4_client_is_late(struct l4_loop *loop, uint32_t index, bool spoken)
{
    enum l4_reason why = l4_shaping_over(loop, index);
    if (why == L4_END_REJECTED_FIRST_BYTE && spoken)
        why = L4_END_NONE;
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        why = L4_END_REJECTED_HANDSHAKE;
    if (why == L4_END_NONE)
        l4_client_wait(loop, index);
    return why;
}
