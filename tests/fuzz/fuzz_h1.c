/* Heads of HTTP/1: no byte is read past their end; the end is found however they are split; what a
 * head says lies in it, and its framing is of one kind only. */
#include <stdlib.h>
#include <string.h>

#include "core/h1.h"
#include "require.h"

static void within(const struct l4_h1_head *head, struct l4_h1_text text)
{
    REQUIRE(text.at + text.bytes <= head->bytes);
}

static unsigned count_of(const struct l4_h1_head *head, enum l4_field_id id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++)
        count += head->fields[i].id == id;
    return count;
}

static void check(const char *bytes, const struct l4_h1_head *head)
{
    within(head, head->method_text);
    within(head, head->target);
    within(head, head->reason);
    within(head, head->host);
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        within(head, field->name);
        within(head, field->value);
        REQUIRE(field->name.bytes > 0);
        REQUIRE(l4_field_find(bytes + field->name.at, field->name.bytes) == field->id);
        for (unsigned at = 0; at < field->name.bytes; at++)
            REQUIRE(bytes[field->name.at + at] > ' ' && bytes[field->name.at + at] < 0x7f &&
                    bytes[field->name.at + at] != ':');
        for (unsigned at = 0; at < field->value.bytes; at++)
            REQUIRE((unsigned char)bytes[field->value.at + at] >= ' ' ||
                    bytes[field->value.at + at] == '\t');
        REQUIRE(field->id == L4_FIELD_OTHER || head->first[field->id] <= i);
    }
    REQUIRE(count_of(head, L4_FIELD_CONTENT_LENGTH) <= 1);
    REQUIRE(count_of(head, L4_FIELD_TRANSFER_ENCODING) <= 1);
    REQUIRE(!count_of(head, L4_FIELD_CONTENT_LENGTH) ||
            !count_of(head, L4_FIELD_TRANSFER_ENCODING));
    REQUIRE(head->framing != L4_FRAMING_LENGTH || count_of(head, L4_FIELD_CONTENT_LENGTH));
    REQUIRE(head->framing != L4_FRAMING_CHUNKED ||
            (head->minor && count_of(head, L4_FIELD_TRANSFER_ENCODING)));
    REQUIRE(head->framing != L4_FRAMING_UNTIL_CLOSE || !head->keep_alive);
    REQUIRE(!head->upgrade || head->minor);
}

static void judge(const char *bytes, size_t count, unsigned asked)
{
    static const struct l4_h1_bounds bounds = {L4_H1_HEAD_MAX, 8192, L4_H1_FIELDS_MAX, false};
    struct l4_h1_head head;
    if (l4_h1_request(bytes, count, &bounds, &head) == L4_H1_NONE) {
        REQUIRE(head.status == 0 && head.framing != L4_FRAMING_UNTIL_CLOSE);
        REQUIRE(!head.minor || count_of(&head, L4_FIELD_HOST) == 1);
        check(bytes, &head);
    }
    if (l4_h1_answer(bytes, count, &bounds, (enum l4_method)(asked % 10), &head) == L4_H1_NONE) {
        REQUIRE(head.status >= 100 && head.status <= 599);
        check(bytes, &head);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0)
        return 0;
    /* why: a copy of its own lets AddressSanitizer see a byte that is read past the end. */
    char *bytes = malloc(count);
    REQUIRE(bytes != NULL);
    memcpy(bytes, data + 1, count - 1);
    size_t scanned = 0, step = 0;
    const long end = l4_h1_end(bytes, count - 1, &scanned);
    long later = 0;
    for (size_t part = 0; later == 0 && part < count; part++)
        later = l4_h1_end(bytes, part, &step);
    REQUIRE(later == end && scanned <= count);
    judge(bytes, count - 1, data[0]);
    if (end > 0) {
        char *head = malloc((size_t)end);
        REQUIRE(head != NULL);
        memcpy(head, bytes, (size_t)end);
        judge(head, (size_t)end, data[0]);
        free(head);
    }
    free(bytes);
    return 0;
}
