/* ACCEPTED and PREREAD: what a client must say before a backend is chosen, and the rules that it
 * must pass.
 *
 * The worker only peeks at what a client says (MSG_PEEK, into its scratch buffer). The bytes stay
 * in the kernel until the relay moves them, so a session that waits owns no buffer. A session that
 * needs more bytes has the kernel stay quiet until they are there (SO_RCVLOWAT), so a client that
 * sends byte by byte costs no more than one that sends all at once. Everything must be over within
 * the listener's handshake_timeout.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/access.h"
#include "core/client_hello.h"
#include "core/proxy_protocol.h"
#include "core/route.h"
#include "io/sock.h"
#include "run/admission.h"
#include "run/client_wait.h"
#include "run/handshake.h"
#include "run/shaping.h"
#include "run/stages.h"

/* Does the session wait for a ClientHello only to record it, although nothing is chosen by it? A
 * client that says nothing, or something else, then does not have to wait for long. */
static bool is_curious(const struct l4_loop *loop, const struct l4_session *s)
{
    return (s->wants & (L4_WANTS_PROXY | L4_WANTS_HELLO)) == L4_WANTS_HELLO &&
           !(L4_GET(l4_row_policy(loop, s)->needs) & L4_NEEDS_HELLO) &&
           !l4_handshake_is_wanted(loop, s);
}

/* Sets the deadline for what is still to be read. */
static void set_time_limit(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    uint32_t ms = L4_GET(l4_row_policy(loop, s)->handshake_timeout_ms);
    if (is_curious(loop, s) && !(s->wants & L4_WANTS_BEGUN) && ms > L4_HELLO_WAIT_MS)
        ms = L4_HELLO_WAIT_MS;
    l4_row_set_deadline(loop, s, ms);
    l4_client_wait(loop, index);
}

/* Chooses the pool by the listener's routes. All that they ask for is known. */
static void route(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!(L4_GET(l4_row_policy(loop, s)->needs) & L4_NEEDS_ROUTE))
        return;
    const struct l4_facts *facts = l4_row_facts(loop, index);
    struct l4_route_client client = {
        .addr = &s->client,
        .name_hash = s->name_hash,
        .random = (uint32_t)(l4_random(&loop->random) >> 32),
    };
    if (s->known & L4_FACT_NAME) {
        client.name = facts->name;
        client.name_bytes = facts->name_bytes;
    }
    if (s->known & L4_FACT_ALPN) {
        client.alpn = facts->alpn;
        client.alpn_bytes = facts->alpn_bytes;
    }
    const uint32_t pool = l4_route_choose(loop->table, s->listener, &client);
    if (pool != L4_NONE)
        s->pool = pool;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Has the kernel report the socket only when `due` bytes are there. */
static struct l4_step wait_for_bytes(struct l4_session *s, size_t due)
{
    l4_sock_wake_at(s->half[L4_CLIENT].fd, (int)due);
    s->wants |= L4_WANTS_QUIET;
    return l4_stay();
}

static struct l4_step reject(const struct l4_loop *loop, struct l4_session *s,
                             enum l4_reason reason)
{
    return l4_admission_refuse(loop, s, reason, L4_REFUSE_REJECT);
}

/* The clients of a unix socket are trusted: the mode of its file has let them in. */
static bool is_trusted(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->client.family == AF_UNIX ||
           l4_access_find_named(loop->table, &l4_row_policy(loop, s)->trusted_set, &s->client);
}

static void record_proxy(struct l4_loop *loop, uint32_t index, const struct l4_proxy *header)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    if (!header->local) {
        facts->via = s->client;
        facts->told_to = header->to;
        s->client = header->from;
        s->known |= L4_FACT_VIA;
    }
    facts->tlvs_bytes = (uint16_t)l4_proxy_pass_on(header, facts->tlvs, sizeof facts->tlvs);
    if (facts->tlvs_bytes)
        s->known |= L4_FACT_TLVS;
}

/* Reads and removes the PROXY header. *done: it was read, or there is none and none is required.
 * If not *done, the result is the stage's answer. */
static struct l4_step read_proxy(struct l4_loop *loop, uint32_t index, size_t got, bool last,
                                 bool *done)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_proxy header;
    const enum l4_proxy_result result =
        l4_proxy_read((const uint8_t *)loop->pump.scratch, got, &header);
    *done = false;
    if (result == L4_PROXY_MORE && !last)
        return wait_for_bytes(s, header.bytes);
    if (result == L4_PROXY_NONE || !header.version) {
        *done = !(L4_GET(l4_row_policy(loop, s)->needs) & L4_NEEDS_PROXY);
        return *done ? l4_stay() : reject(loop, s, L4_END_REJECTED_PROXY_MISSING);
    }
    if (!is_trusted(loop, s))
        return reject(loop, s, L4_END_REJECTED_PROXY_UNTRUSTED);
    if (result != L4_PROXY_WHOLE)
        return reject(loop, s, L4_END_REJECTED_PROXY_INVALID);
    record_proxy(loop, index, &header);
    *done = recv(s->half[L4_CLIENT].fd, loop->pump.scratch, header.bytes, MSG_DONTWAIT) ==
            (ssize_t)header.bytes;
    return *done ? l4_stay() : l4_end(L4_END_CLIENT_RESET);
}

static void record_hello(struct l4_loop *loop, uint32_t index, const struct l4_hello *hello)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    if (hello->name_bytes) {
        memcpy(facts->name, hello->name, hello->name_bytes + 1);
        facts->name_bytes = (uint16_t)hello->name_bytes;
        s->known |= L4_FACT_NAME;
        s->name_hash = l4_hash(&loop->table->header->hash_key, hello->name, hello->name_bytes);
    }
    if (hello->alpn_bytes) {
        memcpy(facts->alpn, hello->alpn, hello->alpn_bytes);
        facts->alpn_bytes = (uint16_t)hello->alpn_bytes;
        s->known |= L4_FACT_ALPN;
    }
}

/* Reads the ClientHello. *done: as much of it as needed was read. If not *done, the result is the
 * stage's answer. */
static struct l4_step read_hello(struct l4_loop *loop, uint32_t index, size_t got, bool last,
                                 bool *done)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_hello hello;
    const uint8_t *said = (const uint8_t *)loop->pump.scratch;
    *done = false;
    /* why: a hello of nine bytes can claim a length for which OpenSSL allocates 64 KiB. */
    if (l4_handshake_is_wanted(loop, s)) {
        size_t due;
        if (l4_hello_await(said, got, &due) == L4_HELLO_MORE && !last)
            return wait_for_bytes(s, due);
        if (due > L4_HELLO_BYTES_MAX) {
            l4_handshake_refuse_hello(loop, s);
            return l4_end(L4_END_TLS_HANDSHAKE);
        }
        *done = !(L4_GET(l4_row_policy(loop, s)->needs) & L4_NEEDS_HELLO);
        if (*done)
            return l4_stay();
    }
    const enum l4_hello_result result = l4_hello_read(said, got, &hello);
    if (result == L4_HELLO_MORE && !last) {
        if (is_curious(loop, s) && !(s->wants & L4_WANTS_BEGUN)) {
            s->wants |= L4_WANTS_BEGUN;
            set_time_limit(loop, index);
        }
        return wait_for_bytes(s, hello.due);
    }
    if (result == L4_HELLO_WHOLE)
        record_hello(loop, index, &hello);
    *done = true;
    return l4_stay();
}

/* Looks once at what the client has said so far. *done: the part that was looked for is read. */
static struct l4_step read_part(struct l4_loop *loop, uint32_t index, bool *done)
{
    struct l4_session *s = l4_session_at(loop, index);
    const bool last = s->half[L4_CLIENT].flags & L4_HALF_HUP; /* the client will send no more */
    const ssize_t got = recv(s->half[L4_CLIENT].fd, loop->pump.scratch, L4_HELLO_BYTES_MAX,
                             MSG_PEEK | MSG_DONTWAIT);
    *done = false;
    if (got < 0)
        return errno == EAGAIN ? l4_stay() : l4_end(L4_END_CLIENT_RESET);
    if (!(s->wants & L4_WANTS_PROXY)) {
        const struct l4_step step = read_hello(loop, index, (size_t)got, last, done);
        if (*done)
            s->wants &= (uint8_t)~L4_WANTS_HELLO;
        return step;
    }
    struct l4_step step = read_proxy(loop, index, (size_t)got, last, done);
    if (!*done)
        return step;
    s->wants &= (uint8_t)~L4_WANTS_PROXY;
    step = l4_admission_client(loop, index);
    *done = step.kind == L4_STAY;
    if (*done && is_curious(loop, s))
        set_time_limit(loop, index);
    return step;
}

/* Everything that was asked for is read. */
static struct l4_step end_reading(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (s->wants & L4_WANTS_QUIET)
        l4_sock_wake_at(s->half[L4_CLIENT].fd, 1);
    route(loop, index);
    return l4_handshake_is_wanted(loop, s) ? l4_go(L4_SESSION_TLS_CLIENT)
                                           : l4_admission_done(loop, s);
}

static struct l4_step read_parts(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    while (s->wants & (L4_WANTS_PROXY | L4_WANTS_HELLO)) {
        bool done;
        const struct l4_step step = read_part(loop, index, &done);
        if (!done)
            return step;
    }
    return end_reading(loop, index);
}

/* ---- its two stages -------------------------------------------------------------------------- */

/* A session that was just accepted goes to PICK at once if its listener asks for nothing. */
static struct l4_step enter_accepted(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint32_t needs = L4_GET(l4_row_policy(loop, s)->needs);
    struct l4_step step = l4_stay();
    if (needs & L4_NEEDS_PACE)
        l4_shaping_begin(loop, index);
    if (needs & (L4_NEEDS_HELLO | L4_LIKES_HELLO) || l4_handshake_is_wanted(loop, s))
        s->wants |= L4_WANTS_HELLO;
    if (needs & (L4_NEEDS_PROXY | L4_MAY_PROXY)) {
        s->wants |= L4_WANTS_PROXY;
        if (needs & L4_NEEDS_LIMITS)
            step = l4_admission_place(loop, index);
        if (step.kind == L4_STAY && needs & L4_NEEDS_PROXY && !is_trusted(loop, s))
            step = reject(loop, s, L4_END_REJECTED_PROXY_UNTRUSTED);
    } else if (needs) {
        step = l4_admission_client(loop, index);
    }
    if (step.kind != L4_STAY)
        return step;
    if (s->wants)
        return l4_go(L4_SESSION_PREREAD);
    route(loop, index);
    return needs & L4_NEEDS_REQUEST ? l4_go(L4_SESSION_REQUEST) : l4_go(L4_SESSION_PICK);
}

const struct l4_stage l4_stage_accepted = {
    .enter = enter_accepted,
};

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(l4_session_at(loop, index)->wants);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(l4_session_at(loop, index), error);
    set_time_limit(loop, index);
    return l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_half *client = &l4_session_at(loop, index)->half[L4_CLIENT];
    (void)side; /* there is no backend */
    l4_half_note(client, events);
    if (client->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    return client->flags & L4_HALF_IN ? read_parts(loop, index) : l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const bool spoken = l4_sock_has_data(s->half[L4_CLIENT].fd);
    const enum l4_reason over = l4_shaping_over(loop, index);
    const bool in_time = over == L4_END_NONE || (over == L4_END_REJECTED_FIRST_BYTE && spoken);
    if (in_time && is_curious(loop, s) && l4_row_left_ms(loop, s) <= 0)
        return end_reading(loop, index);
    const enum l4_reason late = l4_client_is_late(loop, index, spoken);
    return late == L4_END_NONE ? l4_stay() : l4_end(late);
}

const struct l4_stage l4_stage_preread = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
};
