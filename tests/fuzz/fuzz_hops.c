/* Lists of a request's client: the entries are those of a naive twin that reads the whole list from
 * the left, and what a client puts before a list changes nothing of what proxies have told. The
 * first byte says the field's name, the second where a lie is cut off; a line feed begins another
 * field of the same name. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hops.h"
#include "require.h"

enum { LIST_MAX = 480, ROOM = 2 * LIST_MAX + 2, HEAD_ROOM = 1 << 16 };

struct told { /* what a list has told */
    struct l4_addr addrs[L4_HOPS_MAX];
    unsigned count;
    enum l4_hops_result end;
};

/* Returns the bytes of a head with the list in its fields. */
static size_t written(char *to, const char *name, const char *list, size_t bytes)
{
    char *at = to + sprintf(to, "GET / HTTP/1.1\r\nHost: a\r\n%s: ", name);
    for (size_t i = 0; i < bytes; i++) {
        if (list[i] == '\n')
            at += sprintf(at, "\r\nX-Between: 192.0.2.9\r\n%s: ", name);
        else
            *at++ = list[i];
    }
    return (size_t)(at - to) + (size_t)sprintf(at, "\r\n\r\n");
}

/* Reads a list in a copy that ends where the head ends. Returns false if there is no such head. */
static bool read_list(bool forwarded, const char *list, size_t bytes, struct told *told)
{
    static const struct l4_h1_bounds bounds = {L4_H1_HEAD_MAX, 64, L4_H1_FIELDS_MAX, false};
    static char text[HEAD_ROOM];
    static struct l4_h1_head head;
    const enum l4_field_id id = forwarded ? L4_FIELD_FORWARDED : L4_FIELD_X_FORWARDED_FOR;
    const size_t size = written(text, forwarded ? "Forwarded" : "X-Forwarded-For", list, bytes);
    char *copy = malloc(size);
    REQUIRE(copy != NULL);
    memcpy(copy, text, size);
    const bool is_head = l4_h1_request(copy, size, &bounds, &head) == L4_H1_NONE;
    *told = (struct told){0};
    if (is_head) {
        struct l4_hops hops = l4_hops_begin(copy, &head, id);
        while (told->count <= L4_HOPS_MAX) {
            struct l4_addr addr;
            told->end = l4_hops_next(&hops, &addr);
            if (told->end != L4_HOPS_ADDRESS)
                break;
            REQUIRE(told->count < L4_HOPS_MAX);
            told->addrs[told->count++] = addr;
        }
    }
    free(copy);
    return is_head;
}

/* ---- the twin, for lists without quotes --------------------------------------------------------
 */

static char *stripped(char *text)
{
    text += strspn(text, " \t");
    size_t bytes = strlen(text);
    while (bytes && strchr(" \t", text[bytes - 1]))
        text[--bytes] = 0;
    return text;
}

static bool naive_port(const char *text, uint16_t *port)
{
    *port = 0;
    if (!*text)
        return true;
    const size_t digits = strspn(text + 1, "0123456789");
    const long number = atol(text + 1);
    *port = (uint16_t)number;
    return *text == ':' && digits && digits <= 5 && !text[1 + digits] && number <= 65535;
}

static bool naive_node(char *text, struct l4_addr *addr)
{
    char *end = text + strcspn(text, ":"), *port = end;
    int family = AF_INET;
    *addr = (struct l4_addr){0};
    if (*text == '[') {
        end = strchr(++text, ']');
        if (!end)
            return false;
        port = end + 1;
        family = AF_INET6;
    } else if (strchr(text, ':') != strrchr(text, ':')) {
        port = end = text + strlen(text);
        family = AF_INET6;
    }
    if (!naive_port(port, &addr->port))
        return false;
    *end = 0;
    addr->family = (uint16_t)family;
    if (inet_pton(family, text, addr->ip) != 1)
        return false;
    l4_addr_unmap(addr);
    return true;
}

/* Finds what comes after `for=` in an entry of Forwarded; NULL: nothing, or two of them. */
static char *naive_for(char *entry)
{
    char *found = NULL;
    for (char *next, *pair = entry; pair; pair = next) {
        next = strchr(pair, ';');
        if (next)
            *next++ = 0;
        pair = stripped(pair);
        if (strncasecmp(pair, "for=", 4) != 0)
            continue;
        if (found)
            return NULL;
        found = pair + 4;
    }
    return found;
}

static void naive(bool forwarded, const char *list, struct told *told)
{
    static char copy[ROOM];
    static char *entries[ROOM];
    unsigned count = 0, looked = 0;
    strcpy(copy, list);
    for (char *next, *entry = copy; entry; entry = next) {
        next = strpbrk(entry, ",\n");
        if (next)
            *next++ = 0;
        entries[count++] = stripped(entry);
    }
    *told = (struct told){.end = L4_HOPS_END};
    while (count && looked++ < L4_HOPS_MAX) {
        char *entry = entries[--count];
        if (!*entry)
            continue;
        entry = forwarded ? naive_for(entry) : entry;
        if (!entry || !naive_node(entry, &told->addrs[told->count])) {
            told->end = L4_HOPS_BAD;
            return;
        }
        told->count++;
    }
}

/* ---- one input ---------------------------------------------------------------------------------
 */

static bool same(const struct told *a, const struct told *b)
{
    return a->count == b->count && a->end == b->end &&
           !memcmp(a->addrs, b->addrs, a->count * sizeof *a->addrs);
}

static void check(const struct told *told)
{
    for (unsigned i = 0; i < told->count; i++) {
        struct l4_addr addr = told->addrs[i];
        REQUIRE(addr.family == AF_INET || addr.family == AF_INET6);
        l4_addr_unmap(&addr);
        REQUIRE(!memcmp(&addr, &told->addrs[i], sizeof addr));
    }
}

/* A lie before the list, in the first field or in one before it, is told after all of the list. A
 * quote in the lie can be the first of a malformed list's one quote. */
static void lie(bool forwarded, const char *list, size_t bytes, size_t cut, const struct told *told)
{
    static char longer[ROOM];
    struct told all;
    memcpy(longer, list, cut);
    longer[cut] = cut % 2 ? ',' : '\n';
    memcpy(longer + cut + 1, list, bytes);
    if (!read_list(forwarded, longer, bytes + cut + 1, &all))
        return;
    REQUIRE(all.count >= told->count);
    REQUIRE(!memcmp(all.addrs, told->addrs, told->count * sizeof *told->addrs));
    if (told->end == L4_HOPS_BAD && !strchr(list, '"'))
        REQUIRE(all.end == L4_HOPS_BAD && all.count == told->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char list[ROOM];
    struct told told, twin;
    if (size < 2 || size - 2 > LIST_MAX)
        return 0;
    const bool forwarded = data[0] & 1;
    const size_t bytes = size - 2, cut = bytes ? data[1] % bytes : 0;
    memcpy(list, data + 2, bytes);
    list[bytes] = 0;
    if (!read_list(forwarded, list, bytes, &told))
        return 0;
    check(&told);
    if (!strpbrk(list, "\"\\")) {
        naive(forwarded, list, &twin);
        REQUIRE(same(&told, &twin));
    }
    lie(forwarded, list, bytes, cut, &told);
    return 0;
}
