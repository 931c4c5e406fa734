/* Functions from an index to a row of the UDP part: shm/udp.h has the rows. */
#ifndef L4_SHM_UDP_ROWS_H
#define L4_SHM_UDP_ROWS_H

#include "shm/table.h"

/* A UDP session's flow. The session row is caps.sessions + flow. */
static inline struct l4_flow *l4_table_flow(const struct l4_table *table, uint32_t worker,
                                            uint32_t flow)
{
    struct l4_flow *first = (struct l4_flow *)((char *)table->header + table->plan.flows_at);
    return first + (size_t)worker * table->plan.caps.flows + flow;
}

static inline struct l4_udp_tally *l4_table_udp_tally(const struct l4_table *table, uint32_t worker,
                                                      uint32_t listener)
{
    struct l4_udp_tally *first =
        (struct l4_udp_tally *)((char *)table->header + table->plan.udp_tallies_at);
    return first + (size_t)worker * table->plan.caps.listeners + listener;
}

#endif
