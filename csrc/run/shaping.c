#include "run/shaping.h"

#include "base/assert.h"
#include "base/random.h"
#include "core/token_bucket.h"
#include "http/h2_tend.h"
#include "http/user_limits.h"
#include "run/row.h"
#include "shm/source_limits.h"

static const struct l4_limits *limits_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return &l4_row_policy(loop, s)->limits;
}

void l4_shaping_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_facts *facts = l4_row_facts(loop, index);
    const struct l4_limits *limits = limits_of(loop, s);
    const uint64_t age = L4_GET(limits->max_age_ms);
    L4_ASSERT(s->paced == 0);
    if (L4_GET(limits->limits[L4_LIMIT_SESSION_BANDWIDTH].value) ||
        L4_GET(limits->limits[L4_LIMIT_SOURCE_BANDWIDTH].value))
        s->paced |= L4_PACED_BYTES;
    if (age || L4_GET(limits->first_byte_ms))
        s->paced |= L4_PACED_TIME;
    if (age)
        s->paced |= L4_PACED_AGE;
    L4_SET(facts->spent_ns, 0);
    const uint64_t jitter = age * L4_GET(limits->age_jitter) / 100;
    const uint64_t off = jitter ? l4_random(&loop->random) % (jitter + 1) : 0;
    facts->ends_ms = (uint32_t)(loop->now_ms + age - off);
}

void l4_shaping_add_bytes(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!(s->paced & L4_PACED_BYTES) && !s->stream)
        L4_SET(l4_row_facts(loop, index)->spent_ns, 0);
    s->paced |= L4_PACED_BYTES;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

enum { BUCKETS = 3 };

struct bucket {
    uint64_t rate; /* bytes a second; 0: it does not count */
    bool dry;
    _Atomic uint64_t *spent_ns;
};

static struct bucket bucket_of(const struct l4_limit *limit, _Atomic uint64_t *spent_ns)
{
    return (struct bucket){spent_ns ? L4_GET(limit->value) : 0, L4_GET(limit->verdict.dry_run),
                           spent_ns};
}

/* Finds the buckets that count this session's bytes: its own, its source's, its user's. */
static void buckets_of(const struct l4_loop *loop, uint32_t index, struct bucket buckets[BUCKETS])
{
    const uint32_t number = l4_h2_connection(loop, index);
    const struct l4_session *s = l4_session_at(loop, number);
    const struct l4_limit *limits = limits_of(loop, s)->limits;
    buckets[0] =
        bucket_of(&limits[L4_LIMIT_SESSION_BANDWIDTH], &l4_row_facts(loop, number)->spent_ns);
    buckets[1] =
        bucket_of(&limits[L4_LIMIT_SOURCE_BANDWIDTH],
                  s->holds & L4_HOLDS_SOURCE ? l4_source_spent_ns(loop->table, s->source) : NULL);
    buckets[2] = (struct bucket){0};
    buckets[2].rate = l4_user_bandwidth(loop, index, &buckets[2].spent_ns);
}

static void count_slowed(struct l4_loop *loop, struct l4_session *s, bool dry)
{
    if (s->paced & L4_PACED_TOLD)
        return;
    s->paced |= L4_PACED_TOLD;
    L4_OWN_ADD(l4_row_tally(loop, s)->slowed[dry], 1);
}

/* Returns the milliseconds until the session may move bytes again. 0: it may do so now, at most
 * *most_bytes. */
static uint64_t wait_ms(struct l4_loop *loop, uint32_t index, uint32_t *most_bytes)
{
    struct l4_session *s = l4_session_at(loop, index);
    const uint64_t turn_ns = (uint64_t)L4_PACE_TURN_MS * 1000000;
    uint64_t longest_ns = 0, max = L4_TURN_BYTES;
    struct bucket buckets[BUCKETS];
    buckets_of(loop, index, buckets);
    for (int i = 0; i < BUCKETS; i++) {
        if (!buckets[i].rate)
            continue;
        const uint64_t share = buckets[i].rate * L4_PACE_TURN_MS / 1000;
        const uint64_t wait = l4_rate_wait_ns(buckets[i].spent_ns, loop->now_us * 1000, turn_ns);
        if (wait)
            count_slowed(loop, s, buckets[i].dry);
        if (buckets[i].dry)
            continue;
        longest_ns = wait > longest_ns ? wait : longest_ns;
        max = share < max ? share : max;
    }
    if (longest_ns)
        return longest_ns / 1000000 + 1;
    *most_bytes = (uint32_t)(max > L4_PACE_BYTES_MIN ? max : L4_PACE_BYTES_MIN);
    L4_ASSERT(*most_bytes && *most_bytes <= L4_TURN_BYTES);
    return 0;
}

bool l4_shaping_holds(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(!loop->pump.max);
    if (!(s->paced & L4_PACED_BYTES))
        return false;
    const uint64_t wait = wait_ms(loop, index, &loop->pump.max);
    s->paced &= (uint8_t)~L4_PACED_WAITS;
    if (!wait)
        return false;
    s->paced |= L4_PACED_WAITS;
    l4_row_wake_in(loop, index, l4_shaping_left_ms(loop, index, wait));
    return true;
}

void l4_shaping_spend(const struct l4_loop *loop, uint32_t index, uint64_t bytes)
{
    const uint64_t now_ns = loop->now_us * 1000;
    struct bucket buckets[BUCKETS];
    if (!bytes || !(l4_session_at(loop, index)->paced & L4_PACED_BYTES))
        return;
    buckets_of(loop, index, buckets);
    for (int i = 0; i < BUCKETS; i++) {
        /* why: in dry run no session waits, so the debt would grow without end. */
        if (buckets[i].rate &&
            (!buckets[i].dry || !l4_rate_wait_ns(buckets[i].spent_ns, now_ns, L4_NS_PER_S)))
            l4_rate_spend(buckets[i].spent_ns, now_ns, buckets[i].rate, bytes);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Returns the milliseconds until the session's first time limit, and in *why which one that is:
 * its age, or the time for its first byte. INT32_MAX: it has none. */
static int32_t left_ms(const struct l4_loop *loop, uint32_t index, enum l4_reason *why)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_limits *limits = limits_of(loop, s);
    const struct l4_facts *facts = l4_row_facts(loop, index);
    const uint32_t first = L4_GET(limits->first_byte_ms);
    int32_t left = INT32_MAX;
    *why = L4_END_NONE;
    if (s->paced & L4_PACED_AGE) {
        left = (int32_t)(facts->ends_ms - (uint32_t)loop->now_ms);
        *why = L4_END_MAX_AGE;
    }
    if (first && !L4_GET(s->bytes[0])) {
        const int32_t due =
            (int32_t)((uint32_t)(s->started_us / 1000) + first - (uint32_t)loop->now_ms);
        if (due < left) {
            left = due;
            *why = L4_END_REJECTED_FIRST_BYTE;
        }
    }
    return left;
}

enum l4_reason l4_shaping_over(const struct l4_loop *loop, uint32_t index)
{
    enum l4_reason why;
    if (!(l4_session_at(loop, index)->paced & L4_PACED_TIME))
        return L4_END_NONE;
    return left_ms(loop, index, &why) <= 0 ? why : L4_END_NONE;
}

uint64_t l4_shaping_left_ms(const struct l4_loop *loop, uint32_t index, uint64_t ms)
{
    enum l4_reason why;
    if (!(l4_session_at(loop, index)->paced & L4_PACED_TIME))
        return ms;
    const int32_t left = left_ms(loop, index, &why);
    return left <= 0 ? 0 : (uint64_t)left < ms ? (uint64_t)left : ms;
}
