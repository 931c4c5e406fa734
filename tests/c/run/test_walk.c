/* A seeded random walk over the states of sessions. Whatever happens in whatever order, each
 * session is in one state, all counts are right, and at the end everything was given back. */
#include <dirent.h>
#include <string.h>

#include "base/random.h"
#include "fake_loop.h"

enum { STEPS = 4000, SEEDS = 6, MOST = FAKE_SESSIONS };

/* The peers of a session, by its row. They act at random. */
static struct peers {
    int client;
    enum l4_session_state before; /* the session was offered */
} peers[MOST];

static uint64_t seed;
static uint32_t met; /* one bit for each state that was seen */

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(l4_random(&seed) % limit);
}

static uint32_t open_files(void)
{
    uint32_t count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list))
        count++;
    closedir(list);
    return count;
}

static uint32_t state_of(uint32_t index)
{
    return L4_GET(l4_session_at(&loop, index)->state);
}

static bool is_alive(uint32_t index)
{
    return index < loop.fresh && L4_GET(l4_session_at(&loop, index)->serial);
}

/* ---- what must hold after each step ---------------------------------------------------------- */

static uint32_t count_in(enum l4_session_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < loop.fresh; i++)
        count += is_alive(i) && state_of(i) == state;
    return count;
}

static uint32_t count_at(uint32_t backend)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < loop.fresh; i++)
        count += is_alive(i) && l4_session_at(&loop, i)->backend == backend;
    return count;
}

static void check_counts(void)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < loop.fresh; i++)
        alive += is_alive(i);
    CHECK_EQ(alive, loop.held);
    CHECK_EQ(alive, L4_GET(table.header->connections));
    CHECK_EQ(alive, L4_GET(l4_table_tally(&table, 0, FAKE_LISTENER)->active));
    CHECK_EQ(count_in(L4_SESSION_TARPIT), loop.tarpits);
    CHECK_EQ(count_in(L4_SESSION_QUEUE), L4_GET(l4_table_pool(&table, 0)->queue.waiting));
    for (uint32_t b = 0; b < FAKE_BACKENDS; b++)
        CHECK_EQ(count_at(b), L4_GET(l4_table_backend(&table, b)->inflight));
}

/* A session has a backend exactly in the states between its pick and its end. */
static void check_session(uint32_t index)
{
    const struct l4_session *s = l4_session_at(&loop, index);
    const uint32_t state = state_of(index);
    const bool reached = state == L4_SESSION_CONNECT || state == L4_SESSION_RELAY ||
                         state == L4_SESSION_RESET ||
                         (state == L4_SESSION_HANDOVER && peers[index].before != L4_SESSION_QUEUE);
    CHECK(state != L4_SESSION_FREE && state != L4_SESSION_ACCEPTED);
    CHECK_EQ(reached, s->backend != L4_NONE);
    CHECK_EQ(reached, s->half[L4_BACKEND].fd >= 0);
    CHECK_EQ(state == L4_SESSION_QUEUE, s->list == L4_LIST_QUEUE);
    CHECK((s->reason != L4_END_NONE) ==
          (state == L4_SESSION_TARPIT || state == L4_SESSION_RESET ||
           (state == L4_SESSION_HANDOVER && peers[index].before == L4_SESSION_RESET)));
    met |= 1u << state;
}

static void check_all(void)
{
    check_counts();
    for (uint32_t i = 0; i < loop.fresh; i++) {
        if (is_alive(i))
            check_session(i);
    }
}

/* ---- what may happen ------------------------------------------------------------------------- */

static void begin_session(void)
{
    const struct l4_addr from = {.family = AF_UNIX};
    const struct l4_bound bound = {.listener = FAKE_LISTENER};
    int pair[2];
    if (loop.held >= loop.capacity || !l4_count_take_client(&table, 0, 0))
        return;
    tcp_pair(pair);
    nonblocking(pair[1]);
    const uint32_t index = loop.free.count ? loop.free.head : loop.fresh;
    if (peers[index].client >= 0)
        close(peers[index].client);
    peers[index].client = pair[0];
    l4_session_open(&loop, &bound, pair[1], &from);
}

static void peer_acts(uint32_t index)
{
    static char block[1 << 14];
    static const char header[] = "PROXY UNKNOWN\r\n";
    const int fd = peers[index].client;
    if (fd < 0)
        return;
    switch (below(6)) {
    case 0:
        (void)!send(fd, header, sizeof header - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 1:
        (void)!send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 2:
        (void)!recv(fd, block, sizeof block, MSG_DONTWAIT);
        break;
    case 3:
        shutdown(fd, SHUT_WR);
        break;
    case 4:
        reset_close(fd);
        peers[index].client = -1;
        break;
    default:
        break;
    }
}

/* One backend accepts all waiting connections, sends something on each, and closes them. */
static void backend_acts(void)
{
    const uint32_t backend = below(FAKE_BACKENDS);
    int fd;
    while ((fd = accept4(fake_backends[backend], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        (void)!send(fd, "hello", 5, MSG_NOSIGNAL);
        if (below(2))
            reset_close(fd);
        else
            close(fd);
    }
}

static void operator_acts(uint32_t index)
{
    struct l4_limit *limit =
        &l4_table_listener(&table, FAKE_LISTENER)->edge.limits.limits[L4_LIMIT_CONNECTIONS];
    switch (below(6)) {
    case 0:
        L4_SET(l4_table_backend(&table, below(FAKE_BACKENDS))->max_connections, below(3));
        break;
    case 1:
        L4_SET(l4_table_pool(&table, 0)->queue.length, below(4));
        break;
    case 2:
        L4_SET(limit->value, below(6));
        break;
    case 3:
        L4_SET(l4_table_listener(&table, FAKE_LISTENER)->edge.needs,
               below(2) ? L4_NEEDS_LIMITS : L4_NEEDS_LIMITS | L4_MAY_PROXY);
        break;
    case 4:
        if (is_alive(index))
            l4_plane_tcp.kill(&loop, index, L4_GET(l4_session_at(&loop, index)->serial));
        break;
    default:
        if (below(8) == 0)
            l4_plane_tcp.end_all(&loop, below(FAKE_BACKENDS), L4_END_KILLED);
        break;
    }
}

/* Offers a session to another worker. A session that is offered comes back or is taken. */
static void hand_over(uint32_t index)
{
    if (!is_alive(index))
        return;
    if (state_of(index) == L4_SESSION_HANDOVER) {
        if (below(2))
            l4_session_again(&loop, index, peers[index].before);
        else
            l4_session_release(&loop, index);
    } else if (l4_session_can_move(l4_session_at(&loop, index))) {
        peers[index].before = (enum l4_session_state)state_of(index);
        l4_session_offer(&loop, index);
    }
}

static void one_step(void)
{
    const uint32_t index = below(MOST);
    switch (below(8)) {
    case 0:
    case 1:
        begin_session();
        break;
    case 2:
    case 3:
        peer_acts(index);
        break;
    case 4:
        if (below(4) == 0)
            backend_acts();
        break;
    case 5:
        operator_acts(index);
        break;
    case 6:
        hand_over(index);
        break;
    default:
        fake_later(below(8) ? below(50) : below(2000));
        break;
    }
    fake_turn();
}

static void walk(uint64_t from)
{
    const uint32_t files = open_files();
    seed = from;
    for (int i = 0; i < MOST; i++)
        peers[i].client = -1;
    fake_start();
    for (uint32_t i = 0; i < FAKE_BACKENDS; i++)
        nonblocking(fake_backends[i]);
    L4_SET(table.header->tarpit_ms, 300);
    L4_SET(l4_table_pool(&table, 0)->queue.timeout_ms, 400);
    L4_SET(l4_table_listener(&table, FAKE_LISTENER)
               ->edge.limits.limits[L4_LIMIT_CONNECTIONS]
               .verdict.refusal,
           L4_REFUSE_TARPIT);
    for (int i = 0; i < STEPS && !check_failures; i++) {
        one_step();
        check_all();
    }
    for (uint32_t i = 0; i < loop.fresh; i++) {
        if (is_alive(i) && state_of(i) == L4_SESSION_HANDOVER)
            l4_session_release(&loop, i);
    }
    for (int i = 0; i < MOST; i++) {
        if (peers[i].client >= 0)
            close(peers[i].client);
    }
    fake_stop();
    CHECK_EQ(files, open_files());
}

TEST(whatever_happens_in_whatever_order_all_is_counted_and_given_back)
{
    for (uint64_t from = 1; from <= SEEDS && !check_failures; from++) {
        walk(from);
        if (check_failures)
            fprintf(stderr, "seed %llu\n", (unsigned long long)from);
    }
    /* All states except those of TLS, and ACCEPTED and FREE, in which no session stays. */
    const uint32_t states[] = {L4_SESSION_PREREAD, L4_SESSION_TARPIT, L4_SESSION_QUEUE,
                               L4_SESSION_CONNECT, L4_SESSION_RELAY,  L4_SESSION_RESET,
                               L4_SESSION_HANDOVER};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        CHECK(met & 1u << states[i]);
}

MAIN(RUN(whatever_happens_in_whatever_order_all_is_counted_and_given_back))
