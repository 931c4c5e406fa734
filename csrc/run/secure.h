/* TLS as stages of a session: with its client before the pick, with its backend after the connect.
 *
 *   ... -> SHAKES -> WAITS -> CONNECTS -> SECURES -> RELAYS
 *
 * A client gets no memory of OpenSSL's before all of its ClientHello is there: until then it waits
 * in READS (front.c), and its bytes in the kernel. Handshakes are limited in time (the listener's
 * handshake_timeout), in number, and in rate: beyond the rate each client gets its turn in a
 * virtual queue, and one whose turn would come too late is turned away at once. They are the loop's
 * only long steps, so one turn does at most L4_TLS_SHAKE_TURN_US of them before the other sessions
 * go on.
 *
 * Certificates and keys come from the vault: a memory file that the supervisor writes. A worker
 * reads it when it starts, and again when told to; then it loads a step at a time between turns and
 * swaps. Sessions that live, and handshakes in progress, keep what they have.
 */
#ifndef L4_RUN_SECURE_H
#define L4_RUN_SECURE_H

#include "io/tls.h"
#include "run/worker.h"

#define L4_VAULT_MAGIC 0x31746c756176346cull /* "l4vault1" */
enum { L4_VAULT_KEYS_AT = 64, L4_VAULT_BUNDLE_AT = 4096 };

struct l4_vault { /* its first bytes; ticket keys and the bundle lie at the offsets above */
    uint64_t magic;
    uint64_t sequence; /* odd while it is written */
    uint64_t keys_generation;
    uint64_t bundle_generation;
    uint64_t bundle_bytes;
};

struct l4_secure {
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
__attribute__((warn_unused_result)) int l4_secure_open(struct l4_loop *loop);
void l4_secure_close(struct l4_loop *loop);

/* The vault has changed. */
void l4_secure_refresh(struct l4_loop *loop);

/* Once a turn: goes on loading. */
void l4_secure_tend(struct l4_loop *loop);

/* At the end of a turn: gives back what many sessions at one time took, once most are gone; the
 * allocator would keep it. */
void l4_secure_thrift(struct l4_loop *loop);

/* Is there something to load, so that the loop must not sleep? */
static inline bool l4_secure_is_busy(const struct l4_loop *loop)
{
    return loop->secure && loop->secure->loader.store;
}

/* Is the client to speak TLS, and has not begun? */
static inline bool l4_secure_is_wanted(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_table_listener(loop->table, s->listener)->secure.profile) &&
           !(s->half[0].flags & L4_HALF_TLS);
}

/* Ends the session of a client whose ClientHello is longer than any, with the alert for that. */
void l4_secure_refuse_hello(struct l4_loop *loop, uint32_t index);

/* Begins with the client if its listener speaks TLS. False: it does not, or that is done. */
bool l4_secure_client(struct l4_loop *loop, uint32_t index);

/* Begins with the backend if its pool speaks TLS. False: it does not. */
bool l4_secure_backend(struct l4_loop *loop, uint32_t index);

/* The kernel's word on the half that shakes hands; its turn has come; its timer fired. */
void l4_secure_go_on(struct l4_loop *loop, uint32_t index);
void l4_secure_timeout(struct l4_loop *loop, uint32_t index);

/* The session ends: a handshake in progress is over. */
void l4_secure_leave(struct l4_loop *loop, const struct l4_session *s);

/* Can another process take this session over? Not with TLS: its state is OpenSSL's. */
static inline bool l4_secure_can_move(const struct l4_session *s)
{
    return !((s->half[0].flags | s->half[1].flags) & L4_HALF_TLS);
}

#endif
