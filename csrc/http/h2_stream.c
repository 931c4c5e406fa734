#include "http/h2_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "core/chunks.h"
#include "core/h1.h"
#include "http/h2_calls.h"
#include "io/stream_ops.h"

static struct l4_h2_stream *stream_of(const struct l4_pump *pump, const struct l4_half *half)
{
    return l4_h2_stream_at(pump->h2, l4_half_stream(half));
}

/* ---- lists ----------------------------------------------------------------------------------- */

void l4_h2_wake(struct l4_h2_stream *stream, uint32_t events)
{
    struct l4_h2_list *woken = &stream->conn->room->woken;
    stream->events |= events;
    if (stream->flags & (L4_H2_WOKEN | L4_H2_RELEASED))
        return;
    stream->flags |= L4_H2_WOKEN;
    stream->woken_next = NULL;
    if (woken->first)
        woken->last->woken_next = stream;
    else
        woken->first = stream;
    woken->last = stream;
}

struct l4_h2_stream *l4_h2_next_woken(struct l4_h2 *h2)
{
    struct l4_h2_stream *stream = h2->woken.first;
    if (!stream)
        return NULL;
    h2->woken.first = stream->woken_next;
    stream->flags &= (uint16_t)~L4_H2_WOKEN;
    return stream;
}

void l4_h2_wait(struct l4_h2_stream *stream)
{
    struct l4_h2_list *waits = &stream->conn->waits;
    if (stream->flags & (L4_H2_WAITS | L4_H2_RELEASED))
        return;
    stream->flags |= L4_H2_WAITS;
    stream->waits_next = NULL;
    if (waits->first)
        waits->last->waits_next = stream;
    else
        waits->first = stream;
    waits->last = stream;
}

static void leave_woken(struct l4_h2_stream *stream)
{
    struct l4_h2_list *list = &stream->conn->room->woken;
    struct l4_h2_stream **link = &list->first, *before = NULL;
    while (*link && *link != stream) {
        before = *link;
        link = &before->woken_next;
    }
    if (*link)
        *link = stream->woken_next;
    if (list->last == stream)
        list->last = before;
}

static void leave_waits(struct l4_h2_stream *stream)
{
    struct l4_h2_list *list = &stream->conn->waits;
    struct l4_h2_stream **link = &list->first, *before = NULL;
    while (*link && *link != stream) {
        before = *link;
        link = &before->waits_next;
    }
    if (*link)
        *link = stream->waits_next;
    if (list->last == stream)
        list->last = before;
}

static void leave_lists(struct l4_h2_stream *stream)
{
    if (stream->flags & L4_H2_WOKEN)
        leave_woken(stream);
    if (stream->flags & L4_H2_WAITS)
        leave_waits(stream);
    stream->flags &= (uint16_t) ~(L4_H2_WOKEN | L4_H2_WAITS);
}

/* ---- begin and end --------------------------------------------------------------------------- */

void l4_h2_give(struct l4_h2 *h2, struct l4_h2_stream *stream, uint32_t session,
                struct l4_half *half)
{
    L4_ASSERT(stream->flags & L4_H2_NEW);
    stream->flags &= (uint16_t)~L4_H2_NEW;
    stream->session = session;
    stream->half = half;
    stream->conn->served++;
    half->fd = -2 - (int32_t)(stream - h2->streams);
    half->flags = L4_HALF_STREAM | L4_HALF_IN | L4_HALF_OUT | L4_HALF_NODELAY |
                  (stream->conn->half->flags & L4_HALF_TLS);
}

/* Frees the bytes that nobody takes. They do not count against the connection's window any
 * more. */
static void drop_in(struct l4_h2_stream *stream)
{
    const uint32_t body = stream->in_have - stream->in_head;
    if (body && !stream->conn->broken)
        (void)nghttp2_session_consume_connection(stream->conn->session, body);
    l4_h2_free(stream->conn->room, stream->in);
    stream->in = NULL;
    stream->in_at = stream->in_have = stream->in_size = stream->in_head = 0;
}

void l4_h2_reset(struct l4_h2_stream *stream, uint32_t code)
{
    stream->flags |= L4_H2_CUT;
    (void)nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id, code);
}

void l4_h2_refuse(struct l4_h2 *h2, struct l4_h2_stream *stream)
{
    drop_in(stream);
    stream->flags |= L4_H2_RELEASED;
    l4_h2_touch(stream->conn);
    if (stream->flags & L4_H2_CLOSED)
        l4_h2_forget(h2, stream);
    else
        l4_h2_reset(stream, NGHTTP2_REFUSED_STREAM);
}

void l4_h2_forget(struct l4_h2 *h2, struct l4_h2_stream *stream)
{
    struct l4_h2_conn *conn = stream->conn;
    leave_lists(stream);
    drop_in(stream);
    if (stream->next)
        stream->next->prev = stream->prev;
    if (stream->prev)
        stream->prev->next = stream->next;
    else
        conn->streams = stream->next;
    if (!(stream->flags & L4_H2_CLOSED) && !conn->broken)
        nghttp2_session_set_stream_user_data(conn->session, stream->id, NULL);
    stream->next = h2->free;
    h2->free = stream;
}

void l4_h2_release(struct l4_h2_stream *stream)
{
    struct l4_h2_conn *conn = stream->conn;
    struct l4_h2 *h2 = conn->room;
    L4_ASSERT(conn->served > 0);
    conn->served--;
    conn->rest_ms = h2->now_ms;
    drop_in(stream);
    leave_lists(stream);
    stream->flags |= L4_H2_RELEASED;
    stream->half = NULL;
    l4_h2_touch(conn);
    if (stream->flags & L4_H2_CLOSED) {
        l4_h2_forget(h2, stream);
        return;
    }
    if (!(stream->flags & L4_H2_COMPLETE))
        l4_h2_reset(stream, NGHTTP2_INTERNAL_ERROR); /* why not REFUSED: a backend may have it */
    else if (stream->flags & L4_H2_SENT_END && !(stream->flags & L4_H2_ENDED))
        l4_h2_reset(stream, NGHTTP2_NO_ERROR);
}

static void h2_release(const struct l4_pump *pump, struct l4_half *half)
{
    l4_h2_release(stream_of(pump, half));
    half->flags &= (uint16_t) ~(L4_HALF_STREAM | L4_HALF_TLS);
    half->fd = -1;
}

/* ---- the request, as the engine reads it ----------------------------------------------------- */

/* Explains a read without data. */
static ssize_t nothing(const struct l4_h2_stream *stream)
{
    errno = stream->flags & L4_H2_CLOSED && !(stream->flags & L4_H2_ENDED) ? ECONNRESET : EAGAIN;
    return -1;
}

/* Takes bytes of the body; the client may send as many more. */
static void consume(struct l4_h2_stream *stream, size_t bytes)
{
    L4_ASSERT(bytes <= stream->in_have - stream->in_head);
    stream->in_at += (uint32_t)bytes;
    stream->in_have -= (uint32_t)bytes;
    if (!stream->in_have)
        stream->in_at = 0;
    (void)nghttp2_session_consume(stream->conn->session, stream->id, bytes);
    l4_h2_touch(stream->conn);
}

static ssize_t read_head(struct l4_h2_stream *stream, char *to, size_t max)
{
    const size_t bytes = stream->in_head < max ? stream->in_head : max;
    memcpy(to, stream->in + stream->in_at, bytes);
    stream->in_at += (uint32_t)bytes;
    stream->in_have -= (uint32_t)bytes;
    stream->in_head -= (uint32_t)bytes;
    return (ssize_t)bytes;
}

/* Copies the next bytes of the body, as they are or as one chunk. *used: how many of them. Returns
 * the bytes written; 0: there are none now. */
static size_t read_body(struct l4_h2_stream *stream, char *to, size_t max, size_t *used)
{
    static const char last[] = {'0', '\r', '\n', '\r', '\n'};
    char *at = to;
    const bool chunked = stream->flags & L4_H2_CHUNKED;
    const size_t room = chunked ? max - L4_CHUNK_HEAD_MAX - 2 : max;
    *used = stream->in_have < room ? stream->in_have : room;
    if (*used) {
        if (chunked)
            at += l4_chunk_head(at, *used);
        memcpy(at, stream->in + stream->in_at, *used);
        at += *used;
        if (chunked) {
            *at++ = '\r';
            *at++ = '\n';
        }
    } else if (chunked && stream->flags & L4_H2_ENDED && !(stream->flags & L4_H2_LAST)) {
        stream->flags |= L4_H2_LAST;
        memcpy(at, last, sizeof last);
        at += sizeof last;
    }
    return (size_t)(at - to);
}

static ssize_t h2_receive(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                          size_t max)
{
    struct l4_h2_stream *stream = stream_of(pump, from);
    size_t used;
    (void)to;
    if (stream->in_head)
        return read_head(stream, pump->scratch, max);
    if (stream->flags & L4_H2_TOO_LARGE) { /* why: a head without an end is refused for its size */
        memset(pump->scratch, 'x', max);
        return (ssize_t)max;
    }
    /* why only then: a body with a length is read to its last byte, however few are left. */
    if (stream->flags & L4_H2_CHUNKED && max < l4_io_h2.min)
        return nothing(stream);
    const size_t bytes = read_body(stream, pump->scratch, max, &used);
    if (!bytes)
        return nothing(stream);
    if (used)
        consume(stream, used);
    return (ssize_t)bytes;
}

/* why never in chunks: the pump peeks only at bodies that are passed on as they come. */
static ssize_t h2_peek(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                       size_t max)
{
    struct l4_h2_stream *stream = stream_of(pump, from);
    size_t used;
    (void)to;
    L4_ASSERT(!stream->in_head && !(stream->flags & L4_H2_CHUNKED));
    const size_t bytes = read_body(stream, pump->scratch, max, &used);
    return bytes ? (ssize_t)bytes : nothing(stream);
}

static bool h2_take(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                    size_t bytes)
{
    (void)to;
    consume(stream_of(pump, from), bytes);
    return true;
}

/* ---- the answer, as the engine writes it ----------------------------------------------------- */

/* why not all: HTTP/2 has no fields of a connection (RFC 9113, 8.2.2). */
static bool is_passed_on(const struct l4_h1_field *field)
{
    return !(field->flags & L4_FIELD_IS_HOP) && field->id != L4_FIELD_TRANSFER_ENCODING;
}

static void put_lower(char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] + ('a' - 'A'));
    }
}

/* Writes a head as a header list. `status` has room for its three digits. */
static size_t list_of(const struct l4_h1_head *head, char *bytes, char status[4],
                      nghttp2_nv list[L4_H1_FIELDS_MAX + 1])
{
    size_t count = 1;
    status[0] = (char)('0' + head->status / 100 % 10);
    status[1] = (char)('0' + head->status / 10 % 10);
    status[2] = (char)('0' + head->status % 10);
    list[0] = (nghttp2_nv){(uint8_t *)":status", (uint8_t *)status, 7, 3, NGHTTP2_NV_FLAG_NONE};
    for (size_t i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        if (!is_passed_on(field))
            continue;
        put_lower(bytes + field->name.at, field->name.bytes);
        list[count++] = (nghttp2_nv){
            .name = (uint8_t *)bytes + field->name.at,
            .namelen = field->name.bytes,
            .value = (uint8_t *)bytes + field->value.at,
            .valuelen = field->value.bytes,
        };
    }
    return count;
}

/* The stream can send nothing any more. */
static void fail(struct l4_half *to)
{
    errno = EPIPE;
    l4_io_not_sent(to);
}

/* Sends the head at the begin of `bytes`. Returns its length; 0: it is none. */
static size_t send_head(struct l4_h2_stream *stream, char *bytes, size_t count)
{
    const struct l4_h1_bounds bounds = {.head = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = l4_h2_read_body};
    nghttp2_session *session = stream->conn->session;
    struct l4_h1_head head;
    nghttp2_nv list[L4_H1_FIELDS_MAX + 1];
    char status[4];
    size_t scanned = 0;
    int error;
    const long end = l4_h1_end(bytes, count, &scanned);
    const enum l4_method asked = stream->flags & L4_H2_HEAD ? L4_METHOD_HEAD : L4_METHOD_GET;
    if (end <= 0 || l4_h1_answer(bytes, (size_t)end, &bounds, asked, &head))
        return 0;
    const size_t fields = list_of(&head, bytes, status, list);
    if (head.status < 200) {
        error = nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, stream->id, NULL, list, fields,
                                       NULL);
        return error ? 0 : (size_t)end;
    }
    const bool empty =
        head.framing == L4_FRAMING_NONE || (head.framing == L4_FRAMING_LENGTH && head.length == 0);
    stream->left = empty ? 0 : head.framing == L4_FRAMING_LENGTH ? head.length : UINT64_MAX;
    stream->flags |= L4_H2_ANSWERED;
    error = nghttp2_submit_response(session, stream->id, list, fields, empty ? NULL : &body);
    return error ? 0 : (size_t)end;
}

/* Returns how many bytes of a body the stream can send now: what both windows and the buffer
 * allow, behind the frames that wait. Without any, it waits. */
static size_t h2_room(const struct l4_pump *pump, struct l4_half *to)
{
    struct l4_h2_stream *stream = stream_of(pump, to);
    struct l4_h2_conn *conn = stream->conn;
    const int32_t own = nghttp2_session_get_stream_remote_window_size(conn->session, stream->id);
    const int32_t all = nghttp2_session_get_remote_window_size(conn->session);
    const int32_t window = own < all ? own : all;
    size_t room = l4_h2_room(conn);
    if (window > 0 && (!room || nghttp2_session_want_write(conn->session))) {
        l4_h2_frame(conn);
        room = l4_h2_room(conn);
        conn->crammed |= !room;
    }
    if (window <= 0)
        room = 0;
    else if ((size_t)window < room)
        room = (size_t)window;
    if (!room && !(stream->flags & L4_H2_CLOSED)) {
        to->flags &= (uint16_t)~L4_HALF_OUT;
        l4_h2_wait(stream);
    }
    return room;
}

/* Sends bytes of the body. Returns how many. */
static size_t send_body(const struct l4_pump *pump, struct l4_half *to, const char *bytes,
                        size_t count)
{
    struct l4_h2_stream *stream = stream_of(pump, to);
    size_t before;
    stream->out = bytes;
    stream->out_bytes = count;
    do {
        before = stream->out_bytes;
        (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
        l4_h2_frame(stream->conn);
    } while (stream->out_bytes && stream->out_bytes < before);
    const size_t left = stream->out_bytes;
    stream->out = NULL;
    stream->out_bytes = 0;
    if (left && h2_room(pump, to)) { /* why: something else was first, so it tries again */
        stream->conn->crammed = true;
        to->flags &= (uint16_t)~L4_HALF_OUT;
        l4_h2_wait(stream);
    }
    return count - left;
}

/* Sends heads and bodies. Returns how many bytes the stream accepted. */
static size_t send_bytes(const struct l4_pump *pump, struct l4_half *to, char *bytes, size_t count)
{
    struct l4_h2_stream *stream = stream_of(pump, to);
    size_t done = 0;
    if (stream->flags & L4_H2_CLOSED || stream->conn->broken) {
        fail(to);
        return count;
    }
    while (done < count && !(stream->flags & L4_H2_ANSWERED)) {
        const size_t head = send_head(stream, bytes + done, count - done);
        if (!head) {
            fail(to);
            return count;
        }
        done += head;
    }
    if (stream->left == 0 || done == count) { /* why: what HEAD and 304 have no place for */
        l4_h2_frame(stream->conn);
        return count;
    }
    return done + send_body(pump, to, bytes + done, count - done);
}

static enum l4_pump_result h2_pass(const struct l4_pump *pump, struct l4_half *from,
                                   struct l4_half *to, size_t bytes)
{
    const size_t done = send_bytes(pump, to, pump->scratch, bytes);
    if (done == bytes)
        return to->flags & L4_HALF_BROKEN ? L4_PUMP_WAITS : L4_PUMP_MORE;
    return l4_io_hold(pump, from, pump->scratch + done, bytes - done) ? L4_PUMP_WAITS
                                                                      : L4_PUMP_LOST;
}

static ssize_t h2_offer(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                        size_t bytes)
{
    (void)from;
    const size_t done = send_bytes(pump, to, pump->scratch, bytes);
    if (done && !(to->flags & L4_HALF_BROKEN))
        return (ssize_t)done;
    errno = to->flags & L4_HALF_BROKEN ? EPIPE : EAGAIN;
    return -1;
}

static bool h2_finish(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    struct l4_h2_stream *stream = stream_of(pump, to);
    (void)from;
    if (stream->flags & (L4_H2_COMPLETE | L4_H2_CLOSED))
        return true;
    stream->flags |= L4_H2_COMPLETE;
    if (stream->flags & L4_H2_SENT_END || stream->conn->broken)
        return true;
    (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
    l4_h2_frame(stream->conn);
    return true;
}

const struct l4_io l4_io_h2 = {
    .max = L4_TLS_BYTES,
    .min = L4_CHUNK_HEAD_MAX + 8,
    .receive = h2_receive,
    .peek = h2_peek,
    .take = h2_take,
    .pass = h2_pass,
    .offer = h2_offer,
    .finish = h2_finish,
    .room = h2_room,
    .release = h2_release,
    .splices = false,
};
