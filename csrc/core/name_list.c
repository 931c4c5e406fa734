#include "core/name_list.h"

bool l4_name_list_has(const struct l4_name_list *list, struct l4_text name)
{
    for (size_t i = 0; i < list->count; i++) {
        struct l4_text listed = list->names[i];
        struct l4_text begin = name;
        if (listed.bytes && listed.at[listed.bytes - 1] == '*') {
            listed.bytes--;
            if (begin.bytes > listed.bytes)
                begin.bytes = listed.bytes;
        }
        if (l4_text_is(begin, listed))
            return true;
    }
    return false;
}
