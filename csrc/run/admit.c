#include "run/admit.h"

#include "core/access.h"
#include "core/rate.h"
#include "io/sock.h"
#include "run/front.h"
#include "run/pace.h"
#include "run/session.h"
#include "shm/count.h"
#include "shm/source.h"

/* ---- turning away ---------------------------------------------------------------------------- */

/* Holds the session, silent, for a while, so that its client cannot come again at once. There are
 * few places; who finds none is reset. What it took of the listener's and its source's places it
 * gives back: those are for clients that are served. */
static bool hold(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (loop->tarpits >= L4_TARPITS_MAX || l4_session_watch_client(loop, index))
        return false;
    l4_admit_leave(loop, s);
    l4_session_enter(loop, index, L4_SESSION_TARPITS);
    s->reason = (uint8_t)reason;
    loop->tarpits++;
    const uint32_t ms = L4_GET(loop->table->header->tarpit_ms);
    l4_session_set_deadline(loop, s, ms);
    l4_session_wake_in(loop, index, ms);
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

enum holds { HOLDS_LISTENER = 1 << 0, HOLDS_SOURCE = 1 << 1 };

static const struct l4_edge *edge_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->edge;
}

bool l4_admit_place(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limits *limits = &edge_of(loop, s)->limits;
    const struct l4_limit *many = &limits->limits[L4_LIMIT_CONNECTIONS];
    const uint32_t limit = (uint32_t)L4_GET(many->value), head = L4_GET(limits->head);
    if (!limit || s->holds & HOLDS_LISTENER)
        return true;
    bool taken = l4_count_take_listener(loop->table, loop->setup.index, head, limit);
    if (!taken) {
        if (!only_counted(loop, index, &many->verdict, L4_END_REJECTED_CONNECTIONS))
            return false;
        taken = l4_count_take_listener(loop->table, loop->setup.index, head, 0);
    }
    if (taken)
        s->holds |= HOLDS_LISTENER;
    return true;
}

/* One of the listener's new connections. */
static bool admit_rate(struct l4_loop *loop, uint32_t index, const struct l4_limits *limits)
{
    const struct l4_limit *often = &limits->limits[L4_LIMIT_RATE];
    struct l4_listener *counts = l4_table_listener(loop->table, L4_GET(limits->head));
    return !L4_GET(often->value) ||
           l4_rate_take(&counts->edge.limits.full_ns, loop->now_us * 1000, L4_GET(often->value),
                        L4_GET(often->burst)) ||
           only_counted(loop, index, &often->verdict, L4_END_REJECTED_RATE);
}

static bool counts_sources(const struct l4_limit *limits)
{
    return L4_GET(limits[L4_LIMIT_SOURCE_CONNECTIONS].value) ||
           L4_GET(limits[L4_LIMIT_SOURCE_RATE].value) ||
           L4_GET(limits[L4_LIMIT_SOURCE_BANDWIDTH].value);
}

/* What tells sources apart under this listener's limits. */
static uint64_t source_hash(const struct l4_loop *loop, const struct l4_session *s,
                            const struct l4_limits *limits)
{
    const uint32_t prefix =
        s->client.family == AF_INET6 ? L4_GET(limits->prefix6) : L4_GET(limits->prefix4);
    struct l4_addr net = l4_addr_network(&s->client, prefix);
    const uint64_t hash = l4_hash(&loop->table->header->hash_key, &net, sizeof net);
    return l4_hash_again(hash, L4_GET(limits->head));
}

/* A place among the source's sessions, and one of its new ones. */
static bool admit_source(struct l4_loop *loop, uint32_t index, const struct l4_limits *limits)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limit *many = &limits->limits[L4_LIMIT_SOURCE_CONNECTIONS];
    const struct l4_limit *often = &limits->limits[L4_LIMIT_SOURCE_RATE];
    const uint64_t hash = source_hash(loop, s, limits), now_ns = loop->now_us * 1000;
    const uint32_t me = loop->setup.index, limit = (uint32_t)L4_GET(many->value);
    enum l4_source_answer answer = l4_source_take(loop->table, me, hash, limit, now_ns, &s->source);
    if (answer == L4_SOURCE_FULL) {
        if (!only_counted(loop, index, &many->verdict, L4_END_REJECTED_SOURCE_CONNECTIONS))
            return false;
        answer = l4_source_take(loop->table, me, hash, 0, now_ns, &s->source);
    }
    /* why: a source that finds no place is let in uncounted. Only somebody with a hundred thousand
     * addresses can fill the table, and limits for each address would not stop him. */
    if (answer != L4_SOURCE_TAKEN) {
        L4_OWN_ADD(loop->row->uncounted, 1);
        return true;
    }
    s->holds |= HOLDS_SOURCE;
    return !L4_GET(often->value) ||
           l4_rate_take(l4_source_full_ns(loop->table, s->source), now_ns, L4_GET(often->value),
                        L4_GET(often->burst)) ||
           only_counted(loop, index, &often->verdict, L4_END_REJECTED_SOURCE_RATE);
}

/* Who may not come in by where it is, and by which rule. */
static const struct l4_verdict *turned_away(const struct l4_loop *loop, const struct l4_edge *edge,
                                            const struct l4_addr *client, enum l4_reason *reason)
{
    const uint32_t needs = L4_GET(edge->needs);
    if (needs & L4_NEEDS_BLOCKS) {
        const uint8_t found = l4_access_find(loop->table, L4_SET_BLOCKS, client);
        *reason = L4_END_REJECTED_BLOCKED;
        if (found)
            return &loop->table->header->block_verdict[found & 1];
    }
    if (needs & L4_NEEDS_ACCESS) {
        *reason = L4_END_REJECTED_DENIED;
        if (l4_access_denies(loop->table, edge, client))
            return &edge->access;
    }
    return NULL;
}

bool l4_admit_client(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_edge *edge = edge_of(loop, s);
    const struct l4_limits *limits = &edge->limits;
    enum l4_reason reason;
    const struct l4_verdict *verdict = turned_away(loop, edge, &s->client, &reason);
    if (verdict && !only_counted(loop, index, verdict, reason))
        return false;
    if (!(L4_GET(edge->needs) & L4_NEEDS_LIMITS))
        return true;
    if (counts_sources(limits->limits) && !admit_source(loop, index, limits))
        return false;
    return l4_admit_place(loop, index) && admit_rate(loop, index, limits);
}

/* ---- again ----------------------------------------------------------------------------------- */

/* Counts it wherever its listener counts by now and it is not counted yet, without limits. */
static void count_in(struct l4_loop *loop, uint32_t index, bool knows_source)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limits *limits = &edge_of(loop, s)->limits;
    const uint32_t me = loop->setup.index;
    if (L4_GET(limits->limits[L4_LIMIT_CONNECTIONS].value) && !(s->holds & HOLDS_LISTENER) &&
        l4_count_take_listener(loop->table, me, L4_GET(limits->head), 0))
        s->holds |= HOLDS_LISTENER;
    if (!knows_source || !counts_sources(limits->limits))
        return;
    const uint64_t hash = source_hash(loop, s, limits);
    if (s->holds & HOLDS_SOURCE) {
        if (l4_source_is(loop->table, s->source, hash))
            return;
        l4_source_drop(loop->table, me, s->source);
        s->holds &= (uint8_t)~HOLDS_SOURCE;
    }
    if (l4_source_take(loop->table, me, hash, 0, loop->now_us * 1000, &s->source) ==
        L4_SOURCE_TAKEN)
        s->holds |= HOLDS_SOURCE;
}

void l4_admit_again(struct l4_loop *loop, uint32_t index)
{
    count_in(loop, index, true);
    if (L4_GET(edge_of(loop, l4_session_at(loop, index))->needs) & L4_NEEDS_PACE)
        l4_pace_begin(loop, index);
}

void l4_admit_recount(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        const struct l4_session *s = l4_session_at(loop, i);
        if (s->serial && L4_GET(s->state) != L4_SESSION_TARPITS)
            count_in(loop, i, l4_front_knows_source(s));
    }
}

_Atomic uint64_t *l4_admit_source_spent(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->holds & HOLDS_SOURCE ? l4_source_spent_ns(loop->table, s->source) : NULL;
}

void l4_admit_leave(struct l4_loop *loop, struct l4_session *s)
{
    if (s->holds & HOLDS_LISTENER)
        l4_count_drop_listener(loop->table, loop->setup.index,
                               L4_GET(edge_of(loop, s)->limits.head));
    if (s->holds & HOLDS_SOURCE)
        l4_source_drop(loop->table, loop->setup.index, s->source);
    s->holds = 0;
}
