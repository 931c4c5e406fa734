/* The few things this program does to a socket, each one system call or two.
 *
 * Peer faults come back as -errno. Every socket made here is non-blocking and close-on-exec.
 */
#ifndef L4_IO_SOCK_H
#define L4_IO_SOCK_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/option.h"
#include "io/ports.h"

/* Takes one queued connection. Returns its descriptor and tells the client's address, or -errno. */
int l4_sock_accept(int listener, struct l4_addr *client);

/* Begins to connect to a backend. path: of a unix backend. way: from where and with what options;
 * NULL: as the kernel likes. ports: where a free local port is searched.
 * Returns the socket (connected or connecting), or -errno; *made says whether a socket and a local
 * port could be had at all: if not, the fault is this host's, not the backend's. */
int l4_sock_connect(const struct l4_addr *to, const char *path, const struct l4_way *way,
                    struct l4_ports *ports, bool *made);

/* What a connect that was begun came to: 0 connected, -EINPROGRESS, or -errno. */
int l4_sock_connect_result(int fd);

/* No more small-packet delay on fd; harmless on a unix socket. */
void l4_sock_nodelay(int fd);

/* The local address of fd; family 0 if it has none. */
struct l4_addr l4_sock_local(int fd);

/* Closes fd without a word to its peer, where that is allowed (CAP_NET_ADMIN); else with a reset
 * that goes no further than the next router. */
void l4_sock_vanish(int fd);

/* fd becomes readable when so many bytes (or its end) are there to read; 1 is usual. */
void l4_sock_wake_at(int fd, int bytes);

/* Urgent data of fd is from now on read in its place in the stream. */
void l4_sock_urgent_inline(int fd);

/* Closes fd so that its peer sees a reset; what was not yet acknowledged is lost. */
void l4_sock_reset(int fd);

/* Has it received something that was not yet read? */
bool l4_sock_has_data(int fd);

/* What the kernel measured of a TCP connection: its smoothed round-trip time and how many segments
 * it sent again. Both 0 for other sockets. */
void l4_sock_facts(int fd, uint32_t *rtt_us, uint32_t *retransmits);

/* How many clients wait in a listening socket's queue; of one that is not TCP, only whether any. */
uint32_t l4_sock_waiting(int listener);

/* How many bytes sent on fd the peer's kernel has not acknowledged yet; the end of the stream
 * counts as one (SIOCOUTQ, tcp(7)). Of a unix socket: what its receiver has not read, with the
 * kernel's own share of it. */
uint32_t l4_sock_unacked(int fd);

/* Closes fd so that the kernel still delivers what was sent on it. Unread input is discarded: with
 * any left a close would be a reset (RFC 2525, 2.17). */
void l4_sock_close_in_order(int fd);

#endif
