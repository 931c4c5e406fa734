"""Rows about TLS as plain tuples."""

from __future__ import annotations

from typing import NamedTuple


class Certificate(NamedTuple):
    """A certificate's contents. names: in lower case. Times: seconds since 1970. serial, sha256:
    hexadecimal. chain: number of further certificates in its file."""

    subject: str
    issuer: str
    serial: str
    names: tuple[str, ...]
    not_before: int
    not_after: int
    key_type: str
    bits: int
    sha256: str
    chain: int


class Handshakes(NamedTuple):
    """Counts of handshakes over all workers. now: in progress. why: the reason of a recent
    failure."""

    full: int
    resumed: int
    failed: int
    now: int
    why: str
