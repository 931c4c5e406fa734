#include "shm/trace.h"

#include <string.h>

struct l4_trace *l4_trace_begin(struct l4_traces *traces)
{
    struct l4_trace *trace = &traces->traces[L4_GET(traces->head) % L4_TRACES];
    /* why | 1 and not + 1: a worker that died in between has left it odd. */
    L4_SET(trace->seq, L4_GET(trace->seq) | 1);
    atomic_thread_fence(memory_order_release);
    return trace;
}

void l4_trace_end(struct l4_traces *traces, struct l4_trace *trace)
{
    atomic_store_explicit(&trace->seq, L4_GET(trace->seq) + 1, memory_order_release);
    L4_SET(traces->head, L4_GET(traces->head) + 1);
}

bool l4_trace_read(const struct l4_traces *traces, uint64_t index, struct l4_trace *copy)
{
    const struct l4_trace *trace = &traces->traces[index % L4_TRACES];
    const uint32_t before = atomic_load_explicit(&trace->seq, memory_order_acquire);
    memcpy(copy, trace, sizeof *copy);
    atomic_thread_fence(memory_order_acquire);
    return !(before & 1) && L4_GET(trace->seq) == before &&
           L4_GET(traces->head) - index <= L4_TRACES;
}
