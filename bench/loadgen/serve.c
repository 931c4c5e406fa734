#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen.h"

struct peer {
    int fd;
    char mode;          /* 0: the first byte has not come yet */
    size_t waiting, at; /* echoed bytes that the socket did not take yet */
    char *kept;
};

static char chunk[CHUNK];

static void drop(struct peer *peer)
{
    close(peer->fd);
    free(peer->kept);
    free(peer);
}

/* Sends waiting bytes. Returns false if the peer has gone. */
static bool send_waiting(struct peer *peer)
{
    while (peer->waiting) {
        const ssize_t n = send(peer->fd, peer->kept + peer->at, peer->waiting, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        peer->at += (size_t)n;
        peer->waiting -= (size_t)n;
    }
    return true;
}

static bool echo(struct peer *peer, size_t got)
{
    const ssize_t n = send(peer->fd, chunk, got, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return false;
    const size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == got)
        return true;
    if (!peer->kept && !(peer->kept = malloc(CHUNK)))
        return false;
    memcpy(peer->kept, chunk + sent, got - sent);
    peer->at = 0;
    peer->waiting = got - sent;
    return true;
}

/* Receives bytes, up to a limit in each turn. Returns false if the peer has gone. */
static bool receive(struct peer *peer)
{
    for (int i = 0; i < 16 && !peer->waiting; i++) {
        const ssize_t got = recv(peer->fd, chunk, sizeof chunk, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return false;
        if (got < 0)
            return true;
        if (!peer->mode)
            peer->mode = chunk[0];
        if (peer->mode == 'E' && !echo(peer, (size_t)got))
            return false;
        if ((size_t)got < sizeof chunk)
            return true;
    }
    return true;
}

static bool pour(struct peer *peer)
{
    for (int i = 0; i < 16; i++) {
        const ssize_t n = send(peer->fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
    }
    return true;
}

static void take_clients(int epoll, int listener)
{
    for (int i = 0; i < 64; i++) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct peer *peer = calloc(1, sizeof *peer);
        if (!peer)
            give_up("memory");
        peer->fd = fd;
        watch(epoll, fd, EPOLLIN, peer);
    }
}

/* Watches the socket for room too while bytes wait to be sent. */
static void rewatch(int epoll, struct peer *peer)
{
    const bool sends = peer->mode == 'D' || peer->waiting;
    struct epoll_event event = {.events = sends ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = peer};
    if (peer->waiting)
        event.events = EPOLLOUT;
    epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

/* Listens for TCP and UDP on one port, and prints the port. */
static int open_listener(const struct options *options, int *datagrams)
{
    struct sockaddr_in at = options->to;
    socklen_t length = sizeof at;
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&at, &length))
        give_up("listen");
    *datagrams = udp_listen(&at);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

/* Watches standard input for its end. A file or /dev/null has no end to wait for. */
static void watch_input(int epoll, void *input)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = input};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) && errno != EPERM)
        give_up("epoll_ctl");
}

/* Serves until standard input ends; without end if that is a file or /dev/null. */
int serve(const struct options *options)
{
    struct epoll_event events[EVENTS];
    static char input, udp;
    int datagrams;
    const int epoll = epoll_new(), listener = open_listener(options, &datagrams);
    watch(epoll, listener, EPOLLIN, NULL);
    watch(epoll, datagrams, EPOLLIN, &udp);
    watch_input(epoll, &input);
    for (;;) {
        const int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer) {
                take_clients(epoll, listener);
                continue;
            }
            if ((void *)peer == (void *)&udp) {
                udp_echo(datagrams);
                continue;
            }
            if ((void *)peer == (void *)&input) {
                if (read(STDIN_FILENO, &input, 1) <= 0)
                    return 0;
                continue;
            }
            const bool sent_before = peer->mode == 'D' || peer->waiting;
            bool alive = send_waiting(peer);
            if (alive && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                alive = receive(peer);
            if (alive && peer->mode == 'D')
                alive = pour(peer);
            if (!alive)
                drop(peer);
            else if (sent_before != (peer->mode == 'D' || peer->waiting))
                rewatch(epoll, peer);
        }
    }
}
