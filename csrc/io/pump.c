#include "io/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "io/sock.h"
#include "io/stream_ops.h"

/* Records in the flags how reading from a half ended or paused, by the call's result. */
static void not_received(struct l4_half *from, ssize_t got)
{
    if (got < 0 && errno == EBUSY)
        return;
    from->flags &= (uint16_t)~L4_HALF_IN;
    if (got == 0)
        from->flags |= from->flags & L4_HALF_BROKEN ? L4_HALF_RESET : L4_HALF_EOF;
    else if (errno != EAGAIN)
        from->flags |= L4_HALF_RESET;
}

/* Sends a part of the data in from's pipe by copying it. Returns the bytes, or -1 with errno. */
static ssize_t pour(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    const size_t room = l4_io_of(to)->room(pump, to);
    const size_t bytes = room < from->piped ? room : from->piped;
    errno = EAGAIN;
    if (!bytes)
        return -1;
    const ssize_t got = read(pump->pipes->fds[from->pipe][0], pump->scratch, bytes);
    if (got > 0 && l4_io_of(to)->offer(pump, from, to, (size_t)got) == got)
        return got;
    errno = EPIPE; /* why: what was read has no place to go back to */
    return -1;
}

/* Sends a part of the data in from's pipe. Returns the bytes, or -1 with errno. */
static ssize_t unpipe(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    if (l4_io_of(to)->room)
        return pour(pump, from, to);
    l4_io_before_send(to, from->piped);
    return splice(pump->pipes->fds[from->pipe][0], NULL, to->fd, NULL, from->piped,
                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* Sends the data in to's own buffer, then in from's pipe. Returns true if both are empty. */
static bool flush(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    if (to->flags & L4_HALF_UNSENT && !l4_io_of(to)->settle(pump, to))
        return false;
    L4_ASSERT(!from->piped || from->pipe != L4_NO_PIPE);
    while (from->piped && (to->flags & (L4_HALF_OUT | L4_HALF_BROKEN)) == L4_HALF_OUT) {
        const ssize_t sent = unpipe(pump, from, to);
        L4_ASSERT(sent <= (ssize_t)from->piped);
        if (sent > 0)
            from->piped -= (uint32_t)sent;
        else
            l4_io_not_sent(to);
    }
    return from->piped == 0;
}

static void release_pipe(const struct l4_pump *pump, struct l4_half *from)
{
    if (from->pipe == L4_NO_PIPE)
        return;
    l4_pipes_give(pump->pipes, from->pipe, from->piped == 0);
    from->pipe = L4_NO_PIPE;
    from->piped = 0; /* data that nobody takes any more went with the pipe */
}

/* Returns the limit of one receive: what both sides can handle, and what is left of the
 * iteration's share. */
static size_t most_of(const struct l4_io *in, const struct l4_io *out, size_t left)
{
    const size_t max = in->max < out->max ? in->max : out->max;
    const size_t asked = left > in->min ? left : in->min;
    return max < asked ? max : asked;
}

/* Copies once. Call it only when a pipe is ready for unsent data. */
static enum l4_pump_result copy(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t left, uint64_t *moved)
{
    const struct l4_io *in = l4_io_of(from), *out = l4_io_of(to);
    const size_t max = most_of(in, out, left);
    const ssize_t got = in->receive(pump, from, to, max);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    L4_ASSERT((size_t)got <= max && max <= L4_SCRATCH_BYTES);
    *moved += (uint64_t)got;
    if (got >= L4_BULK_BYTES && in->splices && out->splices)
        from->flags |= L4_HALF_BULKY;
    return out->pass(pump, from, to, (size_t)got);
}

/* Copies once without a place for unsent data: peeks, sends, then takes as much away. */
static enum l4_pump_result peek(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t left, uint64_t *moved)
{
    const struct l4_io *in = l4_io_of(from), *out = l4_io_of(to);
    const size_t max = most_of(in, out, left);
    const ssize_t got = in->peek(pump, from, to, max);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    const ssize_t sent = out->offer(pump, from, to, (size_t)got);
    L4_ASSERT(sent <= got);
    if (sent <= 0)
        return L4_PUMP_WAITS;
    if (!in->take(pump, from, to, (size_t)sent))
        return L4_PUMP_LOST;
    *moved += (uint64_t)sent;
    if (in->splices && sent == got && l4_io_is_drained(from, got, max))
        from->flags &= (uint16_t)~L4_HALF_IN;
    return L4_PUMP_MORE;
}

/* Moves once from the socket into the empty pipe, and on. */
static enum l4_pump_result bulk(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t left, uint64_t *moved)
{
    const ssize_t got =
        splice(from->fd, NULL, pump->pipes->fds[from->pipe][1], NULL,
               left < L4_PIPE_BYTES ? left : L4_PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got <= 0) {
        not_received(from, got);
        return L4_PUMP_WAITS;
    }
    *moved += (uint64_t)got;
    L4_ASSERT(from->piped == 0);
    from->piped = (uint32_t)got;
    if (got < L4_THIN_BYTES)
        from->flags &= (uint16_t)~L4_HALF_BULKY;
    return flush(pump, from, to) ? L4_PUMP_MORE : L4_PUMP_WAITS;
}

static enum l4_pump_result step(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t left, uint64_t *moved)
{
    if (from->flags & L4_HALF_BULKY) {
        if (from->pipe == L4_NO_PIPE)
            from->pipe = l4_pipes_take(pump->pipes);
        if (from->pipe != L4_NO_PIPE)
            return bulk(pump, from, to, left, moved);
    }
    if (from->pipe != L4_NO_PIPE || l4_pipes_ready(pump->pipes))
        return copy(pump, from, to, left, moved);
    return peek(pump, from, to, left, moved);
}

enum l4_pump_result l4_pump(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                            uint64_t *moved)
{
    enum l4_pump_result result = L4_PUMP_WAITS;
    L4_ASSERT(l4_half_is_open(from) && l4_half_is_open(to));
    const uint64_t limit = *moved + l4_pump_turn(pump);
    if (flush(pump, from, to)) {
        result = L4_PUMP_MORE;
        while (result == L4_PUMP_MORE && *moved < limit) {
            if (!(from->flags & L4_HALF_IN) || !(to->flags & L4_HALF_OUT))
                result = L4_PUMP_WAITS;
            else
                result = step(pump, from, to, limit - *moved, moved);
        }
    }
    if (to->flags & L4_HALF_BROKEN)
        release_pipe(pump, from);
    if (!pump->keeps_open && from->piped == 0 && from->flags & L4_HALF_EOF &&
        !(to->flags & (L4_HALF_SHUT | L4_HALF_BROKEN)) && l4_io_of(to)->finish(pump, from, to))
        to->flags |= L4_HALF_SHUT;
    if (from->piped == 0 && (!(from->flags & L4_HALF_BULKY) || !(from->flags & L4_HALF_IN)))
        release_pipe(pump, from);
    return result;
}

void l4_pump_flush(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    L4_ASSERT(l4_half_is_open(to));
    if (flush(pump, from, to) || to->flags & L4_HALF_BROKEN)
        release_pipe(pump, from);
}

void l4_pump_discard(const struct l4_pump *pump, struct l4_half *from)
{
    release_pipe(pump, from);
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

void l4_half_close(const struct l4_pump *pump, struct l4_half *half, enum l4_close how)
{
    release_pipe(pump, half);
    half->flags &= (uint16_t)~L4_HALF_WATCHED; /* a closed socket leaves its epoll sets */
    if (!l4_half_is_open(half))
        return;
    if (l4_io_of(half)->release)
        l4_io_of(half)->release(pump, half);
    if (half->fd < 0) /* it was a stream */
        return;
    if (how == L4_CLOSE_RESET)
        l4_sock_reset(half->fd);
    else if (how == L4_CLOSE_IN_ORDER)
        l4_sock_close_in_order(half->fd);
    else
        close(half->fd);
    half->fd = -1;
}
