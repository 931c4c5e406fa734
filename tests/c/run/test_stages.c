/* Each stage of a session alone: its answer to each event, and what it gives back. */
#include <sys/resource.h>

#include "fake_loop.h"
#include "run/attempt.h"

#define CHECK_STAYS(step) CHECK_EQ(L4_STAY, (step).kind)

#define CHECK_GOES(to, step)                                                                       \
    do {                                                                                           \
        const struct l4_step s_ = (step);                                                          \
        CHECK_EQ(L4_GO, s_.kind);                                                                  \
        CHECK_EQ(L4_SESSION_##to, s_.state);                                                       \
    } while (0)

#define CHECK_ENDS(why, step)                                                                      \
    do {                                                                                           \
        const struct l4_step s_ = (step);                                                          \
        CHECK_EQ(L4_END, s_.kind);                                                                 \
        CHECK_EQ(L4_END_##why, s_.reason);                                                         \
    } while (0)

static struct l4_session *at(uint32_t index)
{
    return l4_session_at(&loop, index);
}

static struct l4_pool *pool(void)
{
    return l4_table_pool(&table, 0);
}

static struct l4_policy *edge(void)
{
    return &l4_table_listener(&table, FAKE_LISTENER)->edge;
}

static uint32_t inflight(void)
{
    return L4_GET(l4_table_backend(&table, 0)->inflight) +
           L4_GET(l4_table_backend(&table, 1)->inflight);
}

/* Takes all places at all backends. */
static void fill_backends(void)
{
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++) {
        L4_SET(l4_table_backend(&table, i)->max_connections, 1);
        CHECK(l4_count_take_backend(&table, 1, i, NULL));
    }
}

static void free_backends(void)
{
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++)
        l4_count_drop_backend(&table, 1, i);
}

/* ---- PICK ------------------------------------------------------------------------------------ */

TEST(a_pick_takes_a_place_and_goes_to_connect)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_PICK);
    CHECK_GOES(CONNECT, l4_stage_pick.enter(&loop, index));
    CHECK_EQ(1, inflight());
    CHECK_EQ(1000, l4_row_left_ms(&loop, at(index)));
    close(client);
    fake_stop();
}

TEST(without_a_usable_backend_a_pick_ends_the_session)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_PICK);
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++)
        L4_SET(l4_table_backend(&table, i)->health, L4_DOWN);
    CHECK_ENDS(NO_BACKEND, l4_stage_pick.enter(&loop, index));
    at(index)->attempts = 1;
    CHECK_ENDS(CONNECT_FAILED, l4_stage_pick.enter(&loop, index));
    close(client);
    fake_stop();
}

TEST(where_places_lack_a_pick_queues_only_if_the_pool_has_a_queue)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_PICK);
    fill_backends();
    CHECK_ENDS(NO_BACKEND, l4_stage_pick.enter(&loop, index));
    L4_SET(pool()->queue.length, 4);
    CHECK_GOES(QUEUE, l4_stage_pick.enter(&loop, index));
    free_backends();
    CHECK(l4_count_take_wait(&table, 1, 0, 4)); /* other clients wait, and places are free */
    CHECK_GOES(QUEUE, l4_stage_pick.enter(&loop, index));
    at(index)->attempts = 1; /* it has waited for its turn already */
    CHECK_GOES(CONNECT, l4_stage_pick.enter(&loop, index));
    l4_count_drop_wait(&table, 1, 0);
    close(client);
    fake_stop();
}

TEST(a_session_that_this_host_had_no_socket_for_picks_again_until_its_time_is_over)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_PICK);
    at(index)->socketless = 1;
    l4_row_set_deadline(&loop, at(index), 100);
    CHECK_STAYS(l4_stage_pick.enter(&loop, index));
    CHECK_EQ(0, inflight());
    CHECK_GOES(CONNECT, l4_stage_pick.timeout(&loop, index));
    l4_attempt_leave(&loop, at(index));
    at(index)->socketless = 1;
    fake_later(100);
    CHECK_ENDS(ERROR, l4_stage_pick.enter(&loop, index));
    close(client);
    fake_stop();
}

/* ---- QUEUE ----------------------------------------------------------------------------------- */

TEST(the_queue_gives_its_places_back_and_counts_the_wait)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_QUEUE);
    L4_SET(pool()->queue.length, 1);
    L4_SET(pool()->queue.timeout_ms, 300);
    CHECK_STAYS(l4_stage_queue.enter(&loop, index));
    CHECK_EQ(1, L4_GET(pool()->queue.waiting));
    fake_later(50);
    l4_stage_queue.leave(&loop, index);
    CHECK_EQ(0, L4_GET(pool()->queue.waiting));
    CHECK_EQ(50000, at(index)->queue_us);
    l4_stage_queue.leave(&loop, index); /* the session has nothing to give back */
    CHECK_EQ(0, L4_GET(pool()->queue.waiting));
    close(client);
    fake_stop();
}

TEST(a_full_queue_ends_the_session_and_keeps_the_places_of_others)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_QUEUE);
    L4_SET(pool()->queue.length, 1);
    CHECK(l4_count_take_wait(&table, 1, 0, 1));
    CHECK_ENDS(QUEUE_FULL, l4_stage_queue.enter(&loop, index));
    l4_stage_queue.leave(&loop, index);
    CHECK_EQ(1, L4_GET(pool()->queue.waiting));
    l4_count_drop_wait(&table, 1, 0);
    close(client);
    fake_stop();
}

TEST(who_waits_in_the_queue_is_served_when_a_place_is_free_and_leaves_when_the_client_does)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    fake_state(index, L4_SESSION_QUEUE);
    L4_SET(pool()->queue.length, 1);
    L4_SET(pool()->queue.timeout_ms, 300);
    CHECK_STAYS(l4_stage_queue.enter(&loop, index));
    fill_backends();
    CHECK_STAYS(l4_stage_queue.resume(&loop, index));
    CHECK_EQ(L4_NONE, at(index)->backend);
    free_backends();
    CHECK_GOES(CONNECT, l4_stage_queue.resume(&loop, index));
    l4_attempt_leave(&loop, at(index));
    CHECK_ENDS(CLIENT_RESET,
               l4_stage_queue.event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLRDHUP | EPOLLHUP));
    CHECK_ENDS(CLIENT_FIN, l4_stage_queue.event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLRDHUP));
    CHECK_EQ(1, send(client, "x", 1, 0)); /* bytes that were sent before the end are to be served */
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    CHECK_STAYS(l4_stage_queue.event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLRDHUP));
    l4_row_set_deadline(&loop, at(index), 300);
    CHECK_STAYS(l4_stage_queue.timeout(&loop, index));
    fake_later(300);
    CHECK_ENDS(QUEUE_TIMEOUT, l4_stage_queue.timeout(&loop, index));
    close(client);
    fake_stop();
}

/* ---- CONNECT --------------------------------------------------------------------------------- */

static uint32_t connecting(int *client)
{
    const uint32_t index = fake_session(client);
    fake_state(index, L4_SESSION_PICK);
    CHECK_GOES(CONNECT, l4_stage_pick.enter(&loop, index));
    fake_state(index, L4_SESSION_CONNECT);
    return index;
}

TEST(a_connect_that_succeeds_goes_to_the_relay_or_to_its_handshake)
{
    int client;
    fake_start();
    const uint32_t index = connecting(&client);
    CHECK_STAYS(l4_stage_connect.enter(&loop, index));
    CHECK_STAYS(l4_stage_connect.event(&loop, index, L4_CLIENT, EPOLLIN));
    CHECK_STAYS(l4_stage_connect.event(&loop, index, L4_BACKEND, EPOLLIN));
    CHECK_GOES(RELAY, l4_stage_connect.event(&loop, index, L4_BACKEND, EPOLLOUT));
    L4_SET(pool()->tls_profile, 3);
    CHECK_GOES(TLS_BACKEND, l4_stage_connect.event(&loop, index, L4_BACKEND, EPOLLOUT));
    CHECK_ENDS(CLIENT_RESET, l4_stage_connect.event(&loop, index, L4_CLIENT, EPOLLHUP));
    close(client);
    fake_stop();
}

TEST(attempts_that_fail_are_counted_and_go_back_to_the_pick_until_there_are_too_many)
{
    int client;
    fake_start();
    uint32_t index = connecting(&client);
    for (int left = 2; left >= 0; left--) {
        CHECK_STAYS(l4_stage_connect.enter(&loop, index));
        fake_later(1000);
        const uint32_t backend = at(index)->backend;
        const struct l4_step step = l4_stage_connect.timeout(&loop, index);
        CHECK_EQ(3 - left, at(index)->attempts);
        CHECK_EQ(backend, at(index)->tried[2 - left]);
        CHECK_EQ(0, inflight());
        CHECK(at(index)->backend == L4_NONE && at(index)->half[L4_BACKEND].fd < 0);
        if (left == 0) {
            CHECK_ENDS(CONNECT_FAILED, step);
            break;
        }
        CHECK_GOES(PICK, step);
        at(index)->backend = 0;
        l4_count_join(&table, 0, 0);
        l4_row_set_deadline(&loop, at(index), 1000);
    }
    close(client);
    fake_stop();
}

TEST(a_host_without_a_socket_blames_no_backend)
{
    int client;
    struct rlimit files, none;
    fake_start();
    const uint32_t index = connecting(&client);
    CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &files));
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = files.rlim_max};
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    const struct l4_step step = l4_stage_connect.enter(&loop, index);
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
    CHECK_GOES(PICK, step);
    CHECK(at(index)->socketless && at(index)->attempts == 0 && loop.shed.pressed);
    CHECK_EQ(0, inflight());
    close(client);
    fake_stop();
}

/* ---- PREREAD and TARPIT ---------------------------------------------------------------------- */

TEST(where_nothing_is_asked_an_accepted_session_goes_to_its_pick)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    CHECK_GOES(PICK, l4_stage_accepted.enter(&loop, index));
    L4_SET(edge()->needs, L4_NEEDS_HELLO);
    CHECK_GOES(PREREAD, l4_stage_accepted.enter(&loop, index));
    L4_SET(edge()->needs, L4_NEEDS_PROXY);
    CHECK_ENDS(REJECTED_PROXY_UNTRUSTED, l4_stage_accepted.enter(&loop, index));
    close(client);
    fake_stop();
}

TEST(who_is_turned_away_is_held_in_the_tarpit_while_it_has_places)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    struct l4_limit *limit = &edge()->limits.limits[L4_LIMIT_CONNECTIONS];
    L4_SET(edge()->needs, L4_NEEDS_LIMITS);
    L4_SET(limit->value, 1);
    L4_SET(limit->verdict.refusal, L4_REFUSE_TARPIT);
    CHECK(l4_count_take_listener(&table, 1, FAKE_LISTENER, 1));
    const struct l4_step step = l4_stage_accepted.enter(&loop, index);
    CHECK_GOES(TARPIT, step);
    CHECK_EQ(L4_END_REJECTED_CONNECTIONS, step.reason);
    loop.tarpits = L4_TARPITS_MAX;
    CHECK_ENDS(REJECTED_CONNECTIONS, l4_stage_accepted.enter(&loop, index));
    loop.tarpits = 0;
    l4_count_drop_listener(&table, 1, FAKE_LISTENER);
    close(client);
    fake_stop();
}

TEST(the_tarpit_ends_a_session_for_why_it_was_turned_away)
{
    int client;
    fake_start();
    const uint32_t index = fake_session(&client);
    L4_SET(table.header->tarpit_ms, 200);
    fake_state(index, L4_SESSION_TARPIT);
    at(index)->reason = L4_END_REJECTED_DENIED;
    CHECK_STAYS(l4_stage_tarpit.enter(&loop, index));
    CHECK_EQ(1, loop.tarpits);
    CHECK_STAYS(l4_stage_tarpit.event(&loop, index, L4_CLIENT, EPOLLIN));
    CHECK_ENDS(REJECTED_DENIED, l4_stage_tarpit.event(&loop, index, L4_CLIENT, EPOLLRDHUP));
    CHECK_STAYS(l4_stage_tarpit.timeout(&loop, index));
    fake_later(200);
    CHECK_ENDS(REJECTED_DENIED, l4_stage_tarpit.timeout(&loop, index));
    l4_stage_tarpit.leave(&loop, index);
    CHECK_EQ(0, loop.tarpits);
    fake_state(index, L4_SESSION_PICK); /* a state with nothing to give back */
    close(client);
    fake_stop();
}

/* Returns a session in PREREAD that awaits the PROXY header of a trusted client. */
static uint32_t wanting_proxy(int *client)
{
    const uint32_t index = fake_session(client);
    fake_state(index, L4_SESSION_PREREAD);
    at(index)->client.family = AF_UNIX; /* clients of unix sockets are trusted */
    at(index)->wants = L4_WANTS_PROXY;
    L4_SET(edge()->needs, L4_NEEDS_PROXY);
    CHECK_STAYS(l4_stage_preread.enter(&loop, index));
    return index;
}

TEST(a_proxy_header_is_waited_for_taken_away_and_tells_who_the_client_is)
{
    static const char header[] = "PROXY TCP4 192.0.2.9 192.0.2.1 4000 80\r\nhello";
    int client;
    char rest[16];
    fake_start();
    const uint32_t index = wanting_proxy(&client);
    CHECK_EQ(10, send(client, header, 10, 0));
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    CHECK_STAYS(l4_stage_preread.event(&loop, index, L4_CLIENT, EPOLLIN));
    CHECK(at(index)->wants & L4_WANTS_PROXY);
    CHECK_EQ((ssize_t)sizeof header - 11, send(client, header + 10, sizeof header - 11, 0));
    while (recv(at(index)->half[L4_CLIENT].fd, rest, sizeof rest, MSG_PEEK) < (ssize_t)sizeof rest)
        usleep(1000);
    struct l4_step step = l4_stay();
    for (int i = 0; i < 100 && step.kind == L4_STAY; i++) {
        step = l4_stage_preread.event(&loop, index, L4_CLIENT, EPOLLIN);
        usleep(1000);
    }
    CHECK_GOES(PICK, step);
    CHECK(at(index)->client.port == 4000 && at(index)->known & L4_FACT_VIA);
    CHECK_EQ(5, recv(at(index)->half[L4_CLIENT].fd, rest, sizeof rest, 0));
    close(client);
    fake_stop();
}

TEST(a_client_that_says_something_else_or_nothing_in_time_is_turned_away)
{
    int client;
    fake_start();
    const uint32_t index = wanting_proxy(&client);
    CHECK_STAYS(l4_stage_preread.timeout(&loop, index));
    fake_later(500);
    CHECK_ENDS(REJECTED_HANDSHAKE, l4_stage_preread.timeout(&loop, index));
    CHECK_EQ(6, send(client, "GET / ", 6, 0));
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    CHECK_ENDS(REJECTED_PROXY_MISSING, l4_stage_preread.event(&loop, index, L4_CLIENT, EPOLLIN));
    close(client);
    fake_stop();
}

/* ---- RELAY and RESET ------------------------------------------------------------------------- */

/* Returns a session that relays; *backend: the backend's end of its connection. */
static uint32_t relaying(int *client, int *backend)
{
    const uint32_t index = connecting(client);
    CHECK_STAYS(l4_stage_connect.enter(&loop, index));
    *backend = accept(fake_backends[at(index)->backend], NULL, NULL);
    CHECK(*backend >= 0);
    CHECK_GOES(RELAY, l4_stage_connect.event(&loop, index, L4_BACKEND, EPOLLOUT));
    fake_state(index, L4_SESSION_RELAY);
    CHECK_STAYS(l4_stage_relay.enter(&loop, index));
    return index;
}

TEST(the_relay_moves_bytes_and_ends_when_both_sides_have_ended)
{
    int client, backend;
    char got[8];
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    CHECK_EQ(4, send(client, "ping", 4, 0));
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    CHECK_STAYS(l4_stage_relay.event(&loop, index, L4_CLIENT, EPOLLIN));
    CHECK(readable(backend));
    CHECK_EQ(4, recv(backend, got, sizeof got, 0));
    shutdown(client, SHUT_WR);
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    CHECK_STAYS(l4_stage_relay.event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLRDHUP));
    CHECK(at(index)->half_closed && at(index)->first_end == L4_CLIENT);
    close(backend);
    CHECK(readable(at(index)->half[L4_BACKEND].fd));
    CHECK_ENDS(CLIENT_FIN, l4_stage_relay.event(&loop, index, L4_BACKEND, EPOLLIN | EPOLLRDHUP));
    close(client);
    fake_stop();
}

TEST(a_reset_of_one_side_is_passed_on_after_what_came_before)
{
    int client, backend;
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    reset_close(client);
    CHECK(readable(at(index)->half[L4_CLIENT].fd));
    const struct l4_step step =
        l4_stage_relay.event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLERR | EPOLLHUP);
    CHECK_GOES(RESET, step);
    CHECK_EQ(L4_END_CLIENT_RESET, step.reason);
    fake_state(index, L4_SESSION_RESET);
    at(index)->reason = step.reason;
    CHECK_ENDS(CLIENT_RESET, l4_stage_reset.enter(&loop, index));
    close(backend);
    fake_stop();
}

TEST(a_relay_that_nothing_moves_in_ends_by_its_timeout)
{
    int client, backend;
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    fake_later(30000);
    CHECK_STAYS(l4_stage_relay.timeout(&loop, index));
    fake_later(30000);
    CHECK_ENDS(IDLE_TIMEOUT, l4_stage_relay.timeout(&loop, index));
    at(index)->half_closed = 1;
    L4_SET(at(index)->active_ms, loop.now_ms - 30000);
    CHECK_ENDS(HALF_CLOSED_TIMEOUT, l4_stage_relay.timeout(&loop, index));
    close(client);
    close(backend);
    fake_stop();
}

TEST(a_reset_waits_for_who_takes_bytes_and_not_for_ever_for_who_takes_none)
{
    int client, backend;
    static char block[1 << 16];
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    nonblocking(at(index)->half[L4_CLIENT].fd);
    while (send(at(index)->half[L4_CLIENT].fd, block, sizeof block, 0) > 0)
        ;
    fake_state(index, L4_SESSION_RESET);
    at(index)->reason = L4_END_KILLED;
    CHECK_STAYS(l4_stage_reset.enter(&loop, index));
    CHECK_STAYS(l4_stage_reset.event(&loop, index, L4_CLIENT, EPOLLIN));
    fake_later(L4_DRAIN_PATIENCE_MS);
    CHECK_ENDS(KILLED, l4_stage_reset.timeout(&loop, index));
    close(client);
    close(backend);
    fake_stop();
}

/* ---- the driver ------------------------------------------------------------------------------ */

TEST(a_retry_goes_round_in_the_driver_until_no_attempt_is_left)
{
    fake_start();
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++) {
        close(fake_backends[i]);
        fake_backends[i] = -1;
    }
    L4_SET(pool()->retries, 8);
    int pair[2];
    tcp_pair(pair);
    CHECK(l4_count_take_client(&table, 0, 0));
    const struct l4_bound bound = {.listener = FAKE_LISTENER};
    const struct l4_addr from = {.family = AF_INET, .port = 4711, .ip = {10, 0, 0, 7}};
    l4_session_open(&loop, &bound, pair[1], &from);
    for (int i = 0; i < 100 && loop.held; i++) {
        fake_turn();
        usleep(1000);
    }
    CHECK_EQ(1, L4_GET(loop.row->ended[L4_END_CONNECT_FAILED]));
    close(pair[0]);
    fake_stop();
}

TEST(what_happens_to_a_session_that_has_ended_in_this_turn_reaches_no_stage)
{
    int client, backend;
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    l4_session_end(&loop, index, L4_END_KILLED);
    l4_session_event(&loop, index, L4_CLIENT, EPOLLIN | EPOLLHUP);
    l4_session_event(&loop, index, L4_BACKEND, EPOLLOUT);
    l4_session_timeout(&loop, index);
    CHECK_EQ(1, L4_GET(loop.row->ended[L4_END_KILLED]));
    CHECK_EQ(1, loop.held); /* until the end of the turn */
    l4_row_sweep(&loop);
    CHECK_EQ(0, loop.held);
    close(client);
    close(backend);
    fake_stop();
}

TEST(a_session_that_is_offered_and_not_taken_goes_on_where_it_was)
{
    int client, backend;
    char got[8];
    fake_start();
    const uint32_t index = relaying(&client, &backend);
    l4_session_offer(&loop, index);
    CHECK_EQ(L4_SESSION_HANDOVER, L4_GET(at(index)->state));
    CHECK_EQ(4, send(client, "ping", 4, 0));
    fake_turn();
    CHECK_EQ(-1, recv(backend, got, sizeof got, MSG_DONTWAIT));
    l4_session_again(&loop, index, L4_SESSION_RELAY);
    fake_turn();
    CHECK(readable(backend));
    CHECK_EQ(4, recv(backend, got, sizeof got, 0));
    l4_session_offer(&loop, index);
    l4_session_release(&loop, index);
    CHECK_EQ(0, inflight());
    CHECK_EQ(0, L4_GET(loop.row->ended[L4_END_STOPPED])); /* no session has ended */
    close(client);
    close(backend);
    fake_stop();
}

MAIN(RUN(a_pick_takes_a_place_and_goes_to_connect);
     RUN(without_a_usable_backend_a_pick_ends_the_session);
     RUN(where_places_lack_a_pick_queues_only_if_the_pool_has_a_queue);
     RUN(a_session_that_this_host_had_no_socket_for_picks_again_until_its_time_is_over);
     RUN(the_queue_gives_its_places_back_and_counts_the_wait);
     RUN(a_full_queue_ends_the_session_and_keeps_the_places_of_others);
     RUN(who_waits_in_the_queue_is_served_when_a_place_is_free_and_leaves_when_the_client_does);
     RUN(a_connect_that_succeeds_goes_to_the_relay_or_to_its_handshake);
     RUN(attempts_that_fail_are_counted_and_go_back_to_the_pick_until_there_are_too_many);
     RUN(a_host_without_a_socket_blames_no_backend);
     RUN(where_nothing_is_asked_an_accepted_session_goes_to_its_pick);
     RUN(who_is_turned_away_is_held_in_the_tarpit_while_it_has_places);
     RUN(the_tarpit_ends_a_session_for_why_it_was_turned_away);
     RUN(a_proxy_header_is_waited_for_taken_away_and_tells_who_the_client_is);
     RUN(a_client_that_says_something_else_or_nothing_in_time_is_turned_away);
     RUN(the_relay_moves_bytes_and_ends_when_both_sides_have_ended);
     RUN(a_reset_of_one_side_is_passed_on_after_what_came_before);
     RUN(a_relay_that_nothing_moves_in_ends_by_its_timeout);
     RUN(a_reset_waits_for_who_takes_bytes_and_not_for_ever_for_who_takes_none);
     RUN(a_retry_goes_round_in_the_driver_until_no_attempt_is_left);
     RUN(what_happens_to_a_session_that_has_ended_in_this_turn_reaches_no_stage);
     RUN(a_session_that_is_offered_and_not_taken_goes_on_where_it_was))
