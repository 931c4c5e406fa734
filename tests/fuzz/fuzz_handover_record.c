/* Records of hand-overs, with any content. A session that is taken over is driven by events, and
 * has given everything back at its end. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../c/table.h"
#include "require.h"
#include "run/handover.h"
#include "run/handover_record.h"
#include "run/lines.h"
#include "run/session.h"
#include "run/tcp.h"

enum { SESSIONS = 8, OPS_MAX = 32, EVENTS = 8 };

enum how { /* bits of the first byte: parts of the record that stay as in the input */
           ODD_NAMES = 1 << 0,
           ODD_STATE = 1 << 1,
           ODD_FDS = 1 << 2,
           ODD_FACTS = 1 << 3,
           ODD_FLAGS = 1 << 4,
           ODD_CLIENT = 1 << 5
};

static struct l4_loop loop;
static struct l4_timer timers[SESSIONS];
static char scratch[L4_SCRATCH_BYTES];

static void name_rows(void)
{
    struct l4_pool *pool = l4_table_pool(&table, 0);
    strcpy(l4_table_listener(&table, 1)->name, "front");
    strcpy(l4_table_listener(&table, 1)->bind, "127.0.0.1:80");
    L4_SET(l4_table_listener(&table, 1)->used, 1);
    strcpy(pool->name, "web");
    strcpy(l4_table_backend(&table, 2)->name, "c");
    L4_SET(pool->idle_timeout_ms, 1000);
    L4_SET(pool->half_closed_timeout_ms, 500);
    L4_SET(pool->connect_timeout_ms, 100);
    L4_SET(pool->retries, 8);
}

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    table_with(2, 3, NULL, L4_ROUND_ROBIN);
    name_rows();
    loop = (struct l4_loop){.table = &table, .capacity = SESSIONS};
    loop.setup =
        (struct l4_worker_setup){.table = table, .index = 1, .event_fd = -1, .mailbox_fd = -1};
    loop.row = l4_table_worker(&table, 1);
    loop.pump = (struct l4_pump){.pipes = &loop.pipes, .scratch = scratch};
    l4_row_start(&loop);
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.now_ms = 1000;
    loop.now_us = 1000000;
    l4_pipes_init(&loop.pipes, 8);
    l4_wheel_init(&loop.wheel, timers, SESSIONS, loop.now_ms);
    loop.handovers = calloc(L4_HANDOVERS, sizeof *loop.handovers);
    REQUIRE(loop.handovers && l4_lines_start(&loop) == 0);
}

/* Corrects all other parts, because most inputs would be refused at the first check. */
static void make_fit(struct l4_record *record, uint8_t how)
{
    static const uint32_t states[] = {L4_SESSION_CONNECT, L4_SESSION_RELAY, L4_SESSION_RESET,
                                      L4_SESSION_QUEUE};
    record->magic = L4_RECORD_MAGIC;
    if (!(how & ODD_NAMES)) {
        strcpy(record->listener_name, "front");
        strcpy(record->listener_bind, "127.0.0.1:80");
        strcpy(record->pool_name, "web");
        strcpy(record->backend_name, "c");
    }
    if (!(how & ODD_STATE))
        record->state = states[record->state % 4];
    if (!(how & ODD_FDS)) {
        const bool reads = record->state == L4_SESSION_RELAY || record->state == L4_SESSION_RESET;
        record->fds &= reads ? L4_RECORD_PIPE_0 | L4_RECORD_PIPE_1 : 0;
        record->fds |= L4_RECORD_CLIENT;
        record->fds |= record->state == L4_SESSION_QUEUE ? 0 : L4_RECORD_BACKEND;
        for (int half = 0; half < 2; half++)
            record->piped[half] = record->fds & (half ? L4_RECORD_PIPE_1 : L4_RECORD_PIPE_0)
                                      ? record->piped[half] % 4096 + 1
                                      : 0;
        record->attempts %= L4_RETRIES_MAX + 2;
        record->reason %= L4_REASON_COUNT;
        record->first_end %= 3;
        record->half_closed %= 2;
    }
    if (!(how & ODD_FACTS)) {
        record->facts.known = 0;
        memset(record->facts.bytes, 0, sizeof record->facts.bytes);
    }
    if (!(how & ODD_FLAGS)) {
        record->flags[0] &= L4_HALF_UNSENT - 1u;
        record->flags[1] &= L4_HALF_UNSENT - 1u;
    }
    if (!(how & ODD_CLIENT))
        record->client.family = AF_INET;
}

/* Makes the descriptors that the record announces; ends: the other ends of its sockets. */
static uint32_t make_fds(const struct l4_record *record, int *fds, int *ends)
{
    uint32_t count = 0;
    for (int half = 0; half < 2; half++) {
        int pair[2];
        ends[half] = -1;
        if (!(record->fds & (half ? L4_RECORD_BACKEND : L4_RECORD_CLIENT)))
            continue;
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        fds[count++] = pair[0];
        ends[half] = pair[1];
    }
    for (int half = 0; half < 2; half++) {
        if (!(record->fds & (half ? L4_RECORD_PIPE_1 : L4_RECORD_PIPE_0)))
            continue;
        const size_t bytes = record->piped[half] < 8192 ? record->piped[half] : 8192;
        REQUIRE(pipe2(fds + count, O_NONBLOCK) == 0);
        REQUIRE(write(fds[count + 1], scratch, bytes) == (ssize_t)bytes);
        count += 2;
    }
    return count;
}

/* Carries out one byte of the input: an act of a peer, or a step of the clock. */
static void act(uint8_t op, int *ends)
{
    static char sink[70000];
    int *end = &ends[op & 1];
    const uint32_t size = op >> 4;
    switch (op >> 1 & 7) {
    case 0:
        (void)!write(*end, scratch, size * 3000 + 1);
        break;
    case 1:
        if (*end >= 0)
            close(*end);
        *end = -1;
        break;
    case 2:
        (void)!shutdown(*end, SHUT_WR);
        break;
    case 3:
        (void)!read(*end, sink, size * 4000 + 1);
        break;
    case 4:
        loop.now_ms += size * 40u;
        loop.now_us = loop.now_ms * 1000;
        break;
    default:
        break;
    }
}

/* Handles events and timers as the worker's loop does. */
static void turn(void)
{
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(loop.epoll, events, EVENTS, 0);
    l4_plane_tcp.begin_turn(&loop);
    for (int i = 0; i < count; i++)
        l4_session_event(&loop, (uint32_t)events[i].data.u64,
                         (enum l4_side)((events[i].data.u64 >> 32) - L4_WATCH_SESSION),
                         events[i].events);
    l4_plane_tcp.turn(&loop);
    l4_plane_tcp.end_turn(&loop);
}

static void end_all(void)
{
    for (uint32_t i = 0; i < loop.fresh; i++) {
        if (L4_GET(l4_session_at(&loop, i)->serial))
            l4_session_end(&loop, i, L4_END_STOPPED);
    }
    turn();
    REQUIRE(loop.held == 0 && L4_GET(table.header->connections) == 0);
    for (uint32_t i = 0; i < 3; i++)
        REQUIRE(L4_GET(l4_table_backend(&table, i)->inflight) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct l4_record record = {0};
    int fds[8], ends[2];
    if (!loop.table)
        begin();
    if (bytes < 8)
        return 0;
    const uint8_t how = data[0];
    const size_t asked = data[1] % OPS_MAX + 1u, rest = bytes - 2;
    const size_t ops = asked < rest ? asked : rest;
    memcpy(&record, data + 2, rest - ops < sizeof record ? rest - ops : sizeof record);
    make_fit(&record, how);
    const uint32_t count = make_fds(&record, fds, ends);
    const bool taken = l4_record_read(&loop, &record, fds, count);
    for (uint32_t i = 0; !taken && i < count; i++)
        close(fds[i]);
    for (size_t i = 0; taken && i < ops; i++) {
        act(data[bytes - ops + i], ends);
        turn();
    }
    end_all();
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
    }
    return 0;
}
