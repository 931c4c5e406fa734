#include "io/tls_cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

static int64_t seconds(const ASN1_TIME *when)
{
    struct tm parts;
    return ASN1_TIME_to_tm(when, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void add_name(struct l4_cert *cert, size_t *used, const unsigned char *name, int length)
{
    /* why: a name with a NUL inside would be cut there and become another name. */
    if (length <= 0 || memchr(name, 0, (size_t)length) ||
        *used + (size_t)length + 1 > sizeof cert->text)
        return;
    memcpy(cert->text + *used, name, (size_t)length);
    cert->text[*used + (size_t)length] = '\0';
    *used += (size_t)length + 1;
    cert->names++;
}

static void read_names(const X509 *x509, struct l4_cert *cert)
{
    size_t used = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            add_name(cert, &used, ASN1_STRING_get0_data(name->d.dNSName),
                     ASN1_STRING_length(name->d.dNSName));
    }
    char common[L4_CERT_TEXT];
    if (!names && X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, common,
                                            sizeof common) > 0)
        add_name(cert, &used, (const unsigned char *)common, (int)strlen(common));
    GENERAL_NAMES_free(names);
}

static void one_line(const X509_NAME *name, char *to, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    int got = 0;
    if (text && X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253) >= 0)
        got = BIO_read(text, to, (int)size - 1);
    to[got > 0 ? got : 0] = '\0';
    BIO_free(text);
}

static void read_facts(X509 *x509, struct l4_cert *cert)
{
    one_line(X509_get_subject_name(x509), cert->subject, sizeof cert->subject);
    one_line(X509_get_issuer_name(x509), cert->issuer, sizeof cert->issuer);
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *hex = serial ? BN_bn2hex(serial) : NULL;
    if (hex)
        strncpy(cert->serial, hex, sizeof cert->serial - 1);
    OPENSSL_free(hex);
    BN_free(serial);
    const EVP_PKEY *key = X509_get0_pubkey(x509);
    if (key) {
        const char *type = EVP_PKEY_get0_type_name(key);
        strncpy(cert->key_type, type ? type : "?", sizeof cert->key_type - 1);
        cert->bits = (uint32_t)EVP_PKEY_get_bits(key);
    }
    cert->not_before = seconds(X509_get0_notBefore(x509));
    cert->not_after = seconds(X509_get0_notAfter(x509));
    X509_digest(x509, EVP_sha256(), cert->sha256, NULL);
    read_names(x509, cert);
}

int l4_cert_read(const void *pem, size_t bytes, struct l4_cert *cert, const char **problem)
{
    memset(cert, 0, sizeof *cert);
    ERR_clear_error();
    BIO *text = bytes <= INT32_MAX ? BIO_new_mem_buf(pem, (int)bytes) : NULL;
    X509 *x509 = text ? PEM_read_bio_X509_AUX(text, NULL, NULL, NULL) : NULL;
    if (!x509) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        *problem = reason ? reason : "it cannot be read";
    } else {
        read_facts(x509, cert);
        X509 *next;
        while ((next = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
            cert->chain++;
            X509_free(next);
        }
    }
    const int result = x509 ? 0 : -1;
    X509_free(x509);
    BIO_free(text);
    ERR_clear_error();
    return result;
}
