/* One ended session as a line of the access log: text (key=value) or JSON. Pure.
 *
 * Text that somebody else chose is escaped, so that a line is always one line and a value one
 * value: in JSON as JSON does, in text the same within quotes, where it has more than harmless
 * characters. Names are UTF-8; what is not printable ASCII in them is passed on as it is.
 */
#ifndef L4_CORE_LOGLINE_H
#define L4_CORE_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/seen.h"

struct l4_logline {
    const struct l4_outcome *outcome;
    int64_t unix_ms;                       /* its end, by the time of day */
    const char *listener, *pool, *backend; /* NULL: none */
    const struct l4_told *told;            /* NULL: none */
    uint32_t worker;
};

/* Writes the line with its newline to `to`, which has room for L4_LOG_LINE_MAX bytes. Returns its
 * length. The line begins with "ts=" or "{"ts":"" and then 24 characters of time. */
size_t l4_logline_text(const struct l4_logline *line, char *to);
size_t l4_logline_json(const struct l4_logline *line, char *to);

#endif
