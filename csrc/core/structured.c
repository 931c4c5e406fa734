#include "core/structured.h"

#include <string.h>

enum { INTEGER_DIGITS_MAX = 15, DECIMAL_DIGITS_MAX = 12, FRACTION_DIGITS_MAX = 3 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static char first_of(struct l4_text text)
{
    return text.bytes ? *text.at : 0;
}

static void skip_spaces(struct l4_text *text, bool tabs)
{
    while (first_of(*text) == ' ' || (tabs && first_of(*text) == '\t'))
        *text = l4_text_after(*text, 1);
}

/* Takes a key off the text. It is empty if there is none. */
static struct l4_text take_key(struct l4_text *text)
{
    size_t n = 0;
    if (is_lower(first_of(*text)) || first_of(*text) == '*') {
        while (n < text->bytes &&
               (is_lower(text->at[n]) || is_digit(text->at[n]) || is_one_of(text->at[n], "_-.*")))
            n++;
    }
    const struct l4_text key = {text->at, n};
    *text = l4_text_after(*text, n);
    return key;
}

static size_t digits_of(struct l4_text text)
{
    size_t n = 0;
    while (n < text.bytes && is_digit(text.at[n]))
        n++;
    return n;
}

static enum l4_structured take_number(struct l4_text *text)
{
    const bool negative = first_of(*text) == '-';
    if (negative)
        *text = l4_text_after(*text, 1);
    const size_t whole = digits_of(*text);
    *text = l4_text_after(*text, whole);
    if (!whole || whole > INTEGER_DIGITS_MAX)
        return L4_STRUCTURED_BAD;
    if (first_of(*text) != '.')
        return negative ? L4_STRUCTURED_OTHER : L4_STRUCTURED_INTEGER;
    *text = l4_text_after(*text, 1);
    const size_t fraction = digits_of(*text);
    *text = l4_text_after(*text, fraction);
    return whole <= DECIMAL_DIGITS_MAX && fraction && fraction <= FRACTION_DIGITS_MAX
               ? L4_STRUCTURED_OTHER
               : L4_STRUCTURED_BAD;
}

static enum l4_structured take_string(struct l4_text *text)
{
    for (size_t i = 1; i < text->bytes; i++) {
        const char c = text->at[i];
        if (c == '"') {
            *text = l4_text_after(*text, i + 1);
            return L4_STRUCTURED_OTHER;
        }
        if (c < ' ' || c > '~')
            return L4_STRUCTURED_BAD;
        if (c != '\\')
            continue;
        i++;
        if (i == text->bytes || !is_one_of(text->at[i], "\"\\"))
            return L4_STRUCTURED_BAD;
    }
    return L4_STRUCTURED_BAD;
}

static enum l4_structured take_bytes(struct l4_text *text)
{
    for (size_t i = 1; i < text->bytes; i++) {
        const char c = text->at[i];
        if (c == ':') {
            *text = l4_text_after(*text, i + 1);
            return L4_STRUCTURED_OTHER;
        }
        if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "+/="))
            return L4_STRUCTURED_BAD;
    }
    return L4_STRUCTURED_BAD;
}

static enum l4_structured take_token(struct l4_text *text)
{
    size_t n = 1;
    while (n < text->bytes && (is_alpha(text->at[n]) || is_digit(text->at[n]) ||
                               is_one_of(text->at[n], "!#$%&'*+-.^_`|~:/")))
        n++;
    *text = l4_text_after(*text, n);
    return L4_STRUCTURED_OTHER;
}

/* Takes an item off the text, without its parameters. */
static enum l4_structured take_item(struct l4_text *text)
{
    const char c = first_of(*text);
    if (is_digit(c) || c == '-')
        return take_number(text);
    if (c == '"')
        return take_string(text);
    if (c == ':')
        return take_bytes(text);
    if (is_alpha(c) || c == '*')
        return take_token(text);
    if (c != '?' || text->bytes < 2 || !is_one_of(text->at[1], "01"))
        return L4_STRUCTURED_BAD;
    const bool yes = text->at[1] == '1';
    *text = l4_text_after(*text, 2);
    return yes ? L4_STRUCTURED_TRUE : L4_STRUCTURED_FALSE;
}

static bool take_parameters(struct l4_text *text)
{
    while (first_of(*text) == ';') {
        *text = l4_text_after(*text, 1);
        skip_spaces(text, false);
        if (!take_key(text).bytes)
            return false;
        if (first_of(*text) == '=') {
            *text = l4_text_after(*text, 1);
            if (take_item(text) == L4_STRUCTURED_BAD)
                return false;
        }
    }
    return true;
}

static enum l4_structured take_inner_list(struct l4_text *text)
{
    *text = l4_text_after(*text, 1);
    for (;;) {
        skip_spaces(text, false);
        if (first_of(*text) == ')') {
            *text = l4_text_after(*text, 1);
            return L4_STRUCTURED_OTHER;
        }
        if (take_item(text) == L4_STRUCTURED_BAD || !take_parameters(text))
            return L4_STRUCTURED_BAD;
        if (first_of(*text) != ' ' && first_of(*text) != ')')
            return L4_STRUCTURED_BAD;
    }
}

/* Takes a member off the text: KEY, KEY=VALUE or KEY=(LIST), and its parameters. */
static enum l4_structured take_member(struct l4_text *text, struct l4_text *key,
                                      struct l4_text *value)
{
    enum l4_structured type = L4_STRUCTURED_TRUE;
    *key = take_key(text);
    *value = (struct l4_text){text->at, 0};
    if (!key->bytes)
        return L4_STRUCTURED_BAD;
    if (first_of(*text) == '=') {
        *text = l4_text_after(*text, 1);
        value->at = text->at;
        type = first_of(*text) == '(' ? take_inner_list(text) : take_item(text);
        value->bytes = (size_t)(text->at - value->at);
    }
    return take_parameters(text) ? type : L4_STRUCTURED_BAD;
}

enum l4_structured l4_dictionary_next(struct l4_text *rest, struct l4_text *key,
                                      struct l4_text *value)
{
    skip_spaces(rest, false);
    if (!rest->bytes)
        return L4_STRUCTURED_END;
    const enum l4_structured type = take_member(rest, key, value);
    if (type == L4_STRUCTURED_BAD)
        return type;
    skip_spaces(rest, true);
    if (!rest->bytes)
        return type;
    if (*rest->at != ',')
        return L4_STRUCTURED_BAD;
    *rest = l4_text_after(*rest, 1);
    skip_spaces(rest, true);
    return rest->bytes ? type : L4_STRUCTURED_BAD; /* a comma at the end */
}
