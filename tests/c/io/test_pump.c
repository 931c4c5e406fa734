/* One direction of a relay over real sockets: source -> [from, to] -> sink. */
#include "check.h"
#include "io/pump.h"
#include "io/sock.h"
#include "sockets.h"

static struct l4_pipes pipes;
static char scratch[L4_SCRATCH_BYTES];
static const struct l4_pump pump = {.pipes = &pipes, .scratch = scratch};
static int source, sink;
static struct l4_half from, to;

static void set_up(uint32_t most_pipes)
{
    int left[2], right[2];
    l4_pipes_init(&pipes, most_pipes);
    tcp_pair(left);
    tcp_pair(right);
    source = left[0];
    sink = right[1];
    from = (struct l4_half){.fd = left[1], .flags = L4_HALF_IN | L4_HALF_OUT, .pipe = L4_NO_PIPE};
    to = (struct l4_half){.fd = right[0], .flags = L4_HALF_IN | L4_HALF_OUT, .pipe = L4_NO_PIPE};
    nonblocking(from.fd);
    nonblocking(to.fd);
    nonblocking(source);
    nonblocking(sink);
}

static void tear_down(void)
{
    l4_half_close(&pump, &from, false);
    l4_half_close(&pump, &to, false);
    close(source);
    close(sink);
    l4_pipes_close(&pipes);
    CHECK_EQ(-1, from.fd);
}

static unsigned char byte_at(uint64_t position)
{
    return (unsigned char)(position * 2654435761u >> 13);
}

/* Returns what is possible now, as an edge-triggered poller would report it. */
static void note_edges(void)
{
    struct pollfd both[] = {{.fd = from.fd, .events = POLLIN | POLLRDHUP},
                            {.fd = to.fd, .events = POLLOUT}};
    poll(both, 2, 0);
    if (both[0].revents & POLLIN)
        from.flags |= L4_HALF_IN;
    if (both[0].revents & (POLLRDHUP | POLLHUP | POLLERR))
        from.flags |= L4_HALF_IN | L4_HALF_HUP;
    if (both[1].revents & POLLOUT)
        to.flags |= L4_HALF_OUT;
}

/* Sends total bytes in random chunks while the sink reads in random chunks and pauses; the bytes
 * must arrive as they were sent, then the end. */
static void transfer(uint64_t total, unsigned seed)
{
    static unsigned char out[300000], in[300000];
    uint64_t sent = 0, received = 0, moved = 0;
    bool ended = false;
    for (uint64_t step = 0; !ended && step < 4000000; step++) {
        if (sent < total && rand_r(&seed) % 3) {
            size_t size = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 2 ? 300 : sizeof out);
            size = size < total - sent ? size : total - sent;
            for (size_t i = 0; i < size; i++)
                out[i] = byte_at(sent + i);
            const ssize_t n = send(source, out, size, MSG_NOSIGNAL);
            sent += n > 0 ? (uint64_t)n : 0;
            if (sent == total)
                shutdown(source, SHUT_WR);
        } else if (total == 0 && step == 0) {
            shutdown(source, SHUT_WR);
        }
        note_edges();
        CHECK(l4_pump(&pump, &from, &to, &moved) != L4_PUMP_LOST);
        if (rand_r(&seed) % 4 == 0)
            continue;
        const size_t size = 1 + (size_t)rand_r(&seed) % sizeof in;
        const ssize_t n = recv(sink, in, size, 0);
        for (ssize_t i = 0; i < n; i++) {
            if (in[i] != byte_at(received + (uint64_t)i)) {
                CHECK(!"a byte arrived changed or out of place");
                return;
            }
        }
        received += n > 0 ? (uint64_t)n : 0;
        ended = n == 0;
    }
    CHECK(ended);
    CHECK_EQ(total, received);
    CHECK_EQ(total, moved);
    CHECK(from.flags & L4_HALF_EOF && to.flags & L4_HALF_SHUT);
    CHECK_EQ(L4_NO_PIPE, from.pipe);
}

static void transfers(uint32_t most_pipes)
{
    static const uint64_t totals[] = {0, 1, 4096, 200000, 5000000, 30000000};
    for (unsigned i = 0; i < sizeof totals / sizeof *totals; i++) {
        set_up(most_pipes);
        transfer(totals[i], 77 + i);
        tear_down();
    }
}

TEST(random_transfers_are_exact_with_pipes)
{
    transfers(4);
}

TEST(random_transfers_are_exact_without_any_pipe)
{
    transfers(0);
}

TEST(a_full_receiver_stops_the_reading_and_nothing_is_lost)
{
    static char block[1 << 16];
    uint64_t moved = 0, sent = 0, received = 0;
    set_up(4);
    for (int idle = 0; idle < 50;) {
        const ssize_t n = send(source, block, sizeof block, MSG_NOSIGNAL);
        sent += n > 0 ? (uint64_t)n : 0;
        note_edges();
        const uint64_t before = moved;
        l4_pump(&pump, &from, &to, &moved);
        idle = n <= 0 && moved == before ? idle + 1 : 0;
    }
    CHECK(!(to.flags & L4_HALF_OUT));
    CHECK(from.piped <= L4_PIPE_BYTES);
    shutdown(source, SHUT_WR);
    for (ssize_t n; (n = recv(sink, block, sizeof block, 0)) != 0;) {
        received += n > 0 ? (uint64_t)n : 0;
        note_edges();
        l4_pump(&pump, &from, &to, &moved);
    }
    CHECK_EQ(sent, received);
    tear_down();
}

TEST(a_reset_is_seen_after_what_came_before_it)
{
    char got[16];
    uint64_t moved = 0;
    set_up(4);
    CHECK_EQ(5, send(source, "hello", 5, 0));
    reset_close(source);
    source = dup(sink);
    CHECK(readable(from.fd));
    note_edges();
    l4_pump(&pump, &from, &to, &moved);
    CHECK(from.flags & L4_HALF_RESET);
    CHECK_EQ(5, moved);
    CHECK(readable(sink));
    CHECK_EQ(5, recv(sink, got, sizeof got, 0));
    tear_down();
}

TEST(a_receiver_that_is_gone_breaks_its_half_and_what_it_sent_is_still_read)
{
    uint64_t moved = 0, back = 0;
    set_up(4);
    CHECK_EQ(3, send(sink, "bye", 3, 0));
    reset_close(sink);
    sink = dup(source);
    for (int i = 0; i < 100 && !(to.flags & L4_HALF_BROKEN); i++) {
        send(source, "more", 4, MSG_NOSIGNAL);
        readable(from.fd);
        note_edges();
        l4_pump(&pump, &from, &to, &moved);
    }
    CHECK(to.flags & L4_HALF_BROKEN);
    l4_pump(&pump, &to, &from, &back);
    CHECK_EQ(3, back);
    CHECK(to.flags & L4_HALF_RESET);
    tear_down();
}

TEST(urgent_data_does_not_hide_what_comes_after_it)
{
    char got[64];
    uint64_t moved = 0;
    set_up(4);
    send(source, "ab", 2, 0);
    send(source, "!", 1, MSG_OOB);
    send(source, "cd", 2, 0);
    CHECK(readable(from.fd));
    from.flags |= L4_HALF_URGENT;
    l4_sock_urgent_inline(from.fd);
    note_edges();
    l4_pump(&pump, &from, &to, &moved);
    CHECK_EQ(5, moved);
    CHECK(readable(sink));
    CHECK_EQ(5, recv(sink, got, sizeof got, 0));
    CHECK(memcmp(got, "ab!cd", 5) == 0);
    tear_down();
}

TEST(a_pipe_given_back_with_bytes_in_it_is_not_used_again)
{
    l4_pipes_init(&pipes, 1);
    const uint16_t pipe = l4_pipes_take(&pipes);
    CHECK(pipe != L4_NO_PIPE);
    CHECK_EQ(L4_NO_PIPE, l4_pipes_take(&pipes));
    CHECK_EQ(1, write(pipes.fds[pipe][1], "x", 1));
    l4_pipes_give(&pipes, pipe, false);
    const uint16_t next = l4_pipes_take(&pipes);
    char byte;
    CHECK_EQ(-1, read(pipes.fds[next][0], &byte, 1));
    l4_pipes_give(&pipes, next, true);
    l4_pipes_close(&pipes);
}

TEST(the_first_pipes_are_large_and_the_others_small)
{
    enum { MADE = L4_PIPES_LARGE + 2 };
    uint16_t taken[MADE];
    l4_pipes_init(&pipes, MADE);
    for (int i = 0; i < MADE; i++) {
        taken[i] = l4_pipes_take(&pipes);
        CHECK(taken[i] != L4_NO_PIPE);
        const int size = fcntl(pipes.fds[taken[i]][1], F_GETPIPE_SZ);
        /* The kernel may give less than asked for (pipe-user-pages-soft), never more. */
        CHECK(size <= (i < L4_PIPES_LARGE ? L4_PIPE_BYTES : L4_PIPE_SMALL_BYTES));
        CHECK(size >= L4_PIPE_MIN_BYTES);
        if (i == 0)
            CHECK(size > L4_PIPE_SMALL_BYTES || geteuid() != 0);
    }
    for (int i = 0; i < MADE; i++)
        l4_pipes_give(&pipes, taken[i], true);
    l4_pipes_close(&pipes);
}

MAIN(RUN(random_transfers_are_exact_with_pipes); RUN(random_transfers_are_exact_without_any_pipe);
     RUN(a_full_receiver_stops_the_reading_and_nothing_is_lost);
     RUN(a_reset_is_seen_after_what_came_before_it);
     RUN(a_receiver_that_is_gone_breaks_its_half_and_what_it_sent_is_still_read);
     RUN(urgent_data_does_not_hide_what_comes_after_it);
     RUN(a_pipe_given_back_with_bytes_in_it_is_not_used_again);
     RUN(the_first_pipes_are_large_and_the_others_small))
