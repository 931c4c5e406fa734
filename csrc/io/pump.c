#include "io/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bounds.h"
#include "io/sock.h"

/* A short receive says that the socket is empty, so that the call which would only say EAGAIN is
 * saved; not so when an end is announced, or when urgent data may have cut the receive short. */
static void after_receive(struct l4_half *from, ssize_t got, size_t asked)
{
    if ((size_t)got < asked && !(from->flags & (L4_HALF_HUP | L4_HALF_URGENT)))
        from->flags &= (uint16_t)~L4_HALF_IN;
}

/* Marks how reading from a half ended or paused, by what the call returned. */
static void not_received(struct l4_half *from, ssize_t got)
{
    from->flags &= (uint16_t)~L4_HALF_IN;
    if (got == 0)
        from->flags |= from->flags & L4_HALF_BROKEN ? L4_HALF_RESET : L4_HALF_EOF;
    else if (errno != EAGAIN)
        from->flags |= L4_HALF_RESET;
}

/* Marks how writing to a half paused or failed, by errno. */
static void not_sent(struct l4_half *to)
{
    to->flags &= (uint16_t)~L4_HALF_OUT;
    if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS) {
        /* why: the failed call took the socket's error with it, and reading will now end in what
         * looks like an orderly end; BROKEN keeps in mind that it is none. */
        to->flags |= L4_HALF_BROKEN | L4_HALF_IN | L4_HALF_HUP;
    }
}

/* The first send of a connection leaves at once by itself if it fits one segment; any other would
 * leave its short tail waiting for an acknowledgement (Nagle, RFC 896). So the option is set when
 * it begins to matter: a call fewer for short sessions. */
static void before_send(struct l4_half *to, size_t bytes)
{
    if (!(to->flags & L4_HALF_NODELAY) && (to->flags & L4_HALF_SENT || bytes > L4_SEGMENT_BYTES)) {
        l4_sock_nodelay(to->fd);
        to->flags |= L4_HALF_NODELAY;
    }
    to->flags |= L4_HALF_SENT;
}

/* Sends what waits in from's pipe. True when the pipe is empty. */
static bool flush(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    while (from->piped && (to->flags & (L4_HALF_OUT | L4_HALF_BROKEN)) == L4_HALF_OUT) {
        before_send(to, from->piped);
        const ssize_t sent = splice(pump->pipes->fds[from->pipe][0], NULL, to->fd, NULL,
                                    from->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (sent > 0)
            from->piped -= (uint32_t)sent;
        else
            not_sent(to);
    }
    return from->piped == 0;
}

static void release_pipe(const struct l4_pump *pump, struct l4_half *from)
{
    if (from->pipe == L4_NO_PIPE)
        return;
    l4_pipes_give(pump->pipes, from->pipe, from->piped == 0);
    from->pipe = L4_NO_PIPE;
    from->piped = 0;
}

/* Copies once. Only called when a pipe is ready to take what cannot be sent. */
static enum l4_pump_result copy(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, uint64_t *moved)
{
    const ssize_t got = recv(from->fd, pump->scratch, L4_SCRATCH_BYTES, 0);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    *moved += (uint64_t)got;
    after_receive(from, got, L4_SCRATCH_BYTES);
    if (got >= L4_BULK_BYTES)
        from->flags |= L4_HALF_BULKY;
    before_send(to, (size_t)got);
    ssize_t sent = send(to->fd, pump->scratch, (size_t)got, MSG_NOSIGNAL);
    if (sent == got)
        return L4_PUMP_MORE;
    if (sent < 0) {
        not_sent(to);
        sent = 0;
    } else {
        to->flags &= (uint16_t)~L4_HALF_OUT;
    }
    if (to->flags & L4_HALF_BROKEN)
        return L4_PUMP_WAITS;
    if (from->pipe == L4_NO_PIPE)
        from->pipe = l4_pipes_take(pump->pipes);
    const ssize_t kept =
        write(pump->pipes->fds[from->pipe][1], pump->scratch + sent, (size_t)(got - sent));
    from->piped = kept > 0 ? (uint32_t)kept : 0;
    return kept == got - sent ? L4_PUMP_WAITS : L4_PUMP_LOST;
}

/* Copies once without a place for what cannot be sent: looks, sends, then takes as much away. */
static enum l4_pump_result peek(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, uint64_t *moved)
{
    const ssize_t got = recv(from->fd, pump->scratch, L4_SCRATCH_BYTES, MSG_PEEK);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    before_send(to, (size_t)got);
    const ssize_t sent = send(to->fd, pump->scratch, (size_t)got, MSG_NOSIGNAL);
    if (sent <= 0) {
        not_sent(to);
        return L4_PUMP_WAITS;
    }
    if (recv(from->fd, pump->scratch, (size_t)sent, 0) != sent)
        return L4_PUMP_LOST;
    *moved += (uint64_t)sent;
    if (sent == got)
        after_receive(from, got, L4_SCRATCH_BYTES);
    else
        to->flags &= (uint16_t)~L4_HALF_OUT;
    return L4_PUMP_MORE;
}

/* Moves once from the socket into the empty pipe and on. */
static enum l4_pump_result bulk(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, uint64_t *moved)
{
    const ssize_t got = splice(from->fd, NULL, pump->pipes->fds[from->pipe][1], NULL, L4_PIPE_BYTES,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    *moved += (uint64_t)got;
    from->piped = (uint32_t)got;
    if (got < L4_THIN_BYTES)
        from->flags &= (uint16_t)~L4_HALF_BULKY;
    return flush(pump, from, to) ? L4_PUMP_MORE : L4_PUMP_WAITS;
}

static enum l4_pump_result step(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, uint64_t *moved)
{
    if (from->flags & L4_HALF_BULKY) {
        if (from->pipe == L4_NO_PIPE)
            from->pipe = l4_pipes_take(pump->pipes);
        if (from->pipe != L4_NO_PIPE)
            return bulk(pump, from, to, moved);
    }
    if (from->pipe != L4_NO_PIPE || l4_pipes_ready(pump->pipes))
        return copy(pump, from, to, moved);
    return peek(pump, from, to, moved);
}

enum l4_pump_result l4_pump(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                            uint64_t *moved)
{
    enum l4_pump_result result = L4_PUMP_WAITS;
    const uint64_t limit = *moved + L4_TURN_BYTES;
    if (flush(pump, from, to)) {
        result = L4_PUMP_MORE;
        while (result == L4_PUMP_MORE && *moved < limit) {
            if (!(from->flags & L4_HALF_IN) || !(to->flags & L4_HALF_OUT))
                result = L4_PUMP_WAITS;
            else
                result = step(pump, from, to, moved);
        }
    }
    if (to->flags & L4_HALF_BROKEN)
        release_pipe(pump, from);
    if (from->piped == 0) {
        if (!(from->flags & L4_HALF_BULKY) || !(from->flags & L4_HALF_IN))
            release_pipe(pump, from);
        if (from->flags & L4_HALF_EOF && !(to->flags & (L4_HALF_SHUT | L4_HALF_BROKEN))) {
            to->flags |= L4_HALF_SHUT;
            if (!(to->flags & L4_HALF_EOF))
                shutdown(to->fd, SHUT_WR);
        }
    }
    return result;
}

void l4_half_note(struct l4_half *half, uint32_t events)
{
    if (events & EPOLLPRI) {
        l4_sock_urgent_inline(half->fd);
        half->flags |= L4_HALF_URGENT;
    }
    if (events & (EPOLLIN | EPOLLPRI))
        half->flags |= L4_HALF_IN;
    if (events & EPOLLOUT)
        half->flags |= L4_HALF_OUT;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        half->flags |= L4_HALF_IN | L4_HALF_HUP;
    if (events & EPOLLERR) {
        half->flags |= L4_HALF_BROKEN;
        half->flags &= (uint16_t)~L4_HALF_OUT;
    }
}

void l4_half_close(const struct l4_pump *pump, struct l4_half *half, bool reset)
{
    release_pipe(pump, half);
    if (half->fd < 0)
        return;
    if (reset)
        l4_sock_reset(half->fd);
    else
        close(half->fd);
    half->fd = -1;
}
