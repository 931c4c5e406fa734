#include "run/worker.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "run/bounds.h"
#include "run/commands.h"
#include "run/handover.h"
#include "run/planes.h"
#include "run/row.h"
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

/* Divides the remaining descriptors between the planes. TCP, the first plane, takes what the
 * others leave. */
static void plan_descriptors(struct l4_loop *loop)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    const uint64_t limit = files.rlim_cur < (1u << 30) ? files.rlim_cur : 1u << 30;
    const uint64_t taken = open_descriptors() + (uint64_t)L4_FDS_RESERVED;
    uint64_t left = limit > taken ? limit - taken : 0;
    for (int i = L4_PLANES; i-- > 0;) {
        const uint64_t planned = l4_planes[i]->plan(loop, left);
        left = left > planned ? left - planned : 0;
    }
}

/* Frees all rows. The rows of a process that died here may have any content. */
static void clear_rows(struct l4_loop *loop)
{
    const uint32_t high = L4_GET(loop->row->sessions_high);
    for (uint32_t i = 0; i < high && i < loop->table->plan.caps.sessions; i++) {
        L4_SET(l4_session_at(loop, i)->serial, 0);
        L4_SET(l4_session_at(loop, i)->state, L4_SESSION_FREE);
    }
}

/* Sets up what needs no memory and cannot fail. */
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

/* Makes the epoll set, and adds to it the descriptors of the supervisor's messages. */
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

static int start_worker(struct l4_loop *loop, const struct l4_worker_setup *setup)
{
    set_up(loop, setup);
    plan_descriptors(loop);
    int error = l4_bounds_start(loop);
    if (!error)
        error = l4_handover_start(loop);
    if (!error)
        error = open_epoll(loop);
    if (!error)
        error = l4_vault_open(loop);
    for (int i = 0; !error && i < L4_PLANES; i++)
        error = l4_planes[i]->start(loop);
    L4_SET(loop->row->paused, 0);
    atomic_store(&loop->row->shed_asked, 0);
    L4_SET(loop->row->state, L4_WORKER_RUNS);
    l4_loop_read_clock(loop);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    return error;
}

/* Undoes start, whatever part of it was done. Sessions on offer are this worker's again before
 * anything that a session needs is freed. */
static void finish_worker(struct l4_loop *loop)
{
    L4_SET(loop->row->state, L4_WORKER_OFF);
    l4_handover_close_all(loop);
    for (int i = L4_PLANES; i-- > 0;)
        l4_planes[i]->finish(loop);
    l4_vault_close(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    l4_handover_finish(loop);
    l4_bounds_finish(loop);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void handle_event(struct l4_loop *loop, const struct epoll_event *event)
{
    const uint32_t index = (uint32_t)event->data.u64, what = (uint32_t)(event->data.u64 >> 32);
    switch (what) {
    case L4_WATCH_COMMAND:
        l4_commands_take(loop);
        break;
    case L4_WATCH_LIFELINE:
        l4_commands_go_on_alone(loop);
        break;
    case L4_WATCH_MAILBOX:
        loop->error = l4_commands_take_mail(loop);
        break;
    case L4_WATCH_HANDOVER:
        l4_handover_event(loop, index);
        break;
    case L4_WATCH_LISTENER:
        l4_plane_of(loop, index)->receive(loop, index);
        break;
    default:
        L4_ASSERT(what >= L4_WATCH_SESSION && (what - L4_WATCH_SESSION) / 2 < L4_PLANES);
        l4_planes[(what - L4_WATCH_SESSION) / 2]->event(
            loop, index, (enum l4_side)((what - L4_WATCH_SESSION) % 2), event->events);
        break;
    }
}

static int loop_wait_ms(struct l4_loop *loop)
{
    if (l4_vault_is_busy(loop))
        return 0;
    int wait = l4_sooner_ms(l4_handover_wait_ms(loop), l4_commands_alone_ms(loop));
    for (int i = 0; i < L4_PLANES; i++)
        wait = l4_sooner_ms(wait, l4_planes[i]->wait_ms(loop));
    return wait;
}

/* Does the event mean new clients only? */
static bool is_knock(const struct l4_loop *loop, const struct epoll_event *event)
{
    return event->data.u64 >> 32 == L4_WATCH_LISTENER &&
           l4_plane_of(loop, (uint32_t)event->data.u64)->knocks;
}

/* Handles all events, those of live sessions before those of new clients: a flood of new
 * connections must not delay the sessions whose events came with it. After a stop, no further
 * event is handled. */
static void handle_events(struct l4_loop *loop, const struct epoll_event *events, int count)
{
    for (int knocks = 0; knocks < 2; knocks++) {
        for (int i = 0; i < count && !loop->stopping; i++) {
            if (is_knock(loop, &events[i]) == knocks)
                handle_event(loop, &events[i]);
        }
    }
}

static void begin_planes(struct l4_loop *loop)
{
    for (int i = 0; i < L4_PLANES; i++) {
        if (l4_planes[i]->begin_turn)
            l4_planes[i]->begin_turn(loop);
    }
}

static void turn_planes(struct l4_loop *loop)
{
    for (int i = 0; i < L4_PLANES; i++)
        l4_planes[i]->turn(loop);
}

static void end_planes(struct l4_loop *loop)
{
    for (int i = 0; i < L4_PLANES; i++) {
        if (l4_planes[i]->end_turn)
            l4_planes[i]->end_turn(loop);
    }
}

static int run_iteration(struct l4_loop *loop)
{
    struct epoll_event events[L4_EVENTS_BATCH];
    const int count = epoll_wait(loop->epoll, events, L4_EVENTS_BATCH, loop_wait_ms(loop));
    if (count < 0 && errno != EINTR)
        return -errno;
    l4_loop_read_clock(loop);
    l4_vault_tend(loop);
    L4_OWN_ADD(loop->row->turns, 1);
    L4_SET(loop->row->beat_ms, loop->now_ms);
    begin_planes(loop);
    handle_events(loop, events, count);
    turn_planes(loop);
    if (l4_commands_alone_ms(loop) == 0)
        l4_commands_end_alone(loop);
    if (loop->handover_count)
        l4_handover_revisit(loop);
    end_planes(loop);
    l4_vault_thrift(loop);
    L4_SET(loop->row->held, l4_planes_held(loop));
    return loop->error;
}

int l4_worker_run(const struct l4_worker_setup *setup)
{
    L4_ASSERT(setup->index < setup->table.plan.caps.workers);
    struct l4_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    loop->epoll = -1;
    int error = start_worker(loop, setup);
    while (!error && !loop->stopping && !(loop->draining && l4_planes_held(loop) == 0))
        error = run_iteration(loop);
    L4_ASSERT(error || loop->held == 0);
    finish_worker(loop);
    free(loop);
    return error;
}
