"""HTTP's texts into the shared table; see http_texts.pyx and csrc/core/http_texts.h."""

from l4lb.native.table import Table

RETRY_ON: tuple[str, ...]
HOSTS: tuple[str, ...]
SNIS: tuple[str, ...]
HOST_NAMED: int
TEXTS_BYTES: int

def publish_texts(table: Table, texts: bytes) -> None:
    """Puts texts in force, as l4lb/http/texts.py compiles them. Raises OverflowError if they are
    too long; then nothing has changed."""
