/* Addresses as texts. */
#include <arpa/inet.h>
#include <string.h>

#include "base/addr.h"
#include "base/hash.h"
#include "check.h"

/* Returns whether an address is written as the C library writes it. */
static bool is_as_the_library_writes(const struct l4_addr *addr)
{
    char ip[INET6_ADDRSTRLEN], expected[L4_ADDR_TEXT_MAX], found[L4_ADDR_TEXT_MAX];
    inet_ntop(addr->family, addr->ip, ip, sizeof ip);
    const char *form = !addr->port ? "%s" : addr->family == AF_INET ? "%s:%u" : "[%s]:%u";
    const int bytes = snprintf(expected, sizeof expected, form, ip, (unsigned)addr->port);
    return l4_addr_text(addr, found) == (size_t)bytes && !strcmp(expected, found);
}

TEST(addresses_are_written_as_the_library_writes_them)
{
    uint64_t random = 1;
    uint32_t wrong = 0;
    for (uint32_t step = 0; step < 100000; step++) {
        struct l4_addr addr = {.family = step & 1 ? AF_INET : AF_INET6};
        random = l4_hash_again(random, step);
        addr.port = (uint16_t)(random % 3 ? random >> 40 : 0);
        memcpy(addr.ip, &random, addr.family == AF_INET ? 4 : 8);
        for (int i = 0; random >> 60 == 0 && i < 4; i++)
            addr.ip[i] = (uint8_t)(random >> (8 * i) & 3) * 85;
        wrong += !is_as_the_library_writes(&addr);
    }
    CHECK_EQ(0, wrong);
}

TEST(the_longest_texts_fit)
{
    struct l4_addr addr = {.family = AF_INET6, .port = 65535};
    memset(addr.ip, 0xff, sizeof addr.ip);
    CHECK(is_as_the_library_writes(&addr));
    addr = (struct l4_addr){.family = AF_INET, .port = 65535, .ip = {255, 255, 255, 255}};
    CHECK(is_as_the_library_writes(&addr));
}

TEST(what_is_no_ip_address_has_no_text)
{
    char to[L4_ADDR_TEXT_MAX] = "x";
    const struct l4_addr path = {.family = AF_UNIX}, none = {0};
    CHECK_EQ(0, l4_addr_text(&path, to));
    CHECK(!*to);
    CHECK_EQ(0, l4_addr_text(&none, to));
}

MAIN(RUN(addresses_are_written_as_the_library_writes_them); RUN(the_longest_texts_fit);
     RUN(what_is_no_ip_address_has_no_text))
