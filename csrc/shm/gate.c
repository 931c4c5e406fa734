#include "shm/gate.h"

#include <string.h>

#include "base/assert.h"
#include "shm/seq.h"

enum {
    VERSION = 2,
    USES_SHIFT = 32,
    NOBODYS = 1, /* no row that can be read has this seq: it is odd */
};

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

/* Copies an answer as it was at one moment. Returns its seq; 1: it is being written. */
L4_READS_UNDER_SEQ static uint32_t copy(const struct l4_gate_row *row, struct l4_gate_answer *to)
{
    const uint32_t begun = l4_seq_begin(&row->seq);
    *to = row->answer;
    return l4_seq_holds(&row->seq, begun) ? begun : 1;
}

/* Counts one use of the answer that had this seq. Returns false if another one is there now. */
static bool count(_Atomic uint64_t *uses, uint32_t seq)
{
    uint64_t now = atomic_load_explicit(uses, memory_order_relaxed);
    while (now >> USES_SHIFT == seq) {
        if (atomic_compare_exchange_weak_explicit(uses, &now, now + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

static bool is_sound(const struct l4_gate_answer *answer)
{
    return answer->addrs <= L4_GATE_ADDRS && answer->rule_bytes <= L4_GATE_NAME_MAX &&
           answer->user_bytes <= L4_GATE_NAME_MAX;
}

bool l4_gate_find(struct l4_gate *gate, const uint64_t key[2], uint64_t now_ms,
                  struct l4_gate_answer *to)
{
    const uint32_t first = first_of(key);
    const struct l4_gate_row *rows = &gate->answers[first];
    const uint32_t generation = atomic_load_explicit(&gate->generation, memory_order_acquire);
    for (uint32_t i = 0; i < L4_GATE_WAYS; i++) {
        if (!is_of(&rows[i].answer, key))
            continue;
        const uint32_t seq = copy(&rows[i], to);
        if (!(seq & 1) && is_of(to, key) && to->generation == generation && to->until_ms > now_ms)
            return is_sound(to) && count(&gate->uses[first + i], seq);
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

/* The row for an answer: that of the same question, else the one that ends first. */
static uint32_t row_for(const struct l4_gate *gate, const uint64_t key[2], uint32_t generation)
{
    const uint32_t first = first_of(key);
    const struct l4_gate_row *rows = &gate->answers[first], *to = rows;
    for (uint32_t i = 0; i < L4_GATE_WAYS; i++) {
        if (is_of(&rows[i].answer, key))
            return first + i;
        const bool old = rows[i].answer.generation != generation;
        if (to->answer.generation == generation &&
            (old || rows[i].answer.until_ms < to->answer.until_ms))
            to = &rows[i];
    }
    return first + (uint32_t)(to - rows);
}

/* Takes the uses of a row, and leaves `next` as the seq for which uses count from now on. */
static bool take_uses(struct l4_gate *gate, uint32_t row, uint32_t next, struct l4_gate_used *used)
{
    const struct l4_gate_row *from = &gate->answers[row];
    const uint32_t seq = atomic_load_explicit(&from->seq, memory_order_relaxed);
    const uint64_t now = atomic_exchange_explicit(&gate->uses[row], (uint64_t)next << USES_SHIFT,
                                                  memory_order_relaxed);
    /* An odd seq is of a process that died while it wrote: nothing there belongs together. */
    used->uses = !(seq & 1) && now >> USES_SHIFT == seq ? (uint32_t)now : 0;
    if (!used->uses)
        return false;
    used->answer = from->answer;
    used->subject = from->subject;
    if (is_sound(&used->answer) && used->subject.forward_bytes <= L4_GATE_NAME_MAX &&
        used->subject.list_bytes <= L4_GATE_NAME_MAX)
        return true;
    used->uses = 0;
    return false;
}

bool l4_gate_take_uses(struct l4_gate *gate, uint32_t row, struct l4_gate_used *used)
{
    L4_ASSERT(row < L4_GATE_ANSWERS);
    used->uses = 0;
    if (!(uint32_t)atomic_load_explicit(&gate->uses[row], memory_order_relaxed))
        return false;
    return take_uses(gate, row, atomic_load_explicit(&gate->answers[row].seq, memory_order_relaxed),
                     used);
}

void l4_gate_put(struct l4_gate *gate, const struct l4_gate_answer *answer,
                 const struct l4_gate_subject *subject, struct l4_gate_used *used)
{
    const uint32_t generation = atomic_load_explicit(&gate->generation, memory_order_relaxed);
    const uint32_t row = row_for(gate, answer->key, generation);
    struct l4_gate_row *to = &gate->answers[row];
    take_uses(gate, row, NOBODYS, used);
    l4_seq_write(&to->seq);
    to->answer = *answer;
    to->answer.generation = generation;
    to->subject = *subject;
    const uint32_t seq = atomic_load_explicit(&to->seq, memory_order_relaxed) + 1;
    atomic_store_explicit(&gate->uses[row], (uint64_t)seq << USES_SHIFT, memory_order_relaxed);
    l4_seq_written(&to->seq);
    atomic_fetch_add_explicit(&gate->answered, 1, memory_order_relaxed);
}

uint32_t l4_gate_renew(struct l4_gate *gate)
{
    return atomic_fetch_add(&gate->generation, 1) + 1;
}
