/* The blocks of local ports: each is used once in a round, none is outside of the range, and a full
 * one is left. */
#include <stdbool.h>

#include "base/bounds.h"
#include "base/random.h"
#include "check.h"
#include "io/local_ports.h"
#include "io/sock.h"
#include "sockets.h"

enum { LOW = 32768, HIGH = 60999 };

TEST(each_block_is_used_once_a_round_and_lies_in_the_range)
{
    uint64_t seed = 7;
    for (uint32_t high = LOW + L4_PORT_BLOCK * L4_PORT_BLOCKS_MIN; high <= HIGH; high += 997) {
        struct l4_ports ports;
        static bool seen[65536];
        l4_ports_start(&ports, LOW, high, l4_random(&seed));
        const uint32_t blocks = (high - LOW + 1) / L4_PORT_BLOCK;
        CHECK_EQ(blocks, ports.blocks);
        memset(seen, 0, sizeof seen);
        for (uint32_t b = 0; b < blocks; b++) {
            const uint32_t range = l4_ports_next(&ports), low = range & 0xffff, top = range >> 16;
            CHECK(low >= LOW && top <= high && top - low + 1 == L4_PORT_BLOCK);
            CHECK(!seen[low]);
            seen[low] = true;
            for (int i = 1; i < L4_PORT_BLOCK_USES; i++)
                CHECK_EQ(range, l4_ports_next(&ports));
        }
    }
}

TEST(a_range_that_is_small_or_none_is_left_to_the_kernel)
{
    const uint32_t ranges[][2] = {{0, 0},      {LOW, LOW},      {LOW, LOW + 100},
                                  {HIGH, LOW}, {0, UINT16_MAX}, {LOW, UINT16_MAX + 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct l4_ports ports;
        l4_ports_start(&ports, ranges[i][0], ranges[i][1], 1);
        CHECK_EQ(0, l4_ports_next(&ports));
        CHECK(!l4_ports_widen(&ports, -1));
    }
}

/* Begins to connect. Returns the local port; 0: there was none. */
static uint32_t local_port(const struct l4_addr *to, struct l4_ports *ports, int *fd)
{
    bool made;
    *fd = l4_sock_connect(to, "", NULL, ports, &made);
    CHECK(made);
    return *fd < 0 ? 0 : l4_sock_local(*fd).port;
}

TEST(a_connect_leaves_from_its_block_and_when_that_is_full_from_another)
{
    enum { MANY = 3 * L4_PORT_BLOCK };
    struct l4_ports ports;
    int fds[MANY];
    uint16_t port;
    const int listener = listen_on_loopback(&port);
    const struct l4_addr to = {.family = AF_INET, .port = port, .ip = {127, 0, 0, 1}};
    l4_ports_start_here(&ports, 12345);
    if (!ports.blocks) /* this host has few ports to give */
        return;
    uint32_t inside = 0;
    for (int i = 0; i < MANY; i++) {
        ports.block = 0; /* one block for all connections: it must run out */
        ports.left = 2;
        const uint32_t from = local_port(&to, &ports, &fds[i]);
        CHECK(from != 0);
        inside += from >= ports.low && from < ports.low + L4_PORT_BLOCK;
    }
    if (ports.blocks) /* else this kernel does not know the option */
        CHECK(inside > 0 && inside <= L4_PORT_BLOCK);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    close(listener);
}

MAIN(RUN(each_block_is_used_once_a_round_and_lies_in_the_range);
     RUN(a_range_that_is_small_or_none_is_left_to_the_kernel);
     RUN(a_connect_leaves_from_its_block_and_when_that_is_full_from_another))
