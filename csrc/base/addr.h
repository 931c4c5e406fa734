/* A network address in the form of the shared table: fixed size, no pointer, comparable by bytes.
 *
 * An IPv4 address is in the first 4 bytes of ip, and the rest is zero. An IPv4 address in IPv6's
 * form (::ffff:a.b.c.d) is stored as the IPv4 address; otherwise rules for it would not apply. A
 * unix socket has only its family here; a caller that needs its path keeps the path elsewhere.
 * Unused bytes are always zero.
 */
#ifndef L4_BASE_ADDR_H
#define L4_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct l4_addr {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0: none */
    uint16_t port;   /* host byte order */
    uint8_t ip[16];  /* network byte order */
};
_Static_assert(sizeof(struct l4_addr) == 20, "struct l4_addr is part of the shared table");

/* Turns an IPv6 address that contains an IPv4 address (RFC 4291, 2.5.5.2) into the IPv4 address. */
void l4_addr_unmap(struct l4_addr *addr);

/* Converts from the kernel's form. Any other family gives family 0. */
struct l4_addr l4_addr_of(const struct sockaddr_storage *from);

/* Converts to the kernel's form. path is used for AF_UNIX only. Returns the length, 0 if family is
 * 0. */
socklen_t l4_addr_sockaddr(const struct l4_addr *addr, const char *path,
                           struct sockaddr_storage *to);

/* True if the first `prefix` bits of addr are those of net. */
bool l4_addr_within(const struct l4_addr *addr, const struct l4_addr *net, uint32_t prefix);

/* Returns addr with only its first `prefix` bits, and no port. */
struct l4_addr l4_addr_network(const struct l4_addr *addr, uint32_t prefix);

/* Room for an address as a text, with its port. */
enum { L4_ADDR_TEXT_MAX = INET6_ADDRSTRLEN + 8 };

/* Writes the address as a text with a NUL; behind it the port, unless it is 0: "10.0.0.1:80",
 * "[::1]:80". Returns the bytes; 0 for another family. */
size_t l4_addr_text(const struct l4_addr *addr, char to[static L4_ADDR_TEXT_MAX]);

/* The same without the port. */
size_t l4_addr_host_text(struct l4_addr addr, char to[static L4_ADDR_TEXT_MAX]);

bool l4_addr_equal(const struct l4_addr *a, const struct l4_addr *b);

#endif
