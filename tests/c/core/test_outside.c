/* Which addresses are outside: each network's first and last address and their neighbours. The unit
 * test test_outside.py compares many more with Python's ipaddress. */
#include <arpa/inet.h>
#include <string.h>

#include "check.h"
#include "core/outside.h"

static enum l4_outside judge(const char *text)
{
    struct l4_addr addr = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .port = 80};
    CHECK_EQ(1, inet_pton(addr.family, text, addr.ip));
    return l4_outside_judge(&addr);
}

struct one {
    const char *text;
    enum l4_outside outside;
};

static void check_all(const struct one *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (judge(all[i].text) != all[i].outside)
            fprintf(stderr, "%s: %s\n", all[i].text, l4_outside_word(judge(all[i].text)));
        CHECK_EQ(all[i].outside, judge(all[i].text));
    }
}

TEST(each_network_of_ipv4_ends_where_it_should)
{
    static const struct one all[] = {
        {"0.0.0.0", L4_OUTSIDE_UNSPECIFIED},
        {"0.255.255.255", L4_OUTSIDE_UNSPECIFIED},
        {"1.0.0.0", L4_OUTSIDE_YES},
        {"9.255.255.255", L4_OUTSIDE_YES},
        {"10.0.0.0", L4_OUTSIDE_PRIVATE},
        {"10.255.255.255", L4_OUTSIDE_PRIVATE},
        {"11.0.0.0", L4_OUTSIDE_YES},
        {"100.63.255.255", L4_OUTSIDE_YES},
        {"100.64.0.0", L4_OUTSIDE_SHARED},
        {"100.127.255.255", L4_OUTSIDE_SHARED},
        {"100.128.0.0", L4_OUTSIDE_YES},
        {"126.255.255.255", L4_OUTSIDE_YES},
        {"127.0.0.0", L4_OUTSIDE_LOOPBACK},
        {"127.255.255.255", L4_OUTSIDE_LOOPBACK},
        {"128.0.0.0", L4_OUTSIDE_YES},
        {"169.253.255.255", L4_OUTSIDE_YES},
        {"169.254.0.0", L4_OUTSIDE_LINK_LOCAL},
        {"169.254.169.254", L4_OUTSIDE_LINK_LOCAL},
        {"169.255.0.0", L4_OUTSIDE_YES},
        {"172.15.255.255", L4_OUTSIDE_YES},
        {"172.16.0.0", L4_OUTSIDE_PRIVATE},
        {"172.31.255.255", L4_OUTSIDE_PRIVATE},
        {"172.32.0.0", L4_OUTSIDE_YES},
        {"191.255.255.255", L4_OUTSIDE_YES},
        {"192.0.0.0", L4_OUTSIDE_PROTOCOL},
        {"192.0.0.255", L4_OUTSIDE_PROTOCOL},
        {"192.0.1.0", L4_OUTSIDE_YES},
        {"192.167.255.255", L4_OUTSIDE_YES},
        {"192.168.0.0", L4_OUTSIDE_PRIVATE},
        {"192.168.255.255", L4_OUTSIDE_PRIVATE},
        {"192.169.0.0", L4_OUTSIDE_YES},
        {"198.17.255.255", L4_OUTSIDE_YES},
        {"198.18.0.0", L4_OUTSIDE_BENCHMARK},
        {"198.19.255.255", L4_OUTSIDE_BENCHMARK},
        {"198.20.0.0", L4_OUTSIDE_YES},
        {"223.255.255.255", L4_OUTSIDE_YES},
        {"224.0.0.0", L4_OUTSIDE_MULTICAST},
        {"239.255.255.255", L4_OUTSIDE_MULTICAST},
        {"240.0.0.0", L4_OUTSIDE_RESERVED},
        {"255.255.255.255", L4_OUTSIDE_RESERVED},
    };
    check_all(all, sizeof all / sizeof *all);
}

TEST(of_ipv6_only_global_unicast_is_outside)
{
    static const struct one all[] = {
        {"::", L4_OUTSIDE_UNSPECIFIED},
        {"::1", L4_OUTSIDE_LOOPBACK},
        {"::2", L4_OUTSIDE_RESERVED},
        {"::8.8.8.8", L4_OUTSIDE_RESERVED},
        {"::ffff:0:127.0.0.1", L4_OUTSIDE_RESERVED},
        {"100::1", L4_OUTSIDE_RESERVED},
        {"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", L4_OUTSIDE_RESERVED},
        {"2000::", L4_OUTSIDE_YES},
        {"2001:1ff:ffff::", L4_OUTSIDE_PROTOCOL},
        {"2001:1::1", L4_OUTSIDE_PROTOCOL},
        {"2001:200::", L4_OUTSIDE_YES},
        {"2606:4700:4700::1111", L4_OUTSIDE_YES},
        {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", L4_OUTSIDE_YES},
        {"4000::", L4_OUTSIDE_RESERVED},
        {"fbff::", L4_OUTSIDE_RESERVED},
        {"fc00::", L4_OUTSIDE_PRIVATE},
        {"fdff:ffff::", L4_OUTSIDE_PRIVATE},
        {"fe00::", L4_OUTSIDE_RESERVED},
        {"fe80::1", L4_OUTSIDE_LINK_LOCAL},
        {"febf:ffff::", L4_OUTSIDE_LINK_LOCAL},
        {"fec0::", L4_OUTSIDE_PRIVATE},
        {"feff:ffff::", L4_OUTSIDE_PRIVATE},
        {"ff00::", L4_OUTSIDE_MULTICAST},
        {"ff02::1", L4_OUTSIDE_MULTICAST},
    };
    check_all(all, sizeof all / sizeof *all);
}

TEST(an_address_in_an_address_is_judged)
{
    static const struct one all[] = {
        {"::ffff:127.0.0.1", L4_OUTSIDE_LOOPBACK},
        {"::ffff:8.8.8.8", L4_OUTSIDE_YES},
        {"64:ff9b::169.254.169.254", L4_OUTSIDE_LINK_LOCAL},
        {"64:ff9b::8.8.8.8", L4_OUTSIDE_YES},
        {"64:ff9b::1:8.8.8.8", L4_OUTSIDE_RESERVED}, /* not within the first 96 bits */
        {"64:ff9b:1::8.8.8.8", L4_OUTSIDE_TRANSLATED},
        {"64:ff9b:1:ffff::", L4_OUTSIDE_TRANSLATED},
        {"64:ff9b:2::8.8.8.8", L4_OUTSIDE_RESERVED},
        {"2002:7f00:1::", L4_OUTSIDE_LOOPBACK},
        {"2002:c0a8:101::1", L4_OUTSIDE_PRIVATE},
        {"2002:808:808::1", L4_OUTSIDE_YES},
        {"2001:0:808:808::f7f7:f7f7", L4_OUTSIDE_YES},
        {"2001:0:a00:1::f7f7:f7f7", L4_OUTSIDE_PRIVATE},    /* the server is 10.0.0.1 */
        {"2001:0:808:808::80ff:fffe", L4_OUTSIDE_LOOPBACK}, /* the client is 127.0.0.1 */
    };
    check_all(all, sizeof all / sizeof *all);
}

TEST(what_is_no_ip_address_is_not_outside)
{
    const struct l4_addr none = {0}, path = {.family = AF_UNIX};
    CHECK_EQ(L4_OUTSIDE_NO_IP, l4_outside_judge(&none));
    CHECK_EQ(L4_OUTSIDE_NO_IP, l4_outside_judge(&path));
    CHECK(!strcmp("no_ip", l4_outside_word(L4_OUTSIDE_NO_IP)));
    CHECK(!strcmp("unknown", l4_outside_word(L4_OUTSIDE_COUNT)));
}

MAIN(RUN(each_network_of_ipv4_ends_where_it_should); RUN(of_ipv6_only_global_unicast_is_outside);
     RUN(an_address_in_an_address_is_judged); RUN(what_is_no_ip_address_is_not_outside))
