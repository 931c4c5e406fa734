/* The reasons for which a session ends: one list for log, metrics, admin and tests. */
#ifndef L4_BASE_REASON_H
#define L4_BASE_REASON_H

#include <stdbool.h>

#define L4_REASONS(X)                                                                              \
    X(NONE, "none")               /* the session has not ended */                                  \
    X(CLIENT_FIN, "client_fin")   /* both sides closed, the client first */                        \
    X(BACKEND_FIN, "backend_fin") /* both sides closed, the backend first */                       \
    X(CLIENT_RESET, "client_reset")                                                                \
    X(BACKEND_RESET, "backend_reset")                                                              \
    X(IDLE_TIMEOUT, "idle_timeout")                                                                \
    X(HALF_CLOSED_TIMEOUT, "half_closed_timeout")                                                  \
    X(CONNECT_FAILED, "connect_failed")      /* all backends that were tried failed */             \
    X(NO_BACKEND, "no_backend")              /* no backend was usable */                           \
    X(QUEUE_TIMEOUT, "queue_timeout")        /* the connection queue's timeout */                  \
    X(QUEUE_FULL, "rejected:queue_full")     /* the connection queue was full */                   \
    X(KILLED, "killed")                      /* by an operator */                                  \
    X(DRAIN_TIMEOUT, "drain_timeout")        /* the service stopped before the session did */      \
    X(STOPPED, "stopped")                    /* the service stopped at once */                     \
    X(BACKEND_DOWN, "backend_down")          /* UDP: the backend is down or removed */             \
    X(EVICTED, "evicted")                    /* UDP: the session made room for another */          \
    X(TLS_HANDSHAKE, "tls_handshake_failed") /* with the client */                                 \
    X(MAX_AGE, "max_age")                    /* the listener's maximum age */                      \
    X(SHED, "shed") /* load shedding: long idle while others had no room */                        \
    X(REJECTED_HANDSHAKE,                                                                          \
      "rejected:handshake_timeout") /* PROXY header or ClientHello came too late */                \
    X(REJECTED_PROXY_MISSING, "rejected:no_proxy_header")                                          \
    X(REJECTED_PROXY_UNTRUSTED, "rejected:proxy_untrusted")                                        \
    X(REJECTED_PROXY_INVALID, "rejected:proxy_invalid")                                            \
    X(REJECTED_DENIED, "rejected:denied")     /* by the listener's access list */                  \
    X(REJECTED_BLOCKED, "rejected:blocked")   /* the client's source is blocked */                 \
    X(REJECTED_TLS_RATE, "rejected:tls_rate") /* the handshake's turn would have come too late */  \
    X(REJECTED_CONNECTIONS, "rejected:connections") /* the listener's limit of connections */      \
    X(REJECTED_RATE, "rejected:rate") /* the listener's limit of new connections a second */       \
    X(REJECTED_SOURCE_CONNECTIONS, "rejected:source_connections")                                  \
    X(REJECTED_SOURCE_RATE, "rejected:source_rate")                                                \
    X(REJECTED_FIRST_BYTE, "rejected:first_byte_timeout")                                          \
    X(REJECTED_BAD_REQUEST, "rejected:bad_request") /* HTTP: what the client sent is no request */ \
    X(REJECTED_TOO_LARGE, "rejected:too_large")     /* HTTP: a head or a body above its limit */   \
    X(REJECTED_HEAD_TIMEOUT, "rejected:head_timeout") /* HTTP: the head came too slowly */         \
    X(REJECTED_REQUEST_RATE, "rejected:request_rate") /* HTTP: a limit of requests a second */     \
    X(REJECTED_ERROR_RATE, "rejected:error_rate")     /* HTTP: too many errors of its source */    \
    X(REJECTED_BODY_RATE, "rejected:body_rate")       /* HTTP: the body came too slowly */         \
    X(REJECTED_FILTER, "rejected:filter")             /* HTTP: a rule of the listener's filter */  \
    X(BAD_ANSWER, "bad_answer")         /* HTTP: the backend's answer is none, or was cut */       \
    X(ANSWER_TIMEOUT, "answer_timeout") /* HTTP: the backend did not answer in time */             \
    X(WORKER_DIED, "error:WORKER_DIED")                                                            \
    X(ERROR, "error") /* session.error has the errno */

enum l4_reason {
#define X(id, word) L4_END_##id,
    L4_REASONS(X)
#undef X
        L4_REASON_COUNT
};

/* The rejections: consecutive numbers from the first one on. */
enum { L4_REJECTED_FIRST = L4_END_REJECTED_HANDSHAKE };
enum { L4_REJECTED_COUNT = L4_END_BAD_ANSWER - L4_REJECTED_FIRST };

/* Was the client turned away? */
static inline bool l4_reason_is_rejection(unsigned reason)
{
    return reason - (unsigned)L4_REJECTED_FIRST < L4_REJECTED_COUNT;
}

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_reason_word(unsigned reason);

#endif
