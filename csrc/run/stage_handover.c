/* HANDOVER: the session is on its way to another worker, or from one (run/handover.h). A worker
 * moves no byte of a session that is in this state. */
#include "base/assert.h"
#include "run/first_byte.h"
#include "run/row.h"
#include "run/stages.h"

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(!l4_row_speaks_tls(l4_session_at(loop, index)));
    l4_row_unwatch(loop, index);
    l4_wheel_stop(&loop->wheel, index);
    l4_first_byte_forget(loop, l4_session_at(loop, index));
    return l4_stay();
}

const struct l4_stage l4_stage_handover = {
    .enter = enter,
};
