#include "core/validate.h"

#include "core/date.h"
#include "core/list_field.h"

/* Gives the value of a field that must be there once. Otherwise its `at` is NULL. */
static struct l4_text single(const char *bytes, const struct l4_h1_head *head, enum l4_field_id id)
{
    const uint32_t first = head->first[id];
    if (first == L4_H1_NO_FIELD)
        return (struct l4_text){NULL, 0};
    for (uint32_t i = first + 1; i < head->field_count; i++) {
        if (head->fields[i].id == id)
            return (struct l4_text){NULL, 0};
    }
    return l4_h1_text(bytes, head->fields[first].value);
}

static bool date_of(const char *bytes, const struct l4_h1_head *head, enum l4_field_id id,
                    int64_t now_s, int64_t *date_s)
{
    const struct l4_text text = single(bytes, head, id);
    return text.at && l4_date_read(text.at, text.bytes, now_s, date_s);
}

struct l4_validators l4_validators_of(const char *bytes, const struct l4_h1_head *answer,
                                      int64_t now_s)
{
    struct l4_validators found = {l4_h1_value(bytes, answer, L4_FIELD_ETAG), -1, now_s};
    if (!date_of(bytes, answer, L4_FIELD_LAST_MODIFIED, now_s, &found.modified_s))
        found.modified_s = -1;
    if (!date_of(bytes, answer, L4_FIELD_DATE, now_s, &found.date_s))
        found.date_s = now_s;
    return found;
}

/* ---- entity-tags ------------------------------------------------------------------------------
 */

static bool is_weak(struct l4_text tag)
{
    return tag.bytes >= 2 && tag.at[0] == 'W' && tag.at[1] == '/';
}

bool l4_etag_is(struct l4_text a, struct l4_text b, bool weak)
{
    if (!a.at || !b.at || (!weak && (is_weak(a) || is_weak(b))))
        return false;
    return l4_text_is(l4_text_after(a, is_weak(a) ? 2 : 0), l4_text_after(b, is_weak(b) ? 2 : 0));
}

/* True if one of a list of entity-tags is this one, or if the list is `*`. */
static bool lists(const char *bytes, const struct l4_h1_head *request, enum l4_field_id id,
                  struct l4_text etag, bool weak)
{
    struct l4_list_walk walk = l4_list_of(bytes, request, id, L4_LIST_TAGS);
    struct l4_text tag;
    while (l4_list_walk_next(&walk, &tag)) {
        if (l4_text_is(tag, L4_TEXT("*")) || l4_etag_is(tag, etag, weak))
            return true;
    }
    return false;
}

/* ---- conditions -------------------------------------------------------------------------------
 */

bool l4_is_conditional(const struct l4_h1_head *request)
{
    return l4_h1_has(request, L4_FIELD_IF_NONE_MATCH) ||
           l4_h1_has(request, L4_FIELD_IF_MODIFIED_SINCE) || l4_h1_has(request, L4_FIELD_RANGE) ||
           l4_h1_has(request, L4_FIELD_IF_MATCH) ||
           l4_h1_has(request, L4_FIELD_IF_UNMODIFIED_SINCE);
}

enum l4_condition l4_condition_of(const char *bytes, const struct l4_h1_head *request,
                                  const struct l4_validators *stored, int64_t now_s)
{
    /* An answer that does not say when it was modified was so by its Date at the latest (RFC 9111,
     * 4.3.2). */
    const int64_t modified_s = stored->modified_s >= 0 ? stored->modified_s : stored->date_s;
    int64_t since_s;
    if (l4_h1_has(request, L4_FIELD_IF_MATCH)) {
        if (!lists(bytes, request, L4_FIELD_IF_MATCH, stored->etag, false))
            return L4_CONDITION_FAILED;
    } else if (date_of(bytes, request, L4_FIELD_IF_UNMODIFIED_SINCE, now_s, &since_s) &&
               modified_s > since_s) {
        return L4_CONDITION_FAILED;
    }
    if (l4_h1_has(request, L4_FIELD_IF_NONE_MATCH))
        return lists(bytes, request, L4_FIELD_IF_NONE_MATCH, stored->etag, true)
                   ? L4_CONDITION_NOT_MODIFIED
                   : L4_CONDITION_NONE;
    if (date_of(bytes, request, L4_FIELD_IF_MODIFIED_SINCE, now_s, &since_s) &&
        modified_s <= since_s)
        return L4_CONDITION_NOT_MODIFIED;
    return L4_CONDITION_NONE;
}

/* ---- ranges ------------------------------------------------------------------------------------
 */

/* True if what the client has a part of is what is stored (13.1.5). */
static bool if_range(const char *bytes, const struct l4_h1_head *request,
                     const struct l4_validators *stored, int64_t now_s)
{
    int64_t date_s;
    if (!l4_h1_has(request, L4_FIELD_IF_RANGE))
        return true;
    const struct l4_text value = single(bytes, request, L4_FIELD_IF_RANGE);
    if (value.bytes && (value.at[0] == '"' || is_weak(value)))
        return l4_etag_is(value, stored->etag, false);
    /* A date is a strong validator only of what has not changed for a second (8.8.2.2). */
    return date_of(bytes, request, L4_FIELD_IF_RANGE, now_s, &date_s) &&
           date_s == stored->modified_s && stored->date_s > stored->modified_s;
}

/* Takes digits off the text. Returns false if there are none; a number too large is the largest. */
static bool take_number(struct l4_text *text, uint64_t *number)
{
    size_t n = 0;
    *number = 0;
    for (; n < text->bytes && text->at[n] >= '0' && text->at[n] <= '9'; n++) {
        const uint64_t digit = (uint64_t)(text->at[n] - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    *text = l4_text_after(*text, n);
    return n;
}

enum l4_range l4_range_of(const char *bytes, const struct l4_h1_head *request,
                          const struct l4_validators *stored, uint64_t length, int64_t now_s,
                          uint64_t *first, uint64_t *last)
{
    static const char unit[] = "bytes=";
    struct l4_text text = single(bytes, request, L4_FIELD_RANGE);
    uint64_t from, to;
    if (request->method != L4_METHOD_GET || text.bytes < sizeof unit ||
        !l4_field_named(text.at, "bytes", 5) || text.at[5] != '=')
        return L4_RANGE_NONE;
    text = l4_text_trimmed(l4_text_after(text, sizeof unit - 1));
    const bool has_first = take_number(&text, &from);
    if (!text.bytes || *text.at != '-')
        return L4_RANGE_NONE;
    text = l4_text_after(text, 1);
    const bool has_last = take_number(&text, &to);
    if (text.bytes || (!has_first && !has_last) || (has_first && has_last && to < from))
        return L4_RANGE_NONE; /* several, or none that is valid */
    if (!if_range(bytes, request, stored, now_s))
        return L4_RANGE_NONE;
    if (has_first ? from >= length : !to || !length)
        return L4_RANGE_EMPTY;
    *first = has_first ? from : to < length ? length - to : 0;
    *last = has_first && has_last && to < length ? to : length - 1;
    return L4_RANGE_PART;
}
