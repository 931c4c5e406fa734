/* The callbacks that OpenSSL makes during a handshake: choice of certificate, ALPN protocol and
 * ticket key.
 *
 * Each callback finds the connection's half through its SSL object. It answers from the settings
 * in force now, not from those at the beginning of the connection: settings can be replaced in
 * between.
 */
#ifndef L4_IO_TLS_HOOKS_H
#define L4_IO_TLS_HOOKS_H

#include <openssl/ssl.h>

#include "io/tls_store.h"

int l4_tls_on_server_name(SSL *ssl, int *alert, void *unused);

int l4_tls_on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                   const unsigned char *offered, unsigned offered_length, void *unused);

int l4_tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypts);

/* ---- for the callbacks: tls_store.c ---------------------------------------------------------- */

/* Returns the certificates for a server name, or NULL. *strict: such a client must be turned
 * away. */
SSL_CTX *l4_tls_store_named(const struct l4_tls_store *store, uint32_t id, const char *asked,
                            bool *strict);

/* Returns the protocols of a profile in the form of ALPN, or NULL. */
const uint8_t *l4_tls_store_alpn(const struct l4_tls_store *store, uint32_t id, uint32_t *length);

#endif
