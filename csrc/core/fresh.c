#include "core/fresh.h"

#include "core/date.h"
#include "core/list_field.h"

static const char *const words[] = {
#define X(id, word) word,
    L4_UNSTORABLE(X)
#undef X
};

const char *l4_unstorable_word(unsigned number)
{
    return number < L4_UNSTORABLE_COUNT ? words[number] : "unknown";
}

/* ---- what heads say ------------------------------------------------------------------------- */

static bool date_of(const struct l4_exchange_heads *heads, enum l4_field_id id, int64_t *date_s)
{
    const struct l4_text text = l4_h1_value(heads->answer_bytes, heads->answer, id);
    return text.at && l4_date_read(text.at, text.bytes, heads->answered_s, date_s);
}

/* True if an answer varies by everything: a `*` in a field Vary. */
static bool varies_by_all(const char *bytes, const struct l4_h1_head *head)
{
    struct l4_list_walk walk = l4_list_of(bytes, head, L4_FIELD_VARY, L4_LIST_PLAIN);
    struct l4_text entry;
    while (l4_list_walk_next(&walk, &entry)) {
        if (l4_text_is(entry, L4_TEXT("*")))
            return true;
    }
    return false;
}

/* Gives what the answer says to this cache: the first of the targeted fields that can be read, or
 * Cache-Control. Returns true if it is a targeted one: then Expires counts for nothing (RFC 9213,
 * 2.2). */
static bool read_control(const struct l4_exchange_heads *heads, const struct l4_fresh_rules *rules,
                         struct l4_cache_control *control)
{
    for (size_t i = 0; i < rules->targeted_count; i++) {
        if (l4_cache_control_targeted(heads->answer_bytes, heads->answer, rules->targeted[i],
                                      control))
            return true;
    }
    l4_cache_control_read(heads->answer_bytes, heads->answer, control);
    return false;
}

/* Statuses whose meaning we know (RFC 9110, 15), for must-understand. */
static bool is_understood(unsigned status)
{
    switch (status) {
    case 418:
        return false;
    case 421:
    case 422:
    case 426:
    case 428:
    case 429:
    case 431:
    case 451:
        return true;
    default:
        return (status >= 200 && status <= 205) || (status >= 300 && status <= 308) ||
               (status >= 400 && status <= 417) || (status >= 500 && status <= 505);
    }
}

/* Statuses that may be kept without a word about it (RFC 9110, 15.1). */
static bool is_heuristic(unsigned status)
{
    static const uint16_t statuses[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (statuses[i] == status)
            return true;
    }
    return false;
}

/* ---- how long ------------------------------------------------------------------------------- */

/* The first entry of the list counts; what is no number does not (5.1). */
static uint32_t told_age(const struct l4_exchange_heads *heads)
{
    struct l4_text text = l4_h1_value(heads->answer_bytes, heads->answer, L4_FIELD_AGE);
    uint32_t seconds = 0;
    text.bytes = l4_text_until(text, ',');
    return text.bytes && l4_cache_seconds(l4_text_trimmed(text), &seconds) ? seconds : 0;
}

static uint32_t bounded(int64_t seconds)
{
    if (seconds <= 0)
        return 0;
    return seconds < L4_CACHE_SECONDS_MAX ? (uint32_t)seconds : L4_CACHE_SECONDS_MAX;
}

/* 4.2.3: the larger of what the clocks and what the caches before us say. */
static uint32_t initial_age(const struct l4_exchange_heads *heads, int64_t date_s)
{
    const uint32_t apparent = bounded(heads->answered_s - date_s);
    const uint32_t told =
        bounded((int64_t)told_age(heads) + bounded(heads->answered_s - heads->asked_s));
    return apparent > told ? apparent : told;
}

static bool configured(const struct l4_fresh_rules *rules, unsigned status, uint32_t *lifetime_s)
{
    for (size_t i = 0; i < rules->status_count; i++) {
        if (rules->statuses[i].status == status) {
            *lifetime_s = rules->statuses[i].lifetime_s;
            return true;
        }
    }
    *lifetime_s = rules->default_s;
    return rules->default_s && is_heuristic(status);
}

/* 4.2.1 and 4.2.2. Returns whether the answer says that it may be kept, or has a status that says
 * so. */
static bool set_lifetime(const struct l4_exchange_heads *heads, const struct l4_fresh_rules *rules,
                         const struct l4_cache_control *control, bool targeted,
                         struct l4_freshness *freshness)
{
    const unsigned status = heads->answer->status;
    int64_t expires_s, modified_s;
    if (l4_cache_says(control, L4_CACHE_S_MAXAGE)) {
        freshness->lifetime_s = control->seconds[L4_CACHE_S_MAXAGE];
        return true;
    }
    if (l4_cache_says(control, L4_CACHE_MAX_AGE)) {
        freshness->lifetime_s = control->seconds[L4_CACHE_MAX_AGE];
        return true;
    }
    if (!targeted && l4_h1_has(heads->answer, L4_FIELD_EXPIRES)) {
        /* An invalid date has passed (5.3). */
        if (date_of(heads, L4_FIELD_EXPIRES, &expires_s))
            freshness->lifetime_s = bounded(expires_s - freshness->date_s);
        return true;
    }
    if (configured(rules, status, &freshness->lifetime_s))
        return true;
    const bool may = is_heuristic(status) || l4_cache_says(control, L4_CACHE_PUBLIC);
    if (may && date_of(heads, L4_FIELD_LAST_MODIFIED, &modified_s)) {
        const uint64_t unchanged_s = bounded(freshness->date_s - modified_s);
        freshness->lifetime_s = bounded((int64_t)(unchanged_s * rules->heuristic_percent / 100));
        freshness->flags |= L4_FRESH_HEURISTIC;
    }
    return may;
}

static void set_stale_times(const struct l4_fresh_rules *rules,
                            const struct l4_cache_control *control, struct l4_freshness *freshness)
{
    const bool strict = l4_cache_says(control, L4_CACHE_MUST_REVALIDATE) ||
                        l4_cache_says(control, L4_CACHE_PROXY_REVALIDATE);
    /* s-maxage forbids stale use (5.2.2.10), unless the answer itself allows it beside. */
    const bool by_us = !strict && !l4_cache_says(control, L4_CACHE_S_MAXAGE);
    if (strict || l4_cache_says(control, L4_CACHE_NO_CACHE)) {
        freshness->flags |= L4_FRESH_NEVER_STALE;
        return;
    }
    if (l4_cache_says(control, L4_CACHE_STALE_WHILE_REVALIDATE))
        freshness->while_revalidate_s = control->seconds[L4_CACHE_STALE_WHILE_REVALIDATE];
    else if (by_us)
        freshness->while_revalidate_s = rules->while_revalidate_s;
    if (l4_cache_says(control, L4_CACHE_STALE_IF_ERROR))
        freshness->if_error_s = control->seconds[L4_CACHE_STALE_IF_ERROR];
    else if (by_us)
        freshness->if_error_s = rules->if_error_s;
    if (!by_us && !freshness->while_revalidate_s && !freshness->if_error_s)
        freshness->flags |= L4_FRESH_NEVER_STALE;
}

/* ---- may it be kept ------------------------------------------------------------------------- */

static enum l4_unstorable forbidden(const struct l4_exchange_heads *heads,
                                    const struct l4_cache_control *asked,
                                    const struct l4_cache_control *control)
{
    const unsigned status = heads->answer->status;
    const bool must_understand = l4_cache_says(control, L4_CACHE_MUST_UNDERSTAND);
    if (heads->request->method != L4_METHOD_GET && !heads->updates)
        return L4_UNSTORABLE_METHOD;
    if (l4_cache_says(asked, L4_CACHE_NO_STORE))
        return L4_UNSTORABLE_REQUEST;
    if (status < 200 || status == 206 || status == 304 ||
        (must_understand && !is_understood(status)))
        return L4_UNSTORABLE_STATUS;
    if (l4_cache_says(control, L4_CACHE_NO_STORE) && !must_understand)
        return L4_UNSTORABLE_NO_STORE;
    if (l4_cache_says(control, L4_CACHE_PRIVATE))
        return L4_UNSTORABLE_PRIVATE;
    if (l4_h1_has(heads->request, L4_FIELD_AUTHORIZATION) &&
        !l4_cache_says(control, L4_CACHE_PUBLIC) && !l4_cache_says(control, L4_CACHE_S_MAXAGE) &&
        !l4_cache_says(control, L4_CACHE_MUST_REVALIDATE))
        return L4_UNSTORABLE_AUTHORIZATION;
    if (l4_h1_has(heads->answer, L4_FIELD_SET_COOKIE) && !l4_cache_says(control, L4_CACHE_PUBLIC) &&
        !l4_cache_says(control, L4_CACHE_S_MAXAGE))
        return L4_UNSTORABLE_SET_COOKIE;
    if (varies_by_all(heads->answer_bytes, heads->answer))
        return L4_UNSTORABLE_VARY;
    return L4_UNSTORABLE_NONE;
}

enum l4_unstorable l4_fresh_judge(const struct l4_exchange_heads *heads,
                                  const struct l4_fresh_rules *rules,
                                  struct l4_freshness *freshness)
{
    struct l4_cache_control asked, control;
    l4_cache_control_read(heads->request_bytes, heads->request, &asked);
    const bool targeted = read_control(heads, rules, &control);
    *freshness = (struct l4_freshness){.answered_s = heads->answered_s};
    if (!date_of(heads, L4_FIELD_DATE, &freshness->date_s))
        freshness->date_s = heads->answered_s;
    freshness->age_s = initial_age(heads, freshness->date_s);
    if (l4_cache_says(&control, L4_CACHE_NO_CACHE))
        freshness->flags |= L4_FRESH_ALWAYS_ASK;
    const bool may = set_lifetime(heads, rules, &control, targeted, freshness);
    if (freshness->lifetime_s > rules->most_s)
        freshness->lifetime_s = rules->most_s;
    set_stale_times(rules, &control, freshness);
    const enum l4_unstorable why = forbidden(heads, &asked, &control);
    if (why != L4_UNSTORABLE_NONE)
        return why;
    const bool can_ask =
        l4_h1_has(heads->answer, L4_FIELD_ETAG) || l4_h1_has(heads->answer, L4_FIELD_LAST_MODIFIED);
    if (!may && !l4_cache_says(&control, L4_CACHE_PUBLIC))
        return L4_UNSTORABLE_NO_LIFETIME;
    return freshness->lifetime_s || can_ask ? L4_UNSTORABLE_NONE : L4_UNSTORABLE_NO_LIFETIME;
}

/* ---- may it be used -------------------------------------------------------------------------- */

uint32_t l4_fresh_age(const struct l4_freshness *freshness, int64_t now_s)
{
    /* A clock that was set back makes nothing younger than it came. */
    return bounded((int64_t)freshness->age_s + bounded(now_s - freshness->answered_s));
}

/* Returns for how long it has been stale for this request; negative: it is fresh for so long. */
static int64_t stale_for(const struct l4_freshness *freshness, const struct l4_cache_control *asked,
                         int64_t now_s)
{
    int64_t lifetime = freshness->lifetime_s;
    if (l4_cache_says(asked, L4_CACHE_MAX_AGE) && asked->seconds[L4_CACHE_MAX_AGE] < lifetime)
        lifetime = asked->seconds[L4_CACHE_MAX_AGE];
    if (l4_cache_says(asked, L4_CACHE_MIN_FRESH))
        lifetime -= asked->seconds[L4_CACHE_MIN_FRESH];
    return l4_fresh_age(freshness, now_s) - lifetime;
}

enum l4_fresh_use l4_fresh_use(const struct l4_freshness *freshness,
                               const struct l4_cache_control *asked, int64_t now_s)
{
    const int64_t stale = stale_for(freshness, asked, now_s);
    if ((freshness->flags & L4_FRESH_ALWAYS_ASK) || l4_cache_says(asked, L4_CACHE_NO_CACHE))
        return L4_USE_AFTER_ASKING;
    if (stale < 0)
        return L4_USE;
    if (freshness->flags & L4_FRESH_NEVER_STALE)
        return L4_USE_AFTER_ASKING;
    if (l4_cache_says(asked, L4_CACHE_MAX_STALE) &&
        stale <= (int64_t)asked->seconds[L4_CACHE_MAX_STALE])
        return L4_USE;
    /* A client that bounds the age wants none that is being looked at. */
    if (l4_cache_says(asked, L4_CACHE_MAX_AGE) || l4_cache_says(asked, L4_CACHE_MIN_FRESH))
        return L4_USE_AFTER_ASKING;
    return stale < (int64_t)freshness->while_revalidate_s ? L4_USE_STALE : L4_USE_AFTER_ASKING;
}

bool l4_fresh_use_after_error(const struct l4_freshness *freshness,
                              const struct l4_cache_control *asked, int64_t now_s)
{
    const int64_t stale = stale_for(freshness, asked, now_s);
    if (freshness->flags & (L4_FRESH_ALWAYS_ASK | L4_FRESH_NEVER_STALE))
        return false;
    if (l4_cache_says(asked, L4_CACHE_NO_CACHE))
        return false;
    /* RFC 5861, 4: a request may allow it as well as an answer. */
    const uint32_t allowed = l4_cache_says(asked, L4_CACHE_STALE_IF_ERROR)
                                 ? asked->seconds[L4_CACHE_STALE_IF_ERROR]
                                 : freshness->if_error_s;
    return stale < (int64_t)allowed;
}

void l4_fresh_asked(const char *bytes, const struct l4_h1_head *request,
                    struct l4_cache_control *asked)
{
    l4_cache_control_read(bytes, request, asked);
    if (l4_h1_has(request, L4_FIELD_CACHE_CONTROL))
        return;
    const struct l4_text pragma = l4_h1_value(bytes, request, L4_FIELD_PRAGMA);
    if (pragma.bytes == sizeof "no-cache" - 1 &&
        l4_field_named(pragma.at, "no-cache", pragma.bytes))
        asked->said |= 1u << L4_CACHE_NO_CACHE;
}
