#include "run/first_byte.h"

#include "base/assert.h"
#include "core/response.h"
#include "run/row.h"

/* The values of l4_session.owed: whether the session waits for its first byte, and whether it is
 * counted among those that do. */
enum { OWES_NOTHING, OWES, OWES_AND_IS_COUNTED };

static struct l4_backend *backend_of(const struct l4_loop *loop, const struct l4_session *s)
{
    L4_ASSERT(s->backend < loop->table->plan.caps.backends);
    return l4_table_backend(loop->table, s->backend);
}

static void observe(struct l4_loop *loop, const struct l4_session *s, uint64_t us)
{
    l4_response_observe(&backend_of(loop, s)->response, loop->now_ms, us);
}

static uint64_t waited_us(const struct l4_loop *loop, const struct l4_session *s)
{
    return (uint32_t)(loop->now_us - s->started_us) - s->asked_us;
}

static void wait_from_now(const struct l4_loop *loop, struct l4_session *s)
{
    s->asked_us = (uint32_t)(loop->now_us - s->started_us);
}

static void stop_waiting(struct l4_loop *loop, struct l4_session *s)
{
    if (s->owed == OWES_AND_IS_COUNTED)
        l4_count_answer(loop->table, loop->setup.index, s->backend);
    s->owed = OWES_NOTHING;
}

void l4_first_byte_forget(struct l4_loop *loop, struct l4_session *s)
{
    stop_waiting(loop, s);
}

void l4_first_byte_begin(struct l4_loop *loop, struct l4_session *s)
{
    L4_ASSERT(s->owed == OWES_NOTHING && s->backend != L4_NONE);
    s->owed = OWES;
    wait_from_now(loop, s);
    if (L4_GET(l4_row_pool(loop, s)->balance) == L4_LEAST_RESPONSE_TIME) {
        s->owed = OWES_AND_IS_COUNTED;
        if (l4_count_owe(loop->table, loop->setup.index, s->backend) == 0)
            L4_SET(backend_of(loop, s)->silent_since_ms, (uint32_t)loop->now_ms);
    }
}

void l4_first_byte_connected(struct l4_loop *loop, struct l4_session *s)
{
    observe(loop, s, s->connect_us);
    wait_from_now(loop, s);
}

void l4_first_byte_asked(struct l4_loop *loop, struct l4_session *s)
{
    if (s->owed)
        wait_from_now(loop, s);
}

void l4_first_byte_came(struct l4_loop *loop, struct l4_session *s)
{
    if (!s->owed)
        return;
    observe(loop, s, waited_us(loop, s));
    if (s->owed == OWES_AND_IS_COUNTED)
        L4_SET(backend_of(loop, s)->silent_since_ms, (uint32_t)loop->now_ms);
    stop_waiting(loop, s);
}

void l4_first_byte_failed(struct l4_loop *loop, struct l4_session *s)
{
    observe(loop, s, 1000ull * L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
    stop_waiting(loop, s);
}

uint64_t l4_first_byte_left_ms(const struct l4_loop *loop, const struct l4_session *s, uint64_t max)
{
    if (s->owed != OWES_AND_IS_COUNTED)
        return max;
    const uint64_t waited = waited_us(loop, s) / 1000;
    const uint64_t left =
        waited < L4_FIRST_BYTE_PATIENCE_MS ? L4_FIRST_BYTE_PATIENCE_MS - waited : 1;
    return left < max ? left : max;
}

void l4_first_byte_check(struct l4_loop *loop, struct l4_session *s)
{
    if (s->owed == OWES_AND_IS_COUNTED && waited_us(loop, s) >= 1000ull * L4_FIRST_BYTE_PATIENCE_MS)
        l4_first_byte_end(loop, s);
}

void l4_first_byte_end(struct l4_loop *loop, struct l4_session *s)
{
    if (!s->owed)
        return;
    const uint64_t waited = waited_us(loop, s);
    const uint32_t silent = (uint32_t)loop->now_ms - L4_GET(backend_of(loop, s)->silent_since_ms);
    const bool silent_to_all = s->owed == OWES_AND_IS_COUNTED && silent >= waited / 1000;
    if (L4_GET(s->state) == L4_SESSION_RELAY && (L4_GET(s->bytes[0]) || silent_to_all))
        observe(loop, s, waited);
    stop_waiting(loop, s);
}
