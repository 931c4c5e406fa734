/* Connected loopback sockets for tests. */
#ifndef L4_TESTS_SOCKETS_H
#define L4_TESTS_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&at, &length))
        abort();
    *port = ntohs(at.sin_port);
    return fd;
}

static inline int connect_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to))
        abort();
    return fd;
}

static inline void nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* pair[0] and pair[1] are connected to each other. */
static inline void tcp_pair(int pair[2])
{
    uint16_t port;
    const int listener = listen_on_loopback(&port);
    pair[0] = connect_to(port);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
}

/* pair[1] receives what pair[0] sends, as datagrams. */
static inline void udp_pair(int pair[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    for (int i = 0; i < 2; i++)
        pair[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(pair[1], (struct sockaddr *)&at, sizeof at) ||
        getsockname(pair[1], (struct sockaddr *)&at, &length) ||
        connect(pair[0], (struct sockaddr *)&at, sizeof at))
        abort();
}

static inline void reset_close(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* Waits for something to read (data, end or error); 0 if nothing came in ten seconds. */
static inline int readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 10000) == 1;
}

#endif
