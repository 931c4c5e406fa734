/* Dates of HTTP (RFC 9110, 5.6.7): IMF-fixdate written; all three forms read. */
#ifndef L4_CORE_DATE_H
#define L4_CORE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { L4_DATE_BYTES = 29 };

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT", without a NUL. The year has four digits: a time before
 * year 1 or after 9999 is written as the nearest that has. */
void l4_date_write(char to[static L4_DATE_BYTES], int64_t unix_s);

/* Reads a date. A year of two digits is the one nearest to now, at most 50 years ahead. Returns
 * false if the text is not a date; the name of the weekday need not be right. */
bool l4_date_read(const char *text, size_t bytes, int64_t now_s, int64_t *unix_s);

#endif
