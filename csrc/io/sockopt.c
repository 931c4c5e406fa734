#include "io/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

static const struct {
    int level4, name4, level6, name6;
    uint32_t shift; /* position of the value in the kernel's word */
    bool tcp;
} rows[L4_OPTIONS] = {
    [L4_OPTION_MARK] = {SOL_SOCKET, SO_MARK, SOL_SOCKET, SO_MARK, 0, false},
    [L4_OPTION_DSCP] = {IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS, 2, false},
    [L4_OPTION_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 0, true},
    [L4_OPTION_KEEPALIVE_IDLE_S] = {IPPROTO_TCP, TCP_KEEPIDLE, IPPROTO_TCP, TCP_KEEPIDLE, 0, true},
    [L4_OPTION_KEEPALIVE_INTERVAL_S] = {IPPROTO_TCP, TCP_KEEPINTVL, IPPROTO_TCP, TCP_KEEPINTVL, 0,
                                        true},
    [L4_OPTION_KEEPALIVE_PROBES] = {IPPROTO_TCP, TCP_KEEPCNT, IPPROTO_TCP, TCP_KEEPCNT, 0, true},
    [L4_OPTION_USER_TIMEOUT_MS] = {IPPROTO_TCP, TCP_USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT, 0,
                                   true},
    [L4_OPTION_TRANSPARENT] = {IPPROTO_IP, IP_TRANSPARENT, IPPROTO_IPV6, IPV6_TRANSPARENT, 0,
                               false},
};

static int put(int fd, uint16_t family, uint32_t option, uint32_t value)
{
    const bool six = family == AF_INET6;
    const int word = (int)(value << rows[option].shift);
    return setsockopt(fd, six ? rows[option].level6 : rows[option].level4,
                      six ? rows[option].name6 : rows[option].name4, &word, sizeof word)
               ? -errno
               : 0;
}

/* why: a socket that is bound to an interface can be bound again only with CAP_NET_RAW. A socket
 * with the right interface is left alone. */
int l4_option_interface(int fd, const char *name)
{
    char now[L4_INTERFACE_MAX + 1] = "";
    socklen_t length = sizeof now;
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, now, &length) == 0 && strcmp(now, name) == 0)
        return 0;
    const socklen_t bytes = (socklen_t)strlen(name) + 1;
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, bytes) ? -errno : 0;
}

int l4_options_apply(const struct l4_options *options, int fd, uint16_t family, bool stream,
                     enum l4_option *failed)
{
    int error = 0;
    uint32_t i = 0;
    if (family != AF_INET && family != AF_INET6)
        return 0;
    for (; i < L4_OPTIONS; i++) {
        if (!(options->set & 1u << i) || (rows[i].tcp && !stream))
            continue;
        error = put(fd, family, i, options->values[i]);
        if (error)
            break;
    }
    if (!error && options->interface[0])
        error = l4_option_interface(fd, options->interface);
    if (error && failed)
        *failed = (enum l4_option)i;
    return error;
}

void l4_options_read(struct l4_options *options, int fd, uint16_t family, bool stream)
{
    *options = (struct l4_options){0};
    const bool six = family == AF_INET6;
    for (uint32_t i = 0; i < L4_OPTIONS; i++) {
        int word = 0;
        socklen_t length = sizeof word;
        if ((rows[i].tcp && !stream) ||
            getsockopt(fd, six ? rows[i].level6 : rows[i].level4,
                       six ? rows[i].name6 : rows[i].name4, &word, &length))
            continue;
        options->set |= 1u << i;
        options->values[i] = (uint32_t)word >> rows[i].shift;
    }
}
