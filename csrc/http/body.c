#include "http/body.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/h1.h"
#include "io/stream_ops.h"

struct l4_body l4_body_of(const struct l4_h1_head *head, enum l4_framing goes, uint64_t max)
{
    const bool told = head->framing == L4_FRAMING_LENGTH;
    const uint64_t allowed = head->framing == L4_FRAMING_CHUNKED ? (max ? max : UINT64_MAX) : 0;
    return (struct l4_body){
        .comes = head->framing,
        .goes = (uint8_t)goes,
        .done = head->framing == L4_FRAMING_NONE || (told && head->length == 0),
        .left = told ? head->length : allowed,
    };
}

/* ---- coding ---------------------------------------------------------------------------------- */

/* Moves the data of all chunks in `from` together at `to`. Sets *used. */
static bool decode(struct l4_body *body, const char *from, size_t count, char *to, size_t *bytes,
                   size_t *used)
{
    size_t at = 0;
    *bytes = 0;
    while (!body->done) {
        size_t taken;
        struct l4_text data;
        const enum l4_chunks_result result =
            l4_chunks_next(&body->chunks, from + at, count - at, &taken, &data);
        if (result == L4_CHUNKS_DATA) {
            memmove(to + *bytes, data.at, data.bytes);
            *bytes += data.bytes;
        }
        at += taken;
        if (result == L4_CHUNKS_BAD)
            return false;
        body->done = result == L4_CHUNKS_DONE;
        if (result == L4_CHUNKS_MORE)
            break;
    }
    *used = at;
    return true;
}

/* Frames `bytes` bytes at `data` as one chunk, and the last chunk behind it if the body is done. */
static void encode(const struct l4_body *body, char *data, size_t bytes, struct l4_coded *coded)
{
    char head[L4_CHUNK_HEAD_MAX];
    coded->at = data;
    coded->bytes = bytes;
    if (bytes) {
        const size_t size = l4_chunk_head(head, bytes);
        L4_ASSERT(size <= L4_CODE_BEFORE / 2);
        coded->at -= size;
        memcpy(coded->at, head, size);
        coded->bytes += size;
        memcpy(coded->at + coded->bytes, L4_CHUNK_END, 2);
        coded->bytes += 2;
    }
    if (body->done) {
        memcpy(coded->at + coded->bytes, L4_CHUNKS_END, 5);
        coded->bytes += 5;
    }
}

bool l4_body_code(struct l4_body *body, char *data, size_t count, struct l4_coded *coded)
{
    size_t bytes = count;
    char *to = data;
    L4_ASSERT(!body->done || body->comes == L4_FRAMING_NONE);
    coded->used = count;
    if (body->comes == L4_FRAMING_LENGTH || body->comes == L4_FRAMING_NONE) {
        bytes = coded->used = count < body->left ? count : (size_t)body->left;
        body->left -= bytes;
        body->done = body->left == 0;
    } else if (body->comes == L4_FRAMING_CHUNKED) {
        /* why to the left: the last chunk that is written may be longer than what was read of it in
         * this piece, and must not cover the bytes behind it. */
        to = data - L4_CODE_BEFORE / 2;
        if (!decode(body, data, count, to, &bytes, &coded->used))
            return false;
        body->over = bytes > body->left;
        if (body->over)
            return false;
        body->left -= bytes;
    }
    body->bytes += bytes;
    coded->data = (struct l4_text){to, bytes};
    if (body->goes == L4_FRAMING_CHUNKED) {
        encode(body, to, bytes, coded);
    } else {
        coded->at = to;
        coded->bytes = bytes;
    }
    return true;
}

void l4_body_code_end(struct l4_body *body, char *data, struct l4_coded *coded)
{
    body->done = true;
    *coded = (struct l4_coded){.at = data};
    if (body->goes == L4_FRAMING_CHUNKED)
        encode(body, data, 0, coded);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static bool is_cut(const struct l4_half *from)
{
    return from->flags & (L4_HALF_EOF | L4_HALF_RESET);
}

/* Through the pump: what is read is what is sent. */
static enum l4_body_result pump(const struct l4_loop *loop, struct l4_half *from,
                                struct l4_half *to, struct l4_body *body, uint64_t *moved)
{
    struct l4_pump part = loop->pump;
    const uint32_t most = l4_pump_turn(&loop->pump);
    part.keeps_open = true;
    part.max = body->comes == L4_FRAMING_LENGTH && body->left < most ? (uint32_t)body->left : most;
    const enum l4_pump_result result = l4_pump(&part, from, to, moved);
    L4_ASSERT(body->comes != L4_FRAMING_LENGTH || *moved <= body->left);
    body->bytes += *moved;
    if (body->comes == L4_FRAMING_LENGTH) {
        body->left -= *moved;
        body->done = body->left == 0;
    } else {
        body->done = from->flags & L4_HALF_EOF;
    }
    if (result == L4_PUMP_LOST)
        return L4_BODY_LOST;
    if (!body->done && is_cut(from))
        return L4_BODY_ENDED;
    return result == L4_PUMP_MORE ? L4_BODY_MORE : L4_BODY_WAITS;
}

/* Notes in the flags how a read ended. Returns false if the sender has ended or failed. */
static bool goes_on(struct l4_half *from, ssize_t got)
{
    if (got < 0 && errno == EBUSY)
        return true;
    from->flags &= (uint16_t)~L4_HALF_IN;
    if (got == 0)
        from->flags |= L4_HALF_EOF;
    else if (errno != EAGAIN)
        from->flags |= L4_HALF_RESET;
    return !is_cut(from);
}

static enum l4_body_result send_coded(const struct l4_pump *pump, struct l4_half *from,
                                      struct l4_half *to, const struct l4_coded *coded)
{
    if (!coded->bytes)
        return L4_BODY_MORE;
    struct l4_pump part = *pump;
    part.scratch = coded->at;
    switch (l4_io_of(to)->pass(&part, from, to, coded->bytes)) {
    case L4_PUMP_LOST:
        return L4_BODY_LOST;
    case L4_PUMP_MORE:
        return L4_BODY_MORE;
    default:
        return L4_BODY_WAITS;
    }
}

/* Reads once, codes, and sends. */
static enum l4_body_result copy_once(const struct l4_loop *loop, struct l4_half *from,
                                     struct l4_half *to, struct l4_body *body,
                                     struct l4_body_read *read, uint64_t *moved)
{
    struct l4_pump in = loop->pump;
    const size_t room =
        l4_io_of(to)->max < L4_HTTP_COPY_BYTES ? l4_io_of(to)->max : (size_t)L4_HTTP_COPY_BYTES;
    size_t max = room - L4_CODE_BEFORE - L4_CODE_BEHIND;
    struct l4_coded coded;
    const size_t left = (size_t)(l4_pump_turn(&loop->pump) - *moved);
    const size_t turn = left > L4_HTTP_EXTRA_MIN ? left : L4_HTTP_EXTRA_MIN; /* why: as below */
    if (read->most < max)
        max = read->most;
    if (turn < max)
        max = turn;
    if (body->comes == L4_FRAMING_LENGTH && body->left < max)
        max = (size_t)body->left;
    in.scratch += L4_CODE_BEFORE;
    const ssize_t got = l4_io_of(from)->receive(&in, from, to, max);
    if (got <= 0) {
        if (goes_on(from, got))
            return L4_BODY_WAITS;
        if (body->comes != L4_FRAMING_UNTIL_CLOSE || from->flags & L4_HALF_RESET)
            return L4_BODY_ENDED;
        l4_body_code_end(body, in.scratch, &coded);
        return send_coded(&loop->pump, from, to, &coded);
    }
    *moved += (uint64_t)got;
    if (read->keep) {
        memcpy(read->keep, in.scratch, (size_t)got);
        read->keep += got;
        read->most -= (size_t)got;
    }
    if (!l4_body_code(body, in.scratch, (size_t)got, &coded))
        return L4_BODY_BAD;
    if (read->take)
        read->take(read->take_loop, read->take_index, coded.data);
    read->extra_at = in.scratch + coded.used;
    read->extra = (size_t)got - coded.used;
    return send_coded(&loop->pump, from, to, &coded);
}

enum l4_body_result l4_body_move(const struct l4_loop *loop, struct l4_half *from,
                                 struct l4_half *to, struct l4_body *body,
                                 struct l4_body_read *read, uint64_t *moved)
{
    const bool as_it_is = body->comes == body->goes && body->comes != L4_FRAMING_CHUNKED;
    *moved = 0;
    read->extra = 0;
    L4_ASSERT(!body->done);
    /* why not with TLS: a read of the pump takes whole records, and a record may go beyond the
     * body. */
    if (as_it_is && !(from->flags & L4_HALF_TLS) && !read->keep && !read->take)
        return pump(loop, from, to, body, moved);
    if (from->piped || to->flags & L4_HALF_UNSENT)
        l4_pump_flush(&loop->pump, from, to);
    enum l4_body_result result = L4_BODY_MORE;
    while (result == L4_BODY_MORE && !body->done && *moved < l4_pump_turn(&loop->pump)) {
        if (from->piped || to->flags & L4_HALF_UNSENT || !(from->flags & L4_HALF_IN) ||
            !(to->flags & L4_HALF_OUT))
            return L4_BODY_WAITS;
        if (from->pipe == L4_NO_PIPE && !l4_pipes_ready(loop->pump.pipes))
            return L4_BODY_NO_PIPE;
        /* why a minimum: HTTP/2 reads nothing into less than a chunk's framing needs. */
        if (read->keep && body->comes == L4_FRAMING_CHUNKED && read->most < L4_HTTP_EXTRA_MIN)
            return L4_BODY_MORE;
        result = copy_once(loop, from, to, body, read, moved);
    }
    return result;
}
