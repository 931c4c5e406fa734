/* Conditions and ranges of requests against a stored answer (RFC 9110, 13 and 14).
 *
 * Pure; nothing is copied.
 */
#ifndef L4_CORE_VALIDATE_H
#define L4_CORE_VALIDATE_H

#include "base/text.h"
#include "core/h1.h"

/* What tells two states of a resource apart. */
struct l4_validators {
    struct l4_text etag; /* as it was sent; `at` is NULL if there is none */
    int64_t modified_s;  /* Last-Modified; before 0: not told */
    int64_t date_s;      /* of the answer */
};

struct l4_validators l4_validators_of(const char *bytes, const struct l4_h1_head *answer,
                                      int64_t now_s);

/* True if two entity-tags name the same bytes (strong comparison, RFC 9110, 8.8.3.2), or, if
 * `weak`, something of the same meaning. */
bool l4_etag_is(struct l4_text a, struct l4_text b, bool weak);

/* What the conditions of a GET or HEAD make of a stored answer with the status 200 (13.2.2). */
enum l4_condition {
    L4_CONDITION_NONE,         /* the answer itself */
    L4_CONDITION_NOT_MODIFIED, /* 304: the client has it */
    L4_CONDITION_FAILED,       /* 412 */
};

enum l4_condition l4_condition_of(const char *bytes, const struct l4_h1_head *request,
                                  const struct l4_validators *stored, int64_t now_s);

/* True if a request has a condition or a range: l4_condition_of and l4_range_of need not be asked
 * otherwise. */
bool l4_is_conditional(const struct l4_h1_head *request);

enum l4_range {
    L4_RANGE_NONE,  /* the whole answer: no range, one that does not apply, or several */
    L4_RANGE_PART,  /* 206: bytes *first to *last */
    L4_RANGE_EMPTY, /* 416: nothing of it is there */
};

/* Judges Range and If-Range of a GET for a body of `length` bytes (14.2, 13.1.5). Several ranges in
 * one request are answered with the whole body, as 14.2 allows. */
enum l4_range l4_range_of(const char *bytes, const struct l4_h1_head *request,
                          const struct l4_validators *stored, uint64_t length, int64_t now_s,
                          uint64_t *first, uint64_t *last);

#endif
