/* Certificates and keys of this worker, which come from the vault: a memory file that the
 * supervisor writes. A worker reads it when it starts, and again when told to; then it loads a step
 * at a time between turns and swaps. Sessions that live, and handshakes in progress, keep what they
 * have.
 */
#ifndef L4_RUN_VAULT_H
#define L4_RUN_VAULT_H

#include "io/tls.h"
#include "run/loop.h"

#define L4_VAULT_MAGIC 0x31746c756176346cull /* "l4vault1" */
enum { L4_VAULT_KEYS_AT = 64, L4_VAULT_BUNDLE_AT = 4096 };

struct l4_vault { /* its first bytes; ticket keys and the bundle lie at the offsets above */
    uint64_t magic;
    uint64_t sequence; /* odd while it is written */
    uint64_t keys_generation;
    uint64_t bundle_generation;
    uint64_t bundle_bytes;
};

struct l4_worker_tls {
    struct l4_tls_room room;
    struct l4_tls_loader loader; /* store NULL: nothing is being loaded */
    void *bundle;                /* what it loads */
    uint64_t bundle_bytes;
    uint64_t loading;   /* generation of what is being loaded */
    uint64_t spent_us;  /* on handshakes in this turn */
    uint32_t peak;      /* TLS halves there were since memory was last given back */
    uint64_t thrift_ms; /* when that may be done again */
};

/* Takes memory and loads what is in the vault; nothing without one. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_vault_open(struct l4_loop *loop);
void l4_vault_close(struct l4_loop *loop);

/* The vault has changed. */
void l4_vault_refresh(struct l4_loop *loop);

/* Once a turn: goes on loading, and a new turn's time for handshakes begins. */
void l4_vault_tend(struct l4_loop *loop);

/* At the end of a turn: gives back what many sessions at one time took, once most are gone; the
 * allocator would keep it. */
void l4_vault_thrift(struct l4_loop *loop);

/* Is there something to load, so that the loop must not sleep? */
static inline bool l4_vault_is_busy(const struct l4_loop *loop)
{
    return loop->tls && loop->tls->loader.store;
}

#endif
