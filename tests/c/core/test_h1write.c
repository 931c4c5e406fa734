/* Heads that are written anew: what goes on, what does not, and what is ours. */
#include <string.h>

#include "check.h"
#include "core/h1write.h"

static const struct l4_h1_bounds bounds = {.head = 32768, .target = 8192, .fields = 100};
static struct l4_h1_head head;
static char room[4096];
static struct l4_text_out out;

static const char *written(void)
{
    room[out.used] = 0;
    return out.full ? "(full)" : room;
}

static bool is(const char *expected)
{
    const bool same = strcmp(written(), expected) == 0;
    if (!same)
        fprintf(stderr, "expected %s\nfound %s\n", expected, written());
    return same;
}

static struct l4_request_rules plain_rules(void)
{
    return (struct l4_request_rules){.target = L4_TEXT("/t"),
                                     .host = L4_TEXT("h"),
                                     .drop_underscores = true,
                                     .client = L4_TEXT("192.0.2.1"),
                                     .scheme = L4_TEXT("https"),
                                     .asked_host = L4_TEXT("asked")};
}

static void request(const char *text, struct l4_request_rules rules)
{
    out = (struct l4_text_out){room, sizeof room - 1, 0, false};
    CHECK_EQ(L4_H1_NONE, l4_h1_request(text, strlen(text), &bounds, &head));
    l4_h1_write_request(&out, text, &head, &rules);
}

static void answer(const char *text, struct l4_answer_rules rules)
{
    out = (struct l4_text_out){room, sizeof room - 1, 0, false};
    CHECK_EQ(L4_H1_NONE, l4_h1_answer(text, strlen(text), &bounds, L4_METHOD_GET, &head));
    l4_h1_write_answer(&out, text, &head, &rules);
}

TEST(a_request_goes_on_in_its_normal_form)
{
    struct l4_request_rules rules = plain_rules();
    rules.head = (struct l4_h1_rules){.framing = L4_FRAMING_LENGTH, .length = 10};
    request("\r\nPOST http://a/ HTTP/1.0\r\nA:1\r\nHost: a\r\nContent-Length: 010\r\n"
            "Keep-Alive: 1\r\nConnection: x-mine, keep-alive\r\nTE: trailers\r\nB: \t2 \r\n"
            "X-Mine: 3\r\nProxy: evil\r\nA_b: 4\r\nC:\r\n\r\n",
            rules);
    CHECK(is("POST /t HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: \r\nContent-Length: 10\r\n\r\n"));
}

#define GET  "GET / HTTP/1.1\r\nHost: a\r\n"
#define SENT "GET /t HTTP/1.1\r\nHost: h\r\n"

TEST(underscores_go_on_if_they_may_but_not_in_twins_of_framing)
{
    struct l4_request_rules rules = plain_rules();
    rules.drop_underscores = false;
    request(GET "A_b: 1\r\nContent_Length: 5\r\nX_Forwarded_For: 1.1.1.1\r\n\r\n", rules);
    CHECK(is(SENT "A_b: 1\r\n\r\n"));
}

#define CLAIMS                                                                                     \
    "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: http\r\n"          \
    "Forwarded: for=3.3.3.3\r\nX-Real-IP: 4.4.4.4\r\nX-Forwarded-Port: 5\r\nA: 1\r\n"
#define OURS                                                                                       \
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: asked\r\n"        \
    "Forwarded: for=192.0.2.1;proto=https;host=\"asked\"\r\n"

TEST(claims_of_clients_that_are_not_trusted_are_dropped_in_every_mode)
{
    struct l4_request_rules rules = plain_rules();
    request(GET CLAIMS "\r\n", rules);
    CHECK(is(SENT "A: 1\r\n\r\n"));
    rules.x_forwarded = rules.rfc7239 = true;
    for (int mode = L4_FORWARDED_APPEND; mode <= L4_FORWARDED_REPLACE; mode++) {
        rules.forwarded = (enum l4_forwarded)mode;
        request(GET CLAIMS "\r\n", rules);
        CHECK(is(SENT "A: 1\r\n" OURS "\r\n"));
    }
}

TEST(claims_of_trusted_proxies_are_kept_joined_or_replaced)
{
    struct l4_request_rules rules = plain_rules();
    rules.trusted = rules.x_forwarded = rules.rfc7239 = true;
    request(GET CLAIMS "\r\n", rules);
    CHECK(is(SENT CLAIMS "\r\n"));
    rules.forwarded = L4_FORWARDED_REPLACE;
    request(GET CLAIMS "\r\n", rules);
    CHECK(is(SENT "A: 1\r\n" OURS "\r\n"));
    rules.forwarded = L4_FORWARDED_APPEND;
    rules.client = L4_TEXT("2001:db8::1");
    request(GET CLAIMS "\r\n", rules);
    CHECK(is(SENT "X-Forwarded-Proto: http\r\nX-Real-IP: 4.4.4.4\r\nX-Forwarded-Port: 5\r\n"
                  "A: 1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 2001:db8::1\r\n"
                  "X-Forwarded-Host: asked\r\nForwarded: for=3.3.3.3, for=\"[2001:db8::1]\";"
                  "proto=https;host=\"asked\"\r\n\r\n"));
}

TEST(a_claim_that_connection_names_is_no_claim)
{
    struct l4_request_rules rules = plain_rules();
    rules.trusted = rules.x_forwarded = true;
    rules.forwarded = L4_FORWARDED_APPEND;
    request(GET "Connection: x-forwarded-for, x-forwarded-proto\r\n" CLAIMS "\r\n", rules);
    CHECK(strstr(written(), "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"));
}

TEST(a_request_id_via_and_expect_are_as_the_rules_say)
{
    struct l4_request_rules rules = plain_rules();
    rules.head.via = L4_TEXT("l4lb");
    rules.id_name = L4_TEXT("X-Request-Id");
    rules.id = L4_TEXT("77");
    rules.head.framing = L4_FRAMING_CHUNKED;
    const char *text = "PUT / HTTP/1.1\r\nHost: a\r\nVia: 1.0 b\r\nx-request-id: evil\r\n"
                       "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    request(text, rules);
    CHECK(is("PUT /t HTTP/1.1\r\nHost: h\r\nVia: 1.0 b\r\nExpect: 100-continue\r\n"
             "Via: 1.1 l4lb\r\nX-Request-Id: 77\r\nTransfer-Encoding: chunked\r\n\r\n"));
    rules.drop_expect = true;
    request(text, rules);
    CHECK(!strstr(written(), "Expect"));
}

TEST(operations_remove_set_and_add_but_never_frame)
{
    static const struct l4_field_rule rules_of[] = {
        {L4_FIELD_REMOVE, L4_TEXT("cookie"), {0}},
        {L4_FIELD_SET, L4_TEXT("X-Forwarded-Proto"), L4_TEXT("wss")},
        {L4_FIELD_ADD, L4_TEXT("A"), L4_TEXT("2")},
        {L4_FIELD_SET, L4_TEXT("Content-Length"), L4_TEXT("5")},
        {L4_FIELD_SET, L4_TEXT("hOST"), L4_TEXT("other")},
        {L4_FIELD_ADD, L4_TEXT("Transfer-Encoding"), L4_TEXT("chunked")},
    };
    struct l4_request_rules rules = plain_rules();
    rules.head.fields = rules_of;
    rules.head.field_count = 6;
    rules.x_forwarded = true;
    rules.forwarded = L4_FORWARDED_REPLACE;
    request(GET "Cookie: x\r\nA: 1\r\nCOOKIE: y\r\n\r\n", rules);
    CHECK(is(SENT "A: 1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: asked\r\n"
                  "X-Forwarded-Proto: wss\r\nA: 2\r\n\r\n"));
}

TEST(an_upgrade_goes_on_only_if_it_may)
{
    struct l4_request_rules rules = plain_rules();
    const char *text = GET "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    request(text, rules);
    CHECK(is(SENT "\r\n"));
    rules.head.connection = L4_CONNECTION_UPGRADE;
    request(text, rules);
    CHECK(is(SENT "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
}

TEST(no_text_of_a_rule_splits_a_head)
{
    static const struct l4_text evil[] = {
        L4_TEXT("a\r\nB: c"), L4_TEXT("a\nb"), L4_TEXT("a\rb"), L4_TEXT("a\0b"), L4_TEXT("\x7f"),
    };
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        struct l4_request_rules rules = plain_rules();
        struct l4_field_rule rule = {L4_FIELD_ADD, L4_TEXT("A"), evil[i]};
        struct l4_text *const places[] = {&rules.target,  &rules.host,       &rules.client,
                                          &rules.scheme,  &rules.asked_host, &rules.id,
                                          &rules.id_name, &rules.head.via};
        rules.x_forwarded = rules.rfc7239 = true;
        rules.forwarded = L4_FORWARDED_APPEND;
        rules.id_name = rules.id = L4_TEXT("x");
        for (size_t place = 0; place < sizeof places / sizeof *places; place++) {
            const struct l4_text before = *places[place];
            *places[place] = evil[i];
            request(GET "\r\n", rules);
            CHECK(out.full);
            *places[place] = before;
        }
        request(GET "\r\n", rules);
        CHECK(!out.full);
        rules.head.fields = &rule;
        rules.head.field_count = 1;
        request(GET "\r\n", rules);
        CHECK(out.full);
        rule = (struct l4_field_rule){L4_FIELD_ADD, evil[i], L4_TEXT("a")};
        request(GET "\r\n", rules);
        CHECK(out.full);
        rule.name = L4_TEXT("a:b");
        request(GET "\r\n", rules);
        CHECK(out.full);
        answer("HTTP/1.1 200 OK\r\nLocation: x\r\n\r\n",
               (struct l4_answer_rules){.location = evil[i]});
        CHECK(out.full);
        answer("HTTP/1.1 200 OK\r\n\r\n", (struct l4_answer_rules){.hsts = evil[i]});
        CHECK(out.full);
    }
    struct l4_request_rules rules = plain_rules();
    rules.target = L4_TEXT("/a b");
    request(GET "\r\n", rules);
    CHECK(out.full);
}

TEST(out_of_room_is_said_at_every_size_and_nothing_is_written_behind_the_room)
{
    struct l4_request_rules rules = plain_rules();
    rules.x_forwarded = rules.rfc7239 = true;
    rules.forwarded = L4_FORWARDED_APPEND;
    request(GET "A: 1\r\n\r\n", rules);
    const size_t whole = out.used;
    for (size_t size = 0; size <= whole; size++) {
        memset(room, '#', sizeof room);
        out = (struct l4_text_out){room, size, 0, false};
        l4_h1_write_request(&out, GET "A: 1\r\n\r\n", &head, &rules);
        CHECK_EQ(size < whole, out.full);
        CHECK(out.used <= size && room[size] == '#');
    }
}

TEST(an_answer_goes_on_in_its_normal_form)
{
    const struct l4_text hide[] = {L4_TEXT("server"), L4_TEXT("x-powered-by")};
    struct l4_answer_rules rules = {
        .head = {.framing = L4_FRAMING_CHUNKED,
                 .connection = L4_CONNECTION_CLOSE,
                 .via = L4_TEXT("l4lb")},
        .hide = hide,
        .hide_count = 2,
        .location = L4_TEXT("https://public/"),
        .cookie_domain = L4_TEXT("app.internal"),
        .hsts = L4_TEXT("max-age=1"),
        .date = L4_TEXT("now"),
    };
    answer("HTTP/1.0 302 Foun\td\xff\r\nServer: x\r\nX-POWERED-BY: y\r\nLocation: http://in/\r\n"
           "Set-Cookie: a=b; Path=/; Domain=.App.internal; Secure\r\nLocation: http://in/2\r\n"
           "Set-Cookie: domain=app.internal; domain=other\r\nStrict-Transport-Security: no\r\n"
           "Keep-Alive: 5\r\nTrailer: a\r\nX_y: z\r\n\r\n",
           rules);
    CHECK(is("HTTP/1.1 302 Foun\td\xff\r\nLocation: https://public/\r\n"
             "Set-Cookie: a=b; Path=/; Secure\r\nSet-Cookie: domain=app.internal; domain=other\r\n"
             "X_y: z\r\nDate: now\r\nVia: 1.1 l4lb\r\nStrict-Transport-Security: max-age=1\r\n"
             "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"));
    rules = (struct l4_answer_rules){.date = L4_TEXT("now"),
                                     .head = {.tell_length = true, .length = 7}};
    answer("HTTP/1.1 304\r\nDate: then\r\nContent-Length: 7\r\n\r\n", rules);
    CHECK(is("HTTP/1.1 304 \r\nDate: then\r\nContent-Length: 7\r\n\r\n"));
}

TEST(nothing_of_ours_is_added_to_an_interim_answer)
{
    const struct l4_field_rule add = {L4_FIELD_ADD, L4_TEXT("Set-Cookie"), L4_TEXT("a=b")};
    struct l4_answer_rules rules = {.head = {.fields = &add, .field_count = 1},
                                    .hsts = L4_TEXT("max-age=1"),
                                    .date = L4_TEXT("now")};
    answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", rules);
    CHECK(is("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"));
    rules.head.connection = L4_CONNECTION_UPGRADE;
    rules.hsts = rules.date = (struct l4_text){0};
    answer("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", rules);
    CHECK(is("HTTP/1.1 101 S\r\nUpgrade: a\r\nSet-Cookie: a=b\r\nConnection: Upgrade\r\n\r\n"));
}

TEST(an_answer_of_our_own_is_put_together)
{
    out = (struct l4_text_out){room, sizeof room - 1, 0, false};
    l4_h1_put_status(&out, 502, L4_TEXT("Bad Gateway"));
    l4_h1_put_field(&out, L4_TEXT("A"), L4_TEXT("b\tc"));
    l4_h1_put_end(&out);
    l4_h1_put_number(&out, 0);
    l4_h1_put_number(&out, UINT64_MAX);
    CHECK(is("HTTP/1.1 502 Bad Gateway\r\nA: b\tc\r\n\r\n018446744073709551615"));
}

MAIN(RUN(a_request_goes_on_in_its_normal_form);
     RUN(underscores_go_on_if_they_may_but_not_in_twins_of_framing);
     RUN(claims_of_clients_that_are_not_trusted_are_dropped_in_every_mode);
     RUN(claims_of_trusted_proxies_are_kept_joined_or_replaced);
     RUN(a_claim_that_connection_names_is_no_claim);
     RUN(a_request_id_via_and_expect_are_as_the_rules_say);
     RUN(operations_remove_set_and_add_but_never_frame); RUN(an_upgrade_goes_on_only_if_it_may);
     RUN(no_text_of_a_rule_splits_a_head);
     RUN(out_of_room_is_said_at_every_size_and_nothing_is_written_behind_the_room);
     RUN(an_answer_goes_on_in_its_normal_form); RUN(nothing_of_ours_is_added_to_an_interim_answer);
     RUN(an_answer_of_our_own_is_put_together);)
