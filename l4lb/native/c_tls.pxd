"""What Python sees of TLS: io/tls_cert.h, io/tls_store.h, shm/secure.h, run/vault.h."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from l4lb.native.c_l4 cimport l4_table


cdef extern from "base/bounds.h":
    enum:
        L4_TLS_BUNDLE_MAX
        L4_TLS_PROFILES_MAX


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

    struct l4_bundle_profile:
        uint32_t id
        uint32_t flags
        uint32_t min_version
        uint32_t lifetime_s

    struct l4_tls_store:
        uint32_t certificates

    struct l4_tls_loader:
        l4_tls_store *store
        char problem[1]

    int l4_tls_load_start(l4_tls_loader *loader, const void *bundle, size_t bytes) nogil
    int l4_tls_load_step(l4_tls_loader *loader) nogil
    void l4_tls_load_stop(l4_tls_loader *loader) nogil


cdef extern from "shm/secure.h":
    struct l4_secure_rule:
        uint32_t profile
        uint32_t most
        uint32_t interval_us
        uint32_t burst_us
        uint64_t ends_s
        uint32_t shaking
        uint64_t next_us


cdef extern from "shm/shakes.h":
    struct l4_shakes:
        uint64_t full
        uint64_t resumed
        uint64_t failed
        uint32_t now
        char why[1]
    l4_shakes *l4_table_shakes(const l4_table *table, uint32_t worker, uint32_t row)


cdef extern from "shm/table.h":
    struct l4_listener:
        uint32_t used
        l4_secure_rule secure
    struct l4_pool:
        uint32_t used
        uint32_t tls_profile
    struct l4_worker:
        uint64_t secrets


cdef extern from "run/vault.h":
    const uint64_t L4_VAULT_MAGIC
    enum:
        L4_VAULT_KEYS_AT
        L4_VAULT_BUNDLE_AT
