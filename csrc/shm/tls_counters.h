/* Counts of TLS handshakes: one row for each worker and listener, and one for each worker and pool.
 * The worker is the only writer. */
#ifndef L4_SHM_TLS_COUNTERS_H
#define L4_SHM_TLS_COUNTERS_H

#include "shm/table.h"

enum { L4_TLS_WHY_MAX = 112 };

/* One worker's handshakes with the clients of one listener, or with the backends of one pool. */
struct l4_tls_counters {
    alignas(64) _Atomic uint64_t full, resumed; /* handshakes that succeeded */
    _Atomic uint64_t failed;
    _Atomic uint32_t now;     /* this worker's part of shaking; for listeners only */
    char why[L4_TLS_WHY_MAX]; /* the last failure in words; may be read while it is written */
};

/* A worker's handshakes: of a listener, or of pool `row - caps.listeners`. */
L4_WORKER_ROW(struct l4_tls_counters, l4_table_tls_counters, tls_counters_at,
              caps->listeners + caps->pools)

#endif
