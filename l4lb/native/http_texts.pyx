# cython: language_level=3
"""HTTP's texts in the shared table: written into the half that is not in force, then swapped."""

from libc.string cimport memcpy

from l4lb.native cimport c
from l4lb.native.table cimport Table

RETRY_ON = ("connect", "reuse", "reset", "timeout", "502", "503", "504")  # enum l4_http_retry_on
HOSTS = ("keep", "backend")  # enum l4_http_host; any other text is L4_HOST_NAMED
SNIS = ("off", "log", "match")  # enum l4_forward_sni
HOST_NAMED = <int>c.L4_HOST_NAMED
TEXTS_BYTES = <int>c.L4_HTTP_TEXTS_BYTES


def publish_texts(Table table, bytes texts):
    """Puts texts in force, as l4lb/http/texts.py compiles them. Raises OverflowError if they are
    too long; then nothing has changed."""
    cdef c.l4_header *header = table.table.header
    if len(texts) > TEXTS_BYTES:
        raise OverflowError(f"the texts for HTTP have more than {TEXTS_BYTES >> 20} MiB")
    memcpy(c.l4_table_texts(&table.table, header.texts_generation + 1), <const char *>texts,
           len(texts))
    header.texts_generation += 1
