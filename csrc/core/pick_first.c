/* first: the first usable backend of the pool, in the order of the configuration, until it is at
 * its max_connections; then the next. Backends that are not needed can be turned off. */
#include "core/pick.h"
#include "core/pool_scan.h"

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    struct l4_scan scan = l4_scan_from(context, 0);
    return (struct l4_pick_proposal){.backend = l4_scan_next(&scan, context)};
}

const struct l4_pick_ops l4_pick_first = {.name = "first", .propose = propose};
