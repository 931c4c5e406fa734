#include "run/tcp.h"

#include "run/lines.h"
#include "run/session.h"

void l4_tcp_resume(struct l4_loop *loop)
{
    for (uint32_t left = loop->ready.count; left && loop->ready.count; left--)
        l4_session_resume(loop, l4_list_take(loop->sessions, &loop->ready));
}

void l4_tcp_expire(struct l4_loop *loop)
{
    for (uint32_t n; (n = l4_wheel_expire(&loop->wheel, loop->now_ms)) != L4_NONE;)
        l4_session_timeout(loop, n);
}

void l4_tcp_serve(struct l4_loop *loop)
{
    for (uint32_t pool; (pool = l4_lines_due(loop)) != L4_NONE;) {
        uint32_t first = l4_lines_first(loop, pool);
        while (first != L4_NONE && l4_session_resume(loop, first))
            first = l4_lines_first(loop, pool);
        l4_lines_served(loop, pool);
    }
}

static bool is_here(const struct l4_session *s)
{
    return s->serial && L4_GET(s->state) != L4_SESSION_HANDOVER;
}

void l4_tcp_end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
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

void l4_tcp_kill(struct l4_loop *loop, uint32_t index, uint32_t serial)
{
    if (index >= loop->fresh || !serial)
        return;
    const struct l4_session *s = l4_session_at(loop, index);
    if (is_here(s) && L4_GET(s->serial) == serial)
        l4_session_end(loop, index, L4_END_KILLED);
}
