/* TLS_CLIENT and TLS_BACKEND: handshakes, with the client before the choice of a backend, and with
 * the backend after the connect.
 *
 * A client costs no memory of OpenSSL before its whole ClientHello is there: until then the
 * session waits in PREREAD, and the bytes stay in the kernel. Handshakes are limited in time (the
 * listener's handshake_timeout), in number, and in rate. Above the rate, each client gets a turn
 * in a virtual queue; a client whose turn would come too late is turned away at once. Handshakes
 * are the only long steps of the loop, so one loop iteration spends at most L4_TLS_SHAKE_TURN_US
 * on them before the other sessions go on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "core/client_hello.h"
#include "run/admission.h"
#include "run/attempt.h"
#include "run/client_wait.h"
#include "run/handshake.h"
#include "run/stages.h"
#include "run/vault.h"

static struct l4_secure_rule *rule_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->secure;
}

/* Returns the row that counts what is limited over all addresses of a listener: see
 * shm/limits.h. */
static uint32_t head_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_row_policy(loop, s)->limits.head);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* A handshake failed: counts that, and records why. */
static void note_failure(struct l4_loop *loop, struct l4_session *s, enum l4_side side)
{
    struct l4_tls_counters *handshakes = l4_handshake_counts(loop, s, side);
    L4_OWN_ADD(handshakes->failed, 1);
    if (s->half[side].flags & L4_HALF_TLS)
        l4_tls_why(&loop->pump, &s->half[side], handshakes->why, sizeof handshakes->why);
}

/* Makes one step of a handshake. L4_SHAKE_WAITS: it waits for its peer, or for the next loop
 * iteration. */
static enum l4_shake shake_once(struct l4_loop *loop, uint32_t index, enum l4_side side)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(loop->tls); /* l4_tls_start has begun it */
    if (loop->tls->spent_us >= L4_TLS_SHAKE_TURN_US) {
        l4_row_later(loop, index);
        return L4_SHAKE_WAITS;
    }
    const uint64_t before = l4_loop_clock_us();
    const enum l4_shake result = l4_tls_shake(&loop->pump, &s->half[side]);
    loop->tls->spent_us += l4_loop_clock_us() - before;
    if (result == L4_SHAKE_FAILED)
        note_failure(loop, s, side);
    return result;
}

/* A handshake is complete: counts that. Returns whether *facts has what was agreed on. */
static bool note_success(struct l4_loop *loop, const struct l4_session *s, enum l4_side side,
                         struct l4_tls_facts *facts)
{
    struct l4_tls_counters *handshakes = l4_handshake_counts(loop, s, side);
    const bool told = l4_tls_facts(&loop->pump, &s->half[side], facts);
    if (told && facts->resumed)
        L4_OWN_ADD(handshakes->resumed, 1);
    else
        L4_OWN_ADD(handshakes->full, 1);
    return told;
}

/* ---- with the client ------------------------------------------------------------------------- */

/* Takes a turn in the virtual queue. Returns the microseconds to wait for it; -1: longer than
 * `max`. */
static int64_t queue_us(const struct l4_loop *loop, const struct l4_session *s, uint64_t max)
{
    const struct l4_secure_rule *rule = rule_of(loop, s);
    const uint64_t interval = L4_GET(rule->interval_us), burst = L4_GET(rule->burst_us);
    _Atomic uint64_t *next_us = &l4_table_listener(loop->table, head_of(loop, s))->secure.next_us;
    const uint64_t now_us = loop->now_us;
    uint64_t due = L4_GET(*next_us), start, wait;
    if (!interval)
        return 0;
    do {
        start = due > now_us ? due : now_us;
        wait = start > now_us + burst ? start - burst - now_us : 0;
        if (wait > max)
            return -1;
    } while (!atomic_compare_exchange_weak(next_us, &due, start + interval));
    return (int64_t)wait;
}

static void record_name(struct l4_loop *loop, uint32_t index, const char *name)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    facts->name_bytes = (uint16_t)l4_hello_name(name, strlen(name), facts->name);
    s->known |= facts->name_bytes ? L4_FACT_NAME : 0;
    s->name_hash = facts->name_bytes
                       ? l4_hash(&loop->table->header->hash_key, facts->name, facts->name_bytes)
                       : 0;
}

/* Records what a client has said in its handshake. agreed: the handshake is complete. */
static void record_client(struct l4_loop *loop, uint32_t index, const struct l4_tls_facts *tls,
                          bool agreed)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    /* why: a name that chose a route stays, whatever a second hello says. */
    if (tls->server_name && !(s->known & L4_FACT_NAME))
        record_name(loop, index, tls->server_name);
    if (!agreed)
        return;
    s->known &= (uint8_t)~L4_FACT_ALPN;
    if (tls->alpn_length && tls->alpn_length <= L4_ALPN_MAX) {
        facts->alpn[0] = (uint8_t)tls->alpn_length;
        memcpy(facts->alpn + 1, tls->alpn, tls->alpn_length);
        facts->alpn_bytes = (uint16_t)(tls->alpn_length + 1);
        s->known |= L4_FACT_ALPN;
    }
    snprintf(facts->version, sizeof facts->version, "%s", tls->version);
    snprintf(facts->cipher, sizeof facts->cipher, "%s", tls->cipher);
    s->known |= L4_FACT_TLS;
}

static struct l4_step client_failed(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_tls_facts facts;
    if (l4_tls_facts(&loop->pump, &s->half[L4_CLIENT], &facts))
        record_client(loop, index, &facts, false);
    s->error = -error;
    return l4_end(L4_END_TLS_HANDSHAKE);
}

/* Begins the handshake. Answers L4_STAY with *begun false if the client's turn has not come. */
static struct l4_step begin_with_client(struct l4_loop *loop, uint32_t index, bool *begun)
{
    struct l4_session *s = l4_session_at(loop, index);
    *begun = false;
    L4_ASSERT(!(s->half[L4_CLIENT].flags & L4_HALF_TLS));
    if (loop->now_us < s->tls_due_us) {
        l4_row_wake_in(loop, index, (s->tls_due_us - loop->now_us) / 1000 + 1);
        return l4_stay();
    }
    if (!l4_count_take_shake(loop->table, loop->setup.index, head_of(loop, s),
                             L4_GET(rule_of(loop, s)->max))) {
        l4_row_wake_in(loop, index, L4_TLS_PLACE_RETRY_MS);
        return l4_stay();
    }
    const int error =
        l4_tls_start(&loop->pump, &s->half[L4_CLIENT], L4_GET(rule_of(loop, s)->profile), NULL);
    if (!(s->half[L4_CLIENT].flags & L4_HALF_TLS)) /* else leave_client gives the place back */
        l4_count_drop_shake(loop->table, loop->setup.index, head_of(loop, s));
    if (error) {
        note_failure(loop, s, L4_CLIENT);
        return client_failed(loop, index, error);
    }
    l4_client_wait(loop, index);
    *begun = true;
    return l4_stay();
}

static struct l4_step go_on_with_client(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint16_t flags = s->half[L4_CLIENT].flags;
    struct l4_tls_facts facts;
    if (flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    if (!(flags & L4_HALF_TLS)) {
        bool begun = false;
        const struct l4_step step =
            flags & L4_HALF_IN ? begin_with_client(loop, index, &begun) : l4_stay();
        if (!begun)
            return step;
    }
    switch (shake_once(loop, index, L4_CLIENT)) {
    case L4_SHAKE_DONE:
        if (note_success(loop, s, L4_CLIENT, &facts))
            record_client(loop, index, &facts, true);
        return l4_admission_done(loop, s);
    case L4_SHAKE_FAILED:
        return client_failed(loop, index, -EPROTO);
    default:
        return l4_stay();
    }
}

static struct l4_step enter_client(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const int32_t left = l4_row_left_ms(loop, s);
    const int64_t wait = queue_us(loop, s, left > 0 ? (uint64_t)left * 1000 : 0);
    if (wait < 0)
        return l4_end(L4_END_REJECTED_TLS_RATE);
    s->tls_due_us = loop->now_us + (uint64_t)wait;
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    if (!loop->tls)
        return l4_end(L4_END_TLS_HANDSHAKE);
    l4_client_wait(loop, index);
    return go_on_with_client(loop, index);
}

static struct l4_step event_client(struct l4_loop *loop, uint32_t index, enum l4_side side,
                                   uint32_t events)
{
    (void)side; /* there is no backend */
    l4_half_note(&l4_session_at(loop, index)->half[L4_CLIENT], events);
    return go_on_with_client(loop, index);
}

static struct l4_step timeout_client(struct l4_loop *loop, uint32_t index)
{
    const uint16_t flags = l4_session_at(loop, index)->half[L4_CLIENT].flags;
    const bool spoken = flags & (L4_HALF_TLS | L4_HALF_IN);
    const enum l4_reason late = l4_client_is_late(loop, index, spoken);
    if (late != L4_END_NONE)
        return l4_end(late);
    if (spoken && !(flags & L4_HALF_TLS)) /* the client's turn has come */
        return go_on_with_client(loop, index);
    return l4_stay();
}

/* Gives the place among the handshakes in progress back. The client has one exactly if its socket
 * uses TLS. */
static void leave_client(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    if (s->half[L4_CLIENT].flags & L4_HALF_TLS)
        l4_count_drop_shake(loop->table, loop->setup.index, head_of(loop, s));
}

const struct l4_stage l4_stage_tls_client = {
    .enter = enter_client,
    .event = event_client,
    .timeout = timeout_client,
    .resume = go_on_with_client,
    .leave = leave_client,
};

/* ---- with the backend ------------------------------------------------------------------------ */

static struct l4_step go_on_with_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_tls_facts facts;
    switch (shake_once(loop, index, L4_BACKEND)) {
    case L4_SHAKE_DONE:
        (void)note_success(loop, l4_session_at(loop, index), L4_BACKEND, &facts);
        return l4_attempt_succeeded(loop, l4_session_at(loop, index));
    case L4_SHAKE_FAILED:
        return l4_attempt_failed(loop, index, -EPROTO);
    default:
        return l4_stay();
    }
}

static struct l4_step enter_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint32_t profile = L4_GET(l4_row_pool(loop, s)->tls_profile);
    L4_ASSERT(s->backend != L4_NONE && !(s->half[L4_BACKEND].flags & L4_HALF_TLS));
    const struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    char ip[L4_ADDR_TEXT_MAX];
    l4_addr_host_text(b->addr, ip);
    const struct l4_tls_peer peer = {
        .name = loop->tls ? l4_tls_store_peer(loop->tls->room.store, profile, b->name) : "",
        .ip = ip,
        .backend = s->backend,
        .serial = L4_GET(b->used),
    };
    const int error = l4_tls_start(&loop->pump, &s->half[L4_BACKEND], profile, &peer);
    if (!error)
        return go_on_with_backend(loop, index);
    note_failure(loop, s, L4_BACKEND);
    return l4_attempt_failed(loop, index, error);
}

static struct l4_step event_backend(struct l4_loop *loop, uint32_t index, enum l4_side side,
                                    uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (side == L4_CLIENT)
        return l4_client_is_gone(s, events) ? l4_end(L4_END_CLIENT_RESET) : l4_stay();
    l4_half_note(&s->half[L4_BACKEND], events);
    return go_on_with_backend(loop, index);
}

const struct l4_stage l4_stage_tls_backend = {
    .enter = enter_backend,
    .event = event_backend,
    .timeout = l4_attempt_timeout,
    .resume = go_on_with_backend,
};
