/* The TLS settings and certificates in force, made from one bundle of bytes.
 *
 * A bundle is a sequence of records, each with a type and a length (32 bits, in this machine's
 * byte order), followed by that many bytes. PROFILE begins the settings of a listener or of a
 * pool's backends; records up to the next PROFILE belong to it. CONTEXT begins a set of
 * certificates, one of each key type; CHAIN, KEY and NAME belong to it. The first set is for
 * clients that ask for an unknown name, or for none. The supervisor writes bundles, and a child
 * of it has loaded each once before workers do. Workers still make every check.
 *
 * Loading is done in steps of one record, so that a worker can serve clients between the steps.
 */
#ifndef L4_IO_TLS_STORE_H
#define L4_IO_TLS_STORE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

enum l4_bundle_record {
    L4_BUNDLE_PROFILE = 1, /* struct l4_bundle_profile */
    L4_BUNDLE_CIPHERS,     /* OpenSSL's cipher list for TLS 1.2 */
    L4_BUNDLE_SUITES,      /* OpenSSL's cipher suites for TLS 1.3 */
    L4_BUNDLE_ALPN,        /* names, each after a byte with its length */
    L4_BUNDLE_CA,          /* PEM: authorities for the peer's certificate */
    L4_BUNDLE_CONTEXT,     /* empty */
    L4_BUNDLE_CHAIN,       /* PEM: a certificate, then the intermediate certificates */
    L4_BUNDLE_KEY,         /* PEM: the private key of the certificate */
    L4_BUNDLE_NAME,        /* a server name of this context in lower case, possibly "*.x" */
    L4_BUNDLE_PEER,        /* backend's name, NUL, the name that its certificate must have */
};

enum l4_bundle_flags {
    L4_TLS_CLIENT = 1 << 0,   /* settings for connections to backends */
    L4_TLS_VERIFY = 1 << 1,   /* ask for the peer's certificate and verify it */
    L4_TLS_REQUIRE = 1 << 2,  /* a client without a certificate is turned away */
    L4_TLS_TICKETS = 1 << 3,  /* sessions can be resumed */
    L4_TLS_STRICT = 1 << 4,   /* a client that asks for an unknown name is turned away */
    L4_TLS_SYSTEM_CA = 1 << 5 /* use the host's certificate authorities */
};

struct l4_bundle_profile {
    uint32_t id;          /* below L4_TLS_PROFILES_MAX */
    uint32_t flags;       /* enum l4_bundle_flags */
    uint32_t min_version; /* TLS1_2_VERSION, TLS1_3_VERSION */
    uint32_t lifetime_s;  /* lifetime of a ticket */
};

/* The ticket keys in this order: the present one, the previous one, the next one. */
struct l4_ticket_keys {
    struct l4_ticket_key {
        uint8_t name[16], cipher[32], mac[32];
    } keys[L4_TLS_KEYS];
};

struct l4_tls_profile;

struct l4_tls_store {
    struct l4_tls_profile *profiles[L4_TLS_PROFILES_MAX];
    uint32_t certificates; /* certificates loaded, for all profiles together */
};

struct l4_tls_loader {
    struct l4_tls_store *store;
    const uint8_t *at, *end;
    struct l4_tls_profile *profile; /* the profile that is being read */
    char problem[160];              /* the reason, after a step has failed */
};

/* Begins to load a bundle, which belongs to the caller and must stay until the end. Returns 0 or
 * -ENOMEM. */
__attribute__((warn_unused_result)) int l4_tls_load_start(struct l4_tls_loader *loader,
                                                          const void *bundle, size_t bytes);

/* Loads one record. Returns 1 if there are more; 0 if loader->store is complete and belongs to
 * the caller; or -EINVAL or -ENOMEM, with the reason in loader->problem. */
int l4_tls_load_step(struct l4_tls_loader *loader);

/* Ends loading and frees what is incomplete. */
void l4_tls_load_stop(struct l4_tls_loader *loader);

void l4_tls_store_free(struct l4_tls_store *store);

/* Returns the context for a new connection; NULL if there is no such profile. */
SSL_CTX *l4_tls_store_context(const struct l4_tls_store *store, uint32_t id);

/* Returns the name that a backend's certificate must have, for a profile towards backends; "":
 * none is set. */
const char *l4_tls_store_peer(const struct l4_tls_store *store, uint32_t id, const char *backend);

#endif
