#include "core/hops.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { PORT_DIGITS_MAX = 5 };

struct run { /* bytes from `at` to before `end` */
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct run trimmed(struct run run)
{
    while (run.at < run.end && is_space(*run.at))
        run.at++;
    while (run.at < run.end && is_space(run.end[-1]))
        run.end--;
    return run;
}

/* ---- one address ----------------------------------------------------------------------------- */

/* Reads ":4711". Nothing is no port. */
static bool read_port(struct run text, uint16_t *port)
{
    uint32_t number = 0;
    *port = 0;
    if (text.at == text.end)
        return true;
    if (*text.at != ':')
        return false;
    text.at++;
    if (text.at == text.end || text.end - text.at > PORT_DIGITS_MAX)
        return false;
    for (; text.at < text.end; text.at++) {
        if (*text.at < '0' || *text.at > '9')
            return false;
        number = number * 10 + (uint32_t)(*text.at - '0');
    }
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

static bool read_ip(struct run text, int family, struct l4_addr *addr)
{
    char ip[INET6_ADDRSTRLEN];
    const size_t bytes = (size_t)(text.end - text.at);
    if (bytes >= sizeof ip)
        return false;
    memcpy(ip, text.at, bytes);
    ip[bytes] = 0;
    addr->family = (uint16_t)family;
    if (inet_pton(family, ip, addr->ip) != 1)
        return false;
    l4_addr_unmap(addr);
    return true;
}

/* Reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80. */
static bool read_node(struct run text, struct l4_addr *addr)
{
    const size_t bytes = (size_t)(text.end - text.at);
    *addr = (struct l4_addr){0};
    if (bytes && *text.at == '[') {
        const char *close = memchr(text.at, ']', bytes);
        return close && read_ip((struct run){text.at + 1, close}, AF_INET6, addr) &&
               read_port((struct run){close + 1, text.end}, &addr->port);
    }
    const char *colon = memchr(text.at, ':', bytes);
    if (colon && memchr(colon + 1, ':', (size_t)(text.end - colon - 1)))
        return read_ip(text, AF_INET6, addr);
    const char *end = colon ? colon : text.end;
    return read_ip((struct run){text.at, end}, AF_INET, addr) &&
           read_port((struct run){end, text.end}, &addr->port);
}

/* ---- one entry of Forwarded ------------------------------------------------------------------ */

/* Takes what is left of the last `separator` outside of quotes off the run: from the right, because
 * what is at the left may be a lie. Returns false if a quote is open or a character is escaped, of
 * which no address has need. */
static bool cut(struct run *from, char separator, struct run *last)
{
    bool quoted = false;
    const char *at = from->end;
    while (at > from->at && (quoted || at[-1] != separator)) {
        at--;
        if (*at == '\\')
            return false;
        quoted ^= *at == '"';
    }
    *last = trimmed((struct run){at, from->end});
    from->end = at > from->at ? at - 1 : NULL;
    return !quoted;
}

/* Finds the node of `for=`. Returns false if there is none, or more than one. */
static bool find_for(struct run entry, struct run *node)
{
    bool found = false;
    while (entry.end) {
        struct run pair;
        if (!cut(&entry, ';', &pair))
            return false;
        if (pair.end - pair.at < 4 || strncasecmp(pair.at, "for=", 4) != 0)
            continue;
        if (found)
            return false;
        found = true;
        *node = (struct run){pair.at + 4, pair.end};
        if (node->end - node->at >= 2 && *node->at == '"' && node->end[-1] == '"')
            *node = (struct run){node->at + 1, node->end - 1};
    }
    return found;
}

/* ---- the list -------------------------------------------------------------------------------- */

struct l4_hops l4_hops_begin(const char *bytes, const struct l4_h1_head *head, enum l4_field_id id)
{
    const bool has = l4_h1_has(head, id);
    return (struct l4_hops){
        .bytes = bytes, .head = head, .id = (uint8_t)id, .fields = has ? head->field_count : 0};
}

/* Goes on to the field before the present one. Several fields are one list (RFC 9110, 5.3). */
static bool next_field(struct l4_hops *hops)
{
    while (hops->fields > hops->head->first[hops->id]) {
        const struct l4_h1_field *field = &hops->head->fields[--hops->fields];
        if (field->id != hops->id)
            continue;
        hops->start = hops->bytes + field->value.at;
        hops->end = hops->start + field->value.bytes;
        return true;
    }
    return false;
}

enum l4_hops_result l4_hops_next(struct l4_hops *hops, struct l4_addr *addr)
{
    while (hops->looked < L4_HOPS_MAX) {
        if (!hops->end && (!hops->fields || !next_field(hops)))
            return L4_HOPS_END;
        struct run rest = {hops->start, hops->end}, entry;
        hops->looked++;
        if (!cut(&rest, ',', &entry))
            return L4_HOPS_BAD;
        hops->end = rest.end;
        if (entry.at == entry.end) /* an empty entry says nothing (RFC 9110, 5.6.1) */
            continue;
        if (hops->id == L4_FIELD_FORWARDED && !find_for(entry, &entry))
            return L4_HOPS_BAD;
        return read_node(entry, addr) ? L4_HOPS_ADDRESS : L4_HOPS_BAD;
    }
    return L4_HOPS_END;
}
