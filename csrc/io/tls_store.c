#include "io/tls_store.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls_hooks.h"

struct named {
    char *name; /* name of a server; or of a backend, then NUL and its certificate's name */
    uint32_t context;
};

struct l4_tls_profile {
    struct l4_bundle_profile settings;
    SSL_CTX **contexts;
    struct named *names; /* sorted after all are read */
    uint32_t context_count, name_count;
    uint32_t context_room, name_room;
    char *ciphers, *suites;
    uint8_t *alpn;
    uint32_t alpn_length;
    X509_STORE *ca;
    STACK_OF(X509_NAME) * ca_names;
    uint8_t trust[SHA256_DIGEST_LENGTH]; /* digest of all trusted authorities */
};

static int fail(struct l4_tls_loader *loader, const char *what)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(loader->problem, sizeof loader->problem, "%s%s%s", what, reason ? ": " : "",
             reason ? reason : "");
    ERR_clear_error();
    return -EINVAL;
}

static void free_profile(struct l4_tls_profile *profile)
{
    for (uint32_t i = 0; i < profile->context_count; i++)
        SSL_CTX_free(profile->contexts[i]);
    for (uint32_t i = 0; i < profile->name_count; i++)
        free(profile->names[i].name);
    X509_STORE_free(profile->ca);
    sk_X509_NAME_pop_free(profile->ca_names, X509_NAME_free);
    free(profile->contexts);
    free(profile->names);
    free(profile->ciphers);
    free(profile->suites);
    free(profile->alpn);
    free(profile);
}

void l4_tls_store_free(struct l4_tls_store *store)
{
    for (uint32_t i = 0; store && i < L4_TLS_PROFILES_MAX; i++) {
        if (store->profiles[i])
            free_profile(store->profiles[i]);
    }
    free(store);
}

/* Makes room for one more element in an array that doubles. */
static bool has_room(void **array, uint32_t count, uint32_t *room, size_t size, uint32_t max)
{
    if (count < *room)
        return true;
    if (count >= max)
        return false;
    const uint32_t wider = *room ? *room * 2 : 4;
    void *moved = realloc(*array, wider * size);
    if (!moved)
        return false;
    *array = moved;
    *room = wider;
    return true;
}

static char *text_of(const uint8_t *bytes, uint32_t length)
{
    return length < L4_TLS_TEXT_MAX ? strndup((const char *)bytes, length) : NULL;
}

/* ---- PEM ------------------------------------------------------------------------------------- */

/* Refuses a key that needs a password: nobody can type it. OpenSSL prescribes the signature. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int no_password(char *to, int size, int writing, void *unused)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

static bool is_end_of_pem(void)
{
    const unsigned long code = ERR_peek_last_error();
    const bool end =
        ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

static int read_chain(struct l4_tls_loader *loader, BIO *pem)
{
    struct l4_tls_profile *profile = loader->profile;
    SSL_CTX *context = profile->contexts[profile->context_count - 1];
    X509 *certificate = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL);
    if (!certificate)
        return fail(loader, "no certificate");
    const bool used = SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    if (!used)
        return fail(loader, "certificate");
    SSL_CTX_clear_chain_certs(context);
    while ((certificate = PEM_read_bio_X509(pem, NULL, no_password, NULL))) {
        if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
            X509_free(certificate);
            return fail(loader, "chain");
        }
    }
    loader->store->certificates++;
    return is_end_of_pem() ? 1 : fail(loader, "chain");
}

static int read_key(struct l4_tls_loader *loader, BIO *pem)
{
    const struct l4_tls_profile *profile = loader->profile;
    SSL_CTX *context = profile->contexts[profile->context_count - 1];
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    if (!key)
        return fail(loader, "private key");
    /* why the certificate is asked: a key of another type then gets a message that says so. */
    X509 *const leaf = SSL_CTX_get0_certificate(context);
    const bool used = leaf && X509_check_private_key(leaf, key) == 1 &&
                      SSL_CTX_use_PrivateKey(context, key) == 1 &&
                      SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return used ? 1 : fail(loader, "private key");
}

/* Adds the digest of one trusted certificate to the profile's. */
static bool add_trust(struct l4_tls_profile *profile, const X509 *certificate)
{
    uint8_t both[2 * SHA256_DIGEST_LENGTH];
    memcpy(both, profile->trust, SHA256_DIGEST_LENGTH);
    return X509_digest(certificate, EVP_sha256(), both + SHA256_DIGEST_LENGTH, NULL) == 1 &&
           EVP_Digest(both, sizeof both, profile->trust, NULL, EVP_sha256(), NULL) == 1;
}

static int read_ca(struct l4_tls_loader *loader, BIO *pem)
{
    struct l4_tls_profile *profile = loader->profile;
    X509 *certificate;
    int count = 0;
    if (!profile->ca)
        profile->ca = X509_STORE_new();
    if (!profile->ca_names)
        profile->ca_names = sk_X509_NAME_new_null();
    while (profile->ca && profile->ca_names &&
           (certificate = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL))) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
        const bool kept = X509_STORE_add_cert(profile->ca, certificate) == 1 && name &&
                          add_trust(profile, certificate) &&
                          sk_X509_NAME_push(profile->ca_names, name);
        X509_free(certificate);
        if (!kept)
            return fail(loader, "ca");
        count++;
    }
    if (!is_end_of_pem())
        return fail(loader, "ca");
    return count ? 1 : fail(loader, "ca: there is no certificate in it");
}

static int read_pem(struct l4_tls_loader *loader, const uint8_t *bytes, uint32_t length,
                    int (*read)(struct l4_tls_loader *, BIO *))
{
    if (read != read_ca && !loader->profile->context_count)
        return fail(loader, "a certificate outside of a context");
    BIO *pem = BIO_new_mem_buf(bytes, (int)length);
    if (!pem)
        return -ENOMEM;
    const int result = read(loader, pem);
    BIO_free(pem);
    return result;
}

/* ---- contexts -------------------------------------------------------------------------------- */

static bool set_trust(SSL_CTX *context, const struct l4_tls_profile *profile)
{
    const uint32_t flags = profile->settings.flags;
    if (!(flags & L4_TLS_VERIFY))
        return true;
    const bool require = flags & (L4_TLS_REQUIRE | L4_TLS_CLIENT);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (require ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    if (flags & L4_TLS_SYSTEM_CA)
        return SSL_CTX_set_default_verify_paths(context) == 1;
    if (!profile->ca)
        return false;
    SSL_CTX_set1_cert_store(context, profile->ca);
    if (!(flags & L4_TLS_CLIENT))
        SSL_CTX_set_client_CA_list(context, SSL_dup_CA_list(profile->ca_names));
    return true;
}

/* Returns what is wrong with the ciphers that a connection can have; security levels and versions
 * leave some out. There must be one for each version, and none without encryption or
 * authentication. */
static const char *wrong_with_ciphers(SSL_CTX *context, uint32_t min_version)
{
    SSL *probe = SSL_new(context);
    STACK_OF(SSL_CIPHER) *usable = probe ? SSL_get1_supported_ciphers(probe) : NULL;
    bool before_13 = min_version > TLS1_2_VERSION, open = false;
    for (int i = 0; i < sk_SSL_CIPHER_num(usable); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(usable, i);
        before_13 |= strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") != 0;
        open |= SSL_CIPHER_get_bits(cipher, NULL) == 0 ||
                SSL_CIPHER_get_auth_nid(cipher) == NID_auth_null;
    }
    sk_SSL_CIPHER_free(usable);
    SSL_free(probe);
    if (open)
        return "ciphers: among them are some that do not encrypt, or ask for no certificate";
    return before_13 ? NULL : "ciphers: none of them can be used with TLS 1.2";
}

/* Decides whose sessions may be resumed: those of the same listener, made while it trusted the
 * same authorities as now. A resumed session shows no certificate again. */
static bool set_session_context(SSL_CTX *context, const struct l4_tls_profile *profile)
{
    struct {
        uint32_t id, verify;
        uint8_t trust[SHA256_DIGEST_LENGTH];
    } of = {profile->settings.id, profile->settings.flags & (L4_TLS_VERIFY | L4_TLS_REQUIRE), {0}};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    memcpy(of.trust, profile->trust, sizeof of.trust);
    return EVP_Digest(&of, sizeof of, digest, NULL, EVP_sha256(), NULL) == 1 &&
           SSL_CTX_set_session_id_context(context, digest, sizeof digest) == 1;
}

static void set_server(SSL_CTX *context, const struct l4_tls_profile *profile)
{
    const struct l4_bundle_profile *settings = &profile->settings;
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_NO_RENEGOTIATION);
    /* Only tickets resume sessions; there is no cache, so every worker can resume them. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, settings->lifetime_s);
    if (settings->flags & L4_TLS_TICKETS) {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, l4_tls_on_ticket);
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
    SSL_CTX_set_tlsext_servername_callback(context, l4_tls_on_server_name);
    if (profile->alpn)
        SSL_CTX_set_alpn_select_cb(context, l4_tls_on_alpn, NULL);
}

static bool set_client(SSL_CTX *context, const struct l4_tls_profile *profile)
{
    SSL_CTX_set_session_cache_mode(context, profile->settings.flags & L4_TLS_TICKETS
                                                ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                : SSL_SESS_CACHE_OFF);
    return !profile->alpn ||
           SSL_CTX_set_alpn_protos(context, profile->alpn, profile->alpn_length) == 0;
}

static int open_context(struct l4_tls_loader *loader)
{
    struct l4_tls_profile *profile = loader->profile;
    const bool client = profile->settings.flags & L4_TLS_CLIENT;
    if (!has_room((void **)&profile->contexts, profile->context_count, &profile->context_room,
                  sizeof *profile->contexts, L4_TLS_CONTEXTS_MAX))
        return fail(loader, "too many certificates");
    SSL_CTX *context = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    if (!context)
        return -ENOMEM;
    profile->contexts[profile->context_count++] = context;
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(context, 1);
    if (SSL_CTX_set_min_proto_version(context, (int)profile->settings.min_version) != 1)
        return fail(loader, "min_version");
    if (profile->ciphers && SSL_CTX_set_cipher_list(context, profile->ciphers) != 1)
        return fail(loader, "ciphers");
    const char *wrong =
        profile->ciphers ? wrong_with_ciphers(context, profile->settings.min_version) : NULL;
    if (wrong)
        return fail(loader, wrong);
    if (profile->suites && SSL_CTX_set_ciphersuites(context, profile->suites) != 1)
        return fail(loader, "ciphersuites");
    if (!set_trust(context, profile))
        return fail(loader, "ca");
    if (!client && !set_session_context(context, profile))
        return fail(loader, "session context");
    if (!client)
        set_server(context, profile);
    else if (!set_client(context, profile))
        return fail(loader, "alpn");
    return 1;
}

static int open_profile(struct l4_tls_loader *loader, const uint8_t *bytes, uint32_t length)
{
    struct l4_bundle_profile settings;
    if (length != sizeof settings)
        return fail(loader, "a profile of another size");
    memcpy(&settings, bytes, sizeof settings);
    if (settings.id >= L4_TLS_PROFILES_MAX || loader->store->profiles[settings.id])
        return fail(loader, "a profile with an id that it cannot have");
    loader->profile = calloc(1, sizeof *loader->profile);
    if (!loader->profile)
        return -ENOMEM;
    loader->profile->settings = settings;
    loader->store->profiles[settings.id] = loader->profile;
    return 1;
}

static int add_name(struct l4_tls_loader *loader, const uint8_t *bytes, uint32_t length)
{
    struct l4_tls_profile *profile = loader->profile;
    if (length >= L4_TLS_TEXT_MAX ||
        !has_room((void **)&profile->names, profile->name_count, &profile->name_room,
                  sizeof *profile->names, L4_TLS_NAMES_MAX))
        return fail(loader, "too many names");
    char *name = calloc(1, length + 2);
    if (!name)
        return -ENOMEM;
    memcpy(name, bytes, length);
    const uint32_t context = profile->context_count ? profile->context_count - 1 : 0;
    profile->names[profile->name_count++] = (struct named){.name = name, .context = context};
    return 1;
}

static int set_alpn(struct l4_tls_loader *loader, const uint8_t *bytes, uint32_t length)
{
    loader->profile->alpn = length && length < L4_TLS_TEXT_MAX ? malloc(length) : NULL;
    if (!loader->profile->alpn)
        return fail(loader, "alpn");
    memcpy(loader->profile->alpn, bytes, length);
    loader->profile->alpn_length = length;
    return 1;
}

/* ---- loading --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

int l4_tls_load_start(struct l4_tls_loader *loader, const void *bundle, size_t bytes)
{
    *loader = (struct l4_tls_loader){
        .store = calloc(1, sizeof *loader->store),
        .at = bundle,
        .end = (const uint8_t *)bundle + bytes,
    };
    ERR_clear_error();
    return loader->store ? 0 : -ENOMEM;
}

void l4_tls_load_stop(struct l4_tls_loader *loader)
{
    l4_tls_store_free(loader->store);
    loader->store = NULL;
}

static int read_record(struct l4_tls_loader *loader, uint32_t type, const uint8_t *bytes,
                       uint32_t length)
{
    if (type != L4_BUNDLE_PROFILE && !loader->profile)
        return fail(loader, "settings outside of a profile");
    switch (type) {
    case L4_BUNDLE_PROFILE:
        return open_profile(loader, bytes, length);
    case L4_BUNDLE_CIPHERS:
        loader->profile->ciphers = text_of(bytes, length);
        return loader->profile->ciphers ? 1 : fail(loader, "ciphers");
    case L4_BUNDLE_SUITES:
        loader->profile->suites = text_of(bytes, length);
        return loader->profile->suites ? 1 : fail(loader, "ciphersuites");
    case L4_BUNDLE_ALPN:
        return set_alpn(loader, bytes, length);
    case L4_BUNDLE_CA:
        return read_pem(loader, bytes, length, read_ca);
    case L4_BUNDLE_CONTEXT:
        return open_context(loader);
    case L4_BUNDLE_CHAIN:
        return read_pem(loader, bytes, length, read_chain);
    case L4_BUNDLE_KEY:
        return read_pem(loader, bytes, length, read_key);
    case L4_BUNDLE_NAME:
    case L4_BUNDLE_PEER:
        return add_name(loader, bytes, length);
    default:
        return fail(loader, "a record of an unknown type");
    }
}

/* Completes a profile when the next one begins: sorts its names. */
static int end_profile(struct l4_tls_loader *loader)
{
    const struct l4_tls_profile *profile = loader->profile;
    if (!profile)
        return 1;
    if (!profile->context_count)
        return fail(loader, "a profile without a context");
    if (profile->name_count)
        qsort(profile->names, profile->name_count, sizeof *profile->names, by_name);
    return 1;
}

int l4_tls_load_step(struct l4_tls_loader *loader)
{
    uint32_t head[2];
    if (loader->at == loader->end) {
        const int ended = end_profile(loader);
        return ended < 0 ? ended : 0;
    }
    if ((size_t)(loader->end - loader->at) < sizeof head)
        return fail(loader, "a record is cut off");
    memcpy(head, loader->at, sizeof head);
    const uint8_t *bytes = loader->at + sizeof head;
    if ((size_t)(loader->end - bytes) < head[1])
        return fail(loader, "a record is cut off");
    loader->at = bytes + head[1];
    if (head[0] == L4_BUNDLE_PROFILE && end_profile(loader) < 0)
        return -EINVAL;
    return read_record(loader, head[0], bytes, head[1]);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static const struct l4_tls_profile *profile_of(const struct l4_tls_store *store, uint32_t id)
{
    return store && id < L4_TLS_PROFILES_MAX ? store->profiles[id] : NULL;
}

SSL_CTX *l4_tls_store_context(const struct l4_tls_store *store, uint32_t id)
{
    const struct l4_tls_profile *profile = profile_of(store, id);
    return profile ? profile->contexts[0] : NULL;
}

static const struct named *find(const struct l4_tls_profile *profile, const char *name)
{
    struct named wanted = {.name = (char *)name};
    if (!profile->name_count)
        return NULL;
    return bsearch(&wanted, profile->names, profile->name_count, sizeof wanted, by_name);
}

const char *l4_tls_store_peer(const struct l4_tls_store *store, uint32_t id, const char *backend)
{
    const struct l4_tls_profile *profile = profile_of(store, id);
    const struct named *found = profile ? find(profile, backend) : NULL;
    return found ? found->name + strlen(found->name) + 1 : "";
}

SSL_CTX *l4_tls_store_named(const struct l4_tls_store *store, uint32_t id, const char *asked,
                            bool *strict)
{
    char name[L4_TLS_HOST_MAX + 2];
    const struct l4_tls_profile *profile = profile_of(store, id);
    *strict = profile && profile->settings.flags & L4_TLS_STRICT;
    size_t length = 0;
    for (; profile && asked && asked[length] && length < L4_TLS_HOST_MAX; length++) {
        const char c = asked[length];
        name[length] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    if (length && name[length - 1] == '.')
        length--;
    if (!length || length >= L4_TLS_HOST_MAX)
        return NULL;
    name[length] = '\0';
    const struct named *found = find(profile, name);
    char *dot = strchr(name, '.');
    if (!found && dot && dot > name) {
        dot[-1] = '*';
        found = find(profile, dot - 1);
    }
    return found ? profile->contexts[found->context] : NULL;
}

const uint8_t *l4_tls_store_alpn(const struct l4_tls_store *store, uint32_t id, uint32_t *length)
{
    const struct l4_tls_profile *profile = profile_of(store, id);
    *length = profile ? profile->alpn_length : 0;
    return profile ? profile->alpn : NULL;
}
