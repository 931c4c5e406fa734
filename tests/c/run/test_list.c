/* The lists of session rows: each row is in at most one list, whatever happens to its session. */
#include "check.h"
#include "process.h"
#include "run/row.h"
#include "table.h"

enum { SESSIONS = 8 };

static struct l4_loop loop;

static void start(void)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    loop = (struct l4_loop){.table = &table, .capacity = SESSIONS};
    loop.setup = (struct l4_worker_setup){.table = table};
    loop.row = l4_table_worker(&table, 0);
    l4_row_start(&loop);
}

/* Returns a session in this state, with work left over. */
static uint32_t busy(enum l4_session_state state)
{
    const uint32_t index = l4_row_take(&loop);
    L4_SET(l4_session_at(&loop, index)->state, state);
    l4_row_later(&loop, index);
    return index;
}

TEST(a_session_that_changes_its_state_has_no_work_left_over_and_others_still_have)
{
    start();
    const uint32_t first = busy(L4_SESSION_TLS_BACKEND), late = busy(L4_SESSION_TLS_BACKEND),
                   last = busy(L4_SESSION_RELAY);
    struct l4_list queue;
    l4_list_init(&queue, L4_LIST_QUEUE);
    l4_row_enter(&loop, late, L4_SESSION_PICK);  /* its deadline has passed */
    l4_row_enter(&loop, late, L4_SESSION_QUEUE); /* there is no free place */
    l4_list_append(loop.sessions, &queue, late);
    CHECK_EQ(2, loop.ready.count);
    CHECK_EQ(first, l4_list_take(loop.sessions, &loop.ready));
    CHECK_EQ(last, l4_list_take(loop.sessions, &loop.ready));
    CHECK_EQ(L4_NONE, l4_list_take(loop.sessions, &loop.ready));
    CHECK_EQ(late, l4_list_take(loop.sessions, &queue));
    l4_table_close(&table);
}

TEST(work_left_over_twice_is_done_once)
{
    start();
    const uint32_t index = busy(L4_SESSION_RELAY);
    l4_row_later(&loop, index);
    CHECK_EQ(1, loop.ready.count);
    CHECK_EQ(index, l4_list_take(loop.sessions, &loop.ready));
    CHECK_EQ(0, loop.ready.count);
    l4_table_close(&table);
}

TEST(rows_that_are_free_again_are_taken_first_and_counted_exactly)
{
    start();
    const uint32_t a = l4_row_take(&loop), b = l4_row_take(&loop);
    CHECK_EQ(2, loop.held);
    l4_row_return(&loop, a);
    CHECK_EQ(1, loop.held);
    CHECK_EQ(a, l4_row_take(&loop));
    l4_row_return(&loop, a);
    l4_row_return(&loop, b);
    CHECK(loop.held == 0 && loop.free.count == 2 && loop.fresh == 2);
    l4_table_close(&table);
}

static uint32_t exchanging(void)
{
    const uint32_t index = l4_row_take(&loop);
    L4_SET(l4_session_at(&loop, index)->state, L4_SESSION_EXCHANGE);
    return index;
}

TEST(sessions_that_lack_a_pipe_wait_in_their_order_and_cost_no_turn)
{
    start();
    const uint32_t first = exchanging(), second = exchanging(), third = exchanging();
    l4_row_lacks(&loop, &loop.pipeless, first);
    l4_row_lacks(&loop, &loop.pipeless, second);
    l4_row_lacks(&loop, &loop.pipeless, third);
    l4_row_lacks(&loop, &loop.pipeless, first); /* an event made it look again */
    CHECK(loop.ready.count == 0 && loop.pipeless.count == 3);
    l4_row_found(&loop, &loop.pipeless, 1);
    CHECK(loop.ready.count == 1 && loop.ready.head == first && loop.pipeless.count == 2);
    l4_row_enter(&loop, second, L4_SESSION_FREE); /* its client has gone */
    l4_row_found(&loop, &loop.pipeless, 5);
    CHECK(loop.ready.count == 2 && loop.ready.tail == third && loop.pipeless.count == 0);
    l4_row_lacks(&loop, &loop.pipeless, third); /* it is resumed once, and lacks one again */
    CHECK(loop.ready.count == 2 && loop.pipeless.count == 0);
    CHECK_EQ(first, l4_list_take(loop.sessions, &loop.ready));
    CHECK_EQ(third, l4_list_take(loop.sessions, &loop.ready));
    l4_row_lacks(&loop, &loop.pipeless, third);
    CHECK(loop.ready.count == 0 && loop.pipeless.count == 1);
    l4_table_close(&table);
}

static void join_two_lists(void)
{
    const uint32_t index = busy(L4_SESSION_RELAY);
    l4_list_append(loop.sessions, &loop.ended, index);
}

static void leave_a_list_that_it_is_not_in(void)
{
    const uint32_t index = busy(L4_SESSION_RELAY);
    l4_list_remove(loop.sessions, &loop.free, index);
}

static void have_work_left_over_in_a_queue(void)
{
    busy(L4_SESSION_QUEUE);
}

static void free_a_row_twice(void)
{
    const uint32_t index = l4_row_take(&loop);
    l4_row_return(&loop, index);
    l4_row_return(&loop, index);
}

TEST(a_list_that_would_break_ends_the_worker_instead)
{
    start();
    CHECK(aborts(join_two_lists));
    CHECK(aborts(leave_a_list_that_it_is_not_in));
    CHECK(aborts(have_work_left_over_in_a_queue));
    CHECK(aborts(free_a_row_twice));
    l4_table_close(&table);
}

MAIN(RUN(a_session_that_changes_its_state_has_no_work_left_over_and_others_still_have);
     RUN(work_left_over_twice_is_done_once);
     RUN(sessions_that_lack_a_pipe_wait_in_their_order_and_cost_no_turn);
     RUN(rows_that_are_free_again_are_taken_first_and_counted_exactly);
     RUN(a_list_that_would_break_ends_the_worker_instead))
