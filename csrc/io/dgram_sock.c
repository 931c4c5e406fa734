#include "io/dgram_sock.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "io/dgram.h"
#include "io/sockopt.h"

static void ask(int fd, int level, int option)
{
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

void l4_dgram_tell(int fd, bool wildcard)
{
    ask(fd, IPPROTO_UDP, UDP_GRO);
    if (wildcard) {
        ask(fd, IPPROTO_IP, IP_PKTINFO);
        ask(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    }
}

struct l4_addr l4_dgram_bound_to(int fd)
{
    union l4_dgram_name name;
    socklen_t length = sizeof name;
    if (getsockname(fd, &name.any, &length))
        return (struct l4_addr){0};
    return l4_dgram_addr_of(&name);
}

bool l4_dgram_is_six(int fd)
{
    int domain = 0;
    socklen_t length = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_INET6;
}

/* Binds to the source, if it is not NULL, and to the port, if it is free. */
static int bind_to(int fd, uint16_t family, const struct l4_addr *source, uint16_t port)
{
    struct l4_addr from = {.family = family};
    union l4_dgram_name name;
    if (!source && port == 0)
        return 0;
    if (source)
        memcpy(from.ip, source->ip, sizeof from.ip);
    from.port = port;
    socklen_t length = l4_dgram_name_of(&from, 0, false, &name);
    if (bind(fd, &name.any, length) == 0)
        return 0;
    if (port == 0)
        return -errno;
    return bind_to(fd, family, source, 0);
}

static bool has_no_port(int error)
{
    /* why: connect says EAGAIN when no port is left (connect(2)), bind EADDRINUSE (bind(2)). */
    return error == -EAGAIN || error == -EADDRINUSE;
}

static int connect_from(const struct l4_addr *to, const struct l4_way *way,
                        const struct l4_addr *source, uint16_t *port, bool *made)
{
    union l4_dgram_name name;
    const int fd = socket(to->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *made = false;
    if (fd < 0)
        return -errno;
    ask(fd, IPPROTO_UDP, UDP_GRO);
    if (to->family == AF_INET)
        ask(fd, IPPROTO_IP, IP_RECVERR);
    else
        ask(fd, IPPROTO_IPV6, IPV6_RECVERR);
    int error = way ? l4_options_apply(&way->options, fd, to->family, false, NULL) : 0;
    if (!error)
        error = bind_to(fd, to->family, source, *port);
    if (!error && connect(fd, &name.any, l4_dgram_name_of(to, 0, false, &name)))
        error = -errno;
    if (error) {
        *made = !has_no_port(error) && error != -ENOMEM && error != -ENOBUFS;
        close(fd);
        return error;
    }
    *port = l4_dgram_bound_to(fd).port;
    return fd;
}

int l4_dgram_connect(const struct l4_addr *to, const struct l4_way *way, uint16_t *port, bool *made)
{
    *made = to->family != AF_INET && to->family != AF_INET6;
    if (*made)
        return -EAFNOSUPPORT;
    int fd = -EAGAIN;
    if (!way || way->count == 0)
        fd = connect_from(to, way, NULL, port, made);
    for (uint32_t i = 0; way && has_no_port(fd) && i < way->count; i++)
        fd = connect_from(to, way, &way->from[i], port, made);
    return has_no_port(fd) ? -EADDRNOTAVAIL : fd;
}

/* why: ICMPv6's code becomes EACCES (net/ipv6/icmp.c), ICMP's EHOSTUNREACH or ENETUNREACH. */
static int meaning(const struct sock_extended_err *found)
{
    const bool told = found->ee_origin == SO_EE_ORIGIN_ICMP6 && found->ee_errno == EACCES;
    return told ? EHOSTUNREACH : (int)found->ee_errno;
}

int l4_dgram_error(int fd)
{
    int gone = 0, now = 0;
    socklen_t length = sizeof now;
    char control[512];
    for (int i = 0; i < L4_UDP_ERRORS; i++) {
        struct msghdr head = {.msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(fd, &head, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
            struct sock_extended_err found;
            if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
                !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
                continue;
            memcpy(&found, CMSG_DATA(c), sizeof found);
            if (l4_dgram_peer_gone((int)found.ee_errno))
                gone = meaning(&found);
        }
    }
    /* why also if it is known: asking takes the error away; otherwise the next send would fail
     * with it. */
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &now, &length) == 0 && !gone &&
        l4_dgram_peer_gone(now))
        gone = now;
    return gone;
}

int l4_dgram_cause(int fd, int error)
{
    const int told = l4_dgram_error(fd);
    return told ? -told : error;
}
