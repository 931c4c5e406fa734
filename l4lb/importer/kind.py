"""Recognises the program that a file belongs to: each has a kind of line that the other does not
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


def kind_of(text: str, file: str) -> str:
    """Returns haproxy or nginx. Raises UsageError if it is neither."""
    haproxy, nginx = len(SECTION.findall(text)), len(END.findall(text))
    if haproxy == nginx == 0:
        raise UsageError(
            f"{file}: neither HAProxy's sections nor nginx's blocks are in it; if it is one of "
            "theirs, say --from haproxy or --from nginx"
        )
    return "haproxy" if haproxy > nginx else "nginx"
