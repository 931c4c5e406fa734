#include "core/request_values.h"

#include <string.h>

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* True if a header's name, in any case, is this one in lower case. */
static bool is_name(struct l4_text name, struct l4_text wanted)
{
    if (name.bytes != wanted.bytes)
        return false;
    for (size_t i = 0; i < name.bytes; i++) {
        if (lower(name.at[i]) != wanted.at[i])
            return false;
    }
    return true;
}

/* Takes the part before `end` off the rest of a list, and splits it at its first =. */
static bool next_pair(struct l4_text *rest, char end, struct l4_text *name, struct l4_text *value)
{
    if (!rest->bytes)
        return false;
    const size_t bytes = l4_text_until(*rest, end);
    const struct l4_text pair = {rest->at, bytes};
    const size_t equal = l4_text_until(pair, '=');
    *name = (struct l4_text){pair.at, equal};
    *value = l4_text_after(pair, equal < bytes ? equal + 1 : bytes);
    *rest = l4_text_after(*rest, bytes < rest->bytes ? bytes + 1 : bytes);
    return true;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char l4_query_byte(struct l4_text *text)
{
    const char *at = text->at;
    const bool coded = *at == '%' && text->bytes > 2 && hex_of(at[1]) >= 0 && hex_of(at[2]) >= 0;
    *text = l4_text_after(*text, coded ? 3 : 1);
    if (coded)
        return (char)(hex_of(at[1]) << 4 | hex_of(at[2]));
    return *at == '+' ? ' ' : *at;
}

/* True if the name of an argument, decoded, is this one. */
static bool is_argument(struct l4_text name, struct l4_text wanted)
{
    size_t same = 0;
    while (name.bytes && same < wanted.bytes && l4_query_byte(&name) == wanted.at[same])
        same++;
    return !name.bytes && same == wanted.bytes;
}

struct l4_values l4_values_of(const struct l4_router_request *request, enum l4_values_kind kind,
                              struct l4_text name)
{
    return (struct l4_values){
        .request = request,
        .kind = kind,
        .name = name,
        .rest = kind == L4_VALUES_ARGUMENT ? request->query : (struct l4_text){NULL, 0},
    };
}

/* Gives the value of the next header field of this name. */
static bool next_field(struct l4_values *values, struct l4_text wanted, struct l4_text *value)
{
    const struct l4_router_request *request = values->request;
    struct l4_text name;
    while (request->field && request->field(request->fields, values->field, &name, value)) {
        values->field++;
        if (is_name(name, wanted))
            return true;
    }
    return false;
}

static bool next_cookie(struct l4_values *values, struct l4_text *value)
{
    struct l4_text name;
    do {
        while (next_pair(&values->rest, ';', &name, value)) {
            *value = l4_text_trimmed(*value);
            if (l4_text_is(l4_text_trimmed(name), values->name))
                return true;
        }
    } while (next_field(values, L4_TEXT("cookie"), &values->rest));
    return false;
}

static bool next_argument(struct l4_values *values, struct l4_text *value)
{
    struct l4_text name;
    while (next_pair(&values->rest, '&', &name, value)) {
        if (is_argument(name, values->name))
            return true;
    }
    return false;
}

bool l4_values_next(struct l4_values *values, struct l4_text *value)
{
    switch (values->kind) {
    case L4_VALUES_FIELD:
        return next_field(values, values->name, value);
    case L4_VALUES_COOKIE:
        return next_cookie(values, value);
    default:
        return next_argument(values, value);
    }
}

struct l4_text l4_cookie_set(struct l4_text field, struct l4_text name)
{
    struct l4_text its, value;
    if (!next_pair(&field, ';', &its, &value) || !l4_text_is(l4_text_trimmed(its), name))
        return (struct l4_text){NULL, 0};
    return l4_text_trimmed(value);
}

static struct l4_text first_of(const struct l4_router_request *request, enum l4_values_kind kind,
                               struct l4_text name)
{
    struct l4_values values = l4_values_of(request, kind, name);
    struct l4_text value;
    return l4_values_next(&values, &value) ? value : (struct l4_text){NULL, 0};
}

static struct l4_text value_of(const struct l4_router_request *request, uint32_t kind,
                               struct l4_text name)
{
    switch (kind) {
    case L4_KEY_HOST:
        return request->host;
    case L4_KEY_PATH:
        return request->path;
    case L4_KEY_HEADER:
        return first_of(request, L4_VALUES_FIELD, name);
    case L4_KEY_COOKIE:
        return first_of(request, L4_VALUES_COOKIE, name);
    case L4_KEY_QUERY:
        return first_of(request, L4_VALUES_ARGUMENT, name);
    default:
        return (struct l4_text){NULL, 0};
    }
}

struct l4_text l4_request_key(const struct l4_router_request *request, uint32_t kind,
                              struct l4_text name)
{
    struct l4_text value = value_of(request, kind, name);
    if (!value.bytes)
        return (struct l4_text){NULL, 0};
    if (value.bytes > L4_KEY_VALUE_MAX)
        value.bytes = L4_KEY_VALUE_MAX;
    return value;
}
