/* The gate of forward proxies, whose memory another process writes: whatever is in a row, what is
 * read of it has lengths that fit; and an answer that was put is found until its time, as it is.
 * The first byte says what the rest is: a question, the answers at one place, or an answer to put.
 */
#include <stdlib.h>
#include <string.h>

#include "require.h"
#include "shm/gate.h"

enum { WORKER = 3, ROW = 7, NOW_MS = 1000 };

static const uint64_t key[2] = {5, 6};

static void read_question(struct l4_gate *gate, const uint8_t *data, size_t bytes)
{
    struct l4_gate_question *question = &gate->questions[WORKER][ROW];
    struct l4_gate_asked asked;
    memcpy((void *)question, data, bytes < sizeof *question ? bytes : sizeof *question);
    const uint32_t serial = l4_gate_read(gate, WORKER, ROW, &asked);
    REQUIRE(serial == 0 || serial & 1);
    if (!serial)
        return;
    REQUIRE(asked.host_bytes <= sizeof asked.host);
    REQUIRE(asked.method_bytes <= sizeof asked.method);
    REQUIRE(asked.path_bytes <= sizeof asked.path);
    REQUIRE(asked.credentials_bytes <= sizeof asked.credentials);
    REQUIRE(!memcmp(&asked, &question->asked, sizeof asked));
}

enum { PLACE = 5 * L4_GATE_WAYS }; /* of the key */

static struct l4_gate_row *place_of_key(struct l4_gate *gate)
{
    return &gate->answers[PLACE];
}

/* What is read of uses has lengths that fit, and is read once. */
static void take_uses(struct l4_gate *gate)
{
    struct l4_gate_used used;
    for (uint32_t row = PLACE; row < PLACE + L4_GATE_WAYS; row++) {
        if (l4_gate_take_uses(gate, row, &used)) {
            REQUIRE(used.uses);
            REQUIRE(used.answer.rule_bytes <= sizeof used.answer.rule);
            REQUIRE(used.answer.user_bytes <= sizeof used.answer.user);
            REQUIRE(used.subject.forward_bytes <= sizeof used.subject.forward);
            REQUIRE(used.subject.list_bytes <= sizeof used.subject.list);
        }
        REQUIRE(!l4_gate_take_uses(gate, row, &used));
    }
}

static void require_sound(const struct l4_gate *gate, const struct l4_gate_answer *answer)
{
    REQUIRE(answer->key[0] == key[0] && answer->key[1] == key[1]);
    REQUIRE(answer->addrs <= L4_GATE_ADDRS);
    REQUIRE(answer->rule_bytes <= sizeof answer->rule);
    REQUIRE(answer->user_bytes <= sizeof answer->user);
    REQUIRE(answer->until_ms > NOW_MS);
    REQUIRE(answer->generation == gate->generation);
}

static void find_answer(struct l4_gate *gate, const uint8_t *data, size_t bytes)
{
    struct l4_gate_answer found;
    struct l4_gate_row *rows = place_of_key(gate);
    const size_t most = L4_GATE_WAYS * sizeof *rows;
    memcpy((void *)rows, data, bytes < most ? bytes : most);
    for (uint32_t i = 0; i < L4_GATE_WAYS; i++)
        gate->uses[PLACE + i] = (uint64_t)rows[i].seq << 32 | (bytes & 1);
    if (l4_gate_find(gate, key, NOW_MS, &found))
        require_sound(gate, &found);
    take_uses(gate);
}

static void put_answer(struct l4_gate *gate, const uint8_t *data, size_t bytes)
{
    struct l4_gate_answer answer = {0}, found;
    const struct l4_gate_subject subject = {.verdict = 1};
    struct l4_gate_used used;
    memcpy(&answer, data, bytes < sizeof answer ? bytes : sizeof answer);
    memcpy(answer.key, key, sizeof key);
    l4_gate_put(gate, &answer, &subject, &used);
    REQUIRE(!used.uses);
    const bool holds = answer.until_ms > NOW_MS && answer.addrs <= L4_GATE_ADDRS &&
                       answer.rule_bytes <= L4_GATE_NAME_MAX &&
                       answer.user_bytes <= L4_GATE_NAME_MAX;
    REQUIRE(l4_gate_find(gate, key, NOW_MS, &found) == holds);
    if (!holds)
        return;
    require_sound(gate, &found);
    answer.generation = gate->generation;
    REQUIRE(!memcmp(&found, &answer, sizeof found));
    l4_gate_renew(gate);
    REQUIRE(!l4_gate_find(gate, key, NOW_MS, &found));
    l4_gate_put(gate, &answer, &subject, &used); /* it was used once */
    REQUIRE(used.uses == 1 && used.subject.verdict == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static void (*const ways[])(struct l4_gate *, const uint8_t *,
                                size_t) = {read_question, find_answer, put_answer};
    static struct l4_gate *gate;
    if (!gate) {
        gate = calloc(1, sizeof *gate);
        REQUIRE(gate != NULL);
    }
    if (!bytes)
        return 0;
    l4_gate_format(gate);
    memset((void *)&gate->questions[WORKER][ROW], 0, sizeof gate->questions[WORKER][ROW]);
    memset((void *)place_of_key(gate), 0, L4_GATE_WAYS * sizeof(struct l4_gate_row));
    memset((void *)&gate->uses[PLACE], 0, L4_GATE_WAYS * sizeof gate->uses[PLACE]);
    ways[data[0] % 3](gate, data + 1, bytes - 1);
    return 0;
}
