/* Functions from an index to a row of the UDP part: shm/udp.h has the rows. */
#ifndef L4_SHM_UDP_ROWS_H
#define L4_SHM_UDP_ROWS_H

#include "shm/table.h"

/* A UDP session's flow. The session row is caps.sessions + flow. */
static inline struct l4_flow *l4_table_flow(const struct l4_table *table, uint32_t worker,
                                            uint32_t flow)
{
    struct l4_flow *first = (struct l4_flow *)((char *)table->header + table->plan.flows_at);
    const struct l4_caps *caps = &table->plan.caps;
    return first + l4_row_of(worker, caps->workers) * caps->flows + l4_row_of(flow, caps->flows);
}

static inline struct l4_udp_tally *l4_table_udp_tally(const struct l4_table *table, uint32_t worker,
                                                      uint32_t listener)
{
    struct l4_udp_tally *first =
        (struct l4_udp_tally *)((char *)table->header + table->plan.udp_tallies_at);
    const struct l4_caps *caps = &table->plan.caps;
    return first + l4_row_of(worker, caps->workers) * caps->listeners +
           l4_row_of(listener, caps->listeners);
}

#endif
