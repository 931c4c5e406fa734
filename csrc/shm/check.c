#include "shm/check.h"

#include <string.h>

#include "shm/seq.h"

/* A return from down is when a slow start begins. */
static void set_health(struct l4_backend *b, uint32_t health, uint64_t at_ms)
{
    const uint32_t before = L4_GET(b->health);
    if (before == health)
        return;
    if (before == L4_DOWN)
        L4_SET(b->up_since_ms, at_ms);
    L4_SET(b->health_since_ms, at_ms);
    atomic_store(&b->health, health);
}

void l4_check_record(struct l4_backend *b, const struct l4_check *check)
{
    l4_seq_write(&b->check_seq);
    L4_SET(b->check_result, check->result);
    L4_SET(b->check_errno, check->error);
    L4_SET(b->check_streak, check->streak);
    L4_SET(b->check_at_ms, check->at_ms);
    L4_SET(b->check_duration_us, check->duration_us);
    L4_SET(b->words.verdict, check->verdict);
    L4_SET(b->words.kind, check->kind);
    L4_SET(b->words.code, check->code);
    L4_SET(b->words.cert_end_s, check->cert_end_s);
    memcpy(b->words.text, check->text, sizeof b->words.text);
    L4_OWN_ADD(*(check->passed ? &b->checks_passed : &b->checks_failed), 1);
    set_health(b, check->health, check->at_ms);
    l4_seq_written(&b->check_seq);
}

void l4_check_say(struct l4_backend *b, uint32_t health, uint32_t agent, uint64_t at_ms)
{
    l4_seq_write(&b->check_seq);
    L4_SET(b->words.agent, agent);
    set_health(b, health, at_ms);
    l4_seq_written(&b->check_seq);
}

void l4_check_clear(struct l4_backend *b)
{
    L4_SET(b->check_result, 0);
    L4_SET(b->check_errno, 0);
    L4_SET(b->check_streak, 0);
    L4_SET(b->check_at_ms, 0);
    L4_SET(b->check_duration_us, 0);
    L4_SET(b->checks_passed, 0);
    L4_SET(b->checks_failed, 0);
    L4_SET(b->health_since_ms, 0);
    L4_SET(b->up_since_ms, 0);
    L4_SET(b->response, 0);
}

L4_READS_UNDER_SEQ
static void copy_words(const struct l4_backend *b, struct l4_check_words *words)
{
    memcpy(words, &b->words, sizeof *words);
}

void l4_check_read(const struct l4_backend *b, struct l4_check_words *words)
{
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const uint32_t seq = l4_seq_begin(&b->check_seq);
        copy_words(b, words);
        if (l4_seq_holds(&b->check_seq, seq))
            break;
    }
    words->text[L4_CHECK_TEXT - 1] = 0;
}
