/* HTTP2: a client's connection that carries HTTP/2. Its requests are sessions of their own.
 *
 * This stage only reads. What has come is told to the streams after the events of the loop
 * iteration, and frames leave then (http/h2_tend.h).
 */
#include <errno.h>

#include "base/assert.h"
#include "http/h2_tend.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/stream_ops.h"
#include "shm/http.h"

static struct l4_http_tally *tally_of(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_http_tally(loop->table, loop->setup.index,
                               l4_session_at(loop, index)->listener);
}

/* Notes how a read without data ended. */
static struct l4_step not_received(struct l4_loop *loop, uint32_t index, ssize_t got)
{
    struct l4_half *client = l4_serve_client(loop, index);
    if (got < 0 && errno == EBUSY)
        return l4_stay();
    client->flags &= (uint16_t)~L4_HALF_IN;
    if (got < 0 && errno == EAGAIN)
        return l4_stay();
    if (got < 0)
        return l4_end(L4_END_CLIENT_RESET);
    client->flags |= L4_HALF_EOF; /* why no end yet: it may still read its answers */
    l4_h2_touch(l4_h2_at(&loop->http->h2, index));
    return l4_stay();
}

static struct l4_step go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_h2_conn *conn = l4_h2_at(&loop->http->h2, index);
    size_t taken = 0;
    l4_h2_touch(conn);
    while (client->flags & L4_HALF_IN && taken < L4_TURN_BYTES) {
        const ssize_t got = l4_io_of(client)->receive(&loop->pump, client,
                                                      l4_serve_holder(loop, index), L4_TLS_BYTES);
        if (got <= 0)
            return not_received(loop, index, got);
        taken += (size_t)got;
        L4_OWN_ADD(s->bytes[L4_CLIENT], (uint64_t)got);
        L4_SET(s->active_ms, loop->now_ms);
        if (!l4_h2_take(conn, loop->pump.scratch, (size_t)got))
            return l4_stay(); /* its end comes after the events */
    }
    if (client->flags & L4_HALF_IN)
        l4_row_later(loop, index);
    return l4_stay();
}

/* What was read before it was known that the client speaks HTTP/2. */
static void take_block(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->block != L4_NONE)
        l4_h2_take(l4_h2_at(&loop->http->h2, index), l4_http_block(loop->http, x->block), x->have);
    l4_serve_free(loop, index);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_listener *listener = l4_serve_rules(loop, s);
    const struct l4_h2_rules rules = {
        .streams = L4_GET(listener->http2_streams),
        .window = L4_GET(listener->http2_window),
        .head_list = L4_GET(listener->max_head),
    };
    int error = l4_row_watch_client(loop, index);
    if (!error)
        error = l4_h2_open(&loop->pump, index, l4_serve_client(loop, index),
                           l4_serve_holder(loop, index), &rules);
    if (error)
        return l4_end_by_error(s, error);
    L4_OWN_ADD(tally_of(loop, index)->http2_opened, 1);
    take_block(loop, index);
    l4_serve_client(loop, index)->flags |= L4_HALF_IN;
    return go_on(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    (void)side; /* there is no backend */
    l4_half_note(l4_serve_client(loop, index), events);
    if (l4_serve_client(loop, index)->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    return go_on(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    l4_h2_touch(l4_h2_at(&loop->http->h2, index));
    return l4_stay();
}

/* Ends the streams, then the connection. */
static void leave(struct l4_loop *loop, uint32_t index)
{
    struct l4_h2 *h2 = &loop->http->h2;
    struct l4_h2_conn *conn = l4_h2_at(h2, index);
    const enum l4_reason why = (enum l4_reason)l4_session_at(loop, index)->reason;
    if (!conn) /* it was not opened */
        return;
    l4_h2_end_streams(loop, conn, why);
    l4_h2_close(h2, index);
    L4_OWN_ADD(tally_of(loop, index)->http2_closed, 1);
}

const struct l4_stage l4_stage_http2 = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = go_on,
    .leave = leave,
};
