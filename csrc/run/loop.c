#include "run/loop.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "shm/count.h"
#include "shm/ring.h"

int l4_loop_watch(const struct l4_loop *loop, int fd, uint32_t events, uint32_t what,
                  uint32_t index)
{
    L4_ASSERT(fd >= 0 && loop->epoll >= 0);
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)what << 32 | index};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void l4_loop_unwatch(const struct l4_loop *loop, int fd)
{
    L4_ASSERT(fd >= 0);
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

uint64_t l4_loop_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void l4_loop_read_clock(struct l4_loop *loop)
{
    loop->now_us = l4_loop_clock_us();
    loop->now_ms = loop->now_us / 1000;
}

void l4_loop_ring(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof one); /* cannot fail: the eventfd's count does not overflow */
}

void l4_loop_ring_worker(const struct l4_loop *loop, uint32_t worker)
{
    if (worker < loop->setup.wakeup_count)
        l4_loop_ring(loop->setup.wakeups[worker]);
}

void l4_loop_event(struct l4_loop *loop, enum l4_event_kind kind, uint32_t a, uint64_t b)
{
    const struct l4_event event = {.at_ms = loop->now_ms, .kind = kind, .a = a, .b = b};
    L4_RING_PUT(loop->row, event_ring, events, &event);
    l4_loop_ring(loop->setup.event_fd);
}

void l4_loop_portless(struct l4_loop *loop)
{
    L4_OWN_ADD(loop->row->portless, 1);
    if (loop->portless_told_ms && loop->now_ms - loop->portless_told_ms < L4_PORTLESS_TELL_MS)
        return;
    loop->portless_told_ms = loop->now_ms;
    l4_loop_event(loop, L4_EVENT_PORTLESS, 0, 0);
}
