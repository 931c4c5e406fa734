/* A worker's loop without a worker, over a small table. Its clock stands still until a test sets
 * it, and a session changes only by what a test does.
 *
 * why: long for a header, because two test programs share this code.
 *
 * Listener 1 leads to pool 0. The pool's backends listen on loopback and never accept; the kernel
 * completes the handshakes.
 */
#ifndef L4_TESTS_FAKE_LOOP_H
#define L4_TESTS_FAKE_LOOP_H

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "check.h"
#include "run/handover.h"
#include "run/lines.h"
#include "run/session.h"
#include "run/stages.h"
#include "run/tcp.h"
#include "sockets.h"
#include "table.h"

enum { FAKE_SESSIONS = 8, FAKE_BACKENDS = 2, FAKE_LISTENER = 1, FAKE_EVENTS = 32 };

static struct l4_loop loop;
static struct l4_timer fake_timers[FAKE_SESSIONS];
static char fake_scratch[L4_SCRATCH_BYTES];
static int fake_backends[FAKE_BACKENDS];

static inline void fake_open_table(void)
{
    const struct l4_caps caps = {.workers = 2,
                                 .listeners = 2,
                                 .pools = 2,
                                 .backends = FAKE_BACKENDS,
                                 .sessions = FAKE_SESSIONS};
    table_with_caps(&caps, NULL, L4_ROUND_ROBIN);
    struct l4_pool *pool = l4_table_pool(&table, 0);
    L4_SET(pool->retries, 2);
    L4_SET(pool->connect_timeout_ms, 1000);
    L4_SET(pool->idle_timeout_ms, 60000);
    L4_SET(pool->half_closed_timeout_ms, 30000);
    L4_SET(l4_table_listener(&table, FAKE_LISTENER)->used, 1);
    L4_SET(l4_table_listener(&table, FAKE_LISTENER)->edge.handshake_timeout_ms, 500);
    L4_SET(l4_table_listener(&table, FAKE_LISTENER)->edge.limits.head, FAKE_LISTENER);
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++) {
        struct l4_addr *at = &l4_table_backend(&table, i)->addr;
        *at = (struct l4_addr){.family = AF_INET, .ip = {127, 0, 0, 1}};
        fake_backends[i] = listen_on_loopback(&at->port);
    }
}

static inline void fake_start(void)
{
    signal(SIGPIPE, SIG_IGN);
    fake_open_table();
    loop = (struct l4_loop){.table = &table, .capacity = FAKE_SESSIONS, .listening = true};
    loop.setup = (struct l4_worker_setup){
        .table = table, .event_fd = eventfd(0, EFD_NONBLOCK), .mailbox_fd = -1};
    loop.row = l4_table_worker(&table, 0);
    loop.pump = (struct l4_pump){.pipes = &loop.pipes, .scratch = fake_scratch};
    l4_row_start(&loop);
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.now_ms = 1000;
    loop.now_us = 1000000;
    loop.random = 7;
    l4_pipes_init(&loop.pipes, 8);
    l4_wheel_init(&loop.wheel, fake_timers, FAKE_SESSIONS, loop.now_ms);
    CHECK_EQ(0, l4_lines_start(&loop));
}

/* Checks that sessions have given everything back. */
static inline void fake_stop(void)
{
    l4_plane_tcp.end_all(&loop, L4_NONE, L4_END_STOPPED);
    l4_row_sweep(&loop);
    CHECK(loop.held == 0 && loop.tarpits == 0);
    CHECK_EQ(0, L4_GET(table.header->connections));
    CHECK_EQ(0, L4_GET(l4_table_pool(&table, 0)->queue.waiting));
    CHECK_EQ(0, L4_GET(l4_table_listener(&table, FAKE_LISTENER)->edge.limits.inflight));
    CHECK_EQ(0, L4_GET(l4_table_tally(&table, 0, FAKE_LISTENER)->active));
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++) {
        CHECK_EQ(0, L4_GET(l4_table_backend(&table, i)->inflight));
        if (fake_backends[i] >= 0)
            close(fake_backends[i]);
    }
    l4_lines_finish(&loop);
    l4_pipes_close(&loop.pipes);
    close(loop.epoll);
    close(loop.setup.event_fd);
    l4_table_close(&table);
}

static inline void fake_later(uint64_t ms)
{
    loop.now_ms += ms;
    loop.now_us = loop.now_ms * 1000;
}

/* Returns the row of a session that was accepted and has entered no stage; *client: its other end.
 */
static inline uint32_t fake_session(int *client)
{
    const struct l4_addr from = {.family = AF_INET, .port = 4711, .ip = {10, 0, 0, 7}};
    int pair[2];
    tcp_pair(pair);
    nonblocking(pair[1]);
    *client = pair[0];
    const uint32_t index = l4_row_take(&loop);
    struct l4_session *s = l4_session_at(&loop, index);
    l4_row_reset(&loop, s, FAKE_LISTENER, 0, &from);
    s->half[L4_CLIENT].fd = pair[1];
    s->half[L4_CLIENT].flags = L4_HALF_OUT | L4_HALF_NODELAY;
    l4_row_enter(&loop, index, L4_SESSION_ACCEPTED);
    l4_row_publish(&loop, s);
    CHECK(l4_count_take_client(&table, 0, 0));
    L4_OWN_ADD(l4_row_tally(&loop, s)->active, 1);
    return index;
}

/* Puts a session into any state, whether an edge leads to it or not, to test one stage alone. */
static inline void fake_state(uint32_t index, enum l4_session_state state)
{
    L4_SET(l4_session_at(&loop, index)->state, state);
}

/* Makes one turn of the loop: events of the kernel, then the timers that are due. */
static inline void fake_turn(void)
{
    struct epoll_event events[FAKE_EVENTS];
    const int count = epoll_wait(loop.epoll, events, FAKE_EVENTS, 0);
    l4_plane_tcp.begin_turn(&loop);
    for (int i = 0; i < count; i++)
        l4_session_event(&loop, (uint32_t)events[i].data.u64,
                         (enum l4_side)((events[i].data.u64 >> 32) - L4_WATCH_SESSION),
                         events[i].events);
    l4_plane_tcp.turn(&loop);
    l4_plane_tcp.end_turn(&loop);
}

#endif
