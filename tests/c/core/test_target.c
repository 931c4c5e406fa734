/* Targets, hosts and paths of requests, each with the fault that it has. */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "core/target.h"

enum { GET = L4_FORM_ORIGIN | L4_FORM_ABSOLUTE, OPTIONS = GET | L4_FORM_ASTERISK };

static bool same(struct l4_text text, const char *wanted)
{
    if (!wanted)
        return !text.at;
    return text.at && text.bytes == strlen(wanted) && !memcmp(text.at, wanted, text.bytes);
}

static bool reads(const char *text, uint32_t forms, const char *host, const char *path,
                  const char *query)
{
    struct l4_target target;
    if (l4_target_read(text, strlen(text), forms, &target))
        return false;
    return same(target.host, host) && same(target.path, path) && same(target.query, query);
}

static enum l4_target_fault fault_of(const char *text, uint32_t forms)
{
    struct l4_target target;
    return l4_target_read(text, strlen(text), forms, &target);
}

TEST(each_of_the_four_forms_is_split_into_its_parts)
{
    CHECK(reads("/", GET, NULL, "/", NULL));
    CHECK(reads("/a/b?c=d?e", GET, NULL, "/a/b", "c=d?e"));
    CHECK(reads("/a?", GET, NULL, "/a", ""));
    CHECK(reads("//a", GET, NULL, "//a", NULL));
    CHECK(reads("http://a.example/b?c", GET, "a.example", "/b", "c"));
    CHECK(reads("HTTPS://a.example:444", GET, "a.example:444", "/", NULL));
    CHECK(reads("http://a?b", GET, "a", "/", "b"));
    CHECK(reads("*", OPTIONS, NULL, "*", NULL));
    CHECK(reads("a.example:443", L4_FORM_AUTHORITY, "a.example:443", NULL, NULL));
    CHECK(reads("[::1]:443", L4_FORM_AUTHORITY, "[::1]:443", NULL, NULL));
}

TEST(a_target_of_no_form_that_the_method_allows_is_a_fault)
{
    CHECK_EQ(L4_TARGET_FORM, fault_of("", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("a", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("*", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("**", OPTIONS));
    CHECK_EQ(L4_TARGET_FORM, fault_of("ftp://a/", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("http:/a/", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("a.example:443", GET));
    CHECK_EQ(L4_TARGET_FORM, fault_of("/", L4_FORM_AUTHORITY));
    CHECK_EQ(L4_TARGET_FORM, fault_of("a.example", L4_FORM_AUTHORITY));
    CHECK_EQ(L4_TARGET_FORM, fault_of("a.example:", L4_FORM_AUTHORITY));
    CHECK_EQ(L4_TARGET_FORM, fault_of(":443", L4_FORM_AUTHORITY));
    CHECK_EQ(L4_TARGET_FORM, fault_of("443", L4_FORM_AUTHORITY));
    CHECK_EQ(L4_TARGET_FORM, fault_of("http://a:443", L4_FORM_AUTHORITY));
}

TEST(a_byte_that_no_target_has_is_a_fault)
{
    for (int byte = 0; byte < 256; byte++) {
        const char in_path[] = {'/', (char)byte, 'a'}, in_query[] = {'/', '?', (char)byte};
        const bool visible = byte > ' ' && byte < 0x7f && byte != '#';
        struct l4_target target;
        const bool path = !l4_target_read(in_path, sizeof in_path, GET, &target);
        const bool query = !l4_target_read(in_query, sizeof in_query, GET, &target);
        CHECK_EQ(visible && byte != '\\', path);
        CHECK_EQ(visible, query);
    }
}

static enum l4_target_fault host_fault(const char *text)
{
    struct l4_host host;
    return l4_host_read(text, strlen(text), &host);
}

static bool is_host(const char *text, enum l4_host_kind kind, const char *name, uint32_t port)
{
    struct l4_host host;
    return !l4_host_read(text, strlen(text), &host) && host.kind == kind && host.port == port &&
           host.bytes == strlen(name) && !strcmp(host.name, name);
}

TEST(a_host_is_a_name_or_an_address_perhaps_with_a_port)
{
    CHECK(is_host("Shop.Example", L4_HOST_NAME, "shop.example", 0));
    CHECK(is_host("shop.example.:80", L4_HOST_NAME, "shop.example", 80));
    CHECK(is_host("a_b-c.9x", L4_HOST_NAME, "a_b-c.9x", 0));
    CHECK(is_host("192.0.2.1:65535", L4_HOST_IPV4, "192.0.2.1", 65535));
    CHECK(is_host("[2001:DB8:0:0::1]", L4_HOST_IPV6, "[2001:db8::1]", 0));
    CHECK(is_host("[::ffff:192.0.2.1]:8080", L4_HOST_IPV6, "[::ffff:192.0.2.1]", 8080));
}

TEST(what_is_neither_name_nor_address_is_no_host)
{
    const char *const none[] = {
        "",         ".",         "a..b",     ".a",          "a b",       "a,b",     "a@b",
        "a/b",      "a%62",      "\xc3\xa4", "1",           "0x7f.1",    "1.2.3",   "1.2.3.4.5",
        "01.2.3.4", "256.1.1.1", "a.0x",     "[::1",        "[]",        "[::1%1]", "[1.2.3.4]",
        "[::1]a",   "::1",       "[v1.a]",   "a.example..", "2130706433"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK(host_fault(none[i]));
        if (!host_fault(none[i]))
            fprintf(stderr, "taken for a host: %s\n", none[i]);
    }
    char name[L4_HOST_MAX + 2];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 10 == 9 ? '.' : 'a';
    struct l4_host host;
    CHECK_EQ(L4_TARGET_NONE, l4_host_read(name, L4_HOST_MAX, &host));
    CHECK_EQ(L4_TARGET_HOST, l4_host_read(name, L4_HOST_MAX + 1, &host));
    memset(name, 'a', sizeof name);
    CHECK_EQ(L4_TARGET_NONE, l4_host_read(name, L4_LABEL_MAX, &host));
    CHECK_EQ(L4_TARGET_HOST, l4_host_read(name, L4_LABEL_MAX + 1, &host));
}

TEST(a_port_is_a_number_without_anything_before_it)
{
    const char *const none[] = {"a:",       "a:0",  "a:080", "a:65536",
                                "a:100000", "a:8x", "a:+8",  "a: 8"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK_EQ(L4_TARGET_PORT, host_fault(none[i]));
}

static bool becomes(const char *path, uint32_t rules, const char *wanted)
{
    char to[L4_PATH_MATCH_MAX];
    uint32_t bytes;
    if (l4_path_read(path, strlen(path), rules, to, &bytes))
        return false;
    return bytes == strlen(wanted) && !memcmp(to, wanted, bytes);
}

static enum l4_target_fault path_fault(const char *path, uint32_t rules)
{
    char to[L4_PATH_MATCH_MAX];
    uint32_t bytes;
    return l4_path_read(path, strlen(path), rules, to, &bytes);
}

TEST(a_path_has_one_spelling)
{
    CHECK(becomes("/", 0, "/"));
    CHECK(becomes("*", 0, "*"));
    CHECK(becomes("/%61%2D%7e%40/b", 0, "/a-~@/b"));
    CHECK(becomes("/%c3%a4|\"%7c", 0, "/%C3%A4%7C%22%7C"));
    CHECK(becomes("/%25%32%66", 0, "/%252f"));
    CHECK(becomes("/a//b///", 0, "/a//b///"));
    CHECK(becomes("/a//b///", L4_PATH_MERGES, "/a/b/"));
    CHECK(becomes("//", L4_PATH_MERGES, "/"));
    CHECK(becomes("/a%2fb", L4_PATH_SLASHES, "/a%2Fb"));
}

TEST(dots_are_resolved)
{
    CHECK(becomes("/a/./b/../c", 0, "/a/c"));
    CHECK(becomes("/a/..", 0, "/"));
    CHECK(becomes("/a/.", 0, "/a/"));
    CHECK(becomes("/a/%2e%2E/b/.%2e", 0, "/"));
    CHECK(becomes("/a/b/..", 0, "/a/"));
    CHECK(becomes("/.../.a/..a/a.", 0, "/.../.a/..a/a."));
    CHECK(becomes("/a//../b", 0, "/a/b"));
    CHECK(becomes("/a//../b", L4_PATH_MERGES, "/b"));
}

TEST(a_path_that_servers_understand_differently_is_a_fault)
{
    CHECK_EQ(L4_TARGET_ROOT, path_fault("/..", 0));
    CHECK_EQ(L4_TARGET_ROOT, path_fault("/a/../%2e.", 0));
    CHECK_EQ(L4_TARGET_ROOT, path_fault("//..", 0));
    CHECK_EQ(L4_TARGET_ROOT, path_fault("//..", L4_PATH_MERGES));
    CHECK_EQ(L4_TARGET_ROOT, path_fault("/a//../..", 0));
    CHECK_EQ(L4_TARGET_NUL, path_fault("/a%00", 0));
    CHECK_EQ(L4_TARGET_SLASH, path_fault("/a%2Fb", 0));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/..;/b", 0));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/.;x=y", 0));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/%2e.%3b", 0));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/..%2fb", L4_PATH_SLASHES));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/b%2f..", L4_PATH_SLASHES));
    CHECK_EQ(L4_TARGET_DOTS, path_fault("/a/b%2f.%2fc", L4_PATH_SLASHES));
    CHECK_EQ(L4_TARGET_PERCENT, path_fault("/%", 0));
    CHECK_EQ(L4_TARGET_PERCENT, path_fault("/%4", 0));
    CHECK_EQ(L4_TARGET_PERCENT, path_fault("/%4/1", 0));
    CHECK_EQ(L4_TARGET_PERCENT, path_fault("/%g0", 0));
    CHECK_EQ(L4_TARGET_BYTE, path_fault("/a\\b", 0));
    CHECK_EQ(L4_TARGET_BYTE, path_fault("/a b", 0));
    CHECK_EQ(L4_TARGET_BYTE, path_fault("/a\xc3", 0));
    CHECK_EQ(L4_TARGET_BYTE, path_fault("/a?b", 0));
    CHECK_EQ(L4_TARGET_FORM, path_fault("", 0));
    CHECK_EQ(L4_TARGET_FORM, path_fault("a", 0));
    CHECK_EQ(L4_TARGET_FORM, path_fault("**", 0));
}

TEST(a_path_that_is_too_long_is_a_fault)
{
    static char path[L4_PATH_MATCH_MAX + 1], to[L4_PATH_MATCH_MAX];
    uint32_t bytes;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    CHECK_EQ(L4_TARGET_NONE, l4_path_read(path, sizeof path - 3, 0, to, &bytes));
    CHECK_EQ(sizeof path - 3, bytes);
    CHECK_EQ(L4_TARGET_LONG, l4_path_read(path, sizeof path, 0, to, &bytes));
    memset(path + 1, '|', L4_PATH_MATCH_MAX / 3 + 1);
    CHECK_EQ(L4_TARGET_LONG, l4_path_read(path, L4_PATH_MATCH_MAX / 3 + 2, 0, to, &bytes));
}

TEST(each_fault_has_a_word_and_a_status)
{
    for (unsigned fault = L4_TARGET_NONE + 1; fault < L4_TARGET_FAULT_COUNT; fault++) {
        CHECK(l4_target_fault_word(fault)[0]);
        CHECK_EQ(fault == L4_TARGET_LONG ? 414 : 400, l4_target_fault_status(fault));
    }
    CHECK(!strcmp("unknown", l4_target_fault_word(L4_TARGET_FAULT_COUNT)));
    CHECK_EQ(400, l4_target_fault_status(L4_TARGET_FAULT_COUNT));
}

MAIN(RUN(each_of_the_four_forms_is_split_into_its_parts);
     RUN(a_target_of_no_form_that_the_method_allows_is_a_fault);
     RUN(a_byte_that_no_target_has_is_a_fault);
     RUN(a_host_is_a_name_or_an_address_perhaps_with_a_port);
     RUN(what_is_neither_name_nor_address_is_no_host);
     RUN(a_port_is_a_number_without_anything_before_it); RUN(a_path_has_one_spelling);
     RUN(dots_are_resolved); RUN(a_path_that_servers_understand_differently_is_a_fault);
     RUN(a_path_that_is_too_long_is_a_fault); RUN(each_fault_has_a_word_and_a_status))
