#include "packet/sweep.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/effective_weight.h"
#include "core/passive.h"
#include "packet/published.h"
#include "packet/tracked.h"
#include "shm/ring.h"

enum phase {
    RESTS,
    FLOWS,   /* over the proven flows */
    YOUNG,   /* over the others */
    TRACKED, /* over what this process knows: ends those that are gone or idle */
};

/* ---- entries of the kernel ------------------------------------------------------------------- */

/* Do packets of this entry go to where those of the key come from? */
static bool leads_to(const struct l4_forward_flow *flow, const struct l4_forward_key *key)
{
    return memcmp(flow->to, key->from, sizeof key->from) == 0 &&
           memcmp(flow->from, key->to, sizeof key->to) == 0 && flow->to_port == key->from_port &&
           flow->from_port == key->to_port;
}

/* Takes a flow's entries out. flow: the client's. */
static void take_out(const struct l4_forwarder *f, const struct l4_forward_key *key,
                     const struct l4_forward_flow *flow)
{
    const bool one_way = flow->mode == L4_FORWARD_MAC || flow->mode == L4_FORWARD_IPIP;
    struct l4_forward_flow back;
    struct l4_forward_key twin = {.from_port = flow->to_port,
                                  .to_port = flow->from_port,
                                  .protocol = key->protocol,
                                  .family = key->family};
    memcpy(twin.from, flow->to, sizeof twin.from);
    memcpy(twin.to, flow->from, sizeof twin.to);
    for (int map = L4_FORWARD_MAP_YOUNG; map <= L4_FORWARD_MAP_FLOWS; map++) {
        (void)l4_bpf_drop(f->maps[map], key);
        /* why asked: another flow may have these ends by now. */
        if (!one_way && l4_bpf_get(f->maps[map], &twin, &back) == 0 && leads_to(&back, key))
            (void)l4_bpf_drop(f->maps[map], &twin);
    }
}

/* Finds the client's entry of a flow. */
static bool find(const struct l4_forwarder *f, const struct l4_forward_key *key,
                 struct l4_forward_flow *flow)
{
    return l4_bpf_get(f->maps[L4_FORWARD_MAP_FLOWS], key, flow) == 0 ||
           l4_bpf_get(f->maps[L4_FORWARD_MAP_YOUNG], key, flow) == 0;
}

static void take_out_tracked(const struct l4_forwarder *f, const struct l4_tracked *t)
{
    struct l4_forward_key key;
    struct l4_forward_flow flow;
    l4_tracked_key(t, &key);
    if (find(f, &key, &flow))
        take_out(f, &key, &flow);
}

/* Has the young flow been idle for too long? */
static bool is_stale(const struct l4_forwarder *f, const struct l4_forward_flow *flow)
{
    return l4_forward_seen_ms(flow->seen_ns) + L4_FORWARDER_YOUNG_MS < f->now_us / 1000;
}

static void look_at(struct l4_forwarder *f, const struct l4_forward_key *key,
                    const struct l4_forward_flow *flow, bool young)
{
    const bool reply = flow->flags & L4_FORWARD_REPLY;
    /* Of young ones only answered datagrams are sessions: others may be made up. */
    if (!young || (key->protocol == IPPROTO_UDP &&
                   (flow->flags & L4_FORWARD_ANSWERED || (reply && flow->packets))))
        l4_tracked_see(f, key, flow);
    else if (is_stale(f, flow))
        (void)l4_bpf_drop(f->maps[L4_FORWARD_MAP_YOUNG], key);
}

/* Looks at the next entries of a map. Returns 1 when all have been seen, or -errno. */
static int walk(struct l4_forwarder *f, bool young)
{
    uint32_t next = 0, count = L4_FORWARDER_SLICE;
    const int map = f->maps[young ? L4_FORWARD_MAP_YOUNG : L4_FORWARD_MAP_FLOWS];
    const int error = bpf_map_lookup_batch(map, f->batch_begun ? &f->batch : NULL, &next, f->keys,
                                           f->values, &count, NULL);
    const bool last = error == -ENOENT;
    if (error && !last)
        return error;
    for (uint32_t i = 0; i < count; i++)
        look_at(f, &f->keys[i], &f->values[i], young);
    f->batch = next;
    f->batch_begun = true;
    return last;
}

/* ---- ends ------------------------------------------------------------------------------------ */

void l4_forwarder_end(struct l4_forwarder *f, uint32_t row, unsigned reason)
{
    struct l4_tracked *t = &f->memory->rows[row];
    take_out_tracked(f, t);
    if (t->state == L4_TRACKED_LIVE)
        l4_tracked_end(f, row, reason);
    l4_tracked_forget(f, row);
}

static uint64_t idle_allowed(const struct l4_forwarder *f, const struct l4_tracked *t)
{
    const uint32_t row = l4_published_pool(f, t->pool);
    const bool reset = (t->flags[0] | t->flags[1]) & L4_FORWARD_RESET;
    if (t->state == L4_TRACKED_CLOSED || (reset && t->protocol == IPPROTO_TCP))
        return L4_FORWARDER_LINGER_MS;
    if (row == L4_NONE)
        return UINT64_MAX;
    const struct l4_pool *pool = l4_table_pool(f->table, row);
    const uint32_t ms =
        t->protocol == IPPROTO_UDP ? L4_GET(pool->udp.idle_ms) : L4_GET(pool->idle_timeout_ms);
    return ms ? ms : UINT64_MAX;
}

/* A UDP flow leaves a backend that is down, and its client's next datagram begins another. */
static bool must_move(const struct l4_forwarder *f, const struct l4_tracked *t)
{
    const uint32_t pool = l4_published_pool(f, t->pool);
    const uint32_t row = l4_published_backend(f, t->backend);
    if (t->protocol != IPPROTO_UDP || t->state != L4_TRACKED_LIVE)
        return false;
    if (pool != L4_NONE && L4_GET(l4_table_pool(f->table, pool)->udp.keep_down))
        return false;
    if (row == L4_NONE)
        return true;
    const struct l4_backend *b = l4_table_backend(f->table, row);
    const bool try_all =
        pool != L4_NONE && L4_GET(l4_table_pool(f->table, pool)->all_down) == L4_TRY_ALL;
    return !try_all && (L4_GET(b->health) == L4_DOWN || l4_passive_ejected(b, f->now_us / 1000));
}

static void look_at_tracked(struct l4_forwarder *f, uint32_t row)
{
    struct l4_tracked *t = &f->memory->rows[row];
    if (t->state == L4_TRACKED_FREE)
        return;
    if (must_move(f, t)) {
        l4_forwarder_end(f, row, L4_END_BACKEND_DOWN);
        return;
    }
    struct l4_forward_key key;
    struct l4_forward_flow flow;
    if (t->turn != f->turn) {
        /* why look again: an entry that moved during the walk was perhaps not seen. */
        l4_tracked_key(t, &key);
        if (find(f, &key, &flow) && flow.began_ns / 1000 == t->began_us) {
            l4_tracked_see(f, &key, &flow);
        } else {
            if (t->state == L4_TRACKED_LIVE)
                l4_tracked_end(f, row, l4_tracked_reason(t));
            l4_tracked_forget(f, row);
            return;
        }
    }
    if (t->state == L4_TRACKED_LIVE && (t->flags[0] | t->flags[1]) & L4_FORWARD_CLOSED)
        l4_tracked_end(f, row, l4_tracked_reason(t)); /* its entries stay for a while */
    const uint64_t allowed = idle_allowed(f, t), now_ms = f->now_us / 1000;
    if (allowed == UINT64_MAX || t->seen_ms + allowed > now_ms)
        return;
    /* why look again: a packet may have come since the walk. */
    l4_tracked_key(t, &key);
    if (find(f, &key, &flow) && l4_forward_seen_ms(flow.seen_ns) + allowed > now_ms)
        return;
    const unsigned reason = l4_tracked_reason(t);
    l4_forwarder_end(f, row, reason == L4_END_EVICTED ? L4_END_IDLE_TIMEOUT : reason);
}

/* Looks at the next tracked flows. Returns true when all have been seen. */
static bool walk_tracked(struct l4_forwarder *f)
{
    const uint32_t end = f->at + 16 * L4_FORWARDER_SLICE;
    for (; f->at < f->memory->high && f->at < end; f->at++)
        look_at_tracked(f, f->at);
    return f->at >= f->memory->high;
}

/* ---- commands and events --------------------------------------------------------------------- */

static void obey(struct l4_forwarder *f, const struct l4_command *command)
{
    const unsigned reason = command->op == L4_CMD_STOP ? command->reason : L4_END_KILLED;
    for (uint32_t i = 0; i < f->memory->high; i++) {
        const struct l4_tracked *t = &f->memory->rows[i];
        if (t->state != L4_TRACKED_LIVE)
            continue;
        const bool meant =
            command->op == L4_CMD_STOP ||
            (command->op == L4_CMD_KILL && t->slot == command->slot &&
             t->serial == command->serial) ||
            (command->op == L4_CMD_KILL_BACKEND && t->counted_backend == command->slot);
        if (meant)
            l4_forwarder_end(f, i, reason < L4_REASON_COUNT ? reason : L4_END_KILLED);
    }
}

static void take_commands(struct l4_forwarder *f)
{
    struct l4_worker *row = l4_table_worker(f->table, f->worker);
    struct l4_command command;
    for (uint32_t i = 0; i < L4_COMMANDS && L4_RING_TAKE(row, command_ring, commands, &command);
         i++)
        obey(f, &command);
}

/* A closed flow whose ports were used again before the walk came to it. */
static int take_event(void *context, void *data, size_t bytes)
{
    struct l4_forwarder *f = context;
    const struct l4_forward_event *event = data;
    if (bytes < sizeof *event)
        return 0;
    l4_tracked_see(f, &event->key, &event->ways[0]);
    if (event->ways[1].flags) {
        struct l4_forward_key twin = {.protocol = event->key.protocol, .family = event->key.family};
        l4_tracked_see(f, &twin, &event->ways[1]);
    }
    return 0;
}

/* ---- slices ---------------------------------------------------------------------------------- */

int l4_sweep_open(struct l4_forwarder *f)
{
    f->events = ring_buffer__new(f->maps[L4_FORWARD_MAP_EVENTS], take_event, f, NULL);
    return f->events ? 0 : -errno;
}

void l4_sweep_close(struct l4_forwarder *f)
{
    if (f->events)
        ring_buffer__free(f->events);
}

int l4_sweep_slice(struct l4_forwarder *f)
{
    const uint64_t now_ms = f->now_us / 1000;
    int done = 0;
    take_commands(f);
    (void)ring_buffer__consume(f->events);
    if (f->down) {
        f->down = false;
        for (uint32_t i = 0; i < f->memory->high; i++)
            if (must_move(f, &f->memory->rows[i]))
                l4_forwarder_end(f, i, L4_END_BACKEND_DOWN);
    }
    switch (f->phase) {
    case RESTS:
        if (now_ms < f->next_turn_ms)
            return 0;
        f->next_turn_ms = now_ms + L4_FORWARDER_TURN_MS;
        f->turn++;
        l4_published_totals(f);
        done = 1;
        break;
    case FLOWS:
    case YOUNG:
        done = walk(f, f->phase == YOUNG);
        break;
    default:
        done = walk_tracked(f);
        break;
    }
    if (done < 0) {
        f->phase = RESTS;
        return done;
    }
    if (done) {
        f->phase = f->phase == TRACKED ? RESTS : f->phase + 1;
        f->batch_begun = false;
        f->at = 0;
    }
    return 0;
}
