/* Batches of datagrams over loopback sockets: every one arrives unchanged and in order. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "io/dgram.h"
#include "io/dgram_sock.h"
#include "sockets.h"

enum { MOST = 65507, ROUNDS = 60 };

static int from, to; /* connected to one another */
static struct l4_dgram_inbox inbox;
static struct l4_dgram_outbox outbox;
static uint8_t bytes[L4_UDP_BATCH][MOST];

static int udp_socket(struct sockaddr_in *at)
{
    socklen_t length = sizeof *at;
    const int size = 8 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)at, sizeof *at) ||
        getsockname(fd, (struct sockaddr *)at, &length))
        abort();
    return fd;
}

static void open_pair(void)
{
    struct sockaddr_in a, b;
    from = udp_socket(&a);
    to = udp_socket(&b);
    if (connect(from, (struct sockaddr *)&b, sizeof b) ||
        connect(to, (struct sockaddr *)&a, sizeof a))
        abort();
    l4_dgram_outbox_init(&outbox);
}

static void close_pair(void)
{
    close(from);
    close(to);
}

/* Sizes as senders use them: runs of equal ones, some shorter, some empty. */
static uint32_t size_after(uint64_t *random, uint32_t before)
{
    const uint64_t r = l4_random(random);
    if (r % 8 < 5)
        return before;
    return r % 8 == 5 ? 0 : (uint32_t)(l4_random(random) % (r % 8 == 6 ? 1500 : 9000));
}

static void receive_and_compare(const uint32_t *sizes, uint32_t count, int fd)
{
    static uint8_t got[MOST + 1];
    for (uint32_t i = 0; i < count; i++) {
        CHECK(readable(fd));
        const ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
        CHECK_EQ(sizes[i], n);
        CHECK(n < 0 || memcmp(got, bytes[i], (size_t)n) == 0);
    }
}

static void send_rounds(bool runs)
{
    uint64_t random = 5;
    const struct l4_dgram_to peer = {.owner = 1};
    open_pair();
    outbox.runs = outbox.runs && runs;
    for (int round = 0; round < ROUNDS && check_failures == 0; round++) {
        uint32_t sizes[L4_UDP_BATCH], size = 700;
        struct l4_dgram_sent sent;
        for (uint32_t i = 0; i < L4_UDP_BATCH; i++) {
            size = sizes[i] = size_after(&random, size);
            for (uint32_t b = 0; b < size; b++)
                bytes[i][b] = (uint8_t)l4_random(&random);
            const struct l4_dgram d = {.data = bytes[i], .bytes = size, .segment = size};
            CHECK(l4_dgram_put(&outbox, &peer, &d, true));
        }
        const struct l4_dgram one_more = {.data = bytes[0]};
        CHECK(!l4_dgram_put(&outbox, &peer, &one_more, true));
        CHECK_EQ(0, l4_dgram_send(&outbox, from, &sent));
        CHECK_EQ(0, sent.lost);
        receive_and_compare(sizes, L4_UDP_BATCH, to);
    }
    close_pair();
}

TEST(datagrams_put_together_arrive_one_by_one_as_they_were)
{
    send_rounds(true);
}

TEST(without_runs_too)
{
    send_rounds(false);
}

TEST(equal_ones_of_one_owner_become_one_message)
{
    if (!l4_dgram_runs_supported())
        return;
    open_pair();
    const struct l4_dgram d = {.data = bytes[0], .bytes = 100, .segment = 100};
    const struct l4_dgram shorter = {.data = bytes[0], .bytes = 60, .segment = 60};
    for (uint32_t i = 0; i < 5; i++)
        CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 1}, &d, true));
    CHECK_EQ(1, outbox.messages);
    CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 1}, &shorter, true));
    CHECK_EQ(1, outbox.messages);
    CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 1}, &shorter, true));
    CHECK_EQ(2, outbox.messages); /* only the last one of a run may be shorter */
    CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 2}, &shorter, true));
    CHECK_EQ(3, outbox.messages);
    CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 2}, &shorter, false));
    CHECK_EQ(4, outbox.messages);
    CHECK_EQ(9, l4_dgram_forget(&outbox));
    close_pair();
}

TEST(a_run_that_is_received_tells_its_boundaries)
{
    if (!l4_dgram_runs_supported())
        return;
    open_pair();
    l4_dgram_tell(to, false);
    CHECK_EQ(0, l4_dgram_inbox_init(&inbox, true));
    struct l4_dgram_sent sent;
    uint32_t at = 0, pieces = 0, received = 0;
    struct l4_dgram piece;
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t size = i < 7 ? 1000 : 300;
        memset(bytes[i], (int)i, size);
        const struct l4_dgram d = {.data = bytes[i], .bytes = size, .segment = size};
        CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 1}, &d, true));
    }
    CHECK_EQ(0, l4_dgram_send(&outbox, from, &sent));
    CHECK(readable(to));
    const int count = l4_dgram_receive(&inbox, to, 0, L4_UDP_BATCH);
    for (int i = 0; i < count; i++) {
        received += l4_dgram_count(&inbox.got[i]);
        for (at = 0; l4_dgram_piece(&inbox.got[i], &at, &piece); pieces++) {
            CHECK_EQ(pieces < 7 ? 1000 : 300, piece.bytes);
            CHECK_EQ(pieces, piece.data[0]);
        }
    }
    CHECK_EQ(8, received);
    CHECK_EQ(8, pieces);
    l4_dgram_inbox_close(&inbox);
    close_pair();
}

TEST(an_empty_datagram_is_one_piece)
{
    const struct l4_dgram empty = {.data = bytes[0]};
    struct l4_dgram piece;
    uint32_t at = 0;
    CHECK_EQ(1, l4_dgram_count(&empty));
    CHECK(l4_dgram_piece(&empty, &at, &piece));
    CHECK_EQ(0, piece.bytes);
    CHECK(!l4_dgram_piece(&empty, &at, &piece));
}

TEST(a_peer_that_is_gone_is_told_and_what_was_not_sent_stays)
{
    open_pair();
    struct l4_dgram_sent sent;
    const struct l4_dgram d = {.data = bytes[0], .bytes = 10, .segment = 10};
    close(to);
    CHECK_EQ(10, send(from, bytes[0], 10, 0));
    for (uint32_t i = 0; i < 3; i++)
        CHECK(l4_dgram_put(&outbox, &(struct l4_dgram_to){.owner = 1}, &d, true));
    CHECK_EQ(-ECONNREFUSED, l4_dgram_send(&outbox, from, &sent));
    struct sockaddr_in at;
    to = udp_socket(&at);
    CHECK_EQ(0, connect(from, (struct sockaddr *)&at, sizeof at));
    CHECK_EQ(0, l4_dgram_send(&outbox, from, &sent));
    const uint32_t sizes[] = {10, 10, 10};
    for (uint32_t i = 1; i < 3; i++)
        memcpy(bytes[i], bytes[0], 10);
    receive_and_compare(sizes, 3, to);
    close_pair();
}

TEST(a_socket_keeps_the_port_that_it_is_asked_to_have_if_it_is_free)
{
    struct sockaddr_in at;
    bool made;
    to = udp_socket(&at);
    const struct l4_addr backend = l4_dgram_bound_to(to);
    uint16_t port = 0, again;
    int fd = l4_dgram_connect(&backend, NULL, &port, &made);
    CHECK(fd >= 0 && port != 0);
    again = port;
    from = l4_dgram_connect(&backend, NULL, &again, &made); /* the port is in use */
    CHECK(from >= 0 && again != port);
    close(fd);
    again = port;
    fd = l4_dgram_connect(&backend, NULL, &again, &made);
    CHECK(fd >= 0);
    CHECK_EQ(port, again);
    close(fd);
    close_pair();
}

MAIN(RUN(datagrams_put_together_arrive_one_by_one_as_they_were); RUN(without_runs_too);
     RUN(equal_ones_of_one_owner_become_one_message);
     RUN(a_run_that_is_received_tells_its_boundaries); RUN(an_empty_datagram_is_one_piece);
     RUN(a_peer_that_is_gone_is_told_and_what_was_not_sent_stays);
     RUN(a_socket_keeps_the_port_that_it_is_asked_to_have_if_it_is_free))
