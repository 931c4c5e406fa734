#include "io/tls_hooks.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

#include "io/tls.h"

int l4_tls_on_server_name(SSL *ssl, int *alert, void *unused)
{
    (void)unused;
    bool strict;
    const struct l4_tls *tls = SSL_get_app_data(ssl);
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *context = l4_tls_store_named(tls->room->store, tls->profile, asked, &strict);
    if (context && SSL_set_SSL_CTX(ssl, context))
        return SSL_TLSEXT_ERR_OK;
    if (strict) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

int l4_tls_on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                   const unsigned char *offered, unsigned offered_length, void *unused)
{
    (void)unused;
    const struct l4_tls *tls = SSL_get_app_data(ssl);
    uint32_t ours_length;
    const uint8_t *ours = l4_tls_store_alpn(tls->room->store, tls->profile, &ours_length);
    if (!ours)
        return SSL_TLSEXT_ERR_NOACK;
    /* RFC 7301, 3.2: without a common protocol the connection ends. */
    if (SSL_select_next_proto((unsigned char **)chosen, length, ours, ours_length, offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static int use_key(const struct l4_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int encrypts)
{
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"sha256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypts) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int l4_tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypts)
{
    const struct l4_tls *tls = SSL_get_app_data(ssl);
    const struct l4_ticket_key *keys = tls->room->keys.keys;
    if (encrypts) {
        memcpy(name, keys[0].name, sizeof keys[0].name);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        return use_key(&keys[0], iv, cipher, mac, 1) ? 1 : -1;
    }
    for (int i = 0; i < L4_TLS_KEYS; i++) {
        if (memcmp(name, keys[i].name, sizeof keys[i].name) != 0)
            continue;
        if (!use_key(&keys[i], iv, cipher, mac, 0))
            return -1;
        /* 2: resume, and send a new ticket: this ticket's key will soon expire, or the ticket was
         * for one use (RFC 8446, appendix C.4). */
        return i > 0 || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
    }
    return 0;
}
