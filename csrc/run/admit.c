#include "run/admit.h"

#include <errno.h>

#include "core/access.h"
#include "io/sock.h"
#include "run/session.h"

/* ---- turning away ---------------------------------------------------------------------------- */

/* Holds the session, silent, for a while, so that its client cannot come again at once. There are
 * few places; who finds none is reset. */
static bool hold(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (loop->tarpits >= L4_TARPITS_MAX || l4_session_watch_client(loop, index))
        return false;
    l4_session_enter(s, L4_SESSION_TARPITS);
    s->reason = (uint8_t)reason;
    loop->tarpits++;
    l4_session_set_deadline(loop, s, L4_TARPIT_MS);
    l4_session_wake_in(loop, index, L4_TARPIT_MS);
    return true;
}

static void leave_tarpit(struct l4_loop *loop, uint32_t index)
{
    l4_session_end(loop, index, (enum l4_reason)l4_session_at(loop, index)->reason);
}

void l4_tarpit_event(struct l4_loop *loop, uint32_t index, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        leave_tarpit(loop, index);
}

void l4_tarpit_timeout(struct l4_loop *loop, uint32_t index)
{
    const int32_t left = l4_session_left_ms(loop, l4_session_at(loop, index));
    if (left <= 0)
        leave_tarpit(loop, index);
    else
        l4_session_wake_in(loop, index, (uint64_t)left);
}

void l4_refuse(struct l4_loop *loop, uint32_t index, enum l4_reason reason, enum l4_refusal refusal)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (refusal == L4_REFUSE_TARPIT && hold(loop, index, reason))
        return;
    if (refusal == L4_REFUSE_DROP) {
        l4_sock_vanish(s->half[0].fd);
        s->half[0].fd = -1;
    }
    l4_session_end(loop, index, reason);
}

/* A rule says no. True: it is in dry run, the client may go on. */
static bool only_counted(struct l4_loop *loop, uint32_t index, const struct l4_verdict *verdict,
                         enum l4_reason reason)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (!L4_GET(verdict->dry_run)) {
        l4_refuse(loop, index, reason, (enum l4_refusal)L4_GET(verdict->refusal));
        return false;
    }
    struct l4_tally *tally = l4_table_tally(loop->table, loop->setup.index, s->listener);
    L4_OWN_ADD(tally->dry_run[reason - L4_REJECTED_FIRST], 1);
    return true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool l4_admit(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_edge *edge = &l4_table_listener(loop->table, s->listener)->edge;
    const uint32_t needs = L4_GET(edge->needs);
    if (needs & L4_NEEDS_BLOCKS) {
        const uint8_t found = l4_access_find(loop->table, L4_SET_BLOCKS, &s->client);
        if (found && !only_counted(loop, index, &loop->table->header->block_verdict[found & 1],
                                   L4_END_REJECTED_BLOCKED))
            return false;
    }
    if (needs & L4_NEEDS_ACCESS) {
        const uint8_t found = l4_access_find(loop->table, L4_GET(edge->access_set), &s->client);
        const bool denied = found ? found == L4_ACCESS_DENY : L4_GET(edge->access_else_denied);
        if (denied && !only_counted(loop, index, &edge->access, L4_END_REJECTED_DENIED))
            return false;
    }
    return true;
}
