#include "run/lines.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "shm/queue.h"

enum { WORDS = (L4_POOLS_MAX + 63) / 64 };

struct l4_lines {
    uint64_t filled[WORDS]; /* one bit for each pool: clients wait in its line */
    uint64_t due[WORDS];    /* one bit for each pool: its line is due (l4_lines_due) */
    struct l4_list lines[]; /* this worker's clients that wait for each pool, oldest first */
};

int l4_lines_start(struct l4_loop *loop)
{
    const uint32_t pools = loop->table->plan.caps.pools;
    L4_ASSERT(pools <= L4_POOLS_MAX);
    loop->lines = calloc(1, sizeof *loop->lines + pools * sizeof(struct l4_list));
    if (!loop->lines)
        return -ENOMEM;
    for (uint32_t i = 0; i < pools; i++)
        l4_list_init(&loop->lines->lines[i], L4_LIST_QUEUE);
    return 0;
}

void l4_lines_finish(struct l4_loop *loop)
{
    free(loop->lines);
    loop->lines = NULL;
}

static struct l4_queue *queue_of(const struct l4_loop *loop, uint32_t pool)
{
    return &l4_table_pool(loop->table, pool)->queue;
}

static void make_due(struct l4_loop *loop, uint32_t pool)
{
    loop->lines->due[pool / 64] |= 1ull << (pool % 64);
}

bool l4_lines_is_waited_in(const struct l4_loop *loop, uint32_t pool)
{
    return L4_GET(queue_of(loop, pool)->waiting) != 0;
}

bool l4_lines_is_for_successor(const struct l4_loop *loop, const struct l4_session *s)
{
    return loop->parted && !l4_row_speaks_tls(s);
}

void l4_lines_released(struct l4_loop *loop, uint32_t pool)
{
    if (l4_lines_is_waited_in(loop, pool))
        make_due(loop, pool);
}

void l4_lines_rung(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < WORDS; i++)
        loop->lines->due[i] |= loop->lines->filled[i];
}

/* ---- in the line ----------------------------------------------------------------------------- */

/* Sets the session's timer to its deadline; for the first session in a line, to the next look if
 * that is sooner. */
static void set_timer(struct l4_loop *loop, uint32_t index, bool first)
{
    const int32_t left = l4_row_left_ms(loop, l4_session_at(loop, index));
    const int32_t max = first ? L4_QUEUE_LOOK_MS : INT32_MAX;
    l4_row_wake_in(loop, index, (uint64_t)(left < 0 ? 0 : left < max ? left : max));
}

/* Shows the turn of the line's oldest client to all workers, and sets that client's timer to look
 * again soon. */
static void show_head(struct l4_loop *loop, uint32_t pool)
{
    const uint32_t head = loop->lines->lines[pool].head;
    const uint64_t bit = 1ull << (pool % 64);
    uint64_t turn = 0;
    if (head == L4_NONE) {
        loop->lines->filled[pool / 64] &= ~bit;
    } else {
        loop->lines->filled[pool / 64] |= bit;
        turn = l4_session_at(loop, head)->turn;
        set_timer(loop, head, true);
    }
    L4_SET(l4_table_wait(loop->table, loop->setup.index, pool)->head, turn);
    make_due(loop, pool);
}

static uint32_t after_accept_us(const struct l4_loop *loop, const struct l4_session *s)
{
    return (uint32_t)(loop->now_us - s->started_us);
}

/* Puts a session into the line, behind all whose turn comes before its own: mostly at the end. */
static void enter_line(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->backend == L4_NONE);
    struct l4_list *line = &loop->lines->lines[s->pool];
    uint32_t before = line->tail;
    while (before != L4_NONE && l4_session_at(loop, before)->turn > s->turn)
        before = l4_session_at(loop, before)->prev;
    l4_list_insert(loop->sessions, line, index, before);
    s->queued_us = after_accept_us(loop, s);
    set_timer(loop, index, false);
    if (before == L4_NONE)
        show_head(loop, s->pool);
}

bool l4_lines_join(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_queue *queue = queue_of(loop, s->pool);
    if (!l4_count_take_wait(loop->table, loop->setup.index, s->pool, L4_GET(queue->length)))
        return false;
    s->turn = atomic_fetch_add(&queue->turns, 1) + 1;
    l4_row_set_deadline(loop, s, L4_GET(queue->timeout_ms));
    enter_line(loop, index);
    return true;
}

void l4_lines_join_again(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    _Atomic uint64_t *turns = &queue_of(loop, s->pool)->turns;
    uint64_t given = atomic_load(turns);
    while (given < s->turn && !atomic_compare_exchange_weak(turns, &given, s->turn))
        ;
    /* why no limit: the session had its place among those that wait before. */
    (void)l4_count_take_wait(loop->table, loop->setup.index, s->pool, 0);
    enter_line(loop, index);
}

void l4_lines_leave(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_list *line = &loop->lines->lines[s->pool];
    const bool was_first = line->head == index;
    if (s->list != L4_LIST_QUEUE)
        return;
    l4_list_remove(loop->sessions, line, index);
    s->queue_us += after_accept_us(loop, s) - s->queued_us;
    if (was_first)
        show_head(loop, s->pool);
    l4_count_drop_wait(loop->table, loop->setup.index, s->pool);
}

void l4_lines_look(struct l4_loop *loop, uint32_t index)
{
    L4_ASSERT(l4_session_at(loop, index)->list == L4_LIST_QUEUE);
    const uint32_t pool = l4_session_at(loop, index)->pool;
    const bool first = loop->lines->lines[pool].head == index;
    if (first)
        make_due(loop, pool);
    set_timer(loop, index, first);
}

/* ---- served ---------------------------------------------------------------------------------- */

uint32_t l4_lines_due(const struct l4_loop *loop)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        if (loop->lines->due[i])
            return i * 64 + (uint32_t)__builtin_ctzll(loop->lines->due[i]);
    }
    return L4_NONE;
}

void l4_lines_served(struct l4_loop *loop, uint32_t pool)
{
    loop->lines->due[pool / 64] &= ~(1ull << (pool % 64));
}

uint32_t l4_lines_first(const struct l4_loop *loop, uint32_t pool)
{
    const uint32_t worker = l4_queue_first(loop->table, pool);
    if (worker != loop->setup.index) {
        if (worker != L4_NONE)
            l4_loop_ring_worker(loop, worker);
        return L4_NONE;
    }
    const uint32_t head = loop->lines->lines[pool].head;
    const bool ours =
        head != L4_NONE && !l4_lines_is_for_successor(loop, l4_session_at(loop, head));
    return ours ? head : L4_NONE;
}
