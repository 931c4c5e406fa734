/* Egress, how connections leave this host: the addresses of a pool, reads during a write, and the
 * options that the kernel gets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "io/sock.h"
#include "io/sockopt.h"
#include "shm/egress.h"
#include "shm/layout.h"

static struct l4_addr address(uint16_t family, uint32_t number)
{
    struct l4_addr addr = {.family = family};
    memcpy(addr.ip + (family == AF_INET6 ? 12 : 0), &number, 4);
    return addr;
}

/* Makes this many addresses, IPv4 first, numbered from 1. */
static void fill(struct l4_egress *egress, uint32_t four, uint32_t six)
{
    memset(egress, 0, sizeof *egress);
    for (uint32_t i = 0; i < four + six; i++)
        egress->sources[i] = address(i < four ? AF_INET : AF_INET6, i + 1);
    egress->sources4 = four;
    egress->sources6 = six;
    egress->used = 1;
}

TEST(a_pool_that_says_nothing_leaves_all_to_the_kernel)
{
    struct l4_egress egress = {0};
    struct l4_way way;
    const struct l4_addr client = address(AF_INET, 9);
    CHECK(l4_egress_way(&egress, AF_INET, &client, 7, &way) == NULL);
    egress.used = 1;
    CHECK(l4_egress_way(&egress, AF_UNIX, &client, 7, &way) == NULL);
    CHECK(l4_egress_way(&egress, AF_INET, &client, 7, &way) == &way);
    CHECK_EQ(0, way.count);
    CHECK_EQ(0, way.options.set);
}

TEST(every_address_of_the_family_comes_first_equally_often_and_none_twice)
{
    static struct l4_egress egress;
    const struct l4_addr client = address(AF_INET, 999);
    for (uint32_t four = 0; four <= L4_SOURCES_MAX; four += 7) {
        const uint32_t six = L4_SOURCES_MAX - four;
        fill(&egress, four, six);
        for (int family = 0; family < 2; family++) {
            const uint32_t count = family ? six : four, first = family ? four : 0;
            uint32_t seen[L4_SOURCES_MAX + 1] = {0};
            for (uint64_t random = 0; random < 3 * (uint64_t)count; random++) {
                struct l4_way way;
                CHECK(l4_egress_way(&egress, family ? AF_INET6 : AF_INET, &client, random, &way));
                CHECK_EQ(count < L4_SOURCE_TRIES ? count : L4_SOURCE_TRIES, way.count);
                for (uint32_t i = 0; i < way.count; i++) {
                    uint32_t number;
                    memcpy(&number, way.from[i].ip + (family ? 12 : 0), 4);
                    CHECK_EQ(first + 1 + (random + i) % count, number);
                }
                uint32_t number;
                memcpy(&number, way.from[0].ip + (family ? 12 : 0), 4);
                seen[number - first - 1]++;
            }
            for (uint32_t i = 0; i < count; i++)
                CHECK_EQ(3, seen[i]);
        }
    }
}

TEST(a_transparent_way_is_the_clients_without_its_port_if_it_is_of_the_family)
{
    static struct l4_egress egress;
    struct l4_way way;
    fill(&egress, 2, 0);
    egress.transparent = 1;
    struct l4_addr client = address(AF_INET, 77);
    client.port = 4321;
    CHECK(l4_egress_way(&egress, AF_INET, &client, 1, &way));
    CHECK_EQ(1, way.count);
    client.port = 0;
    CHECK(l4_addr_equal(&client, &way.from[0]));
    CHECK_EQ(1u << L4_OPTION_TRANSPARENT, way.options.set);
    client = address(AF_INET6, 77);
    CHECK(l4_egress_way(&egress, AF_INET, &client, 0, &way));
    CHECK_EQ(2, way.count);
    CHECK_EQ(0, way.options.set);
}

/* ---- while it is written --------------------------------------------------------------------- */

static struct l4_egress shared;
static _Atomic int over;

/* Writes states in which all fields have one number. */
static void *writes(void *none)
{
    for (uint32_t n = 1; !over; n = n % 200 + 1) {
        shared.seq |= 1;
        atomic_thread_fence(memory_order_seq_cst);
        shared.sources4 = 1 + n % L4_SOURCE_TRIES;
        for (uint32_t i = 0; i < L4_SOURCES_MAX; i++)
            shared.sources[i] = address(AF_INET, n);
        for (uint32_t i = 0; i < L4_OPTIONS; i++)
            shared.options.values[i] = n;
        memset(shared.options.interface, 'a' + (int)(n % 26), L4_INTERFACE_MAX);
        atomic_thread_fence(memory_order_seq_cst);
        shared.seq++;
        usleep(20); /* a supervisor pauses between writes, so that readers can finish */
    }
    return none;
}

TEST(what_is_read_while_it_is_written_is_of_one_moment)
{
    pthread_t writer;
    const struct l4_addr client = address(AF_INET, 1);
    fill(&shared, 1, 0);
    shared.sources[0] = address(AF_INET, 0);
    CHECK_EQ(0, pthread_create(&writer, NULL, writes, NULL));
    for (int i = 0; i < 20000; i++) {
        struct l4_way way;
        CHECK(l4_egress_way(&shared, AF_INET, &client, (uint64_t)i, &way));
        uint32_t number;
        memcpy(&number, way.from[0].ip, 4);
        for (uint32_t j = 0; j < way.count; j++)
            CHECK(l4_addr_equal(&way.from[0], &way.from[j]));
        for (uint32_t j = 0; j < L4_OPTIONS; j++)
            CHECK_EQ(number, way.options.values[j]);
        CHECK_EQ(number ? 1 + number % L4_SOURCE_TRIES : 1, way.count);
        CHECK(number == 0 || way.options.interface[3] == 'a' + (char)(number % 26));
    }
    over = 1;
    CHECK_EQ(0, pthread_join(writer, NULL));
}

TEST(a_writer_that_died_within_does_not_hang_who_reads_and_no_index_is_trusted)
{
    static struct l4_egress egress;
    struct l4_way way;
    const struct l4_addr client = address(AF_INET, 1);
    fill(&egress, 3, 0);
    egress.seq = 1;
    CHECK(l4_egress_way(&egress, AF_INET, &client, 0, &way));
    CHECK_EQ(3, way.count);
    egress.sources4 = egress.sources6 = UINT32_MAX;
    memset(egress.options.interface, 'x', sizeof egress.options.interface);
    for (uint64_t random = 0; random < 300; random++) {
        CHECK(l4_egress_way(&egress, random & 1 ? AF_INET6 : AF_INET, &client, random << 8, &way));
        CHECK(way.count <= L4_SOURCE_TRIES);
        CHECK_EQ(L4_INTERFACE_MAX, strlen(way.options.interface));
    }
}

/* ---- the kernel ------------------------------------------------------------------------------ */

TEST(options_are_set_as_asked_and_those_of_tcp_only_on_tcp)
{
    struct l4_options options = {
        .set = 1 << L4_OPTION_DSCP | 1 << L4_OPTION_KEEPALIVE | 1 << L4_OPTION_KEEPALIVE_IDLE_S |
               1 << L4_OPTION_USER_TIMEOUT_MS,
        .values = {[L4_OPTION_DSCP] = 46,
                   [L4_OPTION_KEEPALIVE] = 1,
                   [L4_OPTION_KEEPALIVE_IDLE_S] = 33,
                   [L4_OPTION_USER_TIMEOUT_MS] = 4000},
    };
    const uint16_t families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 4; i++) {
        const uint16_t family = families[i & 1];
        const bool stream = i < 2;
        const int fd = socket(family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
        if (fd < 0)
            continue; /* a host without IPv6 */
        CHECK_EQ(0, l4_options_apply(&options, fd, family, stream, NULL));
        struct l4_options found;
        l4_options_read(&found, fd, family, stream);
        CHECK_EQ(46, found.values[L4_OPTION_DSCP]);
        CHECK_EQ(stream, (found.set >> L4_OPTION_KEEPALIVE_IDLE_S) & 1);
        CHECK_EQ(stream ? 33 : 0, found.values[L4_OPTION_KEEPALIVE_IDLE_S]);
        CHECK_EQ(stream ? 4000 : 0, found.values[L4_OPTION_USER_TIMEOUT_MS]);
        int tos = 0;
        socklen_t length = sizeof tos;
        CHECK_EQ(0, family == AF_INET ? getsockopt(fd, IPPROTO_IP, IP_TOS, &tos, &length)
                                      : getsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, &length));
        CHECK_EQ(46 << 2, tos);
        close(fd);
    }
}

TEST(what_the_kernel_refuses_is_named)
{
    struct l4_options options = {.set = 1 << L4_OPTION_KEEPALIVE_PROBES,
                                 .values = {[L4_OPTION_KEEPALIVE_PROBES] = 100000}};
    enum l4_option failed = L4_OPTIONS;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(-EINVAL, l4_options_apply(&options, fd, AF_INET, true, &failed));
    CHECK_EQ(L4_OPTION_KEEPALIVE_PROBES, failed);
    options = (struct l4_options){.interface = "no-such-if0"};
    CHECK_EQ(-ENODEV, l4_options_apply(&options, fd, AF_INET, true, &failed));
    CHECK_EQ(L4_OPTIONS, failed);
    CHECK_EQ(0, l4_options_apply(&options, fd, AF_UNIX, true, &failed));
    close(fd);
}

TEST(a_connect_goes_on_to_an_address_that_can_be_had)
{
    const struct l4_addr none = {.family = AF_INET, .ip = {192, 0, 2, 77}}; /* RFC 5737 */
    const struct l4_addr here = {.family = AF_INET, .ip = {127, 0, 0, 5}};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(0, bind(server, (struct sockaddr *)&at, length));
    CHECK_EQ(0, listen(server, 4));
    CHECK_EQ(0, getsockname(server, (struct sockaddr *)&at, &length));
    const struct l4_addr to = l4_sock_local(server);
    struct l4_ports ports = {0};
    struct l4_way way = {.count = 2, .from = {none, here}};
    bool made;
    int fd = l4_sock_connect(&to, "", &way, &ports, &made);
    CHECK(fd >= 0 && made);
    const struct l4_addr local = l4_sock_local(fd);
    CHECK(memcmp(local.ip, here.ip, 4) == 0);
    close(fd);
    way.count = 1;
    CHECK_EQ(-EADDRNOTAVAIL, l4_sock_connect(&to, "", &way, &ports, &made));
    close(server);
}

MAIN(RUN(a_pool_that_says_nothing_leaves_all_to_the_kernel);
     RUN(every_address_of_the_family_comes_first_equally_often_and_none_twice);
     RUN(a_transparent_way_is_the_clients_without_its_port_if_it_is_of_the_family);
     RUN(what_is_read_while_it_is_written_is_of_one_moment);
     RUN(a_writer_that_died_within_does_not_hang_who_reads_and_no_index_is_trusted);
     RUN(options_are_set_as_asked_and_those_of_tcp_only_on_tcp);
     RUN(what_the_kernel_refuses_is_named); RUN(a_connect_goes_on_to_an_address_that_can_be_had))
