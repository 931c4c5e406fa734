"""TLS's rows as plain tuples."""

from __future__ import annotations

from typing import NamedTuple


class Certificate(NamedTuple):
    """What a certificate says. names are in lower case; times are seconds since 1970; serial and
    sha256 are hexadecimal; chain counts the certificates that came behind it."""

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
    """How handshakes went, over all workers; now are in progress, why is a recent failure."""

    full: int
    resumed: int
    failed: int
    now: int
    why: str
