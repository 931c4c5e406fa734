#include "run/secure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "core/hello.h"
#include "run/front.h"
#include "run/pace.h"
#include "run/reach.h"
#include "run/session.h"
#include "shm/count.h"
#include "shm/edge_rows.h"
#include "shm/shakes.h"

enum { VAULT_TRIES = 100 };

/* ---- the vault ------------------------------------------------------------------------------- */

/* Reads the vault as it was at one moment; *bundle, if it is another than `known`, is the caller's.
 * Returns 0, -EAGAIN if it is being written (a word to read it again follows), or -errno. */
static int read_vault(int fd, uint64_t known, struct l4_vault *head, struct l4_ticket_keys *keys,
                      void **bundle)
{
    struct l4_vault again;
    *bundle = NULL;
    for (int i = 0; i < VAULT_TRIES; i++) {
        if (pread(fd, head, sizeof *head, 0) != sizeof *head || head->magic != L4_VAULT_MAGIC ||
            head->bundle_bytes > L4_TLS_BUNDLE_MAX)
            return -EPROTO;
        bool whole = !(head->sequence & 1) &&
                     pread(fd, keys, sizeof *keys, L4_VAULT_KEYS_AT) == sizeof *keys;
        if (whole && head->bundle_generation != known) {
            *bundle = malloc(head->bundle_bytes ? head->bundle_bytes : 1);
            if (!*bundle)
                return -ENOMEM;
            whole = pread(fd, *bundle, head->bundle_bytes, L4_VAULT_BUNDLE_AT) ==
                    (ssize_t)head->bundle_bytes;
        }
        if (whole && pread(fd, &again, sizeof again, 0) == sizeof again &&
            again.sequence == head->sequence)
            return 0;
        free(*bundle);
        *bundle = NULL;
    }
    return -EAGAIN;
}

static void stop_loading(struct l4_secure *secure)
{
    l4_tls_load_stop(&secure->loader);
    if (secure->bundle)
        OPENSSL_cleanse(secure->bundle, secure->bundle_bytes);
    free(secure->bundle);
    secure->bundle = NULL;
}

/* Takes in what the vault has now; certificates are then loaded by steps. From the first key on no
 * other process of this user can read this one's memory. */
static int refresh(struct l4_loop *loop)
{
    struct l4_secure *secure = loop->secure;
    struct l4_vault head;
    struct l4_ticket_keys keys;
    void *bundle;
    const uint64_t known = secure->loader.store ? secure->loading : L4_GET(loop->row->secrets);
    int error = read_vault(loop->setup.vault_fd, known, &head, &keys, &bundle);
    if (!error)
        secure->room.keys = keys;
    OPENSSL_cleanse(&keys, sizeof keys);
    if (error || !bundle)
        return error;
    stop_loading(secure);
    if (head.bundle_bytes)
        prctl(PR_SET_DUMPABLE, 0);
    error = l4_tls_load_start(&secure->loader, bundle, head.bundle_bytes);
    secure->bundle = bundle;
    secure->bundle_bytes = head.bundle_bytes;
    secure->loading = head.bundle_generation;
    if (error)
        stop_loading(secure);
    return error;
}

/* One step. 1: there is more. */
static int load(struct l4_loop *loop)
{
    struct l4_secure *secure = loop->secure;
    const int result = l4_tls_load_step(&secure->loader);
    if (result == 0) {
        l4_tls_adopt(&secure->room, secure->loader.store);
        secure->loader.store = NULL;
        L4_SET(loop->row->secrets, secure->loading);
    }
    if (result <= 0)
        stop_loading(secure);
    return result;
}

int l4_secure_open(struct l4_loop *loop)
{
    struct rlimit files = {0};
    if (loop->setup.vault_fd <= 0)
        return 0;
    L4_SET(loop->row->secrets, 0);
    loop->secure = calloc(1, sizeof *loop->secure);
    if (!loop->secure)
        return -ENOMEM;
    getrlimit(RLIMIT_NOFILE, &files);
    const rlim_t fds = files.rlim_cur < L4_TLS_FDS_MAX ? files.rlim_cur : L4_TLS_FDS_MAX;
    int error = l4_tls_open(&loop->secure->room, (uint32_t)fds, loop->table->plan.caps.backends);
    if (!error)
        error = refresh(loop);
    while (!error && loop->secure->loader.store) {
        const int result = load(loop);
        error = result < 0 ? result : 0;
    }
    loop->pump.tls = &loop->secure->room;
    return error;
}

void l4_secure_close(struct l4_loop *loop)
{
    if (!loop->secure)
        return;
    stop_loading(loop->secure);
    l4_tls_close(&loop->secure->room);
    free(loop->secure);
    loop->secure = NULL;
    loop->pump.tls = NULL;
}

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void l4_secure_refresh(struct l4_loop *loop)
{
    if (!loop->secure)
        return;
    const int error = refresh(loop);
    if (error && error != -EAGAIN)
        l4_loop_event(loop, L4_EVENT_SECRETS_FAILED, (uint32_t)-error, 0);
}

void l4_secure_tend(struct l4_loop *loop)
{
    if (!loop->secure)
        return;
    loop->secure->spent_us = 0;
    if (!loop->secure->loader.store)
        return;
    const uint64_t until = clock_us() + L4_TLS_LOAD_TURN_US;
    int result = 1;
    while (loop->secure->loader.store && result == 1 && clock_us() < until)
        result = load(loop);
    if (result < 0)
        l4_loop_event(loop, L4_EVENT_SECRETS_FAILED, (uint32_t)-result, 0);
    else if (result == 0)
        l4_loop_event(loop, L4_EVENT_SECRETS_LOADED, 0, L4_GET(loop->row->secrets));
}

void l4_secure_thrift(struct l4_loop *loop)
{
    struct l4_secure *secure = loop->secure;
    if (!secure)
        return;
    if (secure->room.live > secure->peak)
        secure->peak = secure->room.live;
    if (secure->peak < L4_TLS_THRIFT_MIN || secure->room.live > secure->peak / 16 ||
        loop->now_ms < secure->thrift_ms)
        return;
    malloc_trim(0);
    secure->peak = secure->room.live;
    secure->thrift_ms = loop->now_ms + L4_TLS_THRIFT_MS;
}

/* ---- a handshake ----------------------------------------------------------------------------- */

static struct l4_secure_rule *rule_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->secure;
}

/* Where what is limited over all of a listener's addresses is counted: see shm/limits.h. */
static uint32_t head_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_table_listener(loop->table, s->listener)->edge.limits.head);
}

static struct l4_shakes *shakes_of(const struct l4_loop *loop, const struct l4_session *s, int half)
{
    const uint32_t row = half == 0 ? s->listener : loop->table->plan.caps.listeners + s->pool;
    return l4_table_shakes(loop->table, loop->setup.index, row);
}

/* Its place in the virtual queue: microseconds to wait for its turn. -1: longer than `most`. */
static int64_t queue_us(const struct l4_loop *loop, const struct l4_session *s, uint64_t most)
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
        if (wait > most)
            return -1;
    } while (!atomic_compare_exchange_weak(next_us, &due, start + interval));
    return (int64_t)wait;
}

/* Keeps what a client has told by its handshake; agreed: it is done. */
static void learn(struct l4_loop *loop, uint32_t index, const struct l4_tls_facts *tls, bool agreed)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_table_facts(loop->table, loop->setup.index, index);
    /* why: a name that chose a route stays, whatever a second hello says. */
    if (tls->server_name && !(s->known & L4_FACT_NAME)) {
        facts->name_bytes =
            (uint16_t)l4_hello_name(tls->server_name, strlen(tls->server_name), facts->name);
        s->known |= facts->name_bytes ? L4_FACT_NAME : 0;
        s->name_hash = facts->name_bytes
                           ? l4_hash(&loop->table->header->hash_key, facts->name, facts->name_bytes)
                           : 0;
    }
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

static void fail(struct l4_loop *loop, uint32_t index, int half, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_shakes *shakes = shakes_of(loop, s, half);
    L4_OWN_ADD(shakes->failed, 1);
    if (s->half[half].flags & L4_HALF_TLS)
        l4_tls_why(&loop->pump, &s->half[half], shakes->why, sizeof shakes->why);
    if (half == 1) {
        l4_reach_failed(loop, index, error);
        return;
    }
    struct l4_tls_facts facts;
    if (l4_tls_facts(&loop->pump, &s->half[0], &facts))
        learn(loop, index, &facts, false);
    s->error = -error;
    l4_session_end(loop, index, L4_END_TLS_HANDSHAKE);
}

void l4_secure_refuse_hello(struct l4_loop *loop, uint32_t index)
{
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 47}; /* fatal, illegal_parameter */
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_shakes *shakes = shakes_of(loop, s, 0);
    L4_OWN_ADD(shakes->failed, 1);
    snprintf(shakes->why, sizeof shakes->why, "the ClientHello is too long");
    /* why: it may or may not arrive; who sends such a thing needs no better answer. */
    (void)!send(s->half[0].fd, alert, sizeof alert, MSG_NOSIGNAL | MSG_DONTWAIT);
    l4_session_end(loop, index, L4_END_TLS_HANDSHAKE);
}

/* Gives the client its half of OpenSSL, if its turn has come. False: not yet, or it has ended. */
static bool admit(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (loop->now_us < s->connect_started_us) {
        l4_session_wake_in(loop, index, (s->connect_started_us - loop->now_us) / 1000 + 1);
        return false;
    }
    if (!l4_count_take_shake(loop->table, loop->setup.index, head_of(loop, s),
                             L4_GET(rule_of(loop, s)->most))) {
        l4_session_wake_in(loop, index, L4_TLS_PLACE_RETRY_MS);
        return false;
    }
    const int error =
        l4_tls_start(&loop->pump, &s->half[0], L4_GET(rule_of(loop, s)->profile), NULL);
    if (!(s->half[0].flags & L4_HALF_TLS)) /* what it has, and nothing else, gives the place back */
        l4_count_drop_shake(loop->table, loop->setup.index, head_of(loop, s));
    if (error)
        fail(loop, index, 0, error);
    else
        l4_front_wait(loop, index);
    return !error;
}

static void done(struct l4_loop *loop, uint32_t index, int half)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_shakes *shakes = shakes_of(loop, s, half);
    struct l4_tls_facts facts;
    const bool told = l4_tls_facts(&loop->pump, &s->half[half], &facts);
    if (told && facts.resumed)
        L4_OWN_ADD(shakes->resumed, 1);
    else
        L4_OWN_ADD(shakes->full, 1);
    if (half == 1) {
        l4_reach_connected(loop, index);
        return;
    }
    if (told)
        learn(loop, index, &facts, true);
    l4_count_drop_shake(loop->table, loop->setup.index, head_of(loop, s));
    l4_front_onward(loop, index);
}

void l4_secure_go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const int half = L4_GET(s->state) == L4_SESSION_SECURES;
    struct l4_half *own = &s->half[half];
    if (half == 0 && own->flags & L4_HALF_BROKEN) {
        l4_session_end(loop, index, L4_END_CLIENT_RESET);
        return;
    }
    if (half == 0 && !(own->flags & L4_HALF_TLS) &&
        (!(own->flags & L4_HALF_IN) || !admit(loop, index)))
        return;
    if (loop->secure->spent_us >= L4_TLS_SHAKE_TURN_US) {
        l4_session_later(loop, index);
        return;
    }
    const uint64_t before = clock_us();
    const enum l4_shake result = l4_tls_shake(&loop->pump, own);
    loop->secure->spent_us += clock_us() - before;
    if (result == L4_SHAKE_DONE)
        done(loop, index, half);
    else if (result == L4_SHAKE_FAILED)
        fail(loop, index, half, -EPROTO);
}

/* ---- its two stages -------------------------------------------------------------------------- */

bool l4_secure_client(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!l4_secure_is_wanted(loop, s))
        return false;
    if (L4_GET(s->state) == L4_SESSION_FREE)
        l4_session_set_deadline(
            loop, s,
            L4_GET(l4_table_listener(loop->table, s->listener)->edge.handshake_timeout_ms));
    const int32_t left = l4_session_left_ms(loop, s);
    const int64_t wait = queue_us(loop, s, left > 0 ? (uint64_t)left * 1000 : 0);
    l4_session_enter(loop, index, L4_SESSION_SHAKES);
    s->connect_started_us = loop->now_us + (wait > 0 ? (uint64_t)wait : 0);
    const int error = wait < 0 ? 0 : l4_session_watch_client(loop, index);
    if (wait < 0 || !loop->secure) {
        l4_session_end(loop, index, wait < 0 ? L4_END_REJECTED_TLS_RATE : L4_END_TLS_HANDSHAKE);
    } else if (error) {
        s->error = -error;
        l4_session_end(loop, index, L4_END_ERROR);
    } else {
        l4_front_wait(loop, index);
        l4_secure_go_on(loop, index);
    }
    return true;
}

bool l4_secure_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint32_t profile = L4_GET(l4_table_pool(loop->table, s->pool)->tls_profile);
    if (!profile)
        return false;
    const struct l4_backend *b = l4_table_backend(loop->table, s->backend);
    char ip[INET6_ADDRSTRLEN] = "";
    if (b->addr.family == AF_INET || b->addr.family == AF_INET6)
        inet_ntop(b->addr.family, b->addr.ip, ip, sizeof ip);
    const struct l4_tls_peer peer = {
        .name = loop->secure ? l4_tls_store_peer(loop->secure->room.store, profile, b->name) : "",
        .ip = ip,
        .backend = s->backend,
        .serial = L4_GET(b->used),
    };
    l4_session_enter(loop, index, L4_SESSION_SECURES);
    const int error = l4_tls_start(&loop->pump, &s->half[1], profile, &peer);
    if (error)
        fail(loop, index, 1, error);
    else
        l4_secure_go_on(loop, index);
    return true;
}

void l4_secure_timeout(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const bool spoken = s->half[0].flags & (L4_HALF_TLS | L4_HALF_IN);
    if (L4_GET(s->state) == L4_SESSION_SECURES)
        l4_reach_timeout(loop, index);
    else if (!l4_front_is_late(loop, index, spoken) && spoken && !(s->half[0].flags & L4_HALF_TLS))
        l4_secure_go_on(loop, index); /* its turn has come */
}

void l4_secure_leave(struct l4_loop *loop, const struct l4_session *s)
{
    if (L4_GET(s->state) == L4_SESSION_SHAKES && s->half[0].flags & L4_HALF_TLS)
        l4_count_drop_shake(loop->table, loop->setup.index, head_of(loop, s));
}
