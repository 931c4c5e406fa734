#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"
#include "loadgen.h"

static struct connection connections[CONNECTIONS_MAX];
static char out[CHUNK], in[CHUNK];
static struct histogram latency;
static uint64_t errors, done, bytes;

static void report(const char *job, const struct options *options, double seconds)
{
    printf("{\"job\": \"%s\", \"connections\": %u, \"size\": %zu, \"seconds\": %.4f, "
           "\"done\": %llu, \"per_second\": %.1f, \"bytes\": %llu, \"gbit_per_second\": %.3f, "
           "\"errors\": %llu, \"p50_us\": %llu, \"p90_us\": %llu, \"p99_us\": %llu, "
           "\"p999_us\": %llu, \"max_us\": %llu}\n",
           job, options->connections, options->size, seconds, (unsigned long long)done,
           (double)done / seconds, (unsigned long long)bytes, (double)bytes * 8 / seconds / 1e9,
           (unsigned long long)errors, (unsigned long long)histogram_at(&latency, 50),
           (unsigned long long)histogram_at(&latency, 90),
           (unsigned long long)histogram_at(&latency, 99),
           (unsigned long long)histogram_at(&latency, 99.9), (unsigned long long)latency.max);
}

static void open_one(int epoll, const struct options *options, struct connection *c,
                     uint32_t events)
{
    static unsigned number;
    *c = (struct connection){.started_us = now_us()};
    c->fd = start_connect(options, number++);
    if (c->fd < 0) {
        errors++;
        c->fd = -1;
        return;
    }
    watch(epoll, c->fd, events, c);
}

static void fail(struct connection *c)
{
    errors++;
    close(c->fd);
    c->fd = -1;
}

/* Opens all connections and waits, at most ten seconds, until every connect has ended. */
static void open_all(int epoll, const struct options *options)
{
    for (unsigned i = 0; i < options->connections; i++) {
        open_one(epoll, options, &connections[i], EPOLLIN | EPOLLOUT | EPOLLET);
        struct pollfd one = {.fd = connections[i].fd, .events = POLLOUT};
        if (one.fd >= 0 && (poll(&one, 1, 10000) != 1 || connect_error(one.fd)))
            fail(&connections[i]);
        connections[i].connected = connections[i].fd >= 0;
    }
}

static void start_message(const struct options *options, struct connection *c)
{
    c->sent = c->received = 0;
    c->started_us = now_us();
    const ssize_t n = send(c->fd, out, options->size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        fail(c);
    else
        c->sent = n > 0 ? (size_t)n : 0;
}

/* Continues with a message. Returns true when its echo is complete. */
static bool continue_message(const struct options *options, struct connection *c)
{
    if (c->sent < options->size) {
        const ssize_t n = send(c->fd, out + c->sent, options->size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            fail(c);
            return false;
        }
        c->sent += n > 0 ? (size_t)n : 0;
    }
    const ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        fail(c);
        return false;
    }
    c->received += n > 0 ? (size_t)n : 0;
    return c->received >= options->size;
}

/* ---- pauses: all are equally long, so the connection that paused first is due first ---------- */

static struct connection *resting[CONNECTIONS_MAX];
static unsigned rest_first, rest_count;

static void rest(struct connection *c, uint64_t due_us)
{
    c->due_us = due_us;
    resting[(rest_first + rest_count++) % CONNECTIONS_MAX] = c;
}

/* Returns the next connection whose pause is over; NULL: none. */
static struct connection *rested(uint64_t now)
{
    if (!rest_count || resting[rest_first]->due_us > now)
        return NULL;
    struct connection *c = resting[rest_first];
    rest_first = (rest_first + 1) % CONNECTIONS_MAX;
    rest_count--;
    c->due_us = 0;
    return c;
}

static int rest_ms(uint64_t now)
{
    if (!rest_count)
        return 100;
    const uint64_t due = resting[rest_first]->due_us;
    return due <= now ? 0 : due - now < 100000 ? (int)((due - now + 999) / 1000) : 100;
}

static uint64_t interval_us(const struct options *options)
{
    return (uint64_t)(options->interval_ms * 1e3);
}

/* Returns the start of connection i, so that all connections are evenly spaced in time. */
static uint64_t first_due_us(const struct options *options, uint64_t begin, unsigned i)
{
    return begin + interval_us(options) * i / options->connections;
}

int run_rr(const struct options *options)
{
    struct epoll_event events[EVENTS];
    const int epoll = epoll_new();
    out[0] = 'E';
    open_all(epoll, options);
    const uint64_t begin = now_us(), end = begin + (uint64_t)(options->seconds * 1e6);
    for (unsigned i = 0; i < options->connections; i++) {
        if (connections[i].fd >= 0)
            rest(&connections[i], first_due_us(options, begin, i));
    }
    uint64_t now = begin;
    while (now < end) {
        for (struct connection *c; (c = rested(now));)
            start_message(options, c);
        const int count = epoll_wait(epoll, events, EVENTS, rest_ms(now));
        now = now_us();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd < 0 || c->due_us || !continue_message(options, c))
                continue;
            now = now_us();
            histogram_add(&latency, now - c->started_us);
            done++;
            if (options->interval_ms)
                rest(c, now + interval_us(options));
            else
                start_message(options, c);
        }
        now = now_us();
    }
    report("rr", options, (double)(now - begin) / 1e6);
    return 0;
}

static void move(const struct options *options, struct connection *c)
{
    for (int i = 0; i < 8; i++) {
        const ssize_t n = options->up ? send(c->fd, out, sizeof out, MSG_NOSIGNAL)
                                      : recv(c->fd, in, sizeof in, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            fail(c);
            return;
        }
        bytes += (uint64_t)n;
    }
}

int run_bulk(const struct options *options)
{
    struct epoll_event events[EVENTS];
    const int epoll = epoll_new();
    out[0] = options->up ? 'U' : 'D';
    for (unsigned i = 0; i < options->connections; i++) {
        struct connection *c = &connections[i];
        open_one(epoll, options, c, options->up ? EPOLLOUT : EPOLLIN);
        struct pollfd one = {.fd = c->fd, .events = POLLOUT};
        if (c->fd >= 0 && (poll(&one, 1, 10000) != 1 || connect_error(c->fd) ||
                           send(c->fd, out, 1, MSG_NOSIGNAL) != 1))
            fail(c);
    }
    const uint64_t begin = now_us(), end = begin + (uint64_t)(options->seconds * 1e6);
    uint64_t now = begin;
    while (now < end) {
        const int count = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0)
                move(options, c);
        }
        now = now_us();
    }
    report(options->up ? "bulk_up" : "bulk_down", options, (double)(now - begin) / 1e6);
    return 0;
}

int run_conn(const struct options *options)
{
    struct epoll_event events[EVENTS];
    const int epoll = epoll_new();
    const uint32_t both = EPOLLIN | EPOLLOUT | EPOLLET;
    out[0] = 'E';
    const uint64_t begin = now_us(), end = begin + (uint64_t)(options->seconds * 1e6);
    uint64_t now = begin;
    for (unsigned i = 0; i < options->connections; i++)
        rest(&connections[i], first_due_us(options, begin, i));
    while (now < end) {
        for (struct connection *c; (c = rested(now));)
            open_one(epoll, options, c, both);
        const int count = epoll_wait(epoll, events, EVENTS, rest_ms(now));
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd < 0)
                continue;
            if (events[i].events & (EPOLLERR | EPOLLHUP)) {
                fail(c);
                rest(c, now_us() + interval_us(options));
                continue;
            }
            if (!continue_message(options, c)) {
                if (c->fd < 0)
                    rest(c, now_us() + interval_us(options));
                continue;
            }
            now = now_us();
            histogram_add(&latency, now - c->started_us);
            done++;
            close(c->fd);
            c->fd = -1;
            rest(c, now + interval_us(options));
        }
        now = now_us();
    }
    report("conn", options, (double)(now - begin) / 1e6);
    return 0;
}

/* Holds idle connections until standard input ends. Each has made one round trip before. */
int run_hold(const struct options *options)
{
    const int epoll = epoll_new();
    out[0] = 'E';
    open_all(epoll, options);
    const uint64_t begin = now_us();
    for (unsigned i = 0; i < options->connections; i++) {
        struct connection *c = &connections[i];
        if (c->fd < 0)
            continue;
        start_message(options, c);
        while (c->fd >= 0 && c->received < options->size) {
            struct pollfd one = {.fd = c->fd, .events = POLLIN};
            if (poll(&one, 1, 10000) != 1)
                fail(c);
            else if (continue_message(options, c))
                done++;
        }
    }
    report("hold", options, (double)(now_us() - begin + 1) / 1e6);
    fflush(stdout);
    (void)!read(STDIN_FILENO, in, 1); /* waits for a byte or the end: both end the job */
    return 0;
}
