#include "core/icap.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "core/field.h"
#include "core/h1.h"
#include "core/h1write.h"

#define VERSION "ICAP/1.0"

enum { DIGITS_MAX = 9 }; /* of a number in a field: it fits 32 bits */

/* ---- fields ---------------------------------------------------------------------------------- */

/* Reads a number of decimal digits that is all of the text. */
static bool read_number(struct l4_text text, uint32_t *number)
{
    if (!text.bytes || text.bytes > DIGITS_MAX)
        return false;
    *number = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *number = *number * 10 + (uint32_t)(text.at[i] - '0');
    }
    return true;
}

/* Takes the text before the next comma from *list. */
static struct l4_text next_of(struct l4_text *list)
{
    const size_t bytes = l4_text_until(*list, ',');
    const struct l4_text item = l4_text_trimmed((struct l4_text){list->at, bytes});
    *list = bytes < list->bytes ? l4_text_after(*list, bytes + 1) : (struct l4_text){NULL, 0};
    return item;
}

/* Notes a part of the list. Returns false if it is none, or if it must not stand here. `at` is
 * where the part before it begins. */
static bool note_part(struct l4_icap_parts *parts, struct l4_text name, uint32_t at)
{
    if (l4_field_is(name, "req-hdr") && !parts->has_request && !parts->has_answer) {
        parts->has_request = true;
        parts->request_at = at;
        return true;
    }
    if (l4_field_is(name, "res-hdr") && !parts->has_answer) {
        parts->has_answer = true;
        parts->answer_at = at;
        return true;
    }
    parts->body_at = at;
    parts->told = true; /* the last one */
    if (l4_field_is(name, "null-body"))
        return true;
    parts->has_body = true;
    return l4_field_is(name, "opt-body") ||
           (l4_field_is(name, "req-body") && parts->has_request && !parts->has_answer) ||
           (l4_field_is(name, "res-body") && parts->has_answer);
}

/* Reads Encapsulated (RFC 3507, 4.4.1). The parts come in their order, the first one at 0. */
static bool read_parts(struct l4_text list, struct l4_icap_parts *parts)
{
    uint32_t before = 0;
    bool first = true;
    if (parts->told || parts->has_request || parts->has_answer)
        return false;
    while (list.at) {
        const struct l4_text item = next_of(&list);
        const size_t name = l4_text_until(item, '=');
        uint32_t at;
        if (name >= item.bytes || !read_number(l4_text_after(item, name + 1), &at))
            return false;
        if (parts->told || (first ? at != 0 : at <= before) || at > L4_ICAP_HEADS_MAX ||
            !note_part(parts, (struct l4_text){item.at, name}, at))
            return false;
        before = at;
        first = false;
    }
    return parts->told;
}

static bool has_word(struct l4_text list, const char *lower)
{
    while (list.at) {
        if (l4_field_is(next_of(&list), lower))
            return true;
    }
    return false;
}

static bool is_token(struct l4_text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.bytes; i++) {
        const char c = text.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(others, c))))
            return false;
    }
    return text.bytes;
}

/* Is the field one that is looked at? Such a field has one line. */
static bool is_known(struct l4_text name)
{
    static const char *const known[] = {"encapsulated", "preview", "options-ttl", "methods",
                                        "connection"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (l4_field_is(name, known[i]))
            return true;
    }
    return false;
}

static bool note_field(struct l4_icap_head *head, struct l4_text name, struct l4_text value)
{
    if (l4_field_is(name, "encapsulated"))
        return read_parts(value, &head->parts);
    if (l4_field_is(name, "preview")) {
        head->has_preview = true;
        return read_number(value, &head->preview);
    }
    if (l4_field_is(name, "options-ttl"))
        return read_number(value, &head->ttl_s);
    if (l4_field_is(name, "methods")) {
        head->reqmod |= has_word(value, "reqmod");
        head->respmod |= has_word(value, "respmod");
    }
    if (l4_field_is(name, "connection"))
        head->stays &= !has_word(value, "close");
    if (l4_field_is(name, "x-infection-found") || l4_field_is(name, "x-violations-found"))
        head->finds = true;
    return true;
}

/* ---- a head ---------------------------------------------------------------------------------- */

/* Takes the next line from *rest. Returns false if there is no whole one. */
static bool next_line(struct l4_text *rest, struct l4_text *line)
{
    const size_t end = l4_text_until(*rest, '\r');
    if (end + 1 >= rest->bytes || rest->at[end + 1] != '\n')
        return false;
    *line = (struct l4_text){rest->at, end};
    *rest = l4_text_after(*rest, end + 2);
    return true;
}

static bool read_status(struct l4_text line, uint16_t *status)
{
    static const char before[] = VERSION " ";
    const size_t at = sizeof before - 1;
    uint32_t number;
    if (line.bytes < at + 3 || memcmp(line.at, before, at) != 0 ||
        (line.bytes > at + 3 && line.at[at + 3] != ' ') || !l4_field_is_value(line) ||
        !read_number((struct l4_text){line.at + at, 3}, &number) || number < 100)
        return false;
    *status = (uint16_t)number;
    return true;
}

bool l4_icap_head_read(const char *bytes, size_t count, struct l4_icap_head *head)
{
    struct l4_text rest = {bytes, count}, line;
    bool may_fold = false; /* c-icap tells of finds in several lines (RFC 2616, 2.2) */
    *head = (struct l4_icap_head){.bytes = (uint32_t)count, .stays = true};
    if (count > L4_ICAP_HEAD_MAX || !next_line(&rest, &line) || !read_status(line, &head->status))
        return false;
    for (uint32_t fields = 0; next_line(&rest, &line);) {
        if (!line.bytes)
            return !rest.bytes;
        if (may_fold && (*line.at == ' ' || *line.at == '\t') && l4_field_is_value(line))
            continue;
        const size_t name = l4_text_until(line, ':');
        if (name >= line.bytes || fields++ >= L4_ICAP_FIELDS_MAX)
            return false;
        may_fold = !is_known((struct l4_text){line.at, name});
        const struct l4_text value = l4_text_trimmed(l4_text_after(line, name + 1));
        if (!is_token((struct l4_text){line.at, name}) || !l4_field_is_value(value) ||
            !note_field(head, (struct l4_text){line.at, name}, value))
            return false;
    }
    return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum state { OF_HEAD, OF_HEADS, OF_BODY, OF_NOTHING };

/* How many bytes of heads the message has. */
static uint32_t heads_bytes(const struct l4_icap_reader *reader)
{
    return reader->head.bytes + reader->head.parts.body_at;
}

/* What follows ICAP's head. */
static enum l4_icap_heard after_head(struct l4_icap_reader *reader)
{
    const struct l4_icap_head *head = &reader->head;
    if (head->status == 100) {
        reader->have = 0;
        reader->scanned = 0;
        reader->head = (struct l4_icap_head){0};
        return L4_ICAP_CONTINUE;
    }
    if (head->status != 200 || !head->parts.told ||
        !(head->parts.has_request || head->parts.has_answer)) {
        reader->state = OF_NOTHING;
        return L4_ICAP_DONE;
    }
    if (heads_bytes(reader) > reader->room)
        return L4_ICAP_LARGE;
    reader->state = OF_HEADS;
    return L4_ICAP_MORE;
}

/* Reads ICAP's head, and takes no byte beyond it. */
static enum l4_icap_heard hear_head(struct l4_icap_reader *reader, const char *bytes, size_t count,
                                    size_t *used)
{
    const uint32_t most = reader->room < L4_ICAP_HEAD_MAX ? reader->room : L4_ICAP_HEAD_MAX;
    const size_t take = count < most - reader->have ? count : most - reader->have;
    const uint32_t before = reader->have;
    memcpy(reader->heads + before, bytes, take);
    const long end = l4_h1_end(reader->heads, before + take, &reader->scanned);
    if (end < 0)
        return L4_ICAP_BAD;
    if (end == 0) {
        reader->have += (uint32_t)take;
        *used = take;
        return reader->have == most ? L4_ICAP_LARGE : L4_ICAP_MORE;
    }
    L4_ASSERT((size_t)end > before && (size_t)end <= before + take);
    reader->have = (uint32_t)end;
    *used = (size_t)end - before;
    return l4_icap_head_read(reader->heads, (size_t)end, &reader->head) ? after_head(reader)
                                                                        : L4_ICAP_BAD;
}

static enum l4_icap_heard hear_heads(struct l4_icap_reader *reader, const char *bytes, size_t count,
                                     size_t *used)
{
    const size_t left = heads_bytes(reader) - reader->have;
    *used = count < left ? count : left;
    memcpy(reader->heads + reader->have, bytes, *used);
    reader->have += (uint32_t)*used;
    if (*used < left)
        return L4_ICAP_MORE;
    reader->state = reader->head.parts.has_body ? OF_BODY : OF_NOTHING;
    return reader->head.parts.has_body ? L4_ICAP_MORE : L4_ICAP_DONE;
}

static enum l4_icap_heard hear_body(struct l4_icap_reader *reader, const char *bytes, size_t count,
                                    size_t *used, struct l4_text *data)
{
    switch (l4_chunks_next(&reader->chunks, bytes, count, used, data)) {
    case L4_CHUNKS_DATA:
        if (data->bytes > reader->max_body - reader->body_bytes)
            return L4_ICAP_LARGE;
        reader->body_bytes += data->bytes;
        return L4_ICAP_DATA;
    case L4_CHUNKS_DONE:
        reader->state = OF_NOTHING;
        return L4_ICAP_DONE;
    case L4_CHUNKS_BAD:
        return L4_ICAP_BAD;
    default:
        return L4_ICAP_MORE;
    }
}

enum l4_icap_heard l4_icap_hear(struct l4_icap_reader *reader, const char *bytes, size_t count,
                                size_t *used, struct l4_text *data)
{
    size_t total = 0;
    *data = (struct l4_text){NULL, 0};
    for (;;) {
        const uint8_t state = reader->state;
        size_t here = 0;
        enum l4_icap_heard heard = L4_ICAP_MORE;
        L4_ASSERT(state != OF_NOTHING);
        if (total < count && state == OF_HEAD)
            heard = hear_head(reader, bytes + total, count - total, &here);
        else if (total < count && state == OF_HEADS)
            heard = hear_heads(reader, bytes + total, count - total, &here);
        else if (total < count)
            heard = hear_body(reader, bytes + total, count - total, &here, data);
        total += here;
        *used = total;
        if (heard != L4_ICAP_MORE || reader->state == state)
            return heard;
    }
}

struct l4_text l4_icap_request_of(const struct l4_icap_reader *reader)
{
    const struct l4_icap_parts *parts = &reader->head.parts;
    if (!parts->has_request)
        return (struct l4_text){NULL, 0};
    const uint32_t end = parts->has_answer ? parts->answer_at : parts->body_at;
    return (struct l4_text){reader->heads + reader->head.bytes + parts->request_at,
                            end - parts->request_at};
}

struct l4_text l4_icap_answer_of(const struct l4_icap_reader *reader)
{
    const struct l4_icap_parts *parts = &reader->head.parts;
    if (!parts->has_answer)
        return (struct l4_text){NULL, 0};
    return (struct l4_text){reader->heads + reader->head.bytes + parts->answer_at,
                            parts->body_at - parts->answer_at};
}

/* ---- asking ---------------------------------------------------------------------------------- */

#define PUT(out, literal) l4_text_put(out, L4_TEXT(literal))

static void put_parts(struct l4_text_out *out, const struct l4_icap_ask *ask)
{
    PUT(out, "Encapsulated: req-hdr=0");
    if (ask->answer) {
        PUT(out, ", res-hdr=");
        l4_h1_put_number(out, ask->request);
    }
    if (!ask->has_body)
        PUT(out, ", null-body=");
    else
        l4_text_put(out, ask->answer ? L4_TEXT(", res-body=") : L4_TEXT(", req-body="));
    l4_h1_put_number(out, (uint64_t)ask->request + ask->answer);
    PUT(out, "\r\n");
}

void l4_icap_put_ask(struct l4_text_out *out, const struct l4_icap_ask *ask)
{
    static const struct l4_text methods[] = {[L4_ICAP_OPTIONS] = {"OPTIONS", 7},
                                             [L4_ICAP_REQMOD] = {"REQMOD", 6},
                                             [L4_ICAP_RESPMOD] = {"RESPMOD", 7}};
    l4_text_put(out, methods[ask->method]);
    PUT(out, " icap://");
    l4_text_put(out, ask->host);
    l4_text_put(out, ask->path);
    PUT(out, " " VERSION "\r\nHost: ");
    l4_text_put(out, ask->host);
    PUT(out, "\r\nUser-Agent: l4lb\r\nConnection: close\r\n");
    if (ask->method != L4_ICAP_OPTIONS) {
        PUT(out, "Allow: 204\r\n");
        if (ask->has_preview && ask->has_body) {
            PUT(out, "Preview: ");
            l4_h1_put_number(out, ask->preview);
            PUT(out, "\r\n");
        }
        put_parts(out, ask);
    }
    PUT(out, "\r\n");
}
