#include "core/request_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/logtext.h"
#include "shm/cache.h"

/* How a key and its value are written: as text, or as JSON. */
struct style {
    void (*text)(struct l4_log_out *out, const char *key, const char *text);
    void (*foreign)(struct l4_log_out *out, const char *key, struct l4_text text);
    void (*number)(struct l4_log_out *out, const char *key, uint64_t number);
    void (*ms)(struct l4_log_out *out, const char *key, uint64_t us);
    void (*truth)(struct l4_log_out *out, const char *key, bool holds);
};

static void number_word(struct l4_log_out *out, const char *key, uint64_t number)
{
    l4_log_put(out, " %s=%" PRIu64, key, number);
}

static void number_json(struct l4_log_out *out, const char *key, uint64_t number)
{
    l4_log_put(out, ",\"%s\":%" PRIu64, key, number);
}

static void ms_word(struct l4_log_out *out, const char *key, uint64_t us)
{
    l4_log_put(out, " %s", key);
    l4_log_ms(out, "=", us);
}

static void ms_json(struct l4_log_out *out, const char *key, uint64_t us)
{
    l4_log_put(out, ",\"%s\"", key);
    l4_log_ms(out, ":", us);
}

static void truth_word(struct l4_log_out *out, const char *key, bool holds)
{
    l4_log_put(out, " %s=%s", key, holds ? "yes" : "no");
}

static void truth_json(struct l4_log_out *out, const char *key, bool holds)
{
    l4_log_put(out, ",\"%s\":%s", key, holds ? "true" : "false");
}

static const struct style as_text = {l4_log_word, l4_log_foreign_word, number_word, ms_word,
                                     truth_word};
static const struct style as_json = {l4_log_string, l4_log_foreign_string, number_json, ms_json,
                                     truth_json};

/* ---- what is written ------------------------------------------------------------------------- */

static struct l4_text text_of(const char *at, uint16_t bytes, size_t room)
{
    const size_t fits = bytes < room ? bytes : room;
    return (struct l4_text){.at = fits ? at : NULL, .bytes = fits};
}

#define TEXT_OF(end, name)                                                                         \
    text_of((end)->text.name, (end)->text.name##_bytes, sizeof(end)->text.name)

/* Splits a target into its path and its query; the scheme and the host of an absolute form have
 * keys of their own. */
static void split(struct l4_text target, struct l4_text *path, struct l4_text *query)
{
    const char *end = target.at ? target.at + target.bytes : NULL;
    *path = *query = (struct l4_text){0};
    if (!target.at)
        return;
    const char *from = target.at;
    if (target.bytes > 7 && strncasecmp(from, "http", 4) == 0) {
        const char *host = memmem(from, target.bytes, "://", 3);
        const char *slash = host ? memchr(host + 3, '/', (size_t)(end - host - 3)) : NULL;
        from = slash ? slash : from;
    }
    const char *mark = memchr(from, '?', (size_t)(end - from));
    *path = (struct l4_text){.at = from, .bytes = (size_t)((mark ? mark : end) - from)};
    if (mark)
        *query = (struct l4_text){.at = mark + 1, .bytes = (size_t)(end - mark - 1)};
}

static const char *end_word(const struct l4_request_end *end, char to[static L4_LOG_WORD])
{
    char number[L4_LOG_WORD];
    if (end->reason == L4_END_NONE)
        return "answered";
    if (end->reason != L4_END_ERROR || !end->error)
        return l4_reason_word(end->reason);
    snprintf(to, L4_LOG_WORD, "%s:%.30s", l4_reason_word(end->reason),
             l4_log_error(end->error, number));
    return to;
}

static const char *retry_word(uint8_t cause)
{
    static const char *const words[] = {"connect", "reuse", "reset", "timeout",
                                        "502",     "503",   "504"};
    const size_t bit = cause ? (size_t)__builtin_ctz(cause) : 0;
    return cause && bit < sizeof words / sizeof *words ? words[bit] : NULL;
}

static const char *cache_word(uint8_t result)
{
    static const char *const words[] = {
#define X(id, word) word,
        L4_CACHE_RESULTS(X)
#undef X
    };
    return result != L4_CACHE_NONE && result < L4_CACHE_RESULT_COUNT ? words[result] : NULL;
}

static const char *protocol_of(const struct l4_request_end *end)
{
    if (end->flags & L4_REQUEST_HTTP2)
        return "HTTP/2";
    return end->minor ? "HTTP/1.1" : "HTTP/1.0";
}

/* What the request was. */
static void put_request(struct l4_log_out *out, const struct l4_request_end *end,
                        const struct style *style)
{
    struct l4_text path, query;
    split(TEXT_OF(end, target), &path, &query);
    style->foreign(out, "method", TEXT_OF(end, method));
    style->text(out, "scheme", end->flags & L4_REQUEST_TLS ? "https" : "http");
    style->foreign(out, "host", TEXT_OF(end, host));
    style->foreign(out, "path", path);
    style->foreign(out, "query", query);
    style->text(out, "protocol", protocol_of(end));
    if (end->sni_bytes)
        style->foreign(out, "sni", text_of(end->sni, end->sni_bytes, sizeof end->sni));
    if (end->tls[0])
        style->text(out, "tls", end->tls);
}

/* By which rule an engine has inspected it, and the verdict. */
static void put_inspection(struct l4_log_out *out, const struct l4_request_end *end,
                           const struct style *style)
{
    static const char *const words[] = {
#define X(id, word) word,
        L4_INSPECT_VERDICTS(X)
#undef X
    };
    if (!end->verdict || end->verdict >= L4_INSPECT_COUNT)
        return;
    style->foreign(out, "inspect", text_of(end->inspect, end->inspect_bytes, sizeof end->inspect));
    style->text(out, "verdict", words[end->verdict]);
}

/* What became of it. */
static void put_answer(struct l4_log_out *out, const struct l4_request_end *end,
                       const struct style *style)
{
    char word[L4_LOG_WORD];
    if (end->status)
        style->number(out, "status", end->status);
    else
        style->text(out, "status", NULL);
    style->number(out, "retries", end->retries);
    style->text(out, "retries_cause", retry_word(end->retry_cause));
    style->truth(out, "reused", end->flags & L4_REQUEST_REUSED);
    style->ms(out, "queue_ms", end->queue_us);
    style->ms(out, "connect_ms", end->connect_us);
    style->ms(out, "head_ms", end->head_us);
    if (end->answer_us)
        style->ms(out, "answer_ms", end->answer_us);
    else
        style->text(out, "answer_ms", NULL);
    style->ms(out, "duration_ms", end->duration_us);
    style->number(out, "request_bytes", end->bytes_in);
    style->number(out, "answer_bytes", end->bytes_out);
    style->text(out, "cache", cache_word(end->cached));
    style->text(out, "end", end_word(end, word));
    if (end->fault[0]) {
        char fault[L4_REQUEST_FAULT_MAX + 1] = "";
        memcpy(fault, end->fault, sizeof end->fault);
        style->text(out, "fault", fault);
    }
    if (end->filter_bytes)
        style->foreign(out, "filter", text_of(end->filter, end->filter_bytes, sizeof end->filter));
    put_inspection(out, end, style);
    if (end->error && end->reason != L4_END_ERROR)
        style->text(out, "error", l4_log_error(end->error, word));
}

/* Of a forward proxy: who asked, what decided, where the request went. */
static void put_outward(struct l4_log_out *out, const struct l4_request_end *end,
                        const struct style *style)
{
    char address[L4_ADDR_TEXT_MAX];
    if (end->user_bytes)
        style->foreign(out, "user", text_of(end->user, end->user_bytes, sizeof end->user));
    if (end->rule_bytes)
        style->foreign(out, "rule", text_of(end->rule, end->rule_bytes, sizeof end->rule));
    if (end->outside.family)
        style->text(out, "address", l4_log_address(&end->outside, address));
}

static void put_fields(struct l4_log_out *out, const struct l4_request_line *line,
                       const struct style *style)
{
    const struct l4_request_end *end = line->end;
    char client[L4_ADDR_TEXT_MAX], session[L4_LOG_WORD];
    style->text(out, "client", l4_log_address(&end->client, client));
    if (end->peer.family)
        style->text(out, "peer", l4_log_address(&end->peer, client));
    style->text(out, "listener", line->listener);
    style->text(out, "pool", line->pool);
    style->text(out, "backend", line->backend);
    if (line->route)
        style->number(out, "route", line->route);
    else
        style->text(out, "route", NULL);
    put_request(out, end, style);
    put_answer(out, end, style);
    put_outward(out, end, style);
    style->number(out, "requests", end->number);
    style->foreign(out, "request_id", TEXT_OF(end, id));
    style->foreign(out, "user_agent", TEXT_OF(end, agent));
    style->foreign(out, "referer", TEXT_OF(end, referer));
    if (end->serial) {
        snprintf(session, sizeof session, "%u.%u.%u", line->worker, end->slot, end->serial);
        style->text(out, "session", session);
    }
    if (end->flags & L4_REQUEST_CUT)
        style->truth(out, "cut", true);
}

size_t l4_request_line_text(const struct l4_request_line *line, char *to)
{
    struct l4_log_out out = {.start = to, .room = L4_REQUEST_LINE_MAX};
    l4_log_put(&out, "ts=");
    l4_log_time(&out, line->unix_ms);
    put_fields(&out, line, &as_text);
    l4_log_put(&out, "\n");
    return out.used;
}

size_t l4_request_line_json(const struct l4_request_line *line, char *to)
{
    struct l4_log_out out = {.start = to, .room = L4_REQUEST_LINE_MAX};
    l4_log_put(&out, "{\"ts\":\"");
    l4_log_time(&out, line->unix_ms);
    l4_log_put(&out, "\"");
    put_fields(&out, line, &as_json);
    l4_log_put(&out, "}\n");
    return out.used;
}

/* ---- the combined format --------------------------------------------------------------------- */

static void put_or_dash(struct l4_log_out *out, struct l4_text text)
{
    l4_log_put(out, "\"");
    if (text.bytes)
        l4_log_foreign_quoted(out, text);
    else
        l4_log_put(out, "-");
    l4_log_put(out, "\"");
}

static void put_host_of(struct l4_log_out *out, struct l4_addr addr)
{
    char ip[L4_ADDR_TEXT_MAX];
    l4_log_put(out, "%s", l4_addr_host_text(addr, ip) ? ip : "unix:");
}

static void put_clf_time(struct l4_log_out *out, int64_t unix_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t seconds = unix_ms / 1000;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    l4_log_put(out, "[%02d/%.3s/%04d:%02d:%02d:%02d +0000]", parts.tm_mday,
               months + 3 * parts.tm_mon, parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
               parts.tm_sec);
}

size_t l4_request_line_combined(const struct l4_request_line *line, char *to)
{
    enum { GONE = 499 }; /* a client that left before its answer: what nginx writes */
    const struct l4_request_end *end = line->end;
    struct l4_log_out out = {.start = to, .room = L4_REQUEST_LINE_MAX};
    put_host_of(&out, end->client);
    l4_log_put(&out, " - ");
    if (end->user_bytes)
        l4_log_foreign_quoted(&out, text_of(end->user, end->user_bytes, sizeof end->user));
    else
        l4_log_put(&out, "-");
    l4_log_put(&out, " ");
    put_clf_time(&out, line->unix_ms);
    l4_log_put(&out, " \"");
    if (end->text.method_bytes) {
        l4_log_foreign_quoted(&out, TEXT_OF(end, method));
        l4_log_put(&out, " ");
        l4_log_foreign_quoted(&out, TEXT_OF(end, target));
        l4_log_put(&out, " %s", protocol_of(end));
    } else {
        l4_log_put(&out, "-");
    }
    l4_log_put(&out, "\" %u %" PRIu64 " ", end->status ? end->status : (unsigned)GONE,
               end->bytes_out);
    put_or_dash(&out, TEXT_OF(end, referer));
    l4_log_put(&out, " ");
    put_or_dash(&out, TEXT_OF(end, agent));
    l4_log_put(&out, "\n");
    return out.used;
}

/* ---- Squid's native format ------------------------------------------------------------------- */

/* A text without a space or a control character, as URLs are written. */
static void put_bare(struct l4_log_out *out, struct l4_text text)
{
    if (!text.bytes)
        l4_log_put(out, "-");
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned char byte = (unsigned char)text.at[i];
        if (byte <= 0x20 || byte >= 0x7f)
            l4_log_put(out, "%%%02X", byte);
        else
            l4_log_bytes(out, text.at + i, 1);
    }
}

/* What became of the request, in Squid's words. */
static const char *squid_result(const struct l4_request_end *end)
{
    static const char *const of_cache[L4_CACHE_RESULT_COUNT] = {
        [L4_CACHE_HIT] = "TCP_HIT",
        [L4_CACHE_REVALIDATED] = "TCP_REFRESH_UNMODIFIED",
        [L4_CACHE_EXPIRED] = "TCP_REFRESH_MODIFIED",
        [L4_CACHE_UPDATING] = "TCP_HIT",
        [L4_CACHE_STALE] = "TCP_REFRESH_FAIL_OLD",
    };
    const bool tunnel = end->text.method_bytes == 7 && !memcmp(end->text.method, "CONNECT", 7);
    if (l4_reason_is_rejection(end->reason))
        return "TCP_DENIED";
    if (tunnel)
        return "TCP_TUNNEL";
    const char *word = end->cached < L4_CACHE_RESULT_COUNT ? of_cache[end->cached] : NULL;
    return word ? word : "TCP_MISS";
}

/* The URL that was asked for: a target in the form of an origin has no host. */
static void put_url(struct l4_log_out *out, const struct l4_request_end *end)
{
    const struct l4_text target = TEXT_OF(end, target);
    if (target.bytes && *target.at == '/') {
        l4_log_put(out, end->flags & L4_REQUEST_TLS ? "https://" : "http://");
        put_bare(out, TEXT_OF(end, host));
    }
    put_bare(out, target);
}

size_t l4_request_line_squid(const struct l4_request_line *line, char *to)
{
    const struct l4_request_end *end = line->end;
    struct l4_log_out out = {.start = to, .room = L4_REQUEST_LINE_MAX};
    l4_log_put(&out, "%" PRId64 ".%03d %6" PRIu64 " ", line->unix_ms / 1000,
               (int)(line->unix_ms % 1000), end->duration_us / 1000);
    put_host_of(&out, end->client);
    l4_log_put(&out, " %s/%03u %" PRIu64 " ", squid_result(end), end->status, end->bytes_out);
    put_bare(&out, TEXT_OF(end, method));
    l4_log_put(&out, " ");
    put_url(&out, end);
    l4_log_put(&out, " ");
    put_bare(&out, text_of(end->user, end->user_bytes, sizeof end->user));
    if (end->outside.family) {
        l4_log_put(&out, " HIER_DIRECT/");
        put_host_of(&out, end->outside);
    } else {
        l4_log_put(&out, line->backend ? " FIRSTUP_PARENT/%s" : " HIER_NONE/-", line->backend);
    }
    l4_log_put(&out, " -\n"); /* the type of the answer is not kept */
    return out.used;
}
