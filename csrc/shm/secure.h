/* TLS in the shared table: which settings a listener has. How handshakes went is in shm/shakes.h.
 *
 * Certificates and keys are not here, where every process could read them: they lie in the vault,
 * a memory file of which only the supervisor and the workers have the descriptor (run/vault.h).
 */
#ifndef L4_SHM_SECURE_H
#define L4_SHM_SECURE_H

#include <stdatomic.h>
#include <stdint.h>

struct l4_secure_rule {           /* of one listener */
    _Atomic uint32_t profile;     /* supervisor: its settings in the bundle; 0: no TLS */
    _Atomic uint32_t most;        /* supervisor: handshakes at one time, all workers; 0: no limit */
    _Atomic uint32_t interval_us; /* supervisor: between handshakes on average; 0: no limit */
    _Atomic uint32_t burst_us;    /* supervisor: how much earlier than that they may come */
    _Atomic uint64_t ends_s;      /* supervisor: Unix time when its first certificate ends */
    /* These two only in the row that has the listener's counts: shm/limits.h, head. */
    _Atomic uint32_t shaking; /* all, through shm/count.h: handshakes in progress */
    _Atomic uint64_t next_us; /* all: when the next is due (a virtual queue, GCRA) */
};

#endif
