/* Functions from an index to a row of the UDP part: shm/udp.h has the rows. */
#ifndef L4_SHM_UDP_ROWS_H
#define L4_SHM_UDP_ROWS_H

#include "shm/table.h"

/* A UDP session's flow. The session row is caps.sessions + flow. */
L4_WORKER_ROW(struct l4_flow, l4_table_flow, flows_at, caps->flows)
L4_WORKER_ROW(struct l4_flow_counted, l4_table_flow_counted, flows_counted_at, caps->flows)
L4_WORKER_ROW(struct l4_udp_tally, l4_table_udp_tally, udp_tallies_at, caps->listeners)

#endif
