#include "http/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/http_route.h"
#include "http/body.h"
#include "http/serve.h"

enum { WAKE_BYTES = L4_RECORD_RING_BYTES / 4 }; /* the recorder looks now and then anyway */

/* ---- memory ---------------------------------------------------------------------------------- */

int l4_recording_start(struct l4_loop *loop)
{
    struct l4_recordings *recordings = calloc(1, sizeof *recordings);
    loop->http->recordings = recordings;
    if (!recordings)
        return -ENOMEM;
    recordings->rows = calloc(loop->table->plan.caps.sessions, sizeof *recordings->rows);
    return recordings->rows ? 0 : -ENOMEM;
}

void l4_recording_finish(struct l4_loop *loop)
{
    struct l4_recordings *recordings = loop->http->recordings;
    if (!recordings)
        return;
    if (recordings->ring)
        munmap(recordings->ring, sizeof *recordings->ring);
    free(recordings->rows);
    free(recordings);
    loop->http->recordings = NULL;
}

/* This worker's ring, mapped when it is first needed; NULL: there is none. */
static struct l4_record_ring *ring_of(const struct l4_loop *loop)
{
    struct l4_recordings *recordings = loop->http->recordings;
    const off_t at = (off_t)(loop->setup.index * sizeof(struct l4_record_ring));
    if (recordings->ring || loop->setup.record_fd <= 0)
        return recordings->ring;
    void *memory = mmap(NULL, sizeof *recordings->ring, PROT_READ | PROT_WRITE, MAP_SHARED,
                        loop->setup.record_fd, at);
    if (memory == MAP_FAILED)
        return NULL;
    recordings->ring = memory;
    recordings->begun = loop->now_us; /* why: a worker before this one has begun others */
    return memory;
}

static struct l4_recording *row_of(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->recordings->rows[index];
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Puts a piece, and wakes the recorder when much waits for it. */
static bool put(struct l4_loop *loop, uint32_t index, struct l4_record_piece piece,
                const struct l4_text *texts, size_t count)
{
    struct l4_record_ring *ring = ring_of(loop);
    const uint64_t one = 1;
    if (!ring)
        return false;
    const uint64_t before = L4_GET(ring->head);
    piece.slot = index;
    piece.number = row_of(loop, index)->number;
    for (size_t i = 0; i < count; i++)
        piece.bytes += (uint32_t)texts[i].bytes;
    if (!l4_record_put(ring, &piece, texts, count))
        return false;
    if (before / WAKE_BYTES != L4_GET(ring->head) / WAKE_BYTES)
        (void)!write(loop->setup.record_wake_fd, &one, sizeof one);
    return true;
}

/* Keeps bytes of a body from this offset on. */
static void keep(struct l4_loop *loop, uint32_t index, enum l4_side side, uint64_t from,
                 struct l4_text data)
{
    struct l4_recording *r = row_of(loop, index);
    const struct l4_record_piece piece = {.kind = side == L4_CLIENT ? L4_RECORD_REQUEST
                                                                    : L4_RECORD_BODY};
    if (r->closed[side])
        return;
    L4_ASSERT(from <= r->seen[side]);
    if (data.bytes <= r->seen[side] - from)
        return;
    data = l4_text_after(data, (size_t)(r->seen[side] - from));
    const uint64_t room = r->most - r->seen[side];
    r->closed[side] = data.bytes > room;
    if (r->closed[side])
        data.bytes = (size_t)room;
    while (data.bytes) {
        struct l4_text part = data;
        if (part.bytes > L4_RECORD_PIECE_MAX)
            part.bytes = L4_RECORD_PIECE_MAX;
        if (!put(loop, index, piece, &part, 1)) {
            r->closed[side] = true; /* why: there must be no gap */
            return;
        }
        r->seen[side] += part.bytes;
        data = l4_text_after(data, part.bytes);
    }
}

/* ---- what the stages show -------------------------------------------------------------------- */

static void begin(struct l4_loop *loop, uint32_t index, struct l4_text rule, struct l4_text record,
                  uint64_t most)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_record_ring *ring = ring_of(loop);
    const struct l4_text head = {l4_http_block(loop->http, x->block), x->head_bytes};
    const struct l4_text texts[] = {rule, record, head};
    const struct l4_record_piece piece = {.kind = L4_RECORD_BEGIN,
                                          .rule_bytes = (uint8_t)rule.bytes,
                                          .record_bytes = (uint8_t)record.bytes};
    if (!ring)
        return;
    *row_of(loop, index) =
        (struct l4_recording){.number = ++loop->http->recordings->begun, .most = most};
    if (put(loop, index, piece, texts, sizeof texts / sizeof *texts))
        x->flags |= L4_X_RECORDED;
    else
        L4_OWN_ADD(ring->refused, 1);
}

void l4_recording_choose(struct l4_loop *loop, uint32_t index,
                         const struct l4_router_request *request)
{
    const uint32_t listener = l4_session_at(loop, index)->listener;
    struct l4_router_request own = *request;
    struct l4_router_recording found;
    struct l4_http_choice choice;
    char names[2][L4_RECORD_NAME_MAX];
    struct l4_text text[2];
    if (!l4_http_has_recordings(loop->table, listener) ||
        l4_exchange_at(loop, index)->method == L4_METHOD_CONNECT) /* nothing of it is in clear */
        return;
    own.random = (uint32_t)(l4_random(&loop->random) >> 32);
    do {
        if (!l4_http_recording_choose(loop->table, listener, &own, &choice, &found))
            return;
        text[0] = l4_router_text(&choice.memory, choice.answer.route.name);
        text[1] = l4_router_text(&choice.memory, found.record);
        for (int i = 0; i < 2; i++) {
            if (text[i].bytes > sizeof names[i])
                text[i].bytes = sizeof names[i];
            l4_text_copy(names[i], text[i]);
            text[i].at = names[i];
        }
    } while (!l4_http_route_stays(loop->table, &choice));
    const uint32_t slot = choice.answer.route.slot;
    if (slot < L4_HTTP_ROUTES_MAX)
        L4_OWN_ADD(*l4_table_route_hits(loop->table, loop->setup.index, slot), 1);
    begin(loop, index, text[0], text[1], found.max_body);
}

bool l4_recording_wants(const struct l4_loop *loop, uint32_t index, enum l4_side side)
{
    return l4_recording_is_on(loop, index) && !row_of(loop, index)->closed[side];
}

void l4_recording_up(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    if (l4_recording_is_on(loop, index))
        keep(loop, index, L4_CLIENT, l4_exchange_at(loop, index)->up.bytes - data.bytes, data);
}

void l4_recording_unread(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    char *rest = loop->http->written + L4_HTTP_WRITTEN_HEAD; /* nothing is written meanwhile */
    struct l4_coded coded = {0};
    const bool is_read = x->up.done && !(x->flags & L4_X_BAD_BODY);
    if (!l4_recording_wants(loop, index, L4_CLIENT) || is_read || x->up.bytes)
        return;
    if (x->head_bytes && x->block != L4_NONE && x->have > x->head_bytes) {
        const size_t have = x->have - x->head_bytes;
        const struct l4_h1_head *head = &l4_serve_judged(loop, index)->head;
        struct l4_body body = l4_body_of(head, (enum l4_framing)head->framing, 0);
        memcpy(rest, l4_http_block(loop->http, x->block) + x->head_bytes, have);
        if (!body.done && l4_body_code(&body, rest, have, &coded))
            keep(loop, index, L4_CLIENT, 0, coded.data);
        if (body.done)
            return;
    }
    row_of(loop, index)->closed[L4_CLIENT] = true;
}

void l4_recording_answer(struct l4_loop *loop, uint32_t index, struct l4_text text)
{
    const struct l4_record_piece piece = {.kind = L4_RECORD_ANSWER};
    struct l4_recording *r = row_of(loop, index);
    size_t scanned = 0;
    if (!l4_recording_is_on(loop, index))
        return;
    const long end = l4_h1_end(text.at, text.bytes, &scanned);
    const struct l4_text head = {text.at, end > 0 ? (size_t)end : text.bytes};
    r->seen[L4_BACKEND] = 0;
    r->closed[L4_BACKEND] = !put(loop, index, piece, &head, 1);
    l4_recording_down(loop, index, l4_text_after(text, head.bytes));
}

void l4_recording_down(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    if (l4_recording_is_on(loop, index))
        keep(loop, index, L4_BACKEND, row_of(loop, index)->seen[L4_BACKEND], data);
}

void l4_recording_end(struct l4_loop *loop, uint32_t index, const struct l4_request_end *end)
{
    const struct l4_recording *r = row_of(loop, index);
    const struct l4_record_piece piece = {
        .kind = L4_RECORD_END,
        .cut = (uint8_t)(r->closed[L4_CLIENT] << L4_CLIENT | r->closed[L4_BACKEND] << L4_BACKEND)};
    const struct l4_text text = {(const char *)end, sizeof *end};
    if (!l4_recording_is_on(loop, index))
        return;
    l4_exchange_at(loop, index)->flags &= ~(uint32_t)L4_X_RECORDED;
    /* why the result does not matter: the recorder ends it when the session's row is used again */
    (void)put(loop, index, piece, &text, 1);
}
