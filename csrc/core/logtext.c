#include "core/logtext.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void l4_log_put(struct l4_log_out *out, const char *format, ...)
{
    const size_t room = out->room - out->used;
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(out->start + out->used, room, format, args);
    va_end(args);
    if (wrote > 0)
        out->used += (size_t)wrote < room ? (size_t)wrote : room - 1;
}

void l4_log_bytes(struct l4_log_out *out, const char *text, size_t bytes)
{
    const size_t room = out->room - 1 - out->used;
    const size_t taken = bytes < room ? bytes : room;
    memcpy(out->start + out->used, text, taken);
    out->used += taken;
}

/* Escapes for JSON. above: the largest byte that is passed on. */
static void put_escaped(struct l4_log_out *out, struct l4_text text, unsigned char above)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned char byte = (unsigned char)text.at[i];
        if (byte == '"' || byte == '\\')
            l4_log_put(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f || byte > above)
            l4_log_put(out, "\\u%04x", byte);
        else
            l4_log_bytes(out, text.at + i, 1);
    }
}

static bool is_plain(struct l4_text text, unsigned char above)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned char byte = (unsigned char)text.at[i];
        if (byte <= 0x20 || byte == 0x7f || byte > above || strchr("\"\\=", byte))
            return false;
    }
    return text.bytes && !(text.bytes == 1 && *text.at == '-');
}

static struct l4_text text_of(const char *text)
{
    return text ? (struct l4_text){.at = text, .bytes = strlen(text)} : (struct l4_text){0};
}

static void put_word(struct l4_log_out *out, const char *key, struct l4_text text,
                     unsigned char above)
{
    l4_log_put(out, " %s=", key);
    if (!text.at) {
        l4_log_put(out, "-");
    } else if (is_plain(text, above)) {
        l4_log_bytes(out, text.at, text.bytes);
    } else {
        l4_log_put(out, "\"");
        put_escaped(out, text, above);
        l4_log_put(out, "\"");
    }
}

static void put_string(struct l4_log_out *out, const char *key, struct l4_text text,
                       unsigned char above)
{
    l4_log_put(out, ",\"%s\":", key);
    if (!text.at) {
        l4_log_put(out, "null");
        return;
    }
    l4_log_put(out, "\"");
    put_escaped(out, text, above);
    l4_log_put(out, "\"");
}

void l4_log_word(struct l4_log_out *out, const char *key, const char *text)
{
    put_word(out, key, text_of(text), 0xff);
}

void l4_log_string(struct l4_log_out *out, const char *key, const char *text)
{
    put_string(out, key, text_of(text), 0xff);
}

void l4_log_foreign_word(struct l4_log_out *out, const char *key, struct l4_text text)
{
    put_word(out, key, text, 0x7f);
}

void l4_log_foreign_string(struct l4_log_out *out, const char *key, struct l4_text text)
{
    put_string(out, key, text, 0x7f);
}

void l4_log_foreign_quoted(struct l4_log_out *out, struct l4_text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned char byte = (unsigned char)text.at[i];
        if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\')
            l4_log_put(out, "\\x%02X", byte);
        else
            l4_log_bytes(out, text.at + i, 1);
    }
}

void l4_log_time(struct l4_log_out *out, int64_t unix_ms)
{
    const time_t seconds = unix_ms / 1000;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    l4_log_put(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
               parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)(unix_ms % 1000));
}

void l4_log_ms(struct l4_log_out *out, const char *key, uint64_t us)
{
    l4_log_put(out, "%s%" PRIu64 ".%03u", key, us / 1000, (unsigned)(us % 1000));
}

const char *l4_log_address(const struct l4_addr *addr, char to[static L4_ADDR_TEXT_MAX])
{
    if (addr->family == AF_UNIX)
        return "unix:";
    return l4_addr_text(addr, to) ? to : NULL; /* no port is known of a client told by a proxy */
}

const char *l4_log_error(int32_t error, char to[static L4_LOG_WORD])
{
    const char *name = strerrorname_np(error);
    snprintf(to, L4_LOG_WORD, "%d", error);
    return name ? name : to;
}
