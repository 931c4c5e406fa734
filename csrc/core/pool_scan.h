/* A walk over all members of a view. Each pick starts at the next member, so equal members take
 * turns. */
#ifndef L4_CORE_POOL_SCAN_H
#define L4_CORE_POOL_SCAN_H

#include "core/pick.h"
#include "shm/table.h"

struct l4_scan {
    uint32_t members, at, done;
};

static inline struct l4_scan l4_scan_from(const struct l4_pick_context *context, uint64_t start)
{
    const uint32_t max = context->table->plan.caps.backends;
    const uint32_t members = context->view->members;
    struct l4_scan scan = {.members = members < max ? members : max};
    scan.at = scan.members ? (uint32_t)(start % scan.members) : 0;
    return scan;
}

/* Returns the next usable member; L4_NONE after the last. */
static inline uint32_t l4_scan_next(struct l4_scan *scan, struct l4_pick_context *context)
{
    while (scan->done < scan->members) {
        const uint32_t backend = context->members[scan->at];
        scan->at = scan->at + 1 == scan->members ? 0 : scan->at + 1;
        scan->done++;
        if (l4_pick_usable(context, backend))
            return backend;
    }
    return L4_NONE;
}

#endif
