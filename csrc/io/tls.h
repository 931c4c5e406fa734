/* TLS for a half of a session, with OpenSSL: its handshake, and its operations for io/stream_ops.h.
 *
 * OpenSSL reads the socket through a BIO of ours. Its output is gathered in one buffer of the
 * worker and sent in one call. Records that the socket does not accept wait in the pipe in which
 * plain bytes would wait. To the pump, a TLS half is therefore a half that cannot splice. If no
 * pipe is free, the rest of one record waits in the half's own buffer (L4_HALF_UNSENT). OpenSSL
 * itself never has a partly written record, which would keep it from answering a key update.
 *
 * An end is passed on as close_notify and FIN. An end of the connection without close_notify
 * counts as an end, as in HAProxy. A write that fails is only recorded in the half's flags, so
 * that data which the peer sent before can still be read.
 *
 * The room belongs to one worker. It owns the buffer, the certificates in force and each TLS
 * half, found by its descriptor. It is private memory: a TLS half cannot be handed to another
 * process.
 */
#ifndef L4_IO_TLS_H
#define L4_IO_TLS_H

#include <openssl/ssl.h>

#include "io/stream_ops.h"
#include "io/tls_store.h"

struct l4_tls {
    SSL *ssl;
    struct l4_tls_room *room;
    const struct l4_pump *pump;
    struct l4_half *half;  /* the half whose socket this is */
    struct l4_half *other; /* the half whose pipe takes unsent records; NULL: none wait */
    uint32_t profile;      /* id of its settings in the store */
    uint32_t backend; /* client side: backend whose session is kept for resumption; L4_NONE: none */
    uint32_t serial;  /* ... and the serial of the backend's row */
    char *unsent;     /* records that the socket did not accept while no pipe was free */
    uint32_t unsent_bytes; /* 0: none */
    int error;             /* errno of a read that failed */
    bool drained;          /* this call found the socket empty */
    bool ended;            /* this call found the end of the socket */
    bool unended;          /* its close_notify has not been written yet */
    bool gathers;          /* OpenSSL's output goes to the room's buffer */
};

/* A TLS session with a backend, to be resumed. */
struct l4_tls_kept {
    SSL_SESSION *session;
    uint32_t serial; /* serial of the backend's row */
};

struct l4_tls_room {
    struct l4_tls_store *store; /* NULL: nothing was loaded yet */
    struct l4_ticket_keys keys;
    struct l4_tls **by_fd;
    uint32_t fds;
    struct l4_tls_kept *kept; /* sessions by backend */
    uint32_t backends;
    char *records; /* gathered output: L4_TLS_BYTES + L4_TLS_SLACK */
    size_t gathered;
    BIO_METHOD *method;
    uint32_t live; /* number of TLS halves */
};

/* Allocates the room's memory. Returns 0 or -ENOMEM; in both cases l4_tls_close frees it. */
__attribute__((warn_unused_result)) int l4_tls_open(struct l4_tls_room *room, uint32_t fds,
                                                    uint32_t backends);
void l4_tls_close(struct l4_tls_room *room);

/* Takes over other settings and certificates and puts them into force. Existing halves keep
 * theirs. Sessions with backends are forgotten, because they were verified by the earlier
 * settings. */
void l4_tls_adopt(struct l4_tls_room *room, struct l4_tls_store *store);

/* The server that a TLS client side connects to. */
struct l4_tls_peer {
    const char *name; /* for SNI and verification; "": ip is verified */
    const char *ip;   /* its IP address as text; "": none */
    uint32_t backend, serial;
};

/* Makes a half use TLS from now on, with the settings of a profile. peer is NULL for the server
 * side. Returns 0, -ENOENT if there is no such profile, or -ENOMEM. The half must not move until
 * l4_half_close. */
__attribute__((warn_unused_result)) int l4_tls_start(const struct l4_pump *pump,
                                                     struct l4_half *half, uint32_t profile,
                                                     const struct l4_tls_peer *peer);

/* Has the host certificates of its own, other than those of the server name that the client asked
 * for? */
bool l4_tls_is_elsewhere(const struct l4_pump *pump, const struct l4_half *half, const char *host);

/* The half has moved to another place. */
void l4_tls_moved(const struct l4_pump *pump, struct l4_half *half);

enum l4_shake { L4_SHAKE_WAITS, L4_SHAKE_DONE, L4_SHAKE_FAILED };

/* Continues the handshake as far as the socket allows. */
enum l4_shake l4_tls_shake(const struct l4_pump *pump, struct l4_half *half);

/* Writes the reason why the last handshake of this thread failed, in words, at most size bytes
 * with the NUL. */
void l4_tls_why(const struct l4_pump *pump, const struct l4_half *half, char *to, size_t size);

/* The result of a handshake. Its texts are valid until the socket is closed. */
struct l4_tls_facts {
    const char *version, *cipher;
    const char *server_name; /* SNI of the client; NULL: none */
    const unsigned char *alpn;
    uint32_t alpn_length;
    bool resumed, peer_certificate;
    char peer_name[65]; /* common name in the peer's certificate; "": none */
};

/* Returns false if the half does not use TLS. */
bool l4_tls_facts(const struct l4_pump *pump, const struct l4_half *half,
                  struct l4_tls_facts *facts);

#endif
