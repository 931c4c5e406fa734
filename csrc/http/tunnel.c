#include "http/tunnel.h"

#include <errno.h>

#include "base/assert.h"
#include "core/socks5.h"
#include "http/account.h"
#include "http/outward.h"
#include "http/serve.h"
#include "http/socks.h"
#include "io/stream_ops.h"
#include "run/row.h"

/* Writes what the client is told. */
static size_t write_answer(struct l4_loop *loop, uint32_t index)
{
    static const struct l4_text connected = L4_TEXT("HTTP/1.1 200 Connection established\r\n\r\n");
    if (l4_socks_is_spoken(loop, l4_session_at(loop, index)))
        return l4_socks_request_answer((uint8_t *)loop->http->written, L4_SOCKS_OK, NULL);
    l4_text_copy(loop->http->written, connected);
    return connected.bytes;
}

struct l4_step l4_tunnel_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_outward *o = l4_outward_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    struct l4_pump out = loop->pump;
    const size_t bytes = write_answer(loop, index);
    out.scratch = loop->http->written;
    if (l4_io_of(client)->pass(&out, backend, client, bytes) == L4_PUMP_LOST)
        return l4_end_by_error(s, -ENOMEM);
    x->status = 200;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    o->bytes_before[L4_CLIENT] = L4_GET(s->bytes[L4_CLIENT]) - (x->have - x->head_bytes);
    o->bytes_before[L4_BACKEND] = L4_GET(s->bytes[L4_BACKEND]);
    s->http = L4_HTTP_TUNNELS;
    if (L4_GET(l4_serve_pool_rules(loop, index)->forward_sni))
        return l4_go(L4_SESSION_HELLO);
    return l4_serve_pass_rest(loop, index) ? l4_serve_relay(loop, index)
                                           : l4_end_by_error(s, -ENOMEM);
}

void l4_tunnel_measure(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_outward *o = l4_outward_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->up.bytes = L4_GET(s->bytes[L4_CLIENT]) - o->bytes_before[L4_CLIENT];
    x->down.bytes = L4_GET(s->bytes[L4_BACKEND]) - o->bytes_before[L4_BACKEND];
}

void l4_tunnel_part(struct l4_loop *loop, uint32_t index)
{
    l4_account_answer(loop, index, L4_END_NONE);
    l4_session_at(loop, index)->http = L4_NO_HTTP;
}
