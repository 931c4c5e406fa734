/* Heads of HTTP/1 messages: what they say, where they end, and what is wrong with bad ones. */
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "core/h1.h"

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

static const struct l4_h1_bounds bounds = {.head = 32768, .target = 8192, .fields = 100};
static struct l4_h1_head head;

static int request(const char *text)
{
    return (int)l4_h1_request(text, strlen(text), &bounds, &head);
}

static int answer(const char *text, enum l4_method asked)
{
    return (int)l4_h1_answer(text, strlen(text), &bounds, asked, &head);
}

static bool says(const char *text, struct l4_h1_text place, const char *expected)
{
    return place.bytes == strlen(expected) && memcmp(text + place.at, expected, place.bytes) == 0;
}

TEST(a_request_says_method_target_version_host_and_fields)
{
    const char *text = "\r\nPOST /a?b=c HTTP/1.0\r\nHOST: \t a.example \t\r\nCookie:x=1\r\n"
                       "X-Empty:\r\nCookie: y=\xe4\t2\r\n\r\n";
    CHECK_EQ(L4_H1_NONE, request(text));
    CHECK_EQ(strlen(text), head.bytes);
    CHECK_EQ(L4_METHOD_POST, head.method);
    CHECK(says(text, head.method_text, "POST") && says(text, head.target, "/a?b=c"));
    CHECK_EQ(0, head.minor);
    CHECK(says(text, head.host, "a.example"));
    CHECK_EQ(4, head.field_count);
    CHECK_EQ(1, head.first[L4_FIELD_COOKIE]);
    CHECK_EQ(L4_H1_NO_FIELD, head.first[L4_FIELD_DATE]);
    CHECK(says(text, head.fields[2].name, "X-Empty") && says(text, head.fields[2].value, ""));
    CHECK(says(text, head.fields[3].value, "y=\xe4\t2"));
    CHECK_EQ(L4_FIELD_OTHER, head.fields[2].id);
}

TEST(every_known_name_is_found_in_any_case_and_no_other)
{
    static const char *const names[] = {
#define X(id, name, flags) name,
        L4_FIELDS(X)
#undef X
    };
    for (unsigned id = 0; id < L4_FIELD_IDS; id++) {
        char name[64];
        const size_t bytes = strlen(names[id]);
        CHECK_EQ(id, l4_field_find(names[id], bytes));
        for (size_t i = 0; i < bytes; i++)
            name[i] = (char)(names[id][i] >= 'a' ? names[id][i] - 32 : names[id][i]);
        CHECK_EQ(id, l4_field_find(name, bytes));
        CHECK_EQ(L4_FIELD_OTHER, l4_field_find(name, bytes - 1));
        name[bytes] = 'x';
        CHECK_EQ(L4_FIELD_OTHER, l4_field_find(name, bytes + 1));
        name[bytes - 1] = '~';
        CHECK_EQ(L4_FIELD_OTHER, l4_field_find(name, bytes));
    }
    CHECK_EQ(L4_FIELD_OTHER, l4_field_find("", 0));
}

TEST(methods_are_told_apart_by_case)
{
    CHECK_EQ(L4_H1_NONE, request("get / HTTP/1.1\r\n" HOST "\r\n"));
    CHECK_EQ(L4_METHOD_OTHER, head.method);
    CHECK_EQ(L4_H1_NONE, request("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"));
    CHECK_EQ(L4_METHOD_OPTIONS, head.method);
}

TEST(the_end_of_a_head_is_found_however_it_is_split)
{
    const char *text = "\r\n" LINE HOST "X: \t\x80\r\n\r\nbody\n";
    const long whole = (long)strlen(text) - 5;
    for (size_t first = 0; first <= strlen(text); first++) {
        size_t scanned = 0;
        const long found = l4_h1_end(text, first, &scanned);
        CHECK_EQ((long)first < whole ? 0 : whole, found);
        if (found == 0)
            CHECK_EQ(whole, l4_h1_end(text, strlen(text), &scanned));
    }
    size_t scanned = 0;
    for (size_t count = 0; (long)count < whole; count++)
        CHECK_EQ(0, l4_h1_end(text, count, &scanned));
    CHECK_EQ(whole, l4_h1_end(text, (size_t)whole, &scanned));
}

TEST(a_byte_that_no_head_has_is_refused_as_soon_as_it_comes)
{
    static const struct {
        struct l4_text text;
        int fault;
    } cases[] = {
        {{"GET / HTTP/1.1\n", 15}, L4_H1_BARE_LF},
        {{"GET /\rx", 7}, L4_H1_BARE_CR},
        {{"GET /\0", 6}, L4_H1_CONTROL_BYTE},
        {{"\x16\x03\x01", 3}, L4_H1_CONTROL_BYTE},
        {{"GET / HTTP/1.1\x7f", 15}, L4_H1_CONTROL_BYTE},
        {{"\n", 1}, L4_H1_BARE_LF},
        {{"0123456789abcde\x1f", 16}, L4_H1_CONTROL_BYTE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t scanned = 0;
        CHECK_EQ(-cases[i].fault, l4_h1_end(cases[i].text.at, cases[i].text.bytes, &scanned));
    }
}

TEST(each_fault_of_a_request_has_its_name)
{
    static const struct {
        const char *text;
        int fault;
    } cases[] = {
        {"", L4_H1_CUT_SHORT},
        {LINE HOST, L4_H1_CUT_SHORT},
        {"\r\n\r\n", L4_H1_BAD_REQUEST_LINE},
        {"\r\n\r\n" LINE HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {" " LINE HOST "\r\n", L4_H1_BAD_METHOD},
        {"G@T / HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_METHOD},
        {"G\xc4T / HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_METHOD},
        {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", L4_H1_CONTROL_BYTE},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_METHOD},
        {"GET\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET  / HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET /  HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET / HTTP/1.1 \r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET /\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET /a b HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET / http/1.1\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET / HTTP/1.10\r\n" HOST "\r\n", L4_H1_BAD_REQUEST_LINE},
        {"GET /\x80 HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_TARGET},
        {"GET /#a HTTP/1.1\r\n" HOST "\r\n", L4_H1_BAD_TARGET},
        {"GET / HTTP/1.2\r\n" HOST "\r\n", L4_H1_BAD_VERSION},
        {"GET / HTTP/0.9\r\n" HOST "\r\n", L4_H1_BAD_VERSION},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", L4_H1_BAD_VERSION},
        {LINE " " HOST "\r\n", L4_H1_FOLDED_LINE},
        {LINE HOST "A: b\r\n c\r\n\r\n", L4_H1_FOLDED_LINE},
        {LINE HOST "A: b\r\n\tc\r\n\r\n", L4_H1_FOLDED_LINE},
        {LINE HOST "A: b\r\n \r\n\r\n", L4_H1_FOLDED_LINE},
        {LINE HOST "A\r\n\r\n", L4_H1_NO_COLON},
        {LINE HOST "A : b\r\n\r\n", L4_H1_SPACE_IN_NAME},
        {LINE HOST "A b: c\r\n\r\n", L4_H1_SPACE_IN_NAME},
        {LINE HOST ": b\r\n\r\n", L4_H1_BAD_NAME},
        {LINE HOST "A\x85: b\r\n\r\n", L4_H1_BAD_NAME},
        {LINE HOST "A(b: c\r\n\r\n", L4_H1_BAD_NAME},
        {LINE HOST "A: b\x01\r\n\r\n", L4_H1_CONTROL_BYTE},
        {LINE HOST "A: b\rc\r\n\r\n", L4_H1_BARE_CR},
        {LINE HOST "A: b\nc: d\r\n\r\n", L4_H1_BARE_LF},
        {LINE HOST "A\n: b\r\n\r\n", L4_H1_BARE_LF},
        {LINE "\r\n", L4_H1_NO_HOST},
        {LINE HOST HOST "\r\n", L4_H1_TWO_HOSTS},
        {LINE HOST "Expect: 200-ok\r\n\r\n", L4_H1_BAD_EXPECT},
        {LINE HOST "Connection: host\r\n\r\n", L4_H1_BAD_CONNECTION},
        {LINE HOST "Connection: close, Content-Length\r\n\r\n", L4_H1_BAD_CONNECTION},
        {LINE HOST "Connection: ,,\t transfer-encoding \r\n\r\n", L4_H1_BAD_CONNECTION},
        {"TRACE / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", L4_H1_UNEXPECTED_BODY},
        {"CONNECT a:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
         L4_H1_UNEXPECTED_BODY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int fault = request(cases[i].text);
        if (fault != cases[i].fault)
            fprintf(stderr, "%s: ", cases[i].text);
        CHECK_EQ(cases[i].fault, fault);
    }
}

TEST(each_fault_of_framing_has_its_name)
{
#define CL "Content-Length: "
#define TE "Transfer-Encoding: "
    static const struct {
        const char *fields;
        int fault;
    } cases[] = {
        {CL "\r\n", L4_H1_BAD_LENGTH},
        {CL "+1\r\n", L4_H1_BAD_LENGTH},
        {CL "-1\r\n", L4_H1_BAD_LENGTH},
        {CL "0x1\r\n", L4_H1_BAD_LENGTH},
        {CL "1,1\r\n", L4_H1_BAD_LENGTH},
        {CL "1 1\r\n", L4_H1_BAD_LENGTH},
        {CL "1234567890123456789\r\n", L4_H1_BAD_LENGTH},
        {CL "1\r\n" CL "1\r\n", L4_H1_TWO_LENGTHS},
        {CL "1\r\n" CL "x\r\n", L4_H1_TWO_LENGTHS},
        {CL "1\r\n" TE "chunked\r\n", L4_H1_LENGTH_AND_CODING},
        {TE "chunked\r\n" CL "1\r\n", L4_H1_LENGTH_AND_CODING},
        {TE "chunked\r\n" TE "chunked\r\n", L4_H1_TWO_CODINGS},
        {TE "chunked, chunked\r\n", L4_H1_UNKNOWN_CODING},
        {TE "gzip, chunked\r\n", L4_H1_UNKNOWN_CODING},
        {TE "identity\r\n", L4_H1_UNKNOWN_CODING},
        {TE "\r\n", L4_H1_UNKNOWN_CODING},
        {TE "xchunked\r\n", L4_H1_UNKNOWN_CODING},
        {TE "chunked;a=b\r\n", L4_H1_UNKNOWN_CODING},
        {TE "\"chunked\"\r\n", L4_H1_UNKNOWN_CODING},
        {TE "\x0b"
            "chunked\r\n",
         L4_H1_CONTROL_BYTE},
        {"Transfer-Encoding : chunked\r\n", L4_H1_SPACE_IN_NAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s\r\n", cases[i].fields);
        CHECK_EQ(cases[i].fault, request(text));
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%s\r\n", cases[i].fields);
        CHECK_EQ(cases[i].fault, answer(text, L4_METHOD_GET));
    }
    CHECK_EQ(L4_H1_CODING_IN_1_0, request("POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n"));
    CHECK_EQ(L4_H1_NONE, request("POST / HTTP/1.1\r\n" HOST TE "CHunked\r\n\r\n"));
    CHECK_EQ(L4_FRAMING_CHUNKED, head.framing);
    CHECK_EQ(L4_H1_NONE, request("POST / HTTP/1.1\r\n" HOST CL "010\r\n\r\n"));
    CHECK_EQ(L4_FRAMING_LENGTH, head.framing);
    CHECK_EQ(10, head.length);
    CHECK_EQ(L4_H1_NONE, request("POST / HTTP/1.1\r\n" HOST CL "999999999999999999\r\n\r\n"));
    CHECK_EQ(999999999999999999, head.length);
}

TEST(connection_says_who_stays_and_which_fields_go_no_further)
{
    CHECK_EQ(L4_H1_NONE, request(LINE HOST "Connection: X-Mine, te\r\nx-mine: 1\r\nOther: 2\r\n"
                                           "TE: trailers\r\n\r\n"));
    CHECK(head.keep_alive);
    CHECK(head.fields[2].flags & L4_FIELD_IS_HOP);
    CHECK(!(head.fields[3].flags & L4_FIELD_IS_HOP));
    CHECK(head.fields[4].flags & L4_FIELD_IS_HOP);
    CHECK_EQ(L4_H1_NONE, request(LINE HOST "Connection: keep-alive\r\nConnection: Close\r\n\r\n"));
    CHECK(!head.keep_alive);
    CHECK_EQ(L4_H1_NONE, request("GET / HTTP/1.0\r\n\r\n"));
    CHECK(!head.keep_alive);
    CHECK_EQ(L4_H1_NONE, request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    CHECK(head.keep_alive);
}

TEST(an_upgrade_needs_both_fields_and_is_never_to_h2c)
{
#define BOTH LINE HOST "Connection: Upgrade\r\nUpgrade: "
    CHECK_EQ(L4_H1_NONE, request(BOTH "websocket\r\n\r\n"));
    CHECK(head.upgrade && head.keep_alive);
    CHECK_EQ(L4_H1_NONE, request(BOTH "foo, h2c\r\n\r\n"));
    CHECK(!head.upgrade);
    CHECK_EQ(L4_H1_NONE, request(BOTH "websocket\r\nContent-Length: 5\r\n\r\n"));
    CHECK(!head.upgrade);
    CHECK_EQ(L4_H1_NONE, request(LINE HOST "Upgrade: websocket\r\n\r\n"));
    CHECK(!head.upgrade);
    CHECK_EQ(L4_H1_NONE, request(LINE HOST "Connection: upgrade\r\n\r\n"));
    CHECK(!head.upgrade);
}

TEST(a_body_is_awaited_with_100_only_where_there_is_one)
{
#define EXPECTS HOST "Expect: 100-Continue\r\n"
    CHECK_EQ(L4_H1_NONE, request("PUT / HTTP/1.1\r\n" EXPECTS "Content-Length: 3\r\n\r\n"));
    CHECK(head.expects_continue && !(head.fields[1].flags & L4_FIELD_IS_HOP));
    CHECK_EQ(L4_H1_NONE, request("PUT / HTTP/1.1\r\n" EXPECTS "\r\n"));
    CHECK(!head.expects_continue && head.fields[1].flags & L4_FIELD_IS_HOP);
    CHECK_EQ(L4_H1_NONE, request("PUT / HTTP/1.0\r\n" EXPECTS "Content-Length: 3\r\n\r\n"));
    CHECK(!head.expects_continue && head.fields[1].flags & L4_FIELD_IS_HOP);
}

TEST(an_answers_body_follows_status_and_method)
{
    static const struct {
        const char *text;
        enum l4_method asked;
        int framing;
        bool keep_alive, tunnel;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", L4_METHOD_GET, L4_FRAMING_UNTIL_CLOSE, false, false},
        {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n", L4_METHOD_GET, L4_FRAMING_LENGTH, true,
         false},
        {"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n", L4_METHOD_HEAD, L4_FRAMING_NONE, true,
         false},
        {"HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\n", L4_METHOD_GET, L4_FRAMING_NONE, true,
         false},
        {"HTTP/1.1 204 x\r\n\r\n", L4_METHOD_GET, L4_FRAMING_NONE, true, false},
        {"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\n", L4_METHOD_GET, L4_FRAMING_NONE, false,
         false},
        {"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n", L4_METHOD_GET, L4_FRAMING_NONE,
         false, false},
        {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", L4_METHOD_GET,
         L4_FRAMING_NONE, true, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", L4_METHOD_CONNECT, L4_FRAMING_NONE, false,
         true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", L4_METHOD_GET, L4_FRAMING_LENGTH, false,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ(L4_H1_NONE, answer(cases[i].text, cases[i].asked));
        CHECK_EQ(cases[i].framing, head.framing);
        CHECK_EQ(cases[i].keep_alive, head.keep_alive);
        CHECK_EQ(cases[i].tunnel, head.tunnel);
    }
}

TEST(each_fault_of_an_answer_has_its_name)
{
    static const struct {
        const char *text;
        int fault;
    } cases[] = {
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1 20 OK\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1 2000 OK\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1  200 OK\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1 099 OK\r\n\r\n", L4_H1_BAD_STATUS},
        {"HTTP/1.1 600 OK\r\n\r\n", L4_H1_BAD_STATUS},
        {"HTTP/2.0 200 OK\r\n\r\n", L4_H1_BAD_VERSION},
        {"ICY 200 OK\r\n\r\n", L4_H1_BAD_STATUS_LINE},
        {"HTTP/1.1 200 O\x01K\r\n\r\n", L4_H1_CONTROL_BYTE},
        {"HTTP/1.1 101 x\r\n\r\n", L4_H1_SWITCH_TO_NOTHING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(cases[i].fault, answer(cases[i].text, L4_METHOD_GET));
}

TEST(bounds_hold)
{
    static char text[70000];
    size_t used = (size_t)sprintf(text, LINE HOST);
    for (int i = 0; i < 99; i++)
        used += (size_t)sprintf(text + used, "A%d: b\r\n", i);
    memcpy(text + used, "\r\n", 3);
    CHECK_EQ(L4_H1_NONE, request(text));
    CHECK_EQ(100, head.field_count);
    memcpy(text + used, "Z: b\r\n\r\n", 9);
    CHECK_EQ(L4_H1_TOO_MANY_FIELDS, request(text));
    struct l4_h1_bounds small = bounds;
    small.target = 8;
    CHECK_EQ(L4_H1_NONE, l4_h1_request("GET /2345678 HTTP/1.0\r\n\r\n", 25, &small, &head));
    CHECK_EQ(L4_H1_TARGET_TOO_LONG,
             l4_h1_request("GET /23456789 HTTP/1.0\r\n\r\n", 26, &small, &head));
    small.head = 24;
    CHECK_EQ(L4_H1_HEAD_TOO_LARGE,
             l4_h1_request("GET /2345678 HTTP/1.0\r\n\r\n", 25, &small, &head));
    small.refuse_underscores = true;
    small.head = 100;
    CHECK_EQ(L4_H1_UNDERSCORE,
             l4_h1_request("GET / HTTP/1.0\r\nA_b: c\r\n\r\n", 26, &small, &head));
    memset(text, 'a', sizeof text);
    CHECK_EQ(L4_H1_TARGET_TOO_LONG, l4_h1_request(text, sizeof text, &bounds, &head));
    CHECK_EQ(L4_H1_TARGET_TOO_LONG, l4_h1_too_large("\r\naaa", 5));
    CHECK_EQ(L4_H1_HEAD_TOO_LARGE, l4_h1_too_large("\r\na\r\n", 5));
}

TEST(names_with_underscores_are_flagged_as_their_twins)
{
    CHECK_EQ(L4_H1_NONE, request(LINE HOST "X_Forwarded_For: 1\r\nContent_Length: 1\r\nA_b: 1\r\n"
                                           "X-Forwarded-Port: 1\r\nx_forwarded_anything_that_is"
                                           "_longer: 1\r\n\r\n"));
    const uint8_t expected[] = {L4_FIELD_TELLS_CLIENT | L4_FIELD_HAS_UNDERSCORE,
                                L4_FIELD_IS_HOP | L4_FIELD_HAS_UNDERSCORE, L4_FIELD_HAS_UNDERSCORE,
                                L4_FIELD_TELLS_CLIENT,
                                L4_FIELD_TELLS_CLIENT | L4_FIELD_HAS_UNDERSCORE};
    for (int i = 0; i < 5; i++)
        CHECK_EQ(expected[i], head.fields[1 + i].flags);
    CHECK_EQ(L4_FRAMING_NONE, head.framing);
}

TEST(faults_have_words_and_statuses)
{
    CHECK(strcmp(l4_h1_fault_word(L4_H1_TWO_LENGTHS), "two_lengths") == 0);
    CHECK(strcmp(l4_h1_fault_word(L4_H1_FAULT_COUNT), "unknown") == 0);
    CHECK_EQ(501, l4_h1_fault_status(L4_H1_UNKNOWN_CODING));
    CHECK_EQ(505, l4_h1_fault_status(L4_H1_BAD_VERSION));
    CHECK_EQ(400, l4_h1_fault_status(L4_H1_FAULT_COUNT));
}

MAIN(RUN(a_request_says_method_target_version_host_and_fields);
     RUN(every_known_name_is_found_in_any_case_and_no_other); RUN(methods_are_told_apart_by_case);
     RUN(the_end_of_a_head_is_found_however_it_is_split);
     RUN(a_byte_that_no_head_has_is_refused_as_soon_as_it_comes);
     RUN(each_fault_of_a_request_has_its_name); RUN(each_fault_of_framing_has_its_name);
     RUN(connection_says_who_stays_and_which_fields_go_no_further);
     RUN(an_upgrade_needs_both_fields_and_is_never_to_h2c);
     RUN(a_body_is_awaited_with_100_only_where_there_is_one);
     RUN(an_answers_body_follows_status_and_method); RUN(each_fault_of_an_answer_has_its_name);
     RUN(bounds_hold); RUN(names_with_underscores_are_flagged_as_their_twins);
     RUN(faults_have_words_and_statuses);)
