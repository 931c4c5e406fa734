/* Operations on a TCP or unix socket, each of one or two system calls.
 *
 * Faults of the peer are returned as -errno. Every socket made here is non-blocking and
 * close-on-exec.
 */
#ifndef L4_IO_SOCK_H
#define L4_IO_SOCK_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/option.h"
#include "io/local_ports.h"

/* Accepts one queued connection. Returns its descriptor and sets the client's address, or returns
 * -errno. */
int l4_sock_accept(int listener, struct l4_addr *client);

/* Begins to connect to a backend. path: of a unix backend. way: local address and options; NULL:
 * none. ports: searches a free local port. Returns the socket (connected or connecting), or
 * -errno. *made is false if no socket or local port could be had: then the fault is this host's,
 * not the backend's. */
int l4_sock_connect(const struct l4_addr *to, const char *path, const struct l4_way *way,
                    struct l4_ports *ports, bool *made);

/* Returns the result of a connect that was begun: 0 connected, -EINPROGRESS, or -errno. */
int l4_sock_connect_result(int fd);

/* Turns small-packet delay (Nagle) off; harmless on a unix socket. */
void l4_sock_nodelay(int fd);

/* Returns the local address of fd; family 0 if it has none. */
struct l4_addr l4_sock_local(int fd);

/* Closes fd without a packet to its peer, if that is permitted (CAP_NET_ADMIN). Otherwise it
 * sends a reset that no router forwards. */
void l4_sock_vanish(int fd);

/* Makes fd readable only when this many bytes (or the end) have come; 1 is usual. */
void l4_sock_wake_at(int fd, int bytes);

/* Makes urgent data of fd part of the stream. */
void l4_sock_urgent_inline(int fd);

/* Closes fd with a reset; data that was not acknowledged is lost. */
void l4_sock_reset(int fd);

/* True if fd has received data that was not read. */
bool l4_sock_has_data(int fd);

/* Is there nothing to be read now, no data, no end and no error? */
bool l4_sock_is_quiet(int fd);

/* Reads the kernel's smoothed round-trip time and number of segments sent again, for a TCP
 * connection. Both are 0 for other sockets. */
void l4_sock_facts(int fd, uint32_t *rtt_us, uint32_t *retransmits);

/* Returns the number of clients in a listening socket's queue; for sockets that are not TCP, 1 if
 * there is any. */
uint32_t l4_sock_waiting(int listener);

/* Returns the number of bytes sent on fd that the peer's kernel has not acknowledged; the end of
 * the stream counts as one (SIOCOUTQ, tcp(7)). For a unix socket: the bytes that the receiver has
 * not read, with the kernel's own overhead. */
uint32_t l4_sock_unacked(int fd);

/* Closes fd so that the kernel still delivers sent data. Unread input is discarded first:
 * otherwise the close would be a reset (RFC 2525, 2.17). */
void l4_sock_close_in_order(int fd);

#endif
