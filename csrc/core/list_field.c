#include "core/list_field.h"

bool l4_list_next(struct l4_text *list, enum l4_list_quotes quotes, struct l4_text *entry)
{
    while (list->bytes) {
        bool quoted = false;
        size_t n = 0;
        for (; n < list->bytes && (quoted || list->at[n] != ','); n++) {
            if (quoted && quotes == L4_LIST_STRINGS && list->at[n] == '\\' && n + 1 < list->bytes)
                n++;
            else if (list->at[n] == '"')
                quoted = !quoted && quotes != L4_LIST_PLAIN;
        }
        *entry = l4_text_trimmed((struct l4_text){list->at, n});
        *list = l4_text_after(*list, n < list->bytes ? n + 1 : n);
        if (entry->bytes)
            return true;
    }
    return false;
}

bool l4_list_walk_next(struct l4_list_walk *walk, struct l4_text *entry)
{
    for (;;) {
        if (l4_list_next(&walk->rest, walk->quotes, entry))
            return true;
        if (walk->field >= walk->head->field_count)
            return false;
        const struct l4_h1_field *field = &walk->head->fields[walk->field++];
        if (field->id == walk->id)
            walk->rest = l4_h1_text(walk->bytes, field->value);
    }
}
