#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

void l4_addr_unmap(struct l4_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (addr->family != AF_INET6 || memcmp(addr->ip, mapped, sizeof mapped) != 0)
        return;
    addr->family = AF_INET;
    memcpy(addr->ip, addr->ip + 12, 4);
    memset(addr->ip + 4, 0, 12);
}

struct l4_addr l4_addr_of(const struct sockaddr_storage *from)
{
    struct l4_addr addr = {0};
    switch (from->ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        addr.family = AF_INET;
        addr.port = ntohs(in->sin_port);
        memcpy(addr.ip, &in->sin_addr, 4);
        break;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        addr.family = AF_INET6;
        addr.port = ntohs(in6->sin6_port);
        memcpy(addr.ip, &in6->sin6_addr, 16);
        l4_addr_unmap(&addr);
        break;
    }
    case AF_UNIX:
        addr.family = AF_UNIX;
        break;
    }
    return addr;
}

socklen_t l4_addr_sockaddr(const struct l4_addr *addr, const char *path,
                           struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    switch (addr->family) {
    case AF_INET: {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof *in;
    }
    case AF_INET6: {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof *in6;
    }
    case AF_UNIX: {
        struct sockaddr_un *un = (struct sockaddr_un *)to;
        un->sun_family = AF_UNIX;
        strncpy(un->sun_path, path, sizeof un->sun_path - 1);
        return sizeof *un;
    }
    }
    return 0;
}

struct l4_addr l4_addr_network(const struct l4_addr *addr, uint32_t prefix)
{
    struct l4_addr net = *addr;
    net.port = 0;
    for (uint32_t i = 0; i < sizeof net.ip; i++) {
        const uint32_t kept = prefix > 8 * i ? prefix - 8 * i : 0;
        if (kept < 8)
            net.ip[i] &= (uint8_t)(0xff00 >> kept);
    }
    return net;
}

bool l4_addr_within(const struct l4_addr *addr, const struct l4_addr *net, uint32_t prefix)
{
    if (addr->family != net->family)
        return false;
    const struct l4_addr own = l4_addr_network(addr, prefix);
    return memcmp(own.ip, net->ip, sizeof own.ip) == 0;
}

static char *put_number(char *to, uint32_t number)
{
    char digits[5];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

/* why not inet_ntop for both: the C library's formats an IPv4 address by printf, which takes longer
 * than all else that a request's head needs of an address. */
size_t l4_addr_text(const struct l4_addr *addr, char to[static L4_ADDR_TEXT_MAX])
{
    char *end = to;
    *to = 0;
    if (addr->family == AF_INET) {
        for (int i = 0; i < 4; i++) {
            if (i)
                *end++ = '.';
            end = put_number(end, addr->ip[i]);
        }
    } else if (addr->family == AF_INET6) {
        if (addr->port)
            *end++ = '[';
        inet_ntop(AF_INET6, addr->ip, end, INET6_ADDRSTRLEN);
        end += strlen(end);
        if (addr->port)
            *end++ = ']';
    } else {
        return 0;
    }
    if (addr->port) {
        *end++ = ':';
        end = put_number(end, addr->port);
    }
    *end = 0;
    return (size_t)(end - to);
}

size_t l4_addr_host_text(struct l4_addr addr, char to[static L4_ADDR_TEXT_MAX])
{
    addr.port = 0;
    return l4_addr_text(&addr, to);
}

bool l4_addr_equal(const struct l4_addr *a, const struct l4_addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
