"""io/tls_cert.h, io/tls_store.h, shm/tls_counters.h, run/vault.h"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from l4lb.native.c.table cimport l4_table


cdef extern from "io/tls_cert.h":
    struct l4_cert:
        char subject[1]
        char issuer[1]
        char serial[1]
        char key_type[1]
        uint8_t sha256[32]
        int64_t not_before
        int64_t not_after
        uint32_t bits
        uint32_t chain
        uint32_t names
        char text[1]

    int l4_cert_read(const void *pem, size_t bytes, l4_cert *cert, const char **problem)


cdef extern from "io/tls_store.h":
    enum:
        L4_BUNDLE_PROFILE
        L4_BUNDLE_CIPHERS
        L4_BUNDLE_SUITES
        L4_BUNDLE_ALPN
        L4_BUNDLE_CA
        L4_BUNDLE_CONTEXT
        L4_BUNDLE_CHAIN
        L4_BUNDLE_KEY
        L4_BUNDLE_NAME
        L4_BUNDLE_PEER
        L4_TLS_CLIENT
        L4_TLS_VERIFY
        L4_TLS_REQUIRE
        L4_TLS_TICKETS
        L4_TLS_STRICT
        L4_TLS_SYSTEM_CA

    struct l4_tls_store:
        uint32_t certificates

    struct l4_tls_loader:
        l4_tls_store *store
        char problem[1]

    int l4_tls_load_start(l4_tls_loader *loader, const void *bundle, size_t bytes) nogil
    int l4_tls_load_step(l4_tls_loader *loader) nogil
    void l4_tls_load_stop(l4_tls_loader *loader) nogil


cdef extern from "shm/tls_counters.h":
    struct l4_tls_counters:
        uint64_t full
        uint64_t resumed
        uint64_t failed
        uint32_t now
        char why[1]

    l4_tls_counters *l4_table_tls_counters(const l4_table *table, uint32_t worker, uint32_t row)


cdef extern from "run/vault.h":
    enum:
        L4_VAULT_KEYS_AT
        L4_VAULT_BUNDLE_AT

    const uint64_t L4_VAULT_MAGIC
