/* UDP: sessions that each keep `window` datagrams of `size` bytes in flight, and their echo server.
 *
 * The first bytes of a datagram are its session's number. An echo that comes to another session, or
 * has another length, is an error. A session without echoes for LOST_US counts the missing ones as
 * lost and goes on. With --gso each window is sent in one call with UDP_SEGMENT. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"
#include "loadgen.h"

enum { BATCH = 64, LOST_US = 500000, LOOK_US = 100000, BUFFER = 8 << 20 };

struct udp_session {
    int fd;
    unsigned number, waiting;
    uint64_t sent_us;
};

static struct udp_session sessions[CONNECTIONS_MAX];
static struct histogram latency;
static uint64_t done, lost, errors;
static char out[BATCH * 1500 + SIZE_MAX_BYTES];
static struct mmsghdr heads[BATCH];
static struct iovec parts[BATCH];

static int udp_open(void)
{
    const int size = BUFFER, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

/* ---- the server ------------------------------------------------------------------------------ */

static char places[BATCH][65536 + 192];
static struct sockaddr_in peers[BATCH];
static union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} controls[BATCH];

int udp_listen(const struct sockaddr_in *at)
{
    const int on = 1, fd = udp_open();
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)at, sizeof *at))
        give_up("bind");
    return fd;
}

/* Turns a received message into one to send back. A run of datagrams (GRO) stays a run. */
static void turn_round(struct mmsghdr *message)
{
    struct msghdr *head = &message->msg_hdr;
    const struct cmsghdr *c = CMSG_FIRSTHDR(head);
    int segment = 0;
    if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
        memcpy(&segment, CMSG_DATA(c), sizeof segment);
    head->msg_iov->iov_len = message->msg_len;
    head->msg_controllen = 0;
    if (segment > 0 && (unsigned)segment < message->msg_len) {
        const uint16_t size = (uint16_t)segment;
        struct cmsghdr *mark = head->msg_control;
        *mark = (struct cmsghdr){
            .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof size)};
        memcpy(CMSG_DATA(mark), &size, sizeof size);
        head->msg_controllen = CMSG_SPACE(sizeof size);
    }
}

void udp_echo(int fd)
{
    for (int turn = 0; turn < 8; turn++) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){.iov_base = places[i], .iov_len = 65536};
            heads[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
                                               .msg_iovlen = 1,
                                               .msg_name = &peers[i],
                                               .msg_namelen = sizeof peers[i],
                                               .msg_control = &controls[i],
                                               .msg_controllen = sizeof controls[i]};
        }
        const int got = recvmmsg(fd, heads, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            turn_round(&heads[i]);
        for (int sent = 0; sent < got;) {
            const int n = sendmmsg(fd, heads + sent, (unsigned)(got - sent), MSG_DONTWAIT);
            sent += n > 0 ? n : 1;
        }
        if (got < BATCH)
            return;
    }
}

/* ---- the clients ----------------------------------------------------------------------------- */

static void fill(const struct options *options, unsigned number)
{
    for (unsigned i = 0; i < options->window; i++)
        memcpy(out + i * options->size, &number,
               options->size < sizeof number ? options->size : sizeof number);
}

static void send_run(const struct options *options, struct udp_session *s, unsigned count)
{
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control = {0};
    const uint16_t size = (uint16_t)options->size;
    struct iovec part = {.iov_base = out, .iov_len = options->size * count};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
    *CMSG_FIRSTHDR(&head) = (struct cmsghdr){
        .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof size)};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&head)), &size, sizeof size);
    if (sendmsg(s->fd, &head, 0) < 0)
        errors++;
}

static void send_more(const struct options *options, struct udp_session *s, unsigned count)
{
    fill(options, s->number);
    s->sent_us = now_us();
    if (options->gso && count > 1) {
        send_run(options, s, count);
    } else if (count == 1) {
        errors += send(s->fd, out, options->size, 0) < 0;
    } else {
        for (unsigned i = 0; i < count; i++) {
            parts[i] =
                (struct iovec){.iov_base = out + i * options->size, .iov_len = options->size};
            heads[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        }
        errors += sendmmsg(s->fd, heads, count, 0) != (int)count;
    }
    s->waiting += count;
}

static void take_echoes(const struct options *options, struct udp_session *s)
{
    static char in[BATCH][2048];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = in[i], .iov_len = sizeof in[i]};
        heads[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    const int got = recvmmsg(s->fd, heads, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        const size_t checked = options->size < sizeof s->number ? options->size : sizeof s->number;
        if (heads[i].msg_len != options->size || memcmp(in[i], &s->number, checked) != 0)
            errors++;
    }
    if (got <= 0)
        return;
    const unsigned count = (unsigned)got < s->waiting ? (unsigned)got : s->waiting;
    histogram_add(&latency, now_us() - s->sent_us);
    done += (unsigned)got;
    s->waiting -= count;
    if (!options->gso || s->waiting == 0)
        send_more(options, s, options->window - s->waiting);
}

static void look_for_lost(const struct options *options, uint64_t now)
{
    for (unsigned i = 0; i < options->connections; i++) {
        struct udp_session *s = &sessions[i];
        if (s->waiting && now - s->sent_us > LOST_US) {
            lost += s->waiting;
            s->waiting = 0;
            send_more(options, s, options->window);
        }
    }
}

int run_udp(const struct options *options)
{
    struct epoll_event events[EVENTS];
    const int epoll = epoll_new();
    if (options->size * options->window > sizeof out || options->size > 2048) {
        fprintf(stderr, "l4lb-loadgen: datagrams are at most 2048 bytes\n");
        return 2;
    }
    for (unsigned i = 0; i < options->connections; i++) {
        sessions[i] = (struct udp_session){.fd = udp_open(), .number = i};
        bind_source(sessions[i].fd, options->from, i);
        if (connect(sessions[i].fd, (const struct sockaddr *)&options->to, sizeof options->to))
            give_up("connect");
        watch(epoll, sessions[i].fd, EPOLLIN, &sessions[i]);
    }
    for (unsigned i = 0; i < options->connections; i++)
        send_more(options, &sessions[i], options->window);
    const uint64_t begin = now_us(), end = begin + (uint64_t)(options->seconds * 1e6);
    uint64_t now = begin, looked = begin;
    while (now < end) {
        const int count = epoll_wait(epoll, events, EVENTS, 50);
        for (int i = 0; i < count; i++)
            take_echoes(options, events[i].data.ptr);
        now = now_us();
        if (now - looked > LOOK_US) {
            look_for_lost(options, now);
            looked = now;
        }
    }
    const double seconds = (double)(now - begin) / 1e6;
    printf("{\"job\": \"udp\", \"connections\": %u, \"size\": %zu, \"window\": %u, \"gso\": %s, "
           "\"seconds\": %.4f, \"done\": %llu, \"per_second\": %.1f, \"lost\": %llu, "
           "\"errors\": %llu, \"p50_us\": %llu, \"p99_us\": %llu}\n",
           options->connections, options->size, options->window, options->gso ? "true" : "false",
           seconds, (unsigned long long)done, (double)done / seconds, (unsigned long long)lost,
           (unsigned long long)errors, (unsigned long long)histogram_at(&latency, 50),
           (unsigned long long)histogram_at(&latency, 99));
    return 0;
}
