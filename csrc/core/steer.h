/* Which of an address's sockets the kernel gives a UDP client to: the same reckoning as the filter
 * program that the supervisor attaches to them (l4lb/supervisor/sockets/udp_filter.py), so that a
 * worker knows whose a session will be when the number of workers changes. Pure. */
#ifndef L4_CORE_STEER_H
#define L4_CORE_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* 0 to count - 1. by_port: clients of one IP address need not have one place. */
uint32_t l4_steer_place(const struct l4_addr *client, uint32_t count, uint32_t seed, bool by_port);

#endif
