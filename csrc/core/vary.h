/* Which requests an answer was chosen for: the fields that its Vary names, and what the request
 * said in them (RFC 9111, 4.1).
 *
 * Pure. Each stored answer is compared by its own Vary, since the answers of one resource may
 * differ in it. Cookies that the configuration ignores do not count.
 */
#ifndef L4_CORE_VARY_H
#define L4_CORE_VARY_H

#include "base/text.h"
#include "core/h1.h"
#include "core/name_list.h"

enum {
    L4_VARY_MAX = 4096, /* bytes of all names and values */
    L4_VARY_NAME_MAX = 128,
    L4_VARY_NAMES_MAX = 16 /* names of an answer's fields Vary */
};

/* Writes what selects an answer: a line for each name that its Vary has, `name:value` or, if the
 * request has no such field, `name`. The value is that of all fields of the name as one list,
 * without the spaces and empty entries of lists. ignored: cookies of these names are
 * left out; a request that has no others is written as one without cookies. Returns false if it
 * cannot be kept: it is too long, or Vary names no field. *bytes is 0 for an answer without Vary. A
 * `*` must have been looked for (core/fresh.h). */
bool l4_vary_write(const char *answer_bytes, const struct l4_h1_head *answer,
                   const char *request_bytes, const struct l4_h1_head *request,
                   const struct l4_name_list *ignored, char to[static L4_VARY_MAX], size_t *bytes);

/* Writes the same of another request: what it says in the fields that were written. Returns false
 * if that is too long. */
bool l4_vary_again(struct l4_text written, const char *bytes, const struct l4_h1_head *request,
                   const struct l4_name_list *ignored, char to[static L4_VARY_MAX],
                   size_t *bytes_written);

/* True if two texts that were written are of the same fields. */
bool l4_vary_has_names(struct l4_text written, struct l4_text other);

/* True if a request says in all those fields what was written. */
bool l4_vary_fits(struct l4_text written, const char *bytes, const struct l4_h1_head *request,
                  const struct l4_name_list *ignored);

#endif
