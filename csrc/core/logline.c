#include "core/logline.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct out {
    char *start;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *out, const char *format, ...)
{
    const size_t room = L4_LOG_LINE_MAX - out->used;
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(out->start + out->used, room, format, args);
    va_end(args);
    if (wrote > 0)
        out->used += (size_t)wrote < room ? (size_t)wrote : room - 1;
}

/* Copies text unchanged: most of a line is of this kind. */
static void put_text(struct out *out, const char *text, size_t bytes)
{
    const size_t room = L4_LOG_LINE_MAX - 1 - out->used;
    const size_t taken = bytes < room ? bytes : room;
    memcpy(out->start + out->used, text, taken);
    out->used += taken;
}

static void put_escaped(struct out *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            put(out, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            put(out, "\\u%04x", *at);
        else
            put_text(out, (const char *)at, 1);
    }
}

static bool is_plain(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at <= 0x20 || *at == 0x7f || strchr("\"\\=", *at))
            return false;
    }
    return *text && strcmp(text, "-") != 0;
}

/* Writes a word or quoted text; "-" if there is none. */
static void put_word(struct out *out, const char *key, const char *text)
{
    put(out, " %s=", key);
    if (!text) {
        put(out, "-");
    } else if (is_plain(text)) {
        put(out, "%s", text);
    } else {
        put(out, "\"");
        put_escaped(out, text);
        put(out, "\"");
    }
}

static void put_string(struct out *out, const char *key, const char *text)
{
    put(out, ",\"%s\":", key);
    if (!text) {
        put(out, "null");
        return;
    }
    put(out, "\"");
    put_escaped(out, text);
    put(out, "\"");
}

enum { ADDRESS_MAX = INET6_ADDRSTRLEN + 8, WORD_MAX = 48 };

static const char *address(const struct l4_addr *addr, char to[static ADDRESS_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "";
    if (addr->family == AF_UNIX)
        return "unix:";
    if (addr->family == AF_INET && inet_ntop(AF_INET, addr->ip, ip, sizeof ip))
        snprintf(to, ADDRESS_MAX, "%s:%u", ip, addr->port);
    else if (addr->family == AF_INET6 && inet_ntop(AF_INET6, addr->ip, ip, sizeof ip))
        snprintf(to, ADDRESS_MAX, "[%s]:%u", ip, addr->port);
    else
        return NULL;
    return to;
}

static const char *error_name(int32_t error, char to[static WORD_MAX])
{
    const char *name = strerrorname_np(error);
    snprintf(to, WORD_MAX, "%d", error);
    return name ? name : to;
}

/* Returns the word for the session's end; "open" for a live session. */
static const char *end_word(const struct l4_outcome *o, char to[static WORD_MAX])
{
    char number[WORD_MAX];
    if (o->reason == L4_END_NONE)
        return "open";
    if (o->reason != L4_END_ERROR || !o->error)
        return l4_reason_word(o->reason);
    snprintf(to, WORD_MAX, "%s:%.30s", l4_reason_word(o->reason), error_name(o->error, number));
    return to;
}

static void put_time(struct out *out, int64_t unix_ms)
{
    const time_t seconds = unix_ms / 1000;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    put(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
        parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)(unix_ms % 1000));
}

static void put_ms(struct out *out, const char *key, uint64_t us)
{
    put(out, "%s%" PRIu64 ".%03u", key, us / 1000, (unsigned)(us % 1000));
}

static void put_count(struct out *out, const char *key, uint64_t count)
{
    put(out, " %s=%" PRIu64, key, count);
}

static void put_number(struct out *out, const char *key, uint64_t number)
{
    put(out, ",\"%s\":%" PRIu64, key, number);
}

/* Writes the numbers of bytes that arrived, if fewer than the bytes passed on. put_one writes a
 * key and its number. */
static void put_acked(struct out *out, const struct l4_outcome *o,
                      void (*put_one)(struct out *, const char *, uint64_t))
{
    if (o->unacked[0])
        put_one(out, "bytes_in_acked", o->bytes_in - o->unacked[0]);
    if (o->unacked[1])
        put_one(out, "bytes_out_acked", o->bytes_out - o->unacked[1]);
}

/* Writes the facts about the client. put_field writes a key and its text. */
static void put_told(struct out *out, const struct l4_client_info *told,
                     void (*put_field)(struct out *, const char *, const char *))
{
    char via[ADDRESS_MAX];
    if (told->via.family)
        put_field(out, "via", address(&told->via, via));
    const struct {
        const char *key, *text;
    } rows[] = {{"sni", told->name},
                {"tls", told->version},
                {"cipher", told->cipher},
                {"alpn", told->protocol}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (*rows[i].text)
            put_field(out, rows[i].key, rows[i].text);
    }
}

size_t l4_logline_text(const struct l4_logline *line, char *to)
{
    const struct l4_outcome *o = line->outcome;
    struct out out = {.start = to};
    char client[ADDRESS_MAX], end[WORD_MAX];
    put(&out, "ts=");
    put_time(&out, line->unix_ms);
    put_word(&out, "client", address(&o->client, client));
    put_word(&out, "listener", line->listener);
    put_word(&out, "pool", line->pool);
    put_word(&out, "backend", line->backend);
    put(&out, " retries=%u", o->retries);
    put_ms(&out, " queue_ms=", o->queue_us);
    if (o->reached)
        put_ms(&out, " connect_ms=", o->connect_us);
    else
        put(&out, " connect_ms=-");
    put_ms(&out, " duration_ms=", o->duration_us);
    put(&out, " bytes_in=%" PRIu64 " bytes_out=%" PRIu64, o->bytes_in, o->bytes_out);
    put(&out, " end=%s", end_word(o, end));
    if (o->error && o->reason != L4_END_ERROR)
        put(&out, " error=%s", error_name(o->error, end));
    put_acked(&out, o, put_count);
    if (line->told)
        put_told(&out, line->told, put_word);
    put(&out, "\n");
    return out.used;
}

size_t l4_logline_json(const struct l4_logline *line, char *to)
{
    const struct l4_outcome *o = line->outcome;
    struct out out = {.start = to};
    char client[ADDRESS_MAX], end[WORD_MAX];
    put(&out, "{\"ts\":\"");
    put_time(&out, line->unix_ms);
    put(&out, "\"");
    put_string(&out, "client", address(&o->client, client));
    put_string(&out, "listener", line->listener);
    put_string(&out, "pool", line->pool);
    put_string(&out, "backend", line->backend);
    put(&out, ",\"retries\":%u", o->retries);
    put_ms(&out, ",\"queue_ms\":", o->queue_us);
    if (o->reached)
        put_ms(&out, ",\"connect_ms\":", o->connect_us);
    else
        put(&out, ",\"connect_ms\":null");
    put_ms(&out, ",\"duration_ms\":", o->duration_us);
    put(&out, ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, o->bytes_in, o->bytes_out);
    put_string(&out, "end", end_word(o, end));
    if (o->first_byte_us)
        put_ms(&out, ",\"first_byte_ms\":", o->first_byte_us);
    if (o->serial)
        put(&out, ",\"session\":\"%u.%u.%u\"", line->worker, o->slot, o->serial);
    if (o->error && o->reason != L4_END_ERROR)
        put_string(&out, "error", error_name(o->error, end));
    put_acked(&out, o, put_number);
    if (line->told)
        put_told(&out, line->told, put_string);
    put(&out, "}\n");
    return out.used;
}
