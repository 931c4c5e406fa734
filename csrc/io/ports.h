/* Which local ports a worker's connects search.
 *
 * Left to itself, connect searches all local ports for one that is free towards the backend. A
 * service that closes many sessions leaves most of them in TIME_WAIT, and then each connect walks
 * past hundreds (`__inet_hash_connect`). Here each connect is told a small block of ports
 * (IP_LOCAL_PORT_RANGE, ip(7), since Linux 6.3): the blocks are gone through in an order of this
 * worker's own, so the next one is that left alone for longest. Within it the kernel chooses.
 *
 * A connect that finds no free port in its block asks for the whole range.
 */
#ifndef L4_IO_PORTS_H
#define L4_IO_PORTS_H

#include <stdbool.h>
#include <stdint.h>

struct l4_ports {
    uint32_t low;    /* the first port of block 0 */
    uint32_t blocks; /* 0: connect searches all, as the host has it */
    uint32_t block;  /* the present one */
    uint32_t step;   /* to the next one; it has no divisor in common with blocks */
    uint32_t left;   /* connects until then */
};

/* Over low..high, in an order drawn from random. Fewer than L4_PORT_BLOCKS_MIN blocks: none. */
void l4_ports_start(struct l4_ports *ports, uint32_t low, uint32_t high, uint64_t random);

/* The same over the range this host has for local ports. */
void l4_ports_start_here(struct l4_ports *ports, uint64_t random);

/* The block of the next connect, as IP_LOCAL_PORT_RANGE takes it; 0: all ports. */
uint32_t l4_ports_next(struct l4_ports *ports);

/* Has fd, not yet connected, search the next block. */
void l4_ports_narrow(struct l4_ports *ports, int fd);

/* Has fd search all ports, as its block had none that is free. False: it did already. */
bool l4_ports_widen(struct l4_ports *ports, int fd);

#endif
