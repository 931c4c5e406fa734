/* HELLO: a tunnel is open, and the client's first bytes say which server it asks for (sni in
 * [forward.NAME]). They are read into the session's block, and passed on with what follows.
 *
 * With "match" nothing is relayed before the name has been judged, in either direction. With "log"
 * nobody is kept waiting: if the server speaks first, or the ClientHello does not come, the tunnel
 * begins without a name.
 *
 * A ClientHello with an encrypted part (ECH) shows its outer name, and is judged by that.
 */
#include <errno.h>
#include <string.h>

#include "core/client_hello.h"
#include "http/outward.h"
#include "http/serve.h"
#include "http/socks.h"
#include "http/stages.h"
#include "io/sock.h"

enum { LOG_WAIT_MS = 1000 };

static bool must_match(const struct l4_loop *loop, uint32_t index)
{
    return L4_GET(l4_serve_pool_rules(loop, index)->forward_sni) == L4_FORWARD_SNI_MATCH;
}

static struct l4_step refuse(struct l4_loop *loop, uint32_t index, const char *fault)
{
    l4_exchange_at(loop, index)->fault = fault;
    return l4_end(L4_END_REJECTED_FILTER);
}

static struct l4_step begin(struct l4_loop *loop, uint32_t index)
{
    return l4_serve_pass_rest(loop, index) ? l4_serve_relay(loop, index)
                                           : l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
}

/* What comes is no TLS: only a client of SOCKS may have that. */
static struct l4_step begin_without(struct l4_loop *loop, uint32_t index)
{
    return must_match(loop, index) && !l4_socks_is_spoken(loop, l4_session_at(loop, index))
               ? refuse(loop, index, "no_tls")
               : begin(loop, index);
}

/* Is it the name of the tunnel's host? An address has none (RFC 6066, 3). */
static bool is_host(const struct l4_outward *o, const struct l4_hello *hello)
{
    if (!o->named)
        return !hello->name_bytes;
    return hello->name_bytes == o->host_bytes && memcmp(hello->name, o->host, o->host_bytes) == 0;
}

static struct l4_step judge(struct l4_loop *loop, uint32_t index, const struct l4_hello *hello)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    if (hello->name_bytes) {
        memcpy(facts->name, hello->name, sizeof facts->name);
        facts->name_bytes = (uint16_t)hello->name_bytes;
        s->known |= L4_FACT_NAME;
    }
    if (must_match(loop, index) && !is_host(l4_outward_at(loop, index), hello))
        return refuse(loop, index, "sni_mismatch");
    return begin(loop, index);
}

/* Reads what has come. */
static struct l4_step look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_hello hello;
    ssize_t got;
    do {
        const uint32_t used = x->head_bytes + x->body_bytes;
        const char *bytes = l4_http_block(loop->http, x->block) + used;
        if (x->have > used) {
            const enum l4_hello_result found =
                l4_hello_read((const uint8_t *)bytes, x->have - used, &hello);
            if (found == L4_HELLO_WHOLE)
                return judge(loop, index, &hello);
            if (found == L4_HELLO_NONE || x->have == L4_HTTP_BLOCK_BYTES)
                return begin_without(loop, index);
        }
        if (!(l4_serve_client(loop, index)->flags & L4_HALF_IN))
            return l4_stay();
        got = l4_serve_receive(loop, index);
    } while (got > 0);
    if (got == 0)
        return l4_stay();
    if (!must_match(loop, index))
        return begin(loop, index);
    return l4_end(l4_serve_client(loop, index)->flags & L4_HALF_RESET ? L4_END_CLIENT_RESET
                                                                      : L4_END_CLIENT_FIN);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint32_t patience_ms =
        must_match(loop, index) ? L4_GET(l4_serve_rules(loop, s)->head_timeout_ms) : LOG_WAIT_MS;
    l4_row_set_deadline(loop, s, patience_ms);
    l4_row_wake_at_deadline(loop, index);
    /* why: what came with the end of the connect has been told. */
    if (l4_sock_has_data(s->half[L4_BACKEND].fd))
        return begin_without(loop, index);
    return look(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_half *half =
        side == L4_CLIENT ? l4_serve_client(loop, index) : l4_serve_backend(loop, index);
    l4_half_note(half, events);
    if (half->flags & L4_HALF_BROKEN)
        return l4_end(side == L4_CLIENT ? L4_END_CLIENT_RESET : L4_END_BACKEND_RESET);
    if (side == L4_BACKEND)
        return half->flags & L4_HALF_IN ? begin_without(loop, index) : l4_stay();
    return look(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) > 0) {
        l4_row_wake_at_deadline(loop, index);
        return l4_stay();
    }
    return must_match(loop, index) ? refuse(loop, index, "no_tls") : begin(loop, index);
}

const struct l4_stage l4_stage_hello = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = look,
};
