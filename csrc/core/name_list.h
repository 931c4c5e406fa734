/* Names that a configuration lists: of query arguments, or of cookies. A `*` at the end of one
 * stands for whatever follows. */
#ifndef L4_CORE_NAME_LIST_H
#define L4_CORE_NAME_LIST_H

#include "base/text.h"

struct l4_name_list {
    const struct l4_text *names;
    size_t count;
};

bool l4_name_list_has(const struct l4_name_list *list, struct l4_text name);

#endif
