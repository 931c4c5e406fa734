"""TLS's door; see tls.pyx, csrc/io/tls_store.h and csrc/shm/secure.h."""

from collections.abc import Iterable

from l4lb.native.table import Table
from l4lb.native.tls_rows import Certificate, Handshakes

BUNDLE_BYTES_MAX: int
PROFILES_MAX: int
VAULT_MAGIC: int
VAULT_KEYS_AT: int
VAULT_BUNDLE_AT: int
RECORDS: dict[str, int]
FLAGS: dict[str, int]

def profile(number: int, *, flags: Iterable[str], min_version: str, lifetime_s: int) -> bytes:
    """Returns the record that begins a profile."""

def record(kind: str, data: bytes = b"") -> bytes:
    """Returns any other record of a bundle."""

def try_bundle(bundle: bytes) -> int:
    """Loads a bundle as a worker does, and throws it away. Returns the number of its certificates.
    Raises ValueError with the error."""

def read_certificate(pem: bytes) -> Certificate:
    """Returns the first certificate in a PEM text. Raises ValueError."""

def listener_end(table: Table, index: int) -> int | None:
    """Returns when the first of a listener's certificates expires; None: it has no TLS."""

def pool_has_tls(table: Table, index: int) -> bool:
    """Returns whether a pool uses TLS towards its backends."""

def loaded(table: Table, worker: int) -> int:
    """Returns the generation of certificates that a worker has in force."""

def listener_handshakes(table: Table, index: int) -> Handshakes:
    """Returns the counts of handshakes with a listener's clients, over all workers. Those in
    progress are of all its addresses."""

def pool_handshakes(table: Table, index: int) -> Handshakes:
    """Returns the counts of handshakes with a pool's backends, over all workers."""
