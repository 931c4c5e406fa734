#include "run/account.h"

#include "base/assert.h"
#include "base/hash.h"
#include "core/talkers.h"
#include "http/account.h"
#include "io/sock.h"
#include "run/row.h"
#include "shm/ring.h"

bool l4_account_is_clean(unsigned reason)
{
    return reason == L4_END_CLIENT_FIN || reason == L4_END_BACKEND_FIN;
}

static void count_end(const struct l4_table *table, uint32_t worker, const struct l4_outcome *o)
{
    L4_OWN_ADD(l4_table_worker(table, worker)->ended[o->reason], 1);
    if (o->listener == L4_NONE)
        return;
    struct l4_tally *tally = l4_table_tally(table, worker, o->listener);
    L4_OWN_ADD(tally->ended[o->reason], 1);
    if (!o->reached && !o->by_request)
        L4_OWN_ADD(tally->refused, 1);
}

/* The rows of UDP sessions follow those of TCP sessions. */
static bool is_udp(const struct l4_table *table, const struct l4_outcome *o)
{
    return o->serial && o->slot >= table->plan.caps.sessions;
}

static void measure_session(const struct l4_table *table, uint32_t worker,
                            const struct l4_outcome *o)
{
    struct l4_ledger *ledger = l4_table_ledger(table, worker, o->pool);
    l4_ledger_add(ledger, L4_MEASURE_SESSION_US, o->duration_us);
    if (o->queue_us)
        l4_ledger_add(ledger, L4_MEASURE_QUEUE_US, o->queue_us);
    if (!o->reached)
        return;
    if (!is_udp(table, o))
        l4_ledger_add(ledger, L4_MEASURE_CONNECT_US, o->connect_us);
    l4_ledger_add(ledger, L4_MEASURE_BYTES_IN, o->bytes_in);
    l4_ledger_add(ledger, L4_MEASURE_BYTES_OUT, o->bytes_out);
    if (o->first_byte_us)
        l4_ledger_add(ledger, L4_MEASURE_FIRST_BYTE_US, o->first_byte_us);
    if (!o->sampled)
        return;
    L4_OWN_ADD(ledger->sampled, 1);
    for (int side = 0; side < 2; side++) {
        if (o->rtt_us[side])
            l4_ledger_add(ledger, L4_MEASURE_CLIENT_RTT_US + side, o->rtt_us[side]);
        L4_OWN_ADD(ledger->retransmits[side], o->retransmits[side]);
    }
}

static bool is_logged(const struct l4_table *table, uint32_t worker, const struct l4_outcome *o)
{
    const struct l4_log_rule *rule = &l4_table_stats(table)->log_rule;
    /* why: a UDP session has no orderly end but silence. */
    const bool fell_silent = o->reason == L4_END_IDLE_TIMEOUT && is_udp(table, o);
    if (!l4_account_is_clean(o->reason) && !fell_silent)
        return true;
    if (L4_GET(rule->errors_only) || o->duration_us < 1000ull * L4_GET(rule->min_duration_ms))
        return false;
    const uint32_t share = L4_GET(rule->share);
    return share >= 65536 ||
           l4_hash_below(l4_hash_again(o->ended_us ^ o->serial, worker), 65536) < share;
}

/* Writes the session's end to the log, with what is known of its client. */
static void write_log(const struct l4_table *table, uint32_t worker, const struct l4_outcome *o)
{
    struct l4_log *log = l4_table_log(table, worker);
    struct l4_outcome entry = *o;
    const uint64_t place = l4_ring_next(&log->ring, L4_LOG_PLACES);
    if (o->serial && !is_udp(table, o) && place < L4_LOG_PLACES)
        entry.told = l4_client_info_read(
            table, worker, o->slot, l4_table_session(table, worker, o->slot), &log->told[place]);
    /* why: a full ring counts what it drops; there is nothing else to do here. */
    (void)L4_RING_PUT(log, ring, outcomes, &entry);
}

void l4_account_end(const struct l4_table *table, uint32_t worker, const struct l4_outcome *outcome)
{
    struct l4_stats *seen = l4_table_stats(table);
    L4_ASSERT(worker < table->plan.caps.workers && outcome->reason < L4_REASON_COUNT);
    count_end(table, worker, outcome);
    l4_talkers_note(l4_table_talkers(table, worker), &outcome->client, outcome->ended_us / 1000,
                    outcome->bytes_in + outcome->bytes_out,
                    /* a request's was told with the request */
                    l4_reason_is_rejection(outcome->reason) && outcome->by_request != L4_HTTP_ASKS);
    if (outcome->pool != L4_NONE && L4_GET(seen->measures))
        measure_session(table, worker, outcome);
    if (L4_GET(seen->log_rule.on) && !outcome->by_request && is_logged(table, worker, outcome))
        write_log(table, worker, outcome);
}

struct l4_outcome l4_account_describe(const struct l4_table *table, uint32_t slot,
                                      const struct l4_session *s, uint64_t now_us)
{
    struct l4_outcome outcome = {
        .ended_us = now_us,
        .duration_us = now_us > s->started_us ? now_us - s->started_us : 0,
        .bytes_in = L4_GET(s->bytes[0]),
        .bytes_out = L4_GET(s->bytes[L4_BACKEND]),
        .queue_us = s->queue_us,
        .connect_us = s->connect_us,
        .first_byte_us = s->first_byte_us,
        .slot = slot,
        .serial = L4_GET(s->serial),
        .listener = s->listener,
        .pool = s->pool,
        .backend = s->backend,
        .client = s->client,
        .error = s->error,
        .retries = s->attempts,
        .reached = L4_GET(s->state) == L4_SESSION_RELAY || L4_GET(s->state) == L4_SESSION_RESET,
        .by_request = s->http,
    };
    if (s->backend < table->plan.caps.backends)
        outcome.backend_serial = L4_GET(l4_table_backend(table, s->backend)->used);
    return outcome;
}

/* Returns how many of the bytes read from one side the other side's kernel has not
 * acknowledged. */
static uint32_t unacked(const struct l4_session *s, int from)
{
    const struct l4_half *to = &s->half[!from];
    const uint64_t moved = L4_GET(s->bytes[from]);
    uint64_t left = s->half[from].piped;
    if (!moved || to->fd < 0)
        return 0;
    const uint32_t sent = l4_sock_unacked(to->fd);
    left += sent && to->flags & L4_HALF_SHUT ? sent - 1 : sent; /* the FIN counts as one byte */
    left = left < moved ? left : moved;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

void l4_account_session(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_outcome outcome = l4_account_describe(loop->table, index, s, loop->now_us);
    L4_ASSERT(!s->accounted);
    outcome.reason = (uint8_t)reason;
    /* why: a failed attempt left its errno, which is of interest only if it ended the session. */
    if (reason != L4_END_ERROR && reason != L4_END_CONNECT_FAILED)
        outcome.error = 0;
    if (outcome.reached && outcome.serial % L4_TCP_FACTS_EVERY == 1 % L4_TCP_FACTS_EVERY) {
        outcome.sampled = 1;
        for (int side = 0; side < 2; side++)
            l4_sock_facts(s->half[side].fd, &outcome.rtt_us[side], &outcome.retransmits[side]);
    }
    for (int side = 0; outcome.reached && !l4_account_is_clean(reason) && side < 2; side++)
        outcome.unacked[side] = unacked(s, side);
    l4_account_end(loop->table, loop->setup.index, &outcome);
    s->accounted = 1;
}

bool l4_account_lost_one(const struct l4_table *table, uint32_t worker, uint32_t slot,
                         uint64_t now_us)
{
    struct l4_session *s = l4_table_session(table, worker, slot);
    const bool lost = L4_GET(s->serial) && !s->accounted;
    if (lost) {
        l4_account_request_lost(table, worker, slot, now_us);
        if (s->stream) { /* why: its connection is the session that was lost */
            L4_SET(s->serial, 0);
            return false;
        }
        struct l4_outcome outcome = l4_account_describe(table, slot, s, now_us);
        outcome.reason = L4_END_WORKER_DIED;
        l4_account_end(table, worker, &outcome);
    }
    L4_SET(s->serial, 0);
    return lost;
}

uint32_t l4_account_lost(const struct l4_table *table, uint32_t worker, bool with_udp,
                         uint64_t now_us)
{
    const struct l4_worker *row = l4_table_worker(table, worker);
    const struct l4_caps *caps = &table->plan.caps;
    const uint32_t tcp = L4_GET(row->sessions_high), udp = with_udp ? L4_GET(row->flows_high) : 0;
    uint32_t lost = 0;
    for (uint32_t i = 0; i < tcp && i < caps->sessions; i++)
        lost += l4_account_lost_one(table, worker, i, now_us);
    for (uint32_t i = 0; i < udp && i < caps->flows; i++)
        lost += l4_account_lost_one(table, worker, caps->sessions + i, now_us);
    return lost;
}
