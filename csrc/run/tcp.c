#include "run/tcp.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "run/accept.h"
#include "run/lines.h"
#include "run/session.h"
#include "run/shed.h"

/* ---- start and finish ------------------------------------------------------------------------ */

/* Divides the descriptors between sessions (two each) and pipes (two each; a sixteenth of all). */
static uint64_t plan(struct l4_loop *loop, uint64_t descriptors)
{
    uint64_t pipes = descriptors / 32 < L4_PIPES_MAX ? descriptors / 32 : L4_PIPES_MAX;
    pipes = pipes ? pipes : 1;
    uint64_t max = descriptors > 2 * pipes ? (descriptors - 2 * pipes) / 2 : 0;
    if (max > loop->table->plan.caps.sessions)
        max = loop->table->plan.caps.sessions;
    loop->capacity = max ? (uint32_t)max : 1;
    L4_ASSERT(loop->capacity <= loop->table->plan.caps.sessions);
    L4_SET(loop->row->capacity, loop->capacity);
    l4_pipes_init(&loop->pipes, (uint32_t)pipes);
    return 2 * (loop->capacity + pipes);
}

static int start(struct l4_loop *loop)
{
    struct l4_timer *timers = calloc(loop->capacity, sizeof *timers);
    if (!timers)
        return -ENOMEM;
    l4_wheel_init(&loop->wheel, timers, loop->capacity, loop->now_ms);
    loop->pump.scratch = malloc(L4_SCRATCH_BYTES);
    if (!loop->pump.scratch)
        return -ENOMEM;
    const int error = l4_lines_start(loop);
    return error ? error : l4_accept_start(loop);
}

static void finish(struct l4_loop *loop)
{
    l4_lines_finish(loop);
    free(loop->pump.scratch);
    free(loop->wheel.timers);
    l4_pipes_close(&loop->pipes);
}

/* ---- a loop iteration ------------------------------------------------------------------------ */

/* Resumes once each session that had work left over when this loop iteration began. */
static void begin_turn(struct l4_loop *loop)
{
    for (uint32_t left = loop->ready.count; left && loop->ready.count; left--)
        l4_session_resume(loop, l4_list_take(loop->sessions, &loop->ready));
}

static void turn(struct l4_loop *loop)
{
    for (uint32_t n; (n = l4_wheel_expire(&loop->wheel, loop->now_ms)) != L4_NONE;)
        l4_session_timeout(loop, n);
}

/* Serves clients that wait for places that may have become free in this loop iteration. */
static void serve_lines(struct l4_loop *loop)
{
    for (uint32_t pool; (pool = l4_lines_due(loop)) != L4_NONE;) {
        uint32_t first = l4_lines_first(loop, pool);
        while (first != L4_NONE && l4_session_resume(loop, first))
            first = l4_lines_first(loop, pool);
        l4_lines_served(loop, pool);
    }
}

static void end_turn(struct l4_loop *loop)
{
    serve_lines(loop);
    l4_shed_turn(loop);
    l4_accept_shed(loop);
    l4_row_sweep(loop);
    L4_ASSERT(loop->ended.count == 0 && loop->held + loop->free.count == loop->fresh);
    l4_accept_revisit(loop);
    if (loop->closing)
        l4_accept_close_rest(loop);
}

static int wait_ms(struct l4_loop *loop)
{
    if (loop->ready.count)
        return 0;
    return l4_sooner_ms(l4_wheel_wait_ms(&loop->wheel, loop->now_ms), l4_accept_wait_ms(loop));
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Is there a session in this row that is not on offer? A session on offer is another worker's by
 * now, or will come back. */
static bool is_here(const struct l4_session *s)
{
    return s->serial && L4_GET(s->state) != L4_SESSION_HANDOVER;
}

/* Ends all sessions, or those of one backend. The clients of one backend's sessions still get what
 * the backend has sent. */
static void end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        const struct l4_session *s = l4_session_at(loop, i);
        if (!is_here(s) || (backend != L4_NONE && s->backend != backend))
            continue;
        if (backend != L4_NONE)
            l4_session_drain(loop, i, reason);
        else
            l4_session_end(loop, i, reason);
    }
}

static void end_killed(struct l4_loop *loop, uint32_t slot, uint32_t serial)
{
    if (slot >= loop->fresh || !serial)
        return;
    const struct l4_session *s = l4_session_at(loop, slot);
    if (is_here(s) && L4_GET(s->serial) == serial)
        l4_session_end(loop, slot, L4_END_KILLED);
}

static uint32_t held(const struct l4_loop *loop)
{
    return loop->held;
}

const struct l4_plane l4_plane_tcp = {
    .name = "tcp",
    .knocks = true,
    .plan = plan,
    .start = start,
    .finish = finish,
    .add = l4_accept_add,
    .remove = l4_accept_remove,
    .receive = l4_accept_batch,
    .event = l4_session_event,
    .begin_turn = begin_turn,
    .turn = turn,
    .end_turn = end_turn,
    .wait_ms = wait_ms,
    .drain = l4_accept_finish,
    .leave = l4_accept_leave,
    .end_all = end_all,
    .kill = end_killed,
    .held = held,
};
