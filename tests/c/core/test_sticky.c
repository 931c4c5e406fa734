/* Sticky entries: bounded, the oldest is replaced first, processes that enter one at the same time
 * agree, and entries are whole after a death. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "check.h"
#include "core/sticky.h"
#include "process.h"
#include "table.h"

enum { ENTRIES = 256, TTL = 10000 };

static void start(uint32_t backends)
{
    const struct l4_caps caps = {.workers = 4,
                                 .listeners = 1,
                                 .pools = 2,
                                 .backends = backends,
                                 .sessions = 1,
                                 .sticky = ENTRIES};
    table_with_caps(&caps, NULL, L4_ROUND_ROBIN);
    struct l4_sticky_rule *rule = &l4_table_pool(&table, 0)->sticky;
    L4_SET(rule->ttl_ms, TTL);
    L4_SET(rule->key.kind, L4_KEY_SOURCE_IP);
    L4_SET(rule->key.prefix4, 32);
}

static uint32_t meet(uint32_t worker, uint32_t client, uint64_t now_ms)
{
    const struct l4_addr addr = {.family = AF_INET,
                                 .ip = {10, client >> 16 & 255, client >> 8 & 255, client & 255}};
    const struct l4_sticky_client known = {.addr = &addr};
    const struct l4_pick_request request = {.worker = worker, .now_ms = now_ms};
    const uint32_t backend = l4_sticky_pick(&table, &request, &known, NULL).backend;
    if (backend != L4_NONE)
        l4_count_drop_backend(&table, worker, backend);
    return backend;
}

static uint32_t entries(uint64_t now_ms)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < ENTRIES; n++) {
        uint64_t tag;
        struct l4_sticky_entry entry;
        count += l4_sticky_read(&table, n, now_ms, &tag, &entry);
    }
    return count;
}

TEST(a_client_goes_on_meeting_the_backend_it_met_first)
{
    uint32_t met[20];
    start(7);
    for (uint32_t c = 0; c < 20; c++)
        met[c] = meet(c % 4, c, 1000);
    for (int round = 0; round < 5; round++)
        for (uint32_t c = 0; c < 20; c++)
            CHECK_EQ(met[c], meet((c + 1) % 4, c, 2000));
    CHECK_EQ(20, entries(2000));
    l4_table_close(&table);
}

TEST(it_is_forgotten_when_it_was_away_for_longer_than_the_ttl)
{
    start(7);
    const uint32_t first = meet(0, 1, 1000);
    CHECK_EQ(first, meet(0, 1, 10000));
    CHECK_EQ(first, meet(0, 1, 19500)); /* each session uses the entry */
    uint32_t others = 0;
    for (uint64_t i = 1; i <= 7; i++)
        others += meet(0, 1, 19500 + i * (TTL + 500)) != first;
    CHECK(others > 0);
    l4_table_close(&table);
}

TEST(it_moves_when_its_backend_may_not_serve_and_stays_when_that_is_only_full)
{
    start(2);
    const uint32_t own = meet(0, 1, 1000), other = 1 - own;
    struct l4_backend *b = l4_table_backend(&table, own);
    L4_SET(b->max_connections, 1);
    CHECK(l4_count_take_backend(&table, 1, own, NULL));
    CHECK_EQ(other, meet(0, 1, 1000));
    l4_count_drop_backend(&table, 1, own);
    CHECK_EQ(own, meet(0, 1, 1000));
    L4_SET(b->state, L4_DRAIN);
    L4_SET(l4_table_pool(&table, 0)->sticky.in_drain, 1);
    CHECK_EQ(own, meet(0, 1, 1000));
    L4_SET(l4_table_pool(&table, 0)->sticky.in_drain, 0);
    CHECK_EQ(other, meet(0, 1, 1000));
    L4_SET(b->state, L4_READY);
    CHECK_EQ(other, meet(0, 1, 1000)); /* the client has moved to another backend */
    L4_SET(l4_table_backend(&table, other)->health, L4_DOWN);
    CHECK_EQ(own, meet(0, 1, 1000));
    L4_SET(b->used, L4_GET(b->used) + 1); /* the row was given to another backend */
    L4_SET(l4_table_backend(&table, other)->health, L4_UP);
    L4_SET(b->state, L4_MAINT);
    CHECK_EQ(other, meet(0, 1, 1000));
    l4_table_close(&table);
}

TEST(many_clients_displace_those_not_seen_for_longest)
{
    start(3);
    for (uint32_t c = 0; c < 4000; c++) {
        meet(0, c, 1000 + c);
        meet(0, 4242424, 1000 + c); /* a client that comes often is never displaced */
    }
    CHECK(entries(5000) <= ENTRIES);
    CHECK(entries(5000) > ENTRIES * 9 / 10);
    const struct l4_addr addr = {
        .family = AF_INET, .ip = {10, 4242424 >> 16 & 255, 4242424 >> 8 & 255, 4242424 & 255}};
    const struct l4_sticky_client known = {.addr = &addr};
    struct l4_sticky_key key;
    CHECK(l4_sticky_find(&table, l4_sticky_client_tag(&table, 0, &known, &key), TTL, 5000) !=
          L4_NONE);
    l4_table_close(&table);
}

static uint32_t seen[4][100];

/* Each process enters these clients, with a backend of its own. */
static void *race(void *argument)
{
    const uint32_t worker = (uint32_t)(uintptr_t)argument;
    for (uint32_t c = 0; c < 100; c++) {
        const struct l4_sticky_key key = {.addr = {.family = AF_INET}};
        seen[worker][c] =
            l4_sticky_put(&table, worker, l4_sticky_tag(0, c), &key, worker, true, TTL, 1000);
    }
    return NULL;
}

/* An entry cannot be made while another process is interrupted for too long: the result is L4_NONE.
 */
TEST(workers_that_enter_one_client_at_once_agree)
{
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        uint32_t entered = 0;
        start(7);
        for (uintptr_t i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, race, (void *)i);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        for (uint32_t c = 0; c < 100; c++) {
            const uint32_t own = l4_sticky_find(&table, l4_sticky_tag(0, c), TTL, 1000);
            entered += own != L4_NONE;
            for (int i = 0; i < 4; i++)
                if (seen[i][c] != L4_NONE)
                    CHECK_EQ(own, seen[i][c]);
        }
        CHECK(entered > 0);
        CHECK_EQ(entered, entries(1000));
        l4_table_close(&table);
    }
}

static void *crowd(void *argument)
{
    const uint32_t worker = (uint32_t)(uintptr_t)argument;
    for (uint32_t c = 0; c < 100; c++)
        meet(worker, c, 1000);
    return NULL;
}

TEST(a_pick_given_up_for_the_agreed_one_gives_its_place_back)
{
    pthread_t threads[4];
    start(7);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, crowd, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t b = 0; b < 7; b++)
        CHECK_EQ(0, L4_GET(l4_table_backend(&table, b)->inflight));
    l4_table_close(&table);
}

/* Processes are killed at random moments while they enter clients. No slot is lost for good, and
 * every readable entry names a backend. */
TEST(a_place_is_not_lost_with_a_process_that_dies)
{
    start(7);
    for (int round = 0; round < 60; round++) {
        const pid_t child = fork_tied();
        if (child == 0)
            for (uint32_t c = (uint32_t)round * 1000;; c++)
                meet(2, c % 5000, 1000 + c);
        usleep(300);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        l4_sticky_forget(&table, 2);
        l4_count_clear(&table, 2);
    }
    for (uint32_t n = 0; n < ENTRIES / L4_STICKY_WAYS; n++)
        CHECK_EQ(0, L4_GET(l4_table_sticky(&table)[n].filler));
    CHECK_EQ(0, l4_count_settle(&table));
    const uint32_t own = meet(0, 77, 9000);
    CHECK_EQ(own, meet(1, 77, 9000));
    l4_table_close(&table);
}

MAIN(RUN(a_client_goes_on_meeting_the_backend_it_met_first);
     RUN(it_is_forgotten_when_it_was_away_for_longer_than_the_ttl);
     RUN(it_moves_when_its_backend_may_not_serve_and_stays_when_that_is_only_full);
     RUN(many_clients_displace_those_not_seen_for_longest);
     RUN(workers_that_enter_one_client_at_once_agree);
     RUN(a_pick_given_up_for_the_agreed_one_gives_its_place_back);
     RUN(a_place_is_not_lost_with_a_process_that_dies))
