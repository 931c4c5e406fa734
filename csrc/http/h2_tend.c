#include "http/h2_tend.h"

#include <string.h>

#include "base/assert.h"
#include "http/account.h"
#include "http/serve.h"
#include "io/sock.h"
#include "io/stream_ops.h"
#include "run/row.h"
#include "run/session.h"
#include "shm/http.h"

/* ---- who speaks it --------------------------------------------------------------------------- */

static bool is_on(const struct l4_loop *loop, uint32_t index)
{
    return L4_GET(l4_serve_rules(loop, l4_session_at(loop, index))->http2_streams) != 0;
}

bool l4_h2_is_agreed(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_facts *facts = l4_row_facts(loop, index);
    return s->half[L4_CLIENT].flags & L4_HALF_TLS && !s->stream && s->known & L4_FACT_ALPN &&
           facts->alpn_bytes == 3 && memcmp(facts->alpn, "\2h2", 3) == 0 && is_on(loop, index);
}

bool l4_h2_is_begun(const struct l4_loop *loop, uint32_t index, uint32_t bytes)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return x->number == 1 && !l4_session_at(loop, index)->stream &&
           l4_h2_is_preface(l4_http_block(loop->http, x->block), bytes) && is_on(loop, index);
}

uint32_t l4_h2_connection(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (!s->stream || s->half[L4_CLIENT].flags & L4_HALF_VOID)
        return index;
    return l4_h2_stream_at(&loop->http->h2, l4_half_stream(&s->half[L4_CLIENT]))->conn->number;
}

uint32_t l4_h2_requests_before(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (!s->stream)
        return 0;
    const uint32_t stream = l4_half_stream(&s->half[L4_CLIENT]);
    return l4_h2_stream_at(&loop->http->h2, stream)->conn->requests - 1;
}

const char *l4_h2_fault(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (!s->stream || s->half[L4_CLIENT].flags & L4_HALF_VOID)
        return NULL;
    switch (l4_h2_stream_at(&loop->http->h2, l4_half_stream(&s->half[L4_CLIENT]))->provoked) {
    case NGHTTP2_NO_ERROR:
        return NULL;
    case NGHTTP2_FLOW_CONTROL_ERROR:
        return "flow_control";
    default:
        return "malformed";
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct l4_http_tally *tally_of(const struct l4_loop *loop, const struct l4_h2_conn *conn)
{
    return l4_table_http_tally(loop->table, loop->setup.index,
                               l4_session_at(loop, conn->number)->listener);
}

static void tell_streams(struct l4_loop *loop)
{
    struct l4_h2 *h2 = &loop->http->h2;
    struct l4_h2_stream *stream;
    while ((stream = l4_h2_next_woken(h2))) {
        const uint32_t events = stream->events;
        stream->events = 0;
        if (!(stream->flags & L4_H2_NEW)) {
            l4_session_event(loop, stream->session, L4_CLIENT, events);
        } else if (stream->flags & L4_H2_CLOSED) {
            l4_h2_forget(h2, stream);
        } else {
            L4_OWN_ADD(tally_of(loop, stream->conn)->http2_streams, 1);
            if (!l4_session_open_stream(loop, stream->conn->number, stream))
                l4_h2_refuse(h2, stream);
        }
    }
}

void l4_h2_end_streams(struct l4_loop *loop, struct l4_h2_conn *conn, enum l4_reason why)
{
    for (struct l4_h2_stream *stream = conn->streams, *next; stream; stream = next) {
        next = stream->next;
        if (stream->flags & (L4_H2_NEW | L4_H2_RELEASED))
            continue;
        if (conn->abuse != L4_NO_ABUSE)
            l4_exchange_at(loop, stream->session)->fault = l4_h2_abuse_word(conn->abuse);
        l4_session_end(loop, stream->session, why);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Is nothing of it under way any more? */
static bool is_done(const struct l4_h2_conn *conn)
{
    return !conn->served && !conn->out_used && !conn->holder->piped &&
           !(conn->half->flags & L4_HALF_UNSENT);
}

static enum l4_reason end_for_abuse(struct l4_loop *loop, struct l4_h2_conn *conn)
{
    enum l4_reason reason = L4_END_REJECTED_BAD_REQUEST;
    if (conn->abuse == L4_ABUSE_STALLED)
        reason = conn->list_ms ? L4_END_REJECTED_HEAD_TIMEOUT : L4_END_IDLE_TIMEOUT;
    L4_OWN_ADD(tally_of(loop, conn)->http2_abuses[conn->abuse], 1);
    if (l4_reason_is_rejection(reason))
        l4_account_refused(loop, conn->number, reason, l4_h2_abuse_word(conn->abuse));
    l4_h2_say_why(conn, conn->abuse == L4_ABUSE_PROTOCOL ? NGHTTP2_PROTOCOL_ERROR
                                                         : NGHTTP2_ENHANCE_YOUR_CALM);
    return reason;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Returns when the client must have done what is awaited of it; UINT64_MAX: nothing is. */
static uint64_t due_ms(const struct l4_loop *loop, const struct l4_h2_conn *conn)
{
    const struct l4_http_listener *rules = l4_serve_rules(loop, l4_session_at(loop, conn->number));
    const uint64_t list = L4_GET(rules->head_timeout_ms), rest = L4_GET(rules->rest_timeout_ms);
    uint64_t due = UINT64_MAX;
    if (conn->list_ms)
        due = sooner(due, conn->list_ms + list);
    if (conn->blocked_ms)
        due = sooner(due, conn->blocked_ms + rest);
    if (!conn->served)
        due = sooner(due, conn->rest_ms + (conn->requests ? rest : list));
    return due;
}

/* The client has not done in time what was awaited of it. */
static enum l4_reason end_late(struct l4_loop *loop, struct l4_h2_conn *conn)
{
    if (conn->list_ms || conn->blocked_ms || conn->streams) {
        conn->abuse = L4_ABUSE_STALLED;
        return end_for_abuse(loop, conn);
    }
    l4_h2_say_why(conn, NGHTTP2_NO_ERROR);
    return conn->requests ? L4_END_IDLE_TIMEOUT : L4_END_REJECTED_HEAD_TIMEOUT;
}

static void say_goodbye(struct l4_loop *loop, struct l4_h2_conn *conn)
{
    const struct l4_session *s = l4_session_at(loop, conn->number);
    const uint32_t max = L4_GET(l4_serve_rules(loop, s)->max_requests);
    if (loop->draining || (max && conn->requests >= max))
        l4_h2_say_goodbye(conn);
    if (conn->goes && loop->now_ms >= conn->goes_ms + L4_H2_GOODBYE_MS)
        l4_h2_bid_farewell(conn);
}

/* Tells our end, and discards what the client still sends, until it ends, too. why: bytes that come
 * to a closed socket reset the connection, and with it what the client has not received yet. */
static enum l4_reason linger(struct l4_loop *loop, struct l4_h2_conn *conn)
{
    struct l4_half *half = conn->half;
    if (!conn->lingers_ms)
        conn->lingers_ms = loop->now_ms;
    if (!(half->flags & L4_HALF_SHUT) && l4_io_of(half)->finish(&loop->pump, conn->holder, half))
        half->flags |= L4_HALF_SHUT;
    const uint64_t until =
        conn->lingers_ms +
        (l4_sock_unacked(half->fd) > 0
             ? L4_GET(l4_serve_rules(loop, l4_session_at(loop, conn->number))->rest_timeout_ms)
             : L4_HTTP_LINGER_MS);
    if (half->flags & (L4_HALF_EOF | L4_HALF_BROKEN) || until <= loop->now_ms)
        return L4_END_BACKEND_FIN;
    const uint64_t left = until - loop->now_ms;
    l4_row_wake_in(loop, conn->number, left < L4_HTTP_LINGER_MS ? left : L4_HTTP_LINGER_MS);
    return L4_END_NONE;
}

/* Does a connection's work. Returns the reason for which it ends; L4_END_NONE: it goes on. */
static enum l4_reason tend(struct l4_loop *loop, struct l4_h2_conn *conn)
{
    if (conn->lingers_ms)
        return linger(loop, conn);
    say_goodbye(loop, conn);
    l4_h2_work(conn);
    for (; conn->malformed; conn->malformed--)
        l4_account_refused(loop, conn->number, L4_END_REJECTED_BAD_REQUEST, "malformed");
    if (conn->abuse != L4_NO_ABUSE)
        return end_for_abuse(loop, conn);
    if (conn->broken || conn->half->flags & L4_HALF_BROKEN)
        return L4_END_CLIENT_RESET;
    const uint64_t due = due_ms(loop, conn);
    if (due <= loop->now_ms)
        return end_late(loop, conn);
    if (is_done(conn) && conn->half->flags & L4_HALF_EOF)
        return L4_END_CLIENT_FIN;
    /* why not while streams are left: the end of an answer may wait for the client's window. */
    if (is_done(conn) && !conn->streams &&
        (conn->gone || !nghttp2_session_want_read(conn->session)))
        return linger(loop, conn);
    uint64_t wake = due;
    if (conn->goes && !conn->gone)
        wake = sooner(wake, conn->goes_ms + L4_H2_GOODBYE_MS);
    if (conn->out_used && !conn->holder->piped && conn->half->flags & L4_HALF_OUT)
        wake = sooner(wake, loop->now_ms + L4_H2_RETRY_MS); /* why: no pipe is free */
    if (wake != UINT64_MAX)
        l4_row_wake_in(loop, conn->number, wake > loop->now_ms ? wake - loop->now_ms : 0);
    return L4_END_NONE;
}

static void tend_conns(struct l4_loop *loop)
{
    struct l4_h2 *h2 = &loop->http->h2;
    struct l4_h2_conn *conn;
    while ((conn = h2->dirty)) {
        const enum l4_reason reason = tend(loop, conn);
        L4_ASSERT(h2->dirty == conn);
        h2->dirty = conn->next_dirty;
        conn->dirty = false;
        if (reason != L4_END_NONE)
            l4_session_end(loop, conn->number, reason);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

void l4_h2_begin_turn(struct l4_loop *loop)
{
    loop->http->h2.now_ms = loop->now_ms;
}

void l4_h2_turn(struct l4_loop *loop)
{
    tell_streams(loop);
    tend_conns(loop);
}

bool l4_h2_is_busy(const struct l4_loop *loop)
{
    return loop->http->h2.dirty || loop->http->h2.woken.first;
}

void l4_h2_drain(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        if (l4_h2_at(&loop->http->h2, i))
            l4_h2_say_goodbye(l4_h2_at(&loop->http->h2, i));
    }
}
