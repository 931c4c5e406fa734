/* Dictionaries of Structured Fields for HTTP (RFC 9651, 3.2 and 4.2.2).
 *
 * Pure; nothing is copied. Strict, as the RFC asks: one fault makes the whole field unusable, so a
 * caller must not use what came before it.
 */
#ifndef L4_CORE_STRUCTURED_H
#define L4_CORE_STRUCTURED_H

#include "base/text.h"

/* What the next member of a dictionary is. */
enum l4_structured {
    L4_STRUCTURED_BAD, /* the field is no dictionary */
    L4_STRUCTURED_END, /* there is no further member */
    L4_STRUCTURED_TRUE,
    L4_STRUCTURED_FALSE,
    L4_STRUCTURED_INTEGER, /* not negative */
    L4_STRUCTURED_OTHER,
};

/* Takes the next member off the rest of one line of a dictionary. The value is as it was written,
 * without parameters. */
enum l4_structured l4_dictionary_next(struct l4_text *rest, struct l4_text *key,
                                      struct l4_text *value);

#endif
