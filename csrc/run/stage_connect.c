/* CONNECT: the session has a place at a backend, and a socket connects to that backend. */
#include <errno.h>

#include "base/assert.h"
#include "base/random.h"
#include "http/outward.h"
#include "http/spare.h"
#include "io/sock.h"
#include "run/attempt.h"
#include "run/client_wait.h"
#include "run/first_byte.h"
#include "run/proxy_out.h"
#include "run/stages.h"
#include "shm/row_reuse.h"

/* Where the session's backend is: of a forward proxy, where its client wants to go. */
static struct l4_addr target(const struct l4_loop *loop, const struct l4_session *s,
                             char path[L4_PATH_MAX + 1])
{
    if (l4_outward_is_on(loop, s))
        return l4_outward_target(loop, (uint32_t)(s - loop->sessions));
    return l4_table_target(l4_table_backend(loop->table, s->backend), path);
}

/* Begins a non-blocking connect to the session's backend. Returns the socket or -errno; *made says
 * whether there was a socket to use at all. */
static int begin_connect(struct l4_loop *loop, struct l4_session *s, bool *made)
{
    char path[L4_PATH_MAX + 1];
    const struct l4_addr to = target(loop, s, path);
    struct l4_way memory;
    const struct l4_way *way =
        l4_egress_way(&l4_row_pool(loop, s)->egress, to.family, l4_row_client(loop, s),
                      l4_random(&loop->random), &memory);
    s->connect_started_us = loop->now_us;
    return l4_sock_connect(&to, path, way, &loop->ports, made);
}

/* This host had no socket to give, or no local port. The backend is not to blame. */
static struct l4_step lack_socket(struct l4_loop *loop, struct l4_session *s, int error)
{
    l4_attempt_leave(loop, s);
    s->error = -error;
    s->socketless = 1;
    if (error == -EADDRNOTAVAIL)
        l4_loop_portless(loop);
    else
        loop->shed.pressed = true; /* shedding load frees descriptors */
    return l4_go(L4_SESSION_PICK);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    bool made;
    L4_ASSERT(s->backend != L4_NONE && s->half[L4_BACKEND].fd < 0);
    if (s->http && !l4_outward_is_on(loop, s) && l4_spare_take(loop, index))
        return l4_go(L4_SESSION_EXCHANGE);
    const int fd = begin_connect(loop, s, &made);
    l4_first_byte_begin(loop, s);
    if (fd < 0)
        return made ? l4_attempt_failed(loop, index, fd) : lack_socket(loop, s, fd);
    s->half[L4_BACKEND] = (struct l4_half){.fd = fd, .pipe = L4_NO_PIPE};
    /* The client's socket is in the epoll set from the first attempt on. Until there is a backend
     * nothing is read from it, and its flags remember the edge. */
    int error = s->http ? l4_spare_watch(loop, index) : 0;
    if (!error)
        error = l4_row_watch(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

/* The connect has ended: the backend is connected, or not. */
static struct l4_step connected(struct l4_loop *loop, uint32_t index, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    int error = 0;
    if (events & (EPOLLERR | EPOLLHUP))
        error = l4_sock_connect_result(s->half[L4_BACKEND].fd);
    /* why: a backend may accept, answer and reset within one loop iteration. What it said is
     * delivered. A backend that resets without a byte has served nobody, and another backend may
     * be tried. */
    if (error == -ECONNRESET && l4_sock_has_data(s->half[L4_BACKEND].fd)) {
        events |= EPOLLERR;
        error = 0;
    } else if (!error) {
        events &= ~(uint32_t)EPOLLERR;
        events |= EPOLLOUT;
    }
    if (error)
        return l4_attempt_failed(loop, index, error);
    l4_half_note(&s->half[L4_BACKEND], events);
    if (L4_GET(pool->send_proxy))
        error = l4_proxy_out(loop, index);
    if (error)
        return l4_attempt_failed(loop, index, error);
    return L4_GET(pool->tls_profile) ? l4_go(L4_SESSION_TLS_BACKEND)
                                     : l4_attempt_succeeded(loop, s);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    if (side == L4_CLIENT)
        return l4_client_is_gone(l4_session_at(loop, index), events) ? l4_end(L4_END_CLIENT_RESET)
                                                                     : l4_stay();
    return events & (EPOLLERR | EPOLLHUP | EPOLLOUT) ? connected(loop, index, events) : l4_stay();
}

static struct l4_step again(struct l4_loop *loop, uint32_t index)
{
    l4_row_wake_in(loop, index, 0);
    return l4_stay();
}

const struct l4_stage l4_stage_connect = {
    .enter = enter,
    .event = event,
    .timeout = l4_attempt_timeout,
    .again = again,
};
