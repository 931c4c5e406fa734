/* A whole worker in a thread, between real clients and backends on loopback. */
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "check.h"
#include "run/worker.h"
#include "shm/ring.h"
#include "sockets.h"
#include "table.h"

enum { BACKENDS = 2 };

static uint16_t front_port;
static int front, backend_fd[BACKENDS], lifeline[2];
static struct l4_bound bound;
static struct l4_worker_setup setup;
static pthread_t thread;
static int status;

static void *work(void *unused)
{
    (void)unused;
    status = l4_worker_run(&setup);
    return NULL;
}

static void start(void)
{
    table_with(1, BACKENDS, NULL, L4_ROUND_ROBIN);
    struct l4_pool *pool = l4_table_pool(&table, 0);
    L4_SET(pool->retries, 2);
    L4_SET(pool->connect_timeout_ms, 2000);
    L4_SET(pool->idle_timeout_ms, 60000);
    L4_SET(pool->half_closed_timeout_ms, 60000);
    for (int i = 0; i < BACKENDS; i++) {
        struct l4_backend *b = l4_table_backend(&table, (uint32_t)i);
        b->addr = (struct l4_addr){.family = AF_INET, .ip = {127, 0, 0, 1}};
        backend_fd[i] = listen_on_loopback(&b->addr.port);
    }
    front = listen_on_loopback(&front_port);
    nonblocking(front);
    bound = (struct l4_bound){.fd = dup(front)};
    L4_SET(table.header->drain_timeout_ms, 60000);
    CHECK_EQ(0, pipe(lifeline));
    setup = (struct l4_worker_setup){
        .table = table,
        .bounds = &bound,
        .bound_count = 1,
        .command_fd = eventfd(0, EFD_NONBLOCK),
        .mailbox_fd = -1,
        .event_fd = eventfd(0, EFD_NONBLOCK),
        .lifeline_fd = lifeline[0],
    };
}

static void run(void)
{
    start();
    pthread_create(&thread, NULL, work, NULL);
}

static void tell(enum l4_command_op op, uint32_t slot, uint32_t serial)
{
    const struct l4_command command = {
        .op = op, .slot = slot, .serial = serial, .reason = L4_END_STOPPED};
    const uint64_t one = 1;
    CHECK(L4_RING_PUT(l4_table_worker(&table, 0), command_ring, commands, &command));
    CHECK_EQ(8, write(setup.command_fd, &one, sizeof one));
}

/* Joins the worker, which has been told to end, and checks that it gave everything back. */
static void finish(void)
{
    pthread_join(thread, NULL);
    CHECK_EQ(0, status);
    CHECK_EQ(0, L4_GET(table.header->connections));
    for (uint32_t i = 0; i < BACKENDS; i++) {
        CHECK_EQ(0, L4_GET(l4_table_backend(&table, i)->inflight));
        CHECK_EQ(0, L4_GET(l4_table_column(&table, 0, i)->active));
        if (backend_fd[i] >= 0)
            close(backend_fd[i]);
    }
    close(front);
    close(setup.command_fd);
    close(setup.event_fd);
    close(lifeline[0]);
    close(lifeline[1]);
    l4_table_close(&table);
}

static void stop(void)
{
    tell(L4_CMD_STOP, 0, 0);
    finish();
}

/* One client and its backend, connected through the worker. */
static void pair_through(int *client, int *backend)
{
    struct pollfd either[BACKENDS];
    *client = connect_to(front_port);
    for (int i = 0; i < BACKENDS; i++)
        either[i] = (struct pollfd){.fd = backend_fd[i], .events = POLLIN};
    CHECK(poll(either, BACKENDS, 10000) > 0);
    *backend = accept(either[0].revents ? backend_fd[0] : backend_fd[1], NULL, NULL);
    CHECK(*backend >= 0);
}

static ssize_t read_one(int fd, char *to, size_t size)
{
    CHECK(readable(fd));
    return recv(fd, to, size, 0);
}

static uint64_t ended(enum l4_reason reason)
{
    return L4_GET(l4_table_worker(&table, 0)->ended[reason]);
}

/* Waits until a session has ended for this reason. */
static void wait_ended(enum l4_reason reason, uint64_t count)
{
    for (int i = 0; i < 10000 && ended(reason) < count; i++)
        usleep(1000);
    CHECK_EQ(count, ended(reason));
}

TEST(bytes_pass_both_ways_and_each_end_is_passed_on)
{
    int client, backend;
    char got[64];
    run();
    pair_through(&client, &backend);
    CHECK_EQ(4, send(client, "ping", 4, 0));
    CHECK_EQ(4, read_one(backend, got, sizeof got));
    shutdown(client, SHUT_WR);
    CHECK_EQ(0, read_one(backend, got, sizeof got));
    CHECK_EQ(4, send(backend, "pong", 4, 0));
    CHECK_EQ(4, read_one(client, got, sizeof got));
    close(backend);
    CHECK_EQ(0, read_one(client, got, sizeof got));
    close(client);
    wait_ended(L4_END_CLIENT_FIN, 1);
    stop();
}

TEST(the_backend_may_speak_and_end_first)
{
    int client, backend;
    char got[64];
    run();
    pair_through(&client, &backend);
    CHECK_EQ(5, send(backend, "hello", 5, 0));
    shutdown(backend, SHUT_WR);
    CHECK_EQ(5, read_one(client, got, sizeof got));
    CHECK_EQ(0, read_one(client, got, sizeof got));
    CHECK_EQ(2, send(client, "ok", 2, 0));
    CHECK_EQ(2, read_one(backend, got, sizeof got));
    close(client);
    CHECK_EQ(0, read_one(backend, got, sizeof got));
    close(backend);
    wait_ended(L4_END_BACKEND_FIN, 1);
    stop();
}

/* from sends data and resets; to must read the data first, then see a reset. */
static void pass_reset(bool from_client, enum l4_reason reason)
{
    int client, backend;
    char got[64];
    run();
    pair_through(&client, &backend);
    const int from = from_client ? client : backend, to = from_client ? backend : client;
    CHECK_EQ(4, send(from, "last", 4, 0));
    reset_close(from);
    CHECK_EQ(4, read_one(to, got, sizeof got));
    CHECK_EQ(-1, read_one(to, got, sizeof got));
    CHECK_EQ(ECONNRESET, errno);
    close(to);
    wait_ended(reason, 1);
    stop();
}

TEST(a_clients_reset_reaches_the_backend_after_its_data)
{
    pass_reset(true, L4_END_CLIENT_RESET);
}

TEST(a_backends_reset_reaches_the_client_after_its_data)
{
    pass_reset(false, L4_END_BACKEND_RESET);
}

TEST(a_reset_waits_for_a_slow_reader)
{
    static char block[1 << 20];
    int client, backend;
    uint64_t sent = 0, got = 0;
    run();
    pair_through(&client, &backend);
    nonblocking(backend);
    for (int idle = 0; idle < 20;) {
        const ssize_t n = send(backend, block, sizeof block, MSG_NOSIGNAL);
        sent += n > 0 ? (uint64_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        usleep(1000);
    }
    shutdown(backend, SHUT_WR);
    /* The backend's kernel must have sent all bytes before a reset, which would discard them. */
    while (got < sent) {
        const ssize_t n = read_one(client, block, sizeof block);
        if (n <= 0)
            break;
        got += (uint64_t)n;
        if (got > sent / 2 && backend >= 0 && sent - got < 1 << 20) {
            reset_close(backend);
            backend = -1;
        }
    }
    CHECK(got >= sent - (1 << 20));
    close(client);
    if (backend >= 0)
        close(backend);
    stop();
}

TEST(a_refused_connect_goes_to_another_backend_and_is_counted)
{
    int client, backend;
    char got[8];
    run();
    close(backend_fd[0]);
    backend_fd[0] = -1;
    for (int i = 0; i < 4; i++) {
        client = connect_to(front_port);
        CHECK(readable(backend_fd[1]));
        backend = accept(backend_fd[1], NULL, NULL);
        CHECK_EQ(1, send(client, "x", 1, 0));
        CHECK_EQ(1, read_one(backend, got, sizeof got));
        close(client);
        close(backend);
    }
    CHECK_EQ(4, L4_GET(l4_table_column(&table, 0, 0)->connect_errors));
    CHECK_EQ(4, L4_GET(l4_table_column(&table, 0, 1)->total));
    stop();
}

TEST(when_every_backend_refuses_the_client_is_reset)
{
    char got[8];
    run();
    for (int i = 0; i < BACKENDS; i++) {
        close(backend_fd[i]);
        backend_fd[i] = -1;
    }
    const int client = connect_to(front_port);
    CHECK_EQ(-1, read_one(client, got, sizeof got));
    close(client);
    wait_ended(L4_END_CONNECT_FAILED, 1);
    stop();
}

TEST(an_idle_session_ends_after_its_timeout)
{
    int client, backend;
    char got[8];
    start();
    L4_SET(l4_table_pool(&table, 0)->idle_timeout_ms, 50);
    pthread_create(&thread, NULL, work, NULL);
    pair_through(&client, &backend);
    CHECK_EQ(-1, read_one(client, got, sizeof got));
    wait_ended(L4_END_IDLE_TIMEOUT, 1);
    close(client);
    close(backend);
    stop();
}

TEST(a_half_closed_session_has_a_timeout_of_its_own)
{
    int client, backend;
    char got[8];
    start();
    L4_SET(l4_table_pool(&table, 0)->half_closed_timeout_ms, 50);
    pthread_create(&thread, NULL, work, NULL);
    pair_through(&client, &backend);
    shutdown(client, SHUT_WR);
    CHECK_EQ(0, read_one(backend, got, sizeof got));
    wait_ended(L4_END_HALF_CLOSED_TIMEOUT, 1);
    close(client);
    close(backend);
    stop();
}

TEST(a_session_can_be_killed_by_its_serial_only)
{
    int client, backend;
    char got[8];
    run();
    pair_through(&client, &backend);
    const uint32_t serial = L4_GET(l4_table_session(&table, 0, 0)->serial);
    CHECK(serial != 0);
    tell(L4_CMD_KILL, 0, serial + 1);
    tell(L4_CMD_KILL, 7, serial);
    CHECK_EQ(1, send(client, "x", 1, 0));
    CHECK_EQ(1, read_one(backend, got, sizeof got));
    tell(L4_CMD_KILL, 0, serial);
    CHECK_EQ(-1, read_one(client, got, sizeof got));
    wait_ended(L4_END_KILLED, 1);
    close(client);
    close(backend);
    stop();
}

TEST(draining_serves_the_sessions_there_are_and_then_ends)
{
    int client, backend;
    char got[8];
    run();
    pair_through(&client, &backend);
    tell(L4_CMD_DRAIN, 0, 0);
    CHECK_EQ(1, send(client, "x", 1, 0));
    CHECK_EQ(1, read_one(backend, got, sizeof got));
    close(client);
    CHECK_EQ(0, read_one(backend, got, sizeof got));
    close(backend);
    finish();
}

TEST(without_a_supervisor_it_ends_with_its_last_session)
{
    int client, backend;
    char got[8];
    run();
    pair_through(&client, &backend);
    close(lifeline[1]);
    lifeline[1] = dup(lifeline[0]);
    CHECK_EQ(1, send(client, "x", 1, 0));
    CHECK_EQ(1, read_one(backend, got, sizeof got));
    close(client);
    close(backend);
    finish();
}

TEST(at_its_capacity_clients_wait_and_are_served_later)
{
    enum { CAPACITY = 8, CLIENTS = 20 };
    int clients[CLIENTS], served = 0, backend;
    char got[8];
    run();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(front_port);
        CHECK_EQ(1, send(clients[i], "x", 1, 0));
        shutdown(clients[i], SHUT_WR);
    }
    for (; served < CLIENTS; served++) {
        struct pollfd either[] = {{.fd = backend_fd[0], .events = POLLIN},
                                  {.fd = backend_fd[1], .events = POLLIN}};
        CHECK(poll(either, 2, 10000) > 0);
        CHECK(L4_GET(table.header->connections) <= CAPACITY);
        backend = accept(either[0].revents ? backend_fd[0] : backend_fd[1], NULL, NULL);
        CHECK_EQ(1, read_one(backend, got, sizeof got));
        close(backend);
    }
    CHECK_EQ(CLIENTS, served);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    wait_ended(L4_END_CLIENT_FIN, CLIENTS);
    stop();
}

MAIN(RUN(bytes_pass_both_ways_and_each_end_is_passed_on); RUN(the_backend_may_speak_and_end_first);
     RUN(a_clients_reset_reaches_the_backend_after_its_data);
     RUN(a_backends_reset_reaches_the_client_after_its_data); RUN(a_reset_waits_for_a_slow_reader);
     RUN(a_refused_connect_goes_to_another_backend_and_is_counted);
     RUN(when_every_backend_refuses_the_client_is_reset);
     RUN(an_idle_session_ends_after_its_timeout);
     RUN(a_half_closed_session_has_a_timeout_of_its_own);
     RUN(a_session_can_be_killed_by_its_serial_only);
     RUN(draining_serves_the_sessions_there_are_and_then_ends);
     RUN(without_a_supervisor_it_ends_with_its_last_session);
     RUN(at_its_capacity_clients_wait_and_are_served_later))
