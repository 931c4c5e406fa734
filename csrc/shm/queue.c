#include "shm/queue.h"

#include "shm/row_reuse.h"
#include "shm/table.h"

uint32_t l4_queue_first(const struct l4_table *table, uint32_t pool)
{
    const uint32_t workers = l4_table_workers_high(table);
    uint64_t min = UINT64_MAX;
    uint32_t first = L4_NONE;
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < workers; i++) {
        const uint64_t head = L4_GET(l4_table_wait(table, i, pool)->head);
        if (head && head < min) {
            min = head;
            first = i;
        }
    }
    return first;
}
