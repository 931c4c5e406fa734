#include "http/message.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "core/access.h"
#include "core/h1write.h"
#include "core/http_texts.h"
#include "http/serve.h"
#include "shm/http.h"

enum { HIDE_MAX = 32 }; /* names of fields that a listener hides: config/bounds.py */

static struct l4_text text_of(const char *word)
{
    return (struct l4_text){.at = word, .bytes = strlen(word)};
}

static struct l4_text part_of(const char *bytes, struct l4_h1_text part)
{
    return (struct l4_text){.at = bytes + part.at, .bytes = part.bytes};
}

static struct l4_h1_out writer(struct l4_loop *loop)
{
    return (struct l4_h1_out){.to = loop->http->written, .size = L4_HTTP_WRITTEN_BYTES};
}

/* A text without bytes is not configured, and is not written. */
static struct l4_text if_any(struct l4_text text)
{
    return text.bytes ? text : (struct l4_text){0};
}

/* The present time as the Date field has it. Written anew once a second. */
static struct l4_text date_now(struct l4_http *http)
{
    const uint64_t now = (uint64_t)time(NULL);
    if (http->date_s != now) {
        l4_date_write(http->date, (int64_t)now);
        http->date_s = now;
    }
    return (struct l4_text){.at = http->date, .bytes = L4_DATE_BYTES};
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct l4_text address_text(const struct l4_addr *addr, char to[INET6_ADDRSTRLEN])
{
    if (addr->family != AF_INET && addr->family != AF_INET6)
        return text_of("unknown"); /* RFC 7239, 6.2 */
    inet_ntop(addr->family, addr->ip, to, INET6_ADDRSTRLEN);
    return text_of(to);
}

/* The host as the client asked for it. */
static struct l4_text asked_host(const struct l4_http_judged *judged, const char *bytes)
{
    return judged->target.host.at ? judged->target.host : part_of(bytes, judged->head.host);
}

/* The Host that the backend gets. */
static struct l4_text host_for(const struct l4_loop *loop, const struct l4_session *s,
                               const struct l4_texts *texts, struct l4_text asked)
{
    const uint32_t rule = L4_GET(l4_row_pool(loop, s)->http.host);
    const struct l4_text named = l4_texts_host(texts, s->pool);
    if (rule == L4_HOST_NAMED && named.bytes)
        return named;
    if (rule == L4_HOST_BACKEND || !asked.bytes)
        return text_of(l4_table_backend(loop->table, s->backend)->name);
    return asked;
}

/* Is the client a proxy whose word about its own clients is believed? */
static bool is_trusted(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->client.family == AF_UNIX ||
           l4_access_find_named(loop->table, &l4_serve_rules(loop, s)->trusted_set, &s->client);
}

/* The target in origin form (RFC 9112, 3.2.1), whatever form it came in. */
static struct l4_text target_for(const struct l4_http_judged *judged, const char *bytes)
{
    const struct l4_target *target = &judged->target;
    if (target->form != L4_FORM_ABSOLUTE)
        return part_of(bytes, judged->head.target);
    const char *end = bytes + judged->head.target.at + judged->head.target.bytes;
    if (target->path.at >= bytes && target->path.at < end)
        return (struct l4_text){.at = target->path.at, .bytes = (size_t)(end - target->path.at)};
    return target->path; /* an absolute form without a path */
}

static void write_request(struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                          struct l4_h1_out *out)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const struct l4_http_listener *listener = l4_serve_rules(loop, s);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const char *bytes = l4_http_block(loop->http, x->block);
    const struct l4_listener_texts own = l4_texts_listener(texts, s->listener);
    const struct l4_request_text *told =
        &l4_table_request(loop->table, loop->setup.index, index)->text;
    const struct l4_text asked = asked_host(judged, bytes);
    const uint32_t forwarded = L4_GET(listener->forwarded);
    const bool never = L4_GET(pool->http.reuse) == L4_REUSE_NEVER;
    char address[INET6_ADDRSTRLEN];
    const struct l4_request_rules rules = {
        .head =
            {
                .framing = (enum l4_framing)judged->head.framing,
                .length = judged->head.length,
                .connection = judged->head.upgrade ? L4_CONNECTION_UPGRADE
                              : never              ? L4_CONNECTION_CLOSE
                                                   : L4_CONNECTION_NONE,
                .via = if_any(own.via),
            },
        .target = target_for(judged, bytes),
        .host = host_for(loop, s, texts, asked),
        .trusted = is_trusted(loop, s),
        .forwarded = forwarded == L4_HTTP_FORWARDED_OFF       ? L4_FORWARDED_OFF
                     : forwarded == L4_HTTP_FORWARDED_REPLACE ? L4_FORWARDED_REPLACE
                                                              : L4_FORWARDED_APPEND,
        .x_forwarded =
            forwarded == L4_HTTP_FORWARDED_APPEND || forwarded == L4_HTTP_FORWARDED_REPLACE,
        .rfc7239 = forwarded == L4_HTTP_FORWARDED_RFC7239,
        .drop_underscores = L4_GET(listener->underscores) != L4_UNDERSCORES_PASS,
        .client = address_text(&s->client, address),
        .scheme = text_of(s->half[L4_CLIENT].flags & L4_HALF_TLS ? "https" : "http"),
        .asked_host = asked,
        .id_name = told->id_bytes ? own.request_id : (struct l4_text){0},
        .id = {.at = told->id, .bytes = told->id_bytes},
    };
    l4_h1_write_request(out, bytes, &judged->head, &rules);
}

/* why again: a reload may replace the texts while they are read. */
static bool write_whole_request(struct l4_loop *loop, uint32_t index, struct l4_h1_out *out)
{
    const struct l4_h1_out empty = *out;
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct l4_texts texts = l4_texts_begin(loop->table);
        *out = empty;
        write_request(loop, index, &texts, out);
        if (l4_texts_hold(loop->table, &texts))
            return !out->full;
    }
    return false;
}

bool l4_message_request(struct l4_loop *loop, uint32_t index, char **at, size_t *bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_h1_out out = writer(loop);
    struct l4_coded body = {0};
    const char *block = l4_http_block(loop->http, x->block);
    const struct l4_h1_head *head = &l4_serve_judged(loop, index)->head;
    out.size = L4_HTTP_WRITTEN_HEAD;
    if (!write_whole_request(loop, index, &out))
        return false;
    x->body_bytes = 0;
    x->up = (struct l4_body){
        .comes = head->framing,
        .goes = head->framing,
        .left = head->framing == L4_FRAMING_LENGTH ? head->length : 0,
        .done = head->framing == L4_FRAMING_NONE ||
                (head->framing == L4_FRAMING_LENGTH && !head->length),
    };
    *at = out.to;
    *bytes = out.used;
    if (x->up.done || x->have == x->head_bytes)
        return true;
    char *rest = out.to + L4_HTTP_WRITTEN_HEAD + L4_CODE_BEFORE;
    memcpy(rest, block + x->head_bytes, x->have - x->head_bytes);
    if (!l4_body_code(&x->up, rest, x->have - x->head_bytes, &body)) {
        x->flags |= L4_X_BAD_BODY;
        return false;
    }
    x->body_bytes = (uint32_t)body.used;
    *at = body.at - out.used;
    memmove(*at, out.to, out.used);
    *bytes += body.bytes;
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum l4_connection_word word_for(const struct l4_exchange *x)
{
    if (!(x->flags & L4_X_CLIENT_STAYS))
        return L4_CONNECTION_CLOSE;
    return x->minor ? L4_CONNECTION_NONE : L4_CONNECTION_KEEP_ALIVE;
}

static void write_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head, const struct l4_texts *texts,
                         struct l4_h1_out *out)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool informational = head->status < 200;
    const bool secure = s->half[L4_CLIENT].flags & L4_HALF_TLS;
    const struct l4_listener_texts own = l4_texts_listener(texts, s->listener);
    struct l4_text hide[HIDE_MAX];
    const uint32_t hides = own.hides < HIDE_MAX ? own.hides : HIDE_MAX;
    for (uint32_t i = 0; i < hides; i++)
        hide[i] = l4_texts_read(texts, own.hide[i]);
    const struct l4_answer_rules rules = {
        .head =
            {
                .framing = informational ? L4_FRAMING_NONE : (enum l4_framing)x->down.goes,
                .tell_length = head->has_length && head->framing == L4_FRAMING_NONE,
                .length = head->length,
                .connection = head->tunnel    ? L4_CONNECTION_UPGRADE
                              : informational ? L4_CONNECTION_NONE
                                              : word_for(x),
                .via = if_any(own.via),
            },
        .hide = hide,
        .hide_count = hides,
        .hsts = secure && !informational ? if_any(own.hsts) : (struct l4_text){0},
        .date = informational ? (struct l4_text){0} : date_now(loop->http),
    };
    l4_h1_write_answer(out, bytes, head, &rules);
}

size_t l4_message_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head)
{
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct l4_texts texts = l4_texts_begin(loop->table);
        struct l4_h1_out out = writer(loop);
        write_answer(loop, index, bytes, head, &texts, &out);
        if (l4_texts_hold(loop->table, &texts))
            return out.full ? 0 : out.used;
    }
    return 0;
}

/* ---- answers of our own ---------------------------------------------------------------------- */

static const char *reason_of(uint16_t status)
{
    switch (status) {
    case 301:
        return "Moved Permanently";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

/* Where a client that may not speak in clear text is sent to. */
static void put_https_location(struct l4_loop *loop, uint32_t index, struct l4_h1_out *out)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const struct l4_text target = target_for(judged, bytes);
    char *to = loop->pump.scratch; /* nothing is read while a message is written */
    const int host =
        snprintf(to, L4_HOST_MAX + 16, "https://%.*s", (int)judged->host.bytes, judged->host.name);
    memcpy(to + host, target.at, target.bytes);
    l4_h1_put_field(out, L4_TEXT("Location"),
                    (struct l4_text){.at = to, .bytes = (size_t)host + target.bytes});
}

static void put_body(struct l4_h1_out *out, struct l4_text body)
{
    if (body.bytes > out->size - out->used) {
        out->full = true;
        return;
    }
    memcpy(out->to + out->used, body.at, body.bytes);
    out->used += body.bytes;
}

static void put_length(struct l4_h1_out *out, size_t bytes)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", bytes);
    l4_h1_put_field(out, L4_TEXT("Content-Length"), text_of(number));
}

static void write_reply(struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                        struct l4_h1_out *out)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_listener_texts own = l4_texts_listener(texts, s->listener);
    const struct l4_texts_page page = l4_texts_page(texts, &own, x->status);
    const struct l4_text reason = text_of(reason_of(x->status));
    const struct l4_text body = l4_texts_read(texts, page.body);
    const size_t plain_bytes = 3 + 1 + reason.bytes + 1; /* "503 Service Unavailable\n" */
    const enum l4_connection_word word = word_for(x);
    const bool secure = s->half[L4_CLIENT].flags & L4_HALF_TLS;
    l4_h1_put_status(out, x->status, reason);
    l4_h1_put_field(out, L4_TEXT("Date"), date_now(loop->http));
    l4_h1_put_field(out, L4_TEXT("Content-Type"),
                    page.status ? l4_texts_read(texts, page.type) : L4_TEXT("text/plain"));
    put_length(out, page.status ? body.bytes : plain_bytes);
    l4_h1_put_field(out, L4_TEXT("Cache-Control"), L4_TEXT("no-store"));
    if (x->flags & L4_X_TO_HTTPS)
        put_https_location(loop, index, out);
    if (x->status == 405)
        l4_h1_put_field(out, L4_TEXT("Allow"), L4_TEXT("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    if (secure && own.hsts.bytes)
        l4_h1_put_field(out, L4_TEXT("Strict-Transport-Security"), own.hsts);
    if (word != L4_CONNECTION_NONE)
        l4_h1_put_field(out, L4_TEXT("Connection"),
                        word == L4_CONNECTION_CLOSE ? L4_TEXT("close") : L4_TEXT("keep-alive"));
    l4_h1_put_end(out);
    if (x->head_bytes && x->method == L4_METHOD_HEAD)
        return;
    if (page.status) {
        put_body(out, body);
        return;
    }
    l4_h1_put_number(out, x->status);
    put_body(out, L4_TEXT(" "));
    put_body(out, reason);
    put_body(out, L4_TEXT("\n"));
}

size_t l4_message_reply(struct l4_loop *loop, uint32_t index)
{
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct l4_texts texts = l4_texts_begin(loop->table);
        struct l4_h1_out out = writer(loop);
        write_reply(loop, index, &texts, &out);
        if (l4_texts_hold(loop->table, &texts))
            return out.full ? 0 : out.used;
    }
    return 0;
}
