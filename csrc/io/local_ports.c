#include "io/local_ports.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/bounds.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void l4_ports_start(struct l4_ports *ports, uint32_t low, uint32_t high, uint64_t random)
{
    *ports = (struct l4_ports){.low = low, .left = L4_PORT_BLOCK_USES};
    if (low == 0 || high > UINT16_MAX || high < low)
        return;
    const uint32_t blocks = (high - low + 1) / L4_PORT_BLOCK;
    if (blocks < L4_PORT_BLOCKS_MIN)
        return;
    ports->blocks = blocks;
    ports->block = (uint32_t)random % blocks;
    ports->step = 1 + (uint32_t)(random >> 32) % (blocks - 1);
    while (common_divisor(ports->step, blocks) != 1)
        ports->step = 1 + ports->step % (blocks - 1);
}

void l4_ports_start_here(struct l4_ports *ports, uint64_t random)
{
    unsigned low = 0, high = 0;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (range && fscanf(range, "%u %u", &low, &high) != 2)
        low = 0;
    if (range)
        fclose(range);
    l4_ports_start(ports, low, high, random);
}

static void move_on(struct l4_ports *ports)
{
    ports->block = (ports->block + ports->step) % ports->blocks;
    ports->left = L4_PORT_BLOCK_USES;
}

uint32_t l4_ports_next(struct l4_ports *ports)
{
    if (!ports->blocks)
        return 0;
    if (ports->left == 0)
        move_on(ports);
    ports->left--;
    const uint32_t low = ports->low + ports->block * L4_PORT_BLOCK;
    L4_ASSERT(ports->block < ports->blocks && low + L4_PORT_BLOCK - 1 <= UINT16_MAX);
    return (low + L4_PORT_BLOCK - 1) << 16 | low;
}

static bool set_range(int fd, uint32_t range)
{
    return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) == 0;
}

void l4_ports_narrow(struct l4_ports *ports, int fd)
{
    if (ports->blocks && !set_range(fd, l4_ports_next(ports)))
        ports->blocks = 0; /* why: a kernel without this option is not asked again. */
}

bool l4_ports_widen(struct l4_ports *ports, int fd)
{
    if (!ports->blocks)
        return false;
    move_on(ports);
    return set_range(fd, 0);
}
