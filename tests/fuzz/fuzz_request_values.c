/* The values that a request has under one name: they lie in the request, and are those of a naive
 * twin. The input's lines are the name that is looked for, the query, and header fields. */
#include <stdlib.h>
#include <string.h>

#include "core/request_values.h"
#include "require.h"

enum { LINES = 24, VALUES = 512 };

struct input {
    struct l4_text name, query, fields[LINES];
    uint32_t count;
};

static struct l4_text part(struct l4_text of, size_t from, size_t to)
{
    return (struct l4_text){of.at + from, to - from};
}

static struct l4_text line_of(struct l4_text *rest)
{
    const size_t bytes = l4_text_until(*rest, '\n');
    const struct l4_text line = part(*rest, 0, bytes);
    *rest = part(*rest, bytes < rest->bytes ? bytes + 1 : bytes, rest->bytes);
    return line;
}

static bool field(const void *of, uint32_t index, struct l4_text *name, struct l4_text *value)
{
    const struct input *input = of;
    if (index >= input->count)
        return false;
    const struct l4_text line = input->fields[index];
    const size_t colon = l4_text_until(line, ':');
    *name = part(line, 0, colon);
    *value = part(line, colon < line.bytes ? colon + 1 : colon, line.bytes);
    return true;
}

static char lowered(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
}

static bool is_field(struct l4_text name, struct l4_text wanted)
{
    bool same = name.bytes == wanted.bytes;
    for (size_t i = 0; same && i < name.bytes; i++)
        same = lowered(name.at[i]) == wanted.at[i];
    return same;
}

/* ---- the twin ----------------------------------------------------------------------------------
 */

struct found {
    struct l4_text values[VALUES];
    uint32_t count;
};

static void add(struct found *found, struct l4_text value)
{
    if (found->count < VALUES)
        found->values[found->count++] = value;
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, lowered(c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes all of a text. Returns its length. */
static size_t decoded(struct l4_text text, char *to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.at[i] == '+' ? ' ' : text.at[i];
        if (c == '%' && i + 2 < text.bytes && digit(text.at[i + 1]) >= 0 &&
            digit(text.at[i + 2]) >= 0) {
            c = (char)(digit(text.at[i + 1]) * 16 + digit(text.at[i + 2]));
            i += 2;
        }
        to[bytes++] = c;
    }
    return bytes;
}

static bool has_name(enum l4_values_kind kind, struct l4_text given, struct l4_text name)
{
    if (kind == L4_VALUES_COOKIE)
        return l4_text_is(l4_text_trimmed(given), name);
    char *plain = malloc(given.bytes + 1);
    REQUIRE(plain != NULL);
    const size_t bytes = decoded(given, plain);
    const bool same = l4_text_is((struct l4_text){plain, bytes}, name);
    free(plain);
    return same;
}

/* Adds the values of the pairs of one list. */
static void naive_pairs(enum l4_values_kind kind, struct l4_text list, struct l4_text name,
                        struct found *found)
{
    const char separator = kind == L4_VALUES_COOKIE ? ';' : '&';
    for (size_t at = 0; at < list.bytes;) {
        size_t end = at, equal = at;
        while (end < list.bytes && list.at[end] != separator)
            end++;
        while (equal < end && list.at[equal] != '=')
            equal++;
        const struct l4_text value = part(list, equal < end ? equal + 1 : end, end);
        if (has_name(kind, part(list, at, equal), name))
            add(found, kind == L4_VALUES_COOKIE ? l4_text_trimmed(value) : value);
        at = end + 1;
    }
}

static void naive(enum l4_values_kind kind, const struct input *input, struct found *found)
{
    struct l4_text name, value;
    found->count = 0;
    if (kind == L4_VALUES_ARGUMENT)
        naive_pairs(kind, input->query, input->name, found);
    for (uint32_t i = 0; kind != L4_VALUES_ARGUMENT && field(input, i, &name, &value); i++) {
        if (kind == L4_VALUES_FIELD && is_field(name, input->name))
            add(found, value);
        if (kind == L4_VALUES_COOKIE && is_field(name, L4_TEXT("cookie")))
            naive_pairs(kind, value, input->name, found);
    }
}

/* ---- one input ---------------------------------------------------------------------------------
 */

static void within(struct l4_text value, struct l4_text all)
{
    REQUIRE(!value.bytes || (value.at >= all.at && value.at + value.bytes <= all.at + all.bytes));
}

static void walk(const struct input *input, const struct l4_router_request *request,
                 struct l4_text all)
{
    static const uint32_t keys[] = {L4_KEY_HEADER, L4_KEY_COOKIE, L4_KEY_QUERY};
    static struct found found;
    for (int kind = L4_VALUES_FIELD; kind <= L4_VALUES_ARGUMENT; kind++) {
        struct l4_values values = l4_values_of(request, (enum l4_values_kind)kind, input->name);
        struct l4_text value, first = {NULL, 0};
        uint32_t count = 0;
        naive((enum l4_values_kind)kind, input, &found);
        for (; count < VALUES && l4_values_next(&values, &value); count++) {
            within(value, all);
            first = count ? first : value;
            REQUIRE(count < found.count && l4_text_is(value, found.values[count]));
            REQUIRE(!value.bytes || value.at == found.values[count].at);
        }
        REQUIRE(count == found.count);
        const struct l4_text key = l4_request_key(request, keys[kind], input->name);
        REQUIRE(key.bytes ==
                (first.bytes < L4_KEY_VALUE_MAX ? first.bytes : (size_t)L4_KEY_VALUE_MAX));
        REQUIRE(!key.bytes || key.at == first.at);
    }
}

static void set(const struct input *input, struct l4_text all)
{
    for (uint32_t i = 0; i < input->count; i++) {
        const struct l4_text line = input->fields[i];
        const struct l4_text value = l4_cookie_set(line, input->name);
        within(value, all);
        const struct l4_text pair = part(line, 0, l4_text_until(line, ';'));
        const size_t equal = l4_text_until(pair, '=');
        const bool same =
            line.bytes && l4_text_is(l4_text_trimmed(part(pair, 0, equal)), input->name);
        const size_t from = equal < pair.bytes ? equal + 1 : equal;
        const struct l4_text its = l4_text_trimmed(part(pair, from, pair.bytes));
        REQUIRE(value.bytes == (same ? its.bytes : 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of this exact size lets a sanitizer see a read past its end. */
    char *copy = malloc(size ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    const struct l4_text all = {copy, size};
    struct l4_text rest = all;
    struct input input = {.name = line_of(&rest), .query = line_of(&rest)};
    while (rest.bytes && input.count < LINES)
        input.fields[input.count++] = line_of(&rest);
    const struct l4_router_request request = {
        .query = input.query, .field = field, .fields = &input};
    walk(&input, &request, all);
    set(&input, all);
    struct l4_text query = input.query;
    while (query.bytes) {
        const size_t before = query.bytes;
        (void)l4_query_byte(&query);
        REQUIRE(query.bytes < before);
    }
    free(copy);
    return 0;
}
