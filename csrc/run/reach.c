#include "run/reach.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/random.h"
#include "core/key.h"
#include "core/passive.h"
#include "core/pick.h"
#include "core/stick.h"
#include "io/sock.h"
#include "run/answer.h"
#include "run/greet.h"
#include "run/pace.h"
#include "run/queue.h"
#include "run/relay.h"
#include "run/secure.h"
#include "run/session.h"
#include "run/watch.h"
#include "shm/change.h"
#include "shm/count.h"
#include "shm/edge_rows.h"

static struct l4_stick_client client_of(const struct l4_loop *loop, const struct l4_session *s)
{
    const struct l4_session *first = l4_session_at(loop, 0);
    const struct l4_facts *facts =
        l4_table_facts(loop->table, loop->setup.index, (uint32_t)(s - first));
    const bool named = s->known & L4_FACT_NAME;
    return (struct l4_stick_client){
        .addr = &s->client,
        .name_hash = s->name_hash,
        .name = named ? facts->name : NULL,
        .name_bytes = named ? facts->name_bytes : 0,
    };
}

uint64_t l4_reach_refresh(const struct l4_loop *loop, const struct l4_session *s, uint64_t most)
{
    const uint64_t half = L4_GET(l4_table_pool(loop->table, s->pool)->sticky.ttl_ms) / 2;
    if (half == 0)
        return most;
    const struct l4_stick_client client = client_of(loop, s);
    l4_stick_touch(loop->table, s->pool, &client, s->backend, loop->now_ms);
    return half < most ? half : most;
}

void l4_reach_leave(struct l4_loop *loop, struct l4_session *s)
{
    l4_half_close(&loop->pump, &s->half[1], L4_CLOSE);
    if (s->backend != L4_NONE) {
        l4_reach_refresh(loop, s, 0);
        l4_answer_end(loop, s);
        l4_count_drop_backend(loop->table, loop->setup.index, s->backend);
        l4_queue_released(loop, s->pool);
    }
    s->backend = L4_NONE;
}

void l4_reach_part(struct l4_loop *loop, struct l4_session *s)
{
    l4_half_close(&loop->pump, &s->half[1], false);
    if (s->backend != L4_NONE) {
        l4_answer_end(loop, s);
        l4_count_part_backend(loop->table, loop->setup.index, s->backend);
    }
    s->backend = L4_NONE;
}

/* This attempt failed: the backend is counted and left, and another one may be tried. */
void l4_reach_failed(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_OWN_ADD(l4_session_column(loop, s->backend)->connect_errors, 1);
    l4_passive_unreached(loop->table, loop->setup.index, s->backend, loop->now_ms, error);
    s->tried[s->attempts++] = (uint16_t)s->backend;
    s->error = -error;
    l4_answer_failed(loop, s);
    l4_reach_leave(loop, s);
    l4_session_enter(loop, index, L4_SESSION_WAITS);
    const uint32_t retries = L4_GET(l4_table_pool(loop->table, s->pool)->retries);
    if (s->attempts > retries || s->attempts > L4_RETRIES_MAX) {
        l4_session_end(loop, index, L4_END_CONNECT_FAILED);
        return;
    }
    l4_session_set_deadline(loop, s,
                            L4_GET(l4_table_pool(loop->table, s->pool)->connect_timeout_ms));
    l4_reach_backend(loop, index);
}

void l4_reach_connected(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);

    l4_session_enter(loop, index, L4_SESSION_RELAYS);
    s->connect_us = (uint32_t)(loop->now_us - s->connect_started_us);
    L4_OWN_ADD(l4_session_column(loop, s->backend)->total, 1);
    l4_passive_reached(loop->table, s->backend);
    l4_answer_connected(loop, s);
    if (b->addr.family == AF_UNIX)
        s->half[1].flags |= L4_HALF_NODELAY;
    L4_SET(s->active_ms, loop->now_ms);
    const uint64_t look = l4_relay_look_ms(0, L4_GET(pool->idle_timeout_ms));
    const uint64_t idle = l4_reach_refresh(loop, s, look);
    const uint64_t ms = l4_answer_left_ms(loop, s, idle);
    l4_session_wake_in(loop, index, l4_pace_left_ms(loop, index, ms));
    l4_relay(loop, index);
}

/* This host had no socket to give, or no local port. The client waits, up to the time a connect may
 * take; its backend is not to blame. */
static void wait_for_socket(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_reach_leave(loop, s);
    l4_session_enter(loop, index, L4_SESSION_WAITS);
    s->error = -error;
    if (error == -EADDRNOTAVAIL)
        l4_loop_portless(loop);
    else
        loop->shed.pressed = true; /* descriptors are what shedding frees */
    if (l4_session_left_ms(loop, s) <= 0)
        l4_session_end(loop, index, L4_END_ERROR);
    else
        l4_session_wake_in(loop, index, L4_RESOURCE_RETRY_MS);
}

/* tried: how many of the backends that it could not reach are not to be picked again. */
static struct l4_pick_answer pick(struct l4_loop *loop, const struct l4_session *s, uint32_t tried)
{
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);
    const struct l4_pick_request request = {
        .worker = loop->setup.index,
        .pool = s->pool,
        .now_ms = loop->now_ms,
        .hash =
            l4_key_hash(&loop->table->header->hash_key, &pool->hash_rule, &s->client, s->name_hash),
        .random = l4_random(&loop->random),
        .tried = s->tried,
        .tried_count = tried,
    };
    const struct l4_stick_client client = client_of(loop, s);
    bool stuck;
    const struct l4_pick_answer answer = l4_stick_pick(loop->table, &request, &client, &stuck);
    l4_watch_pick(loop, s, &request, &answer, stuck ? L4_PICK_STUCK : L4_PICK_BALANCED);
    return answer;
}

/* A place at s->backend is taken. */
static void begin_to_connect(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    char path[L4_PATH_MAX + 1];
    const struct l4_addr to = l4_table_target(l4_table_backend(loop->table, s->backend), path);
    bool made;
    s->connect_started_us = loop->now_us;
    struct l4_way memory;
    const struct l4_way *way =
        l4_egress_way(&l4_table_pool(loop->table, s->pool)->egress, to.family, &s->client,
                      l4_random(&loop->random), &memory);
    const int fd = l4_sock_connect(&to, path, way, &loop->ports, &made);
    l4_session_enter(loop, index, L4_SESSION_CONNECTS);
    l4_answer_begin(loop, s);
    if (fd < 0) {
        if (made)
            l4_reach_failed(loop, index, fd);
        else
            wait_for_socket(loop, index, fd);
        return;
    }
    s->half[1] = (struct l4_half){.fd = fd, .pipe = L4_NO_PIPE};
    int error = l4_loop_watch(loop, fd, L4_SOCKET_EVENTS, L4_WATCH_BACKEND, index);
    /* The client is watched from its first attempt on. Until there is a backend nothing is read
     * from it: the edge is kept in its flags. */
    if (!error)
        error = l4_session_watch_client(loop, index);
    if (error) {
        s->error = -error;
        l4_session_end(loop, index, L4_END_ERROR);
        return;
    }
    const int32_t left = l4_session_left_ms(loop, s);
    l4_session_wake_in(loop, index, (uint64_t)(left > 0 ? left : 0));
}

void l4_reach_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const bool may_wait = L4_GET(l4_table_pool(loop->table, s->pool)->queue.length) != 0;
    /* One that had its turn and could not reach its backend has not to wait again. */
    if (may_wait && s->attempts == 0 &&
        (l4_queue_is_waited_in(loop, s->pool) || l4_queue_is_for_successor(loop, s))) {
        l4_queue_join(loop, index);
        return;
    }
    const struct l4_pick_answer answer = pick(loop, s, s->attempts);
    s->backend = answer.backend;
    if (s->backend != L4_NONE)
        begin_to_connect(loop, index);
    else if (answer.full && may_wait)
        l4_queue_join(loop, index);
    else
        l4_session_end(loop, index, s->attempts ? L4_END_CONNECT_FAILED : L4_END_NO_BACKEND);
}

bool l4_reach_from_queue(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    /* why: also a backend that it could not reach before: else the first in the queue could wait
     * for another one while those behind it could use this one. */
    const struct l4_pick_answer answer = pick(loop, s, 0);
    if (answer.backend == L4_NONE) {
        if (!answer.full)
            l4_session_end(loop, index, L4_END_NO_BACKEND);
        return !answer.full;
    }
    l4_queue_leave(loop, index);
    l4_session_enter(loop, index, L4_SESSION_WAITS);
    l4_session_set_deadline(loop, s,
                            L4_GET(l4_table_pool(loop->table, s->pool)->connect_timeout_ms));
    s->backend = answer.backend;
    begin_to_connect(loop, index);
    return true;
}

/* The connect came to an end: the backend is there, or not. */
void l4_reach_event(struct l4_loop *loop, uint32_t index, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    int error = 0;
    if (events & (EPOLLERR | EPOLLHUP))
        error = l4_sock_connect_result(s->half[1].fd);
    /* why: a backend may accept, answer and reset before this turn: what it said is delivered.
     * One that resets without a word has served nobody; another backend may. */
    if (error == -ECONNRESET && l4_sock_has_data(s->half[1].fd)) {
        events |= EPOLLERR;
        error = 0;
    } else if (!error) {
        events &= ~(uint32_t)EPOLLERR;
        events |= EPOLLOUT;
    }
    if (error) {
        l4_reach_failed(loop, index, error);
        return;
    }
    l4_half_note(&s->half[1], events);
    if (L4_GET(l4_table_pool(loop->table, s->pool)->send_proxy))
        error = l4_greet(loop, index);
    if (error)
        l4_reach_failed(loop, index, error);
    else if (!l4_secure_backend(loop, index))
        l4_reach_connected(loop, index);
}

void l4_reach_timeout(struct l4_loop *loop, uint32_t index)
{
    const int32_t left = l4_session_left_ms(loop, l4_session_at(loop, index));
    if (left <= 0)
        l4_reach_failed(loop, index, -ETIMEDOUT);
    else
        l4_session_wake_in(loop, index, (uint64_t)left);
}
