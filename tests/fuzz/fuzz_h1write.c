/* Heads that are written anew: they are read again without a fault, to the meaning that the rules
 * gave them, with no field but those that came and those of the rules, whatever the rules' texts
 * are. */
#include <string.h>
#include <strings.h>

#include "core/h1write.h"
#include "require.h"

enum { TEXTS = 6, CHOICES = 4 };

static const struct l4_h1_bounds bounds = {L4_H1_HEAD_MAX, 8192, L4_H1_FIELDS_MAX, false};
static char room[200000];

/* The input's beginning: choices, and texts with a byte of length before each. */
struct input {
    uint8_t choice[CHOICES];
    struct l4_text text[TEXTS];
    const char *head;
    size_t count;
};

static int read_input(const uint8_t *data, size_t count, struct input *input)
{
    if (count < CHOICES)
        return 0;
    memcpy(input->choice, data, CHOICES);
    data += CHOICES, count -= CHOICES;
    for (int i = 0; i < TEXTS; i++) {
        if (count == 0 || count - 1 < data[0])
            return 0;
        input->text[i] = (struct l4_text){(const char *)data + 1, data[0]};
        count -= 1u + data[0];
        data += 1u + data[0];
    }
    input->head = (const char *)data;
    input->count = count;
    return 1;
}

static int is_same(const char *a, struct l4_h1_text at_a, const char *b, struct l4_h1_text at_b)
{
    return at_a.bytes == at_b.bytes && memcmp(a + at_a.at, b + at_b.at, at_a.bytes) == 0;
}

static int is_named(const char *bytes, struct l4_h1_text place, const char *name)
{
    return place.bytes == strlen(name) && strncasecmp(bytes + place.at, name, place.bytes) == 0;
}

/* True if a field of the new head is one that came and may go on. */
static int came(const char *bytes, const struct l4_h1_head *head, const struct l4_h1_field *field)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *old = &head->fields[i];
        if (is_same(bytes, old->name, room, field->name) &&
            is_same(bytes, old->value, room, field->value))
            return !(old->flags & L4_FIELD_FRAMES) &&
                   (!(old->flags & L4_FIELD_IS_HOP) || old->id == L4_FIELD_UPGRADE);
    }
    return 0;
}

static int is_ours(const struct input *input, const struct l4_h1_field *field)
{
    static const char *const ours[] = {
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Forwarded",
        "Via",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Date",
        "Set-Cookie",
        "Location",
        "Strict-Transport-Security",
        "X-Request-Id",
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (is_named(room, field->name, ours[i]))
            return 1;
    }
    for (int i = 0; i < TEXTS; i++) {
        if (input->text[i].bytes == field->name.bytes &&
            memcmp(input->text[i].at, room + field->name.at, field->name.bytes) == 0)
            return 1;
    }
    return 0;
}

static void check(const struct input *input, const struct l4_h1_head *head,
                  const struct l4_h1_head *again, const struct l4_h1_rules *rules)
{
    REQUIRE(again->minor == 1);
    for (unsigned i = 0; i < again->field_count; i++) {
        REQUIRE(came(input->head, head, &again->fields[i]) || is_ours(input, &again->fields[i]));
        REQUIRE(!(again->fields[i].flags & L4_FIELD_IS_HOP) ||
                again->fields[i].id == L4_FIELD_CONNECTION ||
                (again->fields[i].id == L4_FIELD_UPGRADE &&
                 rules->connection == L4_CONNECTION_UPGRADE) ||
                is_ours(input, &again->fields[i]));
    }
    REQUIRE(again->has_length == (rules->framing == L4_FRAMING_LENGTH || rules->tell_length));
    REQUIRE(!again->has_length || again->length == rules->length);
    REQUIRE(again->keep_alive == (rules->connection != L4_CONNECTION_CLOSE) ||
            again->framing == L4_FRAMING_UNTIL_CLOSE);
}

static struct l4_h1_rules shared_rules(const struct input *input, const struct l4_h1_head *head,
                                       struct l4_field_rule *operation)
{
    *operation = (struct l4_field_rule){(enum l4_field_action)(input->choice[2] % 3),
                                        input->text[0], input->text[1]};
    return (struct l4_h1_rules){
        .framing = (enum l4_framing)head->framing,
        .length = head->length,
        .tell_length = head->framing == L4_FRAMING_NONE && head->has_length,
        .connection = (enum l4_connection_word)(input->choice[0] % (3u + head->upgrade)),
        .via = input->choice[1] & 1 ? input->text[2] : (struct l4_text){0},
        .fields = operation,
        .field_count = input->choice[1] >> 1 & 1,
    };
}

static void try_request(const struct input *input)
{
    struct l4_h1_head head, again;
    if (l4_h1_request(input->head, input->count, &bounds, &head))
        return;
    struct l4_field_rule operation;
    const uint8_t choice = input->choice[3];
    const struct l4_request_rules rules = {
        .head = shared_rules(input, &head, &operation),
        .target = input->text[3],
        .host = input->text[4],
        .forwarded = (enum l4_forwarded)(choice & 3 ? (choice & 3) - 1 : 0),
        .x_forwarded = choice & 4,
        .rfc7239 = choice & 8,
        .trusted = choice & 16,
        .drop_underscores = choice & 32,
        .drop_expect = choice & 64,
        .client = input->text[5],
        .scheme = L4_TEXT("https"),
        .asked_host = input->text[4],
        .id_name = choice & 128 ? L4_TEXT("X-Request-Id") : (struct l4_text){0},
        .id = input->text[2],
    };
    struct l4_text_out out = {room, sizeof room, 0, false};
    l4_h1_write_request(&out, input->head, &head, &rules);
    if (out.full || out.used > L4_H1_HEAD_MAX)
        return;
    size_t scanned = 0;
    REQUIRE(l4_h1_end(room, out.used, &scanned) == (long)out.used);
    const enum l4_h1_fault fault = l4_h1_request(room, out.used, &bounds, &again);
    if (fault == L4_H1_TOO_MANY_FIELDS || fault == L4_H1_BAD_TARGET ||
        fault == L4_H1_TARGET_TOO_LONG || fault == L4_H1_BAD_NAME)
        return; /* of the rules' own texts */
    REQUIRE(fault == L4_H1_NONE);
    REQUIRE(is_same(input->head, head.method_text, room, again.method_text));
    REQUIRE(again.target.bytes == rules.target.bytes &&
            memcmp(room + again.target.at, rules.target.at, rules.target.bytes) == 0);
    REQUIRE(again.framing == rules.head.framing);
    check(input, &head, &again, &rules.head);
}

static void try_answer(const struct input *input)
{
    struct l4_h1_head head, again;
    const enum l4_method asked = input->choice[3] & 1 ? L4_METHOD_HEAD : L4_METHOD_GET;
    if (l4_h1_answer(input->head, input->count, &bounds, asked, &head))
        return;
    struct l4_field_rule operation;
    const struct l4_text hide[] = {L4_TEXT("server"), input->text[3]};
    struct l4_answer_rules rules = {
        .head = shared_rules(input, &head, &operation),
        .hide = hide,
        .hide_count = 2,
        .location = input->choice[3] & 2 ? input->text[4] : (struct l4_text){0},
        .cookie_domain = input->choice[3] & 4 ? input->text[5] : (struct l4_text){0},
        .hsts = input->choice[3] & 8 ? input->text[2] : (struct l4_text){0},
        .date = L4_TEXT("Thu, 01 Jan 1970 00:00:00 GMT"),
    };
    if (head.status == 101)
        rules.head.connection = L4_CONNECTION_UPGRADE;
    struct l4_text_out out = {room, sizeof room, 0, false};
    l4_h1_write_answer(&out, input->head, &head, &rules);
    if (out.full || out.used > L4_H1_HEAD_MAX)
        return;
    size_t scanned = 0;
    REQUIRE(l4_h1_end(room, out.used, &scanned) == (long)out.used);
    const enum l4_h1_fault fault = l4_h1_answer(room, out.used, &bounds, asked, &again);
    if (fault == L4_H1_TOO_MANY_FIELDS || fault == L4_H1_BAD_NAME)
        return;
    if (fault == L4_H1_SWITCH_TO_NOTHING) {
        REQUIRE(input->choice[1] & 2 || hide[1].bytes == strlen("upgrade"));
        return; /* a rule took Upgrade away */
    }
    REQUIRE(fault == L4_H1_NONE && again.status == head.status);
    REQUIRE(is_same(input->head, head.reason, room, again.reason));
    REQUIRE(again.framing == head.framing);
    check(input, &head, &again, &rules.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct input input;
    if (!read_input(data, count, &input))
        return 0;
    try_request(&input);
    try_answer(&input);
    return 0;
}
