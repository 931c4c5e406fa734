#include "core/h2head.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "core/field.h"

void l4_h2_head_begin(struct l4_h2_head *head, char *text, uint32_t size)
{
    *head = (struct l4_h2_head){.size = size};
    head->text = text;
}

/* ---- what a byte may be ---------------------------------------------------------------------- */

static bool is_name(struct l4_text name)
{
    if (!name.bytes)
        return false;
    for (size_t i = 0; i < name.bytes; i++) {
        const unsigned char c = (unsigned char)name.at[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return true;
}

/* Bytes that end no word of a request line and no Host field. */
static bool is_word(struct l4_text word)
{
    for (size_t i = 0; i < word.bytes; i++) {
        const unsigned char c = (unsigned char)word.at[i];
        if (c <= 0x20 || c == 0x7f)
            return false;
    }
    return word.bytes > 0;
}

static bool is(struct l4_text text, struct l4_text word)
{
    return text.bytes == word.bytes && memcmp(text.at, word.at, word.bytes) == 0;
}

/* ---- the fields ------------------------------------------------------------------------------ */

static void put(struct l4_h2_head *head, struct l4_text part)
{
    const size_t room = head->size - head->used;
    const size_t bytes = part.bytes < room ? part.bytes : room;
    head->full |= bytes < part.bytes;
    memcpy(head->text + head->used, part.at, bytes);
    head->used += (uint32_t)bytes;
}

/* Keeps a word of the request line. Returns false if it came before, or is none. */
static bool keep(char *to, uint16_t *to_bytes, size_t max, struct l4_text word)
{
    if (*to_bytes || !is_word(word) || word.bytes > max)
        return false;
    memcpy(to, word.at, word.bytes);
    *to_bytes = (uint16_t)word.bytes;
    return true;
}

static bool put_path(struct l4_h2_head *head, struct l4_text path)
{
    /* why: an absolute form here would name a host beside `:authority`. */
    const bool form = is_word(path) && (path.at[0] == '/' || is(path, L4_TEXT("*")));
    if (head->has_path || !form)
        return false;
    head->has_path = true;
    put(head, path);
    head->path_bytes = head->used;
    return true;
}

static bool put_pseudo(struct l4_h2_head *head, struct l4_text name, struct l4_text value)
{
    if (head->regular)
        return false;
    if (is(name, L4_TEXT(":method")))
        return keep(head->method, &head->method_bytes, sizeof head->method, value);
    if (is(name, L4_TEXT(":authority")))
        return keep(head->authority, &head->authority_bytes, sizeof head->authority, value);
    if (is(name, L4_TEXT(":path")))
        return put_path(head, value);
    if (is(name, L4_TEXT(":scheme")) && !head->scheme) {
        head->scheme = true;
        return is(value, L4_TEXT("http")) || is(value, L4_TEXT("https"));
    }
    return false;
}

/* Fields that belong to a connection, which HTTP/2 does not have (RFC 9113, 8.2.2). */
static bool is_of_connection(struct l4_text name, struct l4_text value)
{
    static const struct l4_text names[] = {
        {"connection", 10},        {"keep-alive", 10}, {"proxy-connection", 16},
        {"transfer-encoding", 17}, {"upgrade", 7},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (is(name, names[i]))
            return true;
    }
    return is(name, L4_TEXT("te")) && !is(value, L4_TEXT("trailers"));
}

/* Adds a crumb to the one cookie field that HTTP/1.1 has (RFC 9113, 8.2.3). */
static void put_crumb(struct l4_h2_head *head, struct l4_text crumb)
{
    const uint32_t at = head->cookie_end, added = (uint32_t)crumb.bytes + 2;
    if (crumb.bytes + 2 > head->size - head->used) {
        head->full = true;
        return;
    }
    memmove(head->text + at + added, head->text + at, head->used - at);
    memcpy(head->text + at, "; ", 2);
    memcpy(head->text + at + 2, crumb.at, crumb.bytes);
    head->used += added;
    head->cookie_end += added;
}

static void put_field(struct l4_h2_head *head, struct l4_text name, struct l4_text value)
{
    const bool cookie = is(name, L4_TEXT("cookie"));
    if (cookie && head->cookie_end) {
        put_crumb(head, value);
        return;
    }
    put(head, name);
    put(head, L4_TEXT(": "));
    put(head, value);
    if (cookie)
        head->cookie_end = head->used;
    put(head, L4_TEXT("\r\n"));
}

bool l4_h2_head_put(struct l4_h2_head *head, struct l4_text name, struct l4_text value)
{
    if (!name.bytes || !l4_field_is_value(value))
        return false;
    if (name.at[0] == ':')
        return put_pseudo(head, name, value);
    head->regular = true;
    head->full |= ++head->fields > L4_H2_FIELDS_MAX;
    if (!is_name(name) || is_of_connection(name, value))
        return false;
    if (is(name, L4_TEXT("host")))
        return keep(head->host, &head->host_bytes, sizeof head->host, value);
    head->has_length |= is(name, L4_TEXT("content-length"));
    if (!head->full)
        put_field(head, name, value);
    return true;
}

/* ---- the head -------------------------------------------------------------------------------- */

static bool is_connect(const struct l4_h2_head *head)
{
    return is((struct l4_text){head->method, head->method_bytes}, L4_TEXT("CONNECT"));
}

bool l4_h2_head_is_whole(const struct l4_h2_head *head)
{
    if (!head->method_bytes)
        return false;
    if (is_connect(head)) /* RFC 9113, 8.5 */
        return head->authority_bytes && !head->has_path && !head->scheme;
    return head->has_path && head->scheme;
}

static char *copy(char *to, const char *at, size_t bytes)
{
    memcpy(to, at, bytes);
    return to + bytes;
}

static char *write_host(char *to, const char *host, size_t bytes)
{
    to = copy(to, "host: ", 6);
    to = copy(to, host, bytes);
    return copy(to, "\r\n", 2);
}

/* why both if they differ: two Host fields are refused by the judge of all heads (RFC 9113,
 * 8.3.1). */
static char *write_hosts(const struct l4_h2_head *head, char *to)
{
    const bool same = head->host_bytes == head->authority_bytes &&
                      strncasecmp(head->host, head->authority, head->host_bytes) == 0;
    if (head->authority_bytes)
        to = write_host(to, head->authority, head->authority_bytes);
    if (head->host_bytes && !same)
        to = write_host(to, head->host, head->host_bytes);
    return to;
}

/* Methods for which a server expects a body (RFC 9110, 8.6). */
static bool wants_body(const struct l4_h2_head *head)
{
    const struct l4_text method = {head->method, head->method_bytes};
    return is(method, L4_TEXT("POST")) || is(method, L4_TEXT("PUT")) ||
           is(method, L4_TEXT("PATCH"));
}

size_t l4_h2_head_write(const struct l4_h2_head *head, bool has_body, char *to)
{
    char *at = copy(to, head->method, head->method_bytes);
    L4_ASSERT(l4_h2_head_is_whole(head));
    *at++ = ' ';
    at = is_connect(head) ? copy(at, head->authority, head->authority_bytes)
                          : copy(at, head->text, head->path_bytes);
    at = copy(at, " HTTP/1.1\r\n", 11);
    at = write_hosts(head, at);
    at = copy(at, head->text + head->path_bytes, head->used - head->path_bytes);
    if (head->full)
        return (size_t)(at - to);
    if (!head->has_length && has_body)
        at = copy(at, "transfer-encoding: chunked\r\n", 28);
    else if (!head->has_length && wants_body(head))
        at = copy(at, "content-length: 0\r\n", 19);
    at = copy(at, "\r\n", 2);
    return (size_t)(at - to);
}
