/* The gate: answers are found by their key while they hold, and a question is seen whole. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "shm/gate.h"

enum { NOW_MS = 5000, ROUNDS = 20000 };

static struct l4_gate *make(void)
{
    struct l4_gate *gate =
        mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(gate != MAP_FAILED);
    CHECK(!l4_gate_is_sound(gate));
    l4_gate_format(gate);
    CHECK(l4_gate_is_sound(gate));
    return gate;
}

static void drop(struct l4_gate *gate)
{
    munmap(gate, sizeof *gate);
}

static struct l4_gate_answer answer_of(uint64_t number, uint64_t until_ms)
{
    return (struct l4_gate_answer){
        .key = {number * L4_GATE_ANSWERS, ~number}, .until_ms = until_ms, .kind = L4_GATE_ALLOW};
}

/* Puts an answer. Returns the uses of the one before. */
static uint32_t put(struct l4_gate *gate, const struct l4_gate_answer *answer)
{
    const struct l4_gate_subject subject = {.verdict = (uint8_t)answer->key[1]};
    struct l4_gate_used used;
    l4_gate_put(gate, answer, &subject, &used);
    return used.uses;
}

/* Takes the uses of all answers; of which one, their subject says. */
static uint32_t uses_of(struct l4_gate *gate, uint64_t number)
{
    struct l4_gate_used used;
    uint32_t found = 0;
    for (uint32_t row = 0; row < L4_GATE_ANSWERS; row++) {
        if (l4_gate_take_uses(gate, row, &used) && used.subject.verdict == (uint8_t)~number)
            found += used.uses;
    }
    return found;
}

static bool is_found(struct l4_gate *gate, uint64_t number, uint64_t now_ms)
{
    const struct l4_gate_answer wanted = answer_of(number, 0);
    struct l4_gate_answer found;
    return l4_gate_find(gate, wanted.key, now_ms, &found);
}

TEST(an_answer_holds_until_its_time_and_until_the_rules_change)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer answer = answer_of(1, NOW_MS + 10);
    CHECK(!is_found(gate, 1, NOW_MS));
    put(gate, &answer);
    CHECK(is_found(gate, 1, NOW_MS + 9));
    CHECK(!is_found(gate, 1, NOW_MS + 10));
    CHECK(!is_found(gate, 2, NOW_MS));
    l4_gate_renew(gate);
    CHECK(!is_found(gate, 1, NOW_MS));
    put(gate, &answer);
    CHECK(is_found(gate, 1, NOW_MS));
    drop(gate);
}

TEST(of_too_many_answers_in_one_place_the_oldest_leaves)
{
    struct l4_gate *gate = make();
    for (uint64_t i = 0; i < L4_GATE_WAYS; i++) {
        const struct l4_gate_answer answer = answer_of(i, NOW_MS + 100 + i);
        put(gate, &answer);
        put(gate, &answer); /* in its own place */
    }
    for (uint64_t i = 0; i < L4_GATE_WAYS; i++)
        CHECK(is_found(gate, i, NOW_MS));
    const struct l4_gate_answer more = answer_of(L4_GATE_WAYS, NOW_MS + 200);
    put(gate, &more);
    CHECK(!is_found(gate, 0, NOW_MS));
    for (uint64_t i = 1; i <= L4_GATE_WAYS; i++)
        CHECK(is_found(gate, i, NOW_MS));
    drop(gate);
}

TEST(an_answer_that_says_too_much_is_none)
{
    struct l4_gate *gate = make();
    struct l4_gate_answer answer = answer_of(1, NOW_MS + 10);
    answer.addrs = L4_GATE_ADDRS + 1;
    put(gate, &answer);
    CHECK(!is_found(gate, 1, NOW_MS));
    answer.addrs = 0;
    answer.user_bytes = L4_GATE_NAME_MAX + 1;
    put(gate, &answer);
    CHECK(!is_found(gate, 1, NOW_MS));
    drop(gate);
}

TEST(a_question_is_there_until_it_is_dropped_and_rows_are_used_again)
{
    struct l4_gate *gate = make();
    struct l4_gate_asked asked;
    for (uint32_t i = 0; i < L4_GATE_QUESTIONS; i++) {
        const uint32_t row = l4_gate_take(gate, 3);
        CHECK_EQ(i, row);
        CHECK_EQ(0, l4_gate_read(gate, 3, row, &asked));
        gate->questions[3][row].asked = (struct l4_gate_asked){.port = (uint16_t)(i + 1)};
        l4_gate_ask(gate, 3, row);
        CHECK_EQ(1, l4_gate_read(gate, 3, row, &asked));
        CHECK_EQ(i + 1, asked.port);
    }
    CHECK_EQ(L4_NONE, l4_gate_take(gate, 3));
    CHECK_EQ(0, l4_gate_take(gate, 4));
    l4_gate_drop(gate, 3, 7);
    CHECK_EQ(0, l4_gate_read(gate, 3, 7, &asked));
    CHECK_EQ(7, l4_gate_take(gate, 3));
    l4_gate_ask(gate, 3, 7);
    CHECK_EQ(3, l4_gate_read(gate, 3, 7, &asked)); /* it is another question */
    l4_gate_forget(gate, 3);
    CHECK_EQ(0, l4_gate_take(gate, 3));
    gate->questions[3][0].asked.host_bytes = L4_GATE_HOST_MAX + 1;
    l4_gate_ask(gate, 3, 0);
    CHECK_EQ(0, l4_gate_read(gate, 3, 0, &asked));
    drop(gate);
}

/* ---- at the same time --------------------------------------------------------------------------
 */

/* Answers to one key, each of which tells its number in all that it says. */
static void *answer_on_and_on(void *context)
{
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        struct l4_gate_answer answer = answer_of(1, NOW_MS + i);
        answer.addrs = L4_GATE_ADDRS;
        for (uint32_t k = 0; k < L4_GATE_ADDRS; k++)
            answer.addr[k].port = (uint16_t)i;
        put(context, &answer);
    }
    return NULL;
}

TEST(nobody_reads_a_part_of_an_answer)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer wanted = answer_of(1, 0);
    struct l4_gate_answer found = {.until_ms = 0};
    uint32_t mixed = 0;
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, answer_on_and_on, gate));
    while (found.until_ms < NOW_MS + ROUNDS) {
        if (!l4_gate_find(gate, wanted.key, 0, &found))
            continue;
        for (uint32_t k = 0; k < L4_GATE_ADDRS; k++)
            mixed += found.addr[k].port != (uint16_t)(found.until_ms - NOW_MS);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(0, mixed);
    drop(gate);
}

/* ---- uses -------------------------------------------------------------------------------------
 */

TEST(uses_are_counted_for_the_answer_that_was_used)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer one = answer_of(1, NOW_MS + 10), two = answer_of(2, NOW_MS + 10);
    put(gate, &one);
    put(gate, &two);
    for (int i = 0; i < 3; i++)
        CHECK(is_found(gate, 1, NOW_MS));
    CHECK(is_found(gate, 2, NOW_MS));
    CHECK(!is_found(gate, 2, NOW_MS + 10)); /* it holds no more: no use */
    CHECK_EQ(3, uses_of(gate, 1));
    CHECK_EQ(0, uses_of(gate, 1)); /* they were taken */
    CHECK(is_found(gate, 1, NOW_MS));
    CHECK_EQ(1, put(gate, &one)); /* who replaces an answer gets its uses */
    CHECK_EQ(0, put(gate, &one));
    CHECK(is_found(gate, 2, NOW_MS));
    l4_gate_renew(gate); /* ... also after it holds no more */
    CHECK_EQ(1, uses_of(gate, 2));
    drop(gate);
}

TEST(uses_of_an_answer_that_was_half_written_are_nobodys)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer one = answer_of(1, NOW_MS + 10);
    put(gate, &one);
    CHECK(is_found(gate, 1, NOW_MS));
    for (uint32_t row = 0; row < L4_GATE_ANSWERS; row++)
        gate->answers[row].seq |= 1; /* its writer has died here */
    CHECK(!is_found(gate, 1, NOW_MS));
    CHECK_EQ(0, uses_of(gate, 1));
    CHECK_EQ(0, put(gate, &one));
    CHECK(is_found(gate, 1, NOW_MS));
    CHECK_EQ(1, uses_of(gate, 1));
    drop(gate);
}

TEST(a_subject_that_says_too_much_is_not_counted)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer one = answer_of(1, NOW_MS + 10);
    const struct l4_gate_subject wrong = {.forward_bytes = L4_GATE_NAME_MAX + 1};
    struct l4_gate_used used;
    l4_gate_put(gate, &one, &wrong, &used);
    CHECK(is_found(gate, 1, NOW_MS));
    CHECK_EQ(0, put(gate, &one));
    drop(gate);
}

struct user {
    struct l4_gate *gate;
    _Atomic uint32_t *ends;
    uint32_t uses;
};

static void *use_on_and_on(void *context)
{
    struct user *user = context;
    while (!*user->ends)
        user->uses += is_found(user->gate, 1, NOW_MS);
    return NULL;
}

TEST(no_use_is_lost_or_counted_twice)
{
    struct l4_gate *gate = make();
    const struct l4_gate_answer one = answer_of(1, NOW_MS + 10);
    _Atomic uint32_t ends = 0;
    struct user users[2] = {{.gate = gate, .ends = &ends}, {.gate = gate, .ends = &ends}};
    pthread_t threads[2];
    uint64_t counted = 0;
    put(gate, &one);
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, use_on_and_on, &users[i]));
    for (uint32_t i = 0; i < ROUNDS || !counted; i++) {
        struct l4_gate_used used;
        const uint32_t row =
            (uint32_t)(one.key[0] % (L4_GATE_ANSWERS / L4_GATE_WAYS)) * L4_GATE_WAYS;
        counted += l4_gate_take_uses(gate, row, &used) ? used.uses : 0;
        counted += put(gate, &one);
    }
    ends = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    counted += uses_of(gate, 1);
    CHECK(counted == (uint64_t)users[0].uses + users[1].uses);
    drop(gate);
}

MAIN(RUN(an_answer_holds_until_its_time_and_until_the_rules_change);
     RUN(of_too_many_answers_in_one_place_the_oldest_leaves);
     RUN(an_answer_that_says_too_much_is_none);
     RUN(a_question_is_there_until_it_is_dropped_and_rows_are_used_again);
     RUN(nobody_reads_a_part_of_an_answer); RUN(uses_are_counted_for_the_answer_that_was_used);
     RUN(uses_of_an_answer_that_was_half_written_are_nobodys);
     RUN(a_subject_that_says_too_much_is_not_counted); RUN(no_use_is_lost_or_counted_twice))
