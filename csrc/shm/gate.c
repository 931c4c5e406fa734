#include "shm/gate.h"

#include <string.h>

#include "shm/seq.h"

enum { VERSION = 1 };

static uint64_t format(void)
{
    return 0x6c34676174650000ull ^ sizeof(struct l4_gate) << 8 ^ VERSION;
}

void l4_gate_format(struct l4_gate *gate)
{
    gate->format = format();
    atomic_store(&gate->generation, 1);
}

bool l4_gate_is_sound(const struct l4_gate *gate)
{
    return gate->format == format();
}

/* ---- a worker -------------------------------------------------------------------------------- */

static uint32_t first_of(const uint64_t key[2])
{
    return (uint32_t)(key[0] % (L4_GATE_ANSWERS / L4_GATE_WAYS)) * L4_GATE_WAYS;
}

L4_READS_UNDER_SEQ static bool is_of(const struct l4_gate_answer *answer, const uint64_t key[2])
{
    return answer->key[0] == key[0] && answer->key[1] == key[1];
}

/* Copies an answer as it was at one moment. Returns false if it is being written. */
L4_READS_UNDER_SEQ static bool copy(const struct l4_gate_row *row, struct l4_gate_answer *to)
{
    const uint32_t begun = l4_seq_begin(&row->seq);
    *to = row->answer;
    return l4_seq_holds(&row->seq, begun);
}

bool l4_gate_find(const struct l4_gate *gate, const uint64_t key[2], uint64_t now_ms,
                  struct l4_gate_answer *to)
{
    const struct l4_gate_row *rows = &gate->answers[first_of(key)];
    const uint32_t generation = atomic_load_explicit(&gate->generation, memory_order_acquire);
    for (uint32_t i = 0; i < L4_GATE_WAYS; i++) {
        if (is_of(&rows[i].answer, key) && copy(&rows[i], to) && is_of(to, key) &&
            to->generation == generation && to->until_ms > now_ms)
            return to->addrs <= L4_GATE_ADDRS && to->rule_bytes <= L4_GATE_NAME_MAX &&
                   to->user_bytes <= L4_GATE_NAME_MAX;
    }
    return false;
}

static _Atomic uint32_t *serial_of(const struct l4_gate *gate, uint32_t worker, uint32_t row)
{
    return (_Atomic uint32_t *)&gate->questions[worker][row].serial;
}

uint32_t l4_gate_take(struct l4_gate *gate, uint32_t worker)
{
    for (uint32_t i = 0; i < L4_GATE_QUESTIONS; i++) {
        if (!(atomic_load_explicit(serial_of(gate, worker, i), memory_order_relaxed) & 1)) {
            atomic_thread_fence(memory_order_release); /* before what is written there */
            return i;
        }
    }
    return L4_NONE;
}

void l4_gate_ask(struct l4_gate *gate, uint32_t worker, uint32_t row)
{
    atomic_fetch_add_explicit(serial_of(gate, worker, row), 1, memory_order_release);
    atomic_fetch_add_explicit(&gate->asked, 1, memory_order_relaxed);
}

void l4_gate_drop(struct l4_gate *gate, uint32_t worker, uint32_t row)
{
    atomic_fetch_add_explicit(serial_of(gate, worker, row), 1, memory_order_release);
}

void l4_gate_forget(struct l4_gate *gate, uint32_t worker)
{
    for (uint32_t i = 0; i < L4_GATE_QUESTIONS; i++) {
        if (atomic_load(serial_of(gate, worker, i)) & 1)
            l4_gate_drop(gate, worker, i);
    }
}

/* ---- the policy process ---------------------------------------------------------------------- */

L4_READS_UNDER_SEQ uint32_t l4_gate_read(const struct l4_gate *gate, uint32_t worker, uint32_t row,
                                         struct l4_gate_asked *to)
{
    const _Atomic uint32_t *serial = serial_of(gate, worker, row);
    const uint32_t begun = atomic_load_explicit(serial, memory_order_acquire);
    if (!(begun & 1))
        return 0;
    *to = gate->questions[worker][row].asked;
    atomic_thread_fence(memory_order_acquire);
    const bool whole = atomic_load_explicit(serial, memory_order_relaxed) == begun;
    return whole && to->host_bytes <= L4_GATE_HOST_MAX && to->method_bytes <= L4_GATE_METHOD_MAX &&
                   to->path_bytes <= L4_GATE_PATH_MAX &&
                   to->credentials_bytes <= L4_GATE_CREDENTIALS_MAX
               ? begun
               : 0;
}

void l4_gate_put(struct l4_gate *gate, const struct l4_gate_answer *answer)
{
    struct l4_gate_row *rows = &gate->answers[first_of(answer->key)], *to = rows;
    const uint32_t generation = atomic_load_explicit(&gate->generation, memory_order_relaxed);
    for (uint32_t i = 0; i < L4_GATE_WAYS; i++) {
        if (is_of(&rows[i].answer, answer->key)) {
            to = &rows[i];
            break;
        }
        const bool old = rows[i].answer.generation != generation;
        if (to->answer.generation == generation &&
            (old || rows[i].answer.until_ms < to->answer.until_ms))
            to = &rows[i];
    }
    l4_seq_write(&to->seq);
    to->answer = *answer;
    to->answer.generation = generation;
    l4_seq_written(&to->seq);
    atomic_fetch_add_explicit(&gate->answered, 1, memory_order_relaxed);
}

uint32_t l4_gate_renew(struct l4_gate *gate)
{
    return atomic_fetch_add(&gate->generation, 1) + 1;
}
