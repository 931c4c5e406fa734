/* Recorded picks: read while they are overwritten, each is complete or not returned. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "check.h"
#include "shm/trace.h"
#include "table.h"

enum { READS = 2000 };

static atomic_bool enough; /* the reader has read enough */

static void write_one(struct l4_traces *traces, uint32_t number)
{
    struct l4_trace *trace = l4_trace_begin(traces);
    trace->pool = trace->listener = trace->session = number;
    trace->candidates[L4_CANDIDATES - 1].inflight = number;
    l4_trace_end(traces, trace);
}

static void *write_many(void *traces)
{
    for (uint32_t i = 0; !atomic_load(&enough); i++)
        write_one(traces, i);
    return NULL;
}

TEST(the_last_ones_can_be_read_and_older_ones_cannot)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_traces *traces = l4_table_traces(&table, 0);
    struct l4_trace copy;
    for (uint32_t i = 0; i < L4_TRACES + 3; i++)
        write_one(traces, i);
    CHECK_EQ(L4_TRACES + 3, L4_GET(traces->head));
    CHECK(!l4_trace_read(traces, 2, &copy));
    CHECK(l4_trace_read(traces, 3, &copy));
    CHECK_EQ(3, copy.pool);
    CHECK(l4_trace_read(traces, L4_TRACES + 2, &copy));
    CHECK_EQ(L4_TRACES + 2, copy.pool);
    l4_table_close(&table);
}

TEST(one_that_a_death_left_half_written_is_not_read_and_is_written_again)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_traces *traces = l4_table_traces(&table, 0);
    struct l4_trace copy;
    l4_trace_begin(traces)->pool = 7;
    CHECK(!l4_trace_read(traces, 0, &copy));
    write_one(traces, 9);
    CHECK(l4_trace_read(traces, 0, &copy));
    CHECK_EQ(9, copy.pool);
    l4_table_close(&table);
}

TEST(what_is_read_while_it_is_written_is_whole)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_traces *traces = l4_table_traces(&table, 0);
    pthread_t writer;
    uint32_t seen = 0, torn = 0;
    write_one(traces, 0);
    pthread_create(&writer, NULL, write_many, traces);
    while (seen < READS) {
        const uint64_t head = L4_GET(traces->head);
        struct l4_trace copy;
        if (!l4_trace_read(traces, head - 1, &copy))
            continue;
        seen++;
        torn += copy.pool != copy.listener || copy.pool != copy.session ||
                copy.pool != copy.candidates[L4_CANDIDATES - 1].inflight;
    }
    atomic_store(&enough, true);
    pthread_join(writer, NULL);
    CHECK_EQ(0, torn);
    l4_table_close(&table);
}

MAIN(RUN(the_last_ones_can_be_read_and_older_ones_cannot);
     RUN(one_that_a_death_left_half_written_is_not_read_and_is_written_again);
     RUN(what_is_read_while_it_is_written_is_whole))
