/* The TLS settings and certificates that are in force, made from one bundle of bytes.
 *
 * A bundle is a row of records, each a type and a length (32 bits, this machine's order) and so
 * many bytes. PROFILE opens the settings of a listener or of a pool's backends, what follows up to
 * the next PROFILE belongs to it; CONTEXT opens a set of certificates, one of each key type, and
 * CHAIN, KEY and NAME belong to it. The first set is the one for clients that name nobody known.
 * The supervisor writes bundles and has loaded each once before workers do; still they are read
 * with every check.
 *
 * Loading is done in steps, a record each, so that a worker can serve in between.
 */
#ifndef L4_IO_TLS_STORE_H
#define L4_IO_TLS_STORE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

enum l4_bundle_record {
    L4_BUNDLE_PROFILE = 1, /* struct l4_bundle_profile */
    L4_BUNDLE_CIPHERS,     /* OpenSSL's list, for TLS 1.2 */
    L4_BUNDLE_SUITES,      /* the same for TLS 1.3 */
    L4_BUNDLE_ALPN,        /* names, each after a byte with its length */
    L4_BUNDLE_CA,          /* PEM: who may have signed the peer's certificate */
    L4_BUNDLE_CONTEXT,     /* empty */
    L4_BUNDLE_CHAIN,       /* PEM: a certificate, then those that lead to its issuer's */
    L4_BUNDLE_KEY,         /* PEM: its private key */
    L4_BUNDLE_NAME,        /* a server name in lower case, perhaps "*.x", of this context */
    L4_BUNDLE_PEER,        /* backend's name, NUL, the name its certificate must have */
};

enum l4_bundle_flags {
    L4_TLS_CLIENT = 1 << 0,   /* settings towards backends */
    L4_TLS_VERIFY = 1 << 1,   /* ask for the peer's certificate and verify it */
    L4_TLS_REQUIRE = 1 << 2,  /* ... and a client without one is turned away */
    L4_TLS_TICKETS = 1 << 3,  /* sessions can be resumed */
    L4_TLS_STRICT = 1 << 4,   /* a client that names nobody known is turned away */
    L4_TLS_SYSTEM_CA = 1 << 5 /* the host's own certificate authorities */
};

struct l4_bundle_profile {
    uint32_t id;          /* below L4_TLS_PROFILES_MAX */
    uint32_t flags;       /* enum l4_bundle_flags */
    uint32_t min_version; /* TLS1_2_VERSION, TLS1_3_VERSION */
    uint32_t lifetime_s;  /* of a ticket */
};

struct l4_ticket_keys { /* in the order: in use, the one before, the one after */
    struct l4_ticket_key {
        uint8_t name[16], cipher[32], mac[32];
    } keys[L4_TLS_KEYS];
};

struct l4_tls_profile;

struct l4_tls_store {
    struct l4_tls_profile *profiles[L4_TLS_PROFILES_MAX];
    uint32_t certificates; /* loaded, all profiles together */
};

struct l4_tls_loader {
    struct l4_tls_store *store;
    const uint8_t *at, *end;
    struct l4_tls_profile *profile; /* the one being read */
    char problem[160];              /* what is wrong, once a step has failed */
};

/* Begins with a bundle, which stays the caller's and must stay until the end. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_tls_load_start(struct l4_tls_loader *loader,
                                                          const void *bundle, size_t bytes);

/* One step. 1: there is more; 0: loader->store is complete and the caller's; or -EINVAL, -ENOMEM,
 * and loader->problem says why. */
int l4_tls_load_step(struct l4_tls_loader *loader);

/* Gives up on what is not complete. */
void l4_tls_load_stop(struct l4_tls_loader *loader);

void l4_tls_store_free(struct l4_tls_store *store);

/* What a new connection of the profile id starts with; NULL: there is no such profile. */
SSL_CTX *l4_tls_store_context(const struct l4_tls_store *store, uint32_t id);

/* The name that a backend's certificate must have, of a client's profile; "": none is set. */
const char *l4_tls_store_peer(const struct l4_tls_store *store, uint32_t id, const char *backend);

#endif
