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
    """The record that opens a profile; flags are keys of FLAGS, min_version is "1.2" or "1.3"."""

def record(kind: str, data: bytes = b"") -> bytes:
    """Any other record of a bundle; kind is a key of RECORDS."""

def try_bundle(bundle: bytes) -> int:
    """Loads a bundle as a worker does and throws it away; how many certificates it has.

    Raises ValueError with what is wrong."""

def read_certificate(pem: bytes) -> Certificate:
    """The first certificate of a PEM text. Raises ValueError."""

def listener_end(table: Table, index: int) -> int | None:
    """When the first of a listener's certificates ends; None: it has no TLS."""

def pool_has_tls(table: Table, index: int) -> bool:
    """Are a pool's backends spoken to in TLS?"""

def loaded(table: Table, worker: int) -> int:
    """The generation of certificates that a worker has in force."""

def listener_handshakes(table: Table, index: int) -> Handshakes:
    """How handshakes with a listener's clients went, over all workers; those in progress are of
    all its addresses."""

def pool_handshakes(table: Table, index: int) -> Handshakes:
    """The same of a pool's backends."""
