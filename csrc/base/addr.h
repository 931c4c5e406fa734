/* A network address as the shared table keeps it: fixed size, no pointer, comparable by bytes.
 *
 * IPv4 uses the first 4 bytes of ip, the rest is zero; so do its addresses as IPv6 writes them
 * (::ffff:a.b.c.d), or rules for them would not hold. A unix socket has a family and nothing
 * else here: its path, where it matters, is kept beside. Unused bytes are always zero.
 */
#ifndef L4_BASE_ADDR_H
#define L4_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct l4_addr {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0: none */
    uint16_t port;   /* host byte order */
    uint8_t ip[16];  /* network byte order */
};
_Static_assert(sizeof(struct l4_addr) == 20, "struct l4_addr is part of the shared table");

/* An IPv6 address that is an IPv4 one in IPv6's form (RFC 4291, 2.5.5.2) becomes that. */
void l4_addr_unmap(struct l4_addr *addr);

/* From the kernel's form; a family that is none of ours gives family 0. */
struct l4_addr l4_addr_of(const struct sockaddr_storage *from);

/* To the kernel's form. path is used for AF_UNIX only. Returns the length, 0 if family is 0. */
socklen_t l4_addr_sockaddr(const struct l4_addr *addr, const char *path,
                           struct sockaddr_storage *to);

/* Is addr in the network whose first `prefix` bits are net's? */
bool l4_addr_within(const struct l4_addr *addr, const struct l4_addr *net, uint32_t prefix);

/* addr with only its first `prefix` bits, and no port. */
struct l4_addr l4_addr_network(const struct l4_addr *addr, uint32_t prefix);

bool l4_addr_equal(const struct l4_addr *a, const struct l4_addr *b);

#endif
