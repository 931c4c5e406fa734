/* Formats one ended session as a line of the access log: text (key=value) or JSON. Pure.
 *
 * Text from outside is escaped, so that one session is always one line, and one value always one
 * value. JSON is escaped as usual. The text format quotes and escapes in the same way as JSON if
 * a value has other than harmless characters. Names are UTF-8; bytes of them that are not
 * printable ASCII are passed on unchanged.
 */
#ifndef L4_CORE_LOGLINE_H
#define L4_CORE_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/session_stats.h"

struct l4_logline {
    const struct l4_outcome *outcome;
    int64_t unix_ms;                       /* time of day of its end */
    const char *listener, *pool, *backend; /* NULL: none */
    const struct l4_client_info *told;     /* NULL: none */
    uint32_t worker;
};

/* Writes the line with its newline to `to`, which has room for L4_LOG_LINE_MAX bytes. Returns its
 * length. The line begins with "ts=" or "{"ts":"" and 24 characters of time. */
size_t l4_logline_text(const struct l4_logline *line, char *to);
size_t l4_logline_json(const struct l4_logline *line, char *to);

#endif
