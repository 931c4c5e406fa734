/* What a cache makes of a request and its answer, which lie behind each other, divided by a zero
 * byte: whatever they say, a stored answer fits its own request, its times stay in their bounds, a
 * range lies in the body, and an answer that may not be stored is not used without asking. */
#include <stdlib.h>
#include <string.h>

#include "core/fresh.h"
#include "core/validate.h"
#include "core/vary.h"
#include "require.h"

enum { LENGTH = 1000 };

static const int64_t now = 1764436200;
static const struct l4_h1_bounds bounds = {L4_H1_HEAD_MAX, 8192, L4_H1_FIELDS_MAX, false};

/* A copy that ends where its text ends, so that a read beyond it is seen. */
struct copy {
    char *bytes;
    size_t count;
    struct l4_h1_head head;
};

static struct copy copied(const uint8_t *data, size_t count)
{
    struct copy copy = {.bytes = malloc(count ? count : 1), .count = count};
    REQUIRE(copy.bytes != NULL);
    if (count)
        memcpy(copy.bytes, data, count);
    return copy;
}

static void look_at_times(const struct l4_exchange_heads *heads)
{
    static const struct l4_text targeted[] = {{"cdn-cache-control", 17}};
    static const struct l4_status_lifetime statuses[] = {{404, 10}};
    const struct l4_fresh_rules rules = {.default_s = 5,
                                         .heuristic_percent = 10,
                                         .most_s = 100000,
                                         .while_revalidate_s = 7,
                                         .if_error_s = 9,
                                         .statuses = statuses,
                                         .status_count = 1,
                                         .targeted = targeted,
                                         .targeted_count = 1};
    struct l4_cache_control asked;
    struct l4_freshness freshness;
    const enum l4_unstorable why = l4_fresh_judge(heads, &rules, &freshness);
    l4_fresh_asked(heads->request_bytes, heads->request, &asked);
    REQUIRE(why < L4_UNSTORABLE_COUNT && freshness.lifetime_s <= rules.most_s);
    for (int64_t later = -10; later < 300000; later = later * 3 + 41) {
        const uint32_t age = l4_fresh_age(&freshness, now + later);
        const enum l4_fresh_use use = l4_fresh_use(&freshness, &asked, now + later);
        REQUIRE(age <= L4_CACHE_SECONDS_MAX && age >= freshness.age_s);
        if (freshness.flags & L4_FRESH_ALWAYS_ASK || l4_cache_says(&asked, L4_CACHE_NO_CACHE))
            REQUIRE(use == L4_USE_AFTER_ASKING);
        if (freshness.flags & L4_FRESH_NEVER_STALE && age >= freshness.lifetime_s)
            REQUIRE(use == L4_USE_AFTER_ASKING &&
                    !l4_fresh_use_after_error(&freshness, &asked, now + later));
    }
}

static void look_at_conditions(const struct copy *request, const struct copy *answer)
{
    uint64_t first = 0, last = 0;
    const struct l4_validators stored = l4_validators_of(answer->bytes, &answer->head, now);
    const enum l4_range range =
        l4_range_of(request->bytes, &request->head, &stored, LENGTH, now, &first, &last);
    REQUIRE(l4_condition_of(request->bytes, &request->head, &stored, now) <= L4_CONDITION_FAILED);
    REQUIRE(range != L4_RANGE_PART || (first <= last && last < LENGTH));
}

static void look_at_vary(const struct copy *request, const struct copy *answer)
{
    static char written[L4_VARY_MAX];
    size_t bytes;
    static const struct l4_text names[] = {{"a", 1}, {"b*", 2}};
    const struct l4_name_list ignored = {names, answer->count % 3};
    if (!l4_vary_write(answer->bytes, &answer->head, request->bytes, &request->head, &ignored,
                       written, &bytes))
        return;
    char *copy = malloc(bytes ? bytes : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, written, bytes);
    REQUIRE(l4_vary_fits((struct l4_text){copy, bytes}, request->bytes, &request->head, &ignored));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    const uint8_t *zero = count ? memchr(data, 0, count) : NULL;
    if (!zero)
        return 0;
    struct copy request = copied(data, (size_t)(zero - data));
    struct copy answer = copied(zero + 1, count - (size_t)(zero - data) - 1);
    if (!l4_h1_request(request.bytes, request.count, &bounds, &request.head) &&
        !l4_h1_answer(answer.bytes, answer.count, &bounds, (enum l4_method)request.head.method,
                      &answer.head)) {
        const struct l4_exchange_heads heads = {.request_bytes = request.bytes,
                                                .answer_bytes = answer.bytes,
                                                .request = &request.head,
                                                .answer = &answer.head,
                                                .asked_s = now - 3,
                                                .answered_s = now};
        look_at_times(&heads);
        look_at_conditions(&request, &answer);
        look_at_vary(&request, &answer);
    }
    free(request.bytes);
    free(answer.bytes);
    return 0;
}
