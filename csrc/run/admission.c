#include "run/admission.h"

#include "base/assert.h"
#include "core/access.h"
#include "core/token_bucket.h"
#include "http/serve.h"
#include "http/user_limits.h"
#include "io/sock.h"
#include "run/shaping.h"
#include "shm/source_limits.h"

/* ---- turning away ---------------------------------------------------------------------------- */

struct l4_step l4_admission_refuse(const struct l4_loop *loop, struct l4_session *s,
                                   enum l4_reason reason, enum l4_refusal refusal)
{
    L4_ASSERT(s->half[L4_CLIENT].fd >= 0 && s->backend == L4_NONE);
    if (refusal == L4_REFUSE_TARPIT && loop->tarpits < L4_TARPITS_MAX)
        return l4_go_to_end(L4_SESSION_TARPIT, reason);
    if (refusal == L4_REFUSE_DROP) {
        l4_sock_vanish(s->half[L4_CLIENT].fd);
        s->half[L4_CLIENT].fd = -1;
    }
    return l4_end(reason);
}

static void note_dry_run(const struct l4_loop *loop, const struct l4_session *s,
                         enum l4_reason reason)
{
    L4_OWN_ADD(l4_row_tally(loop, s)->dry_run[reason - L4_REJECTED_FIRST], 1);
}

/* A rule turns the client away. Answers L4_STAY if the rule is in dry run: the client may go
 * on. */
static struct l4_step refuse_by(struct l4_loop *loop, uint32_t index,
                                const struct l4_verdict *verdict, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT((uint32_t)reason - L4_REJECTED_FIRST < L4_REJECTED_COUNT);
    if (!L4_GET(verdict->dry_run))
        return l4_admission_refuse(loop, s, reason, (enum l4_refusal)L4_GET(verdict->refusal));
    note_dry_run(loop, s, reason);
    return l4_stay();
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct l4_step l4_admission_place(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limits *limits = &l4_row_policy(loop, s)->limits;
    const struct l4_limit *many = &limits->limits[L4_LIMIT_CONNECTIONS];
    const uint32_t limit = (uint32_t)L4_GET(many->value), head = L4_GET(limits->head);
    if (!limit || s->holds & L4_HOLDS_LISTENER)
        return l4_stay();
    bool taken = l4_count_take_listener(loop->table, loop->setup.index, head, limit);
    if (!taken) {
        const struct l4_step step =
            refuse_by(loop, index, &many->verdict, L4_END_REJECTED_CONNECTIONS);
        if (step.kind != L4_STAY)
            return step;
        taken = l4_count_take_listener(loop->table, loop->setup.index, head, 0);
    }
    if (taken)
        s->holds |= L4_HOLDS_LISTENER;
    return l4_stay();
}

/* Takes one of the new connections that the listener's rate limit allows. */
static struct l4_step admit_rate(struct l4_loop *loop, uint32_t index,
                                 const struct l4_limits *limits)
{
    const struct l4_limit *often = &limits->limits[L4_LIMIT_RATE];
    struct l4_listener *counts = l4_table_listener(loop->table, L4_GET(limits->head));
    if (!L4_GET(often->value) || l4_rate_take(&counts->edge.limits.full_ns, loop->now_us * 1000,
                                              L4_GET(often->value), L4_GET(often->burst)))
        return l4_stay();
    return refuse_by(loop, index, &often->verdict, L4_END_REJECTED_RATE);
}

static bool counts_sources(const struct l4_limit *limits)
{
    return L4_GET(limits[L4_LIMIT_SOURCE_CONNECTIONS].value) ||
           L4_GET(limits[L4_LIMIT_SOURCE_RATE].value) ||
           L4_GET(limits[L4_LIMIT_SOURCE_BANDWIDTH].value);
}

uint64_t l4_admission_source(const struct l4_loop *loop, const struct l4_session *s,
                             const struct l4_addr *client, uint64_t salt)
{
    const struct l4_limits *limits = &l4_row_policy(loop, s)->limits;
    const uint32_t prefix =
        client->family == AF_INET6 ? L4_GET(limits->prefix6) : L4_GET(limits->prefix4);
    const struct l4_addr net = l4_addr_network(client, prefix);
    return l4_hash_again(l4_hash(&loop->table->header->hash_key, &net, sizeof net), salt);
}

/* Returns the key by which the session is counted among those of its source. */
static uint64_t source_hash(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_admission_source(loop, s, &s->client, L4_GET(l4_row_policy(loop, s)->limits.head));
}

/* Takes a place among the source's sessions, and one of the new connections that its rate limit
 * allows. */
static struct l4_step admit_source(struct l4_loop *loop, uint32_t index,
                                   const struct l4_limits *limits)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limit *many = &limits->limits[L4_LIMIT_SOURCE_CONNECTIONS];
    const struct l4_limit *often = &limits->limits[L4_LIMIT_SOURCE_RATE];
    const uint64_t hash = source_hash(loop, s), now_ns = loop->now_us * 1000;
    const uint32_t me = loop->setup.index, limit = (uint32_t)L4_GET(many->value);
    L4_ASSERT(!(s->holds & L4_HOLDS_SOURCE));
    enum l4_source_answer answer = l4_source_take(loop->table, me, hash, limit, now_ns, &s->source);
    if (answer == L4_SOURCE_FULL) {
        const struct l4_step step =
            refuse_by(loop, index, &many->verdict, L4_END_REJECTED_SOURCE_CONNECTIONS);
        if (step.kind != L4_STAY)
            return step;
        answer = l4_source_take(loop->table, me, hash, 0, now_ns, &s->source);
    }
    /* why: a source for which the table has no entry left is let in uncounted. Only an attacker
     * with a hundred thousand addresses can fill the table, and limits for each address would not
     * stop him. */
    if (answer != L4_SOURCE_TAKEN) {
        L4_OWN_ADD(loop->row->uncounted, 1);
        return l4_stay();
    }
    s->holds |= L4_HOLDS_SOURCE;
    if (!L4_GET(often->value) || l4_rate_take(l4_source_full_ns(loop->table, s->source), now_ns,
                                              L4_GET(often->value), L4_GET(often->burst)))
        return l4_stay();
    return refuse_by(loop, index, &often->verdict, L4_END_REJECTED_SOURCE_RATE);
}

static const struct l4_verdict *blocked(const struct l4_loop *loop, const struct l4_addr *client)
{
    const uint8_t found = l4_access_find(loop->table, L4_SET_BLOCKS, client);
    return found ? &loop->table->header->block_verdict[found & 1] : NULL;
}

/* Returns the rule that turns the client away by its address, with *reason set; NULL if it may
 * come in. A rule in dry run counts, and does not keep the next one from being asked. */
static const struct l4_verdict *turned_away(const struct l4_loop *loop, const struct l4_session *s,
                                            uint32_t needs, const struct l4_addr *client,
                                            enum l4_reason *reason)
{
    const struct l4_policy *edge = l4_row_policy(loop, s);
    const struct l4_verdict *verdict = needs & L4_NEEDS_BLOCKS ? blocked(loop, client) : NULL;
    *reason = L4_END_REJECTED_BLOCKED;
    if (verdict && L4_GET(verdict->dry_run)) {
        note_dry_run(loop, s, *reason);
        verdict = NULL;
    }
    if (verdict || !(needs & L4_NEEDS_ACCESS) || !l4_access_denies(loop->table, edge, client))
        return verdict;
    *reason = L4_END_REJECTED_DENIED;
    if (!L4_GET(edge->access.dry_run))
        return &edge->access;
    note_dry_run(loop, s, *reason);
    return NULL;
}

struct l4_step l4_admission_client(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_policy *edge = l4_row_policy(loop, s);
    const struct l4_limits *limits = &edge->limits;
    enum l4_reason reason;
    struct l4_step step = l4_stay();
    uint32_t needs = L4_GET(edge->needs);
    /* why: the list is about the clients that a proxy speaks for: l4_admission_request. */
    if (needs & L4_NEEDS_ACCESS && needs & L4_NEEDS_REQUEST && l4_serve_trusts(loop, s))
        needs &= ~(uint32_t)L4_NEEDS_ACCESS;
    const struct l4_verdict *verdict = turned_away(loop, s, needs, &s->client, &reason);
    if (verdict)
        step = refuse_by(loop, index, verdict, reason);
    if (step.kind != L4_STAY || !(needs & L4_NEEDS_LIMITS))
        return step;
    if (counts_sources(limits->limits))
        step = admit_source(loop, index, limits);
    if (step.kind == L4_STAY)
        step = l4_admission_place(loop, index);
    return step.kind == L4_STAY ? admit_rate(loop, index, limits) : step;
}

enum l4_reason l4_admission_request(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_policy *edge = l4_row_policy(loop, s);
    const uint32_t needs = L4_GET(edge->needs);
    enum l4_reason reason;
    if (!(needs & (L4_NEEDS_BLOCKS | L4_NEEDS_ACCESS)) || !l4_serve_trusts(loop, s))
        return L4_END_NONE;
    return turned_away(loop, s, needs, l4_row_client(loop, s), &reason) ? reason : L4_END_NONE;
}

/* ---- again ----------------------------------------------------------------------------------- */

/* Counts the session, without limits, wherever its listener counts sessions by now and this one is
 * not counted yet. */
static void count_in(struct l4_loop *loop, uint32_t index, bool knows_source)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limits *limits = &l4_row_policy(loop, s)->limits;
    const uint32_t me = loop->setup.index;
    if (L4_GET(limits->limits[L4_LIMIT_CONNECTIONS].value) && !(s->holds & L4_HOLDS_LISTENER) &&
        l4_count_take_listener(loop->table, me, L4_GET(limits->head), 0))
        s->holds |= L4_HOLDS_LISTENER;
    if (!knows_source || !counts_sources(limits->limits))
        return;
    const uint64_t hash = source_hash(loop, s);
    if (s->holds & L4_HOLDS_SOURCE) {
        if (l4_source_is(loop->table, s->source, hash))
            return;
        l4_source_drop(loop->table, me, s->source);
        s->holds &= (uint8_t)~L4_HOLDS_SOURCE;
    }
    if (l4_source_take(loop->table, me, hash, 0, loop->now_us * 1000, &s->source) ==
        L4_SOURCE_TAKEN)
        s->holds |= L4_HOLDS_SOURCE;
}

void l4_admission_again(struct l4_loop *loop, uint32_t index)
{
    count_in(loop, index, true);
    if (L4_GET(l4_row_policy(loop, l4_session_at(loop, index))->needs) & L4_NEEDS_PACE)
        l4_shaping_begin(loop, index);
}

void l4_admission_recount(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        const struct l4_session *s = l4_session_at(loop, i);
        if (s->serial && !s->stream && L4_GET(s->state) != L4_SESSION_TARPIT)
            count_in(loop, i, !(s->wants & L4_WANTS_PROXY));
    }
}

void l4_admission_leave(struct l4_loop *loop, struct l4_session *s)
{
    if (s->holds & L4_HOLDS_LISTENER)
        l4_count_drop_listener(loop->table, loop->setup.index,
                               L4_GET(l4_row_policy(loop, s)->limits.head));
    if (s->holds & L4_HOLDS_SOURCE)
        l4_source_drop(loop->table, loop->setup.index, s->source);
    l4_user_drop(loop, s);
    s->holds = 0;
}
