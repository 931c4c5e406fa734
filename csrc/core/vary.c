#include "core/vary.h"

#include <string.h>
#include <strings.h>

#include "core/list_field.h"

/* Puts `name` or `name:value` and a line's end. The name is in lower case. */
static void put_line(struct l4_text_out *out, struct l4_text name, const char *bytes,
                     const struct l4_h1_head *request)
{
    bool found = false, first = true;
    l4_text_put(out, name);
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct l4_h1_field *field = &request->fields[i];
        if (field->name.bytes != name.bytes ||
            strncasecmp(bytes + field->name.at, name.at, name.bytes) != 0)
            continue;
        struct l4_text list = l4_h1_text(bytes, field->value), entry;
        if (!found)
            l4_text_put(out, L4_TEXT(":"));
        found = true;
        while (l4_list_next(&list, L4_LIST_STRINGS, &entry)) {
            if (!first)
                l4_text_put(out, L4_TEXT(","));
            l4_text_put(out, entry);
            first = false;
        }
    }
    l4_text_put(out, L4_TEXT("\n"));
}

/* Copies a name in lower case. Returns false if it is too long, or no name of a field. */
static bool copy_name(struct l4_text name, char to[static L4_VARY_NAME_MAX])
{
    if (name.bytes > L4_VARY_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.bytes; i++) {
        const char c = name.at[i];
        if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return true;
}

bool l4_vary_write(const char *answer_bytes, const struct l4_h1_head *answer,
                   const char *request_bytes, const struct l4_h1_head *request,
                   char to[static L4_VARY_MAX], size_t *bytes)
{
    struct l4_list_walk walk = l4_list_of(answer_bytes, answer, L4_FIELD_VARY, L4_LIST_STRINGS);
    struct l4_text_out out = {.to = to, .size = L4_VARY_MAX};
    struct l4_text entry;
    for (uint32_t names = 0; l4_list_walk_next(&walk, &entry); names++) {
        char name[L4_VARY_NAME_MAX];
        if (names == L4_VARY_NAMES_MAX || !copy_name(entry, name))
            return false;
        put_line(&out, (struct l4_text){name, entry.bytes}, request_bytes, request);
    }
    *bytes = out.used;
    return !out.full;
}

bool l4_vary_fits(struct l4_text written, const char *bytes, const struct l4_h1_head *request)
{
    char said[L4_VARY_MAX];
    while (written.bytes) {
        struct l4_text_out out = {.to = said, .size = sizeof said};
        const struct l4_text line = {written.at, l4_text_until(written, '\n') + 1};
        const struct l4_text name = {line.at,
                                     l4_text_until((struct l4_text){line.at, line.bytes - 1}, ':')};
        put_line(&out, name, bytes, request);
        if (out.full || !l4_text_is((struct l4_text){said, out.used}, line))
            return false;
        written = l4_text_after(written, line.bytes);
    }
    return true;
}
