/* SOCKS5's messages against a naive twin: whole, in every beginning of theirs, and damaged at every
 * byte. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/socks5.h"
#include "socks5_twin.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* Reads every beginning of a message from memory of just this size. */
static void check_beginnings(bool (*alike)(const uint8_t *, size_t), const uint8_t *data,
                             size_t bytes)
{
    for (size_t part = 0; part <= bytes; part++) {
        uint8_t *copy = malloc(part ? part : 1);
        memcpy(copy, data, part);
        CHECK(alike(copy, part));
        free(copy);
    }
}

/* The same for the message with each of its bytes replaced by each value. */
static void check_everywhere(bool (*alike)(const uint8_t *, size_t), const uint8_t *data,
                             size_t bytes)
{
    uint8_t copy[600];
    check_beginnings(alike, data, bytes);
    for (size_t at = 0; at < bytes; at++) {
        for (int value = 0; value < 256; value++) {
            memcpy(copy, data, bytes);
            copy[at] = (uint8_t)value;
            check_beginnings(alike, copy, bytes);
        }
    }
}

TEST(a_greeting_tells_the_methods_that_a_client_offers)
{
    struct l4_socks_greeting greeting;
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_greeting_read(BYTES("\5\2\0\2behind"), &greeting));
    CHECK_EQ(4, greeting.bytes);
    CHECK(greeting.none && greeting.password);
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_greeting_read(BYTES("\5\1\2"), &greeting));
    CHECK(!greeting.none && greeting.password);
    CHECK_EQ(L4_SOCKS_MORE, l4_socks_greeting_read(BYTES("\5\3\0\2"), &greeting));
    CHECK_EQ(5, greeting.bytes);
    CHECK(!greeting.none && !greeting.password);
    check_everywhere(twin_greets_alike, BYTES("\5\3\0\1\2more"));
}

TEST(other_protocols_are_known_by_their_first_byte)
{
    struct l4_socks_greeting greeting;
    static const char *const others[] = {"\4\1", "GET / HTTP/1.1", "\x16\3\1", "CONNECT"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_EQ(L4_SOCKS_BROKEN, l4_socks_greeting_read((const uint8_t *)others[i], 1, &greeting));
        CHECK_EQ(L4_SOCKS_VERSION_FAULT, greeting.fault);
    }
}

TEST(a_login_has_a_user_and_a_password)
{
    struct l4_socks_login login;
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_login_read(BYTES("\1\4anna\6secretX"), &login));
    CHECK_EQ(13, login.bytes);
    CHECK(l4_text_is(login.user, L4_TEXT("anna")) && l4_text_is(login.password, L4_TEXT("secret")));
    CHECK_EQ(L4_SOCKS_BROKEN, l4_socks_login_read(BYTES("\1\0"), &login));
    CHECK_EQ(L4_SOCKS_EMPTY_FAULT, login.fault);
    CHECK_EQ(L4_SOCKS_BROKEN, l4_socks_login_read(BYTES("\1\2a\n"), &login));
    CHECK_EQ(L4_SOCKS_CONTROL_FAULT, login.fault);
    check_everywhere(twin_logs_in_alike, BYTES("\1\3\xc3\xa4x\2 ymore"));
}

TEST(the_longest_messages_are_read)
{
    uint8_t data[L4_SOCKS_BYTES_MAX];
    struct l4_socks_login login;
    memset(data, 'a', sizeof data);
    data[0] = 1;
    data[1] = data[257] = 255;
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_login_read(data, sizeof data, &login));
    CHECK_EQ(L4_SOCKS_BYTES_MAX, login.bytes);
    CHECK_EQ(255, login.password.bytes);
    check_beginnings(twin_logs_in_alike, data, sizeof data);
    data[0] = 5;
    check_beginnings(twin_greets_alike, data, sizeof data);
}

static void check_request(const uint8_t *data, size_t bytes, const char *host,
                          enum l4_host_kind kind, const char *addr)
{
    struct l4_socks_request request;
    char text[L4_ADDR_TEXT_MAX];
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_request_read(data, bytes, &request));
    CHECK_EQ(bytes, request.bytes);
    CHECK_EQ(L4_SOCKS_CONNECT, request.command);
    CHECK(!strcmp(host, request.host.name) && request.host.bytes == strlen(host));
    CHECK_EQ(kind, request.host.kind);
    CHECK_EQ(443, request.host.port);
    l4_addr_text(&request.addr, text);
    CHECK(!strcmp(addr, request.addr.family ? text : ""));
    check_everywhere(twin_requests_alike, data, bytes);
}

TEST(a_request_names_a_host_in_one_of_three_ways)
{
    check_request(BYTES("\5\1\0\1\xc0\0\2\1\1\xbb"), "192.0.2.1", L4_HOST_IPV4, "192.0.2.1:443");
    check_request(BYTES("\5\1\0\3\x0cWww.Example.\1\xbb"), "www.example", L4_HOST_NAME, "");
    check_request(BYTES("\5\1\0\4\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"), "[2001:db8::1]",
                  L4_HOST_IPV6, "[2001:db8::1]:443");
}

TEST(an_address_has_one_form_however_it_is_written)
{
    check_request(BYTES("\5\1\0\3\011192.0.2.1\1\xbb"), "192.0.2.1", L4_HOST_IPV4, "192.0.2.1:443");
    check_request(BYTES("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\1\xbb"), "127.0.0.1",
                  L4_HOST_IPV4, "127.0.0.1:443");
    check_request(BYTES("\5\1\0\3\x12[::ffff:127.0.0.1]\1\xbb"), "127.0.0.1", L4_HOST_IPV4,
                  "127.0.0.1:443");
    check_request(BYTES("\5\1\0\3\x07[0::01]\1\xbb"), "[::1]", L4_HOST_IPV6, "[::1]:443");
}

static void check_fault(const uint8_t *data, size_t bytes, enum l4_socks_fault fault)
{
    struct l4_socks_request request;
    CHECK_EQ(L4_SOCKS_BROKEN, l4_socks_request_read(data, bytes, &request));
    CHECK_EQ(fault, request.fault);
    check_beginnings(twin_requests_alike, data, bytes);
}

TEST(what_is_no_request_is_told_by_a_reason)
{
    check_fault(BYTES("\4\1\0\1\xc0\0\2\1\1\xbb"), L4_SOCKS_VERSION_FAULT);
    check_fault(BYTES("\5\0\0\1\xc0\0\2\1\1\xbb"), L4_SOCKS_COMMAND_FAULT);
    check_fault(BYTES("\5\4\0\1\xc0\0\2\1\1\xbb"), L4_SOCKS_COMMAND_FAULT);
    check_fault(BYTES("\5\1\1\1\xc0\0\2\1\1\xbb"), L4_SOCKS_RESERVED_FAULT);
    check_fault(BYTES("\5\1\0\2\xc0\0\2\1\1\xbb"), L4_SOCKS_ADDRESS_FAULT);
    check_fault(BYTES("\5\1\0\1\xc0\0\2\1\0\0"), L4_SOCKS_PORT_FAULT);
    check_fault(BYTES("\5\1\0\3\0\1\xbb"), L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\6a.b:80\1\xbb"), L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\x0a"
                      "2130706433\1\xbb"),
                L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\6"
                      "0x7f.1\1\xbb"),
                L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\3a\0b\1\xbb"), L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\3::1\1\xbb"), L4_SOCKS_HOST_FAULT);
    check_fault(BYTES("\5\1\0\3\4a..b\1\xbb"), L4_SOCKS_HOST_FAULT);
}

TEST(a_datagram_association_may_name_port_0)
{
    struct l4_socks_request request;
    CHECK_EQ(L4_SOCKS_WHOLE, l4_socks_request_read(BYTES("\5\3\0\1\0\0\0\0\0\0"), &request));
    CHECK_EQ(L4_SOCKS_UDP, request.command);
    CHECK_EQ(0, request.host.port);
}

TEST(answers_are_those_of_the_rfcs)
{
    uint8_t to[L4_SOCKS_REPLY_MAX];
    CHECK_EQ(2, l4_socks_greeting_answer(to, L4_SOCKS_METHOD_PASSWORD));
    CHECK(!memcmp(to, "\5\2", 2));
    l4_socks_greeting_answer(to, L4_SOCKS_METHOD_REFUSED);
    CHECK(!memcmp(to, "\5\xff", 2));
    CHECK_EQ(2, l4_socks_login_answer(to, true));
    CHECK(!memcmp(to, "\1\0", 2));
    l4_socks_login_answer(to, false);
    CHECK(!memcmp(to, "\1\1", 2));
    CHECK_EQ(10, l4_socks_request_answer(to, L4_SOCKS_REFUSED, NULL));
    CHECK(!memcmp(to, "\5\5\0\1\0\0\0\0\0\0", 10));
    const struct l4_addr path = {.family = AF_UNIX, .port = 9};
    CHECK_EQ(10, l4_socks_request_answer(to, L4_SOCKS_OK, &path));
    CHECK(!memcmp(to, "\5\0\0\1\0\0\0\0\0\0", 10));
    const struct l4_addr four = {AF_INET, 8080, {192, 0, 2, 1}};
    CHECK_EQ(10, l4_socks_request_answer(to, L4_SOCKS_OK, &four));
    CHECK(!memcmp(to, "\5\0\0\1\xc0\0\2\1\x1f\x90", 10));
    const struct l4_addr six = {AF_INET6, 1, {0x20, 1, 0xd, 0xb8, [15] = 1}};
    CHECK_EQ(L4_SOCKS_REPLY_MAX, l4_socks_request_answer(to, L4_SOCKS_OK, &six));
    CHECK(!memcmp(to, "\5\0\0\4\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\1", 22));
}

TEST(each_fault_has_a_word_and_a_reply)
{
    for (unsigned fault = 1; fault < L4_SOCKS_FAULT_COUNT; fault++)
        CHECK(l4_socks_fault_word(fault)[0] && l4_socks_fault_reply(fault));
    CHECK_EQ(L4_SOCKS_NO_COMMAND, l4_socks_fault_reply(L4_SOCKS_COMMAND_FAULT));
    CHECK_EQ(L4_SOCKS_NO_ADDRESS_TYPE, l4_socks_fault_reply(L4_SOCKS_ADDRESS_FAULT));
    CHECK(!strcmp("unknown", l4_socks_fault_word(L4_SOCKS_FAULT_COUNT)));
    CHECK_EQ(L4_SOCKS_FAILED, l4_socks_fault_reply(L4_SOCKS_FAULT_COUNT));
}

MAIN(RUN(a_greeting_tells_the_methods_that_a_client_offers);
     RUN(other_protocols_are_known_by_their_first_byte); RUN(a_login_has_a_user_and_a_password);
     RUN(the_longest_messages_are_read); RUN(a_request_names_a_host_in_one_of_three_ways);
     RUN(an_address_has_one_form_however_it_is_written);
     RUN(what_is_no_request_is_told_by_a_reason); RUN(a_datagram_association_may_name_port_0);
     RUN(answers_are_those_of_the_rfcs); RUN(each_fault_has_a_word_and_a_reply))
