/* Computes which of an address's sockets the kernel assigns a UDP client to. The computation is
 * that of the filter program that the supervisor attaches to these sockets
 * (l4lb/supervisor/sockets/udp_filter.py). A worker uses it to find the future worker of a
 * session when the number of workers changes. Pure. */
#ifndef L4_CORE_UDP_STEERING_H
#define L4_CORE_UDP_STEERING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* Returns 0 to count - 1. by_port: clients of one IP address may have different sockets. */
uint32_t l4_steer_place(const struct l4_addr *client, uint32_t count, uint32_t seed, bool by_port);

#endif
