"""Recognises the program that a file belongs to: each has a kind of line that the others do not
have."""

from __future__ import annotations

import re

from l4lb.errors import UsageError

SECTION = re.compile(
    r"^[ \t]*(?:global|defaults|frontend|backend|listen|peers|resolvers|userlist|traces)"
    r"(?:[ \t]+[^\s;{}]+)*[ \t]*\r?(?:#.*)?$",
    re.MULTILINE,
)
# nginx's directives end like this; HAProxy's never do.
END = re.compile(r"^[^#\n]*[;{][ \t]*(?:\}[ \t]*)*\r?(?:#.*)?$", re.MULTILINE)


# Squid's directives begin a line, and nothing else in it tells them from HAProxy's.
SQUID = re.compile(r"^(?:http_access|http_port|auth_param|acl[ \t]+\S+[ \t]+(?:src|dstdomain|port|"
                   r"proxy_auth|method|time|url_regex))\b[^;{\n]*$", re.MULTILINE)  # fmt: skip


def kind_of(text: str, file: str) -> str:
    """Returns haproxy, nginx or squid. Raises UsageError if it is none of them."""
    counts = {
        "haproxy": len(SECTION.findall(text)),
        "nginx": len(END.findall(text)),
        "squid": len(SQUID.findall(text)) if not SECTION.search(text) else 0,
    }
    kind = max(counts, key=lambda one: counts[one])
    if not counts[kind]:
        raise UsageError(
            f"{file}: neither HAProxy's sections nor nginx's blocks nor Squid's lines are in it; if"
            " it is one of theirs, say --from haproxy, --from nginx or --from squid"
        )
    return kind
