/* What a shared cache may do with an answer: keep it, and use it again (RFC 9111; RFC 5861).
 *
 * Pure. Times are seconds since 1970; the caller tells the time. An answer is kept with a struct
 * l4_freshness, which says all that this needs to know of it later.
 */
#ifndef L4_CORE_FRESH_H
#define L4_CORE_FRESH_H

#include "core/cache_control.h"

/* Why an answer is not kept. The words are for logs and for people. */
#define L4_UNSTORABLE(X)                                                                           \
    X(NONE, "stored")                                                                              \
    X(METHOD, "method")            /* not GET */                                                   \
    X(REQUEST, "request no-store") /* the client forbids it */                                     \
    X(STATUS, "status")            /* 206, 304, or none that must be understood */                 \
    X(NO_STORE, "no-store")                                                                        \
    X(PRIVATE, "private")                                                                          \
    X(AUTHORIZATION, "authorization") /* only for who has the password (3.5) */                    \
    X(SET_COOKIE, "set-cookie")       /* for one client, and not said to be for others (7.3) */    \
    X(VARY, "vary *")                 /* it fits no other request */                               \
    X(NO_LIFETIME, "no lifetime")     /* nothing says how long, or that it may be asked about */

enum l4_unstorable {
#define X(id, word) L4_UNSTORABLE_##id,
    L4_UNSTORABLE(X)
#undef X
        L4_UNSTORABLE_COUNT
};

const char *l4_unstorable_word(unsigned number);

/* What the configuration of a cache says where an answer says nothing. */
struct l4_fresh_rules {
    uint32_t default_s;
    uint32_t heuristic_percent; /* of the time since it was modified (4.2.2); 0: never */
    uint32_t most_s;            /* no lifetime is longer */
    uint32_t while_revalidate_s, if_error_s;
    const struct l4_status_lifetime {
        uint32_t status, lifetime_s;
    } *statuses; /* come before default_s */
    size_t status_count;
    const struct l4_text *targeted; /* names of fields that come before Cache-Control (RFC 9213) */
    size_t targeted_count;
};

/* A request, and the answer to it. */
struct l4_exchange_heads {
    const char *request_bytes, *answer_bytes;
    const struct l4_h1_head *request, *answer;
    int64_t asked_s, answered_s; /* when the request was sent and when the head came */
    bool updates; /* the answer is one to GET that is stored, with what an answer to HEAD says */
};

enum l4_freshness_flags {
    L4_FRESH_ALWAYS_ASK = 1,  /* no-cache: it may never be used without asking */
    L4_FRESH_NEVER_STALE = 2, /* must-revalidate: it is not used stale, whatever is wrong */
    L4_FRESH_HEURISTIC = 4,   /* its lifetime is a guess */
};

struct l4_freshness {
    int64_t date_s;                          /* when its origin made it */
    int64_t answered_s;                      /* when it came */
    uint32_t age_s;                          /* how old it was then (4.2.3) */
    uint32_t lifetime_s;                     /* from date_s on */
    uint32_t while_revalidate_s, if_error_s; /* how long it may be used stale */
    uint32_t flags;
};

/* Judges whether an answer may be kept. Fills *freshness, also if not, for who asks why. */
enum l4_unstorable l4_fresh_judge(const struct l4_exchange_heads *heads,
                                  const struct l4_fresh_rules *rules,
                                  struct l4_freshness *freshness);

/* Returns the age now, for the field Age. */
uint32_t l4_fresh_age(const struct l4_freshness *freshness, int64_t now_s);

/* What a stored answer may do for a request. */
enum l4_fresh_use {
    L4_USE,       /* answer with it */
    L4_USE_STALE, /* answer with it, and ask meanwhile whether it still holds */
    L4_USE_AFTER_ASKING,
};

/* asked: what the request says to caches. */
enum l4_fresh_use l4_fresh_use(const struct l4_freshness *freshness,
                               const struct l4_cache_control *asked, int64_t now_s);

/* True if a stored answer may be used because its origin does not answer, or with a 5xx. */
bool l4_fresh_use_after_error(const struct l4_freshness *freshness,
                              const struct l4_cache_control *asked, int64_t now_s);

/* Reads what a request says to caches: Cache-Control, or Pragma: no-cache where there is none
 * (5.4). */
void l4_fresh_asked(const char *bytes, const struct l4_h1_head *request,
                    struct l4_cache_control *asked);

#endif
