/* What messages say to caches: the directives of Cache-Control (RFC 9111, 5.2; RFC 5861; RFC 8246),
 * and of fields for some caches only, such as CDN-Cache-Control (RFC 9213).
 *
 * Pure; nothing is copied. What cannot be understood is read in the way that stores and reuses
 * less.
 */
#ifndef L4_CORE_CACHE_CONTROL_H
#define L4_CORE_CACHE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "core/h1.h"

/* A larger number of seconds is this one (RFC 9111, 1.2.2). */
#define L4_CACHE_SECONDS_MAX 2147483648u

/* The words of a directive; what a directive with seconds has if they cannot be read: nothing lives
 * for such a time. An argument of another one (`private="Set-Cookie"`) does not weaken it. */
#define L4_CACHE_DIRECTIVES(X)                                                                     \
    X(NO_STORE, "no-store", NO_SECONDS)                                                            \
    X(NO_CACHE, "no-cache", NO_SECONDS)                                                            \
    X(PRIVATE, "private", NO_SECONDS)                                                              \
    X(PUBLIC, "public", NO_SECONDS)                                                                \
    X(MUST_REVALIDATE, "must-revalidate", NO_SECONDS)                                              \
    X(PROXY_REVALIDATE, "proxy-revalidate", NO_SECONDS)                                            \
    X(MUST_UNDERSTAND, "must-understand", NO_SECONDS)                                              \
    X(ONLY_IF_CACHED, "only-if-cached", NO_SECONDS)                                                \
    X(MAX_AGE, "max-age", SECONDS)                                                                 \
    X(S_MAXAGE, "s-maxage", SECONDS)                                                               \
    X(STALE_WHILE_REVALIDATE, "stale-while-revalidate", SECONDS)                                   \
    X(STALE_IF_ERROR, "stale-if-error", SECONDS)                                                   \
    X(MAX_STALE, "max-stale", SECONDS_OR_ALL)                                                      \
    X(MIN_FRESH, "min-fresh", SECONDS)

enum l4_cache_directive {
#define X(id, word, argument) L4_CACHE_##id,
    L4_CACHE_DIRECTIVES(X)
#undef X
        L4_CACHE_DIRECTIVE_COUNT
};

struct l4_cache_control {
    uint32_t said;                              /* a bit for each directive */
    uint32_t seconds[L4_CACHE_DIRECTIVE_COUNT]; /* of those that have any; the first one counts */
};

static inline bool l4_cache_says(const struct l4_cache_control *control,
                                 enum l4_cache_directive directive)
{
    return control->said >> directive & 1;
}

/* Reads all fields Cache-Control of a head. */
void l4_cache_control_read(const char *bytes, const struct l4_h1_head *head,
                           struct l4_cache_control *control);

/* Reads the fields of another name (lower case), which are one Structured Fields dictionary (RFC
 * 9651, 3.2). Returns false if there is none, or if they are no such dictionary or give a directive
 * another type: then they count as if they were not there (RFC 9213, 2.1). */
bool l4_cache_control_targeted(const char *bytes, const struct l4_h1_head *head,
                               struct l4_text name, struct l4_cache_control *control);

/* Reads seconds: digits only. Returns false if the text is not that. */
bool l4_cache_seconds(struct l4_text text, uint32_t *seconds);

#endif
