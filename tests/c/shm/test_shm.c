/* The shared table's memory, its ring, and its counts after a death at any instruction. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "process.h"
#include "shm/policy_rows.h"
#include "shm/ring.h"
#include "shm/row_reuse.h"
#include "shm/session_stats.h"
#include "shm/tls_counters.h"
#include "shm/trace.h"
#include "shm/udp_rows.h"
#include "table.h"

TEST(capacities_out_of_bounds_are_refused)
{
    struct l4_caps caps = {.workers = 1, .listeners = 1, .pools = 1, .backends = 1, .sessions = 0};
    CHECK_EQ(-EINVAL, l4_table_create(&table, &caps));
    caps.sessions = 1;
    caps.workers = L4_WORKERS_MAX + 1;
    CHECK_EQ(-EINVAL, l4_table_create(&table, &caps));
}

TEST(no_process_leads_another_out_of_the_table)
{
    table_with(2, 3, NULL, L4_ROUND_ROBIN);
    struct l4_plan wrong = table.plan;
    struct l4_backend *third = l4_table_backend(&table, 2);
    wrong.backends_at = wrong.bytes * 2;
    wrong.caps.backends = 16000;
    CHECK_EQ(sizeof wrong, pwrite(table.fd, &wrong, sizeof wrong, 0));
    CHECK(l4_table_backend(&table, 2) == third);
    CHECK_EQ(3, table.plan.caps.backends);
    l4_table_close(&table);
}

static bool is_inside(const void *row, size_t bytes)
{
    const char *at = row, *first = (char *)table.header;
    return at >= first && at + bytes <= first + table.plan.bytes;
}
#define CHECK_INSIDE(row) CHECK(is_inside((row), sizeof *(row)))

/* Indices come from words that any process may write; each of these is tried as every index. */
TEST(no_index_leads_out_of_the_table)
{
    const struct l4_caps caps = {
        .workers = 2, .listeners = 2, .pools = 3, .backends = 4, .sessions = 8, .flows = 2};
    const uint32_t wild[] = {0, 1, 12, 1u << 20, 1u << 31, UINT32_MAX - 1, UINT32_MAX};
    table_with_caps(&caps, NULL, L4_ROUND_ROBIN);
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        const uint32_t n = wild[i];
        CHECK_INSIDE(l4_table_listener(&table, n));
        CHECK_INSIDE(l4_table_pool(&table, n));
        CHECK_INSIDE(l4_table_backend(&table, n));
        CHECK_INSIDE(l4_table_worker(&table, n));
        CHECK_INSIDE(l4_table_column(&table, n, n));
        CHECK_INSIDE(l4_table_tally(&table, n, n));
        CHECK_INSIDE(l4_table_wait(&table, n, n));
        CHECK_INSIDE(l4_table_session(&table, n, n));
        CHECK_INSIDE(l4_table_view(&table, n, n));
        CHECK_INSIDE(l4_table_facts(&table, n, n));
        CHECK_INSIDE(l4_table_sources(&table, n));
        CHECK_INSIDE(l4_table_source_part(&table, n, n));
        CHECK_INSIDE(l4_table_talkers(&table, n));
        CHECK_INSIDE(l4_table_block(&table, n));
        CHECK_INSIDE(l4_table_flow(&table, n, n));
        CHECK_INSIDE(l4_table_udp_tally(&table, n, n));
        CHECK_INSIDE(l4_table_tls_counters(&table, n, n));
        CHECK_INSIDE(l4_table_ledger(&table, n, n));
        CHECK_INSIDE(l4_table_log(&table, n));
        CHECK_INSIDE(l4_table_traces(&table, n));
    }
    CHECK_INSIDE(l4_table_gone(&table));
    CHECK(l4_table_gone(&table) > l4_table_column(&table, 1, 3));
    L4_SET(table.header->workers_high, UINT32_MAX);
    L4_SET(table.header->backends_high, UINT32_MAX);
    CHECK_EQ(2, l4_table_workers_high(&table));
    CHECK_EQ(4, l4_table_backends_high(&table));
    l4_table_close(&table);
}

TEST(the_plan_in_the_table_is_for_reading_only_and_the_table_keeps_its_size)
{
    int status;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        table.header->plan.bytes = 1;
        _exit(0);
    }
    CHECK_EQ(child, waitpid(child, &status, 0));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    CHECK_EQ(-1, ftruncate(table.fd, 4096));
    CHECK_EQ(EPERM, errno);
    CHECK_EQ(-1, ftruncate(table.fd, (off_t)table.plan.bytes * 2));
    l4_table_close(&table);
}

TEST(a_ring_keeps_order_counts_what_found_no_place_and_survives_a_wild_head)
{
    struct l4_command in = {0}, out;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_worker *w = l4_table_worker(&table, 0);
    for (uint32_t i = 0; i < L4_COMMANDS + 3; i++) {
        in.slot = i;
        CHECK_EQ(i < L4_COMMANDS, L4_RING_PUT(w, command_ring, commands, &in));
    }
    CHECK_EQ(3, L4_GET(w->command_ring.dropped));
    for (uint32_t i = 0; i < L4_COMMANDS; i++) {
        CHECK(L4_RING_TAKE(w, command_ring, commands, &out));
        CHECK_EQ(i, out.slot);
    }
    CHECK(!L4_RING_TAKE(w, command_ring, commands, &out));
    L4_SET(w->command_ring.head, 1ull << 40);
    CHECK(!L4_RING_TAKE(w, command_ring, commands, &out));
    l4_table_close(&table);
}

TEST(counts_go_up_to_the_limit_and_come_back)
{
    table_with(2, 1, NULL, L4_ROUND_ROBIN);
    CHECK(l4_count_take_client(&table, 0, 2));
    CHECK(l4_count_take_client(&table, 1, 2));
    CHECK(!l4_count_take_client(&table, 0, 2));
    l4_count_drop_client(&table, 1);
    CHECK(l4_count_take_client(&table, 0, 2));
    CHECK_EQ(2, L4_GET(table.header->connections));
    const uint32_t seen = 0, stale = 5;
    CHECK(l4_count_take_backend(&table, 0, 0, &seen));
    CHECK(!l4_count_take_backend(&table, 0, 0, &stale));
    l4_table_close(&table);
}

/* A process that takes and drops places at random until it is killed. It makes system calls now and
 * then, as a worker does between changes: settling needs a moment without a change. */
static void churn(uint32_t worker)
{
    uint32_t held[4] = {0};
    unsigned seed = worker + (unsigned)getpid();
    for (unsigned n = 1;; n++) {
        if (n % 16 == 0)
            sched_yield();
        const uint32_t b = (uint32_t)rand_r(&seed) % 4;
        if (rand_r(&seed) % 2 && held[b] < 50) {
            held[b] += l4_count_take_backend(&table, worker, b, NULL);
            l4_count_take_client(&table, worker, 0);
        } else if (held[b]) {
            held[b]--;
            l4_count_drop_backend(&table, worker, b);
            l4_count_drop_client(&table, worker);
        }
    }
}

static pid_t churner(uint32_t worker)
{
    const pid_t pid = fork_tied();
    if (pid == 0)
        churn(worker);
    return pid;
}

static void kill_and_wait(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void check_sums(void)
{
    uint32_t all = 0;
    for (uint32_t b = 0; b < 4; b++) {
        uint32_t sum = 0;
        for (uint32_t w = 0; w < 3; w++)
            sum += L4_GET(l4_table_column(&table, w, b)->active);
        CHECK_EQ(sum, L4_GET(l4_table_backend(&table, b)->inflight));
        all += sum;
    }
    CHECK_EQ(all, L4_GET(l4_table_pool(&table, 0)->inflight));
}

TEST(after_kills_at_random_instructions_the_counts_are_exact_again)
{
    table_with(3, 4, NULL, L4_ROUND_ROBIN);
    for (int round = 0; round < 60; round++) {
        pid_t pids[3];
        for (uint32_t w = 0; w < 3; w++)
            pids[w] = churner(w);
        usleep((useconds_t)(500 + rand() % 3000));
        kill_and_wait(pids[0]);
        l4_count_clear(&table, 0);
        int settled = l4_count_settle(&table);
        /* why: on a busy machine a churner may lose its processor in the middle of a change. */
        for (int i = 0; settled && i < 1000; i++) {
            usleep(1000);
            settled = l4_count_settle(&table);
        }
        CHECK_EQ(0, settled);
        for (uint32_t w = 1; w < 3; w++) {
            kill_and_wait(pids[w]);
            l4_count_clear(&table, w);
        }
        CHECK_EQ(0, l4_count_settle(&table));
        check_sums();
        for (uint32_t b = 0; b < 4; b++)
            CHECK_EQ(0, L4_GET(l4_table_backend(&table, b)->inflight));
        CHECK_EQ(0, L4_GET(table.header->connections));
    }
    l4_table_close(&table);
}

TEST(settling_while_others_change_leaves_their_changes_in)
{
    table_with(3, 4, NULL, L4_ROUND_ROBIN);
    const pid_t one = churner(1), two = churner(2);
    atomic_fetch_add(&l4_table_backend(&table, 1)->inflight, 17); /* places of a dead worker */
    int settled = -1;
    for (int i = 0; settled && i < 1000; i++) {
        settled = l4_count_settle(&table);
        usleep(200);
    }
    CHECK_EQ(0, settled);
    for (int i = 0; i < 100; i++)
        settled = l4_count_settle(&table);
    /* Stop both between changes: only then may sums be compared without settling. */
    for (int tries = 0; tries < 1000; tries++) {
        kill(one, SIGSTOP);
        kill(two, SIGSTOP);
        waitpid(one, NULL, WUNTRACED);
        waitpid(two, NULL, WUNTRACED);
        if (!(L4_GET(l4_table_worker(&table, 1)->ops) & 1) &&
            !(L4_GET(l4_table_worker(&table, 2)->ops) & 1))
            break;
        kill(one, SIGCONT);
        kill(two, SIGCONT);
        usleep(100);
    }
    check_sums();
    kill_and_wait(one);
    kill_and_wait(two);
    l4_table_close(&table);
}

MAIN(RUN(capacities_out_of_bounds_are_refused); RUN(no_process_leads_another_out_of_the_table);
     RUN(no_index_leads_out_of_the_table);
     RUN(the_plan_in_the_table_is_for_reading_only_and_the_table_keeps_its_size);
     RUN(a_ring_keeps_order_counts_what_found_no_place_and_survives_a_wild_head);
     RUN(counts_go_up_to_the_limit_and_come_back);
     RUN(after_kills_at_random_instructions_the_counts_are_exact_again);
     RUN(settling_while_others_change_leaves_their_changes_in))
