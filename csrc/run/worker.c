#include "run/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "run/accept.h"
#include "run/admit.h"
#include "run/hand.h"
#include "run/post.h"
#include "run/queue.h"
#include "run/relay.h"
#include "run/secure.h"
#include "run/session.h"
#include "run/shed.h"
#include "run/udp_session.h"
#include "shm/count.h"
#include "shm/ring.h"

int l4_loop_watch(const struct l4_loop *loop, int fd, uint32_t events, enum l4_watch what,
                  uint32_t index)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)what << 32 | index};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Adds one to an eventfd. Its count cannot overflow, so this cannot fail. */
static void ring_bell(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

void l4_loop_event(struct l4_loop *loop, enum l4_event_kind kind, uint32_t a, uint64_t b)
{
    const struct l4_event event = {.at_ms = loop->now_ms, .kind = kind, .a = a, .b = b};
    L4_RING_PUT(loop->row, event_ring, events, &event);
    ring_bell(loop->setup.event_fd);
}

void l4_loop_portless(struct l4_loop *loop)
{
    L4_OWN_ADD(loop->row->portless, 1);
    if (loop->portless_told_ms && loop->now_ms - loop->portless_told_ms < L4_PORTLESS_TELL_MS)
        return;
    loop->portless_told_ms = loop->now_ms;
    l4_loop_event(loop, L4_EVENT_PORTLESS, 0, 0);
}

static void read_clock(struct l4_loop *loop)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    loop->now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    loop->now_ms = loop->now_us / 1000;
}

/* ---- start ----------------------------------------------------------------------------------- */

static uint32_t open_descriptors(void)
{
    uint32_t count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (list && readdir(list))
        count++;
    if (list)
        closedir(list);
    return count;
}

/* Shares the descriptors left between UDP sessions (one each, up to their share), TCP sessions (two
 * each) and pipes (two each, one in sixteen). Returns the number of UDP sessions. */
static uint32_t plan_descriptors(struct l4_loop *loop, uint32_t *pipes)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    const uint64_t limit = files.rlim_cur < (1u << 30) ? files.rlim_cur : 1u << 30;
    const uint64_t taken = open_descriptors() + (uint64_t)L4_FDS_RESERVED;
    uint64_t left = limit > taken ? limit - taken : 0;
    const uint32_t flows = l4_udp_plan(loop, left);
    left = left > flows ? left - flows : 0;
    uint64_t most = left / 32 < L4_PIPES_MAX ? left / 32 : L4_PIPES_MAX;
    *pipes = (uint32_t)(most ? most : 1);
    most = left > 2ull * *pipes ? (left - 2ull * *pipes) / 2 : 0;
    loop->capacity = loop->table->plan.caps.sessions;
    if (most < loop->capacity)
        loop->capacity = most ? (uint32_t)most : 1;
    L4_SET(loop->row->capacity, loop->capacity);
    return flows;
}

/* The rows of a process that died here may say anything: all are made free. */
static void clear_rows(struct l4_loop *loop)
{
    const uint32_t high = L4_GET(loop->row->sessions_high);
    for (uint32_t i = 0; i < high && i < loop->table->plan.caps.sessions; i++) {
        L4_SET(l4_session_at(loop, i)->serial, 0);
        L4_SET(l4_session_at(loop, i)->state, L4_SESSION_FREE);
    }
}

static int take_memory(struct l4_loop *loop)
{
    const uint32_t count = loop->setup.bound_count, room = l4_accept_room(loop->table);
    struct l4_timer *timers = calloc(loop->capacity, sizeof *timers);
    loop->bounds = malloc(room * sizeof *loop->bounds);
    loop->hands = calloc(L4_HANDS, sizeof *loop->hands);
    loop->pump.scratch = malloc(L4_SCRATCH_BYTES);
    if (!timers || !loop->bounds || !loop->hands || !loop->pump.scratch || count > room) {
        free(timers);
        return -ENOMEM;
    }
    if (count)
        memcpy(loop->bounds, loop->setup.bounds, count * sizeof *loop->bounds);
    loop->bound_count = count;
    l4_wheel_init(&loop->wheel, timers, loop->capacity, loop->now_ms);
    return 0;
}

static void give_memory_back(struct l4_loop *loop)
{
    free(loop->wheel.timers);
    free(loop->pump.scratch);
    free(loop->hands);
    free(loop->bounds);
}

static int start(struct l4_loop *loop, const struct l4_worker_setup *setup)
{
    uint32_t pipes;
    loop->setup = *setup;
    loop->table = &loop->setup.table;
    loop->row = l4_table_worker(loop->table, setup->index);
    loop->pump.pipes = &loop->pipes;
    l4_session_start(loop);
    read_clock(loop);
    if (getrandom(&loop->random, sizeof loop->random, 0) != sizeof loop->random)
        loop->random = loop->now_us;
    l4_ports_start_here(&loop->ports, l4_random(&loop->random));
    const uint32_t flows = plan_descriptors(loop, &pipes);
    l4_pipes_init(&loop->pipes, pipes);
    clear_rows(loop);
    signal(SIGPIPE, SIG_IGN);

    int error = take_memory(loop);
    if (!error)
        error = l4_queue_start(loop);
    if (error)
        return error;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -errno;
    error = l4_loop_watch(loop, setup->command_fd, EPOLLIN, L4_WATCH_COMMAND, 0);
    if (!error)
        error = l4_loop_watch(loop, setup->lifeline_fd, EPOLLIN, L4_WATCH_LIFELINE, 0);
    if (!error && setup->post_fd >= 0)
        error = l4_loop_watch(loop, setup->post_fd, EPOLLIN, L4_WATCH_POST, 0);
    if (!error)
        error = l4_secure_open(loop);
    if (!error)
        error = l4_accept_start(loop);
    if (!error)
        error = l4_udp_start(loop, flows);
    loop->setup.hold_udp = false; /* none that comes later has anything to wait for */
    L4_SET(loop->row->paused, 0);
    atomic_store(&loop->row->shed_asked, 0);
    L4_SET(loop->row->state, L4_WORKER_RUNS);
    read_clock(loop);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    return error;
}

/* The mirror of start, whatever of it was done. Sessions on offer are this worker's again before
 * anything that a session needs is taken down. */
static void finish(struct l4_loop *loop)
{
    L4_SET(loop->row->state, L4_WORKER_OFF);
    l4_hand_close_all(loop);
    l4_udp_finish(loop);
    l4_secure_close(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    l4_queue_finish(loop);
    give_memory_back(loop);
    l4_pipes_close(&loop->pipes);
}

/* ---- commands -------------------------------------------------------------------------------- */

void l4_loop_leave(struct l4_loop *loop)
{
    if (loop->draining)
        return;
    L4_SET(loop->row->state, L4_WORKER_DRAINS);
    l4_accept_leave(loop);
    loop->draining = true;
    l4_udp_close_fronts(loop);
}

static void drain(struct l4_loop *loop)
{
    if (loop->draining)
        return;
    L4_SET(loop->row->state, L4_WORKER_DRAINS);
    l4_udp_drain(loop);
    loop->draining = true;
    l4_accept_finish(loop);
}

/* Ends every session, or (backend not L4_NONE) every session of one backend. */
static void end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
{
    for (uint32_t i = 0; i < loop->fresh; i++) {
        const struct l4_session *s = l4_session_at(loop, i);
        const bool leaves = L4_GET(s->state) == L4_SESSION_LEAVES;
        if (!s->serial || leaves || (backend != L4_NONE && s->backend != backend))
            continue;
        if (backend != L4_NONE && L4_GET(s->state) == L4_SESSION_RELAYS)
            l4_relay_drain(loop, i, reason); /* its client gets what the backend has said */
        else
            l4_session_end(loop, i, reason);
    }
    l4_udp_end_all(loop, backend, reason);
}

/* why the hands first: what is on offer is in no other worker, and goes back to the state that it
 * had, to be ended like all others. */
static void stop(struct l4_loop *loop, enum l4_reason reason)
{
    l4_hand_close_all(loop);
    drain(loop);
    end_all(loop, L4_NONE, reason);
    loop->stopping = true;
}

/* Nobody is left to restart or to steer, and who starts the service again needs the addresses now.
 * why UDP sessions end: without their listener's socket they have no way to their clients. */
static void go_on_alone(struct l4_loop *loop)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->setup.lifeline_fd, NULL);
    drain(loop);
    l4_accept_close_udp(loop);
    loop->alone_end_ms = loop->now_ms + L4_GET(loop->table->header->drain_timeout_ms);
}

static void kill_session(struct l4_loop *loop, uint32_t slot, uint32_t serial)
{
    const struct l4_caps *caps = &loop->table->plan.caps;
    const bool udp = slot >= caps->sessions;
    const bool known =
        udp ? loop->udp && slot - caps->sessions < loop->udp->flows.fresh : slot < loop->fresh;
    if (!known || !serial || L4_GET(l4_session_at(loop, slot)->serial) != serial)
        return;
    if (udp)
        l4_udp_end(loop, slot - caps->sessions, L4_END_KILLED);
    else if (L4_GET(l4_session_at(loop, slot)->state) != L4_SESSION_LEAVES)
        l4_session_end(loop, slot, L4_END_KILLED);
}

static void obey(struct l4_loop *loop, const struct l4_command *command)
{
    switch (command->op) {
    case L4_CMD_DRAIN:
        drain(loop);
        break;
    case L4_CMD_STOP:
        stop(loop, command->reason);
        break;
    case L4_CMD_KILL:
        kill_session(loop, command->slot, command->serial);
        break;
    case L4_CMD_SECRETS:
        l4_secure_refresh(loop);
        break;
    case L4_CMD_RECOUNT:
        l4_admit_recount(loop);
        break;
    case L4_CMD_KILL_BACKEND:
        end_all(loop, command->slot, L4_END_KILLED);
        break;
    }
}

static void take_commands(struct l4_loop *loop)
{
    uint64_t bells;
    struct l4_command command;
    (void)!read(loop->setup.command_fd, &bells, sizeof bells);
    while (L4_RING_TAKE(loop->row, command_ring, commands, &command))
        obey(loop, &command);
    l4_queue_rung(loop);
    l4_shed_asked(loop);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void handle(struct l4_loop *loop, const struct epoll_event *event)
{
    const uint32_t index = (uint32_t)event->data.u64;
    switch ((enum l4_watch)(event->data.u64 >> 32)) {
    case L4_WATCH_COMMAND:
        take_commands(loop);
        break;
    case L4_WATCH_LIFELINE:
        go_on_alone(loop);
        break;
    case L4_WATCH_LISTENER:
        if (loop->listening)
            l4_accept_batch(loop, index);
        break;
    case L4_WATCH_UDP_LISTENER:
        l4_udp_receive(loop, index);
        break;
    case L4_WATCH_FLOW:
        l4_udp_event(loop, index, event->events);
        break;
    case L4_WATCH_POST:
        loop->error = l4_post_take(loop);
        break;
    case L4_WATCH_HAND:
        l4_hand_event(loop, index);
        break;
    case L4_WATCH_CLIENT:
        l4_session_event(loop, index, 0, event->events);
        break;
    case L4_WATCH_BACKEND:
        l4_session_event(loop, index, 1, event->events);
        break;
    }
}

/* The sooner of two waits; -1 is none. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How long a worker that is alone may go on. */
static int alone_ms(const struct l4_loop *loop)
{
    const uint64_t left = loop->alone_end_ms > loop->now_ms ? loop->alone_end_ms - loop->now_ms : 0;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

static int wait_ms(struct l4_loop *loop)
{
    if (loop->ready.count || l4_secure_is_busy(loop))
        return 0;
    const int timer = l4_wheel_wait_ms(&loop->wheel, loop->now_ms);
    const int others = sooner(l4_udp_wait_ms(loop), l4_hand_wait_ms(loop));
    const int both = sooner(sooner(timer, l4_accept_wait_ms(loop)), others);
    return loop->alone_end_ms ? sooner(both, alone_ms(loop)) : both;
}

static void expire(struct l4_loop *loop)
{
    for (uint32_t n; (n = l4_wheel_expire(&loop->wheel, loop->now_ms)) != L4_NONE;)
        l4_session_timeout(loop, n);
}

/* Goes once through the sessions that had work left over when this turn began. */
static void resume_ready(struct l4_loop *loop)
{
    for (uint32_t left = loop->ready.count; left && loop->ready.count; left--)
        l4_session_resume(loop, l4_list_take(loop, &loop->ready));
}

static bool is_listener(const struct epoll_event *event)
{
    return event->data.u64 >> 32 == L4_WATCH_LISTENER;
}

/* Who is here already comes before who knocks: a flood of new connections makes a turn no longer
 * for the sessions whose events came with it. After a stop nothing begins any more. */
static void handle_all(struct l4_loop *loop, const struct epoll_event *events, int count)
{
    for (int knocks = 0; knocks < 2; knocks++) {
        for (int i = 0; i < count && !loop->stopping; i++) {
            if (is_listener(&events[i]) == knocks)
                handle(loop, &events[i]);
        }
    }
}

static int turn(struct l4_loop *loop)
{
    struct epoll_event events[L4_EVENTS_BATCH];
    const int count = epoll_wait(loop->epoll, events, L4_EVENTS_BATCH, wait_ms(loop));
    if (count < 0 && errno != EINTR)
        return -errno;
    read_clock(loop);
    l4_secure_tend(loop);
    L4_OWN_ADD(loop->row->turns, 1);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    resume_ready(loop);
    handle_all(loop, events, count);
    expire(loop);
    if (loop->alone_end_ms && alone_ms(loop) == 0)
        stop(loop, L4_END_DRAIN_TIMEOUT);
    if (loop->hand_count)
        l4_hand_revisit(loop);
    l4_udp_turn(loop);
    l4_queue_serve(loop);
    l4_shed_turn(loop);
    l4_accept_shed(loop);
    l4_session_sweep(loop);
    l4_secure_thrift(loop);
    l4_accept_revisit(loop);
    if (loop->closing)
        l4_accept_close_rest(loop);
    L4_SET(loop->row->held, loop->held + l4_udp_held(loop));
    return loop->error;
}

int l4_worker_run(const struct l4_worker_setup *setup)
{
    L4_ASSERT(setup->index < setup->table.plan.caps.workers);
    struct l4_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    loop->epoll = -1;
    int error = start(loop, setup);
    while (!error && !loop->stopping && !(loop->draining && loop->held + l4_udp_held(loop) == 0))
        error = turn(loop);
    L4_ASSERT(error || loop->held == 0);
    finish(loop);
    free(loop);
    return error;
}
