#include "run/accept.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/sock.h"
#include "run/session.h"
#include "run/shed.h"
#include "shm/count.h"

/* Is there an open listening socket of TCP or HTTP at this index? */
static bool is_ours(const struct l4_loop *loop, uint32_t bound)
{
    return loop->bounds[bound].fd >= 0 && l4_loop_protocol(loop, bound) != L4_UDP;
}

static int watch_bound(const struct l4_loop *loop, uint32_t bound)
{
    const uint32_t events = EPOLLIN | (loop->bounds[bound].exclusive ? EPOLLEXCLUSIVE : 0);
    return l4_loop_watch(loop, loop->bounds[bound].fd, events, L4_WATCH_LISTENER, bound);
}

static void unwatch_bounds(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->listening && i < loop->bound_count; i++) {
        if (is_ours(loop, i))
            l4_loop_unwatch(loop, loop->bounds[i].fd);
    }
    loop->listening = false;
}

int l4_accept_start(struct l4_loop *loop)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < loop->bound_count; i++) {
        if (is_ours(loop, i))
            error = watch_bound(loop, i);
    }
    loop->listening = true;
    return error;
}

/* Pauses. error: why the kernel gave no socket, or 0 for a limit of this program. */
static void stop_accepting(struct l4_loop *loop, int error)
{
    unwatch_bounds(loop);
    loop->resume_ms = loop->now_ms + L4_ACCEPT_PAUSE_MS;
    if (loop->paused)
        return;
    loop->paused = true;
    L4_SET(loop->row->paused, 1);
    l4_loop_event(loop, L4_EVENT_ACCEPT_PAUSED, (uint32_t)error, loop->held);
}

static bool is_exhaustion(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* Ends idle sessions, or has other workers do so, for clients that wait. Returns true if there
 * will be room when this loop iteration ends. */
static bool find_room(struct l4_loop *loop, uint32_t waiting, bool everywhere)
{
    const enum l4_shed_answer answer = l4_shed(loop, waiting, everywhere);
    loop->shed.next_ms =
        loop->now_ms + (answer == L4_SHED_ASKED ? L4_SHED_WAIT_MS : L4_ACCEPT_PAUSE_MS);
    return answer == L4_SHED_ENDED;
}

static bool is_at_limit(const struct l4_loop *loop)
{
    const uint32_t limit = L4_GET(loop->table->header->max_connections);
    return limit && L4_GET(loop->table->header->connections) >= limit;
}

/* why: at max_connections nothing is scarce but the configured number (a worker never has more
 * rows than that). Clients then wait, unless the configuration says that idle sessions make
 * room. */
static bool may_shed(const struct l4_loop *loop)
{
    const uint32_t limit = L4_GET(loop->table->header->max_connections);
    const bool by_limit = is_at_limit(loop) || (limit && loop->capacity >= limit);
    return !by_limit || L4_GET(loop->table->header->shed_at_limit);
}

/* Accepts one client. Returns 0, -EAGAIN if none waits, or another reason to stop. */
static int accept_one(struct l4_loop *loop, const struct l4_bound *bound)
{
    L4_ASSERT(bound->fd >= 0);
    const bool own = loop->held >= loop->capacity;
    if (own || !l4_count_take_client(loop->table, loop->setup.index,
                                     L4_GET(loop->table->header->max_connections))) {
        if (!may_shed(loop) || !find_room(loop, l4_sock_waiting(bound->fd), !own))
            stop_accepting(loop, 0);
        return -ENOSPC;
    }
    struct l4_addr client;
    const int fd = l4_sock_accept(bound->fd, &client);
    if (fd >= 0) {
        l4_session_open(loop, bound, fd, &client);
        return 0;
    }
    l4_count_drop_client(loop->table, loop->setup.index);
    if (is_exhaustion(-fd)) {
        /* why: the worker pauses in any case, because a session that ends need not free what the
         * kernel lacks. */
        (void)find_room(loop, l4_sock_waiting(bound->fd), fd != -EMFILE);
        stop_accepting(loop, -fd);
        return fd;
    }
    /* why: accept also reports errors of a connection that failed before it was accepted
     * (accept(2)). They concern that client only, and the next one may be fine. */
    return fd == -EAGAIN ? fd : 0;
}

void l4_accept_batch(struct l4_loop *loop, uint32_t bound)
{
    for (int i = 0; loop->listening && i < L4_ACCEPT_BATCH; i++) {
        if (loop->bounds[bound].fd < 0 || accept_one(loop, &loop->bounds[bound]))
            return;
    }
}

/* Is there room again? Until the pause is over, a sixteenth of the limit must be free; then any
 * room will do. So a service at its limit does not change its epoll set with each session that
 * ends. */
static bool has_room(const struct l4_loop *loop)
{
    const uint32_t limit = L4_GET(loop->table->header->max_connections);
    const uint32_t used = L4_GET(loop->table->header->connections);
    const bool pause_over = loop->now_ms >= loop->resume_ms;
    const uint32_t own_slack = pause_over ? 0 : loop->capacity / 16;
    const uint32_t slack = pause_over ? 0 : limit / 16;
    return loop->held + own_slack < loop->capacity && (!limit || used + slack < limit);
}

static bool is_full(const struct l4_loop *loop)
{
    return loop->held >= loop->capacity || is_at_limit(loop);
}

static uint32_t count_waiting(const struct l4_loop *loop)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < loop->bound_count && sum < L4_SHED_BATCH; i++) {
        if (is_ours(loop, i))
            sum += l4_sock_waiting(loop->bounds[i].fd);
    }
    return sum;
}

void l4_accept_shed(struct l4_loop *loop)
{
    if (loop->listening || loop->draining || loop->now_ms < loop->shed.next_ms ||
        !L4_GET(loop->table->header->shed_idle_ms))
        return;
    const bool own = loop->held >= loop->capacity;
    if (!is_full(loop) || (may_shed(loop) && find_room(loop, count_waiting(loop), !own)))
        loop->resume_ms = loop->now_ms;
}

void l4_accept_revisit(struct l4_loop *loop)
{
    if (loop->listening || loop->draining || !has_room(loop))
        return;
    if (l4_accept_start(loop)) {
        unwatch_bounds(loop);
        loop->resume_ms = loop->now_ms + L4_ACCEPT_PAUSE_MS;
        return;
    }
    loop->paused = false;
    L4_SET(loop->row->paused, 0);
    l4_loop_event(loop, L4_EVENT_ACCEPT_RESUMED, 0, loop->held);
}

int l4_accept_wait_ms(const struct l4_loop *loop)
{
    if (loop->listening || loop->draining)
        return -1;
    if (loop->now_ms < loop->shed.next_ms && loop->shed.next_ms < loop->resume_ms)
        return (int)(loop->shed.next_ms - loop->now_ms);
    if (loop->now_ms < loop->resume_ms)
        return (int)(loop->resume_ms - loop->now_ms);
    /* why: when another worker makes room, nothing wakes this one. */
    return L4_ACCEPT_PAUSE_MS;
}

/* ---- listeners that come and go -------------------------------------------------------------- */

void l4_accept_leave(struct l4_loop *loop)
{
    /* why: other processes may have the same socket (a service manager, workers that stay, whoever
     * has a unix path). It then stays in the epoll set when this descriptor is closed, and would
     * wake the worker for ever. */
    unwatch_bounds(loop);
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (!is_ours(loop, i))
            continue;
        close(loop->bounds[i].fd);
        loop->bounds[i].fd = -1;
    }
    loop->closing = 0;
    loop->paused = false;
    L4_SET(loop->row->paused, 0);
}

void l4_accept_finish(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        for (int n = 0; is_ours(loop, i) && n < L4_BACKLOG; n++) {
            if (accept_one(loop, &loop->bounds[i]))
                break;
        }
    }
    l4_accept_leave(loop);
}

int l4_accept_add(struct l4_loop *loop, uint32_t bound)
{
    L4_ASSERT(bound < loop->bound_count && loop->bounds[bound].fd >= 0);
    return loop->listening ? watch_bound(loop, bound) : 0;
}

static void close_bound(struct l4_loop *loop, struct l4_bound *bound)
{
    L4_ASSERT(bound->closing && loop->closing > 0);
    if (loop->listening)
        l4_loop_unwatch(loop, bound->fd);
    close(bound->fd);
    bound->fd = -1;
    loop->closing--;
    l4_loop_event(loop, L4_EVENT_UNLISTENED, bound->listener, bound->number);
}

void l4_accept_close_rest(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->closing && i < loop->bound_count; i++) {
        struct l4_bound *bound = &loop->bounds[i];
        int taken = 0;
        for (int n = 0; !taken && bound->fd >= 0 && bound->closing && n < L4_BACKLOG; n++)
            taken = accept_one(loop, bound);
        if (taken == -EAGAIN)
            close_bound(loop, bound);
    }
}

bool l4_accept_remove(struct l4_loop *loop, uint32_t bound)
{
    L4_ASSERT(bound < loop->bound_count && !loop->bounds[bound].closing);
    loop->bounds[bound].closing = true;
    loop->closing++;
    l4_accept_close_rest(loop);
    return false;
}
