/* TLS in the shared table: the settings of a listener. shm/tls_counters.h counts handshakes.
 *
 * Certificates and keys are not in the shared table, where every process could read them. They are
 * in the vault, a memory file that only the supervisor and the workers have a descriptor of
 * (run/vault.h).
 */
#ifndef L4_SHM_SECURE_H
#define L4_SHM_SECURE_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/settings.h"

/* The TLS settings of one listener. */
struct l4_secure_rule {
    L4_TLS_SETTINGS(L4_FIELD)
    /* The next two words are used only in the row that has the listener's counts: shm/limits.h,
     * head. */
    _Atomic uint32_t shaking; /* all, through shm/count.h: handshakes in progress */
    _Atomic uint64_t next_us; /* all: when the next handshake is due (a virtual queue, GCRA) */
};

#endif
