#include "http/message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/assert.h"
#include "core/access.h"
#include "core/h1write.h"
#include "core/http_texts.h"
#include "http/cached.h"
#include "http/cookie.h"
#include "http/forward_fields.h"
#include "http/proxy_status.h"
#include "http/record.h"
#include "http/routing.h"
#include "http/serve.h"
#include "http/socks.h"
#include "shm/http.h"
#include "shm/row_reuse.h"

enum { HIDE_MAX = 32 }; /* names of fields that a listener hides: config/bounds.py */

static struct l4_text text_of(const char *word)
{
    return (struct l4_text){.at = word, .bytes = strlen(word)};
}

static struct l4_text_out writer(struct l4_loop *loop)
{
    return (struct l4_text_out){.to = loop->http->written,
                                .size = L4_HTTP_WRITTEN_BYTES - L4_HTTP_NOTES_BYTES};
}

/* A place for texts of a message: behind what is written of its head. */
static char *notes_of(const struct l4_loop *loop)
{
    return loop->http->written + L4_HTTP_WRITTEN_BYTES - L4_HTTP_NOTES_BYTES;
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

static struct l4_text address_text(struct l4_addr addr, char to[static L4_ADDR_TEXT_MAX])
{
    const size_t bytes = l4_addr_host_text(addr, to);
    return bytes ? (struct l4_text){to, bytes} : L4_TEXT("unknown"); /* RFC 7239, 6.2 */
}

/* The host as the client asked for it. */
static struct l4_text asked_host(const struct l4_http_judged *judged, const char *bytes)
{
    return judged->target.host.at ? judged->target.host : l4_h1_text(bytes, judged->head.host);
}

/* The backend's address and port. */
static struct l4_text backend_text(const struct l4_backend *backend, char to[L4_ADDR_TEXT_MAX])
{
    char path[L4_PATH_MAX + 1];
    const struct l4_addr addr = l4_table_target(backend, path);
    const size_t bytes = l4_addr_text(&addr, to);
    return bytes ? (struct l4_text){to, bytes} : L4_TEXT("localhost");
}

/* The Host that the backend gets. */
static struct l4_text host_for(const struct l4_loop *loop, const struct l4_session *s,
                               const struct l4_texts *texts, struct l4_text asked,
                               char to[L4_ADDR_TEXT_MAX])
{
    const uint32_t rule = L4_GET(l4_row_pool(loop, s)->http.host);
    const struct l4_text named = l4_texts_host(texts, s->pool);
    if (rule == L4_HOST_NAMED && named.bytes)
        return named;
    if (rule == L4_HOST_BACKEND || !asked.bytes)
        return backend_text(l4_table_backend(loop->table, s->backend), to);
    return asked;
}

/* The target in origin form (RFC 9112, 3.2.1), whatever form it came in. */
static struct l4_text target_for(const struct l4_loop *loop, const struct l4_http_judged *judged,
                                 const char *bytes)
{
    const struct l4_target *target = &judged->target;
    if (target->form != L4_FORM_ABSOLUTE)
        return l4_h1_text(bytes, judged->head.target);
    const char *end = bytes + judged->head.target.at + judged->head.target.bytes;
    if (target->path.at >= bytes && target->path.at < end)
        return (struct l4_text){.at = target->path.at, .bytes = (size_t)(end - target->path.at)};
    /* why: an absolute form without a path may have a query (RFC 9112, 3.2.1). */
    if (!target->query.at)
        return target->path;
    char *to = loop->pump.scratch + L4_HTTP_HEAD_MAX; /* nothing is read while this is written */
    to[0] = '/';
    to[1] = '?';
    l4_text_copy(to + 2, target->query);
    return (struct l4_text){.at = to, .bytes = target->query.bytes + 2};
}

/* What is read of the shared table to write a message: texts and the request's route. */
struct sources {
    struct l4_texts texts;
    struct l4_http_choice choice;
    bool routed; /* the request has a route, and choice is valid */
};

static struct sources begin(const struct l4_loop *loop, uint32_t index)
{
    struct sources sources = {.texts = l4_texts_begin(loop->table)};
    sources.routed = l4_routing_find(loop, index, &sources.choice);
    return sources;
}

/* why asked: a reload may replace what was read. */
static bool hold(const struct l4_loop *loop, const struct sources *sources)
{
    return l4_texts_hold(loop->table, &sources->texts) &&
           (!sources->routed || l4_http_route_stays(loop->table, &sources->choice));
}

/* Returns the target to send: the route may rewrite it. */
static struct l4_text routed_target(struct l4_loop *loop, uint32_t index,
                                    const struct sources *sources, struct l4_text target)
{
    if (!sources->routed || !sources->choice.answer.route.target.count)
        return target;
    char *to = loop->pump.scratch; /* nothing is read while a message is written */
    const uint32_t bytes = l4_routing_write(
        loop, index, &sources->choice, sources->choice.answer.route.target, to, L4_HTTP_HEAD_MAX);
    return bytes ? (struct l4_text){to, bytes} : target;
}

static void write_request(struct l4_loop *loop, uint32_t index, const struct sources *sources,
                          struct l4_text_out *out)
{
    const struct l4_texts *texts = &sources->texts;
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
    struct l4_field_rule changes[L4_ROUTE_CHANGES_MAX + L4_CACHED_RULES + L4_FORWARD_RULES];
    struct l4_text_out notes = {.to = notes_of(loop), .size = L4_HTTP_NOTES_BYTES};
    size_t change_count =
        sources->routed ? l4_routing_changes(&sources->choice,
                                             sources->choice.answer.route.request_changes, changes)
                        : 0;
    change_count += l4_cached_question(loop, index, changes + change_count);
    change_count += l4_forward_fields(loop, index, own.request_id, &notes, changes + change_count);
    const bool never = L4_GET(pool->http.reuse) == L4_REUSE_NEVER;
    char address[L4_ADDR_TEXT_MAX], host[L4_ADDR_TEXT_MAX];
    const struct l4_request_rules rules = {
        .head =
            {
                .framing = (enum l4_framing)judged->head.framing,
                .length = judged->head.length,
                .connection = judged->head.upgrade ? L4_CONNECTION_UPGRADE
                              : never              ? L4_CONNECTION_CLOSE
                                                   : L4_CONNECTION_NONE,
                .via = if_any(own.via),
                .fields = changes,
                .field_count = change_count,
            },
        .target = routed_target(loop, index, sources, target_for(loop, judged, bytes)),
        .host = host_for(loop, s, texts, asked, host),
        .trusted = l4_serve_trusts(loop, s),
        .forwarded = forwarded == L4_HTTP_FORWARDED_OFF       ? L4_FORWARDED_OFF
                     : forwarded == L4_HTTP_FORWARDED_REPLACE ? L4_FORWARDED_REPLACE
                                                              : L4_FORWARDED_APPEND,
        .x_forwarded =
            forwarded == L4_HTTP_FORWARDED_APPEND || forwarded == L4_HTTP_FORWARDED_REPLACE,
        .rfc7239 = forwarded == L4_HTTP_FORWARDED_RFC7239,
        .drop_underscores = L4_GET(listener->underscores) != L4_UNDERSCORES_PASS,
        /* why: what replaces all that came is the client; what is added to it is the peer. */
        .client = address_text(
            forwarded == L4_HTTP_FORWARDED_REPLACE ? *l4_row_client(loop, s) : s->client, address),
        .scheme = text_of(s->half[L4_CLIENT].flags & L4_HALF_TLS ? "https" : "http"),
        .asked_host = asked,
        .id_name = told->id_bytes ? own.request_id : (struct l4_text){0},
        .id = {.at = told->id, .bytes = told->id_bytes},
    };
    l4_h1_write_request(out, bytes, &judged->head, &rules);
}

static bool write_whole_request(struct l4_loop *loop, uint32_t index, struct l4_text_out *out)
{
    const struct l4_text_out empty = *out;
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct sources sources = begin(loop, index);
        *out = empty;
        write_request(loop, index, &sources, out);
        if (hold(loop, &sources))
            return !out->full;
    }
    return false;
}

bool l4_message_request(struct l4_loop *loop, uint32_t index, char **at, size_t *bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_text_out out = writer(loop);
    struct l4_coded body = {0};
    const char *block = l4_http_block(loop->http, x->block);
    const struct l4_h1_head *head = &l4_serve_judged(loop, index)->head;
    out.size = L4_HTTP_WRITTEN_HEAD;
    if (!write_whole_request(loop, index, &out))
        return false;
    x->body_bytes = 0;
    x->up = l4_body_of(head, (enum l4_framing)head->framing,
                       L4_GET(l4_serve_rules(loop, l4_session_at(loop, index))->max_body));
    *at = out.to;
    *bytes = out.used;
    if (x->up.done || x->have == x->head_bytes || x->holds & L4_HOLDS_REQUEST)
        return true;
    char *rest = out.to + L4_HTTP_WRITTEN_HEAD + L4_CODE_BEFORE;
    memcpy(rest, block + x->head_bytes, x->have - x->head_bytes);
    if (!l4_body_code(&x->up, rest, x->have - x->head_bytes, &body)) {
        x->flags |= L4_X_BAD_BODY;
        return false;
    }
    l4_recording_up(loop, index, body.data);
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

static bool is_host(struct l4_text text, struct l4_text host)
{
    return host.bytes && text.bytes >= host.bytes && !strncasecmp(text.at, host.at, host.bytes) &&
           (text.bytes == host.bytes || strchr("/?#", text.at[host.bytes]));
}

/* Returns the Location for the client, if the backend's names the backend itself: as its address,
 * or as the host that it was asked for instead of the client's. */
static struct l4_text location_for(struct l4_loop *loop, uint32_t index, const char *bytes,
                                   const struct l4_h1_head *head, const struct sources *sources)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    char host[L4_ADDR_TEXT_MAX], address[L4_ADDR_TEXT_MAX];
    if (!l4_h1_has(head, L4_FIELD_LOCATION) || s->backend == L4_NONE)
        return (struct l4_text){0};
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    struct l4_text rest = l4_h1_value(bytes, head, L4_FIELD_LOCATION);
    const struct l4_text asked = asked_host(judged, l4_http_block(loop->http, x->block));
    const size_t scheme = rest.bytes > 7 && !strncasecmp(rest.at, "http://", 7)    ? 7
                          : rest.bytes > 8 && !strncasecmp(rest.at, "https://", 8) ? 8
                                                                                   : 0;
    rest = (struct l4_text){rest.at + scheme, rest.bytes - scheme};
    const struct l4_text sent = host_for(loop, s, &sources->texts, asked, host);
    const struct l4_text backend = backend_text(l4_table_backend(loop->table, s->backend), address);
    const struct l4_text named = is_host(rest, sent)      ? sent
                                 : is_host(rest, backend) ? backend
                                                          : (struct l4_text){0};
    if (!scheme || !named.bytes || is_host(rest, asked) || !asked.bytes)
        return (struct l4_text){0};
    const bool secure = s->half[L4_CLIENT].flags & L4_HALF_TLS;
    char *to = notes_of(loop);
    const int size = snprintf(to, L4_HTTP_NOTES_BYTES, "%s://%.*s%.*s", secure ? "https" : "http",
                              (int)asked.bytes, asked.at, (int)(rest.bytes - named.bytes),
                              rest.at + named.bytes);
    return size < L4_HTTP_NOTES_BYTES ? (struct l4_text){to, (size_t)size} : (struct l4_text){0};
}

/* Returns the Domain of cookies that names the backend's host instead of the client's. */
static struct l4_text cookie_domain(const struct l4_loop *loop, uint32_t index,
                                    const struct l4_h1_head *head, const struct sources *sources,
                                    char to[L4_ADDR_TEXT_MAX])
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (!l4_h1_has(head, L4_FIELD_SET_COOKIE) || s->backend == L4_NONE ||
        L4_GET(l4_row_pool(loop, s)->http.host) == L4_HOST_KEEP)
        return (struct l4_text){0};
    struct l4_text host = host_for(loop, s, &sources->texts, (struct l4_text){0}, to);
    const char *port = memchr(host.at, ':', host.bytes);
    if (port)
        host.bytes = (size_t)(port - host.at);
    return host;
}

/* Returns the words of a status (RFC 9110, 15); "" for others. */
static const char *reason_of(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *words;
    } known[] = {
        {200, "OK"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].status == status)
            return known[i].words;
    }
    return "";
}

/* The words of a status that is not that of what is stored. */
static struct l4_text other_reason(const struct l4_loop *loop, uint32_t index, uint16_t status)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_caching *c = x->cache ? l4_caching_at(loop, index) : NULL;
    const bool other = c && c->state == L4_CACHING_SEND && c->form != L4_CACHED_WHOLE;
    return other ? text_of(reason_of(status)) : (struct l4_text){NULL, 0};
}

static void write_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head, const struct sources *sources,
                         struct l4_text_out *out)
{
    const struct l4_texts *texts = &sources->texts;
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool informational = head->status < 200;
    const bool secure = s->half[L4_CLIENT].flags & L4_HALF_TLS;
    const struct l4_listener_texts own = l4_texts_listener(texts, s->listener);
    struct l4_field_rule changes[L4_ROUTE_CHANGES_MAX + 2 + L4_CACHED_RULES];
    char cookie[L4_COOKIE_BYTES_MAX], domain[L4_ADDR_TEXT_MAX];
    struct l4_cached_told cached;
    size_t change_count =
        sources->routed && !informational
            ? l4_routing_changes(&sources->choice, sources->choice.answer.route.answer_changes,
                                 changes)
            : 0;
    const struct l4_request_text *told =
        &l4_table_request(loop->table, loop->setup.index, index)->text;
    struct l4_text hide[HIDE_MAX];
    const uint32_t hides = own.hides < HIDE_MAX ? own.hides : HIDE_MAX;
    for (uint32_t i = 0; i < hides; i++)
        hide[i] = l4_texts_read(texts, own.hide[i]);
    if (told->id_bytes && own.request_id.bytes && !informational)
        changes[change_count++] =
            (struct l4_field_rule){L4_FIELD_SET, own.request_id, {told->id, told->id_bytes}};
    const size_t cookie_bytes =
        informational ? 0 : l4_cookie_write(loop, index, texts, cookie, sizeof cookie);
    if (cookie_bytes)
        changes[change_count++] =
            (struct l4_field_rule){L4_FIELD_ADD, L4_TEXT("Set-Cookie"), {cookie, cookie_bytes}};
    if (!informational)
        change_count += l4_cached_fields(loop, index, texts, &cached, changes + change_count);
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
                .fields = changes,
                .field_count = change_count,
            },
        .hide = hide,
        .hide_count = hides,
        .location = location_for(loop, index, bytes, head, sources),
        .cookie_domain = cookie_domain(loop, index, head, sources, domain),
        .hsts = secure && !informational ? if_any(own.hsts) : (struct l4_text){0},
        .date = informational ? (struct l4_text){0} : date_now(loop->http),
        .reason = other_reason(loop, index, head->status),
    };
    l4_h1_write_answer(out, bytes, head, &rules);
}

size_t l4_message_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head)
{
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct sources sources = begin(loop, index);
        struct l4_text_out out = writer(loop);
        write_answer(loop, index, bytes, head, &sources, &out);
        if (hold(loop, &sources))
            return out.full ? 0 : out.used;
    }
    return 0;
}

void l4_message_to_store(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head, struct l4_text_out *out)
{
    static const struct l4_field_rule no_age = {.action = L4_FIELD_REMOVE, .name = {"Age", 3}};
    const struct l4_text_out before = *out;
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct sources sources = begin(loop, index);
        char domain[L4_ADDR_TEXT_MAX];
        const struct l4_answer_rules rules = {
            .head = {.framing = L4_FRAMING_NONE, .fields = &no_age, .field_count = 1},
            .location = location_for(loop, index, bytes, head, &sources),
            .cookie_domain = cookie_domain(loop, index, head, &sources, domain),
            .date = date_now(loop->http),
        };
        *out = before;
        l4_h1_write_answer(out, bytes, head, &rules);
        if (hold(loop, &sources))
            return;
    }
    out->full = true;
}

/* ---- answers of our own ---------------------------------------------------------------------- */

/* Where a client that may not speak in clear text is sent to. */
static void put_https_location(struct l4_loop *loop, uint32_t index, struct l4_text_out *out)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const struct l4_text target = target_for(loop, judged, bytes);
    char *to = loop->pump.scratch; /* nothing is read while a message is written */
    const int host =
        snprintf(to, L4_HOST_MAX + 16, "https://%.*s", (int)judged->host.bytes, judged->host.name);
    l4_text_copy(to + host, target);
    l4_h1_put_field(out, L4_TEXT("Location"),
                    (struct l4_text){.at = to, .bytes = (size_t)host + target.bytes});
}

static void put_length(struct l4_text_out *out, size_t bytes)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", bytes);
    l4_h1_put_field(out, L4_TEXT("Content-Length"), text_of(number));
}

/* Where the request's route sends the client to. */
static void put_location(struct l4_loop *loop, uint32_t index, const struct sources *sources,
                         struct l4_text_out *out)
{
    char *to = loop->pump.scratch;
    const uint32_t bytes = l4_routing_write(
        loop, index, &sources->choice, sources->choice.answer.route.location, to, L4_HTTP_HEAD_MAX);
    if (bytes)
        l4_h1_put_field(out, L4_TEXT("Location"), (struct l4_text){to, bytes});
    else
        out->full = true;
}

/* The body of an answer of our own, and its type. */
struct content {
    struct l4_text type, body;
};

static struct content content_of(const struct l4_loop *loop, uint32_t index,
                                 const struct sources *sources, char line[64])
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_texts_page page = l4_forward_page(loop, index, &sources->texts);
    if (x->reply == L4_REPLY_ROUTE && sources->routed) {
        const struct l4_router_route *route = &sources->choice.answer.route;
        return (struct content){l4_router_text(&sources->choice.memory, route->content_type),
                                l4_router_text(&sources->choice.memory, route->body)};
    }
    if (page.status)
        return (struct content){l4_texts_read(&sources->texts, page.type),
                                l4_texts_read(&sources->texts, page.body)};
    const int bytes = snprintf(line, 64, "%u %s\n", x->status, reason_of(x->status));
    return (struct content){L4_TEXT("text/plain"), {line, (size_t)bytes}};
}

/* The fields that depend on why this is answered here. */
static void put_special(struct l4_loop *loop, uint32_t index, const struct sources *sources,
                        struct l4_text_out *out)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_listener_texts own = l4_texts_listener(&sources->texts, s->listener);
    char seconds[16], status[L4_PROXY_STATUS_MAX];
    if (L4_GET(l4_serve_rules(loop, s)->proxy_status)) {
        const size_t bytes = l4_proxy_status_write(loop, index, own.via, status);
        l4_h1_put_field(out, L4_TEXT("Proxy-Status"), (struct l4_text){status, bytes});
    }
    if (x->reply == L4_REPLY_HTTPS)
        put_https_location(loop, index, out);
    if (x->reply == L4_REPLY_REDIRECT && sources->routed)
        put_location(loop, index, sources, out);
    const bool names_methods =
        sources->routed && sources->choice.answer.route.action >= L4_ROUTER_DENY;
    if (x->status == 405 && !names_methods)
        l4_h1_put_field(out, L4_TEXT("Allow"), L4_TEXT("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    if (x->status == 407)
        l4_forward_put_challenge(loop, index, out);
    if (x->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%u", x->retry_after_s);
        l4_h1_put_field(out, L4_TEXT("Retry-After"), text_of(seconds));
    }
    if (s->half[L4_CLIENT].flags & L4_HALF_TLS && own.hsts.bytes)
        l4_h1_put_field(out, L4_TEXT("Strict-Transport-Security"), own.hsts);
}

/* The fields that a route sets in its answers. */
static void put_changes(const struct sources *sources, struct l4_text_out *out)
{
    struct l4_field_rule changes[L4_ROUTE_CHANGES_MAX];
    const size_t count =
        l4_routing_changes(&sources->choice, sources->choice.answer.route.answer_changes, changes);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].action == L4_FIELD_SET)
            l4_h1_put_field(out, changes[i].name, changes[i].value);
    }
}

static void write_reply(struct l4_loop *loop, uint32_t index, const struct sources *sources,
                        struct l4_text_out *out)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const enum l4_connection_word word = word_for(x);
    char line[64];
    const struct content content = content_of(loop, index, sources, line);
    l4_h1_put_status(out, x->status, text_of(reason_of(x->status)));
    l4_h1_put_field(out, L4_TEXT("Date"), date_now(loop->http));
    if (content.type.bytes && content.body.bytes)
        l4_h1_put_field(out, L4_TEXT("Content-Type"), content.type);
    if (x->status != 204 && x->status != 304)
        put_length(out, content.body.bytes);
    if (x->reply == L4_REPLY_PLAIN)
        l4_h1_put_field(out, L4_TEXT("Cache-Control"), L4_TEXT("no-store"));
    put_special(loop, index, sources, out);
    if (sources->routed)
        put_changes(sources, out);
    if (word != L4_CONNECTION_NONE)
        l4_h1_put_field(out, L4_TEXT("Connection"),
                        word == L4_CONNECTION_CLOSE ? L4_TEXT("close") : L4_TEXT("keep-alive"));
    l4_h1_put_end(out);
    if (!x->head_bytes || x->method != L4_METHOD_HEAD)
        l4_text_put(out, content.body);
}

size_t l4_message_reply(struct l4_loop *loop, uint32_t index)
{
    if (l4_socks_is_spoken(loop, l4_session_at(loop, index)))
        return l4_socks_refusal(loop, index, loop->http->written);
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const struct sources sources = begin(loop, index);
        struct l4_text_out out = writer(loop);
        write_reply(loop, index, &sources, &out);
        if (hold(loop, &sources))
            return out.full ? 0 : out.used;
    }
    return 0;
}
