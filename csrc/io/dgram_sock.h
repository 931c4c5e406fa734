/* UDP sockets: those of listeners, and one for each session, connected to its backend. All are
 * non-blocking and close-on-exec. Faults of the peer are returned as -errno. */
#ifndef L4_IO_DGRAM_SOCK_H
#define L4_IO_DGRAM_SOCK_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/option.h"

/* Sets up what a listening socket reports with each datagram. wildcard: also the destination
 * address. */
void l4_dgram_tell(int fd, bool wildcard);

/* Returns the address that a socket is bound to, with its port. */
struct l4_addr l4_dgram_bound_to(int fd);

/* True for an IPv6 socket, which may also serve IPv4. */
bool l4_dgram_is_six(int fd);

/* Makes a socket connected to a backend, with the settings of `way` (NULL: none), and from *port
 * if that is not 0 and free. *port becomes the socket's port. Returns the socket or -errno. *made
 * is true if the fault is the backend's (its address), and false if it is this host's
 * (descriptors, memory, or -EADDRNOTAVAIL: no local port is free). */
int l4_dgram_connect(const struct l4_addr *to, const struct l4_way *way, uint16_t *port,
                     bool *made);

/* Takes the queued errors of a connected socket. Returns the error that says that the peer is not
 * there, or 0. ICMPv6's "administratively prohibited" is returned as EHOSTUNREACH, as for ICMP:
 * EACCES means a rule or route of this host. */
int l4_dgram_error(int fd);

/* Returns the error of a send, which is -errno; if the network reported an error, returns that
 * one as l4_dgram_error does. */
int l4_dgram_cause(int fd, int error);

#endif
