#include "run/front.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/random.h"
#include "core/access.h"
#include "core/hello.h"
#include "core/ppv.h"
#include "core/route.h"
#include "io/sock.h"
#include "run/admit.h"
#include "run/pace.h"
#include "run/reach.h"
#include "run/secure.h"
#include "run/session.h"
#include "shm/edge_rows.h"

enum front_wants { /* what of a session is still to be read, in this order */
                   WANTS_PROXY = 1 << 0,
                   WANTS_HELLO = 1 << 1,
                   IS_QUIET = 1 << 2, /* the kernel wakes it only for enough bytes */
                   HAS_BEGUN = 1 << 3 /* a hello that nothing is chosen by */
};

enum step { ON, WAIT }; /* WAIT: for more bytes, or the session has ended */

static const struct l4_edge *edge_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->edge;
}

static struct l4_facts *facts_of(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_facts(loop->table, loop->setup.index, index);
}

/* Does it wait for a hello by which nothing is chosen? Who says nothing, or something else, is not
 * kept waiting for one. */
static bool is_curious(const struct l4_loop *loop, const struct l4_session *s)
{
    return (s->wants & (WANTS_PROXY | WANTS_HELLO)) == WANTS_HELLO &&
           !(L4_GET(edge_of(loop, s)->needs) & L4_NEEDS_HELLO) && !l4_secure_is_wanted(loop, s);
}

/* It may take so long for what is still to be read. */
static void give_time(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    uint32_t ms = L4_GET(edge_of(loop, s)->handshake_timeout_ms);
    if (is_curious(loop, s) && !(s->wants & HAS_BEGUN) && ms > L4_HELLO_WAIT_MS)
        ms = L4_HELLO_WAIT_MS;
    l4_session_set_deadline(loop, s, ms);
    l4_front_wait(loop, index);
}

/* ---- onward ---------------------------------------------------------------------------------- */

static void route(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_facts *facts = facts_of(loop, index);
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

void l4_front_onward(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_session_enter(loop, index, L4_SESSION_WAITS);
    l4_session_set_deadline(loop, s,
                            L4_GET(l4_table_pool(loop->table, s->pool)->connect_timeout_ms));
    l4_reach_backend(loop, index);
}

/* Nothing is left to read: to the backend. */
static void go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (s->wants & IS_QUIET)
        l4_sock_wake_at(s->half[0].fd, 1);
    if (L4_GET(edge_of(loop, s)->needs) & L4_NEEDS_ROUTE)
        route(loop, index);
    if (!l4_secure_client(loop, index))
        l4_front_onward(loop, index);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Lets the kernel wake this session only when `due` bytes are there. */
static enum step wait_for(struct l4_session *s, size_t due)
{
    l4_sock_wake_at(s->half[0].fd, (int)due);
    s->wants |= IS_QUIET;
    return WAIT;
}

static enum step refuse(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    l4_refuse(loop, index, reason, L4_REFUSE_REJECT);
    return WAIT;
}

/* Of a unix socket's clients its file's mode decides. */
static bool is_trusted(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->client.family == AF_UNIX ||
           l4_access_find_named(loop->table, &edge_of(loop, s)->trusted_set, &s->client);
}

static void keep_proxy(struct l4_loop *loop, uint32_t index, const struct l4_ppv *header)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = facts_of(loop, index);
    if (!header->local) {
        facts->via = s->client;
        facts->told_to = header->to;
        s->client = header->from;
        s->known |= L4_FACT_VIA;
    }
    facts->tlvs_bytes = (uint16_t)l4_ppv_pass_on(header, facts->tlvs, sizeof facts->tlvs);
    if (facts->tlvs_bytes)
        s->known |= L4_FACT_TLVS;
}

/* The PROXY header among the bytes seen, which is taken away. */
static enum step read_proxy(struct l4_loop *loop, uint32_t index, size_t got, bool last)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_ppv header;
    const enum l4_ppv_result result =
        l4_ppv_read((const uint8_t *)loop->pump.scratch, got, &header);
    if (result == L4_PPV_MORE && !last)
        return wait_for(s, header.bytes);
    if (result == L4_PPV_NONE || !header.version)
        return L4_GET(edge_of(loop, s)->needs) & L4_NEEDS_PROXY
                   ? refuse(loop, index, L4_END_REJECTED_PROXY_MISSING)
                   : ON;
    if (!is_trusted(loop, s))
        return refuse(loop, index, L4_END_REJECTED_PROXY_UNTRUSTED);
    if (result != L4_PPV_WHOLE)
        return refuse(loop, index, L4_END_REJECTED_PROXY_INVALID);
    keep_proxy(loop, index, &header);
    if (recv(s->half[0].fd, loop->pump.scratch, header.bytes, MSG_DONTWAIT) !=
        (ssize_t)header.bytes) {
        l4_session_end(loop, index, L4_END_CLIENT_RESET);
        return WAIT;
    }
    return ON;
}

static void keep_hello(struct l4_loop *loop, uint32_t index, const struct l4_hello *hello)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = facts_of(loop, index);
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

static enum step read_hello(struct l4_loop *loop, uint32_t index, size_t got, bool last)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_hello hello;
    const uint8_t *said = (const uint8_t *)loop->pump.scratch;
    /* why: OpenSSL takes memory for all that a hello says it has, nine bytes of it are enough. */
    if (l4_secure_is_wanted(loop, s)) {
        size_t due;
        if (l4_hello_await(said, got, &due) == L4_HELLO_MORE && !last)
            return wait_for(s, due);
        if (due > L4_HELLO_BYTES_MAX) {
            l4_secure_refuse_hello(loop, index);
            return WAIT;
        }
        if (!(L4_GET(edge_of(loop, s)->needs) & L4_NEEDS_HELLO))
            return ON;
    }
    const enum l4_hello_result result = l4_hello_read(said, got, &hello);
    if (result == L4_HELLO_MORE && !last) {
        if (is_curious(loop, s) && !(s->wants & HAS_BEGUN)) {
            s->wants |= HAS_BEGUN;
            give_time(loop, index);
        }
        return wait_for(s, hello.due);
    }
    if (result == L4_HELLO_WHOLE)
        keep_hello(loop, index, &hello);
    return ON;
}

/* Looks at what the client has said so far. */
static void look(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    while (s->wants & (WANTS_PROXY | WANTS_HELLO)) {
        const bool last = s->half[0].flags & L4_HALF_HUP; /* it will say no more */
        const ssize_t got =
            recv(s->half[0].fd, loop->pump.scratch, L4_HELLO_BYTES_MAX, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0) {
            if (errno != EAGAIN)
                l4_session_end(loop, index, L4_END_CLIENT_RESET);
            return;
        }
        if (s->wants & WANTS_PROXY) {
            if (read_proxy(loop, index, (size_t)got, last) == WAIT)
                return;
            s->wants &= (uint8_t)~WANTS_PROXY;
            if (!l4_admit_client(loop, index))
                return;
            if (is_curious(loop, s))
                give_time(loop, index);
        } else {
            if (read_hello(loop, index, (size_t)got, last) == WAIT)
                return;
            s->wants &= (uint8_t)~WANTS_HELLO;
        }
    }
    go_on(loop, index);
}

/* ---- what happens to it ---------------------------------------------------------------------- */

void l4_front_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_edge *edge = edge_of(loop, s);
    const uint32_t needs = L4_GET(edge->needs);
    if (needs & L4_NEEDS_PACE)
        l4_pace_begin(loop, index);
    if (needs & (L4_NEEDS_HELLO | L4_LIKES_HELLO) || l4_secure_is_wanted(loop, s))
        s->wants |= WANTS_HELLO;
    if (needs & (L4_NEEDS_PROXY | L4_MAY_PROXY)) {
        s->wants |= WANTS_PROXY;
        if (needs & L4_NEEDS_LIMITS && !l4_admit_place(loop, index))
            return;
        if (needs & L4_NEEDS_PROXY && !is_trusted(loop, s)) {
            refuse(loop, index, L4_END_REJECTED_PROXY_UNTRUSTED);
            return;
        }
    } else if (needs && !l4_admit_client(loop, index)) {
        return;
    }
    if (!s->wants) {
        go_on(loop, index);
        return;
    }
    l4_session_enter(loop, index, L4_SESSION_READS);
    const int error = l4_session_watch_client(loop, index);
    if (error) {
        s->error = -error;
        l4_session_end(loop, index, L4_END_ERROR);
        return;
    }
    give_time(loop, index);
}

bool l4_front_knows_source(const struct l4_session *s)
{
    return !(s->wants & WANTS_PROXY);
}

void l4_front_event(struct l4_loop *loop, uint32_t index, uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_half_note(&s->half[0], events);
    if (s->half[0].flags & L4_HALF_BROKEN)
        l4_session_end(loop, index, L4_END_CLIENT_RESET);
    else if (s->half[0].flags & L4_HALF_IN)
        look(loop, index);
}

void l4_front_wait(struct l4_loop *loop, uint32_t index)
{
    const int32_t left = l4_session_left_ms(loop, l4_session_at(loop, index));
    const uint64_t ms = left > 0 ? (uint64_t)left : 0;
    const bool passed = l4_pace_over(loop, index) != L4_END_NONE;
    l4_session_wake_in(loop, index, passed ? ms : l4_pace_left_ms(loop, index, ms));
}

bool l4_front_is_late(struct l4_loop *loop, uint32_t index, bool spoken)
{
    enum l4_reason why = l4_pace_over(loop, index);
    if (why == L4_END_REJECTED_FIRST_BYTE && spoken)
        why = L4_END_NONE;
    if (l4_session_left_ms(loop, l4_session_at(loop, index)) <= 0)
        why = L4_END_REJECTED_HANDSHAKE;
    if (why != L4_END_NONE)
        l4_session_end(loop, index, why);
    else
        l4_front_wait(loop, index);
    return why != L4_END_NONE;
}

void l4_front_timeout(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const bool spoken = l4_sock_has_data(s->half[0].fd);
    const enum l4_reason over = l4_pace_over(loop, index);
    const bool in_time = over == L4_END_NONE || (over == L4_END_REJECTED_FIRST_BYTE && spoken);
    if (in_time && is_curious(loop, s) && l4_session_left_ms(loop, s) <= 0)
        go_on(loop, index);
    else
        (void)l4_front_is_late(loop, index, spoken);
}
