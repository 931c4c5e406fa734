/* The contents of one certificate, for people and for the choice by server name. Pure: bytes in,
 * facts out; the caller owns all memory. */
#ifndef L4_IO_TLS_CERT_H
#define L4_IO_TLS_CERT_H

#include <stddef.h>
#include <stdint.h>

enum { L4_CERT_NAMES_BYTES = 64 << 10, L4_CERT_TEXT = 256 };

struct l4_cert {
    char subject[L4_CERT_TEXT], issuer[L4_CERT_TEXT];
    char serial[128];               /* hexadecimal */
    char key_type[32];              /* RSA, EC, ED25519, ... */
    uint8_t sha256[32];             /* of the certificate */
    int64_t not_before, not_after;  /* seconds since 1970 */
    uint32_t bits;                  /* size of the key */
    uint32_t chain;                 /* certificates after the first */
    uint32_t names;                 /* DNS names, or the common name if there are none */
    char text[L4_CERT_NAMES_BYTES]; /* the names, each with its NUL */
};

/* Reads the first certificate of a PEM text. Returns 0, or -1 with the reason in *problem, a text
 * that stays valid. */
int l4_cert_read(const void *pem, size_t bytes, struct l4_cert *cert, const char **problem);

#endif
