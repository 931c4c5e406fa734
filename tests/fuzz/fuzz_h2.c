/* A client of HTTP/2 that sends any frames. The input is what it sends, in pieces; a part of it
 * also decides how streams are read, answered and released, and whether the client reads. Heads
 * that the engine gets must have one end at most, where the head ends. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bounds.h"
#include "core/h1.h"
#include "http/h2.h"
#include "io/stream_ops.h"
#include "require.h"

enum { SESSIONS = 64, PIECE = 512 };

static const struct l4_h2_rules rules = {.streams = 8, .window = 16384, .head_list = 32768};
static struct l4_pipes pipes;
static struct l4_h2 h2;
static char scratch[L4_SCRATCH_BYTES], heads[SESSIONS][L4_HTTP_BLOCK_BYTES];
static size_t head_bytes[SESSIONS];
static struct l4_half halves[SESSIONS], holders[SESSIONS];
static struct l4_pump pump = {.pipes = &pipes, .scratch = scratch, .h2 = &h2};
static uint64_t state;

static uint32_t choose(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void release(uint32_t i)
{
    l4_half_close(&pump, &halves[i], L4_CLOSE);
    l4_pump_discard(&pump, &holders[i]);
    head_bytes[i] = 0;
}

/* What the engine would read: a head, then perhaps a body. */
static void read_some(uint32_t i)
{
    struct l4_half *half = &halves[i];
    while (half->flags & L4_HALF_IN) {
        const size_t room = sizeof heads[i] - head_bytes[i];
        const size_t max = head_bytes[i] < sizeof heads[i] / 2 && room < 64 ? room : PIECE;
        const ssize_t got = l4_io_h2.receive(&pump, half, &holders[i], max);
        if (got <= 0) {
            half->flags &= (uint16_t)~L4_HALF_IN;
            break;
        }
        REQUIRE((size_t)got <= max);
        if ((size_t)got > room)
            break;
        memcpy(heads[i] + head_bytes[i], scratch, (size_t)got);
        head_bytes[i] += (size_t)got;
        size_t scanned = 0;
        const long end = l4_h1_end(heads[i], head_bytes[i], &scanned);
        REQUIRE(end >= 0); /* no byte is there that a head may not have */
    }
}

static void answer(uint32_t i)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n",
    };
    struct l4_half *half = &halves[i];
    const char *said = answers[choose(5)];
    size_t bytes = strlen(said);
    if (half->flags & L4_HALF_BROKEN || holders[i].piped || !l4_pipes_ready(&pipes))
        return;
    memset(scratch, 'b', 60000);
    memcpy(scratch, said, bytes);
    bytes += choose(3) ? 0 : choose(50000);
    REQUIRE(l4_io_h2.pass(&pump, &holders[i], half, bytes) != L4_PUMP_LOST);
}

static void step(uint32_t i)
{
    struct l4_half *half = &halves[i];
    if (half->flags & L4_HALF_BROKEN) {
        release(i);
        return;
    }
    read_some(i);
    if (head_bytes[i] && choose(2))
        answer(i);
    l4_pump_flush(&pump, &holders[i], half);
    if (choose(4) == 0 && !holders[i].piped)
        (void)l4_io_h2.finish(&pump, &holders[i], half);
    if (choose(4) == 0)
        release(i);
}

static void tell(void)
{
    struct l4_h2_stream *stream;
    for (int turns = 0; turns < 200 && (stream = l4_h2_next_woken(&h2)); turns++) {
        const uint32_t events = stream->events;
        stream->events = 0;
        if (stream->flags & L4_H2_NEW) {
            uint32_t i = 1;
            while (i < SESSIONS && l4_half_is_open(&halves[i]))
                i++;
            if (stream->flags & L4_H2_CLOSED)
                l4_h2_forget(&h2, stream);
            else if (i == SESSIONS)
                l4_h2_refuse(&h2, stream);
            else {
                halves[i] = holders[i] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
                l4_h2_give(&h2, stream, i, &halves[i]);
                step(i);
            }
        } else {
            const uint32_t i = stream->session;
            l4_half_note(&halves[i], events);
            step(i);
        }
    }
}

static void drain(int peer)
{
    static char sink[1 << 16];
    while (recv(peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
        ;
    halves[0].flags |= L4_HALF_OUT;
}

static bool turn(int peer, const uint8_t *data, size_t size)
{
    h2.now_ms += choose(50);
    if (!l4_h2_take(l4_h2_at(&h2, 0), (const char *)data, size))
        return false;
    tell();
    if (choose(3))
        drain(peer);
    struct l4_h2_conn *conn = l4_h2_at(&h2, 0);
    l4_h2_work(conn);
    return conn->abuse == L4_NO_ABUSE && !conn->broken;
}

static void talk(const uint8_t *data, size_t size)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    for (uint32_t i = 0; i < SESSIONS; i++)
        halves[i] = holders[i] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    halves[0].fd = ends[0];
    halves[0].flags = L4_HALF_OUT | L4_HALF_NODELAY;
    REQUIRE(l4_h2_open(&pump, 0, &halves[0], &holders[0], &rules) == 0);
    bool goes_on = turn(ends[1], (const uint8_t *)hello, sizeof hello - 1);
    while (goes_on && size) {
        const size_t part = size < 64 ? size : 1 + choose((uint32_t)(size < PIECE ? size : PIECE));
        goes_on = turn(ends[1], data, part);
        data += part;
        size -= part;
    }
    for (uint32_t i = 1; i < SESSIONS; i++) {
        if (l4_half_is_open(&halves[i]))
            release(i);
    }
    if (!goes_on)
        l4_h2_say_why(l4_h2_at(&h2, 0), NGHTTP2_ENHANCE_YOUR_CALM);
    l4_h2_close(&h2, 0);
    l4_half_close(&pump, &halves[0], L4_CLOSE);
    l4_pump_discard(&pump, &holders[0]);
    close(ends[1]);
    REQUIRE(h2.memory == 0 && !h2.dirty && !h2.woken.first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    if (!begun) {
        l4_pipes_init(&pipes, 64);
        REQUIRE(l4_h2_start(&h2, SESSIONS) == 0);
        begun = true;
    }
    state = size ? data[0] : 0;
    talk(data, size);
    return 0;
}
