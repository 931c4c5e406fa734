/* Fields that are lists (RFC 9110, 5.6.1): all fields of a name are one list of entries.
 *
 * Pure; nothing is copied. Entries come without the spaces around them; empty ones do not count.
 */
#ifndef L4_CORE_LIST_FIELD_H
#define L4_CORE_LIST_FIELD_H

#include "core/h1.h"

/* Where a comma does not end an entry. */
enum l4_list_quotes {
    L4_LIST_PLAIN,  /* nowhere */
    L4_LIST_TAGS,   /* in the quotes of an entity-tag, where `\` is a byte like any other */
    L4_LIST_STRINGS /* in a quoted string */
};

/* Takes the next entry off one field's value. Returns false if there is none. */
bool l4_list_next(struct l4_text *list, enum l4_list_quotes quotes, struct l4_text *entry);

/* A walk over the entries of all fields of a name. */
struct l4_list_walk {
    const char *bytes; /* of the head */
    const struct l4_h1_head *head;
    enum l4_field_id id;
    enum l4_list_quotes quotes;
    uint32_t field;      /* the next one to look at */
    struct l4_text rest; /* of the present field */
};

static inline struct l4_list_walk l4_list_of(const char *bytes, const struct l4_h1_head *head,
                                             enum l4_field_id id, enum l4_list_quotes quotes)
{
    return (struct l4_list_walk){bytes, head, id, quotes, head->first[id], {NULL, 0}};
}

bool l4_list_walk_next(struct l4_list_walk *walk, struct l4_text *entry);

#endif
