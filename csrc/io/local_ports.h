/* The local ports that a worker's connects search.
 *
 * By default connect searches all local ports for one that is free towards the backend. A service
 * that closes many sessions leaves most ports in TIME_WAIT, and each connect then walks past
 * hundreds of them (`__inet_hash_connect`). Here each connect searches only a small block of
 * ports (IP_LOCAL_PORT_RANGE, ip(7), since Linux 6.3). Each worker goes through the blocks in an
 * order of its own, so the next block is always the one that was not used for longest. The kernel
 * chooses a port within the block.
 *
 * A connect that finds no free port in its block searches the whole range.
 */
#ifndef L4_IO_LOCAL_PORTS_H
#define L4_IO_LOCAL_PORTS_H

#include <stdbool.h>
#include <stdint.h>

struct l4_ports {
    uint32_t low;    /* the first port of block 0 */
    uint32_t blocks; /* 0: connect searches all ports of the host's range */
    uint32_t block;  /* the present block */
    uint32_t step;   /* distance to the next block; it has no divisor in common with blocks */
    uint32_t left;   /* connects until the next block */
};

/* Starts with the ports low..high, in an order drawn from random. With fewer than
 * L4_PORT_BLOCKS_MIN blocks there are none. */
void l4_ports_start(struct l4_ports *ports, uint32_t low, uint32_t high, uint64_t random);

/* Starts with this host's range of local ports, as l4_ports_start. */
void l4_ports_start_here(struct l4_ports *ports, uint64_t random);

/* Returns the block of the next connect, in the form of IP_LOCAL_PORT_RANGE; 0: all ports. */
uint32_t l4_ports_next(struct l4_ports *ports);

/* Makes fd, not yet connected, search the next block. */
void l4_ports_narrow(struct l4_ports *ports, int fd);

/* Makes fd search all ports, because its block had no free port. Returns false if it searches all
 * already. */
bool l4_ports_widen(struct l4_ports *ports, int fd);

#endif
