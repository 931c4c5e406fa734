#include "io/stream_ops.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bounds.h"
#include "io/sock.h"

void l4_io_not_sent(struct l4_half *to)
{
    to->flags &= (uint16_t)~L4_HALF_OUT;
    if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS) {
        /* why: the failed call took the socket's error away, so reading will end as after an
         * orderly end. BROKEN records that it was not orderly. */
        to->flags |= L4_HALF_BROKEN | L4_HALF_IN | L4_HALF_HUP;
    }
}

/* The first send of a connection leaves at once if it fits one segment. Any other send would
 * leave its short tail waiting for an acknowledgement (Nagle, RFC 896). The option is set when it
 * begins to matter, which saves a call for short sessions. */
void l4_io_before_send(struct l4_half *to, size_t bytes)
{
    if (!(to->flags & L4_HALF_NODELAY) && (to->flags & L4_HALF_SENT || bytes > L4_SEGMENT_BYTES)) {
        l4_sock_nodelay(to->fd);
        to->flags |= L4_HALF_NODELAY;
    }
    to->flags |= L4_HALF_SENT;
}

bool l4_io_hold(const struct l4_pump *pump, struct l4_half *from, const char *bytes, size_t count)
{
    if (from->pipe == L4_NO_PIPE)
        from->pipe = l4_pipes_take(pump->pipes);
    if (from->pipe == L4_NO_PIPE)
        return false;
    const ssize_t kept = write(pump->pipes->fds[from->pipe][1], bytes, count);
    if (kept > 0)
        from->piped += (uint32_t)kept;
    return kept == (ssize_t)count;
}

static ssize_t raw_receive(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                           size_t max)
{
    (void)to;
    const ssize_t got = recv(from->fd, pump->scratch, max, 0);
    if (got > 0 && l4_io_is_drained(from, got, max))
        from->flags &= (uint16_t)~L4_HALF_IN;
    return got;
}

static ssize_t raw_peek(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                        size_t max)
{
    (void)to;
    return recv(from->fd, pump->scratch, max, MSG_PEEK);
}

static bool raw_take(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                     size_t bytes)
{
    (void)to;
    return recv(from->fd, pump->scratch, bytes, 0) == (ssize_t)bytes;
}

/* Notes how a send of `bytes` bytes went. */
static ssize_t note_sent(struct l4_half *to, ssize_t sent, size_t bytes)
{
    if (sent < 0)
        l4_io_not_sent(to);
    else if ((size_t)sent < bytes)
        to->flags &= (uint16_t)~L4_HALF_OUT;
    return sent;
}

static ssize_t raw_offer(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                         size_t bytes)
{
    (void)from;
    l4_io_before_send(to, bytes);
    return note_sent(to, send(to->fd, pump->scratch, bytes, MSG_NOSIGNAL), bytes);
}

ssize_t l4_io_offer_two(struct l4_half *to, struct l4_text first, struct l4_text second)
{
    struct iovec parts[] = {{(void *)first.at, first.bytes}, {(void *)second.at, second.bytes}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = second.bytes ? 2 : 1};
    const size_t bytes = first.bytes + second.bytes;
    l4_io_before_send(to, bytes);
    return note_sent(to, sendmsg(to->fd, &message, MSG_NOSIGNAL), bytes);
}

ssize_t l4_io_offer_file(struct l4_half *to, int file, off_t at, size_t bytes)
{
    l4_io_before_send(to, bytes);
    const ssize_t sent = sendfile(to->fd, file, &at, bytes);
    if (sent < 0 && errno == EIO) /* of the file: the socket is as it was */
        return 0;
    return sent ? note_sent(to, sent, bytes) : 0;
}

static enum l4_pump_result raw_pass(const struct l4_pump *pump, struct l4_half *from,
                                    struct l4_half *to, size_t bytes)
{
    const ssize_t sent = raw_offer(pump, from, to, bytes);
    if (sent == (ssize_t)bytes)
        return L4_PUMP_MORE;
    if (to->flags & L4_HALF_BROKEN)
        return L4_PUMP_WAITS;
    const size_t done = sent > 0 ? (size_t)sent : 0;
    return l4_io_hold(pump, from, pump->scratch + done, bytes - done) ? L4_PUMP_WAITS
                                                                      : L4_PUMP_LOST;
}

static bool raw_finish(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    (void)pump;
    (void)from;
    if (!(to->flags & L4_HALF_EOF))
        shutdown(to->fd, SHUT_WR);
    return true;
}

const struct l4_io l4_io_raw = {
    .max = L4_SCRATCH_BYTES,
    .min = 1,
    .receive = raw_receive,
    .peek = raw_peek,
    .take = raw_take,
    .pass = raw_pass,
    .offer = raw_offer,
    .finish = raw_finish,
    .splices = true,
};

/* ---- nobody ---------------------------------------------------------------------------------- */

static ssize_t void_receive(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                            size_t max)
{
    (void)pump;
    (void)from;
    (void)to;
    (void)max;
    errno = EAGAIN;
    return -1;
}

static bool void_take(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                      size_t bytes)
{
    (void)pump;
    (void)from;
    (void)to;
    (void)bytes;
    return true;
}

static enum l4_pump_result void_pass(const struct l4_pump *pump, struct l4_half *from,
                                     struct l4_half *to, size_t bytes)
{
    (void)pump;
    (void)from;
    (void)to;
    (void)bytes;
    return L4_PUMP_MORE;
}

static ssize_t void_offer(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                          size_t bytes)
{
    (void)pump;
    (void)from;
    (void)to;
    return (ssize_t)bytes;
}

static bool void_finish(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    (void)pump;
    (void)from;
    (void)to;
    return true;
}

const struct l4_io l4_io_void = {
    .max = L4_SCRATCH_BYTES,
    .min = 1,
    .receive = void_receive,
    .peek = void_receive,
    .take = void_take,
    .pass = void_pass,
    .offer = void_offer,
    .finish = void_finish,
};
