/* The sockets that datagrams go through: listeners', and one for each session, connected to its
 * backend, non-blocking and close-on-exec. Peer faults come back as -errno. */
#ifndef L4_IO_DGRAM_SOCK_H
#define L4_IO_DGRAM_SOCK_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/option.h"

/* What a listening socket is asked to tell. wildcard: also where each datagram was sent to. */
void l4_dgram_tell(int fd, bool wildcard);

/* The address that a socket is bound to, with its port. */
struct l4_addr l4_dgram_bound_to(int fd);

/* Is it a socket of IPv6, which may also serve IPv4? */
bool l4_dgram_is_six(int fd);

/* A socket connected to a backend, by way of `way` (NULL: as the kernel likes) and from *port if
 * that is not 0 and free; *port becomes the port it has. Returns the socket or -errno; *made says
 * whether the fault is the backend's (its address) rather than this host's (descriptors, memory,
 * or -EADDRNOTAVAIL: no local port is left). */
int l4_dgram_connect(const struct l4_addr *to, const struct l4_way *way, uint16_t *port,
                     bool *made);

/* Takes the errors that wait at a connected socket. Returns the one that says that the peer is not
 * there, or 0. ICMPv6's "administratively prohibited" is EHOSTUNREACH here, as ICMP's is: EACCES
 * means a rule or route of this host. */
int l4_dgram_error(int fd);

/* The error of a send, which is -errno, as l4_dgram_error tells it where the network has said so.
 */
int l4_dgram_cause(int fd, int error);

#endif
