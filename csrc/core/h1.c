#include "core/h1.h"

#include <endian.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum {
    TOKEN = 1,  /* RFC 9110, 5.6.2 */
    TARGET = 2, /* visible, and no fragment */
    UNDERSCORE = 4,
    VERSION_BYTES = sizeof "HTTP/1.1" - 1,
    STATUS_DIGITS = 3,
};

#define MARKS TOKEN | TARGET

/* clang-format off */
static const uint8_t class_of[256] = {
    ['0' ... '9'] = MARKS, ['A' ... 'Z'] = MARKS, ['a' ... 'z'] = MARKS, ['_'] = MARKS | UNDERSCORE,
    ['!'] = MARKS, ['$'] = MARKS, ['%'] = MARKS, ['&'] = MARKS, ['\''] = MARKS, ['*'] = MARKS,
    ['+'] = MARKS, ['-'] = MARKS, ['.'] = MARKS, ['^'] = MARKS, ['`'] = MARKS, ['|'] = MARKS,
    ['~'] = MARKS, ['#'] = TOKEN,
    ['"'] = TARGET, ['('] = TARGET, [')'] = TARGET, [','] = TARGET, ['/'] = TARGET, [':'] = TARGET,
    [';'] = TARGET, ['<'] = TARGET, ['='] = TARGET, ['>'] = TARGET, ['?'] = TARGET, ['@'] = TARGET,
    ['['] = TARGET, ['\\'] = TARGET, [']'] = TARGET, ['{'] = TARGET, ['}'] = TARGET,
};
/* clang-format on */

/* A head while it is read. It ends with an empty line, so each search for a byte that is no part of
 * a name, a target or a value ends in it. */
struct reader {
    const char *head, *at, *end;
    struct l4_h1_head *out;
    bool request, coding;
    bool close, keep_alive, upgrade; /* options of Connection */
};

static bool is(char c, uint8_t class)
{
    return class_of[(uint8_t)c] & class;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_line_end(const char *at)
{
    return at[0] == '\r' && at[1] == '\n';
}

/* Returns the first control byte, HTAB and DEL included; it looks at eight bytes at a time. */
static const char *first_control(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = ones << 7;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word = le64toh(word);
        const uint64_t del = word ^ ones * 0x7f;
        /* why: a borrow reaches only bytes after one that is found, so the first one is right. */
        const uint64_t found = (((word - ones * ' ') & ~word) | ((del - ones) & ~del)) & high;
        if (found)
            return at + __builtin_ctzll(found) / 8;
        at += 8;
    }
    while (at < end && (uint8_t)*at >= ' ' && *at != 0x7f)
        at++;
    return at;
}

/* Returns the fault of a byte that stands where it must not: of its own if it is a control byte. */
static enum l4_h1_fault fault_of(char c, enum l4_h1_fault other)
{
    if (c == '\n')
        return L4_H1_BARE_LF;
    if (c == '\r')
        return L4_H1_BARE_CR;
    return (uint8_t)c < ' ' || c == 0x7f ? L4_H1_CONTROL_BYTE : other;
}

static struct l4_h1_text text(const struct reader *r, const char *from, const char *to)
{
    return (struct l4_h1_text){(uint16_t)(from - r->head), (uint16_t)(to - from)};
}

/* Takes the next element of a list off its value; empty elements are none (RFC 9110, 5.6.1.2). */
static bool next_element(struct l4_text *list, struct l4_text *element)
{
    while (list->bytes) {
        const char *comma = memchr(list->at, ',', list->bytes);
        const size_t step = comma ? (size_t)(comma - list->at) : list->bytes;
        *element = (struct l4_text){list->at, step};
        list->at += step + (comma != NULL);
        list->bytes -= step + (comma != NULL);
        while (element->bytes && is_blank(*element->at))
            element->at++, element->bytes--;
        while (element->bytes && is_blank(element->at[element->bytes - 1]))
            element->bytes--;
        if (element->bytes)
            return true;
    }
    return false;
}

/* ---- the end of a head ----------------------------------------------------------------------- */

long l4_h1_end(const char *bytes, size_t count, size_t *scanned)
{
    const char *at = bytes + *scanned, *end = bytes + count;
    for (;;) {
        at = first_control(at, end);
        *scanned = (size_t)(at - bytes);
        if (at == end || (*at == '\r' && at + 1 == end))
            return 0;
        if (*at == '\t') {
            at++;
            continue;
        }
        if (!is_line_end(at))
            return -(long)fault_of(*at, L4_H1_CONTROL_BYTE);
        const bool empty = at > bytes && at[-1] == '\n';
        at += 2;
        if (empty)
            return at - bytes;
    }
}

enum l4_h1_fault l4_h1_too_large(const char *bytes, size_t count)
{
    const size_t skip = count >= 2 && is_line_end(bytes) ? 2 : 0;
    return memchr(bytes + skip, '\n', count - skip) ? L4_H1_HEAD_TOO_LARGE : L4_H1_TARGET_TOO_LONG;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static struct l4_text value_of(const struct reader *r, const struct l4_h1_field *field)
{
    return (struct l4_text){r->head + field->value.at, field->value.bytes};
}

static enum l4_h1_fault read_length(struct l4_h1_head *out, struct l4_text value)
{
    if (value.bytes == 0 || value.bytes > L4_H1_DIGITS_MAX)
        return L4_H1_BAD_LENGTH;
    out->has_length = true;
    for (size_t i = 0; i < value.bytes; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return L4_H1_BAD_LENGTH;
        out->length = out->length * 10 + (uint64_t)(value.at[i] - '0');
    }
    return L4_H1_NONE;
}

/* Judges a field by itself. `again`: there was one of its name before. */
static enum l4_h1_fault judge_field(struct reader *r, const struct l4_h1_field *field, bool again)
{
    const struct l4_text value = value_of(r, field);
    switch (field->id) {
    case L4_FIELD_CONTENT_LENGTH:
        return again ? L4_H1_TWO_LENGTHS : read_length(r->out, value);
    case L4_FIELD_TRANSFER_ENCODING:
        r->coding = true;
        if (again)
            return L4_H1_TWO_CODINGS;
        return l4_field_is(value, "chunked") ? L4_H1_NONE : L4_H1_UNKNOWN_CODING;
    case L4_FIELD_HOST:
        r->out->host = field->value;
        return again && r->request ? L4_H1_TWO_HOSTS : L4_H1_NONE;
    case L4_FIELD_EXPECT:
        if (!r->request)
            return L4_H1_NONE;
        r->out->expects_continue = true;
        return l4_field_is(value, "100-continue") ? L4_H1_NONE : L4_H1_BAD_EXPECT;
    default:
        return L4_H1_NONE;
    }
}

/* Returns the fault of a line whose name ends at a byte that is no colon, or that has no name. */
static enum l4_h1_fault fault_of_name(const char *name, const char *at)
{
    if (at == name && is_blank(*at))
        return L4_H1_FOLDED_LINE;
    if (is_blank(*at))
        return L4_H1_SPACE_IN_NAME;
    return is_line_end(at) ? L4_H1_NO_COLON : fault_of(*at, L4_H1_BAD_NAME);
}

static enum l4_h1_fault read_field(struct reader *r, const struct l4_h1_bounds *bounds)
{
    struct l4_h1_head *out = r->out;
    const char *name = r->at, *at = name;
    uint8_t seen = 0;
    while (is(*at, TOKEN))
        seen |= class_of[(uint8_t)*at++];
    if (*at != ':' || at == name)
        return fault_of_name(name, at);
    if (out->field_count >= bounds->fields)
        return L4_H1_TOO_MANY_FIELDS;
    const bool underscore = seen & UNDERSCORE;
    if (underscore && bounds->refuse_underscores)
        return L4_H1_UNDERSCORE;
    struct l4_h1_field *field = &out->fields[out->field_count];
    field->name = text(r, name, at++);
    while (is_blank(*at))
        at++;
    const char *value = at;
    while (*(at = first_control(at, r->end)) == '\t')
        at++;
    if (!is_line_end(at))
        return fault_of(*at, L4_H1_CONTROL_BYTE);
    r->at = at + 2;
    while (at > value && is_blank(at[-1]))
        at--;
    field->value = text(r, value, at);
    field->id = (uint8_t)l4_field_find(name, field->name.bytes);
    field->flags = l4_field_flags((enum l4_field_id)field->id, name, field->name.bytes, underscore);
    const uint8_t number = (uint8_t)out->field_count++;
    if (field->id == L4_FIELD_OTHER)
        return L4_H1_NONE;
    const bool again = l4_h1_has(out, field->id);
    if (!again)
        out->first[field->id] = number;
    return judge_field(r, field, again);
}

static enum l4_h1_fault read_fields(struct reader *r, const struct l4_h1_bounds *bounds)
{
    while (!is_line_end(r->at)) {
        const enum l4_h1_fault fault = read_field(r, bounds);
        if (fault)
            return fault;
    }
    r->out->bytes = (uint32_t)(r->at + 2 - r->head);
    return L4_H1_NONE;
}

/* ---- Connection ------------------------------------------------------------------------------ */

/* Flags the fields that an option names: they are for this connection only. */
static void flag_named(struct reader *r, struct l4_text option)
{
    for (uint32_t i = 0; i < r->out->field_count; i++) {
        struct l4_h1_field *field = &r->out->fields[i];
        if (field->name.bytes == option.bytes &&
            strncasecmp(r->head + field->name.at, option.at, option.bytes) == 0)
            field->flags |= L4_FIELD_IS_HOP;
    }
}

static enum l4_h1_fault judge_option(struct reader *r, struct l4_text option)
{
    if (l4_field_is(option, "close")) {
        r->close = true;
        return L4_H1_NONE;
    }
    switch (l4_field_find(option.at, option.bytes)) {
    case L4_FIELD_HOST:
    case L4_FIELD_CONTENT_LENGTH:
    case L4_FIELD_TRANSFER_ENCODING:
        return L4_H1_BAD_CONNECTION;
    case L4_FIELD_KEEP_ALIVE:
        r->keep_alive = true;
        return L4_H1_NONE;
    case L4_FIELD_UPGRADE:
        r->upgrade = true;
        return L4_H1_NONE;
    default:
        flag_named(r, option);
        return L4_H1_NONE;
    }
}

static enum l4_h1_fault judge_connection(struct reader *r)
{
    uint32_t options = 0;
    for (uint32_t i = r->out->first[L4_FIELD_CONNECTION]; i < r->out->field_count; i++) {
        const struct l4_h1_field *field = &r->out->fields[i];
        struct l4_text list = value_of(r, field), option;
        while (field->id == L4_FIELD_CONNECTION && next_element(&list, &option)) {
            if (++options > L4_H1_OPTIONS_MAX)
                return L4_H1_TOO_MANY_OPTIONS;
            const enum l4_h1_fault fault = judge_option(r, option);
            if (fault)
                return fault;
        }
    }
    r->out->keep_alive = !r->close && (r->out->minor || r->keep_alive);
    return L4_H1_NONE;
}

/* why not h2c: after it the connection would be HTTP/2, whose requests nobody here would see. */
static bool is_upgrade(const struct reader *r)
{
    if (!r->upgrade || !r->out->minor || !l4_h1_has(r->out, L4_FIELD_UPGRADE))
        return false;
    for (uint32_t i = r->out->first[L4_FIELD_UPGRADE]; i < r->out->field_count; i++) {
        const struct l4_h1_field *field = &r->out->fields[i];
        struct l4_text list = value_of(r, field), protocol;
        while (field->id == L4_FIELD_UPGRADE && next_element(&list, &protocol)) {
            if (l4_field_is(protocol, "h2c") || l4_field_is(protocol, "h2"))
                return false;
        }
    }
    return true;
}

/* ---- framing --------------------------------------------------------------------------------- */

static enum l4_h1_fault judge_framing(const struct reader *r)
{
    struct l4_h1_head *out = r->out;
    out->framing = out->has_length ? L4_FRAMING_LENGTH : L4_FRAMING_NONE;
    if (!r->coding)
        return L4_H1_NONE;
    out->framing = L4_FRAMING_CHUNKED;
    if (out->has_length)
        return L4_H1_LENGTH_AND_CODING;
    return out->minor ? L4_H1_NONE : L4_H1_CODING_IN_1_0;
}

/* 100-continue is of a body that is still to come (RFC 9110, 10.1.1). */
static void forget_expect(struct l4_h1_head *out)
{
    out->expects_continue = false;
    for (uint32_t i = out->first[L4_FIELD_EXPECT]; i < out->field_count; i++) {
        if (out->fields[i].id == L4_FIELD_EXPECT)
            out->fields[i].flags |= L4_FIELD_IS_HOP;
    }
}

static enum l4_h1_fault judge_request(struct reader *r)
{
    struct l4_h1_head *out = r->out;
    const enum l4_h1_fault fault = judge_framing(r);
    if (fault)
        return fault;
    const bool body = out->framing == L4_FRAMING_CHUNKED || out->length;
    if (body && (out->method == L4_METHOD_CONNECT || out->method == L4_METHOD_TRACE))
        return L4_H1_UNEXPECTED_BODY;
    if (out->minor && !l4_h1_has(out, L4_FIELD_HOST))
        return L4_H1_NO_HOST;
    if (!out->minor || !body)
        forget_expect(out);
    out->upgrade = !body && is_upgrade(r);
    return L4_H1_NONE;
}

/* RFC 9112, 6.3. */
static enum l4_h1_fault judge_answer(struct reader *r, enum l4_method asked)
{
    struct l4_h1_head *out = r->out;
    const enum l4_h1_fault fault = judge_framing(r);
    if (fault)
        return fault;
    out->upgrade = is_upgrade(r);
    if (out->status == 101 && !out->upgrade)
        return L4_H1_SWITCH_TO_NOTHING;
    const bool connected = asked == L4_METHOD_CONNECT && out->status / 100 == 2;
    out->tunnel = connected || out->status == 101;
    if (out->status / 100 == 1 || out->status == 204 || connected) {
        /* why: a sender that announces a body here may send one. */
        if (r->coding || out->length)
            out->keep_alive = false;
        out->framing = L4_FRAMING_NONE;
        out->has_length = false;
        out->length = 0;
    } else if (out->status == 304 || asked == L4_METHOD_HEAD) {
        out->framing = L4_FRAMING_NONE;
    } else if (out->framing == L4_FRAMING_NONE) {
        out->framing = L4_FRAMING_UNTIL_CLOSE;
        out->keep_alive = false;
    }
    return L4_H1_NONE;
}

/* ---- first lines ----------------------------------------------------------------------------- */

enum l4_method l4_method_find(const char *name, size_t bytes)
{
    static const struct l4_text names[] = {
#define X(name) {#name, sizeof #name - 1},
        L4_METHODS(X)
#undef X
    };
    for (uint32_t i = 0; i < L4_METHOD_OTHER; i++) {
        if (names[i].bytes == bytes && memcmp(names[i].at, name, bytes) == 0)
            return (enum l4_method)i;
    }
    return L4_METHOD_OTHER;
}

/* Reads "HTTP/1.1" or another version, and goes on behind it. */
static enum l4_h1_fault read_version(struct reader *r, enum l4_h1_fault broken)
{
    const char *at = r->at;
    if (r->end - at < VERSION_BYTES + 2 || memcmp(at, "HTTP/", 5) != 0 || at[5] < '0' ||
        at[5] > '9' || at[6] != '.' || at[7] < '0' || at[7] > '9')
        return broken;
    r->at += VERSION_BYTES;
    r->out->minor = (uint8_t)(at[7] - '0');
    return at[5] == '1' && r->out->minor <= 1 ? L4_H1_NONE : L4_H1_BAD_VERSION;
}

static enum l4_h1_fault fault_of_line(const char *at, enum l4_h1_fault other)
{
    return is_line_end(at) ? L4_H1_BAD_REQUEST_LINE : fault_of(*at, other);
}

static enum l4_h1_fault read_request_line(struct reader *r, const struct l4_h1_bounds *bounds)
{
    const char *method = r->at, *at = method;
    while (is(*at, TOKEN))
        at++;
    const size_t bytes = (size_t)(at - method);
    if (*at != ' ' || bytes == 0 || bytes > L4_H1_METHOD_MAX)
        return fault_of_line(at, L4_H1_BAD_METHOD);
    r->out->method = (uint8_t)l4_method_find(method, bytes);
    r->out->method_text = text(r, method, at);
    const char *target = ++at;
    while (is(*at, TARGET))
        at++;
    if ((size_t)(at - target) > bounds->target)
        return L4_H1_TARGET_TOO_LONG;
    if (*at != ' ' || at == target)
        return fault_of_line(at, *at == ' ' ? L4_H1_BAD_REQUEST_LINE : L4_H1_BAD_TARGET);
    r->out->target = text(r, target, at);
    r->at = at + 1;
    const enum l4_h1_fault fault = read_version(r, L4_H1_BAD_REQUEST_LINE);
    if (fault == L4_H1_BAD_REQUEST_LINE || !is_line_end(r->at))
        return L4_H1_BAD_REQUEST_LINE;
    r->at += 2;
    return fault;
}

/* A server may leave out the space before a reason that is empty. */
static enum l4_h1_fault read_status_line(struct reader *r)
{
    const enum l4_h1_fault fault = read_version(r, L4_H1_BAD_STATUS_LINE);
    if (fault)
        return fault;
    const char *at = r->at;
    if (*at++ != ' ')
        return L4_H1_BAD_STATUS_LINE;
    uint32_t status = 0, digits = 0;
    while (digits < STATUS_DIGITS && at[digits] >= '0' && at[digits] <= '9')
        status = status * 10 + (uint32_t)(at[digits++] - '0');
    at += digits;
    if (digits < STATUS_DIGITS || (*at != ' ' && !is_line_end(at)))
        return fault_of(at[0], L4_H1_BAD_STATUS_LINE);
    if (status < 100 || status > 599)
        return L4_H1_BAD_STATUS;
    r->out->status = (uint16_t)status;
    const char *reason = at += *at == ' ';
    while (*(at = first_control(at, r->end)) == '\t')
        at++;
    if (!is_line_end(at))
        return fault_of(*at, L4_H1_CONTROL_BYTE);
    r->out->reason = text(r, reason, at);
    r->at = at + 2;
    return L4_H1_NONE;
}

/* ---- heads ----------------------------------------------------------------------------------- */

static enum l4_h1_fault begin(struct reader *r, const char *head, size_t count,
                              struct l4_h1_head *out)
{
    *r = (struct reader){.head = head, .at = head, .end = head + count, .out = out};
    memset(out, 0, offsetof(struct l4_h1_head, first));
    memset(out->first, L4_H1_NO_FIELD, sizeof out->first);
    if (count > L4_H1_HEAD_MAX)
        return l4_h1_too_large(head, count);
    return count < 4 || memcmp(r->end - 4, "\r\n\r\n", 4) != 0 ? L4_H1_CUT_SHORT : L4_H1_NONE;
}

enum l4_h1_fault l4_h1_request(const char *head, size_t count, const struct l4_h1_bounds *bounds,
                               struct l4_h1_head *out)
{
    struct reader r;
    enum l4_h1_fault fault = begin(&r, head, count, out);
    if (fault)
        return fault;
    r.request = true;
    r.at += is_line_end(head) ? 2 : 0;
    fault = read_request_line(&r, bounds);
    if (!fault && count > bounds->head)
        fault = L4_H1_HEAD_TOO_LARGE;
    if (!fault)
        fault = read_fields(&r, bounds);
    if (!fault)
        fault = judge_connection(&r);
    return fault ? fault : judge_request(&r);
}

enum l4_h1_fault l4_h1_answer(const char *head, size_t count, const struct l4_h1_bounds *bounds,
                              enum l4_method asked, struct l4_h1_head *out)
{
    struct reader r;
    enum l4_h1_fault fault = begin(&r, head, count, out);
    if (fault)
        return fault;
    if (count > bounds->head)
        return L4_H1_HEAD_TOO_LARGE;
    fault = read_status_line(&r);
    if (!fault)
        fault = read_fields(&r, bounds);
    if (!fault)
        fault = judge_connection(&r);
    return fault ? fault : judge_answer(&r, asked);
}
