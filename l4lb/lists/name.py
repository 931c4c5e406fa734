"""A host as it is compared: lower case, A-labels, without a dot at its end. Pure.

Hosts of requests come in this form from csrc/core/target.h, which judges every name here too.
"""

from __future__ import annotations

import idna

from l4lb.native.http import RequestError, read_host

TEXT_MAX = 1_000  # characters of a name with letters of all languages


def name_of(text: str) -> str | None:
    """Returns the name of a host; None if it is none. Names with letters that are not ASCII get
    their A-labels (RFC 5891, with the mapping of UTS 46, as browsers do)."""
    if len(text) > TEXT_MAX:
        return None
    try:
        plain = text if text.isascii() else idna.encode(text, uts46=True).decode()
        found = read_host(plain.encode())
    except (idna.IDNAError, UnicodeError, RequestError):
        return None
    return found.name if found.port is None else None
