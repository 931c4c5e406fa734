"""Whose file is it? Both have a line that looks like no line of the other."""

from __future__ import annotations

import re

from l4lb.errors import UsageError

SECTION = re.compile(
    r"^[ \t]*(?:global|defaults|frontend|backend|listen|peers|resolvers|userlist|traces)"
    r"(?:[ \t]+[^\s;{}]+)*[ \t]*\r?(?:#.*)?$",
    re.MULTILINE,
)
# nginx's directives end so; HAProxy's never do.
END = re.compile(r"^[^#\n]*[;{][ \t]*(?:\}[ \t]*)*\r?(?:#.*)?$", re.MULTILINE)


def kind_of(text: str, file: str) -> str:
    """haproxy or nginx. Raises UsageError if it is neither's."""
    haproxy, nginx = len(SECTION.findall(text)), len(END.findall(text))
    if haproxy == nginx == 0:
        raise UsageError(
            f"{file}: neither HAProxy's sections nor nginx's blocks are in it; if it is one of "
            "theirs, say --from haproxy or --from nginx"
        )
    return "haproxy" if haproxy > nginx else "nginx"
