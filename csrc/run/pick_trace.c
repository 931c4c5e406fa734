#include "run/pick_trace.h"

#include "base/assert.h"
#include "core/pool_view.h"
#include "run/row.h"
#include "shm/session_stats.h"
#include "shm/trace.h"

static void record_candidate(struct l4_trace *trace, struct l4_pick_context *context,
                             uint32_t backend)
{
    const struct l4_backend *b = l4_table_backend(context->table, backend);
    L4_ASSERT(trace->candidate_count < L4_CANDIDATES);
    struct l4_candidate *candidate = &trace->candidates[trace->candidate_count++];
    *candidate = (struct l4_candidate){
        .backend = (uint16_t)backend,
        .weight = (uint16_t)L4_GET(b->weight),
        .inflight = L4_GET(b->inflight),
        .usable = (uint8_t)l4_pick_judge(context, backend),
        .health = (uint8_t)L4_GET(b->health),
        .state = (uint8_t)L4_GET(b->state),
    };
    for (uint32_t i = 0; i < context->request->tried_count; i++)
        candidate->tried |= context->request->tried[i] == backend;
}

/* Records the pool's first members as they are now. If the chosen backend is not among them, it
 * gets the last place. A view that changes meanwhile may show a backend of another pool; readers
 * allow for that. */
static void record_members(struct l4_loop *loop, struct l4_trace *trace,
                           const struct l4_pick_request *request,
                           const struct l4_pick_answer *answer)
{
    struct l4_pick_context context = {
        .table = loop->table,
        .request = request,
        .pool = l4_table_pool(loop->table, request->pool),
        .tier = answer->tier,
    };
    struct l4_view *view =
        l4_table_view(loop->table, request->pool, L4_GET(context.pool->view_generation));
    const uint16_t *members = l4_view_members(view);
    bool has_chosen = answer->backend == L4_NONE;
    trace->members = view->members;
    for (uint32_t i = 0; i < view->members && trace->candidate_count < L4_CANDIDATES; i++) {
        if (members[i] >= loop->table->plan.caps.backends)
            continue;
        if (trace->candidate_count == L4_CANDIDATES - 1 && !has_chosen &&
            members[i] != answer->backend)
            continue;
        has_chosen |= members[i] == answer->backend;
        record_candidate(trace, &context, members[i]);
    }
}

void l4_pick_trace(struct l4_loop *loop, const struct l4_session *s,
                   const struct l4_pick_request *request, const struct l4_pick_answer *answer,
                   enum l4_pick_how how)
{
    const uint32_t every = L4_GET(l4_table_stats(loop->table)->trace_every);
    if (!every || ++loop->picks % every != 0)
        return;
    struct l4_traces *traces = l4_table_traces(loop->table, loop->setup.index);
    struct l4_trace *trace = l4_trace_begin(traces);
    trace->pool = request->pool;
    trace->listener = s->listener;
    trace->backend = answer->backend;
    trace->backend_serial = answer->backend == L4_NONE
                                ? 0
                                : L4_GET(l4_table_backend(loop->table, answer->backend)->used);
    trace->session = L4_GET(s->serial);
    trace->at_us = loop->now_us;
    trace->client = *l4_row_client(loop, s);
    trace->balance = (uint8_t)L4_GET(l4_table_pool(loop->table, request->pool)->balance);
    trace->tier = (uint8_t)answer->tier;
    trace->full = answer->full;
    trace->sticky = how == L4_PICK_STICKY;
    trace->by_name = how == L4_PICK_NAMED;
    trace->attempts = s->attempts;
    trace->candidate_count = 0;
    record_members(loop, trace, request, answer);
    l4_trace_end(traces, trace);
}
