#include "core/vary.h"

#include <string.h>
#include <strings.h>

#include "core/list_field.h"

static bool is_named(const char *bytes, const struct l4_h1_field *field, struct l4_text name)
{
    return field->name.bytes == name.bytes &&
           strncasecmp(bytes + field->name.at, name.at, name.bytes) == 0;
}

/* Puts what follows a name: the entries of all its fields as one list. */
static void put_list(struct l4_text_out *out, struct l4_text name, const char *bytes,
                     const struct l4_h1_head *request)
{
    bool found = false, first = true;
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct l4_h1_field *field = &request->fields[i];
        if (!is_named(bytes, field, name))
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
}

/* Puts the cookies that count, in the order in which they were sent (RFC 6265, 4.2.1). */
static void put_cookies(struct l4_text_out *out, struct l4_text name, const char *bytes,
                        const struct l4_h1_head *request, const struct l4_name_list *ignored)
{
    bool first = true;
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct l4_h1_field *field = &request->fields[i];
        if (!is_named(bytes, field, name))
            continue;
        struct l4_text rest = l4_h1_text(bytes, field->value);
        while (rest.bytes) {
            const size_t end = l4_text_until(rest, ';');
            const struct l4_text cookie = l4_text_trimmed((struct l4_text){rest.at, end});
            const size_t name_bytes = l4_text_until(cookie, '=');
            rest = l4_text_after(rest, end < rest.bytes ? end + 1 : end);
            if (!cookie.bytes ||
                l4_name_list_has(ignored, l4_text_trimmed((struct l4_text){cookie.at, name_bytes})))
                continue;
            l4_text_put(out, first ? L4_TEXT(":") : L4_TEXT(";"));
            l4_text_put(out, cookie);
            first = false;
        }
    }
}

/* Puts `name` or `name:value` and a line's end. The name is in lower case. */
static void put_line(struct l4_text_out *out, struct l4_text name, const char *bytes,
                     const struct l4_h1_head *request, const struct l4_name_list *ignored)
{
    l4_text_put(out, name);
    if (ignored->count && l4_text_is(name, L4_TEXT("cookie")))
        put_cookies(out, name, bytes, request, ignored);
    else
        put_list(out, name, bytes, request);
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
                   const struct l4_name_list *ignored, char to[static L4_VARY_MAX], size_t *bytes)
{
    struct l4_list_walk walk = l4_list_of(answer_bytes, answer, L4_FIELD_VARY, L4_LIST_STRINGS);
    struct l4_text_out out = {.to = to, .size = L4_VARY_MAX};
    struct l4_text entry;
    for (uint32_t names = 0; l4_list_walk_next(&walk, &entry); names++) {
        char name[L4_VARY_NAME_MAX];
        if (names == L4_VARY_NAMES_MAX || !copy_name(entry, name))
            return false;
        put_line(&out, (struct l4_text){name, entry.bytes}, request_bytes, request, ignored);
    }
    *bytes = out.used;
    return !out.full;
}

/* The first line of what was written, and the name in it. */
static struct l4_text line_of(struct l4_text written)
{
    const size_t end = l4_text_until(written, '\n');
    return (struct l4_text){written.at, end < written.bytes ? end + 1 : end};
}

static struct l4_text name_of(struct l4_text line)
{
    const struct l4_text rest = {line.at, l4_text_until(line, '\n')};
    return (struct l4_text){line.at, l4_text_until(rest, ':')};
}

bool l4_vary_again(struct l4_text written, const char *bytes, const struct l4_h1_head *request,
                   const struct l4_name_list *ignored, char to[static L4_VARY_MAX],
                   size_t *bytes_written)
{
    struct l4_text_out out = {.to = to, .size = L4_VARY_MAX};
    while (written.bytes) {
        const struct l4_text line = line_of(written);
        put_line(&out, name_of(line), bytes, request, ignored);
        written = l4_text_after(written, line.bytes);
    }
    *bytes_written = out.used;
    return !out.full;
}

bool l4_vary_has_names(struct l4_text written, struct l4_text other)
{
    while (written.bytes && other.bytes) {
        const struct l4_text one = line_of(written), two = line_of(other);
        if (!l4_text_is(name_of(one), name_of(two)))
            return false;
        written = l4_text_after(written, one.bytes);
        other = l4_text_after(other, two.bytes);
    }
    return !written.bytes && !other.bytes;
}

bool l4_vary_fits(struct l4_text written, const char *bytes, const struct l4_h1_head *request,
                  const struct l4_name_list *ignored)
{
    char said[L4_VARY_MAX];
    while (written.bytes) {
        struct l4_text_out out = {.to = said, .size = sizeof said};
        const struct l4_text line = line_of(written);
        put_line(&out, name_of(line), bytes, request, ignored);
        if (out.full || !l4_text_is((struct l4_text){said, out.used}, line))
            return false;
        written = l4_text_after(written, line.bytes);
    }
    return true;
}
