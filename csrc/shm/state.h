/* Every state of a session, once, for workers, admin commands and tests. run/stages.h draws the
 * states, run/row.c has the edges. The numbers are part of a wire format (run/handover_record.h):
 * new states are appended. */
#ifndef L4_SHM_STATE_H
#define L4_SHM_STATE_H

#define L4_STATES(X)                                                                               \
    X(FREE, "free")       /* there is no session */                                                \
    X(PICK, "pick")       /* a backend is chosen, or this host lacks a socket towards it */        \
    X(CONNECT, "connect") /* a socket connects to its backend */                                   \
    X(RELAY, "relay")     /* bytes go both ways */                                                 \
    X(RESET, "reset")     /* it ends once what was accepted for its sides has been delivered */    \
    X(PREREAD, "preread") /* its client must say what the pick needs */                            \
    X(QUEUE, "queue")     /* it waits for a place at a backend */                                  \
    X(TARPIT, "tarpit")   /* its client was turned away and is kept waiting in silence */          \
    X(TLS_CLIENT, "tls_client")   /* a handshake with its client */                                \
    X(TLS_BACKEND, "tls_backend") /* a handshake with its backend */                               \
    X(HANDOVER, "handover")       /* it is on its way to another worker, or from one */            \
    X(ACCEPTED, "accepted")       /* it was accepted, and nothing was read yet */                  \
    X(REQUEST, "request")         /* HTTP: a request's head is awaited */                          \
    X(EXCHANGE, "exchange")       /* HTTP: a request goes to its backend, the answer comes back */ \
    X(REPLY, "reply")             /* HTTP: an answer of l4lb itself is sent */                     \
    X(HTTP2, "http2")             /* HTTP/2: its requests are sessions of their own */             \
    X(CACHED, "cached")           /* HTTP: an answer that is stored is sent */                     \
    X(AWAIT, "await")             /* HTTP: the answer to another client's request is waited for */ \
    X(FORWARD, "forward")         /* forward proxy: may the client go where it wants to? */        \
    X(SOCKS, "socks")             /* SOCKS: its client says where it wants to go */                \
    X(HELLO, "hello")             /* a tunnel's client says which server it asks for */            \
    X(INSPECT, "inspect")         /* HTTP: an engine is asked about the request or its answer */

enum l4_session_state {
#define X(id, word) L4_SESSION_##id,
    L4_STATES(X)
#undef X
        L4_SESSION_STATES
};

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_state_word(unsigned state);

#endif
