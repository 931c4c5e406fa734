#include "run/worker.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "run/accept.h"
#include "run/commands.h"
#include "run/handover.h"
#include "run/lines.h"
#include "run/session.h"
#include "run/shed.h"
#include "run/tcp.h"
#include "run/udp_session.h"
#include "run/vault.h"

/* ---- start and finish ------------------------------------------------------------------------ */

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
    const uint32_t count = loop->setup.bound_count, room = l4_bounds_room(loop->table);
    struct l4_timer *timers = calloc(loop->capacity, sizeof *timers);
    loop->bounds = malloc(room * sizeof *loop->bounds);
    loop->handovers = calloc(L4_HANDOVERS, sizeof *loop->handovers);
    loop->pump.scratch = malloc(L4_SCRATCH_BYTES);
    if (!timers || !loop->bounds || !loop->handovers || !loop->pump.scratch || count > room) {
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
    free(loop->handovers);
    free(loop->bounds);
}

/* What needs no memory and cannot fail. */
static void set_up(struct l4_loop *loop, const struct l4_worker_setup *setup)
{
    loop->setup = *setup;
    loop->table = &loop->setup.table;
    loop->row = l4_table_worker(loop->table, setup->index);
    loop->pump.pipes = &loop->pipes;
    l4_row_start(loop);
    l4_loop_read_clock(loop);
    if (getrandom(&loop->random, sizeof loop->random, 0) != sizeof loop->random)
        loop->random = loop->now_us;
    l4_ports_start_here(&loop->ports, l4_random(&loop->random));
    clear_rows(loop);
    signal(SIGPIPE, SIG_IGN);
}

/* Makes the epoll set, and puts what the supervisor speaks through into it. */
static int open_epoll(struct l4_loop *loop)
{
    const struct l4_worker_setup *setup = &loop->setup;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -errno;
    int error = l4_loop_watch(loop, setup->command_fd, EPOLLIN, L4_WATCH_COMMAND, 0);
    if (!error)
        error = l4_loop_watch(loop, setup->lifeline_fd, EPOLLIN, L4_WATCH_LIFELINE, 0);
    if (!error && setup->mailbox_fd >= 0)
        error = l4_loop_watch(loop, setup->mailbox_fd, EPOLLIN, L4_WATCH_MAILBOX, 0);
    return error;
}

static int start(struct l4_loop *loop, const struct l4_worker_setup *setup)
{
    uint32_t pipes;
    set_up(loop, setup);
    const uint32_t flows = plan_descriptors(loop, &pipes);
    l4_pipes_init(&loop->pipes, pipes);
    int error = take_memory(loop);
    if (!error)
        error = l4_lines_start(loop);
    if (!error)
        error = open_epoll(loop);
    if (!error)
        error = l4_vault_open(loop);
    if (!error)
        error = l4_accept_start(loop);
    if (!error)
        error = l4_udp_start(loop, flows);
    loop->setup.hold_udp = false; /* none that comes later has anything to wait for */
    L4_SET(loop->row->paused, 0);
    atomic_store(&loop->row->shed_asked, 0);
    L4_SET(loop->row->state, L4_WORKER_RUNS);
    l4_loop_read_clock(loop);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    return error;
}

/* The mirror of start, whatever of it was done. Sessions on offer are this worker's again before
 * anything that a session needs is taken down. */
static void finish(struct l4_loop *loop)
{
    L4_SET(loop->row->state, L4_WORKER_OFF);
    l4_handover_close_all(loop);
    l4_udp_finish(loop);
    l4_vault_close(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    l4_lines_finish(loop);
    give_memory_back(loop);
    l4_pipes_close(&loop->pipes);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void handle(struct l4_loop *loop, const struct epoll_event *event)
{
    const uint32_t index = (uint32_t)event->data.u64;
    switch ((enum l4_watch)(event->data.u64 >> 32)) {
    case L4_WATCH_COMMAND:
        l4_commands_take(loop);
        break;
    case L4_WATCH_LIFELINE:
        l4_commands_go_on_alone(loop);
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
    case L4_WATCH_MAILBOX:
        loop->error = l4_commands_take_mail(loop);
        break;
    case L4_WATCH_HANDOVER:
        l4_handover_event(loop, index);
        break;
    case L4_WATCH_CLIENT:
        l4_session_event(loop, index, L4_CLIENT, event->events);
        break;
    case L4_WATCH_BACKEND:
        l4_session_event(loop, index, L4_BACKEND, event->events);
        break;
    }
}

/* The sooner of two waits; -1 is none. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int wait_ms(struct l4_loop *loop)
{
    if (loop->ready.count || l4_vault_is_busy(loop))
        return 0;
    const int timer = l4_wheel_wait_ms(&loop->wheel, loop->now_ms);
    const int others = sooner(l4_udp_wait_ms(loop), l4_handover_wait_ms(loop));
    const int both = sooner(sooner(timer, l4_accept_wait_ms(loop)), others);
    return sooner(both, l4_commands_alone_ms(loop));
}

static bool is_listener(const struct epoll_event *event)
{
    return event->data.u64 >> 32 == L4_WATCH_LISTENER;
}

/* Sessions that are here come before new clients: a flood of new connections makes a turn no longer
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
    l4_loop_read_clock(loop);
    l4_vault_tend(loop);
    L4_OWN_ADD(loop->row->turns, 1);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    l4_tcp_resume(loop);
    handle_all(loop, events, count);
    l4_tcp_expire(loop);
    if (l4_commands_alone_ms(loop) == 0)
        l4_commands_end_alone(loop);
    if (loop->handover_count)
        l4_handover_revisit(loop);
    l4_udp_turn(loop);
    l4_tcp_serve(loop);
    l4_shed_turn(loop);
    l4_accept_shed(loop);
    l4_row_sweep(loop);
    l4_vault_thrift(loop);
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
