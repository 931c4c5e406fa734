/* Loads certificates and keys into this worker from the vault: a memory file that the supervisor
 * writes.
 *
 * A worker reads the vault when it starts, and again when it is told to. It then loads the
 * certificates step by step between loop iterations, and replaces the old ones at the end. Live
 * sessions, and handshakes in progress, keep the certificates that they have.
 */
#ifndef L4_RUN_VAULT_H
#define L4_RUN_VAULT_H

#include "io/tls.h"
#include "run/loop.h"

#define L4_VAULT_MAGIC 0x31746c756176346cull /* "l4vault1" */
enum { L4_VAULT_KEYS_AT = 64, L4_VAULT_BUNDLE_AT = 4096 };

/* The first bytes of the vault. Ticket keys and the bundle are at the offsets above. */
struct l4_vault {
    uint64_t magic;
    uint64_t sequence; /* odd while it is written */
    uint64_t keys_generation;
    uint64_t bundle_generation;
    uint64_t bundle_bytes;
};

struct l4_worker_tls {
    struct l4_tls_room room;
    struct l4_tls_loader loader; /* store NULL: it loads nothing */
    void *bundle;                /* the bytes that it loads from */
    uint64_t bundle_bytes;
    uint64_t loading;   /* generation of the bundle that is being loaded */
    uint64_t spent_us;  /* time spent on handshakes in this loop iteration */
    uint32_t peak;      /* the most TLS sockets since memory was last given back */
    uint64_t thrift_ms; /* when memory may be given back again */
};

/* Allocates memory and loads what is in the vault; does nothing if there is no vault. Returns 0 or
 * -errno. */
__attribute__((warn_unused_result)) int l4_vault_open(struct l4_loop *loop);
void l4_vault_close(struct l4_loop *loop);

/* The vault has changed. */
void l4_vault_refresh(struct l4_loop *loop);

/* Once in a loop iteration: continues to load, and resets the time spent on handshakes. */
void l4_vault_tend(struct l4_loop *loop);

/* At the end of a loop iteration: once most TLS sessions are gone, gives their memory back to the
 * system, which the allocator would keep. */
void l4_vault_thrift(struct l4_loop *loop);

/* Is there something to load, so that the loop must not sleep? */
static inline bool l4_vault_is_busy(const struct l4_loop *loop)
{
    return loop->tls && loop->tls->loader.store;
}

#endif
