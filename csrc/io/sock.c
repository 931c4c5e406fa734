#include "io/sock.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/sockopt.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

int l4_sock_accept(int listener, struct l4_addr *client)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    const int fd =
        accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    *client = l4_addr_of(&from);
    return fd;
}

/* Binds to the local address without a port, which connect then chooses. One address thus has as
 * many connections to each backend as there are ports, not in total (ip(7)). */
static int bind_source(int fd, const struct l4_addr *source)
{
    struct sockaddr_storage local;
    const int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const socklen_t length = l4_addr_sockaddr(source, "", &local);
    return bind(fd, (struct sockaddr *)&local, length) ? -errno : 0;
}

static int begin_to_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    return connect(fd, to, length) && errno != EINPROGRESS ? -errno : 0;
}

/* Makes one attempt, from the address `source` of way if it is not NULL. */
static int connect_from(const struct l4_addr *to, const char *path, const struct l4_way *way,
                        const struct l4_addr *source, struct l4_ports *ports, bool *made)
{
    struct sockaddr_storage remote;
    const struct sockaddr *there = (const struct sockaddr *)&remote;
    const socklen_t length = l4_addr_sockaddr(to, path, &remote);
    const int fd = socket(to->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *made = fd >= 0;
    if (fd < 0)
        return -errno;
    int error = way ? l4_options_apply(&way->options, fd, to->family, true, NULL) : 0;
    if (!error && source)
        error = bind_source(fd, source);
    if (!error) { /* never from another address than the requested one */
        if (to->family != AF_UNIX)
            l4_ports_narrow(ports, fd);
        error = begin_to_connect(fd, there, length);
        if (error == -EADDRNOTAVAIL && to->family != AF_UNIX && l4_ports_widen(ports, fd))
            error = begin_to_connect(fd, there, length);
        /* why: a lack of local ports is this host's fault, as a lack of sockets is. */
        *made = error != -EADDRNOTAVAIL;
    }
    if (!error)
        return fd;
    close(fd);
    return error;
}

int l4_sock_connect(const struct l4_addr *to, const char *path, const struct l4_way *way,
                    struct l4_ports *ports, bool *made)
{
    if (!way || way->count == 0)
        return connect_from(to, path, way, NULL, ports, made);
    int fd = -EADDRNOTAVAIL;
    for (uint32_t i = 0; fd == -EADDRNOTAVAIL && i < way->count; i++)
        fd = connect_from(to, path, way, &way->from[i], ports, made);
    return fd;
}

int l4_sock_connect_result(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
        return -errno;
    return -error;
}

void l4_sock_nodelay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

struct l4_addr l4_sock_local(int fd)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &length))
        local.ss_family = 0;
    return l4_addr_of(&local);
}

void l4_sock_vanish(int fd)
{
    const int on = 1;
    /* why: a socket in repair mode is taken down without a segment (tcp(7), TCP_REPAIR). */
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_IP, IP_TTL, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &on, sizeof on);
    l4_sock_reset(fd);
}

void l4_sock_wake_at(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

void l4_sock_urgent_inline(int fd)
{
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

void l4_sock_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

bool l4_sock_has_data(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool l4_sock_is_quiet(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

uint32_t l4_sock_unacked(int fd)
{
    int waiting = 0;
    return ioctl(fd, SIOCOUTQ, &waiting) || waiting < 0 ? 0 : (uint32_t)waiting;
}

void l4_sock_close_in_order(int fd)
{
    /* why: for a TCP socket MSG_TRUNC discards without copying. */
    (void)!recv(fd, NULL, INT_MAX, MSG_TRUNC | MSG_DONTWAIT);
    close(fd);
}

void l4_sock_facts(int fd, uint32_t *rtt_us, uint32_t *retransmits)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
        info = (struct tcp_info){0};
    *rtt_us = info.tcpi_rtt;
    *retransmits = info.tcpi_total_retrans;
}

uint32_t l4_sock_waiting(int listener)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    /* why: for a listening socket tcpi_unacked is the length of its queue (tcp_get_info). */
    if (!getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length) &&
        info.tcpi_state == TCP_LISTEN)
        return info.tcpi_unacked;
    struct pollfd one = {.fd = listener, .events = POLLIN};
    return poll(&one, 1, 0) == 1 && one.revents & POLLIN;
}
