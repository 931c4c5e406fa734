#include "core/cache_control.h"

#include "core/list_field.h"
#include "core/structured.h"

enum argument { NO_SECONDS, SECONDS, SECONDS_OR_ALL };

static const struct directive {
    struct l4_text word;
    enum argument argument;
} directives[] = {
#define X(id, word, argument) [L4_CACHE_##id] = {{word, sizeof(word) - 1}, argument},
    L4_CACHE_DIRECTIVES(X)
#undef X
};

bool l4_cache_seconds(struct l4_text text, uint32_t *seconds)
{
    uint64_t value = 0;
    if (!text.bytes)
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
        if (value > L4_CACHE_SECONDS_MAX)
            value = L4_CACHE_SECONDS_MAX;
    }
    *seconds = (uint32_t)value;
    return true;
}

static enum l4_cache_directive find(struct l4_text name)
{
    for (size_t i = 0; i < L4_CACHE_DIRECTIVE_COUNT; i++) {
        const struct l4_text word = directives[i].word;
        if (name.bytes == word.bytes && l4_field_named(name.at, word.at, word.bytes))
            return (enum l4_cache_directive)i;
    }
    return L4_CACHE_DIRECTIVE_COUNT;
}

static void note(struct l4_cache_control *control, enum l4_cache_directive directive,
                 uint32_t seconds)
{
    if (!l4_cache_says(control, directive))
        control->seconds[directive] = seconds;
    control->said |= 1u << directive;
}

/* ---- Cache-Control -----------------------------------------------------------------------------
 */

/* A number may be in quotes (RFC 9111, 5.2). */
static struct l4_text unquoted(struct l4_text text)
{
    if (text.bytes < 2 || text.at[0] != '"' || text.at[text.bytes - 1] != '"')
        return text;
    return (struct l4_text){text.at + 1, text.bytes - 2};
}

static void read_member(struct l4_text member, struct l4_cache_control *control)
{
    const size_t equal = l4_text_until(member, '=');
    const bool has_argument = equal < member.bytes;
    /* A space beside the = makes it another name, or no number. */
    const enum l4_cache_directive directive = find((struct l4_text){member.at, equal});
    uint32_t seconds = 0;
    if (directive == L4_CACHE_DIRECTIVE_COUNT)
        return;
    if (directives[directive].argument == SECONDS_OR_ALL && !has_argument)
        seconds = L4_CACHE_SECONDS_MAX;
    else if (directives[directive].argument != NO_SECONDS && has_argument)
        l4_cache_seconds(unquoted(l4_text_after(member, equal + 1)), &seconds);
    note(control, directive, seconds);
}

void l4_cache_control_read(const char *bytes, const struct l4_h1_head *head,
                           struct l4_cache_control *control)
{
    struct l4_list_walk walk = l4_list_of(bytes, head, L4_FIELD_CACHE_CONTROL, L4_LIST_STRINGS);
    struct l4_text member;
    *control = (struct l4_cache_control){0};
    while (l4_list_walk_next(&walk, &member))
        read_member(member, control);
}

/* ---- fields for some caches ---------------------------------------------------------------------
 */

/* Reads one line of a dictionary. Returns false if it is none, or if a directive has another type.
 */
static bool read_line(struct l4_text rest, struct l4_cache_control *control)
{
    struct l4_text key, value;
    enum l4_structured type;
    while ((type = l4_dictionary_next(&rest, &key, &value)) > L4_STRUCTURED_END) {
        const enum l4_cache_directive directive = find(key);
        uint32_t seconds = 0;
        if (directive == L4_CACHE_DIRECTIVE_COUNT)
            continue;
        if (directives[directive].argument != NO_SECONDS &&
            (type != L4_STRUCTURED_INTEGER || !l4_cache_seconds(value, &seconds)))
            return false;
        control->said &= ~(1u << directive); /* the last one counts (RFC 9651, 4.2.2) */
        if (type != L4_STRUCTURED_FALSE)
            note(control, directive, seconds);
    }
    return type == L4_STRUCTURED_END;
}

bool l4_cache_control_targeted(const char *bytes, const struct l4_h1_head *head,
                               struct l4_text name, struct l4_cache_control *control)
{
    bool found = false;
    *control = (struct l4_cache_control){0};
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        if (field->name.bytes != name.bytes ||
            !l4_field_named(bytes + field->name.at, name.at, name.bytes))
            continue;
        if (!read_line(l4_h1_text(bytes, field->value), control))
            return false;
        found = found || field->value.bytes;
    }
    return found;
}
