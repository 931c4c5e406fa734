/* A half that speaks TLS, on OpenSSL: its handshake, and its row of io/io.h.
 *
 * OpenSSL reads the socket through a BIO of ours. What it writes is gathered in one buffer of the
 * worker and leaves in one send; records that the socket does not take wait in the same pipe where
 * plain bytes would, so to the pump a TLS half is a half like any other that cannot splice. Where
 * no pipe can be had, the rest of one record waits in a buffer of the half's own (L4_HALF_UNSENT):
 * the library never has a record that is written in part, behind which it could not answer a key
 * update.
 *
 * An end is passed on as close_notify and FIN; an end of the connection without close_notify is
 * taken for an end, as HAProxy does. A write that fails is told by the half's flags only, so that
 * what the peer sent before can still be read.
 *
 * The room is one worker's: it owns the buffer, the certificates in force and each TLS half, found
 * by its descriptor. It lives in private memory: a TLS half cannot be handed to another process.
 */
#ifndef L4_IO_TLS_H
#define L4_IO_TLS_H

#include <openssl/ssl.h>

#include "io/io.h"
#include "io/tls_store.h"

struct l4_tls {
    SSL *ssl;
    struct l4_tls_room *room;
    const struct l4_pump *pump;
    struct l4_half *half;  /* whose socket it is */
    struct l4_half *other; /* whose pipe takes what the socket does not; NULL: nothing waits */
    uint32_t profile;      /* its settings' id in the store */
    uint32_t backend;      /* of a client's side: where its session is kept; L4_NONE: nowhere */
    uint32_t serial;       /* ... and which use of that row it is */
    char *unsent;          /* records that the socket did not take while no pipe could be had */
    uint32_t unsent_bytes; /* 0: none */
    int error;             /* errno of a read that failed */
    bool drained;          /* the socket was seen empty in this call */
    bool ended;            /* ... or at its end */
    bool unended;          /* its close_notify found no room yet */
    bool gathers;          /* what OpenSSL writes goes to the room's buffer */
};

struct l4_tls_kept { /* a session with a backend, to be resumed */
    SSL_SESSION *session;
    uint32_t serial; /* use of the backend's row */
};

struct l4_tls_room {
    struct l4_tls_store *store; /* NULL: nothing was loaded yet */
    struct l4_ticket_keys keys;
    struct l4_tls **by_fd;
    uint32_t fds;
    struct l4_tls_kept *kept; /* by backend */
    uint32_t backends;
    char *records; /* what is gathered: L4_TLS_BYTES + L4_TLS_SLACK */
    size_t gathered;
    BIO_METHOD *method;
    uint32_t live; /* TLS halves there are */
};

/* Takes its memory. Returns 0 or -ENOMEM; in either case l4_tls_close gives it back. */
__attribute__((warn_unused_result)) int l4_tls_open(struct l4_tls_room *room, uint32_t fds,
                                                    uint32_t backends);
void l4_tls_close(struct l4_tls_room *room);

/* Puts other settings and certificates into force, which it takes over; halves that there are keep
 * theirs. Sessions with backends are forgotten: they were verified by the settings before. */
void l4_tls_adopt(struct l4_tls_room *room, struct l4_tls_store *store);

struct l4_tls_peer {  /* the server that a client's side is to meet */
    const char *name; /* for SNI and verification; "": ip is verified */
    const char *ip;   /* its address as text; "": none */
    uint32_t backend, serial;
};

/* Makes a half speak TLS from now on, with the settings of a profile; peer: NULL for the server's
 * side. Returns 0, -ENOENT if there is no such profile, or -ENOMEM. The half must stay where it is
 * until l4_half_close. */
__attribute__((warn_unused_result)) int l4_tls_start(const struct l4_pump *pump,
                                                     struct l4_half *half, uint32_t profile,
                                                     const struct l4_tls_peer *peer);

enum l4_shake { L4_SHAKE_WAITS, L4_SHAKE_DONE, L4_SHAKE_FAILED };

/* Goes on with the handshake as far as its socket lets it. */
enum l4_shake l4_tls_shake(const struct l4_pump *pump, struct l4_half *half);

/* Why the last handshake of this thread failed, in words, at most size bytes with the NUL. */
void l4_tls_why(const struct l4_pump *pump, const struct l4_half *half, char *to, size_t size);

struct l4_tls_facts { /* what a handshake agreed on; texts are valid until the half is closed */
    const char *version, *cipher;
    const char *server_name; /* as the client asked; NULL: it did not */
    const unsigned char *alpn;
    uint32_t alpn_length;
    bool resumed, peer_certificate;
    char peer_name[65]; /* common name of the peer's certificate; "": none */
};

/* False if the half does not speak TLS. */
bool l4_tls_facts(const struct l4_pump *pump, const struct l4_half *half,
                  struct l4_tls_facts *facts);

#endif
