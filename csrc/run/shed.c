#include "run/shed.h"

#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/talkers.h"
#include "run/delivery.h"
#include "run/session.h"
#include "run/shaping.h"
#include "shm/row_reuse.h"

/* ---- looking --------------------------------------------------------------------------------- */

static uint32_t source_of(const struct l4_loop *loop, const struct l4_addr *client)
{
    const struct l4_addr net = l4_talkers_source(client);
    const uint32_t hash = (uint32_t)l4_hash(&loop->table->header->hash_key, &net, sizeof net);
    return hash ? hash : 1;
}

/* Returns how long no byte of the session has moved; 0: it may not be ended for that. A session
 * that waits for a place at a backend, for its connect, or for its own bandwidth is not idle. */
static uint32_t idle_ms_of(const struct l4_loop *loop, const struct l4_session *s)
{
    const uint32_t state = L4_GET(s->state);
    const uint64_t active_ms = L4_GET(s->active_ms);
    const bool may_be = (state == L4_SESSION_RELAY && !(s->paced & L4_PACED_WAITS)) ||
                        state == L4_SESSION_RESET || state == L4_SESSION_PREREAD ||
                        state == L4_SESSION_TLS_CLIENT || state == L4_SESSION_TARPIT;
    if (!may_be || active_ms >= loop->now_ms) /* another worker may have read its clock later */
        return 0;
    return (uint32_t)(loop->now_ms - active_ms);
}

static bool sample_row(const struct l4_loop *loop, uint32_t worker, uint32_t at,
                       struct l4_shed_row *row)
{
    const struct l4_session *s = l4_table_session(loop->table, worker, at);
    const uint32_t serial = atomic_load_explicit(&s->serial, memory_order_acquire);
    if (!serial || L4_GET(s->state) == L4_SESSION_FREE)
        return false;
    *row = (struct l4_shed_row){.idle_ms = idle_ms_of(loop, s), .worker = worker, .at = at};
    const struct l4_addr client = s->client;
    atomic_thread_fence(memory_order_acquire);
    row->source = source_of(loop, &client);
    return L4_GET(s->serial) == serial;
}

static uint32_t rows_of(const struct l4_loop *loop, uint32_t worker)
{
    const uint32_t max = loop->table->plan.caps.sessions;
    const uint32_t high = L4_GET(l4_table_worker(loop->table, worker)->sessions_high);
    return high < max ? high : max;
}

/* Samples the rows of the workers [first, end): divides them into L4_SHED_LOOK equal parts and
 * takes one row of each part at random. If there are no more rows than that, takes all. Returns
 * how many of the rows have a session. */
static uint32_t sample_rows(struct l4_loop *loop, uint32_t first, uint32_t end,
                            struct l4_shed_row *rows)
{
    uint64_t total = 0, before = 0;
    uint32_t found = 0, worker = first;
    for (uint32_t w = first; w < end; w++)
        total += rows_of(loop, w);
    const uint64_t looks = total < L4_SHED_LOOK ? total : L4_SHED_LOOK;
    for (uint64_t i = 0; i < looks; i++) {
        const uint64_t from = i * total / looks, to = (i + 1) * total / looks;
        const uint64_t place =
            from + l4_hash_below(l4_random(&loop->random), (uint32_t)(to - from));
        while (worker + 1 < end && place >= before + rows_of(loop, worker))
            before += rows_of(loop, worker++);
        found += sample_row(loop, worker, (uint32_t)(place - before), &rows[found]);
    }
    L4_ASSERT(found <= L4_SHED_LOOK);
    return found;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Returns the source in 64 bits, as the supervisor gets it: an IPv4 address, or the network of an
 * IPv6 address. */
static uint64_t packed(const struct l4_addr *client)
{
    const struct l4_addr net = l4_talkers_source(client);
    uint64_t bits = 0;
    for (int i = 0; i < (net.family == AF_INET6 ? 8 : 4); i++)
        bits = bits << 8 | net.ip[i];
    return bits;
}

static void report_shed(struct l4_loop *loop, const struct l4_addr *client)
{
    if (loop->now_ms < loop->shed.told_ms + L4_SHED_TELL_MS)
        return;
    const uint32_t count = loop->shed.untold < 0xffffff ? loop->shed.untold : 0xffffff;
    loop->shed.told_ms = loop->now_ms;
    loop->shed.untold = 0;
    l4_loop_event(loop, L4_EVENT_SHED, (uint32_t)client->family << 24 | count, packed(client));
}

/* Ends one session. Returns false if the session is not idle after all, because its peer still
 * acknowledges bytes. */
static bool end_idle(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(index < loop->fresh);
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_addr client = s->client;
    if (L4_GET(s->state) == L4_SESSION_RELAY && l4_delivery_look(loop, index))
        return false;
    /* why: a session in the tarpit keeps the reason for which it was turned away; only its time
     * there is cut short. */
    const bool held = L4_GET(s->state) == L4_SESSION_TARPIT;
    l4_session_end(loop, index, held ? (enum l4_reason)s->reason : L4_END_SHED);
    loop->shed.untold++;
    report_shed(loop, &client);
    return true;
}

/* Asks another worker to end `count` sessions of this source. A later request replaces an earlier
 * one: a worker that still finds no room asks again. */
static void ask_worker(const struct l4_loop *loop, uint32_t worker, uint32_t source, uint32_t count)
{
    atomic_store(&l4_table_worker(loop->table, worker)->shed_asked, (uint64_t)source << 32 | count);
    l4_loop_ring_worker(loop, worker);
}

static enum l4_shed_answer make_room(struct l4_loop *loop, uint32_t idle_ms, uint32_t waiting,
                                     bool everywhere)
{
    struct l4_shed_row rows[L4_SHED_LOOK];
    uint32_t chosen[L4_SHED_BATCH], asked[L4_WORKERS_MAX] = {0}, ended = 0;
    const uint32_t me = loop->setup.index, high = l4_table_workers_high(loop->table);
    const uint32_t found =
        everywhere ? sample_rows(loop, 0, high, rows) : sample_rows(loop, me, me + 1, rows);
    const uint32_t max = waiting < L4_SHED_BATCH ? waiting : L4_SHED_BATCH;
    const uint32_t count = l4_shed_choose(rows, found, idle_ms, max, chosen);
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_shed_row *row = &rows[chosen[i]];
        if (row->worker != me) {
            asked[row->worker]++;
            continue;
        }
        ended += end_idle(loop, row->at);
    }
    for (uint32_t w = 0; w < high; w++) {
        if (asked[w])
            ask_worker(loop, w, rows[chosen[0]].source, asked[w]);
    }
    return ended ? L4_SHED_ENDED : count ? L4_SHED_ASKED : L4_SHED_NOTHING;
}

enum l4_shed_answer l4_shed(struct l4_loop *loop, uint32_t waiting, bool everywhere)
{
    const uint32_t idle_ms = L4_GET(loop->table->header->shed_idle_ms);
    const uint64_t turn = L4_GET(loop->row->turns);
    if (!idle_ms || !waiting || loop->draining)
        return L4_SHED_NOTHING;
    if (loop->shed.turn != turn)
        loop->shed.answer = make_room(loop, idle_ms, waiting, everywhere);
    loop->shed.turn = turn;
    return (enum l4_shed_answer)loop->shed.answer;
}

void l4_shed_asked(struct l4_loop *loop)
{
    if (!L4_GET(loop->row->shed_asked))
        return;
    const uint64_t asked = atomic_exchange(&loop->row->shed_asked, 0);
    const uint32_t idle_ms = L4_GET(loop->table->header->shed_idle_ms), me = loop->setup.index;
    struct l4_shed_row rows[L4_SHED_LOOK];
    uint32_t chosen[L4_SHED_BATCH];
    if (!idle_ms || !asked)
        return;
    const uint32_t max = (uint32_t)asked < L4_SHED_BATCH ? (uint32_t)asked : L4_SHED_BATCH;
    const uint32_t count = l4_shed_longest(rows, sample_rows(loop, me, me + 1, rows),
                                           (uint32_t)(asked >> 32), idle_ms, max, chosen);
    for (uint32_t i = 0; i < count; i++)
        (void)end_idle(loop, rows[chosen[i]].at);
}

void l4_shed_turn(struct l4_loop *loop)
{
    if (!loop->shed.pressed)
        return;
    loop->shed.pressed = false;
    if (loop->now_ms < loop->shed.next_ms)
        return;
    loop->shed.next_ms = loop->now_ms + L4_RESOURCE_RETRY_MS;
    (void)l4_shed(loop, 1, true);
}
