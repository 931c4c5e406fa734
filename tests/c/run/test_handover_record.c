/* The record by which a session is handed over: written and read back, and refused records. */
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#include "check.h"
#include "run/handover_record.h"
#include "run/session.h"
#include "run/shaping.h"
#include "shm/policy_rows.h"
#include "sockets.h"
#include "table.h"

enum { SESSIONS = 8 };

static struct l4_loop giver, taker;
static struct l4_timer timers[2][SESSIONS];

static void begin(struct l4_loop *loop, uint32_t index)
{
    *loop = (struct l4_loop){.table = &table, .capacity = SESSIONS};
    loop->setup = (struct l4_worker_setup){.table = table, .index = index, .event_fd = -1};
    loop->row = l4_table_worker(&table, index);
    l4_row_start(loop);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->now_ms = 1000;
    loop->now_us = 1000000;
    l4_pipes_init(&loop->pipes, 8);
    l4_wheel_init(&loop->wheel, timers[index], SESSIONS, loop->now_ms);
}

static void start(void)
{
    table_with(2, 3, NULL, L4_ROUND_ROBIN);
    strcpy(l4_table_listener(&table, 1)->name, "front");
    strcpy(l4_table_listener(&table, 1)->bind, "127.0.0.1:80");
    L4_SET(l4_table_listener(&table, 1)->used, 1);
    strcpy(l4_table_pool(&table, 0)->name, "web");
    strcpy(l4_table_backend(&table, 2)->name, "c");
    begin(&giver, 0);
    begin(&taker, 1);
}

static void stop(void)
{
    close(giver.epoll);
    close(taker.epoll);
    l4_pipes_close(&giver.pipes);
    l4_pipes_close(&taker.pipes);
    l4_table_close(&table);
}

/* Makes a relaying session of the giver over these sockets, with bytes for the client in a pipe. */
static uint32_t serve(int client, int backend, const char *waiting)
{
    const uint32_t index = l4_row_take(&giver);
    struct l4_session *s = l4_session_at(&giver, index);
    *s = (struct l4_session){.listener = 1, .pool = 0, .backend = 2, .first_end = L4_NO_SIDE};
    s->client = (struct l4_addr){.family = AF_INET, .port = 4711, .ip = {10, 0, 0, 7}};
    s->half[L4_CLIENT] = (struct l4_half){.fd = client, .flags = L4_HALF_OUT, .pipe = L4_NO_PIPE};
    s->half[L4_BACKEND] = (struct l4_half){.fd = backend, .flags = L4_HALF_EOF, .pipe = L4_NO_PIPE};
    s->started_us = 900000;
    s->connect_us = 55;
    s->attempts = 1;
    s->tried[0] = 1;
    s->name_hash = 0x1234;
    L4_SET(s->bytes[0], 100);
    L4_SET(s->bytes[1], 200);
    L4_SET(s->active_ms, 990);
    if (waiting) {
        s->half[L4_BACKEND].pipe = l4_pipes_take(&giver.pipes);
        s->half[L4_BACKEND].piped = (uint32_t)strlen(waiting);
        CHECK_EQ((ssize_t)strlen(waiting),
                 write(giver.pipes.fds[s->half[L4_BACKEND].pipe][1], waiting, strlen(waiting)));
    }
    CHECK(l4_count_take_client(&table, 0, 0));
    l4_count_join(&table, 0, 2);
    L4_SET(s->state, L4_SESSION_RELAY);
    L4_SET(s->serial, 9);
    return index;
}

/* Copies the descriptors, as a message does. */
static void copy(int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fds[i] = dup(fds[i]);
}

TEST(what_is_described_is_what_the_other_worker_goes_on_with)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t index = serve(client[1], backend[0], "left over");
    CHECK(l4_session_can_move(l4_session_at(&giver, index)));
    const uint32_t count = l4_record_write(&giver, index, L4_SESSION_RELAY, &record, fds);
    CHECK_EQ(4, count);
    CHECK_EQ(offsetof(struct l4_record, facts.text),
             record.bytes); /* nothing is known of the client */
    copy(fds, count);
    CHECK(l4_record_read(&taker, &record, fds, count));
    const struct l4_session *s = l4_session_at(&taker, 0);
    CHECK(L4_GET(s->serial) != 0);
    CHECK_EQ(L4_SESSION_RELAY, L4_GET(s->state));
    CHECK(s->listener == 1 && s->pool == 0 && s->backend == 2);
    CHECK_EQ(4711, s->client.port);
    CHECK(L4_GET(s->bytes[0]) == 100 && L4_GET(s->bytes[1]) == 200);
    CHECK(s->attempts == 1 && s->tried[0] == 1 && s->name_hash == 0x1234);
    CHECK(s->half[L4_BACKEND].flags & L4_HALF_EOF);
    CHECK(!(s->half[L4_CLIENT].flags & L4_HALF_OUT)); /* epoll reports edges again */
    CHECK_EQ(strlen("left over"), s->half[L4_BACKEND].piped);
    char text[16] = {0};
    CHECK_EQ(9, read(taker.pipes.fds[s->half[L4_BACKEND].pipe][0], text, sizeof text));
    CHECK(strcmp(text, "left over") == 0);
    /* Until the giver lets go, the session holds two places: a limit may seem reached, but is never
     * exceeded. */
    CHECK_EQ(2, L4_GET(l4_table_backend(&table, 2)->inflight));
    CHECK_EQ(1, L4_GET(l4_table_column(&table, 1, 2)->active));
    CHECK_EQ(1, taker.held);
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(rows_are_hints_and_names_decide)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], NULL), L4_SESSION_RELAY, &record, fds);
    CHECK_EQ(2, count);
    copy(fds, count);
    record.listener = 7000; /* rows of another table */
    record.pool = 1;
    record.backend = 0;
    CHECK(l4_record_read(&taker, &record, fds, count));
    CHECK(l4_session_at(&taker, 0)->listener == 1 && l4_session_at(&taker, 0)->backend == 2);
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(what_does_not_make_sense_is_not_taken_and_changes_nothing)
{
    int client[2], backend[2], fds[8];
    struct l4_record good;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], "x"), L4_SESSION_RELAY, &good, fds);
    copy(fds, count);
    struct l4_record bad[] = {good, good, good, good, good, good, good, good, good, good, good};
    bad[0].state = L4_SESSION_PREREAD;
    bad[1].state = 99;
    bad[2].fds = L4_RECORD_CLIENT;
    bad[3].fds |= 1u << 9;
    bad[4].piped[1] = 0;
    bad[5].piped[0] = 5;
    bad[6].attempts = 200;
    bad[7].reason = L4_REASON_COUNT;
    memset(bad[8].backend_name, 'y', sizeof bad[8].backend_name); /* no terminating zero */
    strcpy(bad[9].pool_name, "nobody");
    bad[10].first_end = 3;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!l4_record_read(&taker, &bad[i], fds, count));
    CHECK(!l4_record_read(&taker, &good, fds, count - 1));
    taker.draining = true;
    CHECK(!l4_record_read(&taker, &good, fds, count));
    taker.draining = false;
    taker.capacity = 0;
    CHECK(!l4_record_read(&taker, &good, fds, count));
    taker.capacity = SESSIONS;
    CHECK_EQ(0, taker.held);
    CHECK_EQ(1, L4_GET(l4_table_backend(&table, 2)->inflight));
    CHECK_EQ(0, L4_GET(l4_table_session(&table, 1, 0)->serial));
    /* The descriptors still belong to the caller, and are open. */
    CHECK(l4_record_read(&taker, &good, fds, count));
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(what_cannot_move_is_not_taken)
{
    int client[2], backend[2], fds[8];
    struct l4_record good;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], "x"), L4_SESSION_RELAY, &good, fds);
    copy(fds, count);
    struct l4_record bad[] = {good, good, good, good, good, good, good, good, good, good};
    bad[0].flags[0] |= L4_HALF_TLS;
    bad[1].flags[1] |= L4_HALF_UNSENT;
    bad[2].flags[0] |= 1u << 13;       /* an unknown flag */
    bad[3].flags[1] |= 1u << 16;       /* a flag that no row has room for */
    bad[4].state = L4_SESSION_CONNECT; /* but it has read bytes already */
    bad[5].piped[1] = 2;               /* more than the pipe holds */
    bad[6].piped[1] = L4_PIPE_BYTES + 1;
    bad[7].client.family = 99;
    bad[8].half_closed = 2;
    bad[9].state = L4_SESSION_QUEUE; /* but it has a backend already */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!l4_record_read(&taker, &bad[i], fds, count));
    CHECK_EQ(0, taker.held);
    CHECK(l4_record_read(&taker, &good, fds, count));
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(who_still_connects_has_room_for_one_more_failed_attempt)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], NULL), L4_SESSION_RELAY, &record, fds);
    copy(fds, count);
    record.attempts = L4_RETRIES_MAX + 1;
    record.state = L4_SESSION_CONNECT;
    CHECK(!l4_record_read(&taker, &record, fds, count));
    record.attempts = L4_RETRIES_MAX;
    CHECK(l4_record_read(&taker, &record, fds, count));
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(times_in_the_future_are_now_and_no_backend_is_waited_for_longer_than_its_pool_allows)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    L4_SET(l4_table_pool(&table, 0)->connect_timeout_ms, 200);
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], NULL), L4_SESSION_RELAY, &record, fds);
    copy(fds, count);
    record.state = L4_SESSION_CONNECT;
    record.active_ms = record.started_us = record.connect_started_us = UINT64_MAX;
    record.deadline_ms = (uint32_t)taker.now_ms + 1000000;
    CHECK(l4_record_read(&taker, &record, fds, count));
    const struct l4_session *s = l4_session_at(&taker, 0);
    CHECK_EQ(taker.now_ms, L4_GET(s->active_ms));
    CHECK(s->started_us == taker.now_us && s->connect_started_us == taker.now_us);
    CHECK_EQ(200, l4_row_left_ms(&taker, s));
    close(client[0]);
    close(backend[1]);
    stop();
}

/* The facts that the giver's worker knows about session `index`. */
static struct l4_facts *learn(uint32_t index)
{
    struct l4_session *s = l4_session_at(&giver, index);
    struct l4_facts *facts = l4_table_facts(&table, 0, index);
    s->known = L4_FACT_NAME | L4_FACT_ALPN | L4_FACT_VIA | L4_FACT_TLVS;
    facts->via = (struct l4_addr){.family = AF_INET, .port = 5, .ip = {192, 0, 2, 1}};
    facts->told_to = (struct l4_addr){.family = AF_INET, .port = 443, .ip = {192, 0, 2, 2}};
    strcpy(facts->name, "www.example.com");
    facts->name_bytes = 15;
    memcpy(facts->alpn, "\2h2\3foo", 7);
    facts->alpn_bytes = 7;
    memcpy(facts->tlvs, "\xe0\0\3abc", 6);
    facts->tlvs_bytes = 6;
    return facts;
}

TEST(what_was_learnt_of_the_client_goes_with_it)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t index = serve(client[1], backend[0], NULL);
    const struct l4_facts *was = learn(index);
    l4_session_at(&giver, index)->known |= L4_FACT_TLS; /* the taker gets none of these facts */
    const uint32_t count = l4_record_write(&giver, index, L4_SESSION_RELAY, &record, fds);
    CHECK_EQ(offsetof(struct l4_record, facts.text) + 15 + 7 + 6, record.bytes);
    copy(fds, count);
    CHECK(l4_record_read(&taker, &record, fds, count));
    const struct l4_session *s = l4_session_at(&taker, 0);
    const struct l4_facts *is = l4_table_facts(&table, 1, 0);
    CHECK_EQ(L4_FACT_NAME | L4_FACT_ALPN | L4_FACT_VIA | L4_FACT_TLVS, s->known);
    CHECK(l4_addr_equal(&was->via, &is->via) && l4_addr_equal(&was->told_to, &is->told_to));
    CHECK(strcmp(is->name, "www.example.com") == 0 && is->name_bytes == 15);
    CHECK(is->alpn_bytes == 7 && memcmp(is->alpn, was->alpn, 7) == 0);
    CHECK(is->tlvs_bytes == 6 && memcmp(is->tlvs, was->tlvs, 6) == 0);
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(what_cannot_have_been_learnt_is_not_taken)
{
    int client[2], backend[2], fds[8];
    struct l4_record good;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t index = serve(client[1], backend[0], NULL);
    learn(index);
    const uint32_t count = l4_record_write(&giver, index, L4_SESSION_RELAY, &good, fds);
    copy(fds, count);
    struct l4_record bad[] = {good, good, good, good, good, good, good};
    bad[0].facts.bytes[0] = L4_HELLO_NAME_MAX + 1;
    bad[1].facts.bytes[1] = L4_ALPN_LIST_MAX + 1;
    bad[2].facts.bytes[2] = L4_TLVS_MAX + 1;
    bad[3].facts.known = L4_FACT_NAME; /* unused parts are not zero */
    bad[4].facts.text[3] = '\n';
    bad[5].facts.text[15] = 9;         /* a protocol longer than the list */
    bad[6].facts.text[15 + 7 + 2] = 9; /* a TLV longer than what there is */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!l4_record_read(&taker, &bad[i], fds, count));
    CHECK(l4_record_read(&taker, &good, fds, count));
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(age_and_bandwidth_go_on_where_they_were)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    struct l4_policy *edge = &l4_table_listener(&table, 1)->edge;
    L4_SET(edge->needs, L4_NEEDS_PACE);
    L4_SET(edge->limits.max_age_ms, 60000);
    L4_SET(edge->limits.limits[L4_LIMIT_SESSION_BANDWIDTH].value, 1000);
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t index = serve(client[1], backend[0], NULL);
    l4_shaping_begin(&giver, index);
    L4_SET(l4_table_facts(&table, 0, index)->spent_ns, 77);
    taker.now_ms += 5000;
    const uint32_t count = l4_record_write(&giver, index, L4_SESSION_RELAY, &record, fds);
    copy(fds, count);
    CHECK(l4_record_read(&taker, &record, fds, count));
    CHECK_EQ(61000, l4_table_facts(&table, 1, 0)->ends_ms);
    CHECK_EQ(77, L4_GET(l4_table_facts(&table, 1, 0)->spent_ns));
    close(client[0]);
    close(backend[1]);
    stop();
}

/* A version without hand-over of UDP sessions does not send their fields, which are then zero. */
TEST(a_shorter_record_of_an_earlier_version_is_taken)
{
    int client[2], backend[2], fds[8];
    struct l4_record record;
    start();
    tcp_pair(client);
    tcp_pair(backend);
    const uint32_t count =
        l4_record_write(&giver, serve(client[1], backend[0], NULL), L4_SESSION_RELAY, &record, fds);
    copy(fds, count);
    memset(&record.flow, 0, sizeof record - offsetof(struct l4_record, flow));
    record.bytes = offsetof(struct l4_record, flow);
    CHECK(l4_record_read(&taker, &record, fds, count));
    close(client[0]);
    close(backend[1]);
    stop();
}

TEST(sessions_that_end_tls_here_or_have_not_reached_the_pick_cannot_be_described)
{
    struct l4_session s = {0};
    const uint32_t can[] = {L4_SESSION_QUEUE, L4_SESSION_CONNECT, L4_SESSION_RELAY,
                            L4_SESSION_RESET, L4_SESSION_REQUEST};
    for (uint32_t state = 0; state < L4_SESSION_STATES; state++) {
        bool expected = false;
        for (size_t i = 0; i < sizeof can / sizeof *can; i++)
            expected |= can[i] == state;
        L4_SET(s.state, state);
        s.half[L4_CLIENT].flags = 0;
        s.http = L4_HTTP_RESTS;
        CHECK_EQ(expected, l4_session_can_move(&s));
        s.http = L4_HTTP_ASKS;
        CHECK(!l4_session_can_move(&s));
        s.http = L4_NO_HTTP;
        CHECK_EQ(expected, l4_session_can_move(&s));
        s.half[L4_CLIENT].flags = L4_HALF_TLS;
        CHECK(!l4_session_can_move(&s));
    }
}

MAIN(RUN(what_is_described_is_what_the_other_worker_goes_on_with);
     RUN(rows_are_hints_and_names_decide);
     RUN(what_does_not_make_sense_is_not_taken_and_changes_nothing);
     RUN(what_cannot_move_is_not_taken);
     RUN(who_still_connects_has_room_for_one_more_failed_attempt);
     RUN(times_in_the_future_are_now_and_no_backend_is_waited_for_longer_than_its_pool_allows);
     RUN(a_shorter_record_of_an_earlier_version_is_taken);
     RUN(sessions_that_end_tls_here_or_have_not_reached_the_pick_cannot_be_described);
     RUN(what_was_learnt_of_the_client_goes_with_it);
     RUN(what_cannot_have_been_learnt_is_not_taken); RUN(age_and_bandwidth_go_on_where_they_were))
