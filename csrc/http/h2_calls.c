#include "http/h2_calls.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "core/token_bucket.h"

/* ---- doing something too often --------------------------------------------------------------- */

static bool is_allowed(struct l4_h2_conn *conn, enum l4_h2_abuse kind, uint64_t burst,
                       uint64_t a_second)
{
    if (l4_rate_take(&conn->buckets[kind], conn->room->now_ms * 1000000, a_second, burst))
        return true;
    conn->abuse = (uint8_t)kind;
    return false;
}

static bool is_frame_allowed(struct l4_h2_conn *conn, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        return is_allowed(conn, L4_ABUSE_RESETS, L4_H2_RESETS, L4_H2_RESETS_A_S);
    case NGHTTP2_SETTINGS:
        return frame->hd.flags & NGHTTP2_FLAG_ACK ||
               is_allowed(conn, L4_ABUSE_SETTINGS, L4_H2_FRAMES, L4_H2_FRAMES_A_S);
    case NGHTTP2_PING:
        return is_allowed(conn, L4_ABUSE_PING, L4_H2_FRAMES, L4_H2_FRAMES_A_S);
    case NGHTTP2_DATA:
        return frame->data.hd.length > frame->data.padlen ||
               frame->hd.flags & NGHTTP2_FLAG_END_STREAM ||
               is_allowed(conn, L4_ABUSE_EMPTY_DATA, L4_H2_FRAMES, L4_H2_FRAMES_A_S);
    default:
        return true;
    }
}

/* ---- a header list --------------------------------------------------------------------------- */

static struct l4_h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* Resets a stream in the middle of its header list. */
static int reset_list(nghttp2_session *session, int32_t id, uint32_t code)
{
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code)
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static struct l4_h2_stream *take_stream(struct l4_h2_conn *conn, int32_t id)
{
    struct l4_h2 *h2 = conn->room;
    struct l4_h2_stream *stream = h2->free;
    if (stream)
        h2->free = stream->next;
    else if (h2->fresh < h2->count)
        stream = &h2->streams[h2->fresh++];
    else
        return NULL;
    *stream = (struct l4_h2_stream){
        .conn = conn, .id = id, .session = L4_NONE, .flags = L4_H2_NEW, .next = conn->streams};
    if (conn->streams)
        conn->streams->prev = stream;
    conn->streams = stream;
    return stream;
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct l4_h2_conn *conn = user;
    conn->list_of = frame->hd.stream_id;
    conn->list_ms = conn->room->now_ms;
    conn->list_bytes = 0;
    conn->head.fields = 0;
    if (!is_request(frame))
        return 0;
    if (!conn->text) {
        conn->text = l4_h2_alloc(conn->room, NULL, L4_H2_LIST_FIRST);
        conn->text_size = L4_H2_LIST_FIRST;
    }
    struct l4_h2_stream *stream = conn->text ? take_stream(conn, frame->hd.stream_id) : NULL;
    if (!stream)
        return reset_list(session, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    l4_h2_head_begin(&conn->head, conn->text, conn->text_size);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    return 0;
}

/* Grows the memory for the list. Without more of it, the list is too large. */
static void grow_text(struct l4_h2_conn *conn, size_t needs)
{
    uint32_t size = conn->text_size;
    while (size - conn->head.used < needs && size < L4_HTTP_BLOCK_BYTES)
        size *= 2;
    char *text = size > conn->text_size ? l4_h2_alloc(conn->room, conn->text, size) : conn->text;
    if (!text)
        return;
    conn->text = conn->head.text = text;
    conn->text_size = conn->head.size = size;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user)
{
    struct l4_h2_conn *conn = user;
    (void)flags;
    conn->list_bytes += (uint32_t)(name_bytes + value_bytes + 32); /* RFC 9113, 6.5.2 */
    if (conn->list_bytes > L4_H2_LIST_BYTES) {
        conn->abuse = L4_ABUSE_LIST;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (!is_request(frame)) /* trailers are dropped */
        return 0;
    if (conn->head.size - conn->head.used < l4_h2_head_needs(name_bytes, value_bytes))
        grow_text(conn, l4_h2_head_needs(name_bytes, value_bytes));
    return l4_h2_head_put(&conn->head, (struct l4_text){(const char *)name, name_bytes},
                          (struct l4_text){(const char *)value, value_bytes})
               ? 0
               : reset_list(session, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_bytes, const uint8_t *value,
                             size_t value_bytes, uint8_t flags, void *user)
{
    (void)name, (void)name_bytes, (void)value, (void)value_bytes, (void)flags, (void)user;
    return reset_list(session, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
}

/* Keeps bytes for the engine. */
static bool keep(struct l4_h2_stream *stream, const char *bytes, size_t count)
{
    struct l4_h2 *h2 = stream->conn->room;
    if (stream->in_at && stream->in_at + stream->in_have + count > stream->in_size) {
        memmove(stream->in, stream->in + stream->in_at, stream->in_have);
        stream->in_at = 0;
    }
    if (stream->in_have + count > stream->in_size) {
        uint32_t size = stream->in_size ? stream->in_size : 1024;
        while (size < stream->in_have + count)
            size *= 2;
        char *in = l4_h2_alloc(h2, stream->in, size);
        if (!in)
            return false;
        stream->in = in;
        stream->in_size = size;
    }
    memcpy(stream->in + stream->in_at + stream->in_have, bytes, count);
    stream->in_have += (uint32_t)count;
    return true;
}

/* The list of a request is whole: the engine gets it as a head. */
static int end_list(nghttp2_session *session, struct l4_h2_conn *conn, const nghttp2_frame *frame)
{
    struct l4_h2_stream *stream = stream_of(session, frame->hd.stream_id);
    const struct l4_h2_head *head = &conn->head;
    const bool has_body = !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (!stream || stream->flags & L4_H2_RELEASED)
        return 0;
    if (!l4_h2_head_is_whole(head))
        return reset_list(session, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR) ==
                       NGHTTP2_ERR_CALLBACK_FAILURE
                   ? NGHTTP2_ERR_CALLBACK_FAILURE
                   : 0;
    char *to = l4_h2_alloc(conn->room, NULL, head->used + L4_H2_FRAME_ROOM);
    if (!to)
        return NGHTTP2_ERR_NOMEM;
    stream->in = to;
    stream->in_size = head->used + L4_H2_FRAME_ROOM;
    stream->in_have = stream->in_head = (uint32_t)l4_h2_head_write(head, has_body, to);
    stream->flags |=
        (uint16_t)((has_body && !head->has_length ? L4_H2_CHUNKED : 0) |
                   (head->full ? L4_H2_TOO_LARGE : 0) |
                   (head->method_bytes == 4 && !memcmp(head->method, "HEAD", 4) ? L4_H2_HEAD : 0));
    conn->requests++;
    l4_h2_wake(stream, EPOLLIN | EPOLLOUT);
    if (conn->text_size > L4_H2_LIST_FIRST) {
        l4_h2_free(conn->room, conn->text);
        conn->text = NULL;
    }
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct l4_h2_conn *conn = user;
    if (!is_frame_allowed(conn, frame))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.type == NGHTTP2_WINDOW_UPDATE || frame->hd.type == NGHTTP2_SETTINGS)
        conn->opened = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        conn->list_ms = 0;
    const int error = is_request(frame) ? end_list(session, conn, frame) : 0;
    struct l4_h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (!error && stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        stream->flags |= L4_H2_ENDED;
        l4_h2_wake(stream, EPOLLIN);
    }
    return error;
}

/* why here: nghttp2 tells no more of a frame that it ignores. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user)
{
    (void)session;
    return head->type != NGHTTP2_PRIORITY ||
                   is_allowed(user, L4_ABUSE_PRIORITY, L4_H2_PRIORITIES, L4_H2_PRIORITIES_A_S)
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t count, void *user)
{
    struct l4_h2_stream *stream = stream_of(session, id);
    (void)flags, (void)user;
    if (!stream || stream->flags & L4_H2_RELEASED)
        return nghttp2_session_consume(session, id, count) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    if (!keep(stream, (const char *)bytes, count))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    l4_h2_wake(stream, EPOLLIN);
    return 0;
}

/* The end of an answer has left: a client that still sends its request may stop. */
static void told_end(struct l4_h2_stream *stream)
{
    stream->flags |= L4_H2_SENT_END;
    if (!(stream->flags & L4_H2_ENDED) && stream->flags & L4_H2_RELEASED)
        l4_h2_reset(stream, NGHTTP2_NO_ERROR);
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct l4_h2_conn *conn = user;
    struct l4_h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM && !(stream && stream->flags & L4_H2_CUT)) {
        (void)is_allowed(conn, L4_ABUSE_PROVOKED, L4_H2_PROVOKED, L4_H2_PROVOKED_A_S);
        if (stream)
            stream->provoked = (uint8_t)frame->rst_stream.error_code;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        conn->abuse == L4_NO_ABUSE)
        conn->abuse = L4_ABUSE_PROTOCOL;
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        told_end(stream);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct l4_h2_conn *conn = user;
    struct l4_h2_stream *stream = stream_of(session, id);
    if (conn->list_of == id) /* why: nghttp2 does not tell of a list that is malformed */
        conn->list_ms = 0;
    if (!stream)
        return 0;
    const bool whole = !(stream->flags & L4_H2_NEW) || stream->flags & L4_H2_WOKEN;
    stream->flags |= L4_H2_CLOSED;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (stream->flags & L4_H2_RELEASED || !whole) {
        conn->malformed += !whole && !(stream->flags & L4_H2_RELEASED);
        l4_h2_forget(conn->room, stream);
    } else if (code != NGHTTP2_NO_ERROR || !(stream->flags & L4_H2_SENT_END))
        l4_h2_wake(stream, EPOLLERR | EPOLLHUP);
    return 0;
}

/* ---- an answer's body ------------------------------------------------------------------------ */

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is nghttp2's */
ssize_t l4_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct l4_h2_stream *stream = source->ptr;
    (void)session, (void)id, (void)to, (void)user;
    const size_t room = l4_h2_room_for_frame(stream->conn);
    size_t bytes = stream->out_bytes < max ? stream->out_bytes : max;
    bytes = bytes < room ? bytes : room;
    const bool last =
        stream->flags & L4_H2_COMPLETE ? bytes == stream->out_bytes : bytes == stream->left;
    if (!bytes && !last)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (last ? NGHTTP2_DATA_FLAG_EOF : 0u);
    return (ssize_t)bytes;
}

/* Frames what l4_h2_read_body has announced. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t bytes, nghttp2_data_source *source, void *user)
{
    struct l4_h2_conn *conn = user;
    struct l4_h2_stream *stream = source->ptr;
    (void)session;
    L4_ASSERT(frame->data.padlen == 0 && bytes <= stream->out_bytes);
    L4_ASSERT(conn->out_used + L4_H2_FRAME_HEAD + bytes <= L4_H2_OUT_BYTES + L4_H2_OUT_SLACK);
    memcpy(conn->out + conn->out_used, head, L4_H2_FRAME_HEAD);
    if (bytes) { /* the end of a body may come alone, without a buffer */
        memcpy(conn->out + conn->out_used + L4_H2_FRAME_HEAD, stream->out, bytes);
        stream->out += bytes;
        stream->out_bytes -= bytes;
    }
    conn->out_used += L4_H2_FRAME_HEAD + (uint32_t)bytes;
    if (stream->left != UINT64_MAX)
        stream->left -= bytes;
    return 0;
}

void l4_h2_set_calls(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}
