/* Whom proxies say a request is from: lists read from the right. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core/hops.h"

enum { ROOM = 4096 };

/* Reads a list, which may be several fields, and writes what it tells: addresses, then END or
 * BAD. */
static const char *told(enum l4_field_id id, const char *fields)
{
    static char text[ROOM];
    char head[ROOM];
    const struct l4_h1_bounds bounds = {.head = ROOM, .target = 64, .fields = L4_H1_FIELDS_MAX};
    struct l4_h1_head read;
    const int count =
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%sX-Last: 1\r\n\r\n", fields);
    text[0] = 0;
    if (count >= ROOM || l4_h1_request(head, (size_t)count, &bounds, &read))
        return "no head";
    struct l4_hops hops = l4_hops_begin(head, &read, id);
    for (;;) {
        struct l4_addr addr;
        char ip[INET6_ADDRSTRLEN];
        const enum l4_hops_result result = l4_hops_next(&hops, &addr);
        char *end = text + strlen(text);
        if (result != L4_HOPS_ADDRESS) {
            strcpy(end, result == L4_HOPS_END ? "END" : "BAD");
            return text;
        }
        inet_ntop(addr.family, addr.ip, ip, sizeof ip);
        sprintf(end, addr.port ? "%s/%u " : "%s ", ip, addr.port);
    }
}

static const char *x(const char *fields)
{
    return told(L4_FIELD_X_FORWARDED_FOR, fields);
}

static const char *f(const char *fields)
{
    return told(L4_FIELD_FORWARDED, fields);
}

#define SAYS(what, wanted) CHECK(strcmp(what, wanted) == 0)

TEST(a_list_is_read_from_the_right_over_all_of_its_fields)
{
    SAYS(x(""), "END");
    SAYS(x("X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1 END");
    SAYS(x("X-Forwarded-For: 192.0.2.1,192.0.2.2 ,\t192.0.2.3\r\n"),
         "192.0.2.3 192.0.2.2 192.0.2.1 END");
    SAYS(x("X-Forwarded-For: 192.0.2.1\r\nA: b\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n"),
         "192.0.2.3 192.0.2.2 192.0.2.1 END");
    SAYS(x("X-Forwarded-For: , 192.0.2.1, ,\r\nX-Forwarded-For:\r\n"), "192.0.2.1 END");
    SAYS(x("Forwarded: for=192.0.2.1\r\n"), "END");
}

TEST(addresses_have_the_forms_that_proxies_write)
{
    SAYS(x("X-Forwarded-For: 192.0.2.1:4711, 2001:db8::1, [2001:db8::2], [2001:db8::3]:80\r\n"),
         "2001:db8::3/80 2001:db8::2 2001:db8::1 192.0.2.1/4711 END");
    SAYS(x("X-Forwarded-For: ::ffff:192.0.2.1\r\n"), "192.0.2.1 END");
}

TEST(what_is_no_address_is_told_where_it_stands)
{
    static const char *const bad[] = {
        "unknown",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:65536",
        "192.0.2.1:000080",
        "192.0.2.256",
        "[2001:db8::1",
        "[2001:db8::1]x",
        "2001:db8::1]",
        "[192.0.2.1]",
        "fe80::1%1",
        "\"192.0.2.1\"",
        "192.0.2.1;80",
        "192.0.2.1 192.0.2.2",
        "11111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char field[256];
        snprintf(field, sizeof field, "X-Forwarded-For: %s\r\n", bad[i]);
        SAYS(x(field), "BAD");
        snprintf(field, sizeof field, "X-Forwarded-For: 192.0.2.7, %s, 192.0.2.9\r\n", bad[i]);
        SAYS(x(field), "192.0.2.9 BAD");
    }
}

TEST(forwarded_is_read_as_rfc_7239_writes_it)
{
    SAYS(f("Forwarded: for=192.0.2.1\r\n"), "192.0.2.1 END");
    SAYS(f("Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n"), "2001:db8:cafe::17/4711 END");
    SAYS(f("Forwarded: for=192.0.2.1;proto=http;by=203.0.113.43, FOR=\"192.0.2.2:80\"\r\n"),
         "192.0.2.2/80 192.0.2.1 END");
    SAYS(f("Forwarded: for=192.0.2.1;host=\"a,b;for=192.0.2.9\"\r\n"), "192.0.2.1 END");
    SAYS(f("Forwarded: proto=http\r\n"), "BAD");
    SAYS(f("Forwarded: for=unknown\r\n"), "BAD");
    SAYS(f("Forwarded: for=_hidden\r\n"), "BAD");
    SAYS(f("Forwarded: for=192.0.2.1;for=192.0.2.2\r\n"), "BAD");
    SAYS(f("Forwarded: for=\"192.0.2.1\r\n"), "BAD");
    SAYS(f("Forwarded: for=192.0.2.1;host=\"a\\\"b\"\r\n"), "BAD");
}

TEST(what_a_client_has_put_at_the_left_spoils_nothing_at_the_right)
{
    SAYS(f("Forwarded: for=\"192.0.2.9, for=192.0.2.1\r\n"), "192.0.2.1 BAD");
    SAYS(f("Forwarded: for=\\\", for=192.0.2.1;proto=\"http\"\r\n"), "192.0.2.1 BAD");
    SAYS(f("Forwarded: \"\r\nForwarded: for=192.0.2.1\r\n"), "192.0.2.1 BAD");
    SAYS(x("X-Forwarded-For: \"junk\\, 192.0.2.1\r\n"), "192.0.2.1 BAD");
}

TEST(no_more_entries_are_looked_at_than_the_limit)
{
    char fields[ROOM / 2] = "X-Forwarded-For: 192.0.2.1";
    for (int i = 0; i < L4_HOPS_MAX - 1; i++)
        strcat(fields, i % 2 ? ",192.0.2.2" : ",");
    strcat(fields, "\r\n");
    CHECK(strstr(x(fields), "192.0.2.1 END"));
    memcpy(fields, "X-Forwarded-For: 192.0.2.1", 26);
    strcpy(fields + strlen(fields) - 2, ",\r\n");
    CHECK(!strstr(x(fields), "192.0.2.1"));
    CHECK(strstr(x(fields), "END"));
}

MAIN(RUN(a_list_is_read_from_the_right_over_all_of_its_fields);
     RUN(addresses_have_the_forms_that_proxies_write);
     RUN(what_is_no_address_is_told_where_it_stands); RUN(forwarded_is_read_as_rfc_7239_writes_it);
     RUN(what_a_client_has_put_at_the_left_spoils_nothing_at_the_right);
     RUN(no_more_entries_are_looked_at_than_the_limit);)
