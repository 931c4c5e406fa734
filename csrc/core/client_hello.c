#include "core/client_hello.h"

#include <stdbool.h>
#include <string.h>

enum {
    RECORD_HEADER = 5,
    RECORD_MAX = 1 << 14,
    TYPE_HANDSHAKE = 22,
    VERSION_MAJOR = 3, /* in every record, whatever the TLS version */
    CLIENT_HELLO = 1,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
    NAME_TYPE_HOST = 0,
};

/* Reads the handshake bytes of consecutive records as one sequence. Reading past the data that
 * has arrived sets `short_of`. A record that is not a handshake record sets `broken`. */
struct reader {
    const uint8_t *at, *end;        /* in the current record */
    const uint8_t *rest, *rest_end; /* the records after it */
    size_t limit;                   /* handshake bytes that may still be read */
    size_t cut;                     /* bytes of the current record that have not arrived */
    bool short_of, broken;
};

static bool next_record(struct reader *r)
{
    const size_t here = (size_t)(r->rest_end - r->rest);
    if (r->cut || here < RECORD_HEADER) {
        r->short_of = true;
        r->cut = r->cut ? r->cut : RECORD_HEADER - here;
        return false;
    }
    const uint8_t *header = r->rest;
    const size_t length = (size_t)header[3] << 8 | header[4];
    if (header[0] != TYPE_HANDSHAKE || header[1] != VERSION_MAJOR || length == 0 ||
        length > RECORD_MAX) {
        r->broken = true;
        return false;
    }
    r->at = header + RECORD_HEADER;
    const size_t arrived = (size_t)(r->rest_end - r->at);
    r->cut = arrived < length ? length - arrived : 0;
    r->end = r->at + length - r->cut;
    r->rest = r->end;
    return true;
}

/* Makes the next byte readable. Returns false if there is none; `short_of` or `broken` says
 * why. */
static bool ready(struct reader *r)
{
    if (r->short_of || r->broken)
        return false;
    if (r->limit == 0) {
        r->broken = true;
        return false;
    }
    while (r->at == r->end) {
        if (!next_record(r))
            return false;
    }
    return true;
}

static uint32_t byte(struct reader *r)
{
    if (!ready(r))
        return 0;
    r->limit--;
    return *r->at++;
}

static uint32_t number(struct reader *r, int bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | byte(r);
    return value;
}

static void skip(struct reader *r, size_t bytes)
{
    while (bytes && ready(r)) {
        size_t step = (size_t)(r->end - r->at);
        step = step < bytes ? step : bytes;
        step = step < r->limit ? step : r->limit;
        r->at += step;
        r->limit -= step;
        bytes -= step;
    }
}

uint32_t l4_hello_name(const char *from, size_t bytes, char to[static L4_HELLO_NAME_MAX + 1])
{
    to[0] = 0;
    if (bytes > L4_HELLO_NAME_MAX)
        return 0;
    /* why: RFC 6066 allows no dot at the end, but some clients send the name as it was typed. */
    if (bytes && from[bytes - 1] == '.')
        bytes--;
    for (size_t i = 0; i < bytes; i++) {
        const char c = from[i];
        if (c <= ' ' || c > '~') {
            to[0] = 0;
            return 0;
        }
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    to[bytes] = 0;
    return (uint32_t)bytes;
}

/* Reads the extension's host name; a name that is too long or has invalid bytes breaks the
 * ClientHello. */
static void read_name(struct reader *r, uint32_t left, struct l4_hello *hello)
{
    if (left < 5 || number(r, 2) != left - 2 || byte(r) != NAME_TYPE_HOST) {
        r->broken = true;
        return;
    }
    const uint32_t bytes = number(r, 2);
    if (bytes > left - 5 || bytes > L4_HELLO_NAME_MAX) {
        r->broken = true;
        return;
    }
    char said[L4_HELLO_NAME_MAX];
    for (uint32_t i = 0; i < bytes; i++)
        said[i] = (char)byte(r);
    hello->name_bytes = l4_hello_name(said, bytes, hello->name);
    if (!hello->name_bytes && bytes && !r->short_of)
        r->broken = true;
    skip(r, left - 5 - bytes);
}

/* Reads the extension's list of protocols, as many as fit. */
static void read_protocols(struct reader *r, uint32_t left, struct l4_hello *hello)
{
    if (left < 2 || number(r, 2) != left - 2) {
        r->broken = true;
        return;
    }
    left -= 2;
    while (left && !r->short_of && !r->broken) {
        const uint32_t bytes = byte(r);
        if (bytes == 0 || bytes >= left) {
            r->broken = r->broken || !r->short_of;
            return;
        }
        left -= 1 + bytes;
        if (hello->alpn_bytes + 1 + bytes > sizeof hello->alpn) {
            skip(r, bytes + left);
            return;
        }
        uint8_t *to = hello->alpn + hello->alpn_bytes;
        *to++ = (uint8_t)bytes;
        for (uint32_t i = 0; i < bytes; i++)
            *to++ = (uint8_t)byte(r);
        hello->alpn_bytes += 1 + bytes;
    }
}

static void read_extensions(struct reader *r, struct l4_hello *hello)
{
    uint32_t left = number(r, 2);
    bool named = false, offered = false;
    while (left >= 4 && !(named && offered) && !r->short_of && !r->broken) {
        const uint32_t type = number(r, 2), bytes = number(r, 2);
        left -= 4;
        if (bytes > left) {
            r->broken = r->broken || !r->short_of;
            return;
        }
        left -= bytes;
        if (type == EXTENSION_SERVER_NAME && !named) {
            read_name(r, bytes, hello);
            named = true;
        } else if (type == EXTENSION_ALPN && !offered) {
            read_protocols(r, bytes, hello);
            offered = true;
        } else {
            skip(r, bytes);
        }
    }
}

/* True if these first bytes can be those of a ClientHello. */
static bool may_begin(const uint8_t *data, size_t bytes)
{
    return (bytes < 1 || data[0] == TYPE_HANDSHAKE) && (bytes < 2 || data[1] == VERSION_MAJOR);
}

enum l4_hello_result l4_hello_await(const uint8_t *data, size_t bytes, size_t *due)
{
    struct reader r = {.rest = data, .rest_end = data + bytes, .limit = 4};
    r.at = r.end = data;
    *due = bytes;
    if (!may_begin(data, bytes))
        return L4_HELLO_NONE;
    const uint32_t type = byte(&r);
    if (!r.short_of && type != CLIENT_HELLO)
        return L4_HELLO_NONE;
    const uint32_t body = number(&r, 3);
    if (!r.short_of && body > L4_HELLO_BYTES_MAX) {
        *due = body;
        return L4_HELLO_NONE;
    }
    r.limit = body;
    skip(&r, body);
    *due = bytes + r.cut;
    if (r.short_of && *due <= L4_HELLO_BYTES_MAX)
        return L4_HELLO_MORE;
    return r.short_of || r.broken ? L4_HELLO_NONE : L4_HELLO_WHOLE;
}

enum l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, struct l4_hello *hello)
{
    struct reader r = {.rest = data, .rest_end = data + bytes, .limit = 4};
    r.at = r.end = data;
    hello->name_bytes = hello->alpn_bytes = 0;
    hello->name[0] = 0;
    if (!may_begin(data, bytes))
        return L4_HELLO_NONE;
    const uint32_t type = byte(&r);
    if (!r.short_of && !r.broken && type != CLIENT_HELLO)
        return L4_HELLO_NONE;
    const uint32_t body = number(&r, 3);
    if (body > L4_HELLO_BYTES_MAX)
        return L4_HELLO_NONE;
    r.limit = body;
    skip(&r, 2 + 32);        /* legacy_version, random */
    skip(&r, byte(&r));      /* legacy_session_id */
    skip(&r, number(&r, 2)); /* cipher_suites */
    skip(&r, byte(&r));      /* legacy_compression_methods */
    if (r.limit)
        read_extensions(&r, hello);
    /* why: a name or a list that is cut short cannot be trusted. */
    if (r.short_of || r.broken) {
        hello->name_bytes = hello->alpn_bytes = 0;
        hello->name[0] = 0;
    }
    hello->due = bytes + r.cut;
    if (r.short_of && hello->due <= L4_HELLO_BYTES_MAX)
        return L4_HELLO_MORE;
    return r.short_of || r.broken ? L4_HELLO_NONE : L4_HELLO_WHOLE;
}
