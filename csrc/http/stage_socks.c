/* SOCKS: a client of SOCKS5 says who it is and where it wants to go (RFC 1928, RFC 1929). The whole
 * conversation must come within the listener's head_timeout. Whether a name and a password are
 * right the gate says, in FORWARD, as it says later where the client may go.
 */
#include <errno.h>
#include <stdio.h>

#include "core/socks5.h"
#include "http/account.h"
#include "http/serve.h"
#include "http/socks.h"
#include "http/stages.h"
#include "io/stream_ops.h"

/* The messages of a client lie in the session's block; what was read is x->scanned bytes. */
static struct l4_text unread(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return (struct l4_text){l4_http_block(loop->http, x->block) + x->scanned, x->have - x->scanned};
}

static struct l4_step refuse(struct l4_loop *loop, uint32_t index, enum l4_socks_fault fault)
{
    l4_outward_at(loop, index)->refusal = l4_socks_fault_reply(fault);
    l4_exchange_at(loop, index)->fault = l4_socks_fault_word(fault);
    return l4_serve_refuse(loop, index, 400, L4_END_REJECTED_BAD_REQUEST);
}

static bool say(struct l4_loop *loop, uint32_t index, const uint8_t *said, size_t bytes)
{
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_pump out = loop->pump;
    out.scratch = loop->http->written;
    memcpy(out.scratch, said, bytes);
    return l4_io_of(client)->pass(&out, l4_serve_holder(loop, index), client, bytes) !=
           L4_PUMP_LOST;
}

/* Answers to a message of the client: goes on with the next one, unless that cannot be said. */
static struct l4_step next(struct l4_loop *loop, uint32_t index, const uint8_t *said, size_t bytes,
                           enum l4_socks_phase phase)
{
    l4_outward_at(loop, index)->phase = (uint8_t)phase;
    return say(loop, index, said, bytes) ? l4_stay()
                                         : l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
}

static struct l4_step greeted(struct l4_loop *loop, uint32_t index,
                              const struct l4_socks_greeting *greeting)
{
    uint8_t said[L4_SOCKS_SHORT_BYTES];
    if (!greeting->none && !greeting->password) {
        l4_exchange_at(loop, index)->fault = "socks_methods";
        return l4_serve_refuse(loop, index, 407, L4_END_REJECTED_BAD_REQUEST);
    }
    const size_t bytes = l4_socks_greeting_answer(
        said, greeting->password ? L4_SOCKS_METHOD_PASSWORD : L4_SOCKS_METHOD_NONE);
    return next(loop, index, said, bytes, greeting->password ? L4_SOCKS_LOGIN : L4_SOCKS_REQUEST);
}

static struct l4_step logged_in(struct l4_loop *loop, uint32_t index,
                                const struct l4_socks_login *login)
{
    struct l4_outward *o = l4_outward_at(loop, index);
    char *end = l4_text_copy(o->credentials, login->user);
    *end++ = '\0';
    end = l4_text_copy(end, login->password);
    o->credentials_bytes = (uint16_t)(end - o->credentials);
    l4_outward_begin_login(loop, index);
    return l4_go(L4_SESSION_FORWARD);
}

/* Notes the request for the log, in the words of HTTP. */
static void note(struct l4_loop *loop, uint32_t index, const struct l4_host *host)
{
    struct l4_request_text *text = &l4_table_request(loop->table, loop->setup.index, index)->text;
    const int bytes = snprintf(text->target, sizeof text->target, "%.*s:%u", (int)host->bytes,
                               host->name, host->port);
    text->method_bytes = (uint16_t)snprintf(text->method, sizeof text->method, "CONNECT");
    text->host_bytes =
        (uint16_t)snprintf(text->host, sizeof text->host, "%.*s", (int)host->bytes, host->name);
    text->target_bytes = (uint16_t)(bytes < (int)sizeof text->target ? bytes : 0);
}

static struct l4_step asked(struct l4_loop *loop, uint32_t index,
                            const struct l4_socks_request *request)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (request->command != L4_SOCKS_CONNECT)
        return refuse(loop, index, L4_SOCKS_COMMAND_FAULT);
    x->method = L4_METHOD_CONNECT;
    x->asked_us = loop->now_us;
    x->head_bytes = x->scanned;
    l4_outward_begin_socks(loop, index, &request->host);
    note(loop, index, &request->host);
    return l4_go(L4_SESSION_FORWARD);
}

/* Reads one message. *more: it is not whole. */
static struct l4_step take(struct l4_loop *loop, uint32_t index, bool *more)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_text text = unread(loop, index);
    const uint8_t *data = (const uint8_t *)text.at;
    struct l4_socks_greeting greeting = {0};
    struct l4_socks_login login = {0};
    struct l4_socks_request request = {0};
    enum l4_socks_result result;
    const uint8_t phase = l4_outward_at(loop, index)->phase;
    if (phase == L4_SOCKS_GREETING)
        result = l4_socks_greeting_read(data, text.bytes, &greeting);
    else if (phase == L4_SOCKS_LOGIN)
        result = l4_socks_login_read(data, text.bytes, &login);
    else
        result = l4_socks_request_read(data, text.bytes, &request);
    *more = result == L4_SOCKS_MORE;
    if (*more)
        return l4_stay();
    if (result == L4_SOCKS_BROKEN)
        return refuse(loop, index,
                      phase == L4_SOCKS_GREETING ? greeting.fault
                      : phase == L4_SOCKS_LOGIN  ? login.fault
                                                 : request.fault);
    x->scanned += (uint32_t)(greeting.bytes + login.bytes + request.bytes);
    if (phase == L4_SOCKS_GREETING)
        return greeted(loop, index, &greeting);
    return phase == L4_SOCKS_LOGIN ? logged_in(loop, index, &login) : asked(loop, index, &request);
}

/* Receives once. Returns false if there is nothing; then *step may be an end. */
static bool receive(struct l4_loop *loop, uint32_t index, struct l4_step *step)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_half *client = l4_serve_client(loop, index);
    *step = l4_stay();
    if (!(client->flags & L4_HALF_IN))
        return false;
    const ssize_t got = l4_serve_receive(loop, index);
    if (got < 0)
        *step = l4_end(client->flags & L4_HALF_RESET || x->have ? L4_END_CLIENT_RESET
                                                                : L4_END_CLIENT_FIN);
    if (got > 0 && !x->started_us) {
        x->started_us = x->asked_us = loop->now_us;
        l4_account_begin(loop, index);
    }
    return got > 0;
}

static struct l4_step converse(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_step step = l4_stay();
    if (x->block == L4_NONE)
        x->block = l4_http_take_block(loop->http);
    if (x->block == L4_NONE) {
        l4_row_lacks(loop, &loop->blockless, index);
        return l4_stay();
    }
    do {
        for (bool more = false; !more && x->have > x->scanned;) {
            step = take(loop, index, &more);
            if (step.kind != L4_STAY)
                return step;
        }
    } while (receive(loop, index, &step));
    return step;
}

/* The client is who it says. */
static struct l4_step go_on(struct l4_loop *loop, uint32_t index)
{
    uint8_t said[L4_SOCKS_SHORT_BYTES];
    const struct l4_step step =
        next(loop, index, said, l4_socks_login_answer(said, true), L4_SOCKS_REQUEST);
    l4_row_wake_at_deadline(loop, index);
    return step.kind == L4_STAY ? converse(loop, index) : step;
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_outward *o = l4_outward_at(loop, index);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    if (l4_outward_is_login(loop, index))
        return go_on(loop, index);
    o->serial = o->number = 0;
    o->phase = L4_SOCKS_GREETING;
    o->credentials_bytes = 0;
    l4_exchange_at(loop, index)->up.done = true; /* it has no body */
    s->http = L4_HTTP_ASKS;
    s->half[L4_CLIENT].flags |= L4_HALF_IN;
    l4_row_set_deadline(loop, s, L4_GET(l4_serve_rules(loop, s)->head_timeout_ms));
    l4_row_wake_at_deadline(loop, index);
    return converse(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    if (side != L4_CLIENT)
        return l4_stay();
    l4_half_note(l4_serve_client(loop, index), events);
    return l4_serve_client(loop, index)->flags & L4_HALF_BROKEN ? l4_end(L4_END_CLIENT_RESET)
                                                                : converse(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return l4_end(L4_END_REJECTED_HEAD_TIMEOUT);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

const struct l4_stage l4_stage_socks = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = converse,
};
