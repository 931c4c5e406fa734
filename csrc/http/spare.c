#include "http/spare.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "http/room.h"
#include "io/sock.h"
#include "io/tls.h"
#include "run/first_byte.h"
#include "run/row.h"
#include "shm/http.h"

enum { FD_BITS = 21, FD_MASK = (1 << FD_BITS) - 1, USE_MASK = (1 << (32 - FD_BITS)) - 1 };
_Static_assert(L4_TLS_FDS_MAX == 1 << FD_BITS, "a descriptor and its use fit one word");

static struct l4_spares *spares_of(const struct l4_loop *loop)
{
    return &loop->http->spares;
}

static struct l4_conn *conn_at(const struct l4_loop *loop, int fd)
{
    L4_ASSERT(fd >= 0 && (uint32_t)fd < spares_of(loop)->conn_count);
    return &spares_of(loop)->conns[fd];
}

static const struct l4_http_pool *rule_of(const struct l4_loop *loop, uint32_t pool)
{
    return &l4_table_pool(loop->table, pool)->http;
}

/* ---- start and finish ------------------------------------------------------------------------ */

int l4_spares_start(struct l4_loop *loop)
{
    struct l4_spares *spares = spares_of(loop);
    const long fds = sysconf(_SC_OPEN_MAX);
    spares->conn_count = fds < 0 || fds > FD_MASK ? FD_MASK : (uint32_t)fds;
    spares->list_count = loop->table->plan.caps.backends;
    spares->conns = calloc(spares->conn_count, sizeof *spares->conns);
    spares->lists = calloc(spares->list_count, sizeof *spares->lists);
    return spares->conns && spares->lists ? 0 : -ENOMEM;
}

void l4_spares_finish(struct l4_loop *loop)
{
    struct l4_spares *spares = spares_of(loop);
    if (spares->conns && spares->lists)
        l4_spare_close_all(loop, L4_NONE);
    free(spares->conns);
    free(spares->lists);
}

/* ---- the lists ------------------------------------------------------------------------------- */

/* why plus one: the memory begins as zeros, and an untouched list must be empty. */
static uint32_t link_of(int fd)
{
    return (uint32_t)fd + 1;
}

static struct l4_conn *linked(const struct l4_loop *loop, uint32_t link)
{
    return link ? conn_at(loop, (int)link - 1) : NULL;
}

/* The number that others see. */
static void tell_count(const struct l4_loop *loop, uint32_t backend)
{
    L4_SET(l4_table_http_column(loop->table, loop->setup.index, backend)->spare,
           spares_of(loop)->lists[backend].count);
}

static void put(struct l4_loop *loop, struct l4_conn *conn)
{
    struct l4_spare_list *list = &spares_of(loop)->lists[conn->backend];
    const uint32_t link = link_of(conn->half.fd);
    L4_ASSERT(conn->half.fd >= 0 && conn->half.pipe == L4_NO_PIPE);
    conn->older = list->newest;
    conn->newer = 0;
    if (list->newest)
        linked(loop, list->newest)->newer = link;
    else
        list->oldest = link;
    list->newest = link;
    list->count++;
    spares_of(loop)->count++;
    tell_count(loop, conn->backend);
}

static void take_out(struct l4_loop *loop, struct l4_conn *conn)
{
    struct l4_spare_list *list = &spares_of(loop)->lists[conn->backend];
    L4_ASSERT(conn->half.fd >= 0 && list->count > 0 && spares_of(loop)->count > 0);
    if (conn->newer)
        linked(loop, conn->newer)->older = conn->older;
    else
        list->newest = conn->older;
    if (conn->older)
        linked(loop, conn->older)->newer = conn->newer;
    else
        list->oldest = conn->newer;
    list->count--;
    spares_of(loop)->count--;
    tell_count(loop, conn->backend);
}

static void close_spare(struct l4_loop *loop, struct l4_conn *conn)
{
    take_out(loop, conn);
    l4_half_close(&loop->pump, &conn->half, L4_CLOSE);
}

/* ---- in use ---------------------------------------------------------------------------------- */

int l4_spare_watch(struct l4_loop *loop, uint32_t index)
{
    struct l4_half *half = &l4_session_at(loop, index)->half[L4_BACKEND];
    if ((uint32_t)half->fd >= spares_of(loop)->conn_count)
        return -EMFILE;
    struct l4_conn *conn = conn_at(loop, half->fd);
    *conn = (struct l4_conn){
        .half = {.fd = -1, .pipe = L4_NO_PIPE},
        .session = index,
        .requests = 1,
        .use = (uint16_t)((conn->use + 1) & USE_MASK),
    };
    half->flags |= L4_HALF_WATCHED;
    return l4_loop_watch(loop, half->fd, L4_SOCKET_EVENTS, l4_watch_session(L4_HTTP, L4_BACKEND),
                         (uint32_t)conn->use << FD_BITS | (uint32_t)half->fd);
}

static uint32_t rest_ms(const struct l4_loop *loop, const struct l4_conn *conn)
{
    return (uint32_t)loop->now_ms - conn->since_ms;
}

/* Returns for how long connections to a backend may rest: the pool's time, or less if the backend
 * was seen to close them earlier. */
static uint32_t allowed_ms(const struct l4_loop *loop, uint32_t backend)
{
    const uint32_t pool = l4_table_backend(loop->table, backend)->pool;
    const uint32_t allowed = L4_GET(rule_of(loop, pool)->idle_timeout_ms);
    const uint32_t learnt = spares_of(loop)->lists[backend].learnt_ms;
    const uint32_t safe = learnt - learnt / 10;
    return learnt && safe < allowed ? safe : allowed;
}

static bool is_usable(const struct l4_loop *loop, const struct l4_conn *conn)
{
    const struct l4_backend *b = l4_table_backend(loop->table, conn->backend);
    return L4_GET(b->used) == conn->serial && rest_ms(loop, conn) < allowed_ms(loop, conn->backend);
}

/* May the request go over a connection that was used before? */
static bool may_reuse(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t reuse = L4_GET(rule_of(loop, l4_session_at(loop, index)->pool)->reuse);
    if (x->flags & L4_X_FRESH || reuse == L4_REUSE_NEVER)
        return false;
    /* why: a request that may not be sent twice is lost if the connection turns out to be closed.
     * A client that has sent one request before can send it again. */
    return reuse == L4_REUSE_ALWAYS || x->number > 1 || x->flags & L4_X_IDEMPOTENT;
}

/* Is the connection good for this request? A request that may not be sent twice has no second try,
 * so the socket is asked whether the backend has closed it, or has said something unasked. */
static bool is_good(const struct l4_loop *loop, uint32_t index, const struct l4_conn *conn)
{
    return is_usable(loop, conn) && (l4_exchange_at(loop, index)->flags & L4_X_IDEMPOTENT ||
                                     l4_sock_is_quiet(conn->half.fd));
}

bool l4_spare_take(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->backend < spares_of(loop)->list_count && s->half[L4_BACKEND].fd < 0);
    const struct l4_spare_list *list = &spares_of(loop)->lists[s->backend];
    if (!list->newest || !may_reuse(loop, index))
        return false;
    struct l4_conn *conn;
    while ((conn = linked(loop, list->newest)) && !is_good(loop, index, conn))
        close_spare(loop, conn);
    if (!conn)
        return false;
    take_out(loop, conn);
    s->half[L4_BACKEND] = conn->half;
    conn->half.fd = -1;
    conn->session = index;
    conn->requests++;
    l4_exchange_at(loop, index)->flags |= L4_X_REUSED;
    L4_OWN_ADD(l4_row_column(loop, s)->total, 1);
    l4_first_byte_begin(loop, s);
    if (s->half[L4_BACKEND].flags & L4_HALF_TLS)
        l4_tls_moved(&loop->pump, &s->half[L4_BACKEND]);
    return true;
}

static bool is_worth_keeping(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_half *half = &s->half[L4_BACKEND];
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const struct l4_spares *spares = spares_of(loop);
    const uint32_t max = L4_GET(pool->http.max_requests);
    /* why: a header of the PROXY protocol, and a client's own address, bind a connection to one
     * client. */
    if (L4_GET(pool->send_proxy) || L4_GET(pool->egress.transparent) ||
        L4_GET(pool->http.reuse) == L4_REUSE_NEVER)
        return false;
    return l4_exchange_at(loop, index)->flags & L4_X_BACKEND_STAYS &&
           !(half->flags & (L4_HALF_HUP | L4_HALF_EOF | L4_HALF_RESET | L4_HALF_BROKEN |
                            L4_HALF_SHUT | L4_HALF_UNSENT)) &&
           half->piped == 0 && !loop->draining && !loop->parted &&
           (!max || conn_at(loop, half->fd)->requests < max) &&
           spares->lists[s->backend].count < L4_GET(pool->http.idle_connections) &&
           spares->count < 2 * (loop->capacity - loop->held) + L4_FDS_RESERVED / 2;
}

void l4_spare_give(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (s->half[L4_BACKEND].fd < 0 || !is_worth_keeping(loop, index)) {
        l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
        return;
    }
    struct l4_conn *conn = conn_at(loop, s->half[L4_BACKEND].fd);
    l4_pump_discard(&loop->pump, &s->half[L4_BACKEND]); /* the empty pipe of a bulky answer */
    conn->half = s->half[L4_BACKEND];
    conn->half.flags &= (uint16_t) ~(L4_HALF_IN | L4_HALF_BULKY);
    conn->backend = s->backend;
    conn->serial = L4_GET(l4_table_backend(loop->table, s->backend)->used);
    conn->since_ms = (uint32_t)loop->now_ms;
    conn->session = L4_NONE;
    s->half[L4_BACKEND] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    if (conn->half.flags & L4_HALF_TLS)
        l4_tls_moved(&loop->pump, &conn->half);
    put(loop, conn);
}

/* ---- events and time ------------------------------------------------------------------------- */

/* A backend has closed a connection at rest. One that does so after the same time again and again
 * has a timeout of its own. why the floor: all connections of a backend that restarts end too. */
static void learn(struct l4_loop *loop, const struct l4_conn *conn)
{
    struct l4_spare_list *list = &spares_of(loop)->lists[conn->backend];
    const uint32_t rested = rest_ms(loop, conn);
    if (rested >= L4_SPARE_LEARN_MS)
        list->learnt_ms = rested;
}

uint32_t l4_spare_event(struct l4_loop *loop, uint32_t word, uint32_t events)
{
    const int fd = (int)(word & FD_MASK);
    struct l4_conn *conn = conn_at(loop, fd);
    if (conn->use != word >> FD_BITS)
        return L4_NONE;
    if (conn->half.fd < 0) {
        const uint32_t index = conn->session;
        return index != L4_NONE && l4_session_at(loop, index)->half[L4_BACKEND].fd == fd ? index
                                                                                         : L4_NONE;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) {
        learn(loop, conn);
        close_spare(loop, conn);
    }
    return L4_NONE;
}

void l4_spare_sweep(struct l4_loop *loop)
{
    struct l4_spares *spares = spares_of(loop);
    if (!spares->count || loop->now_ms < spares->sweep_ms)
        return;
    spares->sweep_ms = loop->now_ms + L4_SPARE_SWEEP_MS;
    for (uint32_t i = 0; i < spares->list_count && spares->count; i++) {
        struct l4_conn *conn;
        while ((conn = linked(loop, spares->lists[i].oldest)) && !is_usable(loop, conn))
            close_spare(loop, conn);
    }
}

int l4_spare_wait_ms(const struct l4_loop *loop)
{
    const struct l4_spares *spares = spares_of(loop);
    if (!spares->count)
        return -1;
    return loop->now_ms < spares->sweep_ms ? (int)(spares->sweep_ms - loop->now_ms) : 0;
}

void l4_spare_close_all(struct l4_loop *loop, uint32_t backend)
{
    struct l4_spares *spares = spares_of(loop);
    for (uint32_t i = 0; i < spares->list_count && spares->count; i++) {
        while (spares->lists[i].newest && (backend == L4_NONE || backend == i))
            close_spare(loop, linked(loop, spares->lists[i].newest));
    }
}
