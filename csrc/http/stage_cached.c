/* CACHED: the client gets an answer that is stored.
 *
 * A body in a file is sent from there. The file is open until then, so it stays as it is. Of an
 * answer that another session still fetches, what has come is sent (http/follow.h).
 *
 * The body is sent out of the cache's memory, which is pinned meanwhile: its owner does not write
 * over it. So that a client that reads slowly does not hold the owner up, what is left is copied
 * after L4_CACHE_PIN_MS.
 */
#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "http/account.h"
#include "http/cached.h"
#include "http/caching.h"
#include "http/fill.h"
#include "http/follow.h"
#include "http/message.h"
#include "http/record.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/stream_ops.h"
#include "run/attempt.h"
#include "run/shaping.h"

enum { COPIED_MAX = 4 << 10 }; /* bytes that are sooner copied than sent from two places */

static struct l4_step finish(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool stays = x->flags & L4_X_CLIENT_STAYS;
    L4_OWN_ADD(l4_caching_tally(loop, index)->bytes, x->down.bytes);
    l4_caching_end(loop, index);
    if (x->head_bytes) /* kept as long as another session's fetch could end early */
        l4_serve_drop_request(loop, index);
    l4_account_answer(loop, index, L4_END_NONE);
    l4_serve_end_answer(loop, index);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    l4_pump_discard(&loop->pump, l4_serve_holder(loop, index));
    return l4_go(stays ? L4_SESSION_REQUEST : L4_SESSION_REPLY);
}

/* ---- the body -------------------------------------------------------------------------------- */

/* Returns how much of the body can be sent. */
static uint64_t ready(const struct l4_caching *c)
{
    const uint64_t there =
        l4_follow_is_on(c) && c->follow.filled < c->end ? c->follow.filled : c->end;
    return there > c->at ? there - c->at : 0;
}

/* Is the body copied before it is sent? */
static bool is_copied(const struct l4_caching *c)
{
    return c->file || l4_follow_is_on(c);
}

/* Returns what comes next of the body; of one that is copied: what was read to `to`, `max` bytes at
 * most. No bytes: it cannot be read. */
static struct l4_text next_piece(struct l4_loop *loop, uint32_t index, char *to, size_t max)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const uint64_t left = ready(c);
    if (c->file) {
        const ssize_t got =
            pread(c->file, to, left < max ? left : max, (off_t)(c->file_at + c->at));
        return (struct l4_text){to, got > 0 ? (size_t)got : 0};
    }
    if (l4_follow_is_on(c))
        return (struct l4_text){to, l4_follow_copy(loop, index, to, max)};
    if (!c->read.object)
        return l4_fill_piece(loop, index);
    const struct l4_text body = l4_cached_body(c->read.object);
    return (struct l4_text){body.at + c->at, left};
}

/* Offers the client `max` bytes of the body at most. Returns how many it has accepted; below 0:
 * none now, the flags say why; 0: they cannot be read. */
static ssize_t offer(struct l4_loop *loop, uint32_t index, size_t max)
{
    struct l4_half *client = l4_serve_client(loop, index);
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_io *io = l4_io_of(client);
    const uint64_t left = ready(c);
    if (c->file && io->splices && !l4_recording_wants(loop, index, L4_BACKEND))
        return l4_io_offer_file(client, c->file, (off_t)(c->file_at + c->at),
                                left < max ? left : max);
    struct l4_pump out = loop->pump;
    const size_t most = is_copied(c) && max > io->max ? io->max : max;
    const struct l4_text piece = next_piece(loop, index, out.scratch, most);
    if (!piece.bytes)
        return 0;
    out.scratch = (char *)piece.at; /* nothing is written there */
    /* What the client does not accept stays where it is: no pipe has to hold it. */
    const ssize_t sent = io->offer(&out, l4_serve_holder(loop, index), client,
                                   piece.bytes < most ? piece.bytes : most);
    if (sent > 0)
        l4_recording_down(loop, index, (struct l4_text){piece.at, (size_t)sent});
    return sent ? sent : -1;
}

static void note_sent(const struct l4_loop *loop, uint32_t index, size_t bytes)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_caching_at(loop, index)->at += bytes;
    l4_exchange_at(loop, index)->down.bytes += bytes;
    L4_OWN_ADD(s->bytes[L4_BACKEND], bytes);
    l4_shaping_spend(loop, index, bytes);
    L4_SET(s->active_ms, loop->now_ms);
}

static struct l4_step send_rest(struct l4_loop *loop, uint32_t index)
{
    struct l4_half *client = l4_serve_client(loop, index), *holder = l4_serve_holder(loop, index);
    const struct l4_caching *c = l4_caching_at(loop, index);
    size_t turn = 0;
    l4_pump_flush(&loop->pump, holder, client);
    while (c->at < c->end) {
        if (client->flags & L4_HALF_BROKEN)
            return l4_end(L4_END_CLIENT_RESET);
        if (holder->piped || client->flags & L4_HALF_UNSENT || !(client->flags & L4_HALF_OUT))
            return l4_stay();
        if (turn >= l4_pump_turn(&loop->pump)) {
            l4_row_later(loop, index);
            return l4_stay();
        }
        const enum l4_follow_next next =
            l4_follow_is_on(c) ? l4_follow_look(loop, index) : L4_FOLLOW_MORE;
        if (next == L4_FOLLOW_CUT)
            return l4_end(L4_END_BACKEND_RESET);
        if (next == L4_FOLLOW_WAIT) {
            l4_row_wake_in(loop, index, L4_CACHE_WAIT_MS);
            return l4_stay();
        }
        const ssize_t sent = offer(loop, index, l4_pump_turn(&loop->pump) - turn);
        if (sent == 0 && l4_follow_is_on(c) && !c->file)
            continue; /* the next look says why */
        if (sent == 0)
            return l4_end_by_error(l4_session_at(loop, index), -EIO);
        if (sent < 0)
            continue; /* the flags say why */
        note_sent(loop, index, (size_t)sent);
        turn += (size_t)sent;
    }
    if (client->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    return holder->piped || client->flags & L4_HALF_UNSENT ? l4_stay() : finish(loop, index);
}

/* Sends what the client accepts now, and may have. */
static struct l4_step move(struct l4_loop *loop, uint32_t index)
{
    if (l4_shaping_holds(loop, index))
        return l4_stay();
    const struct l4_step step = send_rest(loop, index);
    loop->pump.max = 0;
    return step;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* Sends the head, which lies in loop->http->written, and what fits behind it of the body, at most
 * `most` bytes. Returns the bytes of the body that were sent; -1: there is no memory. */
static ssize_t send_first(struct l4_loop *loop, uint32_t index, size_t bytes, size_t most)
{
    struct l4_half *client = l4_serve_client(loop, index), *holder = l4_serve_holder(loop, index);
    const size_t room = l4_io_of(client)->max - bytes;
    size_t copied = room < L4_HTTP_COPY_BYTES ? room : L4_HTTP_COPY_BYTES;
    copied = most < copied ? most : copied;
    struct l4_text piece = next_piece(loop, index, loop->http->written + bytes, copied);
    if (!is_copied(l4_caching_at(loop, index)) && l4_io_of(client)->splices &&
        piece.bytes >= COPIED_MAX) {
        const struct l4_text head = {loop->http->written, bytes};
        piece.bytes = piece.bytes < most ? piece.bytes : most;
        const ssize_t sent = l4_io_offer_two(client, head, piece);
        const size_t done = sent > 0 ? (size_t)sent : 0;
        if (done >= bytes) {
            l4_recording_down(loop, index, (struct l4_text){piece.at, done - bytes});
            return (ssize_t)(done - bytes);
        }
        return client->flags & L4_HALF_BROKEN ||
                       l4_io_hold(&loop->pump, holder, head.at + done, bytes - done)
                   ? 0
                   : -1;
    }
    struct l4_pump out = loop->pump;
    out.scratch = loop->http->written;
    piece.bytes = piece.bytes < copied ? piece.bytes : copied;
    if (piece.at != out.scratch + bytes)
        l4_text_copy(out.scratch + bytes, piece);
    l4_recording_down(loop, index, piece);
    if (l4_io_of(client)->pass(&out, holder, client, bytes + piece.bytes) == L4_PUMP_LOST)
        return -1;
    return (ssize_t)piece.bytes;
}

/* Sends the head, and the begin of the body behind it. */
static struct l4_step begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_h1_head head;
    if (!l4_cached_head_of(loop, index, &head))
        return l4_end_by_error(l4_session_at(loop, index), -EPROTO);
    x->status = head.status;
    x->down = l4_body_of(&head, (enum l4_framing)head.framing, 0);
    const size_t bytes = l4_message_answer(loop, index, l4_cached_head(c->read.object).at, &head);
    if (!bytes)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    if (head.framing == L4_FRAMING_NONE)
        c->end = c->at;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    const size_t most = l4_shaping_holds(loop, index) ? 0 : l4_pump_turn(&loop->pump);
    loop->pump.max = 0;
    if (!l4_follow_is_on(c)) /* else it may have to be asked for again */
        l4_serve_drop_request(loop, index);
    l4_recording_answer(loop, index, (struct l4_text){loop->http->written, bytes});
    const ssize_t sent = send_first(loop, index, bytes, most);
    if (sent < 0)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    note_sent(loop, index, (size_t)sent);
    if (is_copied(c)) /* the object has told all that it has to tell */
        l4_cache_release(&l4_caching_open(loop, index)->cache, &c->read);
    return move(loop, index);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(x->cache && l4_caching_at(loop, index)->read.object);
    l4_attempt_leave(loop, s);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    if (!l4_serve_client_stays(loop, index))
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
    L4_SET(s->active_ms, loop->now_ms);
    l4_row_wake_in(loop, index, L4_CACHE_PIN_MS);
    return begin(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    if (side != L4_CLIENT) /* the connection of an attempt before */
        return l4_stay();
    l4_half_note(l4_serve_client(loop, index), events);
    return move(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_caching *c = l4_caching_at(loop, index);
    const uint64_t allowed = L4_GET(l4_row_pool(loop, s)->idle_timeout_ms);
    const uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    const bool waited = s->paced & L4_PACED_WAITS;
    if (idle >= allowed && !waited)
        return l4_end(L4_END_IDLE_TIMEOUT);
    if (c->read.object && c->at < c->end && loop->now_ms - c->pinned_ms >= L4_CACHE_PIN_MS &&
        !l4_fill_unpin(loop, index))
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    l4_row_wake_in(loop, index, waited ? L4_CACHE_PIN_MS : allowed - idle);
    return waited || l4_follow_is_on(c) ? move(loop, index) : l4_stay();
}

const struct l4_stage l4_stage_cached = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = move,
};
