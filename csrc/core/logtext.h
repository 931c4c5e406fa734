/* The parts of which lines of the access log are made: keys with their values, as text and as JSON.
 *
 * Text from outside is escaped, so that a line stays one line and a value one value. A line that is
 * full takes no more. Pure.
 */
#ifndef L4_CORE_LOGTEXT_H
#define L4_CORE_LOGTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/text.h"

struct l4_log_out {
    char *start;
    size_t used, room;
};

enum { L4_LOG_WORD = 48 };

__attribute__((format(printf, 2, 3))) void l4_log_put(struct l4_log_out *out, const char *format,
                                                      ...);
/* Copies bytes unchanged. */
void l4_log_bytes(struct l4_log_out *out, const char *text, size_t bytes);

/* Write a key and its text. word: key=value, quoted if it has other than harmless characters.
 * string: JSON. NULL: there is no text, "-" or null. Bytes above 0x7f are passed on: names are
 * UTF-8. */
void l4_log_word(struct l4_log_out *out, const char *key, const char *text);
void l4_log_string(struct l4_log_out *out, const char *key, const char *text);

/* The same for bytes that anybody may have sent: each one above 0x7f is written as \u00XX. */
void l4_log_foreign_word(struct l4_log_out *out, const char *key, struct l4_text text);
void l4_log_foreign_string(struct l4_log_out *out, const char *key, struct l4_text text);
/* Writes such bytes between quotes as web servers do: \xXX for all but harmless ones. */
void l4_log_foreign_quoted(struct l4_log_out *out, struct l4_text text);

/* RFC 3339 with milliseconds, in UTC. */
void l4_log_time(struct l4_log_out *out, int64_t unix_ms);
/* Writes a key, as it is given, and milliseconds with three places. */
void l4_log_ms(struct l4_log_out *out, const char *key, uint64_t us);

/* Returns HOST:PORT; NULL: there is no address. */
const char *l4_log_address(const struct l4_addr *addr, char to[static L4_ADDR_TEXT_MAX]);
/* Returns the name of an errno. */
const char *l4_log_error(int32_t error, char to[static L4_LOG_WORD]);

#endif
