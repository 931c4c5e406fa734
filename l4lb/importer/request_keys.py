"""Values of requests as keys of a pool, which both importers write."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)  # a token of RFC 9110, 5.6.2
OF_CONNECTIONS = frozenset({
    "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip


def is_request_key(key: str) -> bool:
    """True if a configuration may have this key: "path", "host", or such as "header:X-User"."""
    kind, colon, name = key.partition(":")
    if not colon:
        return kind in ("host", "path")
    taken = kind == "header" and name.lower() in OF_CONNECTIONS
    return NAME.fullmatch(name) is not None and not taken
