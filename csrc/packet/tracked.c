#include "packet/tracked.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "packet/published.h"
#include "run/account.h"
#include "run/stage.h"
#include "shm/count.h"
#include "shm/row_reuse.h"
#include "shm/session_stats.h"

enum { TCP_ROWS, UDP_ROWS };

/* ---- keys ------------------------------------------------------------------------------------ */

static struct l4_addr addr_of(const uint8_t ip[16], uint16_t port, uint8_t family)
{
    struct l4_addr addr = {.family = family == 4 ? AF_INET : AF_INET6, .port = ntohs(port)};
    memcpy(addr.ip, ip, sizeof addr.ip);
    return addr;
}

static struct l4_flow_key index_key(const struct l4_tracked *t)
{
    return (struct l4_flow_key){.client = t->client, .local = t->local, .subflow = t->protocol};
}

void l4_tracked_key(const struct l4_tracked *tracked, struct l4_forward_key *key)
{
    memset(key, 0, sizeof *key);
    memcpy(key->from, tracked->client.ip, sizeof key->from);
    memcpy(key->to, tracked->local.ip, sizeof key->to);
    key->from_port = htons(tracked->client.port);
    key->to_port = htons(tracked->local.port);
    key->protocol = (uint8_t)tracked->protocol;
    key->family = tracked->client.family == AF_INET ? 4 : 6;
}

/* ---- session rows ---------------------------------------------------------------------------- */

static uint32_t room_of(const struct l4_forwarder *f, int kind)
{
    return kind == TCP_ROWS ? f->table->plan.caps.sessions : f->table->plan.caps.flows;
}

static uint32_t take_slot(struct l4_forwarder *f, int kind)
{
    struct l4_worker *row = l4_table_worker(f->table, f->worker);
    const uint32_t first = kind == TCP_ROWS ? 0 : f->table->plan.caps.sessions;
    if (f->free_count[kind])
        return f->free_slots[kind][--f->free_count[kind]];
    if (f->fresh_slots[kind] >= room_of(f, kind))
        return L4_NONE;
    const uint32_t slot = f->fresh_slots[kind]++;
    L4_SET(*(kind == TCP_ROWS ? &row->sessions_high : &row->flows_high), f->fresh_slots[kind]);
    return first + slot;
}

static int kind_of(const struct l4_tracked *t)
{
    return t->protocol == IPPROTO_UDP ? UDP_ROWS : TCP_ROWS;
}

/* Shows the flow as a session. */
static void show(struct l4_forwarder *f, struct l4_tracked *t)
{
    t->slot = take_slot(f, kind_of(t));
    if (t->slot == L4_NONE)
        return;
    struct l4_session *s = l4_table_session(f->table, f->worker, t->slot);
    s->listener = l4_published_listener(f, t->listener);
    s->pool = l4_published_pool(f, t->pool);
    s->backend = l4_published_backend(f, t->backend);
    s->client = t->client;
    s->half[0] = s->half[1] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    s->started_us = t->began_us;
    s->connect_us = s->queue_us = s->first_byte_us = 0;
    s->attempts = 0;
    s->reason = L4_END_NONE;
    s->http = 0;
    s->stream = 0;
    s->accounted = 1; /* this process records its end */
    s->error = 0;
    s->known = s->wants = s->holds = 0;
    L4_SET(s->state, L4_SESSION_RELAY);
    L4_SET(s->bytes[0], t->bytes[0]);
    L4_SET(s->bytes[1], t->bytes[1]);
    L4_SET(s->active_ms, t->seen_ms);
    atomic_store_explicit(&s->serial, t->serial, memory_order_release);
    L4_OWN_ADD(l4_table_worker(f->table, f->worker)->held, 1);
}

static void hide(struct l4_forwarder *f, struct l4_tracked *t)
{
    if (t->slot == L4_NONE)
        return;
    const int kind = kind_of(t);
    struct l4_session *s = l4_table_session(f->table, f->worker, t->slot);
    L4_SET(s->state, L4_SESSION_FREE);
    atomic_store_explicit(&s->serial, 0, memory_order_release);
    f->free_slots[kind][f->free_count[kind]++] =
        t->slot; /* each slot is in use or here, so there is room */
    t->slot = L4_NONE;
    L4_OWN_ADD(l4_table_worker(f->table, f->worker)->held, -1u);
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* Counts a live flow. first: nobody has counted it before. */
static void count_in(struct l4_forwarder *f, struct l4_tracked *t, bool first)
{
    struct l4_worker *row = l4_table_worker(f->table, f->worker);
    const uint32_t listener = l4_published_listener(f, t->listener);
    const uint32_t backend = l4_published_backend(f, t->backend);
    if (t->protocol == IPPROTO_UDP)
        (void)l4_count_take_flow(f->table, f->worker, UINT32_MAX);
    else
        (void)l4_count_take_client(f->table, f->worker, UINT32_MAX);
    if (first)
        L4_OWN_ADD(row->accepted, 1);
    if (listener != L4_NONE) {
        struct l4_tally *tally = l4_table_tally(f->table, f->worker, listener);
        L4_OWN_ADD(tally->active, 1);
        if (first)
            L4_OWN_ADD(tally->accepted, 1);
    }
    if (backend != L4_NONE) {
        l4_count_join(f->table, f->worker, backend);
        if (first)
            L4_OWN_ADD(l4_table_column(f->table, f->worker, backend)->total, 1);
    }
    t->counted_listener = listener;
    t->counted_backend = backend;
}

static void count_out(struct l4_forwarder *f, const struct l4_tracked *t)
{
    if (t->protocol == IPPROTO_UDP)
        l4_count_drop_flow(f->table, f->worker);
    else
        l4_count_drop_client(f->table, f->worker);
    if (t->counted_listener != L4_NONE)
        L4_OWN_ADD(l4_table_tally(f->table, f->worker, t->counted_listener)->active, -1u);
    if (t->counted_backend != L4_NONE)
        l4_count_drop_backend(f->table, f->worker, t->counted_backend);
}

/* ---- seen and ended -------------------------------------------------------------------------- */

/* Copies what an entry has counted. */
static void note(struct l4_forwarder *f, struct l4_tracked *t, const struct l4_forward_flow *flow)
{
    const int side = flow->flags & L4_FORWARD_REPLY ? 1 : 0;
    const uint64_t seen_ms = l4_forward_seen_ms(flow->seen_ns);
    t->turn = f->turn;
    t->flags[side] = flow->flags;
    t->bytes[side] = flow->bytes;
    t->packets[side] = flow->packets;
    if (seen_ms > t->seen_ms)
        t->seen_ms = seen_ms;
    if (t->slot == L4_NONE)
        return;
    struct l4_session *s = l4_table_session(f->table, f->worker, t->slot);
    L4_SET(s->bytes[side], flow->bytes);
    L4_SET(s->active_ms, t->seen_ms);
}

unsigned l4_tracked_reason(const struct l4_tracked *t)
{
    const uint32_t flags = t->flags[0] | t->flags[1];
    if (!(flags & (L4_FORWARD_CLOSED | L4_FORWARD_RESET)))
        return L4_END_EVICTED;
    if (t->flags[0] & L4_FORWARD_RESET)
        return L4_END_CLIENT_RESET;
    if (t->flags[1] & L4_FORWARD_RESET)
        return L4_END_BACKEND_RESET;
    return t->flags[0] & L4_FORWARD_FIRST ? L4_END_CLIENT_FIN : L4_END_BACKEND_FIN;
}

static struct l4_tracked *begin(struct l4_forwarder *f, const struct l4_flow_key *key,
                                const struct l4_forward_flow *flow)
{
    const uint32_t row = l4_flows_add(&f->index, key);
    if (row == L4_NONE)
        return NULL;
    struct l4_tracked *t = &f->memory->rows[row];
    if (row >= f->memory->high)
        f->memory->high = row + 1;
    *t = (struct l4_tracked){
        .client = key->client,
        .local = key->local,
        .listener = flow->listener,
        .pool = flow->pool,
        .backend = flow->backend,
        .protocol = (uint16_t)key->subflow,
        .slot = L4_NONE,
        .serial = ++f->memory->serial ? f->memory->serial : ++f->memory->serial,
        .began_us = flow->began_ns / 1000,
    };
    /* why last: a process that died before has not counted it either. */
    count_in(f, t, true);
    t->state = L4_TRACKED_LIVE;
    show(f, t);
    return t;
}

void l4_tracked_see(struct l4_forwarder *f, const struct l4_forward_key *key,
                    const struct l4_forward_flow *flow)
{
    const bool reply = flow->flags & L4_FORWARD_REPLY;
    if (flow->mode == L4_FORWARD_UDP)
        return; /* a worker's */
    struct l4_flow_key found = {.subflow = key->protocol};
    found.client = reply ? addr_of(flow->to, flow->to_port, key->family)
                         : addr_of(key->from, key->from_port, key->family);
    found.local = reply ? addr_of(flow->from, flow->from_port, key->family)
                        : addr_of(key->to, key->to_port, key->family);
    const uint32_t row = l4_flows_find(&f->index, &found);
    struct l4_tracked *t = row == L4_NONE ? begin(f, &found, flow) : &f->memory->rows[row];
    if (!t)
        return;
    const uint64_t began_us = flow->began_ns / 1000;
    if (t->began_us > began_us)
        return;                   /* an event that came late */
    if (t->began_us < began_us) { /* another flow with the same ends */
        const uint32_t old = (uint32_t)(t - f->memory->rows);
        if (t->state == L4_TRACKED_LIVE)
            l4_tracked_end(f, old, l4_tracked_reason(t));
        l4_tracked_forget(f, old);
        t = begin(f, &found, flow);
    }
    if (t)
        note(f, t, flow);
}

void l4_tracked_end(struct l4_forwarder *f, uint32_t row, unsigned reason)
{
    struct l4_tracked *t = &f->memory->rows[row];
    L4_ASSERT(t->state == L4_TRACKED_LIVE);
    struct l4_outcome outcome = {
        .ended_us = f->now_us,
        .duration_us = f->now_us > t->began_us ? f->now_us - t->began_us : 0,
        .bytes_in = t->bytes[0],
        .bytes_out = t->bytes[1],
        .slot = t->slot,
        .serial = t->slot == L4_NONE ? 0 : t->serial,
        .listener = t->counted_listener,
        .pool = l4_published_pool(f, t->pool),
        .backend = t->counted_backend,
        .backend_serial = L4_NONE,
        .client = t->client,
        .reason = (uint8_t)reason,
        .reached = 1,
    };
    if (t->counted_backend != L4_NONE)
        outcome.backend_serial = L4_GET(l4_table_backend(f->table, t->counted_backend)->used);
    if (t->counted_backend != L4_NONE && reason == L4_END_BACKEND_RESET)
        L4_OWN_ADD(l4_table_column(f->table, f->worker, t->counted_backend)->resets, 1);
    t->state = L4_TRACKED_CLOSED;
    l4_account_end(f->table, f->worker, &outcome);
    count_out(f, t);
    hide(f, t);
}

void l4_tracked_forget(struct l4_forwarder *f, uint32_t row)
{
    struct l4_tracked *t = &f->memory->rows[row];
    L4_ASSERT(t->state == L4_TRACKED_CLOSED);
    t->state = L4_TRACKED_FREE;
    l4_flows_remove(&f->index, row);
}

/* ---- open and close -------------------------------------------------------------------------- */

/* Takes over what an earlier process has tracked. */
static void adopt(struct l4_forwarder *f)
{
    for (uint32_t i = 0; i < f->memory->high; i++) {
        struct l4_tracked *t = &f->memory->rows[i];
        if (t->state == L4_TRACKED_FREE)
            continue;
        const struct l4_flow_key key = index_key(t);
        l4_flows_restore(&f->index, i, &key);
        t->slot = L4_NONE;
        t->turn = f->turn;
        if (t->state != L4_TRACKED_LIVE)
            continue;
        count_in(f, t, false);
        show(f, t);
    }
}

int l4_tracked_open(struct l4_forwarder *f, int memory_fd)
{
    struct stat status;
    if (fstat(memory_fd, &status) || status.st_size < (off_t)sizeof *f->memory)
        return -EINVAL;
    f->memory_bytes = (uint64_t)status.st_size;
    void *at = mmap(NULL, f->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    f->memory = at;
    const uint64_t room = (f->memory_bytes - sizeof *f->memory) / sizeof *f->memory->rows;
    const uint32_t capacity = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
    f->memory->capacity = capacity;
    if (f->memory->high > capacity)
        return -EINVAL;
    for (int kind = TCP_ROWS; kind <= UDP_ROWS; kind++) {
        f->free_slots[kind] = malloc((room_of(f, kind) + 1ull) * sizeof *f->free_slots[kind]);
        if (!f->free_slots[kind])
            return -ENOMEM;
    }
    const int error = l4_flows_init(&f->index, capacity, &f->table->header->hash_key);
    if (!error)
        adopt(f);
    return error;
}

void l4_tracked_close(struct l4_forwarder *f)
{
    if (f->memory)
        munmap(f->memory, f->memory_bytes);
    if (f->index.nodes)
        l4_flows_close(&f->index);
    free(f->free_slots[TCP_ROWS]);
    free(f->free_slots[UDP_ROWS]);
}
