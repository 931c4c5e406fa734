#include "run/handover_record.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/assert.h"
#include "core/client_hello.h"
#include "core/proxy_protocol.h"
#include "http/user_limits.h"
#include "run/admission.h"
#include "run/session.h"
#include "run/shaping.h"
#include "shm/row_reuse.h"

/* ---- write ----------------------------------------------------------------------------------- */

void l4_record_put_names(const struct l4_loop *loop, const struct l4_session *s,
                         struct l4_record *record)
{
    const struct l4_listener *listener = l4_table_listener(loop->table, s->listener);
    memcpy(record->listener_name, listener->name, sizeof record->listener_name);
    memcpy(record->listener_bind, listener->bind, sizeof record->listener_bind);
    memcpy(record->pool_name, l4_table_pool(loop->table, s->pool)->name, sizeof record->pool_name);
    if (s->backend != L4_NONE)
        memcpy(record->backend_name, l4_table_backend(loop->table, s->backend)->name,
               sizeof record->backend_name);
}

static uint32_t write_fds(const struct l4_loop *loop, const struct l4_session *s,
                          struct l4_record *record, int *fds)
{
    uint32_t count = 0;
    record->fds = L4_RECORD_CLIENT;
    fds[count++] = s->half[L4_CLIENT].fd;
    if (s->half[L4_BACKEND].fd >= 0) {
        record->fds |= L4_RECORD_BACKEND;
        fds[count++] = s->half[L4_BACKEND].fd;
    }
    for (int half = 0; half < 2; half++) {
        if (!s->half[half].piped)
            continue;
        record->fds |= half ? L4_RECORD_PIPE_1 : L4_RECORD_PIPE_0;
        L4_ASSERT(s->half[half].pipe < L4_PIPES_MAX);
        fds[count++] = loop->pipes.fds[s->half[half].pipe][0];
        fds[count++] = loop->pipes.fds[s->half[half].pipe][1];
    }
    return count;
}

/* What may be known of a session that moves. Facts about TLS are not among them, because a session
 * with TLS does not move. */
enum { MOVABLE = L4_FACT_NAME | L4_FACT_ALPN | L4_FACT_VIA | L4_FACT_TLVS };

static void write_facts(const struct l4_loop *loop, uint32_t index, struct l4_record *record)
{
    const struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    struct l4_record_facts *to = &record->facts;
    to->known = s->known & MOVABLE;
    to->paced = s->paced & (L4_PACED_BYTES | L4_PACED_AGE | L4_PACED_TOLD);
    if (to->paced) {
        to->spent_ns = L4_GET(facts->spent_ns);
        to->ends_ms = facts->ends_ms;
    }
    if (to->known & L4_FACT_VIA) {
        to->via = facts->via;
        to->told_to = facts->told_to;
    }
    const void *parts[] = {facts->name, facts->alpn, facts->tlvs};
    if (to->known & L4_FACT_NAME)
        to->bytes[0] = facts->name_bytes;
    if (to->known & L4_FACT_ALPN)
        to->bytes[1] = facts->alpn_bytes;
    if (to->known & L4_FACT_TLVS)
        to->bytes[2] = facts->tlvs_bytes;
    L4_ASSERT(to->bytes[0] <= L4_HELLO_NAME_MAX && to->bytes[1] <= L4_ALPN_LIST_MAX &&
              to->bytes[2] <= L4_TLVS_MAX);
    uint8_t *text = to->text;
    for (int i = 0; i < 3; i++) {
        memcpy(text, parts[i], to->bytes[i]);
        text += to->bytes[i];
        record->bytes += to->bytes[i];
    }
}

uint32_t l4_record_write(const struct l4_loop *loop, uint32_t index, enum l4_session_state state,
                         struct l4_record *record, int *fds)
{
    const struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->half[L4_CLIENT].fd >= 0 && L4_GET(s->state) != L4_SESSION_FREE);
    *record = (struct l4_record){
        .bytes = offsetof(struct l4_record, facts.text),
        .magic = L4_RECORD_MAGIC,
        .slot = index,
        .serial = L4_GET(s->serial),
        .state = state,
        .listener = s->listener,
        .pool = s->pool,
        .backend = s->backend,
        .attempts = s->attempts,
        .reason = s->reason,
        .first_end = s->first_end,
        .half_closed = s->half_closed,
        .client = s->client,
        .flags = {s->half[L4_CLIENT].flags, s->half[L4_BACKEND].flags},
        .piped = {s->half[L4_CLIENT].piped, s->half[L4_BACKEND].piped},
        .connect_us = s->connect_us,
        .queue_us = s->queue_us,
        .first_byte_us = s->first_byte_us,
        .deadline_ms = s->deadline_ms,
        .error = s->error,
        .moved = {L4_GET(s->bytes[0]), L4_GET(s->bytes[L4_BACKEND])},
        .active_ms = L4_GET(s->active_ms),
        .started_us = s->started_us,
        .connect_started_us = s->connect_started_us,
        .name_hash = s->name_hash,
    };
    if (record->state == L4_SESSION_QUEUE)
        record->turn = s->turn;
    record->user_hash = l4_user_hash(loop, s);
    memcpy(record->tried, s->tried, sizeof record->tried);
    l4_record_put_names(loop, s, record);
    write_facts(loop, index, record);
    return write_fds(loop, s, record, fds);
}

/* ---- read ------------------------------------------------------------------------------------ */

/* Is the text of a row the text of a record? The text of a record that has no zero byte in its
 * field is no name. */
static bool is_same_text(const char *row, const char *text, size_t size)
{
    return memchr(text, 0, size) && strncmp(row, text, size) == 0;
}

/* Each of the three functions finds the row with a name: first where the record's hint says, then
 * by a search. Rows that are no longer in use but still have their name count too: sessions
 * outlive the configuration by which they came. */
/* A listener's row is that of its address; if that is gone, another one of the listener: a later
 * program may bind a range as a whole. */
static uint32_t find_listener(const struct l4_loop *loop, const struct l4_record *record)
{
    const uint32_t count = loop->table->plan.caps.listeners;
    uint32_t other = L4_NONE;
    for (uint32_t i = 0; i <= count; i++) {
        const uint32_t row = i ? i - 1 : record->listener;
        if (row >= count)
            continue;
        const struct l4_listener *found = l4_table_listener(loop->table, row);
        if (!is_same_text(found->name, record->listener_name, sizeof record->listener_name))
            continue;
        if (is_same_text(found->bind, record->listener_bind, sizeof record->listener_bind))
            return row;
        if (L4_GET(found->used))
            other = row;
    }
    return other;
}

static uint32_t find_pool(const struct l4_loop *loop, const struct l4_record *record)
{
    const uint32_t count = loop->table->plan.caps.pools;
    for (uint32_t i = 0; i <= count; i++) {
        const uint32_t row = i ? i - 1 : record->pool;
        if (row < count && is_same_text(l4_table_pool(loop->table, row)->name, record->pool_name,
                                        sizeof record->pool_name))
            return row;
    }
    return L4_NONE;
}

static uint32_t find_backend(const struct l4_loop *loop, const struct l4_record *record,
                             uint32_t pool)
{
    const uint32_t count = l4_table_backends_high(loop->table);
    for (uint32_t i = 0; i <= count; i++) {
        const uint32_t row = i ? i - 1 : record->backend;
        if (row >= count)
            continue;
        const struct l4_backend *found = l4_table_backend(loop->table, row);
        if (found->pool == pool &&
            is_same_text(found->name, record->backend_name, sizeof record->backend_name))
            return row;
    }
    return L4_NONE;
}

bool l4_record_find(const struct l4_loop *loop, const struct l4_record *record, uint32_t *listener,
                    uint32_t *pool, uint32_t *backend)
{
    *listener = find_listener(loop, record);
    *pool = find_pool(loop, record);
    *backend = L4_NONE;
    if (record->state == L4_SESSION_QUEUE)
        return *listener != L4_NONE && *pool != L4_NONE;
    if (record->state == L4_SESSION_REQUEST) { /* its next request chooses a pool */
        *pool = *listener == L4_NONE ? L4_NONE
                                     : L4_GET(l4_table_listener(loop->table, *listener)->pool);
        return *listener != L4_NONE;
    }
    if (*pool != L4_NONE)
        *backend = find_backend(loop, record, *pool);
    return *listener != L4_NONE && *backend != L4_NONE;
}

static uint32_t fds_of(const struct l4_record *record)
{
    uint32_t count = record->fds & L4_RECORD_BACKEND ? 2 : 1;
    count += record->fds & L4_RECORD_PIPE_0 ? 2 : 0;
    count += record->fds & L4_RECORD_PIPE_1 ? 2 : 0;
    return count;
}

/* Is this a list of protocols, each behind its length? */
static bool is_protocols(const uint8_t *list, uint32_t bytes)
{
    uint32_t at = 0;
    while (at < bytes && list[at])
        at += 1u + list[at];
    return at == bytes;
}

static bool is_learnt_sound(const struct l4_record_facts *facts)
{
    char name[L4_HELLO_NAME_MAX + 1];
    const uint8_t *text = facts->text;
    const uint16_t *bytes = facts->bytes;
    return !(facts->known & ~MOVABLE) && bytes[0] <= L4_HELLO_NAME_MAX &&
           bytes[1] <= L4_ALPN_LIST_MAX && bytes[2] <= L4_TLVS_MAX &&
           !bytes[0] == !(facts->known & L4_FACT_NAME) &&
           !bytes[1] == !(facts->known & L4_FACT_ALPN) &&
           !bytes[2] == !(facts->known & L4_FACT_TLVS) &&
           l4_hello_name((const char *)text, bytes[0], name) == bytes[0] &&
           is_protocols(text + bytes[0], bytes[1]) &&
           l4_proxy_is_row(text + bytes[0] + bytes[1], bytes[2]);
}

/* The flags that a side of a session that moves may have. Flags of TLS are not among them. */
enum {
    MOVABLE_HALF = L4_HALF_IN | L4_HALF_OUT | L4_HALF_HUP | L4_HALF_EOF | L4_HALF_SHUT |
                   L4_HALF_RESET | L4_HALF_BROKEN | L4_HALF_BULKY | L4_HALF_URGENT | L4_HALF_SENT |
                   L4_HALF_NODELAY | L4_HALF_WATCHED
};

/* Does each pipe have as many bytes as the record says, and no more than a pipe may have? */
static bool are_pipes_sound(const struct l4_record *record, const int *fds)
{
    const int *pipe = fds + 2;
    for (int half = 0; half < 2; half++) {
        const uint32_t bytes = record->piped[half];
        int held = 0;
        if (!bytes != !(record->fds & (half ? L4_RECORD_PIPE_1 : L4_RECORD_PIPE_0)))
            return false;
        if (!bytes)
            continue;
        if (bytes > L4_PIPE_BYTES || ioctl(pipe[0], FIONREAD, &held) || held < 0 ||
            (uint32_t)held != bytes)
            return false;
        pipe += 2;
    }
    return true;
}

/* Returns the descriptors that a session in this state must have, and in *may those that it may
 * have. *may is 0 in a state in which no session moves. Before there is a backend nothing was
 * read, so there are no pipes. */
static uint32_t must_have(uint32_t state, uint32_t *may)
{
    const uint32_t both = L4_RECORD_CLIENT | L4_RECORD_BACKEND;
    switch (state) {
    case L4_SESSION_QUEUE:
    case L4_SESSION_REQUEST:
        return *may = L4_RECORD_CLIENT;
    case L4_SESSION_CONNECT:
        return *may = both;
    case L4_SESSION_RELAY:
    case L4_SESSION_RESET:
        *may = both | L4_RECORD_PIPE_0 | L4_RECORD_PIPE_1;
        return both;
    default:
        return *may = 0;
    }
}

/* Returns the most attempts that a session in this state may have made. Where an attempt may still
 * fail, there must be room to note it. */
static uint32_t most_attempts(uint32_t state)
{
    return state == L4_SESSION_RELAY || state == L4_SESSION_RESET ? L4_RETRIES_MAX + 1
                                                                  : L4_RETRIES_MAX;
}

static bool is_address(const struct l4_addr *addr)
{
    return addr->family == AF_INET || addr->family == AF_INET6 || addr->family == AF_UNIX;
}

/* Is the record valid? It may come from anybody. */
static bool is_record_sound(const struct l4_record *record, const int *fds, uint32_t count)
{
    uint32_t may;
    const uint32_t must = must_have(record->state, &may);
    return may && (record->fds & must) == must && !(record->fds & ~may) &&
           count == fds_of(record) && record->attempts <= most_attempts(record->state) &&
           !((record->flags[0] | record->flags[1]) & ~(uint32_t)MOVABLE_HALF) &&
           is_address(&record->client) && are_pipes_sound(record, fds) &&
           record->reason < L4_REASON_COUNT && record->first_end <= L4_NO_SIDE &&
           record->half_closed <= 1 && is_learnt_sound(&record->facts);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The flags of epoll edges. The kernel reports edges again when a socket is added to another epoll
 * set; all other flags stay. */
static const uint16_t edges = L4_HALF_IN | L4_HALF_OUT | L4_HALF_WATCHED;

static bool fill_halves(struct l4_loop *loop, struct l4_session *s, const struct l4_record *record,
                        const int *fds)
{
    const int *pipe = fds + 2;
    for (int half = 0; half < 2; half++) {
        const uint16_t flags = (uint16_t)record->flags[half] & (uint16_t)~edges;
        const int fd = record->fds & (half ? L4_RECORD_BACKEND : L4_RECORD_CLIENT) ? fds[half] : -1;
        s->half[half] = (struct l4_half){.fd = fd, .flags = flags, .pipe = L4_NO_PIPE, .piped = 0};
    }
    for (int half = 0; half < 2; half++) {
        if (!record->piped[half])
            continue;
        s->half[half].pipe = l4_pipes_adopt(&loop->pipes, pipe);
        if (s->half[half].pipe == L4_NO_PIPE)
            return false;
        s->half[half].piped = record->piped[half];
        pipe += 2;
    }
    return true;
}

static void fill_row(const struct l4_loop *loop, struct l4_session *s,
                     const struct l4_record *record)
{
    const bool queues = record->state == L4_SESSION_QUEUE;
    s->turn = queues ? record->turn : 0;
    L4_SET(s->bytes[L4_CLIENT], queues ? 0 : record->moved[L4_CLIENT]);
    L4_SET(s->bytes[L4_BACKEND], queues ? 0 : record->moved[L4_BACKEND]);
    /* why: the giver may have read its clock a moment later than this worker. A time in the future
     * would make the session look infinitely old. */
    L4_SET(s->active_ms, earlier(record->active_ms, loop->now_ms));
    s->started_us = earlier(record->started_us, loop->now_us);
    s->connect_started_us = earlier(record->connect_started_us, loop->now_us);
    s->connect_us = record->connect_us;
    s->queue_us = record->queue_us;
    s->first_byte_us = record->first_byte_us;
    s->deadline_ms = record->deadline_ms;
    memcpy(s->tried, record->tried, sizeof s->tried);
    s->attempts = record->attempts;
    s->reason = record->reason;
    s->first_end = record->first_end;
    s->half_closed = (record->half_closed & 1) != 0;
    s->error = record->error;
    s->name_hash = record->name_hash;
    s->known = record->facts.known;
}

/* The session waits for its backend no longer than this pool allows. */
static void bound_wait(struct l4_loop *loop, struct l4_session *s, uint32_t state)
{
    const uint32_t max = L4_GET(l4_row_pool(loop, s)->connect_timeout_ms);
    if (state == L4_SESSION_CONNECT && l4_row_left_ms(loop, s) > (int64_t)max)
        l4_row_set_deadline(loop, s, max);
}

/* Restores what the giver knew of the client. Called after l4_shaping_begin, so that the limits
 * continue where they were: the age and the bytes spent are the giver's. */
static void restore_facts(struct l4_loop *loop, uint32_t index, const struct l4_record *record)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    const struct l4_record_facts *from = &record->facts;
    const uint8_t *text = from->text;
    if (from->known) {
        facts->via = from->via;
        facts->told_to = from->told_to;
        facts->name_bytes =
            (uint16_t)l4_hello_name((const char *)text, from->bytes[0], facts->name);
        facts->alpn_bytes = from->bytes[1];
        memcpy(facts->alpn, text + from->bytes[0], from->bytes[1]);
        facts->tlvs_bytes = from->bytes[2];
        memcpy(facts->tlvs, text + from->bytes[0] + from->bytes[1], from->bytes[2]);
    }
    const uint8_t both = s->paced & from->paced;
    if (both & L4_PACED_AGE)
        facts->ends_ms = from->ends_ms;
    if (both & L4_PACED_BYTES) {
        L4_SET(facts->spent_ns, from->spent_ns);
        s->paced |= from->paced & L4_PACED_TOLD;
    }
}

/* Undoes fill_halves and l4_row_watch. The descriptors stay open and are the caller's again. */
static void empty_halves(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    l4_row_unwatch(loop, index);
    for (int half = 0; half < 2; half++) {
        if (s->half[half].pipe != L4_NO_PIPE)
            l4_pipes_disown(&loop->pipes, s->half[half].pipe);
        s->half[half] = (struct l4_half){.fd = -1, .pipe = L4_NO_PIPE};
    }
}

/* Does the listener serve what the session is? It may have had another protocol before. */
static bool is_served(const struct l4_loop *loop, const struct l4_record *record, uint32_t listener)
{
    return record->state != L4_SESSION_REQUEST ||
           L4_GET(l4_table_listener(loop->table, listener)->protocol) == L4_HTTP;
}

bool l4_record_read(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                    uint32_t count)
{
    uint32_t listener, pool, backend;
    if (!is_record_sound(record, fds, count) ||
        !l4_record_find(loop, record, &listener, &pool, &backend) || loop->held >= loop->capacity ||
        loop->draining || !is_served(loop, record, listener))
        return false;
    const uint32_t index = l4_row_take(loop);
    struct l4_session *s = l4_session_at(loop, index);
    l4_row_reset(loop, s, listener, pool, &record->client);
    s->backend = backend;
    fill_row(loop, s, record);
    bound_wait(loop, s, record->state);
    if (!fill_halves(loop, s, record, fds) || l4_row_watch(loop, index)) {
        empty_halves(loop, index);
        l4_row_return(loop, index);
        return false;
    }
    /* why no limit: the giver gives the session's place among all clients back in the next
     * moment. */
    (void)l4_count_take_client(loop->table, loop->setup.index, 0);
    if (backend != L4_NONE)
        l4_count_join(loop->table, loop->setup.index, backend);
    l4_admission_again(loop, index);
    l4_user_again(loop, index, record->user_hash);
    restore_facts(loop, index, record);
    l4_session_note_port(loop, index);
    L4_OWN_ADD(l4_row_tally(loop, s)->active, 1);
    l4_row_enter(loop, index, L4_SESSION_HANDOVER);
    l4_row_publish(loop, s);
    l4_session_again(loop, index, (enum l4_session_state)record->state);
    return true;
}
