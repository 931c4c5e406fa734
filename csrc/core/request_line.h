/* Formats one ended request as a line of the access log: text (key=value), JSON, the combined
 * format of web servers, or Squid's native format, which existing tools read. Pure.
 *
 * What clients sent is escaped (core/logtext.h): a request is one line, whatever is in it.
 */
#ifndef L4_CORE_REQUEST_LINE_H
#define L4_CORE_REQUEST_LINE_H

#include <stddef.h>

#include "shm/http.h"

struct l4_request_line {
    const struct l4_request_end *end;
    int64_t unix_ms;                       /* time of day of its end */
    const char *listener, *pool, *backend; /* NULL: none */
    uint32_t route;                        /* number of the listener's route, from 1; 0: none */
    uint32_t worker;
};

/* Write the line with its newline to `to`, which has room for L4_REQUEST_LINE_MAX bytes. Return its
 * length. */
size_t l4_request_line_text(const struct l4_request_line *line, char *to);
size_t l4_request_line_json(const struct l4_request_line *line, char *to);
size_t l4_request_line_combined(const struct l4_request_line *line, char *to);
size_t l4_request_line_squid(const struct l4_request_line *line, char *to);

#endif
