/* The load generator: one thread, one epoll set, one job. It prints a line of JSON at the end.
 *
 *   serve   the server of all jobs            tls-full, tls-resumed, tls-bulk   TLS jobs (threads)
 *   rr      round trips on open connections   bulk   bytes in one direction
 *   conn    new connections, one round trip   hold   idle connections
 *   udp     datagrams and their echoes
 *
 * The first byte of a connection tells the server what to do: 'E' echo everything, 'D' send without
 * end, 'U' discard everything. Each job ends by itself and counts its errors.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONNECTIONS_MAX = 16384,
    SIZE_MAX_BYTES = 65536,
    CHUNK = 256 << 10,
    EVENTS = 512,
    SOURCES = 8
};

struct options {
    struct sockaddr_in to;
    struct in_addr from; /* first of SOURCES addresses to connect from; 0: the kernel's choice */
    unsigned connections;
    size_t size;
    double seconds;
    bool up;
    double interval_ms; /* rr, conn: pause of a connection between two messages */
    unsigned window;    /* udp: datagrams in flight in each session */
    bool gso;           /* udp: each window is sent in one call */
};

struct connection {
    int fd;
    bool connected;
    size_t sent, received; /* bytes of the current message */
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

/* udp.c: opens the echo server's socket; echoes what has come. */
int udp_listen(const struct sockaddr_in *at);
void udp_echo(int fd);

/* net.c: shared by the jobs */
uint64_t now_us(void);
_Noreturn void give_up(const char *what);
int epoll_new(void);
void watch(int epoll, int fd, uint32_t events, void *data);

/* Binds a socket to the source address of connection `number`: one of SOURCES addresses from first
 * on, so that the ports of one address are not the limit. 0: leaves it to the kernel. */
void bind_source(int fd, struct in_addr first, unsigned number);

/* Begins to connect from the source address of connection `number`. Returns the socket or -errno.
 */
int start_connect(const struct options *options, unsigned number);

/* Returns the result of a connect: 0 or an errno. */
int connect_error(int fd);

#endif
