/* Header lists of HTTP/2 as heads of HTTP/1: what is written, and what is malformed. */
#include <string.h>

#include "check.h"
#include "core/h2head.h"

static char memory[8192], out[8192 + L4_H2_FRAME_ROOM];
static struct l4_h2_head head;

static bool put(const char *name, const char *value)
{
    return l4_h2_head_put(&head, (struct l4_text){name, strlen(name)},
                          (struct l4_text){value, strlen(value)});
}

static void begin(uint32_t size)
{
    l4_h2_head_begin(&head, memory, size);
}

static bool request(const char *method, const char *path)
{
    begin(sizeof memory);
    return put(":method", method) && put(":scheme", "https") && put(":path", path);
}

static bool writes(bool has_body, const char *expected)
{
    const size_t bytes = l4_h2_head_write(&head, has_body, out);
    return bytes == strlen(expected) && memcmp(out, expected, bytes) == 0;
}

TEST(a_list_is_written_as_a_head_of_http_1)
{
    CHECK(request("GET", "/a?b") && put(":authority", "h:1") && put("accept", "x") &&
          put("x-empty", ""));
    CHECK(l4_h2_head_is_whole(&head));
    CHECK(writes(false, "GET /a?b HTTP/1.1\r\nhost: h:1\r\naccept: x\r\nx-empty: \r\n\r\n"));
}

TEST(a_body_is_framed_by_its_length_or_in_chunks)
{
    CHECK(request("POST", "/") && put("content-length", "3"));
    CHECK(writes(true, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n"));
    CHECK(request("POST", "/"));
    CHECK(writes(true, "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"));
    CHECK(writes(false, "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
    CHECK(request("DELETE", "/"));
    CHECK(writes(false, "DELETE / HTTP/1.1\r\n\r\n"));
}

TEST(host_is_told_once_and_a_different_one_is_left_to_the_judge)
{
    CHECK(request("GET", "/") && put(":authority", "H.example") && put("host", "h.EXAMPLE"));
    CHECK(writes(false, "GET / HTTP/1.1\r\nhost: H.example\r\n\r\n"));
    CHECK(request("GET", "/") && put("host", "a"));
    CHECK(writes(false, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    CHECK(request("GET", "/") && put(":authority", "a") && put("host", "b"));
    CHECK(writes(false, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"));
}

TEST(crumbs_of_a_cookie_are_joined_wherever_they_come)
{
    CHECK(request("GET", "/") && put("cookie", "a=1") && put("x", "y") && put("cookie", "b=2") &&
          put("z", "") && put("cookie", "c"));
    CHECK(writes(false, "GET / HTTP/1.1\r\ncookie: a=1; b=2; c\r\nx: y\r\nz: \r\n\r\n"));
}

TEST(connect_names_its_host_as_its_target)
{
    begin(sizeof memory);
    CHECK(put(":method", "CONNECT") && put(":authority", "h:443"));
    CHECK(l4_h2_head_is_whole(&head));
    CHECK(writes(false, "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n"));
    CHECK(put(":path", "/") && !l4_h2_head_is_whole(&head));
}

TEST(pseudo_fields_come_first_once_and_are_known)
{
    begin(sizeof memory);
    CHECK(!l4_h2_head_is_whole(&head));
    CHECK(request("GET", "/") && !put(":path", "/"));
    CHECK(request("GET", "/") && !put(":method", "GET"));
    CHECK(request("GET", "/") && !put(":scheme", "http"));
    CHECK(request("GET", "/") && put(":authority", "a") && !put(":authority", "a"));
    CHECK(request("GET", "/") && !put(":status", "200"));
    CHECK(request("GET", "/") && put("a", "b") && !put(":authority", "a"));
    CHECK(!request("GET", "http://a/") && !request("GET", "") && !request("", "/"));
    CHECK(!request("GET", "/a b") && !request("G T", "/") && request("OPTIONS", "*"));
}

TEST(no_byte_can_become_another_field)
{
    const char *names[] = {"A", "a b", "a:", "", "a\n", "a\r", "\xe4", "a\t"};
    const char *values[] = {"a\nb", "a\rb", "\x7f", "a\x01"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(request("GET", "/") && !put(names[i], "b"));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        CHECK(request("GET", "/") && !put("a", values[i]));
        CHECK(request("GET", "/") && !put(":authority", values[i]));
        CHECK(request("GET", "/") && !put("host", values[i]));
        CHECK(!request("GET", values[i]) && !request(values[i], "/"));
    }
    CHECK(request("GET", "/") && !l4_h2_head_put(&head, L4_TEXT("a"), L4_TEXT("a\0b")));
    CHECK(request("GET", "/") && put("a", "b\tc \xe4"));
}

TEST(fields_of_a_connection_are_malformed)
{
    const char *names[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                           "upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(request("GET", "/") && !put(names[i], "x"));
    CHECK(request("GET", "/") && !put("te", "gzip"));
    CHECK(request("GET", "/") && put("te", "trailers"));
}

TEST(a_list_that_is_too_large_gives_a_head_without_an_end)
{
    begin(32);
    CHECK(put(":method", "GET") && put(":scheme", "http") && put(":path", "/"));
    CHECK(put("a", "0123456789") && !head.full);
    CHECK(put("b", "0123456789abcdef") && head.full && head.used == 32);
    CHECK(put("cookie", "x") && put("c", "d") && head.used == 32);
    CHECK(writes(true, "GET / HTTP/1.1\r\na: 0123456789\r\nb: 0123456789abc"));
    begin(24);
    CHECK(put(":method", "GET") && put(":scheme", "http") && put(":path", "/"));
    CHECK(put("cookie", "abcdefgh") && put("cookie", "abcdefgh") && head.full);
}

TEST(a_list_of_too_many_fields_is_too_large)
{
    CHECK(request("GET", "/"));
    for (int i = 0; i < L4_H2_FIELDS_MAX; i++)
        CHECK(put("a", "") && !head.full);
    CHECK(put("a", "") && head.full);
}

MAIN(RUN(a_list_is_written_as_a_head_of_http_1); RUN(a_body_is_framed_by_its_length_or_in_chunks);
     RUN(host_is_told_once_and_a_different_one_is_left_to_the_judge);
     RUN(crumbs_of_a_cookie_are_joined_wherever_they_come);
     RUN(connect_names_its_host_as_its_target); RUN(pseudo_fields_come_first_once_and_are_known);
     RUN(no_byte_can_become_another_field); RUN(fields_of_a_connection_are_malformed);
     RUN(a_list_that_is_too_large_gives_a_head_without_an_end);
     RUN(a_list_of_too_many_fields_is_too_large))
