#include "core/vary.h"

#include <string.h>
#include <strings.h>

struct out {
    char *to;
    size_t used;
    bool full;
};

static void put(struct out *out, struct l4_text text)
{
    if (out->full || text.bytes > L4_VARY_MAX - out->used) {
        out->full = true;
        return;
    }
    l4_text_copy(out->to + out->used, text);
    out->used += text.bytes;
}

static struct l4_text value_at(const char *bytes, const struct l4_h1_head *head, uint32_t at)
{
    return (struct l4_text){bytes + head->fields[at].value.at, head->fields[at].value.bytes};
}

/* Takes the first entry that is not empty off a list. A comma inside of quotes is of the entry. */
static bool take_entry(struct l4_text *list, struct l4_text *entry)
{
    while (list->bytes) {
        bool quoted = false;
        size_t n = 0;
        for (; n < list->bytes && (quoted || list->at[n] != ','); n++) {
            if (quoted && list->at[n] == '\\' && n + 1 < list->bytes)
                n++;
            else if (list->at[n] == '"')
                quoted = !quoted;
        }
        *entry = l4_text_trimmed((struct l4_text){list->at, n});
        *list = l4_text_after(*list, n < list->bytes ? n + 1 : n);
        if (entry->bytes)
            return true;
    }
    return false;
}

/* Puts `name` or `name:value` and a line's end. The name is in lower case. */
static void put_line(struct out *out, struct l4_text name, const char *bytes,
                     const struct l4_h1_head *request)
{
    bool found = false, first = true;
    put(out, name);
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct l4_h1_field *field = &request->fields[i];
        if (field->name.bytes != name.bytes ||
            strncasecmp(bytes + field->name.at, name.at, name.bytes) != 0)
            continue;
        struct l4_text list = value_at(bytes, request, i), entry;
        if (!found)
            put(out, L4_TEXT(":"));
        found = true;
        while (take_entry(&list, &entry)) {
            if (!first)
                put(out, L4_TEXT(","));
            put(out, entry);
            first = false;
        }
    }
    put(out, L4_TEXT("\n"));
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
    struct out out = {to, 0, false};
    uint32_t names = 0;
    for (uint32_t i = answer->first[L4_FIELD_VARY]; i < answer->field_count; i++) {
        if (answer->fields[i].id != L4_FIELD_VARY)
            continue;
        struct l4_text list = value_at(answer_bytes, answer, i), entry;
        while (take_entry(&list, &entry)) {
            char name[L4_VARY_NAME_MAX];
            if (++names > L4_VARY_NAMES_MAX || !copy_name(entry, name))
                return false;
            put_line(&out, (struct l4_text){name, entry.bytes}, request_bytes, request);
        }
    }
    *bytes = out.used;
    return !out.full;
}

bool l4_vary_fits(struct l4_text written, const char *bytes, const struct l4_h1_head *request)
{
    char said[L4_VARY_MAX];
    while (written.bytes) {
        struct out out = {said, 0, false};
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
