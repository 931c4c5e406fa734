/* Every state of a session, once, for worker, admin and test alike: run/stages.h has the picture,
 * run/row.c the edges. The numbers are part of a wire format (run/handover_record.h): new states
 * are appended. */
#ifndef L4_SHM_STATE_H
#define L4_SHM_STATE_H

#define L4_STATES(X)                                                                               \
    X(FREE, "free")               /* there is no session */                                        \
    X(PICK, "pick")               /* a backend is chosen, or a socket towards it lacks */          \
    X(CONNECT, "connect")         /* to its backend */                                             \
    X(RELAY, "relay")             /* bytes go both ways */                                         \
    X(RESET, "reset")             /* it is to end, once what was accepted has been delivered */    \
    X(PREREAD, "preread")         /* its client is to say what the pick needs */                   \
    X(QUEUE, "queue")             /* a place at a backend lacks */                                 \
    X(TARPIT, "tarpit")           /* it was turned away, and is not told so for a while */         \
    X(TLS_CLIENT, "tls_client")   /* a handshake with its client */                                \
    X(TLS_BACKEND, "tls_backend") /* ... with its backend */                                       \
    X(HANDOVER, "handover")       /* it is on its way to another worker, or from one */            \
    X(ACCEPTED, "accepted")       /* nothing was asked of it yet */

enum l4_session_state {
#define X(id, word) L4_SESSION_##id,
    L4_STATES(X)
#undef X
        L4_SESSION_STATES
};

/* The word users see. "unknown" for a number that is none of ours. */
const char *l4_state_word(unsigned state);

#endif
