/* The load generator: one thread, one epoll set, one job; a line of JSON when it is done.
 *
 *   serve   the server of all jobs          rr    round trips over held connections
 *   bulk    bytes one way                   conn  new connections, one round trip each
 *   hold    connections that do nothing             tls-full, tls-resumed, tls-bulk (threads)
 *   hold    connections that do nothing             udp     datagrams that come back
 *
 * What a connection is for, its first byte says: 'E' echo everything, 'D' send for ever, 'U' take
 * everything. Each job ends by itself and counts its errors.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONNECTIONS_MAX = 16384, SIZE_MAX_BYTES = 65536, CHUNK = 256 << 10, EVENTS = 512 };

struct options {
    struct sockaddr_in to;
    unsigned connections;
    size_t size;
    double seconds;
    bool up;
    double interval_ms; /* rr, conn: rest of a connection between two messages */
    unsigned window;    /* udp: datagrams under way in each session */
    bool gso;           /* udp: a window is one send */
};

struct connection {
    int fd;
    bool connected;
    size_t sent, received; /* of the message under way */
    uint64_t started_us, due_us;
};

int serve(const struct options *options);
int run_rr(const struct options *options);
int run_bulk(const struct options *options);
int run_conn(const struct options *options);
int run_hold(const struct options *options);
int run_tls_full(const struct options *options);
int run_tls_resumed(const struct options *options);
int run_tls_bulk(const struct options *options);
int run_udp(const struct options *options);

/* udp.c: the echo server's socket and a turn of it. */
int udp_listen(const struct sockaddr_in *at);
void udp_echo(int fd);

/* net.c: what the jobs share */
uint64_t now_us(void);
_Noreturn void give_up(const char *what);
int epoll_new(void);
void watch(int epoll, int fd, uint32_t events, void *data);

/* Begins to connect. number spreads connections over local addresses 127.0.0.1 to .8, so that one
 * address's ports are not the limit. Returns the socket or -errno. */
int start_connect(const struct sockaddr_in *to, unsigned number);

/* What ended the connect: 0 or an errno. */
int connect_error(int fd);

#endif
