# cython: language_level=3
"""TLS from Python: certificates as OpenSSL reads them, bundles, and TLS's part of the shared table.

Thin, as table.pyx is: it converts, calls and raises.
"""

import struct

from libc.stdlib cimport free, malloc

from l4lb.native cimport c
from l4lb.native.tls_rows import Certificate, Handshakes
from l4lb.native.table cimport Table

BUNDLE_BYTES_MAX = c.L4_TLS_BUNDLE_MAX
PROFILES_MAX = c.L4_TLS_PROFILES_MAX
VAULT_MAGIC = c.L4_VAULT_MAGIC
VAULT_KEYS_AT = c.L4_VAULT_KEYS_AT
VAULT_BUNDLE_AT = c.L4_VAULT_BUNDLE_AT
RECORDS = {
    "ciphers": c.L4_BUNDLE_CIPHERS,
    "ciphersuites": c.L4_BUNDLE_SUITES,
    "alpn": c.L4_BUNDLE_ALPN,
    "ca": c.L4_BUNDLE_CA,
    "context": c.L4_BUNDLE_CONTEXT,
    "chain": c.L4_BUNDLE_CHAIN,
    "key": c.L4_BUNDLE_KEY,
    "name": c.L4_BUNDLE_NAME,
    "peer": c.L4_BUNDLE_PEER,
}
FLAGS = {
    "client": c.L4_TLS_CLIENT,
    "verify": c.L4_TLS_VERIFY,
    "require": c.L4_TLS_REQUIRE,
    "tickets": c.L4_TLS_TICKETS,
    "strict": c.L4_TLS_STRICT,
    "system_ca": c.L4_TLS_SYSTEM_CA,
}
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}


def profile(number, *, flags, min_version, lifetime_s):
    """Returns the record that begins a profile."""
    bits = 0
    for flag in flags:
        bits |= FLAGS[flag]
    return _record(c.L4_BUNDLE_PROFILE,
                   struct.pack("=IIII", number, bits, VERSIONS[min_version], lifetime_s))


def record(kind, data=b""):
    """Returns any other record of a bundle."""
    return _record(RECORDS[kind], data)


cdef bytes _record(kind, data):
    return struct.pack("=II", kind, len(data)) + data


def try_bundle(bytes bundle):
    """Loads a bundle as a worker does, and throws it away. Returns the number of its certificates.
    Raises ValueError with the error."""
    cdef c.l4_tls_loader loader
    cdef const char *data = bundle
    cdef size_t length = len(bundle)
    cdef int result
    with nogil:
        result = c.l4_tls_load_start(&loader, data, length)
        if result == 0:
            result = 1
        while result == 1:
            result = c.l4_tls_load_step(&loader)
    problem = (<const char *>loader.problem).decode(errors="replace")
    count = loader.store.certificates if loader.store is not NULL else 0
    c.l4_tls_load_stop(&loader)
    if result < 0:
        raise ValueError(problem or "no memory for it")
    return count


def read_certificate(bytes pem):
    """Returns the first certificate in a PEM text. Raises ValueError."""
    cdef c.l4_cert *cert = <c.l4_cert *>malloc(sizeof(c.l4_cert))
    cdef const char *problem = NULL
    cdef const char *at
    if cert is NULL:
        raise MemoryError
    try:
        if c.l4_cert_read(<const char *>pem, len(pem), cert, &problem):
            raise ValueError(problem.decode())
        names = []
        at = cert.text
        for _ in range(cert.names):
            name = <bytes>at
            at += len(name) + 1
            names.append(name.decode("ascii", errors="replace").lower())
        return Certificate(
            (<const char *>cert.subject).decode(errors="replace"),
            (<const char *>cert.issuer).decode(errors="replace"),
            (<const char *>cert.serial).decode(),
            tuple(dict.fromkeys(names)),
            cert.not_before, cert.not_after,
            (<const char *>cert.key_type).decode(), cert.bits,
            (<bytes>cert.sha256[:32]).hex(), cert.chain)
    finally:
        free(cert)


# ---- the shared table ----------------------------------------------------------------------------


def listener_end(Table table, index):
    """Returns when the first of a listener's certificates expires; None: it has no TLS."""
    cdef c.l4_secure_rule *rule = &table._listener(index).secure
    return rule.ends_s if rule.profile else None


def pool_has_tls(Table table, index):
    """Returns whether a pool uses TLS towards its backends."""
    return table._pool(index).tls_profile != 0


def loaded(Table table, worker):
    """Returns the generation of certificates that a worker has in force."""
    return table._worker(worker).secrets


def listener_handshakes(Table table, index):
    """Returns the counts of handshakes with a listener's clients, over all workers. Those in
    progress are of all its addresses."""
    cdef unsigned int head = table._listener(index).edge.limits.head
    return _sum(table, index)._replace(
        now=table._listener(head).secure.shaking)


def pool_handshakes(Table table, index):
    """Returns the counts of handshakes with a pool's backends, over all workers."""
    table._pool(index)
    return _sum(table, table.table.plan.caps.listeners + index)


cdef object _sum(Table table, unsigned int row):
    cdef c.l4_tls_counters *handshakes
    full = resumed = failed = now = 0
    why = ""
    for worker in table._counted():
        handshakes = c.l4_table_tls_counters(&table.table, worker, row)
        full += handshakes.full
        resumed += handshakes.resumed
        failed += handshakes.failed
        now += handshakes.now
        why = why or (<const char *>handshakes.why).decode(errors="replace")
    return Handshakes(full, resumed, failed, now, why)
