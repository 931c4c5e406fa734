#include "core/logline.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/logtext.h"

/* Returns the word for the session's end; "open" for a live session. */
static const char *end_word(const struct l4_outcome *o, char to[static L4_LOG_WORD])
{
    char number[L4_LOG_WORD];
    if (o->reason == L4_END_NONE)
        return "open";
    if (o->reason != L4_END_ERROR || !o->error)
        return l4_reason_word(o->reason);
    snprintf(to, L4_LOG_WORD, "%s:%.30s", l4_reason_word(o->reason),
             l4_log_error(o->error, number));
    return to;
}

static void put_count(struct l4_log_out *out, const char *key, uint64_t count)
{
    l4_log_put(out, " %s=%" PRIu64, key, count);
}

static void put_number(struct l4_log_out *out, const char *key, uint64_t number)
{
    l4_log_put(out, ",\"%s\":%" PRIu64, key, number);
}

/* Writes the numbers of bytes that arrived, if fewer than the bytes passed on. put_one writes a
 * key and its number. */
static void put_acked(struct l4_log_out *out, const struct l4_outcome *o,
                      void (*put_one)(struct l4_log_out *, const char *, uint64_t))
{
    if (o->unacked[0])
        put_one(out, "bytes_in_acked", o->bytes_in - o->unacked[0]);
    if (o->unacked[1])
        put_one(out, "bytes_out_acked", o->bytes_out - o->unacked[1]);
}

/* Writes the facts about the client. put_one writes a key and its number, put_field a key and its
 * text. */
static void put_told(struct l4_log_out *out, const struct l4_client_info *told,
                     void (*put_one)(struct l4_log_out *, const char *, uint64_t),
                     void (*put_field)(struct l4_log_out *, const char *, const char *))
{
    char via[L4_ADDR_TEXT_MAX];
    if (told->port)
        put_one(out, "port", told->port);
    if (told->via.family)
        put_field(out, "via", l4_log_address(&told->via, via));
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
    struct l4_log_out out = {.start = to, .room = L4_LOG_LINE_MAX};
    char client[L4_ADDR_TEXT_MAX], end[L4_LOG_WORD];
    l4_log_put(&out, "ts=");
    l4_log_time(&out, line->unix_ms);
    l4_log_word(&out, "client", l4_log_address(&o->client, client));
    l4_log_word(&out, "listener", line->listener);
    l4_log_word(&out, "pool", line->pool);
    l4_log_word(&out, "backend", line->backend);
    l4_log_put(&out, " retries=%u", o->retries);
    l4_log_ms(&out, " queue_ms=", o->queue_us);
    if (o->reached)
        l4_log_ms(&out, " connect_ms=", o->connect_us);
    else
        l4_log_put(&out, " connect_ms=-");
    l4_log_ms(&out, " duration_ms=", o->duration_us);
    l4_log_put(&out, " bytes_in=%" PRIu64 " bytes_out=%" PRIu64, o->bytes_in, o->bytes_out);
    l4_log_put(&out, " end=%s", end_word(o, end));
    if (o->error && o->reason != L4_END_ERROR)
        l4_log_put(&out, " error=%s", l4_log_error(o->error, end));
    put_acked(&out, o, put_count);
    if (line->told)
        put_told(&out, line->told, put_count, l4_log_word);
    l4_log_put(&out, "\n");
    return out.used;
}

size_t l4_logline_json(const struct l4_logline *line, char *to)
{
    const struct l4_outcome *o = line->outcome;
    struct l4_log_out out = {.start = to, .room = L4_LOG_LINE_MAX};
    char client[L4_ADDR_TEXT_MAX], end[L4_LOG_WORD];
    l4_log_put(&out, "{\"ts\":\"");
    l4_log_time(&out, line->unix_ms);
    l4_log_put(&out, "\"");
    l4_log_string(&out, "client", l4_log_address(&o->client, client));
    l4_log_string(&out, "listener", line->listener);
    l4_log_string(&out, "pool", line->pool);
    l4_log_string(&out, "backend", line->backend);
    l4_log_put(&out, ",\"retries\":%u", o->retries);
    l4_log_ms(&out, ",\"queue_ms\":", o->queue_us);
    if (o->reached)
        l4_log_ms(&out, ",\"connect_ms\":", o->connect_us);
    else
        l4_log_put(&out, ",\"connect_ms\":null");
    l4_log_ms(&out, ",\"duration_ms\":", o->duration_us);
    l4_log_put(&out, ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, o->bytes_in, o->bytes_out);
    l4_log_string(&out, "end", end_word(o, end));
    if (o->first_byte_us)
        l4_log_ms(&out, ",\"first_byte_ms\":", o->first_byte_us);
    if (o->serial)
        l4_log_put(&out, ",\"session\":\"%u.%u.%u\"", line->worker, o->slot, o->serial);
    if (o->error && o->reason != L4_END_ERROR)
        l4_log_string(&out, "error", l4_log_error(o->error, end));
    put_acked(&out, o, put_number);
    if (line->told)
        put_told(&out, line->told, put_number, l4_log_string);
    l4_log_put(&out, "}\n");
    return out.used;
}
