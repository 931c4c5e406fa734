#include "run/session.h"

#include "base/assert.h"
#include "core/passive.h"
#include "http/account.h"
#include "http/caching.h"
#include "http/h2.h"
#include "http/room.h"
#include "http/serve.h"
#include "http/stages.h"
#include "http/tunnel.h"
#include "io/sock.h"
#include "run/account.h"
#include "run/admission.h"
#include "run/attempt.h"
#include "run/shaping.h"
#include "run/stages.h"

/* The stage of a row without a session. Whatever happens to such a row concerns a session that
 * ended earlier in this loop iteration. */
static const struct l4_stage stage_free;

static const struct l4_stage *const stages[L4_SESSION_STATES] = {
    [L4_SESSION_FREE] = &stage_free,
    [L4_SESSION_ACCEPTED] = &l4_stage_accepted,
    [L4_SESSION_PREREAD] = &l4_stage_preread,
    [L4_SESSION_TARPIT] = &l4_stage_tarpit,
    [L4_SESSION_TLS_CLIENT] = &l4_stage_tls_client,
    [L4_SESSION_PICK] = &l4_stage_pick,
    [L4_SESSION_QUEUE] = &l4_stage_queue,
    [L4_SESSION_CONNECT] = &l4_stage_connect,
    [L4_SESSION_TLS_BACKEND] = &l4_stage_tls_backend,
    [L4_SESSION_RELAY] = &l4_stage_relay,
    [L4_SESSION_RESET] = &l4_stage_reset,
    [L4_SESSION_HANDOVER] = &l4_stage_handover,
    [L4_SESSION_REQUEST] = &l4_stage_request,
    [L4_SESSION_EXCHANGE] = &l4_stage_exchange,
    [L4_SESSION_REPLY] = &l4_stage_reply,
    [L4_SESSION_HTTP2] = &l4_stage_http2,
    [L4_SESSION_CACHED] = &l4_stage_cached,
    [L4_SESSION_AWAIT] = &l4_stage_await,
    [L4_SESSION_FORWARD] = &l4_stage_forward,
    [L4_SESSION_SOCKS] = &l4_stage_socks,
    [L4_SESSION_HELLO] = &l4_stage_hello,
    [L4_SESSION_INSPECT] = &l4_stage_inspect,
};

static const struct l4_stage *stage_of(const struct l4_loop *loop, uint32_t index)
{
    const uint32_t state = L4_GET(l4_session_at(loop, index)->state);
    L4_ASSERT(state < L4_SESSION_STATES);
    return stages[state];
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Does a session that ends for this reason reset the sockets that it still has? All ends do that
 * are not the two sides' own: a peer must be able to tell them from an orderly close. */
static bool is_reset(enum l4_reason reason)
{
    return reason != L4_END_CLIENT_FIN && reason != L4_END_BACKEND_FIN &&
           reason != L4_END_QUEUE_TIMEOUT &&
           reason != L4_END_TLS_HANDSHAKE; /* the client must still get the alert */
}

/* Would the client take an answer that is cut off for a whole one? why not in REPLY: a whole answer
 * leads there. */
static bool is_cut_unseen(const struct l4_loop *loop, const struct l4_session *s)
{
    const uint32_t state = L4_GET(s->state);
    return (state == L4_SESSION_EXCHANGE || state == L4_SESSION_CACHED) &&
           l4_exchange_at(loop, (uint32_t)(s - loop->sessions))->down.goes ==
               L4_FRAMING_UNTIL_CLOSE;
}

/* Returns how one side learns of the end. A reset discards what the kernel has not delivered yet.
 * So two kinds of side are closed in order whatever ends the session: a side whose stream is
 * complete, and a side whose remaining bytes are all with the kernel. Only a reset by the other
 * side is passed on in any case. */
static enum l4_close close_of(const struct l4_session *s, enum l4_side side, enum l4_reason reason)
{
    const struct l4_half *to = &s->half[side], *from = &s->half[!side];
    const uint32_t state = L4_GET(s->state);
    /* why CLOSE: a client between two requests has all that it asked for. */
    if (!is_reset(reason) || (state == L4_SESSION_REQUEST && reason != L4_END_CLIENT_RESET))
        return L4_CLOSE;
    /* Of HTTP: every answer is whole, and a client that asks again must learn that it may. */
    if (state == L4_SESSION_REQUEST || state == L4_SESSION_REPLY || state == L4_SESSION_HTTP2)
        return reason == L4_END_CLIENT_RESET ? L4_CLOSE_RESET : L4_CLOSE_IN_ORDER;
    if (reason == L4_END_CLIENT_RESET || reason == L4_END_BACKEND_RESET || to->fd < 0 ||
        (state != L4_SESSION_RELAY && state != L4_SESSION_RESET))
        return L4_CLOSE_RESET;
    if (to->flags & L4_HALF_SHUT || (from->piped == 0 && l4_sock_unacked(to->fd)))
        return L4_CLOSE_IN_ORDER;
    return L4_CLOSE_RESET;
}

static void close_sockets(struct l4_loop *loop, struct l4_session *s, enum l4_reason reason)
{
    const bool cut = is_cut_unseen(loop, s);
    const enum l4_close client = cut ? L4_CLOSE_RESET : close_of(s, L4_CLIENT, reason);
    const enum l4_close backend = cut ? L4_CLOSE_RESET : close_of(s, L4_BACKEND, reason);
    l4_half_close(&loop->pump, &s->half[L4_CLIENT], client);
    l4_half_close(&loop->pump, &s->half[L4_BACKEND], backend);
}

/* Tells passive health what the end of the session says about its backend, if it had one. */
static void judge_backend(const struct l4_loop *loop, const struct l4_session *s,
                          enum l4_reason reason)
{
    const bool silent = L4_GET(s->bytes[L4_BACKEND]) == 0;
    if (s->backend == L4_NONE)
        return;
    if (reason == L4_END_BACKEND_RESET)
        L4_OWN_ADD(l4_row_column(loop, s)->resets, 1);
    const bool provoked = L4_GET(s->bytes[L4_CLIENT]) != 0; /* perhaps by what the client sent */
    if (silent && reason == L4_END_BACKEND_RESET)
        l4_passive_reset(loop->table, loop->setup.index, s->backend,
                         provoked ? l4_row_client(loop, s) : NULL, loop->now_ms);
    else if (silent && !is_reset(reason))
        l4_passive_served(loop->table, s->backend);
}

static void leave_stage(struct l4_loop *loop, uint32_t index)
{
    const struct l4_stage *stage = stage_of(loop, index);
    if (stage->leave)
        stage->leave(loop, index);
}

/* Gives back what no stage gives back, in the reverse of l4_session_open. The sockets are closed
 * before. */
static void free_session(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->half[L4_CLIENT].fd < 0 && s->half[L4_BACKEND].fd < 0 && s->backend == L4_NONE);
    l4_wheel_stop(&loop->wheel, index);
    if (s->http)
        l4_serve_free(loop, index);
    l4_admission_leave(loop, s);
    if (!s->stream) { /* why: its connection was counted */
        L4_ASSERT(L4_GET(l4_row_tally(loop, s)->active) > 0);
        L4_OWN_ADD(l4_row_tally(loop, s)->active, -1u);
        l4_count_drop_client(loop->table, loop->setup.index);
    }
    l4_row_free(loop, index);
}

void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(L4_GET(s->state) != L4_SESSION_FREE && L4_GET(s->state) != L4_SESSION_HANDOVER);
    s->reason = (uint8_t)reason;
    leave_stage(loop, index);
    if (s->http)
        l4_account_answer(loop, index, reason);
    if (!s->stream)
        l4_account_session(loop, index, reason);
    close_sockets(loop, s, reason);
    judge_backend(loop, s, reason);
    l4_attempt_leave(loop, s);
    free_session(loop, index);
}

void l4_session_release(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(L4_GET(s->state) == L4_SESSION_HANDOVER);
    leave_stage(loop, index);
    l4_half_close(&loop->pump, &s->half[L4_CLIENT], L4_CLOSE);
    if (loop->parted)
        l4_attempt_part(loop, s);
    else
        l4_attempt_leave(loop, s);
    free_session(loop, index);
}

/* ---- the driver ------------------------------------------------------------------------------ */

static void move_to(struct l4_loop *loop, uint32_t index, enum l4_session_state state)
{
    leave_stage(loop, index);
    l4_row_enter(loop, index, state);
}

/* Returns what a stage's answer means. A client of HTTP is told why its request has failed, and
 * then its session goes on or ends. */
static struct l4_step answer_of(struct l4_loop *loop, uint32_t index, struct l4_step step)
{
    return step.kind == L4_END && l4_session_at(loop, index)->http
               ? l4_serve_instead(loop, index, step)
               : step;
}

/* Carries out an answer that is not L4_STAY, and the answers that follow from it. */
static void carry_out(struct l4_loop *loop, uint32_t index, struct l4_step step)
{
    step = answer_of(loop, index, step);
    for (int steps = 0; step.kind == L4_GO; steps++) {
        L4_ASSERT(steps < L4_STEPS_MAX && step.state < L4_SESSION_STATES);
        move_to(loop, index, (enum l4_session_state)step.state);
        if (step.reason != L4_END_NONE)
            l4_session_at(loop, index)->reason = step.reason;
        step = answer_of(loop, index, stages[step.state]->enter(loop, index));
    }
    if (step.kind == L4_END)
        l4_session_end(loop, index, (enum l4_reason)step.reason);
}

/* Carries out an answer. Returns true if the session has left its state. */
static inline bool drive(struct l4_loop *loop, uint32_t index, struct l4_step step)
{
    if (step.kind == L4_STAY)
        return false;
    carry_out(loop, index, step);
    return true;
}

void l4_session_note_port(const struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!L4_GET(l4_table_listener(loop->table, s->listener)->last_port))
        return;
    l4_row_facts(loop, index)->port = l4_sock_local(s->half[L4_CLIENT].fd).port;
    s->known |= L4_FACT_PORT;
}

void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client)
{
    L4_ASSERT(fd >= 0 && loop->held < loop->capacity);
    const uint32_t index = l4_row_take(loop);
    struct l4_session *s = l4_session_at(loop, index);
    const bool tcp = client->family != AF_UNIX;
    l4_row_reset(loop, s, bound->listener, l4_table_listener(loop->table, bound->listener)->pool,
                 client);
    s->half[L4_CLIENT].fd = fd;
    s->half[L4_CLIENT].flags = L4_HALF_OUT | (tcp ? L4_HALF_NODELAY : 0);
    l4_session_note_port(loop, index);
    l4_row_enter(loop, index, L4_SESSION_ACCEPTED);
    l4_row_publish(loop, s);

    L4_OWN_ADD(loop->row->accepted, 1);
    L4_OWN_ADD(l4_row_tally(loop, s)->accepted, 1);
    L4_OWN_ADD(l4_row_tally(loop, s)->active, 1);
    drive(loop, index, l4_stage_accepted.enter(loop, index));
}

/* Takes a row for a session of the client of another one, without a connection that is counted.
 * Returns L4_NONE if there is none. */
static uint32_t take_beside(struct l4_loop *loop, uint32_t of)
{
    if (loop->held >= loop->capacity)
        return L4_NONE;
    const struct l4_session *conn = l4_session_at(loop, of);
    const uint32_t index = l4_row_take(loop);
    struct l4_session *s = l4_session_at(loop, index);
    l4_row_reset(loop, s, conn->listener, conn->pool, &conn->client);
    s->stream = 1;
    s->known = conn->known;
    s->name_hash = conn->name_hash;
    if (s->known)
        *l4_row_facts(loop, index) = *l4_row_facts(loop, of);
    return index;
}

bool l4_session_open_stream(struct l4_loop *loop, uint32_t of, struct l4_h2_stream *stream)
{
    const uint32_t index = take_beside(loop, of);
    if (index == L4_NONE)
        return false;
    struct l4_session *s = l4_session_at(loop, index);
    l4_h2_give(&loop->http->h2, stream, index, &s->half[L4_CLIENT]);
    s->paced = l4_session_at(loop, of)->paced & L4_PACED_BYTES;
    l4_row_enter(loop, index, L4_SESSION_REQUEST);
    l4_row_publish(loop, s);
    drive(loop, index, l4_stage_request.enter(loop, index));
    return true;
}

void l4_session_open_refresh(struct l4_loop *loop, uint32_t of)
{
    const uint32_t index = take_beside(loop, of);
    if (index == L4_NONE)
        return;
    struct l4_session *s = l4_session_at(loop, index);
    const uint16_t secure = l4_session_at(loop, of)->half[L4_CLIENT].flags & L4_HALF_TLS;
    s->http = L4_HTTP_ASKS;
    s->half[L4_CLIENT].flags = L4_HALF_VOID | L4_HALF_OUT | L4_HALF_EOF | secure;
    if (!l4_caching_adopt(loop, index, of)) {
        l4_row_return(loop, index);
        return;
    }
    l4_row_enter(loop, index, L4_SESSION_REQUEST);
    l4_row_publish(loop, s);
    carry_out(loop, index, l4_go(L4_SESSION_PICK));
}

void l4_session_event(struct l4_loop *loop, uint32_t index, enum l4_side side, uint32_t events)
{
    const struct l4_stage *stage = stage_of(loop, index);
    if (stage->event)
        drive(loop, index, stage->event(loop, index, side, events));
}

void l4_session_timeout(struct l4_loop *loop, uint32_t index)
{
    const struct l4_stage *stage = stage_of(loop, index);
    if (stage->timeout)
        drive(loop, index, stage->timeout(loop, index));
}

bool l4_session_resume(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(stage_of(loop, index)->resume);
    return drive(loop, index, stage_of(loop, index)->resume(loop, index));
}

void l4_session_drain(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    if (L4_GET(l4_session_at(loop, index)->state) == L4_SESSION_RELAY)
        carry_out(loop, index, l4_go_to_end(L4_SESSION_RESET, reason));
    else
        l4_session_end(loop, index, reason);
}

/* ---- on its way to another worker ------------------------------------------------------------ */

bool l4_session_can_move(const struct l4_session *s)
{
    const uint32_t state = L4_GET(s->state);
    return state < L4_SESSION_STATES && stages[state]->again && s->http != L4_HTTP_ASKS &&
           l4_row_is_portable(s);
}

void l4_session_offer(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(l4_session_can_move(l4_session_at(loop, index)));
    if (l4_session_at(loop, index)->http == L4_HTTP_TUNNELS)
        l4_tunnel_part(loop, index);
    carry_out(loop, index, l4_go(L4_SESSION_HANDOVER));
}

void l4_session_again(struct l4_loop *loop, uint32_t index, enum l4_session_state state)
{
    L4_ASSERT(L4_GET(l4_session_at(loop, index)->state) == L4_SESSION_HANDOVER);
    L4_ASSERT(state < L4_SESSION_STATES && stages[state]->again);
    move_to(loop, index, state);
    const int error = l4_row_watch(loop, index);
    drive(loop, index,
          error ? l4_end_by_error(l4_session_at(loop, index), error)
                : stages[state]->again(loop, index));
}
