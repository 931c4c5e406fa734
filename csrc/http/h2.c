#include "http/h2.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "http/h2_calls.h"
#include "io/stream_ops.h"

/* ---- memory ---------------------------------------------------------------------------------- */

void *l4_h2_alloc(struct l4_h2 *h2, void *old, size_t bytes)
{
    const size_t before = malloc_usable_size(old);
    if (h2->memory - before + bytes > L4_H2_MEMORY)
        return NULL;
    void *memory = realloc(old, bytes ? bytes : 1);
    if (memory)
        h2->memory += malloc_usable_size(memory) - before;
    return memory;
}

void l4_h2_free(struct l4_h2 *h2, void *memory)
{
    h2->memory -= malloc_usable_size(memory);
    free(memory);
}

static void *mem_malloc(size_t bytes, void *h2)
{
    return l4_h2_alloc(h2, NULL, bytes);
}

static void mem_free(void *memory, void *h2)
{
    l4_h2_free(h2, memory);
}

static void *mem_calloc(size_t count, size_t bytes, void *h2)
{
    if (bytes && count > SIZE_MAX / bytes)
        return NULL;
    void *memory = l4_h2_alloc(h2, NULL, count * bytes);
    if (memory)
        memset(memory, 0, count * bytes);
    return memory;
}

static void *mem_realloc(void *memory, size_t bytes, void *h2)
{
    return l4_h2_alloc(h2, memory, bytes);
}

int l4_h2_start(struct l4_h2 *h2, uint32_t sessions)
{
    *h2 = (struct l4_h2){
        .mem = {h2, mem_malloc, mem_free, mem_calloc, mem_realloc},
        .count = sessions,
    };
    h2->conns = calloc(sessions, sizeof *h2->conns);
    h2->streams = calloc(sessions, sizeof *h2->streams);
    if (!h2->conns || !h2->streams || nghttp2_option_new(&h2->option) ||
        nghttp2_session_callbacks_new(&h2->callbacks))
        return -ENOMEM;
    nghttp2_option_set_no_auto_window_update(h2->option, 1);
    nghttp2_option_set_max_outbound_ack(h2->option, L4_H2_QUEUE);
    nghttp2_option_set_stream_reset_rate_limit(h2->option, 2 * L4_H2_RESETS, L4_H2_RESETS_A_S);
    nghttp2_option_set_max_continuations(h2->option, L4_H2_CONTINUATIONS);
    nghttp2_option_set_max_settings(h2->option, L4_H2_SETTINGS_ENTRIES);
    l4_h2_set_calls(h2->callbacks);
    return 0;
}

void l4_h2_finish(struct l4_h2 *h2)
{
    nghttp2_session_callbacks_del(h2->callbacks);
    nghttp2_option_del(h2->option);
    free(h2->conns);
    free(h2->streams);
    free(h2->spare_out);
    *h2 = (struct l4_h2){0};
}

/* ---- a connection ---------------------------------------------------------------------------- */

bool l4_h2_is_preface(const char *head, size_t bytes)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\n"; /* "SM" and two line ends follow */
    return bytes == sizeof preface - 1 && memcmp(head, preface, bytes) == 0;
}

static int greet(struct l4_h2_conn *conn, const struct l4_h2_rules *rules)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, rules->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, rules->window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, rules->head_list},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    const uint64_t window = (uint64_t)rules->window * L4_H2_WINDOWS;
    int error = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
                                        sizeof settings / sizeof *settings);
    if (!error)
        error = nghttp2_session_set_local_window_size(
            conn->session, NGHTTP2_FLAG_NONE, 0,
            (int32_t)(window < INT32_MAX ? window : INT32_MAX));
    return error ? -ENOMEM : 0;
}

int l4_h2_open(const struct l4_pump *pump, uint32_t number, struct l4_half *half,
               struct l4_half *holder, const struct l4_h2_rules *rules)
{
    struct l4_h2 *h2 = pump->h2;
    L4_ASSERT(!h2->conns[number]);
    struct l4_h2_conn *conn = mem_calloc(1, sizeof *conn, h2);
    if (!conn)
        return -ENOMEM;
    conn->room = h2;
    conn->pump = pump;
    conn->half = half;
    conn->holder = holder;
    conn->number = number;
    conn->abuse = L4_NO_ABUSE;
    conn->rest_ms = h2->now_ms;
    if (nghttp2_session_server_new3(&conn->session, h2->callbacks, conn, h2->option, &h2->mem) ||
        greet(conn, rules)) {
        nghttp2_session_del(conn->session);
        l4_h2_free(h2, conn);
        return -ENOMEM;
    }
    h2->conns[number] = conn;
    l4_h2_touch(conn);
    return 0;
}

static void give_out(struct l4_h2_conn *conn)
{
    struct l4_h2 *h2 = conn->room;
    if (conn->out && !h2->spare_out)
        h2->spare_out = conn->out;
    else
        free(conn->out);
    conn->out = NULL;
    conn->out_used = 0;
}

static void leave_dirty(struct l4_h2_conn *conn)
{
    struct l4_h2_conn **link = &conn->room->dirty;
    while (*link && *link != conn)
        link = &(*link)->next_dirty;
    if (*link)
        *link = conn->next_dirty;
}

void l4_h2_close(struct l4_h2 *h2, uint32_t number)
{
    struct l4_h2_conn *conn = h2->conns[number];
    h2->conns[number] = NULL;
    conn->broken = true;
    L4_ASSERT(conn->served == 0);
    while (conn->streams)
        l4_h2_forget(h2, conn->streams);
    nghttp2_session_del(conn->session);
    if (conn->dirty)
        leave_dirty(conn);
    give_out(conn);
    l4_h2_free(h2, conn->text);
    l4_h2_free(h2, conn);
}

void l4_h2_touch(struct l4_h2_conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = conn->room->dirty;
    conn->room->dirty = conn;
}

/* ---- what comes ------------------------------------------------------------------------------ */

static uint8_t abuse_of(long error)
{
    switch (error) {
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return L4_ABUSE_CONTINUATION;
    case NGHTTP2_ERR_FLOODED:
        return L4_ABUSE_QUEUE;
    default:
        return L4_ABUSE_PROTOCOL;
    }
}

bool l4_h2_take(struct l4_h2_conn *conn, const char *bytes, size_t count)
{
    if (conn->lingers_ms)
        return true;
    const ssize_t taken = nghttp2_session_mem_recv(conn->session, (const uint8_t *)bytes, count);
    l4_h2_touch(conn);
    if (taken < 0 && conn->abuse == L4_NO_ABUSE)
        conn->abuse = abuse_of(taken);
    if (nghttp2_session_get_outbound_queue_size(conn->session) > L4_H2_QUEUE)
        conn->abuse = L4_ABUSE_QUEUE;
    return conn->abuse == L4_NO_ABUSE;
}

/* ---- what goes ------------------------------------------------------------------------------- */

static bool is_blocked(const struct l4_h2_conn *conn)
{
    return conn->holder->piped || !(conn->half->flags & L4_HALF_OUT) ||
           conn->half->flags & (L4_HALF_UNSENT | L4_HALF_BROKEN);
}

/* Sends the frames in the buffer, if the client has read those before. */
static void send_out(struct l4_h2_conn *conn)
{
    struct l4_pump out = *conn->pump;
    if (conn->broken || is_blocked(conn))
        return;
    if (conn->holder->pipe == L4_NO_PIPE && !l4_pipes_ready(out.pipes))
        return;
    out.scratch = conn->out;
    const enum l4_pump_result result =
        l4_io_of(conn->half)->pass(&out, conn->holder, conn->half, conn->out_used);
    conn->out_used = 0;
    conn->broken |= result == L4_PUMP_LOST || conn->half->flags & L4_HALF_BROKEN;
}

static bool has_out(struct l4_h2_conn *conn)
{
    if (!conn->out) {
        conn->out = conn->room->spare_out;
        conn->room->spare_out = NULL;
    }
    if (!conn->out)
        conn->out = malloc(L4_H2_OUT_BYTES + L4_H2_OUT_SLACK);
    conn->broken |= !conn->out;
    return conn->out;
}

void l4_h2_frame(struct l4_h2_conn *conn)
{
    const uint8_t *bytes;
    while (!conn->broken && has_out(conn)) {
        if (!l4_h2_room(conn))
            send_out(conn);
        if (!l4_h2_room(conn)) /* the client must read first */
            break;
        const ssize_t count = nghttp2_session_mem_send(conn->session, &bytes);
        if (count == 0)
            break;
        if (count < 0 || (size_t)count > L4_H2_OUT_BYTES + L4_H2_OUT_SLACK - conn->out_used) {
            conn->broken = true;
            break;
        }
        memcpy(conn->out + conn->out_used, bytes, (size_t)count);
        conn->out_used += (uint32_t)count;
    }
    l4_h2_touch(conn);
}

static size_t room_beside(const struct l4_h2_conn *conn, uint32_t heads)
{
    const uint32_t used = conn->out_used + heads * L4_H2_FRAME_HEAD;
    return conn->broken || used >= L4_H2_OUT_BYTES ? 0 : L4_H2_OUT_BYTES - used;
}

size_t l4_h2_room(const struct l4_h2_conn *conn)
{
    return room_beside(conn, L4_H2_OUT_BYTES / L4_H2_FRAME_BYTES + 1);
}

size_t l4_h2_room_for_frame(const struct l4_h2_conn *conn)
{
    return room_beside(conn, 1);
}

/* Wakes the streams that want to send, in the order in which they began to wait. */
static void wake_waiting(struct l4_h2_conn *conn)
{
    struct l4_h2_stream *stream;
    conn->opened = conn->crammed = false;
    while ((stream = conn->waits.first)) {
        conn->waits.first = stream->waits_next;
        stream->flags &= (uint16_t)~L4_H2_WAITS;
        l4_h2_wake(stream, EPOLLOUT);
    }
}

/* Notes whether the client reads. */
static void note_blocked(struct l4_h2_conn *conn, uint32_t before)
{
    const uint32_t waits = conn->holder->piped + conn->out_used;
    if (!waits)
        conn->blocked_ms = 0;
    else if (!conn->blocked_ms || waits < before)
        conn->blocked_ms = conn->room->now_ms;
}

void l4_h2_work(struct l4_h2_conn *conn)
{
    const uint32_t before = conn->holder->piped + conn->out_used;
    if (conn->holder->piped || conn->half->flags & L4_HALF_UNSENT)
        l4_pump_flush(conn->pump, conn->holder, conn->half);
    l4_h2_frame(conn);
    if (conn->out_used)
        send_out(conn);
    if (!conn->out_used)
        give_out(conn);
    if ((conn->opened || conn->crammed) && !conn->broken && !is_blocked(conn) && !conn->out_used)
        wake_waiting(conn);
    note_blocked(conn, before);
}

void l4_h2_say_why(struct l4_h2_conn *conn, uint32_t code)
{
    (void)nghttp2_session_terminate_session(conn->session, code);
    l4_h2_work(conn);
}

void l4_h2_say_goodbye(struct l4_h2_conn *conn)
{
    if (conn->goes)
        return;
    conn->goes = true;
    conn->goes_ms = conn->room->now_ms;
    (void)nghttp2_submit_shutdown_notice(conn->session);
    l4_h2_touch(conn);
}

void l4_h2_bid_farewell(struct l4_h2_conn *conn)
{
    if (conn->gone)
        return;
    conn->gone = true;
    (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    l4_h2_touch(conn);
}
