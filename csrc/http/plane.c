#include "http/plane.h"

#include "http/caches.h"
#include "http/h2_tend.h"
#include "http/room.h"
#include "io/sock.h"
#include "run/accept.h"
#include "run/session.h"

/* why none: each exchange uses the two descriptors of its session's row, and a spare connection
 * those of rows that are free. */
static uint64_t plan(struct l4_loop *loop, uint64_t descriptors)
{
    (void)loop;
    (void)descriptors;
    return 0;
}

static int start(struct l4_loop *loop)
{
    return l4_http_start(loop);
}

static void event(struct l4_loop *loop, uint32_t word, enum l4_side side, uint32_t events)
{
    const uint32_t index = l4_spare_event(loop, word, events);
    if (index != L4_NONE)
        l4_session_event(loop, index, side, events);
}

static void begin_turn(struct l4_loop *loop)
{
    l4_h2_begin_turn(loop);
}

static void turn(struct l4_loop *loop)
{
    l4_h2_turn(loop);
    l4_spare_sweep(loop);
    l4_caches_sweep(loop);
    if (loop->now_ms >= loop->http->thrift_ms) {
        loop->http->thrift_ms = loop->now_ms + L4_HTTP_THRIFT_MS;
        l4_http_thrift(loop->http);
    }
}

static int wait_ms(struct l4_loop *loop)
{
    return l4_h2_is_busy(loop) ? 0 : l4_spare_wait_ms(loop);
}

/* Is the session's client at rest? It had an answer, and has sent nothing since. */
static bool rests(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return s->serial && !s->stream && L4_GET(s->state) == L4_SESSION_REQUEST && x->number > 1 &&
           !x->have && !l4_sock_has_data(s->half[L4_CLIENT].fd);
}

/* Ends the clients at rest: they wait for nothing, and can ask again elsewhere. Others have their
 * present request answered, and are told that it is the last one. */
static void end_resting(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        if (rests(loop, i))
            l4_session_end(loop, i, L4_END_BACKEND_FIN);
    }
    l4_h2_drain(loop);
    l4_spare_close_all(loop, L4_NONE);
}

/* Clients at rest go to other workers, except those with TLS, which cannot. */
static void leave(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        if (rests(loop, i) && !l4_session_can_move(l4_session_at(loop, i)))
            l4_session_end(loop, i, L4_END_BACKEND_FIN);
    }
    l4_h2_drain(loop);
    l4_spare_close_all(loop, L4_NONE);
}

static void end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
{
    (void)reason;
    l4_spare_close_all(loop, backend);
}

static void kill_one(struct l4_loop *loop, uint32_t slot, uint32_t serial)
{
    (void)loop;
    (void)slot;
    (void)serial;
}

static uint32_t held(const struct l4_loop *loop)
{
    (void)loop;
    return 0;
}

/* Sessions that lack what others have given back in this loop iteration go on. */
static void end_turn(struct l4_loop *loop)
{
    if (loop->pipeless.count && l4_pipes_ready(&loop->pipes))
        l4_row_found(loop, &loop->pipeless, loop->pipes.idle_count);
    if (loop->blockless.count)
        l4_row_found(loop, &loop->blockless, loop->http->free_count);
}

const struct l4_plane l4_plane_http = {
    .name = "http",
    .knocks = true,
    .plan = plan,
    .start = start,
    .finish = l4_http_finish,
    .add = l4_accept_add,
    .remove = l4_accept_remove,
    .receive = l4_accept_batch,
    .event = event,
    .begin_turn = begin_turn,
    .turn = turn,
    .end_turn = end_turn,
    .wait_ms = wait_ms,
    .drain = end_resting,
    .leave = leave,
    .end_all = end_all,
    .kill = kill_one,
    .held = held,
};
