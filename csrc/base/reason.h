/* Every way a session ends, once, for log, metric, admin and test alike. */
#ifndef L4_BASE_REASON_H
#define L4_BASE_REASON_H

#define L4_REASONS(X)                                                                              \
    X(NONE, "none")               /* it has not ended */                                           \
    X(CLIENT_FIN, "client_fin")   /* both sides finished, the client first */                      \
    X(BACKEND_FIN, "backend_fin") /* both sides finished, the backend first */                     \
    X(CLIENT_RESET, "client_reset")                                                                \
    X(BACKEND_RESET, "backend_reset")                                                              \
    X(IDLE_TIMEOUT, "idle_timeout")                                                                \
    X(HALF_CLOSED_TIMEOUT, "half_closed_timeout")                                                  \
    X(CONNECT_FAILED, "connect_failed")      /* every backend that could be tried was */           \
    X(NO_BACKEND, "no_backend")              /* none was usable */                                 \
    X(QUEUE_TIMEOUT, "queue_timeout")        /* it waited for a place at a backend in vain */      \
    X(QUEUE_FULL, "rejected:queue_full")     /* as many as may wait for one did already */         \
    X(KILLED, "killed")                      /* by an operator */                                  \
    X(DRAIN_TIMEOUT, "drain_timeout")        /* the service stopped before the session did */      \
    X(STOPPED, "stopped")                    /* the service stopped at once */                     \
    X(BACKEND_DOWN, "backend_down")          /* its backend is down or removed: a UDP session */   \
    X(EVICTED, "evicted")                    /* a UDP session that made room for another */        \
    X(TLS_HANDSHAKE, "tls_handshake_failed") /* with the client */                                 \
    X(MAX_AGE, "max_age")                    /* it was as old as its listener lets it be */        \
    X(SHED, "shed") /* idle for long, when there was no room for others */                         \
    X(REJECTED_HANDSHAKE, "rejected:handshake_timeout") /* it did not say in time who it wants */  \
    X(REJECTED_PROXY_MISSING, "rejected:no_proxy_header")                                          \
    X(REJECTED_PROXY_UNTRUSTED, "rejected:proxy_untrusted")                                        \
    X(REJECTED_PROXY_INVALID, "rejected:proxy_invalid")                                            \
    X(REJECTED_DENIED, "rejected:denied")           /* by the listener's networks */               \
    X(REJECTED_BLOCKED, "rejected:blocked")         /* its source is blocked */                    \
    X(REJECTED_TLS_RATE, "rejected:tls_rate")       /* its handshake would have come too late */   \
    X(REJECTED_CONNECTIONS, "rejected:connections") /* the listener has its limit of them */       \
    X(REJECTED_RATE, "rejected:rate")               /* ... of new ones a second */                 \
    X(REJECTED_SOURCE_CONNECTIONS, "rejected:source_connections")                                  \
    X(REJECTED_SOURCE_RATE, "rejected:source_rate")                                                \
    X(REJECTED_FIRST_BYTE, "rejected:first_byte_timeout")                                          \
    X(WORKER_DIED, "error:WORKER_DIED")                                                            \
    X(ERROR, "error") /* the session's errno says which */

enum l4_reason {
#define X(id, word) L4_END_##id,
    L4_REASONS(X)
#undef X
        L4_REASON_COUNT
};

/* The rejections among them: one row of numbers from the first on. */
enum { L4_REJECTED_FIRST = L4_END_REJECTED_HANDSHAKE };
enum { L4_REJECTED_COUNT = L4_END_WORKER_DIED - L4_REJECTED_FIRST };

/* The word users see. "unknown" for a number that is none of ours. */
const char *l4_reason_word(unsigned reason);

#endif
