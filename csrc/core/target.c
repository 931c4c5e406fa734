#include "core/target.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

static const char *const words[L4_TARGET_FAULT_COUNT] = {
#define X(id, word, status) [L4_TARGET_##id] = word,
    L4_TARGET_FAULTS(X)
#undef X
};

static const uint16_t statuses[L4_TARGET_FAULT_COUNT] = {
#define X(id, word, status) [L4_TARGET_##id] = status,
    L4_TARGET_FAULTS(X)
#undef X
};

const char *l4_target_fault_word(unsigned fault)
{
    return fault < L4_TARGET_FAULT_COUNT ? words[fault] : "unknown";
}

uint32_t l4_target_fault_status(unsigned fault)
{
    return fault < L4_TARGET_FAULT_COUNT ? statuses[fault] : 400;
}

/* What a byte may be. */
enum {
    T = 1 << 0, /* in a target */
    P = 1 << 1, /* in a path as itself: a pchar (RFC 3986, 3.3) */
    H = 1 << 2, /* in a host's name */
    D = 1 << 3, /* a decimal digit */
    X = 1 << 4, /* a hexadecimal digit */
};

static const uint8_t class_of[256] = {
    ['!'] = T | P,
    ['"'] = T,
    ['$'] = T | P,
    ['%'] = T,
    ['&' ... ','] = T | P,
    ['-' ... '.'] = T | P | H,
    ['/'] = T,
    ['0' ... '9'] = T | P | H | D | X,
    [':' ... ';'] = T | P,
    ['<'] = T,
    ['='] = T | P,
    ['>' ... '?'] = T,
    ['@'] = T | P,
    ['A' ... 'F'] = T | P | H | X,
    ['G' ... 'Z'] = T | P | H,
    ['[' ... '^'] = T,
    ['_'] = T | P | H,
    ['`'] = T,
    ['a' ... 'f'] = T | P | H | X,
    ['g' ... 'z'] = T | P | H,
    ['{' ... '}'] = T,
    ['~'] = T | P,
};

static bool is(char c, int class)
{
    return class_of[(unsigned char)c] & class;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static struct l4_text text_of(const char *at, const char *end)
{
    return (struct l4_text){at, (uint32_t)(end - at)};
}

static const char *find(const char *at, const char *end, char wanted)
{
    const char *found = memchr(at, wanted, (size_t)(end - at));
    return found ? found : end;
}

/* ---- the four forms ------------------------------------------------------------------------ */

/* Returns the bytes of http:// or https:// at the beginning, or 0. */
static uint32_t scheme_of(const char *text, size_t bytes, enum l4_scheme *scheme)
{
    static const char *const prefixes[] = {
        [L4_SCHEME_HTTP] = "http://", [L4_SCHEME_HTTPS] = "https://"};
    for (enum l4_scheme one = L4_SCHEME_HTTP; one <= L4_SCHEME_HTTPS; one++) {
        const uint32_t length = (uint32_t)strlen(prefixes[one]);
        uint32_t same = 0;
        while (same < length && same < bytes && lower(text[same]) == prefixes[one][same])
            same++;
        if (same == length) {
            *scheme = one;
            return length;
        }
    }
    return 0;
}

static enum l4_target_fault split_path(const char *at, const char *end, struct l4_target *target)
{
    const char *query = find(at, end, '?');
    target->path = at < query ? text_of(at, query) : (struct l4_text){"/", 1};
    if (query < end)
        target->query = text_of(query + 1, end);
    return find(at, query, '\\') == query ? L4_TARGET_NONE : L4_TARGET_BYTE;
}

static enum l4_target_fault read_absolute(const char *text, const char *end,
                                          struct l4_target *target)
{
    const uint32_t scheme = scheme_of(text, (size_t)(end - text), &target->scheme);
    if (!scheme)
        return L4_TARGET_FORM;
    const char *host = text + scheme, *host_end = host;
    while (host_end < end && *host_end != '/' && *host_end != '?')
        host_end++;
    target->form = L4_FORM_ABSOLUTE;
    target->host = text_of(host, host_end);
    return split_path(host_end, end, target);
}

static enum l4_target_fault read_authority(const char *text, const char *end,
                                           struct l4_target *target)
{
    const char *colon = end;
    while (colon > text && is(colon[-1], D))
        colon--;
    if (colon == end || colon - text < 2 || colon[-1] != ':' || find(text, end, '/') < end)
        return L4_TARGET_FORM;
    target->form = L4_FORM_AUTHORITY;
    target->host = text_of(text, end);
    return L4_TARGET_NONE;
}

enum l4_target_fault l4_target_read(const char *text, size_t bytes, uint32_t forms,
                                    struct l4_target *target)
{
    *target = (struct l4_target){0};
    if (!bytes || bytes > UINT32_MAX)
        return bytes ? L4_TARGET_LONG : L4_TARGET_FORM;
    const char *end = text + bytes;
    for (size_t i = 0; i < bytes; i++) {
        if (!is(text[i], T))
            return L4_TARGET_BYTE;
    }
    if (forms & L4_FORM_ORIGIN && *text == '/') {
        target->form = L4_FORM_ORIGIN;
        return split_path(text, end, target);
    }
    if (forms & L4_FORM_ASTERISK && bytes == 1 && *text == '*') {
        target->form = L4_FORM_ASTERISK;
        target->path = text_of(text, end);
        return L4_TARGET_NONE;
    }
    if (forms & L4_FORM_AUTHORITY)
        return read_authority(text, end, target);
    return forms & L4_FORM_ABSOLUTE ? read_absolute(text, end, target) : L4_TARGET_FORM;
}

/* ---- the host ------------------------------------------------------------------------------ */

static enum l4_target_fault read_port(const char *at, const char *end, struct l4_host *host)
{
    uint32_t port = 0;
    host->port = 0;
    if (at == end)
        return L4_TARGET_NONE;
    if (*at++ != ':')
        return L4_TARGET_HOST;
    if (at == end || end - at > 5 || *at == '0')
        return L4_TARGET_PORT;
    for (; at < end; at++) {
        if (!is(*at, D))
            return L4_TARGET_PORT;
        port = port * 10 + (uint32_t)(*at - '0');
    }
    host->port = (uint16_t)port;
    return port <= UINT16_MAX ? L4_TARGET_NONE : L4_TARGET_PORT;
}

/* Reads [IPv6]; the name gets its one shortest form (RFC 5952). */
static enum l4_target_fault read_ipv6(const char *text, const char *end, struct l4_host *host)
{
    char said[INET6_ADDRSTRLEN];
    struct in6_addr ip;
    const char *close = find(text, end, ']');
    const size_t bytes = (size_t)(close - text) - 1;
    if (close == end || bytes >= sizeof said)
        return L4_TARGET_HOST;
    memcpy(said, text + 1, bytes);
    said[bytes] = 0;
    if (strlen(said) != bytes || inet_pton(AF_INET6, said, &ip) != 1 ||
        !inet_ntop(AF_INET6, &ip, host->name + 1, sizeof host->name - 2))
        return L4_TARGET_HOST;
    host->kind = L4_HOST_IPV6;
    host->name[0] = '[';
    host->bytes = (uint16_t)strlen(host->name);
    host->name[host->bytes++] = ']';
    host->name[host->bytes] = 0;
    return read_port(close + 1, end, host);
}

/* True if readers may take the label for a number, as the URL standard says: 80, 0x50. */
static bool is_number(const char *label, const char *end)
{
    int class = D;
    if (end - label >= 2 && label[0] == '0' && label[1] == 'x') {
        label += 2;
        class = X;
    }
    while (label < end && is(*label, class))
        label++;
    return label == end;
}

/* Writes the name in lower case. Returns false if it is no host name. */
static bool read_name(const char *text, const char *end, struct l4_host *host)
{
    char *to = host->name, *label = to;
    for (; text < end; text++) {
        if (!is(*text, H))
            return false;
        if (*text == '.') {
            if (to == label)
                return false;
            label = to + 1;
        } else if (to - label >= L4_LABEL_MAX) {
            return false;
        }
        *to++ = lower(*text);
    }
    *to = 0;
    host->bytes = (uint16_t)(to - host->name);
    host->kind = is_number(label, to) ? L4_HOST_IPV4 : L4_HOST_NAME;
    struct in_addr ip;
    return to > label && (host->kind == L4_HOST_NAME || inet_pton(AF_INET, host->name, &ip) == 1);
}

enum l4_target_fault l4_host_read(const char *text, size_t bytes, struct l4_host *host)
{
    const char *end = text + bytes;
    *host = (struct l4_host){.kind = L4_HOST_NAME};
    if (bytes && *text == '[')
        return read_ipv6(text, end, host);
    const char *colon = find(text, end, ':'), *name_end = colon;
    /* why: a name with a dot at its end is the same name (RFC 1034, 3.1), and must meet the same
     * routes. */
    if (name_end > text && name_end[-1] == '.')
        name_end--;
    if (name_end - text > L4_HOST_MAX || !read_name(text, name_end, host))
        return L4_TARGET_HOST;
    return read_port(colon, end, host);
}

/* ---- the path ------------------------------------------------------------------------------ */

/* The copy under construction. It is /segment/segment/...; `segment` is the slash before the last
 * one, and `part` begins after its last encoded slash. */
struct path {
    char *to;
    uint32_t used, segment, part;
    uint32_t depth; /* segments that .. may still remove */
    uint32_t rules;
};

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : lower(c) - 'a' + 10;
}

static enum l4_target_fault put(struct path *path, unsigned char byte, bool as_itself)
{
    static const char digits[] = "0123456789ABCDEF";
    if (L4_PATH_MATCH_MAX - path->used < 3)
        return L4_TARGET_LONG;
    if (as_itself) {
        path->to[path->used++] = (char)byte;
        return L4_TARGET_NONE;
    }
    path->to[path->used++] = '%';
    path->to[path->used++] = digits[byte >> 4];
    path->to[path->used++] = digits[byte & 15];
    return L4_TARGET_NONE;
}

/* Returns how many dots, 1 or 2, stand alone from `part` on; 0: something else does. A parameter
 * after them counts as nothing, because some servers cut it off. *bare: there is none. */
static uint32_t dots_of(const struct path *path, bool *bare)
{
    const char *at = path->to + path->part;
    const uint32_t bytes = path->used - path->part;
    uint32_t dots = 0;
    while (dots < bytes && at[dots] == '.')
        dots++;
    *bare = dots == bytes;
    return dots <= 2 && (*bare || at[dots] == ';') ? dots : 0;
}

static enum l4_target_fault put_encoded_slash(struct path *path)
{
    bool bare = false;
    if (!(path->rules & L4_PATH_SLASHES))
        return L4_TARGET_SLASH;
    if (dots_of(path, &bare))
        return L4_TARGET_DOTS;
    const enum l4_target_fault fault = put(path, '/', false);
    path->part = path->used;
    return fault;
}

/* Ends a segment: an empty one, `.` and `..` are resolved. */
static enum l4_target_fault end_segment(struct path *path, bool last)
{
    bool bare = false;
    const bool empty = path->used == path->segment + 1;
    const uint32_t dots = empty ? 0 : dots_of(path, &bare);
    if (dots && (!bare || path->part != path->segment + 1))
        return L4_TARGET_DOTS;
    if (!dots && !(empty && path->rules & L4_PATH_MERGES)) {
        path->depth += !empty;
        return L4_TARGET_NONE;
    }
    uint32_t end = path->segment;
    if (dots == 2) {
        /* why: a server that takes // for / finds fewer segments to remove. */
        if (!path->depth)
            return L4_TARGET_ROOT;
        path->depth--;
        while (path->to[--end] != '/')
            ;
    }
    path->used = end + last;
    return L4_TARGET_NONE;
}

static enum l4_target_fault put_encoded(struct path *path, const char *at, const char *end)
{
    if (end - at < 3 || !is(at[1], X) || !is(at[2], X))
        return L4_TARGET_PERCENT;
    const int byte = hex_value(at[1]) << 4 | hex_value(at[2]);
    if (!byte)
        return L4_TARGET_NUL;
    if (byte == '/')
        return put_encoded_slash(path);
    return put(path, (unsigned char)byte, is((char)byte, P));
}

enum l4_target_fault l4_path_read(const char *path, size_t bytes, uint32_t rules,
                                  char to[static L4_PATH_MATCH_MAX], uint32_t *to_bytes)
{
    struct path copy = {.to = to, .rules = rules};
    const char *at = path, *end = path + bytes;
    enum l4_target_fault fault = L4_TARGET_NONE;
    if (bytes == 1 && *path == '*')
        fault = put(&copy, '*', true);
    else if (!bytes || *path != '/')
        fault = L4_TARGET_FORM;
    while (at < end && *at == '/' && !fault) {
        copy.segment = copy.used;
        fault = put(&copy, '/', true);
        copy.part = copy.used;
        for (at++; at < end && *at != '/' && !fault; at++) {
            if (*at == '%') {
                fault = put_encoded(&copy, at, end);
                at += fault ? 0 : 2;
            } else if (is(*at, T) && *at != '\\' && *at != '?') {
                fault = put(&copy, (unsigned char)*at, is(*at, P));
            } else {
                fault = L4_TARGET_BYTE;
            }
        }
        fault = fault ? fault : end_segment(&copy, at == end);
    }
    *to_bytes = fault ? 0 : copy.used;
    return fault;
}
