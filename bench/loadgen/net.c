#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loadgen.h"

uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void give_up(const char *what)
{
    fprintf(stderr, "l4lb-loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

int epoll_new(void)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        give_up("epoll");
    return epoll;
}

void watch(int epoll, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll_ctl");
}

void bind_source(int fd, struct in_addr first, unsigned number)
{
    const int on = 1;
    const struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(ntohl(first.s_addr) + number % SOURCES)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (first.s_addr && bind(fd, (const struct sockaddr *)&from, sizeof from))
        give_up("bind");
}

int start_connect(const struct options *options, unsigned number)
{
    const bool inside = ntohl(options->to.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    struct in_addr first = options->from;
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!first.s_addr && inside)
        first.s_addr = htonl(INADDR_LOOPBACK);
    bind_source(fd, first, number);
    if (connect(fd, (const struct sockaddr *)&options->to, sizeof options->to) &&
        errno != EINPROGRESS) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int connect_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}
