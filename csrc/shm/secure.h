/* TLS in the shared table: the settings of a listener. shm/shakes.h counts handshakes.
 *
 * Certificates and keys are not in the shared table, where every process could read them. They are
 * in the vault, a memory file that only the supervisor and the workers have a descriptor of
 * (run/vault.h).
 */
#ifndef L4_SHM_SECURE_H
#define L4_SHM_SECURE_H

#include <stdatomic.h>
#include <stdint.h>

/* The TLS settings of one listener. */
struct l4_secure_rule {
    _Atomic uint32_t profile; /* supervisor: profile in the bundle; 0: no TLS */
    _Atomic uint32_t most;    /* supervisor: handshakes at one time over all workers; 0: no limit */
    _Atomic uint32_t interval_us; /* supervisor: average time between handshakes; 0: no limit */
    _Atomic uint32_t burst_us;    /* supervisor: how much earlier than that a handshake may begin */
    _Atomic uint64_t ends_s;      /* supervisor: Unix time at which its first certificate expires */
    /* The next two words are used only in the row that has the listener's counts: shm/limits.h,
     * head. */
    _Atomic uint32_t shaking; /* all, through shm/count.h: handshakes in progress */
    _Atomic uint64_t next_us; /* all: when the next handshake is due (a virtual queue, GCRA) */
};

#endif
